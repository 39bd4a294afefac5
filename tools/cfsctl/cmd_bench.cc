// SPDX-License-Identifier: Apache-2.0
/// cfsctl bench: a quick check of a mounted volume.
///
/// Purpose  Writes, reads and removes one file of its own and a few hundred small ones in a new
///          directory of the mount: is it about as fast as it should be? Reads are made cold by
///          dropping the file's pages. It is no benchmark to publish: one process, little data.
/// Lifetime The directory is removed at the end, also after a failure.
/// Failure  Exit code 1 with the first operation that failed.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iostream>

#include "tools/cfsctl/daemon_link.h"
#include "tools/cfsctl/mount_table.h"

namespace cfs::ctl {
namespace {

constexpr std::size_t kBlock = 1 << 20;

struct Args {
  std::string directory;
  unsigned mib = 64;
  unsigned files = 200;
  bool json = false;
};

/// Owns the directory that everything happens in.
class Scratch {
 public:
  explicit Scratch(const std::string& parent) : path_(parent + "/.cfsctl-bench-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ~Scratch() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Each step returns 0 or the errno.
int write_file(const std::string& path, unsigned mib) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  const std::string block(kBlock, 'b');
  int failed = 0;
  for (unsigned i = 0; i < mib && failed == 0; ++i) {
    if (::write(fd, block.data(), block.size()) != static_cast<ssize_t>(block.size()))
      failed = errno == 0 ? EIO : errno;
  }
  if (failed == 0 && ::fsync(fd) != 0) failed = errno;
  if (failed == 0) failed = ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  if (::close(fd) != 0 && failed == 0) failed = errno;
  return failed;
}

int read_file(const std::string& path, unsigned mib) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  std::string block(kBlock, '\0');
  std::size_t got = 0;
  ssize_t n = 0;
  while ((n = ::read(fd, block.data(), block.size())) > 0) got += static_cast<std::size_t>(n);
  const int failed = n < 0 ? errno : (got == std::size_t{mib} * kBlock ? 0 : EIO);
  ::close(fd);
  return failed;
}

int each(unsigned files, const std::string& directory, int (*step)(const std::string&)) {
  for (unsigned i = 0; i < files; ++i) {
    const int failed = step(directory + "/f" + std::to_string(i));
    if (failed != 0) return failed;
  }
  return 0;
}

int create_one(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  return fd < 0 || ::close(fd) != 0 ? errno : 0;
}

int stat_one(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) != 0 ? errno : 0;
}

int remove_one(const std::string& path) {
  return ::unlink(path.c_str()) != 0 ? errno : 0;
}

struct Step {
  const char* name;
  const char* unit;  ///< "MiB" or "files"
  unsigned amount;
  std::function<int()> run;
};

std::vector<Step> steps_of(const Args& args, const std::string& dir) {
  const std::string big = dir + "/big";
  return {{"write and fsync", "MiB", args.mib, [=] { return write_file(big, args.mib); }},
          {"read, cold", "MiB", args.mib, [=] { return read_file(big, args.mib); }},
          {"read, cached", "MiB", args.mib, [=] { return read_file(big, args.mib); }},
          {"create", "files", args.files, [=] { return each(args.files, dir, create_one); }},
          {"stat", "files", args.files, [=] { return each(args.files, dir, stat_one); }},
          {"remove", "files", args.files, [=] { return each(args.files, dir, remove_one); }}};
}

void print(const Json& results) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& one : results) {
    rows.push_back(
        {one["step"],
         std::to_string(admin::number_or(one, "amount", 0)) + " " + one["unit"].get<std::string>(),
         human_ns(admin::number_or(one, "duration_ns", 0)),
         std::to_string(admin::number_or(one, "per_second", 0)) + " " +
             one["unit"].get<std::string>() + "/s"});
  }
  print_table({"STEP", "AMOUNT", "TIME", "RATE"}, rows);
}

int run_bench(const Args& args) {
  const std::string what = "no check of " + args.directory;
  const auto entry = find_mount(absolute_path(args.directory));
  if (!entry) {
    return report({kFailed, what, "it is not a mount of CubeFS", "'cfsctl mounts' lists them"});
  }
  const Scratch scratch(entry->mount_point);
  if (scratch.path().empty()) {
    return report({kFailed, what,
                   std::string("cannot make a directory in it (") + std::strerror(errno) + ")",
                   "is it mounted read-only?"});
  }
  Json results = Json::array();
  for (const Step& step : steps_of(args, scratch.path())) {
    const auto begin = std::chrono::steady_clock::now();
    const int failed = step.run();
    const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - begin;
    if (failed != 0) {
      return report({kFailed, what, std::string(step.name) + ": " + std::strerror(failed),
                     "see 'cfsctl doctor'"});
    }
    const double seconds = std::max(1e-9, static_cast<double>(took.count()) / 1e9);
    results.push_back({{"step", step.name},
                       {"unit", step.unit},
                       {"amount", step.amount},
                       {"duration_ns", took.count()},
                       {"per_second", static_cast<std::int64_t>(step.amount / seconds)}});
  }
  if (args.json) {
    print_json(Json{{"mount_point", entry->mount_point},
                    {"frontend", entry->is_kernel() ? "kernel" : "fuse"},
                    {"steps", results}});
  } else {
    print(results);
  }
  return kDone;
}

}  // namespace

void add_bench(CLI::App& cli, Context& context) {
  CLI::App* const command = add_command(cli, "INSPECT", "bench", "Quick check of a mounted volume",
                                        "  cfsctl bench /mnt/vol1\n"
                                        "  cfsctl bench /mnt/vol1 --size 1024 --files 1000 --json");
  auto args = std::make_shared<Args>();
  command->add_option("directory", args->directory, "Where it is mounted")->required();
  command->add_option("--size", args->mib, "MiB of the large file")
      ->check(CLI::Range(1U, 1U << 20))
      ->capture_default_str();
  command->add_option("--files", args->files, "Number of small files")
      ->check(CLI::Range(1U, 1'000'000U))
      ->capture_default_str();
  command->add_flag("--json", args->json, "For programs");
  command->callback([args, &context] { context.exit_code = run_bench(*args); });
}

}  // namespace cfs::ctl
