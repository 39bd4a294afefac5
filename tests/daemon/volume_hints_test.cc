// SPDX-License-Identifier: Apache-2.0
/// If this fails, a rename believes a stale cache (files lost, swapped or miscounted), an open gets
/// wrong extents, or a nameless file leaks or cannot be named.
#include "tests/daemon/volume_fixture.h"

namespace cfs::test {
namespace {

/// Every test with and without transactions, in the form of CubeFS 3.3 and (names with "_34") of 3.4 and later.
class Hints : public VolumeTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    mini::Volume settings;
    const std::string param = GetParam();
    settings.tx_mask = param.substr(0, param.find('_'));
    settings.tx_refuses_names = param.find("_34") != std::string::npos;
    make_volume(settings);
  }
  static RenameHints hints(Ino src, std::uint32_t src_mode) {
    return RenameHints{.src = src, .src_mode = src_mode};
  }
  static RenameHints hints(Ino src, std::uint32_t src_mode, Ino dst, std::uint32_t dst_mode) {
    return RenameHints{
        .src = src, .src_mode = src_mode, .dst_known = true, .dst = dst, .dst_mode = dst_mode};
  }
  /// Names of the root directory and what they mean.
  std::map<std::string, Ino> tree() {
    std::map<std::string, Ino> out;
    for (const DirEntry& e : list(kRoot)) out[e.name] = e.ino;
    return out;
  }
  using Tree = std::map<std::string, Ino>;
  static constexpr std::uint32_t kFile = S_IFREG | 0644;
  static constexpr std::uint32_t kDir = S_IFDIR | 0755;
};

TEST_P(Hints, RightHintsRename) {
  const Ino f = make(kRoot, "f");
  ASSERT_TRUE(rename(kRoot, "f", kRoot, "g", false, hints(f, kFile, 0, 0)).ok());
  EXPECT_EQ((Tree{{"g", f}}), tree());
  EXPECT_EQ(1u, getattr(f)->nlink);
  const Ino h = make(kRoot, "h");
  const Result<Attr> old = rename(kRoot, "g", kRoot, "h", false, hints(f, kFile, h, kFile));
  ASSERT_TRUE(old.ok()) << old.error().text();
  EXPECT_EQ(h, old->ino);
  EXPECT_EQ(0u, old->nlink);
  EXPECT_EQ((Tree{{"h", f}}), tree());
  EXPECT_EQ(1u, getattr(f)->nlink);
}

TEST_P(Hints, TheOldNameMeansAnotherFileNow) {
  const Ino f = make(kRoot, "f");
  ASSERT_TRUE(rename(kRoot, "f", kRoot, "moved").ok());
  const Ino other = make(kRoot, "f");
  ASSERT_TRUE(rename(kRoot, "f", kRoot, "g", false, hints(f, kFile, 0, 0)).ok());
  EXPECT_EQ((Tree{{"g", other}, {"moved", f}}), tree());
  EXPECT_EQ(1u, getattr(f)->nlink);
  EXPECT_EQ(1u, getattr(other)->nlink);
}

TEST_P(Hints, TheOldNameMeansAnotherFileNowAndOneIsReplaced) {
  const Ino f = make(kRoot, "f");
  const Ino g = make(kRoot, "g");
  ASSERT_TRUE(rename(kRoot, "f", kRoot, "moved").ok());
  const Ino other = make(kRoot, "f");
  const Result<Attr> old = rename(kRoot, "f", kRoot, "g", false, hints(f, kFile, g, kFile));
  ASSERT_TRUE(old.ok()) << old.error().text();
  EXPECT_EQ(g, old->ino);
  EXPECT_EQ(0u, old->nlink);
  EXPECT_EQ((Tree{{"g", other}, {"moved", f}}), tree());
  EXPECT_EQ(1u, getattr(f)->nlink);
  EXPECT_EQ(1u, getattr(other)->nlink);
}

