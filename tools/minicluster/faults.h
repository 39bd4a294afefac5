// SPDX-License-Identifier: Apache-2.0
/// Faults that meta nodes commit on demand.
///
/// Purpose   A table of armed rules: which node, which opcode, what goes wrong, how often.
/// Threads   All methods from any thread.
/// Failure   None; a rule that matches nothing stays armed until clear().
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace cfs::mini {

enum class FaultKind {
  kDelay,        ///< value: milliseconds before execution
  kForceResult,  ///< value: result code sent instead of executing
  kDropReply,    ///< executed, never answered
  kLateReply,    ///< value: milliseconds between execution and answer
  kCloseAfter,   ///< executed, then the connection is reset instead of an answer
};

struct Fault {
  static constexpr int kAnyOp = -1;
  static constexpr uint64_t kForever = UINT64_MAX;

  FaultKind kind = FaultKind::kDelay;
  std::string node;  ///< address; empty: every node
  int op = kAnyOp;
  uint32_t value = 0;
  uint64_t count = 1;  ///< requests it still applies to
};

class FaultTable {
 public:
  void arm(Fault fault);
  void clear();
  /// Value of the first armed rule for this request, which it uses up once.
  [[nodiscard]] std::optional<uint32_t> take(FaultKind kind, const std::string& node, uint8_t op);
  [[nodiscard]] std::vector<Fault> list() const;

 private:
  mutable std::mutex lock_;
  std::vector<Fault> rules_;  ///< lock_
};

}  // namespace cfs::mini
