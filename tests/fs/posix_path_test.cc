// SPDX-License-Identifier: Apache-2.0
/// Every call that takes a path, with every path that must be refused. Breaks: a wrong errno, or a call that works on
/// something else than the path names.
///
/// Source: POSIX.1-2017, path resolution (4.13) and the ERRORS section of each call.
#include <sys/statfs.h>

#include "posix.h"

using namespace fs_test;  // NOLINT: tests only

namespace {

constexpr timespec kNow = {0, UTIME_NOW};

struct PathCall {
  const char* name;
  std::function<long(const char* path)> run;
  bool makes;  ///< makes its last component
};

/// `existing`: a file for the calls with two paths. Their other path does not exist.
std::vector<PathCall> path_calls(const std::string& existing) {
  const std::string fresh = existing + ".new";
  return {
      {"stat",
       [](const char* p) {
         struct stat st;
         return sys(::stat(p, &st));
       },
       false},
      {"lstat",
       [](const char* p) {
         struct stat st;
         return sys(::lstat(p, &st));
       },
       false},
      {"statfs",
       [](const char* p) {
         struct statfs st;
         return sys(::statfs(p, &st));
       },
       false},
      {"access", [](const char* p) { return sys(::access(p, R_OK)); }, false},
      {"chmod", [](const char* p) { return sys(::chmod(p, 0644)); }, false},
      {"chown", [](const char* p) { return sys(::chown(p, 0, 0)); }, false},
      {"lchown", [](const char* p) { return sys(::lchown(p, 0, 0)); }, false},
      {"utimensat",
       [](const char* p) {
         const timespec t[2] = {kNow, kNow};
         return sys(::utimensat(AT_FDCWD, p, t, 0));
       },
       false},
      {"truncate", [](const char* p) { return sys(::truncate(p, 0)); }, false},
      {"open", [](const char* p) { return sys(::open(p, O_RDONLY)); }, false},
      {"open-directory", [](const char* p) { return sys(::open(p, O_RDONLY | O_DIRECTORY)); },
       false},
      {"chdir", [](const char* p) { return sys(::chdir(p)); }, false},
      {"readlink",
       [](const char* p) {
         char b[64];
         return sys(::readlink(p, b, sizeof(b)));
       },
       false},
      {"getxattr",
       [](const char* p) {
         char b[64];
         return sys(::getxattr(p, "user.a", b, sizeof(b)));
       },
       false},
      {"setxattr", [](const char* p) { return sys(::setxattr(p, "user.a", "v", 1, 0)); }, false},
      {"listxattr",
       [](const char* p) {
         char b[64];
         return sys(::listxattr(p, b, sizeof(b)));
       },
       false},
      {"removexattr", [](const char* p) { return sys(::removexattr(p, "user.a")); }, false},
      {"unlink", [](const char* p) { return sys(::unlink(p)); }, false},
      {"rmdir", [](const char* p) { return sys(::rmdir(p)); }, false},
      {"rename-from", [=](const char* p) { return sys(::rename(p, fresh.c_str())); }, false},
      {"link-from", [=](const char* p) { return sys(::link(p, fresh.c_str())); }, false},
      {"rename-to", [=](const char* p) { return sys(::rename(existing.c_str(), p)); }, true},
      {"link-to", [=](const char* p) { return sys(::link(existing.c_str(), p)); }, true},
      {"open-creat", [](const char* p) { return sys(::open(p, O_RDWR | O_CREAT, 0644)); }, true},
      {"mkdir", [](const char* p) { return sys(::mkdir(p, 0755)); }, true},
      {"mkfifo", [](const char* p) { return sys(::mkfifo(p, 0644)); }, true},
      {"mknod", [](const char* p) { return sys(::mknod(p, S_IFREG | 0644, 0)); }, true},
      {"symlink", [](const char* p) { return sys(::symlink("target", p)); }, true},
  };
}

}  // namespace

