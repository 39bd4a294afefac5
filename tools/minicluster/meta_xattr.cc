// SPDX-License-Identifier: Apache-2.0
/// Requests on extended attributes. The server checks neither that the inode exists nor any flag.
/// Source: CubeFS v3.5.3, metanode/partition_op_extend.go.
#include "tools/minicluster/meta_ops.h"

namespace cfs::mini {

MetaReply do_set_xattr(MetaCall& c, const wire::SetXattrReq& req) {
  c.store.put_xattr(req.ino, req.key, req.value);
  return reply_none();
}

MetaReply do_batch_set_xattr(MetaCall& c, const wire::BatchSetXattrReq& req) {
  for (const auto& [name, value] : req.attrs) c.store.put_xattr(req.ino, name, value);
  return reply_none();
}

MetaReply do_get_xattr(MetaCall& c, const wire::GetXattrReq& req) {
  std::string value = c.store.xattr(req.ino, req.key).value_or("");
  return reply_json(wire::GetXattrReply{req.vol, req.pid, req.ino, req.key, value});
}

MetaReply do_get_all_xattr(MetaCall& c, const wire::GetAllXattrReq& req) {
  wire::GetAllXattrReply reply{req.vol, req.pid, req.ino, {}};
  reply.attrs.nil = false;
  c.store.scan_xattrs(req.ino, [&](std::string_view name, std::string_view value) {
    reply.attrs.emplace(name, value);
    return true;
  });
  return reply_json(reply);
}

MetaReply do_remove_xattr(MetaCall& c, const wire::RemoveXattrReq& req) {
  c.store.erase_xattr(req.ino, req.key);
  return reply_none();
}

MetaReply do_list_xattr(MetaCall& c, const wire::ListXattrReq& req) {
  wire::ListXattrReply reply{req.vol, req.pid, req.ino, {}};
  reply.names.nil = false;
  c.store.scan_xattrs(req.ino, [&](std::string_view name, std::string_view) {
    reply.names.emplace_back(name);
    return true;
  });
  return reply_json(reply);
}

/// The lease is an attribute "id|end", as on a real meta node. Source: metanode/partition_fsmop_
/// extend.go (fsmLockDir).
MetaReply do_lock_dir(MetaCall& c, const wire::LockDirReq& req) {
  constexpr char kKey[] = "cfs_inner_xattr_dir_lock_key";
  wire::LockDirReply reply{req.lock_id, CFS_RC_OK};
  const std::string held = c.store.xattr(req.ino, kKey).value_or("");
  const size_t bar = held.find('|');
  if (bar != std::string::npos) {
    const uint64_t owner = std::strtoull(held.c_str(), nullptr, 10);
    const bool valid = std::strtoll(held.c_str() + bar + 1, nullptr, 10) > c.now;
    if (valid && owner != req.lock_id) reply = {owner, CFS_RC_EXIST};
  }
  if (reply.status != CFS_RC_OK) return reply_json(reply);
  if (req.lease_s == 0) {
    c.store.erase_xattr(req.ino, kKey);
  } else {
    const int64_t end = c.now + static_cast<int64_t>(req.lease_s);
    c.store.put_xattr(req.ino, kKey, std::to_string(req.lock_id) + "|" + std::to_string(end));
  }
  return reply_json(reply);
}

MetaReply do_batch_get_xattr(MetaCall& c, const wire::BatchGetXattrReq& req) {
  wire::BatchGetXattrReply reply{req.vol, req.pid, {}};
  for (uint64_t ino : req.inos) {
    wire::XattrsOfInode entry{ino, {}};
    entry.attrs.nil = false;
    for (const std::string& key : req.keys) {
      if (auto value = c.store.xattr(ino, key)) entry.attrs.emplace(key, *value);
    }
    if (!entry.attrs.empty()) reply.inodes.push_back(std::move(entry));
  }
  return reply_json(reply);
}

}  // namespace cfs::mini
