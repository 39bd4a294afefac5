// SPDX-License-Identifier: Apache-2.0
/// If this fails, a deletion on a volume with a trash destroys data, leaves the trash's naming, or the
/// trash is never emptied.
#include <set>

#include "daemon/core/trash.h"
#include "tests/daemon/volume_fixture.h"

namespace cfs::test {
namespace {

using Names = std::vector<std::string>;

std::int64_t clock_shift_s = 0;
std::int64_t shifted_now() {
  return ::time(nullptr) + clock_shift_s;
}
/// Every look at it takes a minute.
std::int64_t creeping_now() {
  return ::time(nullptr) + (clock_shift_s += 60);
}

class TrashTest : public VolumeTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    clock_shift_s = 0;
    mini::Volume settings;
    settings.tx_mask = GetParam();
    settings.trash_interval_min = 60;
    make_volume(settings);
    impl().trash().paused = true;
    trash_ = lookup(kRoot, ".Trash")->ino;
  }
  void new_daemon() {
    remount();
    impl().trash().paused = true;
  }
  Ino current() { return lookup(trash_, "Current")->ino; }
  void expect_links(Ino ino, std::uint32_t wanted) {
    const Result<Attr> attr = getattr(ino);
    EXPECT_EQ(wanted, attr.ok() ? attr->nlink : 0);
  }
  static Task<bool> run_round(Trash* trash) {
    co_await trash->round();
    co_return true;
  }
  static Task<void> run_beside(std::shared_ptr<Volume> volume) {
    co_await static_cast<VolumeImpl&>(*volume).trash().round();
  }
  void round() {
    impl().trash().now_s = shifted_now;
    await(run_round(&impl().trash()));
  }
  Ino trash_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Masks, TrashTest, ::testing::Values("off", "rename", "all"));

TEST_P(TrashTest, DeletionsKeepTheInodeUnderItsPathsName) {
  EXPECT_TRUE(S_ISDIR(lookup(kRoot, ".Trash")->mode));
  const Ino a = make(kRoot, "a", S_IFDIR | 0755);
  const Ino b = make(a, "b", S_IFDIR | 0755);
  const Ino f = make(b, "f");
  const Ino top = make(kRoot, "top");
  const Ino empty = make(a, "empty", S_IFDIR | 0755);
  const Result<Attr> gone = unlink(b, "f");
  ASSERT_TRUE(gone.ok()) << gone.error().text();
  EXPECT_EQ(f, gone->ino);
  EXPECT_EQ(1u, gone->nlink);  // nothing to evict
  ASSERT_TRUE(unlink(kRoot, "top").ok());
  const Result<Attr> dir_gone = unlink(a, "empty", true);
  ASSERT_TRUE(dir_gone.ok());
  EXPECT_EQ(empty, dir_gone->ino);
  EXPECT_EQ(2u, dir_gone->nlink);
  EXPECT_EQ((Names{"|__|a|__|b|__|f", "|__|a|__|empty", "|__|top"}), names(current()));
  EXPECT_EQ(f, lookup(current(), "|__|a|__|b|__|f")->ino);
  EXPECT_EQ(top, lookup(current(), "|__|top")->ino);
  expect_links(f, 1);
  expect_links(empty, 2);
  EXPECT_TRUE(names(b).empty());
  EXPECT_EQ((Names{".Trash", "a"}), names(kRoot));
}

TEST_P(TrashTest, ChecksOfARemovalComeFirst) {
  const Ino d = make(kRoot, "d", S_IFDIR | 0755);
  make(d, "f");
  EXPECT_EQ(ENOTEMPTY, unlink(kRoot, "d", true).code());
  EXPECT_EQ(EISDIR, unlink(kRoot, "d").code());
  EXPECT_EQ(ENOTDIR, unlink(d, "f", true).code());
  EXPECT_EQ(ENOENT, unlink(d, "g").code());
  EXPECT_TRUE(names(current()).empty());
}

TEST_P(TrashTest, TheTrashItselfStaysAndWhatLiesInItGoesForReal) {
  EXPECT_EQ(EOPNOTSUPP, unlink(kRoot, ".Trash", true).code());
  const Ino f = make(kRoot, "f");
  ASSERT_TRUE(unlink(kRoot, "f").ok());
  const Result<Attr> gone = unlink(current(), "|__|f");
  ASSERT_TRUE(gone.ok());
  EXPECT_EQ(0u, gone->nlink);
  expect_links(f, 0);
  EXPECT_TRUE(names(current()).empty());
}

