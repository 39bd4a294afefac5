// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: names.
 *
 * Purpose   Lookup, revalidation, creation, removal, rename, symbolic links. Listing is readdir.c.
 * Lifetime  A dentry holds nothing of ours: d_time says until when, and in which epoch, its name is
 *           believed.
 * Locks     The VFS holds the directory's i_rwsem, except in revalidation.
 * Contexts  Process; revalidation also under RCU, where it only looks at the stamp.
 * Failure   After an error other than a server's refusal the outcome of a change is not known: the
 *           names involved are looked up again at next use.
 *
 * Link counts of directories are 2 + all entries, files too, as the servers count; they are kept up
 * locally so that they are right between a change and the next question. Source: CubeFS
 * metanode/partition_fsmop_dentry.go.
 */
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/namei.h>
#include <linux/slab.h>
#include "cfs.h"
#include "compat.h"
#include "trace.h"

/*
 * d_time: epoch in the upper bits, end of validity in jiffies in the lower ones (139 years at 250
 * Hz).
 */
#define CFS_STAMP_BITS	40
#define CFS_STAMP_MASK	((1UL << CFS_STAMP_BITS) - 1)

static_assert(BITS_PER_LONG == 64);

/* ---- validity of names ---- */
/* Grows when all names of the mount, or those of this directory, expire at once. */
static u32 cfs_names_epoch(const struct inode *dir)
{
	const struct cfs_inode *ci = container_of(dir, struct cfs_inode, netfs.inode);

	return atomic_read(&CFS_SB(dir->i_sb)->epoch) + atomic_read(&ci->names_epoch);
}

/* @epoch: cfs_names_epoch() of the parent before the name was asked for. */
static void cfs_stamp(struct dentry *dentry, u32 epoch, u32 valid_ms)
{
	u64 until = get_jiffies_64() + msecs_to_jiffies(valid_ms);

	WRITE_ONCE(dentry->d_time,
		   (unsigned long)epoch << CFS_STAMP_BITS | (until & CFS_STAMP_MASK));
}

static void cfs_stamp_expire(struct dentry *dentry)
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

/*
 * Servers store names in JSON, which destroys what is not UTF-8: such names cannot exist and are
 * not made.
 */
static int cfs_check_new_name(const struct qstr *name)
{
	if (name->len > CFS_NAME_LEN_MAX)
		return -ENAMETOOLONG;
	return cfs_is_utf8(name->name, name->len) ? 0 : -EILSEQ;
}

/* ---- lookup ---- */
static int cfs_lookup_call(struct inode *dir, const struct qstr *name, struct cfs_attr *attr,
			   u64 *seq)
{
	struct cfs_call *call = cfs_inode_call(dir, CFS_OP_LOOKUP);
	int ret;

	if (!call)
		return -ENOMEM;
	cfs_call_name(call, name->name, name->len);
	ret = cfs_call_sync(call);
	if (ret >= 0)
		ret = cfs_call_fixed(call, attr, sizeof(*attr));
	*seq = call->req.seq;
	cfs_call_put(call);
	trace_cfs_lookup(dir->i_ino, name, ret, ret < 0 ? 0 : attr->ino);
	return min(ret, 0);
}

/*
 * The caller is about to create the name and may: the server's refusal tells as much as a lookup.
 */
static bool cfs_lookup_is_needless(struct inode *dir, unsigned int flags)
{
	return (flags & (LOOKUP_CREATE | LOOKUP_EXCL)) == (LOOKUP_CREATE | LOOKUP_EXCL) &&
	       !inode_permission(&nop_mnt_idmap, dir, MAY_WRITE | MAY_EXEC);
}

static struct dentry *cfs_lookup(struct inode *dir, struct dentry *dentry, unsigned int flags)
{
	const struct qstr *name = &dentry->d_name;
	u32 epoch = cfs_names_epoch(dir);
	struct inode *inode = NULL;
	struct cfs_attr attr = {};
	struct dentry *alias;
	int ret = -ENOENT;
	u64 seq;

