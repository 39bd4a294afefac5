// SPDX-License-Identifier: Apache-2.0
/// Load on a mount while the way to the servers, servers or the daemon are away.
///
/// Purpose  What the tests of outages and the measurement of recovery share: four kinds of work that must meet no error,
///          each with the times at which its operations ended, and the faults.
/// Needs    tc and ip, the interface to the servers; $CFS_CFSD (the daemon to start again) and $CFS_CFSCTL.
/// Failure  An operation that fails, or does not go on within a minute, fails the test.
#pragma once

#include <signal.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <mutex>

#include "data_fixture.h"

namespace data_test {

/// A shell that was started before any file was open. A child made under load would inherit descriptors of the workers;
/// closing them writes their files back, and that waits for the network that the child is to mend.
class Shell {
 public:
  Shell() {
    int to[2], from[2];
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) abort();
    if (fork() == 0) {
      dup2(to[0], 0);
      dup2(from[1], 1);
      execl("/bin/bash", "bash", static_cast<char*>(nullptr));
      _exit(127);
    }
    ::close(to[0]);
    ::close(from[1]);
    in_ = fdopen(to[1], "w");
    out_ = fdopen(from[0], "r");
  }
  /// The last line that the command wrote.
  std::string ask(const std::string& command) {
    fprintf(in_, "{ %s; } 2>/dev/null </dev/null | tail -1; echo .\n", command.c_str());
    fflush(in_);
    std::string line, last;
    for (int c; (c = fgetc(out_)) != EOF;) {
      if (c != '\n') {
        line += static_cast<char>(c);
      } else if (line == ".") {
        return last;
      } else {
        last = std::exchange(line, {});
      }
    }
    return last;
  }
  bool run(const std::string& command) {
    return ask("( " + command + " ) >/dev/null && echo yes") == "yes";
  }

 private:
  FILE *in_ = nullptr, *out_ = nullptr;
};

inline Shell* shell = nullptr;

inline bool run_quietly(const std::string& command) {
  return shell->run(command);
}

/// The way to the servers, seen from this host.
class Network {
 public:
  Network() {
    const std::string master = env("CFS_TEST_MASTER");
    device_ = shell->ask("ip -o route get " + master.substr(0, master.find(':')) +
                         " | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p'");
    for (const char* m : {"sch_netem", "sch_ingress", "cls_matchall", "cls_flower", "act_gact"})
      run_quietly(std::string("modprobe ") + m);
  }
  ~Network() { heal(); }
  /// Nothing gets through, and nobody is told.
  void black_hole() {
    shape("loss 100%");
    EXPECT_TRUE(run_quietly("tc qdisc add dev " + device_ + " ingress && tc filter add dev " +
                            device_ + " ingress matchall action drop"));
  }
  /// The server on this port sends and gets nothing, as if its host had no power.
  void mute(int port) {
    const std::string add = "tc filter add dev " + device_,
                      drop = std::to_string(port) + " action drop";
    EXPECT_TRUE(run_quietly("tc qdisc add dev " + device_ + " clsact && " + add +
                            " egress protocol ip flower ip_proto tcp dst_port " + drop + " && " +
                            add + " ingress protocol ip flower ip_proto tcp src_port " + drop));
  }
  void carrier_lost() { EXPECT_TRUE(run_quietly("ip link set " + device_ + " down")); }
  /// What leaves is lost, late or in another order, in the words of tc-netem(8).
  void shape(const std::string& how) {
    EXPECT_TRUE(run_quietly("tc qdisc replace dev " + device_ + " root netem " + how)) << how;
  }
  void heal() {
    run_quietly("tc qdisc del dev " + device_ + " root");
    run_quietly("tc qdisc del dev " + device_ + " ingress");
    run_quietly("tc qdisc del dev " + device_ + " clsact");
    run_quietly("ip link set " + device_ + " up");
  }

 private:
  std::string device_;
};

