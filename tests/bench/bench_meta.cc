// SPDX-License-Identifier: Apache-2.0
/// What a name costs: stat() and open() through the metadata cache, without it, and on tmpfs.
///
/// Purpose  Median times of single calls, measured in rounds that take turns, so that a busy machine
///          slows all of them alike: a believed dentry, a believed absence, open and close of a known
///          file, and a name whose dentry was dropped, which the policy's maps answer (or a request
///          does, where the mount has no policy).
/// Usage    bench_meta NAME=DIR... as root; the first one is what the others are compared with. The
///          caller has set rules on the directories of mounts with a policy (tests/bench/meta.sh).
/// Threads  One.
/// Failure  Exit code 1 and a sentence.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

namespace {

constexpr int kFiles = 200, kRounds = 15, kCalls = 2000;

[[noreturn]] void give_up(const std::string& what) {
  std::perror(what.c_str());
  std::exit(1);
}

double now_ns() {
  return std::chrono::duration<double, std::nano>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct Target {
  std::string name, dir;
  std::vector<std::string> files;
};

void make_files(Target& target) {
  for (int i = 0; i < kFiles; ++i) {
    target.files.push_back(target.dir + "/f" + std::to_string(i));
    const int fd = ::open(target.files.back().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || ::write(fd, "x", 1) != 1 || ::close(fd) != 0) give_up(target.files.back());
  }
}

void stat_one(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) give_up(path);
}

void stat_all(const Target& target) {
  for (const std::string& path : target.files) stat_one(path);
}

/// Dentries and inodes go; what was looked at lately needs another round.
void drop_dentries() {
  for (int i = 0; i < 4; ++i) {
    const int fd = ::open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || ::write(fd, "2", 1) != 1 || ::close(fd) != 0) give_up("drop_caches");
  }
}

/// ns of one call, over `calls` of them.
double timed(int calls, const std::function<void(int)>& call) {
  const double start = now_ns();
  for (int i = 0; i < calls; ++i) call(i);
  return (now_ns() - start) / calls;
}

struct Case {
  const char* name;
  std::function<double(const Target&)> run;
};

double known_name(const Target& t) {
  stat_all(t);
  return timed(kCalls, [&](int i) { stat_one(t.files[static_cast<std::size_t>(i % kFiles)]); });
}

double absent_name(const Target& t) {
  const std::string path = t.dir + "/none";
  struct stat st {};
  return timed(kCalls, [&](int) {
    if (::stat(path.c_str(), &st) == 0) give_up(path + " exists");
  });
}

double open_and_close(const Target& t) {
  return timed(kCalls / 4, [&](int i) {
    const std::string& path = t.files[static_cast<std::size_t>(i % kFiles)];
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || ::close(fd) != 0) give_up(path);
  });
}

double dropped_name(const Target& t) {
  stat_all(t);
  drop_dentries();
  struct stat st {};
  ::stat(t.dir.c_str(), &st);
  return timed(kFiles, [&](int i) { stat_one(t.files[static_cast<std::size_t>(i)]); });
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void report(const Case& what, const std::vector<Target>& targets,
            std::vector<std::vector<double>>& times) {
  const double base = median(times[0]);
  for (std::size_t i = 0; i < targets.size(); ++i) {
    std::sort(times[i].begin(), times[i].end());
    const double mid = median(times[i]);
    std::printf("| %-18s | %-8s | %9.0f | %9.0f | %9.0f | %6.2f |\n", what.name,
                targets[i].name.c_str(), mid, times[i][times[i].size() / 4],
                times[i][times[i].size() * 3 / 4], mid / base);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<Target> targets;
  for (int i = 1; i < argc; ++i) {
    const std::string text = argv[i];
    const std::size_t at = text.find('=');
    if (at == std::string::npos) {
      std::fprintf(stderr, "usage: bench_meta NAME=DIR...\n");
      return 2;
    }
    targets.push_back({text.substr(0, at), text.substr(at + 1), {}});
    make_files(targets.back());
  }
  const std::vector<Case> cases = {{"stat, known", known_name},
                                   {"stat, absent", absent_name},
                                   {"open+close, known", open_and_close},
                                   {"stat, dropped", dropped_name}};
  std::printf("| what               | where    | median ns |       25%% |       75%% |  ratio |\n");
  std::printf("|---|---|---:|---:|---:|---:|\n");
  for (const Case& what : cases) {
    std::vector<std::vector<double>> times(targets.size());
    for (int round = 0; round < kRounds; ++round) {
      for (std::size_t i = 0; i < targets.size(); ++i) times[i].push_back(what.run(targets[i]));
    }
    report(what, targets, times);
  }
  return 0;
}
