// SPDX-License-Identifier: Apache-2.0
/// Counts of /mini/stats; see servers.h.
#include "tests/bench/servers.h"

#include <curl/curl.h>

#include <memory>
#include <nlohmann/json.hpp>

namespace cfs::bench {
namespace {

std::size_t collect(char* data, std::size_t size, std::size_t n, void* to) {
  static_cast<std::string*>(to)->append(data, size * n);
  return size * n;
}

}  // namespace

Result<double> requests_of_servers(const std::string& master) {
  const std::string url = "http://" + master + "/mini/stats";
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), curl_easy_cleanup);
  std::string body;
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, collect);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &body);
  if (curl_easy_perform(curl.get()) != CURLE_OK) return make_error(EIO, url);
  const nlohmann::json reply = nlohmann::json::parse(body, nullptr, false);
  if (!reply.is_object() || !reply.contains("data")) return make_error(EPROTO, url);
  double count = 0;
  for (const char* kind : {"meta", "data"}) {
    for (const auto& node : reply["data"][kind]) {
      for (const auto& op : node["ops"]) count += op.get<double>();
    }
  }
  return count;
}

}  // namespace cfs::bench
