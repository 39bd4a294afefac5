// SPDX-License-Identifier: Apache-2.0
// Two kernel mounts of one volume in one host. Breaks: what was changed through one of them is not seen through the other when
// the call has returned, as between two hosts, although both are of one kernel.
//
// Runs in a guest as root; $CFS_TEST_DIR and $CFS_TEST_PEER are the mounts, with lifetimes of the default or longer.
#include <sys/xattr.h>

#include <map>

#include "cache_fixture.h"

namespace cache_test {
namespace {

constexpr char kAccessAcl[] = "system.posix_acl_access", kCapability[] = "security.capability";

class Peers : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    for (char& c : name)
      if (c == '/') c = '.';
    here_ = env(GetParam() ? "CFS_TEST_PEER" : "CFS_TEST_DIR") + "/peers." + name;
    there_ = env(GetParam() ? "CFS_TEST_DIR" : "CFS_TEST_PEER") + "/peers." + name;
    ASSERT_EQ(system(("rm -rf " + here_).c_str()), 0);
    ASSERT_EQ(mkdir(here_.c_str(), 0755), 0) << here_ << ": " << strerror(errno);
    ASSERT_EQ(stat_of(there_).st_ino, stat_of(here_).st_ino) << "not of one volume";
  }
  void TearDown() override {
    cfsctl("policy rule drop " + here_);
    EXPECT_EQ(system(("rm -rf " + here_).c_str()), 0);
  }
  /// Where changes are made, and where they are looked for.
  [[nodiscard]] std::string here(const std::string& n) const { return here_ + "/" + n; }
  [[nodiscard]] std::string there(const std::string& n) const { return there_ + "/" + n; }

  /// Questions of all kernel mounts of the volume about names and attributes.
  static long questions() {
    const std::string json = cfsctl("stats " + env("CFS_TEST_DIR") + " --json").text;
    long sum = 0;
    for (const std::string key : {"\"lookup\":", "\"getattr\":"})
      for (size_t at = 0; (at = json.find(key, at)) != std::string::npos; at += key.size())
        sum += atol(json.c_str() + at + key.size());
    return sum;
  }

  std::string here_, there_;
};

std::string name_of_mount(const testing::TestParamInfo<bool>& info) {
  return info.param ? "changed_by_the_peer" : "changed_by_the_first";
}
INSTANTIATE_TEST_SUITE_P(EachWay, Peers, testing::Bool(), name_of_mount);

TEST_P(Peers, NamesAreSeenAtOnce) {
  for (int round = 0; round < 5; round++) {
    make(here("f"), "12345");
    make(here("g"), "1");
    const ino_t f = stat_of(there("f")).st_ino, g = stat_of(there("g")).st_ino;
    ASSERT_EQ(rename(here("f").c_str(), here("g").c_str()), 0);
    ASSERT_EQ(stat_of(there("g")).st_ino, f);
    ASSERT_EQ(errno_of_stat(there("f")), ENOENT);
    ASSERT_EQ(link(here("g").c_str(), here("h").c_str()), 0);
    ASSERT_EQ(stat_of(there("g")).st_nlink, 2u);
    ASSERT_EQ(stat_of(there("h")).st_ino, f);
    ASSERT_EQ(unlink(here("g").c_str()), 0);
    ASSERT_EQ(errno_of_stat(there("g")), ENOENT);
    ASSERT_EQ(stat_of(there("h")).st_nlink, 1u);
    make(here("g"), "new");
    ASSERT_NE(stat_of(there("g")).st_ino, f);
    ASSERT_NE(stat_of(there("g")).st_ino, g);
    // the same name again, of another inode
    const ino_t old = stat_of(there("h")).st_ino;
    ASSERT_EQ(unlink(here("h").c_str()), 0);
    ASSERT_EQ(symlink("g", here("h").c_str()), 0);
    ASSERT_EQ(stat_of(there("h")).st_size, 3) << "follows the link";
    ASSERT_NE(stat_of(there("h")).st_ino, old);
    ASSERT_EQ(unlink(here("h").c_str()), 0);
    ASSERT_EQ(unlink(here("g").c_str()), 0);
    ASSERT_EQ(errno_of_stat(there("g")), ENOENT);
  }
}

