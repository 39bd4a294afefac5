// SPDX-License-Identifier: Apache-2.0
/// If this fails, a lost reply, a refusal in the middle, a dead leader or a silent master shows up as
/// a wrong name, a wrong link count or a hang.
#include "daemon/base/net.h"
#include "tests/daemon/volume_fixture.h"
#include "tests/peer.h"

namespace cfs::test {
namespace {

using mini::FaultKind;

class FaultTest : public VolumeTest {
 protected:
  void use_mask(const std::string& mask) {
    mini::Volume settings;
    settings.tx_mask = mask;
    settings.tx_retry_ms = 20;
    make_volume(settings);
  }
  void expect_links(Ino ino, std::uint32_t wanted) {
    const Result<Attr> attr = getattr(ino);
    EXPECT_EQ(wanted, attr.ok() ? attr->nlink : 0);
  }
  /// Executed, then the connection is reset.
  static void lose_reply_of(int op) { arm(FaultKind::kCloseAfter, op); }
  static void refuse(int op, std::uint32_t result, std::uint64_t count = 1) {
    arm(FaultKind::kForceResult, op, result, count);
  }
};

// ---------------------------------------------------------------- lost replies, no transactions

TEST_F(FaultTest, CreateSurvivesLostReplies) {
  use_mask("off");
  for (const int op : {CFS_MOP_CREATE_INODE, CFS_MOP_CREATE_DENTRY}) {
    lose_reply_of(op);
    const std::string name = "f" + std::to_string(op);
    const Result<Attr> made = create(kRoot, name);
    ASSERT_TRUE(made.ok()) << made.error().text();
    EXPECT_EQ(made->ino, lookup(kRoot, name)->ino);
    expect_links(made->ino, 1);
  }
}

TEST_F(FaultTest, UnlinkSurvivesLostReplies) {
  use_mask("off");
  for (const int op : {CFS_MOP_BATCH_DELETE_DENTRY, CFS_MOP_UNLINK_INODE}) {
    for (const bool two_names : {false, true}) {
      const Ino f = make(kRoot, "f");
      if (two_names) {
        ASSERT_TRUE(link(f, kRoot, "g").ok());
      }
      lose_reply_of(op);
      const Result<Attr> gone = unlink(kRoot, "f");
      ASSERT_TRUE(gone.ok()) << gone.error().text();
      EXPECT_EQ(two_names ? 1u : 0u, gone->nlink);
      expect_links(f, two_names ? 1 : 0);
      if (two_names) {
        ASSERT_TRUE(unlink(kRoot, "g").ok());
      }
    }
  }
}

TEST_F(FaultTest, LinkSurvivesLostReplies) {
  use_mask("off");
  const Ino f = make(kRoot, "f");
  std::uint32_t links = 1;
  for (const int op : {CFS_MOP_LINK_INODE, CFS_MOP_CREATE_DENTRY}) {
    lose_reply_of(op);
    const Result<Attr> made = link(f, kRoot, "g" + std::to_string(op));
    ASSERT_TRUE(made.ok()) << made.error().text();
    expect_links(f, ++links);
  }
}

class LostInRename : public FaultTest,
                     public ::testing::WithParamInterface<std::pair<const char*, int>> {};

TEST_P(LostInRename, NamesAndLinksAreRight) {
  use_mask(GetParam().first);
  for (const bool replace : {false, true}) {
    const Ino f = make(kRoot, "f");
    const Ino g = replace ? make(kRoot, "g") : 0;
    cluster_->faults().clear();
    lose_reply_of(GetParam().second);
    const Result<Attr> old = rename(kRoot, "f", kRoot, "g");
    ASSERT_TRUE(old.ok()) << old.error().text();
    EXPECT_EQ(g, old->ino);
    EXPECT_EQ(std::vector<std::string>{"g"}, names(kRoot));
    EXPECT_EQ(f, lookup(kRoot, "g")->ino);
    expect_links(f, 1);
    if (replace) expect_links(g, 0);
    ASSERT_TRUE(unlink(kRoot, "g").ok());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Ops, LostInRename,
    ::testing::Values(std::pair{"off", static_cast<int>(CFS_MOP_LINK_INODE)},
                      std::pair{"off", static_cast<int>(CFS_MOP_CREATE_DENTRY)},
                      std::pair{"off", static_cast<int>(CFS_MOP_UPDATE_DENTRY)},
                      std::pair{"off", static_cast<int>(CFS_MOP_BATCH_DELETE_DENTRY)},
                      std::pair{"off", static_cast<int>(CFS_MOP_UNLINK_INODE)},
                      std::pair{"rename", static_cast<int>(CFS_MOP_TX_CREATE)},
                      std::pair{"rename", static_cast<int>(CFS_MOP_TX_CREATE_DENTRY)},
                      std::pair{"rename", static_cast<int>(CFS_MOP_TX_DELETE_DENTRY)},
                      std::pair{"rename", static_cast<int>(CFS_MOP_TX_UPDATE_DENTRY)},
                      std::pair{"rename", static_cast<int>(CFS_MOP_TX_UNLINK_INODE)},
                      std::pair{"rename", static_cast<int>(CFS_MOP_TX_COMMIT)}),
    [](const auto& info) {
      return std::string(info.param.first) + "_" +
             wire::op_name(static_cast<std::uint8_t>(info.param.second), wire::Peer::kMeta);
    });

TEST_F(FaultTest, TransactionsOfOtherOperationsSurviveLostReplies) {
  use_mask("all");
  for (const int op : {CFS_MOP_TX_CREATE_INODE, CFS_MOP_TX_CREATE_DENTRY, CFS_MOP_TX_COMMIT}) {
    lose_reply_of(op);
    EXPECT_TRUE(create(kRoot, "f" + std::to_string(op)).ok()) << op;
    cluster_->faults().clear();
  }
  const Ino f = make(kRoot, "x");
  for (const int op : {CFS_MOP_TX_CREATE, CFS_MOP_TX_LINK_INODE, CFS_MOP_TX_COMMIT}) {
    lose_reply_of(op);
    EXPECT_TRUE(link(f, kRoot, "y").ok()) << op;
    expect_links(f, 2);
    cluster_->faults().clear();
    ASSERT_TRUE(unlink(kRoot, "y").ok());
  }
  for (const int op :
       {CFS_MOP_TX_CREATE, CFS_MOP_TX_DELETE_DENTRY, CFS_MOP_TX_UNLINK_INODE, CFS_MOP_TX_COMMIT}) {
    const Ino z = make(kRoot, "z");
    lose_reply_of(op);
    EXPECT_TRUE(unlink(kRoot, "z").ok()) << op;
    expect_links(z, 0);
    cluster_->faults().clear();
  }
}

// ---------------------------------------------------------------- refusals in the middle

TEST_F(FaultTest, CreateWithoutNameRemovesItsInode) {
  use_mask("off");
  refuse(CFS_MOP_CREATE_DENTRY, CFS_RC_DIR_QUOTA);
  EXPECT_EQ(EDQUOT, create(kRoot, "f").code());
  EXPECT_EQ(ENOENT, lookup(kRoot, "f").code());
  const auto counts = cluster_->meta().op_counts();
  std::uint64_t evicts = 0;
  for (const auto& [node, ops] : counts) evicts += ops[CFS_MOP_EVICT_INODE];
  EXPECT_GT(evicts, 0u);
}

TEST_F(FaultTest, LinkWithoutNameTakesTheLinkBack) {
  use_mask("off");
  const Ino f = make(kRoot, "f");
  refuse(CFS_MOP_CREATE_DENTRY, CFS_RC_DIR_QUOTA);
  EXPECT_EQ(EDQUOT, link(f, kRoot, "g").code());
  expect_links(f, 1);
}

TEST_F(FaultTest, RenameIsUndoneWhenTheOldNameStays) {
  use_mask("off");
  const Ino f = make(kRoot, "f");
  refuse(CFS_MOP_BATCH_DELETE_DENTRY, CFS_RC_NOT_PERM);
  EXPECT_EQ(EPERM, rename(kRoot, "f", kRoot, "new").code());
  EXPECT_EQ(std::vector<std::string>{"f"}, names(kRoot));
  expect_links(f, 1);
  const Ino g = make(kRoot, "g");
  refuse(CFS_MOP_BATCH_DELETE_DENTRY, CFS_RC_NOT_PERM);
  EXPECT_EQ(EPERM, rename(kRoot, "f", kRoot, "g").code());
  EXPECT_EQ(g, lookup(kRoot, "g")->ino);
  expect_links(f, 1);
  expect_links(g, 1);
}

TEST_F(FaultTest, ARefusedPartRollsTheTransactionBack) {
  use_mask("rename");
  const Ino f = make(kRoot, "f");
  const Ino g = make(kRoot, "g");
  refuse(CFS_MOP_TX_DELETE_DENTRY, CFS_RC_NOT_EXIST);
  EXPECT_EQ(ENOENT, rename(kRoot, "f", kRoot, "g").code());
  EXPECT_EQ(f, lookup(kRoot, "f")->ino);
  EXPECT_EQ(g, lookup(kRoot, "g")->ino);
  expect_links(g, 1);
  EXPECT_TRUE(rename(kRoot, "f", kRoot, "g").ok());  // nothing is locked any more
}

TEST_F(FaultTest, ConflictsOfTransactionsAreRepeated) {
  use_mask("off");
  make(kRoot, "f");
  refuse(CFS_MOP_BATCH_DELETE_DENTRY, CFS_RC_TX_CONFLICT, 3);
  EXPECT_TRUE(unlink(kRoot, "f").ok());
}

TEST_F(FaultTest, FullPartitionsArePassedOver) {
  use_mask("off");
  refuse(CFS_MOP_CREATE_INODE, CFS_RC_INODE_FULL);
  EXPECT_TRUE(create(kRoot, "f").ok());
  refuse(CFS_MOP_CREATE_INODE, CFS_RC_INODE_FULL, 1000);
  EXPECT_EQ(ENOMEM, create(kRoot, "g").code());
}

// ---------------------------------------------------------------- dead and hung nodes

TEST_F(FaultTest, EveryMetaNodeMayDie) {
  use_mask("rename");
  make(kRoot, "f");
  for (std::size_t i = 0; i < 3; ++i) {
    const std::string node = cluster_->meta_nodes()[i]->address();
    cluster_->meta().set_node_state(node, mini::NodeState::kStopped);
    const std::string name = "while-" + std::to_string(i);
    EXPECT_TRUE(create(kRoot, name).ok()) << name;
    EXPECT_TRUE(rename(kRoot, name, kRoot, name + "-gone").ok()) << name;
    EXPECT_TRUE(lookup(kRoot, "f").ok());
    cluster_->meta().set_node_state(node, mini::NodeState::kUp);
  }
  EXPECT_EQ(4u, names(kRoot).size());
}

TEST_F(FaultTest, AHungMetaNodeIsPassedOver) {
  use_mask("off");
  make(kRoot, "f");
  const std::string node = cluster_->meta_nodes()[0]->address();
  cluster_->meta().set_node_state(node, mini::NodeState::kHung);
  const std::int64_t begin = Loop::now_ms();
  EXPECT_TRUE(lookup(kRoot, "f").ok());
  EXPECT_TRUE(create(kRoot, "g").ok());
  EXPECT_LT(Loop::now_ms() - begin, 19000);
  cluster_->meta().set_node_state(node, mini::NodeState::kUp);
}

TEST_F(FaultTest, LeadersMayMove) {
  use_mask("rename");
  const mini::TopologyPtr topology = cluster_->topology().get();
  for (std::size_t to = 0; to < 3; ++to) {
    for (const mini::MetaPartition* mp : topology->meta_of(name_)) {
      cluster_->move_meta_leader(mp->id, to);
    }
    const std::string name = "f" + std::to_string(to);
    EXPECT_TRUE(create(kRoot, name).ok());
    EXPECT_TRUE(rename(kRoot, name, kRoot, name + "-moved").ok());
  }
  EXPECT_EQ(3u, names(kRoot).size());
}

TEST_F(FaultTest, ReadsNeedNoLeader) {
  mini::Volume settings;
  settings.leader_retry_s = 1;
  make_volume(settings);
  const Ino f = make(kRoot, "f");
  refuse(CFS_MOP_LOOKUP, CFS_RC_AGAIN, 20);
  const Result<Attr> found = lookup(kRoot, "f");
  ASSERT_TRUE(found.ok()) << found.error().text();
  EXPECT_EQ(f, found->ino);
  EXPECT_GT(volume_->counters().meta_retries, 0u);
}

TEST_F(FaultTest, AMissingObjectDoesNotUseUpTheBudget) {
  refuse(CFS_MOP_SET_XATTR, CFS_RC_AGAIN, 2);
  const Ino f = make(kRoot, "f");
  EXPECT_TRUE(await(volume_->setxattr(f, "user.a", "1", 0)).ok());
}

/// Take an inode away below its name, as a client that died between two requests may have.
Task<bool> drop_inode(Loop& loop, MountConfig config, Ino ino) {
  auto views = std::make_shared<ViewKeeper>(
      loop, std::make_unique<HttpMaster>(loop, config.masters), config);
  const Result<void> opened = co_await views->open();
  if (!opened.ok()) co_return false;
  MetaOps ops(loop, views, config);
  const Answer<wire::InodeReply> unlinked = co_await ops.unlink_inode(ino, 0);
  const Answer<wire::NoBody> evicted = co_await ops.evict(ino);
  views->stop();
  ops.client().close();
  co_return unlinked.ok() && evicted.ok();
}

TEST_F(FaultTest, NamesWithoutInodesCanBeRemoved) {
  use_mask("off");
  const Ino f = make(kRoot, "f");
  ASSERT_TRUE(await(drop_inode(loop_.loop(), config(), f)));
  const Result<Attr> ghost = lookup(kRoot, "f");
  ASSERT_TRUE(ghost.ok()) << ghost.error().text();
  EXPECT_EQ(f, ghost->ino);
  EXPECT_EQ(static_cast<std::uint32_t>(S_IFREG), ghost->mode);
  const std::vector<DirEntry> entries = list(kRoot);
  ASSERT_EQ(1u, entries.size());
  EXPECT_EQ(0u, entries[0].attr.ino);
  EXPECT_TRUE(unlink(kRoot, "f").ok());
  EXPECT_TRUE(names(kRoot).empty());
}

// ---------------------------------------------------------------- masters

/// Whoever asks it is connected, and waits.
class SilentMaster : public Peer {
 public:
  SilentMaster() { hear(); }
};

/// Every wait ends at the mount's deadline, whatever it waits for: a member that accepts and says
/// nothing, a transaction that never ends.
TEST_F(FaultTest, RequestsEndAtTheMountsDeadline) {
  const Ino f = make(kRoot, "f");
  close();
  MountConfig c = config();
  c.meta_timeout_s = 2;
  auto opened = await(Volume::open(loop_.loop(), c));
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  volume_ = *opened;
  arm(mini::FaultKind::kForceResult, CFS_MOP_CREATE_DENTRY, CFS_RC_TX_CONFLICT, 1000);
  std::int64_t begin = Loop::now_ms();
  EXPECT_FALSE(create(kRoot, "locked").ok());
  EXPECT_LT(Loop::now_ms() - begin, 4000);
  cluster_->faults().clear();
  for (const auto& node : cluster_->meta_nodes()) node->hang(true);
  begin = Loop::now_ms();
  EXPECT_FALSE(getattr(f).ok());
  EXPECT_FALSE(create(kRoot, "g").ok());
  const std::int64_t spent = Loop::now_ms() - begin;
  for (const auto& node : cluster_->meta_nodes()) node->hang(false);
  EXPECT_GE(spent, 3500);  // and not before
  EXPECT_LT(spent, 7000);
  EXPECT_TRUE(getattr(f).ok());
}

TEST_F(FaultTest, SilentMastersEndTheMountSoon) {
  const SilentMaster silent;
  MountConfig c = config();
  c.masters = {silent.address()};
  const std::int64_t begin = Loop::now_ms();
  const auto opened = await(Volume::open(loop_.loop(), c));
  EXPECT_EQ(ETIMEDOUT, opened.code());
  EXPECT_LT(Loop::now_ms() - begin, 11000);
}

TEST_F(FaultTest, ASilentMasterIsPassedOver) {
  const SilentMaster silent;
  MountConfig c = config();
  c.masters.insert(c.masters.begin(), silent.address());
  auto opened = await(Volume::open(loop_.loop(), c));
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  await(close_volume(*opened));
}

/// Answers nobody before so many ask.
class Crowded final : public MasterService {
 public:
  Crowded(Loop& loop, std::vector<std::string> masters, std::size_t wanted)
      : loop_(loop), real_(loop, std::move(masters)), wanted_(wanted) {}
  Task<Result<std::string>> ask(MasterRequest request) override {
    if (++asking_ == wanted_) there_.set();
    while (!there_.is_set()) {
      if (Loop::now_ms() > request.deadline_ms) co_return make_error(ETIMEDOUT, "asked alone");
      co_await loop_.sleep(Millis(10));
    }
    co_return co_await real_.ask(std::move(request));
  }
  void stop() override { real_.stop(); }
  [[nodiscard]] std::uint64_t requests() const override { return real_.requests(); }

 private:
  Loop& loop_;
  HttpMaster real_;
  std::size_t wanted_;
  std::size_t asking_ = 0;
  Event there_;
};

Task<Result<void>> open_views(Loop& loop, MountConfig config, std::size_t crowd) {
  auto master = std::make_unique<Crowded>(loop, config.masters, crowd);
  auto views = std::make_shared<ViewKeeper>(loop, std::move(master), config);
  Result<void> opened = co_await views->open();
  views->stop();
  co_return opened;
}

/// A mount waits for two rounds of questions, not for seven.
TEST_F(FaultTest, MountAsksMastersSideBySide) {
  Result<void> opened = await(open_views(loop_.loop(), config(), 5));
  EXPECT_TRUE(opened.ok()) << opened.error().text();
  MountConfig no_owner = config();
  no_owner.owner.clear();
  opened = await(open_views(loop_.loop(), no_owner, 4));
  EXPECT_TRUE(opened.ok()) << opened.error().text();
}

}  // namespace
}  // namespace cfs::test
