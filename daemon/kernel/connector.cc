// SPDX-License-Identifier: Apache-2.0
/// Dial decisions; see connector.h for the states.
#include "daemon/kernel/connector.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>

namespace cfs {
namespace {

constexpr const char* kClassNames[CFS_CONN_CLASSES] = {"read", "append", "overwrite"};
constexpr std::int64_t kLastingMs = 1000;  // a connection that lived so long ends the back-off

/// One "class=count" of ConnectionCounts::parse().
bool apply_count(const std::string& item, ConnectionCounts& counts) {
  const std::size_t equals = item.find('=');
  if (equals == std::string::npos) return false;
  std::uint32_t value = 0;
  const char* const end = item.data() + item.size();
  const auto parsed = std::from_chars(item.data() + equals + 1, end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end) return false;
  if (value < 1 || value > CFS_CONN_SLOTS_MAX) return false;
  for (std::size_t i = 0; i < counts.slots.size(); ++i) {
    if (item.compare(0, equals, kClassNames[i]) != 0) continue;
    counts.slots[i] = value;
    return true;
  }
  return false;
}

}  // namespace

Result<ConnectionCounts> ConnectionCounts::parse(const std::string& text) {
  ConnectionCounts counts;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string item = text.substr(at, comma - at);
    if (!apply_count(item, counts)) {
      return make_error(EINVAL,
                        "connections '" + item +
                            "': expected read=N, append=N or overwrite=N with N from 1 to " +
                            std::to_string(CFS_CONN_SLOTS_MAX));
    }
    at = comma + 1;
  }
  return counts;
}

Connector::Connector(KernelPort& port, ConnectionCounts counts, Wake wake_in, std::uint32_t seed)
    : port_(port), counts_(counts), wake_in_(std::move(wake_in)), random_(seed) {}

void Connector::move(Connection& connection, State to, std::int64_t now_ms) {
  connection.state = to;
  connection.since_ms = now_ms;
}

bool Connector::valid(std::uint32_t conn_class, std::uint32_t slot) const {
  return conn_class < CFS_CONN_CLASSES && slot < CFS_CONN_SLOTS_MAX;
}

/// Full jitter on the upper half, so that many hosts behind one switch do not come back in step.
std::int64_t Connector::delay_ms(const Node& node, std::int64_t now_ms) {
  const bool eager = now_ms - node.failing_since_ms < kEagerMs;
  const std::uint32_t doublings = std::min<std::uint32_t>(node.failures, 10);
  const std::int64_t full =
      std::min(kBackoffMinMs << doublings, eager ? kBackoffMaxMs : kBackoffLongMs);
  std::uniform_int_distribution<std::int64_t> jitter(full / 2, full);
  return jitter(random_);
}

bool Connector::any_up(std::uint32_t id) const {
  for (auto it = connections_.lower_bound(Key{id, 0, 0});
       it != connections_.end() && it->first.node == id; ++it) {
    if (it->second.state == State::kUp) return true;
  }
  return false;
}

/// Those of a node that back off, the one that was tried longest ago first.
std::vector<Connector::Key> Connector::waiting(std::uint32_t id) const {
  std::vector<Key> out;
  for (auto it = connections_.lower_bound(Key{id, 0, 0});
       it != connections_.end() && it->first.node == id; ++it) {
    if (it->second.state == State::kBackoff) out.push_back(it->first);
  }
  std::stable_sort(out.begin(), out.end(), [this](const Key& a, const Key& b) {
    return connections_.at(a).since_ms < connections_.at(b).since_ms;
  });
  return out;
}

void Connector::dial(const Key& key, Connection& connection, std::int64_t now_ms) {
  const std::uint32_t failures = nodes_[key.node].failures;
  cfs_connect order{};
  order.len = sizeof(order);
  order.node = key.node;
  order.conn_class = key.conn_class;
  order.conn_slot = key.slot;
  // every fifth is patient: the node may be far away
  order.timeout_ms = failures % 5 == 0 ? kConnectTimeoutMs : kRetryTimeoutMs;
  move(connection, State::kDialing, now_ms);
  const Result<void> ordered = port_.connect(order);
  if (ordered) return;
  spdlog::debug("connect order for node {} refused: {}", key.node, ordered.error().text());
  fail(key, connection, now_ms);
}

/// It waits for its node's next dial, if anybody still wants it.
void Connector::fail(const Key& key, Connection& connection, std::int64_t now_ms) {
  Node& node = nodes_[key.node];
  if (node.failures == 0) node.failing_since_ms = now_ms;
  if (node.wanted_until[key.conn_class] < now_ms) return move(connection, State::kIdle, now_ms);
  move(connection, State::kBackoff, now_ms);
  if (node.due_ms <= now_ms) plan(node, now_ms);
}

void Connector::plan(Node& node, std::int64_t now_ms) {
  const std::int64_t delay = delay_ms(node, now_ms);
  node.due_ms = now_ms + delay;
  wake_in_(Millis(delay));
}

