// SPDX-License-Identifier: Apache-2.0
/// Blocking TCP for the mini cluster's data nodes.
///
/// Purpose   File descriptor ownership, exact reads and gathered writes with deadlines, dialling.
/// Threads   Free functions; one reader and one writer thread may share a socket.
/// Failure   Functions return 0 or an errno; the end of the stream is kEndOfStream. error_text()
///           words an errno as Go's net package does, because clients log these sentences.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "daemon/base/result.h"

namespace cfs::mini {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

/// Returned by receive functions when the peer closed before the bytes were complete.
inline constexpr int kEndOfStream = ENODATA;

/// Owns one file descriptor. Movable, closes in the destructor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { reset(); }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  void reset();

 private:
  int fd_ = -1;
};

/// Reads a socket: small pieces through a stash, so that header and Arg cost one system call; large
/// pieces straight into their destination. The descriptor is borrowed.
class SocketReader {
 public:
  explicit SocketReader(int fd) : fd_(fd) {}
  /// Reads exactly `size` bytes. Returns 0, kEndOfStream, ETIMEDOUT or the errno of the socket.
  int read(void* out, size_t size);
  /// Bounds the reads that follow; without one they wait for ever.
  void set_deadline(std::optional<Deadline> deadline) { deadline_ = deadline; }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  static constexpr size_t kStashBytes = 512;

  size_t take_stashed(uint8_t* out, size_t size);
  int receive(uint8_t* out, size_t least, size_t most, size_t* received);

  const int fd_;
  std::optional<Deadline> deadline_;
  std::array<uint8_t, kStashBytes> stash_{};
  size_t begin_ = 0;
  size_t end_ = 0;
};

/// Sends all bytes of `parts` in as few system calls as the socket allows; modifies `parts`.
/// Returns 0 or an errno (EAGAIN when SO_SNDTIMEO passed).
int send_parts(int fd, std::span<iovec> parts);

/// Options of every data connection: no delay, keepalive, send timeout.
/// Source: CubeFS v3.5.3, datanode/server.go, proto/const.go (5 s to write a packet).
void set_data_options(int fd);

/// Connects to "ip:port" (IPv4) within `timeout`; the error text is the one of Go's dialler.
Result<Fd> dial_tcp(const std::string& address, std::chrono::milliseconds timeout);

/// Listens on ip:port; port 0 lets the kernel choose, see bound_port().
Result<Fd> listen_tcp(const std::string& ip, uint16_t port);

/// Local port of a bound socket, 0 on failure.
uint16_t bound_port(int fd);

/// "read tcp 127.0.0.1:40000->127.0.0.1:17301: i/o timeout" for a failed operation on a connection.
std::string error_text(const char* operation, int fd, int error);

}  // namespace cfs::mini
