// SPDX-License-Identifier: Apache-2.0
/// If this fails, an operation of a volume with transactions commits although one of its steps was
/// refused, leaves a lock behind, or uses a transaction where the volume's mask does not ask for one.
///
/// The Go client commits after most refusals: rmdir of a full directory then "succeeds" and the
/// directory is lost (recorded). Here every refusal rolls back and is told.
#include <algorithm>

#include "tests/daemon/volume_fixture.h"

namespace cfs::test {
namespace {

using mini::FaultKind;

class TxTest : public VolumeTest {
 protected:
  void use_mask(const std::string& mask) {
    mini::Volume settings;
    settings.tx_mask = mask;
    settings.tx_retry_ms = 20;
    settings.tx_retry_num = 5;
    make_volume(settings);
  }
  void expect_links(Ino ino, std::uint32_t wanted) {
    const Result<Attr> attr = getattr(ino);
    EXPECT_EQ(wanted, attr.ok() ? attr->nlink : 0);
  }
  static void refuse(int op, std::uint32_t result, std::uint64_t count = 1) {
    arm(FaultKind::kForceResult, op, result, count);
  }
  static std::uint64_t requests(int op) {
    std::uint64_t sum = 0;
    for (const auto& [node, ops] : cluster_->meta().op_counts()) {
      sum += ops[static_cast<std::size_t>(op)];
    }
    return sum;
  }
};

/// Requests that came in while an object lived.
class Requests {
 public:
  Requests(std::function<std::uint64_t(int)> count, int op) : count_(std::move(count)), op_(op) {
    before_ = count_(op_);
  }
  [[nodiscard]] std::uint64_t since() const { return count_(op_) - before_; }

