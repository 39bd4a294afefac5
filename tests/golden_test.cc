// SPDX-License-Identifier: Apache-2.0
/// Breaks when daemon/wire no longer speaks exactly what the real Go client and servers spoke:
/// every recorded header, request, reply and master answer goes through the codec and must come
/// out as it was.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "daemon/wire/master_msg.h"
#include "daemon/wire/meta_msg.h"
#include "tests/golden/codecs.h"
#include "tests/golden/recordings.h"

namespace cfs::golden {
namespace {

using wire::Peer;

/// Fewer messages than this mean that recordings are missing, and the test would prove nothing.
constexpr size_t kPacketFloor = 4000;
constexpr size_t kHttpFloor = 100;

/// Requests that no Go client sends; why, next to each.
const std::set<std::string> kNotDecodable = {
    "meta_bad_json.jsonl",        // the body is not JSON, to see the server's answer
    "meta_unknown_opcode.jsonl",  // opcode 0x1f does not exist
    "ping.jsonl",                 // no body
};
const std::set<std::string> kNotCanonical = {
    "meta_minimal_bodies.jsonl",  // keys left out on purpose
    "meta_xattr_batch.jsonl",     // written by hand with "verSeq" where Go clients say "seq"
};

/// Go sends \ufffd for a byte that is not UTF-8, and the character itself when the name has it.
/// After decoding both are the same character, so recorded escapes are replaced before bytes are
/// compared.
std::string without_replacement_escapes(std::string text) {
  for (size_t at = 0; (at = text.find("\\ufffd", at)) != std::string::npos;) {
    text.replace(at, 6, "\xEF\xBF\xBD");
  }
  return text;
}

/// The server's two spellings of "never" in mekExpiredTime mean the same to us.
std::string same_never(std::string text) {
  const std::string epoch = R"("mekExpiredTime":"1970-01-01T00:00:00Z")";
  const std::string zero = R"("mekExpiredTime":"0001-01-01T00:00:00Z")";
  for (size_t at = 0; (at = text.find(zero, at)) != std::string::npos;) {
    text.replace(at, zero.size(), epoch);
  }
  return text;
}

cfs_pkt_hdr header_of(const PacketRecord& r) {
  cfs_pkt_hdr h{};
  const auto* bytes = reinterpret_cast<const uint8_t*>(r.header.data());
  EXPECT_EQ(cfs_pkt_decode(bytes, r.header.size(), &h), static_cast<int>(r.header.size()))
      << r.where;
  return h;
}

uint32_t hex_field(const PacketRecord& r, const char* name) {
  return static_cast<uint32_t>(std::stoul(r.fields.at(name).get<std::string>(), nullptr, 16));
}

TEST(Golden, EnoughRecordings) {
  const Recordings& all = recordings();
  std::map<std::string, size_t> per_folder;
  for (const PacketRecord& r : all.packets) ++per_folder[r.folder];
  for (const auto& [folder, count] : per_folder) {
    std::printf("%-10s %5zu packets\n", folder.c_str(), count);
  }
  std::printf("checked: %zu packets, %zu http messages\n", all.packets.size(), all.http.size());
  EXPECT_GE(all.packets.size(), kPacketFloor);
  EXPECT_GE(all.http.size(), kHttpFloor);
  EXPECT_EQ(per_folder.size(), 9u);
}

TEST(Golden, HeaderBytesComeBack) {
  for (const PacketRecord& r : recordings().packets) {
    const cfs_pkt_hdr h = header_of(r);
    std::string out(CFS_PKT_HDR_MAX, '\0');
    out.resize(cfs_pkt_encode(&h, reinterpret_cast<uint8_t*>(out.data())));
    EXPECT_EQ(out, r.header) << r.where;
  }
}

TEST(Golden, HeaderFieldsAreTheRecordedOnes) {
  for (const PacketRecord& r : recordings().packets) {
    const cfs_pkt_hdr h = header_of(r);
    EXPECT_EQ(h.opcode, hex_field(r, "opcode")) << r.where;
    EXPECT_EQ(h.result, hex_field(r, "result")) << r.where;
    EXPECT_EQ(h.crc, hex_field(r, "crc")) << r.where;
    EXPECT_EQ(h.extent_type, r.fields.at("extent_type")) << r.where;
    EXPECT_EQ(h.followers, r.fields.at("remaining_followers")) << r.where;
    EXPECT_EQ(h.size, r.fields.at("size")) << r.where;
    EXPECT_EQ(h.arg_len, r.fields.at("arg_len")) << r.where;
    EXPECT_EQ(h.partition_id, r.fields.at("partition_id")) << r.where;
    EXPECT_EQ(h.extent_id, r.fields.at("extent_id")) << r.where;
    EXPECT_EQ(h.extent_offset, r.fields.at("extent_offset")) << r.where;
    EXPECT_EQ(h.req_id, r.fields.at("req_id")) << r.where;
    EXPECT_EQ(h.kernel_offset, r.fields.at("kernel_offset")) << r.where;
    EXPECT_EQ(h.ver_seq, r.fields.value("ver_seq", uint64_t{0})) << r.where;
    EXPECT_EQ(h.proto_version, r.fields.value("proto_version", 0u)) << r.where;
  }
}

TEST(Golden, NamesAreTheUsualOnes) {
  for (const PacketRecord& r : recordings().packets) {
    const std::string op = r.fields.at("op");
    if (op != "?") {
      EXPECT_EQ(wire::op_name(r.opcode(), r.peer), op) << r.where;
    }
    EXPECT_EQ(wire::result_name(r.result()), r.fields.at("result_name")) << r.where;
    EXPECT_TRUE(wire::known_result(r.result())) << r.where;
  }
}

TEST(Golden, WholePacketsComeBack) {
  size_t checked = 0;
  for (const PacketRecord& r : recordings().packets) {
    if (!r.whole()) continue;
    const std::string bytes = r.header + r.arg + r.data;
    wire::Packet p;
    const Result<size_t> used = wire::decode_packet(bytes, &p);
    ASSERT_TRUE(used.ok()) << r.where << ": " << used.error().text();
    EXPECT_EQ(*used, bytes.size()) << r.where;
    EXPECT_EQ(p.arg, r.arg) << r.where;
    EXPECT_EQ(p.data, r.data) << r.where;
    EXPECT_EQ(wire::encode(p), bytes) << r.where;
    ++checked;
  }
  std::printf("whole packets: %zu\n", checked);
  EXPECT_GE(checked, kPacketFloor - 700);
}

TEST(Golden, MetaRequestsComeBack) {
  size_t checked = 0;
  std::set<uint8_t> ops;
  for (const PacketRecord& r : recordings().packets) {
    if (r.peer != Peer::kMeta || !r.request || kNotDecodable.contains(r.file)) continue;
    const MetaCodec* codec = find_meta_codec(r.opcode());
    ASSERT_NE(codec, nullptr) << r.where << ": " << r.fields.at("op");
    const Result<std::string> out = codec->request(r.data);
    ASSERT_TRUE(out.ok()) << r.where << ": " << out.error().text();
    if (!kNotCanonical.contains(r.file)) {
      EXPECT_EQ(*out, without_replacement_escapes(r.data)) << r.where;
    }
    ops.insert(r.opcode());
    ++checked;
  }
  std::printf("meta requests: %zu of %zu opcodes\n", checked, ops.size());
  EXPECT_GE(checked, 1500u);
  EXPECT_GE(ops.size(), 33u);
}

void check_good_reply(const PacketRecord& r, const MetaCodec& codec) {
  if (!codec.reply_has_body) return;  // empty, or the request's body: not to be read
  const Result<std::string> out = codec.reply(r.data);
  ASSERT_TRUE(out.ok()) << r.where << ": " << out.error().text();
  const bool canonical = !kNotCanonical.contains(r.file);
  if (canonical) {
    EXPECT_EQ(same_never(*out), same_never(without_replacement_escapes(r.data))) << r.where;
  }
}

TEST(Golden, MetaRepliesAreUnderstood) {
  size_t good = 0;
  size_t bad = 0;
  for (const PacketRecord& r : recordings().packets) {
    if (r.peer != Peer::kMeta || r.request) continue;
    const MetaCodec* codec = find_meta_codec(r.opcode());
    ASSERT_NE(codec, nullptr) << r.where;
    if (r.result() == CFS_RC_OK) {
      check_good_reply(r, *codec);
      ++good;
    } else {
      EXPECT_NE(cfs_result_errno(r.result()), 0) << r.where;
      ++bad;
    }
  }
  std::printf("meta replies: %zu good, %zu errors\n", good, bad);
  EXPECT_GE(good, 1400u);
  EXPECT_GE(bad, 100u);
}

/// Payloads whose header must carry their CRC: what a client writes and what a read returns. Probes
/// are out because one sends a wrong CRC on purpose.
bool carries_crc(const PacketRecord& r) {
  const bool write = r.opcode() == CFS_DOP_WRITE || r.opcode() == CFS_DOP_RANDOM_WRITE ||
                     r.opcode() == CFS_DOP_SYNC_WRITE || r.opcode() == CFS_DOP_SYNC_RANDOM_WRITE;
  const bool read = r.opcode() == CFS_DOP_STREAM_READ || r.opcode() == CFS_DOP_STREAM_FOLLOWER_READ;
  return r.folder != "probe" && ((write && r.request) || (read && r.result() == CFS_RC_OK));
}

TEST(Golden, CrcIsThatOfTheWire) {
  size_t payloads = 0;
  size_t headers = 0;
  for (const PacketRecord& r : recordings().packets) {
    if (r.data_len == 0) continue;
    if (r.whole()) {
      EXPECT_EQ(wire::crc32_ieee(r.data), r.data_crc) << r.where;
      ++payloads;
    }
    if (r.peer == Peer::kData && carries_crc(r)) {
      EXPECT_EQ(header_of(r).crc, r.data_crc) << r.where;
      ++headers;
    }
  }
  std::printf("crc: %zu payloads, %zu headers\n", payloads, headers);
  EXPECT_GE(payloads, 2500u);
  EXPECT_GE(headers, 400u);
}

TEST(Golden, DataRepliesHaveTheHeaderWeExpect) {
  for (const PacketRecord& r : recordings().packets) {
    if (r.peer != Peer::kData || r.request) continue;
    const bool read =
        r.opcode() == CFS_DOP_STREAM_READ || r.opcode() == CFS_DOP_STREAM_FOLLOWER_READ;
    if (read && r.result() == CFS_RC_OK) {
      EXPECT_EQ(r.header.size(), size_t{CFS_PKT_HDR}) << r.where;
    }
  }
}

/// "HTTP/1.1 200 OK": only then there is an envelope.
bool has_envelope(const HttpRecord& r) {
  return r.status_line.find(" 200 ") != std::string::npos;
}

void check_master_reply(const HttpRecord& r) {
  const Result<wire::Envelope> envelope = wire::decode_envelope(r.body);
  ASSERT_TRUE(envelope.ok()) << r.where << ": " << envelope.error().text();
  const MasterCodec* codec = find_master_codec(r.path);
  if (codec == nullptr) return;  // an administrative endpoint no client asks
  const Result<std::string> out = codec->reply(r.body);
  if (envelope->code != wire::kMasterOk) {
    EXPECT_EQ(out.code(), wire::master_errno(envelope->code)) << r.where;
    return;
  }
  ASSERT_TRUE(out.ok()) << r.where << ": " << out.error().text();
  if (codec->all_keys) {
    EXPECT_EQ(*out, r.body) << r.where;
  }
}

TEST(Golden, MasterRepliesAreUnderstood) {
  size_t checked = 0;
  std::set<std::string> paths;
  for (const HttpRecord& r : recordings().http) {
    if (!has_envelope(r)) continue;
    check_master_reply(r);
    paths.insert(r.path);
    ++checked;
  }
  std::printf("master replies: %zu of %zu endpoints\n", checked, paths.size());
  EXPECT_GE(checked, 60u);
  EXPECT_GE(paths.size(), 15u);
}

TEST(Golden, QosRequestComesBack) {
  size_t checked = 0;
  for (const HttpRecord& r : recordings().http) {
    if (r.request_body.empty()) continue;
    const Result<wire::LimitReq> request = wire::decode<wire::LimitReq>(r.request_body);
    ASSERT_TRUE(request.ok()) << r.where << ": " << request.error().text();
    EXPECT_EQ(wire::encode(*request), r.request_body) << r.where;
    ++checked;
  }
  EXPECT_GE(checked, 10u);
}

TEST(Golden, ViewsHaveTheRecordedContent) {
  for (const HttpRecord& r : recordings().http) {
    if (!has_envelope(r) || !r.where.starts_with("http/go_")) continue;
    if (r.path == "/admin/getCluster") {
      const auto view = wire::decode_reply<wire::ClusterView>(r.body);
      ASSERT_TRUE(view.ok());
      ASSERT_EQ(view->data_nodes.size(), 3u);
      EXPECT_EQ(view->data_nodes[0].addr, "192.168.77.1:17301");
      EXPECT_TRUE(view->data_nodes[0].alive);
    } else if (r.path == "/client/vol") {
      const auto view = wire::decode_reply<wire::VolView>(r.body);
      ASSERT_TRUE(view.ok());
      ASSERT_EQ(view->meta_partitions.size(), 3u);
      EXPECT_EQ(view->meta_partitions[2].end, uint64_t{9223372036854775807});
      EXPECT_EQ(view->meta_partitions[0].status, wire::kPartitionReadWrite);
    }
  }
}

}  // namespace
}  // namespace cfs::golden
