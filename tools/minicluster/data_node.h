// SPDX-License-Identifier: Apache-2.0
/// One data node of the mini cluster: a listener, its connections, its storage.
///
/// Purpose   Serves the data path of CubeFS 3.5 over TCP and refuses what the real server refuses.
/// Lifetime  start() and stop() may be called in turns; stop() closes every socket and joins every
///           thread. The directory and the knobs outlive the node.
/// Threads   start(), bind() and stop() from one thread at a time, everything else from any. One
///           thread accepts; each connection has one thread for requests and, once it forwards, one
///           for acknowledgements.
/// Failure   start() says what is wrong: address in use, directory not writable or open elsewhere.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "daemon/base/result.h"
#include "tools/minicluster/data_directory.h"
#include "tools/minicluster/data_knobs.h"

namespace cfs::mini {

class DataService;
class DataSession;

/// Space of a node or of one of its replicas, in bytes.
struct DataUsage {
  uint64_t used_bytes = 0;
  uint64_t free_bytes = 0;
  uint64_t extents = 0;  ///< normal extents
};

class DataNode {
 public:
  /// `port` 0 takes a free one: see address() after start(). Partitions live in `dir`/dp_<id>.
  DataNode(std::string dir, std::string listen_ip, uint16_t port, DataDirectory& directory,
           DataKnobs& knobs);
  ~DataNode();
  DataNode(const DataNode&) = delete;
  DataNode& operator=(const DataNode&) = delete;

  /// Opens the storage, joins the directory, listens. Restarting keeps the port of the first start.
  Result<void> start();
  /// Binds the port only, so that address() is known before partitions are laid out; start()
  /// follows.
  Result<void> bind();
  /// Leaves like a killed process: sockets closed, nothing flushed.
  void stop();
  [[nodiscard]] bool running() const { return running_.load(); }
  /// ip:port as it appears in partition views.
  [[nodiscard]] std::string address() const;

  /// Resets (RST) every open connection; the node goes on.
  void reset_connections();
  [[nodiscard]] size_t connections() const;

  /// Whole node. free_bytes is what the file system under the directory has left.
  [[nodiscard]] DataUsage usage() const;
  /// One replica; zero when this node has none.
  [[nodiscard]] DataUsage usage(uint64_t partition_id) const;
  /// Deletes on this replica only; DataDirectory::delete_extent() does it on all.
  void delete_extent(uint64_t partition_id, uint64_t extent_id, uint64_t offset, uint64_t size,
                     bool tiny);

 private:
  void accept_loop();
  void reap_sessions();
  Result<void> open_and_listen();
  Result<void> lock_directory();

  const std::string dir_;
  const std::string ip_;
  std::atomic<uint16_t> port_;
  DataDirectory& directory_;
  DataKnobs& knobs_;

  std::atomic<bool> running_{false};
  Fd listener_;
  Fd wake_;                           ///< eventfd that ends accept_loop()
  Fd lock_;                           ///< flock on the directory
  std::shared_ptr<NodeStore> store_;  // mutex_
  std::unique_ptr<DataService> service_;
  std::thread acceptor_;
  mutable std::mutex mutex_;
  std::list<std::unique_ptr<DataSession>> sessions_;  // mutex_
};

}  // namespace cfs::mini
