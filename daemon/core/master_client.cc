// SPDX-License-Identifier: Apache-2.0
/// HttpMaster and zlib; contracts in master_client.h.
#include "daemon/core/master_client.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>

namespace cfs {
namespace {

constexpr std::int64_t kRequestMs = 30000;  // requestTimeout of sdk/master/client.go
constexpr const char* kUserAgent = "cubefs-client/0.1";

/// When the next attempt ends.
std::int64_t attempt_end(const MasterRequest& request) {
  const std::int64_t end = Loop::now_ms() + (request.limit_ms > 0 ? request.limit_ms : kRequestMs);
  return request.deadline_ms == 0 ? end : std::min(end, request.deadline_ms);
}

HttpRequest http_request(const std::string& master, const MasterRequest& request) {
  HttpRequest out;
  out.host = master;
  out.path = request.path;
  out.params = request.params;
  out.post = request.post;
  out.headers = {{"Content-Type", "application/json"}, {"User-Agent", kUserAgent}};
  if (request.gzip) out.headers.emplace_back("x-cfs-Accept-Encoding", "gzip");
  out.deadline_ms = attempt_end(request);
  return out;
}

bool is_gzip(const HttpReply& reply) {
  const auto coding = reply.headers.find("x-cfs-content-encoding");
  return coding != reply.headers.end() && coding->second.find("gzip") != std::string::npos;
}

}  // namespace

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
    : loop_(loop), http_(loop), masters_(std::move(masters)) {}

std::vector<std::string> HttpMaster::order() const {
  std::vector<std::string> out;
  if (!leader_.empty()) out.push_back(leader_);
  for (const std::string& m : masters_) {
    if (m != leader_) out.push_back(m);
  }
  return out;
}

/// What the reply holds; a large one is unpacked on a helper thread.
Task<Result<std::string>> HttpMaster::body_of(HttpReply reply) {
  if (reply.status != 200) {
    co_return make_error(
        EPROTO, "HTTP status " + std::to_string(reply.status) + ": " + reply.body.substr(0, 200));
  }
  if (!is_gzip(reply)) co_return std::move(reply.body);
  Result<std::string> plain = std::string();
  auto* const out = &plain;  // both live in this frame until the helper thread is done
  const std::string* const packed = &reply.body;
  co_await loop_.offload([out, packed] { *out = gunzip(*packed, kHttpBodyMax); });
  co_return plain;
}

Task<Result<std::string>> HttpMaster::ask(MasterRequest request) {
  Error last = make_error(ETIMEDOUT, "no time left to ask a master");
  const std::vector<std::string> masters = order();
  for (const std::string& master : masters) {
    HttpRequest attempt = http_request(master, request);
    if (attempt.deadline_ms <= Loop::now_ms()) break;
    ++requests_;
    Result<HttpReply> reply = co_await http_.ask(std::move(attempt));
    Result<std::string> body = reply.ok() ? Result<std::string>(std::string()) : reply.error();
    if (reply.ok()) body = co_await body_of(std::move(*reply));
    if (body.ok()) {
      leader_ = master;
      co_return body;
    }
    last = body.error().in("master " + master);
    if (last.code == ECANCELED) break;
  }
  co_return last.in(request.path);
}

}  // namespace cfs
