/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * cubefs: types shared by the tracing program (trace.bpf.c) and its loader (daemon/bpf).
 *
 * Both are built from this file together and the program is part of the daemon's binary, so the
 * layout may change at any time. Only fixed-width types; no padding.
 */
#ifndef CFS_BPF_TRACE_H
#define CFS_BPF_TRACE_H

#include <linux/types.h>

#define CFS_TRACE_OPS		32	/* > any enum cfs_op; a higher operation is not counted */
#define CFS_TRACE_BUCKETS	64	/* bucket b: 2^b <= latency in ns < 2^(b + 1); 0 ns is in 0 */
#define CFS_TRACE_SLOW_BYTES	(64 << 10)	/* ring of slow requests; a power of two, whole pages */

/* What one CPU saw of one operation. Never goes down while the program is attached. */
struct cfs_trace_op {
	__u64 count;		/* requests that ended; equals the sum of the buckets */
	__u64 errors;		/* of them with a negative result, such as ENOENT of a lookup */
	__u64 total_ns;		/* sum of the latencies */
	__u64 max_ns;		/* greatest latency */
	__u64 slow_lost;	/* slow requests that found the ring full */
	__u64 bucket[CFS_TRACE_BUCKETS];
};

/* One request that took slow_ns or longer. */
struct cfs_trace_slow {
	__u64 ino;		/* subject, see enum cfs_op */
	__u64 latency_ns;	/* from submission to the outcome */
	__u32 session;		/* mount; 0: none */
	__s32 res;		/* >= 0 or -errno */
	__u32 op;		/* enum cfs_op */
	__u32 reserved;		/* 0 */
};

#endif
