// SPDX-License-Identifier: Apache-2.0
/// Times: utimensat, what each call moves in a file and in its directory, statx. Breaks: make, rsync and backups decide
/// wrongly.
///
/// Source: POSIX.1-2017, file times update (4.9) and each call; Linux utimensat(2), statx(2).
#include <linux/stat.h>
#include <sys/syscall.h>

#include "posix.h"

using namespace fs_test;  // NOLINT: tests only

namespace {

constexpr timespec kOld = {1000000000, 0}, kNow = {0, UTIME_NOW}, kOmit = {0, UTIME_OMIT};

bool is_recent(time_t t) {
  return std::abs(t - ::time(nullptr)) < 60;
}

using Calls = std::vector<std::pair<const char*, std::function<long(const std::string& dir)>>>;

/// Each makes one change in `dir`, which has f, old, d and l.
const Calls kChanges = {
    {"create", [](const std::string& d) { return call::open(d + "/n", O_CREAT | O_RDWR); }},
    {"mkdir", [](const std::string& d) { return call::mkdir(d + "/n"); }},
    {"mkfifo", [](const std::string& d) { return call::mkfifo(d + "/n"); }},
    {"symlink", [](const std::string& d) { return call::symlink("t", d + "/n"); }},
    {"link", [](const std::string& d) { return call::link(d + "/f", d + "/n"); }},
    {"rename", [](const std::string& d) { return call::rename(d + "/f", d + "/n"); }},
    {"rename-over", [](const std::string& d) { return call::rename(d + "/f", d + "/old"); }},
    {"unlink", [](const std::string& d) { return call::unlink(d + "/f"); }},
    {"rmdir", [](const std::string& d) { return call::rmdir(d + "/d"); }},
};

/// Each changes the file `f` or says something about it; `moves_mtime` as POSIX has it. All but "open" move ctime.
struct FileChange {
  const char* name;
  bool moves_mtime;
  std::function<long(const std::string& f)> run;
};
const std::vector<FileChange> kFileChanges = {
    {"write", true,
     [](const std::string& f) {
       Fd fd(f, O_WRONLY);
       return sys(::pwrite(fd.get(), "y", 1, 0)) == 1 ? fd.close() : -EIO;
     }},
    {"append", true,
     [](const std::string& f) {
       Fd fd(f, O_WRONLY | O_APPEND);
       return sys(::write(fd.get(), "y", 1)) == 1 ? fd.close() : -EIO;
     }},
    {"truncate", true, [](const std::string& f) { return call::truncate(f, 1); }},
    {"open-truncate", true, [](const std::string& f) { return call::open(f, O_WRONLY | O_TRUNC); }},
    {"chmod", false, [](const std::string& f) { return call::chmod(f, 0600); }},
    {"chown", false, [](const std::string& f) { return call::chown(f, 1, 1); }},
    {"link", false, [](const std::string& f) { return call::link(f, f + "-l"); }},
    {"setxattr", false, [](const std::string& f) { return call::setx(f, "user.a", "v"); }},
    {"touch", false, [](const std::string& f) { return call::touch(f, kOld, kOld); }},
};

}  // namespace

class PosixTimes : public Posix {};

TEST_F(PosixTimes, DirectoryOfAChange) {
  for (const auto& [name, run] : kChanges) {
    const std::string d = p(name);
    ASSERT_EQ(call::mkdir(d) | call::mkdir(d + "/d") | call::symlink("f", d + "/l"), 0);
    write_file(d + "/f", "x");
    write_file(d + "/old", "x");
    ASSERT_EQ(call::touch(d, kOld, kOld), 0);
    ASSERT_EQ(status(d).st_mtime, kOld.tv_sec);
    same(std::string(name) + ".call", run(d), 0);
    same(std::string(name) + ".mtime-is-now", is_recent(status(d).st_mtime), 1);
  }
  drop_caches();
  for (const auto& [name, run] : kChanges)
    same(std::string(name) + ".mtime-cold", is_recent(status(p(name)).st_mtime), 1);
}

