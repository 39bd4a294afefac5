// SPDX-License-Identifier: Apache-2.0
// The metadata cache: BPF maps that the daemon fills, and the policy that answers from them. Breaks: stat() of a known name
// asks a server, or worse, tells what is no longer true.
//
// Runs in a guest as root on a kernel mount ($CFS_TEST_DIR), with the FUSE mount of the same volume ($CFS_TEST_DIR2) as the
// other host. $CFS_CFSCTL: the program; $CFS_BAD_POLICY: an object file that the verifier must refuse.
// $CFS_NO_POLICY=1: the mount has the option nobpf, and only what does not depend on a cache is run.
#include <dirent.h>
#include <sys/statfs.h>

#include <array>
#include <cstdio>

#include "data_fixture.h"

using namespace data_test;  // NOLINT: tests only

namespace {

constexpr int kMetaInodeGet = 0x27, kMetaBatchInodeGet = 0x28;
constexpr double kEntryLifetime = 5.0, kSlack = 1.5;  // docs/consistency.md

/// Output and exit code of a shell command.
struct Ran {
  int code;
  std::string text;
};

Ran run(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  std::string text;
  std::array<char, 4096> part;
  for (size_t n; (n = fread(part.data(), 1, part.size(), pipe)) > 0;) text.append(part.data(), n);
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text};
}

Ran cfsctl(const std::string& arguments) {
  return run(env("CFS_CFSCTL") + " " + arguments);
}

struct stat stat_of(const std::string& path) {
  struct stat st {};
  EXPECT_EQ(stat(path.c_str(), &st), 0) << path << ": " << strerror(errno);
  return st;
}

int errno_of_stat(const std::string& path) {
  struct stat st {};
  return stat(path.c_str(), &st) == 0 ? 0 : errno;
}

void make(const std::string& path, const std::string& content = "x") {
  Fd fd(path, O_WRONLY | O_CREAT | O_TRUNC);
  ASSERT_EQ(write_at(fd.get(), content, 0), 0);
  ASSERT_EQ(fd.close(), 0);
}

/// Names and inodes go, pages and the policy's maps stay. Several rounds: the first only ages them.
void drop_dentries() {
  for (int i = 0; i < 4; i++) std::ofstream("/proc/sys/vm/drop_caches") << "2\n";
}

double now() {
  return std::chrono::duration<double>(steady_clock::now().time_since_epoch()).count();
}

class Cache : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    name_ = std::string("/cache.") + info->name();
    system(("rm -rf " + env("CFS_TEST_DIR") + name_).c_str());
    ASSERT_EQ(mkdir(dir().c_str(), 0755), 0) << dir() << ": " << strerror(errno);
  }
  void TearDown() override {
    fault("action=clear");
    system(("rm -rf " + dir()).c_str());
  }
  [[nodiscard]] std::string dir() const { return env("CFS_TEST_DIR") + name_; }
  [[nodiscard]] std::string path(const std::string& n) const { return dir() + "/" + n; }
  [[nodiscard]] std::string other(const std::string& n) const {
    return env("CFS_TEST_DIR2") + name_ + "/" + n;
  }

  /// A number of `cfsctl stats`: requests by operation, or a count of the kernel.
  static long counted(const std::string& key) {
    const Ran ran = cfsctl("stats " + env("CFS_TEST_DIR") + " --json");
    const size_t at = ran.text.find("\"" + key + "\":");
    if (at == std::string::npos) {
      ADD_FAILURE() << key << " is not in " << ran.text;
      return 0;
    }
    return atol(ran.text.c_str() + at + key.size() + 3);
  }
  /// Questions to the daemon about names and attributes.
  static long questions() { return counted("lookup") + counted("getattr"); }

  std::string name_;
};

/// Only with a policy.
class Policy : public Cache {
 protected:
  void SetUp() override {
    ASSERT_NE(env("CFS_NO_POLICY"), "1") << "the mount has no policy: run Cache.* only";
    for (int i = 0; i < 200 && cfsctl("policy show").code != 0; i++)
      std::this_thread::sleep_for(milliseconds(100));
    ASSERT_NE(cfsctl("policy show").text.find("policy meta_cache"), std::string::npos);
    Cache::SetUp();
    if (HasFatalFailure()) return;
    // or the lifetimes of the mount's root would end in the middle of a count
    ASSERT_EQ(cfsctl("policy rule set " + env("CFS_TEST_DIR") + " --entry 600 --attr 600").code, 0);
    stat_of(dir());
  }
  void TearDown() override {
    if (IsSkipped()) return;
    cfsctl("policy rule drop " + dir());
    cfsctl("policy rule drop " + env("CFS_TEST_DIR"));
    Cache::TearDown();
  }
  void rule(const std::string& options) {
    const Ran ran = cfsctl("policy rule set " + dir() + " " + options);
    ASSERT_EQ(ran.code, 0) << ran.text;
  }
};

