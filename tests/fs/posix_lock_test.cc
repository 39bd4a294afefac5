// SPDX-License-Identifier: Apache-2.0
/// Locks between the processes of one host, leases, inotify. Breaks: two programs write the same record, or one that waits
/// for a change never hears of it.
///
/// Source: POSIX.1-2017 fcntl(); Linux flock(2), fcntl(2) (OFD locks, leases), inotify(7).
#include <poll.h>
#include <sys/file.h>
#include <sys/inotify.h>

#include "posix.h"

using namespace fs_test;  // NOLINT: tests only

namespace {

struct flock region(short type, off_t start, off_t length) {
  struct flock l {};
  l.l_type = type;
  l.l_whence = SEEK_SET;
  l.l_start = start;
  l.l_len = length;
  return l;
}

long lock(int fd, int command, short type, off_t start, off_t length) {
  struct flock l = region(type, start, length);
  return sys(::fcntl(fd, command, &l));
}

const Who kRoot = {0, 0, {}};

}  // namespace

class PosixLock : public Posix {
 protected:
  void SetUp() override {
    Posix::SetUp();
    write_file(p("f"), std::string(1000, 'x'));
  }
  /// A non-blocking lock tried by another process.
  long elsewhere(int command, short type, off_t start, off_t length) {
    return as(kRoot, [&] {
      Fd f(p("f"), O_RDWR);
      return lock(f.get(), command, type, start, length);
    });
  }
  long flock_elsewhere(int how) {
    return as(kRoot, [&] {
      Fd f(p("f"), O_RDWR);
      return sys(::flock(f.get(), how | LOCK_NB));
    });
  }
};

TEST_F(PosixLock, RecordLocksBetweenProcesses) {
  Fd f(p("f"), O_RDWR);
  ASSERT_EQ(lock(f.get(), F_SETLK, F_WRLCK, 100, 100), 0);
  same("overlap-write", elsewhere(F_SETLK, F_WRLCK, 150, 1), -EAGAIN);
  same("overlap-read", elsewhere(F_SETLK, F_RDLCK, 199, 10), -EAGAIN);
  same("beside", elsewhere(F_SETLK, F_WRLCK, 200, 100), 0);
  same("before", elsewhere(F_SETLK, F_WRLCK, 0, 100), 0);
  same("whole", elsewhere(F_SETLK, F_RDLCK, 0, 0), -EAGAIN);
  ASSERT_EQ(lock(f.get(), F_SETLK, F_RDLCK, 100, 100), 0);
  same("shared", elsewhere(F_SETLK, F_RDLCK, 100, 100), 0);
  same("shared-write", elsewhere(F_SETLK, F_WRLCK, 100, 100), -EAGAIN);
  ASSERT_EQ(lock(f.get(), F_SETLK, F_UNLCK, 120, 10), 0);
  same("hole", elsewhere(F_SETLK, F_WRLCK, 120, 10), 0);
  same("ofd-against-posix", elsewhere(F_OFD_SETLK, F_WRLCK, 100, 10), -EAGAIN);
}

TEST_F(PosixLock, WhoHoldsIt) {
  Fd f(p("f"), O_RDWR);
  ASSERT_EQ(lock(f.get(), F_SETLK, F_WRLCK, 100, 100), 0);
  const auto got = as_many(kRoot, [&] {
    Fd g(p("f"), O_RDWR);
    struct flock l = region(F_WRLCK, 0, 0);
    const long r = sys(::fcntl(g.get(), F_GETLK, &l));
    return std::vector<long>{r, l.l_type, l.l_start, l.l_len, l.l_pid};
  });
  ASSERT_EQ(got.size(), 5u);
  same("call", got[0], 0);
  same("type", got[1], F_WRLCK);
  same("start", got[2], 100);
  same("length", got[3], 100);
  same("pid-is-mine", got[4] == ::getpid(), 1);
}

