// SPDX-License-Identifier: Apache-2.0
/// What a data node does with one request, apart from sockets.
///
/// Purpose   The checks a request meets before it is queued (prepare), and its execution on this
///           replica (execute), in the order and with the words of the real server.
/// Lifetime  One per running node; its sessions use it until they are joined.
/// Threads   Stateless apart from what it refers to; every method from any session.
/// Failure   A Refusal with the action's name in front: "ActionWrite:_parameter mismatch ...".
/// Source    CubeFS v3.5.3, datanode/wrap_prepare.go, wrap_operator.go, wrap_post.go.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tools/minicluster/data_directory.h"
#include "tools/minicluster/data_extent_store.h"
#include "tools/minicluster/data_knobs.h"
#include "tools/minicluster/data_node_store.h"

namespace cfs::mini {

/// A tiny extent held by one request; goes back to its pool exactly once.
class TinyLease {
 public:
  TinyLease() = default;
  TinyLease(std::shared_ptr<ExtentStore> store, uint64_t extent_id)
      : store_(std::move(store)), extent_id_(extent_id) {}
  TinyLease(TinyLease&& other) noexcept = default;
  TinyLease& operator=(TinyLease&& other) noexcept;
  /// A lease that nobody settled had an unknown outcome: broken.
  ~TinyLease() { settle(false); }
  /// Returns the extent: available after a success, broken after a failure.
  void settle(bool good);

 private:
  std::shared_ptr<ExtentStore> store_;
  uint64_t extent_id_ = 0;
};

/// A request on its way through a session.
struct DataRequest {
  DataPacket packet;
  DataPartitionPtr partition;
  std::shared_ptr<ExtentStore> store;
  TinyLease tiny;
  /// Reply payload of the few requests that have one (applied id).
  std::string body;
};

enum class Executed {
  kDone,      ///< answer with success or the verdict
  kNoAnswer,  ///< the node left its raft group meanwhile: close the connection
};

class DataService {
 public:
  DataService(std::string address, std::shared_ptr<NodeStore> store, DataDirectory& directory,
              DataKnobs& knobs)
      : address_(std::move(address)),
        store_(std::move(store)),
        directory_(directory),
        knobs_(knobs) {}

  /// Checks the CRC of appends, finds the partition, checks space, assigns extent id or tiny slot.
  /// May change extent_id and extent_offset of the header.
  Verdict prepare(DataRequest& request);
  /// Runs everything but reads on this replica.
  Executed execute(DataRequest& request, Verdict& verdict);
  /// Leader check of a read. 0x06 asks any replica.
  Verdict check_read(DataRequest& request);
  /// One chunk of a read reply.
  Verdict read_chunk(DataRequest& request, int64_t offset, uint8_t* out, size_t size);

  [[nodiscard]] DataKnobs& knobs() { return knobs_; }

 private:
  Verdict prepare_unnamed(DataRequest& request);
  Verdict find_partition(DataRequest& request);
  Verdict assign_tiny(DataRequest& request);
  Verdict assign_extent(DataRequest& request);
  Verdict check_protocol(const cfs_pkt_hdr& header) const;
  Verdict create(DataRequest& request);
  Verdict append(DataRequest& request);
  Executed random_write(DataRequest& request, Verdict& verdict);
  Verdict applied_id(DataRequest& request);

  const std::string address_;
  const std::shared_ptr<NodeStore> store_;
  DataDirectory& directory_;
  DataKnobs& knobs_;
};

}  // namespace cfs::mini
