// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: streams: extents that are being appended to.
 *
 * Purpose   Chooses where bytes without a key go, creates extents, sends appends in order, keeps
 *           what was acknowledged until its key is committed, sends what was not to another extent.
 * Lifetime  A stream lives on d->streams from its first piece until it is sealed and holds no
 *           piece. An open stream without pieces costs a reference to a row and a connection, and
 *           saves the next append its create.
 * Locks     d->lock for all of it. A packet in flight (piece or create) belongs to its connection
 *           until its note came.
 * Contexts  A pass over the inode, see data.h; cfs_streams_seal() also from others with d->lock.
 * Failure   The first packet of a stream that fails breaks it: what was acknowledged keeps its
 *           extent, everything behind is sent again elsewhere, in order, when the last packet in
 *           flight has come back. A refusal "offset is not the end" (0xF4) never counts as success:
 *           it proves nothing about the other replicas.
 * Source    CubeFS v3.5.3, sdk/data/stream/extent_handler.go (client), datanode/wrap_operator.go,
 *           storage/extent.go (server).
 */
#include <linux/fs.h>
#include <linux/slab.h>
#include "data.h"
#include "trace.h"

#define CFS_STREAM_POOL	16
#define CFS_FULL_TRIES	5	/* times that no partition has space, CFS_RETRY_MS apart, before it
				 * is believed: the daemon looks for new ones meanwhile
				 */
#define CFS_LARGE_TRIES	3	/* refusals of large appends, before any was accepted, that count */

static mempool_t cfs_stream_pool;

static u64 cfs_stream_room(const struct cfs_stream *st)
{
	return CFS_EXTENT_SIZE - (st->extent_offset + (st->next - st->base));
}

static bool cfs_stream_open(const struct cfs_stream *st)
{
	return st->state <= CFS_ST_OPEN && !st->tiny && !st->sealing;
}

/* Any stream that ends at @pos, also one that is sealed. */
static struct cfs_stream *cfs_stream_ending_at(struct cfs_data *d, u64 pos)
{
	struct cfs_stream *st;

	list_for_each_entry(st, &d->streams, link)
		if (st->next == pos && st->next > st->base)
			return st;
	return NULL;
}

static struct cfs_stream *cfs_stream_to_extend(struct cfs_data *d, u64 pos)
{
	struct cfs_stream *st;

	list_for_each_entry(st, &d->streams, link)
		if (cfs_stream_open(st) && st->next == pos && cfs_stream_room(st))
			return st;
	return NULL;
}

/*
 * A small file goes in one packet to a slot of a shared extent, without creating one. Bytes that
 * follow others of the file go to a normal extent: it can be appended to again. A piece that failed
 * once is not tried this way again.
 */
static bool cfs_piece_tiny(struct cfs_data *d, struct cfs_piece *piece)
{
	struct cfs_ekey key;

	return !piece->moved && piece->pos + piece->len <= CFS_TINY_MAX &&
	       i_size_read(&d->ci->netfs.inode) <= CFS_TINY_MAX &&
	       !cfs_map_ending_at(&d->map, piece->pos, &key) && !cfs_stream_ending_at(d, piece->pos);
}

/**
 * cfs_stream_most - how many bytes of a piece may go in one append
 * @d:     Data state, d->lock held, map valid.
 * @piece: Piece that starts in a hole.
 */
u32 cfs_stream_most(struct cfs_data *d, struct cfs_piece *piece)
{
	struct cfs_stream *st = cfs_stream_to_extend(d, piece->pos);
	u32 most = READ_ONCE(cfs_data_sb(d)->append_max);

	if (st)
		return min_t(u64, most, cfs_stream_room(st));
	return cfs_piece_tiny(d, piece) ? CFS_TINY_MAX : most;
}

static struct cfs_stream *cfs_stream_new(struct cfs_data *d, u64 pos)
{
	struct cfs_stream *st = mempool_alloc(&cfs_stream_pool, GFP_NOWAIT);

