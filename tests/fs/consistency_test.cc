// SPDX-License-Identifier: Apache-2.0
/// Two mounts of one volume ($CFS_TEST_DIR and $CFS_TEST_DIR2, of two daemons or two kernels' caches): the contract of
/// docs/consistency.md, sentence by sentence. Breaks: another host sees old data longer than promised.
#include <sys/xattr.h>

#include <chrono>
#include <thread>

#include "mini.h"
#include "posix.h"

using namespace fs_test;  // NOLINT: tests only

namespace {

/// Lifetimes of the mounts under test, which use the defaults. Source: docs/consistency.md.
constexpr double kEntryLifetime = 5.0, kSlack = 1.5;

double now() {
  using std::chrono::steady_clock;
  return std::chrono::duration<double>(steady_clock::now().time_since_epoch()).count();
}

/// Seconds until `seen` is true; asks without pause, as a program that polls does.
double wait_until(const std::function<bool()>& seen) {
  const double start = now();
  while (!seen() && now() - start < kEntryLifetime + 60)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  return now() - start;
}

/// How often the servers were asked for xattrs while `what` ran.
template <typename F>
std::size_t asked_for_xattrs(F what) {
  ask_mini("/mini/log?on=true");
  what();
  const std::string log = ask_mini("/mini/log"), one = "\">MetaBatchGetXAttr\"";
  ask_mini("/mini/log?on=false");
  std::size_t n = 0;
  for (std::size_t at = log.find(one); at != std::string::npos; at = log.find(one, at + 1)) ++n;
  return n;
}

std::string read_fd(int fd) {
  return read_all(fd, 1 << 20, 0);
}

}  // namespace

/// a(): through the first mount, b(): the same name through the second.
class TwoMounts : public Dir {
 protected:
  void SetUp() override {
    const char* second = std::getenv("CFS_TEST_DIR2");
    if (second == nullptr) GTEST_SKIP() << "CFS_TEST_DIR2 names no second mount";
    Dir::SetUp();
    if (HasFatalFailure()) return;
    other_ = second + root_.substr(std::string(std::getenv("CFS_TEST_DIR")).size());
    ASSERT_EQ(call::access(other_, F_OK), 0)
        << "a name the other mount never asked for is seen at once";
  }
  void TearDown() override {
    if (!IsSkipped()) Dir::TearDown();
  }
  [[nodiscard]] std::string a(const std::string& n) const { return root_ + "/" + n; }
  [[nodiscard]] std::string b(const std::string& n) const { return other_ + "/" + n; }
  /// After at most the entry lifetime.
  void seen_in_time(const std::string& what, const std::function<bool()>& seen) {
    EXPECT_LE(wait_until(seen), kEntryLifetime + kSlack) << what;
  }
  /// Of what another host has removed: right bytes at first, then an error.
  static void expect_reads_to_end(const Fd& f, const std::string& content) {
    int error = 0;
    const double took = wait_until([&] {
      ::posix_fadvise(f.get(), 0, 0, POSIX_FADV_DONTNEED);
      std::string got(content.size(), 0);
      const ssize_t n = ::pread(f.get(), got.data(), got.size(), 0);
      error = n < 0 ? errno : 0;
      got.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
      EXPECT_TRUE(content.starts_with(got)) << "wrong bytes";
      return n < 0;
    });
    EXPECT_TRUE(error == ESTALE || error == EIO) << strerror(error);
    EXPECT_LE(took, 30) << "tried again and again, although nobody has the bytes";
  }
  std::string other_;
};

TEST_F(TwoMounts, NewNameIsSeenAtOnce) {
  write_file(a("f"), "content");
  EXPECT_EQ(read_file(b("f")), "content");
  ASSERT_EQ(call::mkdir(a("d")), 0);
  write_file(b("d/g"), "back");
  EXPECT_EQ(read_file(a("d/g")), "back");
}

