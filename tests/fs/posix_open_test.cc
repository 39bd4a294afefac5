// SPDX-License-Identifier: Apache-2.0
/// open(2) with all its flags, O_TMPFILE, truncate, ETXTBSY, seeking, allocation. Breaks: a program that relies on a flag
/// works on other data than it thinks.
///
/// Source: POSIX.1-2017 open(), truncate(), lseek(); Linux open(2), fallocate(2), copy_file_range(2).
#include <sys/statvfs.h>
#include <sys/uio.h>

#include "posix.h"

using namespace fs_test;  // NOLINT: tests only

class PosixOpen : public Posix {
 protected:
  void SetUp() override {
    Posix::SetUp();
    ASSERT_EQ(call::chmod(root_, 0777), 0);
  }
};

TEST_F(PosixOpen, FlagsByType) {
  write_file(p("file"), "x");
  ASSERT_EQ(
      call::mkdir(p("dir")) | call::symlink("file", p("link")) | call::symlink("dir", p("dlink")),
      0);
  ASSERT_EQ(call::symlink("made", p("dangling")) | call::mknod(p("socket"), S_IFSOCK | 0644), 0);
  const struct {
    const char* path;
    const char* flags_name;
    int flags;
    long expected;
  } cases[] = {
      {"file", "directory", O_RDONLY | O_DIRECTORY, -ENOTDIR},
      {"link", "nofollow", O_RDONLY | O_NOFOLLOW, -ELOOP},
      {"link", "nofollow-path", O_PATH | O_NOFOLLOW, 0},
      {"link", "nofollow-directory", O_RDONLY | O_NOFOLLOW | O_DIRECTORY, -ENOTDIR},
      {"dlink", "directory", O_RDONLY | O_DIRECTORY, 0},
      {"dir", "write", O_WRONLY, -EISDIR},
      {"dir", "both", O_RDWR, -EISDIR},
      {"dir", "creat", O_RDONLY | O_CREAT, -EISDIR},
      {"dir", "truncate", O_RDONLY | O_TRUNC, -EISDIR},
      {"dir", "read", O_RDONLY, 0},
      {"none", "read", O_RDONLY, -ENOENT},
      {"none", "truncate", O_WRONLY | O_TRUNC, -ENOENT},
      {"socket", "read", O_RDONLY, -ENXIO},
      {"socket", "path", O_PATH, 0},
      {"link", "creat-excl", O_CREAT | O_EXCL | O_RDWR, -EEXIST},
      {"dangling", "creat-excl", O_CREAT | O_EXCL | O_RDWR, -EEXIST},
      {"dangling", "read", O_RDONLY, -ENOENT},
      {"dangling", "creat", O_CREAT | O_RDWR, 0},
      {"made", "exists-now", O_RDONLY, 0},
      {"file", "noatime", O_RDONLY | O_NOATIME, 0},
      {"file", "direct", O_RDONLY | O_DIRECT, 0},
      {"file", "sync", O_RDWR | O_SYNC, 0},
      {"file", "nonblock", O_RDWR | O_NONBLOCK, 0},
      {"file", "nocreat-excl", O_RDONLY, 0},
  };
  for (const auto& c : cases)
    same(std::string(c.path) + "." + c.flags_name, call::open(p(c.path), c.flags), c.expected);
  ASSERT_EQ(call::chmod(p("file"), 0666), 0);
  same("noatime-stranger",
       as({kUser, kGroup, {}}, [&] { return call::open(p("file"), O_RDONLY | O_NOATIME); }),
       -EPERM);
}

TEST_F(PosixOpen, AccessModes) {
  write_file(p("f"), "content");
  Fd r(p("f"), O_RDONLY), w(p("f"), O_WRONLY), path(p("f"), O_PATH);
  char b[8];
  same("write-on-read", sys(::write(r.get(), "x", 1)), -EBADF);
  same("read-on-write", sys(::read(w.get(), b, 1)), -EBADF);
  same("read-on-path", sys(::read(path.get(), b, 1)), -EBADF);
  same("ftruncate-on-read", sys(::ftruncate(r.get(), 1)), -EINVAL);
  same("ftruncate-on-path", sys(::ftruncate(path.get(), 1)), -EBADF);
  same("fchmod-on-path", sys(::fchmod(path.get(), 0600)), -EBADF);
  Fd d(root_, O_RDONLY | O_DIRECTORY);
  same("read-on-directory", sys(::read(d.get(), b, 1)), -EISDIR);
  same("getdents-on-file", call::list(p("f")), -ENOTDIR);
  same("lseek-negative", sys(::lseek(r.get(), -1, SEEK_SET)), -EINVAL);
  same("pread-negative", sys(::pread(r.get(), b, 1, -1)), -EINVAL);
  void* volatile nowhere = reinterpret_cast<void*>(8);  // volatile: the compiler would warn of it
  same("bad-buffer", sys(::pread(r.get(), nowhere, 4, 0)), -EFAULT);
  same("write-bad-buffer", sys(::pwrite(w.get(), nowhere, 4, 0)), -EFAULT);
  EXPECT_EQ(read_file(p("f")), "content");
}

