// SPDX-License-Identifier: Apache-2.0
/// Requests to data nodes; see data_conn.h.
#include "daemon/data/data_conn.h"

#include <atomic>

namespace cfs {

namespace {

constexpr Millis kConnectTimeout{1000};
constexpr std::int64_t kReplyTimeoutMs =
    8000;  // the primary gives up on a follower after 5 s: let its verdict come first
constexpr std::int64_t kIdleMs = 30000;
constexpr std::size_t kIdleMax = 16;

std::atomic<std::uint64_t> traffic{0};

}  // namespace

std::uint64_t data_traffic_bytes() {
  return traffic.load(std::memory_order_relaxed);
}

Task<Result<Fd>> DataConnPool::take(std::string address) {
  auto& idle = idle_[address];
  while (!idle.empty()) {
    Idle last = std::move(idle.back());
    idle.pop_back();
    char byte = 0;
    const bool quiet =
        ::recv(last.fd.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
    if (quiet && Loop::now_ms() - last.since_ms < kIdleMs) co_return std::move(last.fd);
  }
  const auto endpoint = parse_endpoint(address);
  if (!endpoint) co_return endpoint.error();
  Result<Fd> fd = co_await dial(loop_, *endpoint, Millis(kReplyTimeoutMs),
                                Loop::now_ms() + kConnectTimeout.count());
  if (!fd.ok()) co_return fd.error().in(address);
  co_return fd;
}

void DataConnPool::put(const std::string& address, Fd fd) {
  auto& idle = idle_[address];
  if (idle.size() < kIdleMax) idle.push_back({std::move(fd), Loop::now_ms()});
}

Task<Result<void>> DataConnPool::send(int fd, const wire::Packet& head, std::string_view payload,
                                      std::int64_t deadline_ms) {
  const std::string bytes = wire::encode_head(head);
  auto sent = co_await send_all(loop_, fd, bytes.data(), bytes.size(), deadline_ms);
  if (!sent || payload.empty()) co_return sent;
  co_return co_await send_all(loop_, fd, payload.data(), payload.size(), deadline_ms);
}

/// Header, version list and Arg of a reply; data not yet.
Task<Result<wire::Packet>> DataConnPool::receive_head(int fd, std::int64_t deadline_ms) {
  wire::PacketLimits limits;
  limits.data_bytes = CFS_READ_CHUNK_MAX;
  std::string bytes(CFS_PKT_HDR, '\0');
  std::size_t have = 0;
  for (;;) {
    const auto got =
        co_await recv_all(loop_, fd, bytes.data() + have, bytes.size() - have, deadline_ms);
    if (!got) co_return got.error();
    have = bytes.size();
    const auto need = wire::head_length(bytes, limits);
    if (!need) co_return need.error();
    // 0: the header is longer than what is here, or a version list tells its length in 2 bytes
    std::size_t want = *need;
    if (want == 0) {
      const auto type = static_cast<std::uint8_t>(bytes[CFS_PKT_OFF_EXTENT_TYPE]);
      const std::size_t header = cfs_pkt_hdr_len(type);
      want = have < header ? header : header + 2;
    }
    if (want == have) break;
    bytes.resize(want);
  }
  wire::Packet reply;
  const auto size = wire::decode_head(bytes, &reply, limits);
  if (!size) co_return size.error();
  co_return reply;
}

Task<Result<wire::Packet>> DataConnPool::call(std::string address, wire::Packet head,
                                              std::string_view payload) {
  auto fd = co_await take(address);
  if (!fd) co_return fd.error();
  const std::int64_t deadline = Loop::now_ms() + kReplyTimeoutMs;
  const auto sent = co_await send(fd->get(), head, payload, deadline);
  if (!sent) co_return sent.error().in(address);
  traffic += payload.size();
  auto reply = co_await receive_head(fd->get(), deadline);
  if (!reply) co_return reply.error().in(address);
  reply->data.resize(reply->h.size);
  const auto body =
      co_await recv_all(loop_, fd->get(), reply->data.data(), reply->data.size(), deadline);
  if (!body) co_return body.error().in(address);
  if (reply->h.req_id != head.h.req_id)
    co_return make_error(EPROTO, address + ": reply to another request");
  if (reply->ok()) {
    if (reply->h.crc != head.h.crc)
      co_return make_error(EPROTO, address + ": reply with another CRC");
    put(address, std::move(*fd));
  }
  co_return std::move(*reply);
}

Task<Result<std::uint8_t>> DataConnPool::receive_chunks(int fd, const cfs_pkt_hdr& request,
                                                        char* out) {
  std::uint32_t done = 0;
  while (done < request.size) {
    const std::int64_t deadline = Loop::now_ms() + kReplyTimeoutMs;
    const auto chunk = co_await receive_head(fd, deadline);
    if (!chunk) co_return chunk.error();
    if (chunk->h.req_id != request.req_id) co_return make_error(EPROTO, "reply to another read");
    if (!chunk->ok()) co_return chunk->h.result;
    if (chunk->h.size == 0 || chunk->h.size > request.size - done)
      co_return make_error(EPROTO, "read reply of wrong length");
    const auto got = co_await recv_all(loop_, fd, out + done, chunk->h.size, deadline);
    if (!got) co_return got.error();
    if (wire::crc32_ieee({out + done, chunk->h.size}) != chunk->h.crc)
      co_return make_error(EBADMSG, "read reply with wrong CRC");
    traffic += chunk->h.size;
    done += chunk->h.size;
  }
  co_return std::uint8_t{CFS_RC_OK};
}

Task<Result<std::uint8_t>> DataConnPool::read(std::string address, wire::Packet head, char* out) {
  auto fd = co_await take(address);
  if (!fd) co_return fd.error();
  const auto sent = co_await send(fd->get(), head, {}, Loop::now_ms() + kReplyTimeoutMs);
  if (!sent) co_return sent.error().in(address);
  const auto result = co_await receive_chunks(fd->get(), head.h, out);
  if (!result) co_return result.error().in(address);
  if (*result == CFS_RC_OK) put(address, std::move(*fd));
  co_return *result;
}

}  // namespace cfs
