// SPDX-License-Identifier: Apache-2.0
// A daemon for tests of the kernel module: speaks the ABI over a raw io_uring, serves a Namespace, and misbehaves on order.
//
// Lifetime: a Daemon object is one child process; its destructor kills and reaps it. Orders and observations go through
//           Shared, mapped before the fork.
// Threads:  the child has one.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>

#include "tests/kernel/fake_namespace.h"

namespace cfs::test {

enum class Bad : uint32_t { kNone, kShort, kLong, kInsaneRes, kWrongId, kBadPointer, kBadType };

/// Orders to the daemon and what it saw. Every field is one atomic, written by the side that its comment names.
struct Control {
  // test
  std::atomic<uint32_t> hold_op;  // requests of this kind are not answered until it is another one
  std::atomic<uint32_t> die_op;   // with die_point: kill yourself there, once
  std::atomic<uint32_t>
      die_point;  // 1: before the record is written, 2: before the change, 3: after it
  std::atomic<uint32_t> bad_op;  // answer these wrongly
  std::atomic<Bad> bad;
  std::atomic<uint32_t> valid_ms;   // lifetime of names and attributes in answers
  std::atomic<bool> list_attrs;     // listings carry attributes
  std::atomic<bool> list_security;  // and who has no xattr at all
  std::atomic<int> refuse_xattrs;   // errno of every xattr request, 0: they are served
  std::atomic<bool> stop;           // drain, answer what is held, exit
  // daemon
  std::atomic<bool> ready;  // attached, commands parked
  std::atomic<uint32_t> held;
  std::atomic<uint64_t> seen[32];     // by operation
  std::atomic<uint32_t> resumed;      // requests with CFS_REQ_F_RESUMED, but for evictions
  std::atomic<uint32_t> records;      // ... whose progress record was not empty
  std::atomic<uint32_t> links_left;   // by CFS_UNLINK_LATER
  std::atomic<uint32_t> links_taken;  // by CFS_EVICT_UNLINK
  std::atomic<uint32_t> ahead_made;   // inodes, by CFS_CREATE_AHEAD
  std::atomic<uint32_t> ahead_used;   // by CFS_CREATE_MADE
  std::atomic<uint32_t> forgets;      // non-repeatable requests with CFS_REQ_F_FORGET
  std::atomic<int32_t> cqe_error;     // last error of a command other than the end of a drain
  std::atomic<uint32_t> drained;      // commands that came back with -ESHUTDOWN
  std::atomic<uint32_t> sessions;     // that existed at attach
  std::atomic<uint64_t> generation;
  std::atomic<uint32_t> session;  // of the last request
  cfs_req last_create;            // of the last CREATE; read it while nothing is under way
  cfs_req last_lookup;            // of the last LOOKUP, the same
  cfs_req last_rename;            // of the last RENAME, the same
  cfs_req last_setattr;           // of the last SETATTR, the same
};

struct Shared {
  Control control;
  Namespace ns;
};

/// Maps a Shared with an empty namespace. Never unmapped.
Shared* make_shared_state();

class Daemon {
 public:
  /// Starts the child and waits until it is attached. `depth`: commands to park.
  explicit Daemon(Shared* shared, unsigned depth = 16);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  /// SIGKILL, and wait until the device is free again.
  void kill_now();
  /// Waits for the end of a daemon that was told to die.
  void reap();
  /// Orderly end by CFS_IOC_DRAIN. Returns its wait status, -1 when it had to be killed.
  int stop();

 private:
  Shared* shared_;
  pid_t pid_;
};

/// Opens /dev/cubefs or ends the program.
int open_device();
/// Polls `done` for at most `seconds`; false when it did not come true.
bool wait_until(double seconds, const std::function<bool()>& done);

}  // namespace cfs::test
