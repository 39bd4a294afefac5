// SPDX-License-Identifier: Apache-2.0
/// cfsd: the CubeFS client daemon.
///
/// Purpose  Options, one instance, background, log; then App does the work.
/// Failure  Exit code 0: ended on request, 1: could not start, 2: wrong use.
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <iostream>
#include <optional>

#include "daemon/app/app.h"
#include "daemon/app/log_setup.h"
#include "daemon/app/process.h"

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

/// Everything between "this process is the daemon" and its end.
cfs::Result<void> serve(const cfs::Options& options, std::optional<cfs::Background>& background) {
  const auto log = cfs::set_up_log(options.log_file, options.log_level, options.foreground);
  if (!log) return log.error();
  std::optional<cfs::PidFile> pid_file;
  if (!options.pid_file.empty()) {
    auto written = cfs::PidFile::write(options.pid_file);
    if (!written) return written.error();
    pid_file.emplace(std::move(written).value());
  }
  auto app = cfs::App::create(options, fuse_factory());
  if (!app) return app.error();
  if (background) background->ready();
  (*app)->run();
  return {};
}

int fail(std::optional<cfs::Background>& background, const cfs::Error& why) {
  if (background) {
    background->fail(why.text());
  } else {
    std::cerr << "cfsd: " << why.text() << "\n";
  }
  return EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) {
  const cfs::ParsedOptions parsed = cfs::parse_options(argc, argv);
  if (!parsed.options) return parsed.exit_code;
  const cfs::Options& options = *parsed.options;
  std::optional<cfs::Background> background;
  // the lock lies on the open file, which the child of a fork shares
  const auto lock = cfs::InstanceLock::take(options.socket + ".lock");
  if (!lock) return fail(background, lock.error());
  if (!options.foreground) {
    auto entered = cfs::Background::enter();
    if (!entered) return fail(background, entered.error());
    background.emplace(std::move(entered).value());
    lock->write_pid();
  }
  const auto served = serve(options, background);
  return served ? EXIT_SUCCESS : fail(background, served.error());
}
