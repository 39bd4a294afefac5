// SPDX-License-Identifier: Apache-2.0
/// cfs-minicluster: an embedded CubeFS for trying, developing and testing.
///
/// Purpose   Command line, signals, ready message. Runs in the foreground until SIGTERM or SIGINT.
/// Failure   Exit status 1 with a sentence when it cannot start, 2 for wrong use.
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <fstream>

#include "tools/minicluster/cluster.h"
#include "tools/minicluster/topology.h"

namespace cfs::mini {
namespace {

struct Arguments {
  ClusterOptions cluster;
  std::vector<std::string> volumes;  ///< NAME:OWNER[:replicas]
  std::string pid_file;
  std::string ready_file;
  std::string log_level = "warn";
  bool sync = false;
};

void define(CLI::App& app, Arguments& args) {
  app.description("Embedded CubeFS cluster for trying and testing. Not for data you need.");
  app.add_option("--dir", args.cluster.dir, "Directory for all state")->required();
  app.add_option("--ip", args.cluster.ip, "Address to listen on")->capture_default_str();
  app.add_option("--masters", args.cluster.masters, "Masters")->capture_default_str();
  app.add_option("--metanodes", args.cluster.meta_nodes, "Meta nodes")->capture_default_str();
  app.add_option("--datanodes", args.cluster.data_nodes, "Data nodes")->capture_default_str();
  app.add_option("--base-port", args.cluster.base_port,
                 "Port of the first master; meta nodes listen 200, data nodes 300 higher; "
                 "0 chooses")
      ->capture_default_str();
  app.add_option("--volume", args.volumes, "Volume to have: NAME:OWNER[:REPLICAS]");
  app.add_option("--tiny-ready-ms", args.cluster.tiny_ready_ms,
                 "Refuse tiny writes for this long after a start")
      ->capture_default_str();
  app.add_option("--pid-file", args.pid_file, "Write the process id here");
  app.add_option("--ready-file", args.ready_file, "Write the master addresses here when ready");
  app.add_option("--log-level", args.log_level, "trace, debug, info, warn, err, off")
      ->capture_default_str();
  app.add_flag("--sync", args.sync, "fsync metadata at each change");
}

Result<Volume> parse_volume(const std::string& text) {
  std::vector<std::string> parts = CLI::detail::split(text, ':');
  Volume v;
  if (parts.size() < 2 || parts.size() > 3 || parts[1].empty() || !valid_volume_name(parts[0])) {
    return make_error(EINVAL, "--volume " + text + ": want NAME:OWNER[:REPLICAS]");
  }
  v.name = parts[0];
  v.owner = parts[1];
  if (parts.size() == 3) {
    if (parts[2].size() != 1 || parts[2][0] < '1' || parts[2][0] > '3') {
      return make_error(EINVAL, "--volume " + text + ": REPLICAS is 1, 2 or 3");
    }
    v.dp_replicas = static_cast<uint32_t>(parts[2][0] - '0');
  }
  return v;
}

Result<void> make_volumes(Cluster& cluster, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    Result<Volume> volume = parse_volume(text);
    if (!volume) return volume.error();
    Result<void> made = cluster.create_volume(*volume);
    if (!made && made.code() != EEXIST) return made;
  }
  return {};
}

std::string join(const std::vector<std::string>& list) {
  std::string out;
  for (const std::string& item : list) out += (out.empty() ? "" : ",") + item;
  return out;
}

/// Whole file at once, so that a waiting reader never sees half of it.
void write_file(const std::string& path, const std::string& text) {
  if (path.empty()) return;
  const std::string temporary = path + ".tmp";
  std::ofstream(temporary) << text << "\n";
  std::rename(temporary.c_str(), path.c_str());
}

int run(const Arguments& args, const sigset_t& signals) {
  Cluster cluster(args.cluster);
  Result<void> ok = cluster.start();
  if (ok) ok = make_volumes(cluster, args.volumes);
  if (!ok) {
    std::fprintf(stderr, "cfs-minicluster: %s\n", ok.error().text().c_str());
    return 1;
  }
  const std::string masters = join(cluster.master_addresses());
  std::printf("cfs-minicluster: ready, master %s\n", masters.c_str());
  std::fflush(stdout);
  write_file(args.ready_file, masters);
  int signal = 0;
  sigwait(&signals, &signal);
  cluster.stop();
  if (!args.pid_file.empty()) ::unlink(args.pid_file.c_str());
  return 0;
}

}  // namespace
}  // namespace cfs::mini

int main(int argc, char** argv) {
  cfs::mini::Arguments args;
  CLI::App app;
  cfs::mini::define(app, args);
  CLI11_PARSE(app, argc, argv);
  if (args.sync) args.cluster.durability = cfs::mini::Durability::kDisk;
  spdlog::set_default_logger(spdlog::stderr_color_mt("minicluster"));
  spdlog::set_level(spdlog::level::from_str(args.log_level));
  // Blocked before the first thread starts, so that only sigwait() sees them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  cfs::mini::write_file(args.pid_file, std::to_string(::getpid()));
  return cfs::mini::run(args, signals);
}
