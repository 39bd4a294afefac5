// SPDX-License-Identifier: Apache-2.0
/// Replies of the master's HTTP interface.
///
/// Purpose  The parts of the master's JSON that a client needs; the mini cluster's master writes
///          them with the same structs. Administrative fields that no client reads are left out.
/// Use      decode_reply<VolView>(body) takes the envelope {code,msg,data} apart; encode_reply()
///          makes one.
/// Threads  Values.
/// Failure  decode_reply() maps the master's code to an errno (master_errno) and gives its text;
///          EBADMSG for a body that is no envelope.
/// Source   CubeFS v3.5.3, proto/admin_proto.go, proto/errors.go.
#pragma once

#include "daemon/wire/json.h"

namespace cfs::wire {

/// Codes of the envelope that clients act on. All others: master_code_text().
enum MasterCode : int32_t {
  kMasterOk = 0,
  kMasterInternal = 1,  ///< the text is in `msg`
  kMasterParam = 2,
  kMasterVolNotExists = 7,
  kMasterVolDeleted = 8,
  kMasterMetaPartitionNotExists = 10,
  kMasterDataPartitionNotExists = 11,
  kMasterNoLeader = 33,
  kMasterAuthKeyMismatch = 34,
  kMasterNoPermission = 57,
};

/// Canonical text of a code; "internal error" for an unknown one.
[[nodiscard]] std::string_view master_code_text(int32_t code);
/// errno of a code: ENOENT for a missing volume, EACCES for a wrong owner, EINVAL for a bad
/// parameter...
[[nodiscard]] int master_errno(int32_t code);

/// MetaPartitionView::status and DataPartitionView::status. Source: proto/status.go.
enum PartitionStatus : int8_t {
  kPartitionUnavailable = -1,
  kPartitionRecovering = 0,
  kPartitionReadOnly = 1,
  kPartitionReadWrite = 2,
};

/// SimpleVolView::status and VolView::status.
inline constexpr uint8_t kVolMarkedDeleted = 1;

/// Bits of the transaction mask. Source: proto/transaction.go.
enum TxMask : uint8_t {
  kTxMaskOff = 0,
  kTxMaskCreate = 0x01,
  kTxMaskMkdir = 0x02,
  kTxMaskRemove = 0x04,
  kTxMaskRename = 0x08,
  kTxMaskMknod = 0x10,
  kTxMaskSymlink = 0x20,
  kTxMaskLink = 0x40,
  kTxMaskAll = 0x7F,
  kTxMaskPause = 0xFF,
};

/// "rename", "all", "create|mkdir", ... to bits; EINVAL for an empty or unknown word.
[[nodiscard]] Result<uint8_t> parse_tx_mask(std::string_view text);

/// Reply of /admin/getIp.
struct ClusterInfo {
  std::string cluster{};
  std::string client_ip{};  ///< the asking client as the master sees it
  uint64_t meta_node_delete_batch_count = 0;
  uint64_t meta_node_delete_worker_sleep_ms = 0;
  uint64_t data_node_delete_limit_rate = 0;
  uint64_t data_node_auto_repair_limit_rate = 0;
  uint64_t dp_max_repair_err_cnt = 0;
  uint32_t dir_children_limit = 0;  ///< largest number of entries of a directory
  uint64_t flash_read_timeout = 0;
  int64_t flash_key_flow_limit = 0;
  std::string ebs_addr{};
  std::string service_path{};
  std::string cluster_uuid{};
  bool cluster_uuid_enable = false;
  bool snapshot_enabled = false;
  bool raft_ports_differ = false;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("Cluster", s.cluster)("Ip", s.client_ip);
    a("MetaNodeDeleteBatchCount", s.meta_node_delete_batch_count);
    a("MetaNodeDeleteWorkerSleepMs", s.meta_node_delete_worker_sleep_ms);
    a("DataNodeDeleteLimitRate", s.data_node_delete_limit_rate);
    a("DataNodeAutoRepairLimitRate", s.data_node_auto_repair_limit_rate);
    a("DpMaxRepairErrCnt", s.dp_max_repair_err_cnt)("DirChildrenNumLimit", s.dir_children_limit);
    a("FlashReadTimeout", s.flash_read_timeout)("FlashKeyFlowLimit", s.flash_key_flow_limit);
    a("EbsAddr", s.ebs_addr)("ServicePath", s.service_path)("ClusterUuid", s.cluster_uuid);
    a("ClusterUuidEnable", s.cluster_uuid_enable)("ClusterEnableSnapshot", s.snapshot_enabled);
    a("RaftPartitionCanUsingDifferentPort", s.raft_ports_differ);
  }
};

