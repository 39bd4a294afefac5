// SPDX-License-Identifier: Apache-2.0
/// HttpClient against a scripted server. Breaks: a master whose answer comes in pieces, cut or not at all is misread or waited for
/// for ever.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <optional>
#include <thread>

#include "daemon/base/http.h"

namespace cfs {
namespace {

using namespace std::chrono_literals;

/// Accepts one connection, reads a request, sends `pieces` with a pause after each, closes. Nothing to send: it waits.
class OneAnswer {
 public:
  explicit OneAnswer(std::vector<std::string> pieces)
      : pieces_(std::move(pieces)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in addr{};
    addr.sin_family = AF_INET;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof(addr);
    EXPECT_EQ(0, ::bind(listener_.get(), reinterpret_cast<sockaddr*>(&addr), len));
    EXPECT_EQ(0, ::listen(listener_.get(), 4));
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&addr), &len);
    port_ = std::to_string(ntohs(addr.sin_port));
    thread_ = std::thread([this] { serve(); });
  }
  ~OneAnswer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  [[nodiscard]] const std::string& port() const { return port_; }
  /// What was asked; after the destructor of nothing: call when the client is done.
  [[nodiscard]] const std::string& asked() const { return asked_; }

 private:
  void serve() {
    const Fd conn(::accept(listener_.get(), nullptr, nullptr));
    if (!conn) return;
    char block[4096];
    while (asked_.find("\r\n\r\n") == std::string::npos) {
      const ssize_t n = ::recv(conn.get(), block, sizeof(block), 0);
      if (n <= 0) return;
      asked_.append(block, static_cast<std::size_t>(n));
    }
    for (const std::string& piece : pieces_) {
      if (::send(conn.get(), piece.data(), piece.size(), MSG_NOSIGNAL) < 0) return;
      std::this_thread::sleep_for(5ms);
    }
    if (pieces_.empty()) (void)::recv(conn.get(), block, sizeof(block), 0);
  }

  std::vector<std::string> pieces_;
  Fd listener_;
  std::string port_;
  std::string asked_;
  std::thread thread_;
};

class HttpTest : public ::testing::Test {
 protected:
  HttpTest() : loop_(Loop::create(8).value()), client_(*loop_) {}

  Result<HttpReply> ask(HttpRequest request, std::optional<Millis> stop_after = {}) {
    if (request.deadline_ms == 0) request.deadline_ms = Loop::now_ms() + 5000;
    if (request.path.empty()) request.path = "/x";
    Result<HttpReply> reply = make_error(EINVAL, "never asked");
    loop_->spawn(run(std::move(request), reply));
    if (stop_after) loop_->spawn(stop(*stop_after));
    loop_->run();
    return reply;
  }
  Result<HttpReply> get(const OneAnswer& server) {
    HttpRequest request;
    request.host = "127.0.0.1:" + server.port();
    return ask(std::move(request));
  }

 private:
  Task<void> run(HttpRequest request, Result<HttpReply>& out) {
    out = co_await client_.ask(std::move(request));
    loop_->stop();
  }
  Task<void> stop(Millis after) {
    co_await loop_->sleep(after);
    client_.stop();
  }
  std::unique_ptr<Loop> loop_;
  HttpClient client_;
};

TEST_F(HttpTest, RequestAndAnswer) {
  const OneAnswer server({"HTTP/1.1 200 OK\r\nX-Cfs-Thing: 7\r\nContent-Length: 5\r\n\r\nhello"});
  HttpRequest request;
  request.host = "127.0.0.1:" + server.port();
  request.path = "/admin/get";
  request.params = {{"name", "a b"}, {"key", "ü"}};
  request.headers = {{"X-Mine", "yes"}};
  const Result<HttpReply> reply = ask(request);
  ASSERT_TRUE(reply.ok()) << reply.error().text();
  EXPECT_EQ(200u, reply->status);
  EXPECT_EQ("hello", reply->body);
  EXPECT_EQ("7", reply->headers.at("x-cfs-thing"));
  EXPECT_EQ("GET /admin/get?name=a%20b&key=%C3%BC HTTP/1.1\r\nHost: " + request.host +
                "\r\nConnection: close\r\nX-Mine: yes\r\n\r\n",
            server.asked());
}

