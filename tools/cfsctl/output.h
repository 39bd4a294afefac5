// SPDX-License-Identifier: Apache-2.0
/// What cfsctl says, and how.
///
/// Purpose  One error line of one form, tables for people, JSON for programs, progress for waits.
///          Colours and progress only on a terminal.
/// Threads  The main thread; Progress has one of its own that only writes to stderr.
/// Failure  None: a closed output is not this program's problem.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

namespace cfs::ctl {

using Json = nlohmann::json;

/// Exit codes of every command.
enum Exit : int { kDone = 0, kFailed = 1, kUsage = 2, kAbsent = 3 };

/// Why a command ends early. `why` may already hold "why; what to do": then `next` is empty.
struct Problem {
  Exit code = kFailed;
  std::string what, why, next;
};

/// "cfsctl: what: why; next", on one line whatever the texts hold; returns the exit code.
int report(const Problem& problem);
/// Name in front of errors: "cfsctl" or "mount.cubefs".
void set_program_name(const std::string& name);

void print_json(const Json& value);

/// Columns as wide as their longest cell; the head is dimmed on a terminal.
void print_table(const std::vector<std::string>& head,
                 const std::vector<std::vector<std::string>>& rows);

enum class Tone { kGood, kBad, kPlain };
[[nodiscard]] std::string tinted(const std::string& text, Tone tone);

[[nodiscard]] std::string human_bytes(std::uint64_t bytes);
/// Three significant digits with the unit that fits.
[[nodiscard]] std::string human_ns(std::int64_t ns);

/// "text ... 3 s" on stderr while a wait lasts longer than a second.
class Progress {
 public:
  explicit Progress(std::string text);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

 private:
  void run();
  std::string text_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool done_ = false;  ///< mutex_
  std::thread thread_;
};

}  // namespace cfs::ctl
