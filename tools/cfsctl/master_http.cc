// SPDX-License-Identifier: Apache-2.0
/// Requests and envelopes; see master_http.h.
#include "tools/cfsctl/master_http.h"

#include "daemon/app/admin_protocol.h"
#include "daemon/base/http.h"

namespace cfs::ctl {
namespace {

Result<Json> unpack(const std::string& master, const std::string& body) {
  const Json reply = Json::parse(body, nullptr, false);
  if (!reply.is_object()) return make_error(EPROTO, master + " does not answer like a master");
  if (admin::number_or(reply, "code", -1) != 0) {
    return make_error(EREMOTEIO, admin::text_or(reply, "msg", "refused without a reason"));
  }
  const auto data = reply.find("data");
  return data == reply.end() ? Json() : *data;
}

}  // namespace

Result<Json> master_get(const std::string& master, const std::string& path,
                        const std::map<std::string, std::string>& query, int timeout_s) {
  HttpRequest request;
  request.host = master;
  request.path = path;
  request.params = {query.begin(), query.end()};
  request.deadline_ms = Loop::now_ms() + std::int64_t{timeout_s} * 1000;
  const Result<HttpReply> reply = http_ask(std::move(request));
  if (!reply.ok()) return make_error(EIO, "master " + master + ": " + reply.error().text());
  return unpack(master, reply->body);
}

}  // namespace cfs::ctl