void Connector::need(std::uint32_t node, std::uint32_t conn_class, std::int64_t now_ms) {
  if (!valid(conn_class, 0)) return;
  auto& wanted = nodes_[node].wanted_until[conn_class];
  wanted = std::max(wanted, now_ms + kWantedMs);
  const bool failing = !waiting(node).empty() && !any_up(node);
  for (std::uint32_t slot = 0; slot < counts_.slots[conn_class]; ++slot) {
    const Key key{node, conn_class, slot};
    Connection& connection = connections_[key];
    if (busy(connection, now_ms)) continue;
    if (failing) {
      move(connection, State::kBackoff, now_ms);  // its node has a time for the next dial
    } else {
      dial(key, connection, now_ms);
    }
  }
}

/// A dial is under way or planned. One that is UP is not: the kernel asks only when it has none, so
/// our knowledge is old; an order for one that is up after all does no harm, CONN_UP comes again.
bool Connector::busy(const Connection& connection, std::int64_t now_ms) {
  if (connection.state == State::kBackoff) return true;
  return connection.state == State::kDialing && now_ms - connection.since_ms <= kDialLimitMs;
}

void Connector::up(std::uint32_t node, std::uint32_t conn_class, std::uint32_t slot,
                   std::int64_t now_ms) {
  if (!valid(conn_class, slot)) return;
  Connection& connection = connections_[Key{node, conn_class, slot}];
  move(connection, State::kUp, now_ms);
  connection.silent = false;
  auto& wanted = nodes_[node].wanted_until[conn_class];
  wanted = std::max(wanted, now_ms + kUpWantedMs);
  dial_waiting(node, now_ms, true);
}

void Connector::down(std::uint32_t node, std::uint32_t conn_class, std::uint32_t slot,
                     std::int64_t now_ms) {
  if (!valid(conn_class, slot)) return;
  const Key key{node, conn_class, slot};
  Connection& connection = connections_[key];
  if (connection.state == State::kUp) {
    if (now_ms - connection.since_ms >= kLastingMs) nodes_[node].failures = 0;
    // the kernel asks for one only when it has none of the class
    auto& wanted = nodes_[node].wanted_until[conn_class];
    wanted = std::max(wanted, now_ms + kWantedMs);
  }
  fail(key, connection, now_ms);
}

void Connector::silent(std::uint32_t node, std::uint32_t conn_class, std::uint32_t slot) {
  if (!valid(conn_class, slot)) return;
  connections_[Key{node, conn_class, slot}].silent = true;
}

void Connector::close_silent(std::uint32_t node, bool overwrites, std::uint32_t flags) {
  for (auto it = connections_.lower_bound(Key{node, 0, 0});
       it != connections_.end() && it->first.node == node; ++it) {
    const Key& key = it->first;
    if (key.conn_class == CFS_CONN_OVERWRITE && !overwrites) continue;
    if (!std::exchange(it->second.silent, false)) continue;
    cfs_connect order{};
    order.len = sizeof(order);
    order.node = key.node;
    order.conn_class = key.conn_class;
    order.conn_slot = key.slot;
    order.timeout_ms = kSilentMs;
    order.flags = flags;
    (void)port_.close_connection(order);  // one that speaks again, or is gone, is left alone
  }
}

void Connector::path_lost(std::uint32_t node) {
  close_silent(node, false, CFS_CLOSE_LOST);
}

void Connector::host_lost(std::uint32_t node) {
  close_silent(node, true, CFS_CLOSE_LOST);
}

void Connector::path_back(std::uint32_t node, std::int64_t now_ms) {
  close_silent(node, false, 0);
  dial_waiting(node, now_ms, true);
}

void Connector::network_changed(std::int64_t now_ms) {
  for (auto& [id, node] : nodes_) {
    if (node.failures == 0 && waiting(id).empty()) continue;
    node.failures = 0;
    node.failing_since_ms = now_ms;
    node.due_ms = now_ms;
  }
  run_due(now_ms);
}

void Connector::dial_waiting(std::uint32_t id, std::int64_t now_ms, bool all) {
  for (const Key& key : waiting(id)) {
    dial(key, connections_[key], now_ms);
    if (!all) return;
  }
}

/// One dial at a node that answers nothing, all at one that has a connection.
void Connector::run_due(std::int64_t now_ms) {
  for (auto& [id, node] : nodes_) {
    if (node.due_ms > now_ms || waiting(id).empty()) continue;
    ++node.failures;
    node.due_ms = now_ms;
    dial_waiting(id, now_ms, any_up(id));
    if (node.due_ms <= now_ms && !waiting(id).empty()) plan(node, now_ms);
  }
}

void Connector::clear() {
  connections_.clear();
  nodes_.clear();
}

Connector::Counts Connector::counts() const {
  Counts out;
  for (const auto& [key, connection] : connections_) {
    if (connection.state == State::kUp) ++out.up;
    if (connection.state == State::kDialing) ++out.dialing;
    if (connection.state == State::kBackoff) ++out.waiting;
  }
  return out;
}

}  // namespace cfs
