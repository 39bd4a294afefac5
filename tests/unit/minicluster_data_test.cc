// SPDX-License-Identifier: Apache-2.0
/// The rules of the data path as a client of the mini cluster meets them. If one of these fails,
/// the mini cluster accepts or refuses something that a real CubeFS 3.5 does not, and tests built
/// on it lie.
#include "tests/unit/minicluster_data_test.h"

#include <map>
#include <set>
#include <thread>

namespace cfs::mini::test {
namespace {

constexpr uint32_t kBlock = CFS_BLOCK_SIZE;

// ---- headers and framing

TEST(DataHeaders, ReadsOfEveryHeaderLengthAreAnsweredWith57Bytes) {
  Cluster cluster(1);
  const uint64_t extent = cluster.create();
  ASSERT_EQ(cluster.append(extent, 0, "hello"), CFS_RC_OK);
  Client client(cluster.address(0));
  for (const uint8_t flags : {0x00, 0x80, 0x10, 0x90}) {
    cfs_pkt_hdr h = cluster.header(CFS_DOP_STREAM_READ);
    h.extent_type = CFS_ET_NORMAL | flags;
    h.extent_id = extent;
    h.size = 5;
    h.kernel_offset = 77;
    client.send_packet(h, "", "");
    const auto answer = client.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->header_bytes, size_t{CFS_PKT_HDR});
    EXPECT_EQ(answer->header.extent_type, CFS_ET_NORMAL);
    EXPECT_EQ(answer->header.kernel_offset, 0u);
    EXPECT_EQ(answer->header.req_id, h.req_id);
    EXPECT_EQ(answer->header.opcode, CFS_DOP_STREAM_READ);
    EXPECT_EQ(answer->data, "hello");
  }
}

TEST(DataHeaders, WriteRepliesEchoTheRequest) {
  Cluster cluster(1);
  const uint64_t extent = cluster.create();
  const std::string data = "0123456789";
  cfs_pkt_hdr h = cluster.append_header(extent, 0, data);
  h.extent_type |= CFS_ET_VERSION_LIST;
  h.ver_seq = 0x1122334455667788;
  const std::string versions = std::string("\0\1", 2) + std::string(CFS_VER_ENTRY, 'v');
  Client client(cluster.address(0));
  client.send_packet(h, "/", data, versions);
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->header_bytes, size_t{CFS_PKT_HDR_MAX});
  EXPECT_EQ(answer->header.extent_type, h.extent_type);
  EXPECT_EQ(answer->versions, versions);
  EXPECT_EQ(answer->header.ver_seq, h.ver_seq);
  EXPECT_EQ(answer->header.result, CFS_RC_OK);
  EXPECT_EQ(answer->header.crc, h.crc);
  EXPECT_EQ(answer->header.size, 0u);
  EXPECT_EQ(answer->header.arg_len, 0u);
  EXPECT_EQ(answer->header.followers, h.followers);
  EXPECT_EQ(answer->header.kernel_offset, h.kernel_offset);
  EXPECT_EQ(answer->header.req_id, h.req_id);
}

TEST(DataHeaders, VersionedRandomWriteComesBackUnderItsReplyOpcode) {
  Cluster cluster(1);
  const uint64_t extent = cluster.create();
  ASSERT_EQ(cluster.append(extent, 0, "aaaa"), CFS_RC_OK);
  Client client(cluster.address(0));
  cluster.send_random(client, extent, 1, "b", kOpSyncRandomWriteVer);
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->header.result, CFS_RC_OK);
  EXPECT_EQ(answer->header.opcode, kRandomWriteVerReply);
  EXPECT_EQ(cluster.bytes(extent, 0, 4), "abaa");
}

TEST(DataHeaders, WrongMagicEndsTheConnection) {
  Cluster cluster(1);
  Client client(cluster.address(0));
  client.send_raw(std::string(CFS_PKT_HDR, '\x7e'));
  EXPECT_TRUE(client.closed());
}

TEST(DataHeaders, ReadWithAResultCodeWaitsForAPayload) {
  Cluster cluster(1);
  const uint64_t extent = cluster.create();
  ASSERT_EQ(cluster.append(extent, 0, "0123456789"), CFS_RC_OK);
  Client client(cluster.address(0));
  cfs_pkt_hdr h = cluster.header(CFS_DOP_STREAM_READ);
  h.extent_id = extent;
  h.result = 1;
  h.size = 10;
  client.send_packet(h, "", "");
  EXPECT_TRUE(client.silent());
  client.send_raw("0123456789");
  EXPECT_EQ(Cluster::result_of(client), CFS_RC_OK);
}

