// SPDX-License-Identifier: Apache-2.0
/// Log sink and rate limit; see log_setup.h.
#include "daemon/app/log_setup.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <mutex>

#include "daemon/app/log_format.h"

namespace cfs {
namespace {

/// Token bucket in front of a sink. Errors always pass.
class RateLimitedSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  RateLimitedSink(spdlog::sink_ptr inner, LogRate rate)
      : inner_(std::move(inner)), rate_(rate), tokens_(rate.burst) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    refill(message.time);
    if (tokens_ < 1 && message.level < spdlog::level::err) {
      ++dropped_;
      return;
    }
    tokens_ = std::max(0.0, tokens_ - 1);
    if (dropped_ > 0) report(message);
    inner_->log(message);
  }
  void flush_() override { inner_->flush(); }
  void set_formatter_(std::unique_ptr<spdlog::formatter> formatter) override {
    inner_->set_formatter(std::move(formatter));
  }

 private:
  void refill(spdlog::log_clock::time_point now) {
    const std::chrono::duration<double> passed = now - last_;
    last_ = now;
    // the wall clock may jump: never take tokens away, never give more than a burst
    tokens_ =
        std::clamp(tokens_ + std::max(0.0, passed.count()) * rate_.per_second, 0.0, rate_.burst);
  }

  void report(const spdlog::details::log_msg& after) {
    const std::string text = std::to_string(std::exchange(dropped_, 0)) + " messages dropped";
    inner_->log(
        spdlog::details::log_msg(after.time, {}, after.logger_name, spdlog::level::warn, text));
  }

  spdlog::sink_ptr inner_;
  LogRate rate_;
  double tokens_;
  std::uint64_t dropped_ = 0;
  spdlog::log_clock::time_point last_ = spdlog::log_clock::now();
};

}  // namespace

bool stderr_is_file() {
  struct stat st {};
  return ::fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode);
}

namespace {

Result<spdlog::sink_ptr> make_sink(const std::string& target, bool foreground) {
  if (target == "syslog" || (target.empty() && !foreground && !stderr_is_file())) {
    return spdlog::sink_ptr(std::make_shared<spdlog::sinks::syslog_sink_mt>(
        "cfsd", LOG_PID | LOG_NDELAY, LOG_DAEMON, false));
  }
  if (target.empty())
    return spdlog::sink_ptr(std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  try {
    return spdlog::sink_ptr(std::make_shared<spdlog::sinks::basic_file_sink_mt>(target));
  } catch (const spdlog::spdlog_ex& e) {
    return make_error(EIO, "log file " + target + ": " + e.what());
  }
}

}  // namespace

spdlog::sink_ptr rate_limited(spdlog::sink_ptr inner, LogRate rate) {
  return std::make_shared<RateLimitedSink>(std::move(inner), rate);
}

Result<void> set_log_level(const std::string& level) {
  constexpr std::array<const char*, 6> kLevels{"trace", "debug", "info", "warn", "error", "off"};
  if (std::find(kLevels.begin(), kLevels.end(), level) == kLevels.end()) {
    return make_error(EINVAL, "levels are trace, debug, info, warn, error and off");
  }
  spdlog::set_level(spdlog::level::from_str(level == "error" ? "err" : level));
  return {};
}

Result<void> set_up_log(const std::string& target, const std::string& format,
                        const std::string& level, bool foreground) {
  const auto sink = make_sink(target, foreground);
  if (!sink) return sink.error();
  auto logger = std::make_shared<spdlog::logger>("cfsd", rate_limited(*sink));
  logger->set_level(spdlog::level::from_str(level == "error" ? "err" : level));
  logger->flush_on(spdlog::level::info);
  logger->set_formatter(log_formatter(format, target.empty() && foreground && stderr_is_journal()));
  spdlog::set_default_logger(std::move(logger));
  return {};
}

}  // namespace cfs
