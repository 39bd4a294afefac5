// SPDX-License-Identifier: Apache-2.0
// Data oracle: random operations on one file, checked byte by byte against a shadow copy in memory.
//
//   data_oracle [--ops N] [--seed S] [--processes P] [--bytes MAX] [--no-direct] DIRECTORY
//
// Breaks: any lost, stale or invented byte, on any path on which data enters or leaves a file:
// write, append, mapping, direct I/O (aligned or not), truncate, punch, zero, copy_file_range,
// splice, each of them after any of the others, with cold and warm caches.
//
// One process: one operation after the other. Several: the file is cut into stripes whose borders
// lie inside pages; what stays inside a stripe of the process runs at the same time as the
// others' (read lock), everything else alone (write lock). The shadow is shared memory.
//
// A failure prints the seed, the operation, the first wrong byte and the last operations of the
// process. Exit status 0: no difference; 1: one; 2: wrong use.
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t kStripe = 100003;  // a prime: borders fall anywhere in pages and blocks
constexpr std::size_t kHistory = 40;     // operations shown after a failure
constexpr std::size_t kLongest = 400000;
constexpr std::size_t kAlign = 4096;

struct Options {
  unsigned long ops = 20000;
  unsigned seed = std::random_device{}();
  unsigned processes = 1;
  std::size_t bytes = 3u << 20;
  bool direct = true;
  std::string dir;
};

/// What all processes share: the truth about the file.
struct Shadow {
  pthread_rwlock_t lock;
  std::size_t size;
  char data[];  // Options::bytes
};

/// A part of the file, [at, at + n).
struct Range {
  std::size_t at, n;
};

/// Memory for direct I/O, with the offset inside a page that was asked for.
class Buffer {
 public:
  Buffer(std::size_t n, std::size_t skew) : skew_(skew) {
    void* mem = nullptr;
    if (::posix_memalign(&mem, kAlign, n + skew + 1) != 0) std::abort();
    mem_.reset(static_cast<char*>(mem));
  }
  [[nodiscard]] char* get() const { return mem_.get() + skew_; }

 private:
  struct Free {
    void operator()(char* p) const { ::free(p); }
  };
  std::unique_ptr<char, Free> mem_;
  std::size_t skew_;
};

/// One process of a run.
/// Thread:   single.
/// Errors:   the first difference or failed call ends the process with status 1.
class Oracle {
 public:
  Oracle(const Options& options, Shadow* shadow, unsigned index)
      : options_(options),
        shadow_(shadow),
        index_(index),
        path_(options.dir + "/oracle"),
        rng_(options.seed * 31 + index) {
    reopen();
  }

  void run() {
    for (op_ = 0; op_ < options_.ops; ++op_) step();
  }

  /// Cold, after everything: the file is the shadow.
  void check_all() {
    note("final check", {0, shadow_->size});
    must(::fsync(fd_), "fsync");
    drop_caches();
    reopen();
    check_size();
    check({0, shadow_->size}, pread_all(fd_, {0, shadow_->size + 1}));
  }

  void report() const {
    if (refused_ != 0)
      std::printf("  %lu operations are not supported by this file system\n", refused_);
  }

 private:
  using Method = void (Oracle::*)(Range);
  struct Kind {
    const char* name;
    Method run;
    unsigned weight;
    bool alone;  // changes the size, or works on whole pages
  };
  static const std::vector<Kind>& kinds();

  // ---- choice ----

  std::size_t any(std::size_t n) { return n == 0 ? 0 : rng_() % n; }

  std::size_t length() {
    switch (any(8)) {
      case 0:
        return 1 + any(kLongest);
      case 1:
        return 1 + any(16);
      default:
        return 1 + any(9000);
    }
  }

  Range anywhere() {
    std::size_t n = std::min(length(), options_.bytes / 2);
    return {any(options_.bytes - n), n};
  }

  /// Inside one of this process' stripes, and inside the file.
  Range mine() {
    std::size_t stripes = shadow_->size / kStripe;
    std::size_t own = stripes / options_.processes;
    if (own == 0) return {0, 0};
    std::size_t at = (any(own) * options_.processes + index_) * kStripe;
    std::size_t n = std::min(length(), kStripe);
    return {at + any(kStripe - n + 1), n};
  }

