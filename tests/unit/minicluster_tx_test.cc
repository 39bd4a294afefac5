// SPDX-License-Identifier: Apache-2.0
/// Rules of transactions in the meta partition's state machine.
///
/// Breaks if    a prepared change is not visible or not locked, a commit or rollback leaves a half, or
///              a refusal has another code than on a real cluster.
#include "tests/unit/minicluster_machine.h"

namespace cfs::mini::test {
namespace {

/// Transactions: file "a" in the root, the target name is "b".
class Transactions : public Machine {
 protected:
  Transactions() : a_(file()) { EXPECT_EQ(name(CFS_ROOT_INO, "a", a_), CFS_RC_OK); }

  wire::TransactionInfo begin(uint32_t type, std::vector<std::string> names,
                              std::vector<uint64_t> inos = {}) {
    wire::TxCreateReq req;
    req.tx.emplace();
    req.tx->tx_type = type;
    req.tx->tm_id = kPid;
    req.tx->timeout_min = 1;
    for (const std::string& n : names) {
      wire::TxDentryInfo part;
      part.parent_id = CFS_ROOT_INO;
      part.name = n;
      part.mp_id = kPid;
      req.tx->dentries[wire::tx_dentry_key(CFS_ROOT_INO, n)] = part;
    }
    for (uint64_t ino : inos) {
      wire::TxInodeInfo part;
      part.ino = ino;
      part.mp_id = kPid;
      req.tx->inodes[ino] = part;
    }
    return ok(req).tx.value();
  }
  uint8_t tx_create(const wire::TransactionInfo& tx, const std::string& n, uint64_t ino) {
    wire::TxCreateDentryReq req;
    req.pino = CFS_ROOT_INO;
    req.name = n;
    req.ino = ino;
    req.mode = 0644;
    req.tx = tx;
    return rc(req);
  }
  uint8_t tx_delete(const wire::TransactionInfo& tx, const std::string& n, uint64_t ino) {
    wire::TxDeleteDentryReq req;
    req.pino = CFS_ROOT_INO;
    req.name = n;
    req.ino = ino;
    req.tx = tx;
    return rc(req);
  }
  uint8_t tx_update(const wire::TransactionInfo& tx, const std::string& n, uint64_t ino,
                    uint64_t old) {
    wire::TxUpdateDentryReq req;
    req.pino = CFS_ROOT_INO;
    req.name = n;
    req.ino = ino;
    req.old_ino = old;
    req.tx = tx;
    return rc(req);
  }
  MetaReply tx_unlink(const wire::TransactionInfo& tx, uint64_t ino) {
    wire::TxUnlinkInodeReq req;
    req.ino = ino;
    req.tx = tx;
    return call(req);
  }
  uint8_t commit(const wire::TransactionInfo& tx) {
    wire::TxCommitReq req;
    req.tx_id = tx.tx_id;
    return rc(req);
  }
  uint8_t rollback(const wire::TransactionInfo& tx) {
    wire::TxRollbackReq req;
    req.tx_id = tx.tx_id;
    return rc(req);
  }

