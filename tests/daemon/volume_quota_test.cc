// SPDX-License-Identifier: Apache-2.0
/// If this fails, a limit of the volume is not kept, not inherited, or told with a wrong errno:
/// directory quotas, space of users, entries per directory, delete lock, forbidden and read-only
/// volumes, storage classes.
#include "tests/daemon/volume_fixture.h"
#include "tools/minicluster/master.h"

namespace cfs::test {
namespace {

class QuotaTest : public VolumeTest {
 protected:
  void SetUp() override { make_quota_volume("off"); }
  void make_quota_volume(const std::string& mask) {
    mini::Volume settings;
    settings.enable_quota = true;
    settings.tx_mask = mask;
    make_volume(settings);
  }
  /// A master request as an administrator's tool sends it; the `data` of the reply.
  std::string admin(const std::string& path, std::multimap<std::string, std::string> params) {
    mini::MasterApi api(*cluster_);
    mini::MasterRequest request;
    params.emplace("name", name_);
    request.params = std::move(params);
    std::string body;
    EXPECT_TRUE(api.answer("test", path, request, &body));
    const Result<wire::Envelope> reply = wire::decode_envelope(body);
    EXPECT_TRUE(reply.ok());
    EXPECT_EQ(0, reply->code) << reply->msg;
    return reply->data;
  }
  void set_quota(const std::string& path, std::uint64_t files, std::uint64_t bytes = 1 << 20) {
    admin(
        "/quota/create",
        {{"path", path}, {"maxFiles", std::to_string(files)}, {"maxBytes", std::to_string(bytes)}});
    learn();
  }
  /// What the minute's refresh does.
  void learn() { EXPECT_TRUE(await(impl().ops().views().refresh_quotas()).ok()); }
  wire::QuotaInfo quota() {
    learn();
    EXPECT_EQ(1u, impl().ops().views().quotas().quotas.size());
    return impl().ops().views().quotas().quotas.at(0);
  }
  std::vector<std::uint32_t> ids_of(Ino ino) {
    Result<QuotaIds> ids = await(impl().ops().quotas().ids_of(ino));
    EXPECT_TRUE(ids.ok());
    return *ids;
  }
  std::uint8_t commit(Ino ino, std::uint64_t offset, std::uint32_t size) {
    ExtentKey key{offset, 1, 1000 + offset, 0, size, true};
    const Result<CommitResult> done = await(volume_->commit(ino, {key}, 1));
    EXPECT_TRUE(done.ok());
    return done.ok() ? done->result : 0;
  }
};

class QuotaWithMask : public QuotaTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override { make_quota_volume(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Masks, QuotaWithMask, ::testing::Values("off", "rename", "all"));

TEST_P(QuotaWithMask, NewInodesInheritAndAFullQuotaIsEdquot) {
  const Ino d = make(kRoot, "d", S_IFDIR | 0755);
  set_quota("/d", 3);
  const Ino sub = make(d, "sub", S_IFDIR | 0755);
  const Ino f = make(sub, "f");
  ASSERT_TRUE(create(sub, "s", S_IFLNK | 0777, "t").ok());
  EXPECT_EQ((std::vector<std::uint32_t>{1}), ids_of(sub));
  EXPECT_EQ((std::vector<std::uint32_t>{1}), ids_of(f));
  EXPECT_EQ(3, quota().used.files);
  EXPECT_TRUE(quota().limited.files);
  EXPECT_EQ(EDQUOT, create(sub, "g").code());
  EXPECT_EQ(EDQUOT, create(d, "dir", S_IFDIR | 0755).code());
  EXPECT_EQ(ENOENT, lookup(sub, "g").code());
  EXPECT_TRUE(create(kRoot, "outside").ok());
  ASSERT_TRUE(unlink(sub, "f").ok());
  EXPECT_TRUE(create(sub, "g").ok());
}

TEST_P(QuotaWithMask, PathsOfQuotasStayWhereTheyAre) {
  const Ino a = make(kRoot, "a", S_IFDIR | 0755);
  const Ino b = make(a, "b", S_IFDIR | 0755);
  const Ino q = make(b, "q", S_IFDIR | 0755);
  make(b, "free", S_IFDIR | 0755);
  set_quota("/a/b/q", 100);
  EXPECT_EQ(EPERM, rename(kRoot, "a", kRoot, "x").code());
  EXPECT_EQ(EPERM, rename(a, "b", a, "x").code());
  EXPECT_EQ(EPERM, rename(b, "q", kRoot, "x").code());
  EXPECT_TRUE(rename(b, "free", kRoot, "free").ok());
  EXPECT_EQ(EACCES, unlink(b, "q", true).code());
  const Ino inner = make(q, "inner", S_IFDIR | 0755);
  EXPECT_TRUE(rename(q, "inner", q, "inner2").ok());
  EXPECT_EQ(inner, lookup(q, "inner2")->ino);
  admin("/quota/delete", {{"quotaId", "1"}});
  learn();
  EXPECT_TRUE(rename(b, "q", kRoot, "x").ok());
}

TEST_F(QuotaTest, BytesAreLimitedAtCommitAndTruncate) {
  const Ino d = make(kRoot, "d", S_IFDIR | 0755);
  set_quota("/d", 100, 8192);
  const Ino f = make(d, "f");
  EXPECT_EQ(CFS_RC_OK, commit(f, 0, 8192));
  EXPECT_TRUE(quota().limited.bytes);
  EXPECT_EQ(CFS_RC_DIR_QUOTA, commit(f, 8192, 4096));
  EXPECT_EQ(EDQUOT, await(volume_->truncate(f, 20000)).code());
  EXPECT_TRUE(await(volume_->truncate(f, 100)).ok());
  EXPECT_EQ(CFS_RC_OK, commit(f, 4096, 4096));
}

TEST_F(QuotaTest, AQuotaSetWhileMountedIsInheritedAtTheNextRefresh) {
  const Ino d = make(kRoot, "d", S_IFDIR | 0755);
  make(d, "before");
  EXPECT_TRUE(ids_of(d).empty());
  set_quota("/d", 100);
  EXPECT_EQ((std::vector<std::uint32_t>{1}), ids_of(d));
  EXPECT_EQ((std::vector<std::uint32_t>{1}), ids_of(make(d, "after")));
  EXPECT_EQ(2, quota().used.files);  // what was there before counts, too
}

TEST_F(QuotaTest, ASubDirectoryMountKnowsQuotasByTheVolumesPaths) {
  const Ino a = make(kRoot, "a", S_IFDIR | 0755);
  const Ino b = make(a, "b", S_IFDIR | 0755);
  make(b, "q", S_IFDIR | 0755);
  set_quota("/a/b/q", 100);
  MountConfig c = config();
  c.subdir = "/a";
  close();
  auto opened = await(Volume::open(loop_.loop(), c));
  ASSERT_TRUE(opened.ok());
  volume_ = *opened;
  EXPECT_EQ(EPERM, rename(a, "b", a, "x").code());
}

// ---------------------------------------------------------------- users

TEST_P(QuotaWithMask, AUserAtHisLimitMakesNothing) {
  const Ino f = make(kRoot, "f");
  EXPECT_EQ(CFS_RC_OK, commit(f, 0, 4096));
  admin("/admin/uidOp", {{"op", "1"}, {"uid", "1000"}, {"capacity", "4096"}});
  EXPECT_EQ(EDQUOT, create(kRoot, "g").code());
  EXPECT_EQ(CFS_RC_NO_SPACE, commit(f, 4096, 4096));
  Progress progress;
  const Caller other{2000, 100};
  EXPECT_TRUE(await(volume_->create(kRoot, "o", S_IFREG | 0644, "", other, progress)).ok());
  admin("/admin/uidOp", {{"op", "2"}, {"uid", "1000"}});
  EXPECT_TRUE(create(kRoot, "g").ok());  // and no partition is avoided for it
}

// ---------------------------------------------------------------- other limits

TEST_F(QuotaTest, ADirectoryMayBeFull) {
  for (const char* mask : {"off", "all"}) {
    make_quota_volume(mask);
    const Ino d = make(kRoot, "d", S_IFDIR | 0755);
    const auto limit = [](std::uint64_t entries) {
      ASSERT_TRUE(cluster_->topology()
                      .update([&](mini::Topology& t, mini::Txn&) -> Result<void> {
                        t.dir_limit = entries;
                        return {};
                      })
                      .ok());
    };
    make(kRoot, "other");
    limit(4);  // nlink: 2 + entries
    make(d, "a");
    const Ino b = make(d, "b");
    EXPECT_EQ(EDQUOT, create(d, "c").code()) << mask;
    EXPECT_EQ(EDQUOT, link(b, d, "c").code()) << mask;
    EXPECT_EQ(EDQUOT, rename(kRoot, "other", d, "c").code()) << mask;
    EXPECT_EQ(1u, getattr(b)->nlink);
    EXPECT_EQ((std::vector<std::string>{"a", "b"}), names(d));
    EXPECT_EQ((std::vector<std::string>{"d", "other"}), names(kRoot));
    limit(20'000'000);
  }
}

TEST_F(QuotaTest, ForbiddenVolumesAreRefusedAndTold) {
  const Ino f = make(kRoot, "f");
  const auto forbid = [this](bool on) {
    ASSERT_TRUE(cluster_->change_volume(name_, [on](mini::Volume& v) { v.forbidden = on; }).ok());
  };
  forbid(true);
  EXPECT_EQ(EPERM, create(kRoot, "g").code());
  EXPECT_EQ(EPERM, lookup(kRoot, "f").code());
  EXPECT_EQ(EPERM, unlink(kRoot, "f").code());
  EXPECT_EQ(EPERM, unlink(kRoot, "f", false, {f}).code()) << "without a lookup";
  EXPECT_EQ(EPERM, rename(kRoot, "f", kRoot, "g").code());
  EXPECT_EQ(EPERM, link(f, kRoot, "g").code());
  EXPECT_EQ(EPERM, await(volume_->truncate(f, 0)).code());
  EXPECT_EQ(EPERM, await(volume_->setattr(f, {.valid = SetAttr::kMode, .mode = 0600})).code());
  EXPECT_EQ(EPERM, await(volume_->setxattr(f, "user.a", "b", 0)).code());
  auto opened = await(Volume::open(loop_.loop(), config()));
  EXPECT_EQ(EPERM, opened.code());
  EXPECT_NE(std::string::npos, opened.error().text().find("forbidden")) << opened.error().text();
  forbid(false);
  EXPECT_TRUE(create(kRoot, "g").ok());
  EXPECT_EQ((std::vector<std::string>{"f", "g"}), names(kRoot));
  EXPECT_EQ(1u, getattr(f)->nlink);
  remount();
}

TEST_F(QuotaTest, FilesTakeTheVolumesDefaultClass) {
  mini::Volume settings;
  settings.storage_class = CFS_CLASS_HDD;
  settings.allowed_classes = {CFS_CLASS_SSD, CFS_CLASS_HDD};
  make_volume(settings);
  EXPECT_EQ(static_cast<std::uint32_t>(CFS_CLASS_HDD), volume_->storage_class());
  const Ino f = make(kRoot, "f");
  EXPECT_EQ(static_cast<std::uint32_t>(CFS_CLASS_HDD), getattr(f)->storage_class);
  EXPECT_EQ(static_cast<std::uint32_t>(CFS_CLASS_HDD), await(volume_->extents(f))->storage_class);
  EXPECT_EQ(3u, volume_->writable(CFS_CLASS_HDD).size());
  EXPECT_TRUE(volume_->writable(CFS_CLASS_SSD).empty());
}

}  // namespace
}  // namespace cfs::test
