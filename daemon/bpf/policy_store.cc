// SPDX-License-Identifier: Apache-2.0
/// Loading and pinning policies; see policy_store.h.
#include "daemon/bpf/policy_store.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <utility>

#include "daemon/bpf/bpf_log.h"
#include "meta_cache.skel.h"
#include "training_set.skel.h"

namespace cfs {
namespace {

constexpr const char* kModuleTypes = "/sys/kernel/btf/cubefs";
constexpr const char* kBpfFs = "/sys/fs/bpf";
constexpr std::size_t kVerifierLines = 24;

struct BuiltIn {
  const char* name;
  const void* (*bytes)(std::size_t* size);
};
constexpr BuiltIn kBuiltIn[] = {
    {"meta_cache", meta_cache_bpf__elf_bytes},
    {"training_set", training_set_bpf__elf_bytes},
};

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  void swap(Fd& other) { std::swap(fd_, other.fd_); }
  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

struct CloseObject {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
};
using Object = std::unique_ptr<bpf_object, CloseObject>;

constexpr std::uint64_t kForeign = 1;  ///< build of a program from a file: left alone

/// Tells builds of a built-in program apart. FNV-1a.
std::uint64_t build_of(const std::string& program) {
  for (const BuiltIn& one : kBuiltIn) {
    if (program != one.name) continue;
    std::size_t size = 0;
    const auto* const bytes = static_cast<const unsigned char*>(one.bytes(&size));
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (std::size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3U;
    return hash;
  }
  return kForeign;
}

Result<Object> open_object(const std::string& program, const std::string& pins) {
  bpf_object_open_opts options{};
  options.sz = sizeof(options);
  options.pin_root_path = pins.c_str();
  for (const BuiltIn& one : kBuiltIn) {
    if (program != one.name) continue;
    std::size_t size = 0;
    const void* const bytes = one.bytes(&size);
    options.object_name = one.name;
    Object object(bpf_object__open_mem(bytes, size, &options));
    if (!object) return bpf_error("cannot open the built-in program " + program);
    return object;
  }
  if (::access(program.c_str(), R_OK) != 0) {
    return errno_error(program + " is no built-in program, and no file that can be read");
  }
  Object object(bpf_object__open_file(program.c_str(), &options));
  if (!object) return bpf_error(program + " is no BPF object");
  return object;
}

bpf_map* policy_of(bpf_object* object) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS) return map;
  }
  return nullptr;
}

bool same_layout(const bpf_map* map, int pinned) {
  bpf_map_info info{};
  __u32 size = sizeof(info);
  if (bpf_map_get_info_by_fd(pinned, &info, &size) != 0) return false;
  return info.type == bpf_map__type(map) && info.key_size == bpf_map__key_size(map) &&
         info.value_size == bpf_map__value_size(map) &&
         info.max_entries == bpf_map__max_entries(map) && info.map_flags == bpf_map__map_flags(map);
}

/// Pins that the program could not use. Returns whether there were any.
bool drop_other_layouts(bpf_object* object) {
  bool dropped = false;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    const char* const path = bpf_map__pin_path(map);
    if (path == nullptr) continue;
    const Fd pinned(bpf_obj_get(path));
    if (!pinned || same_layout(map, pinned.get())) continue;
    ::unlink(path);
    dropped = true;
  }
  return dropped;
}

/// The kernel's charge, from the descriptor's fdinfo.
std::uint64_t charged_bytes(int fd) {
  std::ifstream in("/proc/self/fdinfo/" + std::to_string(fd));
  for (std::string word; in >> word;) {
    std::uint64_t bytes = 0;
    if (word == "memlock:" && in >> bytes) return bytes;
  }
  return 0;
}

}  // namespace

PolicyStore::PolicyStore(std::string pins) : pins_(std::move(pins)) {}

std::vector<std::string> PolicyStore::built_in() {
  std::vector<std::string> names;
  for (const BuiltIn& one : kBuiltIn) names.emplace_back(one.name);
  return names;
}

/// The BPF file system, the module, the directory.
Result<void> PolicyStore::prepare() {
  if (::access(kModuleTypes, R_OK) != 0) {
    return errno_error("the cubefs module is not loaded, or the kernel has no BTF (" +
                       std::string(kModuleTypes) + ")");
  }
  struct statfs fs {};
  if (::statfs(kBpfFs, &fs) != 0) return errno_error(kBpfFs);
  if (fs.f_type != BPF_FS_MAGIC && ::mount("bpf", kBpfFs, "bpf", 0, "mode=0700") != 0) {
    return errno_error("cannot mount the BPF file system");
  }
  if (::mkdir(pins_.c_str(), 0700) != 0 && errno != EEXIST) return errno_error(pins_);
  return {};
}

