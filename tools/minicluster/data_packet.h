// SPDX-License-Identifier: Apache-2.0
/// One packet as a data node sees it: header, version list, Arg, payload.
///
/// Purpose   Reads requests from a socket and writes replies to one, with the header rules of the
///           real server. Uses only the shared header layout, none of the client's wire code: two
///           mistakes that agree would prove nothing.
/// Lifetime  A DataPacket keeps its payload buffer between packets; one belongs to one thread.
/// Failure   receive_packet() returns an errno; anything but 0 ends the connection.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cubefs/cfs_wire.h"
#include "tools/minicluster/data_socket.h"

namespace cfs::mini {

/// Opcodes that only old or snapshot clusters use; answered with kRandomWriteVerReply.
/// Source: CubeFS v3.5.3, proto/packet.go.
inline constexpr uint8_t kOpRandomWriteVer = 0xB3;
inline constexpr uint8_t kOpSyncRandomWriteVer = 0xB4;
inline constexpr uint8_t kRandomWriteVerReply = 0xB5;
/// Never served by data nodes, but its requests carry no payload either.
inline constexpr uint8_t kOpRead = 0x04;

/// A request the node will not serve: result code and the text behind "<Action>_".
struct Refusal {
  uint8_t code = CFS_RC_INTRA_GROUP_NET;
  std::string text;
};
/// Nothing means done.
using Verdict = std::optional<Refusal>;

/// A byte buffer that grows without clearing and never shrinks.
class ByteBuffer {
 public:
  /// Space for `size` bytes; earlier contents are lost when it has to grow.
  uint8_t* reserve(size_t size);
  [[nodiscard]] const uint8_t* data() const { return bytes_.get(); }

 private:
  std::unique_ptr<uint8_t[]> bytes_;
  size_t capacity_ = 0;
};

struct DataPacket {
  cfs_pkt_hdr header{};
  std::vector<uint8_t> versions;  ///< version list as received, with its count; empty without 0x40
  std::string arg;
  ByteBuffer buffer;
  size_t payload_size = 0;  ///< bytes that arrived; 0 for read requests whatever header.size says

  [[nodiscard]] std::span<const uint8_t> payload() const { return {buffer.data(), payload_size}; }
};

/// Reads one packet. Read opcodes carry no payload, but only when ResultCode is 0: with any other
/// value the server waits for `size` bytes, as the real one does. Returns 0, kEndOfStream, EPROTO
/// (magic or lengths) or the socket's errno. Source: CubeFS v3.5.3, proto/packet.go
/// (ReadFromConnWithVer).
int receive_packet(SocketReader& reader, DataPacket& packet);

/// Sends header, version list, Arg and payload with one gathered write; `limit` cuts the byte
/// stream off after that many bytes (fault injection). The header's arg_len and size must match.
int send_packet(int fd, const cfs_pkt_hdr& header, std::span<const uint8_t> versions,
                std::string_view arg, std::span<const uint8_t> payload, size_t limit = SIZE_MAX);

/// Turns a request header into the header of a successful bodiless reply.
/// Source: CubeFS v3.5.3, proto/packet.go (PacketOkReply).
void make_ok_reply(cfs_pkt_hdr& header);

/// Opcode in replies: the versioned random writes come back under a third number.
uint8_t reply_opcode(uint8_t opcode);

bool is_read(uint8_t opcode);
bool is_append(uint8_t opcode);
bool is_random_write(uint8_t opcode);
/// Opcodes that ask for the data to be on the disk before the reply.
bool is_sync(uint8_t opcode);

/// RemainingFollowers says that the receiver is the primary: it assigns extent ids and tiny slots.
inline bool is_for_primary(const cfs_pkt_hdr& header) {
  return header.followers > 0;
}
/// ... and that it has to forward: 127 marks a partition with one replica.
inline bool is_forwarded(const cfs_pkt_hdr& header) {
  return header.followers > 0 && header.followers != CFS_FOLLOWERS_SINGLE;
}
inline bool is_tiny(const cfs_pkt_hdr& header) {
  return (header.extent_type & CFS_ET_NORMAL) == 0;
}

/// Addresses in Arg: each ends with '/'. Source: CubeFS v3.5.3, datanode/repl/packet.go.
std::vector<std::string> parse_followers(const std::string& arg);

}  // namespace cfs::mini