TEST_F(HttpTest, PostHasALength) {
  const OneAnswer server({"HTTP/1.1 204 No Content\r\n\r\n"});
  HttpRequest request;
  request.host = "127.0.0.1:" + server.port();
  request.post = true;
  const Result<HttpReply> reply = ask(request);
  ASSERT_TRUE(reply.ok()) << reply.error().text();
  EXPECT_EQ(204u, reply->status);
  EXPECT_NE(std::string::npos, server.asked().find("POST /x HTTP/1.1\r\n"));
  EXPECT_NE(std::string::npos, server.asked().find("Content-Length: 0\r\n"));
}

TEST_F(HttpTest, AnswerInPieces) {
  const OneAnswer server(
      {"HTT", "P/1.1 403 Forbi", "dden\r\nContent-Le", "ngth: 4\r", "\n\r\nn", "op", "e"});
  const Result<HttpReply> reply = get(server);
  ASSERT_TRUE(reply.ok()) << reply.error().text();
  EXPECT_EQ(403u, reply->status);
  EXPECT_EQ("nope", reply->body);
}

TEST_F(HttpTest, Chunks) {
  const OneAnswer server({"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
                          "lo\r\n6", "\r\n world\r\n0\r\n\r\n"});
  const Result<HttpReply> reply = get(server);
  ASSERT_TRUE(reply.ok()) << reply.error().text();
  EXPECT_EQ("hello world", reply->body);
}

TEST_F(HttpTest, UntilItCloses) {
  const OneAnswer server({"HTTP/1.0 200 OK\r\n\r\nall of ", "it"});
  const Result<HttpReply> reply = get(server);
  ASSERT_TRUE(reply.ok()) << reply.error().text();
  EXPECT_EQ("all of it", reply->body);
}

TEST_F(HttpTest, LongBody) {
  const std::string body(3u << 20, 'x');
  const OneAnswer server(
      {"HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body});
  const Result<HttpReply> reply = get(server);
  ASSERT_TRUE(reply.ok()) << reply.error().text();
  EXPECT_EQ(body, reply->body);
}

TEST_F(HttpTest, CutShort) {
  EXPECT_EQ(ECONNRESET, get(OneAnswer({"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"})).code());
  EXPECT_EQ(ECONNRESET, get(OneAnswer({"HTTP/1.1 20"})).code());
  EXPECT_EQ(ECONNRESET, get(OneAnswer({""})).code());
}

TEST_F(HttpTest, NotHttp) {
  EXPECT_EQ(EPROTO, get(OneAnswer({"SSH-2.0-OpenSSH_9.2\r\n\r\n"})).code());
  EXPECT_EQ(EPROTO, get(OneAnswer({"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n"})).code());
}

TEST_F(HttpTest, TooLong) {
  EXPECT_EQ(EMSGSIZE,
            get(OneAnswer({"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"})).code());
}

TEST_F(HttpTest, SilentServerIsWaitedForUntilTheDeadline) {
  const OneAnswer server({});
  HttpRequest request;
  request.host = "127.0.0.1:" + server.port();
  const std::int64_t begin = Loop::now_ms();
  request.deadline_ms = begin + 200;
  EXPECT_EQ(ETIMEDOUT, ask(request).code());
  EXPECT_GE(Loop::now_ms() - begin, 200);
}

TEST_F(HttpTest, StopEndsWhatRuns) {
  const OneAnswer server({});
  HttpRequest request;
  request.host = "127.0.0.1:" + server.port();
  request.deadline_ms = Loop::now_ms() + 600000;
  EXPECT_EQ(ECANCELED, ask(request, Millis(50)).code());
}

TEST_F(HttpTest, NoSuchHost) {
  HttpRequest request;
  request.host = "no-such-host.invalid:80";
  EXPECT_EQ(EHOSTUNREACH, ask(request).code());
}

TEST_F(HttpTest, Refused) {
  HttpRequest request;
  request.host = "127.0.0.1:1";
  EXPECT_EQ(ECONNREFUSED, ask(request).code());
}

/// Where the name is ::1 as well, nobody listens there.
TEST_F(HttpTest, NamesAreResolved) {
  const OneAnswer server({"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"});
  HttpRequest request;
  request.host = "localhost:" + server.port();
  const Result<HttpReply> reply = ask(request);
  ASSERT_TRUE(reply.ok()) << reply.error().text();
  EXPECT_EQ("ok", reply->body);
}

}  // namespace
}  // namespace cfs