TEST_F(PosixLock, CloseReleases) {
  Fd f(p("f"), O_RDWR);
  ASSERT_EQ(lock(f.get(), F_SETLK, F_WRLCK, 0, 0), 0);
  same("held", elsewhere(F_SETLK, F_WRLCK, 0, 0), -EAGAIN);
  EXPECT_EQ(call::open(p("f"), O_RDONLY),
            0);  // closing any descriptor of the file drops the process's locks
  same("any-close", elsewhere(F_SETLK, F_WRLCK, 0, 0), 0);
  ASSERT_EQ(lock(f.get(), F_OFD_SETLK, F_WRLCK, 0, 0), 0);
  EXPECT_EQ(call::open(p("f"), O_RDONLY), 0);
  same("ofd-other-close", elsewhere(F_OFD_SETLK, F_WRLCK, 0, 0), -EAGAIN);
  EXPECT_EQ(f.close(), 0);
  same("ofd-close", elsewhere(F_OFD_SETLK, F_WRLCK, 0, 0), 0);
}

TEST_F(PosixLock, EndOfProcessReleases) {
  same("child", elsewhere(F_SETLK, F_WRLCK, 0, 0), 0);
  Fd f(p("f"), O_RDWR);
  same("after", lock(f.get(), F_SETLK, F_WRLCK, 0, 0), 0);
}

TEST_F(PosixLock, OpenFileDescriptionLocks) {
  Fd f(p("f"), O_RDWR), g(p("f"), O_RDWR);
  ASSERT_EQ(lock(f.get(), F_OFD_SETLK, F_WRLCK, 0, 10), 0);
  same("same-process", lock(g.get(), F_OFD_SETLK, F_WRLCK, 0, 10), -EAGAIN);
  same("beside", lock(g.get(), F_OFD_SETLK, F_WRLCK, 10, 10), 0);
  struct flock l = region(F_WRLCK, 0, 10);
  same("getlk", sys(::fcntl(g.get(), F_OFD_GETLK, &l)), 0);
  same("getlk-type", l.l_type, F_WRLCK);
  same("getlk-pid", l.l_pid, -1);
  const int copy = ::dup(f.get());
  same("dup", lock(copy, F_OFD_SETLK, F_UNLCK, 0, 10), 0);
  same("after-dup", lock(g.get(), F_OFD_SETLK, F_WRLCK, 0, 10), 0);
  ::close(copy);
}

TEST_F(PosixLock, RecordLockArguments) {
  Fd r(p("f"), O_RDONLY), w(p("f"), O_WRONLY);
  same("write-lock-on-read", lock(r.get(), F_SETLK, F_WRLCK, 0, 1), -EBADF);
  same("read-lock-on-write", lock(w.get(), F_SETLK, F_RDLCK, 0, 1), -EBADF);
  same("bad-type", lock(r.get(), F_SETLK, 17, 0, 1), -EINVAL);
  same("before-start", lock(r.get(), F_SETLK, F_RDLCK, -1, 1), -EINVAL);
  same("negative-length", lock(r.get(), F_SETLK, F_RDLCK, 10, -5), 0);
}

TEST_F(PosixLock, BlockingLockWaits) {
  Fd f(p("f"), O_RDWR);
  ASSERT_EQ(lock(f.get(), F_SETLK, F_WRLCK, 0, 0), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    Fd g(p("f"), O_RDWR);
    ::_exit(lock(g.get(), F_SETLKW, F_WRLCK, 0, 0) == 0 ? 7 : 1);
  }
  ::usleep(100000);
  int status = 0;
  same("waits", ::waitpid(pid, &status, WNOHANG), 0);
  ASSERT_EQ(lock(f.get(), F_SETLK, F_UNLCK, 0, 0), 0);
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  same("gets-it", WIFEXITED(status) ? WEXITSTATUS(status) : -1, 7);
}

