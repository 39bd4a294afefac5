// SPDX-License-Identifier: Apache-2.0
/// What libbpf and the verifier say when a BPF program is refused.
///
/// Purpose  Keeps the last lines of libbpf's output and turns a failed call into an Error with them.
/// Threads  Lines belong to the thread whose call they are about.
/// Failure  None.
#pragma once

#include <cstddef>
#include <string>

#include "daemon/base/result.h"

namespace cfs {

/// Begin to keep lines, without those of before. `lines`: how many of the last ones.
void keep_bpf_lines(std::size_t lines = 6);
/// The errno of the libbpf call that just failed, with what libbpf said about it.
[[nodiscard]] Error bpf_error(std::string what);

}  // namespace cfs
