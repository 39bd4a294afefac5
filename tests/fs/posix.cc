// SPDX-License-Identifier: Apache-2.0
/// See posix.h.
#include "posix.h"

#include <sched.h>
#include <sys/mount.h>

#include <climits>
#include <fstream>
#include <sstream>

namespace fs_test {

namespace {

bool matches(const std::string& pattern, const std::string& id) {
  if (pattern.empty() || pattern.back() != '*') return pattern == id;
  return id.compare(0, pattern.size() - 1, pattern, 0, pattern.size() - 1) == 0;
}

/// Runs `calls` in a child prepared by `prepare` (0 or -errno) and reads its results from a pipe.
std::vector<long> in_child(const std::function<long()>& prepare,
                           const std::function<std::vector<long>()>& calls) {
  int ends[2];
  if (::pipe(ends) != 0) return {-errno};
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::close(ends[0]);
    const long ready = prepare();
    const std::vector<long> results = ready != 0 ? std::vector<long>{ready} : calls();
    const std::size_t bytes = results.size() * sizeof(long);
    ::_exit(::write(ends[1], results.data(), bytes) == static_cast<ssize_t>(bytes) ? 0 : 1);
  }
  ::close(ends[1]);
  std::vector<long> results;
  long one = 0;
  while (::read(ends[0], &one, sizeof(one)) == sizeof(one)) results.push_back(one);
  ::close(ends[0]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || results.empty()) return {-ECHILD};
  return results;
}

/// The rest of a line of mountinfo after " - " begins with the type. Source: proc_pid_mountinfo(5).
std::string type_in(const std::string& line) {
  const auto at = line.find(" - ");
  if (at == std::string::npos) return {};
  return line.substr(at + 3, line.find(' ', at + 3) - at - 3);
}

std::string mount_point_in(const std::string& line) {
  std::istringstream fields(line);
  std::string id, parent, device, root, point;
  fields >> id >> parent >> device >> root >> point;
  return point;
}

}  // namespace

Front front_of(const std::string& path) {
  char real[PATH_MAX];
  const std::string full = ::realpath(path.c_str(), real) ? real : path;
  std::ifstream in("/proc/self/mountinfo");
  std::string best, type;
  for (std::string line; std::getline(in, line);) {
    const std::string point = mount_point_in(line);
    const bool holds = point == "/" || full == point || full.rfind(point + "/", 0) == 0;
    if (!holds || point.size() < best.size()) continue;
    best = point;
    type = type_in(line);
  }
  return type == "cubefs" ? kKernel : type == "fuse.cubefs" ? kFuse : kLocal;
}

const char* front_name(Front front) {
  return front == kKernel ? "kernel" : front == kFuse ? "fuse" : "local";
}

std::string result_text(long result) {
  const char* name = result < 0 ? ::strerrorname_np(static_cast<int>(-result)) : nullptr;
  return name != nullptr ? name : std::to_string(result);
}

std::vector<long> as_many(const Who& who, const std::function<std::vector<long>()>& calls) {
  return in_child(
      [&]() -> long {
        if (::setgroups(who.groups.size(), who.groups.data()) != 0) return -ENOSYS;
        if (::setresgid(who.gid, who.gid, who.gid) != 0) return -ENOSYS;
        return ::setresuid(who.uid, who.uid, who.uid) != 0 ? -ENOSYS : 0;
      },
      calls);
}

long as(const Who& who, const std::function<long()>& call) {
  return as_many(who, [&] { return std::vector<long>{call()}; }).front();
}

std::vector<long> with_own_mounts(const std::function<std::vector<long>()>& calls) {
  return in_child(
      []() -> long {
        if (::unshare(CLONE_NEWNS) != 0) return -ENOSYS;
        return ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ? -ENOSYS : 0;
      },
      calls);
}

void Posix::SetUp() {
  Dir::SetUp();
  if (HasFatalFailure()) return;
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: it acts as several users";
  ::umask(0);
  front_ = front_of(root_);
  const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
  test_ = std::string(info->test_suite_name()) + "." + info->name() + "/";
}

void Posix::TearDown() {
  ::umask(022);
  Dir::TearDown();
  if (IsSkipped() || HasFatalFailure()) return;
  for (const Difference& d : differences()) {
    const std::string id = d.id;
    if ((d.fronts & front_) == 0 || id.rfind(test_, 0) != 0) continue;
    EXPECT_TRUE(differed_.count(id)) << id << " no longer differs on " << front_name(front_)
                                     << ": take it out of differences.cc";
  }
}

bool Posix::differs_as_listed(const std::string& id, const std::string& actual) {
  for (const Difference& d : differences()) {
    if ((d.fronts & front_) == 0 || !matches(d.id, id)) continue;
    if (d.actual != actual && std::string(d.actual) != "*") continue;
    differed_.insert(d.id);
    return true;
  }
  return false;
}

void Posix::same_text(const std::string& name, const std::string& actual,
                      const std::string& expected) {
  if (actual == expected || differs_as_listed(test_ + name, actual)) return;
  ADD_FAILURE() << test_ << name << " on " << front_name(front_) << ": got " << actual
                << ", expected " << expected;
}

void Posix::same(const std::string& name, long actual, long expected) {
  same_text(name, result_text(actual), result_text(expected));
}

long call::open(const std::string& path, int flags, mode_t mode) {
  const int fd = ::open(path.c_str(), flags, mode);
  if (fd < 0) return -errno;
  return sys(::close(fd));
}

long call::getx(const std::string& path, const char* name) {
  char value[65536];
  return sys(::getxattr(path.c_str(), name, value, sizeof(value)));
}

long call::list(const std::string& dir) {
  DIR* d = ::opendir(dir.c_str());
  if (d == nullptr) return -errno;
  ::closedir(d);
  return 0;
}

long call::touch(const std::string& path, const timespec& atime, const timespec& mtime, int flags) {
  const timespec times[2] = {atime, mtime};
  return sys(::utimensat(AT_FDCWD, path.c_str(), times, flags));
}

struct stat status(const std::string& path) {
  struct stat st {};
  EXPECT_EQ(sys(::lstat(path.c_str(), &st)), 0) << path;
  return st;
}

long mode_of(const std::string& path) {
  struct stat st {};
  return ::lstat(path.c_str(), &st) != 0 ? -errno : static_cast<long>(st.st_mode);
}

}  // namespace fs_test