  void step() {
    static const unsigned total = [] {
      unsigned sum = 0;
      for (const Kind& k : kinds()) sum += k.weight;
      return sum;
    }();
    unsigned at = static_cast<unsigned>(any(total));
    const Kind* kind = kinds().data();
    while (at >= kind->weight) at -= (kind++)->weight;
    bool alone = kind->alone || options_.processes == 1 || any(4) == 0;
    alone ? ::pthread_rwlock_wrlock(&shadow_->lock) : ::pthread_rwlock_rdlock(&shadow_->lock);
    Range range = alone ? anywhere() : mine();
    if (range.n != 0) {
      note(kind->name, range);
      (this->*kind->run)(range);
    }
    ::pthread_rwlock_unlock(&shadow_->lock);
  }

  // ---- shadow ----

  void grow(std::size_t end) {
    if (end > shadow_->size) shadow_->size = end;
  }

  void put(Range r, const char* bytes) {
    memcpy(shadow_->data + r.at, bytes, r.n);
    grow(r.at + r.n);
  }

  void zero(Range r) { memset(shadow_->data + r.at, 0, r.n); }

  [[nodiscard]] Range clip(Range r) const {
    std::size_t size = shadow_->size;
    return {std::min(r.at, size), r.at < size ? std::min(r.n, size - r.at) : 0};
  }

  std::string fresh(std::size_t n) {
    std::string s(n, '\0');
    std::uint32_t x = static_cast<std::uint32_t>(rng_()) | 1;
    for (auto& c : s) {
      x = x * 1664525u + 1013904223u;
      c = static_cast<char>(x >> 24);
    }
    return s;
  }

  void check(Range r, std::string_view got) {
    if (got.size() != r.n)
      fail("got " + std::to_string(got.size()) + " bytes instead of " + std::to_string(r.n));
    const char* want = shadow_->data + r.at;
    if (memcmp(got.data(), want, r.n) == 0) return;
    std::size_t i = 0, wrong = 0;
    while (got[i] == want[i]) ++i;
    for (std::size_t j = i; j < r.n; ++j) wrong += got[j] != want[j];
    char text[160];
    std::snprintf(text, sizeof text,
                  "first wrong byte at %zu: %02x instead of %02x; %zu of %zu are wrong", r.at + i,
                  static_cast<unsigned char>(got[i]), static_cast<unsigned char>(want[i]), wrong,
                  r.n);
    fail(text);
  }

  void check_size() {
    struct stat st {};
    must(::fstat(fd_, &st), "fstat");
    if (static_cast<std::size_t>(st.st_size) != shadow_->size)
      fail("size is " + std::to_string(st.st_size) + " instead of " +
           std::to_string(shadow_->size));
  }

  // ---- failures ----

  void note(const char* name, Range r) {
    char text[120];
    std::snprintf(text, sizeof text, "%lu: %s [%zu, %zu) of %zu", op_, name, r.at, r.at + r.n,
                  shadow_->size);
    history_.emplace_back(text);
    if (history_.size() > kHistory) history_.pop_front();
  }

  [[noreturn]] void fail(const std::string& why) {
    std::string out = "seed " + std::to_string(options_.seed) + ", process " +
                      std::to_string(index_) + ", operation " + std::to_string(op_) + ": " + why +
                      "\n";
    for (const auto& line : history_) out += "    " + line + "\n";
    std::fputs(out.c_str(), stderr);
    ::_exit(1);
  }

  template <typename T>
  T must(T r, const char* what) {
    if (r < 0) fail(std::string(what) + ": " + strerror(errno));
    return r;
  }

  void whole(ssize_t r, std::size_t n, const char* what) {
    must(r, what);
    if (static_cast<std::size_t>(r) != n)
      fail(std::string(what) + " moved " + std::to_string(r) + " of " + std::to_string(n));
  }

  // ---- files ----

  void reopen() {
    for (int* fd : {&fd_, &append_, &direct_})
      if (*fd >= 0) must(::close(*fd), "close");
    fd_ = must(::open(path_.c_str(), O_RDWR | O_CREAT, 0644), "open");
    append_ = must(::open(path_.c_str(), O_WRONLY | O_APPEND), "open for appending");
    direct_ = options_.direct ? must(::open(path_.c_str(), O_RDWR | O_DIRECT), "open direct") : -1;
  }

  static void drop_caches() {
    ::sync();
    int fd = ::open("/proc/sys/vm/drop_caches", O_WRONLY);
    if (fd < 0) return;
    for (int i = 0; i < 2; ++i)
      if (::write(fd, "3", 1) != 1) break;
    ::close(fd);
  }

