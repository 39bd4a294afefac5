// SPDX-License-Identifier: Apache-2.0
/// Breaks when a packet is framed wrongly or a hostile length is believed: the connection would
/// hang, mix up answers or eat all memory.
#include <gtest/gtest.h>

#include "daemon/wire/packet.h"

namespace cfs::wire {
namespace {

Packet sample() {
  Packet p = meta_request(CFS_MOP_LOOKUP, 13, 0x169521234, R"({"vol":"v"})");
  p.arg = CFS_ARG_FOLLOWER_READ;
  return p;
}

TEST(Packet, ModernRequestHeader) {
  const std::string bytes = encode(meta_request(CFS_MOP_LOOKUP, 1, 0x169521234, "{}"));
  ASSERT_EQ(bytes.size(), size_t{CFS_PKT_HDR_MAX} + 2);
  EXPECT_EQ(static_cast<uint8_t>(bytes[CFS_PKT_OFF_EXTENT_TYPE]), CFS_ET_PROTO_VERSION);
  EXPECT_EQ(bytes[CFS_PKT_OFF_PROTO_VERSION + 3], 1);
  EXPECT_EQ(bytes[CFS_PKT_OFF_SIZE + 3], 2);
}

TEST(Packet, EveryPrefixAsksForMore) {
  const std::string bytes = encode(sample());
  for (size_t n = 0; n < bytes.size(); ++n) {
    Packet p;
    const Result<size_t> used = decode_packet(bytes.substr(0, n), &p);
    ASSERT_TRUE(used.ok());
    EXPECT_EQ(*used, 0u) << n;
  }
  Packet p;
  EXPECT_EQ(*decode_packet(bytes + "next", &p), bytes.size());
  EXPECT_EQ(p.arg, "F");
  EXPECT_EQ(p.data, R"({"vol":"v"})");
}

TEST(Packet, HeadAlone) {
  const std::string bytes = encode(sample());
  const Result<size_t> head = head_length(bytes.substr(0, CFS_PKT_HDR_MAX));
  ASSERT_TRUE(head.ok());
  EXPECT_EQ(*head, size_t{CFS_PKT_HDR_MAX} + 1);
  Packet p;
  const Result<size_t> data = decode_head(bytes.substr(0, *head), &p);
  ASSERT_TRUE(data.ok());
  EXPECT_EQ(*data, 11u);
  EXPECT_EQ(p.arg, "F");
  EXPECT_EQ(decode_head(bytes.substr(0, *head - 1), &p).code(), EPROTO);
  EXPECT_EQ(encode_head(p), bytes.substr(0, *head));
}

TEST(Packet, WrongMagic) {
  std::string bytes = encode(sample());
  bytes[0] = '\xFE';
  Packet p;
  EXPECT_EQ(decode_packet(bytes, &p).code(), EPROTO);
  EXPECT_EQ(decode_packet("H", &p).code(), EPROTO);
}

TEST(Packet, LimitsAreCheckedBeforeTheDataIsThere) {
  Packet p = sample();
  p.arg.assign(CFS_ARG_MAX + 1, 'x');
  Packet out;
  EXPECT_EQ(decode_packet(encode(p).substr(0, CFS_PKT_HDR_MAX), &out).code(), EMSGSIZE);
  Packet q = sample();
  std::string bytes = encode(q);
  cfs_put32(CFS_META_BODY_MAX + 1, bytes.data() + CFS_PKT_OFF_SIZE);
  EXPECT_EQ(decode_packet(bytes, &out).code(), EMSGSIZE);
  EXPECT_EQ(decode_packet(encode(q), &out, {.data_bytes = 10}).code(), EMSGSIZE);
  EXPECT_TRUE(decode_packet(encode(q), &out, {.data_bytes = 11}).ok());
}

TEST(Packet, VersionList) {
  Packet p = sample();
  p.h.extent_type |= CFS_ET_VERSION_LIST | CFS_ET_MULTI_VERSION;
  p.h.ver_seq = 77;
  p.versions.assign(3 * CFS_VER_ENTRY, 'v');
  const std::string bytes = encode(p);
  EXPECT_EQ(*head_length(bytes.substr(0, CFS_PKT_HDR_MAX + 1)), 0u);  // count not there yet
  Packet out;
  ASSERT_EQ(*decode_packet(bytes, &out), bytes.size());
  EXPECT_EQ(out.versions, p.versions);
  EXPECT_EQ(out.arg, "F");
  EXPECT_EQ(out.h.ver_seq, 77u);
  EXPECT_EQ(decode_packet(bytes, &out, {.versions = 2}).code(), EMSGSIZE);
  p.versions.assign(1025 * CFS_VER_ENTRY, 'v');
  EXPECT_EQ(decode_packet(encode(p), &out).code(), EMSGSIZE);
}

TEST(Packet, ReadRequestHasNoData) {
  Packet p;
  p.h.opcode = CFS_DOP_STREAM_READ;
  p.h.extent_type = CFS_ET_NORMAL | CFS_ET_PROTO_VERSION;
  p.h.size = 1u << 31;
  const std::string bytes = encode(p);
  EXPECT_EQ(bytes.size(), size_t{CFS_PKT_HDR_MAX});
  Packet out;
  ASSERT_EQ(*decode_packet(bytes, &out), bytes.size());
  EXPECT_EQ(out.h.size, 1u << 31);
  p.h.result = CFS_RC_OK;  // a reply has
  EXPECT_FALSE(is_read_request(p.h));
}

TEST(Packet, StreamIsCutAnywhere) {
  const std::string one = encode(sample());
  std::string stream;
  for (int i = 0; i < 5; ++i) stream += one;
  PacketDecoder decoder;
  size_t got = 0;
  for (size_t i = 0; i < stream.size(); i += 7) {
    decoder.feed(std::string_view(stream).substr(i, 7));
    Packet p;
    for (Result<bool> r = decoder.next(&p); r.ok() && *r; r = decoder.next(&p)) {
      EXPECT_EQ(encode(p), one);
      ++got;
    }
  }
  EXPECT_EQ(got, 5u);
  EXPECT_EQ(decoder.buffered(), 0u);
}

TEST(Packet, ReplyKeepsTheIds) {
  Packet request = sample();
  request.h.extent_type |= CFS_ET_VERSION_LIST;
  const Packet reply = make_reply(request, CFS_RC_NOT_EXIST, "gone");
  EXPECT_TRUE(is_reply_to(reply.h, request.h));
  EXPECT_EQ(reply.h.extent_type, CFS_ET_PROTO_VERSION);
  EXPECT_EQ(reply.h.arg_len, 0u);
  EXPECT_EQ(reply.h.size, 4u);
  Packet other = reply;
  other.h.req_id++;
  EXPECT_FALSE(is_reply_to(other.h, request.h));
  const Error e = result_error(reply, Peer::kMeta);
  EXPECT_EQ(e.code, ENOENT);
  EXPECT_EQ(e.what, "MetaLookup: NotExistErr: gone");
}

TEST(Packet, EchoedBodyIsNoMessage) {
  const Packet reply = make_reply(sample(), CFS_RC_EXIST, R"({"vol":"v"})");
  EXPECT_EQ(result_error(reply, Peer::kMeta).what, "MetaLookup: ExistErr");
}

TEST(Packet, Crc) {
  EXPECT_EQ(crc32_ieee("123456789"), 0xCBF43926u);
  EXPECT_EQ(crc32_ieee("6789", crc32_ieee("12345")), 0xCBF43926u);
  EXPECT_EQ(crc32_ieee(""), 0u);
}

TEST(Packet, NamesOfUnknownValues) {
  EXPECT_EQ(op_name(0x1f, Peer::kMeta), "op 0x1f");
  EXPECT_EQ(op_name(0x0f, Peer::kData), "RandomWrite");
  EXPECT_EQ(op_name(0x0f, Peer::kMeta), "op 0x0f");
  EXPECT_EQ(result_name(0x11), "result 0x11");
  EXPECT_FALSE(known_result(0x11));
}

TEST(Mode, KnownValues) {
  EXPECT_EQ(to_go_mode(S_IFREG | 0644), 420u);
  EXPECT_EQ(to_go_mode(S_IFDIR | 0755), 2147484141u);
  EXPECT_EQ(to_go_mode(S_IFLNK | 0777), 134218239u);
  EXPECT_EQ(to_go_mode(S_IFIFO | 0600), 33554816u);
  EXPECT_EQ(from_go_mode(1u << 19 | 0600), mode_t{S_IFREG | 0600});  // "irregular"
}

TEST(Mode, RoundTripOfEveryType) {
  for (const mode_t type : {S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK}) {
    for (mode_t bits = 0; bits <= 07777; ++bits) {
      ASSERT_EQ(from_go_mode(to_go_mode(type | bits)), (type | bits));
    }
  }
}

}  // namespace
}  // namespace cfs::wire
