// SPDX-License-Identifier: Apache-2.0
/// Breaks when a refusal of the master reaches the user as the wrong errno or as a success.
#include <gtest/gtest.h>

#include "daemon/wire/master_msg.h"

namespace cfs::wire {
namespace {

TEST(MasterMsg, EnvelopeBothWays) {
  EXPECT_EQ(encode_reply(std::string("x")), R"({"code":0,"msg":"success","data":"x"})");
  EXPECT_EQ(encode_error(kMasterVolNotExists), R"({"code":7,"msg":"vol not exists","data":null})");
  EXPECT_EQ(encode_error(kMasterParam, "no name"), R"({"code":2,"msg":"no name","data":null})");
  const auto e = decode_envelope(R"({"code":0,"msg":"m","data":{"a":[1,"b"]}})");
  ASSERT_TRUE(e.ok());
  EXPECT_EQ(e->data, R"({"a":[1,"b"]})");
}

TEST(MasterMsg, ErrorsBecomeErrno) {
  const std::pair<int32_t, int> table[] = {{kMasterVolNotExists, ENOENT},
                                           {kMasterAuthKeyMismatch, EACCES},
                                           {kMasterParam, EINVAL},
                                           {kMasterNoLeader, EAGAIN},
                                           {kMasterInternal, EIO},
                                           {999, EIO},
                                           {-1, EIO}};
  for (const auto& [code, err] : table) {
    const auto r = decode_reply<VolView>(encode_error(code, "why"));
    EXPECT_EQ(r.code(), err) << code;
    EXPECT_NE(r.error().what.find("why"), std::string::npos);
  }
}

TEST(MasterMsg, TextOfUnknownCodes) {
  EXPECT_EQ(master_code_text(7), "vol not exists");
  EXPECT_EQ(master_code_text(67), "no space left on device");
  for (const int32_t code : {37, 39, 68, -5}) EXPECT_EQ(master_code_text(code), "internal error");
}

TEST(MasterMsg, NoEnvelopeIsNoSuccess) {
  for (const char* bad : {"", "404 page not found\n", "{}", "null", "[]", R"({"msg":"success"})",
                          R"({"code":"0","data":{}})", R"({"code":null})"}) {
    EXPECT_EQ(decode_reply<VolView>(bad).code(), EBADMSG) << bad;
    EXPECT_EQ(decode_envelope(bad).code(), EBADMSG) << bad;
  }
}

TEST(MasterMsg, NullDataIsAnEmptyView) {
  const auto v = decode_reply<VolView>(R"({"code":0,"msg":"success","data":null})");
  ASSERT_TRUE(v.ok());
  EXPECT_TRUE(v->meta_partitions.empty());
  EXPECT_TRUE(decode_reply<VolView>(R"({"code":0})").ok());
}

TEST(MasterMsg, SaysWhichKeyIsWrong) {
  const auto v = decode_reply<VolView>(R"({"code":0,"data":{"MetaPartitions":[{"Start":-1}]}})");
  ASSERT_FALSE(v.ok());
  EXPECT_EQ(v.error().what, "data: MetaPartitions.Start: not an unsigned number");
}

TEST(MasterMsg, NegativeStatus) {
  const auto v = decode_reply<DataPartitionsView>(
      R"({"code":0,"data":{"DataPartitions":[{"PartitionID":1,"Status":-1}]}})");
  ASSERT_TRUE(v.ok());
  EXPECT_EQ(v->partitions.at(0).status, kPartitionUnavailable);
  EXPECT_EQ(
      decode_reply<DataPartitionsView>(R"({"code":0,"data":{"DataPartitions":[{"Status":128}]}})")
          .code(),
      EBADMSG);
}

TEST(MasterMsg, TransactionMask) {
  EXPECT_EQ(*parse_tx_mask("off"), kTxMaskOff);
  EXPECT_EQ(*parse_tx_mask("rename"), kTxMaskRename);
  EXPECT_EQ(*parse_tx_mask("create|link|mkdir"), kTxMaskCreate | kTxMaskLink | kTxMaskMkdir);
  EXPECT_EQ(*parse_tx_mask("all"), kTxMaskAll);
  EXPECT_EQ(*parse_tx_mask("pause"), kTxMaskPause);
  for (const char* bad : {"", "Rename", "create|", "|create", "create link"}) {
    EXPECT_EQ(parse_tx_mask(bad).code(), EINVAL) << bad;
  }
}

}  // namespace
}  // namespace cfs::wire