TEST_F(PosixOpen, CreateReadOnlyAndWrite) {
  // The mode counts from the next open on, not for the descriptor that made the file.
  same("write",
       as({kUser, kGroup, {}},
          [&] {
            Fd f(p("f"), O_CREAT | O_EXCL | O_RDWR, 0444);
            if (f.get() < 0) return static_cast<long>(-f.error());
            return sys(::write(f.get(), "bytes", 5));
          }),
       5);
  same("again", as({kUser, kGroup, {}}, [&] { return call::open(p("f"), O_RDWR); }), -EACCES);
  same("creat-existing",
       as({kUser, kGroup, {}}, [&] { return call::open(p("f"), O_CREAT | O_RDONLY); }), 0);
  EXPECT_EQ(read_file(p("f")), "bytes");
}

TEST_F(PosixOpen, TruncateOnOpen) {
  write_file(p("f"), pattern(100000, 1));
  Fd other(p("f"), O_RDONLY);
  same("open", call::open(p("f"), O_WRONLY | O_TRUNC), 0);
  same("size", status(p("f")).st_size, 0);
  EXPECT_EQ(read_all(other.get(), 10, 0), "");
  same("creat-truncate", call::open(p("f"), O_WRONLY | O_CREAT | O_TRUNC), 0);
  write_file(p("g"), "keep");
  same("creat-excl-truncate", call::open(p("g"), O_WRONLY | O_CREAT | O_EXCL | O_TRUNC), -EEXIST);
  EXPECT_EQ(read_file(p("g")), "keep");
}

TEST_F(PosixOpen, Append) {
  write_file(p("f"), "12345");
  Fd a(p("f"), O_RDWR | O_APPEND), b(p("f"), O_RDWR | O_APPEND);
  for (int i = 0; i < 10; ++i) {
    same("a", sys(::write(a.get(), "a", 1)), 1);
    same("b", sys(::write(b.get(), "b", 1)), 1);
  }
  same("pwrite", sys(::pwrite(a.get(), "!", 1, 0)),
       1);  // Linux appends in spite of the offset: pwrite(2), BUGS
  EXPECT_EQ(read_file(p("f")), "12345abababababababababab!");
}

TEST_F(PosixOpen, Truncate) {
  write_file(p("f"), "0123456789");
  ASSERT_EQ(call::mkdir(p("d")) | call::mkfifo(p("p")), 0);
  same("down", call::truncate(p("f"), 4), 0);
  same("down-size", status(p("f")).st_size, 4);
  same("up", call::truncate(p("f"), 20), 0);
  EXPECT_EQ(read_file(p("f")), "0123" + std::string(16, '\0'));
  same("same", call::truncate(p("f"), 20), 0);
  same("negative", call::truncate(p("f"), -1), -EINVAL);
  same("directory", call::truncate(p("d"), 0), -EISDIR);
  same("fifo", call::truncate(p("p"), 0), -EINVAL);
  same("huge", call::truncate(p("f"), 1l << 40), 0);
  same("huge-size", status(p("f")).st_size, 1l << 40);
  drop_caches();
  same("huge-cold", status(p("f")).st_size, 1l << 40);
  EXPECT_EQ(read_all(Fd(p("f"), O_RDONLY).get(), 5, (1l << 40) - 3), std::string(3, '\0'));
  same("back", call::truncate(p("f"), 2), 0);
  EXPECT_EQ(read_file(p("f")), "01");
}

TEST_F(PosixOpen, TemporaryFile) {
  const int fd = ::open(root_.c_str(), O_TMPFILE | O_RDWR, 0640);
  same("open", fd < 0 ? -errno : 0, 0);
  if (fd < 0) return;
  Fd f(fd);
  write_all(f.get(), "content", 0);
  struct stat st {};
  ASSERT_EQ(sys(::fstat(f.get(), &st)), 0);
  same("mode", st.st_mode, S_IFREG | 0640);
  same("nlink", static_cast<long>(st.st_nlink), 0);
  EXPECT_TRUE(list(root_).empty());
  EXPECT_EQ(read_all(f.get(), 10, 0), "content");
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  same("link",
       sys(::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, p("named").c_str(), AT_SYMLINK_FOLLOW)), 0);
  if (mode_of(p("named")) < 0) return;
  EXPECT_EQ(read_file(p("named")), "content");
  same("nlink-linked", static_cast<long>(status(p("named")).st_nlink), 1);
  drop_caches();
  EXPECT_EQ(read_file(p("named")), "content");
}

TEST_F(PosixOpen, TemporaryFileRefusals) {
  write_file(p("f"), "");
  same("read-only", call::open(root_, O_TMPFILE | O_RDONLY), -EINVAL);
  same("not-a-directory", call::open(p("f"), O_TMPFILE | O_RDWR), -ENOTDIR);
  const int fd = ::open(root_.c_str(), O_TMPFILE | O_RDWR | O_EXCL, 0640);
  same("excl", fd < 0 ? -errno : 0, 0);
  if (fd < 0) return;
  Fd f(fd);
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  same("excl-link",
       sys(::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, p("n").c_str(), AT_SYMLINK_FOLLOW)), -ENOENT);
}

