// SPDX-License-Identifier: Apache-2.0
/// Output of cfsctl; see output.h.
#include "tools/cfsctl/output.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <iostream>

namespace cfs::ctl {
namespace {

std::string program_name = "cfsctl";

/// Texts come from servers and kernels too: one line, no control bytes.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

std::string painted(int fd, const char* colour, const std::string& text) {
  return ::isatty(fd) ? std::string("\033[") + colour + "m" + text + "\033[0m" : text;
}

}  // namespace

void set_program_name(const std::string& name) {
  program_name = name;
}

int report(const Problem& problem) {
  std::string text = problem.what;
  if (!problem.why.empty()) text += ": " + problem.why;
  if (!problem.next.empty()) text += "; " + problem.next;
  std::cerr << painted(STDERR_FILENO, "31", program_name + ":") << " " << one_line(text)
            << std::endl;
  return problem.code;
}

void print_json(const Json& value) {
  std::cout << value.dump(2, ' ', false, Json::error_handler_t::replace) << std::endl;
}

void print_table(const std::vector<std::string>& head,
                 const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> width(head.size());
  for (std::size_t i = 0; i < head.size(); ++i) width[i] = head[i].size();
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  }
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string out;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      out += one_line(cells[i]);
      if (i + 1 < cells.size()) out += std::string(width[i] + 2 - cells[i].size(), ' ');
    }
    return out;
  };
  std::cout << painted(STDOUT_FILENO, "2", line(head)) << "\n";
  for (const auto& row : rows) std::cout << line(row) << "\n";
  std::cout.flush();
}

std::string tinted(const std::string& text, Tone tone) {
  if (tone == Tone::kPlain) return text;
  return painted(STDOUT_FILENO, tone == Tone::kGood ? "32" : "31", text);
}

std::string human_bytes(std::uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof(text), unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

std::string human_ns(std::int64_t ns) {
  struct Unit {
    double ns;
    const char* name;
  };
  constexpr std::array<Unit, 3> kUnits{{{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}}};
  std::array<char, 32> text{};
  for (const Unit& unit : kUnits) {
    if (static_cast<double>(ns) < unit.ns) continue;
    const double value = static_cast<double>(ns) / unit.ns;
    const int decimals = value < 10 ? 2 : (value < 100 ? 1 : 0);
    std::snprintf(text.data(), text.size(), "%.*f %s", decimals, value, unit.name);
    return text.data();
  }
  return std::to_string(ns) + " ns";
}

Progress::Progress(std::string text) : text_(std::move(text)) {
  if (::isatty(STDERR_FILENO)) thread_ = std::thread([this] { run(); });
}

Progress::~Progress() {
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Progress::run() {
  std::unique_lock lock(mutex_);
  int seconds = 0;
  while (!wake_.wait_for(lock, std::chrono::seconds(1), [this] { return done_; })) {
    std::cerr << "\r" << text_ << " ... " << ++seconds << " s" << std::flush;
  }
  if (seconds > 0) std::cerr << "\r\033[K" << std::flush;
}

}  // namespace cfs::ctl