class PosixPath : public Posix {
 protected:
  /// Every call with one path; `why` names the cases.
  void all(const std::string& why, const char* path, long expected) {
    for (const PathCall& c : path_calls(p("other")))
      same(std::string(c.name) + "." + why, c.run(path), expected);
  }
  void all(const std::string& why, const std::string& path, long expected) {
    all(why, path.c_str(), expected);
  }
  void SetUp() override {
    Posix::SetUp();
    write_file(p("other"), "x");
    write_file(p("f"), "x");
  }
};

TEST_F(PosixPath, ComponentIsNoDirectory) {
  ASSERT_EQ(call::symlink("f", p("link")), 0);
  ASSERT_EQ(call::mkfifo(p("fifo")), 0);
  all("file", p("f/x"), -ENOTDIR);
  all("file-deep", p("f/x/y"), -ENOTDIR);
  all("link-to-file", p("link/x"), -ENOTDIR);
  all("fifo", p("fifo/x"), -ENOTDIR);
}

TEST_F(PosixPath, ComponentIsMissing) {
  ASSERT_EQ(call::symlink("nowhere", p("dangling")), 0);
  all("missing", p("none/x"), -ENOENT);
  all("dangling", p("dangling/x"), -ENOENT);
  all("empty", "", -ENOENT);
}

TEST_F(PosixPath, NameIsTooLong) {
  const std::string longest(255, 'n'), longer(256, 'n');
  all("last", p(longer), -ENAMETOOLONG);
  all("middle", p(longer + "/x"), -ENAMETOOLONG);
  all("1025", p(std::string(1025, 'n')), -ENAMETOOLONG);
  for (const PathCall& c : path_calls(p("other")))
    if (!c.makes) same(std::string(c.name) + ".255-missing", c.run(p(longest).c_str()), -ENOENT);
}

TEST_F(PosixPath, PathIsTooLong) {
  std::string path = root_;
  while (path.size() < PATH_MAX) path += "/.";
  all("path", path, -ENAMETOOLONG);
  path.resize(PATH_MAX - 3);
  EXPECT_EQ(call::access(path.substr(0, path.rfind('/')), F_OK), 0);
}

TEST_F(PosixPath, SymlinkLoop) {
  ASSERT_EQ(call::symlink("loop2", p("loop1")), 0);
  ASSERT_EQ(call::symlink("loop1", p("loop2")), 0);
  all("middle", p("loop1/x"), -ELOOP);
  const std::set<std::string> last_is_not_followed = {
      "lstat",     "lchown",  "readlink", "unlink", "rmdir", "rename-from", "link-from",
      "rename-to", "link-to", "mkdir",    "mkfifo", "mknod", "symlink"};
  for (const PathCall& c : path_calls(p("other")))
    if (!last_is_not_followed.count(c.name))
      same(std::string(c.name) + ".last", c.run(p("loop1").c_str()), -ELOOP);
}

TEST_F(PosixPath, FortyLinks) {
  // Linux follows at most 40 (path_resolution(7)).
  ASSERT_EQ(call::mkdir(p("d0")), 0);
  for (int i = 1; i <= 41; ++i)
    ASSERT_EQ(call::symlink("d" + std::to_string(i - 1), p("d" + std::to_string(i))), 0);
  same("40", call::access(p("d40"), F_OK), 0);
  same("41", call::access(p("d41"), F_OK), -ELOOP);
}

TEST_F(PosixPath, BadAddress) {
  all("fault", reinterpret_cast<const char*>(1), -EFAULT);
}

TEST_F(PosixPath, NoSearchPermission) {
  ASSERT_EQ(call::mkdir(p("closed"), 0777), 0);
  write_file(p("closed/x"), "");
  ASSERT_EQ(call::chmod(p("closed"), 0666), 0);
  const auto calls = path_calls(p("other"));
  const auto got = as_many({kUser, kGroup, {}}, [&] {
    std::vector<long> r;
    for (const PathCall& c : calls) r.push_back(c.run(p("closed/x").c_str()));
    return r;
  });
  ASSERT_EQ(got.size(), calls.size());
  for (std::size_t i = 0; i < calls.size(); ++i)
    same(std::string(calls[i].name) + ".closed", got[i], -EACCES);
}