/// One kind of work, over and over, until stop().
class Worker {
 public:
  Worker(std::string name, std::function<int(unsigned)> once)
      : name_(std::move(name)), thread_([this, once = std::move(once)] {
          for (unsigned i = 0; !stop_; i++) {
            const int e = once(i);
            const std::lock_guard lock(mutex_);
            if (e != 0) error_ = e;
            done_.push_back(steady_clock::now());
          }
        }) {}
  ~Worker() { stop(); }
  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  const std::string& name() const { return name_; }
  int error() const { return error_; }
  size_t count() {
    const std::lock_guard lock(mutex_);
    return done_.size();
  }
  /// Milliseconds from `t` to the first that ended after it; -1: none did.
  long first_after(steady_clock::time_point t) {
    const std::lock_guard lock(mutex_);
    for (auto d : done_)
      if (d > t) return std::chrono::duration_cast<milliseconds>(d - t).count();
    return -1;
  }
  /// Milliseconds between two that ended one after the other, at most, from the last before `from` to `to`.
  long longest_pause(steady_clock::time_point from, steady_clock::time_point to) {
    const std::lock_guard lock(mutex_);
    auto last = from;
    auto longest = steady_clock::duration::zero();
    for (auto d : done_) {
      if (d > from) longest = std::max(longest, std::min(d, to) - last);
      if (d >= to) break;
      last = std::max(last, d);
    }
    if (last < to && (done_.empty() || done_.back() < to)) longest = std::max(longest, to - last);
    return std::chrono::duration_cast<milliseconds>(longest).count();
  }