TEST_P(Hints, TheOldNameIsGone) {
  const Ino f = make(kRoot, "f");
  ASSERT_TRUE(rename(kRoot, "f", kRoot, "moved").ok());
  EXPECT_EQ(ENOENT, rename(kRoot, "f", kRoot, "g", false, hints(f, kFile, 0, 0)).code());
  EXPECT_EQ((Tree{{"moved", f}}), tree());
  EXPECT_EQ(1u, getattr(f)->nlink);
  const Ino g = make(kRoot, "g");
  ASSERT_TRUE(unlink(kRoot, "moved").ok());
  ASSERT_TRUE(await(volume_->evict(f)).ok());
  EXPECT_EQ(ENOENT, rename(kRoot, "f", kRoot, "g", false, hints(f, kFile, g, kFile)).code());
  EXPECT_EQ((Tree{{"g", g}}), tree());
  EXPECT_EQ(1u, getattr(g)->nlink);
}

/// Another host did the same a moment ago: its name must not be taken for ours and undone.
TEST_P(Hints, TheSameWasDoneAlready) {
  const Ino f = make(kRoot, "f");
  ASSERT_TRUE(rename(kRoot, "f", kRoot, "g").ok());
  EXPECT_EQ(ENOENT, rename(kRoot, "f", kRoot, "g", false, hints(f, kFile, 0, 0)).code());
  EXPECT_EQ((Tree{{"g", f}}), tree());
  EXPECT_EQ(1u, getattr(f)->nlink);
}

TEST_P(Hints, TheOldNameMeansAnotherFileAndAReplyIsLost) {
  const Ino f = make(kRoot, "f");
  ASSERT_TRUE(rename(kRoot, "f", kRoot, "moved").ok());
  const Ino other = make(kRoot, "f");
  arm(mini::FaultKind::kCloseAfter, CFS_MOP_BATCH_DELETE_DENTRY, 0, 1);
  ASSERT_TRUE(rename(kRoot, "f", kRoot, "g", false, hints(f, kFile, 0, 0)).ok());
  EXPECT_EQ((Tree{{"g", other}, {"moved", f}}), tree());
  EXPECT_EQ(1u, getattr(f)->nlink);
  EXPECT_EQ(1u, getattr(other)->nlink);
}

TEST_P(Hints, ADirectoryDoesNotReplaceAFileThatCame) {
  const Ino d = make(kRoot, "d", kDir);
  const Ino g = make(kRoot, "g");
  EXPECT_EQ(ENOTDIR, rename(kRoot, "d", kRoot, "g", false, hints(d, kDir, 0, 0)).code());
  EXPECT_EQ((Tree{{"d", d}, {"g", g}}), tree());
  EXPECT_EQ(1u, getattr(g)->nlink);
}

TEST_P(Hints, TheNewNameCame) {
  const Ino f = make(kRoot, "f");
  const Ino g = make(kRoot, "g");
  EXPECT_EQ(EEXIST, rename(kRoot, "f", kRoot, "g", true, hints(f, kFile, 0, 0)).code());
  EXPECT_EQ((Tree{{"f", f}, {"g", g}}), tree());
  EXPECT_EQ(1u, getattr(f)->nlink);
  const Result<Attr> old = rename(kRoot, "f", kRoot, "g", false, hints(f, kFile, 0, 0));
  ASSERT_TRUE(old.ok()) << old.error().text();
  EXPECT_EQ(g, old->ino);
  EXPECT_EQ((Tree{{"g", f}}), tree());
  EXPECT_EQ(1u, getattr(f)->nlink);
}

TEST_P(Hints, TheNewNameWent) {
  const Ino f = make(kRoot, "f");
  const Ino g = make(kRoot, "g");
  ASSERT_TRUE(unlink(kRoot, "g").ok());
  EXPECT_TRUE(rename(kRoot, "f", kRoot, "g", false, hints(f, kFile, g, kFile)).ok());
  EXPECT_EQ((Tree{{"g", f}}), tree());
  EXPECT_EQ(1u, getattr(f)->nlink);
  const Ino h = make(kRoot, "h");
  ASSERT_TRUE(unlink(kRoot, "h").ok());
  EXPECT_TRUE(rename(kRoot, "g", kRoot, "h", true, hints(f, kFile, h, kFile)).ok());
  EXPECT_EQ((Tree{{"h", f}}), tree());
}

