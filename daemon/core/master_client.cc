// SPDX-License-Identifier: Apache-2.0
/// HttpMaster on libcurl and zlib; contracts in master_client.h.
///
/// Purpose  One easy handle per transfer: masters close each connection, and a fresh handle has no
///          state to share between threads.
#include "daemon/core/master_client.h"

#include <curl/curl.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <mutex>

namespace cfs {
namespace {

constexpr long kConnectMs = 2000;
constexpr std::int64_t kRequestMs = 30000;    // requestTimeout of sdk/master/client.go
constexpr std::size_t kBodyMax = 256u << 20;  // a view of 100,000 partitions has 30 MiB
constexpr const char* kUserAgent = "User-Agent: cubefs-client/0.1";

using Curl = std::unique_ptr<CURL, decltype(&curl_easy_cleanup)>;
using Headers = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

/// A transfer and what came of it.
struct Transfer {
  std::string url;
  bool post = false;
  bool gzip = false;
  std::int64_t limit_ms = 0;
  std::shared_ptr<std::atomic<bool>> stopped;

  std::string body;
  bool body_is_gzip = false;
  long status = 0;
  Error error{0, {}};
};

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* arg) {
  auto& t = *static_cast<Transfer*>(arg);
  if (t.body.size() + size * count > kBodyMax) return 0;  // ends the transfer
  t.body.append(data, size * count);
  return size * count;
}

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* arg) {
  std::string line(data, size * count);
  std::transform(line.begin(), line.end(), line.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (line.rfind("x-cfs-content-encoding:", 0) == 0 && line.find("gzip") != std::string::npos) {
    static_cast<Transfer*>(arg)->body_is_gzip = true;
  }
  return size * count;
}

int on_progress(void* arg, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return *static_cast<Transfer*>(arg)->stopped ? 1 : 0;
}

/// errno of a failed transfer.
int transfer_errno(CURLcode code, CURL* curl) {
  if (code == CURLE_OPERATION_TIMEDOUT) return ETIMEDOUT;
  if (code == CURLE_COULDNT_RESOLVE_HOST) return EHOSTUNREACH;
  if (code == CURLE_ABORTED_BY_CALLBACK) return ECANCELED;
  long os_errno = 0;
  curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_errno);
  if (os_errno != 0) return static_cast<int>(os_errno);
  return code == CURLE_COULDNT_CONNECT ? ECONNREFUSED : EIO;
}

Headers make_headers(bool gzip) {
  curl_slist* list = curl_slist_append(nullptr, "Content-Type: application/json");
  list = curl_slist_append(list, "Connection: close");
  list = curl_slist_append(list, kUserAgent);
  if (gzip) list = curl_slist_append(list, "x-cfs-Accept-Encoding: gzip");
  return {list, &curl_slist_free_all};
}

void set_options(CURL* curl, Transfer& t, curl_slist* headers) {
  curl_easy_setopt(curl, CURLOPT_URL, t.url.c_str());
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
  curl_easy_setopt(curl, CURLOPT_PROXY, "");  // a proxy of the environment is not meant for masters
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, std::min<long>(kConnectMs, t.limit_ms));
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(t.limit_ms));
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &t);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &t);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &t);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  if (t.post) curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
}

void unpack(Transfer& t) {
  auto plain = gunzip(t.body, kBodyMax);
  if (plain.ok()) {
    t.body = std::move(plain).value();
  } else {
    t.error = plain.error();
  }
}

/// Runs on a helper thread.
void run_transfer(Transfer& t) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  const Curl curl(curl_easy_init(), &curl_easy_cleanup);
  if (!curl) {
    t.error = make_error(ENOMEM, "no HTTP handle");
    return;
  }
  const Headers headers = make_headers(t.gzip);
  set_options(curl.get(), t, headers.get());
  const CURLcode code = curl_easy_perform(curl.get());
  if (code != CURLE_OK) {
    t.error = make_error(transfer_errno(code, curl.get()), curl_easy_strerror(code));
    return;
  }
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &t.status);
  if (t.status != 200) {
    t.error = make_error(EPROTO,
                         "HTTP status " + std::to_string(t.status) + ": " + t.body.substr(0, 200));
  } else if (t.body_is_gzip) {
    unpack(t);
  }
}

/// Time for the next attempt.
std::int64_t attempt_ms(const MasterRequest& request) {
  const std::int64_t limit = request.limit_ms > 0 ? request.limit_ms : kRequestMs;
  if (request.deadline_ms == 0) return limit;
  return std::min(limit, request.deadline_ms - Loop::now_ms());
}

std::string make_query(const MasterRequest& request) {
  std::string query;
  for (const auto& [key, value] : request.params) {
    query += query.empty() ? "?" : "&";
    query += percent_encode(key) + "=" + percent_encode(value);
  }
  return request.path + query;
}

}  // namespace

std::string percent_encode(const std::string& text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char ch : text) {
    const auto c = static_cast<unsigned char>(ch);
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
        c == '.' || c == '_' || c == '~') {
      out += ch;
    } else {
      out += '%';
      out += kHex[c >> 4];
      out += kHex[c & 15];
    }
  }
  return out;
}

Result<std::string> gunzip(const std::string& data, std::size_t limit) {
  z_stream z{};
  if (inflateInit2(&z, MAX_WBITS + 16) != Z_OK) return make_error(ENOMEM, "gzip");
  const std::unique_ptr<z_stream, decltype(&inflateEnd)> owner(&z, &inflateEnd);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  z.avail_in = static_cast<uInt>(data.size());
  std::string out;
  char block[65536];
  int code = Z_OK;
  while (code == Z_OK) {
    z.next_out = reinterpret_cast<Bytef*>(block);
    z.avail_out = sizeof(block);
    code = inflate(&z, Z_NO_FLUSH);
    if (code != Z_OK && code != Z_STREAM_END) break;
    out.append(block, sizeof(block) - z.avail_out);
    if (out.size() > limit) return make_error(EMSGSIZE, "gzip body too large");
  }
  if (code != Z_STREAM_END) return make_error(EBADMSG, "bad gzip body");
  return out;
}

HttpMaster::HttpMaster(Loop& loop, std::vector<std::string> masters)
    : loop_(loop),
      masters_(std::move(masters)),
      stopped_(std::make_shared<std::atomic<bool>>(false)) {}

std::vector<std::string> HttpMaster::order() const {
  std::vector<std::string> out;
  if (!leader_.empty()) out.push_back(leader_);
  for (const std::string& m : masters_) {
    if (m != leader_) out.push_back(m);
  }
  return out;
}

Task<Result<std::string>> HttpMaster::ask(MasterRequest request) {
  Error last = make_error(ETIMEDOUT, "no time left to ask a master");
  const std::vector<std::string> masters = order();
  for (const std::string& master : masters) {
    Transfer t;
    t.url = "http://" + master + make_query(request);
    t.post = request.post;
    t.gzip = request.gzip;
    t.limit_ms = attempt_ms(request);
    if (t.limit_ms <= 0) break;
    t.stopped = stopped_;
    ++requests_;
    Transfer* const shared = &t;  // lives in this frame until the helper thread is done
    co_await loop_.offload([shared] { run_transfer(*shared); });
    if (t.error.code == 0) {
      leader_ = master;
      co_return std::move(t.body);
    }
    last = t.error.in("master " + master);
    if (*stopped_) break;
  }
  co_return last.in(request.path);
}

}  // namespace cfs
