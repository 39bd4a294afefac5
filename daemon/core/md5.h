// SPDX-License-Identifier: Apache-2.0
/// MD5 for the owner key; nothing here is about security.
///
/// Threads  Pure. Failure  None. Source  RFC 1321.
#pragma once

#include <string>
#include <string_view>

namespace cfs {

/// 32 lower-case hexadecimal digits.
std::string md5_hex(std::string_view text);

}  // namespace cfs