  const uint64_t a_;
};

TEST_F(Transactions, RenameCommits) {
  wire::TransactionInfo tx = begin(wire::kTxRename, {"a", "b"});
  EXPECT_EQ(tx.tx_id, "7_1");
  EXPECT_EQ(tx.state, wire::kTxPreCommit);
  EXPECT_EQ(tx_create(tx, "b", a_), CFS_RC_OK);
  EXPECT_EQ(tx_delete(tx, "a", a_), CFS_RC_OK);
  EXPECT_EQ(lookup(CFS_ROOT_INO, "b"), a_) << "visible before the commit";
  EXPECT_EQ(stat(CFS_ROOT_INO).nlink, 4u) << "the deletion counts at the commit";
  EXPECT_EQ(commit(tx), CFS_RC_OK);
  EXPECT_EQ(stat(CFS_ROOT_INO).nlink, 3u);
  EXPECT_EQ(lookup(CFS_ROOT_INO, "a"), 0u);
  EXPECT_EQ(commit(tx), CFS_RC_OK) << "repeated";
  EXPECT_EQ(stat(CFS_ROOT_INO).nlink, 3u);
  EXPECT_EQ(rollback(tx), CFS_RC_TX_SET_STATE);
}

TEST_F(Transactions, RenameRollsBack) {
  wire::TransactionInfo tx = begin(wire::kTxRename, {"a", "b"});
  EXPECT_EQ(tx_create(tx, "b", a_), CFS_RC_OK);
  EXPECT_EQ(tx_delete(tx, "a", a_), CFS_RC_OK);
  EXPECT_EQ(rollback(tx), CFS_RC_OK);
  EXPECT_EQ(lookup(CFS_ROOT_INO, "a"), a_);
  EXPECT_EQ(lookup(CFS_ROOT_INO, "b"), 0u);
  EXPECT_EQ(stat(CFS_ROOT_INO).nlink, 3u);
  EXPECT_EQ(rollback(tx), CFS_RC_OK) << "repeated";
  EXPECT_EQ(commit(tx), CFS_RC_TX_SET_STATE);
}

TEST_F(Transactions, RenameOverAFileEvictsIt) {
  uint64_t b = file();
  EXPECT_EQ(name(CFS_ROOT_INO, "b", b), CFS_RC_OK);
  wire::TransactionInfo tx = begin(wire::kTxRename, {"a", "b"}, {b});
  EXPECT_EQ(tx_update(tx, "b", a_, b), CFS_RC_OK);
  MetaReply unlinked = tx_unlink(tx, b);
  EXPECT_EQ(wire::decode<wire::TxInodeReply>(unlinked.data)->info.ino, 0u) << "all zero";
  EXPECT_EQ(tx_delete(tx, "a", a_), CFS_RC_OK);
  EXPECT_EQ(commit(tx), CFS_RC_OK);
  EXPECT_EQ(lookup(CFS_ROOT_INO, "b"), a_);
  EXPECT_EQ(stat_rc(b), CFS_RC_NOT_EXIST);
}

TEST_F(Transactions, RolledBackOverwriteRestoresBoth) {
  uint64_t b = file();
  EXPECT_EQ(name(CFS_ROOT_INO, "b", b), CFS_RC_OK);
  wire::TransactionInfo tx = begin(wire::kTxRename, {"a", "b"}, {b});
  EXPECT_EQ(tx_update(tx, "b", a_, b), CFS_RC_OK);
  EXPECT_EQ(tx_unlink(tx, b).result, CFS_RC_OK);
  EXPECT_EQ(rollback(tx), CFS_RC_OK);
  EXPECT_EQ(lookup(CFS_ROOT_INO, "b"), b);
  EXPECT_EQ(stat(b).nlink, 1u);
  now_ += policy_.orphan_s + 1;
  reclaim_now();
  EXPECT_EQ(stat_rc(b), CFS_RC_OK) << "no orphan any more";
}

TEST_F(Transactions, LockedNamesAndInodesConflict) {
  wire::TransactionInfo tx = begin(wire::kTxRemove, {"a"}, {a_});
  EXPECT_EQ(tx_delete(tx, "a", a_), CFS_RC_OK);
  EXPECT_EQ(tx_unlink(tx, a_).result, CFS_RC_OK);
  EXPECT_EQ(name(CFS_ROOT_INO, "a", file()), CFS_RC_TX_CONFLICT);
  EXPECT_EQ(remove(CFS_ROOT_INO, "a").result, CFS_RC_TX_CONFLICT);
  EXPECT_EQ(unlink(a_).result, CFS_RC_TX_CONFLICT);
  EXPECT_EQ(evict(a_), CFS_RC_TX_CONFLICT);
  wire::LinkInodeReq link;
  link.ino = a_;
  EXPECT_EQ(rc(link), CFS_RC_NOT_EXIST) << "this request words it differently";
  wire::UpdateDentryReq update;
  update.pino = CFS_ROOT_INO;
  update.name = "a";
  update.ino = 99;
  EXPECT_EQ(rc(update), CFS_RC_TX_CONFLICT);
  wire::TransactionInfo other = begin(wire::kTxRemove, {"a"}, {a_});
  EXPECT_EQ(tx_delete(other, "a", a_), CFS_RC_TX_CONFLICT);
  EXPECT_EQ(tx_create(other, "a", a_), CFS_RC_TX_CONFLICT);
  EXPECT_EQ(tx_update(other, "a", 99, a_), CFS_RC_TX_CONFLICT);
  EXPECT_EQ(tx_unlink(other, a_).result, CFS_RC_TX_CONFLICT);
  EXPECT_EQ(stat_rc(a_), CFS_RC_OK) << "reading is not locked";
  EXPECT_EQ(commit(tx), CFS_RC_OK);
  EXPECT_EQ(name(CFS_ROOT_INO, "a", file()), CFS_RC_OK);
}

TEST_F(Transactions, RepeatedPreparationIsOk) {
  wire::TransactionInfo tx = begin(wire::kTxRemove, {"a"}, {a_});
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(tx_delete(tx, "a", a_), CFS_RC_OK);
    EXPECT_EQ(tx_unlink(tx, a_).result, CFS_RC_OK);
  }
  EXPECT_EQ(stat(a_).nlink, 0u);
}

TEST_F(Transactions, RemovingAFullDirectoryIsRefused) {
  uint64_t d = directory(CFS_ROOT_INO, "d");
  EXPECT_EQ(name(d, "f", file()), CFS_RC_OK);
  wire::TransactionInfo tx = begin(wire::kTxRemove, {"d"}, {d});
  MetaReply reply = tx_unlink(tx, d);
  EXPECT_EQ(reply.result, CFS_RC_NOT_EMPTY);
  EXPECT_EQ(reply.body, MetaReply::kEcho);
}

TEST_F(Transactions, RemovedDirectoryComesBackWithItsAttributes) {
  uint64_t d = directory(CFS_ROOT_INO, "d");
  wire::SetXattrReq set;
  set.ino = d;
  set.key = "user.a";
  set.value = "1";
  EXPECT_EQ(rc(set), CFS_RC_OK);
  wire::TransactionInfo tx = begin(wire::kTxRemove, {"d"}, {d});
  EXPECT_EQ(tx_unlink(tx, d).result, CFS_RC_OK);
  EXPECT_EQ(stat_rc(d), CFS_RC_NOT_EXIST);
  now_ += policy_.deleted_s + 1;
  reclaim_now();
  EXPECT_EQ(rollback(tx), CFS_RC_OK);
  EXPECT_EQ(stat(d).nlink, 2u);
  wire::GetXattrReq get;
  get.ino = d;
  get.key = "user.a";
  EXPECT_EQ(ok(get).value, "1");
}

TEST_F(Transactions, PartsMustBeAnnouncedAndTheTransactionOpen) {
  wire::TransactionInfo tx = begin(wire::kTxRename, {"a"});
  EXPECT_EQ(tx_create(tx, "b", a_), CFS_RC_TX_DENTRY_INFO_NOT_EXIST);
  EXPECT_EQ(tx_unlink(tx, a_).result, CFS_RC_TX_INODE_INFO_NOT_EXIST);
  EXPECT_EQ(tx_delete(tx, "a", 99), CFS_RC_NOT_EXIST) << "another inode has the name";
  EXPECT_EQ(commit(tx), CFS_RC_OK);
  EXPECT_EQ(tx_delete(tx, "a", a_), CFS_RC_TX_INFO_NOT_EXIST) << "finished";
  tx.tx_id = "7_99";
  EXPECT_EQ(commit(tx), CFS_RC_TX_INFO_NOT_EXIST);
}

TEST_F(Transactions, LinkRefusals) {
  wire::TransactionInfo tx = begin(wire::kTxLink, {"b"}, {a_, 999});
  wire::TxLinkInodeReq req;
  req.tx = tx;
  req.ino = 998;
  EXPECT_EQ(rc(req), CFS_RC_TX_INODE_INFO_NOT_EXIST);
  req.ino = 999;
  EXPECT_EQ(rc(req), CFS_RC_NOT_EXIST);
  req.ino = a_;
  EXPECT_EQ(ok(req).info.nlink, 2u);
  EXPECT_EQ(ok(req).info.nlink, 2u) << "repeated";
  req.tx = begin(wire::kTxLink, {"b"}, {a_});
  EXPECT_EQ(rc(req), CFS_RC_TX_CONFLICT);
  EXPECT_EQ(rollback(tx), CFS_RC_OK);
  EXPECT_EQ(stat(a_).nlink, 1u);
}

TEST_F(Transactions, MissingPartsAreRefused) {
  wire::TransactionInfo tx = begin(wire::kTxRename, {"a", "c"}, {999});
  EXPECT_EQ(tx_unlink(tx, 999).result, CFS_RC_NOT_EXIST);
  EXPECT_EQ(tx_update(tx, "c", 5, 6), CFS_RC_NOT_EXIST);
  EXPECT_EQ(tx_update(tx, "a", 5, 6), CFS_RC_NOT_EXIST) << "another inode has the name";
  EXPECT_EQ(tx_update(tx, "b", 5, 6), CFS_RC_TX_DENTRY_INFO_NOT_EXIST);
  EXPECT_EQ(tx_delete(tx, "b", 5), CFS_RC_TX_DENTRY_INFO_NOT_EXIST);
  EXPECT_EQ(rc(wire::TxCreateReq{}), CFS_RC_ERR) << "no transaction at all";
  wire::TxCreateInodeReq without;
  without.storage_type = CFS_CLASS_SSD;
  EXPECT_EQ(rc(without), CFS_RC_ERR);
  EXPECT_EQ(rc(new_file(kPid)), CFS_RC_OK);
  EXPECT_EQ(stat_rc(a_ + 2), CFS_RC_NOT_EXIST) << "the refused request made no inode";
  EXPECT_EQ(rc(wire::TxUnlinkInodeReq{}), CFS_RC_TX_INFO_NOT_EXIST);
}

TEST_F(Transactions, CreateOverAnotherFilesNameKeepsItAtRollback) {
  wire::TransactionInfo tx = begin(wire::kTxCreate, {"a"});
  EXPECT_EQ(tx_create(tx, "a", file()), CFS_RC_EXIST);
  EXPECT_EQ(rollback(tx), CFS_RC_OK);
  EXPECT_EQ(lookup(CFS_ROOT_INO, "a"), a_);
}

/// What makes a client careful: CubeFS 3.3 takes the name of the same inode for the transaction's own, whoever made it.
TEST_F(Transactions, CreateOverANameOfTheSameInodeLosesItAtRollback) {
  wire::TransactionInfo tx = begin(wire::kTxCreate, {"a"});
  EXPECT_EQ(tx_create(tx, "a", a_), CFS_RC_OK);
  EXPECT_EQ(rollback(tx), CFS_RC_OK);
  EXPECT_EQ(lookup(CFS_ROOT_INO, "a"), 0u);
}

/// 3.4 and later.
TEST_F(Transactions, CreateOverANameOfTheSameInodeMayBeRefused) {
  config_.tx_refuses_names = true;
  wire::TransactionInfo tx = begin(wire::kTxCreate, {"a", "b"});
  EXPECT_EQ(tx_create(tx, "a", a_), CFS_RC_EXIST);
  EXPECT_EQ(tx_create(tx, "b", a_), CFS_RC_OK);
  EXPECT_EQ(tx_create(tx, "b", a_), CFS_RC_OK) << "repeated";
  EXPECT_EQ(rollback(tx), CFS_RC_OK);
  EXPECT_EQ(lookup(CFS_ROOT_INO, "a"), a_);
  EXPECT_EQ(lookup(CFS_ROOT_INO, "b"), 0u);
}

TEST_F(Transactions, InodeFullRefusesATransactionalCreate) {
  wire::TxCreateInodeReq req;
  req.storage_type = CFS_CLASS_SSD;
  req.tx.emplace();
  config_.end = 1;
  EXPECT_EQ(rc(req), CFS_RC_INODE_FULL);
}

TEST_F(Transactions, TimeoutRollsBackAndFinishedOnesAreForgotten) {
  wire::TransactionInfo tx = begin(wire::kTxRename, {"a", "b"});
  EXPECT_EQ(tx_delete(tx, "a", a_), CFS_RC_OK);
  now_ += 61;
  EXPECT_EQ(tx_create(tx, "b", a_), CFS_RC_TX_TIMEOUT);
  reclaim_now();
  EXPECT_EQ(lookup(CFS_ROOT_INO, "a"), a_);
  EXPECT_EQ(rollback(tx), CFS_RC_OK) << "still known";
  now_ += policy_.tx_keep_s + 1;
  reclaim_now();
  EXPECT_EQ(rollback(tx), CFS_RC_TX_INFO_NOT_EXIST);
}

TEST_F(Transactions, RolledBackCreateLeavesNoInode) {
  wire::TxCreateInodeReq req;
  req.mode = 0644;
  req.storage_type = CFS_CLASS_SSD;
  req.tx.emplace();
  req.tx->tx_type = wire::kTxCreate;
  req.tx->timeout_min = 1;
  req.tx->inodes[0].mp_id = kPid;
  auto made = ok(req);
  ASSERT_TRUE(made.tx.has_value());
  EXPECT_TRUE(made.tx->inodes.contains(made.info.ino)) << "the number replaces 0";
  EXPECT_EQ(rollback(*made.tx), CFS_RC_OK);
  EXPECT_EQ(stat_rc(made.info.ino), CFS_RC_NOT_EXIST);
}

}  // namespace
}  // namespace cfs::mini::test
