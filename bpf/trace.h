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

/* What is measured beside the operations of the whole host; see struct cfs_trace_key. */
enum cfs_trace_kind {
	CFS_TRACE_MOUNT = 1,	/* id: session, op: enum cfs_op */
	CFS_TRACE_NODE = 2,	/* id: node of struct cfs_node, op: enum cfs_trace_packet */
	CFS_TRACE_TASK = 3,	/* id: process, op: enum cfs_op */
	CFS_TRACE_CGROUP = 4,	/* id: cgroup (v2), op: enum cfs_op */
};

enum cfs_trace_packet { CFS_TRACE_READ = 1, CFS_TRACE_APPEND = 2, CFS_TRACE_OVERWRITE = 3,
			CFS_TRACE_OTHER = 4 };

struct cfs_trace_key {
	__u64 id;
	__u32 kind;		/* enum cfs_trace_kind */
	__u32 op;
};

#define CFS_TRACE_KEYS		4096	/* the least recently used is forgotten beyond that */
#define CFS_TRACE_CALLS		8192	/* requests whose caller is remembered at the same time */

/* Who made a request, when it was handed to a daemon; kept while it has no outcome. */
struct cfs_trace_call {
	__u64 cgroup;		/* id of the caller's cgroup */
	__u64 sent_ns;		/* CLOCK_MONOTONIC; 0: not yet */
	__u32 pid;		/* process */
	__u32 reserved;		/* 0 */
	char comm[16];
};

/* One request or packet that took slow_ns or longer. */
struct cfs_trace_slow {
	__u64 id;		/* request id, or req_id of a packet */
	__u64 ino;		/* subject, see enum cfs_op */
	__u64 latency_ns;	/* from submission to the outcome */
	__u64 queued_ns;	/* of it, until a daemon took the request; packets: 0 */
	__u64 end_ns;		/* CLOCK_MONOTONIC */
	__u64 partition;	/* packets: data partition */
	__u32 session;		/* mount; 0: none */
	__s32 res;		/* >= 0 or -errno */
	__u32 op;		/* enum cfs_op, packets: enum cfs_trace_packet */
	__u32 node;		/* packets: data node; requests: 0 */
	__u32 pid;		/* requests: process that caused it, 0: not known */
	__u32 reserved;		/* 0 */
	char comm[16];
};

#endif