/// Space limit of a user on a volume.
struct UidLimit {
  uint32_t uid = 0;
  bool limited = false;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("UID", s.uid)("Limited", s.limited);
  }
};

/// Use of one storage class.
struct StorageClassStat {
  uint32_t storage_class = 0;
  uint64_t inode_count = 0;
  uint64_t used_bytes = 0;
  uint64_t quota_gib = 0;  ///< 0: no limit

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("StorageClass", s.storage_class)("InodeCount", s.inode_count)("UsedSizeBytes", s.used_bytes);
    a("QuotaGB", s.quota_gib);
  }
};

/// One limit of QosInfo.
struct QosItem {
  std::string name{};
  uint32_t type = 0;
  uint64_t total = 0;
  uint64_t client_used = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("Name", s.name)("Type", s.type)("Total", s.total)("CliUsed", s.client_used);
  }
};

/// Flow limits of a volume.
struct QosInfo {
  List<QosItem> items{};
  bool enabled = false;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("QosItems", s.items)("QosEnable", s.enabled);
  }
};

/// Reply of /admin/getVol: settings of a volume.
struct SimpleVolView {
  uint64_t id = 0;
  std::string name{};
  std::string owner{};
  std::string zone_name{};
  uint8_t dp_replica_num = 0;
  uint8_t mp_replica_num = 0;
  uint64_t inode_count = 0;
  uint64_t dentry_count = 0;
  uint64_t max_meta_partition_id = 0;
  uint64_t max_data_partition_id = 0;
  uint8_t status = 0;  ///< kVolMarkedDeleted
  uint64_t capacity_gib = 0;
  int64_t rw_dp_cnt = 0;
  int64_t rw_dp_of_ssd_cnt = 0;
  int64_t rw_dp_of_hdd_cnt = 0;
  int64_t mp_cnt = 0;
  int64_t dp_cnt = 0;
  int64_t dp_of_ssd_cnt = 0;
  int64_t dp_of_hdd_cnt = 0;
  bool follower_read = false;
  bool meta_follower_read = false;
  bool direct_read = false;
  bool ignore_tiny_recover = false;
  bool maximally_read = false;
  bool need_to_lower_replica = false;
  bool authenticate = false;
  bool cross_zone = false;
  bool default_priority = false;
  bool domain_on = false;
  std::string create_time{};  ///< "2026-11-22 11:24:34", local time
  int64_t delete_lock_hours = 0;
  int64_t leader_retry_s = 0;  ///< 0: 20 s
  bool enable_token = false;
  bool enable_posix_acl = false;
  bool enable_quota = false;
  std::string tx_mask{};  ///< see parse_tx_mask()
  std::string tx_mask_old{};
  int64_t tx_timeout_min = 0;
  int64_t tx_conflict_retry_num = 0;
  int64_t tx_conflict_retry_ms = 0;
  int64_t tx_op_limit = 0;
  std::string description{};
  std::string dp_selector_name{};
  std::string dp_selector_parm{};
  bool default_zone_prior = false;
  bool dp_read_only_when_vol_full = false;
  int64_t leader_retry_unused = 0;
  int64_t vol_type = 0;  ///< 0 replica, 1 blobstore
  int64_t obj_block_size = 0;
  List<UidLimit> uids{};
  int64_t trash_interval_min = 0;
  uint64_t latest_ver = 0;
  bool forbidden = false;
  bool disable_audit_log = false;
  int64_t delete_exec_time = 0;
  uint64_t dp_repair_block_size = 0;
  bool enable_auto_dp_meta_repair = false;
  int64_t access_time_interval_s = 0;
  bool enable_persist_access_time = false;
  uint32_t vol_storage_class = 0;  ///< 0: cluster older than 3.5
  List<uint32_t> allowed_storage_class{};
  bool forbid_proto_ver0 = false;
  List<StorageClassStat> quota_of_storage_class{};
  bool remote_cache_enable = false;
  std::string remote_cache_path{};
  bool remote_cache_auto_prepare = false;
  int64_t remote_cache_ttl_s = 0;
  int64_t remote_cache_read_timeout_ms = 0;
  int64_t remote_cache_max_file_gib = 0;
  bool remote_cache_only_for_not_ssd = false;
  bool remote_cache_multi_read = false;
  int64_t flash_node_timeout_count = 0;
  int64_t remote_cache_same_zone_us = 0;
  int64_t remote_cache_same_region_ms = 0;
  QosInfo qos_info{};
  bool remote_cache_remove_dup_req = false;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("ID", s.id)("Name", s.name)("Owner", s.owner)("ZoneName", s.zone_name);
    a("DpReplicaNum", s.dp_replica_num)("MpReplicaNum", s.mp_replica_num);
    a("InodeCount", s.inode_count)("DentryCount", s.dentry_count);
    a("MaxMetaPartitionID", s.max_meta_partition_id);
    a("MaxDataPartitionID", s.max_data_partition_id)("Status", s.status);
    a("Capacity", s.capacity_gib)("RwDpCnt", s.rw_dp_cnt)("RwDpOfSSDCnt", s.rw_dp_of_ssd_cnt);
    a("RwDpOfHDDCnt", s.rw_dp_of_hdd_cnt)("MpCnt", s.mp_cnt)("DpCnt", s.dp_cnt);
    a("DpOfSSDCnt", s.dp_of_ssd_cnt)("DpOfHDDCnt", s.dp_of_hdd_cnt);
    a("FollowerRead", s.follower_read)("MetaFollowerRead", s.meta_follower_read);
    a("DirectRead", s.direct_read)("IgnoreTinyRecover", s.ignore_tiny_recover);
    a("MaximallyRead", s.maximally_read)("NeedToLowerReplica", s.need_to_lower_replica);
    a("Authenticate", s.authenticate)("CrossZone", s.cross_zone);
    a("DefaultPriority", s.default_priority)("DomainOn", s.domain_on)("CreateTime", s.create_time);
    a("DeleteLockTime", s.delete_lock_hours)("LeaderRetryTimeOut", s.leader_retry_s);
    a("EnableToken", s.enable_token)("EnablePosixAcl", s.enable_posix_acl);
    a("EnableQuota", s.enable_quota)("EnableTransactionV1", s.tx_mask);
    a("EnableTransaction", s.tx_mask_old)("TxTimeout", s.tx_timeout_min);
    a("TxConflictRetryNum", s.tx_conflict_retry_num);
    a("TxConflictRetryInterval", s.tx_conflict_retry_ms)("TxOpLimit", s.tx_op_limit);
    a("Description", s.description)("DpSelectorName", s.dp_selector_name);
    a("DpSelectorParm", s.dp_selector_parm)("DefaultZonePrior", s.default_zone_prior);
    a("DpReadOnlyWhenVolFull", s.dp_read_only_when_vol_full);
    a("LeaderRetryTimeout", s.leader_retry_unused)("VolType", s.vol_type);
    a("ObjBlockSize", s.obj_block_size)("Uids", s.uids)("TrashInterval", s.trash_interval_min);
    a("LatestVer", s.latest_ver)("Forbidden", s.forbidden)("DisableAuditLog", s.disable_audit_log);
    a.time("DeleteExecTime", s.delete_exec_time)("DpRepairBlockSize", s.dp_repair_block_size);
    a("EnableAutoDpMetaRepair", s.enable_auto_dp_meta_repair);
    a("AccessTimeInterval", s.access_time_interval_s);
    a("EnablePersistAccessTime", s.enable_persist_access_time);
    a("VolStorageClass", s.vol_storage_class)("AllowedStorageClass", s.allowed_storage_class);
    a("ForbidWriteOpOfProtoVer0", s.forbid_proto_ver0);
    a("QuotaOfStorageClass", s.quota_of_storage_class)("RemoteCacheEnable", s.remote_cache_enable);
    a("RemoteCachePath", s.remote_cache_path);
    a("RemoteCacheAutoPrepare", s.remote_cache_auto_prepare);
    a("RemoteCacheTTL", s.remote_cache_ttl_s);
    a("RemoteCacheReadTimeout", s.remote_cache_read_timeout_ms);
    a("RemoteCacheMaxFileSizeGB", s.remote_cache_max_file_gib);
    a("RemoteCacheOnlyForNotSSD", s.remote_cache_only_for_not_ssd);
    a("RemoteCacheMultiRead", s.remote_cache_multi_read);
    a("FlashNodeTimeoutCount", s.flash_node_timeout_count);
    a("RemoteCacheSameZoneTimeout", s.remote_cache_same_zone_us);
    a("RemoteCacheSameRegionTimeout", s.remote_cache_same_region_ms)("QosInfo", s.qos_info);
    a("RemoteCacheRemoveDupReq", s.remote_cache_remove_dup_req);
  }
};

