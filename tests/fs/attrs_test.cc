// SPDX-License-Identifier: Apache-2.0
// Attributes, permissions, extended attributes, statfs. Breaks: stat(2) or an xattr tells something
// else than was set.
#include <sys/statvfs.h>

#include "fs.h"

using namespace fs_test;  // NOLINT: tests only

using Attrs = Dir;

TEST_F(Attrs, Chmod) {
  write_file(p("f"), "x");
  struct stat st {};
  for (mode_t m : {0600, 0755, 0, 0444, 04755, 02755, 0644}) {
    ASSERT_EQ(sys(::chmod(p("f").c_str(), m)), 0);
    drop_caches();
    ASSERT_EQ(sys(::stat(p("f").c_str(), &st)), 0);
    EXPECT_EQ(st.st_mode, S_IFREG | m);
  }
  ASSERT_EQ(sys(::mkdir(p("d").c_str(), 0755)), 0);
  ASSERT_EQ(sys(::chmod(p("d").c_str(), 01777)), 0);
  drop_caches();
  ASSERT_EQ(sys(::stat(p("d").c_str(), &st)), 0);
  EXPECT_EQ(st.st_mode, S_IFDIR | 01777u);
}

TEST_F(Attrs, Chown) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  write_file(p("f"), "x");
  ASSERT_EQ(sys(::chown(p("f").c_str(), 1234, 5678)), 0);
  ASSERT_EQ(sys(::chown(p("f").c_str(), static_cast<uid_t>(-1), 999)), 0);
  drop_caches();
  struct stat st {};
  ASSERT_EQ(sys(::stat(p("f").c_str(), &st)), 0);
  EXPECT_EQ(st.st_uid, 1234u);
  EXPECT_EQ(st.st_gid, 999u);
}

TEST_F(Attrs, ModificationTime) {
  write_file(p("f"), "x");
  timespec ts[2] = {{0, UTIME_OMIT}, {1234567890, 0}};
  ASSERT_EQ(sys(::utimensat(AT_FDCWD, p("f").c_str(), ts, 0)), 0);
  drop_caches();
  struct stat st {};
  ASSERT_EQ(sys(::stat(p("f").c_str(), &st)), 0);
  EXPECT_EQ(st.st_mtim.tv_sec, 1234567890);
  ts[1].tv_nsec = UTIME_NOW;
  ASSERT_EQ(sys(::utimensat(AT_FDCWD, p("f").c_str(), ts, 0)), 0);
  ASSERT_EQ(sys(::stat(p("f").c_str(), &st)), 0);
  EXPECT_NEAR(static_cast<double>(st.st_mtim.tv_sec), static_cast<double>(::time(nullptr)), 5.0);
}

TEST_F(Attrs, SizeAndBlocks) {
  write_file(p("f"), pattern(10000, 1));
  struct stat st {};
  ASSERT_EQ(sys(::stat(p("f").c_str(), &st)), 0);
  EXPECT_EQ(st.st_size, 10000);
  EXPECT_GE(st.st_blocks, 10000 / 512);
  drop_caches();
  ASSERT_EQ(sys(::stat(p("f").c_str(), &st)), 0);
  EXPECT_EQ(st.st_size, 10000);
}

TEST_F(Attrs, DirectoryLinkCount) {
  struct stat st {};
  ASSERT_EQ(sys(::stat(root_.c_str(), &st)), 0);
  EXPECT_EQ(st.st_nlink, 2u);
  write_file(p("f"), "");
  ASSERT_EQ(sys(::mkdir(p("d").c_str(), 0755)), 0);
  drop_caches();
  ASSERT_EQ(sys(::stat(root_.c_str(), &st)), 0);
  EXPECT_GE(st.st_nlink, 3u);  // CubeFS counts files too: 2 + entries
}

