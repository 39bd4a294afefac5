/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * cubefs: the metadata cache, as the kernel module, its BPF policies and whoever fills the maps see it.
 *
 * Who does what
 *   The daemon (or any program of root) writes what servers said into the maps below, with BPF_MAP_UPDATE_ELEM or _BATCH.
 *   A policy, a BPF program of the struct_ops type "cubefs_policy", decides: hit or miss, for how long, keep or not. The
 *   module fetches the value for it, from a map whose values programs cannot write, with a key that the module makes; so
 *   a program can cost a miss or a staleness of at most CFS_LIFETIME_MAX_MS, never a made-up inode. Without a policy, or
 *   on a mount with the option nobpf, nothing is fetched and the lifetimes of the daemon's answers hold.
 *
 * When a value counts
 *   Its `check` is right (elements of LRU maps are reused while somebody reads them), and the change counter of its
 *   directory (names) or inode (attributes) is not above its `seq`: see struct cfs_counters. `seq` must have been read
 *   before the RPC was sent that brought the value, `filled_ns` also. A local change moves the counter before and after
 *   it is sent, so a value that raced it is never used; a bump of the epoch makes all older ones useless.
 *
 * Compatibility
 *   Layouts are told apart by key and value sizes and by CFS_META_LAYOUT, which is part of the pinned maps' directory.
 */
#ifndef _UAPI_CUBEFS_CFS_BPF_H
#define _UAPI_CUBEFS_CFS_BPF_H

#include <linux/types.h>
#include <cubefs/cfs.h>

#define CFS_META_LAYOUT		1
#define CFS_META_PIN_DIR	"/sys/fs/bpf/cubefs"	/* link "policy"; the maps by their names */
#define CFS_SHORT_NAME_MAX	47		/* bytes of a name in a struct cfs_meta_name */
#define CFS_LIFETIME_MAX_MS	86400000	/* most that a policy can grant, counted from filled_ns: one day */
#define CFS_POLICY_NAME_MAX	16		/* with NUL */

/* ---- keys; what is not used of a name is zero ---- */
struct cfs_meta_name {		/* names up to CFS_SHORT_NAME_MAX bytes */
	__u64 volume;		/* cfs_counters.volume: a mount, never twice */
	__u64 dir;
	__u8 len;
	char name[CFS_SHORT_NAME_MAX];
};

struct cfs_meta_long {		/* longer names */
	__u64 volume;
	__u64 dir;
	__u8 len;
	char name[CFS_NAME_LEN_MAX];
};

struct cfs_meta_ino {		/* attributes; rules */
	__u64 volume;		/* rules: f_fsid of the mount; 0: the number is one of a cgroup */
	__u64 ino;
};

/* ---- values ---- */
struct cfs_meta_entry {		/* a name; in the map of absent names ino is 0 */
	__u64 check;		/* cfs_meta_check() of the key and what follows */
	__u64 seq;
	__u64 filled_ns;	/* CLOCK_MONOTONIC */
	__u64 ino;
};

struct cfs_meta_attr {
	__u64 check;
	__u64 seq;
	__u64 filled_ns;
	struct cfs_attr attr;
};

/* What an operator wants for a directory and all below it, or for a cgroup, which outranks directories. */
struct cfs_meta_rule {
	__u32 flags;		/* CFS_RULE_* */
	__u32 entry_ms;		/* names; 0: ask each time */
	__u32 attr_ms;		/* attributes; 0: ask each time */
	__u32 negative_ms;	/* names that do not exist */
	__u32 open_ms;		/* an open of a known file asks no server; 0: close-to-open */
	__u32 reserved;		/* 0 */
};
#define CFS_RULE_PREFETCH	(1 << 0)	/* the first miss in a directory fetches all of it */

