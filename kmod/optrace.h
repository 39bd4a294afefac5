/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cubefs: operations of the VFS, told by the tracepoints cfs_op_enter and cfs_op.
 *
 * An operation runs in one thread from one event to the other and has an id of its own, which what
 * it causes carries on, also when others finish it: cfs_cache, cfs_lookup, requests, packets, pieces.
 * While nobody listens, there are no ids, and an operation costs two no-ops and a jump more.
 */
#ifndef CFS_OPTRACE_H
#define CFS_OPTRACE_H

#include "trace.h"

void cfs_op_begin(struct cfs_vfs_op *op, const struct inode *inode, enum cfs_vfs kind);
void cfs_op_end(struct cfs_vfs_op *op, long res);

static inline bool cfs_op_is_traced(void)
{
	return trace_cfs_op_enter_enabled() || trace_cfs_op_enabled();
}

/* The operation that this thread is in the middle of; 0: none, or nobody listens to operations. */
static inline u64 cfs_op_id(void)
{
	return cfs_op_is_traced() ? cfs_op_current() : 0;
}

/* name_op(): name() with its events. @res: of `ret`; @inode may be gone when name() returns. */
#define CFS_TOLD(scope, type, name, kind, inode, res, proto, args)	\
static noinline long name##_told proto					\
{									\
	struct cfs_vfs_op op;						\
	type ret;							\
									\
	cfs_op_begin(&op, inode, kind);					\
	ret = name args;						\
	cfs_op_end(&op, res);						\
	return (long)ret;						\
}									\
scope type name##_op proto						\
{									\
	return cfs_op_is_traced() ?						\
		(type)name##_told args : name args;			\
}

#endif