	if (name->len > CFS_NAME_LEN_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	cfs_stamp_expire(dentry);
	if (cfs_is_utf8(name->name, name->len) && !cfs_lookup_is_needless(dir, flags))
		ret = cfs_lookup_call(dir, name, &attr, &seq);
	if (!ret)
		inode = cfs_iget(dir->i_sb, &attr, seq);
	else if (ret != -ENOENT)
		return ERR_PTR(ret);
	/* A missing name becomes a negative dentry that is never believed. */
	alias = d_splice_alias(inode, dentry);
	if (!IS_ERR_OR_NULL(inode) && !IS_ERR(alias))
		cfs_stamp(alias ?: dentry, epoch, attr.entry_valid_ms);
	return alias;
}

/* Ask whether @name still is @dentry's inode. 1: yes, 0: no. */
static int cfs_revalidate_call(struct inode *dir, const struct qstr *name, struct dentry *dentry)
{
	struct inode *inode = d_inode(dentry);
	u32 epoch = cfs_names_epoch(dir);
	struct cfs_attr attr;
	u64 seq;
	int ret = cfs_lookup_call(dir, name, &attr, &seq);

	if (ret)
		return ret == -ENOENT ? 0 : ret;
	if (!inode || attr.ino != inode->i_ino || inode_wrong_type(inode, attr.mode))
		return 0;
	cfs_inode_apply(inode, &attr, seq);
	/* Without i_rwsem, a local change of this name may have overtaken the answer. */
	if (!cfs_changed_since(CFS_SB(dir->i_sb), dir->i_ino, seq))
		cfs_stamp(dentry, epoch, attr.entry_valid_ms);
	return 1;
}

/*
 * 1: the name may be used; 0: look it up anew; -ECHILD: not to be decided under RCU. A negative
 * dentry whose time is over is dropped, not asked about: the lookup that follows does that.
 */
static int cfs_revalidate(struct inode *dir, const struct qstr *name, struct dentry *dentry,
			  unsigned int flags)
{
	if (cfs_stamp_is_valid(dentry, dir))
		return 1;
	if (flags & LOOKUP_RCU)
		return -ECHILD;
	if (d_really_is_negative(dentry))
		return 0;
	return cfs_revalidate_call(dir, name, dentry);
}

static CFS_D_REVALIDATE_FN(cfs_d_revalidate)
{
	return CFS_D_REVALIDATE_CALL(cfs_revalidate);
}

const struct dentry_operations cfs_dentry_ops = {
	.d_revalidate	= cfs_d_revalidate,
};

/* ---- changes ---- */
/*
 * The names of a directory changed by @entries: what the servers do to its attributes, until they
 * are asked.
 */
static void cfs_dir_changed(struct inode *dir, int entries)
{
	inode_set_mtime_to_ts(dir, inode_set_ctime_current(dir));
	if (entries > 0)
		inc_nlink(dir);
	else if (entries < 0 && dir->i_nlink > 2)
		drop_nlink(dir);
	cfs_attrs_expire(dir);
}

struct cfs_create {
	umode_t mode;		/* with type, umask applied */
	const char *target;	/* of a symlink, else NULL */
};

/*
 * Owner of a new inode. Source: POSIX open(), mkdir(); set-group-id directories as
 * inode_init_owner().
 */
static void cfs_create_fill(struct mnt_idmap *idmap, struct inode *dir, const struct cfs_create *c,
			    struct cfs_req *r)
{
	kgid_t gid = mapped_fsgid(idmap, i_user_ns(dir));
	umode_t mode = c->mode;

