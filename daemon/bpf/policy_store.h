// SPDX-License-Identifier: Apache-2.0
/// PolicyStore: the policy of the metadata cache, pinned in the BPF file system.
///
/// Purpose  Loads, replaces, describes and removes it. Pinned are its link (`policy`), which keeps it
///          attached, and its maps, which the next one finds again.
/// Threads  Any; also several processes at once: a lock on the directory of the pins orders them.
/// Lifetime The pins outlive every process, and hold the module. unload() removes them.
/// Failure  A program that is refused changes nothing; the error has the verifier's last lines.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/base/result.h"

namespace cfs {

/// A pinned map.
struct PolicyMap {
  std::string name;
  std::uint32_t key_bytes = 0, value_bytes = 0, entries_max = 0;
  std::uint64_t memory_bytes = 0;  ///< what the kernel charges for it
};

class PolicyStore {
 public:
  explicit PolicyStore(std::string pins);

  /// Programs that this binary brings along; the first one is the default.
  [[nodiscard]] static std::vector<std::string> built_in();

  enum class Loaded { kAttached, kReplaced, kReplacedCold };
  /// Load a built-in program by its name, or an object file by its path, and make it the policy.
  /// kReplacedCold: the maps of the former one had another layout and were given up.
  Result<Loaded> load(const std::string& program);
  /// Load the default unless there is a policy, or over the default of another build; maps of another
  /// layout are given up with theirs.
  Result<void> ensure();
  /// All that was believed is judged anew: for new rules. OK when there is no policy.
  Result<void> refresh();
  /// Detach, forget all. OK when there is nothing.
  Result<void> unload();

  /// Name of the policy; ENOENT: none.
  [[nodiscard]] Result<std::string> current() const;
  [[nodiscard]] std::vector<PolicyMap> maps() const;
  [[nodiscard]] const std::string& pins() const { return pins_; }

 private:
  [[nodiscard]] std::string link_path() const { return pins_ + "/policy"; }
  Result<Loaded> load_locked(const std::string& program);
  Result<void> prepare();
  [[nodiscard]] std::string stamp_path() const { return pins_ + "/build"; }
  [[nodiscard]] std::uint64_t stamp() const;
  void set_stamp(std::uint64_t value) const;
  [[nodiscard]] Result<int> policy_map() const;

  std::string pins_;
};

}  // namespace cfs
