// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: file handles, for NFS servers and open_by_handle_at().
 *
 * Purpose   A handle is the inode number, which servers never use twice. Directories are found
 *           again only by way of their parents, which the protocol cannot tell: so the handle of a
 *           directory also has the inode numbers of its ancestors, as many as fit.
 * Lifetime  What decoding learned about parents is kept in the inode (cfs_inode.parent).
 * Locks     None of its own.
 * Contexts  Process, sleeps; killable.
 * Failure   ESTALE: the file is gone, or it is a directory that moved and left the cache, or one so
 *           deep that the handle does not reach a cached ancestor.
 *
 * The handle of a directory differs after one of its ancestors was moved; the old one stays good
 * while the directory is cached.
 */
#include <linux/dcache.h>
#include <linux/exportfs.h>
#include <linux/fs.h>
#include <linux/unaligned.h>
#include "cfs.h"

#define CFS_FID		0xc5	/* one or more inode numbers: file, parent, its parent ... */
#define CFS_FID_WORDS	2	/* 32-bit words of each */
#define CFS_FID_INOS	8	/* at most */

/* Parent of a directory as far as it is known, else 0. */
static u64 cfs_parent_ino(struct inode *inode)
{
	struct dentry *alias = d_find_alias(inode), *parent;
	u64 ino = READ_ONCE(CFS_I(inode)->parent);

	if (!alias)
		return ino;
	parent = dget_parent(alias);
	if (!IS_ROOT(alias))
		ino = d_inode(parent)->i_ino;
	dput(parent);
	dput(alias);
	return ino;
}

/* The inode numbers of a handle. Returns how many. */
static int cfs_fid_inos(struct inode *inode, struct inode *parent, u64 *inos)
{
	struct super_block *sb = inode->i_sb;
	struct inode *dir = NULL, *next;
	int n = 0;
	u64 ino;

	inos[n++] = inode->i_ino;
	if (!S_ISDIR(inode->i_mode)) {
		if (parent)
			inos[n++] = parent->i_ino;
		return n;
	}
	ino = cfs_parent_ino(inode);
	while (ino && n < CFS_FID_INOS) {
		inos[n++] = ino;
		next = ino == d_inode(sb->s_root)->i_ino ? NULL : ilookup(sb, ino);
		iput(dir);
		dir = next;
		ino = dir ? cfs_parent_ino(dir) : 0;
	}
	iput(dir);
	return n;
}

static int cfs_encode_fh(struct inode *inode, u32 *fh, int *max_len, struct inode *parent)
{
	int room = *max_len / CFS_FID_WORDS, n, i;
	u64 inos[CFS_FID_INOS];

	n = cfs_fid_inos(inode, parent, inos);
	n = min(n, max(room, parent ? 2 : 1));
	*max_len = n * CFS_FID_WORDS;
	if (n > room)
		return FILEID_INVALID;
	for (i = 0; i < n; i++)
		put_unaligned(inos[i], (u64 *)(fh + i * CFS_FID_WORDS));
	return CFS_FID;
}

/* Inode @i of a handle, 0 if it has none. */
static u64 cfs_fid_ino(const struct fid *fid, int len, int type, int i)
{
	if (type != CFS_FID || len < (i + 1) * CFS_FID_WORDS)
		return 0;
	return get_unaligned((const u64 *)(fid->raw + i * CFS_FID_WORDS));
}

/* What the handle says about ancestors, for cfs_get_parent(). */
static void cfs_fid_note_parents(struct super_block *sb, const struct fid *fid, int len, int type)
{
	u64 ino, parent;
	struct inode *inode;
	int i;

	for (i = 0; (parent = cfs_fid_ino(fid, len, type, i + 1)); i++) {
		ino = cfs_fid_ino(fid, len, type, i);
		inode = cfs_iget_number(sb, ino);
		if (IS_ERR(inode))
			return;
		if (S_ISDIR(inode->i_mode) && !READ_ONCE(CFS_I(inode)->parent))
			WRITE_ONCE(CFS_I(inode)->parent, parent);
		iput(inode);	/* stays in the cache with what was noted */
	}
}

static struct dentry *cfs_fh_to_dentry(struct super_block *sb, struct fid *fid, int len, int type)
{
	u64 ino = cfs_fid_ino(fid, len, type, 0);
	struct dentry *dentry;

	if (!ino)
		return NULL;
	dentry = d_obtain_alias(cfs_iget_number(sb, ino));
	if (!IS_ERR(dentry) && d_is_dir(dentry) && dentry->d_flags & DCACHE_DISCONNECTED)
		cfs_fid_note_parents(sb, fid, len, type);
	return dentry;
}

static struct dentry *cfs_fh_to_parent(struct super_block *sb, struct fid *fid, int len, int type)
{
	u64 ino = cfs_fid_ino(fid, len, type, 1);

	return ino ? d_obtain_alias(cfs_iget_number(sb, ino)) : NULL;
}

static struct dentry *cfs_get_parent(struct dentry *child)
{
	u64 ino = READ_ONCE(CFS_I(d_inode(child))->parent);

	return ino ? d_obtain_alias(cfs_iget_number(child->d_sb, ino)) : ERR_PTR(-ESTALE);
}

const struct export_operations cfs_export_ops = {
	.encode_fh	= cfs_encode_fh,
	.fh_to_dentry	= cfs_fh_to_dentry,
	.fh_to_parent	= cfs_fh_to_parent,
	.get_parent	= cfs_get_parent,
	.flags		= EXPORT_OP_REMOTE_FS | EXPORT_OP_NOATOMIC_ATTR | EXPORT_OP_NOWCC,
};
