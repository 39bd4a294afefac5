// SPDX-License-Identifier: Apache-2.0
/// The daemon's log: what passes, what is dropped, how a line looks. If it fails, a flood hides what matters or a reader of the
/// log misunderstands it.
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

#include "daemon/app/log_format.h"
#include "daemon/app/log_setup.h"

namespace cfs {
namespace {

/// The default logger as the daemon sets it up, into a string; the former one comes back.
class LogTest : public testing::Test {
 protected:
  void log_to_text(const std::string& format, bool journal, LogRate rate = {}) {
    auto sink = rate_limited(std::make_shared<spdlog::sinks::ostream_sink_st>(out_), rate);
    auto logger = std::make_shared<spdlog::logger>("cfsd", sink);
    logger->set_formatter(log_formatter(format, journal));
    spdlog::set_default_logger(std::move(logger));
  }
  void TearDown() override { spdlog::set_default_logger(former_); }
  [[nodiscard]] std::vector<std::string> lines() const {
    std::vector<std::string> all;
    std::istringstream in(out_.str());
    for (std::string line; std::getline(in, line);) all.push_back(line);
    return all;
  }

  std::ostringstream out_;
  std::shared_ptr<spdlog::logger> former_ = spdlog::default_logger();
};

TEST_F(LogTest, ALevelIsChangedWhileItRuns) {
  log_to_text("text", false);
  ASSERT_TRUE(set_log_level("info").ok());
  spdlog::debug("hidden");
  ASSERT_TRUE(set_log_level("debug").ok());
  spdlog::debug("shown");
  ASSERT_TRUE(set_log_level("error").ok());
  spdlog::warn("hidden");
  EXPECT_EQ(set_log_level("loud").code(), EINVAL);
  spdlog::error("shown too");
  ASSERT_TRUE(set_log_level("info").ok());
  ASSERT_EQ(lines().size(), 2U);
  EXPECT_TRUE(lines()[0].ends_with(" D shown")) << lines()[0];
  EXPECT_TRUE(lines()[1].ends_with(" E shown too")) << lines()[1];
}

TEST_F(LogTest, AFloodIsCutErrorsPassAndItIsToldHowManyWereDropped) {
  log_to_text("text", false, {.per_second = 1e-9, .burst = 10});
  for (int i = 0; i < 1000; ++i) spdlog::warn("again");
  EXPECT_EQ(lines().size(), 10U);
  spdlog::error("broken");
  ASSERT_EQ(lines().size(), 12U);
  EXPECT_TRUE(lines()[10].ends_with(" W 990 messages dropped")) << lines()[10];
  EXPECT_TRUE(lines()[11].ends_with(" E broken")) << lines()[11];
}

TEST_F(LogTest, JsonIsOneObjectPerLineWhateverTheMessage) {
  log_to_text("json", false);
  const std::string nasty = "a \"name\"\nwith \x01 and \xff";
  spdlog::warn("{}", nasty);
  spdlog::info("next");
  ASSERT_EQ(lines().size(), 2U);
  const auto first = nlohmann::json::parse(lines()[0]);
  EXPECT_EQ(first["level"], "warning");
  EXPECT_EQ(first["pid"], ::getpid());
  EXPECT_EQ(first["message"], "a \"name\"\nwith \x01 and \xEF\xBF\xBD");
  EXPECT_EQ(first["time"].get<std::string>().size(),
            std::string("2026-01-02T03:04:05.678Z").size());
  EXPECT_EQ(nlohmann::json::parse(lines()[1])["message"], "next");
}

TEST_F(LogTest, JournaldGetsThePriorityOfEachEntry) {
  log_to_text("text", true);
  spdlog::error("bad\nforged <0> line");
  spdlog::warn("odd");
  spdlog::info("said");
  EXPECT_EQ(lines(), (std::vector<std::string>{"<3>bad forged <0> line", "<4>odd", "<6>said"}));
}

TEST_F(LogTest, JournaldIsKnownByItsStream) {
  struct stat st {};
  ASSERT_EQ(::fstat(STDERR_FILENO, &st), 0);
  const std::string ours = std::to_string(st.st_dev) + ":" + std::to_string(st.st_ino);
  ASSERT_EQ(::setenv("JOURNAL_STREAM", ours.c_str(), 1), 0);
  EXPECT_TRUE(stderr_is_journal());
  ASSERT_EQ(::setenv("JOURNAL_STREAM", "1:1", 1), 0);
  EXPECT_FALSE(stderr_is_journal());
  ASSERT_EQ(::unsetenv("JOURNAL_STREAM"), 0);
  EXPECT_FALSE(stderr_is_journal());
}

}  // namespace
}  // namespace cfs
