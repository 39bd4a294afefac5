// SPDX-License-Identifier: Apache-2.0
/// If this fails, a mounted volume does not do what POSIX or CubeFS say: names, attributes, links,
/// renames with and without transactions, xattrs, extents, views.
#include <sys/xattr.h>

#include "daemon/base/when_all.h"
#include "tests/daemon/volume_fixture.h"

namespace cfs::test {
namespace {

using Names = std::vector<std::string>;

// ---------------------------------------------------------------- mount

TEST_F(VolumeTest, MountTellsWhatTheVolumeIs) {
  EXPECT_EQ(kRoot, volume_->root().ino);
  EXPECT_TRUE(S_ISDIR(volume_->root().mode));
  EXPECT_EQ("mini", volume_->cluster_name());
  EXPECT_EQ(1u, volume_->storage_class());
  EXPECT_EQ(3u, volume_->partitions().size());
  EXPECT_EQ(3u, volume_->writable(1).size());
  EXPECT_TRUE(volume_->writable(2).empty());
  EXPECT_NE(0u, volume_->fsid());
}

TEST_F(VolumeTest, MountRefusesWhatItCannotServe) {
  MountConfig wrong = config();
  wrong.owner = "mallory";
  EXPECT_EQ(EACCES, await(Volume::open(loop_.loop(), wrong)).code());
  wrong = config();
  wrong.volume = "nothing-here";
  EXPECT_EQ(ENOENT, await(Volume::open(loop_.loop(), wrong)).code());
  wrong = config();
  wrong.subdir = "/missing";
  EXPECT_EQ(ENOENT, await(Volume::open(loop_.loop(), wrong)).code());
  wrong = config();
  wrong.masters = {"127.0.0.1:1"};
  EXPECT_EQ(ECONNREFUSED, await(Volume::open(loop_.loop(), wrong)).code());
}

TEST_F(VolumeTest, MountRefusesErasureCodedVolumes) {
  mini::Volume cold;
  cold.name = "coldvol";
  cold.owner = "ltp";
  cold.vol_type = 1;
  ASSERT_TRUE(cluster_->create_volume(cold, 1, 0).ok());
  MountConfig c = config();
  c.volume = "coldvol";
  EXPECT_EQ(EOPNOTSUPP, await(Volume::open(loop_.loop(), c)).code());
}

TEST_F(VolumeTest, MountTriesEveryMasterAndTakesTheOwnerFromTheVolume) {
  MountConfig c = config();
  c.masters.insert(c.masters.begin(), "127.0.0.1:1");
  c.owner.clear();
  auto opened = await(Volume::open(loop_.loop(), c));
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  await(close_volume(*opened));
}

TEST_F(VolumeTest, SubDirectoryBecomesTheRoot) {
  const Ino a = make(kRoot, "a", S_IFDIR | 0755);
  const Ino b = make(a, "b", S_IFDIR | 0755);
  make(a, "file");
  MountConfig c = config();
  c.subdir = "/a/b";
  auto opened = await(Volume::open(loop_.loop(), c));
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  EXPECT_EQ(b, (*opened)->root().ino);
  await(close_volume(*opened));
  c.subdir = "/a/file";
  EXPECT_EQ(ENOTDIR, await(Volume::open(loop_.loop(), c)).code());
}

TEST_F(VolumeTest, ReadOnlyMountRefusesChanges) {
  const Ino f = make(kRoot, "f");
  close();
  MountConfig c = config();
  c.read_only = true;
  auto opened = await(Volume::open(loop_.loop(), c));
  ASSERT_TRUE(opened.ok());
  volume_ = *opened;
  EXPECT_EQ(EROFS, create(kRoot, "g").code());
  EXPECT_EQ(EROFS, unlink(kRoot, "f").code());
  EXPECT_EQ(EROFS, unlink(kRoot, "f", false, {f}).code());
  EXPECT_EQ(EROFS, rename(kRoot, "f", kRoot, "g").code());
  EXPECT_EQ(EROFS, link(f, kRoot, "g").code());
  EXPECT_EQ(EROFS, tmpfile(kRoot).code());
  EXPECT_EQ(EROFS, await(volume_->truncate(f, 0)).code());
  EXPECT_EQ(EROFS, await(volume_->setattr(f, {.valid = SetAttr::kMode, .mode = 0600})).code());
  EXPECT_EQ(EROFS, await(volume_->setxattr(f, "user.a", "b", 0)).code());
  EXPECT_EQ(EROFS, await(volume_->removexattr(f, "user.a")).code());
  EXPECT_EQ(EROFS, await(volume_->commit(f, {ExtentKey{}}, 1)).code());
  EXPECT_EQ(std::vector<std::string>{"f"}, names(kRoot));
  EXPECT_EQ(1u, getattr(f)->nlink);
}

// ---------------------------------------------------------------- create, lookup, readdir

TEST_F(VolumeTest, CreateAndLookUpEveryType) {
  const struct {
    const char* name;
    std::uint32_t mode;
  } kinds[] = {{"file", S_IFREG | 0640}, {"dir", S_IFDIR | 01755},  {"link", S_IFLNK | 0777},
               {"fifo", S_IFIFO | 0600}, {"sock", S_IFSOCK | 0755}, {"suid", S_IFREG | 04755}};
  for (const auto& k : kinds) {
    const Result<Attr> made = create(kRoot, k.name, k.mode, S_ISLNK(k.mode) ? "a/target" : "");
    ASSERT_TRUE(made.ok()) << k.name << ": " << made.error().text();
    EXPECT_EQ(k.mode, made->mode) << k.name;
    EXPECT_EQ(1000u, made->uid);
    EXPECT_EQ(100u, made->gid);
    const Result<Attr> found = lookup(kRoot, k.name);
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(made->ino, found->ino);
    EXPECT_EQ(k.mode, found->mode) << k.name;
    EXPECT_EQ(S_ISDIR(k.mode) ? 2u : 1u, found->nlink);
  }
  const Ino sym = lookup(kRoot, "link")->ino;
  EXPECT_EQ("a/target", *await(volume_->readlink(sym)));
  EXPECT_EQ(8u, getattr(sym)->size);
  EXPECT_EQ(EPERM, create(kRoot, "disk", S_IFBLK | 0600).code());
}

TEST_F(VolumeTest, NamesAreChecked) {
  EXPECT_EQ(ENAMETOOLONG, create(kRoot, std::string(256, 'x')).code());
  EXPECT_TRUE(create(kRoot, std::string(255, 'x')).ok());
  EXPECT_EQ(EILSEQ, create(kRoot, "bad\xff").code());
  EXPECT_EQ(EILSEQ, lookup(kRoot, "bad\xff").code());
  EXPECT_EQ(EINVAL, create(kRoot, "..").code());
  EXPECT_EQ(EINVAL, create(kRoot, "a/b").code());
  const std::string odd = "q\"uo\\te<>&\x01 \xe2\x82\xac";
  const Ino ino = make(kRoot, odd);
  EXPECT_EQ(ino, lookup(kRoot, odd)->ino);
}

TEST_F(VolumeTest, CreateOverAnExistingNameLeavesNoInode) {
  const Ino f = make(kRoot, "f");
  EXPECT_EQ(EEXIST, create(kRoot, "f").code());
  EXPECT_EQ(EEXIST, create(kRoot, "f", S_IFDIR | 0755).code());
  EXPECT_EQ(f, lookup(kRoot, "f")->ino);
  EXPECT_EQ(ENOENT, create(999999, "x").code());
  EXPECT_EQ(ENOTDIR, create(f, "x").code());
}

TEST_F(VolumeTest, ReaddirPagesWithAttributes) {
  const Ino d = make(kRoot, "d", S_IFDIR | 0755);
  Names expected;
  for (int i = 0; i < 25; ++i) {
    char name[16];
    std::snprintf(name, sizeof(name), "f%03d", i);
    make(d, name);
    expected.emplace_back(name);
  }
  for (const std::uint32_t page : {1u, 7u, 25u, 1000u}) EXPECT_EQ(expected, names(d, page)) << page;
  for (const DirEntry& e : list(d)) {
    EXPECT_EQ(e.ino, e.attr.ino);
    EXPECT_EQ(static_cast<std::uint32_t>(S_IFREG), e.type);
  }
  EXPECT_EQ(27u, getattr(d)->nlink);
  EXPECT_TRUE(names(lookup(kRoot, "d")->ino + 12345).empty());
}

TEST_F(VolumeTest, ReaddirDropsTheMarkerOnlyWhenItIsThere) {
  for (const char* n : {"a", "b", "c"}) make(kRoot, n);
  ASSERT_TRUE(unlink(kRoot, "a").ok());
  const Result<DirPage> page = await(volume_->readdir(kRoot, "a", 10, false));
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(2u, page->entries.size());
  EXPECT_EQ("b", page->entries[0].name);
}

// ---------------------------------------------------------------- remove

TEST_F(VolumeTest, UnlinkAndEvict) {
  const Ino f = make(kRoot, "f");
  const Result<Attr> gone = unlink(kRoot, "f");
  ASSERT_TRUE(gone.ok()) << gone.error().text();
  EXPECT_EQ(f, gone->ino);
  EXPECT_EQ(0u, gone->nlink);
  EXPECT_EQ(ENOENT, lookup(kRoot, "f").code());
  EXPECT_EQ(0u, getattr(f)->nlink);  // still there for who has it open
  EXPECT_TRUE(await(volume_->evict(f)).ok());
  EXPECT_EQ(ENOENT, getattr(f).code());
  EXPECT_TRUE(await(volume_->evict(f)).ok());
  EXPECT_EQ(ENOENT, unlink(kRoot, "f").code());
}

TEST_F(VolumeTest, RmdirWantsAnEmptyDirectory) {
  const Ino d = make(kRoot, "d", S_IFDIR | 0755);
  make(d, "x");
  EXPECT_EQ(ENOTEMPTY, unlink(kRoot, "d", true).code());
  EXPECT_EQ(EISDIR, unlink(kRoot, "d").code());
  EXPECT_EQ(ENOTDIR, unlink(d, "x", true).code());
  ASSERT_TRUE(unlink(d, "x").ok());
  EXPECT_TRUE(unlink(kRoot, "d", true).ok());
  EXPECT_EQ(ENOENT, getattr(d).code());
  EXPECT_EQ(2u, getattr(kRoot)->nlink);
}

TEST_F(VolumeTest, DeleteLockKeepsYoungFiles) {
  mini::Volume settings;
  settings.delete_lock_h = 1;
  make_volume(settings);
  make(kRoot, "f");
  make(kRoot, "d", S_IFDIR | 0755);
  EXPECT_EQ(EPERM, unlink(kRoot, "f").code());
  EXPECT_EQ(EPERM, unlink(kRoot, "d", true).code());
}

// ---------------------------------------------------------------- links and renames, both ways

class BothWays : public VolumeTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    mini::Volume settings;
    settings.tx_mask = GetParam();
    make_volume(settings);
  }
};