// ---- hits ----

TEST_F(Policy, DroppedDentriesAreFoundAgainWithoutAQuestion) {
  const std::string long_name(200, 'l');
  for (const std::string& n :
       {std::string("a"), std::string(47, 's'), std::string(48, 't'), long_name})
    make(path(n), n);
  chmod(path("a").c_str(), 0640);
  ASSERT_EQ(symlink("a", path("link").c_str()), 0);
  const std::vector<std::string> names = {path("a"), path(std::string(47, 's')),
                                          path(std::string(48, 't')), path(long_name)};
  drop_dentries();
  for (const auto& n : names) stat_of(n);
  drop_dentries();
  const long asked = questions(), hits = counted("cache_hits");
  const struct stat a = stat_of(names[0]);
  EXPECT_EQ(a.st_mode, S_IFREG | 0640u);
  EXPECT_EQ(a.st_size, 1);
  EXPECT_EQ(stat_of(names[1]).st_size, 47);
  EXPECT_EQ(stat_of(names[2]).st_size, 48);
  EXPECT_EQ(stat_of(names[3]).st_size, 200);
  EXPECT_EQ(questions(), asked);
  EXPECT_GE(counted("cache_hits") - hits, 4);
}

TEST_F(Policy, WithoutRulesLifetimesAreTheDaemons) {
  ASSERT_EQ(cfsctl("policy rule drop " + env("CFS_TEST_DIR")).code, 0);
  for (int i = 0; i < 30; i++) make(path("f" + std::to_string(i)));
  const auto look = [&] {
    drop_dentries();
    for (int i = 0; i < 30; i++) stat_of(path("f" + std::to_string(i)));
  };
  look();
  long asked = questions(), hits = counted("cache_hits");
  look();
  EXPECT_GE(counted("cache_hits") - hits, 30);
  EXPECT_LE(questions() - asked, 4) << "more than what the way there may cost";
  std::this_thread::sleep_for(milliseconds(5500));
  asked = questions();
  stat_of(path("f0"));
  EXPECT_GE(questions() - asked, 1) << "names are believed for 5 s";
}

TEST_F(Policy, AListingFillsTheCache) {
  for (int i = 0; i < 50; i++) make(path("f" + std::to_string(i)));
  drop_dentries();
  DIR* d = opendir(dir().c_str());
  while (readdir(d) != nullptr) {
  }
  closedir(d);
  drop_dentries();
  stat_of(dir());
  const long asked = questions();
  for (int i = 0; i < 50; i++) EXPECT_EQ(stat_of(path("f" + std::to_string(i))).st_size, 1);
  EXPECT_EQ(questions(), asked);
}

TEST_F(Policy, AStormOfQuestionsFetchesTheDirectory) {
  constexpr int kFiles = 120;
  for (int i = 0; i < kFiles; i++) make(path("f" + std::to_string(i)));
  rule("--entry 60 --attr 60");
  drop_dentries();
  const long asked = questions();
  for (int i = 0; i < 30; i++) stat_of(path("f" + std::to_string(i)));
  std::this_thread::sleep_for(milliseconds(1500));
  for (int i = 30; i < kFiles; i++) stat_of(path("f" + std::to_string(i)));
  EXPECT_LT(questions() - asked, 60) << "of " << kFiles << " names";
}

TEST_F(Policy, AbsenceIsBelievedWhereARuleSaysSo) {
  EXPECT_EQ(errno_of_stat(path("none")), ENOENT);
  long asked = questions();
  EXPECT_EQ(errno_of_stat(path("none")), ENOENT);
  EXPECT_EQ(questions() - asked, 1) << "not by default";
  rule("--entry 60 --attr 60 --absent 60");
  EXPECT_EQ(errno_of_stat(path("none")), ENOENT);
  asked = questions();
  EXPECT_EQ(errno_of_stat(path("none")), ENOENT);
  drop_dentries();
  stat_of(dir());
  const long hits = counted("cache_absent_hits");
  asked = questions();
  EXPECT_EQ(errno_of_stat(path("none")), ENOENT);
  EXPECT_EQ(questions() - asked, 0);
  EXPECT_EQ(counted("cache_absent_hits") - hits, 1);
  make(path("none"));
  EXPECT_EQ(errno_of_stat(path("none")), 0) << "what is made here is seen here";
  ASSERT_EQ(unlink(path("none").c_str()), 0);
  EXPECT_EQ(errno_of_stat(path("none")), ENOENT);
}

