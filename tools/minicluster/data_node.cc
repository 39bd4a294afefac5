// SPDX-License-Identifier: Apache-2.0
/// One data node of the mini cluster; see data_node.h.
#include "tools/minicluster/data_node.h"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "tools/minicluster/data_session.h"

namespace cfs::mini {
namespace {

/// Pause after accept(2) failed for want of descriptors or memory, so as not to spin.
constexpr std::chrono::milliseconds kAcceptPause{50};

}  // namespace

DataNode::DataNode(std::string dir, std::string listen_ip, uint16_t port, DataDirectory& directory,
                   DataKnobs& knobs)
    : dir_(std::move(dir)),
      ip_(std::move(listen_ip)),
      port_(port),
      directory_(directory),
      knobs_(knobs) {}

DataNode::~DataNode() {
  stop();
}

std::string DataNode::address() const {
  return ip_ + ":" + std::to_string(port_.load());
}

Result<void> DataNode::lock_directory() {
  std::error_code error;
  std::filesystem::create_directories(dir_, error);
  if (error) return make_error(error.value(), "create " + dir_);
  const std::string path = dir_ + "/LOCK";
  lock_ = Fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock_.valid()) return errno_error("open " + path);
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) return {};
  const Error busy = make_error(EBUSY, dir_ + " is in use by another process");
  lock_.reset();
  return busy;
}

Result<void> DataNode::bind() {
  if (listener_.valid()) return {};
  Result<Fd> listener = listen_tcp(ip_, port_);
  if (!listener) return listener.error();
  listener_ = std::move(listener.value());
  port_ = bound_port(listener_.get());
  return {};
}

Result<void> DataNode::start() {
  if (running_) return {};
  Result<void> started = open_and_listen();
  if (started) return {};
  lock_.reset();
  return started.error().in("data node " + address());
}

Result<void> DataNode::open_and_listen() {
  if (Result<void> locked = lock_directory(); !locked) return locked;
  Result<std::shared_ptr<NodeStore>> store = NodeStore::open(dir_);
  if (!store) return store.error();
  if (Result<void> bound = bind(); !bound) return bound;
  wake_ = Fd(::eventfd(0, EFD_CLOEXEC));
  if (!wake_.valid()) return errno_error("eventfd");
  service_ = std::make_unique<DataService>(address(), store.value(), directory_, knobs_);
  {
    const std::lock_guard lock(mutex_);
    store_ = store.value();
  }
  directory_.attach(address(), store.value());
  running_ = true;
  acceptor_ = std::thread([this] { accept_loop(); });
  return {};
}

void DataNode::stop() {
  if (!running_.exchange(false)) {
    listener_.reset();
    return;
  }
  const uint64_t one = 1;
  if (::write(wake_.get(), &one, sizeof(one)) < 0) spdlog::error("data node {}: wake", address());
  acceptor_.join();
  listener_.reset();
  directory_.detach(address());
  std::list<std::unique_ptr<DataSession>> sessions;
  {
    const std::lock_guard lock(mutex_);
    sessions.swap(sessions_);
    store_.reset();
  }
  for (const auto& session : sessions) session->stop();
  sessions.clear();
  service_.reset();
  wake_.reset();
  lock_.reset();
}

void DataNode::accept_loop() {
  std::array<pollfd, 2> fds{pollfd{listener_.get(), POLLIN, 0}, pollfd{wake_.get(), POLLIN, 0}};
  while (running_) {
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return;
    if (!running_ || (fds[1].revents & POLLIN) != 0) return;
    if ((fds[0].revents & POLLIN) == 0) continue;
    Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    reap_sessions();
    if (!fd.valid()) {
      std::this_thread::sleep_for(kAcceptPause);
      continue;
    }
    const std::lock_guard lock(mutex_);
    sessions_.push_back(std::make_unique<DataSession>(std::move(fd), *service_));
    sessions_.back()->start();
  }
}

void DataNode::reap_sessions() {
  std::list<std::unique_ptr<DataSession>> finished;
  const std::lock_guard lock(mutex_);
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    const auto current = it++;
    if ((*current)->finished()) finished.splice(finished.end(), sessions_, current);
  }
}

void DataNode::reset_connections() {
  const std::lock_guard lock(mutex_);
  for (const auto& session : sessions_) session->reset();
}

size_t DataNode::connections() const {
  const std::lock_guard lock(mutex_);
  size_t open = 0;
  for (const auto& session : sessions_) open += session->finished() ? 0 : 1;
  return open;
}

DataUsage DataNode::usage() const {
  DataUsage usage;
  struct statvfs fs {};
  if (::statvfs(dir_.c_str(), &fs) == 0) usage.free_bytes = uint64_t{fs.f_bavail} * fs.f_frsize;
  std::shared_ptr<NodeStore> store;
  {
    const std::lock_guard lock(mutex_);
    store = store_;
  }
  if (!store) return usage;
  for (const auto& replica : store->partitions()) {
    usage.used_bytes += replica->used_bytes();
    usage.extents += replica->extent_count();
  }
  return usage;
}

DataUsage DataNode::usage(uint64_t partition_id) const {
  std::shared_ptr<NodeStore> store;
  {
    const std::lock_guard lock(mutex_);
    store = store_;
  }
  const auto replica = store ? store->existing(partition_id) : nullptr;
  if (!replica) return {};
  return {replica->used_bytes(), 0, replica->extent_count()};
}

void DataNode::delete_extent(uint64_t partition_id, uint64_t extent_id, uint64_t offset,
                             uint64_t size, bool tiny) {
  std::shared_ptr<NodeStore> store;
  {
    const std::lock_guard lock(mutex_);
    store = store_;
  }
  const auto replica = store ? store->existing(partition_id) : nullptr;
  if (!replica) return;
  if (tiny) {
    replica->punch_tiny(extent_id, offset, size);
  } else {
    replica->remove(extent_id);
  }
}

}  // namespace cfs::mini
