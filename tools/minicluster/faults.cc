// SPDX-License-Identifier: Apache-2.0
/// See faults.h.
#include "tools/minicluster/faults.h"

namespace cfs::mini {
namespace {

bool matches(const Fault& rule, FaultKind kind, const std::string& node, uint8_t op) {
  return rule.kind == kind && rule.count > 0 && (rule.node.empty() || rule.node == node) &&
         (rule.op == Fault::kAnyOp || rule.op == op);
}

}  // namespace

void FaultTable::arm(Fault fault) {
  std::lock_guard<std::mutex> guard(lock_);
  rules_.push_back(std::move(fault));
}

void FaultTable::clear() {
  std::lock_guard<std::mutex> guard(lock_);
  rules_.clear();
}

std::optional<uint32_t> FaultTable::take(FaultKind kind, const std::string& node, uint8_t op) {
  std::lock_guard<std::mutex> guard(lock_);
  for (size_t i = 0; i < rules_.size(); ++i) {
    if (!matches(rules_[i], kind, node, op)) continue;
    uint32_t value = rules_[i].value;
    if (rules_[i].count != Fault::kForever && --rules_[i].count == 0) {
      rules_.erase(rules_.begin() + static_cast<ptrdiff_t>(i));
    }
    return value;
  }
  return std::nullopt;
}

std::vector<Fault> FaultTable::list() const {
  std::lock_guard<std::mutex> guard(lock_);
  return rules_;
}

}  // namespace cfs::mini