TEST_F(Policy, RulesHoldForAllBelow) {
  ASSERT_EQ(mkdir(path("sub").c_str(), 0755), 0);
  make(path("sub/f"));
  rule("--entry 0 --attr 0");
  stat_of(path("sub/f"));
  const long asked = questions();
  stat_of(path("sub/f"));
  stat_of(path("sub/f"));
  EXPECT_GE(questions() - asked, 4) << "asked each time: the directory and the file";
  ASSERT_EQ(cfsctl("policy rule drop " + dir()).code, 0);
  stat_of(path("sub/f"));
  const long later = questions();
  stat_of(path("sub/f"));
  EXPECT_EQ(questions() - later, 0);
}

TEST_F(Policy, AnOpenAsksUnlessARuleGrantsIt) {
  make(path("f"));
  rule("--entry 60 --attr 60");
  stat_of(path("f"));
  long asked = questions();
  for (int i = 0; i < 5; i++) Fd(path("f"), O_RDONLY);
  EXPECT_EQ(questions() - asked, 5) << "one question for each: close-to-open";
  rule("--entry 60 --attr 60 --open 60");
  drop_dentries();
  Fd(path("f"), O_RDONLY);
  asked = questions();
  for (int i = 0; i < 5; i++) Fd(path("f"), O_RDONLY);
  EXPECT_EQ(questions() - asked, 0);
  drop_dentries();
  stat_of(dir());
  asked = questions();
  Fd(path("f"), O_RDONLY);
  EXPECT_EQ(questions() - asked, 0) << "nor when it comes from the maps";
}

// ---- what is old is not told ----

TEST_F(Cache, LocalChangesAreSeenAtOnce) {
  for (int round = 0; round < 10; round++) {
    make(path("f"), "12345");
    make(path("g"), "1");
    stat_of(path("f"));
    drop_dentries();
    const ino_t f = stat_of(path("f")).st_ino, g = stat_of(path("g")).st_ino;
    ASSERT_EQ(chmod(path("f").c_str(), 0600), 0);
    drop_dentries();
    ASSERT_EQ(stat_of(path("f")).st_mode, S_IFREG | 0600u);
    ASSERT_EQ(truncate(path("f").c_str(), 2), 0);
    drop_dentries();
    ASSERT_EQ(stat_of(path("f")).st_size, 2);
    ASSERT_EQ(rename(path("f").c_str(), path("g").c_str()), 0);
    drop_dentries();
    ASSERT_EQ(stat_of(path("g")).st_ino, f);
    ASSERT_EQ(errno_of_stat(path("f")), ENOENT);
    ASSERT_EQ(unlink(path("g").c_str()), 0);
    make(path("g"), "new");
    drop_dentries();
    const struct stat again = stat_of(path("g"));
    ASSERT_NE(again.st_ino, f);
    ASSERT_NE(again.st_ino, g);
    ASSERT_EQ(again.st_size, 3);
    ASSERT_EQ(unlink(path("g").c_str()), 0);
  }
}

