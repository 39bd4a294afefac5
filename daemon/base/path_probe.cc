// SPDX-License-Identifier: Apache-2.0
/// Fresh dials until one is answered; contracts in path_probe.h.
#include "daemon/base/path_probe.h"

namespace cfs {

/// Shared by the owner and the tasks, whichever ends last.
struct PathProbe::Search {
  Loop& loop;
  Endpoint peer;
  Callbacks callbacks;
  std::int64_t since_ms;
  std::int64_t wanted_until_ms = 0;
  bool broken = false, lost = false;
  bool over = false;  ///< answered, given up, or the owner is gone
};

PathProbe::PathProbe(Loop& loop, Endpoint peer, Callbacks callbacks)
    : loop_(loop), peer_(peer), callbacks_(std::move(callbacks)) {}

void PathProbe::stop() {
  stopped_ = true;
  if (search_) search_->over = true;
}

bool PathProbe::searching() const {
  return search_ && !search_->over;
}

bool PathProbe::broken() const {
  return searching() && search_->broken;
}

bool PathProbe::lost() const {
  return searching() && search_->lost;
}

void PathProbe::suspect() {
  if (stopped_) return;
  const std::int64_t now = Loop::now_ms();
  if (!search_ || search_->over) {
    search_ = std::make_shared<Search>(Search{.loop = loop_,
                                              .peer = peer_,
                                              .callbacks = callbacks_,
                                              .since_ms = now,
                                              .wanted_until_ms = now + kWantedMs});
    loop_.spawn(run(search_));
  }
  search_->wanted_until_ms = now + kWantedMs;
}

Task<void> PathProbe::run(std::shared_ptr<Search> search) {
  while (!search->over) {
    search->loop.spawn(dial(search));
    const int slept = co_await search->loop.sleep(kPeriod);
    const std::int64_t now = Loop::now_ms();
    if (slept < 0 || now > search->wanted_until_ms) search->over = true;
    if (search->over) co_return;
    const std::int64_t spent = now - search->since_ms;
    search->broken = spent >= kBrokenMs;
    if (spent < kLostMs || search->lost) continue;
    search->lost = true;
    if (search->callbacks.on_lost) search->callbacks.on_lost(search->since_ms);
  }
}

Task<void> PathProbe::dial(std::shared_ptr<Search> search) {
  const Result<Fd> fd = tcp_socket(search->peer.addr.ss_family, kDialTimeout);
  if (!fd) co_return;
  const std::int64_t deadline = Loop::now_ms() + kDialTimeout.count();
  const Result<void> done = co_await connect_to(search->loop, fd->get(), search->peer, deadline);
  const bool answered = done.ok() || done.code() == ECONNREFUSED;
  if (!answered || search->over) co_return;
  search->over = true;
  if (search->broken) search->callbacks.on_back(search->since_ms);
}

}  // namespace cfs
