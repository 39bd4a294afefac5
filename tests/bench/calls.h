// SPDX-License-Identifier: Apache-2.0
/// System calls as Results, for the workloads.
///
/// Failure  Result with the path and the errno.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "daemon/base/result.h"

namespace cfs::bench {

constexpr std::size_t kMib = 1u << 20;
constexpr std::size_t kPage = 4096;

inline Error failed(const std::string& path, int code = errno) {
  return make_error(code, path);
}

/// Aligned for direct I/O, filled.
inline std::shared_ptr<char> buffer(std::size_t size, char fill) {
  std::shared_ptr<char> data(static_cast<char*>(std::aligned_alloc(kPage, size)), std::free);
  std::fill_n(data.get(), size, fill);
  return data;
}

/// An open file. close(2) is called once and its error told: errors of writing back come there.
class File {
 public:
  static Result<File> open(const std::string& path, int flags) {
    File file(::open(path.c_str(), flags | O_CLOEXEC, 0644), path);
    if (file.fd_ < 0) return failed(path);
    return file;
  }
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
  File& operator=(File&&) = delete;
  ~File() { (void)close(); }
  [[nodiscard]] int get() const { return fd_; }
  Result<void> close() {
    const int fd = std::exchange(fd_, -1);
    return fd < 0 || ::close(fd) == 0 ? Result<void>{} : failed(path_);
  }

 private:
  File(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  int fd_;
  std::string path_;
};

}  // namespace cfs::bench
