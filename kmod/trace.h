/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cubefs: tracepoints (events/cubefs/).
 *
 * An operation of the VFS is told when it begins and ends, both in its thread: see optrace.h. What it
 * causes names it by op_id; 0: nobody's operation, or operations were not told when it was made.
 * A request is told three times: queued (in its caller's context), sent (handed to a daemon, again
 * after each daemon death), done (its outcome was told); id joins the three, and the daemon's probes.
 * A packet is told when it is given to its connection and when it came back; req joins the two.
 * dev is the mount's device as stat(2) says it, ino the inode's number there. Names are cut at 64
 * bytes. docs/observability.md documents the fields, which stay.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM cubefs

#if !defined(CFS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define CFS_TRACE_H

#include <linux/tracepoint.h>
#include "cfs.h"
#include "conn.h"
#include "data.h"

#define CFS_TRACE_NAME	64

#ifndef CFS_TRACE_ENUMS
#define CFS_TRACE_ENUMS
/* What was looked for in a cache, and what came of it. */
enum cfs_cache_kind { CFS_CACHE_NAME, CFS_CACHE_ATTR };
enum cfs_cache_result {
	CFS_CACHE_HIT,			/* believed: nothing is sent */
	CFS_CACHE_EXPIRED,		/* known, but its time is over or it was changed */
	CFS_CACHE_ABSENT,		/* not known */
	CFS_CACHE_ASKED,		/* known and fresh, but the caller wants to be sure: open */
};

/* Operations of the VFS. */
enum cfs_vfs {
	CFS_VFS_OPEN, CFS_VFS_READ, CFS_VFS_WRITE, CFS_VFS_FLUSH, CFS_VFS_FSYNC, CFS_VFS_FALLOCATE,
	CFS_VFS_LOOKUP, CFS_VFS_GETATTR, CFS_VFS_SETATTR, CFS_VFS_READDIR, CFS_VFS_CREATE,
	CFS_VFS_UNLINK, CFS_VFS_RMDIR, CFS_VFS_RENAME, CFS_VFS_LINK, CFS_VFS_READLINK,
	CFS_VFS_TMPFILE, CFS_VFS_GETXATTR, CFS_VFS_SETXATTR,
	CFS_VFS_REVALIDATE,		/* of a name or an open that somebody has to be asked about */
	CFS_VFS_PERMISSION,		/* by rights whose time is over */
};

/* One that is under way: optrace.c. */
struct cfs_vfs_op {
	struct hlist_node link;
	struct task_struct *task;
	u64 id, ino, start_ns;
	u32 dev;
	u8 kind;
};

u64 cfs_op_current(void);

static inline u32 cfs_trace_dev(const struct cfs_sb *csb)
{
	return csb ? csb->dev : 0;
}
#endif

/* Enumerators with their names; told to perf, too, which knows no others. */
#define CFS_TRACE_OPS							\
	CFS_E(CFS_OP_MOUNT, "MOUNT")					\
	CFS_E(CFS_OP_UNMOUNT, "UNMOUNT")				\
	CFS_E(CFS_OP_STATFS, "STATFS")					\
	CFS_E(CFS_OP_LOOKUP, "LOOKUP")					\
	CFS_E(CFS_OP_GETATTR, "GETATTR")				\
	CFS_E(CFS_OP_SETATTR, "SETATTR")				\
	CFS_E(CFS_OP_READDIR, "READDIR")				\
	CFS_E(CFS_OP_CREATE, "CREATE")					\
	CFS_E(CFS_OP_UNLINK, "UNLINK")					\
	CFS_E(CFS_OP_RENAME, "RENAME")					\
	CFS_E(CFS_OP_LINK, "LINK")					\
	CFS_E(CFS_OP_READLINK, "READLINK")				\
	CFS_E(CFS_OP_GETXATTR, "GETXATTR")				\
	CFS_E(CFS_OP_SETXATTR, "SETXATTR")				\
	CFS_E(CFS_OP_LISTXATTR, "LISTXATTR")				\
	CFS_E(CFS_OP_REMOVEXATTR, "REMOVEXATTR")			\
	CFS_E(CFS_OP_EXTENTS, "EXTENTS")				\
	CFS_E(CFS_OP_COMMIT, "COMMIT")					\
	CFS_E(CFS_OP_TRUNCATE, "TRUNCATE")				\
	CFS_E(CFS_OP_EVICT, "EVICT")					\
	CFS_E(CFS_OP_EVENT, "EVENT")					\
	CFS_EL(CFS_OP_TMPFILE, "TMPFILE")

