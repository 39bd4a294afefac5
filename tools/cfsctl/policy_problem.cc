// SPDX-License-Identifier: Apache-2.0
/// Wording; see policy_problem.h.
#include "tools/cfsctl/policy_problem.h"

#include <cerrno>

#include "tools/cfsctl/kernel_mount.h"

namespace cfs::ctl {

Problem policy_problem(const std::string& what, const Error& error, const std::string& next) {
  if (!module_loaded()) {
    return {kAbsent, what, "the cubefs module is not loaded", "load it with 'cfsctl module load'"};
  }
  if (error.code == EPERM) {
    return {kFailed, what, error.text(), "run it as root"};
  }
  return {kFailed, what, error.text(), next};
}

}  // namespace cfs::ctl
