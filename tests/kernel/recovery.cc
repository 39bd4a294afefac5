// SPDX-License-Identifier: Apache-2.0
// How long work pauses when the network, a data node or the daemon goes away and comes back: medians of $CFS_RECOVERY_ROUNDS
// (7) as a Markdown table, beside the goals. Nothing fails for being slow; an operation with an error or a wrong byte fails.
//
// Needs what outage_fixture.h needs, and a mini cluster with a data node more than a partition has replicas.
#include "outage_fixture.h"

using namespace data_test;  // NOLINT: tests only

namespace {

constexpr int kDataNodes = 4;
constexpr int kFirstDataPort = 17310;  // of cfs-minicluster
constexpr milliseconds kAway{5000}, kSettle{3000};

class Recovery : public Outage {
 protected:
  struct Figure {
    std::string fault, work, goal;
    std::vector<long> ms;  // one of each round
  };

  void SetUp() override {
    Outage::SetUp();
    any_replica_ = std::make_unique<Mount>("/mnt/follow", "followerread");
    const std::string same = "/mnt/follow" + path("read").substr(env("CFS_TEST_DIR").size());
    workers_.push_back(std::make_unique<Worker>(
        "read, followerread", [this, same](unsigned i) { return read_some(same, i); }));
  }

  void TearDown() override {
    stop_work();
    any_replica_.reset();
    Outage::TearDown();
  }

  void note(const std::string& fault, const std::string& work, const std::string& goal, long ms) {
    for (auto& f : figures_)
      if (f.fault == fault && f.work == work) return f.ms.push_back(ms);
    figures_.push_back({fault, work, goal, {ms}});
  }

  void settle() {
    std::this_thread::sleep_for(kSettle);
    for (auto& w : workers_) wait_for(*w, w->count() + 2);
  }

  /// From the command that mends it to the first operation of each kind that ends.
  void network(const std::string& name, const std::function<void()>& cut) {
    cut();
    std::this_thread::sleep_for(kAway);
    const auto back = steady_clock::now();
    net_.heal();
    for (auto& w : workers_) wait_for(*w, w->count() + 1);
    for (auto& w : workers_) note(name, w->name(), "300 + 2 round trips", w->first_after(back));
    settle();
  }

  /// The longest time without an operation that ended, while each of the nodes in turn is away.
  void each_node(const std::string& name, const std::function<void(int)>& away,
                 const std::function<void(int)>& back, const std::string& read_goal,
                 const std::string& append_goal, const std::string& overwrite_goal) {
    std::vector<long> longest(workers_.size());
    for (int node = 0; node < kDataNodes; node++) {
      const auto from = steady_clock::now();
      away(node);
      std::this_thread::sleep_for(kAway);
      const auto to = steady_clock::now();
      for (size_t i = 0; i < workers_.size(); i++)
        longest[i] = std::max(longest[i], workers_[i]->longest_pause(from, to));
      back(node);
      settle();
    }
    for (size_t i = 0; i < workers_.size(); i++) {
      const std::string& work = workers_[i]->name();
      if (work.starts_with("read")) note(name, work, read_goal, longest[i]);
      if (work == "append+fsync") note(name, work, append_goal, longest[i]);
      if (work == "overwrite+fsync") note(name, work, overwrite_goal, longest[i]);
    }
  }

  /// From the execution of the next daemon; the shell that starts it takes up to half a second of a loaded guest.
  void daemon() {
    stop_daemon();
    std::this_thread::sleep_for(milliseconds(500));
    exec_daemon();
    for (auto& w : workers_) wait_for(*w, w->count() + 1);
    const auto start = execed();
    for (auto& w : workers_)
      if (w->name() == "lookup" || w->name() == "create+rename+unlink")
        note("daemon killed, from execution of the next", w->name(), "1000", w->first_after(start));
    settle();
  }

  void print() {
    printf("\n| away | work | median, ms | range | goal |\n|---|---|---:|---:|---:|\n");
    for (auto& f : figures_) {
      std::sort(f.ms.begin(), f.ms.end());
      printf("| %s | %s | %ld | %ld - %ld | %s |\n", f.fault.c_str(), f.work.c_str(),
             f.ms[f.ms.size() / 2], f.ms.front(), f.ms.back(), f.goal.c_str());
    }
    printf("\n");
  }

  std::unique_ptr<Mount> any_replica_;  // of the same volume
  std::vector<Figure> figures_;
};

TEST_F(Recovery, Measured) {
  const std::string text = env("CFS_RECOVERY_ROUNDS");
  const int rounds = text.empty() ? 7 : std::stoi(text);
  start_work();
  for (int i = 0; i < rounds && !HasFailure(); i++) {
    network("black hole for 5 s", [this] { net_.black_hole(); });
    network("carrier lost for 5 s", [this] { net_.carrier_lost(); });
    const auto start = [](int node) { data_node(node, "start"); };
    each_node(
        "data node killed", [](int node) { data_node(node, "stop"); }, start, "1000", "1000",
        "election + 1000");
    each_node(
        "host of a data node without power",
        [this](int node) {
          net_.mute(kFirstDataPort + node);
          data_node(node, "stop");
        },
        [this](int node) {
          data_node(node, "start");
          net_.heal();
        },
        "500 by hedging", "3000", "election + 1000");
    each_node(
        "only our way to a data node cut", [this](int node) { net_.mute(kFirstDataPort + node); },
        [this](int) { net_.heal(); }, "-", "-", "-");
    each_node(
        "data node stopped, its host answers", [](int node) { data_node(node, "hang"); }, start,
        "-", "-", "-");
    daemon();
    fprintf(stderr, "round %d of %d\n", i + 1, rounds);
  }
  stop_work();
  print();
  all_is_right();
}

}  // namespace

int main(int argc, char** argv) {
  Shell first;
  shell = &first;
  return run(argc, argv);
}
