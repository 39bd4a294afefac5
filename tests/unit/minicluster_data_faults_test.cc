// SPDX-License-Identifier: Apache-2.0
/// Fault knobs, crashes and recorded traffic against the mini cluster's data nodes. If one of these
/// fails, a fault that a test asks for does not happen, acknowledged data is lost, or the node
/// answers otherwise than the real server did when it was recorded.
#include <signal.h>
#include <sys/wait.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/unit/minicluster_data_test.h"

namespace cfs::mini::test {
namespace {

void set(Cluster& cluster, const char* assignment, size_t node = 0) {
  ASSERT_EQ(cluster.knobs[node]->set(assignment), "");
}

/// A cluster of one node with an extent of ten bytes.
struct OneExtent {
  OneExtent() : cluster(1), extent(cluster.create()), client(cluster.address(0)) {
    EXPECT_EQ(cluster.append(extent, 0, "0123456789"), CFS_RC_OK);
  }
  Cluster cluster;
  uint64_t extent;
  Client client;
};

TEST(DataKnobsText, WrongAssignmentsAreExplained) {
  DataKnobs knobs;
  EXPECT_EQ(knobs.set("delay_ms"), "expected name=value");
  EXPECT_EQ(knobs.set("dealy_ms=1"), "no knob named dealy_ms");
  for (const char* bad : {"delay_ms=x", "delay_ms=", "tiny_ready=2", "read_chunk_bytes=131071",
                          "read_chunk_bytes=5242881", "force_result=3", "force_result=3:256",
                          "drop_reply=1:256", "drop_reply=1:2:3", "full=1:2", "drop_reply=all"}) {
    EXPECT_EQ(knobs.set(bad).find("bad value for "), 0u) << bad;
  }
  EXPECT_EQ(knobs.set("full=all"), "");
  EXPECT_EQ(knobs.set("drop_reply=3:0x03"), "");
  EXPECT_NE(knobs.text().find("full=all\n"), std::string::npos);
  EXPECT_NE(knobs.text().find("drop_reply=3\n"), std::string::npos);
}

TEST(DataFaults, DroppedReplyOfAnExecutedRequest) {
  OneExtent t;
  set(t.cluster, "drop_reply=1:0x03");
  t.cluster.send_read(t.client, t.extent, 0, 4);
  EXPECT_EQ(Cluster::result_of(t.client), CFS_RC_OK) << "another opcode is not touched";
  t.cluster.send_append(t.client, t.extent, 10, "ab");
  EXPECT_TRUE(t.client.silent());
  EXPECT_EQ(t.cluster.bytes(t.extent, 0, 12), "0123456789ab");
  t.cluster.send_append(t.client, t.extent, 12, "c");
  EXPECT_EQ(Cluster::result_of(t.client), CFS_RC_OK);
}

TEST(DataFaults, ClosedInsteadOfAnswered) {
  OneExtent t;
  set(t.cluster, "close_after=1");
  t.cluster.send_append(t.client, t.extent, 10, "ab");
  EXPECT_TRUE(t.client.closed());
  EXPECT_EQ(t.cluster.bytes(t.extent, 10, 2), "ab");
}

TEST(DataFaults, HalfAReply) {
  OneExtent t;
  set(t.cluster, "cut_reply=1");
  t.cluster.send_read(t.client, t.extent, 0, 10);
  EXPECT_TRUE(t.client.readable(kPatienceMs));
  EXPECT_FALSE(t.client.receive());
}

TEST(DataFaults, HalfClose) {
  OneExtent t;
  set(t.cluster, "half_close=1");
  t.cluster.send_append(t.client, t.extent, 10, "ab");
  EXPECT_TRUE(t.client.closed());
  t.cluster.send_append(t.client, t.extent, 12, "cd");
  EXPECT_TRUE(eventually([&] { return t.cluster.bytes(t.extent, 12, 2) == "cd"; }))
      << "the node still listens to this connection";
}

TEST(DataFaults, WrongCrcOnce) {
  OneExtent t;
  set(t.cluster, "corrupt_crc=1:0x05");
  for (const bool good : {false, true}) {
    t.cluster.send_read(t.client, t.extent, 0, 10);
    const auto answer = t.client.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->header.result, CFS_RC_OK);
    EXPECT_EQ(answer->header.crc == crc_of(answer->data), good);
  }
}

TEST(DataFaults, ReadBreaksOffInTheMiddle) {
  Cluster cluster(1);
  const uint64_t extent = cluster.create();
  ASSERT_EQ(cluster.append(extent, 0, pattern(4 * CFS_BLOCK_SIZE)), CFS_RC_OK);
  set(cluster, "read_error=1:2");
  Client client(cluster.address(0));
  cluster.send_read(client, extent, 0, 4 * CFS_BLOCK_SIZE);
  EXPECT_EQ(Cluster::result_of(client), CFS_RC_OK);
  EXPECT_EQ(Cluster::result_of(client), CFS_RC_OK);
  EXPECT_EQ(Cluster::result_of(client), CFS_RC_INTRA_GROUP_NET);
}

TEST(DataFaults, ForcedResultWithoutExecution) {
  OneExtent t;
  set(t.cluster, "force_result=0x03:0xB1:2");
  EXPECT_EQ(t.cluster.append(t.extent, 10, "ab"), CFS_RC_LIMITED_IO);
  EXPECT_EQ(t.cluster.append(t.extent, 10, "ab"), CFS_RC_LIMITED_IO);
  EXPECT_EQ(t.cluster.append(t.extent, 10, "ab"), CFS_RC_OK);
}

TEST(DataFaults, DelayAndHang) {
  OneExtent t;
  set(t.cluster, "delay_ms=300");
  t.cluster.send_read(t.client, t.extent, 0, 10);
  EXPECT_TRUE(t.client.silent());
  EXPECT_EQ(Cluster::result_of(t.client), CFS_RC_OK);
  set(t.cluster, "delay_ms=0");
  set(t.cluster, "hang=1");
  t.cluster.send_append(t.client, t.extent, 10, "ab");
  EXPECT_TRUE(t.client.silent());
  set(t.cluster, "hang=0");
  EXPECT_EQ(Cluster::result_of(t.client), CFS_RC_OK) << "a node that resumes executes what it has";
  set(t.cluster, "hang=1");
  t.cluster.send_append(t.client, t.extent, 12, "cd");
  EXPECT_TRUE(t.client.silent());
  t.cluster.nodes[0]->stop();
  EXPECT_TRUE(t.client.closed()) << "stopping does not wait for a hanging request";
}

TEST(DataFaults, FullPartition) {
  OneExtent t;
  for (const char* full : {"full=7", "full=all"}) {
    set(t.cluster, full);
    EXPECT_EQ(t.cluster.append(t.extent, 10, "ab"), CFS_RC_DISK_NO_SPACE);
    EXPECT_EQ(t.cluster.tiny("ab"), CFS_RC_DISK_NO_SPACE);
    EXPECT_EQ(t.cluster.random(t.extent, 0, "X"), CFS_RC_OK) << "overwrites go on";
  }
  set(t.cluster, "full=8");
  EXPECT_EQ(t.cluster.append(t.extent, 10, "ab"), CFS_RC_OK);
}

TEST(DataFaults, ResetConnections) {
  OneExtent t;
  t.cluster.send_read(t.client, t.extent, 0, 1);
  EXPECT_EQ(Cluster::result_of(t.client), CFS_RC_OK);
  t.cluster.nodes[0]->reset_connections();
  EXPECT_TRUE(t.client.was_reset());
  EXPECT_EQ(t.cluster.bytes(t.extent, 0, 10), "0123456789");
}

// ---- starting, stopping, crashing

TEST(DataLife, StartFailuresAreExplained) {
  Cluster cluster(1);
  DataKnobs knobs;
  TempDir dir;
  const std::string address = cluster.address(0);
  const auto port = static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
  DataNode same_port(dir.path(), "127.0.0.1", port, cluster.directory, knobs);
  const Result<void> in_use = same_port.start();
  EXPECT_EQ(in_use.code(), EADDRINUSE);
  EXPECT_NE(in_use.error().text().find(address), std::string::npos);
  DataNode same_dir(cluster.dir_ + "/node0", "127.0.0.1", 0, cluster.directory, knobs);
  const Result<void> locked = same_dir.start();
  ASSERT_FALSE(locked);
  EXPECT_NE(locked.error().text().find("in use by another"), std::string::npos);
  DataNode no_ip(dir.path(), "localhost", 0, cluster.directory, knobs);
  EXPECT_EQ(no_ip.start().code(), EINVAL);
}

TEST(DataLife, StopClosesConnectionsAndKeepsThePort) {
  OneExtent t;
  const std::string address = t.cluster.address(0);
  t.cluster.nodes[0]->stop();
  EXPECT_TRUE(t.client.closed());
  EXPECT_FALSE(t.cluster.directory.is_up(address));
  ASSERT_TRUE(t.cluster.nodes[0]->start());
  EXPECT_EQ(t.cluster.address(0), address);
  EXPECT_EQ(t.cluster.bytes(t.extent, 0, 10), "0123456789");
  EXPECT_EQ(t.cluster.append(t.extent, 10, "ab"), CFS_RC_OK);
  EXPECT_EQ(t.cluster.nodes[0]->usage(Cluster::kPartition).used_bytes, 12u);
  EXPECT_EQ(t.cluster.nodes[0]->usage().extents, 1u);
  EXPECT_TRUE(eventually([&] { return t.cluster.nodes[0]->connections() == 0; }));
}

/// Runs a node until it is killed; tells its address through the pipe.
[[noreturn]] void run_victim(const std::string& dir, int pipe_end) {
  Cluster cluster(1, dir);
  const std::string address = cluster.address(0);
  if (write(pipe_end, address.data(), address.size()) < 0) _exit(1);
  close(pipe_end);
  while (true) pause();
}

TEST(DataLife, KilledProcessLosesNothingAcknowledged) {
  TempDir dir;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t victim = fork();
  ASSERT_GE(victim, 0);
  if (victim == 0) run_victim(dir.path(), ends[1]);
  close(ends[1]);
  char address[64] = {};
  ASSERT_GT(read(ends[0], address, sizeof(address) - 1), 0);
  close(ends[0]);

  Cluster shape(1);  // only builds packets here
  uint64_t extent = 0;
  uint64_t tiny = 0;
  {
    Client client(address);
    shape.send_create(client);
    extent = client.receive().value_or(Answer{}).header.extent_id;
    shape.send_append(client, extent, 0, pattern(300'000));
    EXPECT_EQ(Cluster::result_of(client), CFS_RC_OK);
    shape.send_random(client, extent, 1000, "overwritten");
    EXPECT_EQ(Cluster::result_of(client), CFS_RC_OK);
    shape.send_tiny(client, "tiny");
    tiny = client.receive().value_or(Answer{}).header.extent_id;
  }
  kill(victim, SIGKILL);
  ASSERT_EQ(waitpid(victim, nullptr, 0), victim);

  Cluster again(1, dir.path());
  EXPECT_EQ(again.bytes(extent, 0, 300'000), pattern(300'000).replace(1000, 11, "overwritten"));
  EXPECT_EQ(again.bytes(tiny, 0, 4), "tiny");
  EXPECT_EQ(again.append(extent, 300'000, "more"), CFS_RC_OK);
  EXPECT_EQ(again.create(), extent + 1);
}

// ---- recorded traffic

using nlohmann::json;

constexpr const char* kRecordedIp = "192.168.77.1:";

/// Replays requests that were sent to a real cluster of three data nodes (17301 to 17303; partition
/// 1 is led by 17303) and compares every answer.
class Replay {
 public:
  Replay() : cluster_(3) {
    cluster_.directory.add_partition({1, {address(17303), address(17301), address(17302)}, 0});
    for (int i = 0; i < 2; ++i) create_extent();  // the recording begins with the third extent
  }

  void file(const std::string& name) {
    std::ifstream in(std::string(CFS_GOLDEN_DIR) + "/probe/" + name);
    ASSERT_TRUE(in) << name;
    std::string line;
    json request;
    for (int number = 1; std::getline(in, line); ++number) {
      json message = json::parse(line);
      if (!message.contains("packet") || message["peer"] != "data") continue;
      const bool begins = message["dir"] == "req";
      if (begins) {
        ask(message);
        request = std::move(message);
      } else {
        SCOPED_TRACE(name + ":" + std::to_string(number));
        compare(request["packet"], message["packet"]);
      }
    }
  }

 private:
  [[nodiscard]] std::string address(int port) const {
    return cluster_.address(static_cast<size_t>(port - 17301));
  }

  void create_extent() {
    Client client(address(17303));
    cfs_pkt_hdr h = cluster_.header(CFS_DOP_CREATE_EXTENT);
    h.partition_id = 1;
    const std::string arg = here("192.168.77.1:17301/192.168.77.1:17302/");
    h.followers = 2;
    h.arg_len = static_cast<uint32_t>(arg.size());
    client.send_packet(h, arg, "");
    EXPECT_EQ(Cluster::result_of(client), CFS_RC_OK);
  }

  /// Recorded addresses replaced by those of our nodes.
  [[nodiscard]] std::string here(std::string text) const {
    for (int port = 17301; port <= 17303; ++port) {
      const std::string recorded = kRecordedIp + std::to_string(port);
      for (size_t at; (at = text.find(recorded)) != std::string::npos;) {
        text.replace(at, recorded.size(), address(port));
      }
    }
    return text;
  }

  static uint32_t hex(const json& value) {
    return static_cast<uint32_t>(std::stoul(value.get<std::string>(), nullptr, 16));
  }

  /// The payload: recordings keep at most 256 bytes of it, which repeat.
  static std::string payload(const json& packet) {
    std::string head = packet.value("data", "");
    if (packet.value("data_kind", "") == "hex") {
      std::string bytes;
      for (size_t i = 0; i < head.size(); i += 2) {
        bytes.push_back(static_cast<char>(std::stoi(head.substr(i, 2), nullptr, 16)));
      }
      head = bytes;
    }
    std::string out;
    const size_t size = packet["data_len"];
    while (out.size() < size) out += head.substr(0, size - out.size());
    if (size > 0) {
      EXPECT_EQ(crc_of(out), hex(packet["data_crc32"]));
    }
    return out;
  }

  cfs_pkt_hdr header_of(const json& packet, const std::string& arg) {
    cfs_pkt_hdr h{};
    h.extent_type = packet["extent_type"];
    h.opcode = static_cast<uint8_t>(hex(packet["opcode"]));
    h.followers = packet["remaining_followers"];
    h.crc = hex(packet["crc"]);
    h.size = packet["size"];
    h.arg_len = static_cast<uint32_t>(arg.size());
    h.partition_id = packet["partition_id"];
    h.extent_id = packet["extent_id"];
    h.extent_offset = packet["extent_offset"];
    h.req_id = packet["req_id"];
    h.kernel_offset = packet["kernel_offset"];
    h.proto_version = packet.value("proto_version", 0);
    if (tiny_ids_.contains(h.extent_id)) h.extent_id = tiny_ids_[h.extent_id];
    return h;
  }

  /// Sends the request, after the appends that the recording leaves out.
  void ask(const json& message) {
    const json& packet = message["packet"];
    arg_ = here(packet["arg"]);
    const std::string data = payload(packet);
    const cfs_pkt_hdr h = header_of(packet, arg_);
    const std::string target = here(message["addr"]);
    client_ = std::make_unique<Client>(target);
    if (is_append(h.opcode) && data.size() == CFS_BLOCK_SIZE) fill_up_to(h, data);
    client_->send_packet(h, arg_, data);
  }

  void fill_up_to(cfs_pkt_hdr h, const std::string& data) {
    const int64_t wanted = h.extent_offset;
    for (h.extent_offset = CFS_BLOCK_SIZE; h.extent_offset < wanted;
         h.extent_offset += CFS_BLOCK_SIZE) {
      client_->send_packet(h, arg_, data);
      EXPECT_EQ(Cluster::result_of(*client_), CFS_RC_OK);
    }
  }

  void compare(const json& request, const json& recorded) {
    const auto answer = client_->receive();
    ASSERT_TRUE(answer);
    const cfs_pkt_hdr& h = answer->header;
    EXPECT_EQ(h.result, hex(recorded["result"])) << answer->data;
    EXPECT_EQ(h.opcode, hex(recorded["opcode"]));
    EXPECT_EQ(h.extent_type, recorded["extent_type"].get<int>());
    EXPECT_EQ(h.followers, recorded["remaining_followers"].get<int>());
    EXPECT_EQ(h.extent_offset, recorded["extent_offset"].get<int64_t>());
    EXPECT_EQ(h.kernel_offset, recorded["kernel_offset"].get<uint64_t>());
    EXPECT_EQ(h.req_id, recorded["req_id"].get<int64_t>());
    EXPECT_EQ(h.crc, hex(recorded["crc"]));
    EXPECT_EQ(answer->arg, here(recorded["arg"]));
    compare_extent(request, recorded, h.extent_id);
    compare_data(recorded, answer->data);
  }

  void compare_extent(const json& request, const json& recorded, uint64_t ours) {
    const uint64_t theirs = recorded["extent_id"];
    const bool assigned_tiny = request["extent_id"] == 0 && theirs <= CFS_TINY_COUNT;
    if (assigned_tiny && theirs != 0) {
      EXPECT_TRUE(ours >= 1 && ours <= CFS_TINY_COUNT);
      tiny_ids_[theirs] = ours;
    } else {
      EXPECT_EQ(ours, tiny_ids_.contains(theirs) ? tiny_ids_[theirs] : theirs);
    }
  }

  /// Payloads are equal but for a position in the server's program text.
  static void compare_data(const json& recorded, const std::string& ours) {
    if (recorded.value("data_kind", "") != "text") {
      EXPECT_EQ(ours.size(), recorded["data_len"].get<size_t>());
      if (!ours.empty()) {
        EXPECT_EQ(crc_of(ours), hex(recorded.value("data_crc32", "0x0")));
      }
      return;
    }
    std::string theirs = recorded["data"];
    const size_t position = theirs.find("[extent_store.go");
    if (position != std::string::npos) {
      theirs.erase(position, theirs.find("] ", position) + 2 - position);
    }
    EXPECT_EQ(ours, theirs);
  }

  Cluster cluster_;
  std::unique_ptr<Client> client_;
  std::string arg_;
  std::map<uint64_t, uint64_t> tiny_ids_;  ///< recorded -> ours
};

TEST(DataGolden, ProbesAreAnsweredAsRecorded) {
  Replay replay;
  for (const char* name :
       {"data_extent_lifecycle.jsonl", "data_large_read.jsonl", "data_tiny.jsonl",
        "data_proto0_write.jsonl", "data_wrong_partition.jsonl", "ping.jsonl"}) {
    replay.file(name);
  }
}

}  // namespace
}  // namespace cfs::mini::test
