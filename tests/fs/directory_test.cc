// SPDX-License-Identifier: Apache-2.0
/// Large and changing directories. Breaks: a listing shows a name twice or misses one, or a large directory takes memory
/// without bound. CFS_DIR_ENTRIES: how large (10,000 when not said).
#include <atomic>
#include <chrono>
#include <fstream>
#include <iostream>
#include <thread>

#include "posix.h"

using namespace fs_test;  // NOLINT: tests only

namespace {

unsigned entries(unsigned other) {
  const char* v = std::getenv("CFS_DIR_ENTRIES");
  return v != nullptr ? static_cast<unsigned>(std::strtoul(v, nullptr, 10)) : other;
}

std::string stable_name(unsigned i) {
  char b[32];
  std::snprintf(b, sizeof(b), "s%07u", i);
  return b;
}

/// Threads that each make their share of the names.
void fill(const std::string& dir, unsigned count) {
  constexpr unsigned kThreads = 8;
  std::vector<std::thread> threads;
  std::atomic<unsigned> failed{0};
  for (unsigned t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (unsigned i = t; i < count; i += kThreads)
        failed += call::mknod(dir + "/" + stable_name(i), S_IFREG | 0644) != 0;
    });
  for (std::thread& t : threads) t.join();
  ASSERT_EQ(failed, 0u);
}

/// Kilobytes of a line of a /proc file.
long kilobytes(const std::string& file, const std::string& key) {
  std::ifstream in(file);
  std::string word;
  long value = -1;
  while (in >> word)
    if (word == key + ":" && in >> value) return value;
  return -1;
}

double now() {
  using std::chrono::steady_clock;
  return std::chrono::duration<double>(steady_clock::now().time_since_epoch()).count();
}

/// Names of an open directory from where it stands.
std::vector<std::string> rest(DIR* d) {
  std::vector<std::string> names;
  while (dirent* e = ::readdir(d)) names.emplace_back(e->d_name);
  return names;
}

}  // namespace

class Directory : public Dir {};

TEST_F(Directory, StableNamesUnderConcurrentChange) {
  constexpr unsigned kStable = 2500;  // several pages
  fill(root_, kStable);
  std::atomic<bool> stop{false};
  std::vector<std::thread> churn;
  for (unsigned t = 0; t < 2; ++t)
    churn.emplace_back([&, t] {
      for (unsigned i = 0; !stop; ++i) {  // names before, between and after the stable ones
        const std::string n = p(std::string(i % 3 == 0   ? "a"
                                            : i % 3 == 1 ? stable_name(i * 37 % kStable) + "x"
                                                         : "z") +
                                std::to_string(t));
        call::open(n, O_CREAT | O_WRONLY);
        call::unlink(n);
      }
    });
  for (int round = 0; round < 6; ++round) {
    DIR* d = ::opendir(root_.c_str());
    const auto names = rest(d);
    ::closedir(d);
    const std::set<std::string> once(names.begin(), names.end());
    EXPECT_EQ(once.size(), names.size()) << "a name came twice";
    for (unsigned i = 0; i < kStable; ++i)
      EXPECT_TRUE(once.count(stable_name(i))) << stable_name(i) << " is missing";
    if (HasFailure()) break;
  }
  stop = true;
  for (std::thread& t : churn) t.join();
}

TEST_F(Directory, SeekAnywhere) {
  constexpr unsigned kCount = 2500;
  fill(root_, kCount);
  DIR* d = ::opendir(root_.c_str());
  ASSERT_NE(d, nullptr);
  std::vector<std::pair<long, std::string>> places;
  for (;;) {
    const long at = ::telldir(d);
    dirent* e = ::readdir(d);
    if (e == nullptr) break;
    places.emplace_back(at, e->d_name);
  }
  ASSERT_EQ(places.size(), kCount + 2);
  std::mt19937 rng(7);
  for (int i = 0; i < 60; ++i) {
    const auto& [at, name] = places[rng() % places.size()];
    ::seekdir(d, at);
    dirent* e = ::readdir(d);
    ASSERT_NE(e, nullptr);
    EXPECT_EQ(e->d_name, name) << at;
  }
  ::seekdir(d, places[1200].first);
  EXPECT_EQ(rest(d).size(), places.size() - 1200);
  ::closedir(d);
}

