// SPDX-License-Identifier: Apache-2.0
/// Blocking admin client; see admin_client.h.
#include "daemon/app/admin_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <utility>

namespace cfs {
namespace {

using Clock = std::chrono::steady_clock;

int left_ms(Clock::time_point until) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
  return left.count() > 0 ? static_cast<int>(left.count()) : 0;
}

}  // namespace

Result<AdminClient> AdminClient::connect(const std::string& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof(address.sun_path)) {
    return make_error(ENAMETOOLONG, socket_path);
  }
  socket_path.copy(address.sun_path, socket_path.size());
  AdminClient client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (client.fd_ < 0) return errno_error("socket");
  if (::connect(client.fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) < 0) {
    return errno_error(socket_path);
  }
  return client;
}

AdminClient::AdminClient(AdminClient&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

AdminClient& AdminClient::operator=(AdminClient&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

AdminClient::~AdminClient() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> AdminClient::send_all(const std::string& line) {
  std::size_t sent = 0;
  while (sent < line.size()) {
    const ssize_t n = ::send(fd_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("daemon");
    sent += static_cast<std::size_t>(n);
  }
  return {};
}

Result<std::string> AdminClient::read_line(int timeout_ms) {
  const auto until = Clock::now() + std::chrono::milliseconds(timeout_ms);
  std::string line;
  char chunk[4096];
  for (;;) {
    pollfd wait{fd_, POLLIN, 0};
    const int ready = ::poll(&wait, 1, left_ms(until));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return make_error(ETIMEDOUT, "the daemon does not answer");
    const ssize_t n = ::recv(fd_, chunk, sizeof(chunk), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return make_error(ECONNRESET, "the daemon closed the connection");
    line.append(chunk, static_cast<std::size_t>(n));
    if (line.back() == '\n') return line;
    if (line.size() > admin::kLineMax)
      return make_error(EPROTO, "answer of the daemon is too long");
  }
}

Result<Json> AdminClient::call(const std::string& command, Json args, int timeout_ms) {
  const Result<void> sent = send_all(admin::encode(admin::Command{command, std::move(args)}));
  if (!sent) return sent.error();
  const Result<std::string> line = read_line(timeout_ms);
  if (!line) return line.error();
  return admin::decode_answer(*line);
}

}  // namespace cfs
