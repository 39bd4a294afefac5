// SPDX-License-Identifier: Apache-2.0
/// Reaching the daemon, starting it where none runs.
///
/// Purpose  The one place that knows where cfsd is and what its absence means.
/// Threads  Main thread.
/// Failure  A Problem ready to be reported; kAbsent when there is no daemon.
#pragma once

#include <sys/types.h>

#include <string>
#include <variant>
#include <vector>

#include "daemon/app/admin_client.h"
#include "tools/cfsctl/command.h"

namespace cfs::ctl {

/// A value or why not.
template <typename T>
using Either = std::variant<T, Problem>;

/// The running daemon.
[[nodiscard]] Either<AdminClient> reach_daemon(const std::string& socket, const std::string& what);
/// The running daemon, or one started now: by systemd where it knows the unit, else as a process of
/// its own that ends by itself when nothing has been mounted for ten seconds.
[[nodiscard]] Either<AdminClient> reach_or_start_daemon(const std::string& socket,
                                                        const std::string& what);

/// Answer of one command of the daemon; for commands that only read.
[[nodiscard]] Either<Json> ask_daemon(const std::string& socket, const std::string& what,
                                      const std::string& command, Json args = Json::object());

/// Program beside this one, in the build tree or in PATH; empty when there is none.
[[nodiscard]] std::string find_program(const std::string& name,
                                       const std::vector<std::string>& beside);

/// Exit status of a program (127: it could not be run) and what it wrote to stderr.
struct RunResult {
  int status = 127;
  std::string errors;
};
[[nodiscard]] RunResult run_program(const std::vector<std::string>& arguments);

/// Last lines of a file, on one line.
[[nodiscard]] std::string tail_of(const std::string& path, std::size_t lines = 3);

}  // namespace cfs::ctl
