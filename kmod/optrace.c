// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: tells where an operation of the VFS begins and ends; see optrace.h.
 *
 * Contexts  Any; called only while somebody listens.
 */
#include <linux/fs.h>
#include <linux/timekeeping.h>
#include "optrace.h"

/**
 * cfs_op_begin - an operation begins
 * @op:    Filled: what cfs_op_end() needs.
 * @inode: Of the file, or of the directory whose names change.
 * @kind:  What is done.
 */
void cfs_op_begin(struct cfs_vfs_op *op, const struct inode *inode, enum cfs_vfs kind)
{
	op->ino = inode->i_ino;
	op->dev = new_encode_dev(inode->i_sb->s_dev);
	op->kind = kind;
	trace_cfs_op_enter(op);
	op->start_ns = ktime_get_ns();
}

/**
 * cfs_op_end - an operation has ended
 * @op:  As cfs_op_begin() filled it.
 * @res: Bytes or 0; -errno; -EIOCBQUEUED when it goes on by itself.
 */
void cfs_op_end(const struct cfs_vfs_op *op, long res)
{
	trace_cfs_op(op, res, ktime_get_ns() - op->start_ns);
}
