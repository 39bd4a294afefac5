// SPDX-License-Identifier: Apache-2.0
// No byte is lost without a word. Breaks: programs that trust write, fsync and errno.
//
// What cannot be written (no space, quota, no server in time) is reported by fsync, on every open file once, and nothing else
// is damaged; what can wait does, and can be killed; bytes that change while they are sent arrive as one of their versions.
#include <sys/statvfs.h>

#include <algorithm>
#include <csignal>

#include "data_fixture.h"

using namespace data_test;  // NOLINT: tests only

namespace {

class Loss : public DataFaults {
 protected:
  void TearDown() override {
    knob("full=0");
    for (int i = 0; i < 3; i++) data_node(i, "start");
    DataFaults::TearDown();
  }
};

// ---- no space, quota ----

TEST_F(Loss, NoSpaceIsReportedAndNothingElseIsDamaged) {
  std::string before = pattern(3 * kMiB, 1), lost = pattern(6 * kMiB, 2);
  write_file("before", before);
  Fd fd(path("f"), O_RDWR | O_CREAT), other(path("f"), O_RDWR);
  ASSERT_EQ(write_at(fd.get(), before, 0), 0);
  ASSERT_EQ(fd.sync(), 0);
  knob("full=all");
  ASSERT_EQ(write_at(fd.get(), lost, before.size()), 0);
  EXPECT_EQ(fd.sync(), ENOSPC);
  EXPECT_EQ(fd.sync(), 0) << "reported once";
  EXPECT_EQ(other.sync(), ENOSPC) << "and to everybody";
  // bytes that have a place need no space
  ASSERT_EQ(write_at(fd.get(), lost.substr(0, 4096), 8192), 0);
  EXPECT_EQ(fd.sync(), 0);
  before.replace(8192, 4096, lost.substr(0, 4096));
  knob("full=0");
  ASSERT_EQ(write_at(fd.get(), lost, before.size()), 0);
  EXPECT_EQ(fd.sync(), 0) << "and it ends with the cause";
  expect_cold("before", pattern(3 * kMiB, 1));
  expect_cold("f", before + lost);
}

TEST_F(Loss, NoSpaceForADirectWrite) {
  Fd fd(path("f"), O_RDWR | O_CREAT | O_DIRECT);
  auto* page = static_cast<char*>(aligned_alloc(4096, 65536));
  memset(page, 'x', 65536);
  knob("full=all");
  EXPECT_EQ(pwrite(fd.get(), page, 65536, 0), -1);
  EXPECT_EQ(errno, ENOSPC);
  knob("full=0");
  EXPECT_EQ(pwrite(fd.get(), page, 65536, 0), 65536);
  free(page);
  expect_cold("f", std::string(65536, 'x'));
}

TEST_F(Loss, QuotaInTheMiddleOfWriteback) {
  std::string before = pattern(2 * kMiB, 3), lost = pattern(24 * kMiB, 4);
  write_file("before", before);
  Fd fd(path("f"), O_RDWR | O_CREAT), other(path("f"), O_RDWR);
  ASSERT_EQ(write_at(fd.get(), before, 0), 0);
  ASSERT_EQ(fd.sync(), 0);
  for (int op : {kMetaCommit, kMetaBatchCommit})
    fault("action=force_result&op=" + std::to_string(op) + "&value=241&count=2");
  ASSERT_EQ(write_at(fd.get(), lost, before.size()), 0);
  EXPECT_EQ(fd.sync(), EDQUOT);
  EXPECT_EQ(other.sync(), EDQUOT);
  fault("action=clear");
  ASSERT_EQ(write_at(fd.get(), lost, before.size()), 0);
  EXPECT_EQ(fd.sync(), 0);
  expect_cold("before", before);
  expect_cold("f", before + lost);
}

/// What the master says of every data partition of the volume.
void partition_status(const std::string& status) {
  const std::string view = http_get("/client/partitions?name=test"), key = "\"PartitionID\":";
  int count = 0;
  for (size_t at = 0; (at = view.find(key, at)) != std::string::npos; ++count) {
    at += key.size();
    fault("action=status&status=" + status +
          "&dp=" + std::to_string(std::strtoul(view.c_str() + at, nullptr, 10)));
  }
  EXPECT_GT(count, 0) << view;
}

// A full volume whose partitions the master has made read-only is full, not unavailable; its unmount says so and goes on.
TEST_F(Loss, ReadOnlyAndFullIsNoSpace) {
  partition_status("ro");
  knob("full=all");
  Mount mount("/mnt/read-only", "attrvalid=1");
  const std::string data = pattern(2 * kMiB, 10), name = "/mnt/read-only/read-only-file";
  {
    Fd fd(name, O_RDWR | O_CREAT);
    ASSERT_EQ(write_at(fd.get(), data, 0), 0);
    const auto start = steady_clock::now();
    EXPECT_EQ(fd.sync(), ENOSPC);
    EXPECT_LT(steady_clock::now() - start, milliseconds(60000));
  }
  knob("full=0");
  partition_status("rw");
  Fd fd(name, O_RDWR);
  ASSERT_EQ(write_at(fd.get(), data, 0), 0);
  EXPECT_EQ(fd.sync(), 0) << "and it ends with the cause";
  drop_caches();
  expect_same(read_all(name), data, "afterwards");
  unlink(name.c_str());
}

// ---- a truncation that outlives its caller ----

// The servers have no leader, whoever waits for ftruncate() is killed, others go on: what they write and sync afterwards must
// not be cut when the truncation is executed at last.
TEST_F(Loss, TruncationOfAKilledCallerCutsNothingWrittenLater) {
  constexpr int kMetaTruncate = 0x2D, kNoLeader = 0xF9;
  const std::string more = pattern(kMiB, 12);
  write_file("f", pattern(kMiB, 11));
  fault("action=force_result&op=" + std::to_string(kMetaTruncate) +
        "&value=" + std::to_string(kNoLeader) + "&count=1000");
  const pid_t pid = fork();
  if (!pid) _exit(truncate(path("f").c_str(), 4096) ? 1 : 0);
  sleep(1);
  ASSERT_EQ(kill(pid, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status)) << "it can be killed";
  std::thread leader([] {
    sleep(4);
    fault("action=clear");
  });
  Fd fd(path("f"), O_RDWR);
  ASSERT_EQ(write_at(fd.get(), more, kMiB), 0);
  EXPECT_EQ(fd.sync(), 0);
  leader.join();
  sleep(4);  // the daemon tries again after a pause
  drop_caches();
  const std::string now = read_all(path("f"));
  ASSERT_EQ(now.size(), 2 * kMiB);
  expect_same(now.substr(kMiB), more, "what was synced");
}

// ---- a removal that outlives its caller ----

uint64_t inodes_in_use(const std::string& dir) {
  struct statvfs fs {};
  EXPECT_EQ(statvfs(dir.c_str(), &fs), 0);
  return fs.f_files - fs.f_ffree;
}

// The name goes when there is a leader again, and the inode with it.
TEST_F(Loss, RemovalByAKilledCallerLeavesNothingBehind) {
  constexpr int kMetaBatchDeleteDentry = 0x91, kNoLeader = 0xF9;
  write_file("gone", pattern(kMiB, 13));
  const uint64_t before = inodes_in_use(path(""));
  fault("action=force_result&op=" + std::to_string(kMetaBatchDeleteDentry) +
        "&value=" + std::to_string(kNoLeader) + "&count=1000");
  const pid_t pid = fork();
  if (!pid) _exit(unlink(path("gone").c_str()) ? 1 : 0);
  sleep(1);
  ASSERT_EQ(kill(pid, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status)) << "it can be killed";
  fault("action=clear");
  for (int i = 0; i < 60 && inodes_in_use(path("")) >= before; i++) sleep(1);
  EXPECT_EQ(inodes_in_use(path("")), before - 1);
  EXPECT_EQ(access(path("gone").c_str(), F_OK), -1);
}

// ---- no server ----

// A hard mount waits, can be killed, and loses nothing.
TEST_F(Loss, WithoutServersFsyncWaits) {
  std::string data = pattern(5 * kMiB, 5);
  Fd fd(path("f"), O_RDWR | O_CREAT);
  ASSERT_EQ(write_at(fd.get(), data.substr(0, kMiB), 0), 0);
  ASSERT_EQ(fd.sync(), 0);
  for (int i = 0; i < 3; i++) data_node(i, "stop");
  ASSERT_EQ(write_at(fd.get(), data.substr(kMiB), kMiB), 0);
  pid_t pid = fork();
  if (!pid) _exit(fd.sync() ? 1 : 2);
  sleep(6);
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, WNOHANG), 0) << "fsync returned " << WEXITSTATUS(status);
  for (int i = 0; i < 3; i++) data_node(i, "start");
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 2);
  expect_cold("f", data);
}