TEST(DataHeaders, WritesWithoutProtocolVersionAreRefused) {
  Cluster cluster(1);
  const uint64_t extent = cluster.create();
  for (const uint8_t opcode : {CFS_DOP_CREATE_EXTENT, CFS_DOP_WRITE, CFS_DOP_RANDOM_WRITE}) {
    Client client(cluster.address(0));
    cfs_pkt_hdr h = cluster.append_header(extent, 0, "x", opcode);
    h.extent_type = CFS_ET_NORMAL;
    client.send_packet(h, "/", "x");
    const auto answer = client.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->header.result, CFS_RC_PROTO_VERSION) << int{opcode};
    EXPECT_EQ(answer->header_bytes, size_t{CFS_PKT_HDR});
    EXPECT_EQ(answer->arg, "/");
  }
  EXPECT_EQ(cluster.create(), extent + 2) << "a refused create has used up an id";
  ASSERT_EQ(cluster.knobs[0]->set("proto0=1"), "");
  Client client(cluster.address(0));
  cfs_pkt_hdr h = cluster.append_header(extent, 0, "x");
  h.extent_type = CFS_ET_NORMAL;
  client.send_packet(h, "/", "x");
  EXPECT_EQ(Cluster::result_of(client), CFS_RC_OK);
}

TEST(DataHeaders, UnknownPartitionPingAndOpcode) {
  Cluster cluster(1);
  const auto ask = [&](uint8_t opcode, uint64_t partition) {
    Client client(cluster.address(0));
    cfs_pkt_hdr h = cluster.header(opcode);
    h.partition_id = partition;
    client.send_packet(h, "", "");
    return client.receive().value_or(Answer{});
  };
  const Answer unknown = ask(CFS_DOP_GET_APPLIED_ID, 888888);
  EXPECT_EQ(unknown.header.result, CFS_RC_TRY_OTHER_ADDR);
  EXPECT_EQ(unknown.data, "ActionPreparePkt_data partition not exists 888888");
  const Answer ping = ask(CFS_DOP_PING, 0);
  EXPECT_EQ(ping.header.result, CFS_RC_TRY_OTHER_ADDR);
  EXPECT_EQ(ping.data, "ActionPreparePkt_data partition not exists 0");
  EXPECT_EQ(ask(kOpRead, Cluster::kPartition).header.result, CFS_RC_ARG_MISMATCH);
  EXPECT_EQ(ask(0x7e, Cluster::kPartition).header.result, CFS_RC_ARG_MISMATCH);
}

TEST(DataHeaders, PartitionOfOtherHostsIsUnknown) {
  Cluster cluster(1);
  cluster.directory.add_partition({8, {"127.0.0.1:1"}, 0});
  Client client(cluster.address(0));
  cfs_pkt_hdr h = cluster.header(CFS_DOP_GET_APPLIED_ID);
  h.partition_id = 8;
  client.send_packet(h, "", "");
  EXPECT_EQ(Cluster::result_of(client), CFS_RC_TRY_OTHER_ADDR);
}

// ---- normal extents

TEST(DataExtents, IdsStartAbove1024AndSurviveRestarts) {
  Cluster cluster(1);
  EXPECT_EQ(cluster.create(), 1025u);
  EXPECT_EQ(cluster.create(), 1026u);
  cluster.directory.delete_extent(Cluster::kPartition, 1026, 0, 0, false);
  cluster.nodes[0]->stop();
  ASSERT_TRUE(cluster.nodes[0]->start());
  EXPECT_EQ(cluster.create(), 1027u) << "an id is never used twice, even of a deleted extent";
}

