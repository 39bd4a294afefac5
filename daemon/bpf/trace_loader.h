// SPDX-License-Identifier: Apache-2.0
/// TraceLoader: latency histograms of the kernel module's requests, by BPF.
///
/// Purpose  Loads and attaches bpf/trace.bpf.c, reads its histograms, keeps the last slow requests
///          and packets that it tells.
/// Threads  start(), stop(), destructor: one thread. state(), read...(), slow_since(), refusal(): any thread between
///          construction and stop(). Loading takes a tenth of a second and more, so a thread of its
///          own does it; `on_slow` is called there too.
/// Lifetime start() once, when the module is known to be there. The program is attached until
///          stop() or the end of the process, and holds the module so long; the kernel forgets the
///          counts then. Nothing is pinned.
/// Failure  Tracing is best effort: a refusal is logged once, with the last lines of libbpf and the
///          verifier, and read() repeats it. Nothing else depends on it.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "daemon/base/result.h"
#include "daemon/bpf/latency.h"

struct trace_bpf;

namespace cfs {

class TraceLoader {
 public:
  enum class State {
    kOff,      ///< not started, or stopped
    kLoading,  ///< the thread is at it
    kAttached,
    kRefused,  ///< see refusal()
  };

  struct Settings {
    std::uint64_t slow_ns = 0;  ///< what takes so long is reported to on_slow; 0: nothing
    /// Called for each of them on the loader's thread.
    std::function<void(const cfs_trace_slow&)> on_slow;
  };

  explicit TraceLoader(Settings settings);
  ~TraceLoader();
  TraceLoader(const TraceLoader&) = delete;
  TraceLoader& operator=(const TraceLoader&) = delete;

  /// Load and attach in the background; does nothing when called again.
  void start();
  /// Detach; waits for a load under way.
  void stop();

  [[nodiscard]] State state() const { return state_.load(std::memory_order_acquire); }
  /// Why there are no histograms; valid in kRefused.
  [[nodiscard]] const std::string& refusal() const { return refusal_; }
  /// Operations that have occurred since the program was attached. EAGAIN while loading, ENODATA
  /// when it is off or was refused.
  [[nodiscard]] Result<std::vector<OpLatency>> read() const;
  /// The same for one kind of group, in no order; groups not used for long may be missing.
  [[nodiscard]] Result<std::vector<GroupLatency>> read_groups(cfs_trace_kind kind) const;

  /// A slow request or packet; numbers grow by one.
  struct Slow {
    std::uint64_t number = 0;
    cfs_trace_slow what{};
  };
  static constexpr std::size_t kSlowKept = 1024;
  static constexpr std::int64_t kSlowAskMs = 10'000;

  struct SlowPage {
    std::vector<Slow> events;
    std::uint64_t last = 0;  ///< number to go on after
    std::uint64_t lost = 0;  ///< events after the number asked for that are kept no more
  };

  /// Of the last kSlowKept those after number `after` that took `slow_ns` or longer. From then on,
  /// for kSlowAskMs, everything from `slow_ns` on is kept; the next call renews that.
  [[nodiscard]] Result<SlowPage> slow_since(std::uint64_t after, std::uint64_t slow_ns);

 private:
  struct Unload {
    void operator()(trace_bpf* program) const;
  };
  using Program = std::unique_ptr<trace_bpf, Unload>;

  void run();
  Result<Program> attach() const;
  void watch_slow();
  void keep(const cfs_trace_slow& slow);
  void expire_ask();
  [[nodiscard]] Result<void> usable() const;
  static int pass_on(void* self, void* event, std::size_t bytes);

  Settings settings_;
  std::atomic<State> state_{State::kOff};
  // written by the thread before it releases state_, then constant until it has been joined
  Program program_;
  std::string refusal_;
  std::mutex slow_mutex_;
  std::deque<Slow> slow_;          ///< slow_mutex_
  std::uint64_t slow_count_ = 0;   ///< slow_mutex_: number of the last one
  std::int64_t ask_until_ms_ = 0;  ///< slow_mutex_: the threshold of slow_since() holds until then
  int stop_event_ = -1;            ///< readable: the thread shall end
  std::thread thread_;
};

}  // namespace cfs
