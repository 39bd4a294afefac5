// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: inodes.
 *
 * Purpose   Inode life, getattr and setattr. What is believed of an inode is attr.c's.
 * Lifetime  struct cfs_inode is the VFS inode. Its data state (data.c) is made with it and freed in
 *           destroy_inode. An inode whose link count reached 0 here carries a prepared EVICT call,
 *           sent when the last user is gone: evicting neither allocates nor waits, since it may run
 *           in reclaim.
 * Locks     None of its own; i_lock for what attr.c guards with it.
 * Contexts  Process; evict also from shrinkers.
 * Failure   A change whose outcome is not known makes the attributes be asked for at next use.
 */
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/posix_acl.h>
#include <linux/slab.h>
#include <linux/stat.h>
#include "cfs.h"
#include "compat.h"
#include "optrace.h"

#define CFS_BLOCK_BITS	12		/* st_blksize 4096, as the FUSE client says */

static struct kmem_cache *cfs_inode_cache;

/* ---- inodes ---- */
static int cfs_inode_setup(struct inode *inode, const struct cfs_attr *attr)
{
	struct cfs_inode *ci = CFS_I(inode);

	inode->i_mode = attr->mode;
	inode->i_blkbits = CFS_BLOCK_BITS;
	inode->i_flags |= S_NOATIME;		/* servers keep none */
	ci->gen = attr->gen;			/* nothing is cached of any other */
	ci->pages_mtime = attr->mtime;
	switch (attr->mode & S_IFMT) {
	case S_IFREG:
		if (cfs_data_alloc(ci))
			return -ENOMEM;
		inode->i_op = &cfs_file_iops;
		inode->i_fop = &cfs_file_fops;
		cfs_data_setup(inode);
		break;
	case S_IFDIR:
		inode->i_op = &cfs_dir_iops;
		inode->i_fop = &cfs_dir_fops;
		break;
	case S_IFLNK:
		inode->i_op = &cfs_symlink_iops;
		break;
	default:
		inode->i_op = &cfs_file_iops;
		init_special_inode(inode, attr->mode, 0);
	}
	return 0;
}

/**
 * cfs_iget - inode of a server's attributes
 * @sb:   Super block.
 * @attr: Attributes; judged here.
 * @seq:  Sequence before they were asked for.
 *
 * Context: Process, sleeps.
 * Return:  A new or cached inode with a reference; -EPROTO for attributes that cannot be; -ESTALE
 *          when the number belonged to something else; -ENOMEM.
 */
struct inode *cfs_iget(struct super_block *sb, const struct cfs_attr *attr, u64 seq)
{
	struct inode *inode;
	int ret;

	if (!cfs_attr_is_valid(attr))
		return ERR_PTR(-EPROTO);
	inode = iget_locked(sb, attr->ino);
	if (!inode)
		return ERR_PTR(-ENOMEM);
	if (!cfs_inode_is_new(inode)) {
		if (inode_wrong_type(inode, attr->mode)) {
			iput(inode);
			return ERR_PTR(-ESTALE);
		}
		cfs_inode_apply(inode, attr, seq);
		return inode;
	}
	ret = cfs_inode_setup(inode, attr);
	if (ret) {
		iget_failed(inode);
		return ERR_PTR(ret);
	}
	cfs_attrs_begin(inode, attr, seq);
	cfs_fsc_setup(inode);
	unlock_new_inode(inode);
	return inode;
}

/**
 * cfs_iget_number - the inode with a number
 * @sb:  Super block.
 * @ino: Number, from a file handle: it may never have existed.
 *
 * Context: Process, sleeps; killable.
 * Return:  The inode with a reference; -ESTALE when there is none, or it has no name any more;
 *          -errno.
 */
struct inode *cfs_iget_number(struct super_block *sb, u64 ino)
{
	struct inode *inode = ilookup(sb, ino);
	struct cfs_attr attr;
	u64 seq;
	int ret;

	if (inode) {
		ret = cfs_inode_refresh(inode, false);
		if (!ret && inode->i_nlink)
			return inode;
		iput(inode);
		return ERR_PTR(ret ?: -ESTALE);
	}
	ret = cfs_getattr_call(sb, ino, &attr, &seq);
	if (ret)
		return ERR_PTR(ret);
	return attr.nlink ? cfs_iget(sb, &attr, seq) : ERR_PTR(-ESTALE);
}

/**
 * cfs_inode_alloc - super_operations.alloc_inode
 * @sb: Super block.
 */
struct inode *cfs_inode_alloc(struct super_block *sb)
{
	struct cfs_inode *ci = alloc_inode_sb(sb, cfs_inode_cache, GFP_KERNEL);

