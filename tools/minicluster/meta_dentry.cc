// SPDX-License-Identifier: Apache-2.0
/// Requests on names. Source: CubeFS v3.5.3, metanode/partition_fsmop_dentry.go,
/// partition_op_dentry.go.
#include "tools/minicluster/meta_ops.h"

namespace cfs::mini {
namespace {

bool is_symlink(uint32_t mode) {
  return (mode & CFS_GOMODE_SYMLINK) != 0;
}

/// Result for a name that already exists with another inode.
uint8_t exists_result(uint32_t old_mode, uint32_t new_mode) {
  bool same_class = (old_mode & CFS_GOMODE_TYPE) == (new_mode & CFS_GOMODE_TYPE);
  bool symlink = is_symlink(old_mode) || is_symlink(new_mode);
  return same_class || symlink ? CFS_RC_EXIST : CFS_RC_ARG_MISMATCH;
}

MetaReply create(MetaCall& c, uint64_t parent, const std::string& name, const DentryValue& value) {
  return add_dentry(c, parent, name, value, "");
}

wire::ReadDirReply list(MetaCall& c, uint64_t parent, std::string_view marker, uint64_t limit,
                        uint32_t type_mask) {
  wire::ReadDirReply reply;
  c.store.scan_dentries(parent, marker, [&](std::string_view name, const DentryValue& d) {
    if (type_mask == 0 || (d.mode & type_mask) != 0) {
      reply.children.push_back({std::string(name), d.ino, d.mode});
    }
    return limit == 0 || reply.children.size() < limit;
  });
  return reply;
}

/// True while DeleteLockTime protects something created at `create_time`.
bool delete_locked(const MetaCall& c, int64_t create_time) {
  if (create_time == 0 || c.config.delete_lock_h == 0) return false;
  return create_time + c.config.delete_lock_h * 3600 > c.now;
}

/// Knows no delete lock, as the real one.
wire::DeletedDentry delete_if(MetaCall& c, uint64_t parent, const wire::Dentry& wanted) {
  if (c.store.tx_dentry(parent, wanted.name)) return {0, CFS_RC_TX_CONFLICT};
  std::optional<DentryValue> old = c.store.dentry(parent, wanted.name);
  if (!old || old->ino != wanted.ino) return {0, CFS_RC_NOT_EXIST};
  c.store.erase_dentry(parent, wanted.name);
  touch_parent(c.store, parent, -1, c.now);
  return {old->ino, CFS_RC_OK};
}

}  // namespace

void touch_parent(PartitionStore& store, uint64_t parent, int delta, int64_t now) {
  std::optional<Inode> inode = store.inode(parent);
  if (!inode) return;
  if (delta > 0) {
    ++inode->info.nlink;
  } else if (delta < 0 && inode->info.nlink > 2) {
    --inode->info.nlink;
  }
  inode->info.mtime = now;
  store.put_inode(*inode);
}

MetaReply add_dentry(MetaCall& c, uint64_t parent, const std::string& name,
                     const DentryValue& value, const std::string& tx_id) {
  if (parent == value.ino) return reply_text(CFS_RC_EXIST, "parentId is equal inodeId");
  std::optional<Inode> dir = c.store.inode(parent);
  if (!dir || dir->deleted) return reply_text(CFS_RC_NOT_EXIST, "parent inode not exists");
  if (dir->info.nlink >= c.config.dir_limit) {
    return reply_text(CFS_RC_DIR_QUOTA, "parent dir quota limited");
  }
  if (!dir->is_dir()) return reply_echo(CFS_RC_ARG_MISMATCH);
  std::optional<TxDentryUndo> lock = c.store.tx_dentry(parent, name);
  if (lock && lock->tx_id != tx_id) return reply_echo(CFS_RC_TX_CONFLICT);
  if (std::optional<DentryValue> old = c.store.dentry(parent, name)) {
    if (old->ino == value.ino) return reply_echo(CFS_RC_OK);
    return reply_echo(exists_result(old->mode, value.mode));
  }
  c.store.put_dentry(parent, name, value);
  touch_parent(c.store, parent, +1, c.now);
  return reply_echo(CFS_RC_OK);
}

MetaReply do_create_dentry(MetaCall& c, const wire::CreateDentryReq& req) {
  return create(c, req.pino, req.name, {req.ino, req.mode});
}

MetaReply do_quota_create_dentry(MetaCall& c, const wire::QuotaCreateDentryReq& req) {
  uint8_t rc = check_quotas(c.config.over_files, req.quota_ids);
  if (rc != CFS_RC_OK) return reply_text(rc, "CreateDentry is over quota");
  return create(c, req.pino, req.name, {req.ino, req.mode});
}

MetaReply do_delete_dentry(MetaCall& c, const wire::DeleteDentryReq& req) {
  if (c.store.tx_dentry(req.pino, req.name)) return reply_echo(CFS_RC_TX_CONFLICT);
  std::optional<DentryValue> old = c.store.dentry(req.pino, req.name);
  if (!old) return reply_echo(CFS_RC_NOT_EXIST);
  if (delete_locked(c, req.inode_create_time_s)) {
    return reply_text(CFS_RC_NOT_PERM, "inode is locked for deletion");
  }
  c.store.erase_dentry(req.pino, req.name);
  touch_parent(c.store, req.pino, -1, c.now);
  return reply_json(wire::InoReply{old->ino});
}

MetaReply do_batch_delete_dentry(MetaCall& c, const wire::BatchDeleteDentryReq& req) {
  wire::BatchDeleteDentryReply reply;
  for (const wire::Dentry& wanted : req.dentries) {
    reply.items.push_back(delete_if(c, req.pino, wanted));
  }
  return reply_json(reply);  // Ok whatever happened to the names
}

MetaReply do_update_dentry(MetaCall& c, const wire::UpdateDentryReq& req) {
  if (req.pino == req.ino) return reply_text(CFS_RC_EXIST, "parentId is equal inodeId");
  if (c.store.tx_dentry(req.pino, req.name)) return reply_echo(CFS_RC_TX_CONFLICT);
  std::optional<DentryValue> old = c.store.dentry(req.pino, req.name);
  if (!old) return reply_echo(CFS_RC_NOT_EXIST);
  if (old->ino == req.ino) return reply_json(wire::InoReply{0});  // the real server's quirk
  // The stored type stays what it was when the name was created.
  c.store.put_dentry(req.pino, req.name, {req.ino, old->mode});
  return reply_json(wire::InoReply{old->ino});
}

MetaReply do_lookup(MetaCall& c, const wire::LookupReq& req) {
  std::optional<DentryValue> d = c.store.dentry(req.pino, req.name);
  if (!d) return reply_none(CFS_RC_NOT_EXIST);
  wire::LookupReply reply;
  reply.ino = d->ino;
  reply.mode = d->mode;
  return reply_json(reply);
}

MetaReply do_read_dir(MetaCall& c, const wire::ReadDirReq& req) {
  return reply_json(list(c, req.pino, "", 0, 0));
}

MetaReply do_read_dir_only(MetaCall& c, const wire::ReadDirReq& req) {
  return reply_json(list(c, req.pino, "", 0, CFS_GOMODE_DIR));
}

MetaReply do_read_dir_limit(MetaCall& c, const wire::ReadDirLimitReq& req) {
  return reply_json(list(c, req.pino, req.marker, req.limit, 0));
}

}  // namespace cfs::mini