TEST(DataExtents, AppendOnlyAtTheEnd) {
  Cluster cluster(1);
  const uint64_t extent = cluster.create();
  EXPECT_EQ(cluster.append(extent, 0, "12345"), CFS_RC_OK);
  EXPECT_EQ(cluster.append(extent, 0, "12345"), CFS_RC_ARG_MISMATCH);
  EXPECT_EQ(cluster.append(extent, 9, "12345"), CFS_RC_ARG_MISMATCH);
  EXPECT_EQ(cluster.append(extent, 5, ""), CFS_RC_ARG_MISMATCH);
  EXPECT_EQ(cluster.append(extent, -1, "1"), CFS_RC_ARG_MISMATCH);
  EXPECT_EQ(cluster.append(extent, 5, "67"), CFS_RC_OK);
  EXPECT_EQ(cluster.bytes(extent, 0, 7), "1234567");
  EXPECT_EQ(cluster.append(extent + 9, 0, "1"), CFS_RC_NOT_EXIST);
}

TEST(DataExtents, CrcOfAppendsIsChecked) {
  Cluster cluster(1);
  const uint64_t extent = cluster.create();
  for (const uint8_t opcode : {CFS_DOP_WRITE, CFS_DOP_SYNC_WRITE}) {
    Client client(cluster.address(0));
    cfs_pkt_hdr h = cluster.append_header(extent, 0, "good", opcode);
    client.send_packet(h, "/", "evil");
    const auto answer = client.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->header.result, CFS_RC_INTRA_GROUP_NET);
    EXPECT_EQ(answer->data, "ActionPreparePkt_packet Crc is incorrect");
  }
  EXPECT_EQ(cluster.append(extent, 0, "good"), CFS_RC_OK) << "nothing had been written";
}

TEST(DataExtents, LargeAppendsAreAcceptedLargeRandomWritesAreNot) {
  Cluster cluster(1);
  const uint64_t extent = cluster.create();
  EXPECT_EQ(cluster.append(extent, 0, pattern(1 << 20)), CFS_RC_OK);
  EXPECT_EQ(cluster.append(extent, 1 << 20, pattern(2 << 20, 3)), CFS_RC_OK);
  EXPECT_EQ(cluster.bytes(extent, 1 << 20, 2 << 20), pattern(2 << 20, 3));
  EXPECT_EQ(cluster.random(extent, 0, pattern(kBlock, 5)), CFS_RC_OK);
  EXPECT_EQ(cluster.random(extent, 0, pattern(kBlock + 1)), CFS_RC_ARG_MISMATCH);
  EXPECT_EQ(cluster.bytes(extent, 0, kBlock), pattern(kBlock, 5));
}

TEST(DataExtents, EndAt128MiBAfterTheBlocksThatFit) {
  Cluster cluster(1);
  const uint64_t extent = cluster.create();
  const std::string piece = pattern(2 << 20);
  int64_t size = 0;
  for (; size + (2 << 20) < int64_t{CFS_EXTENT_SIZE}; size += 2 << 20) {
    ASSERT_EQ(cluster.append(extent, size, piece), CFS_RC_OK);
  }
  ASSERT_EQ(cluster.append(extent, size, pattern((2 << 20) - kBlock - 4096)), CFS_RC_OK);
  size = int64_t{CFS_EXTENT_SIZE} - kBlock - 4096;
  EXPECT_EQ(cluster.append(extent, size, pattern(2 * kBlock)), CFS_RC_ARG_MISMATCH);
  EXPECT_EQ(cluster.bytes(extent, size, kBlock), pattern(kBlock)) << "the prefix stays behind";
  EXPECT_EQ(cluster.append(extent, size, "x"), CFS_RC_ARG_MISMATCH);
  EXPECT_EQ(cluster.append(extent, size + kBlock, pattern(4096)), CFS_RC_OK);
  EXPECT_EQ(cluster.append(extent, CFS_EXTENT_SIZE, "x"), CFS_RC_ARG_MISMATCH);
}

TEST(DataExtents, ReadsOutsideTheExtent) {
  Cluster cluster(1);
  const uint64_t extent = cluster.create();
  ASSERT_EQ(cluster.append(extent, 0, pattern(2048)), CFS_RC_OK);
  EXPECT_EQ(cluster.read_code(extent, 2000, 200), CFS_RC_INTRA_GROUP_NET);
  EXPECT_EQ(cluster.bytes(extent, 2000, 200), "refused: ActionStreamRead_EOF");
  EXPECT_EQ(cluster.read_code(extent, 10000, 100), CFS_RC_ARG_MISMATCH);
  EXPECT_EQ(cluster.read_code(extent + 5, 0, 100), CFS_RC_NOT_EXIST);
  cluster.directory.delete_extent(Cluster::kPartition, extent, 0, 0, false);
  EXPECT_EQ(cluster.read_code(extent, 0, 100), CFS_RC_NOT_EXIST);
  EXPECT_EQ(cluster.nodes[0]->usage().used_bytes, 0u);
}

