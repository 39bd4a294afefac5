// SPDX-License-Identifier: Apache-2.0
/// Breaks when a metadata message gets a different key order or another meaning of null than Go's.
/// The recordings cover what a client sends; here are the cases they do not have.
#include <gtest/gtest.h>

#include "daemon/wire/meta_msg.h"

namespace cfs::wire {
namespace {

TEST(MetaMsg, NilAndEmptyDiffer) {
  QuotaCreateInodeReq r;
  EXPECT_NE(encode(r).find(R"("qids":null)"), std::string::npos);
  r.quota_ids.nil = false;
  EXPECT_NE(encode(r).find(R"("qids":[])"), std::string::npos);
  r.quota_ids = {7, 9};
  EXPECT_NE(encode(r).find(R"("qids":[7,9])"), std::string::npos);
}

TEST(MetaMsg, DesignatedInitializersWork) {
  const CreateInodeReq r{.vol = "v",
                         .pid = 2,
                         .mode = 134218239,
                         .target = "../x",
                         .full_paths = {"/d/s"},
                         .storage_type = 1};
  EXPECT_EQ(encode(r), R"({"vol":"v","pid":2,"mode":134218239,"uid":0,"gid":0,"tgt":"Li4veA==",)"
                       R"("fullPaths":["/d/s"],"storageType":1})");
}

TEST(MetaMsg, NumericMapKeysAreSortedAsText) {
  TransactionInfo tx;
  tx.inodes[9] = {};
  tx.inodes[10] = {};
  tx.dentries[tx_dentry_key(1, "b<")] = {};
  const std::string text = encode(tx);
  EXPECT_LT(text.find(R"("10":)"), text.find(R"("9":)"));
  EXPECT_NE(text.find(R"("1_b\u003c":{)"), std::string::npos);
  const auto back = decode<TransactionInfo>(text);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, tx);
}

TEST(MetaMsg, InodeSurvives) {
  InodeInfo a;
  a.ino = 5;
  a.mode = CFS_GOMODE_DIR | 0755;
  a.size = uint64_t{INT64_MAX};
  a.mtime = -1;
  a.ctime = 1795347721;
  a.target = std::string("\0\xff", 2);
  a.quotas[7].root = true;
  const auto back = decode<InodeInfo>(encode(a));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, a);
}

TEST(MetaMsg, AllZeroInodeIsWrittenLikeGo) {
  const std::string text = encode(TxInodeReply{});
  EXPECT_EQ(
      text,
      R"({"info":{"ino":0,"mode":0,"nlink":0,"sz":0,"uid":0,"gid":0,"gen":0,)"
      R"("mt":"0001-01-01T00:00:00Z","ct":"0001-01-01T00:00:00Z","at":"0001-01-01T00:00:00Z",)"
      R"("tgt":null,"qifs":null,"seq":0,"pat":"0001-01-01T00:00:00Z","storageClass":0,)"
      R"("leaseExpireTime":0,"forbiddenLc":false,"migrationStorageClass":0,)"
      R"("hasMigrationEk":false,"mekExpiredTime":"0001-01-01T00:00:00Z","eks":null},"tx":null})");
}

TEST(MetaMsg, SnapInfoIsOptional) {
  ExtentKey k{.file_offset = 4096, .partition_id = 10, .extent_id = 1025, .size = 100};
  EXPECT_NE(encode(k).find(R"("SnapInfo":null)"), std::string::npos);
  k.snap_info = ExtentSnapInfo{1, true, 2};
  const auto back = decode<ExtentKey>(encode(k));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, k);
}

TEST(MetaMsg, AppliedIdIsEightBytes) {
  const AppliedIdReply id{0x0102030405060708};
  EXPECT_EQ(encode(id), "\x01\x02\x03\x04\x05\x06\x07\x08");
  EXPECT_EQ(decode<AppliedIdReply>(encode(id))->applied_id, id.applied_id);
  EXPECT_EQ(decode<AppliedIdReply>("1234567").code(), EBADMSG);
}

TEST(MetaMsg, NoBodyIgnoresTheEcho) {
  EXPECT_TRUE(decode<NoBody>("not { json").ok());
  EXPECT_EQ(encode(NoBody{}), "");
}

TEST(MetaMsg, UniqueIdKeysDiffer) {
  EXPECT_NE(encode(UnlinkInodeReq{.uniq_id = 5}).find(R"("uid":5)"), std::string::npos);
  EXPECT_NE(encode(LinkInodeReq{.uniq_id = 5}).find(R"("uiq":5)"), std::string::npos);
}

}  // namespace
}  // namespace cfs::wire
