// SPDX-License-Identifier: Apache-2.0
/// Limits of directories and users in the meta partition's state machine.
///
/// Breaks if    usage is counted wrongly, or a refusal has another code than on a real meta node.
#include "tests/unit/minicluster_machine.h"

namespace cfs::mini::test {
namespace {

class Limits : public Machine {
 protected:
  uint64_t file_in(uint32_t quota, uint32_t uid = 0) {
    wire::QuotaCreateInodeReq req;
    req.storage_type = CFS_CLASS_SSD;
    req.uid = uid;
    req.quota_ids.push_back(quota);
    return ok(req).info.ino;
  }
  Usage usage(UsageKind kind, uint64_t id) {
    std::unique_ptr<Txn> txn = store_.begin_read();
    return PartitionStore(*txn, kPid).usage(kind, id);
  }
};

TEST_F(Limits, UsageFollowsEveryChangeOfAnInode) {
  const uint64_t f = file_in(3, 1000);
  file_in(3, 1000);
  EXPECT_EQ(usage(UsageKind::kQuota, 3).files, 2u);
  EXPECT_EQ(add(f, key(0, 1, 4096)), CFS_RC_OK);
  EXPECT_EQ(usage(UsageKind::kQuota, 3).bytes, 4096u);
  EXPECT_EQ(usage(UsageKind::kUser, 1000).bytes, 4096u);
  EXPECT_EQ(truncate(f, 100), CFS_RC_OK);
  EXPECT_EQ(usage(UsageKind::kQuota, 3).bytes, 100u);
  wire::SetattrReq chown;
  chown.ino = f;
  chown.uid = 2000;
  chown.valid = CFS_ATTR_UID;
  EXPECT_EQ(rc(chown), CFS_RC_OK);
  EXPECT_EQ(usage(UsageKind::kUser, 1000).bytes, 0u);
  EXPECT_EQ(usage(UsageKind::kUser, 2000).bytes, 100u);
  EXPECT_EQ(unlink(f).result, CFS_RC_OK);  // no name, no charge, though not yet evicted
  EXPECT_EQ(usage(UsageKind::kQuota, 3).files, 1u);
  EXPECT_EQ(usage(UsageKind::kQuota, 3).bytes, 0u);
  EXPECT_EQ(evict(f), CFS_RC_OK);
  now_ += policy_.deleted_s + 1;
  EXPECT_TRUE(reclaim_now());
  EXPECT_EQ(usage(UsageKind::kQuota, 3).files, 1u);
}

TEST_F(Limits, AFullQuotaRefusesInodesAnOverfullOneNames) {
  const uint64_t f = file_in(3);
  config_.full_files = {3};
  wire::QuotaCreateInodeReq inode;
  inode.storage_type = CFS_CLASS_SSD;
  inode.quota_ids.push_back(3);
  EXPECT_EQ(rc(inode), CFS_RC_NO_SPACE);
  wire::QuotaCreateDentryReq entry;
  entry.pino = CFS_ROOT_INO;
  entry.ino = f;
  entry.name = "f";
  entry.quota_ids.push_back(3);
  EXPECT_EQ(rc(entry), CFS_RC_OK);
  config_.over_files = {3};
  entry.name = "g";
  EXPECT_EQ(rc(entry), CFS_RC_NO_SPACE);
  inode.quota_ids = {4};
  EXPECT_EQ(rc(inode), CFS_RC_OK);
}

TEST_F(Limits, BytesAreRefusedWhereTheyWouldGrow) {
  const uint64_t f = file_in(3);
  EXPECT_EQ(add(f, key(0, 1, 4096)), CFS_RC_OK);
  config_.full_bytes = {3};
  EXPECT_EQ(add(f, key(4096, 1, 4096, 4096)), CFS_RC_NO_SPACE);
  EXPECT_EQ(truncate(f, 5000), CFS_RC_NO_SPACE);
  EXPECT_EQ(truncate(f, 4000), CFS_RC_OK);
  wire::BatchExtentsAddReq batch;
  batch.ino = f;
  batch.extents.push_back(key(8192, 2, 4096));
  EXPECT_EQ(rc(batch), CFS_RC_NO_SPACE);
}

TEST_F(Limits, AUserAtHisLimitIsToldThatNothingExists) {
  const uint64_t f = file_in(3, 1000);
  config_.full_users = {1000};
  wire::CreateInodeReq req = new_file(kPid);
  req.uid = 1000;
  EXPECT_EQ(rc(req), CFS_RC_NOT_EXIST);
  EXPECT_EQ(add(f, key(0, 1, 4096)), CFS_RC_NO_SPACE);
  req.uid = 1001;
  EXPECT_EQ(rc(req), CFS_RC_OK);
}

}  // namespace
}  // namespace cfs::mini::test
