// SPDX-License-Identifier: Apache-2.0
// Outages under load: the way to the servers is cut, bad, or servers and the daemon die, and no process sees an error.
// Breaks: every promise about the network. How long the first operation takes afterwards is printed for each kind of work.
//
// Needs what outage_fixture.h needs. $CFS_OUTAGE_SEED and $CFS_OUTAGE_CYCLES: the random test.
#include "outage_fixture.h"

using namespace data_test;  // NOLINT: tests only

namespace {

TEST_F(Outage, BlackHoleOf1Second) {
  outage([&] { net_.black_hole(); }, 1000, kSoonMs);
}

TEST_F(Outage, BlackHoleOf5Seconds) {
  outage([&] { net_.black_hole(); }, 5000, kSoonMs);
}

TEST_F(Outage, CarrierLostFor5Seconds) {
  outage([&] { net_.carrier_lost(); }, 5000, kSoonMs);
}

TEST_F(Outage, LossDelayAndDisorder) {
  start_work();
  for (const char* how :
       {"loss 3%", "delay 20ms 15ms reorder 30%", "loss 1% duplicate 5% delay 5ms"}) {
    net_.shape(how);
    std::this_thread::sleep_for(milliseconds(3000));
  }
  net_.heal();
  for (auto& w : workers_) wait_for(*w, w->count() + 2);
  stop_work();
  all_is_right();
}

TEST_F(Outage, TheNextDaemonKnowsTheConnectionsOfTheLast) {
  const auto up = [] {
    return std::stoi(shell->ask(env("CFS_CFSCTL") +
                                " status --json | grep -o '\"up\": *[0-9]*' | grep -o '[0-9]*'"));
  };
  start_work();
  stop_work();
  const int before = up();
  EXPECT_GT(before, 0);
  stop_daemon();
  start_daemon();
  EXPECT_EQ(up(), before);
  all_is_right();
}

// ---- random ----

class Chaos : public Outage {
 protected:
  void kill_daemon() {
    stop_daemon();
    std::this_thread::sleep_for(milliseconds(random(1500)));
    start_daemon();
  }
  void pause_most(int ms) { std::this_thread::sleep_for(milliseconds(100 + random(ms))); }
  int random(int below) { return int(random_() % unsigned(below)); }

  /// One fault, its end, and its name.
  std::string once() {
    const int node = random(3);
    const std::string who = std::to_string(node);
    switch (random(9)) {
      case 0:
        net_.black_hole();
        pause_most(4000);
        net_.heal();
        return "black hole";
      case 1:
        net_.carrier_lost();
        pause_most(4000);
        net_.heal();
        return "carrier lost";
      case 2:
        net_.shape("loss 10% delay 10ms 8ms");
        pause_most(3000);
        net_.heal();
        return "loss";
      case 3:
        data_node(node, "stop");
        pause_most(3000);
        data_node(node, "start");
        return "data node " + who + " stopped";
      case 4:
        data_node(node, "hang");
        pause_most(3000);
        data_node(node, "start");
        return "data node " + who + " hung";
      case 5:
        fault("action=stop&role=meta&index=" + who);
        pause_most(2000);
        fault("action=start&role=meta&index=" + who);
        return "meta node " + who + " stopped";
      case 6:
        for (int i = 0; i < 3; i++) data_node(i, "reset");
        pause_most(300);
        return "connections reset";
      case 7:
        kill_daemon();
        return "daemon killed";
      default:
        knob("corrupt_crc=3");
        pause_most(500);
        knob("corrupt_crc=0");
        return "corrupted replies";
    }
  }

  std::mt19937 random_;
};

TEST_F(Chaos, RandomFaults) {
  const std::string seed_text = env("CFS_OUTAGE_SEED"), cycles_text = env("CFS_OUTAGE_CYCLES");
  const unsigned seed =
      seed_text.empty() ? std::random_device{}() : unsigned(std::stoul(seed_text));
  const int cycles = cycles_text.empty() ? 20 : std::stoi(cycles_text);
  printf("seed %u, %d cycles\n", seed, cycles);
  random_.seed(seed);
  start_work();
  for (int i = 0; i < cycles && !HasFailure(); i++) {
    const std::string what = once();
    const auto over = steady_clock::now();
    for (auto& w : workers_) wait_for(*w, w->count() + 1);
    for (auto& w : workers_) EXPECT_EQ(w->error(), 0) << "after " << what << ", " << w->name();
    printf("%s:", what.c_str());
    for (auto& w : workers_) printf(" %s %ld", w->name().c_str(), w->first_after(over));
    printf(" ms\n");
    fflush(stdout);
  }
  stop_work();
  all_is_right();
}

// ---- soft ----

/// Opened without a lookup, which would bring the extents.
int open_by_handle(const std::string& name) {
  alignas(file_handle) char memory[sizeof(file_handle) + MAX_HANDLE_SZ];
  auto* handle = reinterpret_cast<file_handle*>(memory);
  handle->handle_bytes = MAX_HANDLE_SZ;
  int id = 0;
  EXPECT_EQ(name_to_handle_at(AT_FDCWD, name.c_str(), handle, &id, 0), 0) << strerror(errno);
  drop_caches();
  Fd mount(name.substr(0, name.rfind('/')), O_RDONLY);
  return open_by_handle_at(mount.get(), handle, O_RDONLY | O_CLOEXEC);
}

// What only a daemon could do, a commit and an extent list, is given up on a soft mount; on a hard one it would wait.
TEST_F(Chaos, SoftMountGivesUpWithoutADaemon) {
  Mount mount("/mnt/soft", "soft,deadline=4");
  const std::string name = "/mnt/soft/soft-commit", unread = "/mnt/soft/soft-extents";
  const std::string data = pattern(2 * kMiB, 14);
  for (const auto& n : {name, unread}) {
    Fd fd(n, O_RDWR | O_CREAT);
    ASSERT_EQ(write_at(fd.get(), data, 0), 0);
    ASSERT_EQ(fd.sync(), 0);
  }
  const int cold = open_by_handle(unread);
  ASSERT_GE(cold, 0) << strerror(errno);
  Fd fd(name, O_RDWR), other(name, O_RDWR);
  ASSERT_EQ(write_at(fd.get(), "x", 1), 0);  // the map and a connection are there
  ASSERT_EQ(fd.sync(), 0);
  stop_daemon();
  ASSERT_EQ(write_at(fd.get(), data, data.size()), 0);
  char byte = 0;
  auto sync = std::async(std::launch::async, [&] { return fd.sync(); });
  auto read =
      std::async(std::launch::async, [&] { return pread(cold, &byte, 1, 0) < 0 ? errno : 0; });
  EXPECT_EQ(sync.wait_for(milliseconds(60000)), std::future_status::ready) << "fsync";
  EXPECT_EQ(read.wait_for(milliseconds(60000)), std::future_status::ready) << "read";
  start_daemon();
  EXPECT_EQ(sync.get(), EIO);
  EXPECT_EQ(fd.sync(), 0) << "reported once";
  EXPECT_EQ(other.sync(), EIO) << "and to everybody";
  EXPECT_EQ(read.get(), EIO);
  EXPECT_EQ(pread(cold, &byte, 1, 0), 1) << "and it ends with the cause: " << strerror(errno);
  ::close(cold);
  ASSERT_EQ(write_at(fd.get(), data + data, 0), 0);
  EXPECT_EQ(fd.sync(), 0);
  drop_caches();
  expect_same(read_all(name), data + data, "afterwards");
  for (const auto& n : {name, unread}) unlink(n.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  Shell first;
  shell = &first;
  return run(argc, argv);
}