TEST_F(TwoMounts, AbsenceIsNotBelievedPastTheEntryLifetime) {
  EXPECT_EQ(call::access(b("f"), F_OK), -ENOENT);
  write_file(a("f"), "x");
  seen_in_time("new name", [&] { return call::access(b("f"), F_OK) == 0; });
}

TEST_F(TwoMounts, RemovedNameGoesWithinTheEntryLifetime) {
  write_file(a("f"), "x");
  ASSERT_EQ(call::access(b("f"), F_OK), 0);
  ASSERT_EQ(call::unlink(a("f")), 0);
  seen_in_time("removed name", [&] { return call::access(b("f"), F_OK) == -ENOENT; });
  ASSERT_EQ(call::mkdir(a("d")), 0);
  ASSERT_EQ(call::access(b("d"), F_OK), 0);
  ASSERT_EQ(call::rmdir(a("d")), 0);
  seen_in_time("removed directory", [&] { return call::access(b("d"), F_OK) == -ENOENT; });
}

TEST_F(TwoMounts, RenameIsSeenWithinTheEntryLifetime) {
  write_file(a("f"), "one");
  write_file(a("g"), "two");
  EXPECT_EQ(read_file(b("f")) + read_file(b("g")), "onetwo");
  ASSERT_EQ(call::rename(a("f"), a("g")), 0);
  seen_in_time("old name", [&] { return call::access(b("f"), F_OK) == -ENOENT; });
  seen_in_time("new name", [&] { return read_file(b("g")) == "one"; });
}

TEST_F(TwoMounts, OpenSeesWhatWasClosedBefore) {
  // Each round leaves the reader with attributes and pages of the round before, all of them still believed.
  for (int round = 1; round <= 8; ++round) {
    const std::string data =
        pattern(static_cast<std::size_t>(round % 2 ? 1000 * round : 300 * round),
                static_cast<unsigned>(round));
    write_file(a("f"), data);
    struct stat st {};
    Fd f(b("f"), O_RDONLY);
    ASSERT_GE(f.get(), 0);
    ASSERT_EQ(read_fd(f.get()), data) << "round " << round;
    ASSERT_EQ(sys(::fstat(f.get(), &st)), 0);
    EXPECT_EQ(st.st_size, static_cast<off_t>(data.size())) << "round " << round;
  }
}

TEST_F(TwoMounts, OpenSeesGrowth) {
  write_file(a("f"), "");
  std::string all;
  for (int i = 0; i < 8; ++i) {
    const std::string more = pattern(5000, static_cast<unsigned>(i));
    Fd w(a("f"), O_WRONLY | O_APPEND);
    ASSERT_EQ(sys(::write(w.get(), more.data(), more.size())), 5000);
    ASSERT_EQ(w.close(), 0);
    all += more;
    Fd r(b("f"), O_RDONLY);
    ASSERT_EQ(read_fd(r.get()), all) << i;
  }
}

TEST_F(TwoMounts, OpenSeesOverwriteInPlace) {
  write_file(a("f"), pattern(50000, 1));
  for (unsigned i = 2; i < 6; ++i) {
    EXPECT_TRUE(read_file(b("f")) == pattern(50000, i - 1)) << i;
    Fd w(a("f"), O_WRONLY);
    write_all(w.get(), pattern(50000, i), 0);
    ASSERT_EQ(w.close(), 0);
    EXPECT_TRUE(read_file(b("f")) == pattern(50000, i)) << i << ": same size, same extents";
  }
}

TEST_F(TwoMounts, OpenSeesTruncation) {
  write_file(a("f"), pattern(50000, 1));
  EXPECT_EQ(read_file(b("f")).size(), 50000u);
  ASSERT_EQ(call::truncate(a("f"), 100), 0);
  Fd r(b("f"), O_RDONLY);
  EXPECT_EQ(read_fd(r.get()), pattern(50000, 1).substr(0, 100));
}

