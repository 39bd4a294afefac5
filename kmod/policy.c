// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: the metadata cache and the BPF program that decides on it.
 *
 * Purpose   Defines the struct_ops type "cubefs_policy" and its kfuncs, asks the program that is
 *           attached, and fetches what it decides on from BPF maps that the daemon fills. What
 *           callbacks and kfuncs mean is told in include/uapi/cubefs/cfs_bpf.h.
 * Lifetime  One program set per host, held by its link, which holds this module. Type and kfuncs go
 *           with the module's BTF; there is no way to unregister them.
 * Locks     cfs_policy_lock orders attaching; readers use RCU. Whoever takes a program away waits
 *           for readers before the program is freed.
 * Contexts  Callbacks: process, under rcu_read_lock(); invalidate also in write-back.
 * Failure   A wrong answer of a program is a miss, or a lifetime that is clamped. Values are copied
 *           and then judged: an element of an LRU map may be reused for another key meanwhile.
 */
#include <linux/bpf.h>
#include <linux/bpf_verifier.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/cgroup.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/namei.h>
#include <linux/rcupdate.h>
#include <cubefs/cfs_bpf.h>
#include "cfs.h"
#include "compat.h"

#define CFS_RULE_DEPTH_MAX	256	/* directories that are looked at for a rule */

/*
 * What a callback is told. Programs read it and pass it to kfuncs. It needs a pointer: to a struct
 * of scalars only, the verifier takes memory of the program's own stack for one.
 */
struct cfs_policy_ctx {
	const struct dentry *parent;	/* of the directory; NULL: none is known */
	u64 volume, fsid;		/* keys of the mount, in the cache and of rules */
	u64 dir;			/* inode number; 0: none is known */
	u64 ino;			/* of the name; 0: none, or not known yet */
	u64 now_ns;			/* CLOCK_MONOTONIC */
	u64 cgroup;			/* id of the caller's, in the unified hierarchy */
	u32 epoch;			/* of the mount: grows when all it believed expires */
	u32 name_len;			/* 0: no name */
	u32 flags;			/* CFS_PC_OPEN, CFS_PC_LISTED */
	u32 have;			/* CFS_PC_ENTRY, ... */
	u32 mode;			/* st_mode, with CFS_PC_ATTR */
	u32 entry_age_ms, attr_age_ms;
	u32 entry_ms, attr_ms, open_ms;	/* lifetimes, as proposed or granted */
	bool granted, prefetch;
	struct cfs_meta_rule rule;	/* cfs_policy_rule() */
	/* not for programs */
	struct cfs_sb *csb;
	const struct qstr *name;
	u64 attr_seq;
	struct cfs_attr attr;
};

/* What a program set consists of; a callback that is left out is NULL. */
struct cubefs_policy {
	int (*lookup)(struct cfs_policy_ctx *ctx);
	int (*revalidate)(struct cfs_policy_ctx *ctx);
	int (*fill)(struct cfs_policy_ctx *ctx);
	void (*invalidate)(struct cfs_policy_ctx *ctx);
	void (*miss)(struct cfs_policy_ctx *ctx);
	char name[CFS_POLICY_NAME_MAX];
};

static struct cubefs_policy __rcu *cfs_policy;
static DEFINE_MUTEX(cfs_policy_lock);

/* What was granted by one program is not believed under the next. */
atomic_t cfs_policy_generation;

/* ---- values ---- */
/* Names and attributes: values are read by programs, written only by user space. */
static bool cfs_meta_map_is_ok(const struct bpf_map *map, u32 key_size, u32 value_size)
{
	return map->map_type == BPF_MAP_TYPE_LRU_HASH && map->map_flags & BPF_F_RDONLY_PROG &&
	       map->key_size == key_size && map->value_size == value_size;
}

/* Copy the value of @key to @out. */
static bool cfs_meta_get(struct bpf_map *map, void *key, void *out)
{
	const u64 *value = map->ops->map_lookup_elem(map, key);

	if (!value)
		return false;
	memcpy(out, value, map->value_size);
	return *(u64 *)out == cfs_meta_check(key, map->key_size, out + sizeof(u64),
					     map->value_size - sizeof(u64));
}

