// SPDX-License-Identifier: Apache-2.0
/// Server side of the admin socket.
///
/// Purpose  Accepts clients, reads one command per line, answers in order.
/// Threads  The loop thread.
/// Lifetime listen() .. stop(), which ends the accept and every client's wait; destroy it when the
///          loop has run out.
/// Failure  A client that sends rubbish gets an error and, if the line was too long, is cut off. One
///          that is slow to send or to read is cut off. More than kClientsMax are turned away. None
///          of this touches the others.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "daemon/app/admin_protocol.h"
#include "daemon/base/loop.h"

namespace cfs {

/// Executes commands.
class AdminHandler {
 public:
  virtual ~AdminHandler() = default;
  virtual Task<Result<Json>> run(admin::Command command) = 0;
};

class AdminServer {
 public:
  static constexpr std::size_t kClientsMax = 64;
  static constexpr Millis kIdle{60'000};      ///< between two commands
  static constexpr Millis kLineTime{10'000};  ///< from the first byte of a line to its last
  static constexpr Millis kSendTime{10'000};  ///< for one answer

  /// Bind `path` (its directory is made, a stale socket replaced), mode 0600. The caller holds the
  /// lock that says nobody else serves it.
  static Result<std::unique_ptr<AdminServer>> listen(Loop& loop, const std::string& path,
                                                     AdminHandler& handler);
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  void start();
  void stop();
  /// Commands being executed.
  [[nodiscard]] std::size_t busy() const { return busy_; }

 private:
  AdminServer(Loop& loop, std::string path, int fd, AdminHandler& handler)
      : loop_(loop), path_(std::move(path)), fd_(fd), handler_(handler) {}
  Task<void> accept_clients();
  Task<void> serve(int client);
  Task<bool> read_line(int client, std::string& pending, std::string& line);
  Task<std::string> execute(std::string line);
  Task<bool> send_all(int client, std::string text);
  void refuse(int client) const;

  Loop& loop_;
  std::string path_;
  int fd_;
  AdminHandler& handler_;
  std::set<int> clients_;
  std::size_t busy_ = 0;
  bool stopping_ = false;
};

}  // namespace cfs
