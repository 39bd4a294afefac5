// SPDX-License-Identifier: Apache-2.0
/// If these fail, Prometheus is told wrong numbers, or a stranger can read or disturb the daemon
/// through its HTTP port.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmath>
#include <regex>
#include <set>
#include <thread>

#include "daemon/app/http_server.h"
#include "daemon/app/metrics.h"

namespace cfs {
namespace {

MountSample kernel_mount(std::uint32_t session, const std::string& volume) {
  MountSample mount{.instance = "kernel/" + std::to_string(session),
                    .cluster = "c1",
                    .volume = volume,
                    .frontend = "kernel",
                    .ready = true};
  mount.kernel = cfs_stats{};
  return mount;
}

/// Value of the series that begins with `series`, or -1.
double value_of(const std::string& text, const std::string& series) {
  const std::size_t at = ("\n" + text).find("\n" + series + " ");
  return at == std::string::npos ? -1 : std::stod(text.substr(at + series.size()));
}

/// Requests of the operation "lookup" that took at most `le` seconds; -1: there is no such bound.
double lookups_within(const std::string& text, double le) {
  const std::regex line(R"re(duration_seconds_bucket\{op="lookup",le="([^"]+)"\} (\d+))re");
  for (std::sregex_iterator it(text.begin(), text.end(), line), end; it != end; ++it) {
    const double bound = std::stod((*it)[1] == "+Inf" ? "inf" : (*it)[1].str());
    if (bound == le || std::abs(bound - le) < le * 1e-9) return std::stod((*it)[2]);
  }
  return -1;
}

const std::string kVol1 = R"({cluster="c1",volume="vol1",frontend="kernel"})";

TEST(Metrics, MountsOfOneVolumeAreAdded) {
  MetricsSample sample;
  for (std::uint32_t session : {1, 2}) {
    sample.mounts.push_back(kernel_mount(session, "vol1"));
    sample.mounts.back().kernel->read_wire_bytes = 100 * session;
    sample.mounts.back().kernel->uncommitted_bytes = 5;
    sample.mounts.back().kernel->requests[CFS_OP_LOOKUP] = session;
  }
  sample.mounts.push_back(kernel_mount(3, "vol2"));
  Metrics metrics;
  const std::string text = metrics.render(sample);
  EXPECT_EQ(value_of(text, "cubefs_data_read_bytes_total" + kVol1), 300);
  EXPECT_EQ(value_of(text, "cubefs_mounts" + kVol1), 2);
  EXPECT_EQ(value_of(text, "cubefs_uncommitted_bytes" + kVol1), 10);
  EXPECT_EQ(value_of(text, R"(cubefs_requests_total{cluster="c1",volume="vol1",frontend="kernel",)"
                           R"(op="lookup"})"),
            3);
}

TEST(Metrics, CountersOfAVolumeNeverGoDown) {
  Metrics metrics;
  MetricsSample sample;
  sample.mounts.push_back(kernel_mount(1, "vol1"));
  sample.mounts.back().kernel->commits = 7;
  EXPECT_EQ(value_of(metrics.render(sample), "cubefs_commits_total" + kVol1), 7);
  sample.mounts.clear();
  EXPECT_EQ(value_of(metrics.render(sample), "cubefs_commits_total" + kVol1), 7);
  EXPECT_EQ(value_of(metrics.render(sample), "cubefs_mounts" + kVol1), -1);
  sample.mounts.push_back(kernel_mount(2, "vol1"));
  sample.mounts.back().kernel->commits = 2;
  EXPECT_EQ(value_of(metrics.render(sample), "cubefs_commits_total" + kVol1), 9);
  sample.mounts.back().kernel->commits = 1;  // the module was loaded anew: the same session number
  EXPECT_EQ(value_of(metrics.render(sample), "cubefs_commits_total" + kVol1), 10);
}

TEST(Metrics, HistogramIsCumulativeAndEndsWithAll) {
  OpLatency lookup{.op = CFS_OP_LOOKUP};
  lookup.sum.count = 4;
  lookup.sum.errors = 1;
  lookup.sum.total_ns = 3'000'000'000;
  lookup.sum.bucket[10] = 1;  // about a microsecond
  lookup.sum.bucket[20] = 2;  // 1 ms .. 2 ms
  lookup.sum.bucket[40] = 1;  // beyond the last bound
  MetricsSample sample;
  sample.latency = {lookup};
  const std::string text = Metrics().render(sample);
  EXPECT_EQ(lookups_within(text, 8.192e-06), 1);
  EXPECT_EQ(lookups_within(text, 0.001048576), 1);
  EXPECT_EQ(lookups_within(text, 0.002097152), 3);
  EXPECT_EQ(lookups_within(text, 17.179869184), 3);
  EXPECT_EQ(lookups_within(text, INFINITY), 4);
  EXPECT_EQ(value_of(text, R"(cubefs_request_duration_seconds_count{op="lookup"})"), 4);
  EXPECT_EQ(value_of(text, R"(cubefs_request_duration_seconds_sum{op="lookup"})"), 3);
  EXPECT_EQ(value_of(text, R"(cubefs_request_errors_total{op="lookup"})"), 1);
  EXPECT_EQ(value_of(text, "cubefs_latency_tracing"), 1);
}

TEST(Metrics, FuseRequestsHaveAHistogramOfTheirOwn) {
  FuseSample lookup{.op = "LOOKUP", .latency = {}};
  lookup.latency.note(0);
  lookup.latency.note(1'500'000, true);
  lookup.latency.note(1'500'000'000);
  MetricsSample sample;
  sample.fuse = {lookup};
  const std::string text = Metrics().render(sample);
  EXPECT_EQ(lookups_within(text, 0.001048576), 1);
  EXPECT_EQ(lookups_within(text, 0.002097152), 2);
  EXPECT_EQ(value_of(text, R"(cubefs_fuse_request_duration_seconds_count{op="lookup"})"), 3);
  EXPECT_EQ(value_of(text, R"(cubefs_fuse_request_duration_seconds_sum{op="lookup"})"), 1.5015);
  EXPECT_EQ(value_of(text, R"(cubefs_fuse_request_errors_total{op="lookup"})"), 1);
}

TEST(Metrics, CacheAnswersAndHedgesAreCounted) {
  MetricsSample sample;
  sample.mounts.push_back(kernel_mount(1, "vol1"));
  sample.mounts.back().kernel->cache_hits = 5;
  sample.mounts.back().kernel->cache_absent_hits = 3;
  sample.mounts.back().kernel->cache_misses = 2;
  sample.mounts.back().kernel->read_hedges = 4;
  const std::string text = Metrics().render(sample);
  const auto lookups = [&](const std::string& result) {
    return value_of(text, "cubefs_cache_lookups_total" + kVol1.substr(0, kVol1.size() - 1) +
                              ",result=\"" + result + "\"}");
  };
  EXPECT_EQ(lookups("hit"), 5);
  EXPECT_EQ(lookups("absent"), 3);
  EXPECT_EQ(lookups("miss"), 2);
  EXPECT_EQ(value_of(text, "cubefs_data_hedges_total" + kVol1), 4);
}

TEST(Metrics, EachFamilyIsDescribedOnce) {
  MetricsSample sample;
  for (const char* volume : {"vol1", "vol2"}) sample.mounts.push_back(kernel_mount(1, volume));
  sample.mounts.back().instance = "kernel/2";
  const std::string text = Metrics().render(sample);
  const std::regex help("# HELP ([a-z_]+) (.*)");
  std::set<std::string> names;
  for (std::sregex_iterator it(text.begin(), text.end(), help), end; it != end; ++it) {
    EXPECT_TRUE(names.insert((*it)[1]).second) << (*it)[1];
    EXPECT_NE((*it)[2], "") << (*it)[1];
  }
  EXPECT_GT(names.size(), 20U);
  EXPECT_EQ(text.find("# HELP  "), std::string::npos);
}

TEST(HttpRequest, ReadsLineAndHost) {
  const auto request = HttpRequest::parse("GET /metrics?x=1 HTTP/1.1\r\nhOsT:  a:1 \r\n\r\n");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->method, "GET");
  EXPECT_EQ(request->path, "/metrics");
  EXPECT_EQ(request->host, "a:1");
  for (const char* bad :
       {"", "\r\n\r\n", "GET\r\n\r\n", "GET /\r\n\r\n", "GET x HTTP/1.1\r\n\r\n"}) {
    EXPECT_EQ(HttpRequest::parse(bad).code(), EPROTO) << bad;
  }
}

struct HttpTest : testing::Test {
  std::unique_ptr<Loop> loop = Loop::create().value();
  std::unique_ptr<HttpServer> server;
  std::thread thread;
  std::uint16_t port = 0;

  void SetUp() override {
    auto listening = HttpServer::listen(*loop, "127.0.0.1:0", [](const std::string& path) {
      return path == "/page" ? HttpAnswer{.body = std::string(200'000, 'x')}
                             : HttpAnswer{.status = 404};
    });
    ASSERT_TRUE(listening) << listening.error().text();
    server = std::move(listening).value();
    const std::string address = server->address();
    port = static_cast<std::uint16_t>(std::stoi(address.substr(address.find(':') + 1)));
    server->start();
    thread = std::thread([this] { loop->run(); });
  }
  void TearDown() override {
    loop->post([this] {
      server->stop();
      loop->stop();
    });
    thread.join();
  }
  int connected() const {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
    return fd;
  }
  /// The whole answer to some bytes.
  std::string ask(const std::string& bytes) const {
    const int fd = connected();
    EXPECT_EQ(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
    std::string all;
    char chunk[4096];
    for (ssize_t n = 0; (n = ::recv(fd, chunk, sizeof(chunk), 0)) > 0;) {
      all.append(chunk, static_cast<std::size_t>(n));
    }
    ::close(fd);
    return all;
  }
  static std::string get(const std::string& path, const std::string& host = "localhost:9494") {
    return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n";
  }
};

TEST_F(HttpTest, ServesAPageWhole) {
  const std::string answer = ask(get("/page"));
  EXPECT_EQ(answer.rfind("HTTP/1.1 200 OK\r\n", 0), 0U);
  EXPECT_NE(answer.find("Content-Length: 200000\r\n"), std::string::npos);
  EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, 200'000U);
}

TEST_F(HttpTest, HeadHasNoBody) {
  const std::string answer = ask("HEAD /page HTTP/1.1\r\nHost: [::1]:1\r\n\r\n");
  EXPECT_EQ(answer.rfind("HTTP/1.1 200 OK\r\n", 0), 0U);
  EXPECT_EQ(answer.find("\r\n\r\n") + 4, answer.size());
}

TEST_F(HttpTest, RefusesWhatItDoesNotServe) {
  EXPECT_EQ(ask(get("/other")).rfind("HTTP/1.1 404 ", 0), 0U);
  EXPECT_EQ(ask("POST /page HTTP/1.1\r\nHost: localhost\r\n\r\n").rfind("HTTP/1.1 405 ", 0), 0U);
  EXPECT_EQ(ask("rubbish\r\n\r\n").rfind("HTTP/1.1 400 ", 0), 0U);
}

/// A name that a foreign DNS server points at the loopback address must not open the page to a site.
TEST_F(HttpTest, LoopbackAnswersOnlyToLoopbackNames) {
  for (const char* host : {"evil.example", "evil.example:9494", "127.0.0.1.evil.example", ""}) {
    EXPECT_EQ(ask(get("/page", host)).rfind("HTTP/1.1 403 ", 0), 0U) << host;
  }
  for (const char* host : {"127.0.0.1", "127.1.2.3:9494", "localhost", "[::1]:9494"}) {
    EXPECT_EQ(ask(get("/page", host)).rfind("HTTP/1.1 200 ", 0), 0U) << host;
  }
}

TEST_F(HttpTest, EndlessHeadIsCutOff) {
  EXPECT_EQ(ask("GET /page HTTP/1.1\r\nX: " + std::string(9000, 'x')), "");
}

TEST_F(HttpTest, ClientsThatSayNothingDoNotKeepOthersOut) {
  std::vector<int> silent;
  for (std::size_t i = 0; i < HttpServer::kClientsMax - 1; ++i) silent.push_back(connected());
  EXPECT_EQ(ask(get("/page")).rfind("HTTP/1.1 200 ", 0), 0U);
  for (const int fd : silent) ::close(fd);
}

TEST(HttpServer, SaysWhyItCannotListen) {
  const auto loop = Loop::create().value();
  for (const char* address : {"nonsense", "192.0.2.1:1", "127.0.0.1:99999"}) {
    const auto server = HttpServer::listen(*loop, address, {});
    ASSERT_FALSE(server) << address;
    EXPECT_NE(server.error().what.find(address), std::string::npos) << server.error().text();
  }
}

}  // namespace
}  // namespace cfs
