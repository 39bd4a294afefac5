// SPDX-License-Identifier: Apache-2.0
/// Requests to the meta nodes of one volume.
///
/// Purpose  Finds the partition of an inode and its leader, sends, retries: leader, then every
///          member in passes; reads may end at a quorum of followers; transaction conflicts are
///          repeated. What a result code means for an operation is the caller's. No request outlives
///          the deadline of its operation (task.h); after it nothing is sent.
/// Threads  The loop's.
/// Lifetime close() makes running calls fail soon with ESHUTDOWN.
/// Failure  An Answer without a reply has an error; `lost` says that an earlier attempt may have
///          been executed although its reply never came. Without it nothing has been executed.
/// Source   CubeFS v3.5.3 sdk/meta/conn.go (sendToMetaPartition), sdk/meta/operation.go.
#pragma once

#include <concepts>
#include <random>
#include <string>
#include <unordered_map>

#include "daemon/base/log.h"
#include "daemon/core/meta_conn.h"
#include "daemon/core/view_keeper.h"
#include "daemon/wire/meta_msg.h"

namespace cfs {

/// What came back, before its body is decoded.
struct RawAnswer {
  std::uint8_t result = CFS_RC_INIT;  ///< CFS_RC_INIT: no reply
  bool lost = false;
  std::string body;
  Error error;  ///< when result is not Ok
};

/// What came back for a request with a typed reply.
template <class Reply>
struct Answer {
  std::uint8_t result = CFS_RC_INIT;
  bool lost = false;
  Error error;
  Reply reply{};
  [[nodiscard]] bool ok() const { return result == CFS_RC_OK; }
};

struct CallMode {
  bool read = false;           ///< may be served by followers when no leader answers
  bool reserve = false;        ///< use the connection kept for key commits
  std::int64_t budget_ms = 0;  ///< 0: the mount's meta_timeout_s
};

class MetaClient {
 public:
  MetaClient(Loop& loop, std::shared_ptr<ViewKeeper> views, const MountConfig& config);

  /// Send to a partition by id, repeating on transaction conflicts.
  Task<RawAnswer> call(std::uint64_t partition, std::uint8_t op, std::string body, CallMode mode);

  /// Typed call; sets vol and pid of the request.
  template <class Req>
  Task<Answer<typename Req::Reply>> send(std::uint64_t partition, Req req, CallMode mode) {
    if constexpr (requires { req.pid; }) req.pid = partition;
    if constexpr (requires { req.vol; }) req.vol = volume_;
    RawAnswer raw = co_await call(partition, Req::kOp, wire::encode(req), mode);
    co_return decode<typename Req::Reply>(std::move(raw));
  }
  /// The same without decoding: for replies that may be the echoed request.
  template <class Req>
  Task<RawAnswer> send_raw(std::uint64_t partition, Req req) {
    if constexpr (requires { req.pid; }) req.pid = partition;
    if constexpr (requires { req.vol; }) req.vol = volume_;
    RawAnswer raw = co_await call(partition, Req::kOp, wire::encode(req), CallMode{});
    co_return raw;
  }
  /// Typed call to the partition of `ino`; ENOENT when no range holds it, even after a refresh.
  template <class Req>
  Task<Answer<typename Req::Reply>> send_to(Ino ino, Req req, CallMode mode = {}) {
    const std::uint64_t partition = co_await route(ino);
    if (partition == 0) {
      Answer<typename Req::Reply> none;
      none.result = CFS_RC_NOT_EXIST;
      none.error = make_error(ENOENT, "no meta partition has inode " + std::to_string(ino));
      co_return none;
    }
    Answer<typename Req::Reply> answer = co_await send<Req>(partition, std::move(req), mode);
    co_return answer;
  }

  /// Partition id of an inode; 0 when none has it. Refreshes the view once before giving up.
  Task<std::uint64_t> route(Ino ino);
  /// Next partition to create an inode in, round robin; 0 when there is none. Partitions that
  /// failed a short while ago come last.
  std::uint64_t next_for_create();
  [[nodiscard]] std::size_t create_choices() const { return views_->meta()->for_create().size(); }
  void penalise(std::uint64_t partition, std::int64_t for_ms);