	if (!st)
		return NULL;
	memset(st, 0, sizeof(*st));
	st->data = d;
	st->fresh = true;
	st->base = pos;
	st->committed = pos;
	st->acked = pos;
	st->next = pos;
	INIT_LIST_HEAD(&st->commit);
	INIT_LIST_HEAD(&st->note);
	INIT_LIST_HEAD(&st->queue);
	INIT_LIST_HEAD(&st->flight);
	INIT_LIST_HEAD(&st->acked_list);
	INIT_LIST_HEAD(&st->failed);
	INIT_LIST_HEAD(&st->create.link);
	list_add_tail(&st->link, &d->streams);
	return st;
}

/*
 * Go on appending to the extent of the key that ends here, if that is likely to be accepted: then
 * no create and no new key. Its physical end may lie elsewhere (it was cut, or has a tail that was
 * never acknowledged): then it is refused, once.
 */
static struct cfs_stream *cfs_stream_continue(struct cfs_data *d, u64 pos)
{
	struct cfs_stream *st;
	struct cfs_ekey key;
	struct cfs_dp *dp;

	if (!cfs_map_ending_at(&d->map, pos, &key) || key.extent_id <= CFS_MIN_EXTENT_ID ||
	    key.extent_id == d->no_continue || key.extent_offset || key.size >= CFS_EXTENT_SIZE ||
	    cfs_stream_ending_at(d, pos))
		return NULL;
	dp = cfs_dp_get_writable(cfs_data_sb(d), key.partition_id, cfs_data_class(d));
	if (!dp)
		return NULL;
	st = cfs_stream_new(d, pos);
	if (!st) {
		cfs_dp_put(dp);
		return NULL;
	}
	st->state = CFS_ST_OPEN;
	st->fresh = false;
	st->dp = dp;
	st->base = key.file_offset;
	st->extent_id = key.extent_id;
	return st;
}

/**
 * cfs_stream_add - give a piece of a hole to a stream
 * @d:     Data state, d->lock held, map valid.
 * @piece: Piece of at most cfs_stream_most() bytes; leaves the list it is on.
 *
 * Return:  false when there was no memory.
 */
bool cfs_stream_add(struct cfs_data *d, struct cfs_piece *piece)
{
	struct cfs_stream *st = cfs_stream_to_extend(d, piece->pos);
	bool tiny = !st && cfs_piece_tiny(d, piece);

	lockdep_assert_held(&d->lock);
	if (!st && !tiny)
		st = cfs_stream_continue(d, piece->pos);
	if (st && piece->len > cfs_stream_room(st))
		st = NULL;
	if (!st)
		st = cfs_stream_new(d, piece->pos);
	if (!st)
		return false;
	st->tiny |= tiny;
	st->op_id = piece->pkt.op_id;
	piece->stream = st;
	list_move_tail(&piece->link, &st->queue);
	st->next += piece->len;
	return true;
}

/* ---- giving up ---- */

static void cfs_stream_unplace(struct cfs_stream *st)
{
	if (st->conn)
		cfs_conn_put(st->conn);
	cfs_dp_put(st->dp);
	st->conn = NULL;
	st->dp = NULL;
	st->wait_since = 0;
}

/* No more appends. What is not sent is cut again. */
static void cfs_stream_seal(struct cfs_stream *st)
{
	if (st->state >= CFS_ST_BROKEN)
		return;
	cfs_pieces_requeue(&st->queue);
	if (st->state == CFS_ST_CREATING)
		st->sealing = true;
	else
		st->state = CFS_ST_SEALED;
}

/**
 * cfs_streams_seal - end all streams; what was sent still comes back and is committed
 * @d: Data state, d->lock held.
 */
void cfs_streams_seal(struct cfs_data *d)
{
	struct cfs_stream *st;

	lockdep_assert_held(&d->lock);
	list_for_each_entry(st, &d->streams, link)
		cfs_stream_seal(st);
}

/*
 * The last packet in flight of a broken stream came back: everything that is not acknowledged is
 * cut again, in order.
 */
static void cfs_stream_broken_end(struct cfs_stream *st)
{
	if (st->state != CFS_ST_BROKEN || st->nflight)
		return;
	cfs_pieces_requeue(&st->queue);
	cfs_pieces_requeue(&st->failed);
	st->state = CFS_ST_SEALED;
	cfs_waiter_run(&st->data->run);
}

