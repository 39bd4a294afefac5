// SPDX-License-Identifier: Apache-2.0
/// Interrupted FUSE requests; contracts in fuse_call.h.
#include "daemon/fuse/fuse_call.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>

namespace cfs {
namespace {

constexpr Millis kLookAgain(200);

}  // namespace

FuseCall::FuseCall(Loop& loop, fuse_req_t req)
    : loop_(loop), req_(req), pid_(fuse_req_ctx(req)->pid) {}

FuseCall::~FuseCall() {
  err(EIO);  // a task that forgot to answer
}

void FuseCall::watch() {
  if (pid_ != 0) fuse_req_interrupt_func(req_, interrupted, this);
}

/// Called by libfuse under its own locks, hence only a note here.
void FuseCall::interrupted(fuse_req_t /*req*/, void* self) {
  std::shared_ptr<FuseCall> call = static_cast<FuseCall*>(self)->shared_from_this();
  Loop& loop = call->loop_;
  loop.post([call] { call->loop_.spawn(end_when_killed(call)); });
}

/// The kernel tells of the first signal only; the one that kills may come later.
Task<void> FuseCall::end_when_killed(std::shared_ptr<FuseCall> self) {
  while (self->req_ != nullptr) {
    if (thread_was_killed(self->pid_)) {
      self->err(EINTR);
      co_return;
    }
    const int slept = co_await self->loop_.sleep(kLookAgain);
    if (slept != 0) co_return;
  }
}

bool thread_was_killed(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/status";
  std::ifstream status(path);
  // Gone already? That it cannot be read for another reason (no descriptor left) says nothing.
  if (!status) return ::access(path.c_str(), F_OK) != 0 && (errno == ENOENT || errno == ESRCH);
  std::string key;
  std::string value;
  while (status >> key && std::getline(status, value)) {
    if (key != "SigPnd:" && key != "ShdPnd:") continue;
    const unsigned long long pending = std::strtoull(value.c_str(), nullptr, 16);
    if ((pending >> (SIGKILL - 1) & 1) != 0) return true;  // any deadly signal becomes this one
  }
  return false;
}

}  // namespace cfs
