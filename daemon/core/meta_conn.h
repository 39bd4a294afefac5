// SPDX-License-Identifier: Apache-2.0
/// TCP connections to meta nodes.
///
/// Purpose  One request at a time per connection (a meta node answers strictly in turn), many
///          connections per node, kept for reuse.
/// Threads  The loop's.
/// Lifetime A MetaPool::Lease returns its connection; close() shuts every socket so that running
///          exchanges end with an error, and must be called before the pool is destroyed.
/// Failure  Result with an errno. After any failure, a wrong id or opcode, or a bad length the
///          connection is dropped, never reused. A reply that does not come makes the pool look
///          for the node (PathProbe): if the path was broken, exchanges from before are ended as
///          soon as it is back, or when the node stays away, so that their callers repeat them.
/// Source   CubeFS v3.5.3 metanode/server.go, sdk/meta/conn.go, util/conn_pool.go.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/base/net.h"
#include "daemon/base/path_probe.h"
#include "daemon/wire/packet.h"

namespace cfs {

struct MetaTraffic {
  std::uint64_t bytes_sent = 0, bytes_received = 0;
};

/// One connection.
class MetaConn {
 public:
  static constexpr Millis kSilence{500};  ///< without an answer: something may be wrong

  MetaConn(Loop& loop, Fd fd, MetaTraffic& traffic, PathProbe& probe)
      : loop_(loop),
        fd_(std::move(fd)),
        traffic_(traffic),
        probe_(probe),
        used_ms_(Loop::now_ms()) {}

  /// Send a request and receive its reply. `*sent` becomes true when the whole request may have
  /// reached the server: without a reply its outcome is then unknown.
  /// `request` outlives the task.
  Task<Result<wire::Packet>> exchange(const wire::Packet& request, std::int64_t deadline_ms,
                                      bool* sent);
  /// True when the peer closed it, or sent something nobody asked for, while it was idle.
  [[nodiscard]] bool stale() const;
  /// Begin of the exchange under way, else the end of the last one.
  [[nodiscard]] std::int64_t used_ms() const { return used_ms_; }
  void shutdown() const { ::shutdown(fd_.get(), SHUT_RDWR); }
  /// Make the coming close a reset: unread requests in the server's socket buffer are dropped.
  void abort() const;

 private:
  Task<Result<wire::Packet>> receive(std::int64_t deadline_ms);
  Task<Result<std::size_t>> first_bytes(char* buffer, std::size_t len, std::int64_t deadline_ms);
  Task<Result<wire::Packet>> receive_rest(std::string in, std::int64_t deadline_ms);
  /// Until `*data` has `len` bytes.
  Task<Result<void>> receive_until(std::string* data, std::size_t len, std::int64_t deadline_ms);

  Loop& loop_;
  Fd fd_;
  MetaTraffic& traffic_;
  PathProbe& probe_;
  std::int64_t used_ms_;
  std::array<char, 4096> first_{};
};

/// Connections of one daemon to all meta nodes of a cluster.
class MetaPool {
  struct Node {
    std::vector<std::unique_ptr<MetaConn>> idle;  // most recently used last
    std::vector<const MetaConn*> on_loan;
    std::size_t open = 0;  // idle, on loan and being made
    Event freed;
    Endpoint endpoint;
    std::unique_ptr<PathProbe> probe;  // made when the address is resolved
  };

 public:
  static constexpr std::size_t kPerNode = 64;

  explicit MetaPool(Loop& loop) : loop_(loop) {}

  /// A connection on loan: back to the pool, or dropped after discard().
  class Lease {
   public:
    Lease(MetaPool* pool, Node& node, std::unique_ptr<MetaConn> conn)
        : pool_(pool), node_(&node), conn_(std::move(conn)) {
      node.on_loan.push_back(conn_.get());
    }
    Lease(Lease&& o) noexcept = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (conn_) pool_->give_back(*node_, std::move(conn_), good_);
    }
    MetaConn* operator->() { return conn_.get(); }
    void discard() { good_ = false; }

   private:
    MetaPool* pool_;
    Node* node_;
    std::unique_ptr<MetaConn> conn_;
    bool good_ = true;
  };

  /// A connection to "ip:port". Waits while kPerNode are in use, except with `reserve`: key commits
  /// must not wait behind ordinary requests (they free memory).
  Task<Result<Lease>> acquire(std::string addr, std::int64_t deadline_ms, bool reserve);
  /// Refuse new work and end running exchanges.
  void close();
  [[nodiscard]] const MetaTraffic& traffic() const { return traffic_; }

 private:
  Task<Result<void>> resolve(Node& node, std::string addr);
  Task<Result<std::unique_ptr<MetaConn>>> connect(Node& node, std::string addr,
                                                  std::int64_t deadline_ms);
  std::unique_ptr<MetaConn> take_idle(Node& node);
  Task<bool> wait_turn(Node& node, std::int64_t deadline_ms);
  void give_back(Node& node, std::unique_ptr<MetaConn> conn, bool good);
  static void end_exchanges(const Node& node, std::int64_t now_ms);

  Loop& loop_;
  MetaTraffic traffic_;
  std::unordered_map<std::string, Node> nodes_;  // never fewer: references to nodes stay good
  bool closed_ = false;
};

}  // namespace cfs