	if (!ci)
		return NULL;
	memset_after(ci, 0, netfs);
	return &ci->netfs.inode;
}

/**
 * cfs_inode_destroy - super_operations.destroy_inode: what needs process context
 * @inode: Inode nobody uses; walkers under RCU may still look at it.
 */
void cfs_inode_destroy(struct inode *inode)
{
	cfs_data_free(CFS_I(inode));
}

/**
 * cfs_inode_free - super_operations.free_inode: after RCU
 * @inode: Inode nobody looks at.
 */
void cfs_inode_free(struct inode *inode)
{
	if (S_ISLNK(inode->i_mode))
		kfree(inode->i_link);
	kmem_cache_free(cfs_inode_cache, CFS_I(inode));
}

/**
 * cfs_inode_hold - a reference that the mount's end waits for
 * @inode: Inode; the caller holds a reference.
 */
void cfs_inode_hold(struct inode *inode)
{
	ihold(inode);
	atomic_inc(&CFS_SB(inode->i_sb)->held_inodes);
}

/**
 * cfs_inode_release - the opposite of cfs_inode_hold()
 * @inode: Inode; may be gone afterwards.
 *
 * Context: Process; as iput().
 */
void cfs_inode_release(struct inode *inode)
{
	struct cfs_sb *csb = CFS_SB(inode->i_sb);

	iput(inode);
	if (atomic_dec_and_test(&csb->held_inodes))
		wake_up_all(&csb->uncommitted_wait);
}

/**
 * cfs_inode_evict - super_operations.evict_inode
 * @inode: Inode without users. A file with bytes under way holds itself, so none are left.
 *
 * Context: Process, also reclaim. Neither allocates nor waits for the daemon.
 */
void cfs_inode_evict(struct inode *inode)
{
	struct cfs_inode *ci = CFS_I(inode);

	if (ci->data)
		cfs_data_evict(inode);
	truncate_inode_pages_final(&inode->i_data);
	cfs_fsc_evict(inode);
	clear_inode(inode);
	if (ci->evict_call)
		cfs_call_async(ci->evict_call);
	ci->evict_call = NULL;
}

/*
 * s_umount keeps the super block and its inodes; when it cannot be had at once (mount, remount,
 * unmount), everything expires instead. Waiting for it could wait for an unmount that waits for
 * this daemon.
 */
static void cfs_inode_drop_data(struct cfs_sb *csb, u64 ino)
{
	struct super_block *sb = cfs_session_super(csb);
	struct inode *inode;

	if (!sb) {
		cfs_epoch_bump(csb);
		return;
	}
	inode = ilookup(sb, ino);
	if (inode && S_ISREG(inode->i_mode))
		cfs_data_invalidate(inode, true, false);
	iput(inode);
	up_read(&sb->s_umount);
}

/**
 * cfs_inode_invalidate - the daemon says that an inode changed elsewhere
 * @csb:   Mount. The others of its volume forget names and attributes, too.
 * @ino:   Inode; may be unknown here.
 * @flags: CFS_INV_*.
 *
 * Context: Process (the daemon's).
 */
void cfs_inode_invalidate(struct cfs_sb *csb, u64 ino, u32 flags)
{
	unsigned int what = 0;

	if (flags & CFS_INV_ENTRIES)
		what |= CFS_EXPIRE_NAMES;
	if (flags & (CFS_INV_ATTR | CFS_INV_DATA))
		what |= CFS_EXPIRE_ATTRS | CFS_EXPIRE_RIGHTS;
	/* neither answers under way nor cached ones are current */
	cfs_inode_expire(csb, ino, what, cfs_changed_elsewhere(csb, ino));
	if (cfs_has_peers(csb))
		cfs_peers_changed(csb, ino, what);
	if (flags & CFS_INV_DATA)
		cfs_inode_drop_data(csb, ino);
}

/* ---- inode operations ---- */
/**
 * cfs_getattr - inode_operations.getattr
 * @idmap:        Of the mount.
 * @path:         File.
 * @stat:         Filled.
 * @request_mask: STATX_*.
 * @flags:        AT_STATX_*: DONT_SYNC takes what is cached, FORCE_SYNC asks.
 *
 * st_blocks is the size in blocks of 512, rounded down, as the FUSE client says; there is no
 * allocation to report. Source: CubeFS client/fs/inode.go (fillAttr).
 */
static int cfs_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat,
		       u32 request_mask, unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	int ret = 0;

	if (!(flags & AT_STATX_DONT_SYNC))
		ret = cfs_inode_refresh(inode, flags & AT_STATX_FORCE_SYNC);
	if (ret)
		return ret;
	generic_fillattr(idmap, request_mask, inode, stat);
	stat->blksize = 1 << CFS_BLOCK_BITS;
	stat->blocks = stat->size >> 9;
	stat->btime.tv_sec = CFS_I(inode)->birth;
	stat->btime.tv_nsec = 0;
	stat->result_mask |= STATX_BTIME;
	return 0;
}

