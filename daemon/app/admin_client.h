// SPDX-License-Identifier: Apache-2.0
/// Blocking client of the admin socket, for command-line tools.
///
/// Purpose  One connection, one command at a time.
/// Threads  One thread at a time.
/// Lifetime Connected from connect() to destruction; a failed call leaves it of no use.
/// Failure  ENOENT, ECONNREFUSED: no daemon. ETIMEDOUT: it does not answer. Other errors are the
///          command's own.
#pragma once

#include <string>

#include "daemon/app/admin_protocol.h"

namespace cfs {

class AdminClient {
 public:
  static Result<AdminClient> connect(const std::string& socket_path);
  AdminClient(AdminClient&& other) noexcept;
  AdminClient& operator=(AdminClient&& other) noexcept;
  ~AdminClient();

  /// Send a command, wait up to `timeout_ms` for the answer.
  Result<Json> call(const std::string& command, Json args = Json::object(),
                    int timeout_ms = 10'000);

 private:
  explicit AdminClient(int fd) : fd_(fd) {}
  Result<void> send_all(const std::string& line);
  Result<std::string> read_line(int timeout_ms);
  int fd_ = -1;
};

}  // namespace cfs