/// Row of the inode routing table.
struct MetaPartitionView {
  uint64_t partition_id = 0;
  uint64_t start = 0;  ///< first inode of the range
  uint64_t end = 0;    ///< last inode of the range
  uint64_t max_inode_id = 0;
  uint64_t inode_count = 0;
  uint64_t dentry_count = 0;
  uint64_t free_list_len = 0;
  uint64_t tx_cnt = 0;
  uint64_t tx_rb_ino_cnt = 0;
  uint64_t tx_rb_den_cnt = 0;
  bool is_recover = false;
  List<std::string> members{};  ///< "host:port"
  std::string leader_addr{};    ///< may be empty
  int8_t status = 0;            ///< PartitionStatus
  int64_t freeze = 0;
  int64_t last_del_replica_time = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("PartitionID", s.partition_id)("Start", s.start)("End", s.end)("MaxInodeID", s.max_inode_id);
    a("InodeCount", s.inode_count)("DentryCount", s.dentry_count)("FreeListLen", s.free_list_len);
    a("TxCnt", s.tx_cnt)("TxRbInoCnt", s.tx_rb_ino_cnt)("TxRbDenCnt", s.tx_rb_den_cnt);
    a("IsRecover", s.is_recover)("Members", s.members)("LeaderAddr", s.leader_addr);
    a("Status", s.status)("Freeze", s.freeze)("LastDelReplicaTime", s.last_del_replica_time);
  }
};