TEST_F(PosixPath, LongestName) {
  const std::string n = p(std::string(255, 'x')), m = p(std::string(255, 'y'));
  same("open-creat", call::open(n, O_CREAT | O_EXCL | O_RDWR), 0);
  same("rename", call::rename(n, m), 0);
  same("link", call::link(m, n), 0);
  same("unlink", call::unlink(n), 0);
  same("symlink", call::symlink("t", n), 0);
  same("unlink-symlink", call::unlink(n), 0);
  same("mkdir", call::mkdir(n), 0);
  same("inside", call::open(n + "/f", O_CREAT | O_RDWR), 0);
  same("rmdir-full", call::rmdir(n), -ENOTEMPTY);
  same("unlink-inside", call::unlink(n + "/f"), 0);
  same("rmdir", call::rmdir(n), 0);
  same("mkfifo", call::mkfifo(n), 0);
  drop_caches();
  same("fifo-cold", mode_of(n), S_IFIFO | 0644);
}

TEST_F(PosixPath, TrailingSlash) {
  ASSERT_EQ(call::mkdir(p("d")), 0);
  ASSERT_EQ(call::symlink("d", p("ld")), 0);
  ASSERT_EQ(call::symlink("f", p("lf")), 0);
  same("stat-file", call::access(p("f/"), F_OK), -ENOTDIR);
  same("stat-link-to-file", call::access(p("lf/"), F_OK), -ENOTDIR);
  same("lstat-link-to-dir", mode_of(p("ld/")), S_IFDIR | 0755);
  same("open-file", call::open(p("f/"), O_RDONLY), -ENOTDIR);
  same("open-creat-new", call::open(p("new/"), O_RDWR | O_CREAT), -EISDIR);
  same("open-creat-file", call::open(p("f/"), O_RDWR | O_CREAT), -EISDIR);
  same("unlink-file", call::unlink(p("f/")), -ENOTDIR);
  same("unlink-dir", call::unlink(p("d/")), -EISDIR);
  same("rename-file", call::rename(p("f/"), p("g")), -ENOTDIR);
  same("rename-file-to", call::rename(p("f"), p("g/")), -ENOTDIR);
  same("link-to", call::link(p("f"), p("g/")), -ENOENT);
  same("symlink", call::symlink("t", p("g/")), -ENOENT);
  same("mknod", call::mknod(p("g/"), S_IFREG | 0644), -ENOENT);
  same("mkdir", call::mkdir(p("n/")), 0);
  same("rename-dir-to", call::rename(p("n"), p("m/")), 0);
  same("rmdir", call::rmdir(p("m/")), 0);
  same("rmdir-link", call::rmdir(p("ld/")), -ENOTDIR);
}

TEST_F(PosixPath, DotAndDotDot) {
  ASSERT_EQ(call::mkdir(p("d")), 0);
  ASSERT_EQ(call::mkdir(p("d/e")), 0);
  same("rmdir-dot", call::rmdir(p("d/e/.")), -EINVAL);
  same("rmdir-dotdot", call::rmdir(p("d/e/..")), -ENOTEMPTY);
  same("unlink-dot", call::unlink(p("d/.")), -EISDIR);
  same("unlink-dotdot", call::unlink(p("d/e/..")), -EISDIR);
  same("mkdir-dot", call::mkdir(p("d/.")), -EEXIST);
  same("mkdir-dotdot", call::mkdir(p("d/..")), -EEXIST);
  same("rename-dot", call::rename(p("d/."), p("g")), -EBUSY);
  same("rename-dotdot", call::rename(p("d/e/.."), p("g")), -EBUSY);
  same("rename-to-dot", call::rename(p("d"), p("d/e/.")), -EBUSY);
  same("open-creat-dot", call::open(p("d/."), O_CREAT | O_RDWR), -EISDIR);
  same("link-dot", call::link(p("f"), p("d/.")), -EEXIST);
  same("symlink-dotdot", call::symlink("x", p("d/e/..")), -EEXIST);
  struct stat up = status(p("d/e/..")), d = status(p("d"));
  EXPECT_EQ(up.st_ino, d.st_ino);
}