static u32 cfs_age_ms(const struct cfs_policy_ctx *ctx, u64 filled_ns)
{
	/* from the future: a liar's, for ever too old */
	return filled_ns > ctx->now_ns ? U32_MAX :
		min_t(u64, div_u64(ctx->now_ns - filled_ns, NSEC_PER_MSEC), U32_MAX);
}

static int cfs_fetch_entry(struct cfs_policy_ctx *ctx, struct bpf_map *map, void *key)
{
	struct cfs_meta_entry entry;

	if (!cfs_meta_get(map, key, &entry) || cfs_changed_since(ctx->csb, ctx->dir, entry.seq))
		return -ENOENT;
	ctx->have = entry.ino ? CFS_PC_ENTRY : CFS_PC_ABSENT;
	ctx->ino = entry.ino;
	ctx->entry_age_ms = cfs_age_ms(ctx, entry.filled_ns);
	return 0;
}

static int cfs_fetch_name(struct cfs_policy_ctx *ctx, struct bpf_map *map)
{
	struct cfs_meta_name key = { ctx->volume, ctx->dir, ctx->name_len };

	if (!ctx->name_len || ctx->name_len > sizeof(key.name))
		return -ENOENT;
	memcpy(key.name, ctx->name->name, ctx->name_len);
	return cfs_fetch_entry(ctx, map, &key);
}

static int cfs_fetch_long(struct cfs_policy_ctx *ctx, struct bpf_map *map)
{
	struct cfs_meta_long key = { ctx->volume, ctx->dir, ctx->name_len };

	if (!ctx->name_len || ctx->name_len > sizeof(key.name))
		return -ENOENT;
	memcpy(key.name, ctx->name->name, ctx->name_len);
	return cfs_fetch_entry(ctx, map, &key);
}

static int cfs_fetch_attr(struct cfs_policy_ctx *ctx, struct bpf_map *map)
{
	struct cfs_meta_ino key = { ctx->volume, ctx->ino };
	struct cfs_meta_attr value;

	if (!ctx->ino || !cfs_meta_get(map, &key, &value) || value.attr.ino != ctx->ino ||
	    cfs_changed_since(ctx->csb, ctx->ino, value.seq))
		return -ENOENT;
	ctx->have |= CFS_PC_ATTR;
	ctx->attr = value.attr;
	ctx->attr_seq = value.seq;
	ctx->mode = value.attr.mode;
	ctx->attr_age_ms = cfs_age_ms(ctx, value.filled_ns);
	if (!ctx->granted) {
		ctx->entry_ms = value.attr.entry_valid_ms;
		ctx->attr_ms = value.attr.attr_valid_ms;
	}
	return 0;
}

/* ---- kfuncs ---- */
__bpf_kfunc_start_defs();

/* The suffix tells the verifier to want a map. */
__bpf_kfunc int cfs_policy_fetch(struct cfs_policy_ctx *ctx, void *p__map)
{
	struct bpf_map *map = p__map;

	if (cfs_meta_map_is_ok(map, sizeof(struct cfs_meta_name), sizeof(struct cfs_meta_entry)))
		return cfs_fetch_name(ctx, map);
	if (cfs_meta_map_is_ok(map, sizeof(struct cfs_meta_long), sizeof(struct cfs_meta_entry)))
		return cfs_fetch_long(ctx, map);
	if (cfs_meta_map_is_ok(map, sizeof(struct cfs_meta_ino), sizeof(struct cfs_meta_attr)))
		return cfs_fetch_attr(ctx, map);
	return -EINVAL;
}

