// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: tells where an operation of the VFS begins and ends, and which one a thread is in; see
 * optrace.h.
 *
 * Lifetime  An operation is on its caller's stack, and in the table from its begin to its end.
 * Locks     One for each row of the table; leaves.
 * Contexts  Process, also under RCU; called only while somebody listens.
 */
#include <linux/fs.h>
#include <linux/hash.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>
#include "optrace.h"

#define CFS_OP_ROWS_BITS	6
#define CFS_OP_ROWS		BIT(CFS_OP_ROWS_BITS)

/* Operations by the thread they run in, the innermost first. */
struct cfs_op_row {
	spinlock_t lock;		/* ops */
	struct hlist_head ops;
} ____cacheline_aligned_in_smp;

static struct cfs_op_row cfs_op_rows[CFS_OP_ROWS] = {
	[0 ... CFS_OP_ROWS - 1] = { .lock = __SPIN_LOCK_UNLOCKED(cfs_op_rows.lock) },
};

static atomic64_t cfs_op_ids = ATOMIC64_INIT(0);

static struct cfs_op_row *cfs_op_row(void)
{
	return &cfs_op_rows[hash_ptr(current, CFS_OP_ROWS_BITS)];
}

/**
 * cfs_op_current - the operation that this thread is in the middle of
 *
 * Context: Process.
 * Return:  Its id; 0: none that is told.
 */
u64 cfs_op_current(void)
{
	struct cfs_op_row *row = cfs_op_row();
	struct cfs_vfs_op *op;
	u64 id = 0;

	spin_lock(&row->lock);
	hlist_for_each_entry(op, &row->ops, link) {
		if (op->task != current)
			continue;
		id = op->id;
		break;
	}
	spin_unlock(&row->lock);
	return id;
}

/**
 * cfs_op_begin - an operation begins
 * @op:    Filled; stays until cfs_op_end().
 * @inode: Of the file, or of the directory whose names change.
 * @kind:  What is done.
 */
void cfs_op_begin(struct cfs_vfs_op *op, const struct inode *inode, enum cfs_vfs kind)
{
	struct cfs_op_row *row = cfs_op_row();

	op->id = atomic64_inc_return(&cfs_op_ids);
	op->task = current;
	op->ino = inode->i_ino;
	op->dev = new_encode_dev(inode->i_sb->s_dev);
	op->kind = kind;
	spin_lock(&row->lock);
	hlist_add_head(&op->link, &row->ops);
	spin_unlock(&row->lock);
	trace_cfs_op_enter(op);
	op->start_ns = ktime_get_ns();
}

/**
 * cfs_op_end - an operation has ended
 * @op:  As cfs_op_begin() filled it.
 * @res: Bytes or 0; -errno; -EIOCBQUEUED when it goes on by itself.
 */
void cfs_op_end(struct cfs_vfs_op *op, long res)
{
	struct cfs_op_row *row = cfs_op_row();

	trace_cfs_op(op, res, ktime_get_ns() - op->start_ns);
	spin_lock(&row->lock);
	hlist_del(&op->link);
	spin_unlock(&row->lock);
}