TEST_F(TwoMounts, FsyncIsEnough) {
  Fd w(a("f"), O_CREAT | O_RDWR);
  write_all(w.get(), "first", 0);
  ASSERT_EQ(sys(::fsync(w.get())), 0);
  EXPECT_EQ(read_all(Fd(b("f"), O_RDONLY).get(), 100, 0), "first");
  write_all(w.get(), "FIRST and more", 0);
  ASSERT_EQ(sys(::fsync(w.get())), 0);
  EXPECT_EQ(read_all(Fd(b("f"), O_RDONLY).get(), 100, 0), "FIRST and more");
}

TEST_F(TwoMounts, ReplacedFileIsOpenedAnew) {
  // How programs replace a configuration: a new file renamed over the old one.
  write_file(a("f"), "old");
  EXPECT_EQ(read_file(b("f")), "old");
  write_file(a("f.new"), "new content");
  ASSERT_EQ(call::rename(a("f.new"), a("f")), 0);
  seen_in_time("replaced file", [&] {
    const Fd f(b("f"), O_RDONLY);
    EXPECT_GE(f.get(), 0) << "the name exists all the time: " << strerror(f.error());
    // The one that was opened may be gone before it is read: then that is said, and soon.
    char b[100];
    const ssize_t n = ::pread(f.get(), b, sizeof b, 0);
    EXPECT_TRUE(n >= 0 || errno == ESTALE || errno == EIO) << strerror(errno);
    return n > 0 && std::string(b, static_cast<std::size_t>(n)) == "new content";
  });
}

TEST_F(TwoMounts, ReadOfAFileThatTheOtherRemovedEnds) {
  // what lies in a tiny extent is overwritten with zeros
  const std::string content = pattern(3 << 20, 3);
  write_file(a("f"), content);
  const Fd f(b("f"), O_RDONLY);
  ASSERT_GE(f.get(), 0) << strerror(f.error());
  ASSERT_EQ(call::unlink(a("f")), 0);
  expect_reads_to_end(f, content);
}

/// With a replica away, too, which cannot say that it has not got it.
TEST_F(TwoMounts, ReadOfAFileThatTheOtherRemovedEndsWithoutAReplica) {
  const std::string content = pattern(3 << 20, 4);
  write_file(a("f"), content);
  const Fd f(b("f"), O_RDONLY);
  ASSERT_GE(f.get(), 0) << strerror(f.error());
  ask_mini("/mini/fault?action=stop&role=data&index=0");
  EXPECT_EQ(call::unlink(a("f")), 0);
  expect_reads_to_end(f, content);
  ask_mini("/mini/fault?action=start&role=data&index=0");
}
TEST_F(TwoMounts, SameHostSeesItsOwnChangesAtOnce) {
  for (int i = 0; i < 20; ++i) {
    const std::string n = a("f" + std::to_string(i));
    ASSERT_EQ(call::access(n, F_OK), -ENOENT);
    write_file(n, "x");
    ASSERT_EQ(call::access(n, F_OK), 0);
    ASSERT_EQ(call::chmod(n, 0600), 0);
    ASSERT_EQ(mode_of(n), S_IFREG | 0600);
    ASSERT_EQ(call::rename(n, n + "r"), 0);
    ASSERT_EQ(call::access(n, F_OK), -ENOENT);
    ASSERT_EQ(call::unlink(n + "r"), 0);
    ASSERT_EQ(call::access(n + "r", F_OK), -ENOENT);
  }
}

TEST_F(TwoMounts, ListingIsCurrentAtItsBeginning) {
  write_file(a("f1"), "");
  EXPECT_EQ(fs_test::list(other_).size(), 1u);
  write_file(a("f2"), "");
  EXPECT_EQ(fs_test::list(other_).size(), 2u);
  ASSERT_EQ(call::unlink(a("f1")), 0);
  EXPECT_EQ(fs_test::list(other_), std::vector<std::string>{"f2"});
}

