// SPDX-License-Identifier: Apache-2.0
/// link, mkdir, mkfifo, mknod, rename, rmdir, symlink, unlink: what they do to each type of file and when they refuse.
/// Breaks: a name, a link count or an errno is wrong.
///
/// Source: POSIX.1-2017; Linux rename(2) for flags.
#include <sys/sysmacros.h>

#include "posix.h"

using namespace fs_test;  // NOLINT: tests only

namespace {

const std::vector<std::string> kTypes = {"file",   "dir",  "full",    "fifo",
                                         "socket", "link", "dangling"};

/// One object of each type, named after it, with a prefix.
void make_each(const std::string& at) {
  write_file(at + "file", "content");
  ASSERT_EQ(call::mkdir(at + "dir"), 0);
  ASSERT_EQ(call::mkdir(at + "full"), 0);
  write_file(at + "full/x", "");
  ASSERT_EQ(call::mkfifo(at + "fifo"), 0);
  ASSERT_EQ(call::mknod(at + "socket", S_IFSOCK | 0644), 0);
  ASSERT_EQ(call::symlink(at + "file", at + "link"), 0);
  ASSERT_EQ(call::symlink("nowhere", at + "dangling"), 0);
}

bool is_dir(const std::string& type) {
  return type == "dir" || type == "full";
}

}  // namespace

class PosixNames : public Posix {};

TEST_F(PosixNames, MakeOverExisting) {
  make_each(p(""));
  write_file(p("source"), "");
  for (const std::string& t : kTypes) {
    same("mkdir." + t, call::mkdir(p(t)), -EEXIST);
    same("mkfifo." + t, call::mkfifo(p(t)), -EEXIST);
    same("mknod." + t, call::mknod(p(t), S_IFREG | 0644), -EEXIST);
    same("symlink." + t, call::symlink("x", p(t)), -EEXIST);
    same("link." + t, call::link(p("source"), p(t)), -EEXIST);
    same("open-excl." + t, call::open(p(t), O_CREAT | O_EXCL | O_RDWR), -EEXIST);
    same("rename-noreplace." + t, call::rename2(p("source"), p(t), RENAME_NOREPLACE), -EEXIST);
  }
  EXPECT_EQ(list(root_).size(), kTypes.size() + 1);
}

TEST_F(PosixNames, UnlinkEachType) {
  make_each(p(""));
  for (const std::string& t : kTypes)
    same("unlink." + t, call::unlink(p(t)), is_dir(t) ? -EISDIR : 0);
  EXPECT_EQ(list(root_), (std::vector<std::string>{"dir", "full"}));
}

TEST_F(PosixNames, RmdirEachType) {
  make_each(p(""));
  for (const std::string& t : kTypes)
    same("rmdir." + t, call::rmdir(p(t)), t == "dir" ? 0 : t == "full" ? -ENOTEMPTY : -ENOTDIR);
  EXPECT_EQ(list(root_).size(), kTypes.size() - 1);
  EXPECT_EQ(call::access(p("full/x"), F_OK), 0);
}

TEST_F(PosixNames, RmdirForgetsTheName) {
  ASSERT_EQ(call::mkdir(p("d")), 0);
  Fd held(p("d"), O_RDONLY | O_DIRECTORY);
  same("rmdir", call::rmdir(p("d")), 0);
  same("again", call::rmdir(p("d")), -ENOENT);
  same("create-in-removed", sys(::openat(held.get(), "f", O_CREAT | O_RDWR, 0644)), -ENOENT);
  same("mkdir-in-removed", sys(::mkdirat(held.get(), "f", 0755)), -ENOENT);
  struct stat st {};
  same("fstat", sys(::fstat(held.get(), &st)), 0);
  same("nlink", static_cast<long>(st.st_nlink), 0);
}

