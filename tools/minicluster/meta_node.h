// SPDX-License-Identifier: Apache-2.0
/// One meta node of the mini cluster: a listener and its connections.
///
/// Purpose   Reads a packet, has MetaService handle it, writes the answer, reads the next: strictly
///           serial per connection, as the real server.
/// Lifetime  start() and stop() may be called in turns. The service outlives the node.
/// Threads   start(), stop(), hang(), reset_connections() from any thread, one at a time. One
///           thread accepts, each connection has one thread.
/// Failure   start() says what is wrong. A connection that sends no packet is closed.
/// Source    CubeFS v3.5.3, metanode/server.go.
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "tools/minicluster/data_socket.h"
#include "tools/minicluster/meta_service.h"

namespace cfs::mini {

class MetaNode {
 public:
  MetaNode(std::string ip, uint16_t port, MetaService& service);
  ~MetaNode();
  MetaNode(const MetaNode&) = delete;
  MetaNode& operator=(const MetaNode&) = delete;

  /// Listens. With port 0 the kernel chooses one, which later starts keep.
  Result<void> start();
  /// Leaves like a killed process: listener and connections closed.
  void stop();
  /// Accepts and reads, but does not execute or answer until hang(false).
  void hang(bool on);
  /// Closes every connection with RST, as on a change of leadership.
  void reset_connections();

  [[nodiscard]] const std::string& address() const { return address_; }
  [[nodiscard]] bool running() const { return running_.load(); }

 private:
  struct Session {
    Fd fd;
    std::thread thread;
    std::atomic<bool> done{false};
  };

  void accept_loop();
  void serve(Session& session);
  bool answer(Session& session, const wire::Packet& request);
  void reap(bool all);

  const std::string ip_;
  uint16_t port_;
  std::string address_;
  MetaService& service_;
  std::atomic<bool> running_{false};
  Fd listener_;
  std::thread acceptor_;
  std::mutex lock_;
  std::list<std::unique_ptr<Session>> sessions_;  ///< lock_
};

}  // namespace cfs::mini
