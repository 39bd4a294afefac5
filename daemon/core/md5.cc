// SPDX-License-Identifier: Apache-2.0
/// MD5; contracts in md5.h. Names a, b, c, d, k, s are those of RFC 1321.
#include "daemon/core/md5.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace cfs {
namespace {

using State = std::array<std::uint32_t, 4>;
using Block = std::array<std::uint32_t, 16>;

constexpr State kInit = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
constexpr int kShift[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

std::uint32_t table(unsigned i) {
  return static_cast<std::uint32_t>(std::floor(std::fabs(std::sin(i + 1.0)) * 4294967296.0));
}

std::uint32_t mix(unsigned round, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  switch (round) {
    case 0:
      return (b & c) | (~b & d);
    case 1:
      return (d & b) | (~d & c);
    case 2:
      return b ^ c ^ d;
    default:
      return c ^ (b | ~d);
  }
}

unsigned word_of(unsigned i) {
  constexpr unsigned kStep[4] = {1, 5, 3, 7};
  constexpr unsigned kStart[4] = {0, 1, 5, 0};
  return (kStep[i / 16] * i + kStart[i / 16]) % 16;
}

void digest_block(State& state, const Block& x) {
  auto [a, b, c, d] = state;
  for (unsigned i = 0; i < 64; ++i) {
    const std::uint32_t sum = a + mix(i / 16, b, c, d) + x[word_of(i)] + table(i);
    a = d;
    d = c;
    c = b;
    b += std::rotl(sum, kShift[i / 16][i % 4]);
  }
  state = {state[0] + a, state[1] + b, state[2] + c, state[3] + d};
}

std::string padded(std::string_view text) {
  std::string out(text);
  out += '\x80';
  while (out.size() % 64 != 56) out += '\0';
  const std::uint64_t bits = std::uint64_t{text.size()} * 8;
  for (unsigned i = 0; i < 8; ++i) out += static_cast<char>(bits >> (8 * i));
  return out;
}

std::string to_hex(const State& state) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const std::uint32_t word : state) {
    for (unsigned i = 0; i < 4; ++i) {
      const std::uint32_t byte = word >> (8 * i) & 0xFF;
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

}  // namespace

std::string md5_hex(std::string_view text) {
  State state = kInit;
  const std::string data = padded(text);
  for (std::size_t pos = 0; pos < data.size(); pos += 64) {
    Block x{};
    for (std::size_t i = 0; i < 64; ++i) {
      x[i / 4] |= std::uint32_t{static_cast<unsigned char>(data[pos + i])} << (i % 4 * 8);
    }
    digest_block(state, x);
  }
  return to_hex(state);
}

}  // namespace cfs
