// SPDX-License-Identifier: Apache-2.0
/// Metadata requests and replies.
///
/// Purpose  One struct per opcode between client and meta node; transactions are in
///          meta_tx_msg.h, which this header includes.
/// Use      encode(req) and decode<Req::Reply>(body), see json.h; Req::kOp is the opcode. A reply
///          type of NoBody means: judge by the result code only, the body may be the echoed
///          request.
/// Threads  Values.
/// Failure  decode() of json.h.
/// Source   CubeFS v3.5.3, proto/fs_proto.go; metanode/api_handler.go for the replies.
#pragma once

#include "cubefs/cfs_wire.h"
#include "daemon/wire/meta_types.h"

namespace cfs::wire {

/// Reply without a body, or with one that must not be read.
struct NoBody {};

/// Reply of inode creation, link and unlink.
struct InodeReply {
  InodeInfo info{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("info", s.info);
  }
};

/// Reply of InodeGetReq.
struct InodeGetReply {
  InodeInfo info{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("info", s.info).null("layerInfo");
  }
};

/// Reply with the inode a name had.
struct InoReply {
  uint64_t ino = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("ino", s.ino);
  }
};

/// Outcome of one name in BatchDeleteDentryReply.
struct DeletedDentry {
  uint64_t ino = 0;
  uint8_t status = 0;  ///< a result code

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("ino", s.ino)("status", s.status);
  }
};

/// Reply of BatchDeleteDentryReq, which is Ok whatever happened to the names; in their order.
struct BatchDeleteDentryReply {
  uint64_t pino = 0;  ///< never set by servers
  List<DeletedDentry> items{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("pino", s.pino)("items", s.items);
  }
};

/// Reply of LookupReq.
struct LookupReply {
  uint64_t ino = 0;
  uint32_t mode = 0;  ///< Go mode as of creation
  uint64_t seq = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("ino", s.ino)("mode", s.mode)("seq", s.seq).null("layerInfo");
  }
};

/// Reply of all listing requests; sorted by the bytes of the name.
struct ReadDirReply {
  List<Dentry> children{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("children", s.children);
  }
};

/// Reply of BatchInodeGetReq: absent inodes are left out, any order.
struct BatchInodeGetReply {
  List<InodeInfo> infos{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("infos", s.infos);
  }
};

/// Reply of ExtentsListReq: sorted, not overlapping, gaps are holes.
struct ExtentsListReply {
  uint64_t gen = 0;
  uint64_t size = 0;  ///< bytes
  List<ExtentKey> extents{};
  int64_t status = 0;  ///< always 0
  uint64_t lease_expire_s = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("gen", s.gen)("sz", s.size)("eks", s.extents).null("layer")("Status", s.status);
    a("leaseExpireTime", s.lease_expire_s);
  }
};

/// Reply of GetXattrReq; a missing attribute has an empty value.
struct GetXattrReply {
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  std::string key{};
  std::string value{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("key", s.key)("val", s.value);
  }
};

/// Reply of ListXattrReq.
struct ListXattrReply {
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  List<std::string> names{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("xattrs", s.names);
  }
};

/// Reply of GetAllXattrReq.
struct GetAllXattrReply {
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  Map<std::string, std::string> attrs{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("attrs", s.attrs);
  }
};

/// Attributes of one inode in BatchGetXattrReply.
struct XattrsOfInode {
  uint64_t ino = 0;
  Map<std::string, std::string> attrs{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("Inode", s.ino)("XAttrs", s.attrs);
  }
};

/// Reply of BatchGetXattrReq; inodes without attributes are left out.
struct BatchGetXattrReply {
  std::string vol{};
  uint64_t pid = 0;
  List<XattrsOfInode> inodes{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("XAttrs", s.inodes);
  }
};

/// Reply of GetInodeQuotaReq.
struct GetInodeQuotaReply {
  Map<uint64_t, QuotaMark> quotas{};  ///< by quota id

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("MetaQuotaInfoMap", s.quotas);
  }
};

/// Reply of LockDirReq.
struct LockDirReply {
  uint64_t lock_id = 0;
  uint8_t status = 0;  ///< CFS_RC_OK: the lock is the asker's

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("lockId", s.lock_id)("status", s.status);
  }
};

/// Reply of GetUniqIdReq: the first id of the range.
struct GetUniqIdReply {
  uint64_t start = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("start", s.start);
  }
};

/// Reply of GetAppliedIdReq: no JSON but 8 bytes, big-endian.
struct AppliedIdReply {
  uint64_t applied_id = 0;
};