/* What a refusal of an append or create says about the partition. */
static void cfs_stream_blame(struct cfs_stream *st, struct cfs_pkt *pkt)
{
	struct cfs_sb *csb = cfs_data_sb(st->data);

	st->avoid = st->dp->id;
	if (pkt->err) {
		if (pkt->exposed && pkt->err != -EREMOTEIO)
			cfs_dp_penalise(csb, st->dp, CFS_RC_INIT, CFS_DP_PENALTY_S);
		return;
	}
	switch (pkt->result) {
	case CFS_RC_DISK_NO_SPACE:
		if (st->tiny)
			cfs_dp_no_tiny(st->dp);
		else
			cfs_dp_penalise(csb, st->dp, pkt->result, CFS_DP_FULL_S);
		break;
	case CFS_RC_MAX_EXTENTS:
		cfs_dp_penalise(csb, st->dp, pkt->result, CFS_DP_FULL_S);
		break;
	case CFS_RC_AGAIN:
	case CFS_RC_LIMITED_IO:
		cfs_dp_penalise(csb, st->dp, pkt->result, 1);
		break;
	case CFS_RC_ARG_MISMATCH:
		break;
	default:
		cfs_dp_penalise(csb, st->dp, pkt->result, CFS_DP_PENALTY_S);
	}
}

/*
 * Servers cut a large append themselves, but that is not promised: if the very first ones of the
 * mount are refused, stay with the block size that every client uses.
 */
static void cfs_append_size_check(struct cfs_sb *csb, struct cfs_piece *piece)
{
	u8 result = piece->pkt.result;

	if (piece->pkt.err || piece->len <= CFS_BLOCK_SIZE || READ_ONCE(csb->large_append_ok))
		return;
	if (result != CFS_RC_ARG_MISMATCH && result != CFS_RC_INTRA_GROUP_NET)
		return;
	if (atomic_inc_return(&csb->large_refused) >= CFS_LARGE_TRIES)
		WRITE_ONCE(csb->append_max, CFS_BLOCK_SIZE);
}

static void cfs_stream_break(struct cfs_stream *st, struct cfs_piece *piece)
{
	struct cfs_data *d = st->data;

	if (st->state == CFS_ST_BROKEN)
		return;
	cfs_stream_blame(st, &piece->pkt);
	if (st->fresh && !st->tiny)
		cfs_append_size_check(cfs_data_sb(d), piece);
	if (piece->pkt.exposed)
		d->no_continue = st->extent_id;		/* it may have a tail now */
	st->state = CFS_ST_BROKEN;
	trace_cfs_stream(st);
}

/* ---- placing ---- */

/* Ends what waits for space where there is none; at first it waits for other partitions. */
static void cfs_stream_full(struct cfs_stream *st)
{
	struct cfs_data *d = st->data;
	struct cfs_piece *piece, *next;

	if (!cfs_view_full(cfs_data_sb(d), cfs_data_class(d)))
		return;
	st->not_before = cfs_after_ms(CFS_RETRY_MS);
	if (++st->full < CFS_FULL_TRIES)
		return;
	list_for_each_entry_safe(piece, next, &st->queue, link)
		cfs_piece_finish(piece, -ENOSPC);
	cfs_stream_seal(st);
	cfs_waiter_run(&d->run);
}

/* Chooses partition and connection. Returns false when the stream has to wait, or was given up. */
static bool cfs_stream_place(struct cfs_stream *st)
{
	struct cfs_data *d = st->data;
	struct cfs_sb *csb = cfs_data_sb(d);
	struct cfs_conn *conn;

	if (!st->dp)
		st->dp = cfs_dp_pick(csb, cfs_data_class(d), st->avoid, st->tiny);
	if (!st->dp) {
		if (st->tiny) {
			list_first_entry(&st->queue, struct cfs_piece, link)->moved = 1;
			cfs_stream_seal(st);
			cfs_waiter_run(&d->run);
		} else {
			cfs_stream_full(st);
		}
		return false;
	}
	conn = cfs_conn_await(st->dp->hosts[0], CFS_CONN_APPEND, csb, &st->wait_since);
	if (IS_ERR(conn)) {
		cfs_dp_penalise(csb, st->dp, CFS_RC_INIT, CFS_DP_PENALTY_S);
		st->avoid = st->dp->id;
		if (st->state == CFS_ST_OPEN)
			cfs_stream_seal(st);	/* a continued extent cannot be had */
		cfs_stream_unplace(st);
		cfs_wait_change(&d->run, CFS_RETRY_MS / 10);
		return false;
	}
	st->conn = conn;
	return conn;
}

