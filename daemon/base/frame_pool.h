// SPDX-License-Identifier: Apache-2.0
/// FramePool: memory of coroutine frames, kept for the next ones.
///
/// Purpose  An operation is some twenty tasks inside one another, each with a frame of 100 to 2000
///          bytes, made and destroyed within microseconds. A pool keeps what was given back, by size.
/// Threads  A pool belongs to the thread on which it is in use() (Loop::run()); other threads, and
///          a thread outside run(), take from and give to the heap. A frame may move between them.
/// Lifetime Owned by a Loop; its destructor gives back to the heap what it keeps.
/// Bounds   kKeep frames of each of kClasses sizes: 4 MiB at most. Larger frames are the heap's.
/// Note     With AddressSanitizer every frame is the heap's, so that a use after its end is seen.
#pragma once

#include <array>
#include <cstddef>
#include <new>
#include <utility>

namespace cfs {

class FramePool {
 public:
  FramePool() = default;
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;
  ~FramePool() {
    for (Shelf& shelf : shelves_) {
      while (shelf.top != nullptr) ::operator delete(shelf.pop());
    }
  }

  /// From here on this thread's frames come from `pool` (nullptr: from the heap). Returns the one before.
  static FramePool* use(FramePool* pool) { return std::exchange(current(), pool); }

  static void* take(std::size_t bytes) {
    if (!pooled(bytes)) return ::operator new(bytes);
    FramePool* const pool = current();
    const std::size_t at = shelf_of(bytes);
    if (pool != nullptr && pool->shelves_[at].top != nullptr) return pool->shelves_[at].pop();
    return ::operator new((at + 1) * kStep);
  }
  /// `bytes` as they were asked for.
  static void give(void* frame, std::size_t bytes) noexcept {
    FramePool* const pool = pooled(bytes) ? current() : nullptr;
    if (pool == nullptr || !pool->shelves_[shelf_of(bytes)].push(frame)) ::operator delete(frame);
  }

 private:
  static constexpr std::size_t kStep = 128;
  static constexpr std::size_t kClasses = 32;
  static constexpr std::size_t kKeep = 64;

  struct Shelf {
    struct Free {
      Free* next;
    };
    void* pop() {
      --count;
      return std::exchange(top, top->next);
    }
    bool push(void* frame) {
      if (count == kKeep) return false;
      ++count;
      top = new (frame) Free{top};
      return true;
    }
    Free* top = nullptr;
    std::size_t count = 0;
  };

  static constexpr bool pooled(std::size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
    return bytes == 0;
#else
    return bytes <= kStep * kClasses;
#endif
  }
  static constexpr std::size_t shelf_of(std::size_t bytes) {
    return (bytes - 1) / kStep;
  }
  static FramePool*& current() {
    static thread_local FramePool* pool = nullptr;
    return pool;
  }

  std::array<Shelf, kClasses> shelves_{};
};

}  // namespace cfs