Result<PolicyStore::Loaded> PolicyStore::load(const std::string& program) {
  const Result<void> ready = prepare();
  if (!ready) return ready.error();
  const Fd lock(::open(pins_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock || ::flock(lock.get(), LOCK_EX) != 0) return errno_error(pins_);
  return load_locked(program);
}

Result<void> PolicyStore::ensure() {
  const Result<void> ready = prepare();
  if (!ready) return ready.error();
  const Fd lock(::open(pins_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock || ::flock(lock.get(), LOCK_EX) != 0) return errno_error(pins_);
  const std::string program = kBuiltIn[0].name;
  const auto name = current();
  const std::uint64_t build = stamp();
  if (name && (*name != program || build == kForeign || build == build_of(program))) return {};
  const auto loaded = load_locked(program);
  if (!loaded) return loaded.error();
  return {};
}

Result<PolicyStore::Loaded> PolicyStore::load_locked(const std::string& program) {
  keep_bpf_lines(kVerifierLines);
  Result<Object> opened = open_object(program, pins_);
  if (!opened) return opened.error();
  const Object object = std::move(opened).value();
  bpf_map* const policy = policy_of(object.get());
  if (policy == nullptr) return make_error(EINVAL, program + " has no struct_ops of cubefs_policy");
  const bool cold = drop_other_layouts(object.get());
  if (bpf_object__load(object.get()) != 0) return bpf_error("the kernel refused " + program);
  const std::string path = link_path();
  bpf_link* const link = bpf_map__attach_struct_ops(policy);
  if (link != nullptr) {
    const int failed = bpf_link__pin(link, path.c_str());
    const int code = errno;
    bpf_link__destroy(link);  // the pin, if it was made, keeps it attached
    if (failed != 0) return make_error(code, "cannot pin " + path);
    set_stamp(build_of(program));
    return Loaded::kAttached;
  }
  const Fd pinned(errno == EBUSY ? bpf_obj_get(path.c_str()) : -1);
  if (!pinned) return bpf_error("cannot attach " + program);
  // the failed attach has made the new one ready to be used
  if (bpf_link_update(pinned.get(), bpf_map__fd(policy), nullptr) != 0) {
    return bpf_error("cannot replace the policy by " + program);
  }
  set_stamp(build_of(program));
  return cold ? Loaded::kReplacedCold : Loaded::kReplaced;
}

/// The pinned policy's build_of(); 0 when it is not known. A map of one value is what can be pinned.
std::uint64_t PolicyStore::stamp() const {
  const Fd map(bpf_obj_get(stamp_path().c_str()));
  const std::uint32_t key = 0;
  std::uint64_t value = 0;
  return map && bpf_map_lookup_elem(map.get(), &key, &value) == 0 ? value : 0;
}

/// Without it the next daemon loads its own program once more.
void PolicyStore::set_stamp(std::uint64_t value) const {
  Fd map(bpf_obj_get(stamp_path().c_str()));
  if (!map) {
    Fd made(bpf_map_create(BPF_MAP_TYPE_ARRAY, "build", sizeof(std::uint32_t), sizeof(value), 1,
                           nullptr));
    if (!made || bpf_obj_pin(made.get(), stamp_path().c_str()) != 0) return;
    map.swap(made);
  }
  const std::uint32_t key = 0;
  bpf_map_update_elem(map.get(), &key, &value, BPF_ANY);
}

Result<void> PolicyStore::unload() {
  std::error_code failed;
  std::filesystem::remove_all(pins_, failed);
  if (failed) return make_error(failed.value(), "cannot remove " + pins_);
  return {};
}

/// Descriptor of the struct_ops map behind the link.
Result<int> PolicyStore::policy_map() const {
  const Fd link(bpf_obj_get(link_path().c_str()));
  if (!link) return errno_error("no policy is loaded (" + link_path() + ")");
  bpf_link_info info{};
  __u32 size = sizeof(info);
  if (bpf_link_get_info_by_fd(link.get(), &info, &size) != 0) return errno_error(link_path());
  const int map = bpf_map_get_fd_by_id(info.struct_ops.map_id);
  if (map < 0) return errno_error("the policy's map");
  return map;
}

Result<std::string> PolicyStore::current() const {
  const Result<int> opened = policy_map();
  if (!opened) return opened.error();
  const Fd map(*opened);
  bpf_map_info about{};
  __u32 size = sizeof(about);
  if (bpf_map_get_info_by_fd(map.get(), &about, &size) != 0) return errno_error("the policy's map");
  return std::string(about.name);
}

Result<void> PolicyStore::refresh() {
  const Result<int> opened = policy_map();
  if (!opened) return opened.code() == ENOENT ? Result<void>() : opened.error();
  const Fd map(*opened);
  const Fd link(bpf_obj_get(link_path().c_str()));
  // by itself: the module drops what it granted under the former one
  if (bpf_link_update(link.get(), map.get(), nullptr) != 0) return errno_error(link_path());
  return {};
}

std::vector<PolicyMap> PolicyStore::maps() const {
  std::vector<PolicyMap> out;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(pins_, failed)) {
    const Fd map(bpf_obj_get(entry.path().c_str()));
    bpf_map_info info{};
    __u32 size = sizeof(info);
    if (!map || entry.path() == link_path() || entry.path() == stamp_path() ||
        bpf_map_get_info_by_fd(map.get(), &info, &size) != 0) {
      continue;
    }
    out.push_back(
        {info.name, info.key_size, info.value_size, info.max_entries, charged_bytes(map.get())});
  }
  return out;
}

}  // namespace cfs
