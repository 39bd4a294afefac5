// SPDX-License-Identifier: Apache-2.0
/// Requests on inodes. Source: CubeFS v3.5.3, metanode/partition_fsmop_inode.go,
/// partition_op_inode.go.
#include "tools/minicluster/meta_ops.h"

namespace cfs::mini {
namespace {

/// A client keeps a file open for writing this long without asking again.
constexpr int64_t kMigrationLeaseS = 3600;

wire::InodeInfo base_info(const Inode& inode, int64_t now) {
  wire::InodeInfo info = inode.info;
  info.forbidden_lc = info.lease_expire_s > static_cast<uint64_t>(now);
  return info;
}

/// The inode when it is there and not delete-marked.
std::optional<Inode> live_inode(PartitionStore& store, uint64_t ino) {
  std::optional<Inode> inode = store.inode(ino);
  if (inode && inode->deleted) inode.reset();
  return inode;
}

MetaReply create(MetaCall& c, const NewInode& wanted) {
  Inode inode;
  uint8_t rc = make_inode(c, wanted, &inode);
  if (rc == CFS_RC_ERR) return reply_text(rc, "storage type of the new inode is not specified");
  if (rc == CFS_RC_NO_SPACE) return reply_text(rc, "CreateInode is over quota");
  if (rc != CFS_RC_OK) return reply_none(rc);
  return reply_json(wire::InodeReply{changed_info(inode, c.now)});
}

/// Class of a new inode: what the client says, else blobstore on cold volumes. Hot volumes without
/// a class would need a legacy class configured on the meta node.
uint32_t class_of(const PartitionConfig& config, uint32_t storage_type) {
  if (storage_type != CFS_CLASS_UNSPECIFIED) return storage_type;
  return config.cold ? CFS_CLASS_BLOBSTORE : CFS_CLASS_UNSPECIFIED;
}

void apply_attrs(const wire::SetattrReq& req, wire::InodeInfo& info) {
  if (req.valid & CFS_ATTR_MODE) info.mode = req.mode;
  if (req.valid & CFS_ATTR_UID) info.uid = req.uid;
  if (req.valid & CFS_ATTR_GID) info.gid = req.gid;
  if (req.valid & CFS_ATTR_MTIME) info.mtime = req.mtime;
  if (req.valid & CFS_ATTR_ATIME) info.atime = req.atime;
}

}  // namespace

wire::InodeInfo changed_info(const Inode& inode, int64_t now) {
  wire::InodeInfo info = base_info(inode, now);
  info.quotas.nil = false;
  return info;
}

wire::InodeInfo read_info(const Inode& inode, int64_t now, bool inner) {
  wire::InodeInfo info = base_info(inode, now);
  info.quotas.nil = info.quotas.empty();
  if (!inner) info.atime = now;
  return info;
}

uint8_t check_quotas(const std::set<uint32_t>& full, const std::vector<uint32_t>& quota_ids) {
  for (uint32_t id : quota_ids) {
    if (full.contains(id)) return CFS_RC_NO_SPACE;
  }
  return CFS_RC_OK;
}

uint8_t check_bytes(const PartitionConfig& config, const wire::InodeInfo& info) {
  if (config.full_users.contains(info.uid)) return CFS_RC_NO_SPACE;
  for (const auto& [id, mark] : info.quotas) {
    if (config.full_bytes.contains(static_cast<uint32_t>(id))) return CFS_RC_NO_SPACE;
  }
  return CFS_RC_OK;
}

uint8_t make_inode(MetaCall& c, const NewInode& wanted, Inode* made) {
  // Literally: a user at his limit is answered "not exist". Source: partition_op_inode.go.
  if (c.config.full_users.contains(wanted.uid)) return CFS_RC_NOT_EXIST;
  if (uint8_t rc = check_quotas(c.config.full_files, wanted.quota_ids); rc != CFS_RC_OK) return rc;
  uint32_t storage_class = class_of(c.config, wanted.storage_type);
  if (storage_class == CFS_CLASS_UNSPECIFIED) return CFS_RC_ERR;
  Counters& counters = c.store.counters();
  if (counters.cursor >= c.config.end) return CFS_RC_INODE_FULL;
  wire::InodeInfo& info = made->info;
  info.ino = ++counters.cursor;
  info.mode = wanted.mode;
  info.nlink = made->is_dir() ? 2 : 1;
  info.uid = wanted.uid;
  info.gid = wanted.gid;
  info.gen = 1;
  info.mtime = info.ctime = info.atime = c.now;
  info.target = wanted.target;
  info.storage_class = storage_class;
  for (uint32_t id : wanted.quota_ids) info.quotas[id] = wire::QuotaMark{};
  c.store.put_inode(*made);
  return CFS_RC_OK;
}

void drop_link(PartitionStore& store, Inode& inode, int64_t now) {
  if (inode.is_dir() && inode.info.nlink == 2) {
    inode.info.nlink = 0;
    store.erase_inode(inode.info.ino);
    return;
  }
  if (inode.info.nlink > 0) --inode.info.nlink;
  if (inode.info.nlink == 0 && !inode.is_dir()) {
    inode.info.atime = now;
    store.put_reclaim(inode.info.ino, now);
  }
  store.put_inode(inode);
}

MetaReply do_create_inode(MetaCall& c, const wire::CreateInodeReq& req) {
  return create(c, {req.mode, req.uid, req.gid, req.storage_type, req.target, {}});
}

MetaReply do_quota_create_inode(MetaCall& c, const wire::QuotaCreateInodeReq& req) {
  return create(c, {req.mode, req.uid, req.gid, req.storage_type, req.target, req.quota_ids});
}

MetaReply do_link_inode(MetaCall& c, const wire::LinkInodeReq& req) {
  std::optional<Inode> inode = live_inode(c.store, req.ino);
  // Unlike the other requests a locked inode is "not there" for this one.
  if (!inode || c.store.tx_inode(req.ino)) return reply_none(CFS_RC_NOT_EXIST);
  if (c.store.note_uniq(req.uniq_id, c.now)) {
    ++inode->info.nlink;
    c.store.put_inode(*inode);
  }
  return reply_json(wire::InodeReply{changed_info(*inode, c.now)});
}

MetaReply do_unlink_inode(MetaCall& c, const wire::UnlinkInodeReq& req) {
  if (c.store.tx_inode(req.ino)) return reply_none(CFS_RC_TX_CONFLICT);
  std::optional<Inode> inode = live_inode(c.store, req.ino);
  if (!inode) return reply_none(CFS_RC_NOT_EXIST);
  if (c.store.note_uniq(req.uniq_id, c.now)) drop_link(c.store, *inode, c.now);
  return reply_json(wire::InodeReply{changed_info(*inode, c.now)});
}

MetaReply do_evict_inode(MetaCall& c, const wire::EvictInodeReq& req) {
  if (c.store.tx_inode(req.ino)) return reply_none(CFS_RC_TX_CONFLICT);
  std::optional<Inode> inode = c.store.inode(req.ino);
  if (!inode) return reply_none(CFS_RC_NOT_EXIST);
  bool unused = inode->is_dir() ? inode->info.nlink <= 2 : inode->info.nlink == 0;
  if (!inode->deleted && unused) {
    inode->deleted = true;
    c.store.put_inode(*inode);
    c.store.put_reclaim(req.ino, c.now);
  }
  return reply_none();
}

MetaReply do_inode_get(MetaCall& c, const wire::InodeGetReq& req) {
  std::optional<Inode> inode = live_inode(c.store, req.ino);
  if (!inode) return reply_none(CFS_RC_NOT_EXIST);
  return reply_json(wire::InodeGetReply{read_info(*inode, c.now, req.inner)});
}

MetaReply do_batch_inode_get(MetaCall& c, const wire::BatchInodeGetReq& req) {
  wire::BatchInodeGetReply reply;
  for (uint64_t ino : req.inos) {
    std::optional<Inode> inode = live_inode(c.store, ino);
    if (inode) reply.infos.push_back(read_info(*inode, c.now, req.inner));
  }
  return reply_json(reply);
}

MetaReply do_setattr(MetaCall& c, const wire::SetattrReq& req) {
  std::optional<Inode> inode = live_inode(c.store, req.ino);
  if (!inode) return reply_none();  // Ok for a missing inode, too
  apply_attrs(req, inode->info);
  c.store.put_inode(*inode);
  return reply_none();
}

MetaReply do_get_inode_quota(MetaCall& c, const wire::GetInodeQuotaReq& req) {
  wire::GetInodeQuotaReply reply;
  if (std::optional<Inode> inode = live_inode(c.store, req.ino)) {
    reply.quotas = inode->info.quotas;
  }
  reply.quotas.nil = false;
  return reply_json(reply);
}

MetaReply do_renew_lease(MetaCall& c, const wire::RenewMigrationLeaseReq& req) {
  std::optional<Inode> inode = live_inode(c.store, req.ino);
  if (!inode) return reply_none(CFS_RC_NOT_EXIST);
  inode->info.lease_expire_s = static_cast<uint64_t>(c.now + kMigrationLeaseS);
  c.store.put_inode(*inode);
  return reply_none();
}

MetaReply do_update_inode_meta(MetaCall& c, const wire::UpdateInodeMetaReq& req) {
  std::optional<Inode> inode = live_inode(c.store, req.ino);
  if (!inode) return reply_none(CFS_RC_NOT_EXIST);
  ++inode->info.gen;
  c.store.put_inode(*inode);
  return reply_none();
}

MetaReply do_get_uniq_id(MetaCall& c, const wire::GetUniqIdReq& req) {
  Counters& counters = c.store.counters();
  wire::GetUniqIdReply reply{counters.next_uniq};
  counters.next_uniq += req.num;
  return reply_json(reply);
}

MetaReply do_get_applied_id(MetaCall& c, const wire::GetAppliedIdReq&) {
  std::string id(8, '\0');
  cfs_put64(c.store.counters().applied, id.data());
  return {CFS_RC_OK, MetaReply::kBytes, std::move(id)};
}

}  // namespace cfs::mini
