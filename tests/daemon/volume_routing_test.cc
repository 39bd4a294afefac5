// SPDX-License-Identifier: Apache-2.0
/// If this fails, a request goes to the wrong meta partition or member: after a split, through a
/// follower, or while a partition has no leader.
#include "tests/daemon/volume_fixture.h"

namespace cfs::test {
namespace {

class RoutingTest : public VolumeTest {
 protected:
  [[nodiscard]] std::size_t partitions() { return impl().ops().views().meta()->size(); }
  /// Let the next forced refresh happen: it is throttled.
  void refresh_soon() {
    const std::int64_t until = Loop::now_ms() + 6000;
    while (!await(impl().ops().views().refresh_meta()) && Loop::now_ms() < until) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }
};

TEST_F(RoutingTest, ASplitWhileMountedIsFollowed) {
  auto opened = await(Volume::open(loop_.loop(), config()));
  ASSERT_TRUE(opened.ok());
  const std::size_t before = partitions();
  ASSERT_TRUE(cluster_->split_volume(name_, 0).ok());
  // the other client learns of the new partition and makes inodes there
  const std::shared_ptr<Volume> mine = std::exchange(volume_, *opened);
  refresh_soon();
  ASSERT_EQ(before + 1, partitions());
  std::vector<Ino> made;
  for (int i = 0; i < 8; ++i) made.push_back(make(kRoot, "f" + std::to_string(i)));
  volume_ = mine;
  ASSERT_EQ(before, partitions());
  // this one has never heard of it
  std::this_thread::sleep_for(std::chrono::milliseconds(5100));  // forced refreshes are 5 s apart
  for (int i = 0; i < 8; ++i) {
    const Result<Attr> found = lookup(kRoot, "f" + std::to_string(i));
    ASSERT_TRUE(found.ok()) << i << ": " << found.error().text();
    EXPECT_EQ(made[static_cast<std::size_t>(i)], found->ino);
    EXPECT_EQ(S_IFREG | 0644u, found->mode);  // no placeholder
    EXPECT_TRUE(link(found->ino, kRoot, "g" + std::to_string(i)).ok());
    EXPECT_TRUE(unlink(kRoot, "f" + std::to_string(i)).ok());
    EXPECT_EQ(1u, getattr(found->ino)->nlink);
  }
  EXPECT_EQ(before + 1, partitions());
  await(close_volume(*opened));
}

/// Any member hands a request on to its leader.
TEST_F(RoutingTest, FollowersProxy) {
  const mini::TopologyPtr topology = cluster_->topology().get();
  for (std::size_t leader = 0; leader < 3; ++leader) {
    for (const mini::MetaPartition* mp : topology->meta_of(name_)) {
      ASSERT_TRUE(cluster_->meta().move_leader(mp->id, leader));  // nobody is told
    }
    const std::string name = "f" + std::to_string(leader);
    const std::uint64_t retries = volume_->counters().meta_retries;
    EXPECT_TRUE(create(kRoot, name).ok());
    EXPECT_TRUE(lookup(kRoot, name).ok());
    EXPECT_EQ(retries, volume_->counters().meta_retries);
  }
}

TEST_F(RoutingTest, OneMemberServesReadsWhereTheVolumeAllowsIt) {
  for (const bool allowed : {true, false}) {
    mini::Volume settings;
    settings.meta_follower_read = allowed;
    settings.leader_retry_s = 1;
    make_volume(settings);
    close();
    MountConfig c = config();
    c.meta_timeout_s = 3;
    auto opened = await(Volume::open(loop_.loop(), c));
    ASSERT_TRUE(opened.ok());
    volume_ = *opened;
    const Ino f = make(kRoot, "f");
    cluster_->meta_nodes()[0]->stop();
    cluster_->meta_nodes()[1]->stop();
    const Result<Attr> found = lookup(kRoot, "f");
    EXPECT_EQ(allowed, found.ok());
    if (allowed && found.ok()) {
      EXPECT_EQ(f, found->ino);
    }
    EXPECT_FALSE(create(kRoot, "g").ok());  // a change needs a majority
    ASSERT_TRUE(cluster_->meta_nodes()[0]->start().ok());
    ASSERT_TRUE(cluster_->meta_nodes()[1]->start().ok());
    EXPECT_TRUE(lookup(kRoot, "f").ok());
  }
}

}  // namespace
}  // namespace cfs::test
