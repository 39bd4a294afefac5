// SPDX-License-Identifier: Apache-2.0
/// Which connections to data nodes the kernel is told to make, and when.
///
/// Purpose  The kernel reports what it needs and what happened; this decides on dials: all slots of
///          a wanted (node, class), one dial at a time per slot, jittered exponential back-off per
///          node from 10 ms to 1 s, given up when nobody has wanted the class for a while.
/// Threads  The loop thread.
/// Lifetime Owned by KernelFront. `wake_in` must arrange a call of run_due(); it may be late and
///          may come more often than asked.
/// Failure  A refused order counts as a failed connect.
///
///   IDLE -> DIALING -> UP
///    ^        |  ^      |
///    |        v  |      v        down: back-off while the class is wanted, else IDLE
///    +------ BACKOFF <--+
///
/// Only move() changes the state. A lost CONN_UP or CONN_DOWN is repaired by the next need(): a
/// dial that is older than kDialLimitMs is given up.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <random>

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
  static constexpr std::int64_t kBackoffMaxMs = 1000;
  static constexpr std::int64_t kWantedMs =
      60'000;  ///< how long one NEED_CONN keeps a class wanted
  static constexpr std::int64_t kUpWantedMs = 300'000;  ///< the same while a connection is up
  static constexpr std::int64_t kDialLimitMs = 3000;
  static constexpr std::uint32_t kConnectTimeoutMs = 1000;

  Connector(KernelPort& port, ConnectionCounts counts, Wake wake_in, std::uint32_t seed = 1);

  void need(std::uint32_t node, std::uint32_t conn_class, std::int64_t now_ms);
  void up(std::uint32_t node, std::uint32_t conn_class, std::uint32_t slot, std::int64_t now_ms);
  void down(std::uint32_t node, std::uint32_t conn_class, std::uint32_t slot, std::int64_t now_ms);
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
    std::int64_t due_ms = 0;    ///< kBackoff: when to dial
  };
  struct Node {
    std::uint32_t failures = 0;                                 ///< since the last lasting success
    std::array<std::int64_t, CFS_CONN_CLASSES> wanted_until{};  ///< ms
  };

  static void move(Connection& connection, State to, std::int64_t now_ms);
  [[nodiscard]] bool valid(std::uint32_t conn_class, std::uint32_t slot) const;
  void dial(const Key& key, Connection& connection, std::int64_t now_ms);
  void fail(const Key& key, Connection& connection, std::int64_t now_ms);
  void back_off(const Key& key, Connection& connection, std::int64_t now_ms);
  [[nodiscard]] static bool busy(const Connection& connection, std::int64_t now_ms);
  [[nodiscard]] bool backing_off(std::uint32_t node) const;
  std::int64_t delay_ms(std::uint32_t failures);

  KernelPort& port_;
  ConnectionCounts counts_;
  Wake wake_in_;
  std::minstd_rand random_;
  std::map<Key, Connection> connections_;
  std::map<std::uint32_t, Node> nodes_;
};

}  // namespace cfs
