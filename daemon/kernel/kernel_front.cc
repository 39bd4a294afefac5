// SPDX-License-Identifier: Apache-2.0
/// Sessions and dispatch; see kernel_front.h.
#include "daemon/kernel/kernel_front.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>

#include "daemon/base/probes.h"

namespace cfs {

const char* op_name(std::uint16_t op) {
  static constexpr const char* kNames[] = {
      "none",     "mount",    "unmount",  "statfs",    "lookup",      "getattr",
      "setattr",  "readdir",  "create",   "unlink",    "rename",      "link",
      "readlink", "getxattr", "setxattr", "listxattr", "removexattr", "extents",
      "commit",   "truncate", "evict",    "event",     "tmpfile",
  };
  return op < std::size(kNames) ? kNames[op] : "unknown";
}

KernelFront::KernelFront(Loop& loop, VolumePool& pool, ConnectionCounts counts)
    : KernelFront(loop, pool, counts, channel_) {}

KernelFront::KernelFront(Loop& loop, VolumePool& pool, ConnectionCounts counts, KernelPort& port)
    : loop_(loop),
      pool_(pool),
      channel_(loop),
      port_(port),
      nodes_(port),
      connector_(
          port, counts, [this](Millis delay) { loop_.spawn(dial_later(delay)); },
          std::random_device{}()) {}

// ---------------------------------------------------------------- start and stop

Result<void> KernelFront::attach() {
  if (channel_.attached()) return {};
  Result<void> opened = channel_.open();
  if (!opened) return opened;
  const auto left = channel_.sessions();
  if (!left) return left.error();
  spdlog::info("attached to the kernel module, ABI {}.{}, {} mounts", channel_.abi() >> 16,
               channel_.abi() & 0xFFFF, left->size());
  unsettled_ = left->size() + 1;
  for (const SessionInfo& info : *left) adopt_session(info);
  channel_.start(*this);
  loop_.spawn(audit());
  watch_links();
  settle_one();
  return {};
}

void KernelFront::settle_one() {
  if (unsettled_ > 0 && --unsettled_ == 0 && on_settled) on_settled();
}

Task<void> KernelFront::stop(Millis grace) {
  stopping_ = true;
  links_.reset();
  probes_.clear();
  co_await channel_.stop(grace);
  // not awaited: a volume's calls may wait for a dead server until the loop stops
  for (const auto& [id, session] : std::exchange(sessions_, {}))
    loop_.spawn(close_session(session));
}

Task<void> KernelFront::close_session(std::shared_ptr<Session> session) {
  co_await session->close();
}

/// The kernel may drop a mount whose daemon-side session was just being made; such a session would
/// stay for ever.
Task<void> KernelFront::audit() {
  while (!stopping_) {
    const int slept = co_await loop_.sleep(kAuditPeriod);
    if (slept < 0 || stopping_) co_return;
    const auto known = port_.sessions();
    if (!known) continue;  // asked again in a minute
    std::vector<std::uint32_t> gone;
    for (const auto& [id, session] : sessions_) {
      const bool alive = std::any_of(known->begin(), known->end(),
                                     [id = id](const SessionInfo& s) { return s.session == id; });
      if (!alive && session->is_ready()) gone.push_back(id);
    }
    for (const std::uint32_t id : gone) {
      spdlog::info("session {}: the kernel has dropped it", id);
      co_await drop(id);
    }
  }
}

Task<void> KernelFront::dial_later(Millis delay) {
  const int slept = co_await loop_.sleep(delay);
  if (slept == 0 && !stopping_) connector_.run_due(Loop::now_ms());
}

void KernelFront::watch_links() {
  Result<Fd> socket = LinkWatch::open();
  if (!socket) {
    spdlog::info("changes of the network are not seen: {}", socket.error().text());
    return;
  }
  links_.emplace(loop_, std::move(socket).value(), [this] {
    changed_ms_ = Loop::now_ms();
    connector_.network_changed(changed_ms_);
  });
}

/// Is it the node or the way to it?
void KernelFront::silence(std::uint32_t node) {
  const std::int64_t now = Loop::now_ms();
  if (now - changed_ms_ < kSettleMs) return connector_.path_back(node, now);
  const Result<Endpoint> peer = parse_endpoint(nodes_.address(node));
  if (!peer || stopping_) return;
  auto back = [this, node](std::int64_t since_ms) {
    const std::int64_t now = Loop::now_ms();
    spdlog::info("{}: can be reached again after {} ms", nodes_.address(node), now - since_ms);
    connector_.path_back(node, now);
  };
  auto lost = [this, node](std::int64_t since_ms) {
    spdlog::info("{}: no answer for {} ms, others are asked", nodes_.address(node),
                 Loop::now_ms() - since_ms);
    connector_.path_lost(node);
  };
  auto [it, fresh] = probes_.try_emplace(node, loop_, *peer,
                                         PathProbe::Callbacks{std::move(back), std::move(lost)});
  it->second.suspect();
  if (it->second.lost()) connector_.path_lost(node);
  if (compared_.insert(node).second) loop_.spawn(compare(node));
}

/// Is it the node or our own network? While that is away nobody answers. As long as its probe searches,
/// the first time so that the answer is there just when the node is lost.
Task<void> KernelFront::compare(std::uint32_t node) {
  constexpr Millis kFirst(PathProbe::kLostMs - PathProbe::kBrokenMs + 50);
  bool answered = false;
  // after an answer the network may just have come back: the node gets time for one as well
  for (Millis pause = kFirst; co_await loop_.sleep(pause) >= 0 && !stopping_;
       pause = Millis(PathProbe::kBrokenMs)) {
    const auto probe = probes_.find(node);
    if (probe == probes_.end() || !probe->second.searching()) break;
    if (answered && probe->second.lost()) connector_.host_lost(node);
    answered = co_await another_answers(node);
  }
  compared_.erase(node);
}

/// One of the other nodes, by chance: some may be lost as well, or be on the same host.
Task<bool> KernelFront::another_answers(std::uint32_t node) {
  const std::vector<std::string> others = nodes_.others(node);
  if (others.empty()) co_return false;
  const std::size_t chosen = std::random_device{}() % others.size();
  const Result<Endpoint> peer = parse_endpoint(others[chosen]);
  if (!peer) co_return false;
  const std::int64_t deadline = Loop::now_ms() + PathProbe::kDialTimeout.count();
  const Result<Fd> answer = co_await dial(loop_, *peer, PathProbe::kDialTimeout, deadline);
  co_return answer.ok() || answer.code() == ECONNREFUSED;
}

// ---------------------------------------------------------------- sessions

bool KernelFront::current(const std::shared_ptr<Session>& session) const {
  const auto found = sessions_.find(session->id());
  return found != sessions_.end() && found->second == session;
}

void KernelFront::add(std::shared_ptr<Session> session) {
  session->fill_cache(filler_);
  sessions_[session->id()] = std::move(session);
  if (on_sessions_change) on_sessions_change();
}

Task<void> KernelFront::drop(std::uint32_t id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) co_return;
  const std::shared_ptr<Session> session = found->second;
  sessions_.erase(found);
  if (on_sessions_change) on_sessions_change();
  co_await session->close();
}

