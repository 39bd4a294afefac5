// SPDX-License-Identifier: Apache-2.0
/// Master requests of administrators: volumes made, changed, deleted.
/// Source: CubeFS v3.5.3, master/api_service.go, api_args_parse.go.
#include "tools/minicluster/master.h"
#include "tools/minicluster/master_views.h"

namespace cfs::mini {
namespace {

using wire::encode_error;
using wire::encode_reply;

constexpr int32_t kCodeDuplicateVol = 14;
constexpr int64_t kMaxPartitions = 1000;

std::string bad_parameter(const std::string& what) {
  return encode_error(wire::kMasterParam, what);
}

/// Reads numeric parameters into fields; remembers the first that is no number or out of range.
class Numbers {
 public:
  explicit Numbers(const MasterRequest& r) : r_(r) {}

  template <class T>
  Numbers& read(const std::string& name, T* field, int64_t min, int64_t max) {
    if (!r_.has(name)) return *this;
    Result<int64_t> n = r_.number(name, 0);
    if (!n || *n < min || *n > max) {
      if (error_.empty()) error_ = "parameter " + name + " is invalid";
    } else {
      *field = static_cast<T>(*n);
    }
    return *this;
  }
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  const MasterRequest& r_;
  std::string error_;
};

/// Settings that may be given at creation and changed later. Returns what is wrong, or nothing.
std::string read_settings(const MasterRequest& r, Volume& v) {
  constexpr int64_t kMany = int64_t{1} << 40;
  v.follower_read = r.flag("followerRead", v.follower_read);
  v.meta_follower_read = r.flag("metaFollowerRead", v.meta_follower_read);
  v.maximally_read = r.flag("maximallyRead", v.maximally_read);
  v.enable_quota = r.flag("enableQuota", v.enable_quota);
  v.enable_posix_acl = r.flag("enablePosixAcl", v.enable_posix_acl);
  v.refuse_proto0 = r.flag("forbidWriteOpOfProtoVersion0", v.refuse_proto0);
  v.description = r.get("description", v.description);
  Numbers numbers(r);
  numbers.read("capacity", &v.capacity_gib, 1, kMany)
      .read("deleteLockTime", &v.delete_lock_h, 0, kMany)
      .read("trashInterval", &v.trash_interval_min, 0, kMany)
      .read("leaderRetryTimeout", &v.leader_retry_s, 0, kMany)
      .read("txTimeout", &v.tx_timeout_min, 1, 60)
      .read("txConflictRetryNum", &v.tx_retry_num, 1, 100)
      .read("txConflictRetryInterval", &v.tx_retry_ms, 10, 1000);
  return numbers.error();
}

/// A new mask replaces "rename" at creation; an update with txForceReset replaces, else it adds.
std::string read_tx_mask(const MasterRequest& r, Volume& v) {
  if (!r.has("enableTxMask")) return {};
  const std::string text = r.get("enableTxMask");
  Result<uint8_t> mask = wire::parse_tx_mask(text);
  if (!mask) return "parameter enableTxMask is invalid";
  v.tx_mask = text;
  return {};
}

std::string read_new_volume(const MasterRequest& r, Volume& v) {
  v.name = r.get("name");
  v.owner = r.get("owner");
  if (!valid_volume_name(v.name)) return "name can only be number and letters";
  if (v.owner.empty()) return "parameter owner not found";
  Numbers numbers(r);
  numbers.read("volType", &v.vol_type, 0, 1)
      .read("volStorageClass", &v.storage_class, CFS_CLASS_SSD, CFS_CLASS_BLOBSTORE)
      .read("replicaNum", &v.dp_replicas, 1, 3)
      .read("dpReplicaNum", &v.dp_replicas, 1, 3);
  if (!numbers.error().empty()) return numbers.error();
  if (v.cold()) {
    v.vol_type = 1;
    v.storage_class = CFS_CLASS_BLOBSTORE;
  }
  std::string wrong = read_settings(r, v);
  if (wrong.empty()) wrong = read_tx_mask(r, v);
  // The request cannot say "off": the real master takes it as "not given".
  if (v.tx_mask == "off") v.tx_mask = "rename";
  return wrong;
}

std::string created_text(const std::string& name, int64_t data_partitions) {
  return "create vol[" + name + "] successfully, has allocate [" + std::to_string(data_partitions) +
         "] data partitions";
}

}  // namespace

std::string MasterApi::create_vol(const MasterRequest& r) {
  Volume wanted;
  std::string wrong = read_new_volume(r, wanted);
  int64_t meta_count = kMetaPartitionsPerVolume, data_count = kDataPartitionsPerVolume;
  Numbers numbers(r);
  numbers.read("mpCount", &meta_count, 1, kMaxPartitions)
      .read("dpCount", &data_count, 1, kMaxPartitions);
  if (wrong.empty()) wrong = numbers.error();
  if (!wrong.empty()) return bad_parameter(wrong);
  Result<void> made = cluster_.create_volume(wanted, static_cast<size_t>(meta_count),
                                             static_cast<size_t>(data_count));
  if (made) return encode_reply(created_text(wanted.name, wanted.cold() ? 0 : data_count));
  if (made.error().code == EEXIST) return encode_error(kCodeDuplicateVol);
  return encode_error(wire::kMasterInternal, made.error().text());
}

std::string MasterApi::update_vol(const MasterRequest& r) {
  const std::string name = r.get("name");
  TopologyPtr topology = cluster_.topology().get();
  const Volume* found = topology->volume(name);
  if (found == nullptr) return encode_error(wire::kMasterVolNotExists);
  if (std::string refused = refuse_owner(r, *found); !refused.empty()) return refused;
  Volume changed = *found;
  std::string wrong = read_settings(r, changed);
  if (wrong.empty()) wrong = read_tx_mask(r, changed);
  if (!wrong.empty()) return bad_parameter(wrong);
  if (r.has("enableTxMask") && !r.flag("txForceReset") && changed.tx_mask == "off") {
    changed.tx_mask = found->tx_mask;
  }
  Result<void> done = cluster_.change_volume(name, [&](Volume& v) { v = changed; });
  if (!done) return encode_error(wire::kMasterInternal, done.error().text());
  return encode_reply("update vol[" + name + "] successfully");
}

std::string MasterApi::forbid_vol(const MasterRequest& r) {
  const std::string name = r.get("name");
  const bool forbidden = r.flag("forbidden");
  auto set = [&](Volume& v) { v.forbidden = forbidden; };
  if (!cluster_.change_volume(name, set)) return encode_error(wire::kMasterVolNotExists);
  return encode_reply("set volume forbidden to (" + std::string(forbidden ? "true" : "false") +
                      ") success");
}

std::string MasterApi::delete_vol(const MasterRequest& r) {
  const std::string name = r.get("name");
  TopologyPtr topology = cluster_.topology().get();
  const Volume* found = topology->volume(name);
  if (found == nullptr) return encode_error(wire::kMasterVolNotExists);
  if (std::string refused = refuse_owner(r, *found); !refused.empty()) return refused;
  // As in a real cluster the volume is only marked; its data goes much later, here never.
  auto mark = [](Volume& v) { v.status = wire::kVolMarkedDeleted; };
  Result<void> done = cluster_.change_volume(name, mark);
  if (!done) return encode_error(wire::kMasterInternal, done.error().text());
  return encode_reply("delete vol[" + name + "] successfully,from[" + r.client_ip + "]");
}

}  // namespace cfs::mini
