// SPDX-License-Identifier: Apache-2.0
// Files without names, file handles, leases and locks of a kernel mount, answered by the fake daemon.
//
// What breaks if it fails: O_TMPFILE leaks inodes or loses linked ones, an NFS server on top of the mount cannot find files
// again after they left the cache, programs believe in leases that other hosts do not honour, or locks do not exclude.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "tests/kernel/kernel_test.h"

namespace cfs::test {
namespace {

std::string fd_path(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

/// Without a name: evicted with its last close, unless it got one.
void files_without_names() {
  EXPECT(mkdir(at("tmp").c_str(), 0755) == 0);
  int links = stat_of(at("tmp")).st_nlink;
  uint64_t evicted = ctl().seen[CFS_OP_EVICT];
  int fd = open(at("tmp").c_str(), O_TMPFILE | O_RDWR, 0640);
  struct stat st {};
  EXPECT(fd >= 0 && fstat(fd, &st) == 0 && st.st_nlink == 0 && (st.st_mode & 0777) == 0640);
  EXPECT(names_in(at("tmp")).empty() && int(stat_of(at("tmp")).st_nlink) == links);
  EXPECT(shared->ns.find(st.st_ino) != nullptr);
  close(fd);
  EXPECT(wait_until(5, [&] { return ctl().seen[CFS_OP_EVICT] == evicted + 1; }));
  EXPECT(wait_until(5, [&] { return !shared->ns.find(st.st_ino); }));

  fd = open(at("tmp").c_str(), O_TMPFILE | O_RDWR, 0640);
  fstat(fd, &st);
  EXPECT(linkat(AT_FDCWD, fd_path(fd).c_str(), AT_FDCWD, at("tmp/named").c_str(),
                AT_SYMLINK_FOLLOW) == 0);
  EXPECT(fstat(fd, &st) == 0 && st.st_nlink == 1 && stat_of(at("tmp/named")).st_ino == st.st_ino);
  evicted = ctl().seen[CFS_OP_EVICT];
  close(fd);
  drop_caches();
  EXPECT(stat_of(at("tmp/named")).st_ino == st.st_ino && ctl().seen[CFS_OP_EVICT] == evicted);

  fd = open(at("tmp").c_str(), O_TMPFILE | O_RDWR | O_EXCL, 0600);
  EXPECT_ERR(ENOENT, linkat(AT_FDCWD, fd_path(fd).c_str(), AT_FDCWD, at("tmp/no").c_str(),
                            AT_SYMLINK_FOLLOW));
  close(fd);
  EXPECT(unlink(at("tmp/named").c_str()) == 0 && rmdir(at("tmp").c_str()) == 0);
}

struct Handle {
  file_handle head;
  unsigned char bytes[MAX_HANDLE_SZ];
};

Handle handle_of(const std::string& path, unsigned room = MAX_HANDLE_SZ) {
  Handle h{};
  int mount;
  h.head.handle_bytes = room;
  EXPECT(name_to_handle_at(AT_FDCWD, path.c_str(), &h.head, &mount, 0) == 0);
  return h;
}

int open_handle(const Handle& h, int flags) {
  int mount = open(kMnt, O_RDONLY | O_DIRECTORY);
  Handle copy = h;
  int fd = open_by_handle_at(mount, &copy.head, flags);
  int err = errno;
  close(mount);
  return errno = err, fd;
}

uint64_t ino_of(int fd) {
  struct stat st {};
  EXPECT(fd >= 0 && fstat(fd, &st) == 0);
  close(fd);
  return st.st_ino;
}

void handles() {
  for (const char* d : {"h", "h/a", "h/a/b", "h/a/b/c"}) EXPECT(mkdir(at(d).c_str(), 0755) == 0);
  EXPECT(touch(at("h/a/b/c/file")) == 0);
  uint64_t file = stat_of(at("h/a/b/c/file")).st_ino, dir = stat_of(at("h/a/b/c")).st_ino;
  Handle fh = handle_of(at("h/a/b/c/file")), dh = handle_of(at("h/a/b/c"));
  Handle small{};
  int mount;
  small.head.handle_bytes = 4;
  EXPECT_ERR(EOVERFLOW, name_to_handle_at(AT_FDCWD, at("h").c_str(), &small.head, &mount, 0));
  EXPECT(small.head.handle_bytes >= 8);
  EXPECT(ino_of(open_handle(fh, O_RDONLY)) == file);
  drop_caches();
  EXPECT(ino_of(open_handle(fh, O_RDONLY)) == file);
  // the directory is connected again up to the root
  int fd = open_handle(dh, O_RDONLY | O_DIRECTORY);
  char path[256] = {};
  EXPECT(fd >= 0 && readlink(fd_path(fd).c_str(), path, sizeof(path) - 1) > 0);
  EXPECT(path == at("h/a/b/c"));
  EXPECT(faccessat(fd, "../../../a/b/c/file", F_OK, 0) == 0);
  EXPECT(ino_of(fd) == dir);
  EXPECT(unlink(at("h/a/b/c/file").c_str()) == 0);
  EXPECT_ERR(ESTALE, open_handle(fh, O_RDONLY));
  drop_caches();
  EXPECT_ERR(ESTALE, open_handle(fh, O_RDONLY));
  fh.head.handle_type++;
  EXPECT_ERR(ESTALE, open_handle(fh, O_RDONLY));
  for (const char* d : {"h/a/b/c", "h/a/b", "h/a", "h"}) EXPECT(rmdir(at(d).c_str()) == 0);
}

/// No other host would break a lease.
void leases_are_refused() {
  int fd = open(at("lease").c_str(), O_RDWR | O_CREAT, 0600);
  EXPECT_ERR(EINVAL, fcntl(fd, F_SETLEASE, F_WRLCK));
  EXPECT_ERR(EINVAL, fcntl(fd, F_SETLEASE, F_RDLCK));
  close(fd);
  EXPECT(unlink(at("lease").c_str()) == 0);
}

/// Locks hold between the processes of this host, and nothing is asked for them.
void locks_are_local() {
  std::string f = at("locked");
  int fd = open(f.c_str(), O_RDWR | O_CREAT, 0600);
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_len = 10;
  uint64_t asked =
      requests([&] { EXPECT(flock(fd, LOCK_EX) == 0 && fcntl(fd, F_SETLK, &range) == 0); });
  EXPECT(asked == 0);
  Task other([=] {
    int mine = open(f.c_str(), O_RDWR);
    return flock(mine, LOCK_EX | LOCK_NB);
  });
  EXPECT(other.wait_for(10) == EWOULDBLOCK);
  Task posix([=] {
    struct flock want = range;
    return fcntl(open(f.c_str(), O_RDWR), F_SETLK, &want);
  });
  EXPECT(posix.wait_for(10) == EAGAIN);
  struct flock ofd = range;
  ofd.l_start = 100;
  EXPECT(fcntl(fd, F_OFD_SETLK, &ofd) == 0);
  Task open_file([=] {
    struct flock want = ofd;
    return fcntl(open(f.c_str(), O_RDWR), F_OFD_SETLK, &want);
  });
  EXPECT(open_file.wait_for(10) == EAGAIN);
  Task waiter([=] {
    struct flock want = range;
    return fcntl(open(f.c_str(), O_RDWR), F_SETLKW, &want);
  });
  EXPECT(waiter.wait_for(0.3) == -1);
  close(fd);  // all of them end with it
  EXPECT(waiter.wait_for(10) == 0 && unlink(f.c_str()) == 0);
}

}  // namespace

void run_handle_tests() {
  ctl().valid_ms = 600000;
  run("files without names", files_without_names);
  run("handles", handles);
  run("leases are refused", leases_are_refused);
  run("locks are local", locks_are_local);
  ctl().valid_ms = 0;
}

}  // namespace cfs::test
