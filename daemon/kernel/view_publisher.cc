// SPDX-License-Identifier: Apache-2.0
/// Partition rows and writable lists; see view_publisher.h.
#include "daemon/kernel/view_publisher.h"

#include <cubefs/cfs_wire.h>
#include <spdlog/spdlog.h>

#include <cstring>

#include "daemon/kernel/convert.h"

namespace cfs {
namespace {

bool same(const cfs_dp_row& a, const cfs_dp_row& b) {
  return std::memcmp(&a, &b, sizeof(a)) == 0;
}

}  // namespace

Result<void> ViewPublisher::send(const std::vector<cfs_dp_row>& rows) {
  if (rows.empty()) return {};
  Result<void> done = port_.publish_rows(session_, rows);
  if (!done) return done;
  for (const cfs_dp_row& row : rows) sent_[row.partition_id] = row;
  return {};
}

/// The classes that have partitions, and the one of new files even if it has none.
std::set<std::uint32_t> ViewPublisher::classes(const Volume& volume) const {
  std::set<std::uint32_t> out{volume.storage_class()};
  for (const auto& [id, row] : sent_) out.insert(row.media);
  for (const auto& [storage_class, ids] : writable_) out.insert(storage_class);
  return out;
}

Result<void> ViewPublisher::publish(const Volume& volume) {
  std::vector<cfs_dp_row> changed;
  for (const DataPartition& partition : volume.partitions()) {
    const auto row = to_row(partition, [this](const std::string& host) { return nodes_.id(host); });
    if (!row) {
      spdlog::warn("session {}: partition {} has no usable host", session_, partition.id);
      continue;
    }
    const auto known = sent_.find(partition.id);
    if (known == sent_.end() || !same(known->second, *row)) changed.push_back(*row);
  }
  Result<void> done = send(changed);
  if (!done) return done;
  for (const std::uint32_t storage_class : classes(volume)) {
    done = publish_writable(volume, storage_class, false);
    if (!done) return done;
  }
  return {};
}

Result<void> ViewPublisher::publish_partition(const DataPartition& partition) {
  const auto row = to_row(partition, [this](const std::string& host) { return nodes_.id(host); });
  if (!row) return publish_missing(partition.id);
  return send({*row});
}

Result<void> ViewPublisher::publish_writable(const Volume& volume, std::uint32_t storage_class,
                                             bool force) {
  if (storage_class > CFS_CLASS_BLOBSTORE) {
    return make_error(EINVAL, "storage class " + std::to_string(storage_class));
  }
  std::vector<std::uint64_t> ids = volume.writable(storage_class);
  // An empty list says that the volume is full. A master that has just begun knows no partition yet.
  if (ids.empty() && volume.partitions().empty()) return {};
  const auto known = writable_.find(storage_class);
  if (!force && known != writable_.end() && known->second == ids) return {};
  Result<void> done = port_.publish_writable(session_, storage_class, ids);
  if (done) writable_[storage_class] = std::move(ids);
  return done;
}

Result<void> ViewPublisher::publish_missing(std::uint64_t partition_id) {
  // a row needs a host; any known node will do, because nobody is asked about a discarded partition
  std::uint32_t host = 0;
  for (const auto& [id, row] : sent_) {
    host = row.hosts[0];
    break;
  }
  if (host == 0) return make_error(EIO, "no data node is known");
  cfs_dp_row row{};
  row.partition_id = partition_id;
  row.status = -1;
  row.nhosts = 1;
  row.leader = 0xFF;
  row.flags = CFS_DP_DISCARD;
  row.hosts[0] = host;
  return send({row});
}

}  // namespace cfs
