// SPDX-License-Identifier: Apache-2.0
/// If this fails, kernel mounts get wrong answers, stale views, or none after a daemon's restart.
#include <gtest/gtest.h>

#include <cstring>

#include "daemon/kernel/kernel_front.h"
#include "tests/peer.h"
#include "tests/unit/app_fakes.h"

namespace cfs {
namespace {

const char* const kConfig = "volume=vol\nmasters=127.0.0.1:17010\n";

struct SessionTest : testing::Test {
  std::unique_ptr<Loop> loop = Loop::create().value();
  test::FakePort port;
  std::shared_ptr<test::FakeVolume> volume = std::make_shared<test::FakeVolume>();
  std::string told;  ///< address of the data node that events are about
  std::size_t closed_early = 0;
  int opens = 0;
  int fail_opens = 0;
  VolumePool pool{*loop, [this](Loop&, MountConfig) { return open(this); }};
  KernelFront front{*loop, pool, ConnectionCounts{}, port};

  static Task<Result<std::shared_ptr<Volume>>> open(SessionTest* t) {
    ++t->opens;
    if (t->fail_opens > 0) {
      --t->fail_opens;
      co_return make_error(EACCES, "volume vol belongs to somebody else");
    }
    co_return std::shared_ptr<Volume>(t->volume);
  }

  static Request request(std::uint16_t op, std::uint64_t id = 1) {
    Request r;
    r.head.op = op;
    r.head.id = id;
    r.head.session = 3;
    r.head.ino = 1;
    return r;
  }
  Request mount_request() {
    Request r = request(CFS_OP_MOUNT);
    r.data = kConfig;
    return r;
  }

