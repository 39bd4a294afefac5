// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: changing names.
 *
 * Purpose   Creation, removal, rename, symbolic links. Finding names is lookup.c, listing
 *           readdir.c.
 * Lifetime  A file that loses its last name here, or never had one, carries a prepared EVICT call:
 *           see inode.c.
 * Locks     The VFS holds i_rwsem of the directories.
 * Contexts  Process.
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
#include <linux/namei.h>
#include <linux/posix_acl.h>
#include <linux/slab.h>
#include "cfs.h"
#include "compat.h"
#include "optrace.h"

/* ---- changes ---- */
/*
 * A change of a name has ended, and the other mounts of the volume forget what they know of it.
 * Returns as cfs_change_end().
 */
static u64 cfs_name_changed(struct cfs_sb *csb, u64 dir, const struct qstr *name, u64 begun)
{
	u64 seq = cfs_change_end(csb, dir, begun);

	cfs_peers_name_changed(csb, dir, name);
	return seq;
}

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

/* How long the new name of an inode is believed, after the answer that made it. */
static u32 cfs_name_lifetime(struct dentry *parent, const struct inode *inode,
			     const struct cfs_attr *answer)
{
	struct cfs_attr attr = {
		.ino = inode->i_ino,
		.mode = inode->i_mode,
		.entry_valid_ms = answer->entry_valid_ms,
	};

	cfs_policy_fill(parent, d_inode(parent), &attr, false);
	return attr.entry_valid_ms;
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

/* What a create answered. */
struct cfs_created {
	struct cfs_attr attr;
	u64 seq;		/* of the attributes */
	u64 name_seq;		/* of the name */
};

/* @name: NULL for a file without one, which leaves the directory as it is. */
static int cfs_create_call(struct mnt_idmap *idmap, struct inode *dir, const struct qstr *name,
			   const struct cfs_create *c, struct cfs_created *made)
{
	struct cfs_sb *csb = CFS_SB(dir->i_sb);
	struct cfs_call *call = cfs_inode_call(dir, name ? CFS_OP_CREATE : CFS_OP_TMPFILE);
	u64 begun;
	int ret;

	if (!call)
		return -ENOMEM;
	cfs_create_fill(idmap, dir, c, &call->req);
	if (name)
		cfs_call_name(call, name->name, name->len);
	if (c->target)
		cfs_call_data(call, c->target, strlen(c->target));
	if (name)
		cfs_ahead_begin(dir, call);
	begun = cfs_change(csb, dir->i_ino);
	ret = cfs_call_sync(call);
	if (ret >= 0)
		ret = cfs_call_fixed(call, &made->attr, sizeof(made->attr));
	made->seq = call->req.seq;
	cfs_ahead_end(call);
	cfs_call_put(call);
	if (name)
		made->name_seq = cfs_name_changed(csb, dir->i_ino, name, begun);
	else
		cfs_change_end(csb, dir->i_ino, 0);
	return min(ret, 0);
}

/* The inode of what was made a moment ago, with the ACLs that it inherits. */
static struct inode *cfs_created_inode(struct inode *dir, const struct cfs_create *c,
				       const struct cfs_new_acls *acls,
				       const struct cfs_created *made)
{
	struct inode *inode = cfs_iget(dir->i_sb, &made->attr, made->seq);
	int ret;

	if (IS_ERR(inode))
		return inode;
	ret = inode_wrong_type(inode, c->mode) ? -EPROTO : cfs_acl_init(inode, acls);
	if (ret) {
		iput(inode);
		return ERR_PTR(ret);
	}
	spin_lock(&inode->i_lock);
	if (!cfs_changed_since(CFS_SB(dir->i_sb), inode->i_ino, made->seq)) {
		inode_has_no_xattr(inode);	/* no security.capability: writing need not ask */
		CFS_I(inode)->absent_xattrs = CFS_XATTR_CAPABILITY | CFS_XATTR_SELINUX;
	}
	spin_unlock(&inode->i_lock);
	if (S_ISDIR(inode->i_mode))
		WRITE_ONCE(CFS_I(inode)->parent, dir->i_ino);
	return inode;
}

/* The name of an undone creation is gone, or not: then its inode stays, too. */
static void cfs_undone(struct cfs_call *call)
{
	struct cfs_call *evict = call->priv;

	if (call->res >= 0)
		cfs_call_async(evict);
	else
		cfs_call_put(evict);
	cfs_name_changed(call->csb, call->req.ino,
			 &(struct qstr)QSTR_INIT(call->name, call->req.name_len), 0);
	cfs_call_put(call);
}

/*
 * A file whose ACLs could not be set would have more permissions than its directory says. Its
 * maker may have been killed, so nobody waits.
 */
static void cfs_create_undo(struct inode *dir, const struct qstr *name, const struct cfs_attr *attr)
{
	struct cfs_call *call = cfs_inode_call(dir, CFS_OP_UNLINK);
	struct cfs_call *evict = cfs_inode_call(dir, CFS_OP_EVICT);
	char *copy = kmemdup(name->name, name->len, GFP_KERNEL);

	if (!call || !evict || !copy) {
		cfs_call_put(call);
		cfs_call_put(evict);
		kfree(copy);
		return;
	}
	evict->req.ino = attr->ino;
	evict->done = cfs_call_put;
	cfs_call_name(call, copy, name->len);
	call->own_data = true;
	call->req.unlink.flags = S_ISDIR(attr->mode) ? CFS_UNLINK_DIR : 0;
	call->req.unlink.child = attr->ino;
	call->priv = evict;
	call->done = cfs_undone;
	cfs_change(CFS_SB(dir->i_sb), dir->i_ino);
	cfs_call_async(call);
}

static int cfs_create_named(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
			    const struct cfs_create *c, const struct cfs_new_acls *acls)
{
	u32 epoch = cfs_names_epoch(dir);
	struct cfs_created made;
	struct inode *inode;
	int ret;

	cfs_stamp_expire(dentry);
	ret = cfs_create_call(idmap, dir, &dentry->d_name, c, &made);
	if (ret) {
		cfs_attrs_expire(dir);
		return ret;
	}
	cfs_policy_fill(dentry->d_parent, dir, &made.attr, false);
	inode = cfs_created_inode(dir, c, acls, &made);
	if (IS_ERR(inode)) {
		cfs_create_undo(dir, &dentry->d_name, &made.attr);
		cfs_attrs_expire(dir);
		return PTR_ERR(inode);
	}
	cfs_dir_changed(dir, 1);
	d_instantiate(dentry, inode);
	cfs_stamp(dentry, dir, epoch, made.attr.entry_valid_ms, made.name_seq);
	return 0;
}

static int cfs_create_inode(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
			    struct cfs_create *c)
{
	struct cfs_new_acls acls;
	int ret = cfs_check_new_name(&dentry->d_name);

	if (!ret)
		ret = posix_acl_create(dir, &c->mode, &acls.preset, &acls.access);
	if (ret)
		return ret;
	ret = cfs_create_named(idmap, dir, dentry, c, &acls);
	posix_acl_release(acls.preset);
	posix_acl_release(acls.access);
	return ret;
}

CFS_TOLD(static, int, cfs_create_inode, CFS_VFS_CREATE, dir, ret,
	 (struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, struct cfs_create *c),
	 (idmap, dir, dentry, c))

static CFS_CREATE_FN(cfs_create)
{
	struct cfs_create c = { .mode = S_IFREG | (mode & S_IALLUGO) };

	return cfs_create_inode_op(idmap, dir, dentry, &c);
}

static CFS_MKDIR_FN(cfs_mkdir)
{
	struct cfs_create c = { .mode = S_IFDIR | (mode & S_IALLUGO) };

	return CFS_MKDIR_RESULT(cfs_create_inode_op(idmap, dir, dentry, &c));
}

static int cfs_symlink(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
		       const char *target)
{
	struct cfs_create c = { .mode = S_IFLNK | 0777, .target = target };

	return strlen(target) > CFS_LINK_LEN_MAX ? -ENAMETOOLONG :
		cfs_create_inode_op(idmap, dir, dentry, &c);
}

/* Servers keep no device numbers. */
static int cfs_mknod(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
		     umode_t mode, dev_t dev)
{
	struct cfs_create c = { .mode = mode };

	return S_ISCHR(mode) || S_ISBLK(mode) ? -EPERM : cfs_create_inode_op(idmap, dir, dentry, &c);
}

/*
 * Another host made the name between our lookup and our create, and the caller does not mind: open
 * that one. Returns what finish_no_open() takes.
 */
static struct dentry *cfs_lookup_again(struct inode *dir, struct dentry *dentry)
{
	d_drop(dentry);
	return cfs_lookup(dir, dentry, LOOKUP_OPEN);
}

/* What a lookup should know. Of a file that will be empty, nobody wants the extents. */
static unsigned int cfs_open_intent(unsigned int open_flag)
{
	if ((open_flag & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return LOOKUP_CREATE | LOOKUP_EXCL;
	if (open_flag & O_TRUNC)
		return LOOKUP_CREATE;		/* of a name that is not just believed */
	return open_flag & O_DIRECTORY ? 0 : LOOKUP_OPEN;
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
		alias = cfs_lookup(dir, dentry, cfs_open_intent(open_flag));
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

/* Made before the last link is removed, or before a file without one is made: it must not fail then. */
static struct cfs_call *cfs_evict_prepare(struct inode *inode)
{
	struct cfs_call *evict = cfs_inode_call(inode, CFS_OP_EVICT);

	if (evict)
		evict->done = cfs_call_put;
	return evict;
}

/* ---- files without a name ---- */
static struct inode *cfs_tmpfile_make(struct mnt_idmap *idmap, struct inode *dir,
				      const struct cfs_create *c, const struct cfs_new_acls *acls)
{
	struct cfs_call *evict = cfs_evict_prepare(dir);
	struct cfs_created made;
	struct inode *inode;
	int ret;

	if (!evict)
		return ERR_PTR(-ENOMEM);
	ret = cfs_create_call(idmap, dir, NULL, c, &made);
	if (ret) {
		cfs_call_put(evict);
		return ERR_PTR(ret);
	}
	made.attr.nlink = 1;		/* d_tmpfile() takes it away */
	evict->req.ino = made.attr.ino;
	inode = cfs_created_inode(dir, c, acls, &made);
	if (IS_ERR(inode)) {
		cfs_call_async(evict);
		return inode;
	}
	spin_lock(&inode->i_lock);
	swap(CFS_I(inode)->evict_call, evict);
	spin_unlock(&inode->i_lock);
	cfs_call_put(evict);
	return inode;
}

/* O_TMPFILE. linkat() may give it a name later; else it goes with its last close. */
static int cfs_tmpfile(struct mnt_idmap *idmap, struct inode *dir, struct file *file, umode_t mode)
{
	struct cfs_create c = { .mode = S_IFREG | (mode & S_IALLUGO) };
	struct cfs_new_acls acls;
	struct inode *inode;
	int ret = posix_acl_create(dir, &c.mode, &acls.preset, &acls.access);

	if (ret)
		return ret;
	inode = cfs_tmpfile_make(idmap, dir, &c, &acls);
	posix_acl_release(acls.preset);
	posix_acl_release(acls.access);
	if (IS_ERR(inode))
		return PTR_ERR(inode);
	d_tmpfile(file, inode);
	file->f_mode |= FMODE_CREATED;
	return finish_open_simple(file, 0);
}

/* ---- removal ---- */
/*
 * A link to @inode is gone; @attr is what the server said of it. When it was the last one the
 * prepared EVICT becomes owed, else it is dropped. A directory that the server kept went to the
 * trash: dead here, but not to be evicted there.
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
	if (!inode->i_nlink && !(told && attr->nlink) && !CFS_I(inode)->evict_call)
		swap(CFS_I(inode)->evict_call, evict);
	spin_unlock(&inode->i_lock);
	cfs_call_put(evict);
}

/* Its only link, and open nowhere: nobody sees when the server's link count falls. */
static bool cfs_link_is_last(struct dentry *dentry)
{
	return !d_is_dir(dentry) && d_inode(dentry)->i_nlink == 1 && d_count(dentry) == 1;
}

/*
 * The answer is there, or none will come: what was asked before is old in any case. Returns 0, then
 * @attr is filled and @evict knows what it owes, or -errno.
 */
static int cfs_unlink_answered(struct cfs_call *call, struct cfs_call *evict, struct cfs_attr *attr)
{
	int ret = cfs_call_fixed(call, attr, sizeof(*attr));

	cfs_change_end(call->csb, call->req.unlink.child, 0);
	cfs_name_changed(call->csb, call->req.ino,
			 &(struct qstr)QSTR_INIT(call->name, call->req.name_len), 0);
	if (ret == CFS_UNLINK_LEFT)
		evict->req.evict.flags = CFS_EVICT_UNLINK;
	return min(ret, 0);
}

/* Its caller was killed, but what it asked for has been done, or not. */
static void cfs_unlink_late(struct cfs_call *call)
{
	struct cfs_call *evict = call->priv;
	struct inode *inode = evict->priv;
	struct cfs_attr attr;

	if (cfs_unlink_answered(call, evict, &attr)) {
		cfs_call_put(evict);
	} else {
		cfs_link_removed(inode, &attr, evict);
		d_prune_aliases(inode);		/* the VFS has kept the name */
	}
	cfs_inode_release(inode);
	cfs_call_put(call);
}

static struct cfs_call *cfs_unlink_call(struct inode *dir, struct dentry *dentry, u32 flags)
{
	struct cfs_call *call = cfs_inode_call(dir, CFS_OP_UNLINK);

	if (!call)
		return NULL;
	cfs_call_name(call, dentry->d_name.name, dentry->d_name.len);
	call->req.unlink.flags = flags | (cfs_link_is_last(dentry) ? CFS_UNLINK_LATER : 0);
	call->req.unlink.child = d_inode(dentry)->i_ino;
	call->late = cfs_unlink_late;
	cfs_change(call->csb, call->req.ino);
	cfs_change(call->csb, call->req.unlink.child);
	return call;
}

static int cfs_remove(struct inode *dir, struct dentry *dentry, u32 flags)
{
	struct inode *inode = d_inode(dentry);
	struct cfs_call *evict = cfs_evict_prepare(inode);
	struct cfs_call *call = cfs_unlink_call(dir, dentry, flags);
	struct cfs_attr attr;
	int ret = -ENOMEM;

	if (!call || !evict)
		goto out;
	call->priv = evict;
	evict->priv = inode;
	cfs_inode_hold(inode);
	ret = cfs_call_sync(call);
	cfs_stamp_expire(dentry);
	if (call->done) {		/* cfs_unlink_late() has @evict and @inode */
		evict = NULL;
	} else {
		int err = cfs_unlink_answered(call, evict, &attr);

		ret = ret < 0 ? ret : err;
		cfs_inode_release(inode);
	}
	if (ret < 0) {
		cfs_attrs_expire(dir);
		goto out;
	}
	cfs_dir_changed(dir, -1);
	cfs_link_removed(inode, &attr, evict);
	evict = NULL;
out:
	cfs_call_put(evict);
	cfs_call_put(call);
	return ret;
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

/*
 * Before and after: everything whose attributes or names the rename touches; the new name's
 * directory comes last in the one case, first in the other.
 */
static u64 cfs_rename_begin(const struct cfs_rename *r)
{
	struct cfs_sb *csb = CFS_SB(r->old_dir->i_sb);

	cfs_change(csb, r->old_dir->i_ino);
	cfs_change(csb, d_inode(r->old)->i_ino);
	if (d_really_is_positive(r->new))
		cfs_change(csb, d_inode(r->new)->i_ino);
	return cfs_change(csb, r->new_dir->i_ino);
}

static u64 cfs_rename_end(const struct cfs_rename *r, u64 begun)
{
	struct cfs_sb *csb = CFS_SB(r->old_dir->i_sb);
	u64 seq = cfs_name_changed(csb, r->new_dir->i_ino, &r->new->d_name, begun);

	if (r->old_dir != r->new_dir)
		cfs_change_end(csb, r->old_dir->i_ino, 0);
	cfs_peers_name_changed(csb, r->old_dir->i_ino, &r->old->d_name);
	cfs_change_end(csb, d_inode(r->old)->i_ino, 0);
	if (d_really_is_positive(r->new))
		cfs_change_end(csb, d_inode(r->new)->i_ino, 0);
	return seq;
}

/* *@seq: of the new name. */
static int cfs_rename_call(const struct cfs_rename *r, struct cfs_attr *attr, u64 *seq)
{
	struct cfs_call *call = cfs_inode_call(r->old_dir, CFS_OP_RENAME);
	u64 begun;
	int ret;

	if (!call)
		return -ENOMEM;
	cfs_call_name(call, r->old->d_name.name, r->old->d_name.len);
	call->name2 = r->new->d_name.name;
	call->req.name2_len = r->new->d_name.len;
	call->req.rename.new_dir = r->new_dir->i_ino;
	call->req.rename.child = d_inode(r->old)->i_ino;
	call->req.rename.child_mode = d_inode(r->old)->i_mode;
	if (d_really_is_positive(r->new)) {
		call->req.rename.target = d_inode(r->new)->i_ino;
		call->req.rename.target_mode = d_inode(r->new)->i_mode;
	}
	/* The VFS has looked it up, to check permissions. */
	call->req.rename.flags = r->flags | CFS_RENAME_TARGET_KNOWN;
	begun = cfs_rename_begin(r);
	ret = cfs_call_ask(call, attr, sizeof(*attr), NULL);
	*seq = cfs_rename_end(r, begun);
	return ret;
}

static void cfs_rename_done(const struct cfs_rename *r, const struct cfs_attr *attr, u64 seq,
			    struct cfs_call *evict)
{
	struct inode *target = d_inode(r->new);

	inode_set_ctime_current(d_inode(r->old));
	if (d_is_dir(r->old))
		WRITE_ONCE(CFS_I(d_inode(r->old))->parent, r->new_dir->i_ino);
	cfs_dir_changed(r->old_dir, -1);
	cfs_dir_changed(r->new_dir, target ? 0 : 1);
	if (target)
		cfs_link_removed(target, attr, evict);
	cfs_stamp_expire(r->new);
	/*
	 * The VFS moves the old dentry to the new name next. Until then no other mount finds it by
	 * that name to expire it.
	 */
	if (cfs_has_peers(CFS_SB(r->old_dir->i_sb)))
		cfs_stamp_expire(r->old);
	else
		cfs_stamp(r->old, r->new_dir, cfs_names_epoch(r->new_dir),
			  cfs_name_lifetime(r->new->d_parent, d_inode(r->old), attr), seq);
}

static int cfs_rename(struct mnt_idmap *idmap, struct inode *old_dir, struct dentry *old_dentry,
		      struct inode *new_dir, struct dentry *new_dentry, unsigned int flags)
{
	struct cfs_rename r = { old_dir, new_dir, old_dentry, new_dentry,
				flags & RENAME_NOREPLACE ? CFS_RENAME_NOREPLACE : 0 };
	struct cfs_call *evict = NULL;
	struct cfs_attr attr;
	u64 seq;
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
	ret = cfs_rename_call(&r, &attr, &seq);
	if (!ret) {
		cfs_rename_done(&r, &attr, seq, evict);
		return 0;
	}
	cfs_stamp_expire(old_dentry);
	cfs_stamp_expire(new_dentry);
	cfs_attrs_expire(old_dir);
	cfs_attrs_expire(new_dir);
	cfs_call_put(evict);
	return ret;
}

/* *@name_seq: of the name. */
static int cfs_link_call(struct inode *inode, struct inode *dir, const struct qstr *name,
			 struct cfs_attr *attr, u64 *name_seq)
{
	struct cfs_sb *csb = CFS_SB(dir->i_sb);
	struct cfs_call *call = cfs_inode_call(inode, CFS_OP_LINK);
	u64 seq, begun;
	int ret;

	if (!call)
		return -ENOMEM;
	cfs_call_name(call, name->name, name->len);
	call->req.link.dir = dir->i_ino;
	begun = cfs_change(csb, dir->i_ino);
	seq = cfs_change(csb, inode->i_ino);
	ret = cfs_call_ask(call, attr, sizeof(*attr), NULL);
	seq = cfs_change_end(csb, inode->i_ino, seq);
	if (!ret)
		cfs_inode_apply(inode, attr, seq);
	*name_seq = cfs_name_changed(csb, dir->i_ino, name, begun);
	return ret;
}

/* A file that had no name got one: nothing is owed any more when its last user goes. */
static void cfs_link_added(struct inode *inode)
{
	struct cfs_call *evict = NULL;

	spin_lock(&inode->i_lock);
	if (!inode->i_nlink)
		set_nlink(inode, 1);	/* the server's answer was not taken, being too old */
	swap(CFS_I(inode)->evict_call, evict);
	inode_set_ctime_current(inode);
	spin_unlock(&inode->i_lock);
	cfs_call_put(evict);
}

static int cfs_link(struct dentry *old_dentry, struct inode *dir, struct dentry *dentry)
{
	struct inode *inode = d_inode(old_dentry);
	u32 epoch = cfs_names_epoch(dir);
	struct cfs_attr attr;
	u64 seq;
	int ret = cfs_check_new_name(&dentry->d_name);

	if (ret)
		return ret;
	cfs_stamp_expire(dentry);
	ret = cfs_link_call(inode, dir, &dentry->d_name, &attr, &seq);
	if (ret) {
		cfs_attrs_expire(dir);
		cfs_attrs_expire(inode);
		return ret;
	}
	cfs_dir_changed(dir, 1);
	cfs_link_added(inode);
	ihold(inode);
	d_instantiate(dentry, inode);
	cfs_stamp(dentry, dir, epoch, cfs_name_lifetime(dentry->d_parent, inode, &attr), seq);
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

/* ---- operations, told ---- */
CFS_TOLD(static, struct dentry *, cfs_lookup, CFS_VFS_LOOKUP, dir, PTR_ERR_OR_ZERO(ret),
	 (struct inode *dir, struct dentry *dentry, unsigned int flags), (dir, dentry, flags))
CFS_TOLD(static, int, cfs_atomic_open, CFS_VFS_OPEN, dir, ret,
	 (struct inode *dir, struct dentry *dentry, struct file *file, unsigned int open_flag,
	  umode_t mode), (dir, dentry, file, open_flag, mode))
CFS_TOLD(static, int, cfs_tmpfile, CFS_VFS_TMPFILE, dir, ret,
	 (struct mnt_idmap *idmap, struct inode *dir, struct file *file, umode_t mode),
	 (idmap, dir, file, mode))
CFS_TOLD(static, int, cfs_unlink, CFS_VFS_UNLINK, dir, ret,
	 (struct inode *dir, struct dentry *dentry), (dir, dentry))
CFS_TOLD(static, int, cfs_rmdir, CFS_VFS_RMDIR, dir, ret,
	 (struct inode *dir, struct dentry *dentry), (dir, dentry))
CFS_TOLD(static, int, cfs_rename, CFS_VFS_RENAME, old_dir, ret,
	 (struct mnt_idmap *idmap, struct inode *old_dir, struct dentry *old_dentry,
	  struct inode *new_dir, struct dentry *new_dentry, unsigned int flags),
	 (idmap, old_dir, old_dentry, new_dir, new_dentry, flags))
CFS_TOLD(static, int, cfs_link, CFS_VFS_LINK, dir, ret,
	 (struct dentry *old_dentry, struct inode *dir, struct dentry *dentry),
	 (old_dentry, dir, dentry))
CFS_TOLD(static, const char *, cfs_get_link, CFS_VFS_READLINK, inode, PTR_ERR_OR_ZERO(ret),
	 (struct dentry *dentry, struct inode *inode, struct delayed_call *done),
	 (dentry, inode, done))

const struct inode_operations cfs_symlink_iops = {
	.get_link	= cfs_get_link_op,
	.getattr	= cfs_getattr_op,
	.setattr	= cfs_setattr_op,
	.listxattr	= cfs_listxattr,
};

const struct inode_operations cfs_dir_iops = {
	.lookup		= cfs_lookup_op,
	.create		= cfs_create,
	.atomic_open	= cfs_atomic_open_op,
	.mkdir		= cfs_mkdir,
	.symlink	= cfs_symlink,
	.mknod		= cfs_mknod,
	.link		= cfs_link_op,
	.unlink		= cfs_unlink_op,
	.rmdir		= cfs_rmdir_op,
	.rename		= cfs_rename_op,
	.tmpfile	= cfs_tmpfile_op,
	.getattr	= cfs_getattr_op,
	.setattr	= cfs_setattr_op,
	.permission	= cfs_permission,
	.listxattr	= cfs_listxattr,
	.get_inode_acl	= cfs_get_inode_acl,
	.set_acl	= cfs_set_acl,
};
