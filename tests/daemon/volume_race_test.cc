// SPDX-License-Identifier: Apache-2.0
/// Another host changes a name between the moment it is looked at and the moment it is changed. Breaks: a name that was never
/// asked about is removed, and what it meant is lost.
///
/// The mini cluster holds the request back for a while (a delay before execution); the other host acts meanwhile.
#include <future>
#include <map>

#include "tests/daemon/volume_fixture.h"

namespace cfs::test {
namespace {

class RaceTest : public VolumeTest {
 protected:
  static constexpr std::uint32_t kHoldMs = 500;
  static constexpr std::uint32_t kDir = S_IFDIR | 0755;

  void use_mask(const char* mask, bool refuses_names = false) {
    mini::Volume settings;
    settings.tx_mask = mask;
    settings.tx_refuses_names = refuses_names;
    make_volume(settings);
    auto opened = await(Volume::open(loop_.loop(), config()));
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    other_ = std::move(opened).value();
  }
  void TearDown() override {
    if (other_) await(close_volume(other_));
    other_.reset();
    VolumeTest::TearDown();
  }
  /// Runs `ours`, whose first request `op` is held back, and `theirs` while it is.
  Result<Attr> meanwhile(int op, const std::function<Result<Attr>()>& ours,
                         const std::function<void()>& theirs) {
    const std::uint64_t before = seen(op);
    arm(mini::FaultKind::kDelay, op, kHoldMs);
    std::future<Result<Attr>> done = std::async(std::launch::async, ours);
    while (seen(op) == before) std::this_thread::sleep_for(Millis(1));
    theirs();
    return done.get();
  }
  static std::uint64_t seen(int op) {
    std::uint64_t n = 0;
    for (const auto& [node, ops] : cluster_->meta().op_counts()) n += ops[op];
    return n;
  }
  // What the other host does.
  void they_rename(const std::string& name, const std::string& to) {
    Progress progress;
    const auto r = await(other_->rename(kRoot, name, kRoot, to, false, progress, {}));
    ASSERT_TRUE(r.ok()) << r.error().text();
  }
  Ino they_make(const std::string& name, std::uint32_t mode = S_IFREG | 0644) {
    Progress progress;
    const auto r = await(other_->create(kRoot, name, mode, {}, Caller{}, progress));
    EXPECT_TRUE(r.ok()) << r.error().text();
    return r.ok() ? r->ino : 0;
  }
  void they_link(Ino ino, const std::string& name) {
    Progress progress;
    const auto r = await(other_->link(ino, kRoot, name, progress));
    ASSERT_TRUE(r.ok()) << r.error().text();
  }
  using Tree = std::map<std::string, Ino>;
  Tree tree() {
    Tree t;
    for (const DirEntry& e : list(kRoot)) t[e.name] = e.ino;
    return t;
  }
  std::uint32_t links(Ino ino) {
    const Result<Attr> attr = getattr(ino);
    return attr.ok() ? attr->nlink : 0;
  }
  std::shared_ptr<Volume> other_;
};

TEST_F(RaceTest, UnlinkLeavesADirectoryThatTookTheName) {
  use_mask("rename");
  const Ino f = make(kRoot, "f");
  const Ino d = make(kRoot, "d", kDir);
  const Result<Attr> gone = meanwhile(
      CFS_MOP_BATCH_DELETE_DENTRY, [&] { return unlink(kRoot, "f"); },
      [&] {
        they_rename("f", "kept");
        they_rename("d", "f");
      });
  EXPECT_EQ(EISDIR, gone.code());
  EXPECT_EQ((Tree{{"f", d}, {"kept", f}}), tree());
  EXPECT_EQ(1u, links(f));
  EXPECT_EQ(2u, links(d));
}

TEST_F(RaceTest, UnlinkRemovesTheFileThatTookTheName) {
  use_mask("rename");
  for (const bool hinted : {false, true}) {
    const Ino f = make(kRoot, "f");
    Ino g = 0;
    const Result<Attr> gone = meanwhile(
        CFS_MOP_BATCH_DELETE_DENTRY,
        [&] {
          return unlink(kRoot, "f", false, hinted ? UnlinkHints{f, true} : UnlinkHints{});
        },
        [&] {
          they_rename("f", "kept");
          g = they_make("f");
        });
    ASSERT_TRUE(gone.ok()) << gone.error().text();
    EXPECT_EQ(g, gone->ino);
    EXPECT_EQ((Tree{{"kept", f}}), tree());
    EXPECT_EQ(1u, links(f));
    EXPECT_EQ(0u, links(g));
  }
}

TEST_F(RaceTest, UnlinkOfANameThatWentIsNotThere) {
  use_mask("rename");
  for (const bool hinted : {false, true}) {
    const Ino f = make(kRoot, "f");
    const Result<Attr> gone = meanwhile(
        CFS_MOP_BATCH_DELETE_DENTRY,
        [&] {
          return unlink(kRoot, "f", false, hinted ? UnlinkHints{f, true} : UnlinkHints{});
        },
        [&] { they_rename("f", "kept"); });
    EXPECT_EQ(ENOENT, gone.code());
    EXPECT_EQ((Tree{{"kept", f}}), tree());
    EXPECT_EQ(1u, links(f));
  }
}

TEST_F(RaceTest, RmdirLeavesAFullDirectoryThatTookTheName) {
  use_mask("rename");
  const Ino d = make(kRoot, "d", kDir);
  const Ino full = make(kRoot, "full", kDir);
  make(full, "precious");
  const Result<Attr> gone = meanwhile(
      CFS_MOP_BATCH_DELETE_DENTRY, [&] { return unlink(kRoot, "d", true); },
      [&] {
        they_rename("d", "kept");
        they_rename("full", "d");
      });
  EXPECT_EQ(ENOTEMPTY, gone.code());
  EXPECT_EQ((Tree{{"d", full}, {"kept", d}}), tree());
  EXPECT_EQ(2u, links(d));
}

TEST_F(RaceTest, RenameOverADirectoryLeavesTheOneThatTookItsName) {
  for (const char* mask : {"off", "rename"}) {
    use_mask(mask);
    const Ino d = make(kRoot, "d", kDir);
    const Ino empty = make(kRoot, "e", kDir);
    const Ino full = make(kRoot, "full", kDir);
    make(full, "precious");
    // theirs would wait for the delayed request, too, if they used it
    const Result<Attr> moved = meanwhile(
        CFS_MOP_BATCH_DELETE_DENTRY, [&] { return rename(kRoot, "d", kRoot, "e"); },
        [&] {
          they_rename("e", "kept");
          they_rename("full", "e");
        });
    EXPECT_EQ(ENOTEMPTY, moved.code()) << mask;
    EXPECT_EQ((Tree{{"d", d}, {"e", full}, {"kept", empty}}), tree()) << mask;
    EXPECT_EQ(2u, links(empty)) << mask;
    EXPECT_EQ(3u, links(full)) << mask;
    await(close_volume(other_));
  }
}

TEST_F(RaceTest, RenameGoesOnWhenTheTargetDirectoryWent) {
  use_mask("rename");
  const Ino d = make(kRoot, "d", kDir);
  const Ino empty = make(kRoot, "e", kDir);
  const Result<Attr> moved = meanwhile(
      CFS_MOP_BATCH_DELETE_DENTRY, [&] { return rename(kRoot, "d", kRoot, "e"); },
      [&] { they_rename("e", "kept"); });
  EXPECT_TRUE(moved.ok()) << moved.error().text();
  EXPECT_EQ((Tree{{"e", d}, {"kept", empty}}), tree());
  EXPECT_EQ(2u, links(empty));
}

TEST_F(RaceTest, PlainRenameLeavesTheFileThatTookTheOldName) {
  use_mask("off");
  const Ino f = make(kRoot, "f");
  Ino fresh = 0;
  const Result<Attr> moved = meanwhile(
      CFS_MOP_BATCH_DELETE_DENTRY, [&] { return rename(kRoot, "f", kRoot, "g"); },
      [&] {
        they_rename("f", "kept");
        fresh = they_make("f");
      });
  EXPECT_TRUE(moved.ok()) << moved.error().text();
  EXPECT_EQ((Tree{{"f", fresh}, {"g", f}, {"kept", f}}), tree());
  EXPECT_EQ(2u, links(f));
  EXPECT_EQ(1u, links(fresh));
}

/// CubeFS 3.3 takes a name that has the inode already for the transaction's own, 3.4 refuses it: the link must not be counted
/// twice, nor the other's name be removed by a rollback.
TEST_F(RaceTest, TheSameLinkFromTwoHostsIsMadeOnce) {
  for (const bool refuses_names : {false, true}) {
    use_mask("all", refuses_names);
    const Ino f = make(kRoot, "f");
    const Result<Attr> made = meanwhile(
        CFS_MOP_TX_LINK_INODE, [&] { return link(f, kRoot, "g"); }, [&] { they_link(f, "g"); });
    EXPECT_EQ(EEXIST, made.code());
    EXPECT_EQ((Tree{{"f", f}, {"g", f}}), tree());
    EXPECT_EQ(2u, links(f));
    await(close_volume(other_));
  }
}

/// The other host renames a file to where we rename it.
TEST_F(RaceTest, TheSameRenameFromTwoHostsIsMadeOnce) {
  for (const bool refuses_names : {false, true}) {
    use_mask("rename", refuses_names);
    const Ino f = make(kRoot, "f");
    const Result<Attr> moved = meanwhile(
        CFS_MOP_TX_DELETE_DENTRY, [&] { return rename(kRoot, "f", kRoot, "g"); },
        [&] { they_rename("f", "g"); });
    EXPECT_EQ(ENOENT, moved.code());
    EXPECT_EQ((Tree{{"g", f}}), tree());
    EXPECT_EQ(1u, links(f));
    await(close_volume(other_));
  }
}

/// 3.4 and later refuse a name of a transaction whenever it exists.
TEST_F(RaceTest, ALinkWhoseNameIsRefusedIsRolledBack) {
  use_mask("all");
  const Ino f = make(kRoot, "f");
  arm(mini::FaultKind::kForceResult, CFS_MOP_TX_CREATE_DENTRY, CFS_RC_EXIST);
  EXPECT_EQ(EEXIST, link(f, kRoot, "g").code());
  EXPECT_EQ((Tree{{"f", f}}), tree());
  EXPECT_EQ(1u, links(f));
  EXPECT_TRUE(link(f, kRoot, "g").ok()) << "nothing is locked any more";
}

}  // namespace
}  // namespace cfs::test
