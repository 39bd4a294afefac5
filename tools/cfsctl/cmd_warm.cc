// SPDX-License-Identifier: Apache-2.0
/// cfsctl warm: names and attributes of whole trees into the caches, before anybody asks for them.
///
/// Purpose  Lists every directory below the given paths, several at a time. Listing is what fills
///          the caches: the daemon puts each page of names, with their attributes, into the maps of
///          the metadata cache by batch update, and the module makes dentries of it. A page of
///          1,024 names costs one request for the names and one per meta partition for the
///          attributes; nothing is asked for name by name. With --data, files are read too.
/// Threads  Workers take directories from a stack, the deepest first, so that the way to them is
///          still believed; the main thread shows progress.
/// Failure  What cannot be read is told and counted, and the rest goes on: exit code 1. The first
///          SIGINT ends it after what is under way, a second one at once.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "daemon/app/admin_protocol.h"
#include "tools/cfsctl/command.h"
#include "tools/cfsctl/mount_table.h"

namespace cfs::ctl {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kJobs = 8, kJobsMax = 64;
constexpr std::size_t kReadBytes = 1 << 20;
constexpr std::size_t kWaitingFilesMax = 4096;  ///< more are read by whoever finds them
constexpr std::size_t kFailuresMax = 20;        ///< that are told one by one
constexpr std::chrono::milliseconds kShowEvery{250};

volatile std::sig_atomic_t stop_asked = 0;

struct Args {
  std::vector<std::string> paths;
  unsigned jobs = kJobs;
  bool data = false, json = false;
};

struct Failure {
  std::string path;
  int code;
};

/// What remains to be done of one path.
struct Work {
  std::string path;
  dev_t device;
  bool is_file;
};

/// Walks trees.
/// Thread:   add() and run() by one thread; the counts by any.
/// Lifetime: one run().
class Warmer {
 public:
  explicit Warmer(const Args& args) : args_(args) {}

  void add(Work work) {
    {
      const std::lock_guard guard(lock_);
      waiting_files_ += work.is_file ? 1 : 0;
      work_.push_back(std::move(work));
    }
    wake_.notify_one();
  }
  void fail(const std::string& path, int code);
  /// Until nothing is left, or a signal came. `show` is called now and then.
  template <typename Show>
  void run(Show show);

  std::atomic<std::uint64_t> names{0}, directories{0}, files{0}, bytes{0}, errors{0};
  std::vector<Failure> failures;  ///< the first ones; read it after run()

 private:
  void work();
  std::optional<Work> take();
  void done();
  void list(const Work& directory);
  void entry(const Work& directory, int fd, const dirent& found);
  void read_file(const std::string& path);