#define CFS_TRACE_VFS							\
	CFS_E(CFS_VFS_OPEN, "open")					\
	CFS_E(CFS_VFS_READ, "read")					\
	CFS_E(CFS_VFS_WRITE, "write")					\
	CFS_E(CFS_VFS_FLUSH, "flush")					\
	CFS_E(CFS_VFS_FSYNC, "fsync")					\
	CFS_E(CFS_VFS_FALLOCATE, "fallocate")				\
	CFS_E(CFS_VFS_LOOKUP, "lookup")					\
	CFS_E(CFS_VFS_GETATTR, "getattr")				\
	CFS_E(CFS_VFS_SETATTR, "setattr")				\
	CFS_E(CFS_VFS_READDIR, "readdir")				\
	CFS_E(CFS_VFS_CREATE, "create")					\
	CFS_E(CFS_VFS_UNLINK, "unlink")					\
	CFS_E(CFS_VFS_RMDIR, "rmdir")					\
	CFS_E(CFS_VFS_RENAME, "rename")					\
	CFS_E(CFS_VFS_LINK, "link")					\
	CFS_E(CFS_VFS_READLINK, "readlink")				\
	CFS_E(CFS_VFS_TMPFILE, "tmpfile")				\
	CFS_E(CFS_VFS_GETXATTR, "getxattr")				\
	CFS_E(CFS_VFS_SETXATTR, "setxattr")				\
	CFS_E(CFS_VFS_REVALIDATE, "revalidate")				\
	CFS_EL(CFS_VFS_PERMISSION, "permission")

#define CFS_TRACE_KINDS							\
	CFS_E(CFS_CACHE_NAME, "name")					\
	CFS_EL(CFS_CACHE_ATTR, "attr")

#define CFS_TRACE_RESULTS						\
	CFS_E(CFS_CACHE_HIT, "hit")					\
	CFS_E(CFS_CACHE_EXPIRED, "expired")				\
	CFS_E(CFS_CACHE_ABSENT, "absent")				\
	CFS_EL(CFS_CACHE_ASKED, "asked")

#define CFS_TRACE_STATES						\
	CFS_E(CFS_CONN_CONNECTING, "connecting")			\
	CFS_E(CFS_CONN_UP, "up")					\
	CFS_EL(CFS_CONN_DEAD, "dead")

#undef CFS_E
#undef CFS_EL
#define CFS_E(value, name)	TRACE_DEFINE_ENUM(value);
#define CFS_EL(value, name)	TRACE_DEFINE_ENUM(value);
CFS_TRACE_OPS
CFS_TRACE_VFS
CFS_TRACE_KINDS
CFS_TRACE_RESULTS
CFS_TRACE_STATES

#undef CFS_E
#undef CFS_EL
#define CFS_E(value, name)	{ value, name },
#define CFS_EL(value, name)	{ value, name }

#define cfs_show_op(op)		__print_symbolic(op, CFS_TRACE_OPS)
#define cfs_show_vfs(kind)	__print_symbolic(kind, CFS_TRACE_VFS)

/* The VFS asks for something. */
TRACE_EVENT(cfs_op_enter,
	TP_PROTO(const struct cfs_vfs_op *op),
	TP_ARGS(op),
	TP_STRUCT__entry(
		__field(u64, op_id)
		__field(u64, ino)
		__field(u32, dev)
		__field(u8, op)
	),
	TP_fast_assign(
		__entry->op_id = op->id;
		__entry->ino = op->ino;
		__entry->dev = op->dev;
		__entry->op = op->kind;
	),
	TP_printk("op_id=%llu dev=%#x ino=%llu op=%s", __entry->op_id, __entry->dev, __entry->ino,
		  cfs_show_vfs(__entry->op))
);

