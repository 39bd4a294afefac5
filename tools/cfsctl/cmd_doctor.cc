// SPDX-License-Identifier: Apache-2.0
/// cfsctl doctor: what is wrong, and what to do about it.
///
/// Purpose  Looks at everything that a mount needs, from the kernel to the data nodes: one line per
///          check, with the next step where it is not well. With --master also before anything is
///          mounted.
/// Failure  Exit code 0: well (warnings count as well), 1: something is broken. Each check ends by
///          itself: servers get a second and a half to answer.
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>

#include "tools/cfsctl/daemon_link.h"
#include "tools/cfsctl/kernel_mount.h"
#include "tools/cfsctl/master_http.h"
#include "tools/cfsctl/mount_table.h"

namespace cfs::ctl {
namespace {

constexpr int kServerTimeMs = 1500;
constexpr std::size_t kNodesMax = 64;  ///< of each kind that are tried
constexpr std::int64_t kStuckMs = 10'000;
constexpr std::uint64_t kFilesLeast = 4096;

enum class State { kOk, kWarn, kBad };

struct Check {
  std::string name;
  State state = State::kOk;
  std::string text;
  std::string next;  ///< what to do; empty when it is well
};
using Checks = std::vector<Check>;

const char* word(State state) {
  return state == State::kOk ? "ok" : (state == State::kWarn ? "warning" : "broken");
}

bool exists(const char* path) {
  std::error_code failed;
  return std::filesystem::exists(path, failed);
}

// ---------------------------------------------------------------- this host

/// 6.12 is the first kernel that the module is built for.
Check check_kernel() {
  utsname host{};
  ::uname(&host);
  int major = 0;
  int minor = 0;
  std::sscanf(host.release, "%d.%d", &major, &minor);
  Check out{"kernel", State::kOk, host.release, ""};
  if (major > 6 || (major == 6 && minor >= 12)) return out;
  out.state = State::kWarn;
  out.text += ": the module needs 6.12 or later";
  out.next = "boot a newer kernel, or mount with --frontend fuse";
  return out;
}

Check check_module() {
  if (module_loaded()) return {"module", State::kOk, "loaded", ""};
  return {"module", State::kWarn, "cubefs is not loaded",
          "'cfsctl module load', or --frontend fuse"};
}

Check check_btf() {
  if (!exists("/sys/kernel/btf/vmlinux")) {
    return {"btf", State::kWarn, "this kernel has no BTF: no latencies are measured",
            "use a kernel with CONFIG_DEBUG_INFO_BTF"};
  }
  if (module_loaded() && !exists("/sys/kernel/btf/cubefs")) {
    return {"btf", State::kWarn, "the module has no BTF: no latencies are measured",
            "build it where the kernel's vmlinux is found"};
  }
  return {"btf", State::kOk, "kernel types are there", ""};
}

Check check_fuse() {
  if (exists("/dev/fuse")) return {"fuse", State::kOk, "/dev/fuse is there", ""};
  return {"fuse", State::kWarn, "/dev/fuse is missing: only kernel mounts work", "'modprobe fuse'"};
}

/// Access times and lock leases compare this host's clock with the servers'.
Check check_clock() {
  timex clock{};
  const int state = ::adjtimex(&clock);
  if (state >= 0 && (clock.status & STA_UNSYNC) == 0) {
    return {"clock", State::kOk, "synchronized", ""};
  }
  return {"clock", State::kWarn, "the kernel says that no time service keeps the clock",
          "start systemd-timesyncd, chrony or ntpd"};
}

/// FS-Cache lists its caches with a letter for their state: A is one that a daemon keeps.
bool local_cache_bound() {
  std::ifstream in("/proc/fs/fscache/caches");
  for (std::string line; std::getline(in, line);) {
    if (line.find(" A ") != std::string::npos) return true;
  }
  return false;
}

void check_local_cache(Checks& out) {
  const std::vector<MountEntry> mounts = cubefs_mounts();
  const bool wanted = std::any_of(mounts.begin(), mounts.end(), [](const MountEntry& one) {
    return ("," + one.options + ",").find(",fsc,") != std::string::npos;
  });
  if (!wanted) return;
  if (local_cache_bound()) {
    out.push_back({"local cache", State::kOk, "bound", ""});
  } else {
    out.push_back({"local cache", State::kWarn, "mounted with fsc, but no cache is bound",
                   "install cachefilesd and start it"});
  }
}

// ---------------------------------------------------------------- daemon

Check check_limits(std::int64_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/limits");
  std::uint64_t files = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("Max open files", 0) == 0) std::istringstream(line.substr(14)) >> files;
  }
  if (files == 0) return {"limits", State::kWarn, "cannot be read", "run it as root"};
  Check out{"limits", State::kOk, std::to_string(files) + " open files", ""};
  if (files >= kFilesLeast) return out;
  out.state = State::kWarn;
  out.next = "LimitNOFILE=65536 in cfsd.service";
  return out;
}