	if (dir->i_mode & S_ISGID) {
		gid = dir->i_gid;
		if (S_ISDIR(mode))
			mode |= S_ISGID;
	}
	r->uid = from_kuid(&init_user_ns, mapped_fsuid(idmap, i_user_ns(dir)));
	r->create.gid = from_kgid(&init_user_ns, gid);
	r->create.mode = mode;
}

static int cfs_create_call(struct mnt_idmap *idmap, struct inode *dir, const struct qstr *name,
			   const struct cfs_create *c, struct cfs_attr *attr, u64 *seq)
{
	struct cfs_sb *csb = CFS_SB(dir->i_sb);
	struct cfs_call *call = cfs_inode_call(dir, CFS_OP_CREATE);
	int ret;

	if (!call)
		return -ENOMEM;
	cfs_create_fill(idmap, dir, c, &call->req);
	cfs_call_name(call, name->name, name->len);
	if (c->target)
		cfs_call_data(call, c->target, strlen(c->target));
	cfs_change(csb, dir->i_ino);
	ret = cfs_call_sync(call);
	if (ret >= 0)
		ret = cfs_call_fixed(call, attr, sizeof(*attr));
	cfs_change(csb, dir->i_ino);
	*seq = call->req.seq;
	cfs_call_put(call);
	return min(ret, 0);
}

static int cfs_create_inode(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
			    const struct cfs_create *c)
{
	u32 epoch = cfs_names_epoch(dir);
	struct cfs_attr attr;
	struct inode *inode;
	u64 seq;
	int ret = cfs_check_new_name(&dentry->d_name);

	if (ret)
		return ret;
	cfs_stamp_expire(dentry);
	ret = cfs_create_call(idmap, dir, &dentry->d_name, c, &attr, &seq);
	if (ret) {
		cfs_attrs_expire(dir);
		return ret;
	}
	cfs_dir_changed(dir, 1);
	inode = cfs_iget(dir->i_sb, &attr, seq);
	if (IS_ERR(inode))
		return PTR_ERR(inode);
	if (inode_wrong_type(inode, c->mode)) {
		iput(inode);
		return -EPROTO;
	}
	d_instantiate(dentry, inode);
	cfs_stamp(dentry, epoch, attr.entry_valid_ms);
	return 0;
}

static CFS_CREATE_FN(cfs_create)
{
	struct cfs_create c = { .mode = S_IFREG | (mode & S_IALLUGO) };

	return cfs_create_inode(idmap, dir, dentry, &c);
}

static CFS_MKDIR_FN(cfs_mkdir)
{
	struct cfs_create c = { .mode = S_IFDIR | (mode & S_IALLUGO) };

	return CFS_MKDIR_RESULT(cfs_create_inode(idmap, dir, dentry, &c));
}

static int cfs_symlink(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
		       const char *target)
{
	struct cfs_create c = { .mode = S_IFLNK | 0777, .target = target };

	return strlen(target) > CFS_LINK_LEN_MAX ? -ENAMETOOLONG :
		cfs_create_inode(idmap, dir, dentry, &c);
}

/* Servers keep no device numbers. */
static int cfs_mknod(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
		     umode_t mode, dev_t dev)
{
	struct cfs_create c = { .mode = mode };

	return S_ISCHR(mode) || S_ISBLK(mode) ? -EPERM : cfs_create_inode(idmap, dir, dentry, &c);
}

/*
 * Another host made the name between our lookup and our create, and the caller does not mind: open
 * that one. Returns what finish_no_open() takes.
 */
static struct dentry *cfs_lookup_again(struct inode *dir, struct dentry *dentry)
{
	d_drop(dentry);
	return cfs_lookup(dir, dentry, 0);
}

/*
 * With O_CREAT: make the file and open it. Anything else: look it up and leave the rest to the VFS.
 */
static int cfs_atomic_open(struct inode *dir, struct dentry *dentry, struct file *file,
			   unsigned int open_flag, umode_t mode)
{
	struct cfs_create c = { .mode = S_IFREG | (mode & S_IALLUGO) };
	struct dentry *alias = NULL;
	int ret;

	if (d_in_lookup(dentry)) {
		alias = cfs_lookup(dir, dentry, open_flag & O_CREAT && open_flag & O_EXCL ?
				   LOOKUP_CREATE | LOOKUP_EXCL : 0);
		if (IS_ERR(alias))
			return PTR_ERR(alias);
	}
	if (!(open_flag & O_CREAT) || d_really_is_positive(alias ?: dentry))
		return finish_no_open(file, alias);
	ret = cfs_create_inode(file_mnt_idmap(file), dir, dentry, &c);
	if (!ret) {
		file->f_mode |= FMODE_CREATED;
		return finish_open(file, dentry, NULL);
	}
	if (ret != -EEXIST || open_flag & O_EXCL)
		return ret;
	alias = cfs_lookup_again(dir, dentry);
	return IS_ERR(alias) ? PTR_ERR(alias) : finish_no_open(file, alias);
}

/* ---- removal ---- */
/*
 * A link to @inode is gone; @attr is what the server said of it. When it was the last one the
 * prepared EVICT becomes owed, else it is dropped.
 */
static void cfs_link_removed(struct inode *inode, const struct cfs_attr *attr,
			     struct cfs_call *evict)
{
	bool told = attr->ino == inode->i_ino;

	spin_lock(&inode->i_lock);
	if (S_ISDIR(inode->i_mode) || (told && !attr->nlink))
		clear_nlink(inode);
	else if (told)
		set_nlink(inode, attr->nlink);
	else if (inode->i_nlink)
		drop_nlink(inode);
	inode_set_ctime_current(inode);
	CFS_I(inode)->attr_until = 0;
	if (!inode->i_nlink && !CFS_I(inode)->evict_call)
		swap(CFS_I(inode)->evict_call, evict);
	spin_unlock(&inode->i_lock);
	cfs_call_put(evict);
}

/* Made before the link is removed, since it may be sent in reclaim. */
static struct cfs_call *cfs_evict_prepare(struct inode *inode)
{
	struct cfs_call *evict = cfs_inode_call(inode, CFS_OP_EVICT);