TEST_P(TrashTest, TakenNamesGetATimeAndEmptyDirectoriesMerge) {
  std::set<Ino> files;
  for (int i = 0; i < 3; ++i) {
    files.insert(make(kRoot, "f"));
    ASSERT_TRUE(unlink(kRoot, "f").ok());
  }
  std::set<Ino> kept;
  for (const DirEntry& e : list(current())) {
    EXPECT_EQ(0u, e.name.rfind("|__|f", 0)) << e.name;
    kept.insert(e.ino);
  }
  EXPECT_EQ(files, kept);
  for (int i = 0; i < 2; ++i) {
    make(kRoot, "d", S_IFDIR | 0755);
    ASSERT_TRUE(unlink(kRoot, "d", true).ok());
  }
  EXPECT_EQ(4u, names(current()).size());
  EXPECT_EQ(Names{".Trash"}, names(kRoot));
}

TEST_P(TrashTest, LongPathsAreShortenedAndKeptInAnAttribute) {
  Ino dir = kRoot;
  std::string path;
  for (int i = 0; i < 3; ++i) {
    const std::string part(100, static_cast<char>('a' + i));
    dir = make(dir, part, S_IFDIR | 0755);
    path += "|__|" + part;
  }
  const std::string name = std::string(251, 'x') + "\xc3\xa4";
  const Ino f = make(dir, name);
  ASSERT_TRUE(unlink(dir, name).ok());
  const Names kept = names(current());
  ASSERT_EQ(1u, kept.size());
  EXPECT_EQ(0u, kept[0].rfind("LongName____xxx", 0)) << kept[0];
  EXPECT_LE(kept[0].size(), 255u);
  EXPECT_EQ(path + "|__|" + name, *await(volume_->getxattr(f, "OriginalName")));
  round();  // and it finds its way back
  Ino at = current();
  for (int i = 0; i < 3; ++i) {
    const Result<Attr> next = lookup(at, std::string(100, static_cast<char>('a' + i)));
    ASSERT_TRUE(next.ok());
    at = next->ino;
  }
  EXPECT_EQ(f, lookup(at, name)->ino);
}

TEST_P(TrashTest, RenamedDirectoriesHaveTheirNewPath) {
  const Ino a = make(kRoot, "a", S_IFDIR | 0755);
  make(a, "f");
  ASSERT_TRUE(rename(kRoot, "a", kRoot, "b").ok());
  ASSERT_TRUE(unlink(a, "f").ok());
  EXPECT_EQ(Names{"|__|b|__|f"}, names(current()));
}

TEST_P(TrashTest, AFreshDaemonKeepsWhatItCannotPlace) {
  const Ino a = make(kRoot, "a", S_IFDIR | 0755);
  const Ino f = make(a, "f");
  new_daemon();
  ASSERT_TRUE(unlink(a, "f").ok());
  EXPECT_EQ(f, lookup(current(), "|__|inode-" + std::to_string(a) + "|__|f")->ino);
  make(a, "g");
  EXPECT_EQ(a, lookup(kRoot, "a")->ino);  // now it knows
  ASSERT_TRUE(unlink(a, "g").ok());
  EXPECT_TRUE(lookup(current(), "|__|a|__|g").ok());
}

TEST_P(TrashTest, AMountMayOptOut) {
  make(kRoot, "f");
  MountConfig c = config();
  c.trash = false;
  close();
  auto opened = await(Volume::open(loop_.loop(), c));
  ASSERT_TRUE(opened.ok());
  volume_ = *opened;
  EXPECT_EQ(0u, unlink(kRoot, "f")->nlink);
  EXPECT_TRUE(names(current()).empty());
  EXPECT_EQ(ENOTEMPTY, unlink(kRoot, ".Trash", true).code());
}

TEST_P(TrashTest, AFullTrashDirectoryMeansARealDeletion) {
  const Ino f = make(kRoot, "f");
  const int op =
      std::string(GetParam()) == "off" ? CFS_MOP_CREATE_DENTRY : CFS_MOP_TX_CREATE_DENTRY;
  arm(mini::FaultKind::kForceResult, op, CFS_RC_DIR_QUOTA);
  const Result<Attr> gone = unlink(kRoot, "f");
  ASSERT_TRUE(gone.ok()) << gone.error().text();
  EXPECT_EQ(0u, gone->nlink);
  expect_links(f, 0);
  EXPECT_EQ(Names{".Trash"}, names(kRoot));
}

