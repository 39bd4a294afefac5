// SPDX-License-Identifier: Apache-2.0
/// Meta nodes over TCP: order of answers, followers, lost leaders, faults.
///
/// Breaks if    a client's retry and leader logic would meet other behaviour here than on a real
///              cluster, or a fault request does not do what it says.
#include "tests/unit/minicluster_test.h"

namespace cfs::mini::test {
namespace {

class MetaNodes : public testing::Test {
 protected:
  MetaNodes() : mp_(cluster_.partitions().front()) {
    cluster_.fault("action=policy&election_ms=400");
  }

  [[nodiscard]] std::string follower() const {
    for (const std::string& member : mp_.members) {
      if (member != cluster_.leader(mp_)) return member;
    }
    return {};
  }
  wire::Packet get_root(const std::string& arg = {}) const {
    wire::Packet p = wire::meta_request(CFS_MOP_INODE_GET, mp_.id, 0,
                                        wire::encode(get_inode(mp_.id, CFS_ROOT_INO)));
    p.arg = arg;
    return p;
  }
  uint8_t result_from(const std::string& node, const wire::Packet& request) {
    MetaConn conn(node);
    std::optional<wire::Packet> reply = conn.exchange(request);
    return reply ? reply->h.result : 0;
  }

  TestCluster cluster_;
  MetaPartition mp_;
};

TEST_F(MetaNodes, PipelinedRequestsAreAnsweredInOrder) {
  MetaConn conn(cluster_.leader(mp_));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(conn.send(get_root()));
  for (int64_t id = 1; id <= 3; ++id) {
    std::optional<wire::Packet> reply = conn.receive();
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->h.req_id, id);
  }
}

TEST_F(MetaNodes, ReplyHasTheHeaderLengthOfItsRequest) {
  MetaConn conn(cluster_.leader(mp_));
  wire::Packet old = get_root();
  old.h.extent_type = 0;
  EXPECT_EQ(conn.exchange(old)->h.extent_type, 0);
  EXPECT_EQ(conn.exchange(get_root())->h.extent_type, CFS_ET_PROTO_VERSION);
}

TEST_F(MetaNodes, UnknownOpcodeAndPingAreNeverAnswered) {
  MetaConn conn(cluster_.leader(mp_));
  for (int op : {0x1F, 0xFF}) {
    wire::Packet p = wire::meta_request(static_cast<uint8_t>(op), mp_.id, 0, "{}");
    EXPECT_FALSE(conn.exchange(p, kSilenceMs).has_value());
    EXPECT_FALSE(conn.ended()) << "the connection stays open";
  }
  EXPECT_TRUE(conn.exchange(get_root()).has_value());
}

TEST_F(MetaNodes, BytesThatAreNoPacketEndTheConnection) {
  Socket socket(cluster_.leader(mp_));
  socket.send(std::string(100, 'x'));
  bool ended = false;
  socket.receive(kPatienceMs, &ended);
  EXPECT_TRUE(ended);
}

TEST_F(MetaNodes, FollowerProxiesAndServesReadsWhenAskedTo) {
  const std::string other = follower();
  EXPECT_EQ(result_from(other, get_root()), CFS_RC_OK);
  cluster_.fault("action=hang&node=" + cluster_.leader(mp_));
  EXPECT_EQ(result_from(other, get_root(CFS_ARG_FOLLOWER_READ)), CFS_RC_OK)
      << "does not need the leader";
}

TEST_F(MetaNodes, AppliedIdIsLocalAndGrowsWithChanges) {
  wire::GetAppliedIdReq req;
  req.pid = mp_.id;
  MetaConn at_follower(follower()), at_leader(cluster_.leader(mp_));
  auto applied = [&] { return cfs_get64(at_follower.call(req, mp_.id).data.data()); };
  const uint64_t before = applied();
  at_leader.ok(new_file(mp_.id), mp_.id);
  EXPECT_GT(applied(), before);
}

TEST_F(MetaNodes, DeadLeaderIsRefusedUnknownThenReplaced) {
  const std::string leader = cluster_.leader(mp_), other = follower();
  cluster_.fault("action=policy&election_ms=2000");
  cluster_.fault("action=stop&node=" + leader);
  EXPECT_FALSE(MetaConn(leader).connected());
  MetaConn conn(other);
  std::optional<wire::Packet> reply = conn.exchange(get_root());
  EXPECT_EQ(reply->h.result, CFS_RC_ERR);
  EXPECT_NE(reply->data.find("connection refused"), std::string::npos) << reply->data;
  EXPECT_TRUE(eventually([&] { return conn.exchange(get_root())->h.result == CFS_RC_AGAIN; }));
  EXPECT_TRUE(eventually([&] { return conn.exchange(get_root())->h.result == CFS_RC_OK; }));
  EXPECT_NE(cluster_.leader(mp_), leader);
  cluster_.fault("action=start&node=" + leader);
  EXPECT_EQ(result_from(leader, get_root()), CFS_RC_OK);
}

TEST_F(MetaNodes, WithoutAMajorityThereIsNoLeader) {
  cluster_.fault("action=stop&node=" + mp_.members[0]);
  cluster_.fault("action=stop&node=" + mp_.members[1]);
  MetaConn conn(mp_.members[2]);
  std::optional<wire::Packet> reply = conn.exchange(get_root());
  EXPECT_EQ(reply->h.result, CFS_RC_AGAIN);
  EXPECT_EQ(reply->data, "mpId(" + std::to_string(mp_.id) + ") no leader");
  EXPECT_EQ(conn.exchange(get_root(CFS_ARG_FOLLOWER_READ))->h.result, CFS_RC_OK);
  EXPECT_EQ(cluster_.leader(mp_), "");
}

TEST_F(MetaNodes, HungNodeAnswersAfterItWakes) {
  const std::string node = cluster_.leader(mp_);
  cluster_.fault("action=hang&node=" + node);
  MetaConn conn(node);
  EXPECT_TRUE(conn.connected());
  EXPECT_FALSE(conn.exchange(get_root(), kSilenceMs).has_value());
  cluster_.fault("action=start&node=" + node);
  EXPECT_TRUE(conn.receive().has_value()) << "the request was not lost";
}

TEST_F(MetaNodes, MovingALeaderResetsConnections) {
  const std::string before = cluster_.leader(mp_);
  MetaConn conn(before);
  EXPECT_TRUE(conn.exchange(get_root()).has_value());
  cluster_.fault("action=leader&mp=" + std::to_string(mp_.id) + "&to=1");
  EXPECT_FALSE(conn.receive().has_value());
  EXPECT_TRUE(conn.ended());
  EXPECT_EQ(cluster_.leader(mp_), mp_.members[1]);
}

TEST_F(MetaNodes, DroppedReplyWasExecuted) {
  MetaConn conn(cluster_.leader(mp_));
  const uint64_t first = conn.ok(new_file(mp_.id), mp_.id).info.ino;
  cluster_.fault("action=drop_reply&op=0x20");
  wire::Packet create =
      wire::meta_request(CFS_MOP_CREATE_INODE, mp_.id, 0, wire::encode(new_file(mp_.id)));
  EXPECT_FALSE(conn.exchange(create, kSilenceMs).has_value());
  EXPECT_EQ(conn.ok(new_file(mp_.id), mp_.id).info.ino, first + 2);
}

TEST_F(MetaNodes, CloseAfterExecutesAndResets) {
  cluster_.fault("action=close_after&op=0x27");
  MetaConn conn(cluster_.leader(mp_));
  EXPECT_FALSE(conn.exchange(get_root()).has_value());
  EXPECT_TRUE(conn.ended());
}

TEST_F(MetaNodes, ForcedResultCountsAndDoesNotExecute) {
  cluster_.fault("action=force_result&op=0x20&value=0xE1&count=2&node=" + cluster_.leader(mp_));
  MetaConn conn(cluster_.leader(mp_));
  EXPECT_EQ(conn.call(new_file(mp_.id), mp_.id).h.result, CFS_RC_TX_CONFLICT);
  EXPECT_EQ(conn.call(new_file(mp_.id), mp_.id).h.result, CFS_RC_TX_CONFLICT);
  EXPECT_EQ(conn.ok(new_file(mp_.id), mp_.id).info.ino, 2u);
}

TEST_F(MetaNodes, DelayIsServed) {
  cluster_.fault("action=delay&value=200&count=0");
  MetaConn conn(cluster_.leader(mp_));
  EXPECT_FALSE(conn.exchange(get_root(), 50).has_value());
  EXPECT_TRUE(conn.receive().has_value());
  cluster_.fault("action=clear");
}

TEST_F(MetaNodes, SplitMovesTheEndOfTheRange) {
  MetaPartition last = cluster_.partitions().back();
  cluster_.fault("action=split&vol=testvol&room=1");
  auto all = cluster_.partitions();
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[2].end, last.start + 1);
  EXPECT_EQ(all[3].start, all[2].end + 1);
  EXPECT_EQ(all[3].end, kMaxInode);
  MetaConn conn(cluster_.leader(all[2]));
  conn.ok(new_file(last.id), last.id);
  EXPECT_EQ(conn.call(new_file(last.id), last.id).h.result, CFS_RC_INODE_FULL);
  MetaConn at_new(cluster_.leader(all[3]));
  EXPECT_EQ(at_new.ok(new_file(all[3].id), all[3].id).info.ino, all[3].start + 1);
}

