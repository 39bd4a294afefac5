// SPDX-License-Identifier: Apache-2.0
/// Calls that wait for servers that do not answer ($CFS_TEST_MASTER, /mini/fault). Breaks: a program that waits cannot be killed,
/// or a call that is only interrupted by a handled signal fails.
#include <chrono>
#include <csignal>
#include <map>

#include "mini.h"
#include "posix.h"

using namespace fs_test;  // NOLINT: tests only

namespace {

constexpr int kMetaNodes = 3;
constexpr int kWaitUs = 700000;  // longer than any call takes when the servers answer
constexpr double kKilledWithinS = 10;

double now() {
  using std::chrono::steady_clock;
  return std::chrono::duration<double>(steady_clock::now().time_since_epoch()).count();
}

/// Meta nodes accept requests and do not answer while this lives.
class Hang {
 public:
  Hang() { all("hang"); }
  Hang(const Hang&) = delete;
  Hang& operator=(const Hang&) = delete;
  ~Hang() { all("start"); }

 private:
  static void all(const std::string& action) {
    for (int i = 0; i < kMetaNodes; ++i)
      ask_mini("/mini/fault?action=" + action + "&role=meta&index=" + std::to_string(i));
  }
};

using Calls = std::map<std::string, std::function<long()>>;

pid_t start(const std::function<long()>& call) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::_exit(call() < 0 ? 1 : 0);
}

}  // namespace

class Waiting : public Dir {
 protected:
  void SetUp() override {
    if (std::getenv("CFS_TEST_MASTER") == nullptr)
      GTEST_SKIP() << "CFS_TEST_MASTER names no mini cluster";
    Dir::SetUp();
  }
  void TearDown() override {
    if (!IsSkipped()) Dir::TearDown();
  }
  void prepare() {
    for (const char* name : {"cut", "from", "gone", "linked", "mode", "owner", "times", "x-set",
                             "x-get", "x-list", "x-gone"}) {
      write_file(p(name), "content");
      call::setx(p(name), "user.a", "b");
    }
    for (const char* name : {"dir", "empty"}) ASSERT_EQ(call::mkdir(p(name)), 0);
    write_file(p("dir/inside"), "");
    drop_caches();
    // known names, so that each call below waits in its own request and not in a lookup
    for (const std::string& name : fs_test::list(root_)) status(p(name));
  }
  Calls calls() {
    return {
        {"lookup", [this] { return call::access(p("unknown"), F_OK); }},
        {"create", [this] { return call::open(p("new"), O_CREAT | O_WRONLY); }},
        {"mkdir", [this] { return call::mkdir(p("new-dir")); }},
        {"mknod", [this] { return call::mkfifo(p("new-fifo")); }},
        {"symlink", [this] { return call::symlink("target", p("new-link")); }},
        {"link", [this] { return call::link(p("linked"), p("dir/linked")); }},
        {"unlink", [this] { return call::unlink(p("gone")); }},
        {"rmdir", [this] { return call::rmdir(p("empty")); }},
        {"rename", [this] { return call::rename(p("from"), p("dir/to")); }},
        {"chmod", [this] { return call::chmod(p("mode"), 0600); }},
        {"chown", [this] { return call::chown(p("owner"), 1, 1); }},
        {"utimens",
         [this] {
           return call::touch(p("times"), {1, 0}, {1, 0});
         }},
        {"truncate", [this] { return call::truncate(p("cut"), 1); }},
        {"setxattr", [this] { return call::setx(p("x-set"), "user.c", "d"); }},
        {"getxattr", [this] { return call::getx(p("x-get"), "user.a"); }},
        {"listxattr", [this] { return sys(::listxattr(p("x-list").c_str(), nullptr, 0)); }},
        {"removexattr", [this] { return sys(::removexattr(p("x-gone").c_str(), "user.a")); }},
        {"readdir", [this] { return static_cast<long>(fs_test::list(p("dir")).size()); }},
    };
  }
};

TEST_F(Waiting, EachCallCanBeKilled) {
  prepare();
  std::map<std::string, pid_t> waiting;
  {
    const Hang servers;
    for (const auto& [name, call] : calls()) waiting[name] = start(call);
    ::usleep(kWaitUs);
    for (const auto& [name, pid] : waiting)
      EXPECT_EQ(::waitpid(pid, nullptr, WNOHANG), 0) << name << " did not wait for the servers";
    const double killed = now();
    for (const auto& [name, pid] : waiting) ::kill(pid, SIGKILL);
    for (const auto& [name, pid] : waiting) {
      int status = 0;
      pid_t reaped = 0;
      while ((reaped = ::waitpid(pid, &status, WNOHANG)) == 0 && now() - killed < kKilledWithinS)
        ::usleep(20000);
      EXPECT_NE(reaped, 0) << name << " cannot be killed";
    }
  }
  // what was begun goes on or was given up; the directory is usable
  EXPECT_EQ(read_file(p("x-get")), "content");
  EXPECT_EQ(call::mkdir(p("afterwards")), 0);
}

TEST_F(Waiting, ASignalThatIsHandledFailsNothing) {
  prepare();
  std::map<std::string, pid_t> waiting;
  struct sigaction handled {};
  handled.sa_handler = [](int) {};
  handled.sa_flags = SA_RESTART;
  ::sigaction(SIGUSR1, &handled, nullptr);  // children inherit it
  {
    const Hang servers;
    for (const auto& [name, call] : calls()) {
      if (name != "lookup") waiting[name] = start(call);
    }
    ::usleep(kWaitUs);
    for (const auto& [name, pid] : waiting) ::kill(pid, SIGUSR1);
    ::usleep(kWaitUs);
  }
  for (const auto& [name, pid] : waiting) {
    int status = -1;
    ::waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0) << name;
  }
  ::signal(SIGUSR1, SIG_DFL);
}
