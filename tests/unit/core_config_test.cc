// SPDX-License-Identifier: Apache-2.0
/// If this fails, the next daemon cannot read what a mount was, or the masters get garbled questions.
#include <gtest/gtest.h>
#include <zlib.h>

#include "daemon/core/master_client.h"
#include "daemon/core/md5.h"
#include "daemon/core/volume_impl.h"

namespace cfs {
namespace {

TEST(MountConfig, GoesThroughItsText) {
  MountConfig c;
  c.volume = "ltptest";
  c.masters = {"10.0.0.1:17010", "[::1]:17010"};
  c.subdir = "/a/b";
  c.owner = "ltp";
  c.read_only = true;
  c.follower_read = true;
  c.near_read = false;
  c.trash = false;
  c.entry_valid_ms = 0;
  c.attr_valid_ms = 4294967295u;
  c.meta_timeout_s = 5;
  const auto back = MountConfig::parse(c.format());
  ASSERT_TRUE(back.ok()) << back.error().text();
  EXPECT_EQ(c.format(), back->format());
  EXPECT_EQ(c.masters, back->masters);
}

TEST(MountConfig, RefusesByName) {
  const struct {
    const char* text;
    const char* why;
  } bad[] = {{"volume=abc\nmasters=h:1\nwhat=1", "what"},
             {"volume=abc\nmasters=h:1\nread_only=maybe", "read_only"},
             {"volume=abc\nmasters=h:1\nentry_valid_ms=5s", "entry_valid_ms"},
             {"volume=abc\nmasters=h:1\nmeta_timeout_s=0", "meta_timeout_s"},
             {"volume=abc\nmasters=h:1\nsubdir=/a/../b", "subdir"},
             {"volume=a\nmasters=h:1", "volume"},
             {"volume=abc\nmasters=host", "masters"},
             {"volume=abc", "masters"},
             {"masters=h:1", "volume"},
             {"volume=abc\nmasters=h:1\nnonsense", "nonsense"}};
  for (const auto& b : bad) {
    const auto got = MountConfig::parse(b.text);
    ASSERT_FALSE(got.ok()) << b.text;
    EXPECT_EQ(EINVAL, got.error().code);
    EXPECT_NE(std::string::npos, got.error().what.find(b.why)) << got.error().what;
  }
}

TEST(MountConfig, NormalisesTheSubDirectory) {
  EXPECT_EQ("/a/b", MountConfig::parse("volume=abc\nmasters=h:1\nsubdir=a//b/./")->subdir);
  EXPECT_EQ("/", MountConfig::parse("volume=abc\nmasters=h:1\nsubdir=")->subdir);
}

TEST(MasterClient, EncodesQueries) {
  EXPECT_EQ("a-Z_0.9~", percent_encode("a-Z_0.9~"));
  EXPECT_EQ("a%20%26%3D%2F%C3%BC", percent_encode("a &=/\xc3\xbc"));
}

std::string gzip(const std::string& text) {
  z_stream z{};
  EXPECT_EQ(Z_OK, deflateInit2(&z, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY));
  std::string out(deflateBound(&z, text.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(Z_STREAM_END, deflate(&z, Z_FINISH));
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

TEST(MasterClient, UnpacksGzipWithinALimit) {
  const std::string text(300000, 'x');
  EXPECT_EQ(text, *gunzip(gzip(text), 1 << 20));
  EXPECT_EQ(EMSGSIZE, gunzip(gzip(text), 1000).code());
  EXPECT_EQ(EBADMSG, gunzip("no gzip", 1000).code());
  EXPECT_EQ(EBADMSG, gunzip(gzip(text).substr(0, 50), 1 << 20).code());
}

TEST(Md5, KnowsTheTestSuiteOfItsRfc) {
  EXPECT_EQ("d41d8cd98f00b204e9800998ecf8427e", md5_hex(""));
  EXPECT_EQ("900150983cd24fb0d6963f7d28e17f72", md5_hex("abc"));
  EXPECT_EQ("57edf4a22be3c955ac49da2e2107b67a",
            md5_hex("1234567890123456789012345678901234567890"
                    "1234567890123456789012345678901234567890"));
}

TEST(Names, OnlyWhatTheProtocolCarries) {
  EXPECT_TRUE(check_name("\xc3\xa9t\xc3\xa9").ok());
  EXPECT_EQ(EILSEQ, check_name("\xc3").code());
  EXPECT_EQ(EILSEQ, check_name("\xed\xa0\x80").code());  // a surrogate
  EXPECT_EQ(EINVAL, check_name("").code());
  EXPECT_EQ(EINVAL, check_name(".").code());
  EXPECT_EQ(EINVAL, check_name(std::string("a\0b", 3)).code());
  EXPECT_EQ(ENAMETOOLONG, check_name(std::string(256, 'a')).code());
}

TEST(XattrValues, AreLossless) {
  for (const std::string& v : {std::string("text"), std::string(), std::string("\xff\x00", 2),
                               std::string("cfs-base64:AAAA"), std::string("cfs-base64:")}) {
    EXPECT_TRUE(wire::valid_utf8(encode_xattr(v)));
    EXPECT_EQ(v, decode_xattr(encode_xattr(v)));
  }
  EXPECT_EQ("text", encode_xattr("text"));                  // other clients can read it
  EXPECT_EQ("cfs-base64:%", decode_xattr("cfs-base64:%"));  // theirs, shown as it is
}

}  // namespace
}  // namespace cfs
