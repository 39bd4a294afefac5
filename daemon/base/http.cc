// SPDX-License-Identifier: Apache-2.0
/// HttpClient on the parser of Boost.Beast; contracts in http.h.
#include "daemon/base/http.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cctype>
#include <memory>

namespace cfs {
namespace {

namespace http = boost::beast::http;
using Parser = http::response_parser<http::string_body>;

constexpr std::int64_t kConnectMs = 2000;
constexpr std::size_t kBlockBytes = 64 << 10;
constexpr std::uint32_t kHeadersMax = 64 << 10;

std::string request_text(const HttpRequest& request) {
  std::string text = (request.post ? "POST " : "GET ") + request.path;
  char mark = '?';
  for (const auto& [key, value] : request.params) {
    text += mark + percent_encode(key) + "=" + percent_encode(value);
    mark = '&';
  }
  text += " HTTP/1.1\r\nHost: " + request.host + "\r\nConnection: close\r\n";
  if (request.post) text += "Content-Length: 0\r\n";
  for (const auto& [name, value] : request.headers) {
    text.append(name).append(": ").append(value).append("\r\n");
  }
  return text + "\r\n";
}

/// Feed the parser; what it does not want yet stays in `pending`.
Result<void> parse(Parser& parser, std::string& pending) {
  while (!pending.empty() && !parser.is_done()) {
    boost::system::error_code error;
    const std::size_t used = parser.put(boost::asio::buffer(pending), error);
    pending.erase(0, used);
    if (error == http::error::need_more) break;
    if (error == http::error::body_limit) return make_error(EMSGSIZE, "the answer is too long");
    if (error) return make_error(EPROTO, "the answer is not HTTP: " + error.message());
  }
  return {};
}

HttpReply to_reply(http::response<http::string_body> message) {
  HttpReply reply;
  reply.status = message.result_int();
  for (const auto& field : message) {
    std::string name(field.name_string());
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    reply.headers[name] = std::string(field.value());
  }
  reply.body = std::move(message.body());
  return reply;
}

Task<void> ask_and_stop(Loop& loop, HttpRequest request, Result<HttpReply>& out) {
  HttpClient client(loop);
  out = co_await client.ask(std::move(request));
  loop.stop();
}

}  // namespace

Result<HttpReply> http_ask(HttpRequest request) {
  auto loop = Loop::create(8);
  if (!loop.ok()) return loop.error();
  Result<HttpReply> reply = HttpReply{};
  (*loop)->spawn(ask_and_stop(**loop, std::move(request), reply));
  (*loop)->run();
  return reply;
}

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

Task<Result<std::vector<Endpoint>>> HttpClient::resolve(std::string host) {
  Result<Endpoint> number = parse_endpoint(host);
  if (number.ok()) co_return std::vector<Endpoint>{*number};
  Result<std::vector<Endpoint>> found = number.error();
  auto* const out = &found;  // both live in this frame until the helper thread is done
  const std::string* const text = &host;
  co_await loop_.offload([out, text] { *out = resolve_endpoints(*text); });
  if (!found.ok()) co_return make_error(EHOSTUNREACH, found.error().what);
  co_return found;
}

Task<Result<HttpReply>> HttpClient::exchange(int fd, std::string text, std::int64_t deadline_ms) {
  Result<void> sent = co_await send_all(loop_, fd, text.data(), text.size(), deadline_ms);
  if (!sent.ok()) co_return sent.error().in("send");
  Parser parser;
  parser.header_limit(kHeadersMax);
  parser.body_limit(kHttpBodyMax);
  parser.eager(true);
  std::string pending;
  const std::unique_ptr<char[]> block(new char[kBlockBytes]);
  while (!parser.is_done()) {
    const std::int64_t left = deadline_ms - Loop::now_ms();
    const int n =
        left <= 0 ? -ETIME : co_await loop_.recv(fd, block.get(), kBlockBytes, Millis(left));
    if (n == -EINTR || n == -EAGAIN) continue;
    if (n < 0) co_return make_error(n == -ETIME ? ETIMEDOUT : -n, "no answer");
    if (n == 0) {
      boost::system::error_code error;
      if (parser.got_some()) parser.put_eof(error);
      if (!parser.is_done()) co_return make_error(ECONNRESET, "closed before the answer's end");
      break;
    }
    pending.append(block.get(), static_cast<std::size_t>(n));
    Result<void> parsed = parse(parser, pending);
    if (!parsed.ok()) co_return parsed.error();
  }
  co_return to_reply(parser.release());
}

Task<Result<HttpReply>> HttpClient::ask(HttpRequest request) {
  const Result<std::vector<Endpoint>> endpoints = co_await resolve(request.host);
  if (!endpoints.ok()) co_return endpoints.error();
  Error last = make_error(ETIMEDOUT, "no time left");
  for (const Endpoint& to : *endpoints) {
    const std::int64_t until = std::min(request.deadline_ms, Loop::now_ms() + kConnectMs);
    if (stopped_) last = make_error(ECANCELED, "stopped");
    if (stopped_ || until <= Loop::now_ms()) break;
    Result<Fd> fd = tcp_socket(to.addr.ss_family, Millis(0));
    if (!fd.ok()) co_return fd.error();
    open_.insert(fd->get());
    Result<void> connected = co_await connect_to(loop_, fd->get(), to, until);
    Result<HttpReply> reply = connected.ok() ? Result<HttpReply>(HttpReply{}) : connected.error();
    if (connected.ok()) {
      reply = co_await exchange(fd->get(), request_text(request), request.deadline_ms);
    }
    open_.erase(fd->get());
    if (stopped_ && !reply.ok()) co_return make_error(ECANCELED, "stopped");
    if (connected.ok()) co_return reply;
    last = connected.error().in("connect");
  }
  co_return last;
}

void HttpClient::stop() {
  stopped_ = true;
  for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
}

}  // namespace cfs
