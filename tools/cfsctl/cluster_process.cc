// SPDX-License-Identifier: Apache-2.0
/// Start and end of the mini cluster; see cluster_process.h.
#include "tools/cfsctl/cluster_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

namespace cfs::ctl {
namespace {

namespace fs = std::filesystem;

constexpr const char* kProgram = "cfs-minicluster";
constexpr auto kReadyLimit = std::chrono::seconds(60);
constexpr auto kEndLimit = std::chrono::seconds(15);
constexpr auto kPollPause = std::chrono::milliseconds(50);

std::string file_in(const std::string& dir, const char* name) {
  return (fs::path(dir) / name).string();
}

std::string pid_file(const std::string& dir) {
  return file_in(dir, "minicluster.pid");
}

std::string ready_file(const std::string& dir) {
  return file_in(dir, "minicluster.ready");
}

std::string log_file(const std::string& dir) {
  return file_in(dir, "minicluster.log");
}

bool is_cluster(pid_t pid) {
  std::error_code failed;
  const fs::path exe = fs::read_symlink("/proc/" + std::to_string(pid) + "/exe", failed);
  // a program that was built anew while it runs is shown as "NAME (deleted)"
  return !failed && exe.filename().string().rfind(kProgram, 0) == 0;
}

/// "NAME:OWNER" gets the number of replicas.
std::string complete_volume(const std::string& text, unsigned replicas) {
  const auto colons = std::count(text.begin(), text.end(), ':');
  return colons == 1 ? text + ":" + std::to_string(replicas) : text;
}

std::vector<std::string> command_line(const std::string& program, const ClusterShape& s) {
  std::vector<std::string> out{program,
                               "--dir",
                               s.dir,
                               "--ip",
                               s.ip,
                               "--masters",
                               std::to_string(s.masters),
                               "--metanodes",
                               std::to_string(s.meta_nodes),
                               "--datanodes",
                               std::to_string(s.data_nodes),
                               "--base-port",
                               std::to_string(s.base_port),
                               "--pid-file",
                               pid_file(s.dir),
                               "--ready-file",
                               ready_file(s.dir)};
  for (const std::string& volume : s.volumes) {
    out.emplace_back("--volume");
    out.push_back(complete_volume(volume, s.replicas));
  }
  return out;
}

/// Detached from terminal and session, output to the log.
pid_t launch(const std::vector<std::string>& arguments, const std::string& log) {
  std::vector<char*> argv;
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::setsid();
  const int null = ::open("/dev/null", O_RDONLY);
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  ::dup2(null, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(out, STDERR_FILENO);
  ::close_range(3, ~0U, 0);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

Problem start_problem(const std::string& why, const std::string& next) {
  return {kFailed, "cannot start the cluster", why, next};
}

/// Wait for the ready file; the child's end or the limit is a problem, and nothing is left running.
Either<std::string> wait_ready(const ClusterShape& shape, pid_t child) {
  const Progress progress("starting the cluster");
  const auto until = std::chrono::steady_clock::now() + kReadyLimit;
  int status = 0;
  while (std::chrono::steady_clock::now() < until) {
    const std::string masters = cluster_masters(shape.dir);
    if (!masters.empty()) return masters;
    if (::waitpid(child, &status, WNOHANG) == child) {
      const std::string why = tail_of(log_file(shape.dir));
      return start_problem(why.empty() ? "it ended at once" : why, "see " + log_file(shape.dir));
    }
    std::this_thread::sleep_for(kPollPause);
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
  return start_problem("it is not ready after 60 s", "see " + log_file(shape.dir));
}

bool wait_gone(pid_t pid, std::chrono::seconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < until) {
    if (!is_cluster(pid)) return true;
    std::this_thread::sleep_for(kPollPause);
  }
  return false;
}

}  // namespace

std::string default_cluster_dir() {
  return "/var/tmp/cubefs-cluster-" + std::to_string(::getuid());
}

std::optional<pid_t> cluster_pid(const std::string& dir) {
  std::ifstream in(pid_file(dir));
  pid_t pid = 0;
  if (!(in >> pid) || pid <= 0 || !is_cluster(pid)) return std::nullopt;
  return pid;
}

std::string cluster_masters(const std::string& dir) {
  if (!cluster_pid(dir)) return {};
  std::ifstream in(ready_file(dir));
  std::string masters;
  in >> masters;
  return masters;
}

Either<std::string> start_cluster(const ClusterShape& shape) {
  if (cluster_pid(shape.dir)) {
    return start_problem("one is running in " + shape.dir,
                         "stop it with 'cfsctl cluster down --dir " + shape.dir + "'");
  }
  const std::string program = find_program(kProgram, {".", "../minicluster"});
  if (program.empty()) {
    return Problem{kAbsent, "cannot start the cluster", "cfs-minicluster is not installed",
                   "build or install it"};
  }
  std::error_code failed;
  fs::create_directories(shape.dir, failed);
  if (failed) return start_problem(shape.dir + ": " + failed.message(), "name another --dir");
  fs::remove(ready_file(shape.dir), failed);
  const pid_t child = launch(command_line(program, shape), log_file(shape.dir));
  if (child < 0) return start_problem(std::strerror(errno), "");
  return wait_ready(shape, child);
}

std::optional<Problem> stop_cluster(const std::string& dir) {
  const auto pid = cluster_pid(dir);
  if (!pid) {
    return Problem{kAbsent, "cannot stop the cluster", "none is running in " + dir,
                   "name its directory with --dir"};
  }
  const Progress progress("stopping the cluster");
  std::error_code ignored;
  if (::kill(*pid, SIGTERM) < 0) {
    return Problem{kFailed, "cannot stop the cluster", std::strerror(errno),
                   "stop it as its owner"};
  }
  // its state survives a kill, see its documentation
  if (!wait_gone(*pid, kEndLimit)) ::kill(*pid, SIGKILL);
  if (!wait_gone(*pid, kEndLimit)) {
    return Problem{kFailed, "cannot stop the cluster", "process " + std::to_string(*pid) + " stays",
                   "look at it"};
  }
  fs::remove(ready_file(dir), ignored);
  fs::remove(pid_file(dir), ignored);
  return std::nullopt;
}

}  // namespace cfs::ctl
