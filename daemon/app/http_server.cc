// SPDX-License-Identifier: Apache-2.0
/// HTTP pages on the loop; see http_server.h.
#include "daemon/app/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <sstream>

namespace cfs {
namespace {

constexpr int kBacklog = 16;
constexpr Millis kAcceptPause{100};

bool is_loopback(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

std::string text_of(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
    return std::string(text.data()) + ":" + std::to_string(ntohs(v4.sin_port));
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  ::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
  return "[" + std::string(text.data()) + "]:" + std::to_string(ntohs(v6.sin6_port));
}

/// "localhost:9494", "127.0.0.1", "[::1]:9494": names that no foreign DNS server can point here.
bool is_loopback_name(const std::string& host) {
  std::string name = host;
  if (!name.empty() && name.front() == '[') {
    name = name.substr(0, name.find(']') + 1);
  } else {
    name = name.substr(0, name.find(':'));
  }
  in_addr v4{};
  if (::inet_pton(AF_INET, name.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  return name == "localhost" || name == "[::1]";
}

const char* reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    default:
      return "Method Not Allowed";
  }
}

std::string encode(const HttpAnswer& answer, bool with_body) {
  std::ostringstream out;
  out << "HTTP/1.1 " << answer.status << " " << reason(answer.status) << "\r\n"
      << "Content-Type: " << answer.type << "\r\n"
      << "Content-Length: " << answer.body.size() << "\r\n"
      << "Cache-Control: no-store\r\n"
      << "X-Content-Type-Options: nosniff\r\n"
      << "Content-Security-Policy: default-src 'self' 'unsafe-inline'; img-src data:; "
         "frame-ancestors 'none'\r\n"
      << "Connection: close\r\n\r\n";
  if (with_body) out << answer.body;
  return out.str();
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

/// Value of a header line "Name: value" if it has this name (in lower case).
bool header_value(const std::string& line, const std::string& name, std::string& value) {
  const std::size_t colon = line.find(':');
  if (colon == std::string::npos || lower(line.substr(0, colon)) != name) return false;
  const std::size_t from = line.find_first_not_of(" \t", colon + 1);
  const std::size_t to = line.find_last_not_of(" \t\r");
  value = from == std::string::npos || to < from ? "" : line.substr(from, to - from + 1);
  return true;
}

}  // namespace

Result<HttpRequest> HttpRequest::parse(const std::string& head) {
  std::istringstream lines(head);
  std::string line;
  std::getline(lines, line);
  std::istringstream words(line);
  HttpRequest request;
  std::string version;
  words >> request.method >> request.path >> version;
  if (version.rfind("HTTP/1.", 0) != 0 || request.path.front() != '/') {
    return make_error(EPROTO, "no HTTP/1 request");
  }
  request.path = request.path.substr(0, request.path.find('?'));
  while (std::getline(lines, line)) {
    if (header_value(line, "host", request.host)) break;
  }
  return request;
}

Result<std::unique_ptr<HttpServer>> HttpServer::listen(Loop& loop, const std::string& address,
                                                       Handler handler) {
  const auto endpoint = parse_endpoint(address);
  if (!endpoint) return endpoint.error().in("--metrics " + address);
  Fd fd(::socket(endpoint->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return errno_error("socket");
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const auto* const to = reinterpret_cast<const sockaddr*>(&endpoint->addr);
  if (::bind(fd.get(), to, endpoint->len) < 0 || ::listen(fd.get(), kBacklog) < 0) {
    return errno_error("--metrics " + address);
  }
  sockaddr_storage bound{};
  socklen_t len = sizeof(bound);
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &len);
  return std::unique_ptr<HttpServer>(
      new HttpServer(loop, std::move(fd), text_of(bound), is_loopback(bound), std::move(handler)));
}

void HttpServer::start() {
  spdlog::info("metrics and status page: http://{}/", address_);
  loop_.spawn(accept_clients());
}

void HttpServer::stop() {
  if (stopping_) return;
  stopping_ = true;
  ::shutdown(fd_.get(), SHUT_RDWR);
  for (const int client : clients_) ::shutdown(client, SHUT_RDWR);
}

Task<void> HttpServer::accept_clients() {
  while (!stopping_) {
    const int client = co_await loop_.accept(fd_.get());
    if (client >= 0 && clients_.size() < kClientsMax && !stopping_) {
      clients_.insert(client);
      loop_.spawn(serve(client));
    } else if (client >= 0) {
      ::close(client);
    } else if (!stopping_) {
      // out of descriptors or memory: clients wait in the backlog
      co_await loop_.sleep(kAcceptPause);
    }
  }
}

/// Everything up to the empty line; "" when the client was too slow, sent too much or went away.
Task<std::string> HttpServer::read_head(int client) {
  const std::int64_t until = Loop::now_ms() + kClientTime.count();
  std::string head;
  std::array<char, 1024> chunk{};
  while (head.find("\r\n\r\n") == std::string::npos) {
    const Millis left(until - Loop::now_ms());
    if (left <= Millis(0) || head.size() > kHeadMax) co_return std::string();
    const int n = co_await loop_.recv(client, chunk.data(), chunk.size(), left);
    if (n <= 0) co_return std::string();
    head.append(chunk.data(), static_cast<std::size_t>(n));
  }
  co_return head;
}

HttpAnswer HttpServer::answer(const Result<HttpRequest>& request) const {
  HttpAnswer refusal;
  if (!request) {
    refusal.status = 400;
  } else if (request->method != "GET" && request->method != "HEAD") {
    refusal.status = 405;
  } else if (loopback_ && !is_loopback_name(request->host)) {
    refusal.status = 403;
  } else {
    return handler_(request->path);
  }
  refusal.body = std::string(reason(refusal.status)) + "\n";
  return refusal;
}

Task<void> HttpServer::serve(int client) {
  const std::string head = co_await read_head(client);
  if (!head.empty()) {
    const auto request = HttpRequest::parse(head);
    const bool with_body = !request || request->method != "HEAD";
    const std::string out = encode(answer(request), with_body);
    const std::int64_t until = Loop::now_ms() + kClientTime.count();
    const auto sent = co_await send_all(loop_, client, out.data(), out.size(), until);
    if (!sent) spdlog::debug("metrics: {}", sent.error().text());
  }
  clients_.erase(client);
  ::close(client);
}

}  // namespace cfs