  std::string pread_all(int fd, Range r) {
    std::string s(r.n, '\0');
    std::size_t done = 0;
    while (done < r.n) {
      ssize_t n =
          must(::pread(fd, s.data() + done, r.n - done, static_cast<off_t>(r.at + done)), "pread");
      if (n == 0) break;
      done += static_cast<std::size_t>(n);
    }
    s.resize(done);
    return s;
  }

  void put_fd(int fd, Range r, const char* bytes, int flags) {
    iovec v{const_cast<char*>(bytes), r.n};
    whole(::pwritev2(fd, &v, 1, static_cast<off_t>(r.at), flags), r.n, "pwrite");
    put(r, bytes);
  }

  char* map(int flags) {
    void* m = ::mmap(nullptr, shadow_->size, PROT_READ | PROT_WRITE, flags, fd_, 0);
    if (m == MAP_FAILED) fail(std::string("mmap: ") + strerror(errno));
    return static_cast<char*>(m);
  }

  // ---- operations ----

  void write(Range r) { put_fd(fd_, r, fresh(r.n).data(), 0); }
  void write_sync(Range r) { put_fd(fd_, r, fresh(r.n).data(), any(2) ? RWF_DSYNC : RWF_SYNC); }

  void write_vector(Range r) {
    std::string s = fresh(r.n);
    std::size_t cut = any(r.n), rest = r.n - cut;
    iovec v[2] = {{s.data(), cut}, {s.data() + cut, rest}};
    whole(::pwritev(fd_, v, 2, static_cast<off_t>(r.at)), r.n, "pwritev");
    put(r, s.data());
  }

  void append(Range r) {
    r.at = shadow_->size;
    if (r.at + r.n > options_.bytes) return truncate({0, r.n});
    std::string s = fresh(r.n);
    whole(::write(append_, s.data(), r.n), r.n, "append");
    put(r, s.data());
  }

  void read(Range r) { check(clip(r), pread_all(fd_, r)); }

  void read_splice(Range r) {
    r = clip(r);
    r.n = std::min<std::size_t>(r.n, 60000);
    int ends[2];
    must(::pipe(ends), "pipe");
    off_t at = static_cast<off_t>(r.at);
    std::string got;
    while (got.size() < r.n) {
      ssize_t n = any(2) ? ::splice(fd_, &at, ends[1], nullptr, r.n - got.size(), 0)
                         : ::sendfile(ends[1], fd_, &at, r.n - got.size());
      if (must(n, "splice") == 0) break;
      std::string part(static_cast<std::size_t>(n), '\0');
      for (std::size_t done = 0; done < part.size();)
        done += static_cast<std::size_t>(
            must(::read(ends[0], part.data() + done, part.size() - done), "read of the pipe"));
      got += part;
    }
    ::close(ends[0]);
    ::close(ends[1]);
    check(r, got);
  }

  Range aligned(Range r) {
    r.at &= ~(kAlign - 1);
    r.n = std::min((r.n + kAlign - 1) & ~(kAlign - 1), (options_.bytes - r.at) & ~(kAlign - 1));
    return r;
  }

  void write_direct(Range r, std::size_t skew) {
    if (direct_ < 0 || r.n == 0) return;
    Buffer b(r.n, skew);
    memcpy(b.get(), fresh(r.n).data(), r.n);
    put_fd(direct_, r, b.get(), 0);
  }
  void write_direct_aligned(Range r) { write_direct(aligned(r), 0); }
  void write_direct_any(Range r) { write_direct(r, any(512)); }

  void read_direct(Range r, std::size_t skew) {
    if (direct_ < 0 || r.n == 0) return;
    Buffer b(r.n, skew);
    ssize_t n = must(::pread(direct_, b.get(), r.n, static_cast<off_t>(r.at)), "direct read");
    check(clip(r), {b.get(), static_cast<std::size_t>(n)});
  }
  void read_direct_aligned(Range r) { read_direct(aligned(r), 0); }
  void read_direct_any(Range r) { read_direct(r, any(512)); }

  void store(Range r) {
    r = clip(r);
    if (r.n == 0) return;
    char* m = map(MAP_SHARED);
    std::string s = fresh(r.n);
    memcpy(m + r.at, s.data(), r.n);
    put(r, s.data());
    if (any(4) == 0) must(::msync(m, shadow_->size, any(2) ? MS_SYNC : MS_ASYNC), "msync");
    must(::munmap(m, shadow_->size), "munmap");
  }

