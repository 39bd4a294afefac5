// SPDX-License-Identifier: Apache-2.0
/// Retries and leader search; contracts in meta_client.h.
#include "daemon/core/meta_client.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>

#include "daemon/base/probes.h"
#include "daemon/base/when_all.h"

namespace cfs {
namespace {

constexpr std::int64_t kAttemptMs = 5000;       // reply deadline of sdk/meta/conn.go
constexpr std::int64_t kLeaderPhaseMs = 20000;  // LeaderRetryTimeOut 0
constexpr std::int64_t kGenericErrorMs = 20000;
constexpr std::int64_t kIllMs = 10000;
constexpr std::int64_t kPauseMs = 100;
constexpr std::int64_t kConflictRetries = 121;  // sdk/meta/meta.go
constexpr std::int64_t kConflictPauseMs = 500;

/// Growth of the pause between passes. Source: sdk/meta/conn.go.
std::int64_t pause_growth(std::int64_t limit_ms) {
  return std::clamp<std::int64_t>((limit_ms * 2 / 200 - kPauseMs) / 200, 1, 100);
}

bool must_retry(std::uint8_t result) {
  return result == CFS_RC_ERR || result == CFS_RC_AGAIN;
}

/// A batch is Ok whatever happened to its names; ours have one, whose outcome is the answer.
void take_item_status(std::uint8_t op, RawAnswer* answer) {
  if (op != CFS_MOP_BATCH_DELETE_DENTRY || answer->result != CFS_RC_OK) return;
  const Result<wire::BatchDeleteDentryReply> reply =
      wire::decode<wire::BatchDeleteDentryReply>(answer->body);
  if (!reply.ok() || reply->items.size() != 1) {
    answer->result = CFS_RC_INIT;
    answer->lost = true;
    answer->error = make_error(EIO, "unusable reply to the removal of a name");
    return;
  }
  answer->result = reply->items[0].status;
  if (answer->result == CFS_RC_OK) return;
  answer->error = make_error(cfs_result_errno(answer->result), "removal of a name");
}

Error ending() {
  return make_error(ESHUTDOWN, "the volume is being closed");
}

std::int64_t first_req_id() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return (std::int64_t{now.tv_sec} << 32) + now.tv_nsec;
}

}  // namespace

MetaClient::MetaClient(Loop& loop, std::shared_ptr<ViewKeeper> views, const MountConfig& config)
    : loop_(loop),
      views_(std::move(views)),
      volume_(config.volume),
      full_budget_ms_(std::int64_t{config.meta_timeout_s} * 1000),
      budget_ms_(full_budget_ms_),
      pool_(loop),
      next_req_id_(first_req_id()),
      next_create_(std::random_device{}()),
      random_(static_cast<std::minstd_rand::result_type>(next_req_id_)) {}

void MetaClient::close() {
  closed_ = true;
  pool_.close();
}

// ---------------------------------------------------------------- routing

Task<std::uint64_t> MetaClient::route(Ino ino) {
  const MetaPartition* p = views_->meta()->of_inode(ino);
  if (p != nullptr) co_return p->id;
  (void)co_await views_->refresh_meta();
  p = views_->meta()->of_inode(ino);
  co_return p == nullptr ? 0 : p->id;
}

std::uint64_t MetaClient::next_for_create() {
  const std::shared_ptr<const MetaView> view = views_->meta();
  const std::vector<std::uint64_t>& ids = view->for_create();
  if (ids.empty()) return 0;
  const std::int64_t now = Loop::now_ms();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::uint64_t id = ids[next_create_++ % ids.size()];
    const auto bad = bad_until_.find(id);
    if (bad == bad_until_.end() || bad->second <= now) return id;
  }
  return ids[next_create_++ % ids.size()];
}

void MetaClient::penalise(std::uint64_t partition, std::int64_t for_ms) {
  bad_until_[partition] = Loop::now_ms() + for_ms;
}

/// Members in the order to try: the one that answered last or the leader the master named, then
/// the view's order; those that failed a moment ago last.
std::vector<std::string> MetaClient::members_of(std::uint64_t partition) const {
  const std::shared_ptr<const MetaView> view = views_->meta();
  const MetaPartition* p = view->by_id(partition);
  if (p == nullptr) return {};
  const auto learned = leaders_.find(partition);
  const std::string first = learned != leaders_.end() ? learned->second : p->leader;
  std::vector<std::string> out;
  if (!first.empty()) out.push_back(first);
  for (const std::string& m : p->members) {
    if (m != first) out.push_back(m);
  }
  std::stable_partition(out.begin(), out.end(),
                        [&](const std::string& addr) { return !is_ill(addr); });
  return out;
}

bool MetaClient::is_ill(const std::string& addr) const {
  const auto ill = ill_until_.find(addr);
  return ill != ill_until_.end() && ill->second > Loop::now_ms();
}

/// The member that answered last; empty: none has, or it failed since.
std::string MetaClient::likely_leader(std::uint64_t partition) const {
  const auto learned = leaders_.find(partition);
  if (learned == leaders_.end() || is_ill(learned->second)) return {};
  return views_->meta()->by_id(partition) == nullptr ? std::string() : learned->second;
}