TEST_F(PosixNames, LinkEachType) {
  make_each(p(""));
  for (const std::string& t : kTypes) {
    same("link." + t, call::link(p(t), p("l-" + t)), is_dir(t) ? -EPERM : 0);
    if (is_dir(t)) continue;
    same("nlink." + t, static_cast<long>(status(p(t)).st_nlink), 2);
    same("unlink." + t, call::unlink(p("l-" + t)), 0);
    same("nlink-after." + t, static_cast<long>(status(p(t)).st_nlink), 1);
  }
}

TEST_F(PosixNames, LinkFollowsOnlyWhenAsked) {
  write_file(p("f"), "");
  ASSERT_EQ(call::symlink("f", p("l")), 0);
  same("follow",
       sys(::linkat(AT_FDCWD, p("l").c_str(), AT_FDCWD, p("a").c_str(), AT_SYMLINK_FOLLOW)), 0);
  EXPECT_EQ(status(p("a")).st_ino, status(p("f")).st_ino);
  same("missing", call::link(p("none"), p("b")), -ENOENT);
}

TEST_F(PosixNames, ManyLinks) {
  write_file(p("f"), "x");
  for (int i = 0; i < 100; ++i) ASSERT_EQ(call::link(p("f"), p("l" + std::to_string(i))), 0);
  drop_caches();
  same("nlink", static_cast<long>(status(p("l50")).st_nlink), 101);
}

/// rename of each type over each type. Source: POSIX rename(): "If the old argument points to ...".
TEST_F(PosixNames, RenameEachOverEach) {
  for (const std::string& from : kTypes) {
    for (const std::string& to : kTypes) {
      std::filesystem::remove_all(p("s"));
      std::filesystem::remove_all(p("t"));
      ASSERT_EQ(call::mkdir(p("s")) | call::mkdir(p("t")), 0);
      make_each(p("s/"));
      make_each(p("t/"));
      const ino_t ino = status(p("s/" + from)).st_ino;
      long expected = 0;
      if (is_dir(from) && !is_dir(to)) expected = -ENOTDIR;
      if (!is_dir(from) && is_dir(to)) expected = -EISDIR;
      if (is_dir(from) && to == "full") expected = -ENOTEMPTY;
      const std::string name = from + "-over-" + to;
      const long got = call::rename(p("s/" + from), p("t/" + to));
      same(name, got, expected);
      EXPECT_EQ(mode_of(p("s/" + from)) < 0, got == 0) << name;
      if (got == 0) {
        EXPECT_EQ(status(p("t/" + to)).st_ino, ino) << name;
      }
    }
  }
}

TEST_F(PosixNames, RenameRefusals) {
  ASSERT_EQ(call::mkdir(p("d")) | call::mkdir(p("d/e")) | call::mkdir(p("d/e/f")), 0);
  same("into-child", call::rename(p("d"), p("d/x")), -EINVAL);
  same("into-grandchild", call::rename(p("d"), p("d/e/f/x")), -EINVAL);
  same("onto-parent", call::rename(p("d/e"), p("d")), -ENOTEMPTY);
  same("onto-itself", call::rename(p("d"), p("d")), 0);
  same("missing", call::rename(p("none"), p("d2")), -ENOENT);
  same("other-mount", call::rename(p("d"), "/dev/cfs-suite"), -EXDEV);
  same("link-other-mount", call::link(p("d/e"), "/dev/cfs-suite"), -EXDEV);
  same("unknown-flag", call::rename2(p("d"), p("d2"), 1u << 20), -EINVAL);
  same("two-flags", call::rename2(p("d"), p("d2"), RENAME_EXCHANGE | RENAME_NOREPLACE), -EINVAL);
}

TEST_F(PosixNames, RenameFlags) {
  write_file(p("a"), "a");
  write_file(p("b"), "b");
  same("noreplace", call::rename2(p("a"), p("c"), RENAME_NOREPLACE), 0);
  same("exchange", call::rename2(p("c"), p("b"), RENAME_EXCHANGE), 0);
  same("whiteout", call::rename2(p("c"), p("w"), RENAME_WHITEOUT), 0);
}

