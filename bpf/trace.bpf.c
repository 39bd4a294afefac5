// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: latencies of requests to the daemon.
 *
 * Purpose   Measures, at the tracepoint cfs_request_done, how long each request took from its
 *           submission to its outcome: a count, errors and a histogram for each operation, and the
 *           same by mount, by process and by cgroup; at cfs_packet, the same of packets by data
 *           node. Tells user space of each that took slow_ns or longer. Hits of caches cost nothing
 *           here: nothing is attached to them.
 * Never     Changes, delays or refuses anything; the module works the same without it.
 * Maps      cfs_latency  per-CPU array, key: enum cfs_op, value: struct cfs_trace_op. Written here
 *                        only; readers add up the CPUs.
 *           cfs_groups   per-CPU hash that forgets, key: struct cfs_trace_key. Written here, cleared
 *                        by nobody.
 *           cfs_calls    hash that forgets, key: address of the call, value: who made it. An entry
 *                        lives from cfs_request_queued to cfs_request_done.
 *           cfs_slow     ring buffer of struct cfs_trace_slow; produced here, consumed by the
 *                        daemon. Empty while slow_ns is 0.
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
	__u64 id;
	__u32 session;
	__u64 ino;
} __attribute__((preserve_access_index));

struct cfs_call {
	struct cfs_req req;
	__u64 queued_ns;
} __attribute__((preserve_access_index));

struct cfs_pkt_hdr {
	__u8 opcode;
	__u64 partition_id;
	__s64 req_id;
} __attribute__((preserve_access_index));

struct cfs_sb {
	__u32 session;
} __attribute__((preserve_access_index));

struct cfs_pkt {
	struct cfs_pkt_hdr hdr;
	struct cfs_sb *csb;
	__u8 is_read;
	int err;
	__u8 result;
	__u64 submitted_ns;
	__u32 node;
} __attribute__((preserve_access_index));

/* Latency from which one is reported, in ns; 0: none is. User space may change it at any time. */
__u64 slow_ns;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CFS_TRACE_OPS);
	__type(key, __u32);
	__type(value, struct cfs_trace_op);
} cfs_latency SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, CFS_TRACE_KEYS);
	__type(key, struct cfs_trace_key);
	__type(value, struct cfs_trace_op);
} cfs_groups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CFS_TRACE_CALLS);
	__type(key, __u64);
	__type(value, struct cfs_trace_call);
} cfs_calls SEC(".maps");

/* What a new key of cfs_groups begins with: too large for the stack. */
static const struct cfs_trace_op nothing;

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

/* Counts for one mount, node, process or cgroup. */
static __always_inline void cfs_count_group(__u32 kind, __u64 id, __u32 op, int res,
					    __u64 latency_ns)
{
	struct cfs_trace_key key = { .id = id, .kind = kind, .op = op };
	struct cfs_trace_op *stat = bpf_map_lookup_elem(&cfs_groups, &key);

	if (!stat) {
		bpf_map_update_elem(&cfs_groups, &key, &nothing, BPF_NOEXIST);
		stat = bpf_map_lookup_elem(&cfs_groups, &key);
	}
	if (stat)
		cfs_count(stat, res, latency_ns);
}

/* In the caller's context; also again after a daemon's death, in another's: the first one stays. */
SEC("tp_btf/cfs_request_queued")
int BPF_PROG(cfs_req_queued, const struct cfs_call *call)
{
	struct cfs_trace_call who = {
		.cgroup = bpf_get_current_cgroup_id(),
		.pid = bpf_get_current_pid_tgid() >> 32,
	};
	__u64 key = (__u64)call;

	bpf_get_current_comm(who.comm, sizeof(who.comm));
	bpf_map_update_elem(&cfs_calls, &key, &who, BPF_NOEXIST);
	return 0;
}

SEC("tp_btf/cfs_request_sent")
int BPF_PROG(cfs_req_sent, const struct cfs_call *call)
{
	__u64 key = (__u64)call;
	struct cfs_trace_call *who = bpf_map_lookup_elem(&cfs_calls, &key);

	if (who)
		who->sent_ns = bpf_ktime_get_ns();
	return 0;
}