TEST_P(BothWays, CreateUnlinkLink) {
  const Ino d = make(kRoot, "d", S_IFDIR | 0755);
  const Ino f = make(d, "f");
  EXPECT_EQ(EEXIST, create(d, "f").code());
  EXPECT_EQ(EEXIST, create(d, "f", S_IFDIR | 0755).code());
  EXPECT_EQ(ENOTDIR, create(f, "x").code());
  const Result<Attr> linked = link(f, kRoot, "g");
  ASSERT_TRUE(linked.ok()) << linked.error().text();
  EXPECT_EQ(2u, linked->nlink);
  EXPECT_EQ(EEXIST, link(f, kRoot, "g").code());
  EXPECT_EQ(2u, getattr(f)->nlink);
  EXPECT_EQ(EPERM, link(d, kRoot, "h").code());
  EXPECT_EQ(ENOTEMPTY, unlink(kRoot, "d", true).code());
  EXPECT_EQ(d, lookup(kRoot, "d")->ino);
  const Result<Attr> one_left = unlink(d, "f");
  ASSERT_TRUE(one_left.ok());
  EXPECT_EQ(1u, one_left->nlink);
  ASSERT_TRUE(unlink(kRoot, "d", true).ok());
  EXPECT_EQ(0u, unlink(kRoot, "g")->nlink);
  EXPECT_TRUE(names(kRoot).empty());
  EXPECT_EQ(2u, getattr(kRoot)->nlink);
}

