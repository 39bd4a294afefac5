// SPDX-License-Identifier: Apache-2.0
/// How a line of the log looks.
///
/// Purpose  text: for people. json: one object per line with time, level, pid, message. journal: the
///          message with its priority in front, which journald keeps as fields of their own; see
///          sd-daemon(3).
/// Threads  A formatter belongs to one sink, which calls it one line at a time.
/// Failure  None: bytes that are no UTF-8 are replaced in json.
#pragma once

#include <spdlog/formatter.h>

#include <memory>
#include <string>

namespace cfs {

/// `format`: "text" or "json"; with `journal` text goes to journald.
[[nodiscard]] std::unique_ptr<spdlog::formatter> log_formatter(const std::string& format,
                                                               bool journal);

/// This process' stderr is a stream of journald. Source: systemd.exec(5), JOURNAL_STREAM.
[[nodiscard]] bool stderr_is_journal();

}  // namespace cfs