// ---------------------------------------------------------------- daemon deaths

TEST_P(TrashTest, ADaemonMayDieAtEveryStep) {
  for (const bool is_dir : {false, true}) {
    for (int stop = 0, more = 1; more != 0; ++stop) {
      SCOPED_TRACE("died at " + std::to_string(stop));
      const std::string name = "x" + std::to_string(stop);
      const Ino dir = make(kRoot, (is_dir ? "dd" : "df") + name, S_IFDIR | 0755);
      const Ino x = make(dir, name, is_dir ? S_IFDIR | 0755u : S_IFREG | 0644u);
      alignas(8) unsigned char record[Progress::kBytes] = {};
      Progress fresh(record, false);
      int seen = 0;
      bool hit = false;
      impl().ops().progress_hook = [&](ProgressOp op, Step, bool) {
        if (op != ProgressOp::kTrash) return false;
        hit = hit || seen++ == stop;
        return hit;
      };
      Result<Attr> done = await(volume_->unlink(dir, name, is_dir, fresh));
      impl().ops().progress_hook = {};
      more = hit ? 1 : 0;
      if (hit) {
        new_daemon();
        Progress resumed(record, true);
        done = await(volume_->unlink(dir, name, is_dir, resumed));
      }
      ASSERT_TRUE(done.ok()) << done.error().text();
      EXPECT_EQ(x, done->ino);
      EXPECT_EQ(is_dir ? 2u : 1u, done->nlink);
      EXPECT_TRUE(names(dir).empty());
      expect_links(x, is_dir ? 2 : 1);
      int kept = 0;
      for (const DirEntry& e : list(current())) kept += e.ino == x ? 1 : 0;
      EXPECT_EQ(1, kept);
      if (HasFailure()) return;
    }
  }
}

/// Dies when its rename has begun, then another host makes an entry, then it dies at each later step.
TEST_P(TrashTest, ADirectoryThatWasFilledMeanwhileComesBack) {
  for (int stop = 0, more = 1; more != 0; ++stop) {
    SCOPED_TRACE("died again at " + std::to_string(stop));
    const std::string name = "d" + std::to_string(stop);
    const Ino d = make(kRoot, name, S_IFDIR | 0755);
    alignas(8) unsigned char record[Progress::kBytes] = {};
    Progress fresh(record, false);
    impl().ops().progress_hook = [](ProgressOp op, Step, bool stored) {
      return op == ProgressOp::kTrash && stored;
    };
    EXPECT_EQ(ECANCELED, await(volume_->unlink(kRoot, name, true, fresh)).code());
    new_daemon();
    const Ino f = make(d, "f");
    int seen = 0;
    bool hit = false;
    impl().ops().progress_hook = [&](ProgressOp, Step, bool) {
      hit = hit || seen++ == stop;
      return hit;
    };
    Progress resumed(record, true);
    Result<Attr> done = await(volume_->unlink(kRoot, name, true, resumed));
    impl().ops().progress_hook = {};
    more = hit ? 1 : 0;
    if (hit) {
      new_daemon();
      Progress again(record, true);
      done = await(volume_->unlink(kRoot, name, true, again));
    }
    EXPECT_EQ(ENOTEMPTY, done.code());
    Progress once_more(record, true);
    EXPECT_EQ(ENOTEMPTY, await(volume_->unlink(kRoot, name, true, once_more)).code());
    const Result<Attr> back = lookup(kRoot, name);
    EXPECT_EQ(d, back.ok() ? back->ino : 0);
    expect_links(d, 3);
    EXPECT_EQ(f, lookup(d, "f")->ino);
    EXPECT_TRUE(names(current()).empty());
    if (HasFailure()) return;
  }
}