TEST_P(Peers, DirectoriesAreSeenAtOnce) {
  ASSERT_EQ(mkdir(here("d").c_str(), 0755), 0);
  make(here("d/f"));
  stat_of(there("d/f"));
  ASSERT_EQ(mkdir(here("e").c_str(), 0700), 0);
  EXPECT_EQ(stat_of(there("e")).st_mode, S_IFDIR | 0700u);
  const nlink_t links = stat_of(there("d")).st_nlink;
  ASSERT_EQ(mkdir(here("d/sub").c_str(), 0755), 0);
  EXPECT_EQ(stat_of(there("d")).st_nlink, links + 1);
  ASSERT_EQ(rename(here("d").c_str(), here("e/moved").c_str()), 0);
  EXPECT_EQ(errno_of_stat(there("d/f")), ENOENT);
  EXPECT_EQ(stat_of(there("e/moved/f")).st_size, 1);
  ASSERT_EQ(rmdir(here("e/moved/sub").c_str()), 0);
  EXPECT_EQ(errno_of_stat(there("e/moved/sub")), ENOENT);
  EXPECT_EQ(stat_of(there("e/moved")).st_nlink, links);
}

TEST_P(Peers, AttributesAreSeenAtOnce) {
  make(here("f"), "12345");
  stat_of(there("f"));
  ASSERT_EQ(chmod(here("f").c_str(), 0600), 0);
  EXPECT_EQ(stat_of(there("f")).st_mode, S_IFREG | 0600u);
  ASSERT_EQ(chown(here("f").c_str(), 7, 8), 0);
  EXPECT_EQ(stat_of(there("f")).st_uid, 7u);
  EXPECT_EQ(stat_of(there("f")).st_gid, 8u);
  const std::array<timespec, 2> times{{{1000, 0}, {2000, 0}}};
  ASSERT_EQ(utimensat(AT_FDCWD, here("f").c_str(), times.data(), 0), 0);
  EXPECT_EQ(stat_of(there("f")).st_mtime, 2000);
  ASSERT_EQ(truncate(here("f").c_str(), 2), 0);
  EXPECT_EQ(stat_of(there("f")).st_size, 2);
  Fd fd(here("f"), O_RDWR);
  ASSERT_EQ(write_at(fd.get(), "0123456789", 0), 0);
  ASSERT_EQ(fd.sync(), 0);
  EXPECT_EQ(stat_of(there("f")).st_size, 10) << "after fsync";
  ASSERT_EQ(ftruncate(fd.get(), 3), 0);
  EXPECT_EQ(stat_of(there("f")).st_size, 3);
  ASSERT_EQ(write_at(fd.get(), "0123456789", 3), 0);
  ASSERT_EQ(fd.close(), 0);
  EXPECT_EQ(stat_of(there("f")).st_size, 13) << "after close";
  EXPECT_EQ(read_all(there("f")), "0120123456789");
}

