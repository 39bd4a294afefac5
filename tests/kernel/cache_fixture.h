// SPDX-License-Identifier: Apache-2.0
/// What the tests of the metadata cache share: commands, numbers in their output, looks at files.
///
/// Purpose  For programs that run in a guest, as root, on a kernel mount ($CFS_TEST_DIR). $CFS_CFSCTL: the program.
/// Failure  Helpers report by gtest.
#pragma once

#include <array>
#include <cstdio>

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

}  // namespace cache_test
