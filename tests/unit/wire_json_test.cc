// SPDX-License-Identifier: Apache-2.0
/// Breaks when JSON, base64 or times are no longer written and read as Go does: names with special
/// characters would reach the server changed, and replies would be refused.
#include <gtest/gtest.h>

#include "daemon/wire/json.h"
#include "daemon/wire/meta_msg.h"

namespace cfs::wire {
namespace {

std::string quoted(std::string_view text) {
  std::string out;
  JsonWriter(&out).string(text);
  return out;
}

TEST(JsonWriter, EscapesLikeGo) {
  EXPECT_EQ(quoted(R"(a"b\c<d>&e)"), R"("a\"b\\c\u003cd\u003e\u0026e")");
  EXPECT_EQ(quoted("\b\f\n\r\t"), R"("\b\f\n\r\t")");
  EXPECT_EQ(quoted(std::string_view("\0\x01\x0b\x1f", 4)), R"("\u0000\u0001\u000b\u001f")");
  EXPECT_EQ(quoted("\x7f/'"), "\"\x7f/'\"");
  EXPECT_EQ(quoted("\xE2\x80\xA8\xE2\x80\xA9\xE2\x80\xAA"), "\"\\u2028\\u2029\xE2\x80\xAA\"");
}

TEST(JsonWriter, KeepsUtf8AndReplacesTheRest) {
  EXPECT_EQ(quoted("\xC3\xA4\xF0\x9F\x98\x80"), "\"\xC3\xA4\xF0\x9F\x98\x80\"");
  EXPECT_EQ(quoted("nm\xff\xfe"), R"("nm\ufffd\ufffd")");
  EXPECT_EQ(quoted("\xE2\x80"), R"("\ufffd\ufffd")");            // cut off: one per byte
  EXPECT_EQ(quoted("\xED\xA0\x80"), R"("\ufffd\ufffd\ufffd")");  // surrogate
  EXPECT_EQ(quoted("\xC0\xAF"), R"("\ufffd\ufffd")");            // overlong
  EXPECT_EQ(quoted("\xEF\xBF\xBD"), "\"\xEF\xBF\xBD\"");         // U+FFFD itself
}

TEST(JsonWriter, PlacesCommas) {
  std::string out;
  JsonWriter w(&out);
  w.begin_object();
  w.key("a");
  w.begin_array();
  w.number(1);
  w.number(-2);
  w.end_array();
  w.key("b");
  w.begin_object();
  w.end_object();
  w.key("c");
  w.null();
  w.key("d");
  w.boolean(true);
  w.end_object();
  EXPECT_EQ(out, R"({"a":[1,-2],"b":{},"c":null,"d":true})");
}

TEST(Utf8, ValidOnlyWhenGoKeepsIt) {
  EXPECT_TRUE(valid_utf8(""));
  EXPECT_TRUE(valid_utf8("plain"));
  EXPECT_TRUE(valid_utf8("\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF"));  // edges of what is legal
  for (const char* bad : {"\x80", "\xC1\x80", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                          "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "a\xE2\x82", "\xFF"}) {
    EXPECT_FALSE(valid_utf8(bad));
  }
}

TEST(Base64, BothWays) {
  const std::pair<std::string, std::string> pairs[] = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"../w3m", "Li4vdzNt"}};
  for (const auto& [plain, text] : pairs) {
    EXPECT_EQ(base64_encode(plain), text);
    const Result<std::string> back = base64_decode(text);
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(*back, plain);
  }
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  const Result<std::string> back = base64_decode(base64_encode(all));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, all);
  for (const char* bad : {"Z", "Zg=", "Zg==Zg==", "Z===", "Zm9\n", "Z g="}) {
    EXPECT_EQ(base64_decode(bad).code(), EBADMSG) << bad;
  }
}

int64_t unix_of(std::string_view text) {
  const Result<int64_t> t = parse_rfc3339(text);
  EXPECT_TRUE(t.ok()) << text;
  return t.ok() ? *t : -1;
}

TEST(Time, ReadsAllFormsOfGo) {
  EXPECT_EQ(unix_of("2026-11-22T11:42:01Z"), 1795347721);
  EXPECT_EQ(unix_of("2025-12-26T14:45:05+08:00"), 1766731505);
  EXPECT_EQ(unix_of("2025-12-26T01:15:05-05:30"), 1766731505);
  EXPECT_EQ(unix_of("2026-11-22T11:40:07.547746859Z"), 1795347607);
  EXPECT_EQ(unix_of("0001-01-01T00:00:00Z"), 0);
  EXPECT_EQ(unix_of("1970-01-01T08:00:00+08:00"), 0);
  EXPECT_EQ(unix_of("1969-12-31T23:59:59Z"), -1);
  EXPECT_EQ(unix_of("2004-02-29T00:00:00Z"), 1078012800);
}

TEST(Time, RefusesTheRest) {
  for (const char* bad :
       {"", "2026-11-22", "2026-13-22T11:42:01Z", "2026-02-29T11:42:01Z", "2026-11-22T24:42:01Z",
        "2026-11-22T11:42:01", "2026-11-22T11:42:01.Z", "2026-11-22T11:42:01Zx",
        "2026-11-22T11:42:61Z", "2026-11-22t11:42:01Z", "2026-11-22T11:42:01+8:00"}) {
    EXPECT_EQ(parse_rfc3339(bad).code(), EBADMSG) << bad;
  }
}

TEST(Time, WritesUtc) {
  for (const int64_t t : {0L, 1L, -1L, 1795347721L, 1078012800L, -2208988800L, 253402300799L}) {
    EXPECT_EQ(unix_of(format_rfc3339(t)), t);
  }
  EXPECT_EQ(format_rfc3339(1795347721), "2026-11-22T11:42:01Z");
  EXPECT_EQ(format_rfc3339(INT64_MAX), "9999-12-31T23:59:59Z");
  EXPECT_EQ(format_rfc3339(INT64_MIN), kGoZeroTime);
}

TEST(Decode, ToleratesWhatGoTolerates) {
  const auto r = decode<LookupReply>(R"( {"unknown":{"x":[1.5,null]},"mode":420,"ino":7} )");
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->ino, 7u);
  EXPECT_EQ(r->mode, 420u);
  EXPECT_EQ(r->seq, 0u);
  const auto n = decode<LookupReply>(R"({"ino":null,"mode":null})");
  ASSERT_TRUE(n.ok());
  EXPECT_EQ(n->ino, 0u);
  EXPECT_TRUE(decode<LookupReply>("null").ok());
}