/// New inode without a name; the partition chooses the number.
struct CreateInodeReq {
  static constexpr uint8_t kOp = CFS_MOP_CREATE_INODE;
  using Reply = InodeReply;
  std::string vol{};
  uint64_t pid = 0;
  uint32_t mode = 0;  ///< Go mode
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string target{};
  List<std::string> full_paths{};
  uint32_t storage_type = 0;  ///< VolStatInfo::default_storage_class

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("mode", s.mode)("uid", s.uid)("gid", s.gid);
    a.base64("tgt", s.target)("fullPaths", s.full_paths)("storageType", s.storage_type);
  }
};

/// CreateInodeReq on a volume with quotas.
struct QuotaCreateInodeReq {
  static constexpr uint8_t kOp = CFS_MOP_QUOTA_CREATE_INODE;
  using Reply = InodeReply;
  std::string vol{};
  uint64_t pid = 0;
  uint32_t mode = 0;  ///< Go mode
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string target{};
  List<uint32_t> quota_ids{};
  List<std::string> full_paths{};
  uint32_t storage_type = 0;  ///< VolStatInfo::default_storage_class

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("mode", s.mode)("uid", s.uid)("gid", s.gid);
    a.base64("tgt", s.target)("qids", s.quota_ids)("fullPaths", s.full_paths);
    a("storageType", s.storage_type);
  }
};

/// nlink - 1. The key of the unique id is "uid" here and "uiq" in LinkInodeReq.
struct UnlinkInodeReq {
  static constexpr uint8_t kOp = CFS_MOP_UNLINK_INODE;
  using Reply = InodeReply;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  uint64_t uniq_id = 0;  ///< 0: no de-duplication
  uint64_t ver = 0;
  uint64_t den_ver = 0;
  List<std::string> full_paths{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("uid", s.uniq_id)("ver", s.ver);
    a("denVer", s.den_ver)("fullPaths", s.full_paths);
  }
};

/// nlink + 1.
struct LinkInodeReq {
  static constexpr uint8_t kOp = CFS_MOP_LINK_INODE;
  using Reply = InodeReply;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  uint64_t uniq_id = 0;  ///< 0: no de-duplication
  bool rename = false;
  List<std::string> full_paths{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("uiq", s.uniq_id)("rename", s.rename);
    a("fullPaths", s.full_paths);
  }
};

/// Frees an inode whose nlink is 0.
struct EvictInodeReq {
  static constexpr uint8_t kOp = CFS_MOP_EVICT_INODE;
  using Reply = NoBody;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  List<std::string> full_paths{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("fullPaths", s.full_paths);
  }
};

/// New name in a directory.
struct CreateDentryReq {
  static constexpr uint8_t kOp = CFS_MOP_CREATE_DENTRY;
  using Reply = NoBody;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t pino = 0;
  uint64_t ino = 0;
  std::string name{};
  uint32_t mode = 0;  ///< Go mode
  List<std::string> full_paths{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("pino", s.pino)("ino", s.ino)("name", s.name)("mode", s.mode);
    a("fullPaths", s.full_paths);
  }
};

/// CreateDentryReq on a volume with quotas.
struct QuotaCreateDentryReq {
  static constexpr uint8_t kOp = CFS_MOP_QUOTA_CREATE_DENTRY;
  using Reply = NoBody;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t pino = 0;
  uint64_t ino = 0;
  std::string name{};
  uint32_t mode = 0;  ///< Go mode
  List<uint32_t> quota_ids{};
  uint64_t seq = 0;
  List<std::string> full_paths{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("pino", s.pino)("ino", s.ino)("name", s.name)("mode", s.mode);
    a("qids", s.quota_ids)("seq", s.seq)("fullPaths", s.full_paths);
  }
};

/// Removes a name.
struct DeleteDentryReq {
  static constexpr uint8_t kOp = CFS_MOP_DELETE_DENTRY;
  using Reply = InoReply;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t pino = 0;
  std::string name{};
  int64_t inode_create_time_s = 0;  ///< 0: no delete lock
  uint64_t ver = 0;
  List<std::string> full_paths{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("pino", s.pino)("name", s.name);
    a("inodeCreateTime", s.inode_create_time_s)("ver", s.ver)("fullPaths", s.full_paths);
  }
};

/// Removes names that still mean the inode given with them, others are "not exist".
/// Source: CubeFS v3.5.3 metanode/partition_fsmop_dentry.go (fsmBatchDeleteDentry).
struct BatchDeleteDentryReq {
  static constexpr uint8_t kOp = CFS_MOP_BATCH_DELETE_DENTRY;
  using Reply = BatchDeleteDentryReply;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t pino = 0;
  List<Dentry> dentries{};
  List<std::string> full_paths{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("pino", s.pino)("dens", s.dentries)("fullPaths", s.full_paths);
  }
};

