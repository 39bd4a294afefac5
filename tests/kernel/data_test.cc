// SPDX-License-Identifier: Apache-2.0
// Data path of the module while servers misbehave: no process sees an error that another replica, another extent or another
// attempt can cover, no byte is lost or old, and what cannot be covered is reported once. Runs in a guest, as root, on a
// kernel mount of a mini cluster volume with three replicas.
#include "data_fixture.h"

using namespace data_test;  // NOLINT: tests only

namespace {

// ---- appends ----

// Each refusal an append can meet: the bytes go elsewhere, the application sees nothing.
TEST_F(DataFaults, RefusedAppendsMove) {
  for (int code : {0xF3, 0xF4, 0xF6, 0xF7, 0xB1, 0xB2, 0xB3, 0xB5, 0xF9, 0xFC}) {
    SCOPED_TRACE(code);
    std::string data = pattern(5 * kMiB + 777, code);
    force_result(kOpAppend, code, 1);
    write_file("f", data);
    expect_cold("f", data);
  }
}

TEST_F(DataFaults, RefusedCreateGoesElsewhere) {
  std::string data = pattern(3 * kMiB, 1);
  force_result(kOpCreate, 0xB3, 2);
  write_file("f", data);
  expect_cold("f", data);
}

TEST_F(DataFaults, SmallFileWithoutTinySlots) {
  knob("tiny_ready=0");
  for (int i = 0; i < 5; i++) write_file("t" + std::to_string(i), pattern(3000 + i, i));
  for (int i = 0; i < 5; i++) expect_cold("t" + std::to_string(i), pattern(3000 + i, i));
}

// Executed, but the answer is lost in four ways: the acknowledged prefix stays, the rest is written again.
TEST_F(DataFaults, LostRepliesToAppends) {
  for (const char* how : {"close_after=2:3", "cut_reply=2:3", "half_close=2:3", "corrupt_crc=2:3",
                          "follower_failure=2:3"}) {
    SCOPED_TRACE(how);
    std::string data = pattern(9 * kMiB + 5, 7);
    knob(how);
    write_file("f", data);
    expect_cold("f", data);
  }
}

TEST_F(DataFaults, SilentAppendTimesOut) {
  std::string data = pattern(2 * kMiB, 3);
  data_node(0, "drop_reply&count=1&op=3");
  write_file("f", data);
  expect_cold("f", data);
}

TEST_F(DataFaults, DataNodeStopsWhileWriting) {
  std::string data = pattern(48 * kMiB, 4);
  std::atomic<int> error{-1};
  std::thread writer([&] {
    Fd fd(path("f"), O_RDWR | O_CREAT);
    int e = 0;
    for (size_t pos = 0; pos < data.size() && !e; pos += kMiB) {
      e = write_at(fd.get(), data.substr(pos, kMiB), pos);
      if (!e && pos % (8 * kMiB) == 0) e = fd.sync();
    }
    if (!e) e = fd.sync();
    error = e;
  });
  std::this_thread::sleep_for(milliseconds(500));
  data_node(1, "stop");
  std::this_thread::sleep_for(milliseconds(3000));
  data_node(1, "start");
  writer.join();
  EXPECT_EQ(error, 0);
  expect_cold("f", data);
}

TEST_F(DataFaults, ConnectionsAreResetWhileWriting) {
  std::string data = pattern(40 * kMiB, 5);
  std::atomic<bool> stop{false};
  std::thread resets([&] {
    for (int i = 0; !stop && i < 40; i++) {  // a slow machine must come to an end, too
      data_node(i % 3, "reset");
      std::this_thread::sleep_for(milliseconds(150));
    }
  });
  for (int round = 0; round < 2; round++) write_file("f" + std::to_string(round), data);
  stop = true;
  resets.join();
  expect_cold("f0", data);
  expect_cold("f1", data);
}

// ---- overwrites ----

TEST_F(DataFaults, RefusedOverwritesAreRepeated) {
  std::string data = pattern(2 * kMiB, 6);
  write_file("f", data);
  for (int code : {0xF9, 0xB1, 0xFC, 0xF3}) {
    SCOPED_TRACE(code);
    force_result(kOpOverwrite, code, 2);
    std::string fresh = pattern(300000, code);
    Fd fd(path("f"), O_RDWR);
    ASSERT_EQ(write_at(fd.get(), fresh, 123456), 0);
    ASSERT_EQ(fd.sync(), 0);
    ASSERT_EQ(fd.close(), 0);
    data.replace(123456, fresh.size(), fresh);
    expect_cold("f", data);
  }
}

TEST_F(DataFaults, LeaderMovesWhileOverwriting) {
  std::string data = pattern(kMiB, 8);
  write_file("f", data);
  std::atomic<bool> stop{false};
  std::thread mover([&] {
    for (int i = 0; !stop && i < 20; i++) {
      std::this_thread::sleep_for(milliseconds(100));
      for (int dp = 1; dp <= 60 && !stop; dp++)
        http_get("/mini/fault?action=leader&dp=" + std::to_string(dp) +
                 "&to=" + std::to_string(i % 3));
    }
  });
  for (int i = 0; i < 20; i++) {
    std::string fresh = pattern(5000, 100 + i);
    Fd fd(path("f"), O_RDWR);
    ASSERT_EQ(write_at(fd.get(), fresh, i * 20011), 0);
    ASSERT_EQ(fd.sync(), 0);
    data.replace(i * 20011, fresh.size(), fresh);
  }
  stop = true;
  mover.join();
  expect_cold("f", data);
}

// The outcome of an overwrite is unknown: newer bytes for the same place wait until the old request is certainly dead.
TEST_F(DataFaults, NewerOverwriteWaitsForTheUnknownOne) {
  std::string data = pattern(256 * 1024, 9);
  write_file("f", data);
  Fd fd(path("f"), O_RDWR);
  knob("close_after=1:15");
  std::string a = pattern(4096, 10), b = pattern(4096, 11);
  ASSERT_EQ(write_at(fd.get(), a, 8192), 0);
  ASSERT_EQ(fd.sync(), 0);  // repeated on another connection
  knob("close_after=0");
  auto start = steady_clock::now();
  ASSERT_EQ(write_at(fd.get(), b, 65536), 0);
  ASSERT_EQ(fd.sync(), 0);
  EXPECT_LT(steady_clock::now() - start, milliseconds(5000)) << "another range must not wait";
  ASSERT_EQ(write_at(fd.get(), b, 8192), 0);
  ASSERT_EQ(fd.sync(), 0);
  EXPECT_GT(steady_clock::now() - start, milliseconds(4000)) << "the same range was not kept back";
  data.replace(8192, 4096, b);
  data.replace(65536, 4096, b);
  expect_cold("f", data);
}

// ---- reads ----

TEST_F(DataFaults, ReadsTryOtherReplicas) {
  std::string data = pattern(6 * kMiB, 12);
  write_file("f", data);
  for (const char* how : {"close_after=2:5", "cut_reply=2:5", "corrupt_crc=3:5", "read_error=2:3",
                          "half_close=2:5", "force_result=5:252:2", "force_result=5:243:2",
                          "force_result=5:249:2", "force_result=5:177:3", "force_result=5:245:1"}) {
    SCOPED_TRACE(how);
    knob(how);
    expect_cold("f", data);
  }
}

TEST_F(DataFaults, LargeReadChunks) {
  std::string data = pattern(12 * kMiB + 99, 13);
  write_file("f", data);
  for (const char* bytes : {"1048576", "5242880", "200000"}) {
    knob(std::string("read_chunk_bytes=") + bytes);
    expect_cold("f", data);
  }
}

TEST_F(DataFaults, DataNodesStopAndHangWhileReading) {
  std::string data = pattern(16 * kMiB, 14);
  write_file("f", data);
  for (int node = 0; node < 3; node++) {
    data_node(node, node == 2 ? "hang" : "stop");
    expect_cold("f", data);
    data_node(node, "start");
  }
}

// ---- commits ----

// Another client wrote there first: the server has thrown our extent away, so the bytes are written again.
TEST_F(DataFaults, ConflictWritesElsewhere) {
  for (int op : {kMetaCommit, kMetaBatchCommit})
    fault("action=force_result&op=" + std::to_string(op) + "&value=242&count=1");
  std::string data = pattern(3 * kMiB, 15);
  write_file("f", data);
  expect_cold("f", data);
}

TEST_F(DataFaults, QuotaIsReportedOnceAndNotForEver) {
  fault("action=force_result&op=58&value=241&count=1");
  fault("action=force_result&op=52&value=241&count=1");
  Fd fd(path("f"), O_RDWR | O_CREAT);
  ASSERT_EQ(write_at(fd.get(), pattern(10000, 16), 0), 0);
  EXPECT_EQ(fd.sync(), EDQUOT);
  fault("action=clear");
  std::string data = pattern(20000, 17);
  ASSERT_EQ(write_at(fd.get(), data, 0), 0);
  EXPECT_EQ(fd.sync(), 0);
  EXPECT_EQ(syncfs(fd.get()) ? errno : 0, EDQUOT);  // the file system as a whole tells it once, too
  EXPECT_EQ(syncfs(fd.get()) ? errno : 0, 0);
  EXPECT_EQ(fd.close(), 0);
  expect_cold("f", data);
}

// ---- everything at once ----

/// Random writes of four kinds with a model, in a process of its own. Returns an exit status.
int random_file(const std::string& path, unsigned seed, int ops) {
  constexpr size_t kSize = 4 * kMiB;
  std::mt19937 random(seed);
  std::string model;
  Fd fd(path, O_RDWR | O_CREAT), direct(path, O_RDWR | O_DIRECT);
  auto* page = static_cast<char*>(aligned_alloc(4096, 65536));
  for (int i = 0; i < ops; i++) {
    size_t len = 1 + random() % 60000, pos = random() % (kSize - len);
    std::string bytes = pattern(len, seed * 1000 + i);
    switch (random() % 8) {
      case 0:
        if (fd.sync()) return 10;
        break;
      case 1: {
        size_t size = random() % kSize;
        if (ftruncate(fd.get(), size)) return 11;
        model.resize(size, '\0');
        break;
      }
      case 2: {
        size_t p = pos / 4096 * 4096, n = (1 + random() % 8) * 4096;
        std::string d = pattern(n, i);
        memcpy(page, d.data(), n);
        if (pwrite(direct.get(), page, n, p) != ssize_t(n)) return 12;
        if (model.size() < p + n) model.resize(p + n, '\0');
        model.replace(p, n, d);
        break;
      }
      case 3: {
        std::string got(len, 'x');
        ssize_t n = pread(fd.get(), got.data(), len, pos);
        size_t want = pos < model.size() ? std::min(len, model.size() - pos) : 0;
        if (n < 0 || size_t(n) != want ||
            got.compare(0, n, model, std::min(pos, model.size()), want))
          return 13;
        break;
      }
      default:
        if (write_at(fd.get(), bytes, pos)) return 14;
        if (model.size() < pos + len) model.resize(pos + len, '\0');
        model.replace(pos, len, bytes);
    }
  }
  if (fd.sync() || fd.close()) return 15;
  if (read_all(path) != model) return 16;
  drop_caches();
  return read_all(path) == model ? 0 : 17;
}

TEST_F(DataFaults, RandomFilesUnderResets) {
  unsigned seed = env("CFS_FSX_SEED").empty() ? 1 : std::stoul(env("CFS_FSX_SEED"));
  int ops = env("CFS_FSX_OPS").empty() ? 300 : std::stoi(env("CFS_FSX_OPS"));
  RecordProperty("seed", int(seed));
  std::vector<pid_t> children;
  for (unsigned i = 0; i < 3; i++) {
    pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (!pid) _exit(random_file(path("r" + std::to_string(i)), seed * 10 + i, ops));
    children.push_back(pid);
  }
  std::mt19937 random(seed);
  size_t left = children.size();
  for (int turn = 0; left; turn++) {
    const char* knobs[] = {"close_after=1:3",      "close_after=1:5",      "corrupt_crc=1:5",
                           "cut_reply=1:6",        "force_result=3:246:1", "force_result=1:243:1",
                           "force_result=15:249:1"};
    if (turn < 100) {  // a slow machine must come to an end, too
      if (random() % 3)
        knob(knobs[random() % std::size(knobs)]);
      else
        data_node(random() % 3, "reset");
    }
    std::this_thread::sleep_for(milliseconds(200));
    for (pid_t& pid : children) {
      int status;
      if (pid < 0 || waitpid(pid, &status, WNOHANG) != pid) continue;
      EXPECT_TRUE(WIFEXITED(status) && !WEXITSTATUS(status))
          << "seed " << seed << ": status " << WEXITSTATUS(status);
      pid = -1;
      left--;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  return data_test::run(argc, argv);
}