// A soft mount says EIO after its deadline, never success, and goes on when the servers are back.
TEST_F(Loss, SoftMountReportsWhatItGaveUp) {
  Mount mount("/mnt/soft", "soft,deadline=4");
  std::string data = pattern(3 * kMiB, 6), name = "/mnt/soft/soft-file";
  Fd fd(name, O_RDWR | O_CREAT), other(name, O_RDWR);
  ASSERT_EQ(write_at(fd.get(), data.substr(0, kMiB), 0), 0);
  ASSERT_EQ(fd.sync(), 0);
  for (int i = 0; i < 3; i++) data_node(i, "stop");
  ASSERT_EQ(write_at(fd.get(), data.substr(kMiB), kMiB), 0);
  auto start = steady_clock::now();
  EXPECT_EQ(fd.sync(), EIO);
  EXPECT_LT(steady_clock::now() - start, milliseconds(30000));
  EXPECT_EQ(other.sync(), EIO);
  for (int i = 0; i < 3; i++) data_node(i, "start");
  ASSERT_EQ(write_at(fd.get(), data, 0), 0);
  EXPECT_EQ(fd.sync(), 0);
  drop_caches();
  expect_same(read_all(name), data, "after the servers came back");
  unlink(name.c_str());
  syncfs(fd.get());
}