/* It got its answer; res: bytes or 0, -errno, -EIOCBQUEUED if it goes on without its caller. */
TRACE_EVENT(cfs_op,
	TP_PROTO(const struct cfs_vfs_op *op, long res, u64 latency_ns),
	TP_ARGS(op, res, latency_ns),
	TP_STRUCT__entry(
		__field(u64, op_id)
		__field(u64, ino)
		__field(u64, latency_ns)
		__field(s64, res)
		__field(u32, dev)
		__field(u8, op)
	),
	TP_fast_assign(
		__entry->op_id = op->id;
		__entry->ino = op->ino;
		__entry->latency_ns = latency_ns;
		__entry->res = res;
		__entry->dev = op->dev;
		__entry->op = op->kind;
	),
	TP_printk("op_id=%llu dev=%#x ino=%llu op=%s res=%lld latency_ns=%llu", __entry->op_id,
		  __entry->dev, __entry->ino, cfs_show_vfs(__entry->op), __entry->res,
		  __entry->latency_ns)
);

DECLARE_EVENT_CLASS(cfs_request,
	TP_PROTO(const struct cfs_call *call),
	TP_ARGS(call),
	TP_STRUCT__entry(
		__field(u64, op_id)
		__field(u64, id)
		__field(u64, ino)
		__field(u32, dev)
		__field(u32, session)
		__field(u16, op)
		__field(u16, flags)
	),
	TP_fast_assign(
		__entry->op_id = call->op_id;
		__entry->id = call->req.id;
		__entry->ino = call->req.ino;
		__entry->dev = cfs_trace_dev(call->csb);
		__entry->session = call->req.session;
		__entry->op = call->req.op;
		__entry->flags = call->req.flags;
	),
	TP_printk("op_id=%llu dev=%#x session=%u id=%llu op=%s ino=%llu flags=%#x", __entry->op_id,
		  __entry->dev, __entry->session, __entry->id, cfs_show_op(__entry->op),
		  __entry->ino, __entry->flags)
);

/* id is 0 while no slot is free. */
DEFINE_EVENT(cfs_request, cfs_request_queued,
	TP_PROTO(const struct cfs_call *call),
	TP_ARGS(call)
);

DEFINE_EVENT(cfs_request, cfs_request_sent,
	TP_PROTO(const struct cfs_call *call),
	TP_ARGS(call)
);

TRACE_EVENT(cfs_request_done,
	TP_PROTO(const struct cfs_call *call, int res),
	TP_ARGS(call, res),
	TP_STRUCT__entry(
		__field(u64, op_id)
		__field(u64, id)
		__field(u64, ino)
		__field(u64, latency_ns)
		__field(u32, dev)
		__field(u32, session)
		__field(u16, op)
		__field(int, res)
	),
	TP_fast_assign(
		__entry->op_id = call->op_id;
		__entry->id = call->req.id;
		__entry->ino = call->req.ino;
		__entry->latency_ns = ktime_get_ns() - call->queued_ns;
		__entry->dev = cfs_trace_dev(call->csb);
		__entry->session = call->req.session;
		__entry->op = call->req.op;
		__entry->res = res;
	),
	TP_printk("op_id=%llu dev=%#x session=%u id=%llu op=%s ino=%llu res=%d latency_ns=%llu",
		  __entry->op_id, __entry->dev, __entry->session, __entry->id,
		  cfs_show_op(__entry->op), __entry->ino, __entry->res, __entry->latency_ns)
);

