// SPDX-License-Identifier: Apache-2.0
/// Single metadata requests in terms of names and inodes.
///
/// Purpose  The vocabulary in which the operations (op_*.cc, volume_*.cc) are written: one method
///          is one RPC, plus what belongs to it always (routing, partition choice, quota ids).
/// Threads  The loop's.
/// Lifetime Owned by the volume; operations hold a reference while they run.
/// Failure  Reads give Result; changes give the Answer, since the caller decides what a result code
///          or a lost reply means.
/// Source   CubeFS v3.5.3 sdk/meta/api.go, sdk/meta/operation.go.
#pragma once

#include "daemon/core/meta_client.h"
#include "daemon/core/progress.h"
#include "daemon/core/quota.h"
#include "daemon/core/uniq_ids.h"

namespace cfs {

/// What a new inode shall be.
struct NewInode {
  std::uint32_t go_mode = 0;
  Caller who;
  std::string target;
  QuotaIds quota_ids;
};

class MetaOps {
 public:
  MetaOps(Loop& loop, std::shared_ptr<ViewKeeper> views, const MountConfig& config);

  [[nodiscard]] Loop& loop() { return loop_; }
  [[nodiscard]] MetaClient& client() { return client_; }
  [[nodiscard]] ViewKeeper& views() { return *views_; }
  [[nodiscard]] Quotas& quotas() { return quotas_; }

  // Reads.
  Task<Result<wire::LookupReply>> lookup(Ino dir, std::string name);
  Task<Answer<wire::InodeGetReply>> inode_once(Ino ino);
  /// Asks again after a view refresh before it says ENOENT.
  Task<Result<wire::InodeInfo>> inode(Ino ino);

  // Changes.
  /// In the next partition that takes it.
  Task<Answer<wire::InodeReply>> create_inode(NewInode what);
  Task<Answer<wire::NoBody>> create_dentry(Ino dir, std::string name, Ino ino,
                                           std::uint32_t go_mode, QuotaIds quota_ids);
  /// Removes the name if it means this inode, else "not exist": what another host has put there
  /// meanwhile stays.
  Task<Answer<wire::NoBody>> delete_dentry(Ino dir, std::string name, Ino ino);
  Task<Answer<wire::InoReply>> update_dentry(Ino dir, std::string name, Ino ino);
  Task<Answer<wire::InodeReply>> link_inode(Ino ino, std::uint64_t uniq);
  Task<Answer<wire::InodeReply>> unlink_inode(Ino ino, std::uint64_t uniq);
  Task<Answer<wire::NoBody>> evict(Ino ino);
  /// Id for a link or unlink of this inode; 0 when no partition has the inode.
  Task<Result<std::uint64_t>> uniq_id(Ino ino);

  // What a lost reply meant.
  /// A name was to be removed, the reply was lost, and the name is gone: by us? An unlink of
  /// another client would take the link with it, so a link count that stays is ours to take.
  Task<bool> link_is_left(Ino ino);
  /// Link count once another client's unlink had time to follow its removal of the name; 0 when the
  /// inode is gone or cannot be read.
  Task<std::uint32_t> settled_links(Ino ino);

  ProgressHook progress_hook;  ///< tests only
  Millis settle{1000};         ///< between a foreign removal of a name and that of its link

  /// Of the time that is left to make an inode: how much one partition may take of it.
  [[nodiscard]] std::int64_t create_budget_ms(std::int64_t left_ms) const;

 private:
  Task<Answer<wire::InodeReply>> create_inode_at(std::uint64_t partition, NewInode what,
                                                 std::int64_t budget_ms);

  Loop& loop_;
  std::shared_ptr<ViewKeeper> views_;
  MetaClient client_;
  UniqIds uniq_;
  Quotas quotas_;
};

/// A refusal of a new inode that the other partitions would repeat: quota, forbidden volume, space
/// limit of a user. Source: CubeFS metanode/partition_op_inode.go.
bool refused_for_good(std::uint8_t result);

/// errno and text of an answer that is not Ok.
Error answer_error(std::uint8_t result, const Error& error);

/// Attributes of a server's inode.
Attr to_attr(const wire::InodeInfo& info);
[[nodiscard]] inline bool is_dir(const Attr& attr) {
  return S_ISDIR(attr.mode);
}

}  // namespace cfs