  static Task<void> ask_task(SessionTest* t, Request r, Reply* out, bool stop) {
    *out = co_await t->front.handle(r);
    if (stop) t->loop->stop();
  }
  /// Handle requests one after the other on a fresh run of the loop.
  std::vector<Reply> ask(std::vector<Request> requests) {
    std::vector<Reply> replies(requests.size());
    loop->spawn(ask_all(this, requests, &replies));
    loop->run();
    return replies;
  }
  static Task<void> ask_all(SessionTest* t, std::vector<Request> requests,
                            std::vector<Reply>* replies) {
    for (std::size_t i = 0; i < requests.size(); ++i) {
      (*replies)[i] = co_await t->front.handle(requests[i]);
    }
    t->loop->stop();
  }
  static Task<void> tell(SessionTest* t, std::uint16_t kind, std::uint32_t conn_class) {
    Request event = request(CFS_OP_EVENT);
    event.head.session = 0;
    event.head.event.kind = kind;
    for (const auto& [id, address] : t->port.nodes) {
      if (address == t->told) event.head.event.node = id;
    }
    event.head.event.conn_class = conn_class;
    (void)co_await t->front.handle(event);
  }
  static Task<void> lose_the_host(SessionTest* t) {
    (void)co_await t->front.handle(t->mount_request());
    for (const std::uint32_t c : {CFS_CONN_READ, CFS_CONN_APPEND, CFS_CONN_OVERWRITE}) {
      co_await tell(t, CFS_EV_NEED_CONN, c);
      co_await tell(t, CFS_EV_CONN_UP, c);
    }
    co_await tell(t, CFS_EV_CONN_SILENT, CFS_CONN_READ);
    co_await tell(t, CFS_EV_CONN_SILENT, CFS_CONN_OVERWRITE);
    EXPECT_TRUE(t->port.closes.empty()) << "it may be slow";
    (void)co_await t->loop->sleep(Millis(PathProbe::kLostMs + 1500));
    t->closed_early = t->port.closes.size();
    co_await tell(t, CFS_EV_CONN_SILENT, CFS_CONN_APPEND);
    t->loop->stop();
  }
  /// Classes of the connections that were closed because `hosts[0]` does not answer.
  std::vector<std::uint32_t> closed_of(const std::vector<std::string>& hosts) {
    volume->view = {test::make_partition(7)};
    volume->view[0].hosts = hosts;
    told = hosts[0];
    loop->spawn(lose_the_host(this));
    loop->run();
    EXPECT_EQ(port.closes.size(), closed_early + 1) << "what becomes silent later, at once";
    std::vector<std::uint32_t> classes;
    for (const cfs_connect& one : port.closes) {
      EXPECT_EQ(one.timeout_ms, Connector::kSilentMs) << "only if it is silent still";
      classes.push_back(one.conn_class);
    }
    return classes;
  }
  static Task<void> mount_and_stop(SessionTest* t) {
    const Reply mounted = co_await t->front.handle(t->mount_request());
    EXPECT_EQ(mounted.res, 0);
    co_await t->front.stop(Millis(0));
    t->loop->stop();
  }
};

TEST_F(SessionTest, MountPublishesBeforeItAnswers) {
  const auto replies = ask({mount_request()});
  ASSERT_EQ(replies[0].res, 0);
  ASSERT_EQ(replies[0].bytes.size(), sizeof(cfs_mount_reply));
  cfs_mount_reply answer{};
  std::memcpy(&answer, replies[0].bytes.data(), sizeof(answer));
  EXPECT_EQ(answer.len, sizeof(answer));
  EXPECT_EQ(answer.root.ino, 1u);
  EXPECT_EQ(answer.fsid, 0x1122u);
  EXPECT_EQ(answer.flags, CFS_MR_FOLLOWER_READ);
  EXPECT_EQ(port.rows[3].size(), 2u);
  EXPECT_EQ(port.writable[1], (std::vector<std::uint64_t>{7, 8}));
  EXPECT_EQ(port.nodes.size(), 3u);
}

TEST_F(SessionTest, FailedMountKeepsItsSentence) {
  fail_opens = 1;
  const auto replies = ask({mount_request()});
  EXPECT_EQ(replies[0].res, -EACCES);
  EXPECT_EQ(pool.last_error(kConfig), "volume vol belongs to somebody else");
  EXPECT_TRUE(front.sessions().empty());
}

TEST_F(SessionTest, UnknownConfigurationKeyIsRefusedByName) {
  Request r = mount_request();
  r.data = "volume=vol\nmasters=127.0.0.1:1\ncolour=blue\n";
  const auto replies = ask({r});
  EXPECT_EQ(replies[0].res, -EINVAL);
  EXPECT_NE(pool.last_error(std::string(r.data)).find("colour"), std::string::npos);
}

TEST_F(SessionTest, RequestsReachTheVolume) {
  Request lookup = request(CFS_OP_LOOKUP);
  lookup.name = "file";
  Request rename = request(CFS_OP_RENAME);
  rename.name = "a";
  rename.name2 = "b";
  rename.head.rename.flags = CFS_RENAME_NOREPLACE;
  Request list = request(CFS_OP_LISTXATTR);
  Request get = request(CFS_OP_GETXATTR);
  Request link = request(CFS_OP_READLINK);
  const auto replies = ask({mount_request(), lookup, list, get, link, rename, request(99)});
  EXPECT_EQ(replies[1].bytes.size(), sizeof(cfs_attr));
  EXPECT_EQ(replies[2].bytes, std::string("user.a\0user.b\0", 14));
  EXPECT_EQ(replies[3].res, -ENODATA);
  EXPECT_EQ(replies[4].bytes, "target");
  EXPECT_EQ(volume->last_name, "a>b!");
  EXPECT_EQ(replies[6].res, -ENOSYS);
}

TEST_F(SessionTest, TheOnlyLinkIsLeftToTheEviction) {
  Request whole = request(CFS_OP_UNLINK);
  whole.name = "two names";
  Request last = whole;
  last.head.unlink.flags = CFS_UNLINK_LATER;
  Request dir = whole;
  dir.head.unlink.flags = CFS_UNLINK_LATER | CFS_UNLINK_DIR;
  const Request evict = request(CFS_OP_EVICT);
  Request evict_left = evict;
  evict_left.head.ino = 5;
  evict_left.head.evict.flags = CFS_EVICT_UNLINK;
  const auto replies = ask({mount_request(), whole, last, dir, evict, evict_left});
  EXPECT_EQ(replies[1].res, 0);
  EXPECT_EQ(replies[2].res, CFS_UNLINK_LEFT);
  EXPECT_EQ(replies[3].res, 0);
  EXPECT_EQ(volume->links_taken, std::vector<Ino>{5});
}

TEST_F(SessionTest, FilesWithoutNamesAreMade) {
  Request make = request(CFS_OP_TMPFILE);
  make.head.create.mode = S_IFREG | 0640;
  Request open = request(CFS_OP_LOOKUP);
  open.name = "opened";
  open.head.lookup.flags = CFS_LOOKUP_EXTENTS;
  const auto replies = ask({mount_request(), make, open});
  ASSERT_EQ(replies[1].bytes.size(), sizeof(cfs_attr));
  cfs_attr attr{};
  std::memcpy(&attr, replies[1].bytes.data(), sizeof(attr));
  EXPECT_EQ(attr.mode, make.head.create.mode);
  EXPECT_EQ(attr.nlink, 0u);
  EXPECT_EQ(replies[2].bytes.size(), sizeof(cfs_attr));  // the fake has no list
  EXPECT_EQ(volume->last_name, "opened");
}

TEST_F(SessionTest, CreateUsesTheProgressRecordAndTheGroup) {
  unsigned char record[CFS_PROGRESS_BYTES] = {};
  Request create = request(CFS_OP_CREATE);
  create.name = "l";
  create.data = "t";
  create.head.uid = 10;
  create.head.gid = 11;
  create.head.create.gid = 12;
  create.head.create.mode = S_IFLNK | 0777;
  create.head.flags = CFS_REQ_F_RESUMED;
  create.progress = record;
  ask({mount_request(), create});
  EXPECT_EQ(volume->last_name, "l>t");
  EXPECT_EQ(volume->last_caller.uid, 10u);
  EXPECT_EQ(volume->last_caller.gid, 12u);
  EXPECT_EQ(volume->last_record, record);
  EXPECT_TRUE(volume->resumed);
}

TEST_F(SessionTest, InodesMadeAheadComeAndGoAsAttributes) {
  Request first = request(CFS_OP_CREATE);
  first.name = "a";
  first.head.create.mode = S_IFREG | 0640;
  first.head.create.flags = CFS_CREATE_AHEAD;
  cfs_attr made{};
  made.ino = 66;
  Request second = first;
  second.head.create.flags = CFS_CREATE_MADE;
  second.data = {reinterpret_cast<const char*>(&made), sizeof(made)};
  Request cut = second;
  cut.data.remove_suffix(1);
  Request link = first;
  link.head.create.mode = S_IFLNK | 0777;
  const auto replies = ask({mount_request(), first, second, cut, link});
  cfs_attr told[2] = {};
  ASSERT_EQ(replies[1].bytes.size(), sizeof(told));
  std::memcpy(told, replies[1].bytes.data(), sizeof(told));
  EXPECT_EQ(told[0].flags, CFS_ATTR_AHEAD);
  EXPECT_EQ(told[1].ino, 77u);
  EXPECT_EQ(replies[2].bytes.size(), sizeof(cfs_attr));
  EXPECT_EQ(volume->used_ahead, 66u);
  EXPECT_EQ(volume->last_name, "a>");
  EXPECT_EQ(replies[3].res, -EINVAL);
  EXPECT_EQ(replies[4].res, -EINVAL);
}

TEST_F(SessionTest, BadCommitIsRefused) {
  Request commit = request(CFS_OP_COMMIT);
  commit.head.commit.nkeys = 2;
  commit.data = "short";
  const auto replies = ask({mount_request(), commit});
  EXPECT_EQ(replies[1].res, -EINVAL);
  EXPECT_TRUE(volume->committed.empty());
}

TEST_F(SessionTest, RefusedPartitionIsReportedAndTheListRepublished) {
  Request event = request(CFS_OP_EVENT);
  event.head.event.kind = CFS_EV_DP_REFUSED;
  event.head.event.partition_id = 7;
  event.head.event.error = 0xF6;
  ask({mount_request(), event});
  ASSERT_EQ(volume->reported.size(), 1u);
  EXPECT_EQ(volume->reported[0], (std::pair<std::uint64_t, int>{7, 0xF6}));
  EXPECT_EQ(volume->refreshes, 1);
  EXPECT_EQ(port.writable[1], (std::vector<std::uint64_t>{8}));
}

TEST_F(SessionTest, MissingPartitionIsPublishedAsLost) {
  Request known = request(CFS_OP_EVENT);
  known.head.event.kind = CFS_EV_NEED_DP;
  known.head.event.partition_id = 50;
  Request lost = known;
  lost.head.event.partition_id = 500;
  ask({mount_request(), known, lost});
  EXPECT_EQ(port.rows[3][50].status, 1);
  EXPECT_EQ(port.rows[3][500].flags, static_cast<std::uint32_t>(CFS_DP_DISCARD));
}

TEST_F(SessionTest, ViewChangeSendsOnlyWhatChanged) {
  ask({mount_request()});
  port.rows_sent = port.lists_sent = 0;
  volume->changed();
  EXPECT_EQ(port.rows_sent, 0u);
  EXPECT_EQ(port.lists_sent, 0u);
  volume->view[1].leader = 2;
  volume->changed();
  EXPECT_EQ(port.rows_sent, 1u);
  EXPECT_EQ(port.rows[3][8].leader, 2);
}

TEST_F(SessionTest, UnmountClosesTheVolume) {
  const auto replies = ask({mount_request(), request(CFS_OP_UNMOUNT), request(CFS_OP_GETATTR)});
  EXPECT_EQ(replies[1].res, 0);
  EXPECT_TRUE(volume->closed);
  EXPECT_EQ(replies[2].res, -ESTALE);
}

TEST_F(SessionTest, StopOfTheDaemonClosesVolumesAndLeavesTheMount) {
  loop->spawn(mount_and_stop(this));
  loop->run();
  EXPECT_TRUE(volume->closed);
  EXPECT_TRUE(front.sessions().empty());
}

TEST_F(SessionTest, RequestsWaitForTheVolumeOfAFormerDaemonsMount) {
  fail_opens = 2;
  front.adopt_session(SessionInfo{3, kConfig});
  Reply reply;
  loop->spawn(ask_task(this, request(CFS_OP_GETATTR), &reply, true));
  loop->run();
  EXPECT_EQ(reply.res, 0);
  EXPECT_EQ(reply.bytes.size(), sizeof(cfs_attr));
  EXPECT_EQ(opens, 3);
  EXPECT_EQ(port.rows[3].size(), 2u);
}

TEST_F(SessionTest, MountThatAFormerDaemonBeganStartsAnew) {
  front.adopt_session(SessionInfo{3, kConfig});
  const auto replies = ask({mount_request()});
  EXPECT_EQ(replies[0].res, 0);
  EXPECT_EQ(front.sessions().size(), 1u);
}

TEST_F(SessionTest, ConnectionEventsOfNoSessionAreAnswered) {
  Request event = request(CFS_OP_EVENT);
  event.head.session = 0;
  event.head.event.kind = CFS_EV_NEED_CONN;
  event.head.event.node = 4;
  event.head.event.conn_class = CFS_CONN_READ;
  const auto replies = ask({event});
  EXPECT_EQ(replies[0].res, 0);
  EXPECT_EQ(port.dials.size(), 2u);
}

/// A data node whose host answers nothing: what is silent on it is closed, what becomes silent later as well.
TEST_F(SessionTest, ANodeWhoseHostIsGoneIsNotWaitedFor) {
  test::Peer peer;
  peer.deafen();
  const std::vector<std::uint32_t> expected = {CFS_CONN_READ, CFS_CONN_APPEND};
  EXPECT_EQ(closed_of({peer.address()}), expected)
      << "an overwrite needs another host that answers";
}

TEST_F(SessionTest, OverwritesLeaveAHostThatIsGoneWhileOthersAnswer) {
  test::Peer peer;
  peer.deafen();
  const std::vector<std::uint32_t> expected = {CFS_CONN_READ, CFS_CONN_OVERWRITE, CFS_CONN_APPEND};
  EXPECT_EQ(closed_of({peer.address(), "127.0.0.1:1"}), expected);
}

/// It is our own network: the answer will come, and without it newer bytes would have to wait.
TEST_F(SessionTest, OverwritesStayWhileNobodyAnswers) {
  test::Peer peer, other("127.0.0.2");
  peer.deafen();
  other.deafen();
  const std::vector<std::uint32_t> expected = {CFS_CONN_READ, CFS_CONN_APPEND};
  EXPECT_EQ(closed_of({peer.address(), other.address()}), expected);
}

// ---- what servers said goes into the metadata cache ----

/// Records what is put, as text.
struct FakeFiller final : CacheFiller {
  void put_names(const CacheOrigin& origin, std::uint64_t dir,
                 const std::vector<CacheName>& names) override {
    for (const CacheName& one : names) {
      put.push_back("name " + std::to_string(dir) + "/" + std::string(one.name) + "=" +
                    std::to_string(one.attr.ino) + " at " + std::to_string(origin.seq));
    }
    last = origin;
  }
  void put_absent(const CacheOrigin& origin, std::uint64_t dir, std::string_view name) override {
    put.push_back("absent " + std::to_string(dir) + "/" + std::string(name) + " at " +
                  std::to_string(origin.seq));
  }
  void put_attr(const CacheOrigin& origin, const cfs_attr& attr) override {
    put.push_back("attr " + std::to_string(attr.ino) + " at " + std::to_string(origin.seq));
  }
  std::vector<std::string> put;
  CacheOrigin last;
};

TEST_F(SessionTest, AnswersGoIntoTheCacheWithTheSequenceFromBeforeTheyWereAskedFor) {
  FakeFiller filler;
  front.fill_cache(&filler);
  port.change->volume = 77;
  port.change->seq = 1000;  // moved meanwhile: the request's counts, not this one
  Request lookup = request(CFS_OP_LOOKUP), getattr = request(CFS_OP_GETATTR);
  Request listing = request(CFS_OP_READDIR), setattr = request(CFS_OP_SETATTR);
  lookup.name = "f";
  for (Request* one : {&lookup, &getattr, &listing, &setattr}) one->head.seq = 42;
  ask({mount_request(), lookup, getattr, listing, setattr});
  EXPECT_EQ(filler.put,
            (std::vector<std::string>{"name 1/f=5 at 42", "attr 5 at 42", "name 1/name=5 at 42"}))
      << "a local change's own answer is older than its end";
  EXPECT_EQ(filler.last.volume, 77u);
  EXPECT_GT(filler.last.asked_ns, 0u);
}

/// What was not read would make the kernel believe for longer what it believed before.
TEST_F(SessionTest, AChangeOfAKnownInodeIsAnsweredWithoutAttributes) {
  Request known = request(CFS_OP_SETATTR), other = request(CFS_OP_SETATTR);
  known.head.flags = CFS_REQ_F_KNOWN;
  const auto replies = ask({mount_request(), known, other});
  EXPECT_EQ(replies[1].res, 0);
  EXPECT_TRUE(replies[1].bytes.empty());
  EXPECT_EQ(replies[2].bytes.size(), sizeof(cfs_attr));
}

TEST_F(SessionTest, OnlyAbsenceIsCachedOfAnError) {
  FakeFiller filler;
  front.fill_cache(&filler);
  Request lookup = request(CFS_OP_LOOKUP);
  lookup.name = "gone";
  ask({mount_request()});
  volume->error = EIO;
  ask({lookup});
  EXPECT_TRUE(filler.put.empty());
  volume->error = ENOENT;
  ask({lookup});
  EXPECT_EQ(filler.put, std::vector<std::string>{"absent 1/gone at 0"});
}

TEST_F(SessionTest, APrefetchTakesItsSequenceFromTheCounters) {
  FakeFiller filler;
  front.fill_cache(&filler);
  port.change->seq = 9;
  Request event = request(CFS_OP_EVENT);
  event.head.event.kind = CFS_EV_PREFETCH;
  event.head.event.partition_id = 1;
  ask({mount_request(), event});
  EXPECT_EQ(filler.put, std::vector<std::string>{"name 1/name=5 at 9"});
}

}  // namespace
}  // namespace cfs
