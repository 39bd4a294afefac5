// SPDX-License-Identifier: Apache-2.0
/// Lines of the log; see log_format.h.
#include "daemon/app/log_format.h"

#include <spdlog/pattern_formatter.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

namespace cfs {
namespace {

std::string text_of(spdlog::string_view_t view) {
  return {view.data(), view.size()};
}

void append(spdlog::memory_buf_t& out, const std::string& text) {
  out.append(text.data(), text.data() + text.size());
}

class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    spdlog::memory_buf_t time;
    time_.format(message, time);
    const nlohmann::json line{{"time", std::string(time.data(), time.size())},
                              {"level", text_of(spdlog::level::to_string_view(message.level))},
                              {"pid", ::getpid()},
                              {"message", text_of(message.payload)}};
    append(out, line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  }
  [[nodiscard]] std::unique_ptr<formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }

 private:
  spdlog::pattern_formatter time_{"%Y-%m-%dT%H:%M:%S.%eZ", spdlog::pattern_time_type::utc, ""};
};

class JournalFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    std::string text = text_of(message.payload);
    std::replace(text.begin(), text.end(), '\n', ' ');  // a line is an entry
    append(out, "<" + std::to_string(priority(message.level)) + ">" + text + "\n");
  }
  [[nodiscard]] std::unique_ptr<formatter> clone() const override {
    return std::make_unique<JournalFormatter>();
  }

 private:
  /// Source: syslog(3).
  static int priority(spdlog::level::level_enum level) {
    switch (level) {
      case spdlog::level::critical:
        return 2;
      case spdlog::level::err:
        return 3;
      case spdlog::level::warn:
        return 4;
      case spdlog::level::info:
        return 6;
      default:
        return 7;
    }
  }
};

}  // namespace

std::unique_ptr<spdlog::formatter> log_formatter(const std::string& format, bool journal) {
  if (format == "json") return std::make_unique<JsonFormatter>();
  if (journal) return std::make_unique<JournalFormatter>();
  return std::make_unique<spdlog::pattern_formatter>("%Y-%m-%d %H:%M:%S.%e %P %L %v");
}

bool stderr_is_journal() {
  const char* const named = std::getenv("JOURNAL_STREAM");
  struct stat st {};
  if (named == nullptr || ::fstat(STDERR_FILENO, &st) != 0) return false;
  return named == std::to_string(st.st_dev) + ":" + std::to_string(st.st_ino);
}

}  // namespace cfs
