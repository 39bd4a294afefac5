// SPDX-License-Identifier: Apache-2.0
/// Fault knobs of one data node; see data_knobs.h.
#include "tools/minicluster/data_knobs.h"

#include <charconv>
#include <functional>
#include <map>
#include <vector>

namespace cfs::mini {
namespace {

constexpr unsigned kCountShift = 16;
constexpr unsigned kOpcodeShift = 8;

/// Parses "1:0x03:7" into numbers, "all" into kAllPartitions; nothing when a field is neither.
std::optional<std::vector<uint64_t>> numbers(std::string_view text) {
  if (text == "all") return std::vector<uint64_t>{DataKnobs::kAllPartitions};
  std::vector<uint64_t> out;
  while (true) {
    const size_t colon = text.find(':');
    std::string_view field = text.substr(0, colon);
    int base = 10;
    if (field.starts_with("0x") || field.starts_with("0X")) {
      field.remove_prefix(2);
      base = 16;
    }
    uint64_t value = 0;
    const char* const end = field.data() + field.size();
    const auto [parsed, error] = std::from_chars(field.data(), end, value, base);
    if (error != std::errc{} || parsed != end) return std::nullopt;
    out.push_back(value);
    if (colon == std::string_view::npos) return out;
    text.remove_prefix(colon + 1);
  }
}

using Values = std::vector<uint64_t>;
using Setter = std::function<bool(DataKnobs&, const Values&)>;

Setter flag(std::atomic<bool> DataKnobs::*knob) {
  return [knob](DataKnobs& knobs, const Values& v) {
    if (v.size() != 1 || v[0] > 1) return false;
    (knobs.*knob) = v[0] == 1;
    return true;
  };
}

Setter number(std::atomic<uint32_t> DataKnobs::*knob, uint64_t least, uint64_t most) {
  return [=](DataKnobs& knobs, const Values& v) {
    if (v.size() != 1 || v[0] < least || v[0] > most) return false;
    (knobs.*knob) = static_cast<uint32_t>(v[0]);
    return true;
  };
}

/// COUNT[:OP]
Setter fault(ArmedFault DataKnobs::*knob) {
  return [knob](DataKnobs& knobs, const Values& v) {
    if (v.size() > 2 || v[0] > UINT32_MAX || v.back() > UINT32_MAX) return false;
    if (v.size() == 2 && v[1] > UINT8_MAX) return false;
    const auto opcode = static_cast<uint8_t>(v.size() == 2 ? v[1] : 0);
    (knobs.*knob).arm(static_cast<uint32_t>(v[0]), opcode, 1);
    return true;
  };
}

/// COUNT[:CHUNKS]
bool set_read_error(DataKnobs& knobs, const Values& v) {
  if (v.size() > 2 || v[0] > UINT32_MAX || (v.size() == 2 && v[1] > UINT8_MAX)) return false;
  knobs.read_error.arm(static_cast<uint32_t>(v[0]), 0,
                       static_cast<uint8_t>(v.size() == 2 ? v[1] : 1));
  return true;
}

/// OP:CODE[:COUNT]
bool set_force_result(DataKnobs& knobs, const Values& v) {
  if (v.size() < 2 || v.size() > 3 || v[0] > UINT8_MAX || v[1] > UINT8_MAX) return false;
  const uint64_t count = v.size() == 3 ? v[2] : 1;
  if (count > UINT32_MAX) return false;
  knobs.force_result.arm(static_cast<uint32_t>(count), static_cast<uint8_t>(v[0]),
                         static_cast<uint8_t>(v[1]));
  return true;
}

bool set_full(DataKnobs& knobs, const Values& v) {
  if (v.size() != 1) return false;
  knobs.full = v[0];
  return true;
}

const std::map<std::string_view, Setter>& setters() {
  static const std::map<std::string_view, Setter> table{
      {"delay_ms", number(&DataKnobs::delay_ms, 0, 3'600'000)},
      {"drop_reply", fault(&DataKnobs::drop_reply)},
      {"close_after", fault(&DataKnobs::close_after)},
      {"cut_reply", fault(&DataKnobs::cut_reply)},
      {"half_close", fault(&DataKnobs::half_close)},
      {"corrupt_crc", fault(&DataKnobs::corrupt_crc)},
      {"follower_failure", fault(&DataKnobs::follower_failure)},
      {"read_error", set_read_error},
      {"force_result", set_force_result},
      {"tiny_ready", flag(&DataKnobs::tiny_ready)},
      {"tiny_ready_after_ms", number(&DataKnobs::tiny_ready_after_ms, 0, 3'600'000)},
      {"tiny_repair_ms", number(&DataKnobs::tiny_repair_ms, 0, 3'600'000)},
      {"read_chunk_bytes",
       number(&DataKnobs::read_chunk_bytes, CFS_BLOCK_SIZE, CFS_READ_CHUNK_MAX)},
      {"hang", flag(&DataKnobs::hang)},
      {"full", set_full},
      {"proto0", flag(&DataKnobs::proto0)},
  };
  return table;
}

}  // namespace

void ArmedFault::arm(uint32_t count, uint8_t opcode, uint8_t detail) {
  bits_ = static_cast<uint64_t>(count) << kCountShift |
          static_cast<uint64_t>(opcode) << kOpcodeShift | detail;
}

std::optional<uint8_t> ArmedFault::take(uint8_t opcode) {
  uint64_t bits = bits_.load(std::memory_order_relaxed);
  while (bits >> kCountShift != 0) {
    const auto wanted = static_cast<uint8_t>(bits >> kOpcodeShift);
    if (wanted != 0 && wanted != opcode) return std::nullopt;
    if (bits_.compare_exchange_weak(bits, bits - (1ULL << kCountShift))) {
      return static_cast<uint8_t>(bits);
    }
  }
  return std::nullopt;
}

uint32_t ArmedFault::left() const {
  return static_cast<uint32_t>(bits_.load() >> kCountShift);
}

std::string DataKnobs::set(std::string_view assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string_view::npos) return "expected name=value";
  const std::string_view name = assignment.substr(0, equals);
  const auto setter = setters().find(name);
  if (setter == setters().end()) return "no knob named " + std::string(name);
  const auto values = numbers(assignment.substr(equals + 1));
  if (values && setter->second(*this, *values)) return "";
  return "bad value for " + std::string(name) + ": " + std::string(assignment.substr(equals + 1));
}

std::string DataKnobs::text() const {
  const std::map<std::string_view, uint64_t> values{
      {"delay_ms", delay_ms},
      {"drop_reply", drop_reply.left()},
      {"close_after", close_after.left()},
      {"cut_reply", cut_reply.left()},
      {"half_close", half_close.left()},
      {"corrupt_crc", corrupt_crc.left()},
      {"follower_failure", follower_failure.left()},
      {"read_error", read_error.left()},
      {"force_result", force_result.left()},
      {"tiny_ready", tiny_ready},
      {"tiny_ready_after_ms", tiny_ready_after_ms},
      {"tiny_repair_ms", tiny_repair_ms},
      {"read_chunk_bytes", read_chunk_bytes},
      {"hang", hang},
      {"full", full},
      {"proto0", proto0},
  };
  std::string out;
  for (const auto& [name, value] : values) {
    const bool all = value == kAllPartitions;
    out.append(name).append("=").append(all ? "all" : std::to_string(value)).append("\n");
  }
  return out;
}

}  // namespace cfs::mini
