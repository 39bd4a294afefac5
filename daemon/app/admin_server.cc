// SPDX-License-Identifier: Apache-2.0
/// Admin socket server; see admin_server.h.
#include "daemon/app/admin_server.h"

#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

namespace cfs {
namespace {

constexpr int kBacklog = 64;
constexpr Millis kAcceptPause{100};

/// Bound and listening, 0600 from its first moment.
Result<int> bind_socket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return make_error(ENAMETOOLONG, "socket path '" + path + "'");
  }
  path.copy(address.sun_path, path.size());
  ::unlink(path.c_str());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno_error("socket");
  const mode_t former = ::umask(0177);
  const int bound = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  const Error why = errno_error("socket " + path);
  ::umask(former);
  if (bound < 0 || ::listen(fd, kBacklog) < 0) {
    ::close(fd);
    return why;
  }
  return fd;
}

}  // namespace

Result<std::unique_ptr<AdminServer>> AdminServer::listen(Loop& loop, const std::string& path,
                                                         AdminHandler& handler) {
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  const Result<int> fd = bind_socket(path);
  if (!fd) return fd.error();
  return std::unique_ptr<AdminServer>(new AdminServer(loop, path, *fd, handler));
}

AdminServer::~AdminServer() {
  ::close(fd_);
}

void AdminServer::start() {
  loop_.spawn(accept_clients());
}

void AdminServer::stop() {
  if (stopping_) return;
  stopping_ = true;
  ::unlink(path_.c_str());
  ::shutdown(fd_, SHUT_RDWR);
  for (const int client : clients_) ::shutdown(client, SHUT_RD);
}

Task<void> AdminServer::accept_clients() {
  while (!stopping_) {
    const int client = co_await loop_.accept(fd_);
    if (client >= 0 && clients_.size() < kClientsMax && !stopping_) {
      clients_.insert(client);
      loop_.spawn(serve(client));
    } else if (client >= 0) {
      refuse(client);
    } else if (!stopping_) {
      // out of descriptors or memory: clients wait in the backlog
      spdlog::warn("admin socket: accept: {}", std::strerror(-client));
      co_await loop_.sleep(kAcceptPause);
    }
  }
}

void AdminServer::refuse(int client) const {
  const std::string line =
      admin::encode(Result<Json>(make_error(EBUSY, "too many clients of the admin socket")));
  [[maybe_unused]] const ssize_t n =
      ::send(client, line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  ::close(client);
}

/// False: the client is gone, too slow or sent too much (`line` is then the answer it gets).
Task<bool> AdminServer::read_line(int client, std::string& pending, std::string& line) {
  std::int64_t until = Loop::now_ms() + (pending.empty() ? kIdle : kLineTime).count();
  char chunk[4096];
  for (;;) {
    const std::size_t end = pending.find('\n');
    if (end != std::string::npos) {
      line = pending.substr(0, end);
      pending.erase(0, end + 1);
      co_return true;
    }
    line.clear();
    if (pending.size() > admin::kLineMax) {
      line = admin::encode(Result<Json>(make_error(EMSGSIZE, "the line is longer than 1 MiB")));
      co_return false;
    }
    const Millis left(until - Loop::now_ms());
    if (left <= Millis(0)) co_return false;
    const int n = co_await loop_.recv(client, chunk, sizeof(chunk), left);
    if (n <= 0) co_return false;
    if (pending.empty()) until = Loop::now_ms() + kLineTime.count();
    pending.append(chunk, static_cast<std::size_t>(n));
  }
}

Task<std::string> AdminServer::execute(std::string line) {
  const Result<admin::Command> command = admin::decode_command(line);
  if (!command) co_return admin::encode(Result<Json>(command.error()));
  ++busy_;
  const Result<Json> answer = co_await handler_.run(*command);
  --busy_;
  co_return admin::encode(answer);
}

Task<bool> AdminServer::send_all(int client, std::string text) {
  const std::int64_t until = Loop::now_ms() + kSendTime.count();
  std::size_t sent = 0;
  while (sent < text.size()) {
    const Millis left(until - Loop::now_ms());
    if (left <= Millis(0)) co_return false;
    const int n = co_await loop_.send(client, text.data() + sent, text.size() - sent, left);
    if (n <= 0) co_return false;
    sent += static_cast<std::size_t>(n);
  }
  co_return true;
}

Task<void> AdminServer::serve(int client) {
  std::string pending;
  std::string line;
  while (!stopping_) {
    const bool complete = co_await read_line(client, pending, line);
    if (!complete) {
      if (!line.empty()) co_await send_all(client, line);
      break;
    }
    const std::string answer = co_await execute(line);
    const bool sent = co_await send_all(client, answer);
    if (!sent) break;
  }
  clients_.erase(client);
  ::close(client);
}

}  // namespace cfs
