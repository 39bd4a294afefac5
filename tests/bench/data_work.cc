// SPDX-License-Identifier: Apache-2.0
/// Work on the bytes of one large file: sequential through the page cache, random around it.
#include <liburing.h>

#include <random>

#include "tests/bench/calls.h"
#include "tests/bench/workloads.h"

namespace cfs::bench {
namespace {

const char* const kBig = "big";

Result<void> remove_big(int) {
  return ::unlink(kBig) == 0 || errno == ENOENT ? Result<void>{} : failed(kBig);
}

Result<void> write_sequentially(std::size_t mib, int round, Samples& samples) {
  const auto data = buffer(kMib, static_cast<char>('a' + round % 26));
  samples.begin(mib);
  auto file = File::open(kBig, O_CREAT | O_TRUNC | O_WRONLY);
  if (!file) return file.error();
  for (std::size_t i = 0; i < mib; ++i) {
    if (::write(file->get(), data.get(), kMib) != static_cast<ssize_t>(kMib)) return failed(kBig);
    samples.lap();
  }
  if (::fsync(file->get()) < 0) return failed(kBig);
  return file->close();
}

Result<void> read_sequentially(std::size_t mib, Samples& samples) {
  const auto data = buffer(kMib, 0);
  samples.begin(mib);
  auto file = File::open(kBig, O_RDONLY);
  if (!file) return file.error();
  for (std::size_t i = 0; i < mib; ++i) {
    for (std::size_t have = 0; have < kMib;) {
      const ssize_t n = ::read(file->get(), data.get() + have, kMib - have);
      if (n <= 0) return failed(kBig, n < 0 ? errno : EIO);
      have += static_cast<std::size_t>(n);
    }
    samples.lap();
  }
  return file->close();
}

std::vector<off_t> random_offsets(const Scale& s, int round) {
  std::mt19937_64 random(static_cast<std::uint64_t>(round) + 1);
  std::vector<off_t> out(s.operations);
  for (off_t& o : out) o = static_cast<off_t>(random() % (s.file_mib * kMib / kPage) * kPage);
  return out;
}

/// Direct I/O of one page at a time.
Result<void> random_one(const Scale& s, int round, Samples& samples, bool writes) {
  const std::vector<off_t> offsets = random_offsets(s, round);
  const auto data = buffer(kPage, 'r');
  auto file = File::open(kBig, (writes ? O_WRONLY : O_RDONLY) | O_DIRECT);
  if (!file) return file.error();
  samples.begin(offsets.size());
  for (const off_t at : offsets) {
    const ssize_t n = writes ? ::pwrite(file->get(), data.get(), kPage, at)
                             : ::pread(file->get(), data.get(), kPage, at);
    if (n != static_cast<ssize_t>(kPage)) return failed(kBig, n < 0 ? errno : EIO);
    samples.lap();
  }
  return file->close();
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

  Result<void> run(int fd, const std::vector<off_t>& offsets, Samples& samples, bool writes) {
    const int rc = ::io_uring_queue_init(depth_, &ring_, 0);
    if (rc < 0) return make_error(-rc, "io_uring_queue_init");
    up_ = true;
    const auto data = buffer(kPage * depth_, 'q');
    samples.begin(offsets.size());
    std::vector<Samples::Clock::time_point> started(offsets.size());
    std::size_t sent = 0, done = 0;
    while (done < offsets.size()) {
      for (; sent < offsets.size() && sent - done < depth_; ++sent) {
        io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
        if (sqe == nullptr) break;
        char* at = data.get() + sent % depth_ * kPage;
        const auto offset = static_cast<std::uint64_t>(offsets[sent]);
        if (writes) {
          ::io_uring_prep_write(sqe, fd, at, kPage, offset);
        } else {
          ::io_uring_prep_read(sqe, fd, at, kPage, offset);
        }
        ::io_uring_sqe_set_data64(sqe, sent);
        started[sent] = Samples::Clock::now();
      }
      const int submitted = ::io_uring_submit_and_wait(&ring_, 1);
      if (submitted < 0) return make_error(-submitted, "io_uring_submit");
      io_uring_cqe* cqe = nullptr;
      while (::io_uring_peek_cqe(&ring_, &cqe) == 0) {
        const int res = cqe->res;
        const std::uint64_t which = ::io_uring_cqe_get_data64(cqe);
        ::io_uring_cqe_seen(&ring_, cqe);
        ++done;
        if (res != static_cast<int>(kPage)) return make_error(res < 0 ? -res : EIO, "io_uring");
        samples.lap_since(started[which]);
      }
    }
    return {};
  }

 private:
  io_uring ring_{};
  unsigned depth_;
  bool up_ = false;
};

Result<void> random_deep(const Scale& s, int round, Samples& samples, bool writes) {
  const std::vector<off_t> offsets = random_offsets(s, round);
  auto file = File::open(kBig, (writes ? O_WRONLY : O_RDONLY) | O_DIRECT);
  if (!file) return file.error();
  const auto done = Ring(64).run(file->get(), offsets, samples, writes);
  return done ? file->close() : done;
}

Workload random_work(const std::string& name, Cache cache, const Scale& s, bool writes, bool deep) {
  return {{"random", name}, cache, [s, writes, deep](int round, Samples& samples) {
            return deep ? random_deep(s, round, samples, writes)
                        : random_one(s, round, samples, writes);
          }};
}

}  // namespace

std::vector<Workload> large_file_workloads(const Scale& s) {
  return {
      {{"large", "write 1 MiB, fsync", "MiB"},
       Cache::kAsIs,
       [s](int round, Samples& out) { return write_sequentially(s.file_mib, round, out); },
       remove_big},
      {{"large", "read 1 MiB, cold", "MiB"},
       Cache::kCold,
       [s](int, Samples& out) { return read_sequentially(s.file_mib, out); }},
      {{"large", "read 1 MiB, cached", "MiB"},
       Cache::kWarm,
       [s](int, Samples& out) { return read_sequentially(s.file_mib, out); }},
      random_work("random read 4 KiB, depth 1", Cache::kCold, s, false, false),
      random_work("random read 4 KiB, depth 64", Cache::kCold, s, false, true),
      random_work("random write 4 KiB, depth 1", Cache::kAsIs, s, true, false),
      random_work("random write 4 KiB, depth 64", Cache::kAsIs, s, true, true),
  };
}

}  // namespace cfs::bench