/* ---- sending ---- */

static void cfs_stream_header(struct cfs_stream *st, struct cfs_pkt *pkt, u8 opcode, u32 size)
{
	pkt->hdr = (struct cfs_pkt_hdr){
		.extent_type = CFS_ET_PROTO_VERSION | (st->tiny ? 0 : CFS_ET_NORMAL),
		.proto_version = CFS_PROTO_VERSION,
		.opcode = opcode,
		.followers = st->dp->nhosts > 1 ? st->dp->nhosts - 1 : CFS_FOLLOWERS_SINGLE,
		.size = size,
		.arg_len = st->dp->arg_len,
		.partition_id = st->dp->id,
		.extent_id = st->extent_id,
	};
	pkt->arg = st->dp->arg;
	pkt->len = size;
	pkt->csb = cfs_data_sb(st->data);
}

static void cfs_create_done(struct cfs_pkt *pkt)
{
	struct cfs_stream *st = container_of(pkt, struct cfs_stream, create);
	struct cfs_data *d = st->data;

	trace_cfs_packet(d->ci->netfs.inode.i_ino, pkt);
	spin_lock(&d->note_lock);
	list_add_tail(&st->note, &d->created);
	cfs_waiter_run(&d->run);	/* with the lock: @d may be gone when the note is taken */
	spin_unlock(&d->note_lock);
}

static void cfs_stream_create(struct cfs_stream *st)
{
	struct cfs_data *d = st->data;

	cfs_stream_header(st, &st->create, CFS_DOP_CREATE_EXTENT, sizeof(st->create_body));
	put_unaligned_be64(d->ci->netfs.inode.i_ino, st->create_body);
	st->create_vec.iov_base = st->create_body;
	st->create_vec.iov_len = sizeof(st->create_body);
	iov_iter_kvec(&st->create.iter, ITER_SOURCE, &st->create_vec, 1, sizeof(st->create_body));
	st->create.done = cfs_create_done;
	st->create.op_id = st->op_id;
	if (cfs_conn_submit(st->conn, &st->create)) {
		cfs_stream_unplace(st);
		cfs_wait_change(&d->run, CFS_RETRY_MS / 10);
		return;
	}
	st->state = CFS_ST_CREATING;
	d->calls++;
	cfs_data_hold(d, false);
}

/**
 * cfs_stream_created - the answer to a create came back
 * @st: Stream in state CREATING.
 */
void cfs_stream_created(struct cfs_stream *st)
{
	struct cfs_pkt *pkt = &st->create;
	struct cfs_data *d = st->data;
	bool full;

	d->calls--;
	if (!pkt->err && pkt->result == CFS_RC_OK && pkt->extent_id > CFS_TINY_COUNT) {
		st->state = st->sealing ? CFS_ST_SEALED : CFS_ST_OPEN;
		st->extent_id = pkt->extent_id;
		cfs_dp_has_space(cfs_data_sb(d), st->dp);
		cfs_count(cfs_data_sb(d), extents_created, 1);
	} else {
		cfs_stream_blame(st, pkt);
		cfs_stream_unplace(st);
		st->state = st->sealing ? CFS_ST_SEALED : CFS_ST_NEW;
		full = pkt->result == CFS_RC_DISK_NO_SPACE;
		st->not_before = st->tries++ && !full ? cfs_after_ms(CFS_RETRY_MS) : 0;
		if (full && st->state == CFS_ST_NEW)
			cfs_stream_full(st);
	}
	trace_cfs_stream(st);
	cfs_data_drop(d, false);
}