	if (evict)
		evict->done = cfs_call_put;
	return evict;
}

static int cfs_unlink_call(struct inode *dir, struct dentry *dentry, u32 flags,
			   struct cfs_attr *attr)
{
	struct cfs_sb *csb = CFS_SB(dir->i_sb);
	struct inode *inode = d_inode(dentry);
	struct cfs_call *call = cfs_inode_call(dir, CFS_OP_UNLINK);
	int ret;

	if (!call)
		return -ENOMEM;
	cfs_call_name(call, dentry->d_name.name, dentry->d_name.len);
	call->req.unlink.flags = flags;
	call->req.unlink.child = inode->i_ino;
	cfs_change(csb, dir->i_ino);
	cfs_change(csb, inode->i_ino);
	ret = cfs_call_sync(call);
	if (ret >= 0)
		ret = cfs_call_fixed(call, attr, sizeof(*attr));
	cfs_change(csb, inode->i_ino);
	cfs_change(csb, dir->i_ino);
	cfs_call_put(call);
	return min(ret, 0);
}

static int cfs_remove(struct inode *dir, struct dentry *dentry, u32 flags)
{
	struct inode *inode = d_inode(dentry);
	struct cfs_call *evict = cfs_evict_prepare(inode);
	struct cfs_attr attr;
	int ret;

	if (!evict)
		return -ENOMEM;
	ret = cfs_unlink_call(dir, dentry, flags, &attr);
	cfs_stamp_expire(dentry);
	if (ret) {
		cfs_attrs_expire(dir);
		cfs_call_put(evict);
		return ret;
	}
	cfs_dir_changed(dir, -1);
	cfs_link_removed(inode, &attr, evict);
	return 0;
}

static int cfs_unlink(struct inode *dir, struct dentry *dentry)
{
	return cfs_remove(dir, dentry, 0);
}

static int cfs_rmdir(struct inode *dir, struct dentry *dentry)
{
	return cfs_remove(dir, dentry, CFS_UNLINK_DIR);
}

/* ---- rename and link ---- */
struct cfs_rename {
	struct inode *old_dir, *new_dir;
	struct dentry *old, *new;
	u32 flags;		/* CFS_RENAME_* */
};

/* Before and after: everything whose attributes or names the rename touches. */
static void cfs_rename_change(const struct cfs_rename *r)
{
	struct cfs_sb *csb = CFS_SB(r->old_dir->i_sb);

	cfs_change(csb, r->old_dir->i_ino);
	cfs_change(csb, r->new_dir->i_ino);
	cfs_change(csb, d_inode(r->old)->i_ino);
	if (d_really_is_positive(r->new))
		cfs_change(csb, d_inode(r->new)->i_ino);
}

static int cfs_rename_call(const struct cfs_rename *r, struct cfs_attr *attr)
{
	struct cfs_call *call = cfs_inode_call(r->old_dir, CFS_OP_RENAME);
	int ret;

	if (!call)
		return -ENOMEM;
	cfs_call_name(call, r->old->d_name.name, r->old->d_name.len);
	call->name2 = r->new->d_name.name;
	call->req.name2_len = r->new->d_name.len;
	call->req.rename.new_dir = r->new_dir->i_ino;
	call->req.rename.child = d_inode(r->old)->i_ino;
	if (d_really_is_positive(r->new))
		call->req.rename.target = d_inode(r->new)->i_ino;
	call->req.rename.flags = r->flags;
	cfs_rename_change(r);
	ret = cfs_call_sync(call);
	if (ret >= 0)
		ret = cfs_call_fixed(call, attr, sizeof(*attr));
	cfs_rename_change(r);
	cfs_call_put(call);
	return min(ret, 0);
}

static void cfs_rename_done(const struct cfs_rename *r, const struct cfs_attr *attr,
			    struct cfs_call *evict)
{
	struct inode *target = d_inode(r->new);

	inode_set_ctime_current(d_inode(r->old));
	cfs_dir_changed(r->old_dir, -1);
	cfs_dir_changed(r->new_dir, target ? 0 : 1);
	if (target)
		cfs_link_removed(target, attr, evict);
	/* The VFS moves this dentry to the new name next. */
	cfs_stamp(r->old, cfs_names_epoch(r->new_dir), attr->entry_valid_ms);
	cfs_stamp_expire(r->new);
}

static int cfs_rename(struct mnt_idmap *idmap, struct inode *old_dir, struct dentry *old_dentry,
		      struct inode *new_dir, struct dentry *new_dentry, unsigned int flags)
{
	struct cfs_rename r = { old_dir, new_dir, old_dentry, new_dentry,
				flags & RENAME_NOREPLACE ? CFS_RENAME_NOREPLACE : 0 };
	struct cfs_call *evict = NULL;
	struct cfs_attr attr;
	int ret = cfs_check_new_name(&new_dentry->d_name);

