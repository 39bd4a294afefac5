/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cubefs: everything that differs between the supported kernels (6.12 and later).
 *
 * Kbuild looks at the kernel's headers and defines CFS_*; macros that came with a change are asked
 * for directly. Versions are not compared: Debian back-ports.
 */
#ifndef CFS_COMPAT_H
#define CFS_COMPAT_H

#include <linux/btf.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/io_uring/cmd.h>
#include <linux/namei.h>
#include <linux/net.h>
#include <linux/netfs.h>
#include <linux/pagemap.h>
#include <linux/posix_acl_xattr.h>
#include <linux/slab.h>

/*
 * 6.18: io_uring_cmd_done() lost its second result; the payload accessor became a macro with a
 * type.
 */
#ifdef io_uring_sqe128_cmd
#define cfs_cmd_done(cmd, ret, fl)	io_uring_cmd_done(cmd, ret, fl)
#define cfs_sqe_payload(cmd, type)	io_uring_sqe128_cmd((cmd)->sqe, type)
#else
#define cfs_cmd_done(cmd, ret, fl)	io_uring_cmd_done(cmd, ret, 0, fl)
#define cfs_sqe_payload(cmd, type)	((const type *)io_uring_sqe_cmd((cmd)->sqe))
#endif

/* 6.19: task work of a command is told by a request and a token. */
#ifdef IO_URING_CMD_TASK_WORK_ISSUE_FLAGS
#define CFS_TW_FN(fn)	void fn(struct io_tw_req tw_req, io_tw_token_t tw)
#define CFS_TW_CMD	io_uring_cmd_from_tw(tw_req)
#define CFS_TW_FLAGS	IO_URING_CMD_TASK_WORK_ISSUE_FLAGS
#else
#define CFS_TW_FN(fn)	void fn(struct io_uring_cmd *tw_cmd, unsigned int tw_flags)
#define CFS_TW_CMD	tw_cmd
#define CFS_TW_FLAGS	tw_flags
#endif

/* 6.19: kernel_connect() and kernel_bind() take an address of a type without a size. */
#ifdef CFS_SOCKADDR_UNSIZED
#define cfs_sockaddr	struct sockaddr_unsized
#else
#define cfs_sockaddr	struct sockaddr
#endif

/* 7.x: what kfuncs are given is trusted anyway. */
#ifndef KF_TRUSTED_ARGS
#define KF_TRUSTED_ARGS	0
#endif

/* 6.19: i_state is read by a function. */
static inline bool cfs_inode_is_new(struct inode *inode)
{
#ifdef CFS_INODE_STATE_READ
	return inode_state_read_once(inode) & I_NEW;
#else
	return READ_ONCE(inode->i_state) & I_NEW;
#endif
}

/* 6.19: without the operation there are no leases; before, there were, and this refused them. */
#ifdef CFS_NOSETLEASE
#define cfs_setlease	simple_nosetlease
#else
#define cfs_setlease	NULL
#endif

/* 6.17: dentry operations are set by a function. */
static inline void cfs_set_d_op(struct super_block *sb, const struct dentry_operations *ops)
{
#ifdef CFS_SET_DEFAULT_D_OP
	set_default_d_op(sb, ops);
#else
	sb->s_d_op = ops;
#endif
}

/* 6.19: create() is told no more whether the name may exist. */
#ifdef CFS_CREATE_EXCL
#define CFS_CREATE_FN(fn)							\
	int fn(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode,	\
	       bool excl)
#else
#define CFS_CREATE_FN(fn)							\
	int fn(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode)
#endif

/* 6.15: mkdir() returns the dentry to use, NULL for the one it was given. */
#ifdef CFS_MKDIR_INT
#define CFS_MKDIR_FN(fn)							\
	int fn(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode)
#define CFS_MKDIR_RESULT(err)	(err)
#else
#define CFS_MKDIR_FN(fn)							\
	struct dentry *fn(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,	\
			  umode_t mode)
#define CFS_MKDIR_RESULT(err)	ERR_PTR(err)
#endif

/*
 * 6.14: d_revalidate() is given a stable parent and name. CFS_D_REVALIDATE_FN() declares what the
 * kernel wants; its body is CFS_D_REVALIDATE_CALL() of a function in the newer form. Under RCU the
 * name is not stable and that function must not use it.
 */
typedef int (*cfs_revalidate_fn)(struct inode *dir, const struct qstr *name, struct dentry *dentry,
				 unsigned int flags);
