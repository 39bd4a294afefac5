// SPDX-License-Identifier: Apache-2.0
/// What the POSIX cases share: expectations with a name, the list of differences, other users.
///
/// Purpose  A case is one sentence of POSIX (or of the Linux manual where POSIX is silent): a call and what it
///          must return. Expectations are those of a local file system and are checked there, too (the oracle run);
///          where a front end differs, the case is in the list of differences.cc with the reason.
/// Threads  One; other users are child processes.
/// Failure  A difference that is not listed fails the test; so does a listed one that no longer differs.
#pragma once

#include <grp.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "fs.h"

namespace fs_test {

/// What serves the directory under test.
enum Front : unsigned { kLocal = 1, kKernel = 2, kFuse = 4, kBoth = kKernel | kFuse };

/// Source: the file system type of the mount, /proc/self/mountinfo.
Front front_of(const std::string& path);
const char* front_name(Front front);

/// A case that a front end answers otherwise than a local file system.
struct Difference {
  const char* id;      ///< "Suite.Test/case"; a '*' at its end stands for any rest
  unsigned fronts;     ///< mask of Front
  const char* actual;  ///< what it answers; "*" for a value that differs from run to run
  const char* reason;  ///< why, and what CubeFS cannot do
};

/// The reviewed list: differences.cc.
const std::vector<Difference>& differences();

/// "ENOENT" of -ENOENT, "7" of 7.
std::string result_text(long result);

struct Who {
  uid_t uid;
  gid_t gid;
  std::vector<gid_t> groups;
};
constexpr uid_t kUser = 2001, kOther = 2002;
constexpr gid_t kGroup = 3001, kOtherGroup = 3002;

/// Runs `calls` in a child process as another user; its results come back in order. {-ECHILD} if the child died.
std::vector<long> as_many(const Who& who, const std::function<std::vector<long>()>& calls);
/// The same with one result.
long as(const Who& who, const std::function<long()>& call);
/// In a child with a mount namespace of its own, as root; {-ECHILD} if the child died, {-ENOSYS} without the privilege.
std::vector<long> with_own_mounts(const std::function<std::vector<long>()>& calls);

/// An empty directory and named expectations.
class Posix : public Dir {
 protected:
  void SetUp() override;
  void TearDown() override;
  /// One case: `actual` is a result as of sys(), `expected` what a local file system gives.
  void same(const std::string& name, long actual, long expected);
  void same_text(const std::string& name, const std::string& actual, const std::string& expected);
  [[nodiscard]] Front front() const { return front_; }

 private:
  [[nodiscard]] bool differs_as_listed(const std::string& id, const std::string& actual);
  Front front_ = kLocal;
  std::string test_;
  std::set<std::string> differed_;  ///< ids of the list that did differ in this test
};

/// System calls with the errno in the result and paths as strings; closes what it opens.
namespace call {
long open(const std::string& path, int flags, mode_t mode = 0644);
inline long chmod(const std::string& p, mode_t m) {
  return sys(::chmod(p.c_str(), m));
}
inline long chown(const std::string& p, uid_t u, gid_t g) {
  return sys(::chown(p.c_str(), u, g));
}
inline long lchown(const std::string& p, uid_t u, gid_t g) {
  return sys(::lchown(p.c_str(), u, g));
}
inline long link(const std::string& a, const std::string& b) {
  return sys(::link(a.c_str(), b.c_str()));
}
inline long mkdir(const std::string& p, mode_t m = 0755) {
  return sys(::mkdir(p.c_str(), m));
}
inline long mkfifo(const std::string& p, mode_t m = 0644) {
  return sys(::mkfifo(p.c_str(), m));
}
inline long mknod(const std::string& p, mode_t m, dev_t d = 0) {
  return sys(::mknod(p.c_str(), m, d));
}
inline long rename(const std::string& a, const std::string& b) {
  return sys(::rename(a.c_str(), b.c_str()));
}
inline long rename2(const std::string& a, const std::string& b, unsigned flags) {
  return sys(::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), flags));
}
inline long rmdir(const std::string& p) {
  return sys(::rmdir(p.c_str()));
}
inline long symlink(const std::string& t, const std::string& p) {
  return sys(::symlink(t.c_str(), p.c_str()));
}
inline long truncate(const std::string& p, off_t n) {
  return sys(::truncate(p.c_str(), n));
}
inline long unlink(const std::string& p) {
  return sys(::unlink(p.c_str()));
}
inline long access(const std::string& p, int m) {
  return sys(::access(p.c_str(), m));
}
inline long chdir(const std::string& p) {
  return sys(::chdir(p.c_str()));
}
inline long setx(const std::string& p, const char* n, const std::string& v, int flags = 0) {
  return sys(::setxattr(p.c_str(), n, v.data(), v.size(), flags));
}
long getx(const std::string& path, const char* name);
long list(const std::string& dir);  ///< 0 or -errno of opendir
long touch(const std::string& path, const timespec& atime, const timespec& mtime, int flags = 0);
}  // namespace call

/// lstat(2) of a file that must exist.
struct stat status(const std::string& path);
/// Type and mode bits of lstat(2), or -errno.
long mode_of(const std::string& path);

}  // namespace fs_test