Check check_bpf(const Context& context) {
  const auto answer = ask_daemon(context.socket, "", admin::kLatency);
  const auto* const problem = std::get_if<Problem>(&answer);
  if (problem == nullptr) return {"bpf", State::kOk, "latencies are measured", ""};
  const bool expected = !module_loaded();
  return {"bpf", expected ? State::kOk : State::kWarn,
          expected ? "not needed without the module" : problem->why,
          expected ? "" : "the text names the cause; requests work without it"};
}

Check check_requests(const Context& context) {
  const auto answer = ask_daemon(context.socket, "", admin::kRequests);
  std::int64_t oldest = 0;
  std::size_t count = 0;
  if (const auto* value = std::get_if<Json>(&answer)) {
    for (const Json& one : admin::member_or_empty(*value, "requests")) {
      ++count;
      oldest = std::max(oldest, admin::number_or(one, "age_ms", 0));
    }
  }
  Check out{"requests", State::kOk, std::to_string(count) + " without an answer", ""};
  if (oldest < kStuckMs) return out;
  out.state = State::kBad;
  out.text += ", the oldest for " + std::to_string(oldest / 1000) + " s";
  out.next = "'cfsctl requests' shows them; look at masters and nodes below";
  return out;
}

Check check_daemon(const Context& context, Json& mounts, std::int64_t& pid) {
  const auto answer = ask_daemon(context.socket, "", admin::kStatus);
  if (const auto* problem = std::get_if<Problem>(&answer)) {
    return {"daemon", State::kBad, problem->why, problem->next};
  }
  const Json& status = std::get<Json>(answer);
  pid = admin::number_or(status, "pid", 0);
  const auto listed = ask_daemon(context.socket, "", admin::kMounts);
  if (const auto* value = std::get_if<Json>(&listed))
    mounts = admin::member_or_empty(*value, "mounts");
  const std::string version = admin::text_or(status, "version", "?");
  if (version == CFS_VERSION) return {"daemon", State::kOk, "running, version " + version, ""};
  return {"daemon", State::kWarn, "version " + version + ", cfsctl is " CFS_VERSION,
          "restart it: 'systemctl restart cfsd'"};
}

// ---------------------------------------------------------------- cluster

/// "" when something accepts connections at "host:port", else why not.
std::string cannot_connect(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) return "no port";
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(address.substr(0, colon).c_str(),
                                   address.substr(colon + 1).c_str(), &hints, &found);
  if (failed != 0) return ::gai_strerror(failed);
  const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int error = 0;
  if (::connect(fd, found->ai_addr, found->ai_addrlen) != 0) error = errno;
  ::freeaddrinfo(found);
  pollfd wait{fd, POLLOUT, 0};
  if (error == EINPROGRESS) {
    error = ::poll(&wait, 1, kServerTimeMs) == 1 ? 0 : ETIMEDOUT;
    socklen_t len = sizeof(error);
    if (error == 0) ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
  }
  ::close(fd);
  return error == 0 ? "" : std::strerror(error);
}

Check check_nodes(const std::string& name, const Json& nodes) {
  std::size_t tried = 0;
  std::string bad;
  std::size_t failed = 0;
  for (const Json& node : nodes) {
    if (tried == kNodesMax) break;
    const std::string address = admin::text_or(node, "Addr", admin::text_or(node, "addr", ""));
    if (address.empty()) continue;
    ++tried;
    const std::string why = cannot_connect(address);
    if (why.empty()) continue;
    ++failed;
    bad.append(bad.empty() ? "" : ", ").append(address).append(" (" + why + ")");
  }
  if (failed == 0) return {name, State::kOk, std::to_string(tried) + " answer", ""};
  return {name, failed == tried ? State::kBad : State::kWarn,
          std::to_string(failed) + " of " + std::to_string(tried) + " do not answer: " + bad,
          "is the server running, and does a firewall let this host through?"};
}