TEST_F(PosixOpen, RunningProgram) {
  std::filesystem::copy_file("/bin/sleep", p("sleep"));
  ASSERT_EQ(call::chmod(p("sleep"), 0755), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::execl(p("sleep").c_str(), "sleep", "30", nullptr);
    ::_exit(errno);
  }
  // until it runs: the link in /proc names it
  const std::string exe = "/proc/" + std::to_string(pid) + "/exe";
  char now[PATH_MAX] = {};
  for (int i = 0; i < 1000 && std::string(now).find("/sleep") == std::string::npos; ++i) {
    ::usleep(10000);
    ASSERT_GE(::readlink(exe.c_str(), now, sizeof(now) - 1), 0);
  }
  same("write", call::open(p("sleep"), O_WRONLY), -ETXTBSY);
  same("truncate", call::truncate(p("sleep"), 0), -ETXTBSY);
  same("read", call::open(p("sleep"), O_RDONLY), 0);
  same("unlink", call::unlink(p("sleep")), 0);
  ::kill(pid, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status)) << status;
}

TEST_F(PosixOpen, ProgramOpenForWriting) {
  std::filesystem::copy_file("/bin/true", p("true"));
  ASSERT_EQ(call::chmod(p("true"), 0755), 0);
  const auto run = [&] {
    return as({0, 0, {}}, [&]() -> long {
      return ::execl(p("true").c_str(), "true", nullptr) < 0 ? -errno : 0;
    });
  };
  {
    Fd w(p("true"), O_WRONLY);
    same("open", run(), -ETXTBSY);
  }
  same("closed", run(), -ECHILD);  // it ran: the child became /bin/true and said nothing
  ASSERT_EQ(call::chmod(p("true"), 0644), 0);
  same("no-x", run(), -EACCES);
}

TEST_F(PosixOpen, SeekDataAndHole) {
  Fd f(p("f"), O_CREAT | O_RDWR);
  ASSERT_EQ(sys(::ftruncate(f.get(), 1 << 20)), 0);
  write_all(f.get(), "data", 512 << 10);
  ASSERT_EQ(sys(::fsync(f.get())), 0);
  same("data", sys(::lseek(f.get(), 0, SEEK_DATA)), 512 << 10);
  same("hole", sys(::lseek(f.get(), 0, SEEK_HOLE)), 0);
  const long hole =
      sys(::lseek(f.get(), 512 << 10, SEEK_HOLE));  // in the block of the data, or right behind it
  same("hole-after", hole > (512 << 10) && hole <= (512 << 10) + 4096, 1);
  same("beyond", sys(::lseek(f.get(), 2 << 20, SEEK_DATA)), -ENXIO);
  same("end", sys(::lseek(f.get(), 0, SEEK_END)), 1 << 20);
}

TEST_F(PosixOpen, Allocation) {
  Fd f(p("f"), O_CREAT | O_RDWR);
  write_all(f.get(), pattern(20000, 1), 0);
  same("allocate", sys(::fallocate(f.get(), 0, 0, 100000)), 0);
  same("punch", sys(::fallocate(f.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096)),
       0);
  same("unknown-mode", sys(::fallocate(f.get(), 1 << 20, 0, 1)), -EOPNOTSUPP);
  same("negative", sys(::fallocate(f.get(), 0, -1, 1)), -EINVAL);
  same("posix", -::posix_fallocate(f.get(), 0, 100000), 0);
  same("posix-size", status(p("f")).st_size, 100000);
}

TEST_F(PosixOpen, CopyFileRange) {
  const std::string data = pattern(300000, 3);
  write_file(p("from"), data);
  Fd from(p("from"), O_RDONLY), to(p("to"), O_CREAT | O_RDWR);
  std::size_t done = 0;
  while (done < data.size()) {
    const ssize_t n =
        ::copy_file_range(from.get(), nullptr, to.get(), nullptr, data.size() - done, 0);
    ASSERT_GT(n, 0) << strerror(errno);
    done += static_cast<std::size_t>(n);
  }
  EXPECT_EQ(read_file(p("to")), data);
}

TEST_F(PosixOpen, Limits) {
  same("pathconf-name", ::pathconf(root_.c_str(), _PC_NAME_MAX), 255);
  struct statvfs sv {};
  ASSERT_EQ(sys(::statvfs(root_.c_str(), &sv)), 0);
  same("namemax", static_cast<long>(sv.f_namemax), 255);
  Fd f(p("f"), O_CREAT | O_RDWR);
  same("offset-max", sys(::pwrite(f.get(), "x", 1, INT64_MAX)), -EINVAL);
  same("zero-length", sys(::pwrite(f.get(), "x", 0, 100)), 0);
  same("zero-length-size", status(p("f")).st_size, 0);
  iovec none[1] = {{nullptr, 0}};
  same("empty-vector", sys(::pwritev(f.get(), none, 1, 0)), 0);
}
