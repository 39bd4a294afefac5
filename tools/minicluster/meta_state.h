// SPDX-License-Identifier: Apache-2.0
/// What a meta partition does with a request: the state machine of the meta node, without network.
///
/// Purpose   apply() executes one request on one partition inside a transaction. Same input, same
///           store, same time: same output. The server around it is meta_service.h and meta_node.h.
/// Threads   As the transaction in the call; no state of its own.
/// Failure   Every refusal is a result code of the reply. Writes may have been made before a
///           refusal only where the real server keeps them (conflicting extent keys, see
///           meta_extents.cc).
/// Source    CubeFS v3.5.3, metanode/partition_op_*.go, partition_fsmop_*.go, transaction.go.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tools/minicluster/meta_store.h"

namespace cfs::mini {

/// Settings of the partition's volume that its answers depend on.
struct PartitionConfig {
  uint64_t id = 0;
  uint64_t start = 0;
  uint64_t end = 0;                        ///< last inode number, inclusive
  uint32_t storage_class = CFS_CLASS_SSD;  ///< of new inodes that do not say, and of the root
  bool cold = false;                       ///< erasure-coded volume: no extents on data nodes
  bool forbidden = false;                  ///< volume is closed for changes
  bool refuse_proto0 = true;               ///< ForbidWriteOpOfProtoVer0
  uint64_t dir_limit = 20'000'000;         ///< DirChildrenNumLimit
  int64_t delete_lock_h = 0;               ///< DeleteLockTime
  /// A transaction may not make a name that exists, whichever inode it means, as CubeFS 3.4 and later
  /// have it. 3.3 takes the name of the same inode for the transaction's own: the worse case for a client,
  /// since a rollback does not know whose the name is.
  bool tx_refuses_names = false;
  std::set<uint32_t> full_files;  ///< quotas without room for one more inode
  std::set<uint32_t> over_files;  ///< quotas with more inodes than they may have
  std::set<uint32_t> full_bytes;  ///< quotas without room for one more byte
  std::set<uint32_t> full_users;  ///< users who may not have more bytes
};

/// Answer of the state machine. kEcho: the request's own body goes back.
struct MetaReply {
  enum Body { kNone, kEcho, kBytes };
  uint8_t result = CFS_RC_OK;
  Body body = kNone;
  std::string data;  ///< of kBytes
};

struct MetaCall {
  PartitionStore& store;
  const PartitionConfig& config;
  uint8_t op = 0;
  uint32_t proto_version = 0;
  std::string_view body;
  int64_t now = 0;  ///< unix seconds
};

enum class OpClass {
  kUnknown,  ///< never answered
  kRead,     ///< a follower may serve it when asked to
  kWrite,
  kLocal,  ///< every member answers for itself
};

[[nodiscard]] OpClass op_class(uint8_t op);

/// Executes the request. For OpClass::kWrite the caller flushes the store and commits, whatever the
/// result; for reads the transaction may be read-only.
[[nodiscard]] MetaReply apply(MetaCall& call);

/// Puts a new partition into its first state: the root inode when it starts at 0.
void init_partition(PartitionStore& store, const PartitionConfig& config, int64_t now);

/// Limits of the background work.
struct ReclaimPolicy {
  int64_t deleted_s = 2;         ///< between delete mark and removal
  int64_t orphan_s = 24 * 3600;  ///< inode without a name that nobody evicted
  int64_t tx_keep_s = 120;       ///< finished transactions stay known
  int64_t uniq_keep_s = 300;
  uint64_t uniq_keep_count = 1024;
};

/// One round of background work of a partition: removes delete-marked inodes and orphans, rolls
/// back transactions that timed out, forgets old ones and old unique ids. Source: metanode/
/// partition_free_list.go, transaction.go, uniq_checker.go. False when nothing was due.
[[nodiscard]] bool reclaim(PartitionStore& store, const ReclaimPolicy& policy, int64_t now);

}  // namespace cfs::mini
