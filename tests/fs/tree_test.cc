// SPDX-License-Identifier: Apache-2.0
/// Random namespace operations, each done on the directory under test and on a local file system ($CFS_ORACLE_DIR,
/// else /var/tmp): every result and in the end every name, type, mode, size, link count, content and attribute must be
/// the same. From one thread, from eight, and from eight over two mounts. Breaks: a name or an inode is not what the
/// calls made of it. The seed is printed; CFS_TREE_SEED and CFS_TREE_OPS choose another run.
#include <atomic>
#include <iostream>
#include <map>
#include <thread>

#include "posix.h"

using namespace fs_test;  // NOLINT: tests only

namespace {

unsigned env(const char* name, unsigned other) {
  const char* v = std::getenv(name);
  return v != nullptr ? static_cast<unsigned>(std::strtoul(v, nullptr, 10)) : other;
}

std::string link_target(const std::string& path) {
  char b[4096];
  const ssize_t n = ::readlink(path.c_str(), b, sizeof(b));
  return n < 0 ? result_text(-errno) : std::string(b, static_cast<std::size_t>(n));
}

/// All that must be equal of one file. Links of directories are counted otherwise (differences.cc).
std::string describe(const std::string& path) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) return result_text(-errno);
  std::string s = std::to_string(st.st_mode);
  if (S_ISDIR(st.st_mode)) return s;
  s += " links " + std::to_string(st.st_nlink) + " size " + std::to_string(st.st_size);
  if (S_ISLNK(st.st_mode)) return s + " -> " + link_target(path);
  s += " user.a " + std::to_string(call::getx(path, "user.a"));
  Fd f(path, O_RDONLY | O_NONBLOCK);
  const std::string data = S_ISREG(st.st_mode) ? read_all(f.get(), 1 << 20, 0) : "";
  return s + " hash " + std::to_string(std::hash<std::string>{}(data));
}

/// Relative path -> description, of everything below.
std::map<std::string, std::string> tree(const std::string& root) {
  std::map<std::string, std::string> out;
  for (const auto& e : std::filesystem::recursive_directory_iterator(root))
    out[e.path().string().substr(root.size())] = describe(e.path().string());
  return out;
}

/// One sequence of operations on two directories.
class Twins {
 public:
  Twins(std::string tested, std::string oracle, unsigned seed)
      : roots_{std::move(tested), std::move(oracle)}, seed_(seed), rng_(seed) {
    for (const std::string& r : roots_) std::filesystem::create_directories(r);
  }

  void run(unsigned ops) {
    for (unsigned i = 0; i < ops; ++i) {
      const auto [name, op] = choose();
      const long got = op(roots_[0]), expected = op(roots_[1]);
      if (got == expected) continue;
      ADD_FAILURE() << "operation " << i << " of seed " << seed_ << ": " << name << ": got "
                    << result_text(got) << ", expected " << result_text(expected);
      return;
    }
  }

  /// `tested`: where to look, perhaps through another mount.
  void compare(const std::string& tested) const {
    const auto got = tree(tested), expected = tree(roots_[1]);
    for (const auto& [path, what] : expected) {
      const auto found = got.find(path);
      EXPECT_EQ(found == got.end() ? "missing" : found->second, what) << path << ", seed " << seed_;
    }
    EXPECT_EQ(got.size(), expected.size()) << "names too many, seed " << seed_;
  }

 private:
  using Op = std::function<long(const std::string& root)>;

  unsigned any(unsigned n) { return static_cast<unsigned>(rng_() % n); }
  /// Up to three components of a small vocabulary, so that paths meet often.
  std::string path() {
    std::string s;
    for (unsigned depth = 1 + any(3); depth > 0; --depth) s += "/n" + std::to_string(any(5));
    return s;
  }

  std::pair<std::string, Op> choose() {
    const std::string a = path(), b = path(), both = a + " " + b;
    const unsigned r = any(1000), kind = any(18);
    const mode_t mode = 0600 | (r & 0177);
    const std::string data = pattern(r * (r % 5 == 0 ? 40 : 3), r);
    switch (kind) {
      case 0:
      case 1:
        return {"mkdir " + a, [=](const auto& t) { return call::mkdir(t + a, mode | 0700); }};
      case 2:
        return {"create " + a, [=](const auto& t) {
                  return call::open(t + a, O_CREAT | O_EXCL | O_WRONLY, mode);
                }};
      case 3:
      case 4:
        return {"write " + a,
                [=](const auto& t) { return write(t + a, data, O_CREAT | O_TRUNC, mode); }};
      case 5:
        return {"append " + a, [=](const auto& t) { return write(t + a, data, O_APPEND, mode); }};
      case 6:
        return {"truncate " + a, [=](const auto& t) { return call::truncate(t + a, r * 7); }};
      case 7:
      case 8:
        return {"rename " + both, [=](const auto& t) { return call::rename(t + a, t + b); }};
      case 9:
        return {"noreplace " + both,
                [=](const auto& t) { return call::rename2(t + a, t + b, RENAME_NOREPLACE); }};
      case 10:
        return {"link " + both, [=](const auto& t) { return link_file(t + a, t + b); }};
      case 11:
        return {"symlink " + a,
                [=](const auto& t) { return call::symlink("n" + std::to_string(r % 5), t + a); }};
      case 12:
        return {"unlink " + a, [=](const auto& t) { return call::unlink(t + a); }};
      case 13:
        return {"rmdir " + a, [=](const auto& t) { return call::rmdir(t + a); }};
      case 14:
        return {"chmod " + a, [=](const auto& t) { return call::chmod(t + a, mode | 0700); }};
      case 15:
        return {"setxattr " + a,
                [=](const auto& t) { return call::setx(t + a, "user.a", data.substr(0, 200)); }};
      case 16:
        return {"fifo " + a, [=](const auto& t) { return call::mkfifo(t + a, mode); }};
      default:
        return {"look " + a, [=](const auto& t) { return look(t + a); }};
    }
  }