void check_cluster(const std::set<std::string>& masters, Checks& out) {
  std::string bad;
  Json cluster;
  std::size_t failed = 0;
  for (const std::string& master : masters) {
    const auto reply = master_get(master, "/admin/getCluster", {}, 2);
    if (reply) {
      cluster = *reply;
    } else {
      ++failed;
      bad += (bad.empty() ? "" : ", ") + master + " (" + reply.error().what + ")";
    }
  }
  if (failed == 0) {
    out.push_back({"masters", State::kOk, std::to_string(masters.size()) + " answer", ""});
  } else {
    out.push_back({"masters", failed == masters.size() ? State::kBad : State::kWarn,
                   std::to_string(failed) + " do not answer: " + bad,
                   "check address, network and the master's log"});
  }
  if (!cluster.is_object()) return;
  out.push_back(check_nodes("meta nodes", admin::member_or_empty(cluster, "MetaNodes")));
  out.push_back(check_nodes("data nodes", admin::member_or_empty(cluster, "DataNodes")));
}

void check_mounts(const Json& mounts, std::set<std::string>& masters, Checks& out) {
  for (const Json& mount : mounts) {
    for (const Json& master : admin::member_or_empty(mount, "masters")) {
      if (master.is_string()) masters.insert(master.get<std::string>());
    }
    const std::string volume = admin::text_or(mount, "volume", "?");
    const std::string trouble = admin::text_or(mount, "trouble", "");
    const bool ready = admin::text_or(mount, "state", "") == "ready";
    out.push_back({"mount " + volume, ready ? State::kOk : State::kBad,
                   ready ? "ready" : "waits: " + trouble,
                   ready ? "" : "its processes hang until that is repaired"});
  }
}

Checks examine(const Context& context, std::set<std::string> masters) {
  Checks out{check_kernel(), check_module(), check_btf(), check_fuse(), check_clock()};
  Json mounts = Json::array();
  std::int64_t pid = 0;
  out.push_back(check_daemon(context, mounts, pid));
  if (pid > 0) {
    out.push_back(check_limits(pid));
    out.push_back(check_bpf(context));
    out.push_back(check_requests(context));
  }
  check_mounts(mounts, masters, out);
  check_local_cache(out);
  if (!masters.empty()) check_cluster(masters, out);
  return out;
}

void print(const Checks& checks) {
  std::size_t width = 0;
  for (const Check& one : checks) width = std::max(width, one.name.size());
  for (const Check& one : checks) {
    const Tone tone = one.state == State::kOk    ? Tone::kGood
                      : one.state == State::kBad ? Tone::kBad
                                                 : Tone::kPlain;
    const std::string state = word(one.state);
    std::cout << one.name << std::string(width - one.name.size() + 2, ' ') << tinted(state, tone)
              << std::string(9 - state.size(), ' ') << one.text;
    if (!one.next.empty()) std::cout << "\n" << std::string(width + 11, ' ') << "-> " << one.next;
    std::cout << "\n";
  }
  std::cout << std::flush;
}

int run_doctor(const Context& context, const std::vector<std::string>& masters, bool json) {
  const Checks checks = examine(context, {masters.begin(), masters.end()});
  const bool broken = std::any_of(checks.begin(), checks.end(),
                                  [](const Check& one) { return one.state == State::kBad; });
  if (json) {
    Json list = Json::array();
    for (const Check& one : checks) {
      list.push_back({{"check", one.name},
                      {"state", word(one.state)},
                      {"text", one.text},
                      {"next", one.next}});
    }
    print_json(Json{{"well", !broken}, {"checks", list}});
  } else {
    print(checks);
  }
  return broken ? kFailed : kDone;
}

}  // namespace

void add_doctor(CLI::App& cli, Context& context) {
  struct Args {
    std::vector<std::string> masters;
    bool json = false;
  };
  CLI::App* const command =
      add_command(cli, "INSPECT", "doctor", "What is wrong, and what to do about it",
                  "  cfsctl doctor\n"
                  "  cfsctl doctor --master 10.0.0.1:17010,10.0.0.2:17010\n"
                  "  cfsctl doctor --json | jq '.checks[] | select(.state != \"ok\")'");
  auto args = std::make_shared<Args>();
  command->add_option("--master", args->masters, "Check these masters and their nodes too")
      ->delimiter(',');
  command->add_flag("--json", args->json, "For programs");
  command->callback(
      [args, &context] { context.exit_code = run_doctor(context, args->masters, args->json); });
}

}  // namespace cfs::ctl