/* Returns false when the stream broke. */
static bool cfs_stream_send(struct cfs_stream *st, struct cfs_piece *piece)
{
	struct cfs_pkt *pkt = &piece->pkt;
	struct cfs_sb *csb = cfs_data_sb(st->data);

	cfs_stream_header(st, pkt, CFS_DOP_WRITE, piece->len);
	if (!st->tiny)
		pkt->hdr.extent_offset = st->extent_offset + (piece->pos - st->base);
	pkt->hdr.kernel_offset = piece->pos;
	pkt->iter = cfs_piece_source(piece);
	atomic64_add(piece->len, &csb->uncommitted);
	list_move_tail(&piece->link, &st->flight);
	st->nflight++;
	piece->in_flight = true;
	if (!cfs_conn_submit(st->conn, pkt))
		return true;
	pkt->err = -ENOTCONN;
	piece->in_flight = false;
	cfs_stream_returned(piece);
	return false;
}

static void cfs_stream_push(struct cfs_stream *st)
{
	struct cfs_sb *csb = cfs_data_sb(st->data);
	struct cfs_piece *piece = list_first_entry_or_null(&st->queue, struct cfs_piece, link);

	if (!piece || st->state > CFS_ST_OPEN || st->state == CFS_ST_CREATING ||
	    !cfs_passed(st->not_before))
		return;
	if (cfs_io_expired(csb, piece->write->since)) {
		cfs_stream_seal(st);
		cfs_waiter_run(&st->data->run);
		return;
	}
	if (!st->conn && !cfs_stream_place(st))
		return;
	if (st->state == CFS_ST_NEW && !st->tiny)
		return cfs_stream_create(st);
	st->state = CFS_ST_OPEN;
	while ((piece = list_first_entry_or_null(&st->queue, struct cfs_piece, link))) {
		if (st->nflight >= CFS_STREAM_WINDOW ||
		    atomic64_read(&csb->uncommitted) >= CFS_UNCOMMITTED_MAX)
			break;
		if (!cfs_piece_ready(piece) || !cfs_stream_send(st, piece))
			break;
	}
}

/**
 * cfs_stream_pump - send what can be sent
 * @d: Data state, d->lock held.
 */
void cfs_stream_pump(struct cfs_data *d)
{
	struct cfs_stream *st;

	lockdep_assert_held(&d->lock);
	list_for_each_entry(st, &d->streams, link)
		cfs_stream_push(st);
}

/* ---- results ---- */

static void cfs_uncommitted_sub(struct cfs_sb *csb, u32 len)
{
	s64 now = atomic64_sub_return(len, &csb->uncommitted);

	if (now < CFS_UNCOMMITTED_MAX && now + len >= CFS_UNCOMMITTED_MAX)
		cfs_wake_waiters();
}

static bool cfs_append_ok(struct cfs_stream *st, struct cfs_piece *piece)
{
	struct cfs_pkt *pkt = &piece->pkt;

	if (pkt->err || pkt->result != CFS_RC_OK || st->state == CFS_ST_BROKEN || st->dropped ||
	    st->acked != piece->pos)
		return false;
	if (!st->tiny)
		return pkt->extent_id == st->extent_id;
	return pkt->extent_id && pkt->extent_id <= CFS_TINY_COUNT && pkt->extent_offset >= 0;
}

static void cfs_append_acked(struct cfs_stream *st, struct cfs_piece *piece)
{
	struct cfs_sb *csb = cfs_data_sb(st->data);

	if (st->tiny) {
		st->extent_id = piece->pkt.extent_id;
		st->extent_offset = piece->pkt.extent_offset;
		st->state = CFS_ST_SEALED;
	}
	if (st->acked == st->committed)
		st->acked_at = get_jiffies_64();
	st->acked += piece->len;
	list_move_tail(&piece->link, &st->acked_list);
	if (piece->len > CFS_BLOCK_SIZE)
		WRITE_ONCE(csb->large_append_ok, true);
	cfs_count(csb, append_packets, 1);
	cfs_count(csb, append_wire_bytes, piece->len);
}

/**
 * cfs_stream_returned - an append came back
 * @piece: Piece from st->flight.
 */
