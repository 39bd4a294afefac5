// SPDX-License-Identifier: Apache-2.0
/// cfsctl module load|unload|status.
///
/// Purpose  Unloading needs an order: no mounts, no daemon (it holds the device), no pinned policy
///          (it holds the module), then the module.
/// Failure  Refused while something is mounted; what stands in the way is named.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>

#include "tools/cfsctl/daemon_link.h"
#include "tools/cfsctl/kernel_mount.h"
#include "tools/cfsctl/mount_table.h"

namespace cfs::ctl {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPins = "/sys/fs/bpf/cubefs";
constexpr auto kStopLimit = std::chrono::seconds(25);  // longer than the daemon's own limit
constexpr auto kReleaseLimit = std::chrono::seconds(5);
constexpr auto kPollPause = std::chrono::milliseconds(50);

Problem load_problem(const std::string& why, const std::string& next) {
  return {kAbsent, "cannot load the module", why, next};
}

/// Modules of the build tree this program stands in, newest first.
std::vector<std::string> built_modules() {
  std::error_code failed;
  const fs::path own = fs::read_symlink("/proc/self/exe", failed).parent_path();
  std::vector<fs::path> found;
  for (const char* root : {"../../..", "../../../.."}) {
    for (const auto& entry : fs::directory_iterator(own / root, failed)) {
      for (const char* part : {"kmod/cubefs.ko", "cubefs.ko"}) {
        if (fs::exists(entry.path() / part, failed)) found.push_back(entry.path() / part);
      }
    }
  }
  std::sort(found.begin(), found.end(), [](const fs::path& a, const fs::path& b) {
    std::error_code ignored;
    return fs::last_write_time(a, ignored) > fs::last_write_time(b, ignored);
  });
  std::vector<std::string> out;
  for (const fs::path& path : found) out.push_back(path.lexically_normal().string());
  return out;
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

/// insmod resolves no dependencies.
RunResult insert(const std::string& path) {
  [[maybe_unused]] const RunResult dependency = run_program({"modprobe", "-q", "netfs"});
  return run_program({"insmod", path});
}

int run_load(const std::string& file) {
  if (!has_sys_admin()) {
    return report({kFailed, "cannot load the module", "no privilege", "run it as root"});
  }
  if (module_loaded()) {
    std::cout << "the cubefs module is loaded already\n";
    return kDone;
  }
  RunResult loaded;
  if (!file.empty()) {
    loaded = insert(file);
  } else {
    loaded = run_program({"modprobe", "cubefs"});
    for (const std::string& path : built_modules()) {
      if (loaded.status == 0) break;
      loaded = insert(path);
    }
  }
  if (loaded.status != 0) {
    return report(load_problem(first_line(loaded.errors),
                               "install it, or name the file with --file cubefs.ko"));
  }
  const Result<void> ready = ensure_module();
  if (!ready) return report(load_problem(ready.error().what, "see the kernel log"));
  std::cout << "the cubefs module is loaded\n";
  return kDone;
}

/// Ends the daemon; 0 or a reported problem.
int stop_daemon(const Context& context, const std::string& what) {
  auto daemon = AdminClient::connect(context.socket);
  if (!daemon) return kDone;
  const auto status = daemon->call(admin::kStatus);
  if (status && admin::number_or(*status, "fuse_mounts", 0) > 0) {
    return report({kFailed, what, "the daemon serves FUSE mounts",
                   "unmount them first; 'cfsctl mounts' lists them"});
  }
  const Progress progress("stopping cfsd");
  const auto asked = daemon->call(admin::kShutdown);
  if (!asked) return report({kFailed, what, asked.error().what, "stop cfsd by hand"});
  const auto until = std::chrono::steady_clock::now() + kStopLimit;
  while (status && std::chrono::steady_clock::now() < until) {
    const auto pid = static_cast<pid_t>(admin::number_or(*status, "pid", 0));
    if (pid <= 0 || (::kill(pid, 0) < 0 && errno == ESRCH)) return kDone;
    std::this_thread::sleep_for(kPollPause);
  }
  return report({kFailed, what, "cfsd does not end", "end it by hand"});
}

/// The kernel lets go of the device and of programs a little after their last user.
int remove_module() {
  const auto until = std::chrono::steady_clock::now() + kReleaseLimit;
  for (;;) {
    if (::syscall(SYS_delete_module, "cubefs", O_NONBLOCK) == 0) return 0;
    const int code = errno;
    if ((code != EWOULDBLOCK && code != EBUSY) || std::chrono::steady_clock::now() > until) {
      return code;
    }
    std::this_thread::sleep_for(kPollPause);
  }
}

int run_unload(const Context& context) {
  const std::string what = "cannot unload the module";
  if (!module_loaded()) {
    std::cout << "the cubefs module is not loaded\n";
    return kDone;
  }
  for (const MountEntry& entry : cubefs_mounts()) {
    if (!entry.is_kernel()) continue;
    return report({kFailed, what, entry.source + " is mounted on " + entry.mount_point,
                   "unmount it first with 'cfsctl umount " + entry.mount_point + "'"});
  }
  if (const int code = stop_daemon(context, what)) return code;
  std::error_code ignored;
  fs::remove_all(kPins, ignored);
  const int code = remove_module();
  if (code == EPERM) return report({kFailed, what, "no privilege", "run it as root"});
  if (code != 0) {
    return report({kFailed, what, std::string("it is in use (") + std::strerror(code) + ")",
                   "look for mounts in other mount namespaces and for another cfsd"});
  }
  std::cout << "the cubefs module is unloaded\n";
  return kDone;
}

std::string read_word(const std::string& path) {
  std::ifstream in(path);
  std::string word;
  in >> word;
  return word;
}

int run_module_status(bool json) {
  const bool loaded = module_loaded();
  const Json out{{"loaded", loaded},
                 {"device", ::access("/dev/cubefs", F_OK) == 0},
                 {"version", read_word("/sys/module/cubefs/version")},
                 {"references", std::atoi(read_word("/sys/module/cubefs/refcnt").c_str())},
                 {"pinned_policy", fs::exists(kPins)}};
  if (json) {
    print_json(out);
  } else {
    std::cout << "module " << (loaded ? tinted("loaded", Tone::kGood) : "not loaded");
    if (loaded) std::cout << ", " << out["references"] << " references";
    std::cout << std::endl;
  }
  return loaded ? kDone : kAbsent;
}

}  // namespace

void add_module(CLI::App& cli, Context& context) {
  CLI::App* const command =
      add_command(cli, "ADMIN", "module", "Load, unload, look at the kernel module",
                  "  cfsctl module load\n  cfsctl module load --file ./kmod/cubefs.ko\n"
                  "  cfsctl module unload");
  command->require_subcommand(1);
  auto file = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  CLI::App* const load = command->add_subcommand("load", "Load it with modprobe, or from a file");
  load->add_option("--file", *file, "cubefs.ko to load")->check(CLI::ExistingFile);
  load->callback([file, &context] { context.exit_code = run_load(*file); });
  CLI::App* const unload =
      command->add_subcommand("unload", "Stop the daemon, remove pinned policies, unload");
  unload->callback([&context] { context.exit_code = run_unload(context); });
  CLI::App* const status = command->add_subcommand("status", "Is it loaded? (exit code 3: no)");
  status->add_flag("--json", *json, "For programs");
  status->callback([json, &context] { context.exit_code = run_module_status(*json); });
}

}  // namespace cfs::ctl