 private:
  std::string name_;
  std::mutex mutex_;
  std::vector<steady_clock::time_point> done_;
  std::atomic<int> error_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class Outage : public DataFaults {
 protected:
  /// Well above what is seen, on an emulated machine with other work; below every deadline of a dead connection.
  static constexpr long kSoonMs = 8000;
  static constexpr size_t kPlaces =
      2048;  ///< so many overwrites take longer than the quarantine of one

  void SetUp() override {
    DataFaults::SetUp();
    data_ = pattern(4 * kMiB, 77);
    write_file("read", data_);
    fixed_ = pattern(kPlaces * 4096, 5);
    write_file("fixed", fixed_);
  }

  void TearDown() override {
    net_.heal();
    stop_work();
    DataFaults::TearDown();
  }

  void start_work() {
    workers_.push_back(std::make_unique<Worker>(
        "read", [this](unsigned i) { return read_some(path("read"), i); }));
    workers_.push_back(
        std::make_unique<Worker>("append+fsync", [this](unsigned i) { return append(i); }));
    workers_.push_back(
        std::make_unique<Worker>("overwrite+fsync", [this](unsigned i) { return overwrite(i); }));
    workers_.push_back(
        std::make_unique<Worker>("create+rename+unlink", [this](unsigned i) { return names(i); }));
    workers_.push_back(std::make_unique<Worker>("lookup", [this](unsigned i) {
      struct stat st;
      return stat(path("missing" + std::to_string(i)).c_str(), &st) == 0 ? EEXIST
             : errno == ENOENT                                           ? 0
                                                                         : errno;
    }));
    for (auto& w : workers_) wait_for(*w, 2);
  }

  void stop_work() {
    for (auto& w : workers_) w->stop();
  }

  /// Cut with `cut`, for so long, under load. Every kind of work goes on within `limit_ms`, without errors.
  void outage(const std::function<void()>& cut, int ms, long limit_ms) {
    start_work();
    cut();
    std::this_thread::sleep_for(milliseconds(ms));
    const auto back = steady_clock::now();
    net_.heal();
    for (auto& w : workers_) wait_for(*w, w->count() + 2);
    stop_work();
    for (auto& w : workers_) {
      const long first = w->first_after(back);
      printf("%s: first %s %ld ms after the network was back\n",
             testing::UnitTest::GetInstance()->current_test_info()->name(), w->name().c_str(),
             first);
      EXPECT_GE(first, 0) << w->name();
      EXPECT_LE(first, limit_ms) << w->name();
    }
    all_is_right();
  }

  void all_is_right() {
    for (auto& w : workers_) EXPECT_EQ(w->error(), 0) << w->name() << ": " << strerror(w->error());
    expect_cold(append_name(), appended_);
    expect_cold("read", data_);
    expect_cold("fixed", fixed_);
  }

  static void wait_for(Worker& w, size_t n) {
    for (int i = 0; i < 600 && w.count() < n; i++) std::this_thread::sleep_for(milliseconds(100));
    EXPECT_GE(w.count(), n) << w.name() << " does not go on";
  }

  static void stop_daemon() {
    run_quietly("pkill -9 -x cfsd");
    run_quietly("while pgrep -x cfsd; do sleep 0.05; done");
  }
  static void exec_daemon() {
    EXPECT_TRUE(run_quietly("rm -f " + std::string(kExeced) +
                            "; (setsid bash -c 'read up rest </proc/uptime; echo $up >" + kExeced +
                            "; exec " + env("CFS_CFSD") + "' </dev/null >>/tmp/cfsd.log 2>&1 &)"));
  }
  /// When the program of the last one was executed, to 10 ms.
  static steady_clock::time_point execed() {
    const double s = std::stod(shell->ask("cat " + std::string(kExeced)));
    return steady_clock::time_point(milliseconds(std::lround(s * 1000)));
  }
  static void start_daemon() {
    exec_daemon();
    EXPECT_TRUE(run_quietly("for i in $(seq 100); do " + env("CFS_CFSCTL") +
                            " status && exit 0; sleep 0.2; done; exit 1"));
  }

  /// Direct, from where i says.
  int read_some(const std::string& file, unsigned i) {
    static constexpr size_t kPiece = 64 * 1024;
    const size_t at = i * 7 % (data_.size() / kPiece) * kPiece;
    void* buffer = nullptr;
    if (posix_memalign(&buffer, 4096, kPiece) != 0) return ENOMEM;
    const std::unique_ptr<void, decltype(&free)> owner(buffer, &free);
    Fd fd(file, O_RDONLY | O_DIRECT);
    const ssize_t n = pread(fd.get(), buffer, kPiece, static_cast<off_t>(at));
    if (n < 0) return errno;
    return n == ssize_t(kPiece) && memcmp(buffer, data_.data() + at, kPiece) == 0 ? 0 : EILSEQ;
  }

  Network net_;
  std::vector<std::unique_ptr<Worker>> workers_;

 private:
  static constexpr char kExeced[] = "/tmp/cfsd.exec";

  std::string append_name() const { return "append" + std::to_string(append_file_); }

  /// To one file after the other, since what it should contain is kept in memory.
  int append(unsigned i) {
    static constexpr size_t kFileMax = 64 * kMiB;
    if (appended_.size() > kFileMax) {
      if (unlink(path(append_name()).c_str()) != 0) return errno;
      append_file_++;
      appended_.clear();
    }
    const std::string piece = pattern(5000 + i % 7 * 9000, i);
    Fd fd(path(append_name()), O_RDWR | O_CREAT);
    int e = write_at(fd.get(), piece, appended_.size());
    if (e == 0) e = fd.sync();
    if (e == 0) appended_ += piece;
    return e;
  }

  int names(unsigned i) {
    const std::string a = path("a" + std::to_string(i)), b = path("b" + std::to_string(i));
    const int fd = open(a.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0644);
    if (fd < 0 || close(fd) != 0) return errno;
    if (rename(a.c_str(), b.c_str()) != 0 || unlink(b.c_str()) != 0) return errno;
    return 0;
  }

  int overwrite(unsigned i) {
    const size_t at = i % kPlaces * 4096;
    const std::string piece = pattern(4096, i);
    Fd fd(path("fixed"), O_RDWR);
    int e = write_at(fd.get(), piece, at);
    if (e == 0) e = fd.sync();
    if (e == 0) fixed_.replace(at, piece.size(), piece);
    return e;
  }

  std::string data_, appended_, fixed_;
  unsigned append_file_ = 0;
};

}  // namespace data_test
