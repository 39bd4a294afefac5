// SPDX-License-Identifier: Apache-2.0
/// JSON as Go's encoding/json writes it, and what CubeFS puts into it.
///
/// Purpose  Metadata bodies and master replies are Go structs turned into JSON. Bytes written
///          here are the bytes a Go client would write (key order, escapes, null for nil), so
///          that recorded traffic is a test oracle. Every message struct lists its keys once, in
///          a static function `fields(self, archive)`; the archives (archive.h) walk it in both
///          directions.
/// Threads  Free functions and plain values; decoding uses a parser per thread.
/// Failure  decode() gives EBADMSG with the path of the offending key; encode() cannot fail.
///          Invalid UTF-8 becomes U+FFFD as in Go: callers that must not lose bytes ask
///          valid_utf8() first.
/// Source   Go 1.23 encoding/json; CubeFS v3.5.3 proto/fs_proto.go, proto/admin_proto.go.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/base/result.h"

namespace cfs::wire {

/// Go slice: empty and nil differ in JSON (`[]` and `null`).
template <class T>
struct List : std::vector<T> {
  using std::vector<T>::vector;
  List(std::vector<T> v) : std::vector<T>(std::move(v)) {}  // NOLINT: implicit on purpose
  bool nil = true;  ///< an empty list is written as null; set by decode()
};

/// Order of Go map keys in JSON: by the key's text, also for numbers.
struct GoKeyLess {
  using is_transparent = void;
  bool operator()(const std::string& a, const std::string& b) const { return a < b; }
  bool operator()(uint64_t a, uint64_t b) const { return std::to_string(a) < std::to_string(b); }
};

/// Go map with string or unsigned keys: empty and nil differ in JSON (`{}` and `null`).
template <class K, class V>
struct Map : std::map<K, V, GoKeyLess> {
  using std::map<K, V, GoKeyLess>::map;
  bool nil = true;  ///< an empty map is written as null; set by decode()
};

/// Appends JSON to a string in call order; commas are placed by itself.
/// Thread:   any one. Lifetime: the string outlives the writer.
class JsonWriter {
 public:
  explicit JsonWriter(std::string* out) : out_(out) {}

  void begin_object() { open('{'); }
  void end_object() { close('}'); }
  void begin_array() { open('['); }
  void end_array() { close(']'); }
  void key(std::string_view name);
  void string(std::string_view text);
  void base64(std::string_view bytes);
  void null() { raw("null"); }
  void boolean(bool v) { raw(v ? "true" : "false"); }
  template <std::integral T>
  void number(T v) {
    char digits[24];
    raw({digits, std::to_chars(digits, digits + sizeof(digits), v).ptr});
  }
  /// JSON that is already text.
  void raw(std::string_view json);

 private:
  void open(char c);
  void close(char c);
  void comma();

  std::string* out_;
  bool first_ = true;  ///< no comma before the next value
};

/// True when the bytes are UTF-8 without surrogates, i.e. survive a trip through Go's JSON.
[[nodiscard]] bool valid_utf8(std::string_view bytes);

/// Standard base64 with padding (RFC 4648), as Go encodes []byte.
[[nodiscard]] std::string base64_encode(std::string_view bytes);
[[nodiscard]] Result<std::string> base64_decode(std::string_view text);

/// RFC 3339 to unix seconds; fractions are dropped, Go's zero time (year 1) is 0.
[[nodiscard]] Result<int64_t> parse_rfc3339(std::string_view text);
/// Unix seconds to RFC 3339 in UTC ("2026-11-22T11:42:01Z").
[[nodiscard]] std::string format_rfc3339(int64_t unix_s);
/// Go's zero time as JSON shows it.
inline constexpr std::string_view kGoZeroTime = "0001-01-01T00:00:00Z";

/// Body of a message. Defined for the structs of meta_msg.h and master_msg.h.
template <class T>
[[nodiscard]] std::string encode(const T& message);

/// Message from a body of at most CFS_META_BODY_MAX bytes (EMSGSIZE above). Keys may come in any
/// order, a missing key or null leaves the default, unknown keys are ignored.
template <class T>
[[nodiscard]] Result<T> decode(std::string_view body);

}  // namespace cfs::wire
