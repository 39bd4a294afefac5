// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: statistics of a mount.
 *
 * Purpose   Sums the per-CPU counters for CFS_IOC_STATS. Counting is cfs_count() in cfs.h.
 * Lifetime  The counters live as long as struct cfs_sb.
 * Locks     None: a sum is not a snapshot, but no count is lost.
 * Contexts  Any.
 */
#include <linux/percpu.h>
#include "cfs.h"

/* The two structures count the same things in the same order, so that a sum is a loop. */
static_assert(offsetof(struct cfs_stats, uncommitted_bytes) ==
	      offsetof(struct cfs_stats, requests) + offsetof(struct cfs_counts, now));
static_assert(offsetof(struct cfs_stats, reserved) ==
	      offsetof(struct cfs_stats, requests) + sizeof(struct cfs_counts));

/**
 * cfs_stats_sum - statistics of a mount since it was mounted
 * @csb: Mount.
 * @out: Filled, but for len.
 */
void cfs_stats_sum(struct cfs_sb *csb, struct cfs_stats *out)
{
	u64 *sum = out->requests;
	size_t i;
	int cpu;

	memset(out, 0, sizeof(*out));
	out->session = csb->session;
	for_each_possible_cpu(cpu) {
		const u64 *counts = (const u64 *)per_cpu_ptr(csb->counts, cpu);

		for (i = 0; i < sizeof(struct cfs_counts) / sizeof(u64); i++)
			sum[i] += READ_ONCE(counts[i]);
	}
	out->uncommitted_bytes = atomic64_read(&csb->uncommitted);
	out->dirty_inodes = atomic_read(&csb->dirty_inodes);
}
