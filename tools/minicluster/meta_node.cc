// SPDX-License-Identifier: Apache-2.0
/// See meta_node.h.
#include "tools/minicluster/meta_node.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace cfs::mini {
namespace {

constexpr size_t kReadBytes = 64u << 10;
/// How often an idle accept loop looks whether the node has been stopped.
constexpr int kAcceptPollMs = 100;
constexpr std::chrono::hours kForever{24};

/// The next close() sends RST and drops what was not sent.
void arm_reset(int fd) {
  linger option{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &option, sizeof option);
}

bool send_packet(int fd, const wire::Packet& packet) {
  std::string bytes = wire::encode(packet);
  iovec part{bytes.data(), bytes.size()};
  return send_parts(fd, std::span(&part, 1)) == 0;
}

}  // namespace

MetaNode::MetaNode(std::string ip, uint16_t port, MetaService& service)
    : ip_(std::move(ip)), port_(port), service_(service) {
  address_ = ip_ + ":" + std::to_string(port_);
}

MetaNode::~MetaNode() {
  stop();
}

Result<void> MetaNode::start() {
  if (running_) return {};
  Result<Fd> listener = listen_tcp(ip_, port_);
  if (!listener) return listener.error().in("meta node " + address_);
  listener_ = std::move(listener).value();
  port_ = bound_port(listener_.get());
  address_ = ip_ + ":" + std::to_string(port_);
  running_ = true;
  service_.set_node_state(address_, NodeState::kUp);
  acceptor_ = std::thread([this] { accept_loop(); });
  return {};
}

void MetaNode::stop() {
  if (!running_.exchange(false)) return;
  service_.set_node_state(address_, NodeState::kStopped);
  acceptor_.join();
  listener_.reset();
  {
    std::lock_guard<std::mutex> guard(lock_);
    for (auto& session : sessions_) ::shutdown(session->fd.get(), SHUT_RDWR);
  }
  reap(/*all=*/true);
}

void MetaNode::hang(bool on) {
  if (!running_) return;
  service_.set_node_state(address_, on ? NodeState::kHung : NodeState::kUp);
}

void MetaNode::reset_connections() {
  std::lock_guard<std::mutex> guard(lock_);
  for (auto& session : sessions_) {
    arm_reset(session->fd.get());
    ::shutdown(session->fd.get(), SHUT_RD);  // its thread wakes up and closes
  }
}

void MetaNode::accept_loop() {
  while (running_) {
    pollfd p{listener_.get(), POLLIN, 0};
    if (::poll(&p, 1, kAcceptPollMs) <= 0) continue;
    int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    set_data_options(fd);
    reap(/*all=*/false);
    std::lock_guard<std::mutex> guard(lock_);
    Session& session = *sessions_.emplace_back(std::make_unique<Session>());
    session.fd = Fd(fd);
    session.thread = std::thread([this, &session] { serve(session); });
  }
}

void MetaNode::reap(bool all) {
  std::list<std::unique_ptr<Session>> ended;
  {
    std::lock_guard<std::mutex> guard(lock_);
    for (auto it = sessions_.begin(); it != sessions_.end();) {
      auto next = std::next(it);
      if (all || (*it)->done) ended.splice(ended.end(), sessions_, it);
      it = next;
    }
  }
  for (auto& session : ended) session->thread.join();
}

void MetaNode::serve(Session& session) {
  wire::PacketDecoder decoder;
  std::string buffer(kReadBytes, '\0');
  bool alive = true;
  while (alive) {
    wire::Packet request;
    Result<bool> whole = decoder.next(&request);
    if (!whole) break;
    if (*whole) {
      alive = answer(session, request);
      continue;
    }
    ssize_t n = ::recv(session.fd.get(), buffer.data(), buffer.size(), 0);
    if (n <= 0) break;
    decoder.feed(std::string_view(buffer).substr(0, static_cast<size_t>(n)));
  }
  // Closed here, not when reaped: the peer must see it now. Under the lock, so that nobody shuts
  // down a descriptor that has a new owner.
  std::lock_guard<std::mutex> guard(lock_);
  session.fd.reset();
  session.done = true;
}

/// False when the connection is over.
bool MetaNode::answer(Session& session, const wire::Packet& request) {
  service_.wait_while_hung(address_, kForever);
  if (!running_) return false;
  Served served = service_.handle(address_, request);
  if (served.reset) {
    arm_reset(session.fd.get());
    return false;
  }
  if (!running_) return false;
  return !served.reply || send_packet(session.fd.get(), *served.reply);
}

}  // namespace cfs::mini