__bpf_kfunc int cfs_policy_rule(struct cfs_policy_ctx *ctx, void *p__map)
{
	const struct dentry *d = ctx->parent;
	struct cfs_meta_ino key = { 0, ctx->cgroup };
	const struct cfs_meta_rule *rule;
	struct bpf_map *map = p__map;
	struct inode *inode;
	int i;

	if (map->map_type != BPF_MAP_TYPE_HASH || !(map->map_flags & BPF_F_RDONLY_PROG) ||
	    map->key_size != sizeof(key) || map->value_size != sizeof(*rule))
		return -EINVAL;
	rule = map->ops->map_lookup_elem(map, &key);
	key.volume = ctx->fsid;
	for (i = 0; !rule && d && i < CFS_RULE_DEPTH_MAX; i++) {
		inode = d_inode_rcu(d);
		key.ino = inode ? inode->i_ino : 0;
		rule = map->ops->map_lookup_elem(map, &key);
		d = IS_ROOT(d) ? NULL : READ_ONCE(d->d_parent);
	}
	if (!rule)
		return -ENOENT;
	ctx->rule = *rule;
	return 0;
}

__bpf_kfunc int cfs_policy_grant(struct cfs_policy_ctx *ctx, u32 entry_ms, u32 attr_ms, u32 open_ms)
{
	ctx->entry_ms = min(entry_ms, CFS_LIFETIME_MAX_MS);
	ctx->attr_ms = min(attr_ms, CFS_LIFETIME_MAX_MS);
	ctx->open_ms = min(open_ms, CFS_LIFETIME_MAX_MS);
	ctx->granted = true;
	return 0;
}

__bpf_kfunc int cfs_policy_prefetch(struct cfs_policy_ctx *ctx)
{
	ctx->prefetch = true;
	return 0;
}

__bpf_kfunc_end_defs();

BTF_KFUNCS_START(cfs_policy_kfuncs)
BTF_ID_FLAGS(func, cfs_policy_fetch, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, cfs_policy_rule, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, cfs_policy_grant, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, cfs_policy_prefetch, KF_TRUSTED_ARGS)
BTF_KFUNCS_END(cfs_policy_kfuncs)

static const struct btf_kfunc_id_set cfs_policy_kfunc_set = {
	.owner	= THIS_MODULE,
	.set	= &cfs_policy_kfuncs,
};

/* ---- asking ---- */
static void cfs_ctx_init(struct cfs_policy_ctx *ctx, const struct dentry *parent, u64 dir,
			 struct cfs_sb *csb)
{
	memset(ctx, 0, sizeof(*ctx));
	ctx->csb = csb;
	ctx->parent = parent;
	ctx->volume = csb->counters->volume;
	ctx->fsid = csb->fsid;
	ctx->dir = dir;
	ctx->epoch = cfs_epoch(csb);
	ctx->now_ns = ktime_get_ns();
#ifdef CONFIG_CGROUPS
	ctx->cgroup = cgroup_id(task_dfl_cgroup(current));
#endif
}

/* A hit is what was found and is younger than what was granted: the program's word is not enough. */
static bool cfs_hit_is_good(const struct cfs_policy_ctx *ctx)
{
	if (!ctx->granted)
		return false;
	if (ctx->name_len && (!(ctx->have & (CFS_PC_ENTRY | CFS_PC_ABSENT)) ||
			      ctx->entry_age_ms >= ctx->entry_ms))
		return false;
	if (ctx->have & CFS_PC_ABSENT)
		return true;
	if (!(ctx->have & CFS_PC_ATTR) || ctx->attr_age_ms >= ctx->attr_ms)
		return false;
	return !(ctx->flags & CFS_PC_OPEN) || !S_ISREG(ctx->mode) || ctx->attr_age_ms < ctx->open_ms;
}

static void cfs_hit_take(const struct cfs_policy_ctx *ctx, struct cfs_meta_hit *hit)
{
	hit->attr = ctx->attr;
	hit->attr.ino = ctx->ino;
	hit->attr.flags &= CFS_ATTR_NO_SECURITY;
	hit->attr.entry_valid_ms = ctx->entry_ms - ctx->entry_age_ms;
	hit->attr.attr_valid_ms = ctx->attr_ms - ctx->attr_age_ms;
	hit->open_ms = ctx->open_ms > ctx->attr_age_ms ? ctx->open_ms - ctx->attr_age_ms : 0;
	hit->seq = ctx->attr_seq;
}