TEST(DataExtents, ReadRepliesComeInChunks) {
  Cluster cluster(1);
  const uint64_t extent = cluster.create();
  ASSERT_EQ(cluster.append(extent, 0, pattern(1 << 20)), CFS_RC_OK);
  const auto chunks = [&](uint32_t size) {
    Client client(cluster.address(0));
    cluster.send_read(client, extent, 100, size);
    std::vector<uint32_t> out;
    for (uint32_t got = 0; got < size;) {
      const auto answer = client.receive();
      if (!answer || answer->header.result != CFS_RC_OK) return std::vector<uint32_t>{};
      EXPECT_EQ(answer->header.extent_offset, 100 + int64_t{got});
      EXPECT_EQ(answer->header.crc, crc_of(answer->data));
      out.push_back(answer->header.size);
      got += answer->header.size;
    }
    return out;
  };
  EXPECT_EQ(chunks(3 * kBlock + 7), (std::vector<uint32_t>{kBlock, kBlock, kBlock, 7}));
  ASSERT_EQ(cluster.knobs[0]->set("read_chunk_bytes=262144"), "");
  EXPECT_EQ(chunks(3 * kBlock), (std::vector<uint32_t>{2 * kBlock, kBlock}));
}

// ---- random writes

TEST(DataRandomWrites, OnlyOnTheLeaderAndOnAllReplicas) {
  Cluster cluster(3);
  const uint64_t extent = cluster.create();
  ASSERT_EQ(cluster.append(extent, 0, "aaaaaaaa"), CFS_RC_OK);
  EXPECT_EQ(cluster.random(extent, 2, "XY", 1), CFS_RC_TRY_OTHER_ADDR);
  EXPECT_EQ(cluster.random(extent, 2, "XY", 0), CFS_RC_OK);
  for (size_t node = 0; node < 3; ++node) EXPECT_EQ(cluster.bytes(extent, 0, 8, node), "aaXYaaaa");
  ASSERT_TRUE(cluster.directory.set_leader(Cluster::kPartition, 2));
  EXPECT_EQ(cluster.random(extent, 0, "Z", 0), CFS_RC_TRY_OTHER_ADDR);
  EXPECT_EQ(cluster.random(extent, 0, "Z", 2), CFS_RC_OK);
  EXPECT_EQ(cluster.bytes(extent, 0, 8, 1), "ZaXYaaaa");
}

TEST(DataRandomWrites, DoNotMoveTheEndThatAppendsNeed) {
  Cluster cluster(1);
  const uint64_t extent = cluster.create();
  ASSERT_EQ(cluster.append(extent, 0, "12345678"), CFS_RC_OK);
  EXPECT_EQ(cluster.random(extent, 6, "ABCD"), CFS_RC_OK);
  EXPECT_EQ(cluster.append(extent, 8, "xyz"), CFS_RC_OK);
  EXPECT_EQ(cluster.bytes(extent, 0, 11), "123456ABxyz");
}

TEST(DataRandomWrites, ToAMissingExtentAreAcknowledgedAndLost) {
  Cluster cluster(3);
  EXPECT_EQ(cluster.random(4711, 0, "gone"), CFS_RC_OK);
  EXPECT_EQ(cluster.read_code(4711, 0, 4), CFS_RC_NOT_EXIST);
}

