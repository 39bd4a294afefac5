// SPDX-License-Identifier: Apache-2.0
/// JSON text, base64 and times; see json.h.
#include "daemon/wire/json.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

namespace cfs::wire {

namespace {

constexpr char kHex[] = "0123456789abcdef";
constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr int64_t kZeroTimeUnix = -62135596800;  // 0001-01-01T00:00:00Z

uint8_t byte_at(std::string_view s, size_t i) {
  return static_cast<uint8_t>(s[i]);
}

/// Continuation bytes a first byte asks for, and the legal range of the second byte; 0 for a bad
/// one.
struct Lead {
  size_t more = 0;
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
};

Lead lead_of(uint8_t b) {
  if (b >= 0xC2 && b <= 0xDF) return {1, 0x80, 0xBF};
  if (b == 0xE0) return {2, 0xA0, 0xBF};  // lower ones would be overlong
  if (b == 0xED) return {2, 0x80, 0x9F};  // higher ones would be surrogates
  if (b >= 0xE1 && b <= 0xEF) return {2, 0x80, 0xBF};
  if (b == 0xF0) return {3, 0x90, 0xBF};
  if (b >= 0xF1 && b <= 0xF3) return {3, 0x80, 0xBF};
  if (b == 0xF4) return {3, 0x80, 0x8F};  // higher ones would be above U+10FFFF
  return {};
}

/// Length of the multi-byte character at `i`, 0 when the bytes are not UTF-8.
size_t utf8_length(std::string_view s, size_t i) {
  const Lead lead = lead_of(byte_at(s, i));
  if (lead.more == 0 || i + lead.more >= s.size()) return 0;
  const uint8_t second = byte_at(s, i + 1);
  if (second < lead.low || second > lead.high) return 0;
  for (size_t k = 2; k <= lead.more; ++k) {
    if ((byte_at(s, i + k) & 0xC0) != 0x80) return 0;
  }
  return lead.more + 1;
}

/// Go's short escapes; 0 when there is none.
char short_escape(char c) {
  switch (c) {
    case '"':
    case '\\':
      return c;
    case '\b':
      return 'b';
    case '\f':
      return 'f';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    default:
      return 0;
  }
}

/// An ASCII character that Go writes as it is.
constexpr bool is_plain(uint8_t b) {
  return b >= 0x20 && b < 0x80 && b != '"' && b != '\\' && b != '<' && b != '>' && b != '&';
}

constexpr auto kPlain = [] {
  std::array<bool, 256> table{};
  for (size_t b = 0; b < table.size(); ++b) table[b] = is_plain(static_cast<uint8_t>(b));
  return table;
}();

/// Bytes at the front that need no escape.
size_t plain_length(std::string_view text) {
  size_t n = 0;
  while (n < text.size() && kPlain[byte_at(text, n)]) ++n;
  return n;
}

/// One that is not plain.
void append_ascii(std::string* out, char c) {
  const auto b = static_cast<uint8_t>(c);
  if (const char e = short_escape(c)) {
    out->push_back('\\');
    out->push_back(e);
  } else {
    out->append("\\u00");
    out->push_back(kHex[b >> 4]);
    out->push_back(kHex[b & 15]);
  }
}

/// U+2028 and U+2029 are E2 80 A8 and E2 80 A9: legal JSON, but Go escapes them for JavaScript.
bool is_line_separator(std::string_view ch) {
  return ch == "\xE2\x80\xA8" || ch == "\xE2\x80\xA9";
}

void append_utf8(std::string* out, std::string_view ch) {
  if (is_line_separator(ch)) {
    out->append(ch[2] == '\xA8' ? "\\u2028" : "\\u2029");
  } else {
    out->append(ch);
  }
}

int base64_value(char c) {
  const size_t at = kBase64.find(c);
  return c == '\0' || at == std::string_view::npos ? -1 : static_cast<int>(at);
}

/// One group of four characters to one to three bytes.
bool decode_group(std::string_view group, size_t pad, std::string* out) {
  uint32_t bits = 0;
  for (size_t i = 0; i < 4; ++i) {
    const int v = i >= 4 - pad ? 0 : base64_value(group[i]);
    if (v < 0) return false;
    bits = bits << 6 | static_cast<uint32_t>(v);
  }
  for (size_t i = 0; i < 3 - pad; ++i) out->push_back(static_cast<char>(bits >> (16 - 8 * i)));
  return true;
}

/// `count` decimal digits at the front of *s, which are taken away; -1 when there are not so many.
int take_digits(std::string_view* s, size_t count) {
  if (s->size() < count) return -1;
  int v = 0;
  for (const char c : s->substr(0, count)) {
    if (c < '0' || c > '9') return -1;
    v = v * 10 + (c - '0');
  }
  s->remove_prefix(count);
  return v;
}

bool take_char(std::string_view* s, char c) {
  if (s->empty() || s->front() != c) return false;
  s->remove_prefix(1);
  return true;
}

/// "YYYY-MM-DD" to days since the epoch.
bool take_date(std::string_view* s, int64_t* days) {
  const int y = take_digits(s, 4);
  const bool dash1 = take_char(s, '-');
  const int m = take_digits(s, 2);
  const bool dash2 = take_char(s, '-');
  const int d = take_digits(s, 2);
  const std::chrono::year_month_day date{std::chrono::year{y},
                                         std::chrono::month{static_cast<unsigned>(m)},
                                         std::chrono::day{static_cast<unsigned>(d)}};
  if (y < 0 || m < 0 || d < 0 || !dash1 || !dash2 || !date.ok()) return false;
  *days = std::chrono::sys_days{date}.time_since_epoch().count();
  return true;
}

/// "HH:MM" to seconds.
bool take_hour_minute(std::string_view* s, int64_t* seconds) {
  const int h = take_digits(s, 2);
  const bool colon = take_char(s, ':');
  const int m = take_digits(s, 2);
  if (h < 0 || h > 23 || m < 0 || m > 59 || !colon) return false;
  *seconds = h * 3600 + m * 60;
  return true;
}

bool take_fraction(std::string_view* s) {
  if (!take_char(s, '.')) return true;
  const size_t digits = std::min(s->find_first_not_of("0123456789"), s->size());
  if (digits == 0) return false;
  s->remove_prefix(digits);
  return true;
}

/// "Z" or "+HH:MM" at the very end, to seconds east of Greenwich.
bool take_zone(std::string_view* s, int64_t* east_s) {
  *east_s = 0;
  if (take_char(s, 'Z')) return s->empty();
  const bool minus = !s->empty() && s->front() == '-';
  if (!minus && (s->empty() || s->front() != '+')) return false;
  s->remove_prefix(1);
  if (!take_hour_minute(s, east_s)) return false;
  if (minus) *east_s = -*east_s;
  return s->empty();
}

}  // namespace

void JsonWriter::comma() {
  if (!first_) out_->push_back(',');
  first_ = false;
}

void JsonWriter::open(char c) {
  comma();
  out_->push_back(c);
  first_ = true;
}

void JsonWriter::close(char c) {
  out_->push_back(c);
  first_ = false;
}

void JsonWriter::key(std::string_view name) {
  string(name);
  out_->push_back(':');
  first_ = true;
}

void JsonWriter::string(std::string_view text) {
  comma();
  out_->push_back('"');
  for (size_t i = 0; i < text.size();) {
    const size_t plain = plain_length(text.substr(i));
    out_->append(text, i, plain);
    i += plain;
    if (i == text.size()) break;
    if (byte_at(text, i) < 0x80) {
      append_ascii(out_, text[i++]);
    } else if (const size_t n = utf8_length(text, i)) {
      append_utf8(out_, text.substr(i, n));
      i += n;
    } else {
      out_->append("\\ufffd");
      ++i;
    }
  }
  out_->push_back('"');
}

void JsonWriter::base64(std::string_view bytes) {
  raw('"' + base64_encode(bytes) + '"');
}

void JsonWriter::raw(std::string_view json) {
  comma();
  out_->append(json);
}

bool valid_utf8(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size();) {
    const size_t n = byte_at(bytes, i) < 0x80 ? 1 : utf8_length(bytes, i);
    if (n == 0) return false;
    i += n;
  }
  return true;
}