TEST_F(TwoMounts, ExclusiveCreateHasOneWinner) {
  for (int i = 0; i < 30; ++i) {
    const std::string n = "lock" + std::to_string(i);
    long results[2] = {};
    std::thread one([&] { results[0] = call::open(a(n), O_CREAT | O_EXCL | O_WRONLY); });
    results[1] = call::open(b(n), O_CREAT | O_EXCL | O_WRONLY);
    one.join();
    EXPECT_TRUE((results[0] == 0 && results[1] == -EEXIST) ||
                (results[1] == 0 && results[0] == -EEXIST))
        << result_text(results[0]) << " and " << result_text(results[1]);
  }
}

TEST_F(TwoMounts, CreateWithoutExclOpensWhatTheOtherMade) {
  for (int i = 0; i < 30; ++i) {
    const std::string n = "log" + std::to_string(i);
    EXPECT_EQ(call::access(b(n), F_OK), -ENOENT);
    long results[2] = {};
    std::thread one([&] { results[0] = call::open(a(n), O_CREAT | O_WRONLY); });
    results[1] = call::open(b(n), O_CREAT | O_WRONLY);
    one.join();
    EXPECT_EQ(results[0], 0) << result_text(results[0]) << ": no false EEXIST";
    EXPECT_EQ(results[1], 0) << result_text(results[1]) << ": no false EEXIST";
  }
}

TEST_F(TwoMounts, RemoverWins) {
  // Both remove the same names: each goes once, nobody sees anything but success or ENOENT.
  for (int i = 0; i < 30; ++i) {
    const std::string n = "f" + std::to_string(i);
    write_file(a(n), "x");
    ASSERT_EQ(call::access(b(n), F_OK), 0);
    long results[2] = {};
    std::thread one([&] { results[0] = call::unlink(a(n)); });
    results[1] = call::unlink(b(n));
    one.join();
    EXPECT_TRUE(results[0] == 0 || results[1] == 0)
        << result_text(results[0]) << " " << result_text(results[1]);
    for (const long r : results) EXPECT_TRUE(r == 0 || r == -ENOENT) << result_text(r);
  }
  EXPECT_TRUE(fs_test::list(root_).empty());
}

TEST_F(TwoMounts, DirectoryFilledElsewhereIsNotRemoved) {
  ASSERT_EQ(call::mkdir(a("d")), 0);
  EXPECT_TRUE(fs_test::list(b("d")).empty());
  write_file(b("d/f"), "precious");
  EXPECT_EQ(call::rmdir(a("d")), -ENOTEMPTY);
  EXPECT_EQ(read_file(b("d/f")), "precious");
}

TEST_F(TwoMounts, LocksAreLocal) {
  write_file(a("f"), "x");
  Fd one(a("f"), O_RDWR), two(b("f"), O_RDWR);
  struct flock l {};
  l.l_type = F_WRLCK;
  EXPECT_EQ(sys(::fcntl(one.get(), F_OFD_SETLK, &l)), 0);
  EXPECT_EQ(sys(::fcntl(two.get(), F_OFD_SETLK, &l)), 0) << "each mount has its own lock table";
}

TEST_F(TwoMounts, DisjointOverwritesBothStay) {
  write_file(a("f"), std::string(200000, '.'));
  Fd one(a("f"), O_RDWR), two(b("f"), O_RDWR);
  for (int i = 0; i < 20; ++i) {
    write_all(one.get(), "aaaa", i * 8192);
    write_all(two.get(), "bbbb", i * 8192 + 4096);
  }
  ASSERT_EQ(one.close(), 0);
  ASSERT_EQ(two.close(), 0);
  drop_caches();
  const std::string all = read_file(a("f"));
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(all.substr(i * 8192, 5), "aaaa.") << i;
    EXPECT_EQ(all.substr(i * 8192 + 4096, 5), "bbbb.") << i;
  }
}

TEST_F(TwoMounts, AttributesComeWithinTheirLifetime) {
  // 30 s at most; an open asks at once. Without either, an old mode may be seen, but only the old or the new one.
  write_file(a("f"), "x");
  EXPECT_EQ(mode_of(b("f")), S_IFREG | 0644);
  ASSERT_EQ(call::chmod(a("f"), 0600), 0);
  const double took = wait_until([&] { return mode_of(b("f")) == (S_IFREG | 0600); });
  EXPECT_LE(took, 30 + kSlack);
}

