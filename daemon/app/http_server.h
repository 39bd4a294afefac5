// SPDX-License-Identifier: Apache-2.0
/// A very small HTTP server: GET and HEAD of a few pages that exist in memory.
///
/// Purpose  /metrics for Prometheus and the status page. One request per connection, no bodies, no
///          keep-alive, nothing that changes anything.
/// Threads  The loop thread.
/// Lifetime listen() .. stop(), which ends the accept and every client's wait; destroy it when the
///          loop has run out.
/// Failure  400, 403, 404 or 405 for what it does not serve. A client that is slow to send or to
///          read is cut off after kClientTime. More than kClientsMax are turned away. Bound to a
///          loopback address it answers only to loopback names in Host, so that a page of another
///          site cannot read it through a name that it controls (DNS rebinding).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "daemon/base/loop.h"
#include "daemon/base/net.h"

namespace cfs {

struct HttpAnswer {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body{};
};

/// A request line with the one header that matters here.
struct HttpRequest {
  std::string method, path, host;

  /// From the bytes up to the empty line; EPROTO when they are no HTTP/1 request. The query of the
  /// path is cut off.
  static Result<HttpRequest> parse(const std::string& head);
};

class HttpServer {
 public:
  static constexpr std::size_t kClientsMax = 32;
  static constexpr std::size_t kHeadMax = 8192;  ///< bytes of request line and headers
  static constexpr Millis kClientTime{10'000};   ///< for the request, and again for the answer

  using Handler = std::function<HttpAnswer(const std::string& path)>;

  /// Bind "ADDRESS:PORT"; port 0 takes a free one, see address().
  static Result<std::unique_ptr<HttpServer>> listen(Loop& loop, const std::string& address,
                                                    Handler handler);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  void start();
  void stop();
  /// "ADDRESS:PORT" as bound.
  [[nodiscard]] const std::string& address() const { return address_; }

 private:
  HttpServer(Loop& loop, Fd fd, std::string address, bool loopback, Handler handler)
      : loop_(loop),
        fd_(std::move(fd)),
        address_(std::move(address)),
        loopback_(loopback),
        handler_(std::move(handler)) {}
  Task<void> accept_clients();
  Task<void> serve(int client);
  Task<std::string> read_head(int client);
  [[nodiscard]] HttpAnswer answer(const Result<HttpRequest>& request) const;

  Loop& loop_;
  Fd fd_;
  std::string address_;
  bool loopback_;
  Handler handler_;
  std::set<int> clients_;
  bool stopping_ = false;
};

}  // namespace cfs