CFS_TOLD(, int, cfs_getattr, CFS_VFS_GETATTR, d_inode(path->dentry), ret,
	 (struct mnt_idmap *idmap, const struct path *path, struct kstat *stat, u32 request_mask,
	  unsigned int flags), (idmap, path, stat, request_mask, flags))

/**
 * cfs_setattr_believed - fill a SETATTR request with what is believed of its inode
 * @inode: Inode.
 * @r:     Request; what is to change is filled in afterwards. With attributes that are not believed any
 *         more it stays as it is, and the daemon reads them.
 */
void cfs_setattr_believed(struct inode *inode, struct cfs_req *r)
{
	if (!cfs_attrs_are_fresh(CFS_I(inode)))
		return;
	r->flags |= CFS_REQ_F_KNOWN;
	r->setattr.mode = inode->i_mode;
	r->setattr.uid = from_kuid(&init_user_ns, inode->i_uid);
	r->setattr.gid = from_kgid(&init_user_ns, inode->i_gid);
	r->setattr.mtime = inode_get_mtime_sec(inode);
	r->setattr.atime = inode_get_atime_sec(inode);
}

/*
 * Fill a SETATTR request from what remains of @ia besides the size. Returns whether anything does.
 */
static bool cfs_setattr_fill(struct mnt_idmap *idmap, struct inode *inode, const struct iattr *ia,
			     struct cfs_req *r)
{
	u32 valid = 0;

	cfs_setattr_believed(inode, r);
	if (ia->ia_valid & ATTR_MODE) {
		valid |= CFS_SA_MODE;
		r->setattr.mode = (inode->i_mode & S_IFMT) | (ia->ia_mode & ~S_IFMT);
	}
	if (ia->ia_valid & ATTR_UID) {
		valid |= CFS_SA_UID;
		r->setattr.uid = from_kuid(&init_user_ns, from_vfsuid(idmap, i_user_ns(inode),
								      ia->ia_vfsuid));
	}
	if (ia->ia_valid & ATTR_GID) {
		valid |= CFS_SA_GID;
		r->setattr.gid = from_kgid(&init_user_ns, from_vfsgid(idmap, i_user_ns(inode),
								      ia->ia_vfsgid));
	}
	/* A truncation moves mtime by itself. */
	if (ia->ia_valid & ATTR_MTIME &&
	    (!(ia->ia_valid & ATTR_SIZE) || ia->ia_valid & ATTR_MTIME_SET)) {
		valid |= CFS_SA_MTIME;
		r->setattr.mtime = ia->ia_mtime.tv_sec;
	}
	if (ia->ia_valid & ATTR_ATIME) {
		valid |= CFS_SA_ATIME;
		r->setattr.atime = ia->ia_atime.tv_sec;
	}
	r->setattr.valid = valid;
	return valid;
}

/* @attr->ino stays 0 when the answer has none, or when there was nothing to send. */
static int cfs_setattr_send(struct mnt_idmap *idmap, struct inode *inode, struct iattr *ia,
			    struct cfs_attr *attr, u64 *seq)
{
	struct cfs_sb *csb = CFS_SB(inode->i_sb);
	struct cfs_call *call = cfs_inode_call(inode, CFS_OP_SETATTR);
	int ret = 0;

	if (!call)
		return -ENOMEM;
	if (cfs_setattr_fill(idmap, inode, ia, &call->req)) {
		*seq = cfs_change(csb, inode->i_ino);
		ret = cfs_call_sync(call);
		if (ret >= 0 && (call->reply_len || !(call->req.flags & CFS_REQ_F_KNOWN)))
			ret = cfs_call_fixed(call, attr, sizeof(*attr));
		else if (ret >= 0 && S_ISREG(inode->i_mode) && call->req.setattr.valid & CFS_SA_MTIME)
			cfs_mtime_told(inode, call->req.setattr.mtime);
	}
	cfs_call_put(call);
	return min(ret, 0);
}

