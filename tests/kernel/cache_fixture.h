// SPDX-License-Identifier: Apache-2.0
/// What the tests of the metadata cache share: commands, numbers in their output, looks at files.
///
/// Purpose  For programs that run in a guest, as root, on a kernel mount ($CFS_TEST_DIR). $CFS_CFSCTL: the program.
/// Failure  Helpers report by gtest.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <functional>
#include <thread>

#include "data_fixture.h"

namespace cache_test {

using namespace data_test;  // NOLINT: tests only

/// Output and exit code of a shell command.
struct Ran {
  int code;
  std::string text;
};

inline Ran run(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  std::string text;
  std::array<char, 4096> part;
  for (size_t n; (n = fread(part.data(), 1, part.size(), pipe)) > 0;) text.append(part.data(), n);
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text};
}

inline Ran cfsctl(const std::string& arguments) {
  return run(env("CFS_CFSCTL") + " " + arguments);
}

/// The first number with that key in some JSON.
inline long number(const std::string& json, const std::string& key, size_t from = 0) {
  const size_t at = json.find("\"" + key + "\":", from);
  if (at == std::string::npos) {
    ADD_FAILURE() << key << " is not in " << json;
    return 0;
  }
  return atol(json.c_str() + at + key.size() + 3);
}

inline struct stat stat_of(const std::string& path) {
  struct stat st {};
  EXPECT_EQ(stat(path.c_str(), &st), 0) << path << ": " << strerror(errno);
  return st;
}

inline int errno_of_stat(const std::string& path) {
  struct stat st {};
  return stat(path.c_str(), &st) == 0 ? 0 : errno;
}

inline void make(const std::string& path, const std::string& content = "x") {
  Fd fd(path, O_WRONLY | O_CREAT | O_TRUNC);
  ASSERT_EQ(write_at(fd.get(), content, 0), 0);
  ASSERT_EQ(fd.close(), 0);
}

/// Names and inodes go, pages and the policy's maps stay. Several rounds: the first only ages them.
inline void drop_dentries() {
  for (int i = 0; i < 4; i++) std::ofstream("/proc/sys/vm/drop_caches") << "2\n";
}

inline double now() {
  return std::chrono::duration<double>(steady_clock::now().time_since_epoch()).count();
}

/// Owners change a file each to sizes that only grow, while lookers stat them and dentries are dropped: nobody sees less than
/// what the owner had done before the look began. Goes on until each owner has run for a while.
///   change(i, size)    file i gets that size; on the way it may be empty
///   path_of(looker, i) where a looker sees it
inline void race_of_changes_and_looks(const std::function<void(int, int)>& change,
                                      const std::function<std::string(int, int)>& path_of) {
  constexpr int kNames = 4, kLookers = 4, kRounds = 5;
  std::array<std::atomic<int>, kNames> done{};  // size of the file; 0: not made yet
  std::array<std::atomic<long>, kLookers> looks{};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < kNames; i++) {
    threads.emplace_back([&, i] {
      for (int size = 1; !stop; size++) {
        change(i, size);
        done[i] = size;
      }
    });
  }
  for (int l = 0; l < kLookers; l++) {
    threads.emplace_back([&, l] {
      while (!stop) {
        const int i = static_cast<int>(looks[l]++) % kNames;
        const int before = done[i];
        if (before == 0) continue;
        struct stat st {};
        ASSERT_EQ(stat(path_of(l, i).c_str(), &st), 0) << strerror(errno);
        // between truncation and write, the file of the round under way may be empty
        ASSERT_TRUE(st.st_size >= before || st.st_size == 0)
            << st.st_size << " after " << before << ", looked at " << path_of(l, i) << ", inode "
            << st.st_ino << ", done " << done[i] << ", now " << stat_of(path_of(0, i)).st_size
            << " and " << stat_of(path_of(1, i)).st_size;
      }
    });
  }
  threads.emplace_back([&] {
    while (!stop) {
      drop_dentries();
      std::this_thread::sleep_for(milliseconds(30));
    }
  });
  const auto all_ran = [&] {
    return std::all_of(done.begin(), done.end(), [](const auto& n) { return n > kRounds; });
  };
  const double begin = now();  // a debug kernel needs longer
  while (now() < begin + (all_ran() ? 8 : 120)) std::this_thread::sleep_for(milliseconds(100));
  stop = true;
  for (auto& t : threads) t.join();
  for (int i = 0; i < kNames; i++) {
    EXPECT_GT(done[i].load(), kRounds) << "owner " << i << " hardly ran";
    for (int l = 0; l < 2; l++) EXPECT_EQ(stat_of(path_of(l, i)).st_size, done[i].load());
  }
}

}  // namespace cache_test