/// A time that was set here is no reason to take the other host's overwrite for our own.
TEST_F(TwoMounts, OverwriteAfterUtimesIsSeen) {
  write_file(a("f"), "old content");
  std::this_thread::sleep_for(
      std::chrono::milliseconds(2500));  // what is younger is not believed anyway
  EXPECT_EQ(read_file(a("f")), "old content");
  ASSERT_EQ(call::touch(a("f"), {1000000000, 0}, {1100000000, 0}), 0);
  {
    Fd f(b("f"), O_WRONLY);
    ASSERT_EQ(::pwrite(f.get(), "new", 3, 0), 3);
    ASSERT_EQ(f.close(), 0);
  }
  EXPECT_EQ(read_file(a("f")), "new content");
}

/// Nor is an overwrite of one's own, whose time was told at close.
TEST_F(TwoMounts, OverwriteAfterOverwriteIsSeen) {
  const auto overwrite = [](const std::string& path, const char* with) {
    Fd f(path, O_RDWR);
    ASSERT_EQ(::pwrite(f.get(), with, 3, 0), 3);
    ASSERT_EQ(f.close(), 0);
  };
  write_file(a("f"), "old content");
  EXPECT_EQ(read_file(a("f")), "old content");
  overwrite(a("f"), "our");
  std::this_thread::sleep_for(std::chrono::milliseconds(2500));
  overwrite(b("f"), "new");
  EXPECT_EQ(read_file(a("f")), "new content");
}

/// What `ls -l` does: each file is asked for its label and its ACL. The listing has brought word that nearly none has one.
TEST_F(TwoMounts, AListingTellsWhoHasNoLabel) {
  constexpr char kLabel[] = "security.selinux", kAcl[] = "system.posix_acl_access";
  constexpr int kFiles = 60;
  char value[64];
  const auto label = [&](const std::string& path, const char* name) {
    const ssize_t n = ::lgetxattr(path.c_str(), name, value, sizeof(value));
    return n < 0 ? std::strerror(errno) : std::string(value, static_cast<std::size_t>(n));
  };
  const std::string none = std::strerror(ENODATA);
  ASSERT_EQ(call::mkdir(b("d"), 0755), 0);
  for (int i = 0; i < kFiles; ++i) write_file(b("d/f" + std::to_string(i)), "");
  ASSERT_EQ(::setxattr(b("d/f7").c_str(), kLabel, "theirs", 6, 0), 0) << std::strerror(errno);
  const std::size_t asked = asked_for_xattrs([&] {
    DIR* d = ::opendir(a("d").c_str());
    ASSERT_NE(d, nullptr);
    while (const dirent* e = ::readdir(d)) {
      if (e->d_name[0] == '.') continue;
      const std::string path = a("d/") + e->d_name;
      struct stat st {};
      EXPECT_EQ(::lstat(path.c_str(), &st), 0);
      EXPECT_EQ(label(path, kLabel), std::string(e->d_name) == "f7" ? "theirs" : none) << path;
      const std::string acl = label(path, kAcl);  // unless the mount has none at all
      EXPECT_TRUE(acl == none || acl == std::strerror(EOPNOTSUPP)) << path << ": " << acl;
    }
    ::closedir(d);
  });
  EXPECT_LE(asked, kFiles / 4U) << "not once for each file";
  // what is set here is seen here
  ASSERT_EQ(::setxattr(a("d/f8").c_str(), kLabel, "ours", 4, 0), 0);
  EXPECT_EQ(label(a("d/f8"), kLabel), "ours");
  ASSERT_EQ(::removexattr(a("d/f8").c_str(), kLabel), 0);
  EXPECT_EQ(label(a("d/f8"), kLabel), none);
}