static bool cfs_policy_ask(const struct cubefs_policy *p, struct cfs_policy_ctx *ctx, bool again,
			   struct cfs_meta_hit *hit)
{
	int (*ask)(struct cfs_policy_ctx *ctx) = again ? p->revalidate : p->lookup;

	if (ask && ask(ctx) == CFS_POLICY_HIT && cfs_hit_is_good(ctx)) {
		cfs_hit_take(ctx, hit);
		return true;
	}
	if (p->miss)
		p->miss(ctx);
	return false;
}

static void cfs_count_answer(struct cfs_sb *csb, bool is_hit, const struct cfs_meta_hit *hit)
{
	if (!is_hit)
		cfs_count(csb, cache_misses, 1);
	else if (hit->attr.ino)
		cfs_count(csb, cache_hits, 1);
	else
		cfs_count(csb, cache_absent_hits, 1);
}

static void cfs_prefetch_event(struct cfs_sb *csb, u64 dir)
{
	struct cfs_req req = { .event = { .kind = CFS_EV_PREFETCH, .partition_id = dir } };

	if (!cfs_chan_absence())
		cfs_event(csb, &req);
}

/**
 * cfs_policy_lookup - may a name be answered from the cache?
 * @parent: Dentry of the directory.
 * @dir:    Its inode.
 * @name:   Stable name.
 * @flags:  LOOKUP_*. A name that is about to be made or replaced is asked for: not believing it
 *          costs less than finding out.
 * @again:  There is a dentry, whose time is over.
 * @hit:    Filled if so.
 *
 * Context: Process; sends an event when a program asks for a prefetch.
 */
bool cfs_policy_lookup(struct dentry *parent, struct inode *dir, const struct qstr *name,
		       unsigned int flags, bool again, struct cfs_meta_hit *hit)
{
	struct cfs_sb *csb = CFS_SB(dir->i_sb);
	struct cubefs_policy *p;
	struct cfs_policy_ctx ctx;
	bool is_hit = false;

	if (csb->nobpf || !rcu_access_pointer(cfs_policy) ||
	    flags & (LOOKUP_CREATE | LOOKUP_EXCL | LOOKUP_RENAME_TARGET))
		return false;
	ctx.prefetch = false;
	rcu_read_lock();
	p = rcu_dereference(cfs_policy);
	if (p) {
		cfs_ctx_init(&ctx, parent, dir->i_ino, csb);
		ctx.name = name;
		ctx.name_len = name->len;
		ctx.flags = (flags & (LOOKUP_OPEN | LOOKUP_DIRECTORY)) == LOOKUP_OPEN ?
			CFS_PC_OPEN : 0;
		is_hit = cfs_policy_ask(p, &ctx, again, hit);
	}
	rcu_read_unlock();
	cfs_count_answer(csb, is_hit, hit);
	if (ctx.prefetch)
		cfs_prefetch_event(csb, dir->i_ino);
	return is_hit;
}

/**
 * cfs_policy_attr - may the attributes of an inode be taken from the cache?
 * @dentry: One of its names; NULL: none is known.
 * @inode:  Inode.
 * @hit:    Filled if so.
 *
 * Context: As cfs_policy_lookup().
 */
bool cfs_policy_attr(struct dentry *dentry, struct inode *inode, struct cfs_meta_hit *hit)
{
	struct cfs_sb *csb = CFS_SB(inode->i_sb);
	struct cubefs_policy *p;
	struct cfs_policy_ctx ctx;
	bool is_hit = false;
	struct dentry *parent;

	if (csb->nobpf || !rcu_access_pointer(cfs_policy))
		return false;
	parent = dentry ? dget_parent(dentry) : NULL;
	ctx.prefetch = false;
	rcu_read_lock();
	p = rcu_dereference(cfs_policy);
	if (p) {
		cfs_ctx_init(&ctx, parent, parent ? d_inode(parent)->i_ino : 0, csb);
		ctx.ino = inode->i_ino;
		is_hit = cfs_policy_ask(p, &ctx, true, hit);
	}
	rcu_read_unlock();
	if (ctx.prefetch && parent)
		cfs_prefetch_event(csb, d_inode(parent)->i_ino);
	dput(parent);
	return is_hit;
}

