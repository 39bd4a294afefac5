// SPDX-License-Identifier: Apache-2.0
/// Which connections to data nodes the kernel is told to make, and when.
///
/// Purpose  The kernel reports what it needs and what happened; this decides on dials: all slots of
///          a wanted (node, class), one dial at a time per slot. A node that fails is dialled by
///          one connection after the other, with a jittered back-off from 10 to 200 ms, after a
///          minute 1 s; its first success brings the others. Given up when nobody has wanted the
///          class for a while.
/// Threads  The loop thread.
/// Lifetime Owned by KernelFront. `wake_in` must arrange a call of run_due(); it may be late and
///          may come more often than asked.
/// Failure  A refused order counts as a failed connect.
///
///   IDLE -> DIALING -> UP
///    ^        |  ^      |
///    |        v  |      v        down: back-off while the class is wanted, else IDLE
///    +------ BACKOFF <--+         (the node's due time dials)
///
/// Only move() changes the state. A lost CONN_UP or CONN_DOWN is repaired by the next need(): a
/// dial that is older than kDialLimitMs is given up.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <vector>

#include "daemon/base/loop.h"
#include "daemon/kernel/kernel_port.h"

namespace cfs {

/// Connections per node and class.
struct ConnectionCounts {
  std::array<std::uint32_t, CFS_CONN_CLASSES> slots = {2, 2, 2};  ///< read, append, overwrite

  /// "read=2,append=2,overwrite=2", any subset; each 1..CFS_CONN_SLOTS_MAX.
  static Result<ConnectionCounts> parse(const std::string& text);
};

class Connector {
 public:
  using Wake = std::function<void(Millis)>;
  static constexpr std::int64_t kBackoffMinMs = 10;
  static constexpr std::int64_t kBackoffMaxMs = 200;    ///< in the first minute of a failure
  static constexpr std::int64_t kBackoffLongMs = 1000;  ///< later
  static constexpr std::int64_t kEagerMs = 60'000;      ///< that minute
  static constexpr std::int64_t kWantedMs =
      60'000;  ///< how long one NEED_CONN keeps a class wanted
  static constexpr std::int64_t kUpWantedMs = 300'000;  ///< the same while a connection is up
  static constexpr std::int64_t kDialLimitMs = 3000;
  static constexpr std::uint32_t kConnectTimeoutMs = 1000;
  /// Of most dials to a node that fails: its slots take turns, and a lost SYN is sent again only
  /// after a second.
  static constexpr std::uint32_t kRetryTimeoutMs = 400;
  static constexpr std::uint32_t kSilentMs = 400;  ///< a connection is dead after this, if its
                                                   ///< path is or was broken

  Connector(KernelPort& port, ConnectionCounts counts, Wake wake_in, std::uint32_t seed = 1);

  void need(std::uint32_t node, std::uint32_t conn_class, std::int64_t now_ms);
  void up(std::uint32_t node, std::uint32_t conn_class, std::uint32_t slot, std::int64_t now_ms);
  void down(std::uint32_t node, std::uint32_t conn_class, std::uint32_t slot, std::int64_t now_ms);
  /// Requests have waited on this connection for a while and nothing comes. It may be one that a
  /// former daemon has ordered.
  void silent(std::uint32_t node, std::uint32_t conn_class, std::uint32_t slot);
  /// Nothing answers for the node: what is silent is closed, so that its requests go to other
  /// replicas, and the kernel avoids the node. Overwrites stay: without their reply newer bytes for
  /// the same place wait (CFS_QUARANTINE_S), longer than a retransmission takes when the path is back.
  void path_lost(std::uint32_t node);
  /// Nothing answers for the node while others do: its overwrites go to the next leader, too.
  void host_lost(std::uint32_t node);
  /// The path to the node was broken and is there again: what is silent is closed, without
  /// overwrites, and all are dialled. Nothing speaks against the node.
  void path_back(std::uint32_t node, std::int64_t now_ms);
  /// A link came up, an address or a route was added: try whatever failed again, now.
  void network_changed(std::int64_t now_ms);
  /// Dial what has waited long enough.
  void run_due(std::int64_t now_ms);
  /// Forget everything: another kernel.
  void clear();

  struct Counts {
    std::uint32_t up = 0, dialing = 0, waiting = 0;
  };
  [[nodiscard]] Counts counts() const;

 private:
  enum class State : std::uint8_t { kIdle, kDialing, kUp, kBackoff };
  struct Key {
    std::uint32_t node, conn_class, slot;
    auto operator<=>(const Key&) const = default;
  };
  struct Connection {
    State state = State::kIdle;
    std::int64_t since_ms = 0;  ///< of the state
    bool silent = false;        ///< kUp: reported, and nothing heard of it since
  };
  struct Node {
    std::uint32_t failures = 0;  ///< dials since the last lasting success
    std::int64_t failing_since_ms = 0;
    std::int64_t due_ms = 0;                                    ///< when to dial what backs off
    std::array<std::int64_t, CFS_CONN_CLASSES> wanted_until{};  ///< ms
  };

  static void move(Connection& connection, State to, std::int64_t now_ms);
  void close_silent(std::uint32_t node, bool overwrites, std::uint32_t flags);
  [[nodiscard]] bool valid(std::uint32_t conn_class, std::uint32_t slot) const;
  void dial(const Key& key, Connection& connection, std::int64_t now_ms);
  void fail(const Key& key, Connection& connection, std::int64_t now_ms);
  void plan(Node& node, std::int64_t now_ms);
  void dial_waiting(std::uint32_t id, std::int64_t now_ms, bool all);
  [[nodiscard]] std::vector<Key> waiting(std::uint32_t id) const;
  [[nodiscard]] bool any_up(std::uint32_t id) const;
  [[nodiscard]] static bool busy(const Connection& connection, std::int64_t now_ms);
  std::int64_t delay_ms(const Node& node, std::int64_t now_ms);

  KernelPort& port_;
  ConnectionCounts counts_;
  Wake wake_in_;
  std::minstd_rand random_;
  std::map<Key, Connection> connections_;
  std::map<std::uint32_t, Node> nodes_;
};

}  // namespace cfs
