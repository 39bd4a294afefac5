// SPDX-License-Identifier: Apache-2.0
/// libbpf's lines; see bpf_log.h.
#include "daemon/bpf/bpf_log.h"

#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <deque>
#include <utility>

namespace cfs {
namespace {

// libbpf's print callback has no argument, and a load runs on one thread
thread_local std::deque<std::string> last_lines;
thread_local std::size_t lines_kept = 0;

void keep_line(std::string line) {
  if (line.empty()) return;
  last_lines.push_back(std::move(line));
  if (last_lines.size() > lines_kept) last_lines.pop_front();
}

int keep_lines(enum libbpf_print_level level, const char* format, va_list args) {
  if (level != LIBBPF_WARN) return 0;
  va_list again;
  va_copy(again, args);
  const int length = std::vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (length <= 0) return 0;
  std::string text(static_cast<std::size_t>(length) + 1, '\0');
  std::vsnprintf(text.data(), text.size(), format, args);
  text.pop_back();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    keep_line(text.substr(at, end - at));
    at = end + 1;
  }
  return 0;
}

}  // namespace

void keep_bpf_lines(std::size_t lines) {
  lines_kept = lines;
  last_lines.clear();
  libbpf_set_print(keep_lines);
}

Error bpf_error(std::string what) {
  const int code = errno;
  for (const std::string& line : last_lines) what += " | " + line;
  return make_error(code, std::move(what));
}

}  // namespace cfs
