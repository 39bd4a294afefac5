// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: finding names.
 *
 * Purpose   Lookup, revalidation, names that a listing brought along. Changing names is dir.c.
 * Lifetime  A dentry holds nothing of ours: d_time says until when, and in which epoch, its name is
 *           believed.
 * Locks     The VFS holds the directory's i_rwsem, except in revalidation.
 * Contexts  Process; revalidation also under RCU, where it only looks at the stamp.
 * Failure   An error other than "there is no such name" is the caller's; nothing is believed then.
 *
 * Before the daemon is asked, the policy is: see policy.c.
 *
 * Close-to-open: whoever opens a regular file sees what was written before its last close
 * elsewhere. So an open always asks: LOOKUP for a name that is not believed, which brings the
 * extents along, GETATTR for one that is. A generation that differs drops pages and map. Only a
 * policy may let an open do without.
 */
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/namei.h>
#include <linux/stringhash.h>
#include "cfs.h"
#include "compat.h"
#include "optrace.h"

/*
 * d_time: epoch in the upper bits, end of validity in jiffies in the lower ones (139 years at 250
 * Hz).
 */
#define CFS_STAMP_BITS	40
#define CFS_STAMP_MASK	((1UL << CFS_STAMP_BITS) - 1)

static_assert(BITS_PER_LONG == 64);

/* ---- validity of names ---- */
/**
 * cfs_names_epoch - grows when all names of the mount, or those of a directory, expire at once
 * @dir: Directory.
 */
u32 cfs_names_epoch(const struct inode *dir)
{
	const struct cfs_inode *ci = container_of(dir, struct cfs_inode, netfs.inode);

	return cfs_epoch(CFS_SB(dir->i_sb)) + atomic_read(&ci->names_epoch);
}

/**
 * cfs_stamp - a name is believed from now on, unless a change has overtaken what is known of it
 * @dentry:   Name, hashed.
 * @dir:      Its directory.
 * @epoch:    cfs_names_epoch() of that before it was asked for.
 * @valid_ms: How long.
 * @seq:      cfs_seq() before it was asked for.
 */
void cfs_stamp(struct dentry *dentry, const struct inode *dir, u32 epoch, u32 valid_ms, u64 seq)
{
	u64 until = get_jiffies_64() + msecs_to_jiffies(valid_ms);

	smp_mb();	/* the dentry can be found; pairs with cfs_peers_name_changed() */
	spin_lock(&dentry->d_lock);
	if (!valid_ms || cfs_changed_since(CFS_SB(dir->i_sb), dir->i_ino, seq))
		cfs_stamp_expire(dentry);
	else
		WRITE_ONCE(dentry->d_time,
			   (unsigned long)epoch << CFS_STAMP_BITS | (until & CFS_STAMP_MASK));
	spin_unlock(&dentry->d_lock);
}

/**
 * cfs_stamp_expire - look the name up at next use
 * @dentry: Name.
 */
void cfs_stamp_expire(struct dentry *dentry)
{
	WRITE_ONCE(dentry->d_time, 0);
}

static bool cfs_stamp_is_valid(const struct dentry *dentry, const struct inode *dir)
{
	unsigned long stamp = READ_ONCE(dentry->d_time);

	return stamp >> CFS_STAMP_BITS == (cfs_names_epoch(dir) & (~0UL >> CFS_STAMP_BITS)) &&
	       (stamp & CFS_STAMP_MASK) > (get_jiffies_64() & CFS_STAMP_MASK);
}

