/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cubefs: what a policy for the metadata cache needs: declarations of the module's side, the maps,
 * and the parts that most policies have in common. How to write one: docs/policy.md.
 *
 * Maps      All are pinned by name, so that a policy finds what its predecessor knew.
 *           cfs_names, cfs_long  names, up to 47 bytes and longer -> struct cfs_meta_entry
 *           cfs_absent           names up to 47 bytes that do not exist -> struct cfs_meta_entry
 *           cfs_attrs            inodes -> struct cfs_meta_attr
 *           cfs_rules            directories and cgroups -> struct cfs_meta_rule
 *           cfs_dirs             directories -> struct cfs_dir_state; the only one programs write
 *           The daemon writes the first four, an operator the fifth. LRU maps take their memory
 *           when they are made: about 45 MB with the sizes below.
 * Kernels   Fields are found by name in the running module's BTF.
 */
#ifndef CFS_BPF_POLICY_H
#define CFS_BPF_POLICY_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <cubefs/cfs_bpf.h>

#define CFS_NAMES_MAX	131072
#define CFS_LONG_MAX	4096
#define CFS_ABSENT_MAX	16384
#define CFS_DIRS_MAX	16384
#define CFS_RULES_MAX	1024

#define CFS_MSEC	1000000ULL	/* in ns */

/* ---- the module's side; see kmod/policy.c and include/uapi/cubefs/cfs_bpf.h ---- */
struct cfs_policy_ctx {
	__u64 volume, dir, ino, now_ns, cgroup;
	__u32 epoch, name_len, flags, have, mode;
	__u32 entry_age_ms, attr_age_ms;
	__u32 entry_ms, attr_ms, open_ms;
	struct cfs_meta_rule rule;
} __attribute__((preserve_access_index));

struct cubefs_policy {
	int (*lookup)(struct cfs_policy_ctx *ctx);
	int (*revalidate)(struct cfs_policy_ctx *ctx);
	int (*fill)(struct cfs_policy_ctx *ctx);
	void (*invalidate)(struct cfs_policy_ctx *ctx);
	void (*miss)(struct cfs_policy_ctx *ctx);
	char name[CFS_POLICY_NAME_MAX];
};

int cfs_policy_fetch(struct cfs_policy_ctx *ctx, void *map) __ksym;
int cfs_policy_rule(struct cfs_policy_ctx *ctx, void *map) __ksym;
int cfs_policy_grant(struct cfs_policy_ctx *ctx, __u32 entry_ms, __u32 attr_ms,
		     __u32 open_ms) __ksym;
int cfs_policy_prefetch(struct cfs_policy_ctx *ctx) __ksym;

/* ---- maps ---- */
#define CFS_CACHE_MAP(map_name, entries, key_type, value_type)		\
	struct {							\
		__uint(type, BPF_MAP_TYPE_LRU_HASH);			\
		__uint(max_entries, entries);				\
		__uint(map_flags, BPF_F_RDONLY_PROG);			\
		__uint(pinning, LIBBPF_PIN_BY_NAME);			\
		__type(key, key_type);					\
		__type(value, value_type);				\
	} map_name SEC(".maps")

CFS_CACHE_MAP(cfs_names, CFS_NAMES_MAX, struct cfs_meta_name, struct cfs_meta_entry);
CFS_CACHE_MAP(cfs_long, CFS_LONG_MAX, struct cfs_meta_long, struct cfs_meta_entry);
CFS_CACHE_MAP(cfs_absent, CFS_ABSENT_MAX, struct cfs_meta_name, struct cfs_meta_entry);
CFS_CACHE_MAP(cfs_attrs, CFS_NAMES_MAX, struct cfs_meta_ino, struct cfs_meta_attr);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CFS_RULES_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct cfs_meta_ino);
	__type(value, struct cfs_meta_rule);
} cfs_rules SEC(".maps");

struct cfs_dir_state {
	__u64 window_ns;	/* when the misses below began to be counted */
	__u64 fetched_ns;	/* when the directory was last asked for as a whole */
	__u64 changed_ns;	/* when something in it last changed here */
	__u64 misses;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CFS_DIRS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct cfs_meta_ino);
	__type(value, struct cfs_dir_state);
} cfs_dirs SEC(".maps");

/* ---- parts of policies ---- */
/* Fetch name and attributes, or the name's absence; without a name, attributes. Were they found? */
static __always_inline int cfs_find_name(struct cfs_policy_ctx *ctx)
{
	int err;

	if (!ctx->name_len)
		return !cfs_policy_fetch(ctx, &cfs_attrs);
	if (ctx->name_len > CFS_SHORT_NAME_MAX)
		err = cfs_policy_fetch(ctx, &cfs_long);
	else
		err = cfs_policy_fetch(ctx, &cfs_names) && cfs_policy_fetch(ctx, &cfs_absent);
	if (err)
		return 0;
	return ctx->have & CFS_PC_ABSENT || !cfs_policy_fetch(ctx, &cfs_attrs);
}

static __always_inline struct cfs_dir_state *cfs_dir_state(struct cfs_policy_ctx *ctx, __u64 dir)
{
	struct cfs_meta_ino key = { .volume = ctx->volume, .ino = dir };
	struct cfs_dir_state fresh = {}, *state = bpf_map_lookup_elem(&cfs_dirs, &key);

	if (state)
		return state;
	bpf_map_update_elem(&cfs_dirs, &key, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&cfs_dirs, &key);
}

/*
 * Ask for a whole directory when its names are missed `storm` times within a second, but not again
 * within ten.
 */
static __always_inline void cfs_watch_misses(struct cfs_policy_ctx *ctx, __u64 storm)
{
	struct cfs_dir_state *state = cfs_dir_state(ctx, ctx->dir);
	__u64 now = ctx->now_ns;

	if (!state)
		return;
	if (now - state->window_ns > 1000 * CFS_MSEC) {
		state->window_ns = now;
		state->misses = 0;
	}
	state->misses++;
	if (state->misses < storm ||
	    (state->fetched_ns && now - state->fetched_ns < 10000 * CFS_MSEC))
		return;
	state->fetched_ns = now;
	cfs_policy_prefetch(ctx);
}

#endif
