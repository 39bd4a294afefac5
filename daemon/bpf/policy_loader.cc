// SPDX-License-Identifier: Apache-2.0
/// Loading in the background; see policy_loader.h.
#include "daemon/bpf/policy_loader.h"

#include <cubefs/cfs_bpf.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/bpf/policy_store.h"

namespace cfs {
namespace {

constexpr int kNice = 10;

}  // namespace

void PolicyLoader::start() {
  stop();
  thread_ = std::thread([this] { run(); });
}

void PolicyLoader::stop() {
  if (thread_.joinable()) thread_.join();
}

void PolicyLoader::run() {
  // a daemon that takes over after a crash has requests to answer first
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
  PolicyStore store(CFS_META_PIN_DIR);
  Result<void> ready = store.ensure();
  if (ready) ready = cache_.open(store.pins());
  if (!ready) {
    spdlog::warn("no metadata cache: {}", ready.error().text());
    return;
  }
  const auto name = store.current();
  spdlog::info("metadata cache: policy {}", name ? *name : "unknown");
}

}  // namespace cfs