	if (flags & ~RENAME_NOREPLACE)
		return -EINVAL;
	if (ret)
		return ret;
	if (d_really_is_positive(new_dentry)) {
		evict = cfs_evict_prepare(d_inode(new_dentry));
		if (!evict)
			return -ENOMEM;
	}
	ret = cfs_rename_call(&r, &attr);
	if (!ret) {
		cfs_rename_done(&r, &attr, evict);
		return 0;
	}
	cfs_stamp_expire(old_dentry);
	cfs_stamp_expire(new_dentry);
	cfs_attrs_expire(old_dir);
	cfs_attrs_expire(new_dir);
	cfs_call_put(evict);
	return ret;
}

static int cfs_link_call(struct inode *inode, struct inode *dir, const struct qstr *name,
			 struct cfs_attr *attr)
{
	struct cfs_sb *csb = CFS_SB(dir->i_sb);
	struct cfs_call *call = cfs_inode_call(inode, CFS_OP_LINK);
	u64 seq;
	int ret;

	if (!call)
		return -ENOMEM;
	cfs_call_name(call, name->name, name->len);
	call->req.link.dir = dir->i_ino;
	cfs_change(csb, dir->i_ino);
	seq = cfs_change(csb, inode->i_ino);
	ret = cfs_call_sync(call);
	if (ret >= 0)
		ret = cfs_call_fixed(call, attr, sizeof(*attr));
	if (ret >= 0)
		cfs_inode_apply(inode, attr, seq);
	cfs_change(csb, inode->i_ino);
	cfs_change(csb, dir->i_ino);
	cfs_call_put(call);
	return min(ret, 0);
}

static int cfs_link(struct dentry *old_dentry, struct inode *dir, struct dentry *dentry)
{
	struct inode *inode = d_inode(old_dentry);
	u32 epoch = cfs_names_epoch(dir);
	struct cfs_attr attr;
	int ret = cfs_check_new_name(&dentry->d_name);

	if (ret)
		return ret;
	cfs_stamp_expire(dentry);
	ret = cfs_link_call(inode, dir, &dentry->d_name, &attr);
	if (ret) {
		cfs_attrs_expire(dir);
		cfs_attrs_expire(inode);
		return ret;
	}
	cfs_dir_changed(dir, 1);
	inode_set_ctime_current(inode);
	ihold(inode);
	d_instantiate(dentry, inode);
	cfs_stamp(dentry, epoch, attr.entry_valid_ms);
	return 0;
}

/* ---- symbolic links ---- */
static char *cfs_readlink_call(struct inode *inode)
{
	struct cfs_call *call = cfs_inode_call(inode, CFS_OP_READLINK);
	char *target;
	int ret;

	if (!call)
		return ERR_PTR(-ENOMEM);
	call->reply_max = CFS_LINK_LEN_MAX;
	ret = cfs_call_sync(call);
	if (ret < 0)
		target = ERR_PTR(ret);
	else if (!call->reply_len || memchr(call->reply, 0, call->reply_len))
		target = ERR_PTR(-EPROTO);
	else
		target = kmemdup_nul(call->reply, call->reply_len, GFP_KERNEL) ?: ERR_PTR(-ENOMEM);
	cfs_call_put(call);
	return target;
}

/* A target never changes, so it is kept with the inode. */
static const char *cfs_get_link(struct dentry *dentry, struct inode *inode,
				struct delayed_call *done)
{
	const char *target = READ_ONCE(inode->i_link), *other;

	if (target)
		return target;
	if (!dentry)
		return ERR_PTR(-ECHILD);
	target = cfs_readlink_call(inode);
	if (IS_ERR(target))
		return target;
	other = cmpxchg_release(&inode->i_link, NULL, (char *)target);
	if (!other)
		return target;
	kfree(target);
	return other;
}

const struct inode_operations cfs_symlink_iops = {
	.get_link	= cfs_get_link,
	.getattr	= cfs_getattr,
	.setattr	= cfs_setattr,
	.listxattr	= cfs_listxattr,
};

const struct inode_operations cfs_dir_iops = {
	.lookup		= cfs_lookup,
	.create		= cfs_create,
	.atomic_open	= cfs_atomic_open,
	.mkdir		= cfs_mkdir,
	.symlink	= cfs_symlink,
	.mknod		= cfs_mknod,
	.link		= cfs_link,
	.unlink		= cfs_unlink,
	.rmdir		= cfs_rmdir,
	.rename		= cfs_rename,
	.getattr	= cfs_getattr,
	.setattr	= cfs_setattr,
	.listxattr	= cfs_listxattr,
};