TEST_P(Hints, TheNewNameIsADirectoryNow) {
  const Ino f = make(kRoot, "f");
  const Ino g = make(kRoot, "g");
  ASSERT_TRUE(unlink(kRoot, "g").ok());
  const Ino d = make(kRoot, "g", kDir);
  EXPECT_EQ(EISDIR, rename(kRoot, "f", kRoot, "g", false, hints(f, kFile, 0, 0)).code());
  EXPECT_EQ(EISDIR, rename(kRoot, "f", kRoot, "g", false, hints(f, kFile, g, kFile)).code());
  EXPECT_EQ((Tree{{"f", f}, {"g", d}}), tree());
  EXPECT_EQ(1u, getattr(f)->nlink);
  EXPECT_EQ(2u, getattr(d)->nlink);
  const Ino e = make(kRoot, "e", kDir);
  EXPECT_TRUE(rename(kRoot, "e", kRoot, "g", false, hints(e, kDir, 0, 0)).ok());
  EXPECT_EQ((Tree{{"f", f}, {"g", e}}), tree());
}

TEST_P(Hints, BothNamesMeanOneFileNow) {
  const Ino f = make(kRoot, "f");
  const Ino g = make(kRoot, "g");
  ASSERT_TRUE(unlink(kRoot, "g").ok());
  ASSERT_TRUE(link(f, kRoot, "g").ok());
  const Result<Attr> same = rename(kRoot, "f", kRoot, "g", false, hints(f, kFile, g, kFile));
  ASSERT_TRUE(same.ok()) << same.error().text();
  EXPECT_EQ((Tree{{"f", f}, {"g", f}}), tree());
  EXPECT_EQ(2u, getattr(f)->nlink);
}

TEST_P(Hints, ARefusalIsNeverDecidedOnHints) {
  const Ino f = make(kRoot, "f");
  const Ino d = make(kRoot, "d", kDir);
  EXPECT_TRUE(rename(kRoot, "f", kRoot, "g", false, hints(f, kFile, d, kDir)).ok());
  EXPECT_TRUE(rename(kRoot, "g", kRoot, "h", true, hints(f, kFile, f, kFile)).ok());
  EXPECT_EQ((Tree{{"d", d}, {"h", f}}), tree());
}

TEST_P(Hints, UnlinkRemovesWhatTheNameMeans) {
  const Ino f = make(kRoot, "f");
  EXPECT_EQ(f, unlink(kRoot, "f", false, {f})->ino);
  EXPECT_EQ(0u, getattr(f)->nlink);
  const Ino g = make(kRoot, "g");
  ASSERT_TRUE(rename(kRoot, "g", kRoot, "moved").ok());
  EXPECT_EQ(ENOENT, unlink(kRoot, "g", false, {g}).code());
  const Ino other = make(kRoot, "g");
  const Result<Attr> gone = unlink(kRoot, "g", false, {g});
  ASSERT_TRUE(gone.ok()) << gone.error().text();
  EXPECT_EQ(other, gone->ino);
  EXPECT_EQ(0u, gone->nlink);
  EXPECT_EQ(1u, getattr(g)->nlink);
  const Ino d = make(kRoot, "g", kDir);
  EXPECT_EQ(EISDIR, unlink(kRoot, "g", false, {g}).code());
  EXPECT_EQ((Tree{{"g", d}, {"moved", g}}), tree());
  EXPECT_EQ(2u, getattr(d)->nlink);
}