TEST_P(BothWays, RenameToANewName) {
  const Ino a = make(kRoot, "a", S_IFDIR | 0755);
  const Ino b = make(kRoot, "b", S_IFDIR | 0755);
  const Ino f = make(a, "f");
  const Result<Attr> same = rename(a, "f", a, "g");
  ASSERT_TRUE(same.ok()) << same.error().text();
  EXPECT_EQ(0u, same->ino);
  ASSERT_TRUE(rename(a, "g", b, "h").ok());
  EXPECT_EQ(f, lookup(b, "h")->ino);
  EXPECT_EQ(1u, getattr(f)->nlink);
  EXPECT_TRUE(names(a).empty());
  EXPECT_EQ(2u, getattr(a)->nlink);
  EXPECT_EQ(3u, getattr(b)->nlink);
  ASSERT_TRUE(rename(kRoot, "b", a, "b").ok());
  EXPECT_EQ(b, lookup(a, "b")->ino);
  EXPECT_EQ(3u, getattr(b)->nlink);
  EXPECT_EQ(ENOENT, rename(kRoot, "nothing", kRoot, "x").code());
}

TEST_P(BothWays, RenameOverAFile) {
  const Ino f = make(kRoot, "f");
  const Ino g = make(kRoot, "g");
  EXPECT_EQ(EEXIST, rename(kRoot, "f", kRoot, "g", true).code());
  EXPECT_EQ(f, lookup(kRoot, "f")->ino);
  const Result<Attr> old = rename(kRoot, "f", kRoot, "g");
  ASSERT_TRUE(old.ok()) << old.error().text();
  EXPECT_EQ(g, old->ino);
  EXPECT_EQ(0u, old->nlink);
  EXPECT_EQ(f, lookup(kRoot, "g")->ino);
  EXPECT_EQ(1u, getattr(f)->nlink);
  EXPECT_EQ((Names{"g"}), names(kRoot));
  EXPECT_TRUE(await(volume_->evict(g)).ok());
  EXPECT_EQ(ENOENT, getattr(g).code());
}

