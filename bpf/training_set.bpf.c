// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: a policy for volumes that are read again and again and hardly change, such as the data that
 * a model is trained with.
 *
 * Decides   Everything is believed for hours, also that a name does not exist, and opening a known
 *           file asks nobody; the first miss in a directory fetches all of it. A rule of the caller's
 *           cgroup, or of the nearest directory that has one, outranks that. A directory in which
 *           something changed here lately gets what the daemon proposes, as do its files: whoever
 *           writes there may not be the only one.
 * Never     Notices that another host changed something before the lifetimes are over: volumes that
 *           others write to need a rule, or the default policy.
 * Maps      policy.h.
 * Context   Under RCU, not sleeping, on many CPUs at once.
 * Failure   Whatever is not found is a miss. A directory whose state was forgotten counts as
 *           unchanged: the change counters keep what was changed here from being believed anyway.
 */
#include "policy.h"

/* Lifetimes in ms; set before load. */
const volatile __u32 known_ms = 6 * 3600 * 1000;
const volatile __u32 absent_ms = 600 * 1000;
/* How long a directory counts as changing after a change. */
const volatile __u64 restless_ms = 60 * 1000;

static __always_inline int cfs_is_restless(struct cfs_policy_ctx *ctx)
{
	struct cfs_meta_ino key = { .volume = ctx->volume, .ino = ctx->dir };
	const struct cfs_dir_state *state = bpf_map_lookup_elem(&cfs_dirs, &key);

	return state && state->changed_ns &&
	       ctx->now_ns - state->changed_ns < restless_ms * CFS_MSEC;
}

/* Returns whether what the context has is to be believed at all. */
static __always_inline int cfs_decide(struct cfs_policy_ctx *ctx)
{
	int absent = ctx->have & CFS_PC_ABSENT;

	if (!cfs_policy_rule(ctx, &cfs_rules)) {
		cfs_policy_grant(ctx, absent ? ctx->rule.negative_ms : ctx->rule.entry_ms,
				 ctx->rule.attr_ms, ctx->rule.open_ms);
		return 1;
	}
	if (!cfs_is_restless(ctx)) {
		cfs_policy_grant(ctx, absent ? absent_ms : known_ms, known_ms, known_ms);
		return 1;
	}
	if (absent)
		return 0;
	cfs_policy_grant(ctx, ctx->entry_ms, ctx->attr_ms, 0);
	return 1;
}

SEC("struct_ops/lookup")
int BPF_PROG(cfs_lookup, struct cfs_policy_ctx *pc)
{
	return cfs_find_name(pc) && cfs_decide(pc) ? CFS_POLICY_HIT : CFS_POLICY_MISS;
}

SEC("struct_ops/revalidate")
int BPF_PROG(cfs_revalidate, struct cfs_policy_ctx *pc)
{
	return cfs_find_name(pc) && cfs_decide(pc) ? CFS_POLICY_HIT : CFS_POLICY_MISS;
}

SEC("struct_ops/fill")
int BPF_PROG(cfs_fill, struct cfs_policy_ctx *pc)
{
	return cfs_decide(pc) ? CFS_POLICY_KEEP : CFS_POLICY_DROP;
}

SEC("struct_ops/invalidate")
void BPF_PROG(cfs_invalidate, struct cfs_policy_ctx *pc)
{
	struct cfs_dir_state *state = cfs_dir_state(pc, pc->ino);

	if (state)
		state->changed_ns = pc->now_ns;
}

SEC("struct_ops/miss")
void BPF_PROG(cfs_miss, struct cfs_policy_ctx *pc)
{
	cfs_watch_misses(pc, 1);
}

SEC(".struct_ops.link")
struct cubefs_policy training_set = {
	.lookup		= (void *)cfs_lookup,
	.revalidate	= (void *)cfs_revalidate,
	.fill		= (void *)cfs_fill,
	.invalidate	= (void *)cfs_invalidate,
	.miss		= (void *)cfs_miss,
	.name		= "training_set",
};

char LICENSE[] SEC("license") = "GPL";