/* Bytes of the UTF-8 sequence that @s begins with, 0 if it is none. Source: RFC 3629, section 4. */
static size_t cfs_utf8_sequence(const u8 *s, size_t len)
{
	static const u32 lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n, i;
	u32 c = s[0];

	if (c < 0x80)
		return 1;
	n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	if (c < 0xc0 || c > 0xf7 || n > len)
		return 0;
	c &= 0x7f >> n;
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	return c < lowest[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

static bool cfs_is_utf8(const u8 *name, size_t len)
{
	size_t n;

	for (; len; name += n, len -= n) {
		n = cfs_utf8_sequence(name, len);
		if (!n)
			return false;
	}
	return true;
}

/**
 * cfs_check_new_name - may the name be made?
 * @name: Name.
 *
 * Servers store names in JSON, which destroys what is not UTF-8: such names cannot exist and are
 * not made.
 *
 * Return: 0, -ENAMETOOLONG or -EILSEQ.
 */
int cfs_check_new_name(const struct qstr *name)
{
	if (name->len > CFS_NAME_LEN_MAX)
		return -ENAMETOOLONG;
	return cfs_is_utf8(name->name, name->len) ? 0 : -EILSEQ;
}

/* The directory's names are of use to somebody: see cfs_page_fill(). */
static void cfs_note_use(struct inode *dir)
{
	struct cfs_inode *ci = CFS_I(dir);

	if (!READ_ONCE(ci->names_used))
		WRITE_ONCE(ci->names_used, true);
}

/* A directory's handle needs its parent: see export.c. */
static void cfs_note_parent(struct inode *inode, const struct inode *dir)
{
	if (S_ISDIR(inode->i_mode))
		WRITE_ONCE(CFS_I(inode)->parent, dir->i_ino);
}

/* ---- lookup ---- */
/* Of a regular file that exists; LOOKUP_DIRECTORY and LOOKUP_EXCL refuse those. */
static bool cfs_is_open(unsigned int flags)
{
	return (flags & (LOOKUP_OPEN | LOOKUP_DIRECTORY | LOOKUP_EXCL)) == LOOKUP_OPEN;
}

/*
 * Ask for @name. Returns the answered call, for cfs_call_put(), or an error. @extents: bring them
 * along.
 */
static struct cfs_call *cfs_lookup_call(struct inode *dir, const struct qstr *name, bool extents,
					struct cfs_attr *attr)
{
	struct cfs_call *call = cfs_inode_call(dir, CFS_OP_LOOKUP);
	int ret;

	if (!call)
		return ERR_PTR(-ENOMEM);
	cfs_call_name(call, name->name, name->len);
	if (extents) {
		call->req.lookup.flags = CFS_LOOKUP_EXTENTS;
		call->reply_max += sizeof(struct cfs_extents) +
				   CFS_LOOKUP_KEYS_MAX * sizeof(struct cfs_ekey);
	}
	ret = cfs_call_sync(call);
	if (ret >= 0)
		ret = cfs_call_fixed(call, attr, sizeof(*attr));
	trace_cfs_lookup(dir->i_ino, name, ret, ret < 0 ? 0 : attr->ino);
	if (ret >= 0)
		return call;
	cfs_call_put(call);
	return ERR_PTR(ret);
}

static void cfs_take_extents(struct inode *inode, const struct cfs_attr *attr,
			     const struct cfs_call *call)
{
	if (S_ISREG(inode->i_mode) && attr->flags & CFS_ATTR_EXTENTS)
		cfs_map_offer(inode, call->reply + sizeof(*attr), call->reply_len - sizeof(*attr),
			      call->req.seq);
}

/*
 * The caller is about to create the name and may: the server's refusal tells as much as a lookup.
 */
static bool cfs_lookup_is_needless(struct inode *dir, unsigned int flags)
{
	return (flags & (LOOKUP_CREATE | LOOKUP_EXCL)) == (LOOKUP_CREATE | LOOKUP_EXCL) &&
	       !inode_permission(&nop_mnt_idmap, dir, MAY_WRITE | MAY_EXEC);
}

/* The inode of a hit, NULL if it says that there is none. Attributes that are believed may be newer. */
static struct inode *cfs_hit_inode(struct inode *dir, const struct cfs_meta_hit *hit)
{
	struct inode *inode;

	if (!hit->attr.ino)
		return NULL;
	inode = ilookup(dir->i_sb, hit->attr.ino);
	if (!inode || inode_wrong_type(inode, hit->attr.mode) ||
	    !cfs_attrs_are_fresh(CFS_I(inode))) {
		iput(inode);
		inode = cfs_iget(dir->i_sb, &hit->attr, hit->seq);
	}
	if (!IS_ERR(inode)) {
		cfs_note_parent(inode, dir);
		cfs_open_grant(inode, hit->open_ms);
	}
	return inode;
}

/* The same, after asking. */
static struct inode *cfs_asked_inode(struct inode *dir, const struct dentry *dentry,
				     unsigned int flags, struct cfs_attr *attr)
{
	struct cfs_call *call = cfs_lookup_call(dir, &dentry->d_name, cfs_is_open(flags), attr);
	struct inode *inode;
	u32 open_ms;

	if (call == ERR_PTR(-ENOENT)) {
		*attr = (struct cfs_attr){};
		cfs_policy_fill(dentry->d_parent, dir, attr, false);
		return NULL;
	}
	if (IS_ERR(call))
		return ERR_CAST(call);
	open_ms = cfs_policy_fill(dentry->d_parent, dir, attr, false);
	inode = cfs_iget(dir->i_sb, attr, call->req.seq);
	if (!IS_ERR(inode)) {
		cfs_note_parent(inode, dir);
		cfs_open_grant(inode, open_ms);
		cfs_take_extents(inode, attr, call);
	}
	cfs_call_put(call);
	return inode;
}

/* The inode of a name, NULL if there is none. @valid_ms: how long that may be believed. */
static struct inode *cfs_lookup_inode(struct inode *dir, struct dentry *dentry,
				      unsigned int flags, u32 *valid_ms)
{
	const struct qstr *name = &dentry->d_name;
	struct cfs_meta_hit hit;
	struct inode *inode;

	if (!cfs_is_utf8(name->name, name->len) || cfs_lookup_is_needless(dir, flags))
		return NULL;
	if (cfs_policy_lookup(dentry->d_parent, dir, name, flags, false, &hit)) {
		inode = cfs_hit_inode(dir, &hit);
		*valid_ms = hit.attr.entry_valid_ms;
		if (!IS_ERR(inode))
			return inode;
	}
	inode = cfs_asked_inode(dir, dentry, flags, &hit.attr);
	*valid_ms = hit.attr.entry_valid_ms;
	return inode;
}

/**
 * cfs_lookup - inode_operations.lookup
 * @dir:    Directory, its lock held.
 * @dentry: Name.
 * @flags:  LOOKUP_*: with LOOKUP_OPEN, the extents come along.
 *
 * A missing name becomes a negative dentry, which only a policy believes.
 *
 * Return: NULL, the dentry to be used instead, or an error.
 */
struct dentry *cfs_lookup(struct inode *dir, struct dentry *dentry, unsigned int flags)
{
	u32 epoch = cfs_names_epoch(dir), valid_ms = 0;
	u64 seq = cfs_seq(CFS_SB(dir->i_sb));
	struct dentry *alias;
	struct inode *inode;

	if (dentry->d_name.len > CFS_NAME_LEN_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	cfs_note_use(dir);
	trace_cfs_cache(dir, CFS_CACHE_NAME, CFS_CACHE_ABSENT);
	cfs_stamp_expire(dentry);
	inode = cfs_lookup_inode(dir, dentry, flags, &valid_ms);
	if (IS_ERR(inode))
		return ERR_CAST(inode);
	alias = d_splice_alias(inode, dentry);
	if (!IS_ERR(alias))
		cfs_stamp(alias ?: dentry, dir, epoch, valid_ms, seq);
	return alias;
}

/* ---- revalidation ---- */
/* The cache's answer to the same question as cfs_revalidate_call(); -ENODATA: it has none. */
static int cfs_revalidate_cached(struct inode *dir, const struct qstr *name, struct dentry *dentry,
				 unsigned int flags)
{
	struct dentry *parent = dget_parent(dentry);
	struct inode *inode = d_inode(dentry), *cached;
	u32 epoch = cfs_names_epoch(dir);
	u64 seq = cfs_seq(CFS_SB(dir->i_sb));
	struct cfs_meta_hit hit;
	int ret = -ENODATA;

	if (d_inode(parent) == dir && cfs_policy_lookup(parent, dir, name, flags, true, &hit)) {
		cached = cfs_hit_inode(dir, &hit);
		ret = cached == inode;
		if (!IS_ERR_OR_NULL(cached))
			iput(cached);
		if (ret)
			cfs_stamp(dentry, dir, epoch, hit.attr.entry_valid_ms, seq);
	}
	dput(parent);
	return ret;
}

/* Ask whether @name still is @dentry's inode. 1: yes, 0: no. */
static int cfs_revalidate_call(struct inode *dir, const struct qstr *name, struct dentry *dentry,
			       bool open)
{
	struct inode *inode = d_inode(dentry);
	u32 epoch = cfs_names_epoch(dir);
	struct cfs_attr attr;
	struct cfs_call *call;
	int ret = 0;

	open = open && S_ISREG(inode->i_mode) && cfs_map_is_wanted(inode);
	call = cfs_lookup_call(dir, name, open, &attr);
	if (IS_ERR(call))
		return call == ERR_PTR(-ENOENT) ? 0 : PTR_ERR(call);
	if (attr.ino == inode->i_ino && !inode_wrong_type(inode, attr.mode)) {
		cfs_reply_lifetime(dentry, inode, &attr);
		cfs_inode_apply(inode, &attr, call->req.seq);
		cfs_take_extents(inode, &attr, call);
		cfs_stamp(dentry, dir, epoch, attr.entry_valid_ms, call->req.seq);
		ret = 1;
	}
	cfs_call_put(call);
	return ret;
}

/* May an open of a file do without asking, as a policy granted? */
static bool cfs_open_is_granted(struct inode *inode)
{
	return time_before64(get_jiffies_64(), READ_ONCE(CFS_I(inode)->open_until)) &&
	       cfs_attrs_are_fresh(CFS_I(inode));
}

/* 1: its attributes are those of now; 0: it is gone. */
static noinline int cfs_revalidate_inode(struct inode *inode)
{
	int ret = cfs_inode_refresh(inode, true);

	return ret == -ESTALE ? 0 : ret ?: 1;
}

CFS_TOLD(static, int, cfs_revalidate_inode, CFS_VFS_REVALIDATE, inode, ret,
	 (struct inode *inode), (inode))

/* An open of a name that is believed: its attributes must be those of now. 1: they are. */
static int cfs_revalidate_open(struct inode *inode, unsigned int flags)
{
	if (!inode || !S_ISREG(inode->i_mode) || !cfs_is_open(flags) || cfs_open_is_granted(inode))
		return 1;
	if (flags & LOOKUP_RCU)
		return -ECHILD;
	return cfs_revalidate_inode_op(inode);
}

/* Out of line, as the next one: a believed name needs neither their stack nor registers. */
static noinline int cfs_revalidate_told(struct inode *dir, struct inode *inode, unsigned int flags)
{
	trace_cfs_cache(dir, CFS_CACHE_NAME, CFS_CACHE_HIT);
	return cfs_revalidate_open(inode, flags);
}

static noinline int cfs_revalidate_expired(struct inode *dir, const struct qstr *name,
					   struct dentry *dentry, unsigned int flags)
{
	int ret;

	trace_cfs_cache(dir, CFS_CACHE_NAME, CFS_CACHE_EXPIRED);
	if (flags & LOOKUP_RCU)
		return -ECHILD;
	if (d_really_is_negative(dentry))
		return 0;
	ret = cfs_revalidate_cached(dir, name, dentry, flags);
	return ret != -ENODATA ? ret : cfs_revalidate_call(dir, name, dentry, cfs_is_open(flags));
}

CFS_TOLD(static, int, cfs_revalidate_expired, CFS_VFS_REVALIDATE, dir, ret,
	 (struct inode *dir, const struct qstr *name, struct dentry *dentry, unsigned int flags),
	 (dir, name, dentry, flags))

/*
 * 1: the name may be used; 0: look it up anew; -ECHILD: not to be decided under RCU. A negative
 * dentry whose time is over is dropped, not asked about: the lookup that follows does that. So is
 * one whose name is about to be made, or renamed to.
 */
static int cfs_revalidate(struct inode *dir, const struct qstr *name, struct dentry *dentry,
			  unsigned int flags)
{
	struct inode *inode = d_inode_rcu(dentry);

	cfs_note_use(dir);
	if (cfs_stamp_is_valid(dentry, dir) &&
	    (inode || !(flags & (LOOKUP_CREATE | LOOKUP_RENAME_TARGET))))
		return trace_cfs_cache_enabled() ? cfs_revalidate_told(dir, inode, flags) :
			cfs_revalidate_open(inode, flags);
	return cfs_revalidate_expired_op(dir, name, dentry, flags);
}

static CFS_D_REVALIDATE_FN(cfs_d_revalidate)
{
	return CFS_D_REVALIDATE_CALL(cfs_revalidate);
}

/* A file that is opened without its name, through /proc/PID/fd. */
static int cfs_d_weak_revalidate(struct dentry *dentry, unsigned int flags)
{
	return cfs_revalidate_open(d_inode(dentry), flags);
}

const struct dentry_operations cfs_dentry_ops = {
	.d_revalidate		= cfs_d_revalidate,
	.d_weak_revalidate	= cfs_d_weak_revalidate,
};

/* ---- names that a listing brought along ---- */
/* A dentry that exists: it may be of another inode, which the next use will find out. */
static void cfs_fill_known(struct inode *dir, struct dentry *dentry, const struct cfs_attr *attr,
			   u32 open_ms, u32 epoch, u64 seq)
{
	struct inode *inode = d_inode(dentry);

	if (!inode || inode->i_ino != attr->ino || inode_wrong_type(inode, attr->mode)) {
		cfs_stamp_expire(dentry);
		return;
	}
	cfs_open_grant(inode, open_ms);
	cfs_inode_apply(inode, attr, seq);
	cfs_stamp(dentry, dir, epoch, attr->entry_valid_ms, seq);
}

/* A dentry in lookup. Returns the one to be put: @dentry, or another that takes its place. */
static struct dentry *cfs_fill_new(struct inode *dir, struct dentry *dentry,
				   const struct cfs_attr *attr, u32 open_ms, u32 epoch, u64 seq)
{
	struct inode *inode = cfs_iget(dir->i_sb, attr, seq);
	struct dentry *alias = IS_ERR(inode) ? ERR_CAST(inode) : d_splice_alias(inode, dentry);

	d_lookup_done(dentry);
	if (IS_ERR(alias))
		return dentry;
	if (alias) {
		dput(dentry);
		dentry = alias;
	}
	cfs_note_parent(inode, dir);
	cfs_open_grant(inode, open_ms);
	cfs_stamp(dentry, dir, epoch, attr->entry_valid_ms, seq);
	return dentry;
}

/**
 * cfs_names_fill - take a name and its attributes into the caches
 * @parent: Directory, its lock held, also when the name was asked for.
 * @de:     Entry of a listing, judged; its attributes are known.
 * @epoch:  cfs_names_epoch() before the listing was asked for.
 * @seq:    Sequence before that.
 *
 * Context: Process, sleeps. Nothing is sent.
 */
void cfs_names_fill(struct dentry *parent, const struct cfs_dirent *de, u32 epoch, u64 seq)
{
	struct qstr name = QSTR_INIT((const char *)(de + 1), de->name_len);
	struct inode *dir = d_inode(parent);
	struct cfs_attr attr = de->attr;
	struct dentry *dentry;
	u32 open_ms;
	CFS_D_ALLOC_WAIT(wait);

	open_ms = cfs_policy_fill(parent, dir, &attr, true);
	name.hash = full_name_hash(parent, name.name, name.len);
	dentry = d_lookup(parent, &name);
	if (dentry && d_really_is_negative(dentry)) {
		d_invalidate(dentry);
		dput(dentry);
		dentry = NULL;
	}
	if (!dentry)
		dentry = cfs_d_alloc(parent, &name, wait);
	if (IS_ERR(dentry))
		return;
	if (d_in_lookup(dentry))
		dentry = cfs_fill_new(dir, dentry, &attr, open_ms, epoch, seq);
	else
		cfs_fill_known(dir, dentry, &attr, open_ms, epoch, seq);
	dput(dentry);
}
