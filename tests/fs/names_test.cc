// SPDX-License-Identifier: Apache-2.0
// Names: create, mkdir, unlink, rename, link, symlink, mknod, readdir. Breaks: a program sees a
// wrong or missing name.
#include "fs.h"

using namespace fs_test;  // NOLINT: tests only

using Names = Dir;

TEST_F(Names, CreateStatUnlink) {
  Fd f(p("a"), O_RDWR | O_CREAT | O_EXCL, 0640);
  ASSERT_GE(f.get(), 0);
  struct stat st {};
  ASSERT_EQ(sys(::stat(p("a").c_str(), &st)), 0);
  EXPECT_TRUE(S_ISREG(st.st_mode));
  EXPECT_EQ(st.st_mode & 07777, 0640u);
  EXPECT_EQ(st.st_nlink, 1u);
  EXPECT_EQ(st.st_size, 0);
  EXPECT_EQ(st.st_uid, ::geteuid());
  EXPECT_EQ(sys(::unlink(p("a").c_str())), 0);
  EXPECT_EQ(sys(::stat(p("a").c_str(), &st)), -ENOENT);
}

TEST_F(Names, ExclusiveCreateOfExisting) {
  write_file(p("a"), "x");
  Fd f(p("a"), O_RDWR | O_CREAT | O_EXCL);
  EXPECT_EQ(f.error(), EEXIST);
  Fd g(p("a"), O_RDWR | O_CREAT);
  EXPECT_GE(g.get(), 0);
}

TEST_F(Names, MissingIsEnoent) {
  struct stat st {};
  EXPECT_EQ(sys(::stat(p("missing").c_str(), &st)), -ENOENT);
  EXPECT_EQ(sys(::unlink(p("missing").c_str())), -ENOENT);
  EXPECT_EQ(sys(::rmdir(p("missing").c_str())), -ENOENT);
  EXPECT_EQ(sys(::rename(p("missing").c_str(), p("b").c_str())), -ENOENT);
  write_file(p("missing"), "now there");  // a cached absence must not hide the new file
  EXPECT_EQ(sys(::stat(p("missing").c_str(), &st)), 0);
}

TEST_F(Names, MkdirRmdir) {
  ASSERT_EQ(sys(::mkdir(p("d").c_str(), 0751)), 0);
  struct stat st {};
  ASSERT_EQ(sys(::stat(p("d").c_str(), &st)), 0);
  EXPECT_TRUE(S_ISDIR(st.st_mode));
  EXPECT_EQ(st.st_mode & 07777, 0751u);
  EXPECT_EQ(sys(::mkdir(p("d").c_str(), 0755)), -EEXIST);
  write_file(p("d/f"), "x");
  EXPECT_EQ(sys(::rmdir(p("d").c_str())), -ENOTEMPTY);
  EXPECT_EQ(sys(::unlink(p("d/f").c_str())), 0);
  EXPECT_EQ(sys(::rmdir(p("d").c_str())), 0);
  EXPECT_EQ(sys(::stat(p("d").c_str(), &st)), -ENOENT);
}

TEST_F(Names, WrongKind) {
  write_file(p("f"), "x");
  ASSERT_EQ(sys(::mkdir(p("d").c_str(), 0755)), 0);
  EXPECT_EQ(sys(::rmdir(p("f").c_str())), -ENOTDIR);
  EXPECT_EQ(sys(::unlink(p("d").c_str())), -EISDIR);
  EXPECT_EQ(sys(::mkdir(p("f/sub").c_str(), 0755)), -ENOTDIR);
  EXPECT_EQ(sys(::rename(p("f").c_str(), p("d").c_str())), -EISDIR);
  EXPECT_EQ(sys(::rename(p("d").c_str(), p("f").c_str())), -ENOTDIR);
}

TEST_F(Names, RenameSameAndOtherDirectory) {
  write_file(p("a"), "one");
  ASSERT_EQ(sys(::rename(p("a").c_str(), p("b").c_str())), 0);
  EXPECT_EQ(read_file(p("b")), "one");
  ASSERT_EQ(sys(::mkdir(p("d").c_str(), 0755)), 0);
  ASSERT_EQ(sys(::rename(p("b").c_str(), p("d/c").c_str())), 0);
  EXPECT_EQ(read_file(p("d/c")), "one");
  EXPECT_EQ(list(root_), std::vector<std::string>{"d"});
  struct stat st {};
  ASSERT_EQ(sys(::stat(p("d/c").c_str(), &st)), 0);
  EXPECT_EQ(st.st_nlink, 1u);
}

