// SPDX-License-Identifier: Apache-2.0
/// Breaks when a damaged or hostile message crashes a decoder. Recorded messages are changed at
/// random and given to every decoder; built with the address sanitizer this finds reads out of
/// bounds.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "daemon/wire/master_msg.h"
#include "tests/golden/codecs.h"
#include "tests/golden/recordings.h"

namespace cfs::golden {
namespace {

constexpr int kRounds = 20000;

/// Seed of this run; set CFS_TEST_SEED to repeat one.
uint64_t seed() {
  const char* text = std::getenv("CFS_TEST_SEED");
  return text == nullptr ? 20261124 : std::strtoull(text, nullptr, 10);
}

class Mutator {
 public:
  explicit Mutator(uint64_t s) : random_(s) {}

  size_t below(size_t n) { return n == 0 ? 0 : random_() % n; }

  /// One to eight changes.
  std::string damage(std::string bytes) {
    for (size_t left = 1 + below(8); left > 0; --left) change(&bytes);
    return bytes;
  }

 private:
  void change(std::string* b) {
    static const char* const kWords[] = {"null", "-1",  "1e999",   "18446744073709551616",
                                         "{",    "}",   "[",       "]",
                                         "\"",   "\\u", "\\ud800", "\xff"};
    const size_t at = below(b->size());
    switch (below(5)) {
      case 0:
        if (!b->empty()) (*b)[at] = static_cast<char>(random_());
        break;
      case 1:
        b->resize(at);
        break;
      case 2:
        b->insert(at, kWords[below(std::size(kWords))]);
        break;
      case 3:
        b->erase(at, below(12));
        break;
      default:
        b->insert(at, b->substr(below(b->size()), below(40)));
    }
  }

  std::mt19937_64 random_;
};

/// Ok or an error that says something; what matters is that it returns.
void expect_sane(const Result<std::string>& r) {
  if (!r.ok()) {
    EXPECT_NE(r.code(), 0);
  }
}

TEST(Mutation, MetaBodies) {
  const auto& packets = recordings().packets;
  const auto codecs = meta_codecs();
  ASSERT_FALSE(packets.empty());
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed()));
  Mutator m(seed());
  for (int i = 0; i < kRounds; ++i) {
    const PacketRecord& r = packets[m.below(packets.size())];
    const std::string body = m.damage(r.data);
    const MetaCodec* own = find_meta_codec(r.opcode());
    const MetaCodec* codec = own != nullptr ? own : &codecs[m.below(codecs.size())];
    expect_sane(codec->request(body));
    expect_sane(codec->reply(body));
    expect_sane(codecs[m.below(codecs.size())].reply(body));
  }
}

TEST(Mutation, MasterBodies) {
  const auto& http = recordings().http;
  const auto codecs = master_codecs();
  ASSERT_FALSE(http.empty());
  Mutator m(seed() + 1);
  for (int i = 0; i < kRounds; ++i) {
    const HttpRecord& r = http[m.below(http.size())];
    const std::string body = m.damage(r.body);
    const MasterCodec* own = find_master_codec(r.path);
    const MasterCodec* codec = own != nullptr ? own : &codecs[m.below(codecs.size())];
    expect_sane(codec->reply(body));
    const Result<wire::Envelope> e = wire::decode_envelope(body);
    if (!e.ok()) {
      EXPECT_NE(e.code(), 0);
    }
  }
}

TEST(Mutation, Packets) {
  const auto& packets = recordings().packets;
  ASSERT_FALSE(packets.empty());
  Mutator m(seed() + 2);
  for (int i = 0; i < kRounds; ++i) {
    const PacketRecord& r = packets[m.below(packets.size())];
    const std::string bytes = m.damage(r.header + r.arg + r.data);
    wire::PacketDecoder decoder;
    decoder.feed(bytes);
    wire::Packet p;
    for (Result<bool> got = decoder.next(&p); got.ok() && *got; got = decoder.next(&p)) {
      EXPECT_LE(p.data.size(), bytes.size());
    }
  }
}

}  // namespace
}  // namespace cfs::golden