  static long write(const std::string& p, const std::string& data, int flags, mode_t mode) {
    if (S_ISFIFO(mode_of(p))) return -ENXIO;  // nobody reads
    const int fd = ::open(p.c_str(), O_WRONLY | O_NONBLOCK | flags, mode);
    if (fd < 0) return -errno;
    const long n = sys(::write(fd, data.data(), data.size()));
    const long closed = sys(::close(fd));
    return closed != 0 ? closed : n;
  }
  /// Other types have no links here (differences.cc).
  static long link_file(const std::string& a, const std::string& b) {
    return S_ISREG(mode_of(a)) ? call::link(a, b) : 0;
  }
  static long look(const std::string& p) {
    return static_cast<long>(std::hash<std::string>{}(describe(p)) & 0xffffff);
  }

  const std::string roots_[2];
  const unsigned seed_;
  std::mt19937 rng_;
};

constexpr unsigned kThreads = 8;

/// What threads of a shared directory do: each name is made by one and removed by one.
struct Shared {
  std::atomic<unsigned> made{0}, removed{0}, moved{0};

  void run(const std::string& dir, unsigned names) {
    for (unsigned i = 0; i < names; ++i) {
      const std::string n = dir + "/s" + std::to_string(i);
      const long m = call::open(n, O_CREAT | O_EXCL | O_WRONLY);
      made += m == 0;
      EXPECT_TRUE(m == 0 || m == -EEXIST) << n << ": " << result_text(m);
    }
  }
  void empty(const std::string& dir, const std::string& to, unsigned names) {
    for (unsigned i = 0; i < names; ++i) {
      const std::string n = "/s" + std::to_string(i);
      const long r = i % 2 ? call::unlink(dir + n) : call::rename(dir + n, to + n);
      (i % 2 ? removed : moved) += r == 0;
      EXPECT_TRUE(r == 0 || r == -ENOENT) << n << ": " << result_text(r);
    }
  }
};

}  // namespace

class Tree : public Dir {
 protected:
  void SetUp() override {
    Dir::SetUp();
    ::umask(0);
    const char* oracle = std::getenv("CFS_ORACLE_DIR");
    oracle_ = std::string(oracle != nullptr ? oracle : "/var/tmp") + "/cfs-tree-" +
              std::to_string(::getpid());
    std::filesystem::remove_all(oracle_);
    seed_ = env("CFS_TREE_SEED", std::random_device{}());
    ops_ = env("CFS_TREE_OPS", 300);
    std::cout << "seed " << seed_ << ", " << ops_ << " operations\n";
  }
  void TearDown() override {
    ::umask(022);
    std::filesystem::remove_all(oracle_);
    Dir::TearDown();
  }

  /// Threads 0, 2, ... work below `first`, the others below `second`; who made a tree does not look at it in the end.
  void eight(const std::string& first, const std::string& second) {
    const std::string mounts[2] = {first, second};
    const unsigned names = ops_ / 8;
    Shared shared;
    ASSERT_EQ(call::mkdir(first + "/shared") | call::mkdir(first + "/moved"), 0);
    std::vector<std::unique_ptr<Twins>> twins;
    for (unsigned t = 0; t < kThreads; ++t) {
      const std::string own = "/t" + std::to_string(t);
      twins.push_back(std::make_unique<Twins>(mounts[t % 2] + own, oracle_ + own, seed_ + t));
    }
    each([&](unsigned t) {
      shared.run(mounts[t % 2] + "/shared", names);
      twins[t]->run(ops_);
    });
    EXPECT_EQ(shared.made, names) << "seed " << seed_;
    each([&](unsigned t) {
      shared.empty(mounts[t % 2] + "/shared", mounts[t % 2] + "/moved", names);
    });
    EXPECT_EQ(shared.removed, names / 2) << "seed " << seed_;
    // A mount that still believes the old name finds the same inode under the new one: rename(2) does nothing then.
    EXPECT_GE(shared.moved, names - names / 2) << "seed " << seed_;
    if (first == second) {
      EXPECT_EQ(shared.moved, names - names / 2) << "seed " << seed_;
    }
    if (first == second) drop_caches();
    for (unsigned t = 0; t < kThreads; ++t)
      twins[t]->compare(mounts[(t + 1) % 2] + "/t" + std::to_string(t));
    EXPECT_TRUE(list(second + "/shared").empty());
    EXPECT_EQ(list(second + "/moved").size(), names - names / 2);
  }

  static void each(const std::function<void(unsigned)>& work) {
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; ++t) threads.emplace_back(work, t);
    for (std::thread& t : threads) t.join();
  }

  std::string oracle_;
  unsigned seed_ = 0, ops_ = 0;
};

TEST_F(Tree, AgainstLocalFileSystem) {
  Twins twins(p("t"), oracle_ + "/t", seed_);
  twins.run(ops_ * 4);
  twins.compare(p("t"));
  drop_caches();
  twins.compare(p("t"));
}

TEST_F(Tree, EightThreads) {
  eight(root_, root_);
}

TEST_F(Tree, EightThreadsOverTwoMounts) {
  const char* second = std::getenv("CFS_TEST_DIR2");
  if (second == nullptr) GTEST_SKIP() << "CFS_TEST_DIR2 names no second mount";
  eight(root_, second + root_.substr(std::string(std::getenv("CFS_TEST_DIR")).size()));
}