TEST_F(Names, RenameOverExisting) {
  write_file(p("a"), "new");
  write_file(p("b"), "old content");
  struct stat before {
  }, after{};
  ASSERT_EQ(sys(::stat(p("a").c_str(), &before)), 0);
  ASSERT_EQ(sys(::rename(p("a").c_str(), p("b").c_str())), 0);
  EXPECT_EQ(read_file(p("b")), "new");
  ASSERT_EQ(sys(::stat(p("b").c_str(), &after)), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_EQ(after.st_nlink, 1u);
  EXPECT_EQ(list(root_), std::vector<std::string>{"b"});
}

TEST_F(Names, RenameToItselfOtherName) {
  write_file(p("a"), "x");
  ASSERT_EQ(sys(::link(p("a").c_str(), p("b").c_str())), 0);
  EXPECT_EQ(sys(::rename(p("a").c_str(), p("b").c_str())), 0);  // same inode: nothing happens
  EXPECT_EQ(list(root_).size(), 2u);
}

TEST_F(Names, RenameDirectories) {
  ASSERT_EQ(sys(::mkdir(p("d1").c_str(), 0755)), 0);
  write_file(p("d1/f"), "x");
  ASSERT_EQ(sys(::rename(p("d1").c_str(), p("d2").c_str())), 0);
  EXPECT_EQ(read_file(p("d2/f")), "x");
  ASSERT_EQ(sys(::mkdir(p("empty").c_str(), 0755)), 0);
  EXPECT_EQ(sys(::rename(p("d2").c_str(), p("empty").c_str())),
            0);  // POSIX: an empty directory is replaced
  EXPECT_EQ(read_file(p("empty/f")), "x");
  ASSERT_EQ(sys(::mkdir(p("other").c_str(), 0755)), 0);
  write_file(p("other/g"), "y");
  EXPECT_EQ(sys(::rename(p("empty").c_str(), p("other").c_str())), -ENOTEMPTY);
  EXPECT_EQ(read_file(p("other/g")), "y");
  EXPECT_EQ(sys(::rename(p("empty").c_str(), p("empty/sub").c_str())), -EINVAL);
}

TEST_F(Names, RenameNoReplace) {
  write_file(p("a"), "1");
  write_file(p("b"), "2");
  EXPECT_EQ(sys(::renameat2(AT_FDCWD, p("a").c_str(), AT_FDCWD, p("b").c_str(), RENAME_NOREPLACE)),
            -EEXIST);
  EXPECT_EQ(sys(::renameat2(AT_FDCWD, p("a").c_str(), AT_FDCWD, p("c").c_str(), RENAME_NOREPLACE)),
            0);
  EXPECT_EQ(sys(::renameat2(AT_FDCWD, p("c").c_str(), AT_FDCWD, p("b").c_str(), RENAME_EXCHANGE)),
            -EINVAL);
  EXPECT_EQ(read_file(p("b")), "2");
  EXPECT_EQ(read_file(p("c")), "1");
}

TEST_F(Names, HardLinks) {
  write_file(p("a"), "shared");
  ASSERT_EQ(sys(::link(p("a").c_str(), p("b").c_str())), 0);
  struct stat sa {
  }, sb{};
  ASSERT_EQ(sys(::stat(p("a").c_str(), &sa)), 0);
  ASSERT_EQ(sys(::stat(p("b").c_str(), &sb)), 0);
  EXPECT_EQ(sa.st_ino, sb.st_ino);
  EXPECT_EQ(sa.st_nlink, 2u);
  EXPECT_EQ(sys(::link(p("a").c_str(), p("b").c_str())), -EEXIST);
  ASSERT_EQ(sys(::unlink(p("a").c_str())), 0);
  EXPECT_EQ(read_file(p("b")), "shared");
  ASSERT_EQ(sys(::stat(p("b").c_str(), &sb)), 0);
  EXPECT_EQ(sb.st_nlink, 1u);
  EXPECT_EQ(sys(::link(root_.c_str(), p("d").c_str())), -EPERM);
}

TEST_F(Names, Symlinks) {
  std::string target(4000, 't');
  ASSERT_EQ(sys(::symlink(target.c_str(), p("long").c_str())), 0);
  ASSERT_EQ(sys(::symlink("f", p("l").c_str())), 0);
  write_file(p("f"), "through");
  EXPECT_EQ(read_file(p("l")), "through");
  char buf[8192];
  EXPECT_EQ(sys(::readlink(p("long").c_str(), buf, sizeof(buf))), 4000);
  EXPECT_EQ(std::string(buf, 4000), target);
  struct stat st {};
  ASSERT_EQ(sys(::lstat(p("l").c_str(), &st)), 0);
  EXPECT_TRUE(S_ISLNK(st.st_mode));
  EXPECT_EQ(st.st_size, 1);
  EXPECT_EQ(sys(::symlink("f", p("l").c_str())), -EEXIST);
}

TEST_F(Names, SymlinkWithAnyBytes) {
  const char target[] = "\xff\xfe\"\\\n\x01";
  ASSERT_EQ(sys(::symlink(target, p("l").c_str())), 0);
  drop_caches();
  char buf[64];
  ASSERT_EQ(sys(::readlink(p("l").c_str(), buf, sizeof(buf))), static_cast<long>(strlen(target)));
  EXPECT_EQ(std::string(buf, strlen(target)), target);
}

TEST_F(Names, SpecialFiles) {
  ASSERT_EQ(sys(::mkfifo(p("fifo").c_str(), 0600)), 0);
  ASSERT_EQ(sys(::mknod(p("sock").c_str(), S_IFSOCK | 0600, 0)), 0);
  struct stat st {};
  ASSERT_EQ(sys(::stat(p("fifo").c_str(), &st)), 0);
  EXPECT_TRUE(S_ISFIFO(st.st_mode));
  ASSERT_EQ(sys(::stat(p("sock").c_str(), &st)), 0);
  EXPECT_TRUE(S_ISSOCK(st.st_mode));
  EXPECT_NE(sys(::mknod(p("dev").c_str(), S_IFCHR | 0600, 0x0103)),
            0);  // the protocol has no device numbers
  EXPECT_EQ(list(root_).size(), 2u);
}

TEST_F(Names, OddNames) {
  const std::vector<std::string> names = {
      "with space",       "quote\"s", "back\\slash", "tab\tnewline\n",
      "ctrl\x01\x1f",     "<&>",      "ümläut",      "日本語",
      "\xF0\x9F\x98\x80", "..x",      "-",           std::string(255, 'n'),
      "\xE2\x80\xA8ls"};
  for (const auto& n : names) write_file(p(n), n);
  drop_caches();
  for (const auto& n : names) EXPECT_EQ(read_file(p(n)), n);
  auto sorted = names;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(list(root_), sorted);
}

TEST_F(Names, RefusedNames) {
  EXPECT_EQ(Fd(p(std::string(256, 'n')), O_CREAT | O_RDWR).error(), ENAMETOOLONG);
  for (const char* bad : {"\xff", "a\xc3", "\xed\xa0\x80", "\xc0\xaf"}) {
    EXPECT_EQ(Fd(p(bad), O_CREAT | O_RDWR).error(), EILSEQ) << "name of invalid UTF-8";
    EXPECT_EQ(sys(::mkdir(p(bad).c_str(), 0755)), -EILSEQ);
    EXPECT_EQ(sys(::symlink("t", p(bad).c_str())), -EILSEQ);
  }
  EXPECT_TRUE(list(root_).empty());
}

TEST_F(Names, UnlinkWhileOpen) {
  write_file(p("a"), "still here");
  Fd f(p("a"), O_RDWR);
  ASSERT_EQ(sys(::unlink(p("a").c_str())), 0);
  struct stat st {};
  ASSERT_EQ(sys(::fstat(f.get(), &st)), 0);
  EXPECT_EQ(st.st_nlink, 0u);
  EXPECT_EQ(read_all(f.get(), 100, 0), "still here");
  write_all(f.get(), pattern(300000, 1), 5);
  EXPECT_EQ(sys(::fsync(f.get())), 0);
  drop_caches();
  EXPECT_EQ(read_all(f.get(), 300000, 5), pattern(300000, 1));
  Fd g(p("a"), O_RDWR);
  EXPECT_EQ(g.error(), ENOENT);
}

TEST_F(Names, ReaddirManyEntries) {
  constexpr int kCount = 2500;  // more than two pages of the server
  std::set<std::string> want;
  for (int i = 0; i < kCount; ++i) {
    std::string n = "entry-" + std::to_string(i);
    want.insert(n);
    Fd f(p(n), O_CREAT | O_WRONLY);
    ASSERT_GE(f.get(), 0) << n << ": " << strerror(f.error());
  }
  drop_caches();
  auto got = list(root_);
  EXPECT_EQ(std::set<std::string>(got.begin(), got.end()), want);
  EXPECT_EQ(got.size(), want.size()) << "an entry came twice";
}

TEST_F(Names, SeekdirAndRewind) {
  for (int i = 0; i < 40; ++i) write_file(p("f" + std::to_string(i)), "");
  DIR* d = ::opendir(root_.c_str());
  ASSERT_NE(d, nullptr);
  std::vector<std::string> first;
  std::vector<long> cookies;
  while (dirent* e = ::readdir(d)) {
    first.push_back(e->d_name);
    cookies.push_back(::telldir(d));
  }
  ::rewinddir(d);
  std::vector<std::string> again;
  while (dirent* e = ::readdir(d)) again.push_back(e->d_name);
  EXPECT_EQ(first, again);
  ASSERT_EQ(first.size(), 42u);
  ::seekdir(d, cookies[9]);
  dirent* e = ::readdir(d);
  ASSERT_NE(e, nullptr);
  EXPECT_EQ(e->d_name, first[10]);
  ::closedir(d);
}

TEST_F(Names, ReaddirDeleteWhileListing) {
  for (int i = 0; i < 200; ++i) write_file(p("f" + std::to_string(i)), "");
  DIR* d = ::opendir(root_.c_str());
  ASSERT_NE(d, nullptr);
  while (dirent* e = ::readdir(d)) {
    if (e->d_name[0] == '.') continue;
    EXPECT_EQ(sys(::unlinkat(::dirfd(d), e->d_name, 0)), 0) << e->d_name;
  }
  ::closedir(d);
  EXPECT_TRUE(list(root_).empty());
}

TEST_F(Names, DirentTypes) {
  write_file(p("file"), "");
  ASSERT_EQ(sys(::mkdir(p("dir").c_str(), 0755)), 0);
  ASSERT_EQ(sys(::symlink("x", p("link").c_str())), 0);
  DIR* d = ::opendir(root_.c_str());
  ASSERT_NE(d, nullptr);
  int seen = 0;
  while (dirent* e = ::readdir(d)) {
    std::string n = e->d_name;
    unsigned want = n == "file" ? DT_REG : n == "link" ? DT_LNK : DT_DIR;
    EXPECT_EQ(e->d_type, want) << n;
    ++seen;
  }
  ::closedir(d);
  EXPECT_EQ(seen, 5);
}

TEST_F(Names, DeepTree) {
  std::string path = root_;
  for (int i = 0; i < 40; ++i) {
    path += "/level" + std::to_string(i);
    ASSERT_EQ(sys(::mkdir(path.c_str(), 0755)), 0);
  }
  write_file(path + "/bottom", "deep");
  EXPECT_EQ(read_file(path + "/bottom"), "deep");
}

TEST_F(Names, ManyProcessesCreateAndRemove) {
  constexpr int kProcs = 4, kFiles = 40;
  std::vector<pid_t> pids;
  for (int w = 0; w < kProcs; ++w) {
    pid_t pid = ::fork();
    if (pid == 0) {
      for (int i = 0; i < kFiles; ++i) {
        std::string n = p("w" + std::to_string(w) + "-" + std::to_string(i));
        int fd = ::open(n.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0644);
        if (fd < 0 || ::write(fd, "data", 4) != 4 || ::close(fd) != 0) ::_exit(1);
        if (i % 2 == 0 && ::unlink(n.c_str()) != 0) ::_exit(2);
      }
      ::_exit(0);
    }
    pids.push_back(pid);
  }
  for (pid_t pid : pids) {
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }
  EXPECT_EQ(list(root_).size(), static_cast<std::size_t>(kProcs * kFiles / 2));
}

TEST_F(Names, SameNameRace) {
  // Many processes create one name without O_EXCL: all succeed; with O_EXCL exactly one does.
  for (int flags : {0, O_EXCL}) {
    std::vector<pid_t> pids;
    for (int w = 0; w < 6; ++w) {
      pid_t pid = ::fork();
      if (pid == 0) {
        int fd =
            ::open(p("same" + std::to_string(flags)).c_str(), O_CREAT | O_WRONLY | flags, 0644);
        ::_exit(fd >= 0 ? 0 : errno);
      }
      pids.push_back(pid);
    }
    int made = 0;
    for (pid_t pid : pids) {
      int status = 0;
      ASSERT_EQ(::waitpid(pid, &status, 0), pid);
      ASSERT_TRUE(WIFEXITED(status));
      made += WEXITSTATUS(status) == 0;
      EXPECT_TRUE(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == EEXIST);
    }
    EXPECT_EQ(made, flags ? 1 : 6);
  }
}