/**
 * cfs_policy_fill - the daemon answered: how long is that believed?
 * @parent: Dentry of the directory; NULL: none is known.
 * @dir:    Its inode, or any of the mount.
 * @attr:   The answer; its lifetimes are replaced. ino 0: there is no such name.
 * @listed: Came with a listing.
 *
 * Context: Process.
 * Return:  For how long an open need not ask, in ms.
 */
u32 cfs_policy_fill(struct dentry *parent, struct inode *dir, struct cfs_attr *attr, bool listed)
{
	struct cfs_sb *csb = CFS_SB(dir->i_sb);
	struct cubefs_policy *p;
	struct cfs_policy_ctx ctx;
	u32 open_ms = 0;

	if (csb->nobpf || !rcu_access_pointer(cfs_policy))
		return 0;
	rcu_read_lock();
	p = rcu_dereference(cfs_policy);
	if (p && p->fill) {
		cfs_ctx_init(&ctx, parent, parent ? d_inode(parent)->i_ino : 0, csb);
		ctx.ino = attr->ino;
		ctx.mode = attr->ino ? attr->mode : 0;
		ctx.have = attr->ino ? CFS_PC_ENTRY | CFS_PC_ATTR : CFS_PC_ABSENT;
		ctx.flags = listed ? CFS_PC_LISTED : 0;
		ctx.entry_ms = attr->entry_valid_ms;
		ctx.attr_ms = attr->attr_valid_ms;
		if (p->fill(&ctx) != CFS_POLICY_KEEP)
			cfs_policy_grant(&ctx, 0, 0, 0);
		attr->entry_valid_ms = ctx.entry_ms;
		attr->attr_valid_ms = ctx.attr_ms;
		open_ms = ctx.open_ms;
	}
	rcu_read_unlock();
	return open_ms;
}

/**
 * cfs_reply_lifetime - how long is an answer about an inode believed?
 * @dentry: One of its names; NULL: none is known.
 * @inode:  Inode.
 * @attr:   The answer; its lifetimes are replaced.
 *
 * Context: Process.
 */
void cfs_reply_lifetime(struct dentry *dentry, struct inode *inode, struct cfs_attr *attr)
{
	struct dentry *parent = dentry ? dget_parent(dentry) : NULL;

	cfs_open_grant(inode, cfs_policy_fill(parent, inode, attr, false));
	dput(parent);
}

/**
 * cfs_policy_invalidate - a change counter has moved
 * @csb: Mount.
 * @ino: See cfs_change().
 *
 * Context: Process.
 */
void cfs_policy_invalidate(struct cfs_sb *csb, u64 ino)
{
	struct cubefs_policy *p;
	struct cfs_policy_ctx ctx;

	if (csb->nobpf || !rcu_access_pointer(cfs_policy))
		return;
	rcu_read_lock();
	p = rcu_dereference(cfs_policy);
	if (p && p->invalidate) {
		cfs_ctx_init(&ctx, NULL, 0, csb);
		ctx.ino = ino;
		p->invalidate(&ctx);
	}
	rcu_read_unlock();
}

/* ---- struct_ops ---- */
static bool cfs_st_valid_access(int off, int size, enum bpf_access_type type,
				const struct bpf_prog *prog, struct bpf_insn_access_aux *info)
{
	if (type != BPF_READ || off < 0 || off % size ||
	    off >= (int)sizeof(u64) * MAX_BPF_FUNC_ARGS)
		return false;
	return btf_ctx_access(off, size, type, prog, info);
}