#ifdef CFS_REVALIDATE_DIR
#define CFS_D_REVALIDATE_FN(fn)							\
	int fn(struct inode *dir, const struct qstr *name, struct dentry *dentry,	\
	       unsigned int flags)
#define CFS_D_REVALIDATE_CALL(fn)	((fn)(dir, name, dentry, flags))
#else
#define CFS_D_REVALIDATE_FN(fn)		int fn(struct dentry *dentry, unsigned int flags)
#define CFS_D_REVALIDATE_CALL(fn)	cfs_revalidate_old(dentry, flags, fn)

static inline int cfs_revalidate_old(struct dentry *dentry, unsigned int flags,
				     cfs_revalidate_fn fn)
{
	struct name_snapshot name;
	struct dentry *parent;
	struct inode *dir;
	int ret;

	if (flags & LOOKUP_RCU) {
		dir = d_inode_rcu(READ_ONCE(dentry->d_parent));
		return dir ? fn(dir, &dentry->d_name, dentry, flags) : -ECHILD;
	}
	parent = dget_parent(dentry);
	take_dentry_name_snapshot(&name, dentry);
	ret = fn(d_inode(parent), &name.name, dentry, flags);
	release_dentry_name_snapshot(&name);
	dput(parent);
	return ret;
}
#endif

/* 7.x: a dentry in lookup needs no wait queue of its owner. */
#ifdef CFS_D_ALLOC_WQ
#define CFS_D_ALLOC_WAIT(wait)		DECLARE_WAIT_QUEUE_HEAD_ONSTACK(wait)
#define cfs_d_alloc(parent, name, wait)	d_alloc_parallel(parent, name, &(wait))
#else
#define CFS_D_ALLOC_WAIT(wait)		char wait = 0
#define cfs_d_alloc(parent, name, wait)	((void)(wait), d_alloc_parallel(parent, name))
#endif

/* 6.18: an ACL is written into memory that the function allocates. */
static inline void *cfs_acl_to_xattr(const struct posix_acl *acl, size_t *size)
{
#ifdef CFS_ACL_TO_BUFFER
	void *value;
	int ret;

	*size = posix_acl_xattr_size(acl->a_count);
	value = kmalloc(*size, GFP_KERNEL);
	ret = value ? posix_acl_to_xattr(&init_user_ns, acl, value, *size) : -ENOMEM;
	if (ret >= 0)
		return value;
	kfree(value);
	return ERR_PTR(ret);
#else
	return posix_acl_to_xattr(&init_user_ns, acl, size, GFP_KERNEL) ?: ERR_PTR(-ENOMEM);
#endif
}

/* 6.16: reclaim does not wait for write-back of a mapping whose server is a process. */
static inline void cfs_mapping_set_reclaim_hint(struct address_space *mapping)
{
#ifdef CFS_RECLAIM_HINT
	mapping_set_writeback_may_deadlock_on_reclaim(mapping);
#endif
}

/*
 * netfs: the termination helpers lost was_async and the error moved into the sub-request, for reads
 * even between 6.12.95 and 6.12.117; NETFS_SREQ_MADE_PROGRESS must be set where it exists.
 */
static inline void cfs_read_done(struct netfs_io_subrequest *sr, size_t got, int err)
{
	if (!err)
		sr->transferred += got;
#ifdef NETFS_SREQ_MADE_PROGRESS
	if (!err && got)
		__set_bit(NETFS_SREQ_MADE_PROGRESS, &sr->flags);
#endif
#ifdef CFS_READ_TERM_ASYNC
	netfs_read_subreq_terminated(sr, err, false);
#else
	sr->error = err;
	netfs_read_subreq_terminated(sr);
#endif
}

/*
 * 7.0 returns the error of a sub-request of a direct write. Before, netfs noted it for the next fsync
 * and returned 0 to the writer, who is the one to be told: there the request has the error, and the
 * sub-request succeeds.
 */
static inline void cfs_write_done(struct netfs_io_subrequest *sr, ssize_t ret, bool direct)
{
#ifndef CFS_DIO_IN_ORDER
	if (ret < 0 && direct) {
		cmpxchg(&sr->rreq->error, 0, ret);
		ret = sr->len - sr->transferred;
	}
#endif
#ifdef NETFS_SREQ_MADE_PROGRESS
	if (ret > 0)
		__set_bit(NETFS_SREQ_MADE_PROGRESS, &sr->flags);
#endif
#ifdef CFS_WRITE_TERM_ASYNC
	netfs_write_subrequest_terminated(sr, ret, false);
#else
	netfs_write_subrequest_terminated(sr, ret);
#endif
}

#endif