void KernelFront::adopt_session(const SessionInfo& info) {
  auto session = std::make_shared<Session>(loop_, port_, nodes_, info.session, info.config);
  add(session);
  loop_.spawn(reopen(session));
}

/// Open the session's volume, publish it, let its requests through.
Task<Result<void>> KernelFront::open_volume(std::shared_ptr<Session> session) {
  const auto volume = co_await pool_.take_or_open(session->config());
  if (!volume) co_return volume.error();
  Result<void> adopted = make_error(ESHUTDOWN, "unmounted meanwhile");
  if (current(session)) adopted = session->adopt(*volume);
  if (!adopted) co_await (*volume)->close();
  co_return adopted;
}

Task<void> KernelFront::reopen(std::shared_ptr<Session> session) {
  Millis pause = kReopenMin;
  bool first = true;
  while (current(session) && !stopping_) {
    const Result<void> opened = co_await open_volume(session);
    if (std::exchange(first, false)) settle_one();
    if (opened) {
      spdlog::info("session {}: its volume is open again", session->id());
      co_return;
    }
    if (!current(session)) co_return;
    const Error& why = opened.error();
    if (session->trouble != why.what) spdlog::error("session {}: {}", session->id(), why.text());
    session->trouble = why.what;
    const int slept = co_await loop_.sleep(pause);
    if (slept < 0) co_return;
    pause = std::min(pause * 2, kReopenMax);
  }
  if (first) settle_one();
}

