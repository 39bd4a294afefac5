// SPDX-License-Identifier: Apache-2.0
/// Why a command that needs a policy of the metadata cache cannot go on.
///
/// Purpose  One wording for cfsctl policy and cfsctl cache.
/// Threads  Any.
/// Failure  None.
#pragma once

#include <string>

#include "daemon/base/result.h"
#include "tools/cfsctl/output.h"

namespace cfs::ctl {

inline constexpr const char* kLoadOne = "load one with 'cfsctl policy load meta_cache'";

/// kAbsent without the module; `next` where the error itself does not say what to do.
[[nodiscard]] Problem policy_problem(const std::string& what, const Error& error,
                                     const std::string& next);

}  // namespace cfs::ctl