/// 0 or errno, of a process of another user.
int errno_as_user(uid_t user, const std::function<int()>& what) {
  const pid_t child = fork();
  if (child == 0) {
    if (setgid(user) != 0 || setuid(user) != 0) _exit(255);
    _exit(what() < 0 ? errno : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

TEST_P(Peers, PermissionsAreSeenAtOnce) {
  ASSERT_EQ(mkdir(here("d").c_str(), 0755), 0);
  make(here("d/f"));
  const auto look = [&] {
    struct stat st {};
    return stat(there("d/f").c_str(), &st);
  };
  EXPECT_EQ(errno_as_user(65534, look), 0);
  ASSERT_EQ(chmod(here("d").c_str(), 0700), 0);
  EXPECT_EQ(errno_as_user(65534, look), EACCES);
  ASSERT_EQ(chown(here("d").c_str(), 65534, 65534), 0);
  EXPECT_EQ(errno_as_user(65534, look), 0);
}

/// An ACL of version 2 that lets one user read. Source: linux/posix_acl_xattr.h.
std::string acl_for(uint16_t user) {
  const std::array<uint16_t, 20> rest{{1,    6, 0xffff, 0xffff,    // owner
                                       2,    4, user,   0,         // the user
                                       4,    0, 0xffff, 0xffff,    // group
                                       0x10, 4, 0xffff, 0xffff,    // mask
                                       0x20, 0, 0xffff, 0xffff}};  // others
  return std::string("\2\0\0\0", 4) +
         std::string(reinterpret_cast<const char*>(rest.data()), sizeof(rest));
}

TEST_P(Peers, AclsAreSeenAtOnce) {
  make(here("f"));
  ASSERT_EQ(chmod(here("f").c_str(), 0640), 0);
  std::array<char, 64> value{};
  EXPECT_EQ(getxattr(there("f").c_str(), kAccessAcl, value.data(), value.size()), -1);
  EXPECT_EQ(errno, ENODATA);
  const std::string acl = acl_for(65534);
  ASSERT_EQ(setxattr(here("f").c_str(), kAccessAcl, acl.data(), acl.size(), 0), 0)
      << strerror(errno);
  EXPECT_EQ(getxattr(there("f").c_str(), kAccessAcl, value.data(), value.size()),
            static_cast<ssize_t>(acl.size()));
  const auto read_it = [&] { return open(there("f").c_str(), O_RDONLY); };
  EXPECT_EQ(errno_as_user(65534, read_it), 0);
  ASSERT_EQ(removexattr(here("f").c_str(), kAccessAcl), 0);
  EXPECT_EQ(errno_as_user(65534, read_it), EACCES);
}

TEST_P(Peers, WritingDropsACapabilityThatWasJustSet) {
  make(here("f"));
  Fd fd(there("f"), O_RDWR);
  ASSERT_EQ(write_at(fd.get(), "2", 0), 0);  // from now on it is known here that there is none
  const std::string capability("\x01\0\0\x02\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  ASSERT_EQ(setxattr(here("f").c_str(), kCapability, capability.data(), capability.size(), 0), 0)
      << strerror(errno);
  ASSERT_EQ(write_at(fd.get(), "3", 0), 0);
  EXPECT_EQ(getxattr(here("f").c_str(), kCapability, nullptr, 0), -1);
}

TEST_P(Peers, AbsenceThatARuleBelievesEndsAtOnce) {
  ASSERT_EQ(
      cfsctl("policy rule set " + here_ + " --entry 600 --attr 600 --absent 600 --open 600").code,
      0);
  EXPECT_EQ(errno_of_stat(there("n")), ENOENT);
  EXPECT_EQ(errno_of_stat(there("n")), ENOENT);
  make(here("n"), "1");
  EXPECT_EQ(stat_of(there("n")).st_size, 1);
  EXPECT_EQ(read_all(there("n")), "1");
  make(here("n"), "new content");
  EXPECT_EQ(read_all(there("n")), "new content") << "an open that would ask nobody";
  ASSERT_EQ(unlink(here("n").c_str()), 0);
  drop_dentries();
  EXPECT_EQ(errno_of_stat(there("n")), ENOENT);
}

TEST_P(Peers, OtherNamesOfTheDirectoryStayKnown) {
  constexpr int kFiles = 20;
  ASSERT_EQ(cfsctl("policy rule set " + env("CFS_TEST_DIR") + " --entry 600 --attr 600").code, 0);
  for (int i = 0; i < kFiles; i++) make(here("f" + std::to_string(i)));
  const auto look = [&] {
    for (int i = 1; i < kFiles; i++) stat_of(there("f" + std::to_string(i)));
  };
  look();
  ASSERT_EQ(unlink(here("f0").c_str()), 0);
  make(here("new"));
  const long asked = questions();
  look();
  EXPECT_LE(questions() - asked, 2) << "of " << kFiles << " names and their directory";
  EXPECT_EQ(errno_of_stat(there("f0")), ENOENT);
  stat_of(there("new"));
  cfsctl("policy rule drop " + env("CFS_TEST_DIR"));
}

TEST_P(Peers, DroppingANameReachesAllMounts) {
  make(here("f"));
  ASSERT_EQ(cfsctl("policy rule set " + here_ + " --entry 600 --attr 600").code, 0);
  stat_of(here("f"));
  stat_of(there("f"));
  for (const std::string& at : {here("f"), there("f")}) {
    bool known = false;  // a lifetime may end meanwhile
    for (int i = 0; i < 5 && !known; i++) {
      stat_of(at);
      const long asked = questions();
      stat_of(at);
      known = questions() == asked;
    }
    EXPECT_TRUE(known) << at;
  }
  const std::string with_policy = env("CFS_TEST_DIR") + here_.substr(here_.rfind('/'));
  const Ran ran = cfsctl("cache drop " + with_policy + "/f");
  ASSERT_EQ(ran.code, 0) << ran.text;
  for (const std::string& at : {here("f"), there("f")}) {
    const long asked = questions();
    stat_of(at);
    EXPECT_GE(questions() - asked, 1) << at;
  }
}

// Each name has one owner, who changes it through either mount; what is seen through either mount is never older than what the
// owner had done before the look began, nor than what anybody had been told.
TEST_P(Peers, RaceOfChangesAndLooks) {
  const auto at = [this](int way, const std::string& n) {
    return way % 2 == 0 ? here(n) : there(n);
  };
  const auto change = [&](int i, int size) {
    const std::string mine = "f" + std::to_string(i), spare = mine + ".new";
    const int way = size + size / 4;
    const std::string content(static_cast<size_t>(size), 'n');
    if (size % 4 == 0) {  // a new inode takes the name
      make(at(way, spare), content);
      ASSERT_EQ(rename(at(way, spare).c_str(), at(way, mine).c_str()), 0) << strerror(errno);
    } else if (size % 4 == 1) {
      make(at(way, mine), content);
    } else if (size % 4 == 2) {
      ASSERT_EQ(truncate(at(way, mine).c_str(), size), 0) << strerror(errno);
    } else {  // a second link takes it
      ASSERT_EQ(truncate(at(way, mine).c_str(), size), 0) << strerror(errno);
      ASSERT_EQ(link(at(way, mine).c_str(), at(way, spare).c_str()), 0) << strerror(errno);
      ASSERT_EQ(unlink(at(way + 1, spare).c_str()), 0) << strerror(errno);
    }
  };
  race_of_changes_and_looks(change,
                            [&](int looker, int i) { return at(looker, "f" + std::to_string(i)); });
}

// Changes go on through one mount while others of the volume come and go.
TEST_P(Peers, MountsComeAndGoUnderChanges) {
  std::atomic<bool> stop{false};
  std::atomic<long> changes{0};
  std::thread changer([&] {
    while (!stop) {
      make(here("f"), "1");
      ASSERT_EQ(rename(here("f").c_str(), here("g").c_str()), 0);
      ASSERT_EQ(unlink(here("g").c_str()), 0);
      changes++;
    }
  });
  const std::string sub = here_.substr(here_.rfind('/'));
  for (int i = 0; i < 6; i++) {
    const Mount third("/mnt/third", "attrvalid=600,lookupvalid=600");
    for (int k = 0; k < 20; k++) {
      errno_of_stat("/mnt/third" + sub + "/f");
      errno_of_stat("/mnt/third" + sub + "/g");
    }
  }
  stop = true;
  changer.join();
  EXPECT_GT(changes, 5);
}

}  // namespace
}  // namespace cache_test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
