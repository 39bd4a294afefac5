// SPDX-License-Identifier: Apache-2.0
/// Requests that only the mini cluster has: faults, statistics, topology.
///
/// Purpose   /mini/fault?action=... , see the table at kActions; /mini/stats counts requests per
///           node and opcode; /mini/topology shows partitions with their leaders; /mini/log lists
///           requests in their order; /mini/fill and
///           /mini/empty make and remove the files of a large directory, see fill.h.
/// Failure   Code 2 with a sentence for a request that makes no sense; nothing has changed then.
#include <functional>
#include <nlohmann/json.hpp>

#include "tools/minicluster/fill.h"
#include "tools/minicluster/master.h"
#include "tools/minicluster/master_views.h"

namespace cfs::mini {
namespace {

using nlohmann::ordered_json;
using wire::encode_reply;

/// Empty when it worked, else what is wrong.
using Outcome = std::string;

Outcome no_such_node(const std::string& address) {
  return "no node " + address;
}

/// Address from node=ADDR, or from role=master|meta|data and index=N (from 0).
std::string node_of(Cluster& cluster, const MasterRequest& r) {
  if (r.has("node")) return r.get("node");
  auto index = static_cast<size_t>(r.number("index", 0).ok() ? *r.number("index", 0) : 0);
  const std::string role = r.get("role");
  if (role == "master" && index < cluster.masters().size()) {
    return cluster.masters()[index]->address();
  }
  if (role == "meta" && index < cluster.meta_nodes().size()) {
    return cluster.meta_nodes()[index]->address();
  }
  if (role == "data" && index < cluster.data_slots().size()) {
    return cluster.data_slots()[index]->node->address();
  }
  return {};
}

Outcome text_of(const Result<void>& result) {
  return result ? Outcome() : result.error().text();
}

Outcome stop_node(Cluster& cluster, const MasterRequest& r) {
  const std::string address = node_of(cluster, r);
  if (MetaNode* node = cluster.find_meta_node(address)) return node->stop(), Outcome();
  if (DataSlot* slot = cluster.find_data_slot(address)) return slot->node->stop(), Outcome();
  if (Master* master = cluster.find_master(address)) {
    // Not here: this request may be running on the very master.
    cluster.stop_master_soon(*master);
    return {};
  }
  return no_such_node(address);
}

void wake_data(Cluster& cluster, DataSlot& slot) {
  slot.knobs.hang = false;
  cluster.data().mark_up(slot.node->address());
}

Outcome start_node(Cluster& cluster, const MasterRequest& r) {
  const std::string address = node_of(cluster, r);
  if (MetaNode* node = cluster.find_meta_node(address)) {
    if (node->running()) return node->hang(false), Outcome();
    return text_of(node->start());
  }
  if (DataSlot* slot = cluster.find_data_slot(address)) {
    if (slot->node->running()) return wake_data(cluster, *slot), Outcome();
    return text_of(slot->node->start());
  }
  if (Master* master = cluster.find_master(address)) {
    if (master->running()) return master->hang(false), Outcome();
    return text_of(master->start());
  }
  return no_such_node(address);
}

Outcome hang_node(Cluster& cluster, const MasterRequest& r) {
  const std::string address = node_of(cluster, r);
  if (MetaNode* node = cluster.find_meta_node(address)) return node->hang(true), Outcome();
  if (Master* master = cluster.find_master(address)) return master->hang(true), Outcome();
  if (DataSlot* slot = cluster.find_data_slot(address)) {
    slot->knobs.hang = true;
    cluster.data().mark_down(address);
    return {};
  }
  return no_such_node(address);
}

Outcome reset_node(Cluster& cluster, const MasterRequest& r) {
  const std::string address = node_of(cluster, r);
  if (MetaNode* node = cluster.find_meta_node(address)) return node->reset_connections(), Outcome();
  if (DataSlot* slot = cluster.find_data_slot(address)) {
    return slot->node->reset_connections(), Outcome();
  }
  return no_such_node(address);
}

/// to=INDEX of the member, from 0.
Outcome move_leader(Cluster& cluster, const MasterRequest& r) {
  Result<int64_t> mp = r.number("mp", 0), dp = r.number("dp", 0), to = r.number("to", -1);
  if (!mp || !dp || !to || *to < 0) return "mp= or dp=, and to= are needed";
  auto member = static_cast<size_t>(*to);
  bool done = *mp != 0 ? cluster.move_meta_leader(static_cast<uint64_t>(*mp), member)
                       : cluster.data().set_leader(static_cast<uint64_t>(*dp), member);
  return done ? Outcome() : Outcome("no such partition or member");
}

/// Data nodes have knobs of their own for the same faults.
Outcome arm_data(DataSlot& slot, const std::string& action, int64_t op, int64_t count,
                 int64_t value) {
  const std::string opcode = std::to_string(op == Fault::kAnyOp ? 0 : op);
  if (action == "delay") return slot.knobs.set("delay_ms=" + std::to_string(value));
  if (action == "force_result") {
    return slot.knobs.set("force_result=" + opcode + ":" + std::to_string(value) + ":" +
                          std::to_string(count));
  }
  return slot.knobs.set(action + "=" + std::to_string(count) + ":" + opcode);
}

/// node= (absent: every meta node), op= (absent: any), count= (1; 0: until cleared), value=.
Outcome arm(Cluster& cluster, const MasterRequest& r, FaultKind kind) {
  Result<int64_t> op = r.number("op", Fault::kAnyOp);
  Result<int64_t> count = r.number("count", 1), value = r.number("value", 0);
  if (!op || !count || !value || *count < 0) return "op=, count= and value= are numbers";
  const std::string node = node_of(cluster, r);
  if (DataSlot* slot = cluster.find_data_slot(node)) {
    return arm_data(*slot, r.get("action"), *op, *count, *value);
  }
  if (!node.empty() && cluster.find_meta_node(node) == nullptr) return no_such_node(node);
  Fault fault{kind, node, static_cast<int>(*op), static_cast<uint32_t>(*value),
              static_cast<uint64_t>(*count)};
  if (*count == 0) fault.count = Fault::kForever;
  cluster.faults().arm(std::move(fault));
  return {};
}

/// knob=NAME and value= as in data_knobs.h; node= absent: every data node.
Outcome set_knob(Cluster& cluster, const MasterRequest& r) {
  const std::string address = node_of(cluster, r);
  if (!address.empty() && cluster.find_data_slot(address) == nullptr) return no_such_node(address);
  for (const auto& slot : cluster.data_slots()) {
    if (!address.empty() && slot->node->address() != address) continue;
    Outcome wrong = slot->knobs.set(r.get("knob") + "=" + r.get("value"));
    if (!wrong.empty()) return wrong;
  }
  return {};
}

/// mp= or dp=, status=rw|ro|unavailable as the masters show it.
Outcome set_status(Cluster& cluster, const MasterRequest& r) {
  static const std::map<std::string, int> kNames = {{"rw", wire::kPartitionReadWrite},
                                                    {"ro", wire::kPartitionReadOnly},
                                                    {"unavailable", wire::kPartitionUnavailable}};
  auto status = kNames.find(r.get("status"));
  Result<int64_t> mp = r.number("mp", 0), dp = r.number("dp", 0);
  if (status == kNames.end() || !mp || !dp) return "mp= or dp=, and status=rw|ro|unavailable";
  return text_of(cluster.topology().update([&](Topology& t, Txn&) -> Result<void> {
    auto m = t.meta.find(static_cast<uint64_t>(*mp));
    auto d = t.data.find(static_cast<uint64_t>(*dp));
    if (m == t.meta.end() && d == t.data.end()) return make_error(ENOENT, "no such partition");
    (m != t.meta.end() ? m->second.status : d->second.status) = status->second;
    return {};
  }));
}

/// vol=, room= inodes left to the partition that was the last (16384).
Outcome split(Cluster& cluster, const MasterRequest& r) {
  constexpr int64_t kRoom = 16384;
  Result<int64_t> room = r.number("room", kRoom);
  if (!room || *room < 0) return "room= is a number of inodes";
  Result<uint64_t> id = cluster.split_volume(r.get("vol"), static_cast<uint64_t>(*room));
  return id ? Outcome() : id.error().text();
}

/// deleted_s=, orphan_s=, tx_keep_s= of ReclaimPolicy; election_ms= of meta partitions; dir_limit=.
Outcome set_policy(Cluster& cluster, const MasterRequest& r) {
  ReclaimPolicy policy = cluster.meta().policy();
  Result<int64_t> deleted = r.number("deleted_s", policy.deleted_s);
  Result<int64_t> orphan = r.number("orphan_s", policy.orphan_s);
  Result<int64_t> keep = r.number("tx_keep_s", policy.tx_keep_s);
  Result<int64_t> election = r.number("election_ms", -1), limit = r.number("dir_limit", -1);
  if (!deleted || !orphan || !keep || !election || !limit) return "a value is no number";
  policy.deleted_s = *deleted;
  policy.orphan_s = *orphan;
  policy.tx_keep_s = *keep;
  cluster.meta().set_policy(policy);
  if (*election >= 0) {
    cluster.meta().set_election_time(std::chrono::milliseconds(*election));
    cluster.data().set_election_time(std::chrono::milliseconds(*election));
  }
  if (*limit < 0) return {};
  return text_of(cluster.topology().update([&](Topology& t, Txn&) -> Result<void> {
    t.dir_limit = static_cast<uint64_t>(*limit);
    return {};
  }));
}

/// Forgets armed faults of meta nodes and starts or wakes every node. Knobs stay as they are.
Outcome clear(Cluster& cluster, const MasterRequest&) {
  cluster.faults().clear();
  Outcome wrong;
  for (const auto& node : cluster.meta_nodes()) {
    wrong += text_of(node->start());
    node->hang(false);
  }
  for (const auto& slot : cluster.data_slots()) {
    wrong += text_of(slot->node->start());
    wake_data(cluster, *slot);
  }
  for (const auto& master : cluster.masters()) {
    wrong += text_of(master->start());
    master->hang(false);
  }
  return wrong;
}

template <FaultKind kKind>
Outcome arm_kind(Cluster& cluster, const MasterRequest& r) {
  return arm(cluster, r, kKind);
}

using Action = Outcome (*)(Cluster&, const MasterRequest&);

const std::map<std::string, Action> kActions = {
    {"stop", stop_node},                     // node= or role=,index=: like a killed process
    {"hang", hang_node},                     // ... like a stopped one: accepts, never answers
    {"start", start_node},                   // ends both
    {"reset", reset_node},                   // RST on all connections
    {"leader", move_leader},                 // mp= or dp=, to=
    {"delay", arm_kind<FaultKind::kDelay>},  // value=ms
    {"late_reply", arm_kind<FaultKind::kLateReply>},      // value=ms
    {"force_result", arm_kind<FaultKind::kForceResult>},  // value=code
    {"drop_reply", arm_kind<FaultKind::kDropReply>},
    {"close_after", arm_kind<FaultKind::kCloseAfter>},
    {"knob", set_knob},      // knob=NAME, value= of data nodes
    {"status", set_status},  // mp= or dp=, status=
    {"split", split},        // vol=, room=
    {"policy", set_policy},  // deleted_s=, orphan_s=, tx_keep_s=, election_ms=, dir_limit=
    {"clear", clear},
};

ordered_json ops_json(const OpCounts& counts, wire::Peer peer) {
  ordered_json ops = ordered_json::object();
  for (size_t op = 0; op < counts.size(); ++op) {
    if (counts[op] != 0) ops[wire::op_name(static_cast<uint8_t>(op), peer)] = counts[op];
  }
  return ops;
}

OpCounts data_counts(const DataSlot& slot) {
  OpCounts counts{};
  for (size_t op = 0; op < counts.size(); ++op) counts[op] = slot.knobs.requests[op];
  return counts;
}

const char* state_name(NodeState state) {
  if (state == NodeState::kUp) return "up";
  return state == NodeState::kHung ? "hung" : "stopped";
}

NodeState data_state(const DataSlot& slot) {
  if (!slot.node->running()) return NodeState::kStopped;
  return slot.knobs.hang ? NodeState::kHung : NodeState::kUp;
}

std::string envelope(const ordered_json& data) {
  return ordered_json{{"code", 0}, {"msg", "success"}, {"data", data}}.dump();
}

}  // namespace

std::string MasterApi::mini_fault(const MasterRequest& r) {
  std::lock_guard<std::mutex> one_at_a_time(fault_lock_);
  auto action = kActions.find(r.get("action"));
  Outcome wrong = action == kActions.end() ? "unknown action" : action->second(cluster_, r);
  if (!wrong.empty()) return wire::encode_error(wire::kMasterParam, wrong);
  return encode_reply(std::string("done"));
}

std::string MasterApi::mini_stats(const MasterRequest&) {
  ordered_json masters = ordered_json::object();
  {
    std::lock_guard<std::mutex> guard(lock_);
    for (const auto& [address, paths] : counts_) masters[address] = paths;
  }
  ordered_json meta = ordered_json::object();
  std::map<std::string, OpCounts> counts = cluster_.meta().op_counts();
  for (const auto& node : cluster_.meta_nodes()) {
    const std::string& address = node->address();
    meta[address] = {{"state", state_name(cluster_.meta().node_state(address))},
                     {"ops", ops_json(counts[address], wire::Peer::kMeta)}};
  }
  ordered_json data = ordered_json::object();
  for (const auto& slot : cluster_.data_slots()) {
    DataUsage usage = slot->node->usage();
    data[slot->node->address()] = {{"state", state_name(data_state(*slot))},
                                   {"connections", slot->node->connections()},
                                   {"used_bytes", usage.used_bytes},
                                   {"extents", usage.extents},
                                   {"ops", ops_json(data_counts(*slot), wire::Peer::kData)}};
  }
  return envelope({{"masters", masters}, {"meta", meta}, {"data", data}});
}

std::string MasterApi::mini_topology(const MasterRequest& r) {
  ordered_json meta = ordered_json::array(), data = ordered_json::array();
  TopologyPtr topology = cluster_.topology().get();
  const std::string wanted = r.get("vol");
  for (const auto& [id, mp] : topology->meta) {
    if (!wanted.empty() && mp.volume != wanted) continue;
    meta.push_back({{"id", id},
                    {"vol", mp.volume},
                    {"start", mp.start},
                    {"end", mp.end},
                    {"members", mp.members},
                    {"leader", cluster_.meta().leader_of(id)}});
  }
  for (const auto& [id, dp] : topology->data) {
    if (!wanted.empty() && dp.volume != wanted) continue;
    data.push_back({{"id", id},
                    {"vol", dp.volume},
                    {"hosts", dp.hosts},
                    {"leader", cluster_.data().leader_of(id)}});
  }
  return envelope({{"meta", meta}, {"data", data}});
}

/// on=true: begins a list; on=false: ends it. The list: what came, in order; appends that a data node hands on
/// to other replicas are left out.
std::string MasterApi::mini_log(const MasterRequest& r) {
  RequestLog& log = cluster_.request_log();
  ordered_json events = ordered_json::array();
  for (const RequestEvent& event : log.events()) {
    const bool append = event.peer == wire::Peer::kData &&
                        (event.op == CFS_DOP_WRITE || event.op == CFS_DOP_SYNC_WRITE);
    if (append && event.followers == 0) continue;
    events.push_back((event.answer ? "<" : ">") + std::string(wire::op_name(event.op, event.peer)));
  }
  if (r.has("on") && r.flag("on")) log.start();
  if (r.has("on") && !r.flag("on")) log.stop();
  return envelope(events);
}

/// vol=, dir= from the volume's root, count=, prefix= (s).
std::string MasterApi::mini_fill(const MasterRequest& r) {
  Result<int64_t> count = r.number("count", 0);
  if (!count || *count <= 0) return wire::encode_error(wire::kMasterParam, "count= is a number");
  Result<void> filled =
      fill_directory(cluster_.meta().store(), *cluster_.topology().get(), r.get("vol"),
                     r.get("dir"), r.get("prefix", "s"), static_cast<uint64_t>(*count));
  if (!filled) return wire::encode_error(wire::kMasterParam, filled.error().text());
  return encode_reply(std::string("done"));
}

/// vol=, dir=: its regular files go.
std::string MasterApi::mini_empty(const MasterRequest& r) {
  Result<uint64_t> removed = empty_directory(cluster_.meta().store(), *cluster_.topology().get(),
                                             r.get("vol"), r.get("dir"));
  if (!removed) return wire::encode_error(wire::kMasterParam, removed.error().text());
  return envelope({{"removed", *removed}});
}

}  // namespace cfs::mini
