// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: latencies of requests to the daemon.
 *
 * Purpose   Measures, at the tracepoint cfs_request_done, how long each request took from its
 *           submission to its outcome: a count, errors and a histogram for each operation. Tells
 *           user space of each request that took slow_ns or longer.
 * Never     Changes, delays or refuses anything; the module works the same without it.
 * Maps      cfs_latency  per-CPU array, key: enum cfs_op, value: struct cfs_trace_op. Written here
 *                        only; readers add up the CPUs.
 *           cfs_slow     ring buffer of struct cfs_trace_slow; produced here, consumed by the
 *                        daemon. Empty for ever when slow_ns is 0.
 * Context   Under the channel's lock, not sleeping. The kernel does not let the program interrupt
 *           itself on a CPU, so the additions need not be atomic.
 * Lifetime  Attached while the loader holds the link; that also holds the module.
 * Failure   A full ring drops the event and counts it in slow_lost.
 * Kernels   The few fields that are needed are declared here and found by name in the BTF of the
 *           running module, so one object serves every kernel and the build needs none.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "trace.h"

/* The module's include/uapi/cubefs/cfs.h and kmod/cfs.h have the rest of these. */
struct cfs_req {
	__u16 op;
	__u32 session;
	__u64 ino;
} __attribute__((preserve_access_index));

struct cfs_call {
	struct cfs_req req;
	__u64 queued_ns;
} __attribute__((preserve_access_index));

/* Latency from which a request is reported, in ns; 0: none is. Set before load. */
const volatile __u64 slow_ns;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CFS_TRACE_OPS);
	__type(key, __u32);
	__type(value, struct cfs_trace_op);
} cfs_latency SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, CFS_TRACE_SLOW_BYTES);
} cfs_slow SEC(".maps");

/* Floor of the binary logarithm, 0 for 0: without a loop or a table, for the verifier's sake. */
static __always_inline __u32 cfs_log2(__u64 v)
{
	__u32 r = 0;

	if (v >> 32) {
		v >>= 32;
		r += 32;
	}
	if (v >> 16) {
		v >>= 16;
		r += 16;
	}
	if (v >> 8) {
		v >>= 8;
		r += 8;
	}
	if (v >> 4) {
		v >>= 4;
		r += 4;
	}
	if (v >> 2) {
		v >>= 2;
		r += 2;
	}
	return r + (v >> 1);
}

static __always_inline void cfs_count(struct cfs_trace_op *stat, int res, __u64 latency_ns)
{
	stat->count++;
	if (res < 0)
		stat->errors++;
	stat->total_ns += latency_ns;
	if (latency_ns > stat->max_ns)
		stat->max_ns = latency_ns;
	/* the mask tells the verifier what cfs_log2() guarantees */
	stat->bucket[cfs_log2(latency_ns) & (CFS_TRACE_BUCKETS - 1)]++;
}

static __always_inline void cfs_report(struct cfs_trace_op *stat, const struct cfs_call *call,
				       int res, __u64 latency_ns)
{
	struct cfs_trace_slow *slow = bpf_ringbuf_reserve(&cfs_slow, sizeof(*slow), 0);

	if (!slow) {
		stat->slow_lost++;
		return;
	}
	slow->ino = call->req.ino;
	slow->latency_ns = latency_ns;
	slow->session = call->req.session;
	slow->res = res;
	slow->op = call->req.op;
	slow->reserved = 0;
	bpf_ringbuf_submit(slow, 0);
}

SEC("tp_btf/cfs_request_done")
int BPF_PROG(cfs_req_done, const struct cfs_call *call, int res)
{
	struct cfs_trace_op *stat;
	__u64 latency_ns;
	__u32 op;

	/* never NULL; kernels from 6.13 want it checked for tracepoints of modules */
	if (!call)
		return 0;
	op = call->req.op;
	stat = bpf_map_lookup_elem(&cfs_latency, &op);
	if (!stat)
		return 0;
	/* the clock of queued_ns: ktime_get_ns() */
	latency_ns = bpf_ktime_get_ns() - call->queued_ns;
	cfs_count(stat, res, latency_ns);
	if (slow_ns && latency_ns >= slow_ns)
		cfs_report(stat, call, res, latency_ns);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
