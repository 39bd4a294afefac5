// SPDX-License-Identifier: Apache-2.0
/// Recorded clients against the mini cluster: what a real CubeFS answered, it answers.
///
/// Breaks if    a reply differs from the recorded one in result code, header length, JSON keys,
///              their order, types or null, or in a value that does not depend on time.
/// How          Requests of a folder are sent in recorded order with partition ids, inode numbers
///              and transaction ids translated. Objects that the recording uses but does not create
///              are made first; their sizes and link counts are not compared.
#include <algorithm>
#include <fstream>
#include <set>

#include "tests/unit/minicluster_test.h"

namespace cfs::mini::test {
namespace {

using nlohmann::ordered_json;
namespace fs = std::filesystem;

struct Exchange {
  std::string where;
  ordered_json request;  ///< "packet" of the recording
  ordered_json reply;
};

/// Meta exchanges of one folder (or of its files whose names start with `prefix`), in order of
/// requests.
std::vector<Exchange> load(const std::string& folder, const std::string& prefix) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(std::string(CFS_GOLDEN_DIR) + "/" + folder)) {
    const std::string name = entry.path().filename();
    if (name.ends_with(".jsonl") && name.starts_with(prefix)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<Exchange> all;
  for (const fs::path& file : files) {
    std::ifstream in(file);
    std::string line;
    std::map<std::string, size_t> open;  // request id and opcode -> index in `all`
    while (std::getline(in, line)) {
      ordered_json message = ordered_json::parse(line);
      if (message.value("peer", "") != "meta" || !message.contains("packet")) continue;
      ordered_json& packet = message["packet"];
      std::string key = packet["req_id"].dump() + packet["opcode"].get<std::string>();
      if (message["dir"] == "req") {
        open[key] = all.size();
        all.push_back({folder + "/" + file.filename().string(), packet, {}});
      } else if (open.contains(key)) {
        all[open[key]].reply = packet;
      }
    }
  }
  return all;
}

/// Ranges of the recorded volume, from /client/vol in the folder.
std::map<uint64_t, uint64_t> recorded_ranges(const std::string& folder) {
  std::map<uint64_t, uint64_t> by_start;  // start -> id
  for (const auto& entry : fs::directory_iterator(std::string(CFS_GOLDEN_DIR) + "/" + folder)) {
    std::ifstream in(entry.path());
    std::string line;
    while (std::getline(in, line)) {
      if (line.find("\\\"MetaPartitions\\\"") == std::string::npos) continue;
      ordered_json body = ordered_json::parse(
          ordered_json::parse(line)["http"]["body"].get<std::string>(), nullptr, false);
      if (body.is_discarded()) continue;
      for (const auto& mp : body["data"]["MetaPartitions"])
        by_start[mp["Start"]] = mp["PartitionID"];
    }
  }
  return by_start;
}

uint8_t hex_byte(const ordered_json& text) {
  return static_cast<uint8_t>(std::stoul(text.get<std::string>(), nullptr, 16));
}

class Replayer {
 public:
  /// `data_left_out`: the folder lacks most operations that change a file's data.
  Replayer(TestCluster& cluster, bool data_left_out)
      : ours_(cluster.partitions()), data_left_out_(data_left_out) {
    inos_[CFS_ROOT_INO] = CFS_ROOT_INO;
    loose_.insert(CFS_ROOT_INO);
    for (const MetaPartition& mp : ours_) {
      conns_[mp.id] = std::make_unique<MetaConn>(cluster.leader(mp));
    }
  }

  void use_ranges(const std::map<uint64_t, uint64_t>& by_start) {
    size_t i = 0;
    for (const auto& [start, id] : by_start) pids_[id] = ours_[i++].id;
  }

  void play(const Exchange& x) {
    SCOPED_TRACE(x.where + " " + x.request["op"].get<std::string>() + " " +
                 x.request.value("data", ""));
    if (x.reply.is_null()) return;
    learn_partition(x);
    prepare(x);
    wire::Packet request = to_packet(x);
    MetaConn& conn =
        *conns_.at(pids_.contains(x.request["partition_id"]) ? pids_[x.request["partition_id"]]
                                                             : ours_.front().id);
    std::optional<wire::Packet> reply = conn.exchange(std::move(request));
    ASSERT_TRUE(reply.has_value());
    compare(x, *reply);
    ++played_;
  }
  [[nodiscard]] size_t played() const { return played_; }

 private:
  /// Folders without a /client/vol reply used partition 1 and its root.
  void learn_partition(const Exchange& x) {
    if (pids_.empty() && x.request["partition_id"] == 1) pids_[1] = ours_.front().id;
  }

  static ordered_json body_of(const ordered_json& packet) {
    if (packet.value("data_kind", "") != "json") return {};
    return ordered_json::parse(packet["data"].get<std::string>(), nullptr, false);
  }

  wire::Packet to_packet(const Exchange& x) {
    wire::Packet p;
    const ordered_json& r = x.request;
    p.h.extent_type = r["extent_type"];
    p.h.opcode = hex_byte(r["opcode"]);
    p.h.proto_version = r.value("proto_version", 0);
    const uint64_t pid = r["partition_id"];
    p.h.partition_id = pids_.contains(pid) ? pids_[pid] : pid;
    p.arg = r["arg"];
    ordered_json body = body_of(r);
    p.data = body.is_null() ? r.value("data", "") : translate(body).dump();
    return p;
  }

  uint64_t ino(uint64_t recorded) const {
    auto it = inos_.find(recorded);
    return it == inos_.end() ? recorded : it->second;
  }

  /// Recorded JSON in our numbers.
  ordered_json translate(const ordered_json& in, const std::string& key = {}) {
    if (in.is_object()) return translate_object(in, key);
    if (in.is_array()) {
      ordered_json out = ordered_json::array();
      for (const auto& item : in) out.push_back(translate(item, key));
      return out;
    }
    static const std::set<std::string> kPids = {"pid", "MpID", "TmID", "tmid"};
    static const std::set<std::string> kInos = {"ino", "pino",     "inos", "oldIno",
                                                "Ino", "ParentId", "Inode"};
    if (in.is_number() && kPids.contains(key) && pids_.contains(in)) return pids_[in];
    if (in.is_number() && kInos.contains(key)) return ino(in);
    if (in.is_string() && (key == "TxID" || key == "tx") && txs_.contains(in)) return txs_[in];
    return in;
  }

  ordered_json translate_object(const ordered_json& in, const std::string& key) {
    ordered_json out = ordered_json::object();
    for (const auto& [name, value] : in.items()) {
      std::string new_name = name;
      if (key == "TxInodeInfos") new_name = std::to_string(ino(std::stoull(name)));
      if (key == "TxDentryInfos") {
        const size_t bar = name.find('_');
        new_name = std::to_string(ino(std::stoull(name))) + name.substr(bar);
      }
      out[new_name] = translate(value, name);
    }
    return out;
  }

  uint64_t pid_of(uint64_t ino) const {
    for (const MetaPartition& mp : ours_) {
      if (mp.start <= ino && ino <= mp.end) return mp.id;
    }
    return 0;
  }

  /// Makes sure that a recorded inode exists here.
  void need_inode(uint64_t recorded, uint32_t mode) {
    if (recorded == 0 || inos_.contains(recorded)) return;
    const uint64_t pid = pid_of(recorded);
    inos_[recorded] = conns_[pid]->ok(new_file(pid, mode), pid).info.ino;
    loose_.insert(recorded);
  }

  void need_name(uint64_t parent, const std::string& name, uint64_t recorded, uint32_t mode) {
    need_inode(recorded, mode);
    const uint64_t pid = pid_of(ino(parent));
    conns_[pid]->call(new_name(pid, ino(parent), name, ino(recorded), mode), pid);
  }

  /// Creates what the recorded reply shows and nobody has created.
  void prepare(const Exchange& x) {
    if (x.reply["result"] != "0xf0") return prepare_refusal(x);
    const ordered_json request = body_of(x.request), reply = body_of(x.reply);
    switch (hex_byte(x.request["opcode"])) {
      case CFS_MOP_LOOKUP:
        return need_name(request["pino"], request["name"], reply["ino"], reply["mode"]);
      case CFS_MOP_READ_DIR:
      case CFS_MOP_READ_DIR_LIMIT:
        for (const auto& child : reply["children"]) {
          need_name(request["pino"], child["name"], child["ino"], child["type"]);
        }
        return;
      case CFS_MOP_INODE_GET:
        need_inode(request["ino"], reply["info"]["mode"]);
        return match_links(request["ino"], reply["info"]);
      case CFS_MOP_BATCH_INODE_GET:
        for (const auto& info : reply["infos"]) need_inode(info["ino"], info["mode"]);
        return;
      case CFS_MOP_EXTENTS_LIST:
        need_inode(request["ino"], 0644);
        return match_extents(request["ino"], reply["eks"]);
      case CFS_MOP_GET_INODE_QUOTA:
        return need_inode(request["ino"], 0644);
      default:
        return;
    }
  }

  void prepare_refusal(const Exchange& x) {
    if (x.reply["result"] != "0xfe") return;  // a directory that is not empty
    need_inode(body_of(x.request)["ino"], CFS_GOMODE_DIR | 0755);
  }

  /// A directory that the recording did not fill gets entries until its link count fits.
  void match_links(uint64_t recorded, const ordered_json& info) {
    if (!loose_.contains(recorded) || (info["mode"].get<uint32_t>() & CFS_GOMODE_DIR) == 0) return;
    if (recorded == CFS_ROOT_INO) return;
    const uint64_t pid = pid_of(ino(recorded));
    auto links = [&] { return conns_[pid]->ok(get_inode(pid, ino(recorded)), pid).info.nlink; };
    while (links() < info["nlink"].get<uint32_t>()) {
      const uint64_t file = conns_[pid]->ok(new_file(pid), pid).info.ino;
      conns_[pid]->call(new_name(pid, ino(recorded), "zz" + std::to_string(file), file), pid);
    }
  }

  /// A file that the recording did not write gets the extents it shows.
  void match_extents(uint64_t recorded, const ordered_json& extents) {
    if (!loose_.contains(recorded) || extents.is_null()) return;
    wire::BatchExtentsAddReq req;
    req.pid = pid_of(ino(recorded));
    req.ino = ino(recorded);
    for (const ordered_json& key : extents) {
      req.extents.push_back(wire::decode<wire::ExtentKey>(key.dump()).value());
    }
    conns_[req.pid]->call(req, req.pid);
  }

  void compare(const Exchange& x, const wire::Packet& reply) {
    EXPECT_EQ(reply.h.result, hex_byte(x.reply["result"])) << reply.data;
    EXPECT_EQ(reply.h.extent_type, x.reply["extent_type"].get<int>());
    EXPECT_EQ(reply.h.arg_len, x.reply["arg_len"].get<uint32_t>());
    EXPECT_EQ(reply.data.empty(), x.reply["data_len"] == 0) << reply.data;
    ordered_json recorded = body_of(x.reply);
    if (recorded.is_null()) return;
    ordered_json got = ordered_json::parse(reply.data, nullptr, false);
    ASSERT_FALSE(got.is_discarded()) << reply.data;
    learn(x, recorded, got);
    if (recorded.contains("infos")) return compare_batch(recorded["infos"], got["infos"]);
    same(translate(recorded), got, "", concerns_loose(body_of(x.request), recorded));
  }

  /// The order of a batch is free.
  void compare_batch(const ordered_json& recorded, ordered_json got) {
    ASSERT_EQ(recorded.size(), got.size());
    for (const ordered_json& want : recorded) {
      auto match = std::find_if(got.begin(), got.end(), [&](const ordered_json& info) {
        return info["ino"] == ino(want["ino"]);
      });
      ASSERT_NE(match, got.end()) << want;
      same(translate(want), *match, "", loose_.contains(want["ino"]));
    }
  }

  /// New numbers that a reply introduces.
  void learn(const Exchange&, const ordered_json& recorded, const ordered_json& got) {
    if (recorded.contains("info") && got.contains("info")) {
      const uint64_t number = recorded["info"]["ino"];
      if (number != 0 && !inos_.contains(number)) inos_[number] = got["info"]["ino"];
    }
    if (recorded.contains("tx") && recorded["tx"].is_object() && got["tx"].is_object()) {
      txs_[recorded["tx"]["TxID"]] = got["tx"]["TxID"];
    }
  }

  /// True when the reply shows an inode or directory whose history is not recorded.
  bool concerns_loose(const ordered_json& request, const ordered_json& recorded) const {
    if (recorded.contains("info")) return loose_.contains(recorded["info"]["ino"]);
    for (const char* key : {"ino", "pino"}) {
      if (request.contains(key) && loose_.contains(request[key])) return true;
    }
    return false;
  }

  /// Same keys in the same order, same types, same values where they are our business.
  void same(const ordered_json& want, const ordered_json& got, const std::string& path,
            bool loose) {
    ASSERT_EQ(want.type_name(), std::string(got.type_name())) << path << " " << got.dump();
    if (want.is_object()) {
      std::vector<std::string> a, b;
      for (const auto& [key, value] : want.items()) a.push_back(key);
      for (const auto& [key, value] : got.items()) b.push_back(key);
      ASSERT_EQ(a, b) << path;
      for (const std::string& key : a) same(want[key], got[key], path + "/" + key, loose);
    } else if (want.is_array()) {
      if (!loose) {
        ASSERT_EQ(want.size(), got.size()) << path;
      }
      for (size_t i = 0; i < std::min(want.size(), got.size()); ++i) {
        same(want[i], got[i], path + "/#", loose);
      }
    } else if (!varies(path, loose)) {
      EXPECT_EQ(want, got) << path;
    }
  }

  [[nodiscard]] bool varies(const std::string& path, bool loose) const {
    static const std::set<std::string> kTimes = {
        "mt", "ct", "at", "mekExpiredTime", "CreateTime", "leaseExpireTime", "start"};
    const std::string key = path.substr(path.rfind('/') + 1);
    if (data_left_out_ && (key == "sz" || key == "gen")) return true;
    return kTimes.contains(key) || loose;
  }

  std::vector<MetaPartition> ours_;
  const bool data_left_out_;
  std::map<uint64_t, std::unique_ptr<MetaConn>> conns_;  ///< by our partition id
  std::map<uint64_t, uint64_t> pids_;                    ///< recorded -> ours
  std::map<uint64_t, uint64_t> inos_;
  std::map<std::string, std::string> txs_;
  std::set<uint64_t> loose_;  ///< recorded inodes whose history is not recorded
  size_t played_ = 0;
};

class Replay : public testing::TestWithParam<const char*> {};

TEST_P(Replay, AnswersAsRecorded) {
  TestCluster cluster;
  const std::string folder = GetParam();
  Replayer replayer(cluster, folder == "tx" || folder == "quota");
  replayer.use_ranges(recorded_ranges(folder));
  for (const Exchange& x : load(folder, "")) {
    replayer.play(x);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(replayer.played(), 100u);
}

INSTANTIATE_TEST_SUITE_P(Folders, Replay, testing::Values("r3", "r1", "tx", "fr", "quota"),
                         [](const auto& info) { return std::string(info.param); });

class Probe : public testing::TestWithParam<const char*> {};

/// Each probe is a conversation of its own on a fresh volume.
TEST_P(Probe, AnswersAsRecorded) {
  TestCluster cluster;
  Replayer replayer(cluster, false);
  for (const Exchange& x : load("probe", GetParam())) replayer.play(x);
  EXPECT_GT(replayer.played(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Files, Probe,
                         testing::Values("meta_bad_json", "meta_inode_get_follower",
                                         "meta_inode_lifecycle", "meta_inode_missing",
                                         "meta_inode_out_of_range", "meta_minimal_bodies",
                                         "meta_proto0_read", "meta_proto0_write",
                                         "meta_setattr_bits", "meta_symlink_inode",
                                         "meta_wrong_partition", "meta_xattr_batch"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace cfs::mini::test
