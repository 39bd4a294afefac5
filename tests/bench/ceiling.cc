// SPDX-License-Identifier: Apache-2.0
/// Raw packets to data nodes; see ceiling.h.
#include "tests/bench/ceiling.h"

#include <atomic>
#include <future>
#include <semaphore>
#include <thread>

#include "daemon/base/net.h"
#include "daemon/wire/packet.h"

namespace cfs::bench {
namespace {

constexpr std::size_t kPacket = 1u << 20;
constexpr std::size_t kExtentMib = 128;
constexpr int kWindow = 16;  // packets on the wire, as the kernel client has
constexpr int kReaders = 2;

Error last_error(const std::string& what) {
  return make_error(errno, what);
}

Result<Fd> dial(const std::string& address) {
  const auto to = parse_endpoint(address);
  if (!to) return to.error();
  auto fd = tcp_socket(to->addr.ss_family, Millis(10000));
  if (!fd) return fd.error();
  if (::connect(fd->get(), reinterpret_cast<const sockaddr*>(&to->addr), to->len) < 0)
    return last_error(address);
  return std::move(*fd);
}

Result<void> send_bytes(int fd, std::string_view bytes, int flags = 0) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | flags);
    if (n < 0) return last_error("send");
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> receive_bytes(int fd, char* out, std::size_t len) {
  while (len > 0) {
    const ssize_t n = ::recv(fd, out, len, MSG_WAITALL);
    if (n < 0) return last_error("receive");
    if (n == 0) return make_error(ECONNRESET, "receive");
    out += n;
    len -= static_cast<std::size_t>(n);
  }
  return {};
}

Result<wire::Packet> receive_head(int fd) {
  wire::PacketLimits limits;
  limits.data_bytes = CFS_READ_CHUNK_MAX;
  std::string bytes(CFS_PKT_HDR, '\0');
  std::size_t have = 0;
  for (;;) {
    const auto got = receive_bytes(fd, bytes.data() + have, bytes.size() - have);
    if (!got) return got.error();
    have = bytes.size();
    const auto need = wire::head_length(bytes, limits);
    if (!need) return need.error();
    const std::size_t header =
        cfs_pkt_hdr_len(static_cast<std::uint8_t>(bytes[CFS_PKT_OFF_EXTENT_TYPE]));
    const std::size_t want = *need != 0 ? *need : have < header ? header : header + 2;
    if (want == have) break;
    bytes.resize(want);
  }
  wire::Packet p;
  const auto size = wire::decode_head(bytes, &p, limits);
  if (!size) return size.error();
  return p;
}

wire::Packet request(std::uint8_t op, const DataPartition& dp, std::uint64_t extent) {
  static std::atomic<std::int64_t> next{(static_cast<std::int64_t>(::getpid()) << 32) + 1};
  wire::Packet p;
  p.h.extent_type = CFS_ET_NORMAL | CFS_ET_PROTO_VERSION;
  p.h.proto_version = CFS_PROTO_VERSION;
  p.h.opcode = op;
  p.h.partition_id = dp.id;
  p.h.extent_id = extent;
  p.h.req_id = next++;
  return p;
}

void to_all(wire::Packet& p, const DataPartition& dp) {
  for (std::size_t i = 1; i < dp.hosts.size(); ++i) p.arg += dp.hosts[i] + "/";
  if (p.arg.empty()) p.arg = "/";
  p.h.arg_len = static_cast<std::uint32_t>(p.arg.size());
  p.h.followers =
      dp.hosts.size() > 1 ? static_cast<std::uint8_t>(dp.hosts.size() - 1) : CFS_FOLLOWERS_SINGLE;
}

Result<wire::Packet> receive_ok(int fd) {
  auto reply = receive_head(fd);
  if (!reply) return reply.error();
  reply->data.resize(reply->h.size);
  const auto body = receive_bytes(fd, reply->data.data(), reply->data.size());
  if (!body) return body.error();
  if (!reply->ok()) return wire::result_error(*reply, wire::Peer::kData);
  return std::move(*reply);
}

Result<std::uint64_t> create_extent(int fd, const DataPartition& dp) {
  std::string payload(8, '\0');
  cfs_put64(1, payload.data());
  wire::Packet p = request(CFS_DOP_CREATE_EXTENT, dp, 0);
  to_all(p, dp);
  p.h.size = 8;
  const auto sent = send_bytes(fd, wire::encode_head(p) + payload);
  if (!sent) return sent.error();
  const auto reply = receive_ok(fd);
  if (!reply) return reply.error();
  return reply->h.extent_id;
}

/// Appends are sent by one thread while this one takes the answers.
Result<void> append(int fd, const DataPartition& dp, std::uint64_t extent, std::size_t mib,
                    const std::string& buffer) {
  std::counting_semaphore<kWindow> window(kWindow);
  std::atomic<bool> dead{false};
  auto sender = std::async(std::launch::async, [&]() -> Result<void> {
    for (std::size_t i = 0; i < mib; ++i) {
      window.acquire();
      if (dead) break;
      wire::Packet p = request(CFS_DOP_WRITE, dp, extent);
      to_all(p, dp);
      p.h.extent_offset = static_cast<std::int64_t>(i * kPacket);
      p.h.size = kPacket;
      p.h.crc = wire::crc32_ieee(buffer);
      auto sent = send_bytes(fd, wire::encode_head(p), MSG_MORE);
      if (sent) sent = send_bytes(fd, buffer);
      if (!sent) return sent.error();
    }
    return {};
  });
  Result<void> outcome;
  for (std::size_t i = 0; i < mib && outcome; ++i) {
    const auto reply = receive_ok(fd);
    if (!reply) outcome = reply.error();
    window.release();
  }
  if (!outcome) {
    dead = true;
    ::shutdown(fd, SHUT_RDWR);
    window.release();
  }
  const auto sent = sender.get();
  return outcome ? sent : outcome;
}

Result<void> receive_read(int fd, char* out) {
  for (std::size_t done = 0; done < kPacket;) {
    const auto chunk = receive_head(fd);
    if (!chunk) return chunk.error();
    if (!chunk->ok()) return make_error(EIO, wire::result_name(chunk->h.result));
    if (chunk->h.size == 0 || chunk->h.size > kPacket - done)
      return make_error(EPROTO, "read reply of wrong length");
    const auto got = receive_bytes(fd, out + done, chunk->h.size);
    if (!got) return got.error();
    if (wire::crc32_ieee({out + done, chunk->h.size}) != chunk->h.crc)
      return make_error(EBADMSG, "read reply with wrong CRC");
    done += chunk->h.size;
  }
  return {};
}

/// Reads packets first, first + step, ...; a few requests are always on the wire.
Result<void> read_some(const DataPartition& dp, std::uint64_t extent, std::size_t mib,
                       std::size_t first, std::size_t step) {
  const auto fd = dial(dp.hosts[dp.leader > 0 ? static_cast<std::size_t>(dp.leader) : 0]);
  if (!fd) return fd.error();
  std::string buffer(kPacket, '\0');
  std::size_t asked = first;
  for (std::size_t taken = first; taken < mib; taken += step) {
    for (; asked < mib && asked < taken + step * (kWindow / kReaders); asked += step) {
      wire::Packet p = request(CFS_DOP_STREAM_READ, dp, extent);
      p.h.extent_offset = static_cast<std::int64_t>(asked * kPacket);
      p.h.size = kPacket;
      const auto sent = send_bytes(fd->get(), wire::encode_head(p));
      if (!sent) return sent.error();
    }
    const auto got = receive_read(fd->get(), buffer.data());
    if (!got) return got.error();
  }
  return {};
}

Task<void> learn(Loop& loop, MountConfig config,
                 std::promise<Result<std::vector<DataPartition>>>* out) {
  auto volume = co_await Volume::open(loop, std::move(config));
  if (!volume) {
    out->set_value(volume.error());
    co_return;
  }
  std::vector<DataPartition> found;
  const std::vector<std::uint64_t> ids = (*volume)->writable((*volume)->storage_class());
  for (const std::uint64_t id : ids) {
    auto dp = co_await (*volume)->partition(id);
    if (dp) found.push_back(std::move(*dp));
  }
  co_await (*volume)->close();
  out->set_value(std::move(found));
}

}  // namespace