TEST(DataRandomWrites, CountAsAppliedIdsOnEveryReplica) {
  Cluster cluster(3);
  const uint64_t extent = cluster.create();
  ASSERT_EQ(cluster.append(extent, 0, "aaaa"), CFS_RC_OK);
  const auto applied = [&](size_t node) {
    Client client(cluster.address(node));
    cfs_pkt_hdr h = cluster.header(CFS_DOP_GET_APPLIED_ID);
    h.extent_type = 0;
    client.send_packet(h, "", "");
    const auto answer = client.receive();
    if (!answer || answer->header.result != CFS_RC_OK || answer->data.size() != 8) return ~0ULL;
    EXPECT_EQ(answer->header_bytes, size_t{CFS_PKT_HDR});
    return static_cast<unsigned long long>(cfs_get64(answer->data.data()));
  };
  EXPECT_EQ(applied(1), 0u);
  ASSERT_EQ(cluster.random(extent, 0, "b"), CFS_RC_OK);
  ASSERT_EQ(cluster.random(extent, 1, "b"), CFS_RC_OK);
  for (size_t node = 0; node < 3; ++node) EXPECT_EQ(applied(node), 2u);
  cluster.nodes[1]->stop();
  ASSERT_TRUE(cluster.nodes[1]->start());
  EXPECT_EQ(applied(1), 2u);
}

TEST(DataRandomWrites, WaitForAMajority) {
  Cluster cluster(3);
  const uint64_t extent = cluster.create();
  ASSERT_EQ(cluster.append(extent, 0, "aaaa"), CFS_RC_OK);
  cluster.nodes[1]->stop();
  ASSERT_EQ(cluster.random(extent, 0, "b"), CFS_RC_OK) << "two of three are a majority";
  cluster.nodes[2]->stop();
  Client client(cluster.address(0));
  cluster.send_random(client, extent, 1, "c");
  EXPECT_TRUE(client.silent());
  ASSERT_TRUE(cluster.nodes[1]->start());
  EXPECT_EQ(Cluster::result_of(client), CFS_RC_OK) << "the old proposal commits later";
  EXPECT_EQ(cluster.bytes(extent, 0, 4, 1), "bcaa") << "and the node caught up";
}

TEST(DataRandomWrites, NodeStopsWhileOneWaits) {
  Cluster cluster(3);
  cluster.nodes[1]->stop();
  cluster.nodes[2]->stop();
  Client client(cluster.address(0));
  cluster.send_random(client, 4711, 0, "x");
  EXPECT_TRUE(client.silent());
  cluster.nodes[0]->stop();
  EXPECT_TRUE(client.closed());
}

TEST(DataRandomWrites, ReturningNodeGetsWhatItMissed) {
  TempDir dir;
  uint64_t extent = 0;
  {
    Cluster cluster(3, dir.path());
    extent = cluster.create();
    ASSERT_EQ(cluster.append(extent, 0, "aaaa"), CFS_RC_OK);
    cluster.nodes[2]->stop();
    ASSERT_EQ(cluster.random(extent, 0, "b"), CFS_RC_OK);
    ASSERT_TRUE(cluster.nodes[2]->start());
    EXPECT_EQ(cluster.bytes(extent, 0, 4, 2), "baaa");
    cluster.nodes[2]->stop();
    ASSERT_EQ(cluster.random(extent, 1, "c"), CFS_RC_OK);
  }
  Cluster again(3, dir.path());  // a new directory does not know which extents changed
  EXPECT_EQ(again.bytes(extent, 0, 4, 2), "bcaa");
  EXPECT_EQ(again.append(extent, 4, "d"), CFS_RC_OK);
}

// ---- leaders

TEST(DataLeaders, StreamReadOnlyThereFollowerReadAnywhere) {
  Cluster cluster(3);
  const uint64_t extent = cluster.create();
  ASSERT_EQ(cluster.append(extent, 0, "data"), CFS_RC_OK);
  EXPECT_EQ(cluster.read_code(extent, 0, 4, 0, CFS_DOP_STREAM_READ), CFS_RC_OK);
  EXPECT_EQ(cluster.read_code(extent, 0, 4, 1, CFS_DOP_STREAM_READ), CFS_RC_TRY_OTHER_ADDR);
  EXPECT_EQ(cluster.read_code(extent, 0, 4, 1), CFS_RC_OK);
}

