// SPDX-License-Identifier: Apache-2.0
/// Work on source trees, with the programs that people use: tar, git, ls, rm. One operation is one program.
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>

#include "tests/bench/workloads.h"

namespace cfs::bench {
namespace {

Result<void> shell(const std::string& command) {
  const int status = std::system(command.c_str());  // NOLINT(cert-env33-c): programs are the work
  if (status == 0) return {};
  return make_error(status < 0 ? errno : EIO, command);
}

Workload program(const std::string& name, Cache cache, const std::string& command,
                 const std::string& group = "tree") {
  return {{group, name, "run"}, cache, [command](int, Samples& samples) {
            samples.begin(1);
            auto done = shell(command);
            samples.lap();
            return done;
          }};
}

}  // namespace

std::vector<Workload> tree_workloads(const Scale& s) {
  if (s.tree.empty()) return {};
  const std::string status = "git -C tree status --porcelain >/dev/null";
  Workload untar = program("untar a source tree", Cache::kAsIs,
                           "mkdir tree && tar -C tree --no-same-owner -xf '" + s.tree + "'");
  untar.prepare = [](int) { return shell("rm -rf tree"); };
  return {
      untar,
      program("git status, first", Cache::kAsIs, status),
      program("git status, cached", Cache::kWarm, status),
      program("git status, cold", Cache::kCold, status),
      program("rm -r a source tree", Cache::kAsIs, "rm -r tree"),
  };
}

/// Unpacked once; git writes down once what it sees, so that later runs only look.
std::vector<Workload> many_workloads(const Scale& s) {
  if (s.many.empty()) return {};
  const auto unpack = [tar = s.many](int) {
    struct stat st {};
    if (::stat("many/complete", &st) == 0) return Result<void>{};
    return shell("mkdir many && tar -C many --no-same-owner -xf '" + tar +
                 "' && git -C many status >/dev/null && touch many/complete");
  };
  std::vector<Workload> out;
  for (const auto& [name, command] :
       {std::pair{"ls -lR", "ls -lR many >/dev/null"},
        std::pair{"git status", "git -C many status --porcelain >/dev/null"}}) {
    for (const auto& [how, cache] :
         {std::pair{", cold", Cache::kCold}, std::pair{", names dropped", Cache::kNames},
          std::pair{", cached", Cache::kWarm}}) {
      out.push_back(program(std::string(name) + how, cache, command, "many"));
      out.back().prepare = unpack;
    }
  }
  return out;
}

}  // namespace cfs::bench
