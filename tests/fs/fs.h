// SPDX-License-Identifier: Apache-2.0
/// What the file-system suites share: a fresh directory per test below $CFS_TEST_DIR, patterns,
/// small helpers.
///
/// Purpose  One suite for every front end: the same programs run on the FUSE mount, on the kernel
/// mount in guests, and
///          (to check the tests themselves) on any local directory.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace fs_test {

/// -errno on failure, the value otherwise: lets a test name the errno it expects.
template <typename T>
long sys(T r) {
  return r < 0 ? -errno : static_cast<long>(r);
}

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(const std::string& path, int flags, mode_t mode = 0644)
      : fd_(::open(path.c_str(), flags, mode)), errno_(fd_ < 0 ? errno : 0) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] int error() const { return errno_; }
  /// close(2) with its result: errors of written data appear here.
  long close() {
    long r = sys(::close(fd_));
    fd_ = -1;
    return r;
  }

 private:
  int fd_;
  int errno_ = 0;
};

inline std::string pattern(std::size_t n, unsigned seed) {
  std::string s(n, '\0');
  std::uint32_t x = seed * 2654435761u + 1;
  for (auto& c : s) {
    x = x * 1664525u + 1013904223u;
    c = static_cast<char>(x >> 24);
  }
  return s;
}

inline void write_all(int fd, const std::string& data, off_t at) {
  std::size_t done = 0;
  while (done < data.size()) {
    ssize_t n = ::pwrite(fd, data.data() + done, data.size() - done, at + static_cast<off_t>(done));
    ASSERT_GT(n, 0) << "pwrite at " << at + static_cast<off_t>(done) << ": "
                    << std::strerror(errno);
    done += static_cast<std::size_t>(n);
  }
}

inline std::string read_all(int fd, std::size_t n, off_t at) {
  std::string s(n, '\0');
  std::size_t done = 0;
  while (done < n) {
    ssize_t r = ::pread(fd, s.data() + done, n - done, at + static_cast<off_t>(done));
    if (r < 0) {
      ADD_FAILURE() << "pread: " << std::strerror(errno);
      break;
    }
    if (r == 0) break;
    done += static_cast<std::size_t>(r);
  }
  s.resize(done);
  return s;
}

inline void write_file(const std::string& path, const std::string& data) {
  Fd f(path, O_WRONLY | O_CREAT | O_TRUNC);
  ASSERT_GE(f.get(), 0) << path << ": " << std::strerror(f.error());
  write_all(f.get(), data, 0);
  ASSERT_EQ(f.close(), 0);
}

inline std::string read_file(const std::string& path) {
  struct stat st {};
  Fd f(path, O_RDONLY);
  if (f.get() < 0 || ::fstat(f.get(), &st) != 0) {
    ADD_FAILURE() << path << ": " << std::strerror(errno);
    return {};
  }
  return read_all(f.get(), static_cast<std::size_t>(st.st_size) + 1, 0);
}

inline std::vector<std::string> list(const std::string& dir) {
  std::vector<std::string> names;
  DIR* d = ::opendir(dir.c_str());
  if (d == nullptr) return names;
  while (dirent* e = ::readdir(d)) {
    std::string n = e->d_name;
    if (n != "." && n != "..") names.push_back(n);
  }
  ::closedir(d);
  std::sort(names.begin(), names.end());
  return names;
}

/// Ask the kernel to forget clean pages, dentries and inodes (root only; elsewhere the test just
/// stays warm).
inline void drop_caches() {
  ::sync();
  Fd f("/proc/sys/vm/drop_caches", O_WRONLY);
  if (f.get() < 0) return;
  for (int i = 0; i < 3; ++i) {
    if (::write(f.get(), "3", 1) != 1) return;
  }
}

/// A test with an empty directory of its own.
class Dir : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* base = std::getenv("CFS_TEST_DIR");
    ASSERT_NE(base, nullptr) << "set CFS_TEST_DIR to a directory on the file system to test";
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    root_ = std::string(base) + "/" + info->test_suite_name() + "." + info->name();
    std::error_code ec;
    std::filesystem::remove_all(root_, ec);
    ASSERT_EQ(sys(::mkdir(root_.c_str(), 0755)), 0) << root_;
  }
  void TearDown() override {
    std::error_code ec;
    std::filesystem::remove_all(root_, ec);
    EXPECT_FALSE(ec) << "remove " << root_ << ": " << ec.message();
  }
  [[nodiscard]] std::string p(const std::string& name) const { return root_ + "/" + name; }
  std::string root_;
};

}  // namespace fs_test