TEST_F(MetaNodes, TransactionOverTwoPartitionsEndsAtomically) {
  auto all = cluster_.partitions();
  MetaConn first(cluster_.leader(all[0])), second(cluster_.leader(all[1]));
  const uint64_t ino = second.ok(new_file(all[1].id), all[1].id).info.ino;
  wire::TxCreateReq create;
  create.pid = all[0].id;
  create.tx.emplace();
  create.tx->tx_type = wire::kTxLink;
  create.tx->timeout_min = 1;
  create.tx->inodes[ino] = {ino, all[1].id, 0, 0, "", ""};
  auto tx = first.ok(create, all[0].id).tx;
  wire::TxLinkInodeReq link;
  link.pid = all[1].id;
  link.ino = ino;
  link.tx = tx;
  EXPECT_EQ(second.ok(link, all[1].id).info.nlink, 2u);
  wire::TxRollbackReq rollback;
  rollback.tx_id = tx->tx_id;
  rollback.tm_id = all[0].id;
  EXPECT_EQ(first.call(rollback, all[0].id).h.result, CFS_RC_OK);
  EXPECT_EQ(second.ok(get_inode(all[1].id, ino), all[1].id).info.nlink, 1u);
}

TEST_F(MetaNodes, StatsCountRequestsPerOpcode) {
  MetaConn conn(cluster_.leader(mp_));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(conn.exchange(get_root()).has_value());
  json stats = cluster_.get("/mini/stats").parsed()["data"];
  EXPECT_EQ(stats["meta"][cluster_.leader(mp_)]["ops"]["MetaInodeGet"], 3);
}

