// SPDX-License-Identifier: Apache-2.0
/// See master_views.h. Values that mean nothing here are those of the recorded cluster.
#include "tools/minicluster/master_views.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "tools/minicluster/master.h"

namespace cfs::mini {
namespace {

using nlohmann::ordered_json;

std::string local_time(int64_t unix_s) {
  std::time_t t = unix_s;
  std::tm tm{};
  localtime_r(&t, &tm);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
  return text;
}

std::string ratio(uint64_t used, uint64_t total, int digits) {
  char text[32];
  double r = total == 0 ? 0 : static_cast<double>(used) / static_cast<double>(total);
  std::snprintf(text, sizeof text, "%.*f", digits, r);
  return text;
}

/// Sums over the meta partitions of a volume.
struct Totals {
  Counters sum;
  uint64_t max_meta_id = 0;
  int64_t partitions = 0;
};

Totals totals_of(Cluster& cluster, const std::string& volume) {
  Totals t;
  TopologyPtr topology = cluster.topology().get();
  for (const MetaPartition* mp : topology->meta_of(volume)) {
    Counters c = cluster.meta().counters_of(mp->id);
    t.sum.inodes += c.inodes;
    t.sum.dentries += c.dentries;
    t.sum.bytes += c.bytes;
    t.sum.transactions += c.transactions;
    t.max_meta_id = std::max(t.max_meta_id, mp->id);
    ++t.partitions;
  }
  return t;
}

/// A partition is writable only with all its replicas. Source: master/data_partition.go
/// (checkStatus).
int8_t status_of(Cluster& cluster, const DataPartitionRow& row) {
  if (row.status != wire::kPartitionReadWrite) return static_cast<int8_t>(row.status);
  for (const std::string& host : row.hosts) {
    if (!cluster.data().is_up(host)) return wire::kPartitionReadOnly;
  }
  return wire::kPartitionReadWrite;
}

wire::DataPartitionView data_view(Cluster& cluster, const DataPartitionRow& row, uint32_t media) {
  wire::DataPartitionView v;
  v.partition_id = row.id;
  v.status = status_of(cluster, row);
  v.replica_num = static_cast<uint8_t>(row.hosts.size());
  v.hosts = wire::List<std::string>(row.hosts);
  v.leader_addr = cluster.data().leader_of(row.id);
  v.media_type = media;
  return v;
}

wire::List<wire::StorageClassStat> class_stat(const Volume& v, uint64_t inodes, uint64_t bytes) {
  wire::List<wire::StorageClassStat> list;
  list.push_back({v.storage_class, inodes, bytes, 0});
  return list;
}

uint64_t total_bytes(const Volume& v) {
  return v.capacity_gib << 30;
}

void fill_settings(wire::SimpleVolView& out, const Volume& v) {
  out.id = v.id;
  out.name = v.name;
  out.owner = v.owner;
  out.zone_name = "default";
  out.status = v.status;
  out.capacity_gib = v.capacity_gib;
  out.follower_read = v.follower_read;
  out.meta_follower_read = v.meta_follower_read;
  out.maximally_read = v.maximally_read;
  out.create_time = local_time(v.create_time);
  out.delete_lock_hours = v.delete_lock_h;
  out.leader_retry_s = v.leader_retry_s;
  out.enable_posix_acl = v.enable_posix_acl;
  out.enable_quota = v.enable_quota;
  out.tx_mask = v.tx_mask;
  out.tx_mask_old = "off";
  out.tx_timeout_min = v.tx_timeout_min;
  out.tx_conflict_retry_num = v.tx_retry_num;
  out.tx_conflict_retry_ms = v.tx_retry_ms;
  out.description = v.description;
  out.vol_type = v.vol_type;
  out.trash_interval_min = v.trash_interval_min;
  out.forbidden = v.forbidden;
  out.vol_storage_class = v.storage_class;
  if (v.allowed_classes.empty()) out.allowed_storage_class.push_back(v.storage_class);
  for (uint32_t allowed : v.allowed_classes) out.allowed_storage_class.push_back(allowed);
  out.forbid_proto_ver0 = v.refuse_proto0;
  out.quota_of_storage_class = class_stat(v, 0, 0);
}

/// Settings that this cluster does not have; clients only need them to be there.
void fill_unused(wire::SimpleVolView& out) {
  out.dp_repair_block_size = CFS_BLOCK_SIZE;
  out.access_time_interval_s = 86400;
  out.remote_cache_ttl_s = 432000;
  out.remote_cache_read_timeout_ms = 5;
  out.remote_cache_max_file_gib = 128;
  out.flash_node_timeout_count = 5;
  out.remote_cache_same_zone_us = 400;
  out.remote_cache_same_region_ms = 100;
  out.qos_info.items.push_back({"FlowRead", 3, uint64_t{32} << 30, 0});
  out.qos_info.items.push_back({"FlowWrite", 4, uint64_t{32} << 30, 0});
}

/// A volume without limits names the superuser only, as recorded.
void fill_users(wire::SimpleVolView& out, Cluster& cluster, const Volume& v) {
  if (!v.user_limits.contains(0)) out.uids.push_back({0, false});
  for (const auto& [uid, limit] : v.user_limits) {
    const Usage used = cluster.meta().usage_of(v.name, UsageKind::kUser, uid);
    out.uids.push_back({uid, used.bytes >= limit});
  }
}

void fill_data_counts(wire::SimpleVolView& out, Cluster& cluster, const Volume& v) {
  TopologyPtr topology = cluster.topology().get();
  for (const DataPartitionRow* row : topology->data_of(v.name)) {
    out.max_data_partition_id = std::max(out.max_data_partition_id, row->id);
    ++out.dp_cnt;
    if (status_of(cluster, *row) == wire::kPartitionReadWrite) ++out.rw_dp_cnt;
  }
  bool ssd = v.storage_class == CFS_CLASS_SSD;
  (ssd ? out.dp_of_ssd_cnt : out.dp_of_hdd_cnt) = out.dp_cnt;
  (ssd ? out.rw_dp_of_ssd_cnt : out.rw_dp_of_hdd_cnt) = out.rw_dp_cnt;
}

ordered_json node_json(uint64_t id, const std::string& address, bool alive, bool writable,
                       uint32_t media) {
  return {{"Addr", address},
          {"Status", alive},
          {"DomainAddr", ""},
          {"ID", id},
          {"IsWritable", writable},
          {"MediaType", media},
          {"ForbidWriteOpOfProtoVer0", false}};
}

/// Keys before and after the ones that are filled in, as recorded.
constexpr char kClusterHead[] = R"({"Name":"","CreateTime":"","LeaderAddr":"",
"DisableAutoAlloc":false,"ForbidMpDecommission":false,"MetaNodeThreshold":0.75,"Applied":0,
"MaxDataPartitionID":0,"MaxMetaNodeID":0,"MaxMetaPartitionID":0,"VolDeletionDelayTimeHour":48,
"MetaNodeGOGC":100,"DataNodeGOGC":100,"MarkDiskBrokenThreshold":0,"EnableAutoDpMetaRepair":false,
"AutoDpMetaRepairParallelCnt":100,"EnableAutoDecommission":false,
"AutoDecommissionDiskInterval":"10s","DecommissionFirstHostDiskParallelLimit":10,
"DecommissionLimit":10,"DecommissionDiskLimit":1,"DpRepairTimeout":"2h0m0s",
"DpBackupTimeout":"168h0m0s","DpTimeout":"5m0s","MpTimeout":"1m0s",
"DataNodeStatInfo":{"TotalGB":0,"UsedGB":0,"IncreasedGB":0,"UsedRatio":"0.000","AvailGB":0},
"MetaNodeStatInfo":{"TotalGB":0,"UsedGB":0,"IncreasedGB":0,"UsedRatio":"0.000","AvailGB":0},
"VolStatInfo":[],"BadPartitionIDs":[],"BadMetaPartitionIDs":[],"MasterNodes":[],"MetaNodes":[],
"DataNodes":[],"StatOfStorageClass":[],"StatMigrateStorageClass":[],
"ForbidWriteOpOfProtoVer0":false,"LegacyDataMediaType":0,
"RaftPartitionCanUsingDifferentPortEnabled":true,"FlashNodes":[],
"FlashNodeHandleReadTimeout":1000,"FlashNodeReadDataNodeTimeout":3000,"RemoteCacheTTL":0,
"RemoteCacheReadTimeout":0,"RemoteCacheMultiRead":false,"FlashNodeTimeoutCount":0,
"RemoteCacheSameZoneTimeout":0,"RemoteCacheSameRegionTimeout":0,"FlashHotKeyMissCount":5,
"FlashReadFlowLimit":2147483648,"FlashWriteFlowLimit":2147483648,"FlashKeyFlowLimit":0,
"RemoteClientFlowLimit":0})";

