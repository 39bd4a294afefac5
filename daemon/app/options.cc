// SPDX-License-Identifier: Apache-2.0
/// Options of cfsd, with CLI11.
#include "daemon/app/options.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

namespace cfs {
namespace {

/// The daemon leaves its directory when it goes to the background.
void make_absolute(std::string& path) {
  if (!path.empty() && path != "syslog") path = std::filesystem::absolute(path).string();
}

}  // namespace

ParsedOptions parse_options(int argc, char** argv) {
  Options options;
  CLI::App cli("CubeFS client daemon: serves the kernel module and FUSE mounts of this host.",
               "cfsd");
  cli.set_version_flag("--version", std::string("cfsd ") + CFS_VERSION);
  cli.add_option("--socket", options.socket, "Admin socket; one daemon per socket")
      ->capture_default_str();
  cli.add_flag("-f,--foreground", options.foreground, "Do not go to the background");
  cli.add_option("--log-level", options.log_level, "What is logged")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->capture_default_str();
  cli.add_option("--log-format", options.log_format,
                 "Lines of stderr or the file: for people (journald gets levels), or JSON objects")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  cli.add_option(
      "--log-file", options.log_file,
      "File, or 'syslog'; default: stderr in the foreground or if it is a file, else syslog");
  cli.add_option("--pid-file", options.pid_file, "Write the process id here");
  cli.add_option("--connections", options.connections,
                 "Connections to each data node: read=N,append=N,overwrite=N (2 each)");
  cli.add_flag("--trace,!--no-trace", options.trace,
               "Latency histograms of the module's requests (BPF; default: on where it works)");
  cli.add_flag(
      "--policy,!--no-policy", options.policy,
      "Load the default policy of the metadata cache (BPF), if there is none; fill the cache");
  cli.add_option("--trace-slow-ms", options.trace_slow_ms,
                 "Log requests of the module that took this long or longer (0: none)")
      ->check(CLI::Range(0U, 3'600'000U));
  cli.add_option("--metrics", options.metrics,
                 "Serve /metrics for Prometheus and a status page at this ADDRESS:PORT, such as "
                 "127.0.0.1:9494 (default: off)");
  cli.add_option("--auto-exit", options.auto_exit_s,
                 "End when nothing has been mounted for this many seconds (0: never)");
  try {
    cli.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return {std::nullopt, cli.exit(e) == 0 ? 0 : 2};
  }
  const auto counts = ConnectionCounts::parse(options.connections);
  if (!counts) {
    std::cerr << "cfsd: --connections: " << counts.error().what << "\n";
    return {std::nullopt, 2};
  }
  options.counts = *counts;
  std::error_code failed;
  options.command_line = {{argv, argv + argc}, std::filesystem::current_path(failed).string()};
  make_absolute(options.log_file);
  make_absolute(options.pid_file);
  make_absolute(options.socket);
  return {options, 0};
}

}  // namespace cfs
