// SPDX-License-Identifier: Apache-2.0
/// Connections to meta nodes; contracts in meta_conn.h.
#include "daemon/core/meta_conn.h"

#include <algorithm>

namespace cfs {
namespace {

constexpr Millis kUserTimeout(6000);
constexpr std::int64_t kConnectMs = 2000;
constexpr std::int64_t kIdleMs = 30000;        // idle life of sdk/meta's pool
constexpr std::size_t kVersionCount = 2;       // bytes of the count in front of a version list
constexpr std::size_t kPieceBytes = 1u << 20;  // memory follows what arrives, not what is claimed

}  // namespace

// ---------------------------------------------------------------- MetaConn

void MetaConn::abort() const {
  const linger hard{1, 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
}

bool MetaConn::stale() const {
  char byte = 0;
  const ssize_t n = ::recv(fd_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

Task<Result<wire::Packet>> MetaConn::exchange(const wire::Packet& request, std::int64_t deadline_ms,
                                              bool* sent) {
  used_ms_ = Loop::now_ms();
  const std::string bytes = wire::encode(request);
  Result<void> done = co_await send_all(loop_, fd_.get(), bytes.data(), bytes.size(), deadline_ms);
  if (!done.ok()) co_return done.error().in("send");  // the server cannot act on a part of it
  *sent = true;
  traffic_.bytes_sent += bytes.size();
  Result<wire::Packet> reply = co_await receive(deadline_ms);
  used_ms_ = Loop::now_ms();
  if (!reply.ok()) co_return reply.error().in("reply");
  if (!wire::is_reply_to(reply->h, request.h)) {
    co_return make_error(EBADMSG, "reply of another request");
  }
  co_return reply;
}

/// The server works, or its host or the way to it is gone: the probe finds out which.
Task<Result<std::size_t>> MetaConn::first_bytes(char* buffer, std::size_t len,
                                                std::int64_t deadline_ms) {
  for (;;) {
    const std::int64_t left = deadline_ms - Loop::now_ms();
    if (left <= 0) co_return make_error(ETIMEDOUT, {});
    const Millis patience = std::min(kSilence, Millis(left));
    const int n = co_await loop_.recv(fd_.get(), buffer, len, patience);
    if (n > 0) co_return static_cast<std::size_t>(n);
    if (n == 0) co_return make_error(ECONNRESET, "closed by the peer");
    if (n == -EINTR || n == -EAGAIN) continue;
    if (n != -ETIME) co_return make_error(-n, {});
    if (probe_.lost()) co_return make_error(EHOSTUNREACH, "the host answers nothing");
    probe_.suspect();
  }
}

/// Most replies come whole with the first bytes.
Task<Result<wire::Packet>> MetaConn::receive(std::int64_t deadline_ms) {
  Result<std::size_t> begun = co_await first_bytes(first_.data(), first_.size(), deadline_ms);
  if (!begun.ok()) co_return begun.error();
  const std::string_view in(first_.data(), *begun);
  wire::Packet packet;
  Result<std::size_t> whole = wire::decode_packet(in, &packet);
  if (!whole.ok()) co_return whole.error();
  if (*whole == 0) {
    Result<wire::Packet> rest = co_await receive_rest(std::string(in), deadline_ms);
    co_return rest;
  }
  if (in.size() > *whole) co_return make_error(EBADMSG, "more bytes than the reply has");
  traffic_.bytes_received += *whole;
  co_return packet;
}

/// A reply of which the first bytes are there.
Task<Result<wire::Packet>> MetaConn::receive_rest(std::string in, std::int64_t deadline_ms) {
  std::size_t need = CFS_PKT_HDR;
  for (;;) {  // the length shows itself in steps: base header, version count, Arg
    Result<void> got = co_await receive_until(&in, need, deadline_ms);
    if (!got.ok()) co_return got.error();
    need = cfs_pkt_hdr_len(static_cast<std::uint8_t>(in[1]));
    if (in.size() < need) continue;
    Result<std::size_t> head = wire::head_length(in);
    if (!head.ok()) co_return head.error();
    need = *head != 0 ? *head : need + kVersionCount;
    if (in.size() >= need) break;
  }
  wire::Packet packet;
  Result<std::size_t> body = wire::decode_head(in, &packet);
  if (!body.ok()) co_return body.error();
  if (in.size() > need + *body) co_return make_error(EBADMSG, "more bytes than the reply has");
  packet.data.assign(in, need);
  Result<void> got = co_await receive_until(&packet.data, *body, deadline_ms);
  if (!got.ok()) co_return got.error();
  traffic_.bytes_received += need + *body;
  co_return packet;
}

Task<Result<void>> MetaConn::receive_until(std::string* data, std::size_t len,
                                           std::int64_t deadline_ms) {
  while (data->size() < len) {
    const std::size_t have = data->size();
    const std::size_t piece = std::min(kPieceBytes, len - have);
    data->resize(have + piece);
    Result<void> got = co_await recv_all(loop_, fd_.get(), data->data() + have, piece, deadline_ms);
    if (!got.ok()) co_return got;
  }
  co_return Result<void>();
}

// ---------------------------------------------------------------- MetaPool

Task<Result<void>> MetaPool::resolve(Node& node, std::string addr) {
  if (node.probe) co_return Result<void>();
  Result<Endpoint> found = parse_endpoint(addr);
  if (!found.ok()) {  // a name: resolve it once, away from the loop
    Result<Endpoint>* const out = &found;
    const std::string* const text = &addr;  // both live in this frame until the thread is done
    co_await loop_.offload([out, text] { *out = resolve_endpoint(*text); });
    if (!found.ok()) co_return make_error(EHOSTUNREACH, found.error().what);
  }
  node.endpoint = *found;
  if (!node.probe) {
    auto end = [&node](std::int64_t) { end_exchanges(node, Loop::now_ms()); };
    node.probe = std::make_unique<PathProbe>(loop_, *found, PathProbe::Callbacks{end, end});
  }
  co_return Result<void>();
}

/// Of a node whose path was broken: what has been silent for long was lost on it.
void MetaPool::end_exchanges(const Node& node, std::int64_t now_ms) {
  for (const MetaConn* conn : node.on_loan) {
    if (now_ms - conn->used_ms() >= PathProbe::kBrokenMs) conn->shutdown();
  }
}

Task<Result<std::unique_ptr<MetaConn>>> MetaPool::connect(Node& node, std::string addr,
                                                          std::int64_t deadline_ms) {
  Result<void> known = co_await resolve(node, addr);
  if (!known.ok()) co_return known.error();
  const std::int64_t limit = std::min(deadline_ms, Loop::now_ms() + kConnectMs);
  Result<Fd> fd = co_await dial(loop_, node.endpoint, kUserTimeout, limit);
  if (!fd.ok()) co_return fd.error().in("connect");
  co_return std::make_unique<MetaConn>(loop_, std::move(*fd), traffic_, *node.probe);
}

std::unique_ptr<MetaConn> MetaPool::take_idle(Node& node) {
  const std::int64_t oldest = Loop::now_ms() - kIdleMs;
  while (!node.idle.empty()) {
    std::unique_ptr<MetaConn> conn = std::move(node.idle.back());
    node.idle.pop_back();
    if (conn->used_ms() >= oldest && !conn->stale()) return conn;
    --node.open;
  }
  return nullptr;
}

/// Wait until the node has room for one more connection. False: time is over.
Task<bool> MetaPool::wait_turn(Node& node, std::int64_t deadline_ms) {
  while (node.open >= kPerNode && node.idle.empty()) {
    if (closed_ || Loop::now_ms() >= deadline_ms) co_return false;
    node.freed.reset();
    co_await node.freed.wait();  // every exchange has a deadline, so this one ends too
  }
  co_return !closed_;
}

Task<Result<MetaPool::Lease>> MetaPool::acquire(std::string addr, std::int64_t deadline_ms,
                                                bool reserve) {
  Node& node = nodes_[addr];
  if (!reserve && node.open >= kPerNode) {
    const bool turn = co_await wait_turn(node, deadline_ms);
    if (!turn && !closed_) co_return make_error(ETIMEDOUT, "all connections are busy");
  }
  if (closed_) co_return make_error(ESHUTDOWN, "closing");
  std::unique_ptr<MetaConn> conn = take_idle(node);
  if (!conn) {
    ++node.open;
    Result<std::unique_ptr<MetaConn>> made = co_await connect(node, addr, deadline_ms);
    if (!made.ok() || closed_) {
      --node.open;
      node.freed.set();
      co_return made.ok() ? make_error(ESHUTDOWN, "closing") : made.error();
    }
    conn = std::move(made).value();
  }
  Lease lease(this, node, std::move(conn));
  co_return lease;
}

void MetaPool::give_back(Node& node, std::unique_ptr<MetaConn> conn, bool good) {
  std::erase(node.on_loan, conn.get());
  if (good && !closed_) {
    node.idle.push_back(std::move(conn));
  } else {
    conn->abort();
    --node.open;
    if (!good) {  // the node restarted or is ill: what idles is suspect as well
      node.open -= node.idle.size();
      node.idle.clear();
    }
  }
  node.freed.set();
}

void MetaPool::close() {
  closed_ = true;
  for (auto& [addr, node] : nodes_) {
    for (const MetaConn* conn : node.on_loan) conn->shutdown();
    node.open -= node.idle.size();
    node.idle.clear();
    if (node.probe) node.probe->stop();
    node.freed.set();
  }
}

}  // namespace cfs