TEST_F(PosixNames, RenameMovesATree) {
  std::filesystem::create_directories(p("d/e/f"));
  write_file(p("d/e/f/g"), "deep");
  ASSERT_EQ(call::mkdir(p("to")), 0);
  same("rename", call::rename(p("d"), p("to/d2")), 0);
  same("old", call::access(p("d/e/f/g"), F_OK), -ENOENT);
  EXPECT_EQ(read_file(p("to/d2/e/f/g")), "deep");
  EXPECT_EQ(status(p("to/d2/..")).st_ino, status(p("to")).st_ino);
  drop_caches();
  EXPECT_EQ(read_file(p("to/d2/e/f/g")), "deep");
}

TEST_F(PosixNames, RenameOfOneOfTwoLinks) {
  write_file(p("a"), "x");
  ASSERT_EQ(call::link(p("a"), p("b")), 0);
  same("same-inode", call::rename(p("a"), p("b")), 0);
  EXPECT_EQ(list(root_).size(), 2u) << "POSIX: both names stay";
  same("other", call::rename(p("a"), p("c")), 0);
  same("nlink", static_cast<long>(status(p("c")).st_nlink), 2);
}

TEST_F(PosixNames, DirectoryLinkCounts) {
  ASSERT_EQ(call::mkdir(p("d")), 0);
  same("empty", static_cast<long>(status(p("d")).st_nlink), 2);
  ASSERT_EQ(call::mkdir(p("d/e")), 0);
  same("with-directory", static_cast<long>(status(p("d")).st_nlink), 3);
  write_file(p("d/f"), "");
  same("with-file", static_cast<long>(status(p("d")).st_nlink), 3);
  drop_caches();
  same("with-file-cold", static_cast<long>(status(p("d")).st_nlink), 3);
  ASSERT_EQ(call::unlink(p("d/f")), 0);
  ASSERT_EQ(call::rename(p("d/e"), p("e")), 0);
  same("emptied", static_cast<long>(status(p("d")).st_nlink), 2);
}

TEST_F(PosixNames, NewObjects) {
  const struct {
    const char* name;
    mode_t type;
    std::function<long(const std::string&)> make;
  } kinds[] = {
      {"file", S_IFREG,
       [](const std::string& n) { return call::open(n, O_CREAT | O_EXCL | O_WRONLY, 0753); }},
      {"mknod", S_IFREG, [](const std::string& n) { return call::mknod(n, S_IFREG | 0753); }},
      {"mknod-0", S_IFREG, [](const std::string& n) { return call::mknod(n, 0753); }},
      {"dir", S_IFDIR, [](const std::string& n) { return call::mkdir(n, 0753); }},
      {"fifo", S_IFIFO, [](const std::string& n) { return call::mkfifo(n, 0753); }},
      {"socket", S_IFSOCK, [](const std::string& n) { return call::mknod(n, S_IFSOCK | 0753); }},
  };
  ASSERT_EQ(call::chmod(root_, 0777), 0);
  for (const auto& k : kinds) {
    const std::string n = p(k.name);
    same(std::string(k.name) + ".make",
         as({kUser, kGroup, {}},
            [&] {
              ::umask(022);
              return k.make(n);
            }),
         0);
    same(std::string(k.name) + ".mode", mode_of(n), k.type | 0751);
    const struct stat st = status(n);
    same(std::string(k.name) + ".uid", st.st_uid, kUser);
    same(std::string(k.name) + ".gid", st.st_gid, kGroup);
    same(std::string(k.name) + ".nlink", static_cast<long>(st.st_nlink), S_ISDIR(k.type) ? 2 : 1);
    drop_caches();
    same(std::string(k.name) + ".mode-cold", mode_of(n), k.type | 0751);
    same(std::string(k.name) + ".uid-cold", status(n).st_uid, kUser);
  }
}