TEST_F(PosixTimes, RefusedChangeMovesNothing) {
  ASSERT_EQ(call::mkdir(p("d")), 0);
  write_file(p("d/f"), "x");
  ASSERT_EQ(call::touch(p("d"), kOld, kOld), 0);
  same("mkdir", call::mkdir(p("d/f")), -EEXIST);
  same("unlink", call::unlink(p("d/none")), -ENOENT);
  same("rmdir", call::rmdir(p("d")), -ENOTEMPTY);
  same("mtime", status(p("d")).st_mtime, kOld.tv_sec);
  drop_caches();
  same("mtime-cold", status(p("d")).st_mtime, kOld.tv_sec);
}

TEST_F(PosixTimes, FileOfAChange) {
  for (const FileChange& c : kFileChanges) {
    write_file(p(c.name), "xx");
    ASSERT_EQ(call::touch(p(c.name), kOld, kOld), 0);
  }
  const time_t before = ::time(nullptr);
  ::usleep(1100000);  // servers keep whole seconds
  for (const FileChange& c : kFileChanges) {
    const std::string n = c.name;
    same(n + ".call", c.run(p(n)), 0);
    const struct stat st = status(p(n));
    if (c.moves_mtime)
      same(n + ".mtime-is-now", is_recent(st.st_mtime), 1);
    else
      same(n + ".mtime-stays", st.st_mtime, kOld.tv_sec);
    same(n + ".ctime-moves", st.st_ctime > before, 1);
  }
  drop_caches();
  for (const FileChange& c : kFileChanges)
    if (c.moves_mtime)
      same(std::string(c.name) + ".mtime-cold", is_recent(status(p(c.name)).st_mtime), 1);
    else
      same(std::string(c.name) + ".mtime-cold", status(p(c.name)).st_mtime, kOld.tv_sec);
}

TEST_F(PosixTimes, ReadingMovesNoMtime) {
  write_file(p("f"), "x");
  ASSERT_EQ(call::touch(p("f"), kOld, kOld), 0);
  EXPECT_EQ(read_file(p("f")), "x");
  EXPECT_EQ(call::open(p("f"), O_WRONLY), 0);
  same("mtime", status(p("f")).st_mtime, kOld.tv_sec);
}

TEST_F(PosixTimes, SetAndOmit) {
  write_file(p("f"), "x");
  const timespec a = {1111111111, 0}, m = {1222222222, 0};
  same("both", call::touch(p("f"), a, m), 0);
  same("mtime", status(p("f")).st_mtime, m.tv_sec);
  same("atime", status(p("f")).st_atime, a.tv_sec);
  same("omit-mtime", call::touch(p("f"), kOld, kOmit), 0);
  same("omit-mtime-seen", status(p("f")).st_mtime, m.tv_sec);
  same("omit-both", call::touch(p("f"), kOmit, kOmit), 0);
  same("omit-both-seen", status(p("f")).st_mtime, m.tv_sec);
  same("now", call::touch(p("f"), kOmit, kNow), 0);
  same("now-seen", is_recent(status(p("f")).st_mtime), 1);
  same("null", sys(::utimensat(AT_FDCWD, p("f").c_str(), nullptr, 0)), 0);
  same("bad-nanoseconds", call::touch(p("f"), kOmit, {1, 1000000000}), -EINVAL);
  same("negative-nanoseconds", call::touch(p("f"), kOmit, {1, -1}), -EINVAL);
  same("bad-flag", call::touch(p("f"), kNow, kNow, 1 << 20), -EINVAL);
  same("before-1970", call::touch(p("f"), kOmit, {-1000, 0}), 0);
  same("before-1970-seen", status(p("f")).st_mtime, -1000);
  same("after-2038", call::touch(p("f"), kOmit, {5000000000, 0}), 0);
  same("after-2038-seen", status(p("f")).st_mtime, 5000000000);
  drop_caches();
  same("after-2038-cold", status(p("f")).st_mtime, 5000000000);
}

