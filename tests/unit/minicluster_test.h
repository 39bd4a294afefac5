// SPDX-License-Identifier: Apache-2.0
/// Clients and clusters for the tests of the mini cluster's masters and meta nodes.
///
/// Purpose   MetaConn and http_get() use plain sockets, so that a test sees what is on the wire.
/// Lifetime  A TempDir goes with its object; a TestCluster stops in its destructor.
/// Failure   Helpers that cannot do their part fail the test.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>

#include "daemon/wire/packet.h"
#include "tools/minicluster/cluster.h"
#include "tools/minicluster/master.h"

namespace cfs::mini::test {

using nlohmann::json;

inline constexpr int kPatienceMs = 10'000;
inline constexpr int kSilenceMs = 300;

/// Polls until `condition` holds.
template <typename Condition>
bool eventually(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

class TempDir {
 public:
  TempDir() {
    char path[] = "/tmp/cfs-mini-XXXXXX";
    EXPECT_NE(::mkdtemp(path), nullptr);
    path_ = path;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// TCP connection with a receive timeout.
class Socket {
 public:
  explicit Socket(const std::string& address) {
    const size_t colon = address.rfind(':');
    sockaddr_in peer{};
    peer.sin_family = AF_INET;
    peer.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(colon + 1))));
    inet_pton(AF_INET, address.substr(0, colon).c_str(), &peer.sin_addr);
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&peer), sizeof peer) == 0;
  }
  ~Socket() { ::close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  [[nodiscard]] bool connected() const { return connected_; }
  bool send(const std::string& bytes) {
    return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }
  /// What arrives within the time; empty at the end of the stream, too (then *ended is set).
  std::string receive(int timeout_ms, bool* ended = nullptr) {
    timeval limit{timeout_ms / 1000, timeout_ms % 1000 * 1000};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    std::string buffer(64u << 10, '\0');
    const ssize_t n = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (ended != nullptr) *ended = n == 0 || (n < 0 && errno != EAGAIN);
    buffer.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return buffer;
  }

 private:
  int fd_ = -1;
  bool connected_ = false;
};

/// One connection to a meta node.
class MetaConn {
 public:
  explicit MetaConn(const std::string& address) : socket_(address) {}

  [[nodiscard]] bool connected() const { return socket_.connected(); }
  bool send(wire::Packet request) {
    request.h.req_id = ++next_id_;
    return socket_.send(wire::encode(request));
  }
  /// The next reply; nothing when none came in time or the connection ended.
  std::optional<wire::Packet> receive(int timeout_ms = kPatienceMs) {
    for (;;) {
      wire::Packet reply;
      Result<bool> whole = decoder_.next(&reply);
      if (!whole) return std::nullopt;
      if (*whole) return reply;
      std::string bytes = socket_.receive(timeout_ms, &ended_);
      if (bytes.empty()) return std::nullopt;
      decoder_.feed(bytes);
    }
  }
  std::optional<wire::Packet> exchange(wire::Packet request, int timeout_ms = kPatienceMs) {
    if (!send(std::move(request))) return std::nullopt;
    return receive(timeout_ms);
  }
  /// Sends a message; fails the test when there is no answer.
  template <class Req>
  wire::Packet call(const Req& req, uint64_t partition, const std::string& arg = {}) {
    wire::Packet packet = wire::meta_request(Req::kOp, partition, 0, wire::encode(req));
    packet.arg = arg;
    std::optional<wire::Packet> reply = exchange(std::move(packet));
    EXPECT_TRUE(reply.has_value()) << "no answer to opcode " << int{Req::kOp};
    return reply.value_or(wire::Packet{});
  }
  /// ... and takes the good reply apart.
  template <class Req>
  typename Req::Reply ok(const Req& req, uint64_t partition) {
    wire::Packet reply = call(req, partition);
    EXPECT_EQ(reply.h.result, CFS_RC_OK) << reply.data;
    auto message = wire::decode<typename Req::Reply>(reply.data);
    EXPECT_TRUE(message.ok()) << reply.data;
    return message ? std::move(message).value() : typename Req::Reply{};
  }
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  Socket socket_;
  wire::PacketDecoder decoder_;
  int64_t next_id_ = 0;
  bool ended_ = false;
};

