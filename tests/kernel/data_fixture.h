// SPDX-License-Identifier: Apache-2.0
/// What the tests of the data path share: faults of the mini cluster's nodes, patterns, small helpers.
///
/// Purpose  One fixture for programs that run in a guest, as root, on a kernel mount. They need
///          $CFS_TEST_DIR (the mount) and $CFS_TEST_MASTER (host:port of the mini cluster's master).
/// Failure  Helpers report by gtest; a fault that cannot be set fails the test.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <future>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "daemon/base/http.h"

namespace data_test {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kMiB = 1 << 20;
constexpr int kOpCreate = 0x01, kOpAppend = 0x03, kOpOverwrite = 0x0F;
constexpr int kMetaCommit = 0x3A, kMetaBatchCommit = 0x34;

inline std::string env(const char* name) {
  const char* value = getenv(name);
  return value ? value : "";
}

inline std::string http_get(const std::string& path) {
  cfs::HttpRequest request;
  request.host = env("CFS_TEST_MASTER");
  request.path = path;
  request.deadline_ms = cfs::Loop::now_ms() + 20000;
  cfs::Result<cfs::HttpReply> reply = cfs::http_ask(std::move(request));
  if (reply.ok()) return reply->body;
  ADD_FAILURE() << path << ": " << reply.error().text();
  return {};
}

inline void fault(const std::string& query) {
  std::string body = http_get("/mini/fault?" + query);
  EXPECT_NE(body.find("\"code\":0"), std::string::npos) << query << ": " << body;
}

inline void data_node(int index, const std::string& action) {
  fault("action=" + action + "&role=data&index=" + std::to_string(index));
}

/// A knob of every data node: "NAME=VALUE".
inline void knob(const std::string& assignment) {
  size_t at = assignment.find('=');
  fault("action=knob&knob=" + assignment.substr(0, at) + "&value=" + assignment.substr(at + 1));
}

/// Every data node answers `code` to the next `count` requests `op` that it gets.
inline void force_result(int op, int code, int count) {
  knob("force_result=" + std::to_string(op) + ":" + std::to_string(code) + ":" +
       std::to_string(count));
}

inline std::string pattern(size_t n, unsigned seed) {
  std::string s(n, '\0');
  uint32_t x = seed * 2654435761u + 1;
  for (auto& c : s) {
    x = x * 1664525u + 1013904223u;
    c = static_cast<char>(x >> 24);
  }
  return s;
}

inline void drop_caches() {
  sync();
  for (int i = 0; i < 3; i++) std::ofstream("/proc/sys/vm/drop_caches") << "3\n";
}

class Fd {
 public:
  Fd(const std::string& path, int flags) : fd_(open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    EXPECT_GE(fd_, 0) << path << ": " << strerror(errno);
  }
  ~Fd() {
    if (fd_ >= 0) close();
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }
  int close() {
    int r = ::close(fd_) ? errno : 0;
    fd_ = -1;
    return r;
  }
  int sync() { return fsync(fd_) ? errno : 0; }

 private:
  int fd_;
};

/// 0 or errno.
inline int write_at(int fd, const std::string& data, size_t pos) {
  for (size_t done = 0; done < data.size();) {
    ssize_t n = pwrite(fd, data.data() + done, data.size() - done, pos + done);
    if (n <= 0) return n ? errno : EIO;
    done += n;
  }
  return 0;
}

inline std::string read_all(const std::string& path) {
  Fd fd(path, O_RDONLY);
  std::string out;
  std::string buf(kMiB, '\0');
  ssize_t n;
  while ((n = read(fd.get(), buf.data(), buf.size())) > 0) out.append(buf, 0, n);
  EXPECT_EQ(n, 0) << path << ": " << strerror(errno);
  return out;
}

/// Says where two long strings differ instead of printing them.
inline void expect_same(const std::string& got, const std::string& want, const char* what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < want.size(); i++)
    ASSERT_EQ(int(uint8_t(got[i])), int(uint8_t(want[i])))
        << what << ": first difference at byte " << i;
}

inline int cfsctl(const std::string& arguments) {
  return system((env("CFS_CFSCTL") + " " + arguments).c_str());
}

/// A second mount of the same volume.
class Mount {
 public:
  Mount(std::string at, const std::string& options) : at_(std::move(at)) {
    mkdir(at_.c_str(), 0755);
    EXPECT_EQ(cfsctl("mount test@" + env("CFS_TEST_MASTER") + " " + at_ +
                     " --owner tester --frontend kernel -q -o " + options),
              0);
  }
  ~Mount() { EXPECT_EQ(cfsctl("umount " + at_), 0); }
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;

 private:
  std::string at_;
};

class DataFaults : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = env("CFS_TEST_DIR") + "/faults-" +
           testing::UnitTest::GetInstance()->current_test_info()->name() + "-XXXXXX";
    ASSERT_NE(mkdtemp(dir_.data()), nullptr) << dir_ << ": " << strerror(errno);
  }

  void TearDown() override {
    fault("action=clear");
    for (const char* k :
         {"drop_reply=0", "close_after=0", "cut_reply=0", "half_close=0", "corrupt_crc=0",
          "follower_failure=0", "read_error=0", "force_result=3:243:0", "delay_ms=0", "full=0",
          "tiny_ready=1", "read_chunk_bytes=131072"})
      knob(k);
    Fd fd(dir_, O_RDONLY);
    syncfs(fd.get());  // errors that a test made are not the next one's, nor the unmount's
  }

  std::string path(const std::string& name) { return dir_ + "/" + name; }

  /// Writes `data` to a new file, syncs, closes; all must succeed.
  void write_file(const std::string& name, const std::string& data) {
    Fd fd(path(name), O_RDWR | O_CREAT | O_TRUNC);
    ASSERT_EQ(write_at(fd.get(), data, 0), 0);
    ASSERT_EQ(fd.sync(), 0);
    ASSERT_EQ(fd.close(), 0);
  }

  void expect_cold(const std::string& name, const std::string& want) {
    drop_caches();
    expect_same(read_all(path(name)), want, name.c_str());
  }

  std::string dir_;
};

/// main() of these programs.
inline int run(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (env("CFS_TEST_DIR").empty() || env("CFS_TEST_MASTER").empty()) {
    printf("skip: CFS_TEST_DIR and CFS_TEST_MASTER are not set\n");
    return 77;
  }
  return RUN_ALL_TESTS();
}

}  // namespace data_test