/// The old name belongs to somebody else by then: the filled directory stays in the trash.
TEST_P(TrashTest, AFilledDirectoryStaysWhenItsNameIsTaken) {
  const Ino d = make(kRoot, "d", S_IFDIR | 0755);
  alignas(8) unsigned char record[Progress::kBytes] = {};
  Progress fresh(record, false);
  impl().ops().progress_hook = [](ProgressOp, Step step, bool stored) {
    return stored && step == Step::kDone;
  };
  EXPECT_EQ(ECANCELED, await(volume_->unlink(kRoot, "d", true, fresh)).code());
  new_daemon();
  make(d, "f");
  const Ino other = make(kRoot, "d");
  Progress resumed(record, true);
  EXPECT_EQ(d, await(volume_->unlink(kRoot, "d", true, resumed))->ino);
  EXPECT_EQ(other, lookup(kRoot, "d")->ino);
  EXPECT_EQ(d, lookup(current(), "|__|d")->ino);
  expect_links(d, 3);
}

/// The name that the former daemon chose is not the one that comes first to mind.
TEST_P(TrashTest, AnUnreadableTrashLeavesTheRecord) {
  make(kRoot, "x");
  ASSERT_TRUE(unlink(kRoot, "x").ok());
  const Ino x = make(kRoot, "x");
  alignas(8) unsigned char record[Progress::kBytes] = {};
  Progress fresh(record, false);
  impl().ops().progress_hook = [](ProgressOp, Step step, bool stored) {
    return stored && (step == Step::kNewNameMade || step == Step::kTxCommit);
  };
  EXPECT_EQ(ECANCELED, await(volume_->unlink(kRoot, "x", false, fresh)).code());
  new_daemon();
  const std::string before(reinterpret_cast<char*>(record), sizeof(record));
  arm(mini::FaultKind::kForceResult, CFS_MOP_READ_DIR_LIMIT, CFS_RC_ARG_MISMATCH);
  Progress resumed(record, true);
  EXPECT_FALSE(await(volume_->unlink(kRoot, "x", false, resumed)).ok());
  EXPECT_EQ(before, std::string(reinterpret_cast<char*>(record), sizeof(record)));
  const Result<Attr> done = await(volume_->unlink(kRoot, "x", false, resumed));
  ASSERT_TRUE(done.ok()) << done.error().text();
  EXPECT_EQ(x, done->ino);
  expect_links(x, 1);
  EXPECT_EQ(Names{".Trash"}, names(kRoot));
  EXPECT_EQ(2u, names(current()).size());
}

// ---------------------------------------------------------------- background

TEST_P(TrashTest, DirectoriesAreRebuilt) {
  const Ino a = make(kRoot, "a", S_IFDIR | 0755);
  const Ino b = make(a, "b", S_IFDIR | 0755);
  const Ino f = make(b, "f");
  ASSERT_TRUE(unlink(b, "f").ok());
  ASSERT_TRUE(unlink(a, "b", true).ok());
  ASSERT_TRUE(unlink(kRoot, "a", true).ok());
  round();
  EXPECT_EQ(Names{"a"}, names(current()));
  const Ino kept_a = lookup(current(), "a")->ino;
  const Ino kept_b = lookup(kept_a, "b")->ino;
  EXPECT_EQ(f, lookup(kept_b, "f")->ino);
  const Ino g = make(kRoot, "b-again");
  ASSERT_TRUE(unlink(kRoot, "b-again").ok());
  round();
  EXPECT_EQ((Names{"a", "b-again"}), names(current()));
  expect_links(g, 1);
}

TEST_P(TrashTest, CurrentExpiresAndExpiredOnesAreDeleted) {
  const Ino d = make(kRoot, "d", S_IFDIR | 0755);
  const Ino f = make(d, "f");
  ASSERT_TRUE(unlink(d, "f").ok());
  ASSERT_TRUE(unlink(kRoot, "d", true).ok());
  round();
  EXPECT_EQ(Names{"Current"}, names(trash_));
  clock_shift_s = 16 * 60;  // a quarter of the interval
  round();
  Names there = names(trash_);
  ASSERT_EQ(2u, there.size());
  EXPECT_EQ("Current", there[0]);
  EXPECT_EQ(0u, there[1].rfind("Expired_20", 0)) << there[1];
  expect_links(f, 1);
  clock_shift_s += 45 * 60;
  round();
  EXPECT_EQ(2u, names(trash_).size());  // not yet
  clock_shift_s += 16 * 60;
  round();
  EXPECT_EQ(Names{"Current"}, names(trash_));
  expect_links(f, 0);
}

