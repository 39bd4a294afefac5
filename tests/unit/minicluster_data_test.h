// SPDX-License-Identifier: Apache-2.0
/// A raw client and a small cluster for the tests of the mini cluster's data nodes.
///
/// Purpose   Speaks the packet format by hand, so that a test sees bytes and not what a client
/// library
///           makes of them.
/// Lifetime  One Cluster per test, in a temporary directory that goes with it.
/// Failure   Helpers that cannot do their part fail the test.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cubefs/cfs_wire.h"
#include "tools/minicluster/data_node.h"

namespace cfs::mini::test {

inline constexpr int kPatienceMs = 10'000;
inline constexpr int kSilenceMs = 200;

inline uint32_t crc_of(const std::string& data) {
  return static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const unsigned char*>(data.data()), data.size()));
}

inline std::string pattern(size_t size, int seed = 0) {
  std::string out(size, '\0');
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<char>(7 * i + seed + 13 * (i >> 8));
  return out;
}

/// Polls until `condition` holds.
template <typename Condition>
bool eventually(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

struct Answer {
  cfs_pkt_hdr header{};
  size_t header_bytes = 0;
  std::string versions;
  std::string arg;
  std::string data;
};

/// One connection. `expect_*` helpers wait up to kPatienceMs.
class Client {
 public:
  explicit Client(const std::string& address) {
    const size_t colon = address.rfind(':');
    sockaddr_in peer{};
    peer.sin_family = AF_INET;
    peer.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(colon + 1))));
    inet_pton(AF_INET, address.substr(0, colon).c_str(), &peer.sin_addr);
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&peer), sizeof(peer)), 0) << address;
  }
  ~Client() { close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void send_raw(const std::string& bytes) {
    EXPECT_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }

  void send_packet(const cfs_pkt_hdr& header, const std::string& arg, const std::string& data,
                   const std::string& versions = "") {
    uint8_t raw[CFS_PKT_HDR_MAX];
    const size_t size = cfs_pkt_encode(&header, raw);
    send_raw(std::string(reinterpret_cast<char*>(raw), size) + versions + arg + data);
  }

  [[nodiscard]] bool readable(int wait_ms) const {
    pollfd p{fd_, POLLIN, 0};
    return poll(&p, 1, wait_ms) == 1;
  }
  /// Nothing arrives, not even the end of the stream.
  [[nodiscard]] bool silent() const { return !readable(kSilenceMs); }
  /// The peer closes without sending another byte.
  [[nodiscard]] bool closed() const {
    char byte = 0;
    return readable(kPatienceMs) && recv(fd_, &byte, 1, 0) <= 0;
  }
  /// The peer resets the connection.
  [[nodiscard]] bool was_reset() const {
    char byte = 0;
    return readable(kPatienceMs) && recv(fd_, &byte, 1, 0) < 0 && errno == ECONNRESET;
  }

  std::optional<Answer> receive() {
    Answer out;
    std::string raw;
    if (!read(raw, CFS_PKT_HDR)) return std::nullopt;
    const size_t size = cfs_pkt_hdr_len(static_cast<uint8_t>(raw[1]));
    if (!read(raw, size - CFS_PKT_HDR)) return std::nullopt;
    const int decoded =
        cfs_pkt_decode(reinterpret_cast<const uint8_t*>(raw.data()), raw.size(), &out.header);
    EXPECT_GT(decoded, 0);
    out.header_bytes = size;
    if ((out.header.extent_type & CFS_ET_VERSION_LIST) != 0) {
      if (!read(out.versions, 2)) return std::nullopt;
      const size_t entries = static_cast<unsigned char>(out.versions[1]);
      if (!read(out.versions, entries * CFS_VER_ENTRY)) return std::nullopt;
    }
    if (!read(out.arg, out.header.arg_len) || !read(out.data, out.header.size)) return std::nullopt;
    return out;
  }

  void half_close() const { shutdown(fd_, SHUT_WR); }

 private:
  bool read(std::string& out, size_t size) const {
    const size_t before = out.size();
    out.resize(before + size);
    for (size_t done = 0; done < size;) {
      if (!readable(kPatienceMs)) return false;
      const ssize_t n = recv(fd_, out.data() + before + done, size - done, 0);
      if (n <= 0) return false;
      done += static_cast<size_t>(n);
    }
    return true;
  }

  int fd_ = -1;
};

/// A directory that disappears with the object.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "cfs-data-XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// `count` nodes, all hosts of partition kPartition; node 0 is primary and leader.
class Cluster {
 public:
  static constexpr uint64_t kPartition = 7;

  explicit Cluster(size_t count, std::string dir = "") : dir_(std::move(dir)) {
    if (dir_.empty()) dir_ = temp_.path();
    DataPartitionConfig config{kPartition, {}, 0};
    for (size_t i = 0; i < count; ++i) {
      knobs.push_back(std::make_unique<DataKnobs>());
      nodes.push_back(std::make_unique<DataNode>(dir_ + "/node" + std::to_string(i), "127.0.0.1", 0,
                                                 directory, *knobs.back()));
      EXPECT_TRUE(nodes.back()->bind());
      config.hosts.push_back(nodes.back()->address());
    }
    directory.set_election_time(std::chrono::milliseconds(0));
    directory.add_partition(config);
    for (auto& node : nodes) EXPECT_TRUE(node->start());
  }

