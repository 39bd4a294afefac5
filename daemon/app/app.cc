// SPDX-License-Identifier: Apache-2.0
/// Start, signals and stop of the daemon; see app.h.
#include "daemon/app/app.h"

#include <spdlog/spdlog.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

#include "daemon/app/process.h"
#include "daemon/base/log.h"

namespace cfs {

extern const char* const kStatusPage;  ///< dashboards/status.html, from the build

namespace {

/// Before any other thread exists, so that all inherit it.
Result<int> block_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) < 0) return errno_error("sigprocmask");
  const int fd = ::signalfd(-1, &set, SFD_CLOEXEC);
  if (fd < 0) return errno_error("signalfd");
  return fd;
}

void stop_took_too_long(int) {
  constexpr char kText[] =
      "cfsd: the stop took too long; open requests are left to the next daemon\n";
  [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, kText, sizeof(kText) - 1);
  ::_exit(1);
}

void ask_to_stop() {
  ::kill(::getpid(), SIGTERM);
}

}  // namespace

App::App(const Options& options, std::unique_ptr<Loop> loop, FuseFactory fuse)
    : options_(options),
      loop_(std::move(loop)),
      pool_(*loop_),
      kernel_(*loop_, pool_, options.counts),
      fuse_(*loop_, pool_, std::move(fuse)),
      trace_(trace_settings()),
      policy_(cache_),
      commands_(*loop_, pool_, kernel_, fuse_, trace_, ask_to_stop) {}

App::~App() {
  if (signals_ >= 0) ::close(signals_);
}

Result<std::unique_ptr<App>> App::create(const Options& options, FuseFactory fuse, int lock_fd) {
  join_reclaim();
  const Result<int> signals = block_signals();
  if (!signals) return signals.error();
  auto loop = Loop::create();
  if (!loop) return loop.error();
  std::unique_ptr<App> app(new App(options, std::move(loop).value(), std::move(fuse)));
  app->signals_ = *signals;
  app->lock_fd_ = lock_fd;
  const Result<void> started = app->start();
  if (!started) return started.error();
  return app;
}

Result<void> App::start() {
  auto admin = AdminServer::listen(*loop_, options_.socket, commands_);
  if (!admin) return admin.error();
  admin_ = std::move(admin).value();
  kernel_.on_sessions_change = [this] { mounts_changed(); };
  if (options_.policy) {
    kernel_.fill_cache(&cache_);
    commands_.on_policy_change = [this] { policy_.start(); };
  }
  commands_.on_upgrade = [this](Json args) { return upgrade(std::move(args)); };
  fuse_.on_change = [this] { mounts_changed(); };
  // not before: who takes over after a crash has requests to answer first
  kernel_.on_settled = [this] {
    if (options_.trace) trace_.start();
  };
  const Result<void> metrics = start_metrics();
  if (!metrics) return metrics.error();
  attach_kernel();
  admin_->start();
  loop_->spawn(wait_for_signal());
  if (options_.auto_exit_s > 0) loop_->spawn(auto_exit(kAutoExitFirst, ++idle_ticket_));
  return {};
}

Result<void> App::start_metrics() {
  if (options_.metrics.empty()) return {};
  auto server = HttpServer::listen(*loop_, options_.metrics,
                                   [this](const std::string& path) { return page(path); });
  if (!server && server.code() == EINVAL) return server.error();
  if (!server) {  // mounts are worth more than their numbers
    spdlog::error("no metrics: {}", server.error().text());
    return {};
  }
  http_ = std::move(server).value();
  http_->start();
  return {};
}

HttpAnswer App::page(const std::string& path) {
  if (path == "/metrics") {
    return {200, "text/plain; version=0.0.4; charset=utf-8",
            metrics_.render(commands_.metrics_sample())};
  }
  if (path == "/") return {200, "text/html; charset=utf-8", kStatusPage};
  return {404, "text/plain; charset=utf-8", "/ and /metrics are here\n"};
}

void App::attach_kernel() {
  const Result<void> attached = kernel_.attach();
  if (attached) return;
  // no module is a normal state; `prepare` tries again when a mount asks for it
  if (attached.code() == ENOENT) {
    spdlog::info("{}", attached.error().what);
  } else {
    spdlog::warn("{}", attached.error().text());
  }
}

/// One line per second at most: a server that hangs makes every request slow.
TraceLoader::Settings App::trace_settings() const {
  auto log = [limit = LogLimit(1000)](const cfs_trace_slow& slow) mutable {
    if (!limit.allow()) return;
    spdlog::warn("slow request: session {}, {} of inode {} took {} ms, result {} ({} more before)",
                 slow.session, op_name(static_cast<std::uint16_t>(slow.op)), slow.ino,
                 slow.latency_ns / 1'000'000, slow.res, limit.swallowed());
  };
  return {.slow_ns = std::uint64_t{options_.trace_slow_ms} * 1'000'000, .on_slow = std::move(log)};
}