/// S3 keys of a volume.
struct OssSecure {
  std::string access_key{};
  std::string secret_key{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("AccessKey", s.access_key)("SecretKey", s.secret_key);
  }
};

/// Row of the data partition table.
struct DataPartitionView {
  int64_t partition_type = 0;  ///< 0 normal, 1 cache, 2 preload
  uint64_t partition_id = 0;
  int8_t status = 0;  ///< PartitionStatus
  uint8_t replica_num = 0;
  List<std::string> hosts{};  ///< replica order: the first one is the primary
  std::string leader_addr{};  ///< raft leader, may be empty
  uint64_t epoch = 0;
  bool is_recover = false;
  bool is_discard = false;  ///< do not use
  uint32_t media_type = 0;  ///< enum cfs_storage_class

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("PartitionType", s.partition_type)("PartitionID", s.partition_id)("Status", s.status);
    a("ReplicaNum", s.replica_num)("Hosts", s.hosts)("LeaderAddr", s.leader_addr);
    a("Epoch", s.epoch)("IsRecover", s.is_recover)("IsDiscard", s.is_discard);
    a("MediaType", s.media_type);
  }
};

/// Reply of /client/vol.
struct VolView {
  std::string name{};
  std::string owner{};
  uint8_t status = 0;  ///< kVolMarkedDeleted
  bool follower_read = false;
  List<MetaPartitionView> meta_partitions{};
  List<DataPartitionView> data_partitions{};  ///< always empty
  bool domain_on = false;
  OssSecure oss_secure{};
  int64_t create_time = 0;  ///< unix seconds
  int64_t delete_lock_hours = 0;
  int64_t vol_type = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("Name", s.name)("Owner", s.owner)("Status", s.status)("FollowerRead", s.follower_read);
    a("MetaPartitions", s.meta_partitions)("DataPartitions", s.data_partitions);
    a("DomainOn", s.domain_on)("OSSSecure", s.oss_secure)("CreateTime", s.create_time);
    a("DeleteLockTime", s.delete_lock_hours)("VolType", s.vol_type);
  }
};