Task<Reply> KernelFront::mount(const Request& request) {
  const std::uint32_t id = request.head.session;
  const std::string config(request.data.empty() ? request.name : request.data);
  co_await drop(id);  // adopted from a former daemon that died in the middle of this mount
  auto session = std::make_shared<Session>(loop_, port_, nodes_, id, config);
  add(session);
  const Result<void> opened = co_await open_volume(session);
  if (!opened) {
    spdlog::warn("mount: {}", opened.error().text());
    if (current(session)) co_await drop(id);
    co_return Reply::error(opened.code());
  }
  spdlog::info("session {}: volume {} is mounted", id, session->volume()->config().volume);
  co_return session->mount_answer();
}

Task<Reply> KernelFront::unmount(const Request& request) {
  spdlog::info("session {}: unmounted", request.head.session);
  co_await drop(request.head.session);
  co_return Reply{};
}

// ---------------------------------------------------------------- requests

bool KernelFront::connection_event(const cfs_req& head) {
  if (head.op != CFS_OP_EVENT) return false;
  const auto& event = head.event;
  const std::int64_t now = Loop::now_ms();
  switch (event.kind) {
    case CFS_EV_NEED_CONN:
      connector_.need(event.node, event.conn_class, now);
      return true;
    case CFS_EV_CONN_UP:
      spdlog::debug("{}: connected, class {} slot {}", nodes_.address(event.node), event.conn_class,
                    event.conn_slot);
      connector_.up(event.node, event.conn_class, event.conn_slot, now);
      return true;
    case CFS_EV_CONN_DOWN:
      spdlog::info("{}: connection lost or refused, class {} slot {}: error {}",
                   nodes_.address(event.node), event.conn_class, event.conn_slot, event.error);
      connector_.down(event.node, event.conn_class, event.conn_slot, now);
      return true;
    case CFS_EV_CONN_SILENT:
      connector_.silent(event.node, event.conn_class, event.conn_slot);
      silence(event.node);
      return true;
    default:
      return false;
  }
}

Task<Reply> KernelFront::handle(Request request) {
  const std::uint64_t id = request.head.id;
  in_flight_[id] = InFlight{.id = id,
                            .session = request.head.session,
                            .op = op_name(request.head.op),
                            .ino = request.head.ino,
                            .resumed = request.resumed(),
                            .waits_for_volume = false,
                            .since_ms = Loop::now_ms()};
  probe::request_start(id, request.head.op, request.head.ino);
  Reply reply = co_await dispatch(request).on_behalf_of(id);
  in_flight_.erase(id);
  probe::request_done(id, reply.res);
  co_return reply;
}

Task<Reply> KernelFront::dispatch(const Request& request) {
  if (connection_event(request.head)) co_return Reply{};
  if (request.head.op == CFS_OP_MOUNT) co_return co_await mount(request);
  if (request.head.op == CFS_OP_UNMOUNT) co_return co_await unmount(request);
  const std::shared_ptr<Session> target = session(request.head.session);
  if (!target) {
    if (unknown_session_.allow()) {
      spdlog::warn("{} for unknown session {}", op_name(request.head.op), request.head.session);
    }
    co_return Reply::error(ESTALE);
  }
  co_return co_await target->handle(request);
}

std::vector<std::shared_ptr<Session>> KernelFront::sessions() const {
  std::vector<std::shared_ptr<Session>> out;
  for (const auto& [id, session] : sessions_) out.push_back(session);
  return out;
}

std::shared_ptr<Session> KernelFront::session(std::uint32_t id) const {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : found->second;
}

std::vector<InFlight> KernelFront::in_flight() const {
  std::vector<InFlight> out;
  for (const auto& [id, request] : in_flight_) {
    out.push_back(request);
    const std::shared_ptr<Session> owner = session(request.session);
    out.back().waits_for_volume = owner && !owner->is_ready();
  }
  return out;
}

}  // namespace cfs