TEST_F(PosixLock, Deadlock) {
  Fd f(p("f"), O_RDWR);
  ASSERT_EQ(lock(f.get(), F_SETLK, F_WRLCK, 0, 1), 0);
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    Fd g(p("f"), O_RDWR);
    if (lock(g.get(), F_SETLK, F_WRLCK, 1, 1) != 0 || ::write(ready[1], "r", 1) != 1) ::_exit(1);
    ::_exit(lock(g.get(), F_SETLKW, F_WRLCK, 0, 1) == 0 ? 0 : 2);
  }
  char c = 0;
  ASSERT_EQ(::read(ready[0], &c, 1), 1);
  ::close(ready[0]);
  ::close(ready[1]);
  ::usleep(100000);  // until it waits
  same("detected", lock(f.get(), F_SETLKW, F_WRLCK, 1, 1), -EDEADLK);
  ASSERT_EQ(lock(f.get(), F_SETLK, F_UNLCK, 0, 1), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  same("other-goes-on", WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
}

TEST_F(PosixLock, Flock) {
  Fd f(p("f"), O_RDWR), g(p("f"), O_RDWR);
  same("exclusive", sys(::flock(f.get(), LOCK_EX)), 0);
  same("same-process", sys(::flock(g.get(), LOCK_EX | LOCK_NB)), -EAGAIN);
  same("elsewhere", flock_elsewhere(LOCK_SH), -EAGAIN);
  same("shared", sys(::flock(f.get(), LOCK_SH)), 0);
  same("shared-elsewhere", flock_elsewhere(LOCK_SH), 0);
  same("exclusive-elsewhere", flock_elsewhere(LOCK_EX), -EAGAIN);
  same("independent-of-records", elsewhere(F_SETLK, F_WRLCK, 0, 0), 0);
  same("unlock", sys(::flock(f.get(), LOCK_UN)), 0);
  same("free", flock_elsewhere(LOCK_EX), 0);
  same("bad", sys(::flock(f.get(), 77)), -EINVAL);
  Fd d(root_, O_RDONLY | O_DIRECTORY);
  same("directory", sys(::flock(d.get(), LOCK_EX)), 0);
}

TEST_F(PosixLock, Leases) {
  Fd f(p("f"), O_RDONLY);
  same("read-lease", sys(::fcntl(f.get(), F_SETLEASE, F_RDLCK)), 0);
  same("get", sys(::fcntl(f.get(), F_GETLEASE)), F_RDLCK);
  ::fcntl(f.get(), F_SETLEASE, F_UNLCK);
  same("unlock-again", sys(::fcntl(f.get(), F_SETLEASE, F_UNLCK)), -EAGAIN);
}

class PosixNotify : public Posix {
 protected:
  void SetUp() override {
    Posix::SetUp();
    fd_ = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    ASSERT_GE(fd_, 0);
  }
  void TearDown() override {
    ::close(fd_);
    Posix::TearDown();
  }
  void watch(const std::string& path, std::uint32_t mask) {
    ASSERT_GE(::inotify_add_watch(fd_, path.c_str(), mask), 0);
  }
  /// Masks of all events that are there, with their names: "100:f 2:f".
  std::string events() {
    alignas(inotify_event) char b[16384];
    std::string out;
    for (ssize_t n; (n = ::read(fd_, b, sizeof(b))) > 0;) {
      for (char* at = b; at < b + n;) {
        const auto* e = reinterpret_cast<const inotify_event*>(at);
        char text[16];
        std::snprintf(text, sizeof(text), "%x:", e->mask);
        out += (out.empty() ? "" : " ") + std::string(text) + (e->len ? e->name : "");
        at += sizeof(*e) + e->len;
      }
    }
    return out;
  }
  int fd_ = -1;
};

TEST_F(PosixNotify, DirectoryChanges) {
  watch(root_, IN_CREATE | IN_DELETE | IN_MOVE | IN_ATTRIB | IN_MODIFY | IN_CLOSE_WRITE);
  EXPECT_EQ(call::mkdir(p("d")), 0);
  same_text("mkdir", events(), "40000100:d");
  write_file(p("f"), "x");
  same_text("write", events(), "100:f 2:f 8:f");
  EXPECT_EQ(call::chmod(p("f"), 0600), 0);
  same_text("chmod", events(), "4:f");
  EXPECT_EQ(call::rename(p("f"), p("g")), 0);
  same_text("rename", events(), "40:f 80:g");
  EXPECT_EQ(call::link(p("g"), p("h")), 0);
  same_text("link", events(), "100:h");
  EXPECT_EQ(call::truncate(p("g"), 0), 0);
  same_text("truncate", events(), "2:g");
  EXPECT_EQ(call::unlink(p("h")), 0);
  same_text("unlink", events(), "200:h");
  EXPECT_EQ(call::rmdir(p("d")), 0);
  same_text("rmdir", events(), "40000200:d");
}

TEST_F(PosixNotify, FileItself) {
  write_file(p("f"), "x");
  watch(p("f"), IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF);
  write_file(p("f"), "yy");
  same("modified", events().find("2:") != std::string::npos, 1);
  EXPECT_EQ(call::rename(p("f"), p("g")), 0);
  same_text("moved", events(), "800:");
  EXPECT_EQ(call::unlink(p("g")), 0);
  same_text("deleted", events(), "400: 8000:");
}