TRACE_EVENT(cfs_lookup,
	TP_PROTO(u64 dir, const struct qstr *name, int res, u64 ino),
	TP_ARGS(dir, name, res, ino),
	TP_STRUCT__entry(
		__field(u64, op_id)
		__field(u64, dir)
		__field(u64, ino)
		__field(int, res)
		__array(char, name, CFS_TRACE_NAME)
	),
	TP_fast_assign(
		u32 len = min_t(u32, name->len, CFS_TRACE_NAME - 1);

		__entry->op_id = cfs_op_current();
		__entry->dir = dir;
		__entry->ino = ino;
		__entry->res = res;
		memcpy(__entry->name, name->name, len);
		__entry->name[len] = 0;
	),
	TP_printk("op_id=%llu dir=%llu name=%s res=%d ino=%llu", __entry->op_id, __entry->dir,
		  __entry->name, __entry->res, __entry->ino)
);

/* Channel: a daemon came (generation) or went; a mount came or went (session). */
TRACE_EVENT(cfs_session,
	TP_PROTO(const char *what, u64 generation, u32 session),
	TP_ARGS(what, generation, session),
	TP_STRUCT__entry(
		__field(const char *, what)
		__field(u64, generation)
		__field(u32, session)
	),
	TP_fast_assign(
		__entry->what = what;
		__entry->generation = generation;
		__entry->session = session;
	),
	TP_printk("%s generation=%llu session=%u", __entry->what, __entry->generation,
		  __entry->session)
);

/* What a cache said of a name (ino: of the directory) or of attributes, where it decides. */
TRACE_EVENT(cfs_cache,
	TP_PROTO(const struct inode *inode, enum cfs_cache_kind kind, enum cfs_cache_result result),
	TP_ARGS(inode, kind, result),
	TP_STRUCT__entry(
		__field(u64, op_id)
		__field(u64, ino)
		__field(u32, dev)
		__field(u8, kind)
		__field(u8, result)
	),
	TP_fast_assign(
		__entry->op_id = cfs_op_current();
		__entry->ino = inode->i_ino;
		__entry->dev = new_encode_dev(inode->i_sb->s_dev);
		__entry->kind = kind;
		__entry->result = result;
	),
	TP_printk("op_id=%llu dev=%#x ino=%llu %s %s", __entry->op_id, __entry->dev, __entry->ino,
		  __print_symbolic(__entry->kind, CFS_TRACE_KINDS),
		  __print_symbolic(__entry->result, CFS_TRACE_RESULTS))
);

/* A connection to a data node changed its state; why: 0 or -errno, when it is dead. */
TRACE_EVENT(cfs_conn,
	TP_PROTO(const struct cfs_conn *conn, enum cfs_conn_state state, int why),
	TP_ARGS(conn, state, why),
	TP_STRUCT__entry(
		__field(u32, node)
		__field(u8, class)
		__field(u8, slot)
		__field(u8, state)
		__field(int, why)
	),
	TP_fast_assign(
		__entry->node = conn->node->id;
		__entry->class = conn->class;
		__entry->slot = conn->index;
		__entry->state = state;
		__entry->why = why;
	),
	TP_printk("node=%u class=%u slot=%u %s why=%d", __entry->node, __entry->class,
		  __entry->slot,
		  __print_symbolic(__entry->state, CFS_TRACE_STATES), __entry->why)
);

/* A packet was given to a connection. */
TRACE_EVENT(cfs_packet_sent,
	TP_PROTO(const struct cfs_pkt *pkt),
	TP_ARGS(pkt),
	TP_STRUCT__entry(
		__field(u64, op_id)
		__field(u64, req)
		__field(u64, partition_id)
		__field(u64, extent_id)
		__field(u32, dev)
		__field(u32, node)
		__field(u32, len)
		__field(u8, opcode)
	),
	TP_fast_assign(
		__entry->op_id = pkt->op_id;
		__entry->req = pkt->hdr.req_id;
		__entry->partition_id = pkt->hdr.partition_id;
		__entry->extent_id = pkt->hdr.extent_id;
		__entry->dev = cfs_trace_dev(pkt->csb);
		__entry->node = pkt->node;
		__entry->len = pkt->len;
		__entry->opcode = pkt->hdr.opcode;
	),
	TP_printk("op_id=%llu dev=%#x req=%llu node=%u op=%#x partition=%llu extent=%llu len=%u",
		  __entry->op_id, __entry->dev, __entry->req, __entry->node, __entry->opcode,
		  __entry->partition_id, __entry->extent_id, __entry->len)
);

