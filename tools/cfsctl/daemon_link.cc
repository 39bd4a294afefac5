// SPDX-License-Identifier: Apache-2.0
/// Daemon contact; see daemon_link.h.
#include "tools/cfsctl/daemon_link.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

namespace cfs::ctl {
namespace {

constexpr auto kStartLimit = std::chrono::seconds(5);
constexpr auto kPollPause = std::chrono::milliseconds(50);
constexpr const char* kUnit = "cfsd.service";
constexpr const char* kBuiltDaemon = "../../daemon/app";  // of a build tree, seen from cfsctl

std::filesystem::path own_directory() {
  std::error_code failed;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", failed);
  return failed ? std::filesystem::path() : self.parent_path();
}

bool is_program(const std::filesystem::path& path) {
  std::error_code failed;
  return std::filesystem::is_regular_file(path, failed) && ::access(path.c_str(), X_OK) == 0;
}

std::string log_path(const std::string& socket) {
  return (std::filesystem::path(socket).parent_path() / "cfsd.log").string();
}

Problem absent(const std::string& what, const Error& why) {
  if (why.code == EACCES || why.code == EPERM) {
    return {kFailed, what, "no access to the daemon's socket", "run it as root"};
  }
  return {kAbsent, what, "cfsd is not running (" + why.text() + ")",
          "start it with 'systemctl start cfsd' or mount something with 'cfsctl mount'"};
}

/// Child side of run_program(): never returns.
[[noreturn]] void become(const std::vector<std::string>& arguments, int errors) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  const int null = ::open("/dev/null", O_RDWR);
  ::dup2(null, STDIN_FILENO);
  ::dup2(null, STDOUT_FILENO);
  ::dup2(errors, STDERR_FILENO);
  // nothing of ours may live on in a daemon: pipes of a caller that waits for their end
  ::close_range(3, ~0U, 0);
  ::execvp(argv[0], argv.data());
  ::_exit(127);
}

std::string read_all(int fd) {
  std::string text;
  char chunk[1024];
  ssize_t n = 0;
  while ((n = ::read(fd, chunk, sizeof(chunk))) > 0)
    text.append(chunk, static_cast<std::size_t>(n));
  return text;
}

/// The daemon says "cfsd: why" on stderr when it cannot start.
std::string start_error(const RunResult& result, const std::string& socket) {
  std::string why = result.errors;
  if (why.rfind("cfsd: ", 0) == 0) why = why.substr(6);
  if (why.empty()) why = tail_of(log_path(socket));
  return why.empty() ? "cfsd ended with status " + std::to_string(result.status) : why;
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

/// By systemd, which starts it again when it dies and does not end it with the login that mounted.
/// Empty where there is no systemd or no unit, and in a build tree, whose own daemon is meant.
/// Source: sd_booted(3), systemctl(1) "Exit status".
std::optional<RunResult> start_unit(const std::string& socket) {
  constexpr int kNoSuchUnit = 5;
  constexpr int kNoSystemctl = 127;
  std::error_code failed;
  if (socket != admin::kDefaultSocket || is_program(own_directory() / kBuiltDaemon / "cfsd") ||
      !std::filesystem::is_directory("/run/systemd/system", failed))
    return std::nullopt;
  RunResult started = run_program({"systemctl", "start", kUnit});
  if (started.status == kNoSuchUnit || started.status == kNoSystemctl) return std::nullopt;
  return started;
}

}  // namespace

std::string find_program(const std::string& name, const std::vector<std::string>& beside) {
  const std::filesystem::path own = own_directory();
  for (const std::string& place : beside) {
    const std::filesystem::path candidate = (own / place / name).lexically_normal();
    if (is_program(candidate)) return candidate.string();
  }
  const char* const path = std::getenv("PATH");
  std::istringstream in(std::string(path == nullptr ? "" : path) +
                        ":/usr/local/sbin:/usr/sbin:/sbin");
  for (std::string place; std::getline(in, place, ':');) {
    const std::filesystem::path candidate = std::filesystem::path(place) / name;
    if (!place.empty() && is_program(candidate)) return candidate.string();
  }
  return {};
}

RunResult run_program(const std::vector<std::string>& arguments) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) return {127, std::strerror(errno)};
  const pid_t child = ::fork();
  if (child < 0) return {127, std::strerror(errno)};
  if (child == 0) become(arguments, ends[1]);
  ::close(ends[1]);
  RunResult result;
  result.errors = read_all(ends[0]);
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

std::string tail_of(const std::string& path, std::size_t lines) {
  std::ifstream in(path);
  std::deque<std::string> last;
  for (std::string line; std::getline(in, line);) {
    last.push_back(line);
    if (last.size() > lines) last.pop_front();
  }
  std::string out;
  for (const std::string& line : last) out += (out.empty() ? "" : " | ") + line;
  return out;
}

Either<AdminClient> reach_daemon(const std::string& socket, const std::string& what) {
  auto client = AdminClient::connect(socket);
  if (client) return std::move(client).value();
  return absent(what, client.error());
}

Either<AdminClient> reach_or_start_daemon(const std::string& socket, const std::string& what) {
  auto client = AdminClient::connect(socket);
  if (client) return std::move(client).value();
  if (client.code() != ENOENT && client.code() != ECONNREFUSED) return absent(what, client.error());
  const std::string program = find_program("cfsd", {".", kBuiltDaemon, "../sbin"});
  if (program.empty()) {
    return Problem{kAbsent, what, "cfsd is neither running nor installed",
                   "install it, or start it by hand"};
  }
  const auto unit = start_unit(socket);
  const RunResult started = unit ? *unit
                                 : run_program({program, "--socket", socket, "--auto-exit", "10",
                                                "--log-file", log_path(socket)});
  // it returns when the socket is served; a busy machine may take longer than the limit for that
  const auto until = std::chrono::steady_clock::now() + kStartLimit;
  while (started.status == 0 && std::chrono::steady_clock::now() < until) {
    client = AdminClient::connect(socket);
    if (client) return std::move(client).value();
    std::this_thread::sleep_for(kPollPause);
  }
  if (unit) {
    return Problem{kAbsent, what, "systemd does not start cfsd: " + first_line(started.errors),
                   "see 'journalctl -u cfsd'"};
  }
  return Problem{kAbsent, what, "cfsd does not start: " + start_error(started, socket),
                 "see " + log_path(socket)};
}

Either<Json> ask_daemon(const std::string& socket, const std::string& what,
                        const std::string& command, Json args) {
  auto daemon = reach_daemon(socket, what);
  if (auto* problem = std::get_if<Problem>(&daemon)) return *problem;
  auto answer = std::get<AdminClient>(daemon).call(command, std::move(args));
  if (!answer) return Problem{kFailed, what, answer.error().what, ""};
  return std::move(answer).value();
}

}  // namespace cfs::ctl