struct HttpReply {
  int status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;

  [[nodiscard]] json parsed() const { return json::parse(body, nullptr, false); }
  [[nodiscard]] int code() const { return parsed().value("code", -1); }
};

inline std::string lower_case(std::string s) {
  for (char& c : s) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return s;
}

/// One HTTP exchange; status 0 when there was no whole answer.
inline HttpReply http_get(const std::string& address, const std::string& target,
                          const std::string& extra_headers = {}, int timeout_ms = kPatienceMs) {
  HttpReply reply;
  Socket socket(address);
  socket.send("GET " + target + " HTTP/1.1\r\nHost: " + address + "\r\nConnection: close\r\n" +
              extra_headers + "\r\n");
  std::string all;
  bool ended = false;
  while (!ended) {
    std::string bytes = socket.receive(timeout_ms, &ended);
    if (bytes.empty() && !ended) return reply;
    all += bytes;
  }
  const size_t head_end = all.find("\r\n\r\n");
  if (head_end == std::string::npos) return reply;
  reply.body = all.substr(head_end + 4);
  std::istringstream head(all.substr(0, head_end));
  std::string line;
  std::getline(head, line);
  reply.status = std::atoi(line.substr(line.find(' ') + 1).c_str());
  while (std::getline(head, line)) {
    const size_t colon = line.find(": ");
    if (colon == std::string::npos) continue;
    std::string value = line.substr(colon + 2);
    if (!value.empty() && value.back() == '\r') value.pop_back();
    reply.headers[lower_case(line.substr(0, colon))] = value;
  }
  return reply;
}

/// A running cluster with one volume "testvol" of owner "golden".
class TestCluster {
 public:
  explicit TestCluster(ClusterOptions options = {}, bool with_volume = true) {
    options.dir = dir_.path();
    options.base_port = 0;
    cluster_ = std::make_unique<Cluster>(options);
    Result<void> started = cluster_->start();
    EXPECT_TRUE(started.ok()) << (started.ok() ? "" : started.error().text());
    if (!with_volume) return;
    Volume volume;
    volume.name = "testvol";
    volume.owner = "golden";
    EXPECT_TRUE(cluster_->create_volume(volume).ok());
  }
  Cluster& operator*() { return *cluster_; }
  Cluster* operator->() { return cluster_.get(); }
  [[nodiscard]] std::string master() const { return cluster_->master_addresses().front(); }
  HttpReply get(const std::string& target, const std::string& headers = {}) {
    return http_get(master(), target, headers);
  }
  /// Fault request that has to work.
  void fault(const std::string& query) {
    HttpReply reply = get("/mini/fault?" + query);
    EXPECT_EQ(reply.code(), 0) << query << ": " << reply.body;
  }
  [[nodiscard]] std::vector<MetaPartition> partitions() const {
    std::vector<MetaPartition> all;
    TopologyPtr topology = cluster_->topology().get();
    for (const MetaPartition* mp : topology->meta_of("testvol")) all.push_back(*mp);
    return all;
  }
  [[nodiscard]] std::string leader(const MetaPartition& mp) const {
    return cluster_->meta().leader_of(mp.id);
  }

 private:
  TempDir dir_;
  std::unique_ptr<Cluster> cluster_;
};

inline wire::CreateInodeReq new_file(uint64_t pid, uint32_t mode = 0644) {
  wire::CreateInodeReq req;
  req.vol = "testvol";
  req.pid = pid;
  req.mode = mode;
  req.storage_type = CFS_CLASS_SSD;
  return req;
}

inline wire::CreateDentryReq new_name(uint64_t pid, uint64_t parent, const std::string& name,
                                      uint64_t ino, uint32_t mode = 0644) {
  wire::CreateDentryReq req;
  req.vol = "testvol";
  req.pid = pid;
  req.pino = parent;
  req.ino = ino;
  req.name = name;
  req.mode = mode;
  return req;
}

inline wire::InodeGetReq get_inode(uint64_t pid, uint64_t ino) {
  wire::InodeGetReq req;
  req.vol = "testvol";
  req.pid = pid;
  req.ino = ino;
  return req;
}

}  // namespace cfs::mini::test