std::string base64_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t n = std::min<size_t>(3, bytes.size() - i);
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k) bits = bits << 8 | (k < n ? byte_at(bytes, i + k) : 0);
    for (size_t k = 0; k < 4; ++k) {
      out.push_back(k <= n ? kBase64[bits >> (18 - 6 * k) & 63] : '=');
    }
  }
  return out;
}

Result<std::string> base64_decode(std::string_view text) {
  std::string out;
  const Error bad = make_error(EBADMSG, "bad base64");
  if (text.size() % 4 != 0) return bad;
  out.reserve(text.size() / 4 * 3);
  for (size_t i = 0; i < text.size(); i += 4) {
    const std::string_view group = text.substr(i, 4);
    size_t pad = 0;
    if (i + 4 == text.size()) pad = group.ends_with("==") ? 2 : group.ends_with('=') ? 1 : 0;
    if (!decode_group(group, pad, &out)) return bad;
  }
  return out;
}

Result<int64_t> parse_rfc3339(std::string_view text) {
  std::string_view s = text;
  int64_t days = 0;
  int64_t day_s = 0;
  int64_t east_s = 0;
  bool good = take_date(&s, &days) && take_char(&s, 'T') && take_hour_minute(&s, &day_s) &&
              take_char(&s, ':');
  const int second = good ? take_digits(&s, 2) : -1;
  good = good && second >= 0 && second <= 60 && take_fraction(&s) && take_zone(&s, &east_s);
  if (!good) return make_error(EBADMSG, "bad time");
  const int64_t unix_s = days * 86400 + day_s + second - east_s;
  return unix_s == kZeroTimeUnix ? 0 : unix_s;
}

std::string format_rfc3339(int64_t unix_s) {
  using namespace std::chrono;
  constexpr int64_t kYear9999End = 253402300799;  // the format has four digits of year
  const sys_seconds t{seconds{std::clamp(unix_s, kZeroTimeUnix, kYear9999End)}};
  const auto day = floor<days>(t);
  const year_month_day date{day};
  const hh_mm_ss time{t - day};
  std::array<char, 40> buf{};
  std::snprintf(buf.data(), buf.size(), "%04d-%02u-%02uT%02d:%02d:%02dZ", int{date.year()},
                unsigned{date.month()}, unsigned{date.day()},
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()));
  return buf.data();
}

}  // namespace cfs::wire