/// Points an existing name to another inode; the reply has the old one.
struct UpdateDentryReq {
  static constexpr uint8_t kOp = CFS_MOP_UPDATE_DENTRY;
  using Reply = InoReply;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t pino = 0;
  std::string name{};
  uint64_t ino = 0;
  List<std::string> full_paths{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("pino", s.pino)("name", s.name)("ino", s.ino);
    a("fullPaths", s.full_paths);
  }
};

/// Name to inode.
struct LookupReq {
  static constexpr uint8_t kOp = CFS_MOP_LOOKUP;
  using Reply = LookupReply;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t pino = 0;
  std::string name{};
  uint64_t seq = 0;
  bool ver_all = false;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("pino", s.pino)("name", s.name)("seq", s.seq);
    a("verAll", s.ver_all);
  }
};

/// Whole directory at once.
struct ReadDirReq {
  static constexpr uint8_t kOp = CFS_MOP_READ_DIR;
  using Reply = ReadDirReply;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t pino = 0;
  uint64_t seq = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("pino", s.pino)("seq", s.seq);
  }
};

/// Page of a directory; the marker itself is included when it still exists.
struct ReadDirLimitReq {
  static constexpr uint8_t kOp = CFS_MOP_READ_DIR_LIMIT;
  using Reply = ReadDirReply;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t pino = 0;
  std::string marker{};
  uint64_t limit = 0;  ///< 0: no limit
  uint64_t seq = 0;
  uint8_t ver_opt = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("pino", s.pino)("marker", s.marker)("limit", s.limit);
    a("seq", s.seq)("VerOpt", s.ver_opt);
  }
};

/// Attributes of one inode.
struct InodeGetReq {
  static constexpr uint8_t kOp = CFS_MOP_INODE_GET;
  using Reply = InodeGetReply;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  uint64_t seq = 0;
  bool ver_all = false;
  bool inner = false;  ///< true: do not touch the access time

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("seq", s.seq)("verAll", s.ver_all);
    a("inner", s.inner);
  }
};

/// Attributes of many inodes of one partition.
struct BatchInodeGetReq {
  static constexpr uint8_t kOp = CFS_MOP_BATCH_INODE_GET;
  using Reply = BatchInodeGetReply;
  std::string vol{};
  uint64_t pid = 0;
  List<uint64_t> inos{};
  uint64_t seq = 0;
  bool inner = false;  ///< true: do not touch the access time

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("inos", s.inos)("seq", s.seq)("inner", s.inner);
  }
};

/// Where the bytes of a file are.
struct ExtentsListReq {
  static constexpr uint8_t kOp = CFS_MOP_EXTENTS_LIST;
  using Reply = ExtentsListReply;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  uint64_t seq = 0;
  bool ver_all = false;
  bool is_cache = false;
  bool for_write = false;
  bool is_migration = false;
  bool inner = false;  ///< true: do not touch the access time

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("seq", s.seq)("verAll", s.ver_all);
    a("isCache", s.is_cache)("forWrite", s.for_write)("isMigration", s.is_migration);
    a("inner", s.inner);
  }
};

/// Adds an extent key unless it overlaps one not listed in `discard`.
struct ExtentAddCheckReq {
  static constexpr uint8_t kOp = CFS_MOP_EXTENT_ADD_CHECK;
  using Reply = NoBody;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  ExtentKey extent{};
  List<ExtentKey> discard{};  ///< keys known to be replaced
  uint64_t seq = 0;
  bool is_split = false;
  bool is_cache = false;
  uint32_t storage_class = 0;
  bool is_migration = false;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("ek", s.extent)("dek", s.discard)("seq", s.seq);
    a("IsSplit", s.is_split)("IsCache", s.is_cache)("storageClass", s.storage_class);
    a("IsMigration", s.is_migration);
  }
};

/// Adds many extent keys without a check.
struct BatchExtentsAddReq {
  static constexpr uint8_t kOp = CFS_MOP_BATCH_EXTENTS_ADD;
  using Reply = NoBody;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  List<ExtentKey> extents{};
  uint32_t storage_class = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("eks", s.extents)("storageClass", s.storage_class);
  }
};

/// New file size.
struct TruncateReq {
  static constexpr uint8_t kOp = CFS_MOP_TRUNCATE;
  using Reply = NoBody;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  uint64_t size = 0;  ///< bytes
  List<std::string> full_paths{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("sz", s.size)("fullPaths", s.full_paths);
  }
};

