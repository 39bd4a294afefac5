// SPDX-License-Identifier: Apache-2.0
/// Master requests of clients. Source: CubeFS v3.5.3, master/api_service.go, operate_util.go.
#include <openssl/evp.h>

#include <algorithm>

#include "tools/minicluster/master.h"
#include "tools/minicluster/master_views.h"

namespace cfs::mini {
namespace {

using wire::encode_error;
using wire::encode_reply;

/// Low frequency client, the only kind that cold volumes admit.
constexpr char kLowFrequencyClient[] = "1";

std::string md5_hex(const std::string& text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_md5(), nullptr);
  std::string hex;
  for (unsigned i = 0; i < size; ++i) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[digest[i] >> 4];
    hex += kDigits[digest[i] & 15];
  }
  return hex;
}

std::string lower(std::string s) {
  std::transform(s.begin(), s.end(), s.begin(), [](unsigned char c) { return std::tolower(c); });
  return s;
}

/// Runs `make(volume)` for the volume named by `name`, or refuses.
template <class Make>
std::string with_volume(Cluster& cluster, const MasterRequest& r, Make make) {
  const std::string name = r.get("name");
  if (!r.has("name")) return encode_error(wire::kMasterParam, "parameter name not found");
  if (!valid_volume_name(name)) {
    return encode_error(wire::kMasterParam, "name can only be number and letters");
  }
  TopologyPtr topology = cluster.topology().get();
  const Volume* volume = topology->volume(name);
  if (volume == nullptr) return encode_error(wire::kMasterVolNotExists);
  return make(*volume);
}

}  // namespace

std::string refuse_owner(const MasterRequest& r, const Volume& volume) {
  if (!r.has("authKey")) return encode_error(wire::kMasterParam, "parameter authKey not found");
  if (lower(r.get("authKey")) == md5_hex(volume.owner)) return {};
  return encode_error(wire::kMasterAuthKeyMismatch);
}

std::string MasterApi::get_ip(const MasterRequest& r) {
  return encode_reply(cluster_info(cluster_, r.client_ip));
}

std::string MasterApi::get_vol(const MasterRequest& r) {
  return with_volume(cluster_, r,
                     [&](const Volume& v) { return encode_reply(simple_vol_view(cluster_, v)); });
}

std::string MasterApi::client_vol(const MasterRequest& r) {
  return with_volume(cluster_, r, [&](const Volume& v) {
    auto skip = r.headers.find("skip-owner-validation");
    bool check = skip == r.headers.end() || skip->second != "true";
    std::string refused = check ? refuse_owner(r, v) : std::string();
    return refused.empty() ? encode_reply(vol_view(cluster_, v)) : refused;
  });
}

std::string MasterApi::vol_stat(const MasterRequest& r) {
  return with_volume(cluster_, r, [&](const Volume& v) {
    if (v.cold() && r.get("version") != kLowFrequencyClient) {
      return encode_error(wire::kMasterParam, "ec-vol is supported by LF client only");
    }
    return encode_reply(vol_stat_info(cluster_, v));
  });
}

std::string MasterApi::client_partitions(const MasterRequest& r) {
  return with_volume(cluster_, r,
                     [&](const Volume& v) { return encode_reply(partitions_view(cluster_, v)); });
}

std::string MasterApi::client_meta_partitions(const MasterRequest& r) {
  return with_volume(cluster_, r,
                     [&](const Volume& v) { return encode_reply(meta_views(cluster_, v.name)); });
}

std::string MasterApi::get_data_partition(const MasterRequest& r) {
  Result<int64_t> id = r.number("id", 0);
  if (!id) return encode_error(wire::kMasterParam, id.error().what);
  TopologyPtr topology = cluster_.topology().get();
  auto it = topology->data.find(static_cast<uint64_t>(*id));
  if (it == topology->data.end()) return encode_error(wire::kMasterDataPartitionNotExists);
  return data_partition_document(cluster_, it->second);
}

std::string MasterApi::get_cluster(const MasterRequest&) {
  return cluster_document(cluster_);
}

std::string MasterApi::qos_upload(const MasterRequest& r) {
  return with_volume(cluster_, r, [&](const Volume&) {
    wire::LimitRsp reply;
    reply.id = next_qos_id_++;
    reply.req_period_s = 1;
    reply.hit_trigger_cnt = 1;
    for (uint64_t factor = 1; factor <= 4; ++factor) reply.factors[factor] = {};
    reply.magnify.nil = false;
    return encode_reply(reply);
  });
}

std::string MasterApi::acl_op(const MasterRequest& r) {
  return with_volume(cluster_, r, [](const Volume&) {
    wire::AclRsp reply;
    reply.ok = true;
    return encode_reply(reply);
  });
}

std::string MasterApi::version_list(const MasterRequest& r) {
  return with_volume(cluster_, r, [](const Volume&) {
    wire::VolVersionList reply;
    reply.versions.push_back({0, 0, 1});
    return encode_reply(reply);
  });
}

std::string MasterApi::user_ak_info(const MasterRequest&) {
  constexpr int32_t kAccessKeyNotExists = 40;
  return encode_error(kAccessKeyNotExists);
}

std::string MasterApi::push_addr(const MasterRequest&) {
  return encode_reply(std::string());
}

std::string MasterApi::flash_groups(const MasterRequest&) {
  wire::FlashGroupView reply;
  reply.enable = true;
  return encode_reply(reply);
}

std::string MasterApi::vol_list(const MasterRequest& r) {
  wire::List<wire::VolInfo> list;
  list.nil = false;
  TopologyPtr topology = cluster_.topology().get();
  const std::string keywords = r.get("keywords");
  for (const auto& [name, volume] : topology->volumes) {
    if (name.find(keywords) != std::string::npos) list.push_back(vol_info(cluster_, volume));
  }
  return encode_reply(list);
}

}  // namespace cfs::mini