// ---------------------------------------------------------------- one request

Task<RawAnswer> MetaClient::call(std::uint64_t partition, std::uint8_t op, std::string body,
                                 CallMode mode) {
  const wire::SimpleVolView& vol = views_->volume();
  const std::int64_t tries =
      vol.tx_conflict_retry_num > 0 ? vol.tx_conflict_retry_num : kConflictRetries;
  const std::int64_t wait =
      vol.tx_conflict_retry_ms > 0 ? vol.tx_conflict_retry_ms : kConflictPauseMs;
  const std::int64_t whole = co_await this_deadline();
  const std::int64_t begin = Loop::now_ms();
  const std::int64_t step = begin + (mode.budget_ms > 0 ? mode.budget_ms : budget_ms_);
  const std::int64_t deadline = whole == 0 ? step : std::min(step, whole);
  if (begin >= deadline) {  // not sent: nothing is lost
    RawAnswer late;
    late.error = make_error(ETIMEDOUT, "the time of the operation is over");
    co_return late;
  }
  mode.budget_ms = deadline - begin;
  RawAnswer answer = co_await call_once(partition, op, body, mode);
  take_item_status(op, &answer);
  bool lost = answer.lost;
  for (std::int64_t i = 0; i < tries && answer.result == CFS_RC_TX_CONFLICT; ++i) {
    if (Loop::now_ms() + wait >= deadline) break;
    const bool go_on = co_await pause(wait, deadline);
    if (!go_on) {
      answer.result = CFS_RC_INIT;
      answer.error = ending();
      break;
    }
    ++retries_;
    mode.budget_ms = std::max<std::int64_t>(1, deadline - Loop::now_ms());
    answer = co_await call_once(partition, op, body, mode);
    take_item_status(op, &answer);
    lost = lost || answer.lost;
  }
  answer.lost = lost;
  co_return answer;
}

Task<RawAnswer> MetaClient::call_once(std::uint64_t partition, std::uint8_t op, std::string body,
                                      CallMode mode) {
  const std::int64_t now = Loop::now_ms();
  const std::int64_t budget = mode.budget_ms > 0 ? mode.budget_ms : budget_ms_;
  Attempt a{partition,
            wire::meta_request(op, partition, next_req_id_++, std::move(body)),
            mode,
            now,
            now + budget,
            false,
            {}};
  a.answer.error = make_error(EIO, "meta partition " + std::to_string(partition) + " is unknown");
  ++requests_;
  std::int64_t limit = budget;
  if (mode.read) {
    const std::int64_t leader_s = views_->last_stat().leader_retry_s;
    limit = std::min(budget, leader_s > 0 ? leader_s * 1000 : kLeaderPhaseMs);
  }
  bool answered = co_await leader_phase(&a, limit);
  if (!answered && mode.read && !closed_) answered = co_await quorum_phase(&a);
  if (!answered && (closed_ || loop_.stopping())) {
    a.answer.result = CFS_RC_INIT;
    a.answer.error = ending();
  }
  if (a.answer.result != CFS_RC_OK) {
    a.answer.error = a.answer.error.in(wire::op_name(op, wire::Peer::kMeta) +
                                       " at meta partition " + std::to_string(partition));
  }
  co_return std::move(a.answer);
}

bool MetaClient::give_up(const Attempt& a, std::int64_t limit_ms) const {
  const std::int64_t spent = Loop::now_ms() - a.begin_ms;
  // members that all keep saying "error" mean it: a missing object, not a missing leader
  const std::int64_t limit = a.only_generic_errors ? std::min(limit_ms, kGenericErrorMs) : limit_ms;
  const bool known = views_->meta()->by_id(a.partition) != nullptr;
  return closed_ || !known || spent >= limit;
}

Task<bool> MetaClient::leader_phase(Attempt* a, std::int64_t limit_ms) {
  const std::int64_t growth = pause_growth(limit_ms);
  for (std::int64_t i = 0;; ++i) {
    const bool answered = co_await one_pass(a);
    if (answered) co_return true;
    if (give_up(*a, limit_ms)) co_return false;
    views_->nudge_meta();
    const bool go_on = co_await pause(kPauseMs + i * growth, a->deadline_ms);
    if (!go_on) co_return false;
    ++retries_;
  }
}

Task<bool> MetaClient::one_pass(Attempt* a) {
  const std::string asked = likely_leader(a->partition);
  if (!asked.empty()) {
    const bool answered = co_await ask_member(a, asked, {});
    if (answered) co_return true;
  }
  const std::vector<std::string> members = members_of(a->partition);
  bool generic = !members.empty() && (asked.empty() || a->answer.result == CFS_RC_ERR);
  for (const std::string& addr : members) {
    if (addr == asked) continue;
    if (closed_ || Loop::now_ms() >= a->deadline_ms) break;
    const bool answered = co_await ask_member(a, addr, {});
    if (answered) {
      leaders_[a->partition] = addr;
      co_return true;
    }
    generic = generic && a->answer.result == CFS_RC_ERR;
  }
  a->only_generic_errors = generic;
  co_return false;
}

