// SPDX-License-Identifier: Apache-2.0
/// What names meant when they were last seen.
///
/// Purpose  A lookup asks for the inode beside the name, and so in one round trip instead of two, when it
///          can guess the inode. The name's answer decides: a wrong guess costs a request, never a
///          wrong result.
/// Threads  The loop's.
/// Lifetime Owned by the volume; forgotten with it.
/// Bounds   kSlots of 16 bytes. Names are kept as hashes only; one that falls on another's slot takes
///          it.
#pragma once

#include <cstdlib>
#include <memory>
#include <new>

#include "daemon/core/progress.h"

namespace cfs {

class NameGuesses {
 public:
  struct Guess {
    Ino ino = 0;  ///< 0: none
    bool is_file = false;
  };

  NameGuesses() : slots_(static_cast<Slot*>(std::calloc(kSlots, sizeof(Slot))), &std::free) {
    if (!slots_) throw std::bad_alloc();
  }

  [[nodiscard]] Guess of(Ino dir, std::string_view name) const {
    const std::uint64_t hash = fingerprint({dir}, {name});
    const Slot& slot = slots_[hash % kSlots];
    if (slot.tag >> 1 != hash >> 1) return {};
    return Guess{slot.ino, (slot.tag & 1) != 0};
  }
  /// `ino` 0: there is no such name.
  void learn(Ino dir, std::string_view name, Ino ino, bool is_file) {
    const std::uint64_t hash = fingerprint({dir}, {name});
    slots_[hash % kSlots] = Slot{(hash & ~std::uint64_t{1}) | (is_file ? 1 : 0), ino};
  }

 private:
  static constexpr std::size_t kSlots = std::size_t{1} << 17;
  struct Slot {
    std::uint64_t tag = 0;  ///< hash; the lowest bit: a regular file
    Ino ino = 0;
  };
  /// Pages of zeroes that the kernel gives when a name falls on them.
  std::unique_ptr<Slot[], decltype(&std::free)> slots_;
};

}  // namespace cfs