void cfs_stream_returned(struct cfs_piece *piece)
{
	struct cfs_stream *st = piece->stream;
	struct cfs_sb *csb = cfs_data_sb(st->data);

	lockdep_assert_held(&st->data->lock);
	st->nflight--;
	if (cfs_append_ok(st, piece))
		return cfs_append_acked(st, piece);
	cfs_uncommitted_sub(csb, piece->len);
	if (piece->pkt.exposed) {
		cfs_count(csb, rehomed_bytes, piece->len);
		if (piece->moved < U8_MAX)
			piece->moved++;
		cfs_piece_copy(piece);
	}
	cfs_stream_break(st, piece);
	list_move_tail(&piece->link, &st->failed);
	cfs_stream_broken_end(st);
}

/**
 * cfs_stream_committed - the key that was submitted is committed
 * @st: Stream; st->submitted is the end of the key.
 */
void cfs_stream_committed(struct cfs_stream *st)
{
	struct cfs_piece *piece, *next;

	st->committed = st->submitted;
	st->fresh = false;
	st->acked_at = get_jiffies_64();
	list_for_each_entry_safe(piece, next, &st->acked_list, link) {
		if (piece->pos + piece->len > st->committed)
			break;
		cfs_uncommitted_sub(cfs_data_sb(st->data), piece->len);
		cfs_piece_finish(piece, 0);
	}
}

/**
 * cfs_stream_drop - the key of a stream was refused: never commit it again
 * @st:    Stream.
 * @error: Final errno for what was acknowledged, or 0: write it elsewhere.
 */
void cfs_stream_drop(struct cfs_stream *st, int error)
{
	struct cfs_piece *piece, *next;
	struct cfs_write *last = NULL;

	st->dropped = true;
	list_for_each_entry_safe(piece, next, &st->acked_list, link) {
		cfs_uncommitted_sub(cfs_data_sb(st->data), piece->len);
		if (error) {
			cfs_piece_finish(piece, error);
			continue;
		}
		if (piece->write != last)
			piece->write->conflicts++;
		last = piece->write;
		if (piece->moved < U8_MAX)
			piece->moved++;
		cfs_count(cfs_data_sb(st->data), rehomed_bytes, piece->len);
		cfs_piece_requeue(piece);
	}
	st->acked = st->committed;
	if (st->state == CFS_ST_OPEN || st->state == CFS_ST_SEALED)
		st->state = CFS_ST_BROKEN;
	cfs_stream_broken_end(st);
	trace_cfs_stream(st);
}

/* ---- end ---- */

static void cfs_stream_free(struct cfs_stream *st)
{
	list_del(&st->link);
	cfs_stream_unplace(st);
	mempool_free(st, &cfs_stream_pool);
}

/* Are streams taken from the reserve? Then none is kept that does nothing. */
static bool cfs_streams_short(void)
{
	return READ_ONCE(cfs_stream_pool.curr_nr) < cfs_stream_pool.min_nr;
}

static bool cfs_stream_empty(const struct cfs_stream *st)
{
	return !st->nflight && st->state != CFS_ST_CREATING && list_empty(&st->queue) &&
	       list_empty(&st->acked_list) && list_empty(&st->failed) && list_empty(&st->commit);
}

/**
 * cfs_stream_reap - free streams that are over, and all but the newest of those that are idle
 * @d: Data state, d->lock held.
 */
void cfs_stream_reap(struct cfs_data *d)
{
	struct cfs_stream *st, *next;
	unsigned int idle = 0;

	list_for_each_entry_safe_reverse(st, next, &d->streams, link) {
		if (!cfs_stream_empty(st))
			continue;
		if (st->state == CFS_ST_SEALED || !cfs_stream_room(st) ||
		    idle++ >= CFS_STREAMS_IDLE || cfs_streams_short())
			cfs_stream_free(st);
	}
}

/**
 * cfs_streams_free - eviction: free open streams
 * @d: Data state that nobody else uses any more.
 */
void cfs_streams_free(struct cfs_data *d)
{
	struct cfs_stream *st, *next;

	list_for_each_entry_safe(st, next, &d->streams, link) {
		WARN_ON_ONCE(!cfs_stream_empty(st));
		cfs_stream_free(st);
	}
}

int cfs_stream_init(void)
{
	return mempool_init_kmalloc_pool(&cfs_stream_pool, CFS_STREAM_POOL,
					 sizeof(struct cfs_stream));
}

void cfs_stream_exit(void)
{
	mempool_exit(&cfs_stream_pool);
}
