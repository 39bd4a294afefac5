// SPDX-License-Identifier: Apache-2.0
/// Packets of a data node; see data_packet.h.
#include "tools/minicluster/data_packet.h"

#include <algorithm>
#include <array>

namespace cfs::mini {
namespace {

/// Larger payloads than an extent cannot be meant seriously; the real server would allocate them.
constexpr uint32_t kPayloadMax = CFS_EXTENT_SIZE;

int receive_header(SocketReader& reader, cfs_pkt_hdr& header) {
  std::array<uint8_t, CFS_PKT_HDR_MAX> raw{};
  if (const int error = reader.read(raw.data(), CFS_PKT_HDR); error != 0) return error;
  if (raw[CFS_PKT_OFF_MAGIC] != CFS_PKT_MAGIC) return EPROTO;
  const size_t length = cfs_pkt_hdr_len(raw[CFS_PKT_OFF_EXTENT_TYPE]);
  if (length > CFS_PKT_HDR) {
    const int error = reader.read(raw.data() + CFS_PKT_HDR, length - CFS_PKT_HDR);
    if (error != 0) return error;
  }
  return cfs_pkt_decode(raw.data(), length, &header) > 0 ? 0 : EPROTO;
}

int receive_versions(SocketReader& reader, DataPacket& packet) {
  packet.versions.clear();
  if ((packet.header.extent_type & CFS_ET_VERSION_LIST) == 0) return 0;
  packet.versions.resize(2);
  if (const int error = reader.read(packet.versions.data(), 2); error != 0) return error;
  const size_t entries = static_cast<size_t>(packet.versions[0]) << 8 | packet.versions[1];
  packet.versions.resize(2 + entries * CFS_VER_ENTRY);
  return reader.read(packet.versions.data() + 2, entries * CFS_VER_ENTRY);
}

size_t expected_payload(const cfs_pkt_hdr& header) {
  const bool read_like = is_read(header.opcode) || header.opcode == kOpRead;
  return read_like && header.result == CFS_RC_INIT ? 0 : header.size;
}

iovec part(const void* data, size_t size) {
  return {const_cast<void*>(data), size};
}

/// Shortens the gathered parts to `limit` bytes in total.
void cut_parts(std::span<iovec> parts, size_t limit) {
  for (iovec& piece : parts) {
    piece.iov_len = std::min(piece.iov_len, limit);
    limit -= piece.iov_len;
  }
}

}  // namespace

uint8_t* ByteBuffer::reserve(size_t size) {
  if (size > capacity_) {
    bytes_ = std::make_unique_for_overwrite<uint8_t[]>(size);
    capacity_ = size;
  }
  return bytes_.get();
}

int receive_packet(SocketReader& reader, DataPacket& packet) {
  if (const int error = receive_header(reader, packet.header); error != 0) return error;
  if (const int error = receive_versions(reader, packet); error != 0) return error;
  const cfs_pkt_hdr& header = packet.header;
  packet.payload_size = expected_payload(header);
  if (header.arg_len > CFS_ARG_MAX || packet.payload_size > kPayloadMax) return EPROTO;
  packet.arg.resize(header.arg_len);
  if (const int error = reader.read(packet.arg.data(), header.arg_len); error != 0) {
    return error;
  }
  return reader.read(packet.buffer.reserve(packet.payload_size), packet.payload_size);
}

int send_packet(int fd, const cfs_pkt_hdr& header, std::span<const uint8_t> versions,
                std::string_view arg, std::span<const uint8_t> payload, size_t limit) {
  std::array<uint8_t, CFS_PKT_HDR_MAX> raw;
  const size_t length = cfs_pkt_encode(&header, raw.data());
  std::array<iovec, 4> parts{part(raw.data(), length), part(versions.data(), versions.size()),
                             part(arg.data(), arg.size()), part(payload.data(), payload.size())};
  cut_parts(parts, limit);
  return send_parts(fd, parts);
}

void make_ok_reply(cfs_pkt_hdr& header) {
  header.result = CFS_RC_OK;
  header.size = 0;
  header.arg_len = 0;
  header.opcode = reply_opcode(header.opcode);
}

uint8_t reply_opcode(uint8_t opcode) {
  return opcode == kOpRandomWriteVer || opcode == kOpSyncRandomWriteVer ? kRandomWriteVerReply
                                                                        : opcode;
}

bool is_read(uint8_t opcode) {
  return opcode == CFS_DOP_STREAM_READ || opcode == CFS_DOP_STREAM_FOLLOWER_READ;
}

bool is_append(uint8_t opcode) {
  return opcode == CFS_DOP_WRITE || opcode == CFS_DOP_SYNC_WRITE;
}

bool is_random_write(uint8_t opcode) {
  return opcode == CFS_DOP_RANDOM_WRITE || opcode == CFS_DOP_SYNC_RANDOM_WRITE ||
         opcode == kOpRandomWriteVer || opcode == kOpSyncRandomWriteVer;
}

bool is_sync(uint8_t opcode) {
  return opcode == CFS_DOP_SYNC_WRITE || opcode == CFS_DOP_SYNC_RANDOM_WRITE ||
         opcode == kOpSyncRandomWriteVer;
}

std::vector<std::string> parse_followers(const std::string& arg) {
  std::vector<std::string> followers;
  size_t begin = 0;
  for (size_t slash = arg.find('/'); slash != std::string::npos; slash = arg.find('/', begin)) {
    followers.push_back(arg.substr(begin, slash - begin));
    begin = slash + 1;
  }
  return followers;
}

}  // namespace cfs::mini
