// SPDX-License-Identifier: Apache-2.0
/// Where the daemon's log goes.
///
/// Purpose  One sink (stderr, syslog or file) behind a rate limit, set as spdlog's default logger.
/// Threads  Call before other threads exist; logging itself is safe from any thread.
/// Failure  A file that cannot be opened is an error at start; later write errors are dropped.
#pragma once

#include <spdlog/sinks/sink.h>

#include <memory>
#include <string>

#include "daemon/base/result.h"

namespace cfs {

/// Lines per second that pass on average, and at once.
struct LogRate {
  double per_second = 50;
  double burst = 500;
};

/// Wraps a sink: what comes too fast is counted and reported when it is quiet again.
[[nodiscard]] spdlog::sink_ptr rate_limited(spdlog::sink_ptr inner, LogRate rate = {});

/// Somebody redirected it on purpose: a daemon in the background goes on writing there.
[[nodiscard]] bool stderr_is_file();

/// At run time, from any thread; EINVAL for a word that is no level.
Result<void> set_log_level(const std::string& level);

/// `target` as Options::log_file, `format` as Options::log_format; `foreground` decides what an empty
/// target means.
Result<void> set_up_log(const std::string& target, const std::string& format,
                        const std::string& level, bool foreground);

}  // namespace cfs
