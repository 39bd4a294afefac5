// SPDX-License-Identifier: Apache-2.0
// Random operations on one file against a model in memory (write, read, mmap, truncate, fsync,
// direct I/O, cold reads). Breaks: any lost or stale byte. The seed is printed; CFS_FSX_SEED and
// CFS_FSX_OPS choose another run.
#include "fs.h"

using namespace fs_test;  // NOLINT: tests only

namespace {

constexpr std::size_t kMax = 3u << 20;

class Model {
 public:
  Model(std::string path, unsigned seed) : path_(std::move(path)), rng_(seed) {
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0644);
    direct_ = ::open(path_.c_str(), O_RDWR | O_DIRECT);
  }
  ~Model() {
    ::close(fd_);
    if (direct_ >= 0) ::close(direct_);
  }

  void step(int i) {
    switch (rng_() % 16) {
      case 0:
      case 1:
      case 2:
      case 3:
        return write(fd_, false);
      case 4:
      case 5:
        return append();
      case 6:
      case 7:
      case 8:
        return read(fd_);
      case 9:
        return map_write();
      case 10:
        return map_read();
      case 11:
        return truncate();
      case 12:
        ASSERT_EQ(sys(::fsync(fd_)), 0) << i;
        return;
      case 13:
        if (rng_() % 4 == 0) drop_caches();
        return read(fd_);
      case 14:
        if (direct_ >= 0) return write(direct_, true);
        return;
      default:
        if (direct_ >= 0) return read_direct();
        return;
    }
  }

  void check_all() {
    drop_caches();
    ASSERT_EQ(read_all(fd_, kMax + 1, 0), data_);
  }

 private:
  std::size_t any(std::size_t n) { return n == 0 ? 0 : rng_() % n; }
  std::size_t length() { return 1 + any(rng_() % 3 == 0 ? 400000 : 6000); }

  void put(std::size_t at, const std::string& s) {
    if (data_.size() < at + s.size()) data_.resize(at + s.size(), '\0');
    data_.replace(at, s.size(), s);
  }

  void write(int fd, bool aligned) {
    std::size_t at = any(kMax - 400001), n = length();
    if (aligned) {
      at &= ~std::size_t{4095};
      n = (n + 4095) & ~std::size_t{4095};
      if (at + n > kMax) return;
    }
    std::string s = pattern(n, static_cast<unsigned>(rng_()));
    if (aligned) {
      void* mem = nullptr;
      ASSERT_EQ(::posix_memalign(&mem, 4096, n), 0);
      memcpy(mem, s.data(), n);
      ssize_t r = ::pwrite(fd, mem, n, static_cast<off_t>(at));
      ::free(mem);
      ASSERT_EQ(r, static_cast<ssize_t>(n)) << strerror(errno);
    } else {
      write_all(fd, s, static_cast<off_t>(at));
    }
    put(at, s);
  }

  void append() {
    std::size_t n = length();
    if (data_.size() + n > kMax) return;
    std::string s = pattern(n, static_cast<unsigned>(rng_()));
    write_all(fd_, s, static_cast<off_t>(data_.size()));
    put(data_.size(), s);
  }

  void expect(std::size_t at, const std::string& got, std::size_t n, const char* how) {
    std::string want = at < data_.size() ? data_.substr(at, n) : std::string();
    ASSERT_EQ(got.size(), want.size()) << how << " at " << at << " size " << data_.size();
    if (got == want) return;
    auto bad = std::mismatch(got.begin(), got.end(), want.begin());
    FAIL() << how << ": first wrong byte at "
           << at + static_cast<std::size_t>(bad.first - got.begin());
  }

  void read(int fd) {
    std::size_t at = any(data_.size() + 5000), n = length();
    expect(at, read_all(fd, n, static_cast<off_t>(at)), n, "read");
  }

  void read_direct() {
    std::size_t at = any(data_.size() + 1) & ~std::size_t{4095},
                n = (length() + 4095) & ~std::size_t{4095};
    void* mem = nullptr;
    ASSERT_EQ(::posix_memalign(&mem, 4096, n), 0);
    ssize_t r = ::pread(direct_, mem, n, static_cast<off_t>(at));
    ASSERT_GE(r, 0) << strerror(errno);
    expect(at, std::string(static_cast<char*>(mem), static_cast<std::size_t>(r)), n, "direct read");
    ::free(mem);
  }

  void map_write() {
    if (data_.size() < 2) return;
    std::size_t at = any(data_.size() - 1), n = std::min(length(), data_.size() - at);
    auto* m = static_cast<char*>(
        ::mmap(nullptr, data_.size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0));
    ASSERT_NE(m, MAP_FAILED);
    std::string s = pattern(n, static_cast<unsigned>(rng_()));
    memcpy(m + at, s.data(), n);
    ::munmap(m, data_.size());
    put(at, s);
  }

  void map_read() {
    if (data_.empty()) return;
    auto* m = static_cast<char*>(::mmap(nullptr, data_.size(), PROT_READ, MAP_SHARED, fd_, 0));
    ASSERT_NE(m, MAP_FAILED);
    std::size_t at = any(data_.size()), n = std::min(length(), data_.size() - at);
    expect(at, std::string(m + at, n), n, "mapped read");
    ::munmap(m, data_.size());
  }

  void truncate() {
    std::size_t n = any(rng_() % 4 == 0 ? 5000 : kMax);
    ASSERT_EQ(sys(::ftruncate(fd_, static_cast<off_t>(n))), 0);
    data_.resize(n, '\0');
  }

  std::string path_;
  std::mt19937 rng_;
  std::string data_;
  int fd_ = -1, direct_ = -1;
};

unsigned env(const char* name, unsigned other) {
  const char* v = std::getenv(name);
  return v ? static_cast<unsigned>(std::strtoul(v, nullptr, 10)) : other;
}

}  // namespace

using Random = Dir;

TEST_F(Random, AgainstModel) {
  unsigned seed = env("CFS_FSX_SEED", std::random_device{}());
  unsigned ops = env("CFS_FSX_OPS", 400);
  std::cout << "seed " << seed << ", " << ops << " operations\n";
  Model model(p("f"), seed);
  for (unsigned i = 0; i < ops; ++i) {
    model.step(static_cast<int>(i));
    ASSERT_FALSE(HasFatalFailure()) << "operation " << i << " of seed " << seed;
  }
  model.check_all();
}

TEST_F(Random, ManyFilesInParallel) {
  unsigned seed = env("CFS_FSX_SEED", std::random_device{}());
  std::vector<pid_t> pids;
  for (unsigned w = 0; w < 3; ++w) {
    pid_t pid = ::fork();
    if (pid == 0) {
      Model model(p("f" + std::to_string(w)), seed + w);
      for (int i = 0; i < 80 && !HasFatalFailure(); ++i) model.step(i);
      if (!HasFatalFailure()) model.check_all();
      ::_exit(HasFailure() ? 1 : 0);
    }
    pids.push_back(pid);
  }
  for (pid_t pid : pids) {
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "seed " << seed;
  }
}