constexpr char kReplica[] = R"({"Addr":"","DomainAddr":"","ReportTime":0,"FileCount":0,"Status":2,
"HasLoadResponse":false,"TotalSize":0,"UsedSize":0,"IsLeader":false,"NeedsToCompare":true,
"DiskPath":"","DecommissionRepairProgress":0,"LocalPeers":[],"TriggerDiskError":false,
"ForbidWriteOpOfProtoVer0":true,"ReadOnlyReasons":0,"IsMissingTinyExtent":false,
"IsRepairing":false})";

constexpr char kDataPartition[] = R"({"PartitionID":0,"PartitionType":0,"LastLoadedTime":0,
"ReplicaNum":0,"Status":0,"Recover":false,"Replicas":[],"Hosts":[],"Peers":[],"Zones":[],
"NodeSets":[],"MissingNodes":{},"VolName":"","VolID":0,"OfflinePeerID":0,"FileInCoreMap":{},
"IsRecover":false,"FilesWithMissingReplica":{},"SingleDecommissionStatus":0,
"SingleDecommissionAddr":"","RdOnly":false,"IsDiscard":false,"Forbidden":false,"MediaType":1,
"ForbidWriteOpOfProtoVer0":true})";

/// Data of an envelope made by encode_reply(), as JSON.
template <class T>
ordered_json to_json(const T& message) {
  return ordered_json::parse(wire::encode_reply(message))["data"];
}

