// SPDX-License-Identifier: Apache-2.0
/// Counts of /mini/stats; see servers.h.
#include "tests/bench/servers.h"

#include <nlohmann/json.hpp>

#include "daemon/base/http.h"

namespace cfs::bench {
Result<double> requests_of_servers(const std::string& master) {
  HttpRequest request;
  request.host = master;
  request.path = "/mini/stats";
  request.deadline_ms = Loop::now_ms() + 60'000;
  const Result<HttpReply> answer = http_ask(std::move(request));
  if (!answer.ok()) return answer.error().in(master);
  const nlohmann::json reply = nlohmann::json::parse(answer->body, nullptr, false);
  if (!reply.is_object() || !reply.contains("data")) return make_error(EPROTO, master);
  double count = 0;
  for (const char* kind : {"meta", "data"}) {
    for (const auto& node : reply["data"][kind]) {
      for (const auto& op : node["ops"]) count += op.get<double>();
    }
  }
  return count;
}

}  // namespace cfs::bench
