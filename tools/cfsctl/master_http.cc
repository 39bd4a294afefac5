// SPDX-License-Identifier: Apache-2.0
/// HTTP with libcurl; see master_http.h.
#include "tools/cfsctl/master_http.h"

#include <curl/curl.h>

#include <memory>

#include "daemon/app/admin_protocol.h"

namespace cfs::ctl {
namespace {

constexpr std::size_t kBodyMax = 64 << 20;
constexpr long kConnectTimeoutS = 5;

std::size_t take_body(char* data, std::size_t size, std::size_t count, void* body) {
  auto& text = *static_cast<std::string*>(body);
  if (text.size() + size * count > kBodyMax) return 0;
  text.append(data, size * count);
  return size * count;
}

std::string url_of(CURL* curl, const std::string& master, const std::string& path,
                   const std::map<std::string, std::string>& query) {
  std::string url = "http://" + master + path;
  char mark = '?';
  for (const auto& [key, value] : query) {
    char* const escaped = curl_easy_escape(curl, value.c_str(), static_cast<int>(value.size()));
    url += mark + key + "=" + (escaped == nullptr ? "" : escaped);
    curl_free(escaped);
    mark = '&';
  }
  return url;
}

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
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                                 &curl_easy_cleanup);
  if (!curl) return make_error(ENOMEM, "libcurl");
  std::string body;
  const std::string url = url_of(curl.get(), master, path, query);
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &body);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, static_cast<long>(timeout_s));
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT, kConnectTimeoutS);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_PROXY, "");
  const CURLcode done = curl_easy_perform(curl.get());
  if (done != CURLE_OK) {
    return make_error(EIO, "master " + master + ": " + curl_easy_strerror(done));
  }
  return unpack(master, body);
}

}  // namespace cfs::ctl