// Another host changes a file whose pages are on their way from nodes that do not answer: stat() needs none of them.
TEST_F(Loss, StatDoesNotWaitForPagesThatAreRead) {
  Mount mount("/mnt/reader", "attrvalid=1,nobpf");
  const std::string name = "/mnt/reader" + path("f").substr(env("CFS_TEST_DIR").size());
  const std::string data = pattern(8 * kMiB, 13);
  write_file("f", data);
  Fd fd(name, O_RDONLY);
  drop_caches();
  for (int i = 0; i < 3; i++) data_node(i, "hang");
  std::string got(4096, 'x');
  auto read = std::async(std::launch::async, [&] { return pread(fd.get(), got.data(), 4096, 0); });
  EXPECT_EQ(read.wait_for(milliseconds(1000)), std::future_status::timeout);
  EXPECT_EQ(truncate(path("f").c_str(), 4 * kMiB), 0);
  std::this_thread::sleep_for(milliseconds(1500));  // attributes are believed for a second
  struct stat st {};
  auto told = std::async(std::launch::async, [&] { return stat(name.c_str(), &st); });
  EXPECT_EQ(told.wait_for(milliseconds(20000)), std::future_status::ready);
  for (int i = 0; i < 3; i++) data_node(i, "start");
  EXPECT_EQ(told.get(), 0);
  EXPECT_EQ(st.st_size, off_t(4 * kMiB));
  EXPECT_EQ(read.get(), 4096);
  EXPECT_EQ(got, data.substr(0, 4096));
  expect_same(read_all(name), data.substr(0, 4 * kMiB), "what an open sees");
}

// ---- slow replicas ----

/// Reads that were sent to a second replica; of all mounts that the path may mean: two of one volume look alike.
long hedges(const std::string& mount) {
  const std::string out = "/tmp/hedges", key = "\"read_hedges\":";
  EXPECT_EQ(cfsctl("stats --json " + mount + " > " + out), 0);
  std::ifstream in(out);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  long sum = 0;
  size_t at = text.find(key);
  EXPECT_NE(at, std::string::npos) << text;
  for (; at != std::string::npos; at = text.find(key, at)) {
    at += key.size();
    sum += std::strtol(text.c_str() + at, nullptr, 10);
  }
  return sum;
}

void slow_node(int index, int ms) {
  fault("action=delay&role=data&index=" + std::to_string(index) + "&value=" + std::to_string(ms));
}

// Where any replica may be read, nobody waits for the slowest; its late answer touches no page.
TEST_F(Loss, SlowReplicaIsHedged) {
  Mount mount("/mnt/hedged", "followerread");
  const std::string data = pattern(9 * kMiB, 8), name = "/mnt/hedged/hedged-file";
  {
    Fd fd(name, O_RDWR | O_CREAT);
    ASSERT_EQ(write_at(fd.get(), data, 0), 0);
    ASSERT_EQ(fd.sync(), 0);
  }
  auto usual = steady_clock::duration::zero();
  for (int i = 0; i < 3; i++) {  // connections to every replica are there
    drop_caches();
    const auto start = steady_clock::now();
    expect_same(read_all(name), data, "before");
    usual = std::max(usual, steady_clock::now() - start);
  }
  const long before = hedges("/mnt/hedged");
  drop_caches();
  slow_node(1, 3000);  // shorter than the silence after which the connection is given up
  const auto start = steady_clock::now();
  expect_same(read_all(name), data, "with a slow replica");
  // not one answer of the slow one was waited for
  EXPECT_LT(steady_clock::now() - start, milliseconds(2800) + usual);
  EXPECT_GT(hedges("/mnt/hedged"), before);
  sleep(4);  // the late answers come
  expect_same(read_all(name), data, "after the late answers");
  slow_node(1, 0);
  unlink(name.c_str());
}