/// One attempt at one member. True: its reply is the answer.
Task<bool> MetaClient::ask_member(Attempt* a, std::string addr, std::string arg) {
  const std::int64_t deadline = std::min(Loop::now_ms() + kAttemptMs, a->deadline_ms);
  bool sent = false;
  Result<wire::Packet> reply = make_error(EIO, {});
  Result<MetaPool::Lease> conn = co_await pool_.acquire(addr, deadline, a->mode.reserve);
  if (conn.ok()) {
    a->request.arg = std::move(arg);
    const std::uint64_t id = co_await this_request();
    const auto packet = static_cast<std::uint64_t>(a->request.h.req_id);
    probe::rpc_start(id, packet, a->request.h.opcode, a->partition, addr.c_str());
    reply = co_await (*conn)->exchange(a->request, deadline, &sent);
    probe::rpc_done(id, packet, reply.ok() ? reply->h.result : std::uint8_t{CFS_RC_INIT},
                    reply.ok() ? 0 : reply.error().code);
    if (!reply.ok()) conn->discard();
  } else {
    reply = conn.error();
  }
  if (!reply.ok()) {
    a->answer.lost = a->answer.lost || sent;
    a->answer.result = CFS_RC_INIT;
    a->answer.error = make_error(EIO, addr + ": " + reply.error().text());
    ill_until_[addr] = Loop::now_ms() + kIllMs;
    co_return false;
  }
  if (!ill_until_.empty()) ill_until_.erase(addr);
  a->answer.result = reply->h.result;
  a->answer.error = make_error(0, {});
  if (!reply->ok()) a->answer.error = wire::result_error(*reply, wire::Peer::kMeta);
  if (must_retry(reply->h.result)) {
    a->answer.lost = true;  // a proxy that lost its leader, or a proposal that may still be applied
    co_return false;
  }
  a->answer.body = std::move(reply->data);
  co_return true;
}

/// Half of it at least, so that many waiters do not come back at once.
Task<bool> MetaClient::pause(std::int64_t ms, std::int64_t deadline_ms) {
  std::uniform_int_distribution<std::int64_t> spread(ms / 2, ms);
  ms = std::clamp<std::int64_t>(deadline_ms - Loop::now_ms(), 1, spread(random_));
  const int slept = co_await loop_.sleep(Millis(ms));
  co_return slept == 0 && !closed_;
}

// ---------------------------------------------------------------- reads without a leader

/// What the member has applied; 0 when it does not answer.
Task<std::uint64_t> MetaClient::applied_id(std::uint64_t partition, std::string addr,
                                           std::int64_t deadline_ms) {
  wire::GetAppliedIdReq req;
  req.pid = partition;
  Attempt a{
      partition,
      wire::meta_request(wire::GetAppliedIdReq::kOp, partition, next_req_id_++, wire::encode(req)),
      {},
      Loop::now_ms(),
      deadline_ms,
      false,
      {}};
  const bool answered = co_await ask_member(&a, addr, {});
  if (!answered || a.answer.result != CFS_RC_OK) co_return 0;
  Result<wire::AppliedIdReply> id = wire::decode<wire::AppliedIdReply>(a.answer.body);
  co_return id.ok() ? id->applied_id + 1 : 0;
}

/// Members that have applied most, and how many answered at all.
Task<std::vector<std::string>> MetaClient::freshest(std::uint64_t partition,
                                                    std::int64_t deadline_ms, std::size_t* active) {
  const std::vector<std::string> members = members_of(partition);
  std::vector<Task<std::uint64_t>> asks;
  asks.reserve(members.size());
  for (const std::string& m : members) asks.push_back(applied_id(partition, m, deadline_ms));
  const std::vector<std::uint64_t> ids = co_await when_all<std::uint64_t>(loop_, std::move(asks));
  const std::uint64_t most = ids.empty() ? 0 : *std::max_element(ids.begin(), ids.end());
  *active = static_cast<std::size_t>(ids.size() - std::count(ids.begin(), ids.end(), 0));
  std::vector<std::string> out;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] == most && most != 0) out.push_back(members[i]);
  }
  co_return out;
}

Task<bool> MetaClient::quorum_phase(Attempt* a) {
  if (log_limit_.allow()) {
    spdlog::warn("meta partition {} has no leader: asking its followers", a->partition);
  }
  const std::int64_t growth = pause_growth(budget_ms_);
  for (std::int64_t i = 0;; ++i) {
    std::size_t active = 0;
    const std::vector<std::string> best = co_await freshest(a->partition, a->deadline_ms, &active);
    const bool enough = active * 2 > members_of(a->partition).size();
    const bool any_will_do = views_->last_stat().meta_follower_read;
    for (const std::string& addr : best) {
      if (!enough && !any_will_do) break;
      const bool answered = co_await ask_member(a, addr, CFS_ARG_FOLLOWER_READ);
      if (answered) co_return true;
    }
    if (closed_ || Loop::now_ms() >= a->deadline_ms) co_return false;
    const bool go_on = co_await pause(kPauseMs + i * growth, a->deadline_ms);
    if (!go_on) co_return false;
    ++retries_;
  }
}

}  // namespace cfs