TEST_P(Hints, NamelessFileCanBeNamed) {
  const Result<Attr> made = tmpfile(kRoot, 0640);
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_EQ(S_IFREG | 0640u, made->mode);
  EXPECT_EQ(0u, made->nlink);
  EXPECT_EQ(1000u, made->uid);
  EXPECT_TRUE(tree().empty());
  EXPECT_EQ(0u, getattr(made->ino)->nlink);
  const Result<Attr> named = link(made->ino, kRoot, "named");
  ASSERT_TRUE(named.ok()) << named.error().text();
  EXPECT_EQ(1u, named->nlink);
  EXPECT_EQ(made->ino, lookup(kRoot, "named")->ino);
  EXPECT_TRUE(await(volume_->evict(made->ino)).ok());  // does not harm a named one
  EXPECT_EQ(1u, getattr(made->ino)->nlink);
}

TEST_P(Hints, NamelessFileGoesWithItsLastUser) {
  const Ino ino = tmpfile(kRoot)->ino;
  ASSERT_TRUE(await(volume_->evict(ino)).ok());
  EXPECT_EQ(ENOENT, getattr(ino).code());
}

INSTANTIATE_TEST_SUITE_P(Transactions, Hints,
                         ::testing::Values("off", "rename", "all", "rename_34", "all_34"),
                         [](const auto& param) { return std::string(param.param); });

// ---------------------------------------------------------------- open

class OpenTest : public VolumeTest {};

TEST_F(OpenTest, ExtentsComeWithTheAttributes) {
  const Ino f = make(kRoot, "f");
  ExtentKey key;
  key.partition_id = volume_->partitions()[0].id;
  key.extent_id = 1025;
  key.size = 4096;
  ASSERT_TRUE(await(volume_->commit(f, {key}, 1)).ok());
  const Result<OpenResult> got = await(volume_->lookup_open(kRoot, "f"));
  ASSERT_TRUE(got.ok()) << got.error().text();
  EXPECT_EQ(f, got->attr.ino);
  EXPECT_EQ(4096u, got->attr.size);
  ASSERT_TRUE(got->has_extents);
  EXPECT_EQ(4096u, got->extents.size);
  EXPECT_EQ(got->attr.gen, got->extents.gen);
  EXPECT_EQ(1u, got->extents.storage_class);
  ASSERT_EQ(1u, got->extents.keys.size());
  EXPECT_EQ(1025u, got->extents.keys[0].extent_id);
}

TEST_F(OpenTest, OnlyRegularFilesHaveExtents) {
  make(kRoot, "d", S_IFDIR | 0755);
  ASSERT_TRUE(create(kRoot, "l", S_IFLNK | 0777, "target").ok());
  EXPECT_FALSE(await(volume_->lookup_open(kRoot, "d"))->has_extents);
  const Result<OpenResult> link = await(volume_->lookup_open(kRoot, "l"));
  ASSERT_TRUE(link.ok());
  EXPECT_FALSE(link->has_extents);
  EXPECT_EQ("target", link->attr.target);
  EXPECT_EQ(ENOENT, await(volume_->lookup_open(kRoot, "nothing")).code());
  EXPECT_EQ(EILSEQ, await(volume_->lookup_open(kRoot, "bad\xff")).code());
  ASSERT_TRUE(create(kRoot, "was-file").ok());  // its dentry keeps the type of its first inode
  ASSERT_TRUE(rename(kRoot, "l", kRoot, "was-file").ok());
  const Result<OpenResult> replaced = await(volume_->lookup_open(kRoot, "was-file"));
  ASSERT_TRUE(replaced.ok());
  EXPECT_FALSE(replaced->has_extents);
}

TEST_F(OpenTest, AListThatFailsDoesNotFailTheLookup) {
  const Ino f = make(kRoot, "f");
  arm(mini::FaultKind::kForceResult, CFS_MOP_EXTENTS_LIST, CFS_RC_NOT_PERM, 100);
  const Result<OpenResult> got = await(volume_->lookup_open(kRoot, "f"));
  ASSERT_TRUE(got.ok()) << got.error().text();
  EXPECT_EQ(f, got->attr.ino);
  EXPECT_FALSE(got->has_extents);
}

}  // namespace
}  // namespace cfs::test