/* Sizes are multiples of 8. @value: without its first member. */
static __inline__ __u64 cfs_meta_check(const void *key, __u32 key_bytes, const void *value,
				       __u32 value_bytes)
{
	const __u64 *k = (const __u64 *)key, *v = (const __u64 *)value;
	__u64 h = 0x9E3779B97F4A7C15ULL;
	__u32 i;

	for (i = 0; i < key_bytes / 8; i++)
		h = (h << 23 | h >> 41) ^ (k[i] * 0xC2B2AE3D27D4EB4FULL);
	for (i = 0; i < value_bytes / 8; i++)
		h = (h << 23 | h >> 41) * 0x9E3779B97F4A7C15ULL ^ v[i];
	return h;
}

/*
 * ---- the policy: struct_ops type "cubefs_policy" ----
 * Every callback gets a struct cfs_policy_ctx that programs can read but not write; runs under RCU, must not sleep, may
 * run on many CPUs at once; may be left out, which means the default. Never called for a dentry whose own deadline is
 * not over: its name is simply believed. What a callback returns is a wish: the module checks and clamps it.
 *
 *   callback     when                                     context        return                 default
 *   lookup       a name without a dentry is looked up     name, dir      CFS_POLICY_HIT, MISS   miss
 *   revalidate   a dentry's deadline is over              name, dir      CFS_POLICY_HIT, MISS   miss
 *                an inode's is (name_len 0)               ino, dir or 0  the same               miss
 *   fill         the daemon answered                      dir, ino, mode CFS_POLICY_KEEP, DROP  keep, daemon's lifetimes
 *   invalidate   something changed here                   ino            -                      -
 *   miss         the daemon is about to be asked          name, dir      -                      -
 *
 * lookup, revalidate: call the kfunc cfs_policy_fetch(), look at ages, cfs_policy_grant() lifetimes, return HIT. A hit
 * needs an entry, and attributes unless the name does not exist, both younger than what was granted; of a regular file
 * that is being opened (CFS_PC_OPEN) also a granted open_ms; else it is a miss. A dentry gets what is left of the lifetime.
 * fill: cfs_policy_grant() replaces entry_ms, attr_ms, open_ms of the answer (an absent name: entry_ms). DROP: ask again
 * at next use. Whether the maps are filled is the daemon's business.
 * invalidate: called twice, as the change counter moves: before a change of the names of directory `ino`, or of the
 * attributes of inode `ino`, is sent, and after it ended. The maps' values are void by then; it is for a program's own maps.
 *
 * kfuncs (all take the context; -EINVAL for a map that is not of the right kind)
 *   int cfs_policy_fetch(ctx, map)   Look the context's name up in a map of names, or ctx->ino in a map of attributes, which
 *                                    must be LRU hashes with BPF_F_RDONLY_PROG. Sets have, ino, mode and ages.
 *                                    -ENOENT: nothing there, or it does not count any more.
 *   int cfs_policy_rule(ctx, map)    Copy a rule (hash of struct cfs_meta_rule, BPF_F_RDONLY_PROG) to ctx->rule: that of the
 *                                    caller's cgroup, else of the nearest directory from dir upwards. -ENOENT: none.
 *   int cfs_policy_grant(ctx, entry_ms, attr_ms, open_ms)   Lifetimes, each at most CFS_LIFETIME_MAX_MS.
 *   int cfs_policy_prefetch(ctx)     Ask the daemon to put all of dir into the maps; once per callback, dropped when no
 *                                    daemon is there to hear it.
 */
#define CFS_POLICY_MISS		0
#define CFS_POLICY_HIT		1
#define CFS_POLICY_KEEP		0
#define CFS_POLICY_DROP		1

/* cfs_policy_ctx.flags */
#define CFS_PC_OPEN		(1 << 0)	/* a file is being opened */
#define CFS_PC_LISTED		(1 << 1)	/* fill: came with a listing */
/* cfs_policy_ctx.have */
#define CFS_PC_ENTRY		(1 << 0)	/* entry_age_ms and ino: the name exists */
#define CFS_PC_ABSENT		(1 << 1)	/* entry_age_ms: the name does not exist */
#define CFS_PC_ATTR		(1 << 2)	/* attr_age_ms and mode */

#endif /* _UAPI_CUBEFS_CFS_BPF_H */
