// SPDX-License-Identifier: Apache-2.0
/// cfsd: the CubeFS client daemon.
///
/// Purpose  Options, one instance, background, log; then App does the work.
/// Failure  Exit code 0: ended on request, 1: could not start, 2: wrong use.
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <optional>

#include "daemon/app/app.h"
#include "daemon/app/log_setup.h"
#include "daemon/app/process.h"
#include "daemon/app/takeover.h"

#ifdef CFS_HAVE_FUSE
#include "daemon/fuse/fuse_front.h"
#endif

namespace {

cfs::FuseFactory fuse_factory() {
#ifdef CFS_HAVE_FUSE
  return cfs::fuse_mount;
#else
  return {};
#endif
}

/// Whoever waits for this process to serve.
struct Starter {
  std::optional<cfs::Background> background;
  std::optional<cfs::Predecessor> before;
  std::optional<cfs::FailedUpgrade> after;

  void ready() {
    if (background) background->ready();
    if (before) before->ready();
  }
  int fail(const cfs::Error& why) {
    if (background) background->fail(why.text());
    if (before) before->fail(why.text());
    if (!background) std::cerr << "cfsd: " << why.text() << "\n";
    return EXIT_FAILURE;
  }
};

/// The lock lies on the open file, which the child of a fork shares.
cfs::Result<cfs::InstanceLock> lock_of(const cfs::Options& options, const Starter& starter) {
  if (starter.before) return cfs::InstanceLock::inherited(starter.before->lock_fd());
  if (starter.after) return cfs::InstanceLock::inherited(starter.after->lock_fd);
  return cfs::InstanceLock::take(options.socket + ".lock");
}

using Next = std::optional<cfs::Successor>;

/// Everything between "this process is the daemon" and its end: the daemon that follows, if one is to.
cfs::Result<Next> serve(const cfs::Options& options, cfs::InstanceLock& lock, Starter& starter) {
  const auto log =
      cfs::set_up_log(options.log_file, options.log_format, options.log_level, options.foreground);
  if (!log) return log.error();
  if (starter.before) {
    const auto known = cfs::KernelChannel::check_abi();
    if (!known) return known.error();
    starter.before->prepared();
    if (!starter.before->wait()) return cfs::make_error(ECANCELED, "there is no upgrade any more");
  }
  lock.write_pid();
  std::optional<cfs::PidFile> pid_file;
  if (!options.pid_file.empty()) {
    auto written = cfs::PidFile::write(options.pid_file);
    if (!written) return written.error();
    pid_file.emplace(std::move(written).value());
  }
  auto app = cfs::App::create(options, fuse_factory(), lock.fd());
  if (!app) return app.error();
  if (starter.before) (*app)->took_over(*starter.before);
  if (starter.after) (*app)->came_back(*starter.after);
  starter.ready();
  (*app)->run();
  return (*app)->take_successor();
}

/// Release it; if it does not serve then, be the daemon again.
int hand_over(const cfs::Options& options, int lock_fd, cfs::Successor next) {
  ::alarm(0);  // of the stop
  const pid_t pid = next.pid();
  const auto served = next.release();
  if (served) {
    cfs::notify_service_manager("MAINPID=" + std::to_string(pid));
    return EXIT_SUCCESS;
  }
  const cfs::Error why = cfs::start_again(options.command_line, {served.error().text(), lock_fd});
  std::cerr << "cfsd: " << why.text() << "\n";
  return EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) {
  const cfs::ParsedOptions parsed = cfs::parse_options(argc, argv);
  if (!parsed.options) return parsed.exit_code;
  const cfs::Options& options = *parsed.options;
  ::prctl(PR_SET_NAME, "cfsd");  // whatever the file is called
  Starter starter;
  starter.before = cfs::Predecessor::from_environment();
  starter.after = cfs::FailedUpgrade::from_environment();
  auto lock = lock_of(options, starter);
  if (!lock) return starter.fail(lock.error());
  if (!options.foreground && !starter.before) {
    auto entered = cfs::Background::enter();
    if (!entered) return starter.fail(entered.error());
    starter.background.emplace(std::move(entered).value());
  }
  auto served = serve(options, *lock, starter);
  if (!served) return starter.fail(served.error());
  if (!*served) return EXIT_SUCCESS;
  return hand_over(options, lock->fd(), std::move(**served));
}