/// A volume's statistics as the cluster document has them: the parts per class are missing.
ordered_json short_vol_stat(Cluster& cluster, const Volume& volume) {
  wire::VolStatInfo stat = vol_stat_info(cluster, volume);
  stat.used_ratio = ratio(stat.used_bytes, stat.total_bytes, 3);
  stat.default_storage_class = 0;
  stat.stat_by_storage_class = {};
  stat.stat_migrate_storage_class = {};
  stat.stat_by_dp_media_type = {};
  return to_json(stat);
}

std::string envelope(const ordered_json& data) {
  return ordered_json{{"code", 0}, {"msg", "success"}, {"data", data}}.dump();
}

ordered_json peer_json(uint64_t id, const std::string& address) {
  std::string port = address.substr(address.rfind(':') + 1);
  return {{"id", id}, {"addr", address}, {"raftHeartbeat", port}, {"raftReplica", port}};
}

}  // namespace

wire::ClusterInfo cluster_info(Cluster& cluster, const std::string& client_ip) {
  TopologyPtr topology = cluster.topology().get();
  wire::ClusterInfo info;
  info.cluster = topology->cluster;
  info.client_ip = client_ip;
  info.dir_children_limit = static_cast<uint32_t>(topology->dir_limit);
  info.flash_read_timeout = 1000;
  info.raft_ports_differ = true;
  return info;
}

wire::SimpleVolView simple_vol_view(Cluster& cluster, const Volume& volume) {
  wire::SimpleVolView out;
  fill_settings(out, volume);
  fill_unused(out);
  fill_data_counts(out, cluster, volume);
  fill_users(out, cluster, volume);
  Totals totals = totals_of(cluster, volume.name);
  out.inode_count = totals.sum.inodes;
  out.dentry_count = totals.sum.dentries;
  out.max_meta_partition_id = totals.max_meta_id;
  out.mp_cnt = totals.partitions;
  out.dp_replica_num = static_cast<uint8_t>(volume.dp_replicas);
  out.mp_replica_num = 3;
  return out;
}

wire::List<wire::MetaPartitionView> meta_views(Cluster& cluster, const std::string& volume) {
  wire::List<wire::MetaPartitionView> list;
  list.nil = false;
  TopologyPtr topology = cluster.topology().get();
  for (const MetaPartition* mp : topology->meta_of(volume)) {
    Counters c = cluster.meta().counters_of(mp->id);
    wire::MetaPartitionView v;
    v.partition_id = mp->id;
    v.start = mp->start;
    v.end = mp->end;
    v.max_inode_id = c.cursor;
    v.inode_count = c.inodes;
    v.dentry_count = c.dentries;
    v.tx_cnt = c.transactions;
    v.members = wire::List<std::string>(mp->members);
    v.leader_addr = cluster.meta().leader_of(mp->id);
    v.status =
        static_cast<int8_t>(v.leader_addr.empty() ? wire::kPartitionUnavailable : mp->status);
    list.push_back(std::move(v));
  }
  return list;
}

wire::VolView vol_view(Cluster& cluster, const Volume& volume) {
  wire::VolView out;
  out.name = volume.name;
  out.owner = volume.owner;
  out.status = volume.status;
  out.follower_read = volume.follower_read;
  out.meta_partitions = meta_views(cluster, volume.name);
  out.data_partitions.nil = false;
  out.oss_secure = {volume.access_key, volume.secret_key};
  out.create_time = volume.create_time;
  out.delete_lock_hours = volume.delete_lock_h;
  out.vol_type = volume.vol_type;
  return out;
}

