// SPDX-License-Identifier: Apache-2.0
// What the programs that test the kernel module with a fake daemon have in common: expectations, children that may block,
// mounts, and the daemon of the moment.
//
// Lifetime: global, one test program. Threads: one.
#pragma once

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/kernel/fake_daemon.h"

namespace cfs::test {

inline constexpr const char* kMnt = "/mnt/cubefs-chan";

extern Shared* shared;
extern std::unique_ptr<Daemon> daemon_process;
extern int failures;

/// Counts and reports a failed expectation.
void fail(int line, const char* what);
#define EXPECT(c) ((c) ? void() : fail(__LINE__, #c))
/// An operation that must fail with `e`.
#define EXPECT_ERR(e, op) \
  (errno = 0, ((op) < 0 && errno == (e)) ? void() : fail(__LINE__, #op " should be " #e))

inline Control& ctl() {
  return shared->control;
}
inline std::string at(const std::string& name) {
  return std::string(kMnt) + "/" + name;
}
/// Monotonic seconds.
double now();
/// Ends the former daemon, if there is one, and starts another.
void new_daemon(unsigned depth = 16);

/// A child that runs one operation; its exit status is the operation's errno.
class Task {
 public:
  template <typename F>
  explicit Task(F op) {
    pid_ = fork();
    if (pid_) return;
    errno = 0;
    int rc = op();
    _exit(rc < 0 ? errno : 0);
  }
  ~Task() {
    if (pid_ > 0) kill(pid_, SIGKILL), wait_for(10);
  }
  void kill_now() { kill(pid_, SIGKILL); }
  /// errno of the operation, -1 still running, -2 killed.
  int wait_for(double seconds) {
    int status = 0;
    bool ended = wait_until(seconds, [&] { return waitpid(pid_, &status, WNOHANG) == pid_; });
    if (!ended) return -1;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -2;
  }

 private:
  pid_t pid_;
};

/// Mounts with the given "key=value" options; fsconfig lines as cfsctl makes them. Returns 0 or -1.
int mount_with(const std::vector<std::pair<const char*, const char*>>& options);
int mount_default();

/// Requests seen so far, without events and evictions, which come when they like.
uint64_t all_requests();

/// Creates or opens a file, and closes it.
int touch(const std::string& path, int flags = 0, mode_t mode = 0644);
struct stat stat_of(const std::string& path);
/// Names as readdir() gives them, without "." and "..".
std::vector<std::string> names_in(const std::string& dir);

/// Runs a test and says how it went.
template <typename F>
void run(const char* name, F test) {
  int before = failures;
  double start = now();
  test();
  printf("%s %s (%.1f s)\n", failures == before ? "ok" : "not ok", name, now() - start);
  fflush(stdout);
}

/// Requests of a kind that the daemon saw while `op` ran.
template <typename F>
uint64_t requests(uint32_t kind, F op) {
  const uint64_t before = ctl().seen[kind];
  op();
  return ctl().seen[kind] - before;
}
/// All requests, without events, while `op` ran.
template <typename F>
uint64_t requests(F op) {
  const uint64_t before = all_requests();
  op();
  return all_requests() - before;
}
/// "3" > /proc/sys/vm/drop_caches until the dentries are gone.
void drop_caches();

/// cost_tests.cc: requests of each operation, and what is believed for how long.
void run_cost_tests();
/// acl_tests.cc: POSIX ACLs, security.capability.
void run_acl_tests();
/// handle_tests.cc: files without names, file handles, leases, locks.
void run_handle_tests();
/// names_tests.cc: everything about names and attributes, on a mount with a well-behaved daemon.
void run_names_tests();

}  // namespace cfs::test
