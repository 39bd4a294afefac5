// SPDX-License-Identifier: Apache-2.0
/// Masters over HTTP, and the real program killed in the middle of its work.
///
/// Breaks if    a reply lacks a recorded key or has another type, a refusal has another code,
///              several masters disagree, or an acknowledged change is gone after kill -9 and a
///              restart.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <zlib.h>

#include <atomic>
#include <fstream>
#include <mutex>
#include <random>
#include <set>

#include "tests/unit/minicluster_test.h"
#include "tools/minicluster/data_socket.h"

namespace cfs::mini::test {
namespace {

using nlohmann::ordered_json;

/// md5("golden"), as recorded.
constexpr char kAuthKey[] = "c773fdef3889bdadbe809f1e8aaeea46";

/// Same keys in the same order and same types; of lists only the first elements are compared.
void same_shape(const ordered_json& want, const ordered_json& got, const std::string& path) {
  if (want.is_number() && got.is_number()) return;
  ASSERT_EQ(want.type_name(), std::string(got.type_name())) << path;
  if (want.is_array()) {
    if (!want.empty() && !got.empty()) same_shape(want[0], got[0], path + "/#");
    return;
  }
  if (!want.is_object()) return;
  std::vector<std::string> a, b;
  for (const auto& [key, value] : want.items()) a.push_back(key);
  for (const auto& [key, value] : got.items()) b.push_back(key);
  ASSERT_EQ(a, b) << path;
  for (const std::string& key : a) same_shape(want[key], got[key], path + "/" + key);
}

struct GoldenHttp {
  const char* file;
  const char* target;
};

class GoldenMaster : public testing::TestWithParam<GoldenHttp> {};

TEST_P(GoldenMaster, HasRecordedShape) {
  std::ifstream in(std::string(CFS_GOLDEN_DIR) + "/http/" + GetParam().file);
  ASSERT_TRUE(in.good()) << GetParam().file;
  ordered_json record = ordered_json::parse(in);
  TestCluster cluster;
  HttpReply reply = cluster.get(GetParam().target);
  const std::string status = record["status_line"];
  EXPECT_EQ(reply.status, std::atoi(status.substr(status.find(' ') + 1).c_str()));
  for (const auto& header : record["response_headers"]) {
    if (header[0] != "Content-Type") continue;
    EXPECT_EQ(reply.headers["content-type"], header[1].get<std::string>());
  }
  const std::string body = record["response_body"];
  if (reply.status != 200) {
    EXPECT_EQ(reply.body, body);
    return;
  }
  ordered_json want = ordered_json::parse(body), got = ordered_json::parse(reply.body);
  EXPECT_EQ(want["code"], got["code"]) << reply.body;
  same_shape(want, got, "");
}

INSTANTIATE_TEST_SUITE_P(
    Files, GoldenMaster,
    testing::Values(
        GoldenHttp{"go_admin_aclOp.json", "/admin/aclOp?name=testvol&ip=127.0.0.1&op=3"},
        GoldenHttp{"go_admin_getCluster.json", "/admin/getCluster?volStorageClass=false"},
        GoldenHttp{"go_admin_getIp.json", "/admin/getIp"},
        GoldenHttp{"go_admin_getMonitorPushAddr.json", "/admin/getMonitorPushAddr"},
        GoldenHttp{"go_admin_getVol.json", "/admin/getVol?name=testvol"},
        GoldenHttp{"go_admin_qosUpload.json", "/admin/qosUpload?name=testvol&qosEnable=true"},
        GoldenHttp{"go_client_flashGroups.json", "/client/flashGroups"},
        GoldenHttp{"go_client_partitions.json", "/client/partitions?name=testvol"},
        GoldenHttp{"go_client_vol.json",
                   "/client/vol?name=testvol&authKey=c773fdef3889bdadbe809f1e8aaeea46"},
        GoldenHttp{"go_client_volStat.json", "/client/volStat?name=testvol&version=1"},
        GoldenHttp{"probe_admin_getVol_missing.json", "/admin/getVol?name=nosuchvol"},
        GoldenHttp{"probe_client_metaPartitions.json", "/client/metaPartitions?name=testvol"},
        GoldenHttp{"probe_client_vol_bad_authkey.json",
                   "/client/vol?name=testvol&authKey=00000000000000000000000000000000"},
        GoldenHttp{"probe_client_vol_missing.json", "/client/vol?name=nosuchvol"},
        GoldenHttp{"probe_client_vol_no_authkey.json", "/client/vol?name=testvol"},
        GoldenHttp{"probe_dataPartition_get.json", "/dataPartition/get?id=1"},
        GoldenHttp{"probe_quota_list_none.json", "/quota/list?name=testvol"},
        GoldenHttp{"probe_unknown_path.json", "/nosuch/path"},
        GoldenHttp{"probe_vol_list.json", "/vol/list?keywords="}),
    [](const auto& info) {
      std::string name = info.param.file;
      return name.substr(0, name.find('.'));
    });

std::string gunzip(const std::string& packed) {
  z_stream z{};
  inflateInit2(&z, 15 + 16);
  std::string out(1u << 20, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  z.avail_in = static_cast<uInt>(packed.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  const int rc = inflate(&z, Z_FINISH);
  out.resize(rc == Z_STREAM_END ? z.total_out : 0);
  inflateEnd(&z);
  return out;
}

TEST(MasterHttp, CompressesOnlyPartitionsAndOnlyWhenAsked) {
  TestCluster cluster;
  const std::string ask = "x-cfs-Accept-Encoding: gzip\r\n";
  HttpReply plain = cluster.get("/client/partitions?name=testvol");
  EXPECT_FALSE(plain.headers.contains("x-cfs-content-encoding"));
  HttpReply packed = cluster.get("/client/partitions?name=testvol", ask);
  EXPECT_EQ(packed.headers["x-cfs-content-encoding"], "gzip");
  EXPECT_EQ(json::parse(gunzip(packed.body))["data"]["DataPartitions"].size(), 10u);
  HttpReply other = cluster.get("/admin/getVol?name=testvol", ask);
  EXPECT_FALSE(other.headers.contains("x-cfs-content-encoding"));
}

TEST(MasterHttp, OwnerCheckIgnoresCaseAndCanBeSkipped) {
  TestCluster cluster;
  std::string upper = kAuthKey;
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  EXPECT_EQ(cluster.get("/client/vol?name=testvol&authKey=" + upper).code(), 0);
  EXPECT_EQ(cluster.get("/client/vol?name=testvol", "Skip-Owner-Validation: true\r\n").code(), 0);
}

TEST(MasterHttp, VolumeNamesAreChecked) {
  TestCluster cluster;
  for (const char* bad : {"ab", "-abc", "abc-", "a%20b"}) {
    EXPECT_EQ(cluster.get("/admin/getVol?name=" + std::string(bad)).code(), 2) << bad;
  }
  EXPECT_EQ(cluster.get("/admin/getVol").code(), 2);
}

TEST(MasterHttp, CreateVolumeWithSettings) {
  TestCluster cluster;
  const std::string base = "/admin/createVol?owner=golden&name=";
  EXPECT_EQ(cluster.get(base + "volb&capacity=7&replicaNum=1&enableTxMask=all").code(), 0);
  json view = cluster.get("/admin/getVol?name=volb").parsed()["data"];
  EXPECT_EQ(view["Capacity"], 7);
  EXPECT_EQ(view["DpReplicaNum"], 1);
  EXPECT_EQ(view["EnableTransactionV1"], "all");
  EXPECT_EQ(view["MpCnt"], 3);
  EXPECT_EQ(view["DpCnt"], 10);
  EXPECT_EQ(cluster.get(base + "volb").code(), 14) << "duplicate";
  EXPECT_EQ(cluster.get(base + "volc&enableTxMask=nonsense").code(), 2);
  EXPECT_EQ(cluster.get(base + "volc&replicaNum=4").code(), 2);
  EXPECT_EQ(cluster.get("/admin/createVol?name=volc").code(), 2) << "no owner";
  EXPECT_EQ(cluster.get(base + "volc&enableTxMask=off").code(), 0);
  view = cluster.get("/admin/getVol?name=volc").parsed()["data"];
  EXPECT_EQ(view["EnableTransactionV1"], "rename") << "creation cannot say off";
}

TEST(MasterHttp, TransactionsCanBeTurnedOffLater) {
  TestCluster cluster;
  const std::string update =
      std::string("/vol/update?name=testvol&enableTxMask=off&authKey=") + kAuthKey;
  EXPECT_EQ(cluster.get("/vol/update?name=testvol&authKey=0").code(), 34);
  EXPECT_EQ(cluster.get(update).code(), 0);
  auto mask = [&] {
    return cluster.get("/admin/getVol?name=testvol").parsed()["data"]["EnableTransactionV1"];
  };
  EXPECT_EQ(mask(), "rename") << "needs the reset flag";
  EXPECT_EQ(cluster.get(update + "&txForceReset=true").code(), 0);
  EXPECT_EQ(mask(), "off");
}

TEST(MasterHttp, ColdVolumeCanBeSeenAndIsRefusedToOldClients) {
  TestCluster cluster;
  EXPECT_EQ(cluster.get("/admin/createVol?name=cold&owner=golden&volType=1").code(), 0);
  EXPECT_EQ(cluster.get("/admin/createVol?name=blob&owner=golden&volStorageClass=3").code(), 0);
  for (const char* name : {"cold", "blob"}) {
    json view = cluster.get("/admin/getVol?name=" + std::string(name)).parsed()["data"];
    EXPECT_EQ(view["VolType"], 1);
    EXPECT_EQ(view["VolStorageClass"], 3);
    EXPECT_EQ(cluster.get("/client/volStat?name=" + std::string(name)).code(), 2);
    EXPECT_EQ(cluster.get("/client/volStat?version=1&name=" + std::string(name)).code(), 0);
  }
}

TEST(MasterHttp, DeletedVolumeIsMarked) {
  TestCluster cluster;
  EXPECT_EQ(cluster.get("/vol/delete?name=testvol&authKey=0").code(), 34);
  EXPECT_EQ(cluster.get(std::string("/vol/delete?name=testvol&authKey=") + kAuthKey).code(), 0);
  EXPECT_EQ(cluster.get("/admin/getVol?name=testvol").parsed()["data"]["Status"], 1);
}

TEST(MasterHttp, ForbiddenVolumeRefusesCreates) {
  TestCluster cluster;
  EXPECT_EQ(cluster.get("/vol/forbidden?name=testvol&forbidden=true").code(), 0);
  MetaPartition mp = cluster.partitions().front();
  MetaConn conn(cluster.leader(mp));
  EXPECT_EQ(conn.call(new_file(mp.id), mp.id).h.result, CFS_RC_FORBIDDEN);
  EXPECT_EQ(cluster.get("/vol/forbidden?name=testvol&forbidden=false").code(), 0);
  EXPECT_EQ(conn.call(new_file(mp.id), mp.id).h.result, CFS_RC_OK);
}

TEST(MasterHttp, EveryMasterAnswersAndOneMayBeDown) {
  ClusterOptions options;
  options.masters = 3;
  TestCluster cluster(options);
  auto masters = cluster->master_addresses();
  cluster.fault("action=stop&node=" + masters[1]);
  EXPECT_TRUE(eventually([&] { return http_get(masters[1], "/admin/getIp").status == 0; }));
  EXPECT_EQ(http_get(masters[2], "/admin/getVol?name=testvol").body,
            http_get(masters[0], "/admin/getVol?name=testvol").body);
  cluster.fault("action=start&node=" + masters[1]);
  EXPECT_EQ(http_get(masters[1], "/admin/getIp").code(), 0);
  cluster.fault("action=hang&node=" + masters[1]);
  EXPECT_EQ(http_get(masters[1], "/admin/getIp", "", kSilenceMs).status, 0);
  cluster.fault("action=clear");
  EXPECT_EQ(http_get(masters[1], "/admin/getIp").code(), 0);
}

TEST(MasterHttp, ViewsFollowDeadAndMarkedNodes) {
  TestCluster cluster;
  const std::string down = cluster->data_slots()[0]->node->address();
  cluster.fault("action=stop&role=data&index=0");
  json view = cluster.get("/client/partitions?name=testvol").parsed()["data"]["DataPartitions"];
  for (const json& dp : view) EXPECT_EQ(dp["Status"], 1) << "a replica is missing";
  json nodes = cluster.get("/admin/getCluster").parsed()["data"]["DataNodes"];
  EXPECT_EQ(nodes[0]["Addr"], down);
  EXPECT_EQ(nodes[0]["Status"], false);
  cluster.fault("action=start&role=data&index=0");
  cluster.fault("action=status&dp=2&status=ro");
  view = cluster.get("/client/partitions?name=testvol").parsed()["data"]["DataPartitions"];
  EXPECT_EQ(view[0]["Status"], 2);
  EXPECT_EQ(view[1]["Status"], 1);
}

TEST(MasterHttp, FaultRequestsThatMakeNoSenseAreRefused) {
  TestCluster cluster;
  for (const char* bad :
       {"action=nonsense", "action=stop&node=1.2.3.4:5", "action=leader&mp=1",
        "action=leader&mp=1&to=9", "action=delay&value=x", "action=status&dp=1&status=x",
        "action=split&vol=nosuchvol", "action=knob&knob=nonsense&value=1"}) {
    EXPECT_EQ(cluster.get("/mini/fault?" + std::string(bad)).code(), 2) << bad;
  }
}

TEST(MasterHttp, DataNodeKnobsAreReached) {
  TestCluster cluster;
  cluster.fault("action=knob&knob=full&value=1");
  for (const auto& slot : cluster->data_slots()) EXPECT_TRUE(slot->knobs.is_full(1));
  const std::string node = cluster->data_slots()[1]->node->address();
  cluster.fault("action=drop_reply&op=0x03&count=2&node=" + node);
  EXPECT_EQ(cluster->data_slots()[1]->knobs.drop_reply.left(), 2u);
}

/// The server of an ended connection may keep its port for a minute (TIME_WAIT).
TEST(ClusterState, TakesAPortThatAnotherServerHadAMomentAgo) {
  ClusterOptions options;
  const std::string master = TestCluster(options).master();  // ports of its choice, free again
  options.base_port = static_cast<uint16_t>(std::stoi(master.substr(master.find(':') + 1)));
  {
    Result<Fd> listener = listen_tcp(options.ip, options.base_port);
    ASSERT_TRUE(listener.ok());
    Socket client(master);
    ::close(::accept(listener->get(), nullptr, nullptr));  // first, so that its end has to wait
    bool ended = false;
    client.receive(kPatienceMs, &ended);
    ASSERT_TRUE(ended);
  }
  TempDir dir;
  options.dir = dir.path();
  Cluster cluster(options);
  Result<void> started = cluster.start();
  EXPECT_TRUE(started.ok()) << (started.ok() ? "" : started.error().text());
}

TEST(ClusterState, SurvivesARestart) {
  TempDir dir;
  ClusterOptions options;
  options.dir = dir.path();
  options.base_port = 0;
  std::string masters;
  uint64_t ino = 0, pid = 0;
  {
    Cluster cluster(options);
    ASSERT_TRUE(cluster.start().ok());
    Volume volume;
    volume.name = "testvol";
    volume.owner = "golden";
    ASSERT_TRUE(cluster.create_volume(volume).ok());
    EXPECT_EQ(cluster.create_volume(volume).code(), EEXIST);
    masters = cluster.master_addresses().front();
    pid = cluster.topology().get()->meta_of("testvol").front()->id;
    MetaConn conn(cluster.meta().leader_of(pid));
    ino = conn.ok(new_file(pid), pid).info.ino;
  }
  Cluster cluster(options);
  ASSERT_TRUE(cluster.start().ok());
  EXPECT_EQ(cluster.master_addresses().front(), masters) << "ports are kept";
  MetaConn conn(cluster.meta().leader_of(pid));
  EXPECT_EQ(conn.ok(get_inode(pid, ino), pid).info.ino, ino);
  Cluster second(options);
  EXPECT_FALSE(second.start().ok()) << "the directory is in use";
}

/// The real executable in a process of its own.
class Program {
 public:
  explicit Program(const std::string& dir) : dir_(dir) {}
  ~Program() { kill_now(); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  bool start() {
    const std::string ready = dir_ + "/ready";
    std::filesystem::remove(ready);
    pid_ = ::fork();
    if (pid_ == 0) {
      const std::string path = std::string(CFS_BINARY_DIR) + "/tools/minicluster/cfs-minicluster";
      const int null = ::open("/dev/null", O_WRONLY);
      ::dup2(null, STDOUT_FILENO);
      ::execl(path.c_str(), path.c_str(), "--dir", (dir_ + "/state").c_str(), "--base-port", "0",
              "--volume", "testvol:golden", "--ready-file", ready.c_str(), nullptr);
      ::_exit(127);
    }
    return eventually([&] { return std::filesystem::exists(ready); });
  }
  [[nodiscard]] std::string master() const {
    std::ifstream in(dir_ + "/ready");
    std::string address;
    in >> address;
    return address;
  }
  void kill_now() { end(SIGKILL); }
  int stop() { return end(SIGTERM); }

 private:
  int end(int signal) {
    if (pid_ <= 0) return 0;
    ::kill(pid_, signal);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }
  const std::string dir_;
  pid_t pid_ = -1;
};

/// What a load thread has been told to exist.
struct Acknowledged {
  std::mutex lock;
  std::map<std::string, std::pair<uint64_t, uint32_t>> files;  ///< name -> ino, size
};

struct Row {
  uint64_t id = 0;
  std::string leader;
};

Row first_partition(const std::string& master) {
  json all = http_get(master, "/client/metaPartitions?name=testvol").parsed()["data"];
  return {all.at(0)["PartitionID"], all.at(0)["LeaderAddr"]};
}

/// Creates, names, writes a key; notes what was acknowledged as far as it was.
void load(const Row& mp, int thread, int round, Acknowledged* done) {
  MetaConn conn(mp.leader);
  for (int i = 0;; ++i) {
    auto made = conn.exchange(
        wire::meta_request(CFS_MOP_CREATE_INODE, mp.id, 0, wire::encode(new_file(mp.id))), 2000);
    if (!made || !made->ok()) return;
    const uint64_t ino = wire::decode<wire::InodeReply>(made->data)->info.ino;
    const std::string name =
        std::to_string(round) + "-" + std::to_string(thread) + "-" + std::to_string(i);
    auto named =
        conn.exchange(wire::meta_request(CFS_MOP_CREATE_DENTRY, mp.id, 0,
                                         wire::encode(new_name(mp.id, CFS_ROOT_INO, name, ino))),
                      2000);
    if (!named || !named->ok()) return;
    {
      std::lock_guard<std::mutex> guard(done->lock);
      done->files[name] = {ino, 0};
    }
    wire::ExtentAddCheckReq add;
    add.pid = mp.id;
    add.ino = ino;
    add.extent = {0, 1, 5000, 0, 100, 0, std::nullopt};
    auto added = conn.exchange(
        wire::meta_request(CFS_MOP_EXTENT_ADD_CHECK, mp.id, 0, wire::encode(add)), 2000);
    if (!added || !added->ok()) return;
    std::lock_guard<std::mutex> guard(done->lock);
    done->files[name] = {ino, 100};
  }
}

void check(const Row& mp, const Acknowledged& done) {
  MetaConn conn(mp.leader);
  std::set<uint64_t> inos;
  for (const auto& [name, file] : done.files) {
    wire::LookupReq look;
    look.pid = mp.id;
    look.pino = CFS_ROOT_INO;
    look.name = name;
    ASSERT_EQ(conn.ok(look, mp.id).ino, file.first) << name;
    ASSERT_GE(conn.ok(get_inode(mp.id, file.first), mp.id).info.size, file.second) << name;
    EXPECT_TRUE(inos.insert(file.first).second) << "inode number given twice";
  }
  wire::InodeInfo root = conn.ok(get_inode(mp.id, CFS_ROOT_INO), mp.id).info;
  wire::ReadDirReq list;
  list.pid = mp.id;
  list.pino = CFS_ROOT_INO;
  EXPECT_EQ(root.nlink, 2 + conn.ok(list, mp.id).children.size());
}

TEST(Program, LosesNothingAcknowledgedWhenKilled) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::minstd_rand random(seed);
  TempDir dir;
  Acknowledged done;
  Program program(dir.path());
  for (int round = 0; round < 4; ++round) {
    ASSERT_TRUE(program.start()) << "is tools/minicluster/cfs-minicluster built?";
    const Row mp = first_partition(program.master());
    check(mp, done);
    if (testing::Test::HasFatalFailure()) return;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) threads.emplace_back(load, mp, t, round, &done);
    std::this_thread::sleep_for(std::chrono::milliseconds(100 + random() % 300));
    program.kill_now();
    for (std::thread& t : threads) t.join();
  }
  EXPECT_GT(done.files.size(), 100u);
  ASSERT_TRUE(program.start());
  check(first_partition(program.master()), done);
}

TEST(Program, StopsCleanlyOnSigterm) {
  TempDir dir;
  Program program(dir.path());
  ASSERT_TRUE(program.start());
  const int status = program.stop();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace cfs::mini::test
