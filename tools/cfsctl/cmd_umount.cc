// SPDX-License-Identifier: Apache-2.0
/// cfsctl umount.
///
/// Purpose  Saves first: syncs within the mount's deadline and refuses, naming what is unsaved,
///          before anything is taken away. -f gives unsaved data up, also of mounts whose unmount
///          has begun and hangs; -l detaches now.
/// Failure  A mount that cannot be saved stays mounted.
#include <cubefs/cfs.h>
#include <cubefs/cfs_bpf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <iostream>
#include <sstream>
#include <thread>

#include "tools/cfsctl/daemon_link.h"
#include "tools/cfsctl/mount_table.h"

namespace cfs::ctl {
namespace {

constexpr int kDeadlineDefaultS = 600;  // of the module, see kmod/super.c
constexpr auto kPollPause = std::chrono::milliseconds(20);
constexpr auto kForceLimit = std::chrono::seconds(5);
constexpr auto kGoneLimit = std::chrono::seconds(5);

struct UmountArgs {
  std::string directory;
  bool force = false;
  bool lazy = false;
};

int deadline_of(const MountEntry& entry) {
  std::istringstream in(entry.options);
  for (std::string item; std::getline(in, item, ',');) {
    if (item.rfind("deadline=", 0) == 0) return std::atoi(item.c_str() + 9);
  }
  return kDeadlineDefaultS;
}

/// errno of a syncfs() done by a child, which can be killed; ETIMEDOUT after `seconds`.
int sync_in_child(const std::string& path, int seconds) {
  const pid_t child = ::fork();
  if (child < 0) return errno;
  if (child == 0) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ::_exit(fd < 0 || ::syncfs(fd) < 0 ? errno : 0);
  }
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > until) {
      // not waited for: in writeback it cannot die, and nobody shall hang here with it
      ::kill(child, SIGKILL);
      return ETIMEDOUT;
    }
    std::this_thread::sleep_for(kPollPause);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

/// "3 files hold unsaved data", as far as the kernel's counters tell; empty when they cannot be had.
std::string unsaved_text(const Context& context, const MountEntry& entry) {
  const auto mounts = ask_daemon(context.socket, "", admin::kMounts);
  if (std::holds_alternative<Problem>(mounts)) return {};
  const Json list = admin::member_or_empty(std::get<Json>(mounts), "mounts");
  for (const Json& record : matching_records(entry, list)) {
    const Json args{{"session", record["session"]}};
    const auto stats = ask_daemon(context.socket, "", admin::kStats, args);
    if (std::holds_alternative<Problem>(stats)) continue;
    const Json kernel = admin::member_or_empty(std::get<Json>(stats), "kernel");
    if (!kernel.is_object()) continue;
    const auto files = admin::number_or(kernel, "dirty_inodes", 0);
    const auto bytes = admin::number_or(kernel, "uncommitted_bytes", 0);
    std::string text = std::to_string(files) + (files == 1 ? " file holds" : " files hold");
    text += " unsaved data";
    if (bytes > 0) text += ", " + human_bytes(static_cast<std::uint64_t>(bytes)) + " of it sent";
    return text;
  }
  return {};
}

std::optional<Problem> save(const Context& context, const UmountArgs& args,
                            const MountEntry& entry) {
  const Progress progress("saving " + args.directory);
  const int seconds = deadline_of(entry);
  const int failed = sync_in_child(entry.mount_point, seconds);
  if (failed == 0) return std::nullopt;
  // An error of before, of data already given up, is told once (errseq) and keeps nobody from unmounting.
  if (failed != ETIMEDOUT && sync_in_child(entry.mount_point, seconds) == 0) {
    std::fprintf(stderr,
                 "cfsctl: %s: a write failed since the last sync (%s); what was not lost then is "
                 "saved\n",
                 args.directory.c_str(), std::strerror(failed));
    return std::nullopt;
  }
  std::string why = failed == ETIMEDOUT ? "not saved within " + std::to_string(seconds) + " s"
                                        : std::string("saving failed: ") + std::strerror(failed);
  const std::string unsaved = unsaved_text(context, entry);
  if (!unsaved.empty()) why += " (" + unsaved + ")";
  return Problem{kFailed, "cannot unmount " + args.directory, why,
                 "wait and try again, or give unsaved data up with -f"};
}

Problem umount_problem(const UmountArgs& args, int code) {
  const std::string what = "cannot unmount " + args.directory;
  if (code == EBUSY) {
    return {kFailed, what, "it is in use",
            "end what uses it ('fuser -vm " + args.directory + "'), or detach it with -l"};
  }
  if (code == EPERM) return {kFailed, what, "no permission", "run it as root"};
  return {kFailed, what, std::strerror(code), "see the kernel log"};
}

/// The processes whose requests a forced unmount has failed let go of their files a little later.
int detach(const MountEntry& entry, const UmountArgs& args) {
  const int flags = (args.force ? MNT_FORCE : 0) | (args.lazy ? MNT_DETACH : 0);
  const auto until = std::chrono::steady_clock::now() + kForceLimit;
  for (;;) {
    if (::umount2(entry.mount_point.c_str(), flags) == 0) return 0;
    const int code = errno;
    if (code != EBUSY || !args.force || std::chrono::steady_clock::now() > until) return code;
    std::this_thread::sleep_for(kPollPause);
  }
}

/// Users without privileges end their FUSE mounts through fusermount3.
int unmount_entry(const MountEntry& entry, const UmountArgs& args) {
  const int code = detach(entry, args);
  if (code == 0) return 0;
  if (code != EPERM || entry.is_kernel()) return code;
  std::vector<std::string> command{"fusermount3", "-u"};
  if (args.lazy) command.emplace_back("-z");
  command.push_back(entry.mount_point);
  return run_program(command).status == 0 ? 0 : EPERM;
}

/// The daemon learns of the end by itself; a command that follows should not meet what is left.
void wait_until_forgotten(const Context& context, const MountEntry& entry) {
  if (entry.is_kernel()) return;
  const auto until = std::chrono::steady_clock::now() + kGoneLimit;
  while (std::chrono::steady_clock::now() < until) {
    const auto mounts = ask_daemon(context.socket, "", admin::kMounts);
    if (std::holds_alternative<Problem>(mounts)) return;
    const Json list = admin::member_or_empty(std::get<Json>(mounts), "mounts");
    if (matching_records(entry, list).empty()) return;
    std::this_thread::sleep_for(kPollPause);
  }
}

/// A mount whose unmount has begun has no place any more; one that hangs there is ended through the module. Returns how many
/// were.
std::uint32_t abort_unmounting() {
  const int fd = ::open(CFS_DEV_PATH, O_RDWR | O_CLOEXEC);
  if (fd < 0) return 0;
  cfs_abort order{};
  order.len = sizeof(order);
  const bool done = ::ioctl(fd, CFS_IOC_ABORT, &order) == 0;
  ::close(fd);
  return done ? order.count : 0;
}

/// The policy of the metadata cache holds the module: nobody needs it after the last mount. Mounts
/// that this mount namespace does not show have their sessions in the module.
void drop_idle_policy() {
  for (const MountEntry& other : cubefs_mounts()) {
    if (other.is_kernel()) return;
  }
  std::error_code ignored;
  std::filesystem::remove_all(CFS_META_PIN_DIR, ignored);
}

/// The entry at the path as given, else at what it points to.
std::optional<MountEntry> locate(const std::string& directory) {
  if (auto entry = find_mount(absolute_path(directory))) return entry;
  std::error_code failed;
  const auto real = std::filesystem::canonical(directory, failed);
  return failed ? std::nullopt : find_mount(real.string());
}

int run_umount(const Context& context, const UmountArgs& args) {
  const auto entry = locate(args.directory);
  if (!entry) {
    if (args.force && abort_unmounting() > 0) return kDone;
    return report({kFailed, "cannot unmount " + args.directory, "it is not a mount of CubeFS",
                   "'cfsctl mounts' lists them"});
  }
  if (!args.force && !args.lazy) {
    if (const auto problem = save(context, args, *entry)) return report(*problem);
  }
  if (const int code = unmount_entry(*entry, args)) return report(umount_problem(args, code));
  wait_until_forgotten(context, *entry);
  if (entry->is_kernel()) drop_idle_policy();
  return kDone;
}

constexpr const char* kExamples =
    "  cfsctl umount /mnt/vol1        save, then unmount\n"
    "  cfsctl umount -l /mnt/vol1     detach now, end when nobody uses it\n"
    "  cfsctl umount -f /mnt/vol1     servers are gone for good: give up what is not saved";

}  // namespace

void add_umount(CLI::App& cli, Context& context) {
  CLI::App* const command = add_command(cli, "ADMIN", "umount", "Unmount a volume", kExamples);
  auto args = std::make_shared<UmountArgs>();
  command->add_option("directory", args->directory, "Where it is mounted")->required();
  command->add_flag("-f,--force", args->force, "Fail requests in flight, lose unsaved data");
  command->add_flag("-l,--lazy", args->lazy, "Detach now, end later");
  command->callback([args, &context] { context.exit_code = run_umount(context, *args); });
}

}  // namespace cfs::ctl
