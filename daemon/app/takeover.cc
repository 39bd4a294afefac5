// SPDX-License-Identifier: Apache-2.0
/// Handing over from daemon to daemon; see takeover.h.
///
/// The two talk in lines over a socket pair: "prepared", "ready" or "failed: why" from the new one,
/// "stopping NANOSECONDS", "go" from the old one.
#include "daemon/app/takeover.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

extern char** environ;

namespace cfs {
namespace {

constexpr const char* kLinkVariable = "CFSD_TAKEOVER";
constexpr const char* kErrorVariable = "CFSD_FAILED_UPGRADE";
constexpr const char* kPrepared = "prepared\n";
constexpr const char* kReady = "ready\n";
constexpr const char* kGo = "go\n";
constexpr const char* kStopping = "stopping ";
constexpr const char* kFailed = "failed: ";

void say(int fd, const std::string& line) {
  [[maybe_unused]] const ssize_t n = ::send(fd, line.data(), line.size(), MSG_NOSIGNAL);
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> environment_with(const std::string& variable, const std::string& value) {
  std::vector<std::string> out;
  std::size_t count = 0;
  while (environ[count] != nullptr) ++count;
  out.reserve(count + 1);
  for (char** one = environ; *one != nullptr; ++one) {
    const std::string text(*one);
    if (text.rfind(variable + "=", 0) != 0) out.push_back(text);
  }
  out.push_back(variable + "=" + value);
  return out;
}

/// What libraries of the old daemon had open without close-on-exec, such as log files.
void close_others(int one, int two) {
  const auto low = static_cast<unsigned>(std::min(one, two));
  const auto high = static_cast<unsigned>(std::max(one, two));
  constexpr unsigned kFirst = STDERR_FILENO + 1;
  if (low > kFirst) ::close_range(kFirst, low - 1, 0);
  if (high > low + 1) ::close_range(low + 1, high - 1, 0);
  ::close_range(high + 1, ~0U, 0);
}

struct SpawnActions {
  posix_spawn_file_actions_t actions;
  SpawnActions() { ::posix_spawn_file_actions_init(&actions); }
  ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  /// Kept open under its own number.
  void keep(int fd) { ::posix_spawn_file_actions_adddup2(&actions, fd, fd); }
};

}  // namespace

// ---------------------------------------------------------------- the new one, seen by the old one

Result<Successor> Successor::start(const std::string& binary, const CommandLine& how, int lock_fd) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) return errno_error("socket");
  Fd ours(ends[0]), theirs(ends[1]);
  SpawnActions files;
  files.keep(theirs.get());
  files.keep(lock_fd);
  ::posix_spawn_file_actions_addchdir_np(&files.actions, how.directory.c_str());
  const std::vector<std::string> environment =
      environment_with(kLinkVariable, std::to_string(theirs.get()) + " " + std::to_string(lock_fd) +
                                          " " + std::to_string(::getpid()));
  pid_t pid = -1;
  const int code = ::posix_spawn(&pid, binary.c_str(), &files.actions, nullptr,
                                 pointers(how.arguments).data(), pointers(environment).data());
  if (code != 0) return make_error(code, binary);
  return Successor(pid, std::move(ours));
}

