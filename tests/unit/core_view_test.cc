// SPDX-License-Identifier: Apache-2.0
/// If this fails, requests go to the wrong partition, or an empty answer of a master loses the view.
#include <gtest/gtest.h>

#include "daemon/core/view.h"

namespace cfs {
namespace {

wire::MetaPartitionView meta(std::uint64_t id, Ino start, Ino end, int status = 2) {
  wire::MetaPartitionView v;
  v.partition_id = id;
  v.start = start;
  v.end = end;
  v.status = static_cast<std::int8_t>(status);
  v.members = {"a:1", "b:1", "c:1"};
  v.leader_addr = "b:1";
  return v;
}

wire::VolView volume(std::vector<wire::MetaPartitionView> partitions) {
  wire::VolView v;
  v.meta_partitions = wire::List<wire::MetaPartitionView>(std::move(partitions));
  return v;
}

TEST(MetaView, RoutesByRange) {
  const auto view = MetaView::merge(nullptr, volume({meta(2, 101, INT64_MAX), meta(1, 0, 100)}));
  EXPECT_EQ(1u, view->of_inode(1)->id);
  EXPECT_EQ(1u, view->of_inode(100)->id);
  EXPECT_EQ(2u, view->of_inode(101)->id);
  EXPECT_EQ(2u, view->of_inode(INT64_MAX)->id);
  EXPECT_EQ(nullptr, view->of_inode(std::uint64_t{INT64_MAX} + 1));
  EXPECT_EQ("b:1,a:1,c:1", view->by_id(1)->member_list());
}

TEST(MetaView, KeepsWhatAnAnswerLeavesOut) {
  const auto first = MetaView::merge(nullptr, volume({meta(1, 0, 100), meta(2, 101, 1000)}));
  const auto second = MetaView::merge(first.get(), volume({meta(2, 101, 200)}));
  EXPECT_EQ(1u, second->of_inode(5)->id);
  EXPECT_EQ(nullptr, second->of_inode(500));
  EXPECT_EQ((std::vector<std::uint64_t>{2}), second->for_create());
  const auto third =
      MetaView::merge(second.get(), volume({meta(1, 0, 100, 1), meta(2, 101, 200, 1)}));
  EXPECT_EQ((std::vector<std::uint64_t>{2}), third->for_create());  // the last known writable ones
}

TEST(MetaView, AllPartitionsServeWhenNoneWasEverWritable) {
  const auto view = MetaView::merge(nullptr, volume({meta(1, 0, 100, 1), meta(2, 101, 200, -1)}));
  EXPECT_EQ((std::vector<std::uint64_t>{1, 2}), view->for_create());
}

wire::DataPartitionView data(std::uint64_t id, int status, std::uint32_t media = 1) {
  wire::DataPartitionView v;
  v.partition_id = id;
  v.status = static_cast<std::int8_t>(status);
  v.media_type = media;
  v.hosts = {"x:1", "y:1"};
  v.leader_addr = "y:1";
  return v;
}

wire::DataPartitionsView answer(std::vector<wire::DataPartitionView> partitions) {
  wire::DataPartitionsView v;
  v.partitions = wire::List<wire::DataPartitionView>(std::move(partitions));
  return v;
}

using Ids = std::vector<std::uint64_t>;

TEST(DataView, ListsWritableOnesByClass) {
  auto lost = data(5, 2);
  lost.is_discard = true;
  auto cache = data(6, 2);
  cache.partition_type = 1;
  const auto view = DataView::merge(
      nullptr, answer({data(1, 2), data(2, 1), data(3, 2, 2), data(4, 2, 0), lost, cache}));
  EXPECT_EQ((Ids{1, 4}), view->writable(1));
  EXPECT_EQ((Ids{3, 4}), view->writable(2));
  EXPECT_EQ(1, view->find(1)->leader);
  EXPECT_EQ(nullptr, view->find(6));
  EXPECT_EQ(5u, view->all().size());
}

TEST(DataView, EmptyAnswersKeepTheWritableList) {
  const auto first = DataView::merge(nullptr, answer({data(1, 2), data(2, 2)}));
  EXPECT_EQ((Ids{1, 2}), DataView::merge(first.get(), answer({}))->writable(1));
  EXPECT_EQ((Ids{1, 2}), DataView::merge(first.get(), answer({data(1, 1)}))->writable(1));
  auto read_only = answer({data(1, 1), data(2, 1)});
  read_only.vol_read_only = true;
  EXPECT_TRUE(DataView::merge(first.get(), read_only)->writable(1).empty());
}

// They are asked themselves: only a partition knows whether it is full or a replica is away.
TEST(DataView, ReadOnlyOnesAreListedWhenNoneWasEverWritable) {
  auto lost = data(3, 1);
  lost.is_discard = true;
  const auto first = DataView::merge(nullptr, answer({data(1, 1), data(2, -1), lost}));
  EXPECT_EQ((Ids{1}), first->writable(1));
  EXPECT_EQ((Ids{2}), DataView::merge(first.get(), answer({data(2, 2)}))->writable(1));
}

TEST(DataView, AFullClassHasNoWritablePartition) {
  auto full = answer({data(1, 2), data(2, 2, 2)});
  wire::StorageClassStat stat;
  stat.storage_class = 1;
  stat.quota_gib = 1;
  stat.used_bytes = 1u << 30;
  full.stat_by_class.push_back(stat);
  const auto view = DataView::merge(nullptr, full);
  EXPECT_TRUE(view->writable(1).empty());
  EXPECT_EQ((Ids{2}), view->writable(2));
}

TEST(DataView, TellsWhetherAnythingChanged) {
  const auto first = DataView::merge(nullptr, answer({data(1, 2)}));
  EXPECT_TRUE(first->same_as(*DataView::merge(first.get(), answer({data(1, 2)}))));
  auto moved = data(1, 2);
  moved.leader_addr = "x:1";
  EXPECT_FALSE(first->same_as(*DataView::merge(first.get(), answer({moved}))));
  DataPartition more;
  more.id = 9;
  EXPECT_FALSE(first->same_as(*first->with(more)));
}

}  // namespace
}  // namespace cfs