/* Mode, owner and times. */
static int cfs_setattr_meta(struct mnt_idmap *idmap, struct inode *inode, struct iattr *ia)
{
	struct cfs_sb *csb = CFS_SB(inode->i_sb);
	struct cfs_attr attr = {};
	u64 seq = 0;
	int ret;

	/* A commit that comes later would move an explicitly set mtime again. */
	if (ia->ia_valid & ATTR_MTIME && S_ISREG(inode->i_mode) && cfs_data_busy(inode)) {
		ret = cfs_data_sync(inode);
		if (ret)
			return ret;
	}
	if (ia->ia_valid & ATTR_MTIME)
		WRITE_ONCE(CFS_I(inode)->wrote, true);
	ret = cfs_setattr_send(idmap, inode, ia, &attr, &seq);
	if (seq)
		seq = ia->ia_valid & (ATTR_MODE | ATTR_UID | ATTR_GID) ?
			cfs_rights_changed(csb, inode->i_ino, seq) :
			cfs_change_end(csb, inode->i_ino, seq);
	if (ret < 0) {
		cfs_attrs_expire(inode);
		return ret;
	}
	spin_lock(&inode->i_lock);
	if (ia->ia_valid & ATTR_ATIME)
		CFS_I(inode)->atime_set = true;
	spin_unlock(&inode->i_lock);
	ia->ia_valid &= ~ATTR_SIZE;
	setattr_copy(idmap, inode, ia);
	if (attr.ino)
		cfs_inode_apply(inode, &attr, seq);
	return 0;
}

static int cfs_setattr_size(struct inode *inode, u64 size)
{
	struct cfs_sb *csb = CFS_SB(inode->i_sb);
	struct cfs_attr attr;
	u64 seq = 0;
	int ret;

	WRITE_ONCE(CFS_I(inode)->wrote, true);
	ret = cfs_data_truncate(inode, size, &attr, &seq);
	seq = cfs_change_end(csb, inode->i_ino, seq);
	if (!ret) {
		inode_set_ctime_current(inode);	/* truncate(2) does not ask for it */
		cfs_inode_apply(inode, &attr, seq);
	} else {
		cfs_attrs_expire(inode);
	}
	return ret;
}

/**
 * cfs_inode_set_mode - the mode follows an ACL
 * @idmap: Of the mount.
 * @inode: File, its lock held.
 * @mode:  New mode.
 */
int cfs_inode_set_mode(struct mnt_idmap *idmap, struct inode *inode, umode_t mode)
{
	struct iattr ia = {
		.ia_valid = ATTR_MODE | ATTR_CTIME,
		.ia_mode = mode,
		.ia_ctime = current_time(inode),
	};

	return cfs_setattr_meta(idmap, inode, &ia);
}

/**
 * cfs_setattr - inode_operations.setattr
 * @idmap:  Of the mount.
 * @dentry: File; its inode is locked.
 * @ia:     What to set.
 *
 * Permissions are checked in the kernel; servers check none. The VFS has turned the clearing of
 * set-id bits into a mode.
 */
static int cfs_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *ia)
{
	struct inode *inode = d_inode(dentry);
	int ret = 0;

	/* While it is truncated here, no server's size is taken: it may have changed elsewhere before. */
	if (ia->ia_valid & ATTR_SIZE && cfs_has_peers(CFS_SB(inode->i_sb)))
		ret = cfs_inode_refresh(inode, false);
	if (!ret)
		ret = setattr_prepare(idmap, dentry, ia);
	if (!ret && ia->ia_valid & ATTR_SIZE)
		ret = S_ISREG(inode->i_mode) ? cfs_setattr_size(inode, ia->ia_size) : -EINVAL;
	if (!ret)
		ret = cfs_setattr_meta(idmap, inode, ia);
	if (!ret && ia->ia_valid & ATTR_MODE && !S_ISLNK(inode->i_mode))
		ret = posix_acl_chmod(idmap, dentry, inode->i_mode);
	return ret;
}

CFS_TOLD(, int, cfs_setattr, CFS_VFS_SETATTR, d_inode(dentry), ret,
	 (struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *ia), (idmap, dentry, ia))

/* Everything but directories and symbolic links. */
const struct inode_operations cfs_file_iops = {
	.getattr	= cfs_getattr_op,
	.setattr	= cfs_setattr_op,
	.permission	= cfs_permission,
	.listxattr	= cfs_listxattr,
	.get_inode_acl	= cfs_get_inode_acl,
	.set_acl	= cfs_set_acl,
};

static void cfs_inode_init_once(void *p)
{
	struct cfs_inode *ci = p;

	inode_init_once(&ci->netfs.inode);
}

/**
 * cfs_inode_init_cache - at module load
 *
 * Return: 0 or -ENOMEM.
 */
int cfs_inode_init_cache(void)
{
	cfs_inode_cache = kmem_cache_create("cubefs_inode", sizeof(struct cfs_inode), 0,
					    SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT,
					    cfs_inode_init_once);
	return cfs_inode_cache ? 0 : -ENOMEM;
}

/**
 * cfs_inode_exit_cache - at module unload
 */
void cfs_inode_exit_cache(void)
{
	rcu_barrier();		/* inodes whose freeing waits for readers */
	kmem_cache_destroy(cfs_inode_cache);
}
