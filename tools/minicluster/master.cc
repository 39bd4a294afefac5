// SPDX-License-Identifier: Apache-2.0
/// HTTP side of master.h.
#include "tools/minicluster/master.h"

#include <httplib.h>
#include <zlib.h>

#include <algorithm>

namespace cfs::mini {
namespace {

constexpr size_t kThreads = 16;
/// 5 s, longer than the requests of a master take.
constexpr int kControlTries = 500;
constexpr std::chrono::milliseconds kControlPause{10};
constexpr char kJson[] = "application/json";
/// Private compression of CubeFS; the whole envelope is one gzip stream. Source: proto/header.go.
constexpr char kAcceptEncoding[] = "x-cfs-accept-encoding";
constexpr char kContentEncoding[] = "x-cfs-Content-Encoding";
constexpr char kGzip[] = "gzip";

std::string lower(std::string s) {
  std::transform(s.begin(), s.end(), s.begin(), [](unsigned char c) { return std::tolower(c); });
  return s;
}

/// gzip stream of `text`; empty when zlib fails.
std::string gzip(const std::string& text) {
  z_stream z{};
  constexpr int kGzipWindow = 15 + 16;
  if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) !=
      Z_OK) {
    return {};
  }
  std::string out(deflateBound(&z, text.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  bool ended = deflate(&z, Z_FINISH) == Z_STREAM_END;
  out.resize(ended ? z.total_out : 0);
  deflateEnd(&z);
  return out;
}

MasterRequest to_request(const httplib::Request& in) {
  MasterRequest r;
  r.params = in.params;
  for (const auto& [name, value] : in.headers) r.headers.emplace(lower(name), value);
  r.client_ip = in.remote_addr;
  return r;
}

void send_json(const MasterRequest& request, const std::string& path, std::string body,
               httplib::Response& response) {
  auto wanted = request.headers.find(kAcceptEncoding);
  bool compress =
      path == "/client/partitions" && wanted != request.headers.end() && wanted->second == kGzip;
  if (std::string packed = compress ? gzip(body) : std::string(); !packed.empty()) {
    response.set_header(kContentEncoding, kGzip);
    body = std::move(packed);
  }
  response.set_content(body, kJson);
}

void send_not_found(httplib::Response& response) {
  response.status = 404;
  response.set_header("X-Content-Type-Options", "nosniff");
  response.set_content("404 page not found\n", "text/plain; charset=utf-8");
}

}  // namespace

std::string MasterRequest::get(const std::string& name, const std::string& fallback) const {
  auto it = params.find(name);
  return it == params.end() ? fallback : it->second;
}

bool MasterRequest::flag(const std::string& name, bool fallback) const {
  std::string value = lower(get(name));
  if (value.empty()) return fallback;
  return value == "true" || value == "1" || value == "t";
}

Result<int64_t> MasterRequest::number(const std::string& name, int64_t fallback) const {
  std::string value = get(name);
  if (value.empty()) return fallback;
  size_t used = 0;
  char* end = nullptr;
  errno = 0;
  int64_t n = std::strtoll(value.c_str(), &end, 0);
  used = static_cast<size_t>(end - value.c_str());
  if (errno != 0 || used != value.size()) return make_error(EINVAL, name + " is no number");
  return n;
}

MasterApi::MasterApi(Cluster& cluster) : cluster_(cluster) {
  handlers_ = {
      {"/admin/getIp", &MasterApi::get_ip},
      {"/admin/getVol", &MasterApi::get_vol},
      {"/client/vol", &MasterApi::client_vol},
      {"/client/volStat", &MasterApi::vol_stat},
      {"/client/partitions", &MasterApi::client_partitions},
      {"/client/metaPartitions", &MasterApi::client_meta_partitions},
      {"/dataPartition/get", &MasterApi::get_data_partition},
      {"/admin/getCluster", &MasterApi::get_cluster},
      {"/admin/qosUpload", &MasterApi::qos_upload},
      {"/admin/aclOp", &MasterApi::acl_op},
      {"/quota/list", &MasterApi::quota_list},
      {"/quota/create", &MasterApi::quota_create},
      {"/quota/update", &MasterApi::quota_update},
      {"/quota/delete", &MasterApi::quota_delete},
      {"/admin/uidOp", &MasterApi::uid_op},
      {"/multiVer/getAll", &MasterApi::version_list},
      {"/user/akInfo", &MasterApi::user_ak_info},
      {"/admin/getMonitorPushAddr", &MasterApi::push_addr},
      {"/client/flashGroups", &MasterApi::flash_groups},
      {"/vol/list", &MasterApi::vol_list},
      {"/admin/createVol", &MasterApi::create_vol},
      {"/vol/update", &MasterApi::update_vol},
      {"/vol/forbidden", &MasterApi::forbid_vol},
      {"/vol/delete", &MasterApi::delete_vol},
      {"/mini/fault", &MasterApi::mini_fault},
      {"/mini/stats", &MasterApi::mini_stats},
      {"/mini/topology", &MasterApi::mini_topology},
      {"/mini/log", &MasterApi::mini_log},
      {"/mini/fill", &MasterApi::mini_fill},
      {"/mini/empty", &MasterApi::mini_empty},
  };
}

bool MasterApi::answer(const std::string& master, const std::string& path,
                       const MasterRequest& request, std::string* body) {
  auto it = handlers_.find(path);
  if (it == handlers_.end()) return false;
  {
    std::lock_guard<std::mutex> guard(lock_);
    ++counts_[master][path];
  }
  *body = (this->*it->second)(request);
  return true;
}

Master::Master(std::string ip, uint16_t port, MasterApi& api)
    : ip_(std::move(ip)), port_(port), api_(api) {}

Master::~Master() {
  stop();
}

Result<void> Master::start() {
  std::unique_lock<std::mutex> control = take_control();
  if (!control) return make_error(EBUSY, "master " + address() + " is starting or stopping");
  if (running_) return {};
  hang(false);
  server_ = std::make_unique<httplib::Server>();
  server_->new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server_->set_keep_alive_timeout(1);
  // the library's own choice, SO_REUSEPORT, is refused a port on which another server's connections end
  server_->set_socket_options([](int socket) {
    const int on = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  });
  auto serve_one = [this](const httplib::Request& in, httplib::Response& out) { serve(in, out); };
  server_->Get(".*", serve_one);
  server_->Post(".*", serve_one);
  if (!server_->bind_to_port(ip_.c_str(), port_)) {
    return make_error(EADDRINUSE, "master " + address());
  }
  running_ = true;
  thread_ = std::thread([this] { server_->listen_after_bind(); });
  // stop() has no effect on a server that does not run yet.
  while (!server_->is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return {};
}

/// Waits for a stop() that is under way, but not for ever: the stop() waits for its requests, and this
/// may run in one of them.
std::unique_lock<std::mutex> Master::take_control() {
  std::unique_lock<std::mutex> control(control_, std::defer_lock);
  for (int i = 0; i < kControlTries && !control.try_lock(); ++i) {
    std::this_thread::sleep_for(kControlPause);
  }
  return control;
}

void Master::stop() {
  std::lock_guard<std::mutex> control(control_);
  if (!running_.exchange(false)) return;
  hang(false);
  server_->stop();
  thread_.join();
}

void Master::hang(bool on) {
  std::lock_guard<std::mutex> guard(lock_);
  hung_ = on;
  changed_.notify_all();
}

void Master::wait_while_hung() {
  std::unique_lock<std::mutex> guard(lock_);
  changed_.wait(guard, [this] { return !hung_; });
}

void Master::serve(const httplib::Request& in, httplib::Response& out) {
  MasterRequest request = to_request(in);
  // Fault requests must reach a hung master, how else could it be woken.
  if (in.path.rfind("/mini/", 0) != 0) wait_while_hung();
  std::string body;
  if (!api_.answer(address(), in.path, request, &body)) return send_not_found(out);
  send_json(request, in.path, std::move(body), out);
}

}  // namespace cfs::mini
