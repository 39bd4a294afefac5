// SPDX-License-Identifier: Apache-2.0
/// Requests on extent keys.
///
/// Purpose   The rules of the real server, literally, with their two traps for clients: a refused
///           key is itself queued for deletion, and a key that starts inside another one is
///           inserted beside it.
/// Source    CubeFS v3.5.3, metanode/sorted_extents.go (Append, AppendWithCheck, Truncate),
///           partition_fsmop_inode.go (fsmAppendExtentsWithCheck, fsmAppendExtents,
///           fsmExtentsTruncate).
#include <algorithm>

#include "tools/minicluster/meta_ops.h"

namespace cfs::mini {
namespace {

using wire::ExtentKey;

uint64_t end_of(const ExtentKey& key) {
  return key.file_offset + key.size;
}

bool same_place(const ExtentKey& a, const ExtentKey& b) {
  return a.partition_id == b.partition_id && a.extent_id == b.extent_id &&
         a.extent_offset == b.extent_offset;
}

bool same_extent(const ExtentKey& a, const ExtentKey& b) {
  return a.partition_id == b.partition_id && a.extent_id == b.extent_id;
}

bool same_key(const ExtentKey& a, const ExtentKey& b) {
  return same_place(a, b) && a.file_offset == b.file_offset && a.size == b.size;
}

/// Where a key goes in a sorted list and which keys it covers.
struct Slot {
  size_t first = 0;  ///< index of the first covered key, or of the insertion point
  size_t count = 0;  ///< covered keys, all consecutive
};

/// Covered are keys that lie completely inside the new one. A key that only overlaps is not.
Slot find_slot(const ExtentList& list, const ExtentKey& key) {
  Slot slot;
  for (size_t i = 0; i < list.size(); ++i) {
    if (key.file_offset > list[i].file_offset) {
      slot.first = i + 1;
    } else if (end_of(key) >= end_of(list[i])) {
      ++slot.count;
    } else {
      break;
    }
  }
  return slot;
}

void replace(ExtentList& list, const Slot& slot, const ExtentKey& key) {
  auto first = list.begin() + static_cast<ptrdiff_t>(slot.first);
  first = list.erase(first, first + static_cast<ptrdiff_t>(slot.count));
  list.insert(first, key);
}

/// Covered keys on another place than the new one: they lose their bytes.
ExtentList displaced(const ExtentList& list, const Slot& slot, const ExtentKey& key) {
  ExtentList out;
  for (size_t i = slot.first; i < slot.first + slot.count; ++i) {
    if (!same_place(list[i], key)) out.push_back(list[i]);
  }
  return out;
}

/// The client has to name exactly the keys that its new key displaces.
bool discards_match(const ExtentList& displaced_keys, const ExtentList& discards) {
  return std::equal(displaced_keys.begin(), displaced_keys.end(), discards.begin(), discards.end(),
                    same_place);
}

/// Adds `key`, queues what it displaces. False, and nothing changed, on a conflict.
bool append_checked(ExtentList& list, const ExtentKey& key, const ExtentList& discards,
                    ExtentList* freed) {
  if (list.empty() || (end_of(list.back()) <= key.file_offset && same_extent(list.back(), key))) {
    list.push_back(key);
    return true;
  }
  if (list.front().file_offset >= end_of(key)) {
    list.insert(list.begin(), key);
    return true;
  }
  Slot slot = find_slot(list, key);
  if (slot.count == 1 && same_key(list[slot.first], key)) return true;  // a repeated request
  *freed = displaced(list, slot, key);
  if (!discards_match(*freed, discards)) return false;
  replace(list, slot, key);
  return true;
}

void append_unchecked(ExtentList& list, const ExtentKey& key, ExtentList* freed) {
  Slot slot = find_slot(list, key);
  if (slot.count == 1 && same_key(list[slot.first], key)) return;
  ExtentList lost = displaced(list, slot, key);
  freed->insert(freed->end(), lost.begin(), lost.end());
  replace(list, slot, key);
}

/// Size, generation and mtime after the list has changed.
void store_list(MetaCall& c, Inode& inode, const ExtentList& list) {
  if (!list.empty()) inode.info.size = std::max(inode.info.size, end_of(list.back()));
  ++inode.info.gen;
  inode.info.mtime = c.now;
  c.store.put_extents(inode.info.ino, list);
  c.store.put_inode(inode);
}

bool class_matches(const Inode& inode, uint32_t storage_class) {
  if (storage_class == CFS_CLASS_UNSPECIFIED) storage_class = inode.info.storage_class;
  return storage_class != CFS_CLASS_BLOBSTORE && storage_class == inode.info.storage_class;
}

MetaReply class_mismatch(const Inode& inode, uint32_t storage_class) {
  return reply_text(CFS_RC_STORAGE_CLASS, "OpMismatchStorageClass: inode has " +
                                              std::to_string(inode.info.storage_class) +
                                              ", request has " + std::to_string(storage_class));
}

/// Keys at or beyond `size` are freed, the one that crosses it is cut.
ExtentList cut(ExtentList& list, uint64_t size) {
  auto beyond = std::find_if(list.begin(), list.end(),
                             [&](const ExtentKey& k) { return k.file_offset >= size; });
  ExtentList freed(beyond, list.end());
  list.erase(beyond, list.end());
  if (!list.empty() && end_of(list.back()) > size) {
    list.back().size = static_cast<uint32_t>(size - list.back().file_offset);
  }
  return freed;
}

}  // namespace

MetaReply do_extents_list(MetaCall& c, const wire::ExtentsListReq& req) {
  std::optional<Inode> inode = c.store.inode(req.ino);  // delete-marked ones answer, too
  if (!inode) return reply_none(CFS_RC_NOT_EXIST);
  wire::ExtentsListReply reply;
  reply.gen = inode->info.gen;
  reply.size = inode->info.size;
  reply.lease_expire_s = inode->info.lease_expire_s;
  reply.extents = wire::List<ExtentKey>(c.store.extents(req.ino));
  return reply_json(reply);
}

MetaReply do_extent_add_check(MetaCall& c, const wire::ExtentAddCheckReq& req) {
  if (req.is_cache) return reply_text(CFS_RC_ARG_MISMATCH, "cache extents are not supported");
  std::optional<Inode> inode = c.store.inode(req.ino);
  if (!inode || inode->deleted) return reply_none(CFS_RC_NOT_EXIST);
  if (!class_matches(*inode, req.storage_class)) return class_mismatch(*inode, req.storage_class);
  if (uint8_t rc = check_bytes(c.config, inode->info); rc != CFS_RC_OK) {
    return reply_text(rc, "CheckQuota is over quota");
  }
  ExtentList list = c.store.extents(req.ino), freed;
  if (!append_checked(list, req.extent, req.discard, &freed)) {
    c.store.free_extents({req.extent});
    return reply_none(CFS_RC_CONFLICT_EXTENTS);
  }
  c.store.free_extents(freed);
  store_list(c, *inode, list);
  return reply_none();
}

MetaReply do_batch_extents_add(MetaCall& c, const wire::BatchExtentsAddReq& req) {
  if (c.config.cold) return reply_text(CFS_RC_ERR, "only support hot volume");
  std::optional<Inode> inode = c.store.inode(req.ino);
  if (!inode || inode->deleted) return reply_none(CFS_RC_NOT_EXIST);
  if (!class_matches(*inode, req.storage_class)) return class_mismatch(*inode, req.storage_class);
  if (uint8_t rc = check_bytes(c.config, inode->info); rc != CFS_RC_OK) {
    return reply_text(rc, "CheckQuota is over quota");
  }
  ExtentList list = c.store.extents(req.ino), freed;
  for (const ExtentKey& key : req.extents) append_unchecked(list, key, &freed);
  c.store.free_extents(freed);
  store_list(c, *inode, list);
  return reply_none();
}

MetaReply do_truncate(MetaCall& c, const wire::TruncateReq& req) {
  if (c.proto_version == 0 && c.config.refuse_proto0) {
    return reply_text(CFS_RC_PROTO_VERSION, "write operation of protocol version 0 is forbidden");
  }
  if (c.config.cold) return reply_text(CFS_RC_ERR, "truncate is not supported on a cold volume");
  std::optional<Inode> inode = c.store.inode(req.ino);
  if (!inode) return reply_text(CFS_RC_ERR, "inode not exist: " + std::to_string(req.ino));
  if (inode->info.storage_class == CFS_CLASS_BLOBSTORE) {
    return reply_text(CFS_RC_ERR, "storage class of the inode is not replica");
  }
  if (inode->deleted) return reply_none(CFS_RC_NOT_EXIST);
  if (inode->is_dir()) return reply_none(CFS_RC_ARG_MISMATCH);
  const bool grows = req.size > inode->info.size;
  if (uint8_t rc = check_bytes(c.config, inode->info); grows && rc != CFS_RC_OK) {
    return reply_text(rc, "truncate is over quota");
  }
  ExtentList list = c.store.extents(req.ino);
  c.store.free_extents(cut(list, req.size));
  inode->info.size = req.size;
  ++inode->info.gen;
  inode->info.mtime = c.now;
  c.store.put_extents(req.ino, list);
  c.store.put_inode(*inode);
  return reply_none();
}

}  // namespace cfs::mini
