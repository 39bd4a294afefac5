// SPDX-License-Identifier: Apache-2.0
/// If this fails, an operation costs more requests or more round trips than its budget.
///
/// Requests are counted by the embedded cluster, by opcode. Round trips are measured: every reply is
/// delayed by kDelayMs, and the time an operation takes is divided by that. Other load on the machine
/// can only lengthen it, so the shortest of some runs counts.
#include "daemon/base/when_all.h"
#include "tests/daemon/volume_fixture.h"

namespace cfs::test {
namespace {

constexpr std::uint32_t kDelayMs = 150;

class CostTest : public VolumeTest {
 protected:
  using Ops = std::map<int, std::uint64_t>;

  void SetUp() override { make_volume(settings("off")); }
  static mini::Volume settings(const char* tx_mask) {
    mini::Volume v;
    v.tx_mask = tx_mask;
    return v;
  }
  static Ops served() {
    Ops total;
    for (const auto& [node, ops] : cluster_->meta().op_counts()) {
      for (std::size_t op = 0; op < ops.size(); ++op) total[static_cast<int>(op)] += ops[op];
    }
    return total;
  }
  /// Requests that `what` sends, without those for ranges of unique ids: one in 5000 changes.
  template <class F>
  static Ops cost(F what) {
    const Ops before = served();
    what();
    Ops spent;
    for (const auto& [op, count] : served()) {
      const auto old = before.find(op);
      const std::uint64_t n = count - (old == before.end() ? 0 : old->second);
      if (n != 0 && op != CFS_MOP_GET_UNIQ_ID) spent[op] = n;
    }
    return spent;
  }
  /// Sequential round trips of `what`, which is run three times.
  template <class F>
  static std::int64_t rounds(F what) {
    std::int64_t best = INT64_MAX;
    for (int run = 0; run < 3; ++run) {
      arm(mini::FaultKind::kDelay, mini::Fault::kAnyOp, kDelayMs, mini::Fault::kForever);
      const std::int64_t begin = Loop::now_ms();
      what(run);
      best = std::min(best, Loop::now_ms() - begin);
      cluster_->faults().clear();
    }
    return best / kDelayMs;
  }
  /// Connections and unique ids are there before anything is counted.
  void warm_up() {
    for (int i = 0; i < 12; ++i) {
      const std::string name = "warm" + std::to_string(i);
      const Ino ino = make(kRoot, name);
      ASSERT_TRUE(rename(kRoot, name, kRoot, name + "x").ok());
      ASSERT_TRUE(unlink(kRoot, name + "x").ok());
      ASSERT_TRUE(await(volume_->evict(ino)).ok());
    }
  }
  static std::string numbered(const char* name, int n) { return name + std::to_string(n); }
  static constexpr std::uint32_t kFile = S_IFREG | 0644;
};

TEST_F(CostTest, StatOfAnUnknownName) {
  make(kRoot, "f");
  remount();
  EXPECT_EQ((Ops{{CFS_MOP_LOOKUP, 1}, {CFS_MOP_INODE_GET, 1}}),
            cost([&] { EXPECT_TRUE(lookup(kRoot, "f").ok()); }));
  EXPECT_EQ((Ops{{CFS_MOP_LOOKUP, 1}}),
            cost([&] { EXPECT_EQ(ENOENT, lookup(kRoot, "nothing").code()); }));
  for (const char* name : {"a", "b", "c"}) make(kRoot, name);
  remount();
  ASSERT_TRUE(lookup(kRoot, "f").ok());  // a connection
  const char* const names[] = {"a", "b", "c"};
  EXPECT_EQ(2, rounds([&](int n) { EXPECT_TRUE(lookup(kRoot, names[n]).ok()); }));
}

/// What a name meant last is asked for beside it.
TEST_F(CostTest, StatOfAKnownNameIsOneRoundTrip) {
  warm_up();
  const Ino f = make(kRoot, "f");
  const Ino d = make(kRoot, "d", S_IFDIR | 0755);
  EXPECT_EQ((Ops{{CFS_MOP_LOOKUP, 1}, {CFS_MOP_INODE_GET, 1}}),
            cost([&] { EXPECT_EQ(f, lookup(kRoot, "f")->ino); }));
  EXPECT_EQ(1, rounds([&](int) { EXPECT_EQ(f, lookup(kRoot, "f")->ino); }));
  EXPECT_EQ(1, rounds([&](int) { EXPECT_EQ(d, lookup(kRoot, "d")->ino); }));
  ASSERT_TRUE(rename(kRoot, "f", kRoot, "g").ok());
  EXPECT_EQ((Ops{{CFS_MOP_LOOKUP, 1}}),
            cost([&] { EXPECT_EQ(ENOENT, lookup(kRoot, "f").code()); }));
  EXPECT_EQ(1, rounds([&](int) { EXPECT_EQ(f, lookup(kRoot, "g")->ino); }));
}

/// Another client changes what the names mean: the answer is right, and the next guess, too.
TEST_F(CostTest, AWrongGuessCostsARequest) {
  warm_up();
  const Ino f = make(kRoot, "f");
  auto other = std::move(await(Volume::open(loop_.loop(), config()))).value();
  Progress p1, p2, p3;
  ASSERT_TRUE(await(other->unlink(kRoot, "f", false, p1)).ok());
  ASSERT_TRUE(await(other->evict(f)).ok());
  const Ino d = await(other->create(kRoot, "f", S_IFDIR | 0755, "", Caller{1000, 100}, p2))->ino;
  EXPECT_EQ((Ops{{CFS_MOP_LOOKUP, 1}, {CFS_MOP_INODE_GET, 2}, {CFS_MOP_EXTENTS_LIST, 1}}),
            cost([&] {
              const Result<OpenResult> found = await(volume_->lookup_open(kRoot, "f"));
              ASSERT_TRUE(found.ok());
              EXPECT_EQ(d, found->attr.ino);
              EXPECT_FALSE(found->has_extents);
            }));
  EXPECT_EQ((Ops{{CFS_MOP_LOOKUP, 1}, {CFS_MOP_INODE_GET, 1}}),
            cost([&] { EXPECT_EQ(d, await(volume_->lookup_open(kRoot, "f"))->attr.ino); }));
  ASSERT_TRUE(await(other->unlink(kRoot, "f", true, p3)).ok());
  EXPECT_EQ(ENOENT, lookup(kRoot, "f").code());
  EXPECT_EQ((Ops{{CFS_MOP_LOOKUP, 1}}),
            cost([&] { EXPECT_EQ(ENOENT, lookup(kRoot, "f").code()); }));
  await(close_volume(other));
}

TEST_F(CostTest, OpenForReading) {
  for (const char* name : {"a", "b", "c", "f"}) make(kRoot, name);
  remount();
  const auto open = [&](const char* name) {
    EXPECT_TRUE(await(volume_->lookup_open(kRoot, name)).ok());
  };
  const Ops wanted{{CFS_MOP_LOOKUP, 1}, {CFS_MOP_INODE_GET, 1}, {CFS_MOP_EXTENTS_LIST, 1}};
  EXPECT_EQ(wanted, cost([&] { open("f"); }));
  const char* const names[] = {"a", "b", "c"};
  EXPECT_EQ(2, rounds([&](int n) { open(names[n]); }));
  EXPECT_EQ(wanted, cost([&] { open("f"); }));
  EXPECT_EQ(1, rounds([&](int) { open("f"); }));
}

TEST_F(CostTest, Create) {
  warm_up();
  EXPECT_EQ((Ops{{CFS_MOP_CREATE_INODE, 1}, {CFS_MOP_CREATE_DENTRY, 1}}),
            cost([&] { make(kRoot, "f"); }));
  EXPECT_EQ(2, rounds([&](int n) { make(kRoot, numbered("r", n)); }));
}

/// The second and every later one waits for its name only: with write and commit, three round trips.
TEST_F(CostTest, CreateOfFilesOneAfterTheOther) {
  warm_up();
  std::optional<Attr> made;
  const auto next = [&](const std::string& name) {
    Ahead ahead{.use = made, .more = true, .next = {}};
    const Result<Attr> got = create(kRoot, name, kFile, {}, &ahead);
    ASSERT_TRUE(got.ok()) << got.error().text();
    ASSERT_TRUE(ahead.next);
    EXPECT_TRUE(!made || got->ino == made->ino);
    EXPECT_EQ(got->ino, lookup(kRoot, name)->ino);
    EXPECT_EQ(1u, getattr(got->ino)->nlink);
    made = ahead.next;
  };
  const auto alone = [&](const std::string& name) {
    Ahead ahead{.use = made, .more = true, .next = {}};
    EXPECT_TRUE(create(kRoot, name, kFile, {}, &ahead).ok());
    made = ahead.next;
  };
  next("first");
  EXPECT_EQ((Ops{{CFS_MOP_CREATE_INODE, 1}, {CFS_MOP_CREATE_DENTRY, 1}}),
            cost([&] { alone("second"); }));
  next("third");
  EXPECT_EQ(1, rounds([&](int n) { alone(numbered("r", n)); }));
}

/// An error answer has no room for them.
TEST_F(CostTest, ARefusedNameGivesBackWhatWasMadeAhead) {
  make(kRoot, "taken");
  Ahead first{.use = {}, .more = true, .next = {}};
  ASSERT_TRUE(create(kRoot, "first", kFile, {}, &first).ok());
  ASSERT_TRUE(first.next);
  Ahead second{.use = first.next, .more = true, .next = {}};
  const Ops spent =
      cost([&] { EXPECT_EQ(EEXIST, create(kRoot, "taken", kFile, {}, &second).code()); });
  EXPECT_FALSE(second.next);
  EXPECT_EQ(ENOENT, getattr(first.next->ino).code());
  EXPECT_EQ(1u, spent.at(CFS_MOP_CREATE_INODE));
  EXPECT_EQ(2u, spent.at(CFS_MOP_EVICT_INODE));
}

TEST_F(CostTest, FirstCreateOfAMountAsksForNoIds) {
  EXPECT_EQ(2, rounds([&](int n) { make(kRoot, numbered("r", n)); }));
}

TEST_F(CostTest, ANewFileIsCommittedInOneRequest) {
  warm_up();
  const Ino f = make(kRoot, "f");
  ExtentKey key;
  key.partition_id = volume_->partitions()[0].id;
  key.extent_id = 1025;
  key.size = 4096;
  key.fresh = true;
  EXPECT_EQ((Ops{{CFS_MOP_EXTENT_ADD_CHECK, 1}}),
            cost([&] { EXPECT_TRUE(await(volume_->commit(f, {key}, 1)).ok()); }));
}

/// What a caller knows is not read first, and what it does not change stays.
TEST_F(CostTest, ChangeOfAttributes) {
  warm_up();
  const Ino f = make(kRoot, "f");
  const Attr before = *await(volume_->getattr(f));
  EXPECT_EQ((Ops{{CFS_MOP_INODE_GET, 1}, {CFS_MOP_SETATTR, 1}}), cost([&] {
              const SetAttr change{.valid = SetAttr::kMode, .mode = 0600};
              EXPECT_EQ(S_IFREG | 0600u, await(volume_->setattr(f, change))->mode);
            }));
  EXPECT_EQ((Ops{{CFS_MOP_SETATTR, 1}}), cost([&] {
              const SetAttr change{.valid = SetAttr::kMtime,
                                   .mode = S_IFREG | 0644,
                                   .uid = 7,
                                   .mtime = 1234,
                                   .known = true};
              EXPECT_TRUE(await(volume_->setattr(f, change)).ok());
            }));
  EXPECT_EQ((Ops{{CFS_MOP_SETATTR, 1}}), cost([&] {
              const SetAttr change{.valid = SetAttr::kMode | SetAttr::kUid,
                                   .mode = S_IFREG | S_ISUID | 0755,
                                   .uid = 5,
                                   .known = true};
              EXPECT_TRUE(await(volume_->setattr(f, change)).ok());
            }));
  const Attr after = *await(volume_->getattr(f));
  EXPECT_EQ(S_IFREG | S_ISUID | 0755u, after.mode);
  EXPECT_EQ(5u, after.uid);
  EXPECT_EQ(before.gid, after.gid);
  EXPECT_EQ(1234, after.mtime);
  EXPECT_EQ(before.atime, after.atime);
}

TEST_F(CostTest, Unlink) {
  warm_up();
  for (const char* name : {"f", "g"}) make(kRoot, name);
  const Ino f = lookup(kRoot, "f")->ino;
  EXPECT_EQ((Ops{{CFS_MOP_BATCH_DELETE_DENTRY, 1}, {CFS_MOP_UNLINK_INODE, 1}}),
            cost([&] { EXPECT_TRUE(unlink(kRoot, "f", false, {f}).ok()); }));
  EXPECT_EQ((Ops{{CFS_MOP_EVICT_INODE, 1}}),
            cost([&] { EXPECT_TRUE(await(volume_->evict(f)).ok()); }));
  EXPECT_EQ((Ops{{CFS_MOP_LOOKUP, 1}, {CFS_MOP_BATCH_DELETE_DENTRY, 1}, {CFS_MOP_UNLINK_INODE, 1}}),
            cost([&] { EXPECT_TRUE(unlink(kRoot, "g").ok()); }));
}

TEST_F(CostTest, UnlinkOfTheOnlyLinkWaitsForOneRequest) {
  warm_up();
  const Ino f = make(kRoot, "f");
  EXPECT_EQ((Ops{{CFS_MOP_BATCH_DELETE_DENTRY, 1}}), cost([&] {
              const Result<Attr> gone = unlink(kRoot, "f", false, {f, true});
              ASSERT_TRUE(gone.ok());
              EXPECT_TRUE(gone->link_left && gone->nlink == 0);
            }));
  EXPECT_EQ((Ops{{CFS_MOP_UNLINK_INODE, 1}, {CFS_MOP_EVICT_INODE, 1}}), cost([&] {
              alignas(8) unsigned char record[Progress::kBytes] = {};
              Progress progress(record, false);
              EXPECT_TRUE(await(volume_->evict_link(f, progress)).ok());
            }));
  EXPECT_EQ(ENOENT, getattr(f).code());
}

/// Another host linked it meanwhile: it loses one link and stays.
TEST_F(CostTest, ALinkThatWasLeftIsNotTheLastOneAfterAll) {
  const Ino f = make(kRoot, "f");
  ASSERT_TRUE(unlink(kRoot, "f", false, {f, true})->link_left);
  ASSERT_TRUE(link(f, kRoot, "g").ok());
  alignas(8) unsigned char record[Progress::kBytes] = {};
  Progress progress(record, false);
  EXPECT_TRUE(await(volume_->evict_link(f, progress)).ok());
  EXPECT_EQ(1u, getattr(f)->nlink);
  EXPECT_EQ(f, lookup(kRoot, "g")->ino);
}

TEST_F(CostTest, RenameOfKnownNames) {
  warm_up();
  const Ino f = make(kRoot, "f");
  const RenameHints hints{.src = f, .src_mode = kFile, .dst_known = true};
  // The lookup goes beside the first request: without it a stale hint can cost a file its name.
  EXPECT_EQ((Ops{{CFS_MOP_LINK_INODE, 1},
                 {CFS_MOP_LOOKUP, 1},
                 {CFS_MOP_CREATE_DENTRY, 1},
                 {CFS_MOP_BATCH_DELETE_DENTRY, 1},
                 {CFS_MOP_UNLINK_INODE, 1}}),
            cost([&] { EXPECT_TRUE(rename(kRoot, "f", kRoot, "g", false, hints).ok()); }));
  EXPECT_EQ(4, rounds([&](int n) {
              const std::string from = n == 0 ? "g" : numbered("g", n);
              EXPECT_TRUE(rename(kRoot, from, kRoot, numbered("g", n + 1), false, hints).ok());
            }));
}

/// Of a file with other links, one of which may be the new name; and of a name that is replaced.
TEST_F(CostTest, RenameOfKnownNamesThatMayMeanMore) {
  warm_up();
  const Ino f = make(kRoot, "f");
  const Ino g = make(kRoot, "g");
  ASSERT_TRUE(link(f, kRoot, "other").ok());
  const auto renamed = [&](const std::string& to, Ino dst) {
    const RenameHints hints{.src = f,
                            .src_mode = kFile,
                            .dst_known = true,
                            .dst = dst,
                            .dst_mode = dst == 0 ? 0 : kFile};
    return cost([&] { EXPECT_TRUE(rename(kRoot, "f", kRoot, to, false, hints).ok()); });
  };
  EXPECT_EQ(2, renamed("h", 0)[CFS_MOP_LOOKUP]);
  ASSERT_TRUE(rename(kRoot, "h", kRoot, "f").ok());
  ASSERT_TRUE(unlink(kRoot, "other").ok());
  EXPECT_EQ((Ops{{CFS_MOP_LINK_INODE, 1},
                 {CFS_MOP_LOOKUP, 2},
                 {CFS_MOP_UPDATE_DENTRY, 1},
                 {CFS_MOP_BATCH_DELETE_DENTRY, 1},
                 {CFS_MOP_UNLINK_INODE, 2}}),
            renamed("g", g));
}

TEST_F(CostTest, RenameOfKnownNamesInATransaction) {
  make_volume(settings("rename"));
  warm_up();
  Ino f = make(kRoot, "f0");
  const RenameHints hints{.src = f, .src_mode = kFile, .dst_known = true};
  EXPECT_EQ((Ops{{CFS_MOP_TX_CREATE, 1},
                 {CFS_MOP_TX_CREATE_DENTRY, 1},
                 {CFS_MOP_TX_DELETE_DENTRY, 1},
                 {CFS_MOP_TX_COMMIT, 1}}),
            cost([&] { EXPECT_TRUE(rename(kRoot, "f0", kRoot, "f1", false, hints).ok()); }));
  // the new name comes after the old one: see op_rename_tx.cc
  EXPECT_EQ(
      4, rounds([&](int n) {
        EXPECT_TRUE(
            rename(kRoot, numbered("f", n + 1), kRoot, numbered("f", n + 2), false, hints).ok());
      }));
}

TEST_F(CostTest, RenameOfUnknownNamesLooksBothUpAtOnce) {
  make_volume(settings("rename"));
  warm_up();
  make(kRoot, "f0");
  EXPECT_EQ(5, rounds([&](int n) {
              EXPECT_TRUE(rename(kRoot, numbered("f", n), kRoot, numbered("f", n + 1)).ok());
            }));
}

TEST_F(CostTest, ReaddirIsOnePageAndOneBatchPerPartition) {
  warm_up();
  const Ino d = make(kRoot, "d", S_IFDIR | 0755);
  for (int i = 0; i < 30; ++i) make(d, numbered("f", i));  // over the three partitions
  bool security = false;
  const auto page = [&](int) {
    const Result<DirPage> got = await(volume_->readdir(d, "", 100, security));
    ASSERT_TRUE(got.ok());
    EXPECT_EQ(30u, got->entries.size());
    EXPECT_TRUE(got->eof);  // a short page is the last: nobody asks again
  };
  EXPECT_EQ((Ops{{CFS_MOP_READ_DIR_LIMIT, 1}, {CFS_MOP_BATCH_INODE_GET, 3}}),
            cost([&] { page(0); }));
  EXPECT_EQ(2, rounds(page));
  security = true;
  EXPECT_EQ(
      (Ops{
          {CFS_MOP_READ_DIR_LIMIT, 1}, {CFS_MOP_BATCH_INODE_GET, 3}, {CFS_MOP_BATCH_GET_XATTR, 3}}),
      cost([&] { page(0); }));
  EXPECT_EQ(2, rounds(page));
}

TEST_F(CostTest, RequestsOfManyCallersGoSideBySide) {
  warm_up();
  for (int i = 0; i < 20; ++i) make(kRoot, numbered("f", i));
  std::vector<Task<Result<Attr>>> asks;
  EXPECT_EQ(1, rounds([&](int) {
              for (int i = 0; i < 20; ++i) asks.push_back(volume_->lookup(kRoot, numbered("f", i)));
              const auto got = await(when_all<Result<Attr>>(loop_.loop(), std::move(asks)));
              for (const Result<Attr>& a : got) EXPECT_TRUE(a.ok());
              asks.clear();
            }));
}

}  // namespace
}  // namespace cfs::test
