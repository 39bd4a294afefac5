// SPDX-License-Identifier: Apache-2.0
/// ACLs and modes of the FUSE front end. Breaks: a chmod leaves a user with more than the mode shows, or a new file is open to
/// more users than its directory's default ACL says.
#include "daemon/fuse/fuse_acl.h"

#include <gtest/gtest.h>

namespace cfs {
namespace {

struct Entry {
  std::uint16_t tag, perm;
  std::uint32_t id = 0xffffffff;
};
constexpr std::uint16_t kUser = 1, kNamedUser = 2, kGroup = 4, kMask = 0x10, kOther = 0x20;

std::string bytes_of(const std::vector<Entry>& entries, std::uint32_t version = 2) {
  std::string s(reinterpret_cast<const char*>(&version), 4);
  for (const Entry& e : entries) {
    s.append(reinterpret_cast<const char*>(&e.tag), 2);
    s.append(reinterpret_cast<const char*>(&e.perm), 2);
    s.append(reinterpret_cast<const char*>(&e.id), 4);
  }
  return s;
}

TEST(PosixAcl, BytesAreKept) {
  const std::string bytes =
      bytes_of({{kUser, 7}, {kNamedUser, 5, 1000}, {kGroup, 5}, {kMask, 4}, {kOther, 0}});
  const auto acl = PosixAcl::parse(bytes);
  ASSERT_TRUE(acl);
  EXPECT_EQ(bytes, acl->bytes());
  EXPECT_FALSE(acl->is_mode());
}

TEST(PosixAcl, WhatIsNoneIsRefused) {
  EXPECT_FALSE(PosixAcl::parse(""));
  EXPECT_FALSE(PosixAcl::parse("\2\0\0"));
  const std::vector<Entry> base = {{kUser, 7}, {kGroup, 5}, {kOther, 0}};
  EXPECT_TRUE(PosixAcl::parse(bytes_of(base)));
  EXPECT_FALSE(PosixAcl::parse(bytes_of(base, 3)));
  EXPECT_FALSE(PosixAcl::parse(bytes_of(base) + "x"));
  EXPECT_FALSE(PosixAcl::parse(bytes_of({{kUser, 7}, {kGroup, 5}}))) << "nothing for others";
}

TEST(PosixAcl, TheModeShowsTheMask) {
  auto acl = PosixAcl::parse(bytes_of({{kUser, 6}, {kGroup, 5}, {kOther, 4}}));
  EXPECT_TRUE(acl->is_mode());
  EXPECT_EQ(0654u, acl->mode_bits());
  acl = PosixAcl::parse(
      bytes_of({{kUser, 6}, {kNamedUser, 7, 1}, {kGroup, 7}, {kMask, 4}, {kOther, 0}}));
  EXPECT_EQ(0640u, acl->mode_bits());
}

TEST(PosixAcl, ChmodMovesTheMask) {
  auto acl = PosixAcl::parse(
      bytes_of({{kUser, 6}, {kNamedUser, 7, 1}, {kGroup, 7}, {kMask, 4}, {kOther, 0}}));
  acl->set_mode(0721);
  EXPECT_EQ(bytes_of({{kUser, 7}, {kNamedUser, 7, 1}, {kGroup, 7}, {kMask, 2}, {kOther, 1}}),
            acl->bytes());
  acl = PosixAcl::parse(bytes_of({{kUser, 6}, {kGroup, 5}, {kOther, 4}}));
  acl->set_mode(0100);
  EXPECT_EQ(0100u, acl->mode_bits());
}

TEST(PosixAcl, ANewInodeIsLimitedFromBothSides) {
  auto acl = PosixAcl::parse(
      bytes_of({{kUser, 7}, {kNamedUser, 7, 1}, {kGroup, 5}, {kMask, 6}, {kOther, 5}}));
  EXPECT_EQ(0644u, acl->limit_by(0644) & 0777) << "more than either says is never given";
  EXPECT_EQ(bytes_of({{kUser, 6}, {kNamedUser, 7, 1}, {kGroup, 5}, {kMask, 4}, {kOther, 4}}),
            acl->bytes());
}

}  // namespace
}  // namespace cfs