/// Reply of /client/volStat.
struct VolStatInfo {
  std::string name{};
  uint64_t total_bytes = 0;
  uint64_t used_bytes = 0;
  std::string used_ratio{};
  uint64_t cache_total_bytes = 0;
  uint64_t cache_used_bytes = 0;
  std::string cache_used_ratio{};
  bool enable_token = false;
  uint64_t inode_count = 0;
  uint64_t tx_cnt = 0;
  uint64_t tx_rb_ino_cnt = 0;
  uint64_t tx_rb_den_cnt = 0;
  bool dp_read_only_when_vol_full = false;
  int64_t trash_interval_min = 0;      ///< 0: off
  uint32_t default_storage_class = 0;  ///< storage_type of new inodes
  bool meta_follower_read = false;
  bool maximally_read = false;
  int64_t leader_retry_s = 0;
  List<StorageClassStat> stat_by_storage_class{};
  List<StorageClassStat> stat_migrate_storage_class{};
  List<StorageClassStat> stat_by_dp_media_type{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("Name", s.name)("TotalSize", s.total_bytes)("UsedSize", s.used_bytes);
    a("UsedRatio", s.used_ratio)("CacheTotalSize", s.cache_total_bytes);
    a("CacheUsedSize", s.cache_used_bytes)("CacheUsedRatio", s.cache_used_ratio);
    a("EnableToken", s.enable_token)("InodeCount", s.inode_count)("TxCnt", s.tx_cnt);
    a("TxRbInoCnt", s.tx_rb_ino_cnt)("TxRbDenCnt", s.tx_rb_den_cnt);
    a("DpReadOnlyWhenVolFull", s.dp_read_only_when_vol_full);
    a("TrashIntervalV2", s.trash_interval_min)("DefaultStorageClass", s.default_storage_class);
    a("MetaFollowerRead", s.meta_follower_read)("MaximallyRead", s.maximally_read);
    a("LeaderRetryTimeOut", s.leader_retry_s)("StatByStorageClass", s.stat_by_storage_class);
    a("StatMigrateStorageClass", s.stat_migrate_storage_class);
    a("StatByDpMediaType", s.stat_by_dp_media_type);
  }
};

/// Reply of /client/partitions.
struct DataPartitionsView {
  List<DataPartitionView> partitions{};
  bool vol_read_only = false;
  List<StorageClassStat> stat_by_class{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("DataPartitions", s.partitions)("VolReadOnly", s.vol_read_only);
    a("StatByClass", s.stat_by_class);
  }
};

/// Replica in DataPartitionInfo.
struct DataReplica {
  std::string addr{};
  int8_t status = 0;
  bool is_leader = false;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("Addr", s.addr)("Status", s.status)("IsLeader", s.is_leader);
  }
};