TEST_P(BothWays, RenameOverALinkOfTheSameFileDoesNothing) {
  const Ino f = make(kRoot, "f");
  ASSERT_TRUE(link(f, kRoot, "g").ok());
  EXPECT_TRUE(rename(kRoot, "f", kRoot, "g").ok());
  EXPECT_EQ((Names{"f", "g"}), names(kRoot));
  EXPECT_EQ(2u, getattr(f)->nlink);
}

TEST_P(BothWays, RenameOverALinkedFileKeepsTheOtherName) {
  const Ino g = make(kRoot, "g");
  ASSERT_TRUE(link(g, kRoot, "other").ok());
  make(kRoot, "f");
  const Result<Attr> old = rename(kRoot, "f", kRoot, "g");
  ASSERT_TRUE(old.ok()) << old.error().text();
  EXPECT_EQ(1u, old->nlink);
  EXPECT_EQ(1u, getattr(g)->nlink);
}

TEST_P(BothWays, RenameOverDirectories) {
  const Ino a = make(kRoot, "a", S_IFDIR | 0755);
  const Ino b = make(kRoot, "b", S_IFDIR | 0755);
  make(kRoot, "f");
  make(b, "x");
  EXPECT_EQ(EISDIR, rename(kRoot, "f", kRoot, "a").code());
  EXPECT_EQ(ENOTDIR, rename(kRoot, "a", kRoot, "f").code());
  EXPECT_EQ(ENOTEMPTY, rename(kRoot, "a", kRoot, "b").code());
  ASSERT_TRUE(unlink(b, "x").ok());
  const Result<Attr> old = rename(kRoot, "a", kRoot, "b");
  ASSERT_TRUE(old.ok()) << old.error().text();
  EXPECT_EQ(b, old->ino);
  EXPECT_EQ(0u, old->nlink);
  EXPECT_EQ(a, lookup(kRoot, "b")->ino);
  EXPECT_EQ((Names{"b", "f"}), names(kRoot));
  EXPECT_EQ(4u, getattr(kRoot)->nlink);
  EXPECT_EQ(2u, getattr(a)->nlink);
}

INSTANTIATE_TEST_SUITE_P(Masks, BothWays, ::testing::Values("off", "rename", "all"),
                         [](const auto& info) { return std::string(info.param); });

// ---------------------------------------------------------------- attributes

