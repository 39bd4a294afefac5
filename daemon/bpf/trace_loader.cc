// SPDX-License-Identifier: Apache-2.0
/// Loading the tracing program; see trace_loader.h.
#include "daemon/bpf/trace_loader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <iterator>
#include <utility>

#include "daemon/bpf/bpf_log.h"
#include "trace.skel.h"

namespace cfs {
namespace {

constexpr const char* kModuleTypes = "/sys/kernel/btf/cubefs";
constexpr int kNice = 10;
constexpr int kExpireMs = 1000;  ///< how often a threshold is looked at whose time is over

std::int64_t now_ms() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

}  // namespace

void TraceLoader::Unload::operator()(trace_bpf* program) const {
  trace_bpf__destroy(program);
}

TraceLoader::TraceLoader(Settings settings) : settings_(std::move(settings)) {}

TraceLoader::~TraceLoader() {
  stop();
}

void TraceLoader::start() {
  if (state() != State::kOff) return;
  stop_event_ = ::eventfd(0, EFD_CLOEXEC);
  if (stop_event_ < 0) {
    spdlog::warn("no latency histograms: eventfd: {}", std::strerror(errno));
    return;
  }
  state_.store(State::kLoading, std::memory_order_release);
  thread_ = std::thread([this] { run(); });
}

void TraceLoader::stop() {
  if (!thread_.joinable()) return;
  ::eventfd_write(stop_event_, 1);
  thread_.join();
  state_.store(State::kOff, std::memory_order_release);
  program_.reset();
  ::close(std::exchange(stop_event_, -1));
}

void TraceLoader::run() {
  // requests come first
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
  Result<Program> attached = attach();
  if (!attached) {
    refusal_ = attached.error().text();
    spdlog::warn("no latency histograms: {}", refusal_);
    state_.store(State::kRefused, std::memory_order_release);
    return;
  }
  program_ = std::move(attached).value();
  state_.store(State::kAttached, std::memory_order_release);
  spdlog::debug("latency histograms are on");
  watch_slow();
}

Result<TraceLoader::Program> TraceLoader::attach() const {
  if (::access(kModuleTypes, R_OK) != 0) return errno_error(kModuleTypes);
  keep_bpf_lines();
  Program program(trace_bpf__open());
  if (!program) return bpf_error("cannot open the BPF program");
  program->bss->slow_ns = settings_.slow_ns;
  if (trace_bpf__load(program.get()) != 0) return bpf_error("the kernel refused the BPF program");
  if (trace_bpf__attach(program.get()) != 0) return bpf_error("cannot attach the BPF program");
  return program;
}

int TraceLoader::pass_on(void* self, void* event, std::size_t bytes) {
  auto* const loader = static_cast<TraceLoader*>(self);
  if (bytes >= sizeof(cfs_trace_slow)) loader->keep(*static_cast<const cfs_trace_slow*>(event));
  return 0;
}

void TraceLoader::keep(const cfs_trace_slow& slow) {
  const bool wanted = settings_.slow_ns != 0 && slow.latency_ns >= settings_.slow_ns;
  if (wanted && settings_.on_slow) settings_.on_slow(slow);
  const std::lock_guard lock(slow_mutex_);
  slow_.push_back({++slow_count_, slow});
  if (slow_.size() > kSlowKept) slow_.pop_front();
}

void TraceLoader::expire_ask() {
  const std::lock_guard lock(slow_mutex_);
  if (ask_until_ms_ == 0 || now_ms() < ask_until_ms_) return;
  ask_until_ms_ = 0;
  __atomic_store_n(&program_->bss->slow_ns, settings_.slow_ns, __ATOMIC_RELAXED);
}

Result<TraceLoader::SlowPage> TraceLoader::slow_since(std::uint64_t after, std::uint64_t slow_ns) {
  const Result<void> ready = usable();
  if (!ready) return ready.error();
  const std::lock_guard lock(slow_mutex_);
  // what the log wants is reported whoever asks for more
  const std::uint64_t log_ns = settings_.slow_ns == 0 ? slow_ns : settings_.slow_ns;
  ask_until_ms_ = now_ms() + kSlowAskMs;
  __atomic_store_n(&program_->bss->slow_ns, std::max<std::uint64_t>(1, std::min(slow_ns, log_ns)),
                   __ATOMIC_RELAXED);
  SlowPage out;
  out.last = slow_count_;
  if (!slow_.empty() && slow_.front().number > after + 1) {
    out.lost = slow_.front().number - after - 1;
  }
  for (const Slow& one : slow_) {
    if (one.number > after && one.what.latency_ns >= slow_ns) out.events.push_back(one);
  }
  return out;
}

void TraceLoader::watch_slow() {
  ring_buffer* const ring =
      ring_buffer__new(bpf_map__fd(program_->maps.cfs_slow), pass_on, this, nullptr);
  if (ring == nullptr) {
    spdlog::warn("slow requests are not reported: {}", bpf_error("ring buffer").text());
    return;
  }
  pollfd fds[] = {{ring_buffer__epoll_fd(ring), POLLIN, 0}, {stop_event_, POLLIN, 0}};
  for (;;) {
    const int ready = ::poll(fds, std::size(fds), kExpireMs);
    if (ready < 0 && errno != EINTR) break;
    if (fds[1].revents != 0) break;
    ring_buffer__consume(ring);
    expire_ask();
  }
  ring_buffer__free(ring);
}

Result<void> TraceLoader::usable() const {
  switch (state()) {
    case State::kOff:
      return make_error(
          ENODATA, "no BPF program: cfsd is not attached to the module, or was told --no-trace");
    case State::kLoading:
      return make_error(EAGAIN, "the BPF program is being loaded");
    case State::kRefused:
      return make_error(ENODATA, refusal_);
    case State::kAttached:
      break;
  }
  return {};
}

Result<std::vector<OpLatency>> TraceLoader::read() const {
  const Result<void> ready = usable();
  if (!ready) return ready.error();
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return make_error(-cpus, "number of CPUs");
  std::vector<cfs_trace_op> per_cpu(static_cast<std::size_t>(cpus));
  std::vector<OpLatency> out;
  for (std::uint32_t op = 0; op < CFS_TRACE_OPS; ++op) {
    const int failed =
        bpf_map__lookup_elem(program_->maps.cfs_latency, &op, sizeof(op), per_cpu.data(),
                             per_cpu.size() * sizeof(cfs_trace_op), 0);
    if (failed != 0) return make_error(-failed, "histograms");
    OpLatency one{.op = static_cast<std::uint16_t>(op)};
    for (const cfs_trace_op& cpu : per_cpu) one.add(cpu);
    if (one.sum.count != 0) out.push_back(one);
  }
  return out;
}

Result<std::vector<GroupLatency>> TraceLoader::read_groups(cfs_trace_kind kind) const {
  const Result<void> ready = usable();
  if (!ready) return ready.error();
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return make_error(-cpus, "number of CPUs");
  std::vector<cfs_trace_op> per_cpu(static_cast<std::size_t>(cpus));
  const bpf_map* const map = program_->maps.cfs_groups;
  std::vector<GroupLatency> out;
  cfs_trace_key key{};
  const cfs_trace_key* before = nullptr;
  // a key that is forgotten meanwhile begins the walk anew: bounded, and no key twice in a row
  for (unsigned i = 0; i < CFS_TRACE_KEYS; ++i) {
    cfs_trace_key next{};
    if (bpf_map__get_next_key(map, before, &next, sizeof(next)) != 0) break;
    key = next;
    before = &key;
    if (key.kind != static_cast<std::uint32_t>(kind)) continue;
    const int failed = bpf_map__lookup_elem(map, &key, sizeof(key), per_cpu.data(),
                                            per_cpu.size() * sizeof(cfs_trace_op), 0);
    if (failed != 0) continue;
    GroupLatency one{.key = key, .latency = {.op = static_cast<std::uint16_t>(key.op)}};
    for (const cfs_trace_op& cpu : per_cpu) one.latency.add(cpu);
    out.push_back(one);
  }
  return out;
}

}  // namespace cfs
