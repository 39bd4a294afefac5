// SPDX-License-Identifier: Apache-2.0
/// New mount system calls; see kernel_mount.h.
#include "tools/cfsctl/kernel_mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include "tools/cfsctl/daemon_link.h"

namespace cfs::ctl {
namespace {

constexpr const char* kDevice = "/dev/cubefs";
constexpr int kCapSysAdmin = 21;
constexpr auto kDeviceWait = std::chrono::seconds(2);

/// Closes itself.
class Fd {
 public:
  explicit Fd(long fd) : fd_(static_cast<int>(fd)) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool ok() const { return fd_ >= 0; }

 private:
  int fd_;
};

// Raw calls: older C libraries have the numbers but not the wrappers.
int fs_config(int fs, unsigned command, const char* key, const char* value) {
  return static_cast<int>(::syscall(SYS_fsconfig, fs, command, key, value, 0));
}

/// Messages of the fs context without their class letter ("e cubefs: deadline is ...").
std::string context_messages(int fs) {
  std::string out;
  char line[1024];
  for (;;) {
    const ssize_t n = ::read(fs, line, sizeof(line));
    if (n <= 0) return out;
    std::string text(line, static_cast<std::size_t>(n));
    if (text.size() > 2 && text[1] == ' ') text = text.substr(2);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    out += (out.empty() ? "" : ", ") + text;
  }
}

Error context_error(int fs, const std::string& step) {
  const int code = errno;
  const std::string messages = context_messages(fs);
  return make_error(code, messages.empty() ? step + ": " + std::strerror(code) : messages);
}

Result<void> set_string(int fs, const char* key, const std::string& value) {
  if (fs_config(fs, FSCONFIG_SET_STRING, key, value.c_str()) == 0) return {};
  return context_error(fs, std::string("option ") + key);
}

Result<void> set_flag(int fs, const char* key) {
  if (fs_config(fs, FSCONFIG_SET_FLAG, key, nullptr) == 0) return {};
  return context_error(fs, std::string("option ") + key);
}

/// The configuration, a line at a time: the kernel joins the lines again.
Result<void> set_config(int fs, const MountPlan& plan) {
  std::istringstream lines(plan.config.format());
  for (std::string line; std::getline(lines, line);) {
    Result<void> set = set_string(fs, "config", line);
    if (!set) return set;
  }
  return {};
}

Result<void> set_options(int fs, const MountPlan& plan) {
  Result<void> set = set_string(fs, "source", plan.source());
  if (set) set = set_config(fs, plan);
  if (set && !plan.crc) set = set_string(fs, "crc", "off");
  if (set && plan.soft) set = set_flag(fs, "soft");
  if (set && !plan.acl) set = set_flag(fs, "noacl");
  if (set && !plan.bpf) set = set_flag(fs, "nobpf");
  if (set && plan.fsc) set = set_flag(fs, "fsc");
  if (set && plan.deadline_s > 0) set = set_string(fs, "deadline", std::to_string(plan.deadline_s));
  if (set && plan.config.read_only) set = set_flag(fs, "ro");
  for (const std::string& flag : plan.sb_flags) {
    if (set) set = set_flag(fs, flag.c_str());
  }
  return set;
}

std::uint64_t attributes_of(const MountPlan& plan) {
  return plan.attributes | (plan.config.read_only ? std::uint64_t{MOUNT_ATTR_RDONLY} : 0);
}

}  // namespace

bool module_loaded() {
  return ::access("/sys/module/cubefs", F_OK) == 0;
}

Result<void> ensure_module() {
  if (!module_loaded()) {
    const RunResult loaded = run_program({"modprobe", "-q", "cubefs"});
    if (loaded.status == 127) return make_error(ENOENT, "the cubefs module is not loaded");
    if (loaded.status != 0) {
      return make_error(ENOENT, "the cubefs module is not loaded and modprobe cannot load it");
    }
  }
  const auto until = std::chrono::steady_clock::now() + kDeviceWait;
  while (::access(kDevice, F_OK) != 0) {
    if (std::chrono::steady_clock::now() > until) {
      return make_error(ENOENT, std::string(kDevice) + " does not exist");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return {};
}

bool has_sys_admin() {
  std::ifstream in("/proc/self/status");
  for (std::string word; in >> word;) {
    if (word != "CapEff:") continue;
    std::string mask;
    in >> mask;
    return (std::strtoull(mask.c_str(), nullptr, 16) >> kCapSysAdmin & 1) != 0;
  }
  return false;
}

Result<void> kernel_mount(const MountPlan& plan, const std::string& directory) {
  const Fd fs(::syscall(SYS_fsopen, "cubefs", FSOPEN_CLOEXEC));
  if (!fs.ok()) {
    return errno == ENODEV ? make_error(ENODEV, "the kernel has no file system 'cubefs'")
                           : make_error(errno, std::string("fsopen: ") + std::strerror(errno));
  }
  Result<void> set = set_options(fs.get(), plan);
  if (!set) return set;
  if (fs_config(fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr) < 0) {
    return context_error(fs.get(), "mount");
  }
  const Fd mount(::syscall(SYS_fsmount, fs.get(), FSMOUNT_CLOEXEC,
                           static_cast<unsigned>(attributes_of(plan))));
  if (!mount.ok()) return context_error(fs.get(), "fsmount");
  if (::syscall(SYS_move_mount, mount.get(), "", AT_FDCWD, directory.c_str(),
                MOVE_MOUNT_F_EMPTY_PATH) < 0) {
    return make_error(errno, directory + ": " + std::strerror(errno));
  }
  return {};
}

Result<void> kernel_remount(const MountPlan& plan, const std::string& directory) {
  unsigned long flags = MS_REMOUNT;
  if (plan.config.read_only) flags |= MS_RDONLY;
  if (plan.attributes & MOUNT_ATTR_NOSUID) flags |= MS_NOSUID;
  if (plan.attributes & MOUNT_ATTR_NODEV) flags |= MS_NODEV;
  if (plan.attributes & MOUNT_ATTR_NOEXEC) flags |= MS_NOEXEC;
  if (::mount("", directory.c_str(), "", flags, nullptr) == 0) return {};
  return make_error(errno, std::strerror(errno));
}

}  // namespace cfs::ctl
