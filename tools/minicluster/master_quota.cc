// SPDX-License-Identifier: Apache-2.0
/// Master requests on limits: directory quotas and space of users.
///
/// Purpose   /quota/create, update, delete, get, list and /admin/uidOp with the parameters of a real
///           master. The real cfs-cli sends the directories of a new quota as a JSON body and marks
///           the inodes itself; here path= names one directory and its inodes are marked at once.
/// Failure   Code 2 for wrong parameters, 1 with a sentence for what does not exist.
/// Source    CubeFS v3.5.3, master/api_service.go (CreateQuota ...), master/quota_manager.go.
#include <algorithm>

#include "tools/minicluster/master.h"
#include "tools/minicluster/master_views.h"
#include "tools/minicluster/quota.h"

namespace cfs::mini {
namespace {

using wire::encode_error;
using wire::encode_reply;

std::string refuse(const std::string& why) {
  return encode_error(wire::kMasterInternal, why);
}

wire::QuotaInfo to_wire(const std::string& volume, const DirQuota& quota, const Usage& used) {
  wire::QuotaInfo info;
  info.vol_name = volume;
  info.quota_id = quota.id;
  info.ctime = quota.create_time;
  for (const QuotaDir& dir : quota.dirs) {
    info.paths.push_back({dir.path, dir.root, dir.partition});
  }
  info.limited = {files_limited(quota, used), bytes_limited(quota, used)};
  info.used = {static_cast<int64_t>(used.files), static_cast<int64_t>(used.bytes)};
  info.max_files = quota.max_files;
  info.max_bytes = quota.max_bytes;
  return info;
}

/// maxFiles= and maxBytes=; absent ones keep what they were.
Result<void> read_limits(const MasterRequest& r, DirQuota& quota) {
  for (const auto& [name, field] :
       {std::pair{"maxFiles", &quota.max_files}, std::pair{"maxBytes", &quota.max_bytes}}) {
    if (!r.has(name)) continue;
    Result<int64_t> n = r.number(name, 0);
    if (!n || *n < 0) return make_error(EINVAL, std::string(name) + " is no number");
    *field = static_cast<uint64_t>(*n);
  }
  return {};
}

Result<Volume*> volume_of(Topology& t, const std::string& name) {
  auto it = t.volumes.find(name);
  if (it == t.volumes.end()) return make_error(ENOENT, "vol not exists");
  if (!it->second.enable_quota) return make_error(EINVAL, "vol " + name + " disables quotas");
  return &it->second;
}

DirQuota* quota_of(Volume& volume, uint32_t id) {
  auto it = std::find_if(volume.quotas.begin(), volume.quotas.end(),
                         [id](const DirQuota& q) { return q.id == id; });
  return it == volume.quotas.end() ? nullptr : &*it;
}

Result<uint32_t> add_quota(Topology& t, Txn& txn, const MasterRequest& r) {
  Result<Volume*> volume = volume_of(t, r.get("name"));
  if (!volume) return volume.error();
  Result<QuotaDir> dir = find_dir(txn, t, (*volume)->name, r.get("path"));
  if (!dir) return dir.error();
  DirQuota quota;
  for (const DirQuota& other : (*volume)->quotas) quota.id = std::max(quota.id, other.id);
  ++quota.id;
  quota.create_time = std::time(nullptr);
  quota.dirs.push_back(*dir);
  Result<void> limits = read_limits(r, quota);
  if (!limits) return limits.error();
  mark_tree(txn, t, (*volume)->name, *dir, quota.id, true);
  (*volume)->quotas.push_back(quota);
  return quota.id;
}

}  // namespace

std::string MasterApi::quota_create(const MasterRequest& r) {
  if (r.get("path").empty()) return encode_error(wire::kMasterParam, "parameter path not found");
  uint32_t id = 0;
  Result<void> done = cluster_.topology().update([&](Topology& t, Txn& txn) -> Result<void> {
    Result<uint32_t> added = add_quota(t, txn, r);
    if (!added) return added.error();
    id = *added;
    return {};
  });
  return done ? encode_reply(std::to_string(id)) : refuse(done.error().what);
}

std::string MasterApi::quota_update(const MasterRequest& r) {
  Result<int64_t> id = r.number("quotaId", 0);
  if (!id) return encode_error(wire::kMasterParam, id.error().what);
  Result<void> done = cluster_.topology().update([&](Topology& t, Txn&) -> Result<void> {
    Result<Volume*> volume = volume_of(t, r.get("name"));
    if (!volume) return volume.error();
    DirQuota* quota = quota_of(**volume, static_cast<uint32_t>(*id));
    if (quota == nullptr) return make_error(ENOENT, "quotaId is not exist");
    return read_limits(r, *quota);
  });
  return done ? encode_reply(std::string("update quota successfully")) : refuse(done.error().what);
}

std::string MasterApi::quota_delete(const MasterRequest& r) {
  Result<int64_t> id = r.number("quotaId", 0);
  if (!id) return encode_error(wire::kMasterParam, id.error().what);
  Result<void> done = cluster_.topology().update([&](Topology& t, Txn& txn) -> Result<void> {
    Result<Volume*> volume = volume_of(t, r.get("name"));
    if (!volume) return volume.error();
    DirQuota* quota = quota_of(**volume, static_cast<uint32_t>(*id));
    if (quota == nullptr) return make_error(ENOENT, "quotaId is not exist");
    for (const QuotaDir& dir : quota->dirs) {
      mark_tree(txn, t, (*volume)->name, dir, quota->id, false);
    }
    (*volume)->quotas.erase((*volume)->quotas.begin() + (quota - (*volume)->quotas.data()));
    return {};
  });
  return done ? encode_reply(std::string("delete quota successfully")) : refuse(done.error().what);
}

std::string MasterApi::quota_list(const MasterRequest& r) {
  TopologyPtr topology = cluster_.topology().get();
  const Volume* volume = topology->volume(r.get("name"));
  if (volume == nullptr) return encode_error(wire::kMasterVolNotExists);
  wire::QuotaList reply;
  reply.quotas.nil = false;
  for (const DirQuota& quota : volume->quotas) {
    const Usage used = cluster_.meta().usage_of(volume->name, UsageKind::kQuota, quota.id);
    reply.quotas.push_back(to_wire(volume->name, quota, used));
  }
  return encode_reply(reply);
}

/// op=1 sets a limit (uid=, capacity= bytes), 2 removes it; 0 and 3 say which users are limited.
std::string MasterApi::uid_op(const MasterRequest& r) {
  constexpr int64_t kAdd = 1, kDelete = 2;
  Result<int64_t> op = r.number("op", 0), uid = r.number("uid", -1),
                  size = r.number("capacity", -1);
  if (!op || !uid || !size) return encode_error(wire::kMasterParam, "a parameter is no number");
  const bool change = *op == kAdd || *op == kDelete;
  if (change && (*uid < 0 || (*op == kAdd && *size < 0))) {
    return encode_error(wire::kMasterParam, "uid= and capacity= are needed");
  }
  const auto set = [&](Volume& v) {
    if (*op == kAdd) v.user_limits[static_cast<uint32_t>(*uid)] = static_cast<uint64_t>(*size);
    if (*op == kDelete) v.user_limits.erase(static_cast<uint32_t>(*uid));
  };
  if (!cluster_.change_volume(r.get("name"), set)) return encode_error(wire::kMasterVolNotExists);
  return encode_reply(std::string("done"));
}

}  // namespace cfs::mini