TEST(DataLeaders, ElectionNeedsTimeAndAMajority) {
  Cluster cluster(3);
  auto& directory = cluster.directory;
  EXPECT_EQ(directory.leader_of(Cluster::kPartition), cluster.address(0));
  directory.set_election_time(std::chrono::hours(1));
  cluster.nodes[0]->stop();
  EXPECT_EQ(directory.leader_of(Cluster::kPartition), "");
  EXPECT_EQ(cluster.read_code(1025, 0, 4, 1, CFS_DOP_STREAM_READ), CFS_RC_TRY_OTHER_ADDR);
  directory.set_election_time(std::chrono::milliseconds(0));
  EXPECT_EQ(directory.leader_of(Cluster::kPartition), cluster.address(1));
  ASSERT_TRUE(cluster.nodes[0]->start());
  EXPECT_EQ(directory.leader_of(Cluster::kPartition), cluster.address(1)) << "it keeps the lead";
  cluster.nodes[1]->stop();
  cluster.nodes[2]->stop();
  EXPECT_EQ(directory.leader_of(Cluster::kPartition), "");
  EXPECT_FALSE(directory.set_leader(Cluster::kPartition, 3));
}

// ---- forwarding

TEST(DataForwarding, CreateAndAppendReachEveryReplica) {
  Cluster cluster(3);
  const uint64_t extent = cluster.create();
  for (const uint8_t opcode : {CFS_DOP_WRITE, CFS_DOP_SYNC_WRITE}) {
    Client client(cluster.address(0));
    const int64_t offset = opcode == CFS_DOP_WRITE ? 0 : 4;
    client.send_packet(cluster.append_header(extent, offset, "data", opcode),
                       cluster.followers_of(), "data");
    EXPECT_EQ(Cluster::result_of(client), CFS_RC_OK);
  }
  for (size_t node = 0; node < 3; ++node) EXPECT_EQ(cluster.bytes(extent, 0, 8, node), "datadata");
  EXPECT_EQ(cluster.append(extent, 8, "more", 1), CFS_RC_OK) << "any host may head the chain";
}

TEST(DataForwarding, PipelinedAppendsAreAnsweredInOrder) {
  Cluster cluster(3);
  const uint64_t extent = cluster.create();
  Client client(cluster.address(0));
  constexpr int kCount = 64;
  const std::string data = pattern(32 << 10);
  std::thread sender([&] {
    for (int i = 0; i < kCount; ++i) {
      cluster.send_append(client, extent, int64_t{i} << 15, data);
    }
  });
  for (int i = 0; i < kCount; ++i) {
    const auto answer = client.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->header.result, CFS_RC_OK);
    EXPECT_EQ(answer->header.extent_offset, int64_t{i} << 15);
  }
  sender.join();
  EXPECT_EQ(cluster.bytes(extent, 63 << 15, 32 << 10, 2), data);
}

TEST(DataForwarding, UnreachableFollowerMeansNoLocalWrite) {
  Cluster cluster(3);
  const uint64_t extent = cluster.create();
  cluster.nodes[2]->stop();
  Client client(cluster.address(0));
  cluster.send_append(client, extent, 0, "data");
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->header.result, CFS_RC_INTRA_GROUP_NET);
  EXPECT_EQ(answer->arg, cluster.followers_of());
  EXPECT_EQ(answer->data, "ActionSendToFollowers_dial tcp " + cluster.address(2) +
                              ": connect: connection refused");
  EXPECT_EQ(cluster.bytes(extent, 0, 4, 0), "refused: ActionStreamRead_EOF");
}

TEST(DataForwarding, FollowersRefusalComesAfterTheLocalWrite) {
  Cluster cluster(3);
  const uint64_t extent = cluster.create();
  {
    Client follower(cluster.address(1));  // no followers in the packet: executed there only
    cfs_pkt_hdr h = cluster.append_header(extent, 0, "longer");
    h.followers = 0;
    h.arg_len = 0;
    follower.send_packet(h, "", "longer");
    ASSERT_EQ(Cluster::result_of(follower), CFS_RC_OK);
  }
  Client client(cluster.address(0));
  cluster.send_append(client, extent, 0, "data");
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->header.result, CFS_RC_ARG_MISMATCH) << "the code of the follower's text";
  EXPECT_EQ(answer->data.find("ActionReceiveFromFollower_ActionWrite:_parameter mismatch"), 0u);
  EXPECT_EQ(answer->header.arg_len, 0u);
  EXPECT_EQ(cluster.bytes(extent, 0, 4, 0), "data");
}

