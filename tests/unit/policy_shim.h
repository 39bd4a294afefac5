// SPDX-License-Identifier: Apache-2.0
/// A policy of bpf/ as a library of user space, for decision tables.
///
/// Purpose  The source of one policy is compiled as it is, with stand-ins for the module's kfuncs and for the map that
///          programs write. The kernel cannot run struct_ops programs on given inputs (BPF_PROG_TEST_RUN knows only its
///          own dummy type), so what the compiler makes of them for BPF is tested in the guest (tests/kernel/cache_test.cc).
/// Threads  One.
/// Failure  None.
#pragma once

#include <cubefs/cfs_bpf.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/// What the maps hold, and who asks.
struct shim_in {
  __u32 name_len;           // 0: about attributes alone
  bool name, absent, attr;  // which maps know it
  __u32 mode;               // with attr, and for fill
  __u32 entry_ms, attr_ms;  // the daemon's lifetimes
  bool has_rule;
  struct cfs_meta_rule rule;
  __u64 dir;
  __u64 now_ms;
};

struct shim_out {
  int verdict;
  bool granted, prefetch;
  __u32 entry_ms, attr_ms, open_ms;
  bool asked_short, asked_long, asked_absent;  // maps that were looked into
};

enum shim_callback { SHIM_LOOKUP, SHIM_REVALIDATE, SHIM_FILL, SHIM_MISS, SHIM_INVALIDATE };

/// Runs a callback; one that is left out does nothing.
struct shim_out shim_run(enum shim_callback callback, const struct shim_in* in);
/// Forgets the state of directories.
void shim_reset(void);

#ifdef __cplusplus
}
#endif