wire::VolStatInfo vol_stat_info(Cluster& cluster, const Volume& volume) {
  wire::VolStatInfo out;
  Totals totals = totals_of(cluster, volume.name);
  out.name = volume.name;
  out.total_bytes = total_bytes(volume);
  out.used_bytes = cluster.used_bytes(volume.name);
  out.used_ratio = ratio(out.used_bytes, out.total_bytes, 2);
  out.inode_count = totals.sum.inodes;
  out.tx_cnt = totals.sum.transactions;
  out.trash_interval_min = volume.trash_interval_min;
  out.default_storage_class = volume.storage_class;
  out.meta_follower_read = volume.meta_follower_read;
  out.maximally_read = volume.maximally_read;
  out.leader_retry_s = volume.leader_retry_s;
  out.stat_by_storage_class = class_stat(volume, totals.sum.inodes, totals.sum.bytes);
  out.stat_migrate_storage_class.nil = false;
  out.stat_by_dp_media_type = class_stat(volume, 0, out.used_bytes);
  return out;
}

wire::DataPartitionsView partitions_view(Cluster& cluster, const Volume& volume) {
  wire::DataPartitionsView out;
  out.partitions.nil = false;
  TopologyPtr topology = cluster.topology().get();
  for (const DataPartitionRow* row : topology->data_of(volume.name)) {
    out.partitions.push_back(data_view(cluster, *row, volume.storage_class));
  }
  return out;
}

wire::VolInfo vol_info(Cluster& cluster, const Volume& volume) {
  wire::VolInfo out;
  out.name = volume.name;
  out.owner = volume.owner;
  out.create_time = volume.create_time;
  out.status = volume.status;
  out.total_bytes = total_bytes(volume);
  out.used_bytes = cluster.used_bytes(volume.name);
  return out;
}

std::string cluster_document(Cluster& cluster) {
  TopologyPtr topology = cluster.topology().get();
  ordered_json doc = ordered_json::parse(kClusterHead);
  doc["Name"] = topology->cluster;
  doc["CreateTime"] = local_time(topology->create_time);
  doc["LeaderAddr"] = cluster.master_addresses().front();
  doc["MaxDataPartitionID"] = topology->next_data - 1;
  doc["MaxMetaPartitionID"] = topology->next_meta - 1;
  for (const auto& [name, volume] : topology->volumes) {
    doc["VolStatInfo"].push_back(short_vol_stat(cluster, volume));
  }
  uint64_t id = 0;
  for (const auto& m : cluster.masters()) {
    doc["MasterNodes"].push_back(node_json(++id, m->address(), m->running(), false, 0));
  }
  for (const auto& n : cluster.meta_nodes()) {
    bool up = cluster.meta().node_state(n->address()) == NodeState::kUp;
    doc["MetaNodes"].push_back(node_json(++id, n->address(), up, up, 0));
  }
  doc["MaxMetaNodeID"] = id;
  for (const auto& s : cluster.data_slots()) {
    bool up = s->node->running() && !s->knobs.hang;
    doc["DataNodes"].push_back(node_json(++id, s->node->address(), up, up, CFS_CLASS_SSD));
  }
  return envelope(doc);
}

std::string data_partition_document(Cluster& cluster, const DataPartitionRow& row) {
  TopologyPtr topology = cluster.topology().get();
  const Volume* volume = topology->volume(row.volume);
  ordered_json doc = ordered_json::parse(kDataPartition);
  doc["PartitionID"] = row.id;
  doc["ReplicaNum"] = row.hosts.size();
  doc["Status"] = status_of(cluster, row);
  doc["VolName"] = row.volume;
  doc["VolID"] = volume != nullptr ? volume->id : 0;
  const std::string leader = cluster.data().leader_of(row.id);
  for (size_t i = 0; i < row.hosts.size(); ++i) {
    const std::string& host = row.hosts[i];
    ordered_json replica = ordered_json::parse(kReplica);
    replica["Addr"] = host;
    replica["IsLeader"] = host == leader;
    replica["Status"] = cluster.data().is_up(host) ? 2 : -1;
    doc["Replicas"].push_back(replica);
    doc["Hosts"].push_back(host);
    doc["Peers"].push_back(peer_json(i + 1, host));
    doc["Zones"].push_back("default");
    doc["NodeSets"].push_back(1);
  }
  return envelope(doc);
}

}  // namespace cfs::mini
