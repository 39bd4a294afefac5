// SPDX-License-Identifier: Apache-2.0
/// HttpClient against a scripted server. Breaks: a master whose answer comes in pieces, cut or not at all is misread or waited for
/// for ever.
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <thread>

#include "daemon/base/http.h"
#include "tests/peer.h"

namespace cfs {
namespace {

using namespace std::chrono_literals;

/// Accepts one connection, reads a request, sends `pieces` with a pause after each, closes. Nothing to send: it waits.
class OneAnswer {
 public:
  explicit OneAnswer(std::vector<std::string> pieces) : pieces_(std::move(pieces)) {
    thread_ = std::thread([this] { serve(); });
  }
  ~OneAnswer() {
    peer_.leave();
    thread_.join();
  }
  [[nodiscard]] std::string address() const { return peer_.address(); }
  [[nodiscard]] std::string port() const { return address().substr(address().find(':') + 1); }
  /// What was asked: when the client has its answer.
  [[nodiscard]] const std::string& asked() const { return asked_; }

 private:
  void serve() {
    const Fd conn = peer_.take();
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
  test::Peer peer_;
  std::string asked_;
  std::thread thread_;
};

class HttpTest : public ::testing::TestWithParam<const char*> {
 protected:
  HttpTest() : loop_(make_loop()), client_(*loop_) {}

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
    request.host = server.address();
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
  static std::unique_ptr<Loop> make_loop() {
    ::setenv("CFS_LOOP", GetParam(), 1);
    auto loop = Loop::create(8).value();
    ::unsetenv("CFS_LOOP");
    return loop;
  }
  std::unique_ptr<Loop> loop_;
  HttpClient client_;
};

INSTANTIATE_TEST_SUITE_P(Backends, HttpTest, ::testing::Values("uring", "poll"));

TEST_P(HttpTest, RequestAndAnswer) {
  const OneAnswer server({"HTTP/1.1 200 OK\r\nX-Cfs-Thing: 7\r\nContent-Length: 5\r\n\r\nhello"});
  HttpRequest request;
  request.host = server.address();
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

TEST_P(HttpTest, PostHasALength) {
  const OneAnswer server({"HTTP/1.1 204 No Content\r\n\r\n"});
  HttpRequest request;
  request.host = server.address();
  request.post = true;
  const Result<HttpReply> reply = ask(request);
  ASSERT_TRUE(reply.ok()) << reply.error().text();
  EXPECT_EQ(204u, reply->status);
  EXPECT_NE(std::string::npos, server.asked().find("POST /x HTTP/1.1\r\n"));
  EXPECT_NE(std::string::npos, server.asked().find("Content-Length: 0\r\n"));
}

TEST_P(HttpTest, AnswerInPieces) {
  const OneAnswer server(
      {"HTT", "P/1.1 403 Forbi", "dden\r\nContent-Le", "ngth: 4\r", "\n\r\nn", "op", "e"});
  const Result<HttpReply> reply = get(server);
  ASSERT_TRUE(reply.ok()) << reply.error().text();
  EXPECT_EQ(403u, reply->status);
  EXPECT_EQ("nope", reply->body);
}

TEST_P(HttpTest, Chunks) {
  const OneAnswer server({"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
                          "lo\r\n6", "\r\n world\r\n0\r\n\r\n"});
  const Result<HttpReply> reply = get(server);
  ASSERT_TRUE(reply.ok()) << reply.error().text();
  EXPECT_EQ("hello world", reply->body);
}

TEST_P(HttpTest, UntilItCloses) {
  const OneAnswer server({"HTTP/1.0 200 OK\r\n\r\nall of ", "it"});
  const Result<HttpReply> reply = get(server);
  ASSERT_TRUE(reply.ok()) << reply.error().text();
  EXPECT_EQ("all of it", reply->body);
}

TEST_P(HttpTest, LongBody) {
  const std::string body(3u << 20, 'x');
  const OneAnswer server(
      {"HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body});
  const Result<HttpReply> reply = get(server);
  ASSERT_TRUE(reply.ok()) << reply.error().text();
  EXPECT_EQ(body, reply->body);
}

TEST_P(HttpTest, CutShort) {
  EXPECT_EQ(ECONNRESET, get(OneAnswer({"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"})).code());
  EXPECT_EQ(ECONNRESET, get(OneAnswer({"HTTP/1.1 20"})).code());
  EXPECT_EQ(ECONNRESET, get(OneAnswer({""})).code());
}

TEST_P(HttpTest, NotHttp) {
  EXPECT_EQ(EPROTO, get(OneAnswer({"SSH-2.0-OpenSSH_9.2\r\n\r\n"})).code());
  EXPECT_EQ(EPROTO, get(OneAnswer({"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n"})).code());
}

TEST_P(HttpTest, TooLong) {
  EXPECT_EQ(EMSGSIZE,
            get(OneAnswer({"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"})).code());
}

TEST_P(HttpTest, SilentServerIsWaitedForUntilTheDeadline) {
  const OneAnswer server({});
  HttpRequest request;
  request.host = server.address();
  const std::int64_t begin = Loop::now_ms();
  request.deadline_ms = begin + 200;
  EXPECT_EQ(ETIMEDOUT, ask(request).code());
  EXPECT_GE(Loop::now_ms() - begin, 200);
}

TEST_P(HttpTest, StopEndsWhatRuns) {
  const OneAnswer server({});
  HttpRequest request;
  request.host = server.address();
  request.deadline_ms = Loop::now_ms() + 600000;
  EXPECT_EQ(ECANCELED, ask(request, Millis(50)).code());
}

TEST_P(HttpTest, NoSuchHost) {
  HttpRequest request;
  request.host = "no-such-host.invalid:80";
  EXPECT_EQ(EHOSTUNREACH, ask(request).code());
}

TEST_P(HttpTest, Refused) {
  HttpRequest request;
  request.host = "127.0.0.1:1";
  EXPECT_EQ(ECONNREFUSED, ask(request).code());
}

/// Where the name is ::1 as well, nobody listens there.
TEST_P(HttpTest, NamesAreResolved) {
  const OneAnswer server({"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"});
  HttpRequest request;
  request.host = "localhost:" + server.port();
  const Result<HttpReply> reply = ask(request);
  ASSERT_TRUE(reply.ok()) << reply.error().text();
  EXPECT_EQ("ok", reply->body);
}

}  // namespace
}  // namespace cfs