Successor::Successor(Successor&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      link_(std::move(other.link_)),
      said_(std::move(other.said_)),
      committed_(std::exchange(other.committed_, false)) {}

Successor& Successor::operator=(Successor&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(link_, other.link_);
  std::swap(said_, other.said_);
  std::swap(committed_, other.committed_);
  return *this;
}

Successor::~Successor() {
  end();
}

void Successor::end() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

Result<void> Successor::judge(const std::string& wanted, bool ended) const {
  if (said_ == wanted) return {};
  if (said_.rfind(kFailed, 0) == 0) {
    return make_error(EIO, said_.substr(std::string(kFailed).size(),
                                        said_.find('\n') - std::string(kFailed).size()));
  }
  if (ended) return make_error(EIO, "the new cfsd ended while it started");
  return make_error(ETIMEDOUT, "the new cfsd does not get ready");
}

Task<Result<void>> Successor::prepared(Loop& loop) {
  char chunk[256];
  const std::int64_t until = Loop::now_ms() + kPrepareLimit.count();
  bool ended = false;
  while (said_.empty() || said_.back() != '\n') {
    const Millis left(until - Loop::now_ms());
    if (left <= Millis(0)) break;
    const int n = co_await loop.recv(link_.get(), chunk, sizeof(chunk), left);
    ended = n == 0 || n == -ECONNRESET;
    if (n <= 0) break;
    said_.append(chunk, static_cast<std::size_t>(n));
  }
  co_return judge(kPrepared, ended);
}

void Successor::stopping() {
  committed_ = true;
  say(link_.get(), kStopping + std::to_string(monotonic_ns()) + "\n");
}

Result<void> Successor::release() {
  said_.clear();
  say(link_.get(), kGo);
  const std::int64_t until = Loop::now_ms() + kStartLimit.count();
  bool ended = false;
  char chunk[256];
  while (said_.empty() || said_.back() != '\n') {
    pollfd wait{link_.get(), POLLIN, 0};
    const std::int64_t left = until - Loop::now_ms();
    const int ready = left <= 0 ? 0 : ::poll(&wait, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) break;
    const ssize_t n = ::recv(link_.get(), chunk, sizeof(chunk), 0);
    ended = n == 0 || (n < 0 && errno == ECONNRESET);  // reset: it has not read "go"
    if (n <= 0) break;
    said_.append(chunk, static_cast<std::size_t>(n));
  }
  Result<void> served = judge(kReady, ended);
  if (served) {
    pid_ = -1;
  } else {
    end();
  }
  return served;
}

// ---------------------------------------------------------------- the old one, seen by the new one

std::optional<Predecessor> Predecessor::from_environment() {
  const char* const text = std::getenv(kLinkVariable);
  int link = -1, lock = -1;
  pid_t pid = -1;
  if (text == nullptr || std::sscanf(text, "%d %d %d", &link, &lock, &pid) != 3) return {};
  ::unsetenv(kLinkVariable);
  ::unsetenv(kErrorVariable);
  close_others(link, lock);
  // not its children's
  if (::fcntl(link, F_SETFD, FD_CLOEXEC) < 0 || ::fcntl(lock, F_SETFD, FD_CLOEXEC) < 0) return {};
  return Predecessor(Fd(link), lock, pid);
}

void Predecessor::prepared() {
  say(link_.get(), kPrepared);
}

bool Predecessor::wait() {
  std::string said;
  char chunk[64];
  while (said.find(kGo) == std::string::npos) {
    const ssize_t n = ::recv(link_.get(), chunk, sizeof(chunk), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    said.append(chunk, static_cast<std::size_t>(n));
  }
  if (said.rfind(kStopping, 0) != 0) return false;
  stopped_ns_ = std::atoll(said.c_str() + std::string(kStopping).size());
  return true;
}

void Predecessor::ready() {
  say(link_.get(), kReady);
}

void Predecessor::fail(const std::string& why) {
  say(link_.get(), kFailed + why + "\n");
}

// ---------------------------------------------------------------- this process

std::string own_binary() {
  static const std::string kDeleted = " (deleted)";
  std::error_code failed;
  std::string path = std::filesystem::read_symlink("/proc/self/exe", failed).string();
  if (path.size() > kDeleted.size() &&
      path.compare(path.size() - kDeleted.size(), std::string::npos, kDeleted) == 0) {
    path.resize(path.size() - kDeleted.size());
  }
  return path;
}

Error start_again(const CommandLine& how, const FailedUpgrade& after) {
  if (::chdir(how.directory.c_str()) < 0) return errno_error(how.directory);
  const std::vector<std::string> environment =
      environment_with(kErrorVariable, std::to_string(after.lock_fd) + " " + after.why);
  ::close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  ::fcntl(after.lock_fd, F_SETFD, 0);
  ::execve("/proc/self/exe", pointers(how.arguments).data(), pointers(environment).data());
  return errno_error("exec");
}

std::optional<FailedUpgrade> FailedUpgrade::from_environment() {
  const char* const text = std::getenv(kErrorVariable);
  int lock = -1, length = 0;
  if (text == nullptr || std::sscanf(text, "%d %n", &lock, &length) != 1) return {};
  FailedUpgrade out{text + length, lock};
  ::unsetenv(kErrorVariable);
  if (::fcntl(lock, F_SETFD, FD_CLOEXEC) < 0) return {};
  return out;
}

std::int64_t monotonic_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace cfs