TEST_F(Cache, ALateAnswerDoesNotHideALocalChange) {
  make(path("f"), "12345");
  stat_of(path("f"));
  Fd open_file(path("f"), O_RDONLY);
  fault("action=late_reply&op=" + std::to_string(kMetaInodeGet) + "&value=1500&count=1");
  std::thread asks([&] {
    struct statx stx {};
    EXPECT_EQ(statx(open_file.get(), "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_ALL, &stx), 0);
  });
  std::this_thread::sleep_for(milliseconds(300));
  ASSERT_EQ(chmod(path("f").c_str(), 0604), 0);
  asks.join();
  open_file.close();
  drop_dentries();
  EXPECT_EQ(stat_of(path("f")).st_mode, S_IFREG | 0604u);
}

TEST_F(Policy, ALatePrefetchDoesNotHideLocalChanges) {
  for (int i = 0; i < 60; i++) make(path("f" + std::to_string(i)));
  rule("--entry 60 --attr 60 --absent 60 --prefetch");
  drop_dentries();
  stat_of(dir());
  fault("action=late_reply&op=" + std::to_string(kMetaBatchInodeGet) + "&value=1500&count=1");
  stat_of(path("f0"));  // the first miss: the whole directory is asked for, and its answer is late
  std::this_thread::sleep_for(milliseconds(300));
  const ino_t moved = stat_of(path("f1")).st_ino;
  ASSERT_EQ(rename(path("f1").c_str(), path("f2").c_str()), 0);
  ASSERT_EQ(unlink(path("f3").c_str()), 0);
  ASSERT_EQ(truncate(path("f4").c_str(), 100), 0);
  std::this_thread::sleep_for(milliseconds(2000));
  drop_dentries();
  EXPECT_EQ(errno_of_stat(path("f1")), ENOENT);
  EXPECT_EQ(stat_of(path("f2")).st_ino, moved);
  EXPECT_EQ(errno_of_stat(path("f3")), ENOENT);
  EXPECT_EQ(stat_of(path("f4")).st_size, 100);
}

TEST_F(Cache, ChangesOfAnotherHostComeWithinTheLifetime) {
  make(path("f"), "1");
  make(path("gone"), "1");
  stat_of(path("f"));
  stat_of(path("gone"));
  drop_dentries();
  stat_of(path("f"));
  stat_of(path("gone"));
  ASSERT_EQ(rename(other("gone").c_str(), other("f").c_str()), 0) << strerror(errno);
  const double start = now();
  while (errno_of_stat(path("gone")) == 0 && now() - start < 60) {
    drop_dentries();
    std::this_thread::sleep_for(milliseconds(50));
  }
  EXPECT_LE(now() - start, kEntryLifetime + kSlack);
}

// Many change a few names, many look at them through a cache that is dropped all the time. Each name has one owner that knows
// what it did last; what is seen is never older than what the owner had done before the look began.
TEST_F(Cache, RaceOfChangesAndLooks) {
  constexpr int kNames = 4, kLookers = 4;
  std::array<std::atomic<int>, kNames>
      done{};  // size of the file, which only grows; 0: not made yet
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < kNames; i++) {
    threads.emplace_back([&, i] {
      const std::string mine = path("f" + std::to_string(i)), spare = mine + ".new";
      for (int size = 1; !stop; size++) {
        if (size % 3 == 0) {  // a new inode takes the name
          make(spare, std::string(static_cast<size_t>(size), 'n'));
          ASSERT_EQ(rename(spare.c_str(), mine.c_str()), 0);
        } else {
          make(mine, std::string(static_cast<size_t>(size), 'o'));
        }
        done[i] = size;
      }
    });
  }
  std::array<std::atomic<long>, kLookers> looks{};
  for (int l = 0; l < kLookers; l++) {
    threads.emplace_back([&, l] {
      while (!stop) {
        const int i = static_cast<int>(looks[l]++) % kNames;
        const int before = done[i];
        if (before == 0) continue;
        struct stat st {};
        ASSERT_EQ(stat(path("f" + std::to_string(i)).c_str(), &st), 0) << strerror(errno);
        // between truncation and write, the file of the round under way may be empty
        ASSERT_TRUE(st.st_size >= before || st.st_size == 0) << st.st_size << " after " << before;
      }
    });
  }
  threads.emplace_back([&] {
    while (!stop) {
      drop_dentries();
      std::this_thread::sleep_for(milliseconds(30));
    }
  });
  std::this_thread::sleep_for(milliseconds(6000));
  stop = true;
  for (auto& t : threads) t.join();
  for (int i = 0; i < kNames; i++) {
    EXPECT_GT(done[i].load(), 5) << "owner " << i << " hardly ran";
    EXPECT_EQ(stat_of(path("f" + std::to_string(i))).st_size, done[i].load());
  }
}

// ---- programs ----

TEST_F(Policy, ARefusedProgramChangesNothing) {
  const Ran ran = cfsctl("policy load " + env("CFS_BAD_POLICY"));
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.text.find("only read is supported"), std::string::npos) << ran.text;
  EXPECT_NE(cfsctl("policy show").text.find("policy meta_cache"), std::string::npos);
  make(path("f"));
  drop_dentries();
  stat_of(path("f"));
  drop_dentries();
  const long asked = questions();
  stat_of(path("f"));
  EXPECT_EQ(questions(), asked);
}

TEST_F(Policy, IsReplacedUnderLoad) {
  for (int i = 0; i < 20; i++) make(path("f" + std::to_string(i)));
  std::atomic<bool> stop{false};
  std::atomic<long> looks{0};
  std::thread looker([&] {
    while (!stop) {
      for (int i = 0; i < 20; i++) {
        struct stat st {};
        ASSERT_EQ(stat(path("f" + std::to_string(i)).c_str(), &st), 0) << strerror(errno);
        looks++;
      }
      drop_dentries();
    }
  });
  for (const char* name : {"training_set", "meta_cache", "training_set", "meta_cache"}) {
    const Ran ran = cfsctl(std::string("policy load ") + name);
    EXPECT_EQ(ran.code, 0) << ran.text;
    EXPECT_NE(ran.text.find("the cache is kept"), std::string::npos) << ran.text;
    std::this_thread::sleep_for(milliseconds(200));
  }
  EXPECT_EQ(cfsctl("policy unload").code, 0);
  stat_of(path("f0"));
  EXPECT_EQ(cfsctl("policy load meta_cache").code, 0);
  stop = true;
  looker.join();
  EXPECT_GT(looks, 100);
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