TEST_F(Directory, RewindShowsTheNewState) {
  fill(root_, 10);
  DIR* d = ::opendir(root_.c_str());
  EXPECT_EQ(rest(d).size(), 12u);
  write_file(p("added"), "");
  ASSERT_EQ(call::unlink(p(stable_name(3))), 0);
  ::rewinddir(d);
  const auto names = rest(d);
  EXPECT_EQ(names.size(), 12u);
  EXPECT_EQ(std::count(names.begin(), names.end(), "added"), 1);
  EXPECT_EQ(std::count(names.begin(), names.end(), stable_name(3)), 0);
  ::closedir(d);
}

TEST_F(Directory, TwoReadersOfOneDirectory) {
  fill(root_, 1500);
  DIR *a = ::opendir(root_.c_str()), *b = ::opendir(root_.c_str());
  for (int i = 0; i < 700; ++i) ASSERT_NE(::readdir(a), nullptr);
  EXPECT_EQ(rest(b).size(), 1502u);
  ::closedir(b);  // must not move the other
  EXPECT_EQ(rest(a).size(), 802u);
  ::closedir(a);
}

TEST_F(Directory, OpenDirectoryIsEmptiedAndRemoved) {
  ASSERT_EQ(call::mkdir(p("d")), 0);
  fill(p("d"), 20);
  DIR* d = ::opendir(p("d").c_str());
  for (unsigned i = 0; i < 20; ++i) ASSERT_EQ(call::unlink(p("d/" + stable_name(i))), 0);
  ASSERT_EQ(call::rmdir(p("d")), 0);
  for (const std::string& n : rest(d)) EXPECT_TRUE(n == "." || n == "..") << n;
  ::closedir(d);
}

TEST_F(Directory, LongListing) {
  // What `ls -l` does. The requests are counted in the cost tests; here every attribute must be right.
  fill(root_, 3000);
  for (unsigned i = 0; i < 3000; i += 500) ASSERT_EQ(call::truncate(p(stable_name(i)), i + 1), 0);
  drop_caches();
  const double start = now();
  DIR* d = ::opendir(root_.c_str());
  unsigned wrong = 0, seen = 0;
  for (const std::string& n : rest(d)) {
    struct stat st {};
    if (n[0] != 's' || ::fstatat(::dirfd(d), n.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
    const unsigned i = static_cast<unsigned>(std::stoul(n.substr(1)));
    ++seen;
    wrong += st.st_size != (i % 500 == 0 ? i + 1 : 0);
  }
  ::closedir(d);
  std::cout << "ls -l of 3000 files: " << now() - start << " s\n";
  EXPECT_EQ(seen, 3000u);
  EXPECT_EQ(wrong, 0u);
}

TEST_F(Directory, ManyEntriesInBoundedMemory) {
  const unsigned count = entries(10000);
  const char* daemon = std::getenv("CFS_TEST_DAEMON");
  const std::string status =
      daemon != nullptr ? "/proc/" + std::string(daemon) + "/status" : "/proc/self/status";
  double start = now();
  fill(root_, count);
  std::cout << count << " files made: " << count / (now() - start) << "/s\n";
  drop_caches();
  const long memory = kilobytes(status, "VmRSS"), slab = kilobytes("/proc/meminfo", "SUnreclaim");
  ASSERT_GT(memory, 0);
  start = now();
  DIR* d = ::opendir(root_.c_str());
  unsigned seen = 0;
  std::string last;
  while (dirent* e = ::readdir(d)) seen += e->d_name[0] == 's';
  ::closedir(d);
  std::cout << count << " names listed: " << count / (now() - start) << "/s\n";
  EXPECT_EQ(seen, count);
  // a few pages, not the listing: a million names with attributes are 200 MB
  EXPECT_LT(kilobytes(status, "VmRSS") - memory, 16 << 10);
  EXPECT_LT(kilobytes("/proc/meminfo", "SUnreclaim") - slab, 64 << 10);
}