 private:
  std::function<std::uint64_t(int)> count_;
  int op_;
  std::uint64_t before_;
};

/// What one partition refuses, another may take; only the last refusal is the operation's answer.
TEST_F(TxTest, AnotherPartitionMakesTheInode) {
  use_mask("all");
  refuse(CFS_MOP_TX_CREATE_INODE, CFS_RC_INODE_FULL);
  Progress progress;
  const Result<Attr> made =
      await(volume_->create(kRoot, "f", S_IFREG | 0644, {}, Caller{1000, 100}, progress));
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_EQ(made->ino, lookup(kRoot, "f")->ino);
  refuse(CFS_MOP_TX_CREATE_INODE, CFS_RC_INODE_FULL, 100);
  Progress failed;
  EXPECT_FALSE(
      await(volume_->create(kRoot, "g", S_IFREG | 0644, {}, Caller{1000, 100}, failed)).ok());
  cluster_->faults().clear();
  Progress next(failed.record(), true);  // the answer was given: it is not made after all
  EXPECT_FALSE(
      await(volume_->create(kRoot, "g", S_IFREG | 0644, {}, Caller{1000, 100}, next)).ok());
  EXPECT_EQ(ENOENT, lookup(kRoot, "g").code());
}

// ---------------------------------------------------------------- what the mask says

struct MaskCase {
  const char* mask;
  bool create, mkdir, symlink, mknod, remove, rename, link;
};

class TxMask : public TxTest, public ::testing::WithParamInterface<MaskCase> {};

TEST_P(TxMask, TransactionsAreUsedWhereItAsksForThem) {
  const MaskCase& m = GetParam();
  use_mask(m.mask);
  const auto commits = [](bool wanted, const char* what, const std::function<void()>& run) {
    const Requests seen([](int op) { return requests(op); }, CFS_MOP_TX_COMMIT);
    run();
    EXPECT_EQ(wanted ? 1u : 0u, seen.since()) << what;
  };
  Ino file = 0;
  commits(m.create, "create", [&] { file = make(kRoot, "file"); });
  commits(m.mkdir, "mkdir", [&] { make(kRoot, "dir", S_IFDIR | 0755); });
  commits(m.symlink, "symlink",
          [&] { EXPECT_TRUE(create(kRoot, "sym", S_IFLNK | 0777, "t").ok()); });
  commits(m.mknod, "mknod", [&] { make(kRoot, "fifo", S_IFIFO | 0600); });
  commits(m.link, "link", [&] { EXPECT_TRUE(link(file, kRoot, "twin").ok()); });
  commits(m.rename, "rename", [&] { EXPECT_TRUE(rename(kRoot, "sym", kRoot, "sym2").ok()); });
  commits(m.remove, "unlink", [&] { EXPECT_TRUE(unlink(kRoot, "twin").ok()); });
  commits(m.remove, "rmdir", [&] { EXPECT_TRUE(unlink(kRoot, "dir", true).ok()); });
  EXPECT_EQ((std::vector<std::string>{"fifo", "file", "sym2"}), names(kRoot));
  expect_links(file, 1);
}

INSTANTIATE_TEST_SUITE_P(
    Masks, TxMask,
    ::testing::Values(MaskCase{"off", false, false, false, false, false, false, false},
                      MaskCase{"rename", false, false, false, false, false, true, false},
                      MaskCase{"create|mkdir", true, true, false, false, false, false, false},
                      MaskCase{"symlink|mknod", false, false, true, true, false, false, false},
                      MaskCase{"remove|link", false, false, false, false, true, false, true},
                      MaskCase{"all", true, true, true, true, true, true, true},
                      MaskCase{"pause", false, false, false, false, false, false, false}),
    [](const auto& info) {
      std::string name = info.param.mask;
      std::replace(name.begin(), name.end(), '|', '_');
      return name;
    });

// ---------------------------------------------------------------- any refusal rolls back

/// The directory gets an entry between the client's look and the server's check.
TEST_F(TxTest, RmdirOfADirectoryThatFillsMeanwhileIsNotEmpty) {
  use_mask("all");
  const Ino dir = make(kRoot, "dir", S_IFDIR | 0755);
  refuse(CFS_MOP_TX_UNLINK_INODE, CFS_RC_NOT_EMPTY);
  EXPECT_EQ(ENOTEMPTY, unlink(kRoot, "dir", true).code());
  EXPECT_EQ(dir, lookup(kRoot, "dir")->ino);
  expect_links(dir, 2);
  expect_links(kRoot, 3);
  EXPECT_TRUE(create(dir, "inside").ok());  // nothing is locked
  EXPECT_EQ(ENOTEMPTY, unlink(kRoot, "dir", true).code());
  EXPECT_TRUE(unlink(dir, "inside").ok());
  EXPECT_TRUE(unlink(kRoot, "dir", true).ok());
}

struct Refusal {
  int op;
  std::uint8_t result;
  int code;
};

class TxRefused : public TxTest, public ::testing::WithParamInterface<Refusal> {
 protected:
  void SetUp() override {
    use_mask("all");
    f_ = make(kRoot, "f");
    g_ = make(kRoot, "g");
  }
  /// Refused with `code`, nothing has changed, and nothing is locked.
  void expect_undone(const std::function<Result<Attr>()>& run) {
    const Requests commits([](int op) { return requests(op); }, CFS_MOP_TX_COMMIT);
    refuse(GetParam().op, GetParam().result, GetParam().result == CFS_RC_TX_CONFLICT ? 6 : 1);
    EXPECT_EQ(GetParam().code, run().code());
    EXPECT_EQ(0u, commits.since());
    cluster_->faults().clear();
    EXPECT_EQ((std::vector<std::string>{"f", "g"}), names(kRoot));
    EXPECT_EQ(f_, lookup(kRoot, "f")->ino);
    EXPECT_EQ(g_, lookup(kRoot, "g")->ino);
    expect_links(f_, 1);
    expect_links(g_, 1);
    expect_links(kRoot, 4);
    EXPECT_TRUE(run().ok());
  }
  Ino f_ = 0, g_ = 0;
};

using TxUnlinkRefused = TxRefused;
TEST_P(TxUnlinkRefused, ChangesNothing) {
  expect_undone([this] { return unlink(kRoot, "f"); });
}
INSTANTIATE_TEST_SUITE_P(
    Steps, TxUnlinkRefused,
    ::testing::Values(Refusal{CFS_MOP_TX_DELETE_DENTRY, CFS_RC_NOT_EXIST, ENOENT},
                      Refusal{CFS_MOP_TX_DELETE_DENTRY, CFS_RC_NOT_PERM, EPERM},
                      Refusal{CFS_MOP_TX_UNLINK_INODE, CFS_RC_NOT_PERM, EPERM},
                      Refusal{CFS_MOP_TX_UNLINK_INODE, CFS_RC_TX_CONFLICT, EAGAIN},
                      Refusal{CFS_MOP_TX_CREATE, CFS_RC_NOT_PERM, EPERM}));

using TxRenameRefused = TxRefused;
TEST_P(TxRenameRefused, ChangesNothing) {
  expect_undone([this] { return rename(kRoot, "f", kRoot, "g"); });
}
INSTANTIATE_TEST_SUITE_P(
    Steps, TxRenameRefused,
    ::testing::Values(Refusal{CFS_MOP_TX_DELETE_DENTRY, CFS_RC_NOT_EXIST, ENOENT},
                      Refusal{CFS_MOP_TX_DELETE_DENTRY, CFS_RC_TX_CONFLICT, EAGAIN},
                      Refusal{CFS_MOP_TX_UPDATE_DENTRY, CFS_RC_NOT_PERM, EPERM},
                      Refusal{CFS_MOP_TX_UNLINK_INODE, CFS_RC_NOT_PERM, EPERM},
                      Refusal{CFS_MOP_TX_CREATE, CFS_RC_NOT_PERM, EPERM}));

using TxLinkRefused = TxRefused;
TEST_P(TxLinkRefused, ChangesNothing) {
  expect_undone([this] { return link(f_, kRoot, "h"); });
  expect_links(f_, 2);
}
INSTANTIATE_TEST_SUITE_P(
    Steps, TxLinkRefused,
    ::testing::Values(Refusal{CFS_MOP_TX_LINK_INODE, CFS_RC_NOT_EXIST, ENOENT},
                      Refusal{CFS_MOP_TX_LINK_INODE, CFS_RC_TX_CONFLICT, EAGAIN},
                      Refusal{CFS_MOP_TX_CREATE_DENTRY, CFS_RC_DIR_QUOTA, EDQUOT}));

using TxCreateRefused = TxRefused;
TEST_P(TxCreateRefused, ChangesNothing) {
  expect_undone([this] { return create(kRoot, "h"); });
}
INSTANTIATE_TEST_SUITE_P(
    Steps, TxCreateRefused,
    ::testing::Values(Refusal{CFS_MOP_TX_CREATE_DENTRY, CFS_RC_DIR_QUOTA, EDQUOT},
                      Refusal{CFS_MOP_TX_CREATE_DENTRY, CFS_RC_TX_CONFLICT, EAGAIN},
                      Refusal{CFS_MOP_TX_CREATE_DENTRY, CFS_RC_NO_SPACE, ENOSPC}));

TEST_F(TxTest, ARolledBackCreateLeavesNoInode) {
  use_mask("all");
  make(kRoot, "f");
  const mini::TopologyPtr topology = cluster_->topology().get();
  const auto live = [&] {
    std::uint64_t inodes = 0;
    for (const mini::MetaPartition* mp : topology->meta_of(name_)) {
      inodes += cluster_->meta().counters_of(mp->id).inodes;
    }
    return inodes;
  };
  const std::uint64_t before = live();
  mini::ReclaimPolicy policy = cluster_->meta().policy();
  policy.deleted_s = 0;
  cluster_->meta().set_policy(policy);
  EXPECT_EQ(EEXIST, create(kRoot, "f").code());
  cluster_->meta().background_round([](const wire::ExtentKey&) {});
  EXPECT_EQ(before, live());
}

// ---------------------------------------------------------------- conflicts

TEST_F(TxTest, ConflictsWithATransactionAreWaitedFor) {
  use_mask("all");
  const Ino f = make(kRoot, "f");
  for (const int op :
       {CFS_MOP_TX_DELETE_DENTRY, CFS_MOP_TX_UPDATE_DENTRY, CFS_MOP_TX_UNLINK_INODE}) {
    make(kRoot, "g");
    refuse(op, CFS_RC_TX_CONFLICT, 3);
    EXPECT_TRUE(rename(kRoot, "f", kRoot, "g").ok()) << op;
    ASSERT_TRUE(rename(kRoot, "g", kRoot, "f").ok());
  }
  refuse(CFS_MOP_TX_CREATE_DENTRY, CFS_RC_TX_CONFLICT, 3);
  EXPECT_TRUE(link(f, kRoot, "h").ok());
  expect_links(f, 2);
}

/// Two clients rename the same name: one wins, the other is told ENOENT, nobody loses the file.
TEST_F(TxTest, RacingRenamesKeepTheFile) {
  use_mask("rename");
  const Ino f = make(kRoot, "f");
  auto second = await(Volume::open(loop_.loop(), config()));
  ASSERT_TRUE(second.ok());
  for (int round = 0; round < 10; ++round) {
    int won = 0;
    LoopThread* const loop = &loop_;
    std::thread other([&] {
      Progress progress;
      won += loop->await((*second)->rename(kRoot, "f", kRoot, "b", false, progress)).ok() ? 1 : 0;
    });
    const bool mine = rename(kRoot, "f", kRoot, "a").ok();
    other.join();
    won += mine ? 1 : 0;
    EXPECT_EQ(1, won);
    ASSERT_EQ(1u, names(kRoot).size());
    expect_links(f, 1);
    ASSERT_TRUE(rename(kRoot, names(kRoot)[0], kRoot, "f").ok());
  }
  await(close_volume(*second));
}

}  // namespace
}  // namespace cfs::test