  /// Shorter budget while mounting; 0: the mount's own again.
  void limit_budget(std::int64_t ms) {
    budget_ms_ = ms > 0 ? std::min(ms, full_budget_ms_) : full_budget_ms_;
  }

  void close();
  /// A new master view names leaders again: forget what was learned.
  void forget_leaders() { leaders_.clear(); }
  [[nodiscard]] std::uint64_t requests() const { return requests_; }
  [[nodiscard]] std::uint64_t retries() const { return retries_; }
  [[nodiscard]] const MetaTraffic& traffic() const { return pool_.traffic(); }
  /// When trying has to end: the mount's budget from now, or the deadline of the operation.
  [[nodiscard]] std::int64_t last_moment(std::int64_t whole_ms) const {
    const std::int64_t step = Loop::now_ms() + budget_ms_;
    return whole_ms == 0 ? step : std::min(step, whole_ms);
  }

 private:
  /// One call on its way through the members.
  struct Attempt {
    std::uint64_t partition;
    wire::Packet request;
    CallMode mode;
    std::int64_t begin_ms, deadline_ms;
    bool only_generic_errors;  ///< every reply of the last pass was CFS_RC_ERR
    RawAnswer answer;
  };
  template <class Reply>
  static Answer<Reply> decode(RawAnswer raw);

  Task<RawAnswer> call_once(std::uint64_t partition, std::uint8_t op, std::string body,
                            CallMode mode);
  Task<bool> leader_phase(Attempt* a, std::int64_t limit_ms);
  Task<bool> quorum_phase(Attempt* a);
  Task<bool> one_pass(Attempt* a);
  Task<bool> ask_member(Attempt* a, std::string addr, std::string arg);
  Task<std::uint64_t> applied_id(std::uint64_t partition, std::string addr,
                                 std::int64_t deadline_ms);
  Task<std::vector<std::string>> freshest(std::uint64_t partition, std::int64_t deadline_ms,
                                          std::size_t* active);
  [[nodiscard]] std::vector<std::string> members_of(std::uint64_t partition) const;
  [[nodiscard]] std::string likely_leader(std::uint64_t partition) const;
  [[nodiscard]] bool is_ill(const std::string& addr) const;
  [[nodiscard]] bool give_up(const Attempt& a, std::int64_t limit_ms) const;
  Task<bool> pause(std::int64_t ms, std::int64_t deadline_ms);

  Loop& loop_;
  std::shared_ptr<ViewKeeper> views_;
  std::string volume_;
  std::int64_t full_budget_ms_;
  std::int64_t budget_ms_;
  MetaPool pool_;
  std::unordered_map<std::uint64_t, std::string> leaders_;     // partition -> member that answered
  std::unordered_map<std::string, std::int64_t> ill_until_;    // addr -> avoid first
  std::unordered_map<std::uint64_t, std::int64_t> bad_until_;  // partition -> avoid for creation
  std::int64_t next_req_id_;
  std::uint64_t next_create_;
  std::uint64_t requests_ = 0, retries_ = 0;
  std::minstd_rand random_;  ///< for pauses only
  bool closed_ = false;
  LogLimit log_limit_;
};

template <class Reply>
Answer<Reply> MetaClient::decode(RawAnswer raw) {
  Answer<Reply> out;
  out.result = raw.result;
  out.lost = raw.lost;
  out.error = std::move(raw.error);
  if constexpr (!std::same_as<Reply, wire::NoBody>) {
    if (!out.ok()) return out;
    Result<Reply> reply = wire::decode<Reply>(raw.body);
    if (reply.ok()) {
      out.reply = std::move(reply).value();
    } else {
      out.result = CFS_RC_INIT;
      out.error = make_error(EIO, "unusable reply: " + reply.error().what);
    }
  }
  return out;
}

}  // namespace cfs
