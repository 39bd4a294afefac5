// SPDX-License-Identifier: Apache-2.0
// What each BPF program costs the verifier, against tests/kernel/verifier_bounds. Breaks: a program that grew until some kernel
// refuses it, or that does not load at all.
//
// Runs in a guest as root, with the module loaded. $CFS_BPF_DIR: where the object files are. Nothing is attached or pinned.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>

namespace {

constexpr unsigned kEntries = 64;  // of LRU maps, which take their memory at once

using Costs = std::map<std::string, unsigned>;  // "object program" -> instructions

/// Lines "object program most-instructions"; # begins a comment.
Costs bounds() {
  Costs out;
  std::ifstream in("tests/kernel/verifier_bounds");
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string object, program;
    unsigned most = 0;
    if (words >> object >> program >> most && object[0] != '#') out[object + " " + program] = most;
  }
  return out;
}

void load(const std::string& name, Costs& costs) {
  const char* const dir = getenv("CFS_BPF_DIR");
  const std::string path = std::string(dir ? dir : ".") + "/" + name + ".full.o";
  const std::unique_ptr<bpf_object, void (*)(bpf_object*)> object(
      bpf_object__open_file(path.c_str(), nullptr), bpf_object__close);
  ASSERT_NE(object, nullptr) << path << ": " << strerror(errno);
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object.get()) {
    if (bpf_map__pin_path(map)) bpf_map__set_pin_path(map, nullptr);
    const auto type = bpf_map__type(map);
    if (type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH) {
      bpf_map__set_max_entries(map, kEntries);
    }
  }
  ASSERT_EQ(bpf_object__load(object.get()), 0) << path << ": " << strerror(errno);
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object.get()) {
    bpf_prog_info info{};
    __u32 size = sizeof(info);
    ASSERT_EQ(bpf_prog_get_info_by_fd(bpf_program__fd(program), &info, &size), 0);
    costs[name + " " + bpf_program__name(program)] = info.verified_insns;
  }
}

TEST(Verifier, NoProgramCostsMoreThanItsBound) {
  Costs costs;
  for (const char* name : {"meta_cache", "training_set", "trace"}) load(name, costs);
  const Costs most = bounds();
  for (const auto& [program, cost] : costs) {
    std::cout << "verified " << program << " " << cost << " instructions" << std::endl;
    const auto bound = most.find(program);
    ASSERT_NE(bound, most.end()) << "tests/kernel/verifier_bounds has no line for " << program;
    EXPECT_GT(cost, 0u) << program;
    EXPECT_LE(cost, bound->second)
        << program << ": make it cheaper, or raise its bound and say why";
  }
  for (const auto& [program, bound] : most) {
    EXPECT_EQ(costs.count(program), 1u) << "there is no " << program << " any more";
  }
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
