// SPDX-License-Identifier: Apache-2.0
/// Whole packets: header, version list, Arg, data.
///
/// Purpose  Turns packets into bytes and bytes into packets, for clients and for the mini
///          cluster's servers. No I/O. The header itself is coded by include/cubefs/cfs_wire.h.
/// Threads  Free functions are pure; a PacketDecoder belongs to one connection.
/// Failure  EPROTO for bytes that are no packet, EMSGSIZE for lengths above the limits: the
///          connection is lost in both cases, since the next packet's start is unknown.
/// Source   CubeFS v3.5.3, proto/packet.go, datanode/repl/packet.go.
#pragma once

#include <sys/stat.h>

#include "cubefs/cfs_errno.h"
#include "cubefs/cfs_wire.h"
#include "daemon/wire/json.h"

namespace cfs::wire {

struct Packet {
  cfs_pkt_hdr h{};
  std::string versions{};  ///< entries of CFS_VER_ENTRY bytes, sent when CFS_ET_VERSION_LIST is set
  std::string arg{};
  std::string data{};

  [[nodiscard]] bool ok() const { return h.result == CFS_RC_OK; }
};

/// Largest packet accepted.
struct PacketLimits {
  uint32_t arg_bytes = CFS_ARG_MAX;
  uint32_t data_bytes = CFS_META_BODY_MAX;
  uint32_t versions = 1024;
};

/// True when `size` is a wish, not a length: a read request carries no data.
[[nodiscard]] bool is_read_request(const cfs_pkt_hdr& h);

/// Bytes of the packet. arg_len and size are taken from the strings, except a read request's size.
[[nodiscard]] std::string encode(const Packet& p);

/// The part before the data: header, version list and Arg. For a sender that has the data
/// elsewhere; `p.h.size` must already be its length.
[[nodiscard]] std::string encode_head(const Packet& p);

/// Length of the part before the data. 0: more bytes are needed to tell.
[[nodiscard]] Result<size_t> head_length(std::string_view bytes, const PacketLimits& limits = {});

/// Fills header, versions and Arg from `bytes`, which hold at least head_length() bytes.
/// Returns the bytes of data that follow.
Result<size_t> decode_head(std::string_view bytes, Packet* p, const PacketLimits& limits = {});

/// Decodes the packet at the start of `bytes`; returns its length, 0 when it is not complete.
Result<size_t> decode_packet(std::string_view bytes, Packet* p, const PacketLimits& limits = {});

/// Cuts a byte stream into packets. After an error the decoder is useless: drop the connection.
class PacketDecoder {
 public:
  explicit PacketDecoder(PacketLimits limits = {}) : limits_(limits) {}
  void feed(std::string_view bytes);
  /// True and *p filled, false when more bytes are needed.
  Result<bool> next(Packet* p);
  [[nodiscard]] size_t buffered() const { return buffer_.size() - start_; }

 private:
  PacketLimits limits_;
  std::string buffer_;
  size_t start_ = 0;  ///< consumed bytes at the front of buffer_
};

/// Metadata request with the 69 byte header of a CubeFS 3.5 client.
[[nodiscard]] Packet meta_request(uint8_t op, uint64_t partition_id, int64_t req_id,
                                  std::string body);

/// Reply to `request`: its header with result and body; keeps ids and extent_type.
[[nodiscard]] Packet make_reply(const Packet& request, uint8_t result, std::string body = {});

/// True when the reply belongs to the request (same id and opcode). Source: proto/packet.go.
[[nodiscard]] bool is_reply_to(const cfs_pkt_hdr& reply, const cfs_pkt_hdr& request);

/// CRC-32 IEEE of the bytes; `seed` continues an earlier one.
[[nodiscard]] uint32_t crc32_ieee(std::string_view bytes, uint32_t seed = 0);

enum class Peer { kMeta, kData };

/// "MetaLookup"; "op 0x1f" for an unknown one. Values mean different things to meta and data nodes.
[[nodiscard]] std::string op_name(uint8_t op, Peer peer);
/// "NotExistErr"; "result 0x11" for an unknown one.
[[nodiscard]] std::string result_name(uint8_t rc);
/// True for a code of the table in cfs_wire.h.
[[nodiscard]] bool known_result(uint8_t rc);

/// Error for a reply that is not Ok: errno of cfs_result_errno(), text from the names and the
/// message.
[[nodiscard]] Error result_error(const Packet& reply, Peer peer);

/// st_mode to Go os.FileMode and back; setuid, setgid and sticky are kept.
/// Source: Go io/fs; CubeFS depends/bazil.org/fuse (which drops sticky, we do not).
[[nodiscard]] uint32_t to_go_mode(mode_t mode);
[[nodiscard]] mode_t from_go_mode(uint32_t go_mode);

}  // namespace cfs::wire