TEST_F(PosixTimes, Nanoseconds) {
  write_file(p("f"), "x");
  same("set", call::touch(p("f"), kOmit, {1222222222, 999999999}), 0);
  drop_caches();
  same("seconds", status(p("f")).st_mtim.tv_sec, 1222222222);
  same("nanoseconds", status(p("f")).st_mtim.tv_nsec, 999999999);
}

TEST_F(PosixTimes, TouchEachType) {
  ASSERT_EQ(call::mkdir(p("dir")) | call::mkfifo(p("fifo")) | call::symlink("dir", p("link")), 0);
  for (const char* n : {"dir", "fifo"}) {
    same(std::string(n) + ".touch", call::touch(p(n), kOld, kOld), 0);
    drop_caches();
    same(std::string(n) + ".mtime", status(p(n)).st_mtime, kOld.tv_sec);
  }
  same("link.touch", call::touch(p("link"), kOld, {1333333333, 0}, AT_SYMLINK_NOFOLLOW), 0);
  drop_caches();
  same("link.mtime", status(p("link")).st_mtime, 1333333333);
  same("link.target", status(p("dir")).st_mtime, kOld.tv_sec);
  Fd f(p("file"), O_CREAT | O_RDWR);
  const timespec t[2] = {kOld, kOld};
  same("futimens", sys(::futimens(f.get(), t)), 0);
  same("futimens-seen", status(p("file")).st_mtime, kOld.tv_sec);
}

TEST_F(PosixTimes, MtimeSetBeforeCloseStays) {
  // What tar, cp -p and rsync do: write, set the time, close.
  {
    Fd f(p("f"), O_CREAT | O_RDWR);
    write_all(f.get(), pattern(200000, 1), 0);
    const timespec t[2] = {kOld, kOld};
    same("futimens", sys(::futimens(f.get(), t)), 0);
    same("close", f.close(), 0);
  }
  same("mtime", status(p("f")).st_mtime, kOld.tv_sec);
  drop_caches();
  same("mtime-cold", status(p("f")).st_mtime, kOld.tv_sec);
}

TEST_F(PosixTimes, Statx) {
  write_file(p("f"), "12345");
  struct statx sx {};
  same("call",
       sys(::syscall(SYS_statx, AT_FDCWD, p("f").c_str(), 0, STATX_BASIC_STATS | STATX_BTIME, &sx)),
       0);
  same("basic", sx.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
  same("size", static_cast<long>(sx.stx_size), 5);
  same("btime", (sx.stx_mask & STATX_BTIME) != 0 && is_recent(sx.stx_btime.tv_sec), 1);
  same("force-sync",
       sys(::syscall(SYS_statx, AT_FDCWD, p("f").c_str(), AT_STATX_FORCE_SYNC, STATX_SIZE, &sx)),
       0);
  same("dont-sync",
       sys(::syscall(SYS_statx, AT_FDCWD, p("f").c_str(), AT_STATX_DONT_SYNC, STATX_SIZE, &sx)), 0);
  same("bad-sync",
       sys(::syscall(SYS_statx, AT_FDCWD, p("f").c_str(), AT_STATX_SYNC_TYPE, STATX_SIZE, &sx)),
       -EINVAL);
  same("reserved-mask",
       sys(::syscall(SYS_statx, AT_FDCWD, p("f").c_str(), 0, STATX__RESERVED, &sx)), -EINVAL);
  same("missing", sys(::syscall(SYS_statx, AT_FDCWD, p("n").c_str(), 0, STATX_SIZE, &sx)), -ENOENT);
  same("empty-path",
       sys(::syscall(SYS_statx, Fd(p("f"), O_PATH).get(), "", AT_EMPTY_PATH, STATX_SIZE, &sx)), 0);
}
