// SPDX-License-Identifier: Apache-2.0
/// Questions to the masters of a cluster over HTTP.
///
/// Purpose  One interface for everything the daemon asks a master; tests put their own behind it.
/// Threads  The loop's.
/// Lifetime The client outlives its calls; stop() makes running transfers end soon.
/// Failure  A reply body, or the errno of the last master tried (daemon/base/http.h; EPROTO also
///          for another status than 200). What a body says is the caller's to judge.
/// Source   CubeFS v3.5.3 sdk/master/client.go (order of masters), proto/header.go (compression).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "daemon/base/http.h"
#include "daemon/base/loop.h"
#include "daemon/base/result.h"
#include "daemon/base/task.h"

namespace cfs {

/// One request. Parameters are percent-encoded into the query.
struct MasterRequest {
  std::string path;
  std::vector<std::pair<std::string, std::string>> params;
  bool post = false;
  bool gzip = false;             ///< offer x-cfs-Accept-Encoding: gzip
  std::int64_t limit_ms = 0;     ///< of each attempt; 0: the client's own
  std::int64_t deadline_ms = 0;  ///< of all attempts (Loop::now_ms() clock); 0: none
};

/// What the daemon knows of masters.
class MasterService {
 public:
  virtual ~MasterService() = default;
  /// Body of the first HTTP 200 any master gives (an envelope, see wire/master_msg.h).
  virtual Task<Result<std::string>> ask(MasterRequest request) = 0;
  virtual void stop() = 0;
  [[nodiscard]] virtual std::uint64_t requests() const = 0;
};

/// MasterService over HTTP: the master that answered last first, then the list in order.
class HttpMaster final : public MasterService {
 public:
  /// `masters` are "host:port".
  HttpMaster(Loop& loop, std::vector<std::string> masters);
  Task<Result<std::string>> ask(MasterRequest request) override;
  void stop() override { http_.stop(); }
  [[nodiscard]] std::uint64_t requests() const override { return requests_; }

 private:
  [[nodiscard]] std::vector<std::string> order() const;
  Task<Result<std::string>> body_of(HttpReply reply);

  Loop& loop_;
  HttpClient http_;
  std::vector<std::string> masters_;
  std::string leader_;  ///< answered last
  std::uint64_t requests_ = 0;
};

/// gzip member to bytes; EBADMSG for bad data, EMSGSIZE above `limit` bytes.
Result<std::string> gunzip(const std::string& data, std::size_t limit);

}  // namespace cfs
