// SPDX-License-Identifier: Apache-2.0
/// Measured work; see workloads.h.
#include "tests/bench/workloads.h"

#include <fcntl.h>
#include <liburing.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>

#include "daemon/base/net.h"

namespace cfs::bench {
namespace {

constexpr std::size_t kMib = 1u << 20;
constexpr std::size_t kPage = 4096;

Error failed(const std::string& path, int code = errno) {
  return make_error(code, path);
}

/// Aligned for direct I/O.
std::shared_ptr<char> buffer(std::size_t size) {
  return {static_cast<char*>(std::aligned_alloc(kPage, size)), std::free};
}

Result<Fd> open_file(const std::string& path, int flags) {
  Fd fd(::open(path.c_str(), flags | O_CLOEXEC, 0644));
  if (!fd) return failed(path);
  return fd;
}

/// close(2) tells errors of writing back.
Result<void> close_file(Fd file, const std::string& path) {
  const int fd = ::dup(file.get());
  file = Fd();
  return fd >= 0 && ::close(fd) == 0 ? Result<void>{} : failed(path);
}

Result<void> write_sequentially(const std::string& path, std::size_t mib, int round) {
  auto fd = open_file(path, O_CREAT | O_TRUNC | O_WRONLY);
  if (!fd) return fd.error();
  const auto data = buffer(kMib);
  std::fill_n(data.get(), kMib, static_cast<char>('a' + round));
  for (std::size_t i = 0; i < mib; ++i) {
    if (::write(fd->get(), data.get(), kMib) != static_cast<ssize_t>(kMib)) return failed(path);
  }
  if (::fsync(fd->get()) < 0) return failed(path);
  return close_file(std::move(*fd), path);
}

Result<void> read_sequentially(const std::string& path, std::size_t mib) {
  const auto fd = open_file(path, O_RDONLY);
  if (!fd) return fd.error();
  const auto data = buffer(kMib);
  for (std::size_t left = mib * kMib; left > 0;) {
    const ssize_t n = ::read(fd->get(), data.get(), kMib);
    if (n <= 0) return failed(path, n < 0 ? errno : EIO);
    left -= static_cast<std::size_t>(n);
  }
  return {};
}

std::vector<off_t> random_offsets(std::size_t count, std::size_t mib, int round) {
  std::mt19937_64 random(static_cast<std::uint64_t>(round) + 1);
  std::vector<off_t> out(count);
  for (off_t& o : out) o = static_cast<off_t>(random() % (mib * kMib / kPage) * kPage);
  return out;
}

/// Direct I/O of one page at a time.
Result<void> random_one(const std::string& path, const Scale& s, int round, bool writes) {
  const auto fd = open_file(path, (writes ? O_WRONLY : O_RDONLY) | O_DIRECT);
  if (!fd) return fd.error();
  const auto data = buffer(kPage);
  std::fill_n(data.get(), kPage, 'r');
  for (const off_t at : random_offsets(s.operations, s.file_mib, round)) {
    const ssize_t n = writes ? ::pwrite(fd->get(), data.get(), kPage, at)
                             : ::pread(fd->get(), data.get(), kPage, at);
    if (n != static_cast<ssize_t>(kPage)) return failed(path, n < 0 ? errno : EIO);
  }
  return {};
}

/// Direct I/O with `depth` requests in flight.
class Ring {
 public:
  explicit Ring(unsigned depth) : depth_(depth) {}
  ~Ring() {
    if (up_) ::io_uring_queue_exit(&ring_);
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  Result<void> run(int fd, const std::vector<off_t>& offsets, bool writes) {
    const int rc = ::io_uring_queue_init(depth_, &ring_, 0);
    if (rc < 0) return make_error(-rc, "io_uring_queue_init");
    up_ = true;
    const auto data = buffer(kPage * depth_);
    std::fill_n(data.get(), kPage * depth_, 'q');
    std::size_t sent = 0, done = 0;
    while (done < offsets.size()) {
      for (; sent < offsets.size() && sent - done < depth_; ++sent) {
        io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
        if (sqe == nullptr) break;
        char* at = data.get() + kPage * (sent % depth_);
        const auto offset = static_cast<std::uint64_t>(offsets[sent]);
        writes ? ::io_uring_prep_write(sqe, fd, at, kPage, offset)
               : ::io_uring_prep_read(sqe, fd, at, kPage, offset);
      }
      const int submitted = ::io_uring_submit_and_wait(&ring_, 1);
      if (submitted < 0) return make_error(-submitted, "io_uring_submit");
      io_uring_cqe* cqe = nullptr;
      while (::io_uring_peek_cqe(&ring_, &cqe) == 0) {
        const int res = cqe->res;
        ::io_uring_cqe_seen(&ring_, cqe);
        ++done;
        if (res != static_cast<int>(kPage)) return make_error(res < 0 ? -res : EIO, "io_uring");
      }
    }
    return {};
  }

 private:
  io_uring ring_{};
  unsigned depth_;
  bool up_ = false;
};

Result<void> random_deep(const std::string& path, const Scale& s, int round, bool writes) {
  const auto fd = open_file(path, (writes ? O_WRONLY : O_RDONLY) | O_DIRECT);
  if (!fd) return fd.error();
  Ring ring(64);
  return ring.run(fd->get(), random_offsets(s.operations, s.file_mib, round), writes);
}

std::string small(const std::string& dir, int round, std::size_t i) {
  return dir + "/small-" + std::to_string(round) + "-" + std::to_string(i);
}

Result<void> create_small(const std::string& dir, const Scale& s, int round) {
  const auto data = buffer(kPage);
  std::fill_n(data.get(), kPage, 's');
  for (std::size_t i = 0; i < s.files; ++i) {
    const std::string path = small(dir, round, i);
    auto fd = open_file(path, O_CREAT | O_EXCL | O_WRONLY);
    if (!fd) return fd.error();
    if (::write(fd->get(), data.get(), kPage) != static_cast<ssize_t>(kPage)) return failed(path);
    const auto closed = close_file(std::move(*fd), path);
    if (!closed) return closed;
  }
  return {};
}

Result<void> read_small(const std::string& dir, const Scale& s, int round) {
  const auto data = buffer(kPage);
  for (std::size_t i = 0; i < s.files; ++i) {
    const std::string path = small(dir, round, i);
    const auto fd = open_file(path, O_RDONLY);
    if (!fd) return fd.error();
    const ssize_t n = ::read(fd->get(), data.get(), kPage);
    if (n != static_cast<ssize_t>(kPage)) return failed(path, n < 0 ? errno : EIO);
  }
  return {};
}

Result<void> stat_small(const std::string& dir, const Scale& s, int round) {
  struct stat st {};
  for (std::size_t i = 0; i < s.files; ++i) {
    const std::string path = small(dir, round, i);
    if (::stat(path.c_str(), &st) < 0) return failed(path);
  }
  return {};
}

Result<void> unlink_small(const std::string& dir, const Scale& s, int round) {
  for (std::size_t i = 0; i < s.files; ++i) {
    const std::string path = small(dir, round, i);
    if (::unlink(path.c_str()) < 0) return failed(path);
  }
  return {};
}

std::string big(const std::string& dir) {
  return dir + "/big";
}

}  // namespace

std::vector<Workload> large_file_workloads(const Scale& s) {
  const auto mib = static_cast<double>(s.file_mib);
  const auto ops = static_cast<double>(s.operations);
  return {
      {{"write 1 MiB, fsync", mib, true},
       Workload::Cache::kAsIs,
       [s](const std::string& d, int r) { return write_sequentially(big(d), s.file_mib, r); }},
      {{"read 1 MiB, cold", mib, true},
       Workload::Cache::kCold,
       [s](const std::string& d, int) { return read_sequentially(big(d), s.file_mib); }},
      {{"read 1 MiB, cached", mib, true},
       Workload::Cache::kWarm,
       [s](const std::string& d, int) { return read_sequentially(big(d), s.file_mib); }},
      {{"random read 4 KiB, depth 1", ops, false},
       Workload::Cache::kCold,
       [s](const std::string& d, int r) { return random_one(big(d), s, r, false); }},
      {{"random read 4 KiB, depth 64", ops, false},
       Workload::Cache::kCold,
       [s](const std::string& d, int r) { return random_deep(big(d), s, r, false); }},
      {{"random write 4 KiB, depth 1", ops, false},
       Workload::Cache::kAsIs,
       [s](const std::string& d, int r) { return random_one(big(d), s, r, true); }},
      {{"random write 4 KiB, depth 64", ops, false},
       Workload::Cache::kAsIs,
       [s](const std::string& d, int r) { return random_deep(big(d), s, r, true); }},
  };
}

std::vector<Workload> small_file_workloads(const Scale& s) {
  const auto files = static_cast<double>(s.files);
  return {
      {{"create, write 4 KiB, close", files, false},
       Workload::Cache::kAsIs,
       [s](const std::string& d, int r) { return create_small(d, s, r); }},
      {{"stat, cold", files, false},
       Workload::Cache::kCold,
       [s](const std::string& d, int r) { return stat_small(d, s, r); }},
      {{"stat, cached", files, false},
       Workload::Cache::kWarm,
       [s](const std::string& d, int r) { return stat_small(d, s, r); }},
      {{"open, read 4 KiB, close, cold", files, false},
       Workload::Cache::kCold,
       [s](const std::string& d, int r) { return read_small(d, s, r); }},
      {{"open, read 4 KiB, close, cached", files, false},
       Workload::Cache::kWarm,
       [s](const std::string& d, int r) { return read_small(d, s, r); }},
      {{"unlink", files, false},
       Workload::Cache::kAsIs,
       [s](const std::string& d, int r) { return unlink_small(d, s, r); }},
  };
}

Result<void> drop_caches() {
  ::sync();
  std::ofstream out("/proc/sys/vm/drop_caches");
  out << "3" << std::flush;
  return out ? Result<void>{} : make_error(EACCES, "/proc/sys/vm/drop_caches");
}

Result<void> prepare(const std::string& dir) {
  std::error_code code;
  std::filesystem::create_directories(dir, code);
  return code ? make_error(code.value(), dir) : Result<void>{};
}

void cleanup(const std::string& dir) {
  std::error_code code;
  std::filesystem::remove_all(dir, code);
}

}  // namespace cfs::bench
