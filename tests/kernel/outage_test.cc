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

int connections(const std::string& state) {
  return std::stoi("0" + shell->ask(env("CFS_CFSCTL") + " status --json | grep -o '\"" + state +
                                    "\": *[0-9]*' | grep -o '[0-9]*'"));
}

TEST_F(Outage, TheNextDaemonKnowsTheConnectionsOfTheLast) {
  const auto until = [](const std::function<bool()>& done) {
    for (int i = 0; i < 100 && !done(); i++) std::this_thread::sleep_for(milliseconds(100));
  };
  start_work();
  stop_work();
  until([] { return connections("dialing") + connections("waiting") == 0; });
  const int before = connections("up");
  EXPECT_GT(before, 0);
  stop_daemon();
  start_daemon();
  until([before] { return connections("up") == before; });
  EXPECT_EQ(connections("up"), before);
  all_is_right();
}

TEST_F(Outage, BlackHoleOfAMinute) {
  outage([&] { net_.black_hole(); }, 60000, kSoonMs);
}

// ---- random ----

constexpr int kMasterPort = 17010, kDataPort = 17310;  // of cfs-minicluster
constexpr int kPartitions = 10;

class Chaos : public Outage {
 protected:
  struct Fault {
    std::string name;
    std::function<void()> begin, end;
    int most_ms;  ///< between them, at most
  };

  void pause_most(int ms) { std::this_thread::sleep_for(milliseconds(100 + random(ms))); }
  int random(int below) { return int(random_() % unsigned(below)); }

  /// What may happen, with a node or a partition by chance.
  std::vector<Fault> faults() {
    const int node = random(3);
    const std::string who = " " + std::to_string(node), index = "&index=" + std::to_string(node),
                      data = "&role=data" + index, meta = "&role=meta" + index,
                      dp = "dp=" + std::to_string(1 + random(kPartitions));
    const auto ask = [](std::string query) { return [query] { fault("action=" + query); }; };
    const auto set = [](std::string assignment) { return [assignment] { knob(assignment); }; };
    const auto shape = [this](std::string how) { return [this, how] { net_.shape(how); }; };
    const auto heal = [this] { net_.heal(); };
    const auto nothing = [] {};
    return {
        {"black hole", [this] { net_.black_hole(); }, heal, 4000},
        {"carrier lost", [this] { net_.carrier_lost(); }, heal, 4000},
        {"loss of 10 %", shape("loss 10% delay 10ms 8ms"), heal, 3000},
        {"loss of 20 %", shape("loss 20%"), heal, 2000},
        {"disorder", shape("delay 15ms 12ms reorder 30% duplicate 3%"), heal, 3000},
        {"masters away", [this] { net_.mute(kMasterPort); }, heal, 4000},
        {"data node stopped" + who, ask("stop" + data), ask("start" + data), 3000},
        {"data node hung" + who, ask("hang" + data), ask("start" + data), 3000},
        {"host without power" + who,
         [this, node] {
           net_.mute(kDataPort + node);
           data_node(node, "stop");
         },
         [this, node] {
           data_node(node, "start");
           net_.heal();
         },
         4000},
        {"slow disk" + who, ask("delay" + data + "&value=700"), ask("delay" + data + "&value=0"),
         3000},
        {"meta node stopped" + who, ask("stop" + meta), ask("start" + meta), 2000},
        {"leader of " + dp + " moved", ask("leader&to=" + std::to_string(node) + "&" + dp), nothing,
         300},
        {"connections reset",
         [] {
           for (int i = 0; i < 3; i++) data_node(i, "reset");
         },
         nothing, 300},
        {"replies lost", set("close_after=5"), set("close_after=0"), 500},
        {"replies corrupted", set("corrupt_crc=3"), set("corrupt_crc=0"), 500},
        {"partitions read-only", [] { all_partitions("ro"); }, [] { all_partitions("rw"); }, 2000},
        {"partition full", set("full=" + std::to_string(1 + random(kPartitions))), set("full=0"),
         2000},
        {"daemon killed", stop_daemon, start_daemon, 1500},
        {"daemon and data node gone" + who,
         [node] {
           stop_daemon();
           data_node(node, "stop");
         },
         [node] {
           start_daemon();
           data_node(node, "start");
         },
         1500},
    };
  }

  static void all_partitions(const std::string& status) {
    for (int dp = 1; dp <= kPartitions; dp++)
      fault("action=status&dp=" + std::to_string(dp) + "&status=" + status);
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
    const std::vector<Fault> all = faults();
    const Fault& one = all[size_t(random(int(all.size())))];
    const std::string& what = one.name;
    one.begin();
    pause_most(one.most_ms);
    one.end();
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