Result<Ceiling> Ceiling::open(const MountConfig& config) {
  auto loop = Loop::create(256);
  if (!loop) return loop.error();
  std::promise<Result<std::vector<DataPartition>>> promise;
  auto future = promise.get_future();
  Loop& l = **loop;
  std::thread runner([&l] { l.run(); });
  l.post([&l, config, &promise] { l.spawn(learn(l, config, &promise)); });
  auto found = future.get();
  l.stop();
  runner.join();
  if (!found) return found.error();
  if (found->empty()) return make_error(ENOSPC, "no writable data partition");
  return Ceiling(std::move(*found));
}

Result<void> Ceiling::write(std::size_t mib) {
  parts_.clear();
  for (std::size_t done = 0; done < mib;) {
    Part part;
    part.partition = writable_[parts_.size() % writable_.size()];
    part.mib = std::min(kExtentMib, mib - done);
    const auto fd = dial(part.partition.hosts[0]);
    if (!fd) return fd.error();
    const auto extent = create_extent(fd->get(), part.partition);
    if (!extent) return extent.error();
    part.extent_id = *extent;
    const auto sent = append(fd->get(), part.partition, part.extent_id, part.mib, buffer_);
    if (!sent) return sent.error();
    done += part.mib;
    parts_.push_back(std::move(part));
  }
  return {};
}

Result<void> Ceiling::read() {
  for (const Part& part : parts_) {
    std::vector<std::future<Result<void>>> readers;
    for (std::size_t i = 0; i < kReaders; ++i) {
      readers.push_back(std::async(std::launch::async, [&part, i] {
        return read_some(part.partition, part.extent_id, part.mib, i, kReaders);
      }));
    }
    Result<void> outcome;
    for (auto& r : readers) {
      const auto got = r.get();
      if (!got) outcome = got;
    }
    if (!outcome) return outcome;
  }
  return {};
}

Result<void> tcp_stream(const std::string& address, std::size_t mib) {
  const auto fd = dial(address);
  if (!fd) return fd.error();
  const std::string buffer(kPacket, 't');
  for (std::size_t i = 0; i < mib; ++i) {
    const auto sent = send_bytes(fd->get(), buffer);
    if (!sent) return sent;
  }
  ::shutdown(fd->get(), SHUT_WR);
  char byte = 0;
  return receive_bytes(fd->get(), &byte, 1);
}

Result<void> tcp_sink(const std::string& address) {
  const auto at = parse_endpoint(address);
  if (!at) return at.error();
  const auto listener = tcp_socket(at->addr.ss_family, Millis(10000));
  if (!listener) return listener.error();
  const int on = 1;
  ::setsockopt(listener->get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (::bind(listener->get(), reinterpret_cast<const sockaddr*>(&at->addr), at->len) < 0 ||
      ::listen(listener->get(), 4) < 0)
    return last_error(address);
  std::string buffer(kPacket, '\0');
  for (;;) {
    const Fd peer(::accept(listener->get(), nullptr, nullptr));
    if (!peer) return last_error("accept");
    while (::recv(peer.get(), buffer.data(), buffer.size(), 0) > 0) {
    }
    (void)send_bytes(peer.get(), "e");
  }
}

}  // namespace cfs::bench