TEST(Decode, UnescapesNames) {
  const auto r =
      decode<ReadDirReply>(R"({"children":[{"name":"\ud83d\ude00\u003c\/\"","ino":1,"type":0}]})");
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(r->children.at(0).name, "\xF0\x9F\x98\x80</\"");
}

TEST(Decode, NumberLimits) {
  EXPECT_EQ(decode<InoReply>(R"({"ino":9223372036854775807})")->ino, uint64_t{INT64_MAX});
  EXPECT_EQ(decode<InoReply>(R"({"ino":18446744073709551615})")->ino, UINT64_MAX);
  for (const char* bad : {R"({"ino":18446744073709551616})", R"({"ino":-1})", R"({"ino":1.5})",
                          R"({"ino":"1"})", R"({"ino":true})"}) {
    EXPECT_EQ(decode<InoReply>(bad).code(), EBADMSG) << bad;
  }
  EXPECT_EQ(decode<LookupReply>(R"({"mode":4294967296})").code(), EBADMSG);
  EXPECT_EQ(decode<SetattrReq>(R"({"mt":-5})")->mtime, -5);
  EXPECT_EQ(decode<SetattrReq>(R"({"mt":9223372036854775808})").code(), EBADMSG);
}

TEST(Decode, SaysWhere) {
  const auto r = decode<InodeGetReply>(R"({"info":{"ino":1,"mode":"x"}})");
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().what, "info.mode: not an unsigned number");
  const auto m = decode<TxReply>(R"({"tx":{"TxInodeInfos":{"12":{"Ino":[]}}}})");
  ASSERT_FALSE(m.ok());
  EXPECT_EQ(m.error().what, "tx.TxInodeInfos.12.Ino: not an unsigned number");
  EXPECT_EQ(decode<InoReply>("[]").error().what, "body: not an object");
}

TEST(Decode, RefusesHostileText) {
  for (const char* bad : {"", "{", "nul", R"({"ino":1}})", "{\"name\":\"\xff\"}"}) {
    EXPECT_EQ(decode<InoReply>(bad).code(), EBADMSG) << bad;
  }
  const std::string deep = R"({"x":)" + std::string(200000, '[');
  EXPECT_EQ(decode<InoReply>(deep).code(), EBADMSG);
  const std::string huge(size_t{CFS_META_BODY_MAX} + 1, ' ');
  EXPECT_EQ(decode<InoReply>(huge).code(), EMSGSIZE);
}

TEST(Decode, LargeBody) {
  ReadDirReply big;
  for (uint64_t i = 0; i < 50000; ++i) big.children.push_back({"name" + std::to_string(i), i, 420});
  const std::string text = encode(big);
  ASSERT_GT(text.size(), 1u << 20);
  const auto back = decode<ReadDirReply>(text);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(static_cast<const std::vector<Dentry>&>(back->children), big.children);
}

}  // namespace
}  // namespace cfs::wire