  void load(Range r) {
    r = clip(r);
    if (r.n == 0) return;
    char* m = map(any(2) ? MAP_SHARED : MAP_PRIVATE);
    check(r, {m + r.at, r.n});
    must(::munmap(m, shadow_->size), "munmap");
  }

  void store_private(Range r) {
    r = clip(r);
    if (r.n == 0) return;
    char* m = map(MAP_PRIVATE);
    memset(m + r.at, 0x5a, r.n);
    must(::munmap(m, shadow_->size), "munmap");
    check(r, pread_all(fd_, r));
  }

  void truncate(Range r) {
    std::size_t to = any(4) == 0 ? any(6000) : r.at + r.n, from = shadow_->size;
    must(::ftruncate(fd_, static_cast<off_t>(to)), "ftruncate");
    if (to < from) zero({to, from - to});
    shadow_->size = to;
    check_size();
  }

  /// Returns false when the file system says that it cannot.
  bool allocate(int mode, Range r) {
    if (::fallocate(fd_, mode, static_cast<off_t>(r.at), static_cast<off_t>(r.n)) == 0) return true;
    if (errno != EOPNOTSUPP) fail(std::string("fallocate: ") + strerror(errno));
    ++refused_;
    return false;
  }

  void punch(Range r) {
    if (allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, r)) zero(clip(r));
    check_size();
  }

  void zero_range(Range r) {
    bool keep = any(2) != 0;
    if (allocate(FALLOC_FL_ZERO_RANGE | (keep ? FALLOC_FL_KEEP_SIZE : 0), r)) {
      zero(clip(r));
      if (!keep) grow(r.at + r.n);
    }
    check_size();
  }

  void preallocate(Range r) {
    bool keep = any(2) != 0;
    if (allocate(keep ? FALLOC_FL_KEEP_SIZE : 0, r) && !keep) grow(r.at + r.n);
    check_size();
  }

  void copy_range(Range r) {
    r = clip(r);
    Range to{any(options_.bytes - r.n), r.n};
    if (r.n == 0 || (to.at < r.at + r.n && r.at < to.at + to.n)) return;
    off_t in = static_cast<off_t>(r.at), out = static_cast<off_t>(to.at);
    for (std::size_t done = 0; done < r.n;) {
      ssize_t n = must(::copy_file_range(fd_, &in, fd_, &out, r.n - done, 0), "copy_file_range");
      if (n == 0) fail("copy_file_range ended early");
      done += static_cast<std::size_t>(n);
    }
    put(to, std::string(shadow_->data + r.at, r.n).data());
  }

  /// A hole has no byte that is not zero; data and holes come in turn and end with the file.
  void seek(Range r) {
    r = clip(r);
    if (r.n == 0) return;
    off_t at = static_cast<off_t>(r.at), data = ::lseek(fd_, at, SEEK_DATA);
    auto size = static_cast<off_t>(shadow_->size);
    if (data < 0 && errno != ENXIO) fail(std::string("SEEK_DATA: ") + strerror(errno));
    off_t until = data < 0 ? size : data;
    if (until < at || until > size) fail("SEEK_DATA leads to " + std::to_string(data));
    for (off_t i = at; i < until; ++i)
      if (shadow_->data[i] != 0) fail("byte " + std::to_string(i) + " is in a hole, and not zero");
    off_t hole = must(::lseek(fd_, until == size ? at : until, SEEK_HOLE), "SEEK_HOLE");
    if (hole > size || (until < size && hole <= until))
      fail("SEEK_HOLE leads to " + std::to_string(hole));
  }

  void sync_file(Range r) {
    if (any(2)) return void(must(::fsync(fd_), "fsync"));
    if (any(2)) return void(must(::fdatasync(append_), "fdatasync"));
    must(::sync_file_range(fd_, static_cast<off_t>(r.at), static_cast<off_t>(r.n),
                           SYNC_FILE_RANGE_WRITE),
         "sync_file_range");
  }

  void forget(Range r) {
    if (any(4) == 0) {
      drop_caches();
    } else {
      ::posix_fadvise(fd_, static_cast<off_t>(r.at), static_cast<off_t>(r.n), POSIX_FADV_DONTNEED);
    }
    read(r);
  }

  void open_again(Range r) {
    reopen();
    check_size();
    read(r);
  }

  Options options_;
  Shadow* shadow_;
  unsigned index_;
  std::string path_;
  std::mt19937 rng_;
  std::deque<std::string> history_;
  unsigned long op_ = 0, refused_ = 0;
  int fd_ = -1, append_ = -1, direct_ = -1;
};

