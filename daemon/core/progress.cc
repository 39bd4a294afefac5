// SPDX-License-Identifier: Apache-2.0
/// Storing and finding progress records; contracts in progress.h.
#include "daemon/core/progress.h"

#include <atomic>
#include <cstddef>
#include <cstring>
#include <ctime>

#include "daemon/wire/packet.h"

namespace cfs {
namespace {

constexpr std::uint32_t kMagic = 0x31504643;  // "CFP1"
constexpr std::size_t kHalf = Progress::kBytes / 2;

std::uint32_t checksum(const ProgressRecord& r) {
  constexpr std::size_t skip = offsetof(ProgressRecord, seq);
  const auto* const bytes = reinterpret_cast<const char*>(&r) + skip;
  return wire::crc32_ieee({bytes, sizeof(r) - skip});
}

}  // namespace

ProgressLog::ProgressLog(Progress& progress, ProgressOp op, std::uint64_t fingerprint,
                         const ProgressHook* hook)
    : memory_(progress.record()), hook_(hook) {
  if (!progress.resumed() || !load(memory_, &now_) || now_.op != static_cast<std::uint8_t>(op) ||
      now_.fingerprint != fingerprint) {
    now_ = ProgressRecord{};
    std::memset(memory_, 0, Progress::kBytes);  // what an earlier request left there
  }
  found_ = static_cast<Step>(now_.step);
  if (found_ != Step::kNone) found_age_s_ = ::time(nullptr) - now_.wrote_s;
  now_.magic = kMagic;
  now_.op = static_cast<std::uint8_t>(op);
  now_.fingerprint = fingerprint;
}

bool ProgressLog::load(const void* memory, ProgressRecord* out) {
  bool any = false;
  for (std::size_t half = 0; half < 2; ++half) {
    ProgressRecord r;
    std::memcpy(&r, static_cast<const char*>(memory) + half * kHalf, sizeof(r));
    if (r.magic != kMagic || r.crc != checksum(r)) continue;
    if (!any || r.seq > out->seq) *out = r;
    any = true;
  }
  return any;
}

std::optional<ProgressRecord> ProgressLog::peek(const Progress& progress, ProgressOp op,
                                                std::uint64_t fingerprint) {
  ProgressRecord found;
  if (!progress.resumed() || !load(progress.record(), &found)) return std::nullopt;
  const bool same = found.op == static_cast<std::uint8_t>(op) && found.fingerprint == fingerprint;
  if (!same || found.step == static_cast<std::uint8_t>(Step::kNone)) return std::nullopt;
  return found;
}

bool ProgressLog::write(Step step) {
  const auto op = static_cast<ProgressOp>(now_.op);
  if (hook_ != nullptr && *hook_ && (*hook_)(op, step, false)) return false;
  now_.step = static_cast<std::uint8_t>(step);
  now_.seq += 1;
  now_.wrote_s = ::time(nullptr);
  now_.crc = checksum(now_);
  std::memcpy(static_cast<char*>(memory_) + now_.seq % 2 * kHalf, &now_, sizeof(now_));
  std::atomic_signal_fence(std::memory_order_seq_cst);
  return hook_ == nullptr || !*hook_ || !(*hook_)(op, step, true);
}

bool ProgressLog::finish(int err, Ino ino, std::uint32_t nlink) {
  now_.err = err;
  now_.ino = ino;
  now_.nlink = nlink;
  return write(Step::kDone);
}

std::string ProgressLog::tx_id() const {
  return {now_.tx_id, ::strnlen(now_.tx_id, sizeof(now_.tx_id))};
}

bool ProgressLog::set_tx(std::uint64_t tm_id, const std::string& tx_id) {
  if (tx_id.empty() || tx_id.size() > sizeof(now_.tx_id)) return false;
  now_.tm_id = tm_id;
  std::memset(now_.tx_id, 0, sizeof(now_.tx_id));
  std::memcpy(now_.tx_id, tx_id.data(), tx_id.size());
  return true;
}

std::uint64_t fingerprint(std::initializer_list<std::uint64_t> numbers,
                          std::initializer_list<std::string_view> texts) {
  std::uint64_t h = 0xcbf29ce484222325;  // FNV-1a
  const auto add = [&h](unsigned char byte) { h = (h ^ byte) * 0x100000001b3; };
  for (const std::uint64_t n : numbers) {
    for (unsigned i = 0; i < 8; ++i) add(static_cast<unsigned char>(n >> (8 * i)));
  }
  for (const std::string_view t : texts) {
    for (const char c : t) add(static_cast<unsigned char>(c));
    add(0);
  }
  return h;
}

}  // namespace cfs
