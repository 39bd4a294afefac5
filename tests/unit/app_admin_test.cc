// SPDX-License-Identifier: Apache-2.0
/// If this fails, a broken or hostile client of the admin socket can hurt the daemon or the others.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "daemon/app/admin_client.h"
#include "daemon/app/admin_server.h"

namespace cfs {
namespace {

struct Echo final : AdminHandler {
  Task<Result<Json>> run(admin::Command command) override {
    if (command.name == "fail") co_return make_error(EACCES, "no");
    if (command.name == "big") co_return Json{{"text", std::string(300'000, 'x')}};
    co_return Json{{"name", command.name}, {"args", command.args}};
  }
};

struct AdminTest : testing::Test {
  std::string dir =
      std::filesystem::temp_directory_path() / ("cfs-admin-" + std::to_string(::getpid()));
  std::string path = dir + "/sub/cfsd.sock";
  std::unique_ptr<Loop> loop = Loop::create().value();
  Echo echo;
  std::unique_ptr<AdminServer> server;
  std::thread thread;

  void SetUp() override {
    auto listening = AdminServer::listen(*loop, path, echo);
    ASSERT_TRUE(listening) << listening.error().text();
    server = std::move(listening).value();
    server->start();
    thread = std::thread([this] { loop->run(); });
  }
  void TearDown() override {
    loop->post([this] {
      server->stop();
      loop->stop();
    });
    thread.join();
    std::filesystem::remove_all(dir);
  }

  int raw() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, path.size());
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return fd;
  }
  static std::string read_some(int fd) {
    char text[4096];
    const ssize_t n = ::recv(fd, text, sizeof(text), 0);
    return n > 0 ? std::string(text, static_cast<std::size_t>(n)) : std::string();
  }
  static void write_all(int fd, const std::string& text) {
    std::size_t sent = 0;
    while (sent < text.size()) {
      const ssize_t n = ::send(fd, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return;
      sent += static_cast<std::size_t>(n);
    }
  }
  void expect_alive() const {
    auto client = AdminClient::connect(path);
    ASSERT_TRUE(client);
    EXPECT_TRUE(client->call("ping"));
  }
};

TEST_F(AdminTest, AnswersAndErrors) {
  auto client = AdminClient::connect(path);
  ASSERT_TRUE(client);
  const auto answer = client->call("hello", Json{{"a", 1}});
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ((*answer)["args"]["a"], 1);
  const auto refused = client->call("fail");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.code(), EACCES);
  EXPECT_EQ(refused.error().what, "no");
}

TEST_F(AdminTest, SocketIsForItsOwnerOnly) {
  struct stat st {};
  ASSERT_EQ(::stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
}

TEST_F(AdminTest, BadLinesGetAnErrorAndTheConnectionLives) {
  const int fd = raw();
  const std::string deep(20'000, '[');
  for (const std::string& line :
       {std::string("nonsense"), std::string("[]"), std::string("{}"),
        std::string("{\"v\":2,\"cmd\":\"x\"}"), std::string("{\"v\":1,\"cmd\":7}"),
        std::string("{\"v\":1,\"cmd\":\"x\",\"args\":[]}"), deep, std::string("\xff\xfe\x00", 3)}) {
    write_all(fd, line + "\n");
    EXPECT_NE(read_some(fd).find("\"ok\":false"), std::string::npos) << line.substr(0, 40);
  }
  write_all(fd, "{\"v\":1,\"cmd\":\"x\"}\n");
  EXPECT_NE(read_some(fd).find("\"ok\":true"), std::string::npos);
  ::close(fd);
}

TEST_F(AdminTest, SeveralCommandsInOnePacketAndOneInSeveral) {
  const int fd = raw();
  write_all(fd, "{\"v\":1,\"cmd\":\"one\"}\n{\"v\":1,\"cmd\":\"two\"}\n{\"v\":1,");
  std::string seen;
  while (seen.find("two") == std::string::npos) seen += read_some(fd);
  write_all(fd, "\"cmd\":\"three\"}\n");
  EXPECT_NE(read_some(fd).find("three"), std::string::npos);
  ::close(fd);
}

TEST_F(AdminTest, OversizedLineIsCutOff) {
  const int fd = raw();
  write_all(fd, std::string(admin::kLineMax + 100'000, 'a'));
  EXPECT_NE(read_some(fd).find("longer than"), std::string::npos);
  while (!read_some(fd).empty()) {
  }
  ::close(fd);
  expect_alive();
}

TEST_F(AdminTest, ManyClientsAreTurnedAwayNotServedWorse) {
  std::vector<int> clients;
  for (std::size_t i = 0; i < AdminServer::kClientsMax + 20; ++i) clients.push_back(raw());
  // the first ones are in: they are still answered
  write_all(clients[0], "{\"v\":1,\"cmd\":\"x\"}\n");
  EXPECT_NE(read_some(clients[0]).find("\"ok\":true"), std::string::npos);
  EXPECT_NE(read_some(clients.back()).find("too many clients"), std::string::npos);
  for (const int fd : clients) ::close(fd);
  for (int i = 0; i < 100; ++i) {  // places are free again as soon as the loop has seen the ends
    auto client = AdminClient::connect(path);
    if (client && client->call("ping")) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  FAIL() << "places were not freed";
}

TEST_F(AdminTest, ClientThatDoesNotReadDoesNotHoldUpOthers) {
  const int fd = raw();
  for (int i = 0; i < 5; ++i) write_all(fd, "{\"v\":1,\"cmd\":\"big\"}\n");
  expect_alive();
  ::close(fd);
  expect_alive();
}

TEST_F(AdminTest, SilentDaemonIsATimeout) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string silent = dir + "/silent.sock";
  silent.copy(address.sun_path, silent.size());
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ::listen(fd, 1);
  auto client = AdminClient::connect(silent);
  ASSERT_TRUE(client);
  EXPECT_EQ(client->call("ping", Json::object(), 50).code(), ETIMEDOUT);
  ::close(fd);
}

}  // namespace
}  // namespace cfs
