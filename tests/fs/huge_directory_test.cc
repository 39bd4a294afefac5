// SPDX-License-Identifier: Apache-2.0
/// A directory as large as users have them: CFS_HUGE_ENTRIES names (200,000 when not said, 1,000,000 every night), made by the
/// mini cluster ($CFS_TEST_MASTER, /mini/fill). Breaks: a listing misses a name or shows it twice, or keeps the listing in
/// memory.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <thread>

#include "mini.h"
#include "posix.h"

using namespace fs_test;  // NOLINT: tests only

namespace {

/// More than a few pages and their attributes, far less than the listing: a million names with attributes are 200 MB.
constexpr long kMemoryBytes = 24L << 20;

double now() {
  using std::chrono::steady_clock;
  return std::chrono::duration<double>(steady_clock::now().time_since_epoch()).count();
}

/// Resident bytes of a process.
long resident(const std::string& pid) {
  std::ifstream in("/proc/" + pid + "/statm");
  long total = 0, pages = 0;
  return in >> total >> pages ? pages * ::sysconf(_SC_PAGESIZE) : 0;
}

/// The highest memory of the daemon ($CFS_TEST_DAEMON) while this object lives.
class Memory {
 public:
  Memory() : daemon_(std::getenv("CFS_TEST_DAEMON")), before_(resident(daemon_)), peak_(before_) {
    watcher_ = std::thread([this] {
      while (!stop_) {
        peak_ = std::max(peak_.load(), resident(daemon_));
        ::usleep(20000);
      }
    });
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() {
    stop_ = true;
    watcher_.join();
  }
  [[nodiscard]] long before() const { return before_; }
  [[nodiscard]] long growth() const { return peak_ - before_; }

 private:
  const std::string daemon_;
  const long before_;
  std::atomic<long> peak_;
  std::atomic<bool> stop_{false};
  std::thread watcher_;
};

/// Names that come and go before, between and after the lasting ones, until the object ends.
class Churn {
 public:
  Churn(std::string dir, unsigned count) : dir_(std::move(dir)), count_(count) {
    thread_ = std::thread([this] { run(); });
  }
  Churn(const Churn&) = delete;
  Churn& operator=(const Churn&) = delete;
  ~Churn() {
    stop_ = true;
    thread_.join();
  }
  [[nodiscard]] unsigned changes() const { return changes_; }

 private:
  void run() {
    for (unsigned i = 0; !stop_; ++i) {
      char between[32];
      std::snprintf(between, sizeof(between), "s%07ux", static_cast<unsigned>(i * 7919ul % count_));
      const std::string name = dir_ + "/" + (i % 3 == 0 ? "a" : i % 3 == 1 ? between : "z");
      changes_ += call::mknod(name, S_IFREG | 0644) == 0 && call::unlink(name) == 0;
    }
  }
  const std::string dir_;
  const unsigned count_;
  std::atomic<bool> stop_{false};
  std::atomic<unsigned> changes_{0};
  std::thread thread_;
};

}  // namespace

class HugeDirectory : public Dir {
 protected:
  void SetUp() override {
    if (std::getenv("CFS_TEST_MASTER") == nullptr)
      GTEST_SKIP() << "CFS_TEST_MASTER names no mini cluster";
    ASSERT_NE(std::getenv("CFS_TEST_DAEMON"), nullptr) << "set it to the daemon's process id";
    const char* v = std::getenv("CFS_HUGE_ENTRIES");
    if (v != nullptr) count_ = static_cast<unsigned>(std::strtoul(v, nullptr, 10));
    Dir::SetUp();
    if (HasFatalFailure()) return;
    where_ = "vol=test&dir=" + root_.substr(std::string(std::getenv("CFS_TEST_DIR")).size());
    ask_mini("/mini/fill?" + where_ + "&count=" + std::to_string(count_));
  }
  void TearDown() override {
    if (IsSkipped()) return;
    ask_mini("/mini/empty?" + where_);
    Dir::TearDown();
  }
  /// Position of a lasting name, count_ of any other.
  [[nodiscard]] unsigned number(const char* name) const {
    char* end = nullptr;
    if (name[0] != 's') return count_;
    const unsigned long n = std::strtoul(name + 1, &end, 10);
    return *end == '\0' && n < count_ ? static_cast<unsigned>(n) : count_;
  }
  unsigned count_ = 200000;
  std::string where_;
};

TEST_F(HugeDirectory, CompleteInBoundedMemoryWhileItChanges) {
  std::vector<bool> seen(count_);
  unsigned twice = 0, names = 0;
  Memory memory;
  Churn churn(root_, count_);
  const double start = now();
  DIR* d = ::opendir(root_.c_str());
  ASSERT_NE(d, nullptr);
  errno = 0;
  while (dirent* e = ::readdir(d)) {
    const unsigned n = number(e->d_name);
    if (n == count_) continue;
    twice += seen[n];
    seen[n] = true;
    ++names;
  }
  EXPECT_EQ(errno, 0);
  ::closedir(d);
  std::cout << names << " names listed: " << names / (now() - start) << "/s, " << churn.changes()
            << " changes meanwhile, daemon " << (memory.before() >> 10) << " + "
            << (memory.growth() >> 10) << " KiB\n";
  EXPECT_EQ(twice, 0u);
  EXPECT_EQ(names, count_);
  EXPECT_GT(churn.changes(), 0u);
  EXPECT_GT(memory.before(), 0);
  EXPECT_LT(memory.growth(), kMemoryBytes);
}

TEST_F(HugeDirectory, SeekAnywhere) {
  constexpr unsigned kStep = 997;
  std::vector<std::pair<long, unsigned>> places;
  Memory memory;
  DIR* d = ::opendir(root_.c_str());
  ASSERT_NE(d, nullptr);
  for (;;) {
    const long at = ::telldir(d);
    const dirent* e = ::readdir(d);
    if (e == nullptr) break;
    const unsigned n = number(e->d_name);
    if (n % kStep == 0 && n < count_) places.emplace_back(at, n);
  }
  ASSERT_EQ(places.size(), (count_ + kStep - 1) / kStep);
  std::mt19937 rng(11);
  for (int i = 0; i < 100; ++i) {
    const auto& [at, n] = places[rng() % places.size()];
    ::seekdir(d, at);
    for (unsigned next = n; next < std::min(n + 3, count_); ++next) {
      const dirent* e = ::readdir(d);
      ASSERT_NE(e, nullptr) << at;
      ASSERT_EQ(number(e->d_name), next) << at;
    }
  }
  const auto& [middle, n] = places[places.size() / 2];
  ::seekdir(d, middle);
  unsigned rest = 0;
  while (::readdir(d) != nullptr) ++rest;
  EXPECT_EQ(rest, count_ - n);
  ::closedir(d);
  EXPECT_LT(memory.growth(), kMemoryBytes);
}

TEST_F(HugeDirectory, OneNameOfMany) {
  // Looking up, making and removing one name does not read the directory.
  const double start = now();
  for (unsigned i = 0; i < 50; ++i) {
    char name[32];
    std::snprintf(name, sizeof(name), "s%07u", static_cast<unsigned>(i * 104729ul % count_));
    EXPECT_EQ(mode_of(p(name)), S_IFREG | 0644) << name;
    EXPECT_EQ(call::mknod(p(std::string(name) + "new"), S_IFREG | 0600), 0);
    EXPECT_EQ(call::unlink(p(std::string(name) + "new")), 0);
  }
  EXPECT_EQ(call::rmdir(root_), -ENOTEMPTY);
  EXPECT_LT(now() - start, 10.0) << "150 calls";
}