TEST_P(TrashTest, OneClientWorksAtATime) {
  make(kRoot, "f");
  ASSERT_TRUE(unlink(kRoot, "f").ok());
  auto opened = await(Volume::open(loop_.loop(), config()));
  ASSERT_TRUE(opened.ok());
  auto& other = static_cast<VolumeImpl&>(**opened);
  other.trash().paused = true;
  await(run_round(&other.trash()));
  EXPECT_EQ(Names{"f"}, names(current()));
  make(kRoot, "g");
  ASSERT_TRUE(unlink(kRoot, "g").ok());
  round();  // the lock is the other's
  EXPECT_EQ((Names{"f", "|__|g"}), names(current()));
  await(close_volume(*opened));  // lets go of it
  clock_shift_s = 61;
  round();
  EXPECT_EQ((Names{"f", "g"}), names(current()));
}

TEST_P(TrashTest, AStampOfAnotherTimeZoneDeletesNothingEarly) {
  const Ino old = make(trash_, "Expired_2020-01-01-000000", S_IFDIR | 0755);
  const Ino f = make(old, "f");
  round();
  expect_links(f, 1);
  clock_shift_s = 59 * 60;
  round();
  expect_links(f, 1);
  clock_shift_s = 76 * 60;
  round();
  EXPECT_EQ(Names{"Current"}, names(trash_));
  expect_links(f, 0);
}

TEST_P(TrashTest, ARoundThatLosesTheLockStops) {
  round();  // takes it
  constexpr std::size_t kFiles = 60;
  for (std::size_t i = 0; i < kFiles; ++i) {
    const std::string name = "f" + std::to_string(i);
    make(kRoot, name);
    ASSERT_TRUE(unlink(kRoot, name).ok());
  }
  arm(mini::FaultKind::kForceResult, CFS_MOP_LOCK_DIR, CFS_RC_EXIST, mini::Fault::kForever);
  impl().trash().now_s = creeping_now;
  await(run_round(&impl().trash()));
  std::size_t flat = 0;
  for (const std::string& name : names(current())) flat += name[0] == '|' ? 1 : 0;
  EXPECT_GT(flat, kFiles / 4);
  EXPECT_LT(flat, kFiles);
}

TEST_P(TrashTest, ADeletionThatLosesTheLockStops) {
  const Ino old = make(trash_, "Expired_2020-01-01-000000", S_IFDIR | 0755);
  constexpr std::size_t kFiles = 60;
  for (std::size_t i = 0; i < kFiles; ++i) make(old, "f" + std::to_string(i));
  round();  // takes it
  clock_shift_s = 61 * 60;
  round();  // renews it
  make(trash_, "Expired_2020-01-01-000001", S_IFDIR | 0755);
  const Ino more = make(trash_, "Expired_2020-01-01-000002", S_IFDIR | 0755);
  for (std::size_t i = 0; i < kFiles; ++i) make(more, "f" + std::to_string(i));
  clock_shift_s = 78 * 60;  // the lease is to be renewed after 13 looks at the clock
  arm(mini::FaultKind::kForceResult, CFS_MOP_LOCK_DIR, CFS_RC_EXIST, mini::Fault::kForever);
  impl().trash().now_s = creeping_now;
  await(run_round(&impl().trash()));
  EXPECT_GT(names(more).size(), kFiles / 2);
  EXPECT_LT(names(more).size(), kFiles);
}

TEST_P(TrashTest, WhoDoesNotHoldTheLockAsksForNothingElse) {
  auto opened = await(Volume::open(loop_.loop(), config()));
  ASSERT_TRUE(opened.ok());
  auto& other = static_cast<VolumeImpl&>(**opened);
  other.trash().paused = true;
  await(run_round(&other.trash()));
  round();  // refused
  clock_shift_s = 61;
  const std::uint64_t before = volume_->counters().meta_requests;
  round();
  EXPECT_EQ(before + 1, volume_->counters().meta_requests);
  round();
  EXPECT_EQ(before + 1, volume_->counters().meta_requests);
  await(close_volume(*opened));
}

