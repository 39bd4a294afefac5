// SPDX-License-Identifier: Apache-2.0
/// The commands of cfsctl.
///
/// Purpose  Each cmd_<name>.cc adds one subcommand: arguments, help with examples, action.
/// Threads  Main thread.
/// Failure  An action returns its exit code (output.h) after it has reported the problem.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "tools/cfsctl/output.h"

namespace cfs::ctl {

/// What all commands share.
struct Context {
  std::string socket;  ///< admin socket of the daemon
  int exit_code = kDone;
};

/// Subcommand of a group, with examples below its options.
CLI::App* add_command(CLI::App& parent, const std::string& group, const std::string& name,
                      const std::string& line, const std::string& examples);

void add_mount(CLI::App& cli, Context& context);
void add_umount(CLI::App& cli, Context& context);
void add_mounts(CLI::App& cli, Context& context);
void add_status(CLI::App& cli, Context& context);
void add_stats(CLI::App& cli, Context& context);
void add_requests(CLI::App& cli, Context& context);
void add_latency(CLI::App& cli, Context& context);
void add_module(CLI::App& cli, Context& context);
void add_policy(CLI::App& cli, Context& context);
void add_cache(CLI::App& cli, Context& context);
void add_cluster(CLI::App& cli, Context& context);
void add_bench(CLI::App& cli, Context& context);
void add_doctor(CLI::App& cli, Context& context);
void add_log(CLI::App& cli, Context& context);
void add_profile(CLI::App& cli, Context& context);
void add_report(CLI::App& cli, Context& context);
void add_top(CLI::App& cli, Context& context);
void add_trace(CLI::App& cli, Context& context);
void add_upgrade(CLI::App& cli, Context& context);
void add_version(CLI::App& cli, Context& context);
void add_warm(CLI::App& cli, Context& context);

/// mount.cubefs, as mount(8) calls it. Returns mount(8)'s exit codes.
int run_mount_helper(int argc, char** argv, Context& context);

}  // namespace cfs::ctl