TEST_F(PosixNames, Devices) {
  for (const mode_t type : {S_IFCHR, S_IFBLK}) {
    const std::string n = type == S_IFCHR ? "char" : "block";
    same(n + ".root", call::mknod(p(n), type | 0600, makedev(1, 3)), 0);
    ASSERT_EQ(call::chmod(root_, 0777), 0);
    same(n + ".user",
         as({kUser, kGroup, {}},
            [&] { return call::mknod(p(n + "u"), type | 0600, makedev(1, 3)); }),
         -EPERM);
  }
  same("type", call::mknod(p("x"), S_IFLNK | 0600), -EINVAL);
  same("type-dir", call::mknod(p("x"), S_IFDIR | 0600), -EPERM);
}

TEST_F(PosixNames, FifoCarriesBytes) {
  ASSERT_EQ(call::mkfifo(p("fifo")), 0);
  same("no-reader", call::open(p("fifo"), O_WRONLY | O_NONBLOCK), -ENXIO);
  Fd in(p("fifo"), O_RDONLY | O_NONBLOCK), out(p("fifo"), O_WRONLY);
  char b[8];
  same("write", sys(::write(out.get(), "hello", 5)), 5);
  same("read", sys(::read(in.get(), b, sizeof(b))), 5);
}

TEST_F(PosixNames, SymlinkTargets) {
  same("empty", call::symlink("", p("e")), -ENOENT);
  same("4095", call::symlink(std::string(4095, 't'), p("l")), 0);
  same("4096", call::symlink(std::string(4096, 't'), p("m")), -ENAMETOOLONG);
  char b[8];
  same("short-buffer", sys(::readlink(p("l").c_str(), b, 4)), 4);
  same("zero-buffer", sys(::readlink(p("l").c_str(), b, 0)), -EINVAL);
  write_file(p("f"), "");
  same("not-a-link", sys(::readlink(p("f").c_str(), b, 8)), -EINVAL);
  same("size", status(p("l")).st_size, 4095);
  same("mode", mode_of(p("l")), S_IFLNK | 0777);
  drop_caches();
  same("size-cold", status(p("l")).st_size, 4095);
}

TEST_F(PosixNames, RemovedWhileInUse) {
  write_file(p("f"), "content");
  Fd f(p("f"), O_RDWR);
  same("unlink", call::unlink(p("f")), 0);
  write_file(p("f"), "another");  // the name is free at once
  EXPECT_EQ(read_all(f.get(), 100, 0), "content");
  struct stat st {};
  ASSERT_EQ(sys(::fstat(f.get(), &st)), 0);
  same("nlink", static_cast<long>(st.st_nlink), 0);
  same("fchmod", sys(::fchmod(f.get(), 0600)), 0);
  same("ftruncate", sys(::ftruncate(f.get(), 3)), 0);
  EXPECT_EQ(read_all(f.get(), 100, 0), "con");
  const std::string self = "/proc/self/fd/" + std::to_string(f.get());
  same("link-back",
       sys(::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, p("g").c_str(), AT_SYMLINK_FOLLOW)), -ENOENT);
  write_file(p("r"), "replaced");
  Fd r(p("r"), O_RDONLY);
  ASSERT_EQ(call::rename(p("f"), p("r")), 0);
  EXPECT_EQ(read_all(r.get(), 100, 0), "replaced") << "rename over an open file";
}

TEST_F(PosixNames, RemovedWorkingDirectory) {
  ASSERT_EQ(call::mkdir(p("d")), 0);
  const auto got = as_many({0, 0, {}}, [&] {
    return std::vector<long>{call::chdir(p("d")), call::rmdir(p("d")), call::access(".", F_OK),
                             call::open("f", O_CREAT | O_RDWR), call::access("..", F_OK)};
  });
  ASSERT_EQ(got.size(), 5u);
  same("rmdir", got[1], 0);
  same("dot", got[2], 0);
  same("create", got[3], -ENOENT);
  same("dotdot", got[4], 0);
}