TEST_F(VolumeTest, SetattrKeepsTheTypeAndTellsMissingInodes) {
  const Ino f = make(kRoot, "f");
  SetAttr change;
  change.valid = SetAttr::kMode | SetAttr::kUid | SetAttr::kMtime;
  change.mode = 0600;  // without type bits
  change.uid = 7;
  change.mtime = 1234567890;
  const Result<Attr> done = await(volume_->setattr(f, change));
  ASSERT_TRUE(done.ok()) << done.error().text();
  const Result<Attr> now = getattr(f);
  EXPECT_EQ(static_cast<std::uint32_t>(S_IFREG | 0600), now->mode);
  EXPECT_EQ(7u, now->uid);
  EXPECT_EQ(100u, now->gid);
  EXPECT_EQ(1234567890, now->mtime);
  EXPECT_EQ(ENOENT, await(volume_->setattr(f + 999, change)).code());
}

TEST_F(VolumeTest, TruncateGrowsAndShrinks) {
  const Ino f = make(kRoot, "f");
  EXPECT_EQ(5'000'000'000u, await(volume_->truncate(f, 5'000'000'000u))->size);
  EXPECT_EQ(10u, await(volume_->truncate(f, 10))->size);
  EXPECT_EQ(EISDIR, await(volume_->truncate(kRoot, 0)).code());
  EXPECT_EQ(ENOENT, await(volume_->truncate(f + 999, 0)).code());
}

TEST_F(VolumeTest, StatfsComesFromTheMaster) {
  const Result<FsStat> st = await(volume_->statfs());
  ASSERT_TRUE(st.ok());
  EXPECT_EQ(10ull << 30, st->total_bytes);
}

// ---------------------------------------------------------------- xattrs

TEST_F(VolumeTest, XattrsOfAnyBytes) {
  const Ino f = make(kRoot, "f");
  const std::string values[] = {"plain",
                                "",
                                std::string("\0\x01\xff\xfe", 4),
                                "cfs-base64:not really",
                                std::string(65536, '\xee'),
                                "\xe2\x82\xac euro"};
  for (const std::string& v : values) {
    ASSERT_TRUE(await(volume_->setxattr(f, "user.k", v, 0)).ok());
    const Result<std::string> got = await(volume_->getxattr(f, "user.k"));
    ASSERT_TRUE(got.ok()) << got.error().text();
    EXPECT_EQ(v, *got);
  }
  EXPECT_EQ(E2BIG, await(volume_->setxattr(f, "user.k", std::string(65537, 'x'), 0)).code());
}

TEST_F(VolumeTest, XattrErrorsAreThoseOfPosix) {
  const Ino f = make(kRoot, "f");
  EXPECT_EQ(ENODATA, await(volume_->getxattr(f, "user.none")).code());
  EXPECT_EQ(ENODATA, await(volume_->removexattr(f, "user.none")).code());
  EXPECT_EQ(ENODATA, await(volume_->setxattr(f, "user.a", "1", XATTR_REPLACE)).code());
  EXPECT_TRUE(await(volume_->setxattr(f, "user.a", "1", XATTR_CREATE)).ok());
  EXPECT_EQ(EEXIST, await(volume_->setxattr(f, "user.a", "2", XATTR_CREATE)).code());
  EXPECT_TRUE(await(volume_->setxattr(f, "user.a", "3", XATTR_REPLACE)).ok());
  EXPECT_TRUE(await(volume_->setxattr(f, "DirStat", "1,2,3", 0)).ok());
  EXPECT_EQ((Names{"user.a"}), *await(volume_->listxattr(f)));
  EXPECT_TRUE(await(volume_->removexattr(f, "user.a")).ok());
  EXPECT_TRUE(await(volume_->listxattr(f))->empty());
}

// ---------------------------------------------------------------- extents

ExtentKey key(std::uint64_t offset, std::uint64_t extent, std::uint32_t size, bool fresh) {
  return ExtentKey{offset, 1, extent, 0, size, fresh};
}

