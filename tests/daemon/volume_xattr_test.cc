// SPDX-License-Identifier: Apache-2.0
/// If this fails, extended attributes lose bytes, lie about what exists, show the servers' own keys,
/// or cost more requests than they should.
#include <sys/xattr.h>

#include "tests/daemon/volume_fixture.h"

namespace cfs::test {
namespace {

class XattrTest : public VolumeTest {
 protected:
  void SetUp() override {
    VolumeTest::SetUp();
    file_ = make(kRoot, "f");
  }
  Result<std::string> get(const std::string& name) { return await(volume_->getxattr(file_, name)); }
  int set(const std::string& name, const std::string& value, int flags = 0) {
    return await(volume_->setxattr(file_, name, value, flags)).code();
  }
  /// What another client reads.
  std::string stored(const std::string& name) {
    wire::GetXattrReq req;
    req.ino = file_;
    req.key = name;
    return await(impl().ops().client().send_to<wire::GetXattrReq>(file_, req, {})).reply.value;
  }
  std::uint64_t requests() { return volume_->counters().meta_requests; }

  Ino file_ = 0;
};

TEST_F(XattrTest, EveryByteComesBack) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  const std::string acl("\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff", 12);
  for (const std::string& value :
       {all, acl, std::string("\0", 1), std::string("\xc0\x80"), std::string("\xed\xa0\x80"),
        std::string("plain"), std::string("\xe2\x82\xac"), std::string(65536, '\xff')}) {
    ASSERT_EQ(0, set("security.k", value)) << value.size();
    const Result<std::string> got = get("security.k");
    ASSERT_TRUE(got.ok()) << got.error().text();
    EXPECT_EQ(value, *got);
  }
  EXPECT_EQ(0, set("system.posix_acl_access", acl));
  EXPECT_EQ(acl, *get("system.posix_acl_access"));
}

TEST_F(XattrTest, OtherClientsSeeText) {
  ASSERT_EQ(0, set("user.k", "text"));
  EXPECT_EQ("text", stored("user.k"));
  ASSERT_EQ(0, set("user.k", "\xff\xfe"));
  EXPECT_EQ("cfs-base64://4=", stored("user.k"));
  ASSERT_EQ(0, set("user.k", "cfs-base64://4="));  // text that looks encoded stays that text
  EXPECT_EQ("cfs-base64://4=", *get("user.k"));
  EXPECT_NE("cfs-base64://4=", stored("user.k"));
}

TEST_F(XattrTest, TextOfAnotherClientThatOnlyLooksEncodedIsShownAsItIs) {
  wire::SetXattrReq req;
  req.ino = file_;
  req.key = "user.k";
  req.value = "cfs-base64:not base64!";
  ASSERT_TRUE(await(impl().ops().client().send_to<wire::SetXattrReq>(file_, req, {})).ok());
  EXPECT_EQ("cfs-base64:not base64!", *get("user.k"));
}

TEST_F(XattrTest, MissingIsNotEmpty) {
  EXPECT_EQ(ENODATA, get("user.none").code());
  ASSERT_EQ(0, set("user.empty", ""));
  const Result<std::string> empty = get("user.empty");
  ASSERT_TRUE(empty.ok()) << empty.error().text();
  EXPECT_EQ("", *empty);
  EXPECT_EQ(ENODATA, get("user.none").code());
  EXPECT_EQ(EEXIST, set("user.empty", "x", XATTR_CREATE));
  EXPECT_EQ(0, set("user.empty", "x", XATTR_REPLACE));
  EXPECT_EQ(ENODATA, set("user.none", "x", XATTR_REPLACE));
  EXPECT_EQ(0, set("user.new", "x", XATTR_CREATE));
  ASSERT_TRUE(await(volume_->removexattr(file_, "user.new")).ok());
  EXPECT_EQ(ENODATA, await(volume_->removexattr(file_, "user.new")).code());
}

TEST_F(XattrTest, LimitsAndNames) {
  EXPECT_EQ(E2BIG, set("user.k", std::string(65537, 'x')));
  EXPECT_EQ(EILSEQ, set("user.\xff", "x"));
  EXPECT_EQ(EILSEQ, get("user.\xff").code());
  EXPECT_EQ(ERANGE, set("", "x"));
  EXPECT_EQ(ERANGE, set("user." + std::string(251, 'x'), "x"));
  EXPECT_EQ(0, set("user." + std::string(250, 'x'), "x"));
}

TEST_F(XattrTest, KeysOfTheServersAreHidden) {
  for (const char* key : {"DirStat", "cfs_inner_xattr_dir_lock_key", "qa"}) {
    wire::SetXattrReq req;
    req.ino = file_;
    req.key = key;
    req.value = "1";
    ASSERT_TRUE(await(impl().ops().client().send_to<wire::SetXattrReq>(file_, req, {})).ok());
  }
  for (const char* name : {"user.a", "trusted.b", "security.c", "system.d"}) {
    ASSERT_EQ(0, set(name, "x"));
  }
  std::vector<std::string> names = *await(volume_->listxattr(file_));
  std::sort(names.begin(), names.end());
  EXPECT_EQ((std::vector<std::string>{"security.c", "system.d", "trusted.b", "user.a"}), names);
}

/// What is asked for of every file comes with a listing: that there is nothing of it.
TEST_F(XattrTest, AListingTellsWhoHasNoSecurity) {
  const std::map<std::string, const char*> marks{
      {"acl", "system.posix_acl_access"},  {"cap", "security.capability"},
      {"dir", "system.posix_acl_default"}, {"plain", nullptr},
      {"sel", "security.selinux"},         {"user", "user.k"}};
  const Ino d = make(kRoot, "d", S_IFDIR | 0755);
  for (const auto& [name, xattr] : marks) {
    const Ino ino = make(d, name, name == "dir" ? S_IFDIR | 0755 : S_IFREG | 0644);
    if (xattr == nullptr) continue;
    ASSERT_EQ(0, await(volume_->setxattr(ino, xattr, "v", 0)).code());
  }
  const auto without = [&](bool security) {
    std::string names;
    const Result<DirPage> page = await(volume_->readdir(d, "", 100, security));
    for (const DirEntry& e : page->entries) names += e.attr.no_security ? e.name + " " : "";
    return names;
  };
  EXPECT_EQ("plain user ", without(true));
  EXPECT_EQ("", without(false)) << "nobody asked";
  arm(mini::FaultKind::kForceResult, CFS_MOP_BATCH_GET_XATTR, CFS_RC_NOT_PERM,
      mini::Fault::kForever);
  EXPECT_EQ("", without(true)) << "nobody answered";
  cluster_->faults().clear();
}

TEST_F(XattrTest, OneRequestEach) {
  ASSERT_EQ(0, set("user.k", "x"));
  std::uint64_t before = requests();
  EXPECT_EQ("x", *get("user.k"));
  EXPECT_EQ(1u, requests() - before);
  before = requests();
  EXPECT_EQ(ENODATA, get("security.capability").code());
  EXPECT_EQ(1u, requests() - before);
  before = requests();
  EXPECT_EQ(0, set("user.k", "y"));
  EXPECT_EQ(1u, requests() - before);
  before = requests();
  EXPECT_EQ(0, set("user.k", "z", XATTR_REPLACE));
  EXPECT_EQ(2u, requests() - before);
}

}  // namespace
}  // namespace cfs::test