const std::vector<Oracle::Kind>& Oracle::kinds() {
  static const std::vector<Kind> table = {
      {"write", &Oracle::write, 20, false},
      {"write, synchronous", &Oracle::write_sync, 2, false},
      {"write, two buffers", &Oracle::write_vector, 3, false},
      {"append", &Oracle::append, 8, true},
      {"read", &Oracle::read, 16, false},
      {"read by splice", &Oracle::read_splice, 3, false},
      {"write direct, aligned", &Oracle::write_direct_aligned, 5, true},
      {"write direct, unaligned", &Oracle::write_direct_any, 3, true},
      {"read direct, aligned", &Oracle::read_direct_aligned, 4, true},
      {"read direct, unaligned", &Oracle::read_direct_any, 3, true},
      {"store to a mapping", &Oracle::store, 8, false},
      {"load from a mapping", &Oracle::load, 5, false},
      {"store to a private mapping", &Oracle::store_private, 1, false},
      {"truncate", &Oracle::truncate, 4, true},
      {"punch", &Oracle::punch, 3, true},
      {"zero", &Oracle::zero_range, 3, true},
      {"preallocate", &Oracle::preallocate, 1, true},
      {"copy_file_range", &Oracle::copy_range, 3, true},
      {"seek data and hole", &Oracle::seek, 3, true},
      {"sync", &Oracle::sync_file, 4, false},
      {"drop pages", &Oracle::forget, 2, false},
      {"reopen", &Oracle::open_again, 2, true},
  };
  return table;
}

Shadow* make_shadow(std::size_t bytes) {
  void* m = ::mmap(nullptr, sizeof(Shadow) + bytes, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (m == MAP_FAILED) std::abort();
  auto* shadow = static_cast<Shadow*>(m);
  pthread_rwlockattr_t attr;
  ::pthread_rwlockattr_init(&attr);
  ::pthread_rwlockattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
  ::pthread_rwlock_init(&shadow->lock, &attr);
  return shadow;
}

int wrong_use() {
  std::fputs(
      "usage: data_oracle [--ops N] [--seed S] [--processes P] [--bytes MAX] [--no-direct] "
      "DIRECTORY\n",
      stderr);
  return 2;
}

bool parse(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    std::string_view a = argv[i];
    auto number = [&] { return i + 1 < argc ? std::strtoul(argv[++i], nullptr, 10) : 0; };
    if (a == "--ops")
      options->ops = number();
    else if (a == "--seed")
      options->seed = static_cast<unsigned>(number());
    else if (a == "--processes")
      options->processes = static_cast<unsigned>(number());
    else if (a == "--bytes")
      options->bytes = number();
    else if (a == "--no-direct")
      options->direct = false;
    else if (a.empty() || a[0] == '-' || !options->dir.empty())
      return false;
    else
      options->dir = a;
  }
  return options->ops != 0 && options->processes != 0 && !options->dir.empty() &&
         options->bytes >= 2 * kStripe * options->processes;
}

/// All processes; the operations are shared out among them. Returns how many failed.
unsigned run_all(Options options, Shadow* shadow) {
  std::vector<pid_t> children;
  options.ops = (options.ops + options.processes - 1) / options.processes;
  for (unsigned i = 0; i < options.processes; ++i) {
    pid_t pid = ::fork();
    if (pid == 0) {
      Oracle oracle(options, shadow, i);
      oracle.run();
      oracle.report();
      std::fflush(stdout);
      ::_exit(0);
    }
    children.push_back(pid);
  }
  unsigned failed = 0;
  for (std::size_t left = children.size(); left != 0; --left) {
    int status = 0;
    pid_t pid = ::waitpid(-1, &status, 0);
    std::erase(children, pid);
    if (pid > 0 && status == 0) continue;
    if (WIFSIGNALED(status))
      std::fprintf(stderr, "a process died of %s\n", strsignal(WTERMSIG(status)));
    ++failed;
    for (pid_t other : children) ::kill(other, SIGKILL);  // it may have left the lock taken
  }
  return failed;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, &options)) return wrong_use();
  ::unlink((options.dir + "/oracle").c_str());
  std::printf("data oracle: seed %u, %lu operations, %u processes\n", options.seed, options.ops,
              options.processes);
  std::fflush(stdout);
  Shadow* shadow = make_shadow(options.bytes);
  if (run_all(options, shadow) != 0) return 1;
  Oracle(options, shadow, 0).check_all();
  ::unlink((options.dir + "/oracle").c_str());
  return 0;
}
