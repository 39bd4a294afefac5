// SPDX-License-Identifier: Apache-2.0
/// Work on a source tree, with the programs that people use: tar, git, rm. One operation is one program.
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

Workload program(const std::string& name, Cache cache, const std::string& command) {
  return {{"tree", name, "run"}, cache, [command](int, Samples& samples) {
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

}  // namespace cfs::bench