  const Args& args_;
  std::mutex lock_;
  std::condition_variable wake_, ended_;
  std::vector<Work> work_;         ///< lock_
  std::size_t waiting_files_ = 0;  ///< lock_
  unsigned busy_ = 0;              ///< lock_; workers that may still add
  bool over_ = false;              ///< lock_
};

void Warmer::fail(const std::string& path, int code) {
  if (code == ENOENT) return;  // it has gone since it was listed
  ++errors;
  const std::lock_guard guard(lock_);
  if (failures.size() >= kFailuresMax) return;
  failures.push_back({path, code});
  if (::isatty(STDERR_FILENO) != 0) std::cerr << "\r\033[K";
  report({kFailed, "cannot warm " + path, std::strerror(code), "the rest goes on"});
}

std::optional<Work> Warmer::take() {
  std::unique_lock lock(lock_);
  wake_.wait(lock, [this] { return over_ || !work_.empty(); });
  if (over_ || stop_asked != 0) return std::nullopt;
  Work next = std::move(work_.back());
  work_.pop_back();
  waiting_files_ -= next.is_file ? 1 : 0;
  ++busy_;
  return next;
}

void Warmer::done() {
  const std::lock_guard guard(lock_);
  --busy_;
  if (busy_ > 0 || !work_.empty()) return;
  over_ = true;
  wake_.notify_all();
  ended_.notify_all();
}

void Warmer::work() {
  while (const auto next = take()) {
    if (next->is_file) {
      read_file(next->path);
    } else {
      list(*next);
    }
    done();
  }
}

template <typename Show>
void Warmer::run(Show show) {
  std::vector<std::thread> workers;
  {
    const std::lock_guard guard(lock_);
    over_ = work_.empty();
  }
  for (unsigned i = 0; i < args_.jobs; ++i) workers.emplace_back([this] { work(); });
  {
    std::unique_lock lock(lock_);
    while (!over_ && !ended_.wait_for(lock, kShowEvery, [this] { return over_; })) {
      over_ = over_ || stop_asked != 0;
      lock.unlock();
      show();
      lock.lock();
    }
    wake_.notify_all();
  }
  for (std::thread& one : workers) one.join();
}

/// What the kernel knows without asking; nullopt with errno.
std::optional<struct statx> known(int fd, const char* name, int flags) {
  struct statx out {};
  if (::statx(fd, name, flags | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &out) != 0) {
    return std::nullopt;
  }
  return out;
}

dev_t device_of(const struct statx& about) {
  return makedev(about.stx_dev_major, about.stx_dev_minor);
}

void Warmer::list(const Work& directory) {
  const char* const path = directory.path.c_str();
  const int fd = ::open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return fail(directory.path, errno);
  const auto about = known(fd, "", AT_EMPTY_PATH);
  DIR* const stream = about && device_of(*about) == directory.device ? ::fdopendir(fd) : nullptr;
  if (stream == nullptr) {  // another file system is mounted there, or the directory is broken
    if (!about) fail(directory.path, errno);
    ::close(fd);
    return;
  }
  while (stop_asked == 0) {
    errno = 0;
    const dirent* const found = ::readdir(stream);
    if (found == nullptr) {
      if (errno == 0) ++directories;
      if (errno != 0) fail(directory.path, errno);
      break;
    }
    entry(directory, fd, *found);
  }
  ::closedir(stream);
}

void Warmer::entry(const Work& directory, int fd, const dirent& found) {
  const std::string_view name = static_cast<const char*>(found.d_name);
  if (name == "." || name == "..") return;
  ++names;
  unsigned type = found.d_type;
  if (type == DT_UNKNOWN) {
    const auto about = known(fd, static_cast<const char*>(found.d_name), AT_SYMLINK_NOFOLLOW);
    if (about) type = IFTODT(about->stx_mode);
  }
  if (type != DT_DIR && (type != DT_REG || !args_.data)) return;
  Work next{directory.path + (directory.path.back() == '/' ? "" : "/") + std::string(name),
            directory.device, type == DT_REG};
  bool later = true;
  if (next.is_file) {
    const std::lock_guard guard(lock_);
    later = waiting_files_ < kWaitingFilesMax;
  }
  if (later) return add(std::move(next));
  read_file(next.path);
}

void Warmer::read_file(const std::string& path) {
  thread_local std::vector<char> buffer(kReadBytes);
  const int fd = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return fail(path, errno);
  ssize_t n = 0;
  while (stop_asked == 0 && (n = ::read(fd, buffer.data(), buffer.size())) > 0) {
    bytes += static_cast<std::uint64_t>(n);
  }
  if (n < 0) fail(path, errno);
  if (n == 0) ++files;
  ::close(fd);
}

// ---------------------------------------------------------------- the command

/// Adds one path of the command line, or says why not.
std::optional<Problem> add_path(const std::string& path, const Args& args, Warmer& warmer) {
  const std::string what = "cannot warm " + path;
  char full[PATH_MAX];
  if (::realpath(path.c_str(), full) == nullptr) {
    return Problem{kFailed, what, std::strerror(errno), "name a directory of a mount"};
  }
  const auto about = known(AT_FDCWD, full, 0);
  if (!about) return Problem{kFailed, what, std::strerror(errno), "name a directory of a mount"};
  if (!mount_of_device(device_of(*about))) {
    return Problem{kFailed, what, "it is not on a mount of CubeFS", "'cfsctl mounts' lists them"};
  }
  if (S_ISDIR(about->stx_mode)) {
    warmer.add({full, device_of(*about), false});
    return std::nullopt;
  }
  ++warmer.names;  // looked up a moment ago
  if (S_ISREG(about->stx_mode) && args.data) warmer.add({full, device_of(*about), true});
  return std::nullopt;
}

void catch_signals() {
  struct sigaction action {};
  action.sa_handler = [](int) { stop_asked = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // the second one ends it at once
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

std::uint64_t rate(std::uint64_t amount, Clock::duration time) {
  const double seconds = std::chrono::duration<double>(time).count();
  return seconds > 0 ? static_cast<std::uint64_t>(static_cast<double>(amount) / seconds) : 0;
}

std::string line_of(const Warmer& warmer, Clock::duration time) {
  std::string out = std::to_string(warmer.names) + " names in " +
                    std::to_string(warmer.directories) + " directories, " +
                    std::to_string(rate(warmer.names, time)) + " names/s";
  if (warmer.bytes > 0) {
    out +=
        ", " + human_bytes(warmer.bytes) + " read, " + human_bytes(rate(warmer.bytes, time)) + "/s";
  }
  if (warmer.errors > 0) out += ", " + std::to_string(warmer.errors) + " errors";
  return out;
}

Json json_of(const Warmer& warmer, Clock::duration time) {
  Json failures = Json::array();
  for (const Failure& one : warmer.failures) {
    failures.push_back({{"path", one.path}, {"errno", one.code}});
  }
  const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
  return Json{{"directories", warmer.directories.load()},
              {"names", warmer.names.load()},
              {"names_per_s", rate(warmer.names, time)},
              {"files_read", warmer.files.load()},
              {"read_bytes", warmer.bytes.load()},
              {"elapsed_ns", ns},
              {"errors", warmer.errors.load()},
              {"failures", failures},
              {"interrupted", stop_asked != 0}};
}

int run_warm(const Args& args) {
  Warmer warmer(args);
  for (const std::string& path : args.paths) {
    if (const auto problem = add_path(path, args, warmer)) return report(*problem);
  }
  catch_signals();
  const bool shows = ::isatty(STDERR_FILENO) != 0;
  const auto start = Clock::now();
  warmer.run([&] {
    if (shows) std::cerr << "\r\033[K" << line_of(warmer, Clock::now() - start) << std::flush;
  });
  if (shows) std::cerr << "\r\033[K" << std::flush;
  const auto took = Clock::now() - start;
  if (args.json) {
    print_json(json_of(warmer, took));
  } else {
    std::cout << line_of(warmer, took) << (stop_asked != 0 ? "; interrupted" : "") << std::endl;
  }
  return warmer.errors == 0 && stop_asked == 0 ? kDone : kFailed;
}

}  // namespace

void add_warm(CLI::App& cli, Context& context) {
  auto args = std::make_shared<Args>();
  CLI::App* const command =
      add_command(cli, "ADMIN", "warm", "Names and attributes of whole trees into the caches",
                  "  cfsctl warm /mnt/vol1/imagenet\n"
                  "  cfsctl policy rule set /mnt/vol1/imagenet --entry 21600 --attr 21600\n"
                  "  cfsctl warm --jobs 16 --data /mnt/vol1/imagenet /mnt/vol1/models\n"
                  "  cfsctl warm --json /mnt/vol1 | jq .names_per_s\n"
                  "What was fetched is believed for as long as the policy says: set a rule first.");
  command->add_option("path", args->paths, "Directories, with all below them, or files")
      ->required();
  command->add_option("--jobs", args->jobs, "Directories and files at a time")
      ->check(CLI::Range(1U, kJobsMax))
      ->capture_default_str();
  command->add_flag("--data", args->data, "Read the files too, into the page cache");
  command->add_flag("--json", args->json, "For programs");
  command->callback([args, &context] { context.exit_code = run_warm(*args); });
}

}  // namespace cfs::ctl