TEST(DataForwarding, SilentFollowerTimesOutAfterTheLocalWrite) {
  Cluster cluster(2);
  const uint64_t extent = cluster.create();
  ASSERT_EQ(cluster.knobs[1]->set("hang=1"), "");
  const auto begin = std::chrono::steady_clock::now();
  Client client(cluster.address(0));
  cluster.send_append(client, extent, 0, "data");
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(4900));
  EXPECT_EQ(answer->header.result, CFS_RC_INTRA_GROUP_NET);
  EXPECT_NE(answer->data.find("i/o timeout"), std::string::npos);
  EXPECT_EQ(cluster.bytes(extent, 0, 4, 0), "data");
}

// ---- the first error ends a connection

TEST(DataConnection, FirstErrorStopsTheEngine) {
  Cluster cluster(1);
  const uint64_t extent = cluster.create();
  Client client(cluster.address(0));
  cluster.send_append(client, extent, 0, "good");
  EXPECT_EQ(Cluster::result_of(client), CFS_RC_OK);
  cluster.send_append(client, extent, 0, "dup!");
  EXPECT_EQ(Cluster::result_of(client), CFS_RC_ARG_MISMATCH);
  EXPECT_TRUE(client.silent()) << "the socket stays open until the client does something";
  cluster.send_append(client, extent, 4, "late");
  EXPECT_TRUE(client.closed());
  EXPECT_EQ(cluster.append(extent, 4, "late"), CFS_RC_OK) << "it was not executed";
}

TEST(DataConnection, FirstErrorOfAForwardedAppendStopsTheEngine) {
  Cluster cluster(3);
  const uint64_t extent = cluster.create();
  ASSERT_EQ(cluster.knobs[0]->set("follower_failure=1"), "");
  Client client(cluster.address(0));
  cluster.send_append(client, extent, 0, "data");
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->header.result, CFS_RC_INTRA_GROUP_NET);
  EXPECT_EQ(cluster.bytes(extent, 0, 4, 0), "data") << "written before the follower failed";
  EXPECT_TRUE(client.silent());
  cluster.send_append(client, extent, 4, "late");
  EXPECT_TRUE(client.closed());
}

TEST(DataConnection, ErrorsInTheMiddleOfAPipeline) {
  Cluster cluster(1);
  const uint64_t extent = cluster.create();
  Client client(cluster.address(0));
  cluster.send_append(client, extent, 0, "aa");
  cluster.send_append(client, extent, 9, "bb");
  cluster.send_append(client, extent, 2, "cc");
  EXPECT_EQ(Cluster::result_of(client), CFS_RC_OK);
  EXPECT_EQ(Cluster::result_of(client), CFS_RC_ARG_MISMATCH);
  EXPECT_TRUE(client.closed());
}

// ---- tiny extents

TEST(DataTiny, ServerChoosesExtentAndAlignedOffset) {
  Cluster cluster(1);
  Client client(cluster.address(0));
  std::map<uint64_t, int64_t> slots;
  for (int i = 0; i < 65; ++i) {
    cluster.send_tiny(client, pattern(5000, i));
    const auto answer = client.receive();
    ASSERT_TRUE(answer);
    ASSERT_EQ(answer->header.result, CFS_RC_OK);
    const uint64_t id = answer->header.extent_id;
    EXPECT_TRUE(id >= 1 && id <= CFS_TINY_COUNT) << id;
    EXPECT_EQ(answer->header.extent_offset, slots.contains(id) ? 8192 : 0);
    slots[id] = answer->header.extent_offset;
    EXPECT_EQ(cluster.bytes(id, answer->header.extent_offset, 5000), pattern(5000, i));
  }
  EXPECT_EQ(slots.size(), size_t{CFS_TINY_COUNT});
}

TEST(DataTiny, EndSurvivesARestart) {
  Cluster cluster(1);
  for (unsigned i = 0; i < CFS_TINY_COUNT; ++i) ASSERT_EQ(cluster.tiny("abc"), CFS_RC_OK);
  cluster.nodes[0]->stop();
  ASSERT_TRUE(cluster.nodes[0]->start());
  Client client(cluster.address(0));
  cluster.send_tiny(client, "def");
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->header.extent_offset, 4096);
  EXPECT_EQ(cluster.bytes(answer->header.extent_id, 0, 3), "abc");
}

