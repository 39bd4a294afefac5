// SPDX-License-Identifier: Apache-2.0
/*
 * The module's side of a policy; see policy_shim.h. CFS_POLICY: the policy's name, CFS_POLICY_SOURCE: its file.
 */
#include "policy_shim.h"

#include <errno.h>
#include <string.h>

#include CFS_POLICY_SOURCE

#define SHIM_DIRS 8

static const struct shim_in *given;
static struct shim_out got;
static struct cfs_meta_ino dir_keys[SHIM_DIRS];
static struct cfs_dir_state dir_values[SHIM_DIRS];
static unsigned int dirs;

void *bpf_map_lookup_elem(void *map, const void *key)
{
	unsigned int i;

	if (map != (void *)&cfs_dirs)
		return NULL;
	for (i = 0; i < dirs; i++) {
		if (!memcmp(&dir_keys[i], key, sizeof(dir_keys[i])))
			return &dir_values[i];
	}
	return NULL;
}

long bpf_map_update_elem(void *map, const void *key, const void *value, unsigned long long flags)
{
	if (map != (void *)&cfs_dirs || flags != BPF_NOEXIST || dirs == SHIM_DIRS)
		return -EINVAL;
	memcpy(&dir_keys[dirs], key, sizeof(dir_keys[dirs]));
	memcpy(&dir_values[dirs], value, sizeof(dir_values[dirs]));
	dirs++;
	return 0;
}

int cfs_policy_fetch(struct cfs_policy_ctx *ctx, void *map)
{
	bool is_name = map == (void *)&cfs_names || map == (void *)&cfs_long;

	got.asked_short |= map == (void *)&cfs_names;
	got.asked_long |= map == (void *)&cfs_long;
	got.asked_absent |= map == (void *)&cfs_absent;
	if (is_name && given->name) {
		ctx->have = CFS_PC_ENTRY;
		ctx->ino = 100;
		return 0;
	}
	if (map == (void *)&cfs_absent && given->absent) {
		ctx->have = CFS_PC_ABSENT;
		return 0;
	}
	if (map == (void *)&cfs_attrs && given->attr) {
		ctx->have |= CFS_PC_ATTR;
		ctx->mode = given->mode;
		if (!got.granted) {
			ctx->entry_ms = given->entry_ms;
			ctx->attr_ms = given->attr_ms;
		}
		return 0;
	}
	return -ENOENT;
}

int cfs_policy_rule(struct cfs_policy_ctx *ctx, void *map)
{
	if (map != (void *)&cfs_rules)
		return -EINVAL;
	if (!given->has_rule)
		return -ENOENT;
	ctx->rule = given->rule;
	return 0;
}

int cfs_policy_grant(struct cfs_policy_ctx *ctx, __u32 entry_ms, __u32 attr_ms, __u32 open_ms)
{
	ctx->entry_ms = got.entry_ms = entry_ms;
	ctx->attr_ms = got.attr_ms = attr_ms;
	ctx->open_ms = got.open_ms = open_ms;
	got.granted = true;
	return 0;
}

int cfs_policy_prefetch(struct cfs_policy_ctx *ctx)
{
	(void)ctx;
	got.prefetch = true;
	return 0;
}

static int ask(int (*callback)(struct cfs_policy_ctx *ctx), struct cfs_policy_ctx *ctx)
{
	return callback ? callback(ctx) : 0;
}

static void tell(void (*callback)(struct cfs_policy_ctx *ctx), struct cfs_policy_ctx *ctx)
{
	if (callback)
		callback(ctx);
}

struct shim_out shim_run(enum shim_callback callback, const struct shim_in *in)
{
	struct cfs_policy_ctx ctx = {
		.volume = 1,
		.dir = in->dir,
		.name_len = in->name_len,
		.now_ns = in->now_ms * CFS_MSEC,
	};

	given = in;
	memset(&got, 0, sizeof(got));
	switch (callback) {
	case SHIM_LOOKUP:
		got.verdict = ask(CFS_POLICY.lookup, &ctx);
		break;
	case SHIM_REVALIDATE:
		got.verdict = ask(CFS_POLICY.revalidate, &ctx);
		break;
	case SHIM_FILL:
		ctx.have = in->absent ? CFS_PC_ABSENT : CFS_PC_ENTRY | CFS_PC_ATTR;
		ctx.mode = in->mode;
		ctx.entry_ms = in->entry_ms;
		ctx.attr_ms = in->attr_ms;
		got.verdict = ask(CFS_POLICY.fill, &ctx);
		break;
	case SHIM_MISS:
		tell(CFS_POLICY.miss, &ctx);
		break;
	case SHIM_INVALIDATE:
		ctx.ino = in->dir;
		ctx.dir = 0;
		tell(CFS_POLICY.invalidate, &ctx);
		break;
	}
	return got;
}

void shim_reset(void)
{
	dirs = 0;
}
