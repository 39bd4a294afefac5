// SPDX-License-Identifier: Apache-2.0
/// Process set-up; see process.h.
#include "daemon/app/process.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <utility>

#include "daemon/app/log_setup.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

namespace cfs {
namespace {

constexpr const char* kOomScore = "-900";
constexpr rlim_t kDescriptors = 65536;

Result<void> write_file(const std::string& path, const std::string& text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return errno_error(path);
  const ssize_t n = ::write(fd, text.data(), text.size());
  const Error why = errno_error(path);
  ::close(fd);
  return n == static_cast<ssize_t>(text.size()) ? Result<void>{} : Result<void>(why);
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= kDescriptors) return;
  const rlimit wanted{kDescriptors, std::max(limit.rlim_max, kDescriptors)};
  if (::setrlimit(RLIMIT_NOFILE, &wanted) == 0) return;
  limit.rlim_cur = std::min(kDescriptors, limit.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::string holder_of(int fd) {
  char text[32] = {};
  const ssize_t n = ::pread(fd, text, sizeof(text) - 1, 0);
  return n > 0 ? std::to_string(std::atoi(text)) : std::string("unknown");
}

}  // namespace

// ---------------------------------------------------------------- one instance

Result<InstanceLock> InstanceLock::take(const std::string& path) {
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return errno_error(path);
  InstanceLock lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) < 0) {
    if (errno != EWOULDBLOCK) return errno_error(path);
    return make_error(EBUSY, "another cfsd (process " + holder_of(fd) + ") holds " + path);
  }
  lock.write_pid();
  return lock;
}

void InstanceLock::write_pid() const {
  const std::string text = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd_, 0) < 0 || ::pwrite(fd_, text.data(), text.size(), 0) < 0) {
    spdlog::warn("lock file: {}", std::strerror(errno));
  }
}

InstanceLock::InstanceLock(InstanceLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

InstanceLock& InstanceLock::operator=(InstanceLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

InstanceLock::~InstanceLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<PidFile> PidFile::write(const std::string& path) {
  const Result<void> done = write_file(path, std::to_string(::getpid()) + "\n");
  if (!done) return done.error().in("pid file");
  return PidFile(path);
}

PidFile::PidFile(PidFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}

PidFile::~PidFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

// ---------------------------------------------------------------- background

Result<Background> Background::enter() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) return errno_error("pipe");
  const pid_t child = ::fork();
  if (child < 0) return errno_error("fork");
  if (child > 0) {
    ::close(ends[1]);
    std::string said;
    char chunk[512];
    ssize_t n = 0;
    while ((n = ::read(ends[0], chunk, sizeof(chunk))) > 0) {
      said.append(chunk, static_cast<std::size_t>(n));
    }
    if (said == "ready") std::_Exit(0);
    std::cerr << "cfsd: " << (said.empty() ? "it died while starting" : said) << std::endl;
    std::_Exit(1);
  }
  ::close(ends[0]);
  ::setsid();
  if (::chdir("/") < 0) return errno_error("/");
  return Background(ends[1]);
}

void Background::tell(const std::string& text) {
  if (fd_ < 0) return;
  [[maybe_unused]] const ssize_t n = ::write(fd_, text.data(), text.size());
  ::close(std::exchange(fd_, -1));
}

/// The terminal is let go only now: messages of a failing start were still seen.
void Background::ready() {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; null >= 0 && fd <= 2; ++fd) {
    if (fd != STDERR_FILENO || !stderr_is_file()) ::dup2(null, fd);
  }
  if (null > 2) ::close(null);
  tell("ready");
}

void Background::fail(const std::string& why) {
  tell(why);
}

// ---------------------------------------------------------------- system

/// Source: sd_notify(3), section "Notes": a datagram to $NOTIFY_SOCKET, '@' for the abstract space.
void notify_service_manager(const std::string& state) {
  const char* const path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name(path);
  if (name.size() >= sizeof(address.sun_path)) return;
  name.copy(address.sun_path, name.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  if (::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&address), length) < 0) {
    spdlog::warn("service manager: {}", std::strerror(errno));
  }
  ::close(fd);
}

void join_reclaim() {
  if (::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) < 0) {
    spdlog::info("not an I/O flusher: {}", std::strerror(errno));
  }
  const Result<void> score = write_file("/proc/self/oom_score_adj", kOomScore);
  if (!score) spdlog::info("{}", score.error().text());
  raise_descriptor_limit();
}

void lock_memory() {
  if (::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0) {
    spdlog::warn("memory is not locked: {}", std::strerror(errno));
  }
}

}  // namespace cfs
