// SPDX-License-Identifier: Apache-2.0
/// What a data node does with one request; see data_service.h.
#include "tools/minicluster/data_service.h"

#include <zlib.h>

namespace cfs::mini {
namespace {

constexpr const char* kPrepare = "ActionPreparePkt";
constexpr const char* kCreate = "ActionCreateExtent:";
constexpr const char* kWrite = "ActionWrite:";
constexpr const char* kRead = "ActionStreamRead";
constexpr const char* kUnknownOpcode = "unknown opcode";
constexpr const char* kNotLeader = "raft is not the leader.";

/// The server's error text: "<Action>_<text>".
Verdict named(const char* action, Verdict verdict) {
  if (verdict) verdict->text = std::string(action) + "_" + verdict->text;
  return verdict;
}

bool crc_fits(const DataPacket& packet) {
  const auto payload = packet.payload();
  return crc32_z(0, payload.data(), payload.size()) == packet.header.crc;
}

}  // namespace

TinyLease& TinyLease::operator=(TinyLease&& other) noexcept {
  if (this != &other) {
    settle(false);
    store_ = std::move(other.store_);
    extent_id_ = other.extent_id_;
  }
  return *this;
}

void TinyLease::settle(bool good) {
  if (store_) store_->release_tiny(extent_id_, good);
  store_.reset();
}

Verdict DataService::prepare(DataRequest& request) {
  return named(kPrepare, prepare_unnamed(request));
}

Verdict DataService::prepare_unnamed(DataRequest& request) {
  const cfs_pkt_hdr& header = request.packet.header;
  if (is_append(header.opcode) && !crc_fits(request.packet)) {
    return Refusal{CFS_RC_INTRA_GROUP_NET, "packet Crc is incorrect"};
  }
  if (Verdict bad = find_partition(request)) return bad;
  const bool adds = is_append(header.opcode) || header.opcode == CFS_DOP_CREATE_EXTENT;
  if (adds && knobs_.is_full(header.partition_id)) {
    return Refusal{CFS_RC_DISK_NO_SPACE, "no space left on the device"};
  }
  if (!is_for_primary(header)) return std::nullopt;
  if (is_append(header.opcode) && is_tiny(header)) return assign_tiny(request);
  if (header.opcode == CFS_DOP_CREATE_EXTENT) return assign_extent(request);
  return std::nullopt;
}

Verdict DataService::find_partition(DataRequest& request) {
  const uint64_t id = request.packet.header.partition_id;
  request.partition = directory_.find(id);
  if (!request.partition || !request.partition->has_host(address_)) {
    return Refusal{CFS_RC_TRY_OTHER_ADDR, "data partition not exists " + std::to_string(id)};
  }
  request.store = store_->partition(id);
  if (!request.store) return Refusal{CFS_RC_DISK, "disk has broken"};
  return std::nullopt;
}

Verdict DataService::assign_tiny(DataRequest& request) {
  ExtentStore& store = *request.store;
  for (const uint64_t id : store.broken_tiny(std::chrono::milliseconds(knobs_.tiny_repair_ms))) {
    store.level_tiny(id, directory_.tiny_end(request.partition, id));
  }
  const std::chrono::milliseconds delay(knobs_.tiny_ready_after_ms);
  const bool ready = knobs_.tiny_ready && Clock::now() - store.opened_at() >= delay;
  Verdict bad = Refusal{CFS_RC_DISK_NO_SPACE, "no available extent"};
  cfs_pkt_hdr& header = request.packet.header;
  if (ready) bad = store.take_tiny(&header.extent_id, &header.extent_offset);
  if (bad) {
    bad->text = "checkPacketAndPrepare partition " + std::to_string(header.partition_id) +
                " GetAvailableTinyExtent error " + bad->text;
    return bad;
  }
  request.tiny = TinyLease(request.store, header.extent_id);
  return std::nullopt;
}

Verdict DataService::assign_extent(DataRequest& request) {
  const Result<uint64_t> id = request.store->next_extent_id();
  if (!id) return Refusal{CFS_RC_DISK, "disk has broken: " + id.error().text()};
  request.packet.header.extent_id = id.value();
  return std::nullopt;
}

Verdict DataService::check_protocol(const cfs_pkt_hdr& header) const {
  if ((header.extent_type & CFS_ET_PROTO_VERSION) != 0 || knobs_.proto0) return std::nullopt;
  return Refusal{CFS_RC_PROTO_VERSION, "vol forbid write operate of packet protocol version 0"};
}

Executed DataService::execute(DataRequest& request, Verdict& verdict) {
  const uint8_t opcode = request.packet.header.opcode;
  if (is_random_write(opcode)) return random_write(request, verdict);
  if (opcode == CFS_DOP_CREATE_EXTENT) {
    verdict = named(kCreate, create(request));
  } else if (is_append(opcode)) {
    verdict = named(kWrite, append(request));
  } else if (opcode == CFS_DOP_GET_APPLIED_ID) {
    verdict = applied_id(request);
  } else {
    verdict = named(kUnknownOpcode,
                    Refusal{CFS_RC_ARG_MISMATCH, kUnknownOpcode + std::to_string(opcode)});
  }
  return Executed::kDone;
}

Verdict DataService::create(DataRequest& request) {
  const cfs_pkt_hdr& header = request.packet.header;
  if (Verdict bad = check_protocol(header)) return bad;
  return request.store->create(header.extent_id);
}

Verdict DataService::append(DataRequest& request) {
  const cfs_pkt_hdr& header = request.packet.header;
  if (Verdict bad = check_protocol(header)) return bad;
  const Append append{header.extent_id, header.extent_offset, request.packet.payload(), header.crc,
                      is_sync(header.opcode)};
  return is_tiny(header) ? request.store->append_tiny(append) : request.store->append(append);
}

Executed DataService::random_write(DataRequest& request, Verdict& verdict) {
  const cfs_pkt_hdr& header = request.packet.header;
  const RandomWrite write{header.extent_id, header.extent_offset, request.packet.payload(),
                          header.crc, is_sync(header.opcode)};
  verdict = check_protocol(header);
  if (!verdict && (write.data.empty() || write.data.size() > CFS_BLOCK_SIZE || write.offset < 0)) {
    verdict = Refusal{CFS_RC_ARG_MISMATCH,
                      "parameter mismatch error: offset=" + std::to_string(write.offset) +
                          " size=" + std::to_string(write.data.size())};
  }
  if (!verdict) {
    const auto submitted = directory_.submit(request.partition, address_, write, verdict);
    if (submitted == DataDirectory::Submitted::kGone) return Executed::kNoAnswer;
    if (submitted == DataDirectory::Submitted::kNotLeader) {
      verdict = Refusal{CFS_RC_TRY_OTHER_ADDR, kNotLeader};
    }
  }
  verdict = named(kWrite, std::move(verdict));
  return Executed::kDone;
}

Verdict DataService::applied_id(DataRequest& request) {
  request.body.resize(sizeof(uint64_t));
  cfs_put64(request.store->applied_id(), request.body.data());
  return std::nullopt;
}

Verdict DataService::check_read(DataRequest& request) {
  if (request.packet.header.opcode == CFS_DOP_STREAM_FOLLOWER_READ) return std::nullopt;
  if (directory_.leader_of(request.partition) == address_) return std::nullopt;
  return named(kRead, Refusal{CFS_RC_TRY_OTHER_ADDR, kNotLeader});
}

Verdict DataService::read_chunk(DataRequest& request, int64_t offset, uint8_t* out, size_t size) {
  return named(kRead, request.store->read(request.packet.header.extent_id, offset, out, size));
}

}  // namespace cfs::mini