TEST(DataTiny, SixtyFourInFlightThenNoSpace) {
  Cluster cluster(2);
  ASSERT_EQ(cluster.knobs[1]->set("hang=1"), "");
  Client client(cluster.address(0));
  for (unsigned i = 0; i < CFS_TINY_COUNT; ++i) cluster.send_tiny(client, "abc");
  Client other(cluster.address(0));
  ASSERT_TRUE(eventually([&] { return cluster.nodes[0]->usage().used_bytes == 64 * 4096; }));
  cluster.send_tiny(other, "abc");
  const auto refused = other.receive();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->header.result, CFS_RC_DISK_NO_SPACE);
  EXPECT_NE(refused->data.find("GetAvailableTinyExtent"), std::string::npos);
  ASSERT_EQ(cluster.knobs[1]->set("hang=0"), "");
  std::set<uint64_t> ids;
  for (unsigned i = 0; i < CFS_TINY_COUNT; ++i) {
    const auto answer = client.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->header.result, CFS_RC_OK);
    ids.insert(answer->header.extent_id);
  }
  EXPECT_EQ(ids.size(), size_t{CFS_TINY_COUNT}) << "no extent was used twice at a time";
  EXPECT_EQ(cluster.tiny("abc"), CFS_RC_OK);
}

TEST(DataTiny, NotReadyForAWhile) {
  Cluster cluster(1);
  ASSERT_EQ(cluster.knobs[0]->set("tiny_ready=0"), "");
  Client client(cluster.address(0));
  cluster.send_tiny(client, "abc");
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->header.result, CFS_RC_DISK_NO_SPACE);
  EXPECT_EQ(answer->data,
            "ActionPreparePkt_checkPacketAndPrepare partition 7 GetAvailableTinyExtent error "
            "no available extent");
  ASSERT_EQ(cluster.knobs[0]->set("tiny_ready=1"), "");
  ASSERT_EQ(cluster.knobs[0]->set("tiny_ready_after_ms=3600000"), "");
  EXPECT_EQ(cluster.tiny("abc"), CFS_RC_DISK_NO_SPACE);
  ASSERT_EQ(cluster.knobs[0]->set("tiny_ready_after_ms=1"), "");
  EXPECT_TRUE(eventually([&] { return cluster.tiny("abc") == CFS_RC_OK; }));
}

TEST(DataTiny, FailedWritesBreakTheirExtentUntilRepair) {
  Cluster cluster(2);
  ASSERT_EQ(cluster.knobs[0]->set("follower_failure=64"), "");
  for (unsigned i = 0; i < CFS_TINY_COUNT; ++i) {
    ASSERT_EQ(cluster.tiny("abc"), CFS_RC_INTRA_GROUP_NET);
  }
  EXPECT_EQ(cluster.tiny("abc"), CFS_RC_DISK_NO_SPACE) << "all 64 are in the broken pool";
  ASSERT_EQ(cluster.knobs[0]->set("tiny_repair_ms=0"), "");
  EXPECT_EQ(cluster.tiny("abc"), CFS_RC_OK);
}

TEST(DataTiny, RepairLevelsTheReplicas) {
  Cluster cluster(3);
  cluster.nodes[2]->stop();  // node 1 gets the bytes before the dial of node 2 fails
  for (unsigned i = 0; i < CFS_TINY_COUNT; ++i) {
    ASSERT_EQ(cluster.tiny("abc"), CFS_RC_INTRA_GROUP_NET);
  }
  ASSERT_TRUE(cluster.nodes[2]->start());
  ASSERT_TRUE(eventually([&] { return cluster.nodes[1]->usage().used_bytes == 64 * 4096; }));
  ASSERT_EQ(cluster.knobs[0]->set("tiny_repair_ms=0"), "");
  EXPECT_EQ(cluster.tiny("def"), CFS_RC_OK) << "the primary starts behind its follower's end";
}

TEST(DataTiny, DeletedRangesReadAsZeros) {
  Cluster cluster(2);
  Client client(cluster.address(0));
  cluster.send_tiny(client, pattern(8192));
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  const uint64_t id = answer->header.extent_id;
  cluster.directory.delete_extent(Cluster::kPartition, id, 0, 4096, true);
  for (size_t node = 0; node < 2; ++node) {
    EXPECT_EQ(cluster.bytes(id, 0, 4096, node), std::string(4096, '\0'));
    EXPECT_EQ(cluster.bytes(id, 4096, 4096, node), pattern(8192).substr(4096));
  }
}

}  // namespace
}  // namespace cfs::mini::test
