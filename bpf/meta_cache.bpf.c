// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: the policy that is loaded unless an operator loads another.
 *
 * Decides   Names and attributes are believed as long as the daemon said when it filled them in,
 *           which is as long as the FUSE client believes them; names that do not exist are always
 *           asked for, and an open costs one question. A rule of the caller's cgroup, or of the
 *           nearest directory that has one, replaces all of these.
 *           Many misses in a directory within a second: it is fetched as a whole.
 * Never     Makes up a value: see include/uapi/cubefs/cfs_bpf.h.
 * Maps      policy.h.
 * Context   Under RCU, not sleeping, on many CPUs at once: the counts of misses may lose some.
 * Failure   Whatever is not found is a miss.
 */
#include "policy.h"

/* Misses within a second that make a directory worth fetching. Set before load. */
const volatile __u64 storm_misses = 16;

/* What a rule grants, if there is one, for what the context has. */
static __always_inline int cfs_grant_by_rule(struct cfs_policy_ctx *ctx)
{
	if (cfs_policy_rule(ctx, &cfs_rules))
		return 0;
	cfs_policy_grant(ctx, ctx->have & CFS_PC_ABSENT ? ctx->rule.negative_ms :
			 ctx->rule.entry_ms, ctx->rule.attr_ms, ctx->rule.open_ms);
	return 1;
}

static __always_inline int cfs_answer(struct cfs_policy_ctx *ctx)
{
	if (!cfs_find_name(ctx))
		return CFS_POLICY_MISS;
	if (!cfs_grant_by_rule(ctx)) {
		if (ctx->have & CFS_PC_ABSENT)
			return CFS_POLICY_MISS;
		cfs_policy_grant(ctx, ctx->entry_ms, ctx->attr_ms, 0);
	}
	return CFS_POLICY_HIT;
}

SEC("struct_ops/lookup")
int BPF_PROG(cfs_lookup, struct cfs_policy_ctx *pc)
{
	return cfs_answer(pc);
}

/* The cache may know more than the dentry: a listing may have come since. */
SEC("struct_ops/revalidate")
int BPF_PROG(cfs_revalidate, struct cfs_policy_ctx *pc)
{
	return cfs_answer(pc);
}

SEC("struct_ops/fill")
int BPF_PROG(cfs_fill, struct cfs_policy_ctx *pc)
{
	cfs_grant_by_rule(pc);
	return CFS_POLICY_KEEP;
}

SEC("struct_ops/miss")
void BPF_PROG(cfs_miss, struct cfs_policy_ctx *pc)
{
	__u64 enough = storm_misses;

	if (!cfs_policy_rule(pc, &cfs_rules) && pc->rule.flags & CFS_RULE_PREFETCH)
		enough = 1;
	cfs_watch_misses(pc, enough);
}

SEC(".struct_ops.link")
struct cubefs_policy meta_cache = {
	.lookup		= (void *)cfs_lookup,
	.revalidate	= (void *)cfs_revalidate,
	.fill		= (void *)cfs_fill,
	.miss		= (void *)cfs_miss,
	.name		= "meta_cache",
};

char LICENSE[] SEC("license") = "GPL";
