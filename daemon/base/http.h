// SPDX-License-Identifier: Apache-2.0
/// HTTP/1.1 requests on a Loop.
///
/// Purpose  What is asked of masters: one request on a connection of its own, since masters close each one.
/// Threads  The loop's.
/// Lifetime The client outlives its calls; stop() makes running ones end soon.
/// Failure  The errno of the last address tried, a sentence with it: EHOSTUNREACH (no such host), ECONNREFUSED,
///          ETIMEDOUT, ECANCELED (stopped), ECONNRESET (cut short), EPROTO (not HTTP), EMSGSIZE (above kHttpBodyMax).
/// Source   RFC 9112.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "daemon/base/loop.h"
#include "daemon/base/net.h"
#include "daemon/base/result.h"
#include "daemon/base/task.h"

namespace cfs {

constexpr std::size_t kHttpBodyMax = 256u << 20;  ///< a view of 100,000 partitions has 30 MiB

struct HttpRequest {
  std::string host;                                         ///< "host:port"
  std::string path;                                         ///< from the slash on
  std::vector<std::pair<std::string, std::string>> params;  ///< percent-encoded into the query
  bool post = false;                                        ///< with an empty body
  std::vector<std::pair<std::string, std::string>> headers;
  std::int64_t deadline_ms = 0;  ///< Loop::now_ms() clock
};

struct HttpReply {
  unsigned status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;
};

class HttpClient {
 public:
  explicit HttpClient(Loop& loop) : loop_(loop) {}
  Task<Result<HttpReply>> ask(HttpRequest request);
  void stop();

 private:
  Task<Result<std::vector<Endpoint>>> resolve(std::string host);
  Task<Result<HttpReply>> exchange(int fd, std::string text, std::int64_t deadline_ms);

  Loop& loop_;
  std::set<int> open_;  ///< sockets of running requests
  bool stopped_ = false;
};

/// The same on a loop of its own, for programs without one: blocks.
Result<HttpReply> http_ask(HttpRequest request);

/// RFC 3986 percent-encoding of everything but unreserved characters.
std::string percent_encode(const std::string& text);

}  // namespace cfs
