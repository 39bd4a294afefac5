// SPDX-License-Identifier: Apache-2.0
/// The two visitors behind encode() and decode(); private to daemon/wire.
///
/// Purpose  ObjectWriter and ObjectReader walk a struct's `fields` list. Both know the same
///          calls: a(key, member), time(), epoch_time(), base64(), null().
/// Lifetime A reader is used within one call of with_json(): simdjson elements point into the
///          parser.
/// Threads  Each thread has a parser of its own.
/// Failure  The first problem is kept as "key.key: why"; later fields are skipped.
#pragma once

#include <simdjson.h>

#include <limits>
#include <optional>
#include <type_traits>

#include "cubefs/cfs_wire.h"
#include "daemon/wire/json.h"

namespace cfs::wire::detail {

using Element = simdjson::dom::element;

/// A struct with a `fields` list. The overloads for strings, lists, maps and optionals are more
/// special.
template <class T>
concept Described = std::is_class_v<T>;

// ---- writing

inline void write_value(JsonWriter& w, bool v) {
  w.boolean(v);
}
inline void write_value(JsonWriter& w, const std::string& v) {
  w.string(v);
}
template <std::integral T>
void write_value(JsonWriter& w, T v) {
  w.number(v);
}
template <class T>
void write_value(JsonWriter& w, const List<T>& v);
template <class K, class V>
void write_value(JsonWriter& w, const Map<K, V>& v);
template <class T>
void write_value(JsonWriter& w, const std::optional<T>& v);
template <class T>
requires Described<T>
void write_value(JsonWriter& w, const T& v);

/// Writes the members of one object.
class ObjectWriter {
 public:
  explicit ObjectWriter(JsonWriter& w) : w_(w) {}

  template <class T>
  ObjectWriter& operator()(std::string_view key, const T& v) {
    w_.key(key);
    write_value(w_, v);
    return *this;
  }
  /// Unix seconds; 0 is Go's zero time.
  ObjectWriter& time(std::string_view key, int64_t unix_s) {
    w_.key(key);
    w_.string(unix_s == 0 ? std::string(kGoZeroTime) : format_rfc3339(unix_s));
    return *this;
  }
  /// Unix seconds; 0 is 1970.
  ObjectWriter& epoch_time(std::string_view key, int64_t unix_s) {
    w_.key(key);
    w_.string(format_rfc3339(unix_s));
    return *this;
  }
  /// Go []byte: nil, i.e. null, when empty.
  ObjectWriter& base64(std::string_view key, const std::string& bytes) {
    w_.key(key);
    if (bytes.empty()) {
      w_.null();
    } else {
      w_.base64(bytes);
    }
    return *this;
  }
  /// A key that is always null here.
  ObjectWriter& null(std::string_view key) {
    w_.key(key);
    w_.null();
    return *this;
  }