// Overwritten bytes are certain on the leader only: there is nobody else to ask.
TEST_F(Loss, OnlyTheLeaderIsReadWithoutFollowerRead) {
  const std::string data = pattern(kMiB, 9);
  write_file("f", data);
  expect_cold("f", data);
  drop_caches();
  for (int i = 0; i < 3; i++) slow_node(i, 300);
  const auto start = steady_clock::now();
  expect_same(read_all(path("f")), data, "with slow replicas");
  EXPECT_GT(steady_clock::now() - start, milliseconds(290));
  EXPECT_EQ(hedges(env("CFS_TEST_DIR")), 0);
}

// ---- bytes that change while they are sent ----

/// Rewrites memory as a whole, 'a', 'b', 'a', ..., until told to stop.
class Rewriter {
 public:
  Rewriter(char* memory, size_t n)
      : thread_([this, memory, n] {
          for (int i = 0; !stop_; i++) memset(memory, 'a' + i % 2, n);
        }) {}
  ~Rewriter() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

void expect_versions(const std::string& got, size_t n) {
  ASSERT_EQ(got.size(), n);
  size_t at = got.find_first_not_of("ab");
  EXPECT_EQ(at, std::string::npos) << "byte " << at << " was never written";
}

TEST_F(Loss, UnstableMemoryOfDirectWrites) {
  constexpr size_t kBytes = 2 * kMiB;
  auto* memory = static_cast<char*>(aligned_alloc(4096, kBytes));
  memset(memory, 'a', kBytes);
  Fd fd(path("f"), O_RDWR | O_CREAT | O_DIRECT);
  {
    Rewriter rewriter(memory, kBytes);
    for (int i = 0; i < 24; i++) {
      if (i % 3 == 1) data_node(i % 9 / 3, "reset");
      ASSERT_EQ(pwrite(fd.get(), memory, kBytes, i % 4 * off_t(kBytes)), ssize_t(kBytes))
          << strerror(errno);
    }
    // reads into memory that changes end, too
    for (int i = 0; i < 8; i++)
      ASSERT_EQ(pread(fd.get(), memory, kBytes, i % 4 * off_t(kBytes)), ssize_t(kBytes));
  }
  free(memory);
  drop_caches();
  expect_versions(read_all(path("f")), 4 * kBytes);
}

TEST_F(Loss, MappingIsRewrittenDuringWriteback) {
  constexpr size_t kBytes = 2 * kMiB;
  write_file("f", std::string(kBytes, 'a'));
  Fd fd(path("f"), O_RDWR);
  auto* memory =
      static_cast<char*>(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
  ASSERT_NE(memory, MAP_FAILED);
  {
    Rewriter rewriter(memory, kBytes);
    for (int i = 0; i < 12; i++) {
      if (i % 3 == 1) data_node(i % 9 / 3, "reset");
      ASSERT_EQ(fd.sync(), 0);
    }
  }
  ASSERT_EQ(fd.sync(), 0);
  std::string last(memory, kBytes);
  munmap(memory, kBytes);
  expect_cold("f", last);
}

// readv(2) with the same memory twice: the last bytes win, nobody waits for ever.
TEST_F(Loss, DirectReadIntoTheSameMemoryTwice) {
  std::string data = pattern(16384, 7);
  write_file("f", data);
  Fd fd(path("f"), O_RDONLY | O_DIRECT);
  auto* memory = static_cast<char*>(aligned_alloc(4096, 4096));
  iovec v[4] = {{memory, 4096}, {memory, 4096}, {memory, 4096}, {memory, 4096}};
  ASSERT_EQ(preadv(fd.get(), v, 4, 0), 16384);
  EXPECT_EQ(std::string(memory, 4096), data.substr(12288));
  free(memory);
}

}  // namespace

int main(int argc, char** argv) {
  return data_test::run(argc, argv);
}
