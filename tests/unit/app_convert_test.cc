// SPDX-License-Identifier: Apache-2.0
/// If this fails, the kernel sees other attributes, entries or keys than the daemon meant.
#include <gtest/gtest.h>

#include <cstring>

#include "daemon/kernel/convert.h"
#include "daemon/kernel/node_table.h"
#include "tests/unit/app_fakes.h"

namespace cfs {
namespace {

constexpr Validity kValid{5000, 30000};

cfs_dirent entry_at(const std::string& bytes, std::size_t at) {
  cfs_dirent entry{};
  std::memcpy(&entry, bytes.data() + at, sizeof(entry));
  return entry;
}

TEST(Convert, AttributesKeepEveryField) {
  Attr attr;
  attr.ino = 1ull << 62;
  attr.size = 77;
  attr.gen = 4;
  attr.mode = S_IFREG | 04755;
  attr.nlink = 3;
  attr.uid = 1;
  attr.gid = 2;
  attr.mtime = -5;
  attr.ctime = 6;
  attr.atime = 7;
  attr.storage_class = 2;
  const cfs_attr out = to_abi(attr, kValid);
  EXPECT_EQ(out.ino, 1ull << 62);
  EXPECT_EQ(out.size, 77u);
  EXPECT_EQ(out.gen, 4u);
  EXPECT_EQ(out.mode, S_IFREG | 04755u);
  EXPECT_EQ(out.nlink, 3u);
  EXPECT_EQ(out.uid, 1u);
  EXPECT_EQ(out.gid, 2u);
  EXPECT_EQ(out.mtime, -5);
  EXPECT_EQ(out.ctime, 6);
  EXPECT_EQ(out.atime, 7);
  EXPECT_EQ(out.storage_class, 2u);
  EXPECT_EQ(out.entry_valid_ms, 5000u);
  EXPECT_EQ(out.attr_valid_ms, 30000u);
}

TEST(Convert, SetattrBits) {
  cfs_req request{};
  request.setattr.valid = CFS_SA_MODE | CFS_SA_ATIME;
  request.setattr.mode = S_IFREG | 0600;
  request.setattr.atime = 99;
  const SetAttr change = from_abi(request);
  EXPECT_EQ(change.valid, SetAttr::kMode | SetAttr::kAtime);
  EXPECT_EQ(change.mode, S_IFREG | 0600u);
  EXPECT_EQ(change.atime, 99);
  EXPECT_FALSE(change.known);
  request.flags = CFS_REQ_F_RESUMED | CFS_REQ_F_KNOWN;
  EXPECT_TRUE(from_abi(request).known);
}

TEST(Convert, ReaddirAlignsEntriesAndEndsAtEof) {
  DirPage page;
  page.eof = true;
  for (const char* name : {"a", "12345678", "123456789"}) {
    page.entries.push_back(DirEntry{name, 5, S_IFREG, test::FakeVolume::file()});
  }
  page.entries.back().attr = Attr{};
  const Reply reply = pack_readdir(page, kValid);
  EXPECT_EQ(reply.res, 3 | CFS_READDIR_EOF);
  std::size_t at = 0;
  for (const DirEntry& expected : page.entries) {
    const cfs_dirent entry = entry_at(reply.bytes, at);
    EXPECT_EQ(entry.reclen % 8, 0);
    EXPECT_EQ(reply.bytes.substr(at + sizeof(entry), entry.name_len), expected.name);
    EXPECT_EQ(entry.attr.ino, expected.attr.ino);
    EXPECT_EQ(entry.type, static_cast<std::uint32_t>(S_IFREG));
    at += entry.reclen;
  }
  EXPECT_EQ(at, reply.bytes.size());
}

TEST(Convert, ReaddirThatDoesNotFitIsNotTheEnd) {
  DirPage page;
  page.eof = true;
  for (int i = 0; i < 10; ++i) page.entries.push_back(DirEntry{"name", 5, S_IFREG, Attr{}});
  const std::size_t one = sizeof(cfs_dirent) + 8;
  const Reply reply = pack_readdir(page, kValid, one * 3 + 1);
  EXPECT_EQ(reply.res, 3);
  EXPECT_EQ(reply.bytes.size(), one * 3);
}

TEST(Convert, ReaddirLeavesOutNamesTheKernelCannotHold) {
  DirPage page;
  page.eof = true;
  page.entries.push_back(DirEntry{std::string(256, 'x'), 5, S_IFREG, Attr{}});
  page.entries.push_back(DirEntry{std::string(255, 'x'), 5, S_IFREG, Attr{}});
  EXPECT_EQ(pack_readdir(page, kValid).res, 1 | CFS_READDIR_EOF);
}

TEST(Convert, ExtentsCarryCountAndKeys) {
  ExtentList list;
  list.gen = 9;
  list.size = 4096;
  list.storage_class = 1;
  list.keys.push_back(ExtentKey{0, 7, 1025, 0, 4096, false});
  const Reply reply = pack_extents(list);
  cfs_extents head{};
  std::memcpy(&head, reply.bytes.data(), sizeof(head));
  EXPECT_EQ(head.nkeys, 1u);
  EXPECT_EQ(head.gen, 9u);
  EXPECT_EQ(reply.bytes.size(), sizeof(head) + sizeof(cfs_ekey));
  cfs_ekey key{};
  std::memcpy(&key, reply.bytes.data() + sizeof(head), sizeof(key));
  EXPECT_EQ(key.extent_id, 1025u);
  EXPECT_EQ(key.size, 4096u);
}

TEST(Convert, AnOpenBringsAShortListAlong) {
  OpenResult found{.attr = test::FakeVolume::file(), .has_extents = true};
  found.extents.keys.resize(CFS_LOOKUP_KEYS_MAX);
  const Reply reply = pack_open(found, kValid);
  cfs_attr attr{};
  std::memcpy(&attr, reply.bytes.data(), sizeof(attr));
  EXPECT_EQ(attr.flags, CFS_ATTR_EXTENTS);
  EXPECT_EQ(attr.ino, found.attr.ino);
  EXPECT_EQ(reply.bytes.substr(sizeof(attr)), pack_extents(found.extents).bytes);

  found.extents.keys.resize(CFS_LOOKUP_KEYS_MAX + 1);
  EXPECT_EQ(pack_open(found, kValid).bytes.size(), sizeof(cfs_attr));
  found.has_extents = false;
  found.extents.keys.clear();
  EXPECT_EQ(pack_open(found, kValid).bytes.size(), sizeof(cfs_attr));
}

TEST(Convert, HintsOfARenameAreThoseOfAKernelThatHasThem) {
  cfs_req request{};
  request.rename.child = 5;
  request.rename.child_mode = S_IFREG | 0644;
  EXPECT_EQ(rename_hints(request).src, 0u);
  EXPECT_FALSE(rename_hints(request).dst_known);
  request.rename.flags = CFS_RENAME_TARGET_KNOWN;
  request.rename.target = 6;
  request.rename.target_mode = S_IFDIR | 0755;
  const RenameHints hints = rename_hints(request);
  EXPECT_EQ(hints.src, 5u);
  EXPECT_EQ(hints.src_mode, request.rename.child_mode);
  EXPECT_TRUE(hints.dst_known);
  EXPECT_EQ(hints.dst, 6u);
  EXPECT_EQ(hints.dst_mode, request.rename.target_mode);
}

TEST(Convert, ExtentListsAboveTheAnswerLimitAreRefused) {
  ExtentList list;
  list.keys.resize(CFS_REPLY_MAX / sizeof(cfs_ekey));
  EXPECT_EQ(pack_extents(list).res, -EFBIG);
}

TEST(Convert, CommitKeysAreCheckedAgainstTheCount) {
  cfs_ekey key{};
  key.size = 1;
  key.flags = CFS_EK_FRESH;
  const std::string one(reinterpret_cast<const char*>(&key), sizeof(key));
  const auto keys = unpack_keys(one, 1);
  ASSERT_TRUE(keys);
  EXPECT_TRUE((*keys)[0].fresh);
  EXPECT_FALSE(unpack_keys(one, 2));
  EXPECT_FALSE(unpack_keys(one, 0));
  EXPECT_FALSE(unpack_keys("", CFS_COMMIT_KEYS_MAX + 1));
  key.size = 0;
  EXPECT_FALSE(unpack_keys({reinterpret_cast<const char*>(&key), sizeof(key)}, 1));
}

TEST(Convert, RowKeepsOrderAndLeader) {
  std::uint32_t next = 10;
  const auto row = to_row(test::make_partition(7), [&](const std::string&) { return next++; });
  ASSERT_TRUE(row);
  EXPECT_EQ(row->nhosts, 3);
  EXPECT_EQ(row->hosts[0], 10u);
  EXPECT_EQ(row->leader, 1);
  EXPECT_EQ(row->status, 2);
}

TEST(Convert, RowWithoutItsPrimaryIsReadOnly) {
  const auto row = to_row(test::make_partition(7), [](const std::string& host) {
    return host == "10.0.0.1:17310" ? 0u : 3u;
  });
  ASSERT_TRUE(row);
  EXPECT_EQ(row->nhosts, 2);
  EXPECT_EQ(row->leader, 0);
  EXPECT_EQ(row->status, 1);
  EXPECT_FALSE(to_row(test::make_partition(7), [](const std::string&) { return 0u; }));
}

TEST(Convert, NodeAddresses) {
  const auto v4 = parse_node("10.0.0.1:17310");
  ASSERT_TRUE(v4);
  EXPECT_EQ(v4->family, AF_INET);
  EXPECT_EQ(v4->port, 17310);
  EXPECT_EQ(v4->addr[3], 1);
  EXPECT_STREQ(v4->name, "10.0.0.1:17310");
  ASSERT_TRUE(parse_node("[::1]:80"));
  EXPECT_EQ(parse_node("[::1]:80")->family, AF_INET6);
  for (const char* bad :
       {"", "10.0.0.1", "host:1", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:1x"}) {
    EXPECT_FALSE(parse_node(bad)) << bad;
  }
  EXPECT_FALSE(parse_node(std::string(60, '1') + ":1234"));
}

TEST(NodeTable, NextDaemonFindsTheSameIds) {
  test::FakePort port;
  NodeTable first(port);
  std::vector<std::uint32_t> ids;
  for (int i = 0; i < 300; ++i) ids.push_back(first.id("10.0.0.1:" + std::to_string(1000 + i)));
  NodeTable second(port);  // the kernel still has the nodes
  for (int i = 299; i >= 0; --i) {
    EXPECT_EQ(second.id("10.0.0.1:" + std::to_string(1000 + i)), ids[i]);
  }
  EXPECT_EQ(port.nodes.size(), 300u);
}

TEST(NodeTable, UnusableAddressHasNoId) {
  test::FakePort port;
  NodeTable table(port);
  EXPECT_EQ(table.id("data1.example:17310"), 0u);
  EXPECT_TRUE(port.nodes.empty());
}

}  // namespace
}  // namespace cfs