TEST_F(MetaNodes, FreedExtentsAreDeletedOnTheDataNodes) {
  TopologyPtr topology = cluster_->topology().get();
  const DataPartitionRow* dp = topology->data_of("testvol").front();
  wire::Packet create;
  create.h.extent_type = CFS_ET_PROTO_VERSION | CFS_ET_NORMAL;
  create.h.proto_version = CFS_PROTO_VERSION;
  create.h.opcode = CFS_DOP_CREATE_EXTENT;
  create.h.partition_id = dp->id;
  create.h.followers = static_cast<uint8_t>(dp->hosts.size() - 1);
  create.arg = dp->hosts[1] + "/" + dp->hosts[2] + "/";
  create.data = std::string(8, '\0');
  MetaConn data(dp->hosts[0]);
  std::optional<wire::Packet> made = data.exchange(create);
  ASSERT_TRUE(made.has_value());
  ASSERT_EQ(made->h.result, CFS_RC_OK) << made->data;
  auto extents = [&] {
    return cluster_->find_data_slot(dp->hosts[2])->node->usage(dp->id).extents;
  };
  EXPECT_EQ(extents(), 1u);
  json stats = cluster_.get("/mini/stats").parsed()["data"]["data"];
  EXPECT_EQ(stats[dp->hosts[2]]["ops"][wire::op_name(CFS_DOP_CREATE_EXTENT, wire::Peer::kData)], 1)
      << "forwarded requests count, too";
  MetaConn conn(cluster_.leader(mp_));
  const uint64_t ino = conn.ok(new_file(mp_.id), mp_.id).info.ino;
  wire::ExtentAddCheckReq add;
  add.pid = mp_.id;
  add.ino = ino;
  add.extent = {0, dp->id, made->h.extent_id, 0, 4096, 0, std::nullopt};
  EXPECT_EQ(conn.call(add, mp_.id).h.result, CFS_RC_OK);
  wire::TruncateReq truncate;
  truncate.pid = mp_.id;
  truncate.ino = ino;
  EXPECT_EQ(conn.call(truncate, mp_.id).h.result, CFS_RC_OK);
  EXPECT_TRUE(eventually([&] { return extents() == 0; }));
}

}  // namespace
}  // namespace cfs::mini::test