/// Reply of /dataPartition/get.
struct DataPartitionInfo {
  uint64_t partition_id = 0;
  int64_t partition_type = 0;
  uint8_t replica_num = 0;
  int8_t status = 0;
  List<DataReplica> replicas{};
  List<std::string> hosts{};
  std::string vol_name{};
  uint64_t vol_id = 0;
  bool is_recover = false;
  bool is_discard = false;
  uint32_t media_type = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("PartitionID", s.partition_id)("PartitionType", s.partition_type);
    a("ReplicaNum", s.replica_num)("Status", s.status)("Replicas", s.replicas)("Hosts", s.hosts);
    a("VolName", s.vol_name)("VolID", s.vol_id)("IsRecover", s.is_recover);
    a("IsDiscard", s.is_discard)("MediaType", s.media_type);
  }
};

/// Node in ClusterView.
struct NodeView {
  std::string addr{};
  bool alive = false;
  std::string domain_addr{};
  uint64_t id = 0;
  bool is_writable = false;
  uint32_t media_type = 0;
  bool forbid_proto_ver0 = false;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("Addr", s.addr)("Status", s.alive)("DomainAddr", s.domain_addr)("ID", s.id);
    a("IsWritable", s.is_writable)("MediaType", s.media_type);
    a("ForbidWriteOpOfProtoVer0", s.forbid_proto_ver0);
  }
};

/// Reply of /admin/getCluster.
struct ClusterView {
  std::string name{};
  std::string create_time{};
  std::string leader_addr{};
  uint64_t max_data_partition_id = 0;
  uint64_t max_meta_node_id = 0;
  uint64_t max_meta_partition_id = 0;
  List<NodeView> master_nodes{};
  List<NodeView> meta_nodes{};
  List<NodeView> data_nodes{};
  bool forbid_proto_ver0 = false;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("Name", s.name)("CreateTime", s.create_time)("LeaderAddr", s.leader_addr);
    a("MaxDataPartitionID", s.max_data_partition_id)("MaxMetaNodeID", s.max_meta_node_id);
    a("MaxMetaPartitionID", s.max_meta_partition_id)("MasterNodes", s.master_nodes);
    a("MetaNodes", s.meta_nodes)("DataNodes", s.data_nodes);
    a("ForbidWriteOpOfProtoVer0", s.forbid_proto_ver0);
  }
};

/// Refused address.
struct AclItem {
  std::string ip{};
  int64_t ctime = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("Ip", s.ip)("CTime", s.ctime);
  }
};

/// Reply of /admin/aclOp (op=3: may this address mount?).
struct AclRsp {
  std::string info{};
  bool ok = false;
  List<AclItem> list{};
  std::string reserve{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("Info", s.info)("OK", s.ok)("List", s.list)("Reserve", s.reserve);
  }
};

/// Limit of one kind in LimitRsp.
struct QosFactor {
  uint64_t used_limit = 0;
  uint64_t used_buffer = 0;
  uint64_t used = 0;
  uint64_t need = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("UsedLimit", s.used_limit)("UsedBuffer", s.used_buffer)("Used", s.used)("Need", s.need);
  }
};

/// Reply of /admin/qosUpload. Factors: 1 read IOPS, 2 write IOPS, 3 read bytes/s, 4 write bytes/s.
struct LimitRsp {
  uint64_t id = 0;
  bool enable = false;
  uint32_t req_period_s = 0;
  uint8_t hit_trigger_cnt = 0;
  Map<uint64_t, QosFactor> factors{};
  Map<uint64_t, uint32_t> magnify{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("ID", s.id)("Enable", s.enable)("ReqPeriod", s.req_period_s);
    a("HitTriggerCnt", s.hit_trigger_cnt)("FactorMap", s.factors)("Magnify", s.magnify);
    a.null("Version");
  }
};

/// Build of a program, part of LimitReq.
struct BuildVersion {
  std::string role{};
  std::string version{};
  std::string branch{};
  std::string commit{};
  std::string build{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("Role", s.role)("Version", s.version)("Branch", s.branch)("Commit", s.commit);
    a("Build", s.build);
  }
};