TEST_F(VolumeTest, CommitsSingleKeysBatchesAndConflicts) {
  const Ino f = make(kRoot, "f");
  Result<CommitResult> done = await(volume_->commit(f, {key(0, 2000, 4096, true)}, 1));
  ASSERT_TRUE(done.ok()) << done.error().text();
  EXPECT_EQ(CFS_RC_OK, done->result);
  EXPECT_EQ(1u, done->committed);
  EXPECT_EQ(0u, done->gen);  // not asked for: one step for each key
  EXPECT_EQ(2u, getattr(f)->gen);
  done = await(volume_->commit(f, {key(8192, 2001, 4096, true), key(12288, 2002, 4096, true)}, 1));
  ASSERT_TRUE(done.ok());
  EXPECT_EQ(2u, done->committed);
  const Result<ExtentList> list = await(volume_->extents(f));
  ASSERT_TRUE(list.ok());
  EXPECT_EQ(3u, list->keys.size());
  EXPECT_EQ(16384u, list->size);
  EXPECT_EQ(done->gen, list->gen);
  // grown key, then one that covers a stranger's key
  done = await(volume_->commit(f, {key(12288, 2002, 8192, false), key(0, 3000, 20480, false)}, 1));
  ASSERT_TRUE(done.ok());
  EXPECT_EQ(1u, done->committed);
  EXPECT_EQ(CFS_RC_CONFLICT_EXTENTS, done->result);
}

// ---------------------------------------------------------------- views

TEST_F(VolumeTest, PartitionsAreAskedForById) {
  const std::vector<DataPartition> known = volume_->partitions();
  ASSERT_FALSE(known.empty());
  const Result<DataPartition> dp = await(volume_->partition(known[0].id));
  ASSERT_TRUE(dp.ok());
  EXPECT_EQ(known[0].hosts, dp->hosts);
  EXPECT_GE(dp->leader, 0);
  EXPECT_EQ(EIO, await(volume_->partition(987654)).code());
  volume_->report_partition(known[0].id, CFS_RC_DISK_NO_SPACE);
  EXPECT_EQ(known[0].id, volume_->writable(1).back());
  EXPECT_TRUE(await(volume_->refresh_partitions()).ok());
}

TEST_F(VolumeTest, InodesOfASplitPartitionAreFound) {
  ASSERT_TRUE(cluster_->split_volume(name_, 1).ok());
  std::vector<Ino> made;
  for (int i = 0; i < 12; ++i) made.push_back(make(kRoot, "f" + std::to_string(i)));
  remount();
  for (int i = 0; i < 12; ++i) made.push_back(make(kRoot, "g" + std::to_string(i)));
  for (const Ino ino : made) EXPECT_EQ(ino, getattr(ino)->ino);
}

TEST_F(VolumeTest, CloseRefusesLaterCalls) {
  await(close_volume(volume_));
  EXPECT_EQ(ESHUTDOWN, getattr(kRoot).code());
  EXPECT_EQ(ESHUTDOWN, create(kRoot, "f").code());
}

Task<int> look_up_often(Loop& loop, std::shared_ptr<Volume> volume, std::string name, int times) {
  std::vector<Task<Result<Attr>>> all;
  all.reserve(static_cast<std::size_t>(times));
  for (int i = 0; i < times; ++i) all.push_back(volume->lookup(1, name));
  const std::vector<Result<Attr>> got = co_await when_all<Result<Attr>>(loop, std::move(all));
  int good = 0;
  for (const Result<Attr>& r : got) good += r.ok() ? 1 : 0;
  co_return good;
}

TEST_F(VolumeTest, MoreRequestsThanConnections) {
  make(kRoot, "f");
  constexpr int kCount = 500;  // one partition of one node: 64 connections
  EXPECT_EQ(kCount, await(look_up_often(loop_.loop(), volume_, "f", kCount)));
}

TEST_F(VolumeTest, ManyCreatesSideBySide) {
  constexpr int kThreads = 6;
  constexpr int kEach = 50;
  std::atomic<int> ok{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        if (create(kRoot, "f" + std::to_string(t) + "-" + std::to_string(i)).ok()) ++ok;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(kThreads * kEach, ok);
  EXPECT_EQ(static_cast<std::size_t>(kThreads * kEach), names(kRoot, 77).size());
}

TEST_F(VolumeTest, VolumesWithQuotaTakeTheQuotaForms) {
  mini::Volume settings;
  settings.enable_quota = true;
  make_volume(settings);
  const Ino d = make(kRoot, "d", S_IFDIR | 0755);
  const Ino f = make(d, "f");
  ASSERT_TRUE(link(f, d, "g").ok());
  ASSERT_TRUE(rename(d, "f", kRoot, "f").ok());
  EXPECT_EQ(2u, getattr(f)->nlink);
  ASSERT_TRUE(unlink(d, "g").ok());
  EXPECT_TRUE(unlink(kRoot, "d", true).ok());
}

}  // namespace
}  // namespace cfs::test
