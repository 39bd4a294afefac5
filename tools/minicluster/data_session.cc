// SPDX-License-Identifier: Apache-2.0
/// One connection of a data node; see data_session.h.
#include "tools/minicluster/data_session.h"

#include <sys/socket.h>
#include <zlib.h>

#include <algorithm>

namespace cfs::mini {
namespace {

/// Forwarded requests that may wait for followers. Source: CubeFS v3.5.3, datanode/repl/const.go.
constexpr size_t kPendingMax = 2048;
constexpr std::chrono::milliseconds kHangPoll{20};
constexpr uint32_t kWrongCrcBits = 0x5A5A5A5A;

std::span<const uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

/// Successful read replies are built afresh: 57 bytes, no version, no kernel offset.
/// Source: CubeFS v3.5.3, datanode/repl/packet.go (NewStreamReadResponsePacket).
cfs_pkt_hdr read_reply_header(const cfs_pkt_hdr& request, int64_t offset, size_t size,
                              uint32_t crc) {
  cfs_pkt_hdr header{};
  header.extent_type = CFS_ET_NORMAL;
  header.opcode = request.opcode;
  header.result = CFS_RC_OK;
  header.crc = crc;
  header.size = static_cast<uint32_t>(size);
  header.partition_id = request.partition_id;
  header.extent_id = request.extent_id;
  header.extent_offset = offset;
  header.req_id = request.req_id;
  return header;
}

}  // namespace

DataSession::DataSession(Fd fd, DataService& service)
    : service_(service), knobs_(service.knobs()), fd_(std::move(fd)), reader_(fd_.get()) {
  set_data_options(fd_.get());
}

DataSession::~DataSession() {
  stop();
  if (requests_.joinable()) requests_.join();
}

void DataSession::start() {
  requests_ = std::thread([this] { run(); });
}

void DataSession::wake_all() {
  {
    // Taken so that a thread between its check and its wait cannot miss the notification.
    const std::lock_guard lock(ack_mutex_);
  }
  ack_changed_.notify_all();
}

void DataSession::stop() {
  closing_ = true;
  wake_all();
  const std::lock_guard lock(close_mutex_);
  for (const auto& [address, link] : links_) link->shut();
  if (fd_.valid()) ::shutdown(fd_.get(), SHUT_RDWR);
}

void DataSession::reset() {
  closing_ = true;
  stopped_ = true;
  wake_all();
  const std::lock_guard lock(close_mutex_);
  for (const auto& [address, link] : links_) link->shut();
  if (!fd_.valid()) return;
  // Closing with a zero linger time sends RST; shutting down the sending side would send FIN first.
  const linger now{1, 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  ::shutdown(fd_.get(), SHUT_RD);
}

void DataSession::run() {
  DataRequest request;
  while (!closing_ && receive_packet(reader_, request.packet) == 0 && !stopped_) {
    request.tiny = TinyLease();
    serve(request);
    request.tiny = TinyLease();
  }
  end_engine();
  finished_ = true;
}

void DataSession::end_engine() {
  stopped_ = true;
  closing_ = true;
  wake_all();
  for (const auto& [address, link] : links_) link->shut();
  if (acknowledger_.joinable()) acknowledger_.join();
  acks_.clear();
  const std::lock_guard lock(close_mutex_);
  links_.clear();
  fd_.reset();
}

void DataSession::nap(std::chrono::milliseconds time) {
  if (time.count() == 0) return;
  std::unique_lock lock(ack_mutex_);
  const Deadline until = Clock::now() + time;
  while (!closing_ && Clock::now() < until) ack_changed_.wait_until(lock, until);
}

void DataSession::wait_while_hung() {
  while (knobs_.hang && !closing_) nap(kHangPoll);
}

void DataSession::serve(DataRequest& request) {
  wait_while_hung();
  if (closing_) return;
  const uint8_t opcode = request.packet.header.opcode;
  knobs_.requests[opcode].fetch_add(1, std::memory_order_relaxed);
  knobs_.note(false, request.packet.header);
  if (const auto code = knobs_.force_result.take(opcode)) {
    return refuse(request, Refusal{*code, "ActionForced_result set by knob"});
  }
  if (const Verdict bad = service_.prepare(request)) return refuse(request, *bad);
  if (is_read(opcode)) return serve_read(request);
  if (is_forwarded(request.packet.header)) return serve_forwarded(request);
  serve_local(request);
}

void DataSession::serve_read(DataRequest& request) {
  if (const Verdict bad = service_.check_read(request)) return refuse(request, *bad);
  const cfs_pkt_hdr& header = request.packet.header;
  Fault fault = next_fault(header.opcode);
  const auto breaks_after = knobs_.read_error.take(header.opcode);
  int64_t offset = header.extent_offset;
  size_t chunks = 0;
  for (size_t left = header.size; left > 0; ++chunks) {
    if (breaks_after && chunks == *breaks_after) {
      return refuse(request, Refusal{CFS_RC_INTRA_GROUP_NET, "ActionStreamRead_EOF"});
    }
    const size_t size = std::min<size_t>(left, knobs_.read_chunk_bytes);
    if (!send_chunk(request, offset, size, fault)) return;
    if (fault == Fault::kCorrupt) fault = Fault::kNone;
    offset += static_cast<int64_t>(size);
    left -= size;
  }
}

bool DataSession::send_chunk(DataRequest& request, int64_t offset, size_t size, Fault fault) {
  uint8_t* const bytes = read_buffer_.reserve(size);
  if (const Verdict bad = service_.read_chunk(request, offset, bytes, size)) {
    refuse(request, *bad);
    return false;
  }
  const auto crc = static_cast<uint32_t>(crc32_z(0, bytes, size));
  return send({read_reply_header(request.packet.header, offset, size, crc), {}, {}, {bytes, size}},
              fault);
}

void DataSession::serve_local(DataRequest& request) {
  Verdict verdict;
  if (service_.execute(request, verdict) == Executed::kNoAnswer) return stop();
  request.tiny.settle(!verdict);
  if (verdict) return refuse(request, *verdict);
  cfs_pkt_hdr header = request.packet.header;
  make_ok_reply(header);
  header.size = static_cast<uint32_t>(request.body.size());
  const std::string body = std::exchange(request.body, {});
  send({header, request.packet.versions, {}, bytes_of(body)},
       next_fault(request.packet.header.opcode));
}

void DataSession::serve_forwarded(DataRequest& request) {
  PendingAck ack;
  if (const Verdict bad = forward(request, ack)) return refuse(request, *bad);
  if (service_.execute(request, ack.local) == Executed::kNoAnswer) return stop();
  ack.header = request.packet.header;
  ack.versions = request.packet.versions;
  ack.arg = request.packet.arg;
  ack.tiny = std::move(request.tiny);
  if (knobs_.follower_failure.take(ack.header.opcode)) {
    ack.injected = Refusal{CFS_RC_INTRA_GROUP_NET, "follower failure set by knob"};
  }
  push_ack(std::move(ack));
}

Verdict DataSession::forward(const DataRequest& request, PendingAck& ack) {
  for (const std::string& address : parse_followers(request.packet.arg)) {
    const Result<FollowerLink*> link = link_to(address);
    if (!link) {
      return Refusal{CFS_RC_INTRA_GROUP_NET, "ActionSendToFollowers_" + link.error().what};
    }
    ack.links.push_back(link.value());
    ack.send_errors.push_back(link.value()->send(request.packet));
  }
  return std::nullopt;
}

Result<FollowerLink*> DataSession::link_to(const std::string& address) {
  const auto known = links_.find(address);
  if (known != links_.end()) return known->second.get();
  Result<std::unique_ptr<FollowerLink>> made = FollowerLink::dial(address);
  if (!made) return made.error();
  FollowerLink* const link = made.value().get();
  const std::lock_guard lock(close_mutex_);
  links_[address] = std::move(made.value());
  return link;
}

void DataSession::push_ack(PendingAck ack) {
  if (!acknowledger_.joinable()) acknowledger_ = std::thread([this] { acknowledge_loop(); });
  {
    std::unique_lock lock(ack_mutex_);
    ack_changed_.wait(lock, [this] { return acks_.size() < kPendingMax || stopped_ || closing_; });
    acks_.push_back(std::move(ack));
  }
  ack_changed_.notify_all();
}

void DataSession::acknowledge_loop() {
  while (true) {
    PendingAck ack;
    {
      std::unique_lock lock(ack_mutex_);
      ack_changed_.wait(lock, [this] { return !acks_.empty() || stopped_ || closing_; });
      if (stopped_ || closing_) return;
      ack = std::move(acks_.front());
      acks_.pop_front();
    }
    ack_changed_.notify_all();
    acknowledge(ack);
  }
}

Verdict DataSession::await_followers(const PendingAck& ack) {
  Verdict verdict = ack.injected;
  const Deadline deadline = Clock::now() + kFollowerTimeout;
  for (size_t i = 0; i < ack.links.size(); ++i) {
    Verdict bad;
    if (!ack.send_errors[i].empty()) {
      bad = Refusal{CFS_RC_INTRA_GROUP_NET, ack.send_errors[i]};
    } else {
      bad = ack.links[i]->await(ack.header, deadline);
    }
    if (bad) verdict = std::move(bad);
  }
  if (verdict) verdict->text = "ActionReceiveFromFollower_" + verdict->text;
  return verdict;
}

void DataSession::acknowledge(PendingAck& ack) {
  if (ack.local) {
    ack.tiny.settle(false);
    return send_refusal({ack.header, ack.versions, ack.arg, {}}, *ack.local);
  }
  const Verdict verdict = await_followers(ack);
  ack.tiny.settle(!verdict);
  make_ok_reply(ack.header);
  if (verdict) return send_refusal({ack.header, ack.versions, {}, {}}, *verdict);
  send({ack.header, ack.versions, {}, {}}, next_fault(ack.header.opcode));
}

void DataSession::refuse(DataRequest& request, const Refusal& refusal) {
  request.tiny.settle(false);
  const DataPacket& packet = request.packet;
  send_refusal({packet.header, packet.versions, packet.arg, {}}, refusal);
}

void DataSession::send_refusal(Reply reply, const Refusal& refusal) {
  reply.header.result = refusal.code;
  reply.header.size = static_cast<uint32_t>(refusal.text.size());
  reply.payload = bytes_of(refusal.text);
  send(reply, next_fault(reply.header.opcode));
}

DataSession::Fault DataSession::next_fault(uint8_t opcode) {
  if (knobs_.drop_reply.take(opcode)) return Fault::kDrop;
  if (knobs_.close_after.take(opcode)) return Fault::kClose;
  if (knobs_.half_close.take(opcode)) return Fault::kHalfClose;
  if (knobs_.cut_reply.take(opcode)) return Fault::kCut;
  if (knobs_.corrupt_crc.take(opcode)) return Fault::kCorrupt;
  return Fault::kNone;
}

/// Sends one packet unless the engine has stopped. Returns false when nothing more should follow
/// it.
bool DataSession::send(Reply reply, Fault fault) {
  wait_while_hung();
  nap(std::chrono::milliseconds(knobs_.delay_ms));
  const bool error = reply.header.result != CFS_RC_OK;
  int failed = 0;
  {
    const std::lock_guard lock(write_mutex_);
    if (stopped_) return false;
    if (error) stopped_ = true;
    if (fault == Fault::kDrop) return false;
    if (fault == Fault::kHalfClose) {
      ::shutdown(fd_.get(), SHUT_WR);
      return false;
    }
    if (fault == Fault::kCorrupt) reply.header.crc ^= kWrongCrcBits;
    const size_t whole = cfs_pkt_hdr_len(reply.header.extent_type) + reply.payload.size();
    const size_t limit = fault == Fault::kCut ? whole / 2 : SIZE_MAX;
    if (fault != Fault::kClose) {
      knobs_.note(true, reply.header);
      failed =
          send_packet(fd_.get(), reply.header, reply.versions, reply.arg, reply.payload, limit);
    }
  }
  if (error) wake_all();
  if (failed == 0 && fault != Fault::kClose && fault != Fault::kCut) return true;
  stop();
  return false;
}

}  // namespace cfs::mini