/// Body of the request /admin/qosUpload; `id` is 0 the first time, then what LimitRsp gave.
struct LimitReq {
  uint64_t id = 0;
  Map<uint64_t, QosFactor> factors{};
  std::string host{};
  uint8_t status = 0;
  BuildVersion version{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("ID", s.id)("FactorMap", s.factors)("Host", s.host)("Status", s.status);
    a("Version", s.version);
  }
};

/// Directory of a quota.
struct QuotaPath {
  std::string full_path{};
  uint64_t root_inode = 0;
  uint64_t partition_id = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("FullPath", s.full_path)("RootInode", s.root_inode)("PartitionId", s.partition_id);
  }
};

/// Which limits of a quota are reached.
struct QuotaLimited {
  bool files = false;
  bool bytes = false;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("LimitedFiles", s.files)("LimitedBytes", s.bytes);
  }
};

/// Use of a quota.
struct QuotaUsed {
  int64_t files = 0;
  int64_t bytes = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("UsedFiles", s.files)("UsedBytes", s.bytes);
  }
};

/// Directory quota.
struct QuotaInfo {
  std::string vol_name{};
  uint32_t quota_id = 0;
  int64_t ctime = 0;
  List<QuotaPath> paths{};
  QuotaLimited limited{};
  QuotaUsed used{};
  uint64_t max_files = 0;
  uint64_t max_bytes = 0;
  std::string reserved{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("VolName", s.vol_name)("QuotaId", s.quota_id)("CTime", s.ctime)("PathInfos", s.paths);
    a("LimitedInfo", s.limited)("UsedInfo", s.used)("MaxFiles", s.max_files);
    a("MaxBytes", s.max_bytes)("Rsv", s.reserved);
  }
};

/// Reply of /quota/list.
struct QuotaList {
  List<QuotaInfo> quotas{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("Quotas", s.quotas);
  }
};

/// Row of /vol/list.
struct VolInfo {
  std::string name{};
  std::string owner{};
  int64_t create_time = 0;
  uint8_t status = 0;
  uint64_t total_bytes = 0;
  uint64_t used_bytes = 0;
  bool dp_read_only_when_vol_full = false;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("Name", s.name)("Owner", s.owner)("CreateTime", s.create_time)("Status", s.status);
    a("TotalSize", s.total_bytes)("UsedSize", s.used_bytes);
    a("DpReadOnlyWhenVolFull", s.dp_read_only_when_vol_full);
  }
};

/// Group of flash cache nodes.
struct FlashGroup {
  uint64_t id = 0;
  List<uint32_t> slots{};
  List<std::string> hosts{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("i", s.id)("s", s.slots)("h", s.hosts);
  }
};

/// Reply of /client/flashGroups.
struct FlashGroupView {
  bool enable = false;
  List<FlashGroup> groups{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("Enable", s.enable)("FlashGroups", s.groups);
  }
};

/// Snapshot of a volume.
struct VolVersion {
  uint64_t ver = 0;
  int64_t del_time = 0;
  uint8_t status = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("Ver", s.ver)("DelTime", s.del_time)("Status", s.status);
  }
};

/// Reply of /multiVer/getAll.
struct VolVersionList {
  List<VolVersion> versions{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("VerList", s.versions);
  }
};

/// Envelope of every reply with HTTP status 200.
struct Envelope {
  int32_t code = kMasterInternal;
  std::string msg;
  std::string data;  ///< JSON
};

/// Takes the envelope apart; EBADMSG when the body is none. `code` may be an error.
[[nodiscard]] Result<Envelope> decode_envelope(std::string_view body);

/// Data of a good reply; an Error with errno and text for a bad one. T: a struct of this header, a
/// List of VolInfo or MetaPartitionView, or std::string.
template <class T>
[[nodiscard]] Result<T> decode_reply(std::string_view body);

/// {"code":0,"msg":"success","data":...}
template <class T>
[[nodiscard]] std::string encode_reply(const T& data);

/// {"code":7,"msg":"vol not exists","data":null}; without a text the canonical one is used.
[[nodiscard]] std::string encode_error(int32_t code, std::string_view msg = {});

}  // namespace cfs::wire
