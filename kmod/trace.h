/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cubefs: tracepoints (events/cubefs/).
 *
 * A request is told three times: queued, sent (handed to a daemon, again after each daemon death),
 * done (its outcome was told). Names are cut at 64 bytes.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM cubefs

#if !defined(CFS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define CFS_TRACE_H

#include <linux/tracepoint.h>
#include "cfs.h"
#include "data.h"

#define CFS_TRACE_NAME	64

#define cfs_show_op(op)							\
	__print_symbolic(op,						\
		{ CFS_OP_MOUNT, "MOUNT" },				\
		{ CFS_OP_UNMOUNT, "UNMOUNT" },				\
		{ CFS_OP_STATFS, "STATFS" },				\
		{ CFS_OP_LOOKUP, "LOOKUP" },				\
		{ CFS_OP_GETATTR, "GETATTR" },				\
		{ CFS_OP_SETATTR, "SETATTR" },				\
		{ CFS_OP_READDIR, "READDIR" },				\
		{ CFS_OP_CREATE, "CREATE" },				\
		{ CFS_OP_UNLINK, "UNLINK" },				\
		{ CFS_OP_RENAME, "RENAME" },				\
		{ CFS_OP_LINK, "LINK" },				\
		{ CFS_OP_READLINK, "READLINK" },			\
		{ CFS_OP_GETXATTR, "GETXATTR" },			\
		{ CFS_OP_SETXATTR, "SETXATTR" },			\
		{ CFS_OP_LISTXATTR, "LISTXATTR" },			\
		{ CFS_OP_REMOVEXATTR, "REMOVEXATTR" },			\
		{ CFS_OP_EXTENTS, "EXTENTS" },				\
		{ CFS_OP_COMMIT, "COMMIT" },				\
		{ CFS_OP_TRUNCATE, "TRUNCATE" },			\
		{ CFS_OP_EVICT, "EVICT" },				\
		{ CFS_OP_EVENT, "EVENT" },				\
		{ CFS_OP_TMPFILE, "TMPFILE" })

DECLARE_EVENT_CLASS(cfs_request,
	TP_PROTO(const struct cfs_call *call),
	TP_ARGS(call),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, ino)
		__field(u32, session)
		__field(u16, op)
		__field(u16, flags)
	),
	TP_fast_assign(
		__entry->id = call->req.id;
		__entry->ino = call->req.ino;
		__entry->session = call->req.session;
		__entry->op = call->req.op;
		__entry->flags = call->req.flags;
	),
	TP_printk("session=%u id=%llu op=%s ino=%llu flags=%#x", __entry->session, __entry->id,
		  cfs_show_op(__entry->op), __entry->ino, __entry->flags)
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
		__field(u64, id)
		__field(u64, ino)
		__field(u64, latency_ns)
		__field(u32, session)
		__field(u16, op)
		__field(int, res)
	),
	TP_fast_assign(
		__entry->id = call->req.id;
		__entry->ino = call->req.ino;
		__entry->latency_ns = ktime_get_ns() - call->queued_ns;
		__entry->session = call->req.session;
		__entry->op = call->req.op;
		__entry->res = res;
	),
	TP_printk("session=%u id=%llu op=%s ino=%llu res=%d latency_ns=%llu", __entry->session,
		  __entry->id, cfs_show_op(__entry->op), __entry->ino, __entry->res,
		  __entry->latency_ns)
);

TRACE_EVENT(cfs_lookup,
	TP_PROTO(u64 dir, const struct qstr *name, int res, u64 ino),
	TP_ARGS(dir, name, res, ino),
	TP_STRUCT__entry(
		__field(u64, dir)
		__field(u64, ino)
		__field(int, res)
		__array(char, name, CFS_TRACE_NAME)
	),
	TP_fast_assign(
		u32 len = min_t(u32, name->len, CFS_TRACE_NAME - 1);

		__entry->dir = dir;
		__entry->ino = ino;
		__entry->res = res;
		memcpy(__entry->name, name->name, len);
		__entry->name[len] = 0;
	),
	TP_printk("dir=%llu name=%s res=%d ino=%llu", __entry->dir, __entry->name, __entry->res,
		  __entry->ino)
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

/* A packet came back: err < 0: without an answer. */
TRACE_EVENT(cfs_packet,
	TP_PROTO(u64 ino, const struct cfs_pkt *pkt),
	TP_ARGS(ino, pkt),
	TP_STRUCT__entry(
		__field(u64, ino)
		__field(u64, partition_id)
		__field(u64, extent_id)
		__field(s64, extent_offset)
		__field(u32, len)
		__field(int, err)
		__field(u8, opcode)
		__field(u8, result)
	),
	TP_fast_assign(
		__entry->ino = ino;
		__entry->partition_id = pkt->hdr.partition_id;
		__entry->extent_id = pkt->hdr.extent_id;
		__entry->extent_offset = pkt->hdr.extent_offset;
		__entry->len = pkt->len;
		__entry->err = pkt->err;
		__entry->opcode = pkt->hdr.opcode;
		__entry->result = pkt->result;
	),
	TP_printk("ino=%llu op=%#x partition=%llu extent=%llu offset=%lld len=%u err=%d result=%#x",
		  __entry->ino, __entry->opcode, __entry->partition_id, __entry->extent_id,
		  __entry->extent_offset, __entry->len,
		  __entry->err, __entry->result)
);

/* A part of a write: new, copied, finished, failed. */
TRACE_EVENT(cfs_piece,
	TP_PROTO(const struct cfs_piece *piece, const char *what),
	TP_ARGS(piece, what),
	TP_STRUCT__entry(
		__field(u64, ino)
		__field(u64, pos)
		__field(u32, len)
		__field(const char *, what)
	),
	TP_fast_assign(
		__entry->ino = piece->write->data->ci->netfs.inode.i_ino;
		__entry->pos = piece->pos;
		__entry->len = piece->len;
		__entry->what = what;
	),
	TP_printk("%s ino=%llu pos=%llu len=%u", __entry->what, __entry->ino, __entry->pos,
		  __entry->len)
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
