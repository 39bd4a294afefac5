// SPDX-License-Identifier: Apache-2.0
/// Command line of cfsd.
///
/// Purpose  Parsed once at start; nothing is read from files: a mount's configuration is in the
/// mount. Threads  Fixed after parse(). Failure  parse() prints help, version or the mistake and
/// says with which code to exit.
#pragma once

#include <optional>
#include <string>

#include "daemon/app/admin_protocol.h"
#include "daemon/app/takeover.h"
#include "daemon/kernel/connector.h"

namespace cfs {

struct Options {
  std::string socket = admin::kDefaultSocket;
  bool foreground = false;
  std::string log_level = "info";
  std::string log_format = "text";
  std::string
      log_file;  ///< "syslog"; empty: stderr in the foreground or when it is a file, else syslog
  std::string pid_file;
  std::string connections;     ///< as given; see counts
  ConnectionCounts counts;     ///< connections per data node
  bool trace = true;           ///< latency histograms by BPF, where the kernel can
  bool policy = true;          ///< load a policy for the metadata cache, if there is none
  unsigned trace_slow_ms = 0;  ///< log kernel requests that took so long; 0: none
  std::string metrics;         ///< "ADDRESS:PORT" of /metrics and the status page; empty: off
  CommandLine command_line;    ///< to start a daemon with the same options
  unsigned auto_exit_s = 0;    ///< end when nothing was mounted for so long; 0: never
};

/// The options, or the exit code when there is nothing to run.
struct ParsedOptions {
  std::optional<Options> options;
  int exit_code = 0;
};

[[nodiscard]] ParsedOptions parse_options(int argc, char** argv);

}  // namespace cfs
