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
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <deque>
#include <iterator>
#include <utility>

#include "trace.skel.h"

namespace cfs {
namespace {

constexpr const char* kModuleTypes = "/sys/kernel/btf/cubefs";
constexpr int kNice = 10;
constexpr std::size_t kLinesKept = 6;  ///< enough for the verifier's verdict and libbpf's

/// libbpf's last lines. Its print callback has no argument, and the load runs on one thread.
thread_local std::deque<std::string> last_lines;

void keep_line(std::string line) {
  if (line.empty()) return;
  last_lines.push_back(std::move(line));
  if (last_lines.size() > kLinesKept) last_lines.pop_front();
}

int keep_lines(enum libbpf_print_level level, const char* format, va_list args) {
  if (level != LIBBPF_WARN) return 0;
  va_list again;
  va_copy(again, args);
  const int length = std::vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (length <= 0) return 0;
  std::string text(static_cast<std::size_t>(length) + 1, '\0');
  std::vsnprintf(text.data(), text.size(), format, args);
  text.pop_back();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    keep_line(text.substr(at, end - at));
    at = end + 1;
  }
  return 0;
}

/// The error of the libbpf call that just failed, with what libbpf said about it.
Error bpf_error(std::string what) {
  const int code = errno;
  for (const std::string& line : last_lines) what += " | " + line;
  return make_error(code, std::move(what));
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
  // a daemon that takes over after a crash has requests to answer first
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
  if (settings_.slow_ns != 0 && settings_.on_slow) watch_slow();
}

Result<TraceLoader::Program> TraceLoader::attach() const {
  if (::access(kModuleTypes, R_OK) != 0) return errno_error(kModuleTypes);
  last_lines.clear();
  libbpf_set_print(keep_lines);
  Program program(trace_bpf__open());
  if (!program) return bpf_error("cannot open the BPF program");
  // in writable memory until the load copies it into a read-only map
  program->rodata->slow_ns = settings_.slow_ns;
  if (trace_bpf__load(program.get()) != 0) return bpf_error("the kernel refused the BPF program");
  if (trace_bpf__attach(program.get()) != 0) return bpf_error("cannot attach the BPF program");
  return program;
}

int TraceLoader::pass_on(void* self, void* event, std::size_t bytes) {
  const auto* const loader = static_cast<const TraceLoader*>(self);
  if (bytes >= sizeof(cfs_trace_slow)) {
    loader->settings_.on_slow(*static_cast<const cfs_trace_slow*>(event));
  }
  return 0;
}

void TraceLoader::watch_slow() const {
  ring_buffer* const ring = ring_buffer__new(bpf_map__fd(program_->maps.cfs_slow), pass_on,
                                             const_cast<TraceLoader*>(this), nullptr);
  if (ring == nullptr) {
    spdlog::warn("slow requests are not reported: {}", bpf_error("ring buffer").text());
    return;
  }
  pollfd fds[] = {{ring_buffer__epoll_fd(ring), POLLIN, 0}, {stop_event_, POLLIN, 0}};
  for (;;) {
    const int ready = ::poll(fds, std::size(fds), -1);
    if (ready < 0 && errno != EINTR) break;
    if (fds[1].revents != 0) break;
    ring_buffer__consume(ring);
  }
  ring_buffer__free(ring);
}

Result<std::vector<OpLatency>> TraceLoader::read() const {
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

}  // namespace cfs