  [[nodiscard]] std::string address(size_t node) const { return nodes[node]->address(); }
  /// Arg for requests that `primary` forwards to all others.
  [[nodiscard]] std::string followers_of(size_t primary = 0) const {
    std::string arg;
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (i != primary) arg += address(i) + "/";
    }
    return nodes.size() == 1 ? "/" : arg;
  }
  [[nodiscard]] uint8_t follower_count() const {
    return nodes.size() == 1 ? CFS_FOLLOWERS_SINGLE : static_cast<uint8_t>(nodes.size() - 1);
  }

  /// Header of a request as a current client sends it (69 bytes).
  [[nodiscard]] cfs_pkt_hdr header(uint8_t opcode) const {
    cfs_pkt_hdr h{};
    h.extent_type = CFS_ET_NORMAL | CFS_ET_PROTO_VERSION;
    h.opcode = opcode;
    h.partition_id = kPartition;
    h.req_id = next_id_++;
    h.proto_version = CFS_PROTO_VERSION;
    return h;
  }

  void send_create(Client& client, size_t primary = 0) const {
    cfs_pkt_hdr h = header(CFS_DOP_CREATE_EXTENT);
    h.followers = follower_count();
    h.size = 8;
    const std::string arg = followers_of(primary);
    h.arg_len = static_cast<uint32_t>(arg.size());
    client.send_packet(h, arg, std::string(8, '\1'));
  }

  cfs_pkt_hdr append_header(uint64_t extent, int64_t offset, const std::string& data,
                            uint8_t opcode = CFS_DOP_WRITE) const {
    cfs_pkt_hdr h = header(opcode);
    h.followers = follower_count();
    h.extent_id = extent;
    h.extent_offset = offset;
    h.kernel_offset = static_cast<uint64_t>(offset) + 5;
    h.size = static_cast<uint32_t>(data.size());
    h.crc = crc_of(data);
    h.arg_len = static_cast<uint32_t>(followers_of().size());
    return h;
  }
  void send_append(Client& client, uint64_t extent, int64_t offset, const std::string& data) const {
    client.send_packet(append_header(extent, offset, data), followers_of(), data);
  }
  void send_tiny(Client& client, const std::string& data) const {
    cfs_pkt_hdr h = append_header(0, 0, data);
    h.extent_type = CFS_ET_PROTO_VERSION;
    client.send_packet(h, followers_of(), data);
  }
  void send_random(Client& client, uint64_t extent, int64_t offset, const std::string& data,
                   uint8_t opcode = CFS_DOP_RANDOM_WRITE) const {
    cfs_pkt_hdr h = append_header(extent, offset, data, opcode);
    h.followers = 0;
    h.arg_len = 0;
    client.send_packet(h, "", data);
  }
  void send_read(Client& client, uint64_t extent, int64_t offset, uint32_t size,
                 uint8_t opcode = CFS_DOP_STREAM_READ) const {
    cfs_pkt_hdr h = header(opcode);
    h.extent_id = extent;
    h.extent_offset = offset;
    h.kernel_offset = 99;
    h.size = size;
    client.send_packet(h, "", "");
  }

  // One request on a connection of its own; the result code, 0 when there was no answer.
  uint8_t append(uint64_t extent, int64_t offset, const std::string& data, size_t node = 0) const {
    Client client(address(node));
    client.send_packet(append_header(extent, offset, data), followers_of(node), data);
    return result_of(client);
  }
  uint8_t random(uint64_t extent, int64_t offset, const std::string& data, size_t node = 0) const {
    Client client(address(node));
    send_random(client, extent, offset, data);
    return result_of(client);
  }
  uint8_t tiny(const std::string& data) const {
    Client client(address(0));
    send_tiny(client, data);
    return result_of(client);
  }
  uint8_t read_code(uint64_t extent, int64_t offset, uint32_t size, size_t node = 0,
                    uint8_t opcode = CFS_DOP_STREAM_FOLLOWER_READ) const {
    Client client(address(node));
    send_read(client, extent, offset, size, opcode);
    return result_of(client);
  }
  uint64_t create(size_t node = 0) const {
    Client client(address(node));
    send_create(client, node);
    const auto answer = client.receive();
    EXPECT_TRUE(answer && answer->header.result == CFS_RC_OK);
    return answer ? answer->header.extent_id : 0;
  }
  /// The bytes one replica has, read with 0x06; the result code's name on failure.
  std::string bytes(uint64_t extent, int64_t offset, uint32_t size, size_t node = 0) const {
    Client client(address(node));
    send_read(client, extent, offset, size, CFS_DOP_STREAM_FOLLOWER_READ);
    std::string out;
    while (out.size() < size) {
      const auto answer = client.receive();
      if (!answer) return "no answer";
      if (answer->header.result != CFS_RC_OK) return "refused: " + answer->data;
      EXPECT_EQ(answer->header.crc, crc_of(answer->data));
      out += answer->data;
    }
    return out;
  }
  static uint8_t result_of(Client& client) {
    const auto answer = client.receive();
    return answer ? answer->header.result : 0;
  }

  TempDir temp_;
  std::string dir_;
  DataDirectory directory;
  std::vector<std::unique_ptr<DataKnobs>> knobs;
  std::vector<std::unique_ptr<DataNode>> nodes;

 private:
  mutable int64_t next_id_ = 1000;
};

}  // namespace cfs::mini::test
