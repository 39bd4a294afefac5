// SPDX-License-Identifier: Apache-2.0
/// Fault knobs of one data node.
///
/// Purpose   Everything a test can make a data node do wrong, by name, at run time.
/// Lifetime  Owned by the cluster, outlives its node; survives a stop and start of the node.
/// Threads   All members are atomics: set from any thread, read by every connection.
/// Failure   set() returns a sentence instead of changing anything.
///
/// Names for set("name=value"); OP is an opcode, 0 or absent for any; numbers decimal or 0x hex:
///   delay_ms=N                   wait before each reply
///   drop_reply=COUNT[:OP]        execute, never answer
///   close_after=COUNT[:OP]       execute, then close the connection instead of answering
///   cut_reply=COUNT[:OP]         send half of the reply, then close
///   half_close=COUNT[:OP]        execute, then close only the sending direction
///   corrupt_crc=COUNT[:OP]       answer with a CRC that does not fit
///   follower_failure=COUNT[:OP]  forwarded request: written here, reported as a follower's error
///   read_error=COUNT[:CHUNKS]    read replies break off after CHUNKS good packets (1)
///   force_result=OP:CODE[:COUNT] answer CODE without executing (1); COUNT 0 takes it back
///   tiny_ready=0|1               tiny extents usable
///   tiny_ready_after_ms=N        ... only so long after loading (real servers: 2 minutes)
///   tiny_repair_ms=N             a broken tiny extent comes back after this time
///   read_chunk_bytes=N           131072 ... 5242880, payload of one read reply
///   hang=0|1                     accept and read, never execute or answer
///   full=0|PARTITION|all         no space for creates and appends
///   proto0=0|1                   accept writes without the protocol version flag
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cubefs/cfs_wire.h"
#include "tools/minicluster/request_log.h"

namespace cfs::mini {

/// A fault for the next `count` requests with a given opcode.
class ArmedFault {
 public:
  /// `opcode` 0 matches any; `detail` is a result code or a number of chunks; count 0 disarms.
  void arm(uint32_t count, uint8_t opcode, uint8_t detail);
  /// Uses the fault up once. Returns its detail, nothing when it is not armed for this opcode.
  std::optional<uint8_t> take(uint8_t opcode);
  [[nodiscard]] uint32_t left() const;

 private:
  std::atomic<uint64_t> bits_{0};  ///< count << 16 | opcode << 8 | detail
};

struct DataKnobs {
  static constexpr uint64_t kAllPartitions = UINT64_MAX;

  std::atomic<uint32_t> delay_ms{0};
  std::atomic<bool> hang{false};
  std::atomic<bool> tiny_ready{true};
  std::atomic<uint32_t> tiny_ready_after_ms{0};
  std::atomic<uint32_t> tiny_repair_ms{120'000};
  std::atomic<uint32_t> read_chunk_bytes{CFS_BLOCK_SIZE};
  std::atomic<uint64_t> full{0};  ///< partition id; 0 none, kAllPartitions every one
  std::atomic<bool> proto0{false};
  ArmedFault drop_reply;
  ArmedFault close_after;
  ArmedFault cut_reply;
  ArmedFault half_close;
  ArmedFault corrupt_crc;
  ArmedFault follower_failure;
  ArmedFault read_error;
  ArmedFault force_result;
  /// Not a knob: where arrivals and answers are noted, if anywhere.
  RequestLog* request_log = nullptr;
  /// Not a knob: requests that arrived so far, by opcode, forwarded ones included.
  std::array<std::atomic<uint64_t>, 256> requests{};

  void note(bool answer, const cfs_pkt_hdr& header) const {
    if (request_log == nullptr) return;
    request_log->note({answer, wire::Peer::kData, header.opcode, header.followers});
  }
  /// Changes one knob. Returns an empty string, or what is wrong with the text.
  std::string set(std::string_view assignment);
  /// Every knob as "name=value", one a line; armed faults show how many are left.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] bool is_full(uint64_t partition_id) const {
    const uint64_t value = full.load(std::memory_order_relaxed);
    return value != 0 && (value == kAllPartitions || value == partition_id);
  }
};

}  // namespace cfs::mini
