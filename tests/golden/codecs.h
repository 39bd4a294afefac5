// SPDX-License-Identifier: Apache-2.0
/// Opcode or URL to codec, for tests that walk through recorded traffic.
///
/// Purpose  Finds the message types of a body by its opcode, so that a test needs no switch.
/// Threads  Constant tables.
/// Failure  A missing entry is a null pointer: the caller's test fails.
#pragma once

#include <span>
#include <string_view>

#include "daemon/base/result.h"

namespace cfs::golden {

/// Decodes a body and encodes it again.
using RoundTrip = Result<std::string> (*)(std::string_view body);

struct MetaCodec {
  uint8_t op;
  RoundTrip request;
  RoundTrip reply;
  bool reply_has_body;  ///< false: a good reply is judged by its result code only
};

struct MasterCodec {
  std::string_view path;
  RoundTrip reply;
  bool all_keys;  ///< false: administrative keys are left out, bytes differ
};

std::span<const MetaCodec> meta_codecs();
std::span<const MasterCodec> master_codecs();
const MetaCodec* find_meta_codec(uint8_t op);
const MasterCodec* find_master_codec(std::string_view path);

}  // namespace cfs::golden