TEST_F(Attrs, PermissionIsChecked) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  write_file(p("secret"), "x");
  ASSERT_EQ(sys(::chmod(p("secret").c_str(), 0600)), 0);
  pid_t pid = ::fork();
  if (pid == 0) {
    if (::setgid(4321) != 0 || ::setuid(4321) != 0) ::_exit(100);
    int fd = ::open(p("secret").c_str(), O_RDONLY);
    int e1 = fd < 0 ? errno : 0;
    int e2 = ::unlink(p("secret").c_str()) < 0 ? errno : 0;
    ::_exit(e1 == EACCES && e2 == EACCES ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(Attrs, SetgidDirectoryIsInherited) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  ASSERT_EQ(sys(::mkdir(p("d").c_str(), 0755)), 0);
  ASSERT_EQ(sys(::chown(p("d").c_str(), 0, 777)), 0);
  ASSERT_EQ(sys(::chmod(p("d").c_str(), 02775)), 0);
  write_file(p("d/f"), "");
  ASSERT_EQ(sys(::mkdir(p("d/sub").c_str(), 0755)), 0);
  struct stat st {};
  ASSERT_EQ(sys(::stat(p("d/f").c_str(), &st)), 0);
  EXPECT_EQ(st.st_gid, 777u);
  ASSERT_EQ(sys(::stat(p("d/sub").c_str(), &st)), 0);
  EXPECT_EQ(st.st_gid, 777u);
  EXPECT_TRUE(st.st_mode & S_ISGID);
}

TEST_F(Attrs, Xattrs) {
  write_file(p("f"), "x");
  const std::string path = p("f");
  char buf[70000];
  EXPECT_EQ(sys(::getxattr(path.c_str(), "user.none", buf, sizeof(buf))), -ENODATA);
  ASSERT_EQ(sys(::setxattr(path.c_str(), "user.a", "value", 5, 0)), 0);
  ASSERT_EQ(sys(::setxattr(path.c_str(), "user.empty", "", 0, 0)), 0);
  drop_caches();
  ASSERT_EQ(sys(::getxattr(path.c_str(), "user.a", buf, sizeof(buf))), 5);
  EXPECT_EQ(std::string(buf, 5), "value");
  EXPECT_EQ(sys(::getxattr(path.c_str(), "user.empty", buf, sizeof(buf))), 0);
  EXPECT_EQ(sys(::getxattr(path.c_str(), "user.a", nullptr, 0)), 5);
  EXPECT_EQ(sys(::getxattr(path.c_str(), "user.a", buf, 2)), -ERANGE);
  EXPECT_EQ(sys(::setxattr(path.c_str(), "user.a", "v2", 2, XATTR_CREATE)), -EEXIST);
  EXPECT_EQ(sys(::setxattr(path.c_str(), "user.b", "v2", 2, XATTR_REPLACE)), -ENODATA);
  EXPECT_EQ(sys(::setxattr(path.c_str(), "user.a", "v2", 2, XATTR_REPLACE)), 0);
  long n = sys(::listxattr(path.c_str(), buf, sizeof(buf)));
  ASSERT_GT(n, 0);
  std::set<std::string> names;
  for (long i = 0; i < n; i += static_cast<long>(strlen(buf + i)) + 1) names.insert(buf + i);
  EXPECT_TRUE(names.count("user.a") && names.count("user.empty"));
  EXPECT_EQ(sys(::removexattr(path.c_str(), "user.a")), 0);
  EXPECT_EQ(sys(::removexattr(path.c_str(), "user.a")), -ENODATA);
}

TEST_F(Attrs, BinaryAndLargeXattr) {
  write_file(p("f"), "x");
  for (std::size_t n : {std::size_t{1}, std::size_t{300}, std::size_t{20000}, std::size_t{65536}}) {
    std::string value = pattern(n, 7), got(n, '\0');
    ASSERT_EQ(sys(::setxattr(p("f").c_str(), "user.bin", value.data(), n, 0)), 0) << n;
    drop_caches();
    ASSERT_EQ(sys(::getxattr(p("f").c_str(), "user.bin", got.data(), n)), static_cast<long>(n));
    EXPECT_EQ(got, value) << "binary value of " << n << " bytes came back changed";
  }
}

TEST_F(Attrs, Statfs) {
  struct statvfs sv {};
  ASSERT_EQ(sys(::statvfs(root_.c_str(), &sv)), 0);
  EXPECT_GT(sv.f_blocks, 0u);
  EXPECT_LE(sv.f_bfree, sv.f_blocks);
  EXPECT_GE(sv.f_namemax, 255u);
}