/// Sets the attributes named by `valid` (CFS_ATTR_*).
struct SetattrReq {
  static constexpr uint8_t kOp = CFS_MOP_SETATTR;
  using Reply = NoBody;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  uint32_t mode = 0;  ///< whole Go mode with type bits
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime = 0;  ///< unix seconds
  int64_t atime = 0;  ///< unix seconds
  uint32_t valid = 0;
  uint64_t seq = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("mode", s.mode)("uid", s.uid)("gid", s.gid);
    a("mt", s.mtime)("at", s.atime)("valid", s.valid)("seq", s.seq);
  }
};

/// Sets an attribute; the value must be UTF-8.
struct SetXattrReq {
  static constexpr uint8_t kOp = CFS_MOP_SET_XATTR;
  using Reply = NoBody;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  std::string key{};
  std::string value{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("key", s.key)("val", s.value);
  }
};

/// Sets many attributes of one inode.
struct BatchSetXattrReq {
  static constexpr uint8_t kOp = CFS_MOP_BATCH_SET_XATTR;
  using Reply = NoBody;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  Map<std::string, std::string> attrs{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("attrs", s.attrs);
  }
};

/// Reads one attribute.
struct GetXattrReq {
  static constexpr uint8_t kOp = CFS_MOP_GET_XATTR;
  using Reply = GetXattrReply;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  std::string key{};
  uint64_t seq = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("key", s.key)("seq", s.seq);
  }
};

/// Removes an attribute; Ok also when it is not there.
struct RemoveXattrReq {
  static constexpr uint8_t kOp = CFS_MOP_REMOVE_XATTR;
  using Reply = NoBody;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  std::string key{};
  uint64_t seq = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("key", s.key)("seq", s.seq);
  }
};

/// Names of all attributes.
struct ListXattrReq {
  static constexpr uint8_t kOp = CFS_MOP_LIST_XATTR;
  using Reply = ListXattrReply;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  uint64_t seq = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("seq", s.seq);
  }
};

/// All attributes with values.
struct GetAllXattrReq {
  static constexpr uint8_t kOp = CFS_MOP_GET_ALL_XATTR;
  using Reply = GetAllXattrReply;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  uint64_t seq = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("seq", s.seq);
  }
};

/// Some attributes of many inodes.
struct BatchGetXattrReq {
  static constexpr uint8_t kOp = CFS_MOP_BATCH_GET_XATTR;
  using Reply = BatchGetXattrReply;
  std::string vol{};
  uint64_t pid = 0;
  List<uint64_t> inos{};
  List<std::string> keys{};
  uint64_t seq = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("inos", s.inos)("keys", s.keys)("seq", s.seq);
  }
};

/// Takes, renews or (lease 0) gives up the lease on a directory.
struct LockDirReq {
  static constexpr uint8_t kOp = CFS_MOP_LOCK_DIR;
  using Reply = LockDirReply;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  uint64_t lock_id = 0;
  uint64_t lease_s = 0;
  int64_t submit_time = 0;  ///< unused

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("lockId", s.lock_id)("lease", s.lease_s);
    a.time("submitTime", s.submit_time);
  }
};

/// Quotas an inode belongs to.
struct GetInodeQuotaReq {
  static constexpr uint8_t kOp = CFS_MOP_GET_INODE_QUOTA;
  using Reply = GetInodeQuotaReply;
  uint64_t pid = 0;
  uint64_t ino = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("pid", s.pid)("ino", s.ino);
  }
};

/// Keeps a file open for write from being migrated.
struct RenewMigrationLeaseReq {
  static constexpr uint8_t kOp = CFS_MOP_RENEW_FORBIDDEN_MIGRATION;
  using Reply = NoBody;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;
  uint32_t storage_class = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino)("storageClass", s.storage_class);
  }
};

/// Reserves `num` ids for link and unlink de-duplication.
struct GetUniqIdReq {
  static constexpr uint8_t kOp = CFS_MOP_GET_UNIQ_ID;
  using Reply = GetUniqIdReply;
  std::string vol{};
  uint64_t pid = 0;
  uint32_t num = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("num", s.num);
  }
};

/// Raft progress of the asked member; answered locally.
struct GetAppliedIdReq {
  static constexpr uint8_t kOp = CFS_MOP_GET_APPLIED_ID;
  using Reply = AppliedIdReply;
  std::string vol{};
  uint64_t pid = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid);
  }
};

/// Generation + 1.
struct UpdateInodeMetaReq {
  static constexpr uint8_t kOp = CFS_MOP_UPDATE_INODE_META;
  using Reply = NoBody;
  std::string vol{};
  uint64_t pid = 0;
  uint64_t ino = 0;

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("vol", s.vol)("pid", s.pid)("ino", s.ino);
  }
};

}  // namespace cfs::wire

#include "daemon/wire/meta_tx_msg.h"  // IWYU pragma: export