 private:
  JsonWriter& w_;
};

template <class T>
void write_value(JsonWriter& w, const List<T>& v) {
  if (v.empty() && v.nil) return w.null();
  w.begin_array();
  for (const T& item : v) write_value(w, item);
  w.end_array();
}

template <class K, class V>
void write_value(JsonWriter& w, const Map<K, V>& v) {
  if (v.empty() && v.nil) return w.null();
  w.begin_object();
  for (const auto& [key, item] : v) {
    if constexpr (std::integral<K>) {
      w.key(std::to_string(key));
    } else {
      w.key(key);
    }
    write_value(w, item);
  }
  w.end_object();
}

template <class T>
void write_value(JsonWriter& w, const std::optional<T>& v) {
  if (!v) return w.null();
  write_value(w, *v);
}

template <class T>
requires Described<T>
void write_value(JsonWriter& w, const T& v) {
  w.begin_object();
  ObjectWriter a(w);
  T::fields(v, a);
  w.end_object();
}

// ---- reading

/// First problem found, with the path to it.
class ReadError {
 public:
  [[nodiscard]] bool failed() const { return !text_.empty(); }
  /// False, to be returned by the caller.
  bool set(std::string_view why) {
    text_ = ": ";
    text_ += why;
    return false;
  }
  /// Puts a key in front of the path while the reader climbs out.
  void within(std::string_view key) {
    const bool leaf = text_.starts_with(':') || text_.starts_with('.');
    text_ = std::string(key) + (leaf ? "" : ".") + text_;
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

bool read_value(Element e, bool* v, ReadError* err);
bool read_value(Element e, std::string* v, ReadError* err);
bool read_unsigned(Element e, uint64_t max, uint64_t* v, ReadError* err);
bool read_signed(Element e, int64_t min, int64_t max, int64_t* v, ReadError* err);
bool read_time(Element e, int64_t* v, ReadError* err);
bool read_base64(Element e, std::string* v, ReadError* err);
bool parse_map_key(std::string_view text, uint64_t* key, ReadError* err);
inline bool parse_map_key(std::string_view text, std::string* key, ReadError*) {
  *key = text;
  return true;
}

template <std::integral T>
bool read_value(Element e, T* v, ReadError* err) {
  using Limits = std::numeric_limits<T>;
  if constexpr (std::is_unsigned_v<T>) {
    uint64_t wide = 0;
    if (!read_unsigned(e, Limits::max(), &wide, err)) return false;
    *v = static_cast<T>(wide);
  } else {
    int64_t wide = 0;
    if (!read_signed(e, Limits::min(), Limits::max(), &wide, err)) return false;
    *v = static_cast<T>(wide);
  }
  return true;
}
template <class T>
bool read_value(Element e, List<T>* v, ReadError* err);
template <class K, class V>
bool read_value(Element e, Map<K, V>* v, ReadError* err);
template <class T>
bool read_value(Element e, std::optional<T>* v, ReadError* err);
template <class T>
requires Described<T>
bool read_value(Element e, T* v, ReadError* err);

/// Reads the members of one object. Keys usually come in the order asked for, so each search starts
/// behind the last hit.
class ObjectReader {
 public:
  ObjectReader(simdjson::dom::object object, ReadError* err)
      : object_(object), next_(object.begin()), err_(err) {}

  template <class T>
  ObjectReader& operator()(std::string_view key, T& v) {
    return field(key, [&](Element e) { return read_value(e, &v, err_); });
  }
  ObjectReader& time(std::string_view key, int64_t& v) {
    return field(key, [&](Element e) { return read_time(e, &v, err_); });
  }
  ObjectReader& epoch_time(std::string_view key, int64_t& v) { return time(key, v); }
  ObjectReader& base64(std::string_view key, std::string& v) {
    return field(key, [&](Element e) { return read_base64(e, &v, err_); });
  }
  ObjectReader& null(std::string_view) { return *this; }

 private:
  template <class F>
  ObjectReader& field(std::string_view key, F read) {
    Element e;
    if (err_->failed() || !find(key, &e) || e.is_null()) return *this;
    if (!read(e)) err_->within(key);
    return *this;
  }
  bool find(std::string_view key, Element* e);

  simdjson::dom::object object_;
  simdjson::dom::object::iterator next_;
  ReadError* err_;
};

template <class T>
bool read_value(Element e, List<T>* v, ReadError* err) {
  simdjson::dom::array array;
  if (e.get_array().get(array) != simdjson::SUCCESS) return err->set("not an array");
  v->clear();
  v->nil = false;
  for (Element item : array) {
    T& slot = v->emplace_back();
    if (!item.is_null() && !read_value(item, &slot, err)) return false;
  }
  return true;
}

template <class K, class V>
bool read_value(Element e, Map<K, V>* v, ReadError* err) {
  simdjson::dom::object object;
  if (e.get_object().get(object) != simdjson::SUCCESS) return err->set("not an object");
  v->clear();
  v->nil = false;
  for (auto it = object.begin(); it != object.end(); ++it) {
    K key{};
    if (!parse_map_key(it.key(), &key, err)) return false;
    V& slot = (*v)[key];
    const Element item = it.value();
    if (item.is_null() || read_value(item, &slot, err)) continue;
    err->within(it.key());
    return false;
  }
  return true;
}

template <class T>
bool read_value(Element e, std::optional<T>* v, ReadError* err) {
  return read_value(e, &v->emplace(), err);
}

template <class T>
requires Described<T>
bool read_value(Element e, T* v, ReadError* err) {
  simdjson::dom::object object;
  if (e.get_object().get(object) != simdjson::SUCCESS) return err->set("not an object");
  ObjectReader a(object, err);
  T::fields(*v, a);
  return !err->failed();
}

// ---- whole bodies

/// The calling thread's parser; its elements live until its next use.
simdjson::dom::parser& thread_parser();

/// Parses a body with the thread's parser and gives the root element to `use`, a function
/// Result<T>(Element). EMSGSIZE above CFS_META_BODY_MAX, EBADMSG for text that is not JSON.
template <class T, class F>
Result<T> with_json(std::string_view body, F use) {
  constexpr size_t kKeepBytes = 1u << 20;  // a parser keeps its memory: larger bodies get their own
  if (body.size() > CFS_META_BODY_MAX) return make_error(EMSGSIZE, "body too large");
  std::optional<simdjson::dom::parser> large;
  simdjson::dom::parser& parser = body.size() > kKeepBytes ? large.emplace() : thread_parser();
  Element root;
  const auto code = parser.parse(body.data(), body.size()).get(root);
  if (code != simdjson::SUCCESS) return make_error(EBADMSG, simdjson::error_message(code));
  return use(root);
}

template <class T>
Result<T> read_root(Element root) {
  T v{};
  ReadError err;
  if (root.is_null() || read_value(root, &v, &err)) return v;
  return make_error(EBADMSG, err.text().starts_with(':') ? "body" + err.text() : err.text());
}

template <class T>
std::string encode_json(const T& v) {
  std::string out;
  out.reserve(256);
  JsonWriter w(&out);
  write_value(w, v);
  return out;
}

template <class T>
Result<T> decode_json(std::string_view body) {
  return with_json<T>(body, [](Element root) { return read_root<T>(root); });
}

}  // namespace cfs::wire::detail
