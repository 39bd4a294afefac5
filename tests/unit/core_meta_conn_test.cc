// SPDX-License-Identifier: Apache-2.0
/// If this fails, replies of meta nodes that arrive in other pieces than the usual one are misread, or a connection on which
/// something else than the reply came is used again.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <thread>

#include "daemon/core/meta_conn.h"

namespace cfs {
namespace {

constexpr std::size_t kWhole = 1u << 30;

class MetaConnTest : public testing::Test {
 protected:
  /// What exchange() makes of `bytes`, sent in pieces of `piece` bytes as soon as the request is there.
  Result<wire::Packet> answer_with(const std::string& bytes, std::size_t piece) {
    int ends[2];
    EXPECT_EQ(0, ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    Fd ours(ends[0]), theirs(ends[1]);
    auto loop = std::move(Loop::create()).value();
    PathProbe probe(*loop, std::move(parse_endpoint("127.0.0.1:1")).value(), {});
    MetaConn conn(*loop, std::move(ours), traffic_, probe);
    std::thread server([&] {
      std::string request(wire::encode(request_).size(), '\0');
      EXPECT_EQ(static_cast<ssize_t>(request.size()),
                ::recv(theirs.get(), request.data(), request.size(), MSG_WAITALL));
      for (std::size_t at = 0; at < bytes.size(); at += piece) {
        const std::string part = bytes.substr(at, piece);
        EXPECT_EQ(static_cast<ssize_t>(part.size()),
                  ::send(theirs.get(), part.data(), part.size(), MSG_NOSIGNAL));
        if (piece != kWhole) ::usleep(200);
      }
      ::shutdown(theirs.get(), SHUT_WR);
    });
    Result<wire::Packet> got = make_error(EIO, {});
    loop->spawn(ask(&conn, request_, loop.get(), &got));
    loop->run();
    server.join();
    return got;
  }

  static Task<void> ask(MetaConn* conn, wire::Packet request, Loop* loop,
                        Result<wire::Packet>* out) {
    bool sent = false;
    *out = co_await conn->exchange(std::move(request), Loop::now_ms() + 10'000, &sent);
    EXPECT_TRUE(sent);
    loop->stop();
  }

  [[nodiscard]] std::string reply(const std::string& body) const {
    return wire::encode(wire::make_reply(request_, CFS_RC_OK, body));
  }

  const wire::Packet request_ = wire::meta_request(CFS_MOP_LOOKUP, 7, 42, "{}");
  MetaTraffic traffic_;
};

TEST_F(MetaConnTest, RepliesComeInAnyPieces) {
  for (const std::size_t body : {0u, 1u, 300u, 5000u}) {
    const std::string text(body, 'x');
    for (const std::size_t piece : {std::size_t{1}, std::size_t{57}, std::size_t{64}, kWhole}) {
      if (body == 5000 && piece == 1) continue;
      const Result<wire::Packet> got = answer_with(reply(text), piece);
      ASSERT_TRUE(got.ok()) << body << " by " << piece << ": " << got.error().text();
      EXPECT_EQ(text, got->data);
      EXPECT_EQ(42, got->h.req_id);
    }
  }
}

TEST_F(MetaConnTest, ALargeBodyFollowsTheFirstBytes) {
  const std::string text(3u << 20, 'y');
  const Result<wire::Packet> got = answer_with(reply(text), kWhole);
  ASSERT_TRUE(got.ok()) << got.error().text();
  EXPECT_EQ(text, got->data);
}

TEST_F(MetaConnTest, BytesThatNobodyAskedForAreNoReply) {
  EXPECT_EQ(EBADMSG, answer_with(reply("{}") + "z", kWhole).code());
}

TEST_F(MetaConnTest, AReplyThatEndsInTheMiddleIsNone) {
  const std::string whole = reply("some body");
  for (const std::size_t have : {std::size_t{10}, std::size_t{57}, whole.size() - 1})
    EXPECT_EQ(ECONNRESET, answer_with(whole.substr(0, have), kWhole).code()) << have;
}

}  // namespace
}  // namespace cfs