TEST_P(TrashTest, ACloseLeavesNothingHalfDeleted) {
  const Ino old = make(trash_, "Expired_2020-01-01-000000", S_IFDIR | 0755);
  std::map<std::string, Ino> files;
  for (const char* name : {"f", "g", "h"}) files[name] = make(old, name);
  const bool tx = std::string(GetParam()) == "all";
  arm(mini::FaultKind::kDelay, tx ? CFS_MOP_TX_DELETE_DENTRY : CFS_MOP_BATCH_DELETE_DENTRY, 400);
  clock_shift_s = 61 * 60;
  impl().trash().now_s = shifted_now;
  loop_.loop().post([this] { loop_.loop().spawn(run_beside(volume_)); });
  std::this_thread::sleep_for(Millis(150));
  new_daemon();
  for (const std::string& name : names(old)) files.erase(name);
  EXPECT_EQ(1u, files.size());
  for (const auto& [name, ino] : files) EXPECT_EQ(ENOENT, getattr(ino).code()) << name;
}

/// Deleting changes the directory's time; the next holder of the lock must not wait an interval because of that.
TEST_P(TrashTest, WhatWasBegunIsDeletedByTheNextHolder) {
  const Ino old = make(trash_, "Expired_2020-01-01-000000", S_IFDIR | 0755);
  for (const char* name : {"f", "g", "h"}) make(old, name);
  const bool tx = std::string(GetParam()) == "all";
  arm(mini::FaultKind::kDelay, tx ? CFS_MOP_TX_DELETE_DENTRY : CFS_MOP_BATCH_DELETE_DENTRY, 400);
  clock_shift_s = 61 * 60;
  impl().trash().now_s = shifted_now;
  loop_.loop().post([this] { loop_.loop().spawn(run_beside(volume_)); });
  std::this_thread::sleep_for(Millis(150));
  new_daemon();
  ASSERT_EQ(2u, names(old).size()) << "one was deleted before the daemon ended";
  make(trash_, "Expired_2020-01-01-000001", S_IFDIR | 0755);  // young by the server's time: stays
  clock_shift_s = 0;
  round();
  EXPECT_EQ((Names{"Current", "Expired_2020-01-01-000001"}), names(trash_));
}

/// An operation that runs while the volume closes, beside the release of the lock.
class TrashCloseTest : public TrashTest {};
INSTANTIATE_TEST_SUITE_P(Masks, TrashCloseTest, ::testing::Values("rename"));

TEST_P(TrashCloseTest, ARunningRenameIsLeftToTheNextDaemon) {
  const Ino f = make(kRoot, "f");
  round();  // holds the lock
  arm(mini::FaultKind::kForceResult, CFS_MOP_LOCK_DIR, CFS_RC_AGAIN, mini::Fault::kForever);
  arm(mini::FaultKind::kForceResult, CFS_MOP_TX_CREATE_DENTRY, CFS_RC_TX_CONFLICT,
      mini::Fault::kForever);
  arm(mini::FaultKind::kDelay, CFS_MOP_TX_CREATE, 300);  // so that its parts follow the close
  alignas(8) unsigned char record[Progress::kBytes] = {};
  Progress fresh(record, false);
  std::future<int> code = std::async(std::launch::async, [&] {
    const Result<Attr> done =
        await(volume_->rename(kRoot, "f", kRoot, "g", true, fresh, RenameHints{}));
    return done.ok() ? 0 : done.error().code;
  });
  std::this_thread::sleep_for(Millis(100));
  await(close_volume(volume_));
  EXPECT_EQ(ESHUTDOWN, code.get());
  cluster_->faults().clear();
  mount();
  Progress resumed(record, true);
  const Result<Attr> done =
      await(volume_->rename(kRoot, "f", kRoot, "g", true, resumed, RenameHints{}));
  ASSERT_TRUE(done.ok()) << done.error().text();
  EXPECT_EQ(f, lookup(kRoot, "g")->ino);
}

TEST(TrashNames, FlatNamesComeApart) {
  EXPECT_EQ((Names{"a", "b", "c"}), split_flat("|__|a|__|b|__|c"));
  EXPECT_EQ((Names{"a", "b"}), split_flat("a|__|b"));
  EXPECT_EQ(Names{"f"}, split_flat("|__||__|f"));
  EXPECT_TRUE(split_flat("plain").empty());
  EXPECT_EQ(255u, short_name(std::string(255, 'x'), 7).size());
  EXPECT_TRUE(wire::valid_utf8(short_name(std::string(222, 'x') + "\xe2\x82\xac\xe2\x82\xac", 7)));
}

}  // namespace
}  // namespace cfs::test
