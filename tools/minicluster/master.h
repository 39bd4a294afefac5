// SPDX-License-Identifier: Apache-2.0
/// The masters of the mini cluster: HTTP.
///
/// Purpose   MasterApi answers requests, Master is one listening address. All masters give the same
///           answers: in a real cluster followers hand requests on to the leader.
/// Lifetime  The cluster owns both; the api outlives the masters. A Master may be stopped and
///           started.
/// Threads   MasterApi from any thread. Master: every method from any thread, but stop() not from
///           a request that it serves; start() waits 5 s for a stop() under way, then is EBUSY.
/// Failure   Application errors are HTTP 200 with a code in the envelope, unknown paths 404, as
///           recorded.
/// Source    CubeFS v3.5.3, master/http_server.go, api_service.go, proto/admin_proto.go.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "daemon/base/result.h"

namespace httplib {
class Server;
struct Request;
struct Response;
}  // namespace httplib

namespace cfs::mini {

class Cluster;

/// A request as the handlers see it.
struct MasterRequest {
  std::multimap<std::string, std::string> params;
  std::multimap<std::string, std::string> headers;  ///< names in lower case
  std::string client_ip;

  [[nodiscard]] bool has(const std::string& name) const { return params.contains(name); }
  [[nodiscard]] std::string get(const std::string& name, const std::string& fallback = {}) const;
  [[nodiscard]] bool flag(const std::string& name, bool fallback = false) const;
  /// Number in decimal or 0x form; EINVAL when there is something else.
  [[nodiscard]] Result<int64_t> number(const std::string& name, int64_t fallback) const;
};

class MasterApi {
 public:
  /// Body of the answer, an envelope.
  using Handler = std::string (MasterApi::*)(const MasterRequest&);

  explicit MasterApi(Cluster& cluster);

  /// Answers; false for a path that does not exist.
  bool answer(const std::string& master, const std::string& path, const MasterRequest& request,
              std::string* body);

 private:
  // master_client.cc
  std::string get_ip(const MasterRequest& r);
  std::string get_vol(const MasterRequest& r);
  std::string client_vol(const MasterRequest& r);
  std::string vol_stat(const MasterRequest& r);
  std::string client_partitions(const MasterRequest& r);
  std::string client_meta_partitions(const MasterRequest& r);
  std::string get_data_partition(const MasterRequest& r);
  std::string get_cluster(const MasterRequest& r);
  std::string qos_upload(const MasterRequest& r);
  std::string acl_op(const MasterRequest& r);
  std::string version_list(const MasterRequest& r);
  std::string user_ak_info(const MasterRequest& r);
  std::string push_addr(const MasterRequest& r);
  std::string flash_groups(const MasterRequest& r);
  std::string vol_list(const MasterRequest& r);
  // master_admin.cc
  std::string create_vol(const MasterRequest& r);
  std::string update_vol(const MasterRequest& r);
  std::string forbid_vol(const MasterRequest& r);
  std::string delete_vol(const MasterRequest& r);
  // master_quota.cc
  std::string quota_create(const MasterRequest& r);
  std::string quota_update(const MasterRequest& r);
  std::string quota_delete(const MasterRequest& r);
  std::string quota_list(const MasterRequest& r);
  std::string uid_op(const MasterRequest& r);
  // master_mini.cc
  std::string mini_fault(const MasterRequest& r);
  std::string mini_stats(const MasterRequest& r);
  std::string mini_topology(const MasterRequest& r);
  std::string mini_log(const MasterRequest& r);
  std::string mini_fill(const MasterRequest& r);
  std::string mini_empty(const MasterRequest& r);

  Cluster& cluster_;
  std::map<std::string, Handler> handlers_;  ///< fixed after construction
  std::atomic<uint64_t> next_qos_id_{1001};
  std::mutex fault_lock_;  ///< nodes are started and stopped by one request at a time
  std::mutex lock_;
  std::map<std::string, std::map<std::string, uint64_t>> counts_;  ///< lock_: master, path
};

class Master {
 public:
  Master(std::string ip, uint16_t port, MasterApi& api);
  ~Master();
  Master(const Master&) = delete;
  Master& operator=(const Master&) = delete;

  Result<void> start();
  void stop();
  /// Accepts, but does not answer until hang(false) or stop().
  void hang(bool on);

  [[nodiscard]] std::string address() const { return ip_ + ":" + std::to_string(port_); }
  [[nodiscard]] bool running() const { return running_.load(); }

 private:
  void serve(const httplib::Request& request, httplib::Response& response);
  void wait_while_hung();
  std::unique_lock<std::mutex> take_control();

  const std::string ip_;
  const uint16_t port_;
  MasterApi& api_;
  std::atomic<bool> running_{false};
  std::unique_ptr<httplib::Server> server_;
  std::thread thread_;
  std::mutex control_;  ///< held by start() and stop()
  std::mutex lock_;
  std::condition_variable changed_;
  bool hung_ = false;  ///< lock_
};

}  // namespace cfs::mini
