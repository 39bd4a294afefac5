// SPDX-License-Identifier: Apache-2.0
/// A mini cluster, a loop on a thread of its own, and volumes on it, for tests that read like a
/// script.
///
/// Threads  Tests run on the main thread; await() runs a task on the loop and waits for it.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <future>
#include <optional>
#include <thread>

#include "daemon/core/volume_impl.h"
#include "tools/minicluster/cluster.h"

namespace cfs::test {

class LoopThread {
 public:
  LoopThread() : loop_(std::move(Loop::create(256)).value()), thread_([this] { loop_->run(); }) {}
  ~LoopThread() {
    loop_->stop();
    thread_.join();
  }
  Loop& loop() { return *loop_; }

  /// Run a task on the loop; its result.
  template <class T>
  T await(Task<T> task) {
    std::promise<T> promise;
    std::future<T> future = promise.get_future();
    auto held = std::make_shared<Task<T>>(std::move(task));
    std::promise<T>* const out = &promise;
    loop_->post([this, held, out] { loop_->spawn(finish(std::move(*held), out)); });
    return future.get();
  }

 private:
  template <class T>
  static Task<void> finish(Task<T> task, std::promise<T>* out) {
    T value = co_await task;
    out->set_value(std::move(value));
  }
  std::unique_ptr<Loop> loop_;
  std::thread thread_;
};

inline Task<bool> close_volume(std::shared_ptr<Volume> volume) {
  co_await volume->close();
  co_return true;
}

/// One cluster per test program; each test has a volume of its own.
class VolumeTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = std::filesystem::temp_directory_path() / ("cfs-core-" + std::to_string(::getpid()));
    std::filesystem::create_directories(dir_);
    mini::ClusterOptions options;
    options.dir = dir_;
    options.base_port = 0;
    cluster_ = std::make_unique<mini::Cluster>(options);
    const Result<void> started = cluster_->start();
    ASSERT_TRUE(started.ok()) << started.error().text();
  }
  static void TearDownTestSuite() {
    cluster_.reset();
    std::filesystem::remove_all(dir_);
  }
  void SetUp() override { make_volume({}); }
  void TearDown() override {
    cluster_->faults().clear();
    close();
  }

  /// A new volume with these settings, mounted.
  void make_volume(mini::Volume settings) {
    close();
    static int count = 0;
    name_ = "vol" + std::to_string(++count);
    settings.name = name_;
    settings.owner = "ltp";
    const Result<void> made = cluster_->create_volume(settings, 3, 3);
    ASSERT_TRUE(made.ok()) << made.error().text();
    mount();
  }
  [[nodiscard]] MountConfig config() const {
    MountConfig c;
    c.volume = name_;
    c.owner = "ltp";
    c.masters = cluster_->master_addresses();
    c.meta_timeout_s = 20;
    return c;
  }
  void mount() {
    auto opened = await(Volume::open(loop_.loop(), config()));
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    volume_ = std::move(opened).value();
  }
  void close() {
    if (volume_) await(close_volume(volume_));
    volume_.reset();
  }
  void remount() {
    close();
    mount();
  }

  template <class T>
  T await(Task<T> task) {
    return loop_.await(std::move(task));
  }

  // Short forms; each uses a fresh progress record.
  Result<Attr> create(Ino dir, const std::string& name, std::uint32_t mode = S_IFREG | 0644,
                      const std::string& target = {}, Ahead* ahead = nullptr) {
    Progress progress;
    return await(volume_->create(dir, name, mode, target, Caller{1000, 100}, progress, ahead));
  }
  Ino make(Ino dir, const std::string& name, std::uint32_t mode = S_IFREG | 0644) {
    const Result<Attr> made = create(dir, name, mode);
    EXPECT_TRUE(made.ok()) << name << ": " << made.error().text();
    return made.ok() ? made->ino : 0;
  }
  Result<Attr> unlink(Ino dir, const std::string& name, bool is_dir = false,
                      UnlinkHints hints = {}) {
    Progress progress;
    return await(volume_->unlink(dir, name, is_dir, progress, hints));
  }
  Result<Attr> rename(Ino dir, const std::string& name, Ino to, const std::string& new_name,
                      bool no_replace = false, RenameHints hints = {}) {
    Progress progress;
    return await(volume_->rename(dir, name, to, new_name, no_replace, progress, hints));
  }
  Result<Attr> tmpfile(Ino dir, std::uint32_t mode = 0600) {
    Progress progress;
    return await(volume_->tmpfile(dir, mode, Caller{1000, 100}, progress));
  }
  Result<Attr> link(Ino ino, Ino dir, const std::string& name) {
    Progress progress;
    return await(volume_->link(ino, dir, name, progress));
  }
  Result<Attr> lookup(Ino dir, const std::string& name) {
    return await(volume_->lookup(dir, name));
  }
  Result<Attr> getattr(Ino ino) { return await(volume_->getattr(ino)); }
  std::vector<DirEntry> list(Ino dir, std::uint32_t page = 100) {
    std::vector<DirEntry> all;
    std::string marker;
    for (;;) {
      Result<DirPage> got = await(volume_->readdir(dir, marker, page, false));
      EXPECT_TRUE(got.ok()) << got.error().text();
      if (!got.ok()) return all;
      for (DirEntry& e : got->entries) all.push_back(std::move(e));
      if (got->eof) return all;
      marker = all.back().name;
    }
  }
  std::vector<std::string> names(Ino dir, std::uint32_t page = 100) {
    std::vector<std::string> out;
    for (const DirEntry& e : list(dir, page)) out.push_back(e.name);
    return out;
  }
  static void arm(mini::FaultKind kind, int op, std::uint32_t value = 0, std::uint64_t count = 1) {
    cluster_->faults().arm(mini::Fault{kind, {}, op, value, count});
  }
  VolumeImpl& impl() { return static_cast<VolumeImpl&>(*volume_); }

  static constexpr Ino kRoot = 1;
  static inline std::filesystem::path dir_;
  static inline std::unique_ptr<mini::Cluster> cluster_;
  LoopThread loop_;
  std::string name_;
  std::shared_ptr<Volume> volume_;
};

}  // namespace cfs::test