/* A packet came back: err < 0: without an answer. */
TRACE_EVENT(cfs_packet,
	TP_PROTO(u64 ino, const struct cfs_pkt *pkt),
	TP_ARGS(ino, pkt),
	TP_STRUCT__entry(
		__field(u64, op_id)
		__field(u64, ino)
		__field(u64, partition_id)
		__field(u64, extent_id)
		__field(s64, extent_offset)
		__field(u64, req)
		__field(u64, latency_ns)
		__field(u32, dev)
		__field(u32, node)
		__field(u32, len)
		__field(int, err)
		__field(u8, opcode)
		__field(u8, result)
	),
	TP_fast_assign(
		__entry->op_id = pkt->op_id;
		__entry->ino = ino;
		__entry->partition_id = pkt->hdr.partition_id;
		__entry->extent_id = pkt->hdr.extent_id;
		__entry->extent_offset = pkt->hdr.extent_offset;
		__entry->req = pkt->hdr.req_id;
		__entry->latency_ns = ktime_get_ns() - pkt->submitted_ns;
		__entry->dev = cfs_trace_dev(pkt->csb);
		__entry->node = pkt->node;
		__entry->len = pkt->len;
		__entry->err = pkt->err;
		__entry->opcode = pkt->hdr.opcode;
		__entry->result = pkt->result;
	),
	TP_printk("op_id=%llu dev=%#x ino=%llu req=%llu node=%u op=%#x partition=%llu extent=%llu offset=%lld len=%u err=%d result=%#x latency_ns=%llu",
		  __entry->op_id, __entry->dev, __entry->ino, __entry->req, __entry->node, __entry->opcode,
		  __entry->partition_id, __entry->extent_id, __entry->extent_offset, __entry->len,
		  __entry->err, __entry->result, __entry->latency_ns)
);

/* A part of a write: new, copied, finished, failed. */
TRACE_EVENT(cfs_piece,
	TP_PROTO(const struct cfs_piece *piece, const char *what),
	TP_ARGS(piece, what),
	TP_STRUCT__entry(
		__field(u64, op_id)
		__field(u64, ino)
		__field(u64, pos)
		__field(u32, len)
		__field(const char *, what)
	),
	TP_fast_assign(
		__entry->op_id = piece->pkt.op_id;
		__entry->ino = piece->write->data->ci->netfs.inode.i_ino;
		__entry->pos = piece->pos;
		__entry->len = piece->len;
		__entry->what = what;
	),
	TP_printk("op_id=%llu %s ino=%llu pos=%llu len=%u", __entry->op_id, __entry->what,
		  __entry->ino, __entry->pos, __entry->len)
);

/* A stream was created, broke, was dropped, or a part of it committed. */
TRACE_EVENT(cfs_stream,
	TP_PROTO(const struct cfs_stream *st),
	TP_ARGS(st),
	TP_STRUCT__entry(
		__field(u64, ino)
		__field(u64, extent_id)
		__field(u64, base)
		__field(u64, committed)
		__field(u64, acked)
		__field(u64, next)
		__field(u8, state)
	),
	TP_fast_assign(
		__entry->ino = st->data->ci->netfs.inode.i_ino;
		__entry->extent_id = st->extent_id;
		__entry->base = st->base;
		__entry->committed = st->committed;
		__entry->acked = st->acked;
		__entry->next = st->next;
		__entry->state = st->state;
	),
	TP_printk("ino=%llu extent=%llu state=%u base=%llu committed=%llu acked=%llu next=%llu",
		  __entry->ino, __entry->extent_id, __entry->state, __entry->base,
		  __entry->committed, __entry->acked, __entry->next)
);
#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
