// SPDX-License-Identifier: Apache-2.0
/// Reading of single JSON values; see archive.h.
#include "daemon/wire/archive.h"

#include <charconv>

namespace cfs::wire::detail {

simdjson::dom::parser& thread_parser() {
  thread_local simdjson::dom::parser parser;
  return parser;
}

bool read_value(Element e, bool* v, ReadError* err) {
  return e.get_bool().get(*v) == simdjson::SUCCESS || err->set("not a bool");
}

bool read_value(Element e, std::string* v, ReadError* err) {
  std::string_view text;
  if (e.get_string().get(text) != simdjson::SUCCESS) return err->set("not a string");
  *v = text;
  return true;
}

bool read_unsigned(Element e, uint64_t max, uint64_t* v, ReadError* err) {
  if (e.get_uint64().get(*v) != simdjson::SUCCESS) return err->set("not an unsigned number");
  return *v <= max || err->set("number too large");
}

bool read_signed(Element e, int64_t min, int64_t max, int64_t* v, ReadError* err) {
  if (e.get_int64().get(*v) != simdjson::SUCCESS) return err->set("not a number");
  return (*v >= min && *v <= max) || err->set("number out of range");
}

bool read_time(Element e, int64_t* v, ReadError* err) {
  std::string_view text;
  if (e.get_string().get(text) != simdjson::SUCCESS) return err->set("not a string");
  const Result<int64_t> t = parse_rfc3339(text);
  if (!t) return err->set(t.error().what);
  *v = *t;
  return true;
}

bool read_base64(Element e, std::string* v, ReadError* err) {
  std::string_view text;
  if (e.get_string().get(text) != simdjson::SUCCESS) return err->set("not a string");
  Result<std::string> bytes = base64_decode(text);
  if (!bytes) return err->set(bytes.error().what);
  *v = std::move(*bytes);
  return true;
}

bool parse_map_key(std::string_view text, uint64_t* key, ReadError* err) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), *key);
  if (code == std::errc{} && end == text.data() + text.size()) return true;
  return err->set("key is not a number");
}

bool ObjectReader::find(std::string_view key, Element* e) {
  const auto start = next_;
  for (; next_ != object_.end(); ++next_) {
    if (next_.key_equals(key)) {
      *e = next_.value();
      ++next_;
      return true;
    }
  }
  for (auto it = object_.begin(); it != start; ++it) {
    if (it.key_equals(key)) {
      *e = it.value();
      next_ = start;
      return true;
    }
  }
  next_ = start;
  return false;
}

}  // namespace cfs::wire::detail