static __always_inline void cfs_report_request(struct cfs_trace_op *stat,
					       const struct cfs_call *call,
					       const struct cfs_trace_call *who, int res, __u64 now)
{
	struct cfs_trace_slow *slow = bpf_ringbuf_reserve(&cfs_slow, sizeof(*slow), 0);

	if (!slow) {
		stat->slow_lost++;
		return;
	}
	__builtin_memset(slow, 0, sizeof(*slow));
	slow->id = call->req.id;
	slow->ino = call->req.ino;
	slow->latency_ns = now - call->queued_ns;
	slow->queued_ns = slow->latency_ns;
	slow->end_ns = now;
	slow->session = call->req.session;
	slow->res = res;
	slow->op = call->req.op;
	if (who) {
		if (who->sent_ns)
			slow->queued_ns = who->sent_ns - call->queued_ns;
		slow->pid = who->pid;
		__builtin_memcpy(slow->comm, who->comm, sizeof(slow->comm));
	}
	bpf_ringbuf_submit(slow, 0);
}

SEC("tp_btf/cfs_request_done")
int BPF_PROG(cfs_req_done, const struct cfs_call *call, int res)
{
	__u64 now, latency_ns, key = (__u64)call;
	struct cfs_trace_call *who;
	struct cfs_trace_op *stat;
	__u32 op;

	/* never NULL; kernels from 6.13 want it checked for tracepoints of modules */
	if (!call)
		return 0;
	op = call->req.op;
	stat = bpf_map_lookup_elem(&cfs_latency, &op);
	if (!stat)
		return 0;
	/* the clock of queued_ns: ktime_get_ns() */
	now = bpf_ktime_get_ns();
	latency_ns = now - call->queued_ns;
	cfs_count(stat, res, latency_ns);
	cfs_count_group(CFS_TRACE_MOUNT, call->req.session, op, res, latency_ns);
	who = bpf_map_lookup_elem(&cfs_calls, &key);
	if (who) {
		cfs_count_group(CFS_TRACE_TASK, who->pid, op, res, latency_ns);
		cfs_count_group(CFS_TRACE_CGROUP, who->cgroup, op, res, latency_ns);
	}
	if (slow_ns && latency_ns >= slow_ns)
		cfs_report_request(stat, call, who, res, now);
	bpf_map_delete_elem(&cfs_calls, &key);
	return 0;
}

/* Opcodes of the data path. Source: proto/packet.go of CubeFS. */
static __always_inline __u32 cfs_packet_kind(const struct cfs_pkt *pkt)
{
	switch (pkt->hdr.opcode) {
	case 0x03: /* OpWrite */
		return CFS_TRACE_APPEND;
	case 0x05: /* OpStreamRead */
	case 0x06: /* OpStreamFollowerRead */
		return CFS_TRACE_READ;
	case 0x0F: /* OpRandomWrite */
	case 0x12: /* OpSyncRandomWrite */
		return CFS_TRACE_OVERWRITE;
	default:
		return CFS_TRACE_OTHER;
	}
}

SEC("tp_btf/cfs_packet")
int BPF_PROG(cfs_pkt_done, __u64 ino, const struct cfs_pkt *pkt)
{
	struct cfs_trace_slow *slow;
	__u64 now, latency_ns;
	__u32 kind;
	int res;

	if (!pkt)
		return 0;
	now = bpf_ktime_get_ns();
	latency_ns = now - pkt->submitted_ns;
	kind = cfs_packet_kind(pkt);
	/* 0xF0: OpOk */
	res = pkt->err ? pkt->err : pkt->result == 0xF0 ? 0 : -5;
	cfs_count_group(CFS_TRACE_NODE, pkt->node, kind, res, latency_ns);
	if (!slow_ns || latency_ns < slow_ns)
		return 0;
	slow = bpf_ringbuf_reserve(&cfs_slow, sizeof(*slow), 0);
	if (!slow)
		return 0;
	__builtin_memset(slow, 0, sizeof(*slow));
	slow->id = pkt->hdr.req_id;
	slow->ino = ino;
	slow->latency_ns = latency_ns;
	slow->end_ns = now;
	slow->partition = pkt->hdr.partition_id;
	slow->session = pkt->csb->session;
	slow->res = res;
	slow->op = kind;
	slow->node = pkt->node;
	bpf_ringbuf_submit(slow, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
