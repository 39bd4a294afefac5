// SPDX-License-Identifier: Apache-2.0
/// Recorded traffic as test input.
///
/// Purpose  Loads tests/golden/data; see README.md there for what was recorded.
/// Lifetime Loaded once, lives until the program ends.
/// Failure  A file that cannot be read or is not in the format ends the program with a message: a
///          test without its data must not pass.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "daemon/wire/packet.h"

namespace cfs::golden {

/// One packet.
struct PacketRecord {
  std::string where;   ///< "r3/03_mkdir.jsonl:5"
  std::string folder;  ///< "r3"
  std::string file;    ///< "03_mkdir.jsonl"
  wire::Peer peer{};
  bool request = false;
  std::string header;  ///< bytes on the wire
  std::string arg;
  std::string data;     ///< shorter than data_len when the recorder cut it
  size_t data_len = 0;  ///< bytes
  uint32_t data_crc = 0;
  nlohmann::json fields;  ///< header fields as the recorder took them apart

  [[nodiscard]] bool whole() const { return data.size() == data_len; }
  [[nodiscard]] uint8_t opcode() const { return static_cast<uint8_t>(header.at(2)); }
  [[nodiscard]] uint8_t result() const { return static_cast<uint8_t>(header.at(3)); }
};

/// One exchange with the master (or half of one, when only the reply is of interest).
struct HttpRecord {
  std::string where;
  std::string path;  ///< "/admin/getVol", without the query
  std::string status_line;
  std::string request_body;
  std::string body;  ///< of the reply
};

struct Recordings {
  std::vector<PacketRecord> packets;
  std::vector<HttpRecord> http;
};

/// All of tests/golden/data.
const Recordings& recordings();

}  // namespace cfs::golden