void App::run() {
  spdlog::info("cfsd {} serves {}", CFS_VERSION, options_.socket);
  notify_service_manager("READY=1");
  loop_->run();
  spdlog::info("stopped");
}

bool App::idle() const {
  return kernel_.sessions().empty() && fuse_.empty() && pool_.empty() && admin_->busy() == 0;
}

void App::mounts_changed() {
  // the last unmount has taken the policy away
  const bool mounted = !kernel_.sessions().empty();
  if (mounted && !mounted_ && options_.policy && kernel_.attached()) policy_.start();
  mounted_ = mounted;
  if (!memory_locked_ && !kernel_.sessions().empty()) {
    memory_locked_ = true;
    lock_memory();
  }
  const std::uint64_t ticket = ++idle_ticket_;
  if (options_.auto_exit_s == 0 || loop_->stopping()) return;
  if (kernel_.sessions().empty() && fuse_.empty()) {
    loop_->spawn(auto_exit(Millis(options_.auto_exit_s * 1000), ticket));
  }
}

Task<void> App::auto_exit(Millis delay, std::uint64_t ticket) {
  for (;;) {
    const int slept = co_await loop_->sleep(delay);
    if (slept < 0 || ticket != idle_ticket_) co_return;
    if (idle()) break;
    delay = Millis(options_.auto_exit_s * 1000);
  }
  spdlog::info("nothing is mounted: ending as --auto-exit asks");
  ask_to_stop();
}

Task<void> App::wait_for_signal() {
  for (;;) {
    signalfd_siginfo info{};
    const int n = co_await loop_->read(signals_, &info, sizeof(info));
    if (n != static_cast<int>(sizeof(info))) continue;
    if (info.ssi_signo == SIGHUP) continue;  // nothing to read again: mounts carry their settings
    spdlog::info("stopping on signal {}", info.ssi_signo);
    break;
  }
  co_await shut_down();
}

void App::took_over(const Predecessor& before) {
  const std::int64_t took_us = (monotonic_ns() - before.stopped_ns()) / 1000;
  spdlog::info("took over from process {} after {} us", before.pid(), took_us);
  commands_.upgrade = Json{{"from_pid", before.pid()}, {"without_daemon_us", took_us}};
}

void App::came_back(const FailedUpgrade& after) {
  spdlog::error("the upgrade failed, this is the former binary again: {}", after.why);
  commands_.upgrade = Json{{"error", after.why}};
}

Task<Result<Json>> App::upgrade(Json args) {
  if (successor_ || loop_->stopping()) co_return make_error(EBUSY, "the daemon is being replaced");
  const auto mounts_die = [this, force = admin::flag_or(args, "force", false)] {
    return !force && !fuse_.empty();
  };
  const Error refusal{EBUSY, "its FUSE mounts would end with it; unmount them, or use --force"};
  if (mounts_die()) co_return refusal;
  std::string binary = admin::text_or(args, "binary", "");
  if (binary.empty()) binary = own_binary();
  spdlog::info("upgrade: starting {}", binary);
  auto started = Successor::start(binary, options_.command_line, lock_fd_);
  if (!started) co_return started.error();
  successor_.emplace(std::move(started).value());
  Result<void> ready = co_await successor_->prepared(*loop_);
  if (ready && loop_->stopping()) ready = make_error(ESHUTDOWN, "the daemon is being stopped");
  if (ready && mounts_die()) ready = refusal;
  if (!ready) {
    spdlog::error("upgrade: {}", ready.error().text());
    successor_.reset();
    co_return ready.error();
  }
  successor_->stopping();
  ask_to_stop();
  co_return Json{{"pid", successor_->pid()}};
}

std::optional<Successor> App::take_successor() {
  if (!succeeded()) return {};
  return std::exchange(successor_, std::nullopt);
}

Task<void> App::shut_down() {
  if (!succeeded()) notify_service_manager("STOPPING=1");
  std::signal(SIGALRM, stop_took_too_long);
  ::alarm(kStopLimitS);
  idle_ticket_ = 0;
  admin_->stop();
  if (http_) http_->stop();
  co_await fuse_.stop();
  co_await kernel_.stop(kDrainGrace);
  policy_.stop();
  trace_.stop();
  co_await pool_.close();
  loop_->stop();
}

}  // namespace cfs
