// SPDX-License-Identifier: Apache-2.0
/// cfsctl cluster up|down|status|volume: the mini cluster, and volumes of any cluster.
///
/// Purpose  A CubeFS cluster for trying in one command. `volume` speaks to any master.
/// Failure  Exit code 3 when no cluster runs where one is needed.
#include <filesystem>
#include <iostream>

#include "tools/cfsctl/cluster_process.h"
#include "tools/cfsctl/master_http.h"

namespace cfs::ctl {
namespace {

struct VolumeArgs {
  std::string name, owner, master;
  unsigned replicas = 3;
  unsigned capacity_gib = 100;
};

struct ClusterArgs {
  ClusterShape shape;
  VolumeArgs volume;
  bool json = false;
};

using Args = std::shared_ptr<ClusterArgs>;

/// A master to ask: named, or of the mini cluster in --dir.
Either<std::string> master_of(const ClusterArgs& args, const std::string& what) {
  std::string master = args.volume.master;
  if (master.empty()) master = cluster_masters(args.shape.dir);
  if (master.empty()) {
    return Problem{kAbsent, what, "no cluster is running in " + args.shape.dir,
                   "start one with 'cfsctl cluster up', or name a master with --master"};
  }
  master = master.substr(0, master.find(','));
  return master.find(':') == std::string::npos ? master + ":17010" : master;
}

// ---------------------------------------------------------------- up, down

int run_up(const ClusterArgs& args) {
  ClusterShape shape = args.shape;
  if (shape.replicas > shape.data_nodes) {
    return report({kUsage, "cannot start the cluster",
                   std::to_string(shape.replicas) + " replicas need as many data nodes",
                   "give --datanodes or --replicas"});
  }
  shape.dir = std::filesystem::absolute(shape.dir).string();
  const auto masters = start_cluster(shape);
  if (const auto* problem = std::get_if<Problem>(&masters)) return report(*problem);
  const std::string& address = std::get<std::string>(masters);
  std::cout << "cluster is up, masters " << address << ", state in " << shape.dir << "\n";
  for (const std::string& volume : shape.volumes) {
    const std::string name = volume.substr(0, volume.find(':'));
    const std::string rest = volume.substr(name.size() + 1);
    std::cout << "  cfsctl mount " << name << "@" << address << " /mnt --owner "
              << rest.substr(0, rest.find(':')) << "\n";
  }
  return kDone;
}

int run_down(const ClusterArgs& args) {
  const auto problem = stop_cluster(std::filesystem::absolute(args.shape.dir).string());
  return problem ? report(*problem) : static_cast<int>(kDone);
}

// ---------------------------------------------------------------- status

void node_rows(const Json& nodes, const std::string& role,
               std::vector<std::vector<std::string>>& rows) {
  if (!nodes.is_object()) return;
  for (const auto& [address, node] : nodes.items()) {
    const std::string state = node.is_object() ? admin::text_or(node, "state", "up") : "up";
    std::string load;
    if (node.is_object() && node.contains("used_bytes")) {
      load = human_bytes(static_cast<std::uint64_t>(admin::number_or(node, "used_bytes", 0))) +
             " in " + std::to_string(admin::number_or(node, "extents", 0)) + " extents";
    }
    rows.push_back({role, address, state, load});
  }
}

int run_status(const ClusterArgs& args) {
  const std::string what = "no status of the cluster";
  const auto master = master_of(args, what);
  if (const auto* problem = std::get_if<Problem>(&master)) return report(*problem);
  const std::string& address = std::get<std::string>(master);
  const auto stats = master_get(address, "/mini/stats");
  const auto volumes = master_get(address, "/vol/list", {{"keywords", ""}});
  if (!stats) return report({kFailed, what, stats.error().what, "is it a mini cluster?"});
  if (args.json) {
    print_json(Json{
        {"master", address}, {"nodes", *stats}, {"volumes", volumes ? *volumes : Json::array()}});
    return kDone;
  }
  std::vector<std::vector<std::string>> rows;
  node_rows(admin::member_or_empty(*stats, "masters"), "master", rows);
  node_rows(admin::member_or_empty(*stats, "meta"), "meta node", rows);
  node_rows(admin::member_or_empty(*stats, "data"), "data node", rows);
  print_table({"ROLE", "ADDRESS", "STATE", "DATA"}, rows);
  if (volumes) std::cout << volumes->size() << " volumes\n";
  return kDone;
}

// ---------------------------------------------------------------- volumes

int run_create(const ClusterArgs& args) {
  const std::string what = "cannot create volume " + args.volume.name;
  const auto master = master_of(args, what);
  if (const auto* problem = std::get_if<Problem>(&master)) return report(*problem);
  const Progress progress("creating " + args.volume.name);
  const auto done = master_get(std::get<std::string>(master), "/admin/createVol",
                               {{"name", args.volume.name},
                                {"owner", args.volume.owner},
                                {"capacity", std::to_string(args.volume.capacity_gib)},
                                {"replicaNum", std::to_string(args.volume.replicas)}},
                               120);
  if (!done) return report({kFailed, what, done.error().what, "choose another name or wait"});
  std::cout << "volume " << args.volume.name << " is ready\n";
  return kDone;
}

int run_list(const ClusterArgs& args) {
  const std::string what = "cannot list volumes";
  const auto master = master_of(args, what);
  if (const auto* problem = std::get_if<Problem>(&master)) return report(*problem);
  const auto volumes = master_get(std::get<std::string>(master), "/vol/list", {{"keywords", ""}});
  if (!volumes) return report({kFailed, what, volumes.error().what, "check the master's address"});
  if (args.json) {
    print_json(Json{{"volumes", *volumes}});
    return kDone;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Json& v : *volumes) {
    if (!v.is_object()) continue;
    rows.push_back({admin::text_or(v, "Name", "?"), admin::text_or(v, "Owner", "?"),
                    human_bytes(static_cast<std::uint64_t>(admin::number_or(v, "UsedSize", 0))),
                    human_bytes(static_cast<std::uint64_t>(admin::number_or(v, "TotalSize", 0)))});
  }
  print_table({"NAME", "OWNER", "USED", "SIZE"}, rows);
  return kDone;
}

// ---------------------------------------------------------------- command line

void add_dir(CLI::App* command, const Args& args) {
  command->add_option("--dir", args->shape.dir, "Directory of the mini cluster")
      ->capture_default_str();
}

void add_up(CLI::App* parent, const Args& args, Context& context) {
  CLI::App* const up = parent->add_subcommand("up", "Start a mini cluster in the background");
  add_dir(up, args);
  ClusterShape& s = args->shape;
  up->add_option("--masters", s.masters, "Masters")->capture_default_str()->check(CLI::Range(1, 9));
  up->add_option("--metanodes", s.meta_nodes, "Meta nodes")
      ->capture_default_str()
      ->check(CLI::Range(1, 99));
  up->add_option("--datanodes", s.data_nodes, "Data nodes")
      ->capture_default_str()
      ->check(CLI::Range(1, 99));
  up->add_option("--replicas", s.replicas, "Replicas of volumes that do not say")
      ->capture_default_str()
      ->check(CLI::Range(1, 3));
  up->add_option("--ip", s.ip, "Address to listen on")->capture_default_str();
  up->add_option("--base-port", s.base_port, "Port of the first master")
      ->capture_default_str()
      ->check(CLI::Range(0, 65000));
  up->add_option("--volume", s.volumes, "Volume to have: NAME:OWNER[:REPLICAS]");
  up->callback([args, &context] { context.exit_code = run_up(*args); });
}

void add_volume(CLI::App* parent, const Args& args, Context& context) {
  CLI::App* const volume = parent->add_subcommand("volume", "Volumes of a cluster");
  volume->require_subcommand(1);
  CLI::App* const create = volume->add_subcommand("create", "Create a volume");
  add_dir(create, args);
  VolumeArgs& v = args->volume;
  create->add_option("name", v.name, "Name")->required();
  create->add_option("--owner", v.owner, "Owner")->required();
  create->add_option("--replicas", v.replicas, "Replicas")
      ->capture_default_str()
      ->check(CLI::Range(1, 3));
  create->add_option("--capacity", v.capacity_gib, "Size in GiB")->capture_default_str();
  create->add_option("--master", v.master, "Master of another cluster");
  create->callback([args, &context] { context.exit_code = run_create(*args); });
  CLI::App* const list = volume->add_subcommand("list", "List volumes");
  add_dir(list, args);
  list->add_option("--master", v.master, "Master of another cluster");
  list->add_flag("--json", args->json, "For programs");
  list->callback([args, &context] { context.exit_code = run_list(*args); });
}

}  // namespace

void add_cluster(CLI::App& cli, Context& context) {
  CLI::App* const command =
      add_command(cli, "ADMIN", "cluster", "A small CubeFS cluster for trying; volumes of any",
                  "  cfsctl cluster up --volume test:alice\n  cfsctl cluster status\n"
                  "  cfsctl cluster volume create data --owner alice --replicas 1\n"
                  "  cfsctl cluster volume list --master 10.0.0.1\n  cfsctl cluster down");
  command->require_subcommand(1);
  auto args = std::make_shared<ClusterArgs>();
  args->shape.dir = default_cluster_dir();
  add_up(command, args, context);
  CLI::App* const down = command->add_subcommand("down", "Stop it; its data stays");
  add_dir(down, args);
  down->callback([args, &context] { context.exit_code = run_down(*args); });
  CLI::App* const status = command->add_subcommand("status", "Nodes and volumes");
  add_dir(status, args);
  status->add_flag("--json", args->json, "For programs");
  status->callback([args, &context] { context.exit_code = run_status(*args); });
  add_volume(command, args, context);
}

}  // namespace cfs::ctl