static const struct bpf_func_proto *cfs_st_func_proto(enum bpf_func_id id,
						      const struct bpf_prog *prog)
{
	return bpf_base_func_proto(id, prog);
}

/* Without btf_struct_access: a context is read-only for programs. */
static const struct bpf_verifier_ops cfs_st_verifier_ops = {
	.get_func_proto		= cfs_st_func_proto,
	.is_valid_access	= cfs_st_valid_access,
};

static int cfs_st_init(struct btf *btf)
{
	return 0;
}

/* Callbacks run under RCU. */
static int cfs_st_check_member(const struct btf_type *t, const struct btf_member *member,
			       const struct bpf_prog *prog)
{
	return prog->sleepable ? -EINVAL : 0;
}

static int cfs_st_init_member(const struct btf_type *t, const struct btf_member *member,
			      void *kdata, const void *udata)
{
	const struct cubefs_policy *from = udata;
	struct cubefs_policy *to = kdata;

	if (__btf_member_bit_offset(t, member) != offsetof(struct cubefs_policy, name) * 8)
		return 0;
	return strscpy(to->name, from->name, sizeof(to->name)) > 0 ? 1 : -EINVAL;
}

static int cfs_st_validate(void *kdata)
{
	return 0;
}

/* Exchange the program set, if it is @old, and wait until nobody runs the old one. */
static int cfs_st_exchange(struct cubefs_policy *old, struct cubefs_policy *new)
{
	mutex_lock(&cfs_policy_lock);
	if (rcu_access_pointer(cfs_policy) != old) {
		mutex_unlock(&cfs_policy_lock);
		return old ? -ENOENT : -EBUSY;
	}
	rcu_assign_pointer(cfs_policy, new);
	atomic_inc(&cfs_policy_generation);
	mutex_unlock(&cfs_policy_lock);
	if (old)
		synchronize_rcu();
	return 0;
}

static int cfs_st_reg(void *kdata, struct bpf_link *link)
{
	return cfs_st_exchange(NULL, kdata);
}

static void cfs_st_unreg(void *kdata, struct bpf_link *link)
{
	cfs_st_exchange(kdata, NULL);
}

static int cfs_st_update(void *kdata, void *old_kdata, struct bpf_link *link)
{
	return cfs_st_exchange(old_kdata, kdata);
}

/* Stubs tell the prototypes; they are never called. */
static int cfs_stub_int(struct cfs_policy_ctx *ctx)
{
	return 0;
}

static void cfs_stub_void(struct cfs_policy_ctx *ctx)
{
}

static struct cubefs_policy cfs_st_stubs = {
	.lookup		= cfs_stub_int,
	.revalidate	= cfs_stub_int,
	.fill		= cfs_stub_int,
	.invalidate	= cfs_stub_void,
	.miss		= cfs_stub_void,
};

static struct bpf_struct_ops cfs_st = {
	.verifier_ops	= &cfs_st_verifier_ops,
	.init		= cfs_st_init,
	.check_member	= cfs_st_check_member,
	.init_member	= cfs_st_init_member,
	.validate	= cfs_st_validate,
	.reg		= cfs_st_reg,
	.unreg		= cfs_st_unreg,
	.update		= cfs_st_update,
	.cfi_stubs	= &cfs_st_stubs,
	.owner		= THIS_MODULE,
	.name		= "cubefs_policy",
};

/**
 * cfs_policy_init - at module load, before anything that has to be undone
 *
 * A kernel without BTF has no policies, and needs none.
 *
 * Return: 0 or -errno.
 */
int cfs_policy_init(void)
{
	int ret = register_btf_kfunc_id_set(BPF_PROG_TYPE_STRUCT_OPS, &cfs_policy_kfunc_set);

	if (!ret)
		ret = register_bpf_struct_ops(&cfs_st, cubefs_policy);
	if (ret)
		pr_warn("cubefs: no BPF policies, error %d: the built-in one serves\n", ret);
	return 0;
}
