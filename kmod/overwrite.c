// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: overwrites: bytes that a committed key covers, through the raft leader of its partition.
 *
 * Purpose   Sends each piece to the leader, follows it when it moves, repeats the same bytes at the
 *           same place until they are acknowledged.
 * Lifetime  A piece is on d->over from the cut until it is finished or cut again.
 * Locks     d->lock. A piece in flight belongs to its connection until its note came.
 * Contexts  A pass over the inode, see data.h.
 * Failure   A request without an answer may still be applied later, after a repetition and after
 *           newer bytes: nothing at the servers tells them apart. The same host is asked again
 *           first, and for CFS_QUARANTINE_S nothing newer is sent to the same bytes (see struct
 *           cfs_piece, ghost).
 * Source    CubeFS v3.5.3, sdk/data/stream/stream_conn.go, datanode/partition_op_by_raft.go.
 */
#include <linux/fs.h>
#include "data.h"
#include "trace.h"

#define CFS_ELECTION_ROUNDS	8	/* rounds with short pauses, of 3 s together */
#define CFS_SAME_HOST_TRIES	2	/* connections to one host before another is asked */

/**
 * cfs_over_add - take a piece that lies inside a key
 * @d:     Data state, d->lock held.
 * @piece: Piece of at most CFS_BLOCK_SIZE; leaves the list it is on.
 * @slice: Where its first byte is.
 */
void cfs_over_add(struct cfs_data *d, struct cfs_piece *piece, const struct cfs_slice *slice)
{
	lockdep_assert_held(&d->lock);
	piece->stream = NULL;
	piece->partition_id = slice->partition_id;
	piece->extent_id = slice->extent_id;
	piece->extent_offset = slice->extent_offset;
	piece->not_before = 0;
	piece->host_since = 0;
	list_move_tail(&piece->link, &d->over);
	d->nover++;
}

static void cfs_over_pause(struct cfs_piece *piece, unsigned int ms)
{
	piece->not_before = cfs_after_ms(ms);
	cfs_wait_change(&piece->write->data->run, ms);
}

static void cfs_over_finish(struct cfs_piece *piece, int error)
{
	struct cfs_data *d = piece->write->data;
	bool ghost = !cfs_passed(piece->ghost_until) &&
		     !test_bit(CFS_SB_DYING, &cfs_data_sb(d)->flags);

	/* A ghost cannot go on with a rest: the same bytes are sent once more when it is none. */
	if (ghost && piece->rest && !error)
		return cfs_over_pause(piece, CFS_RETRY_MAX_MS);
	d->nover--;
	if (error && !piece->write->error)
		piece->write->error = error;
	if (ghost)
		cfs_piece_ghost(piece);
	else
		cfs_piece_finish(piece, error);
}

static u8 cfs_over_host(struct cfs_piece *piece, struct cfs_dp *dp)
{
	if (piece->host != U8_MAX)
		return piece->host % dp->nhosts;
	return dp->leader == 0xFF ? 0 : dp->leader;
}

/*
 * Elections take one to three seconds: so long the pauses stay short, or what comes just before the
 * end of one would wait as long again.
 */
static unsigned int cfs_over_round_pause(unsigned int round)
{
	unsigned int shift = round <= CFS_ELECTION_ROUNDS ?
		min(round, 2u) : min(round - CFS_ELECTION_ROUNDS + 2, 5u);

	return min_t(unsigned int, CFS_RETRY_MS << shift, CFS_RETRY_MAX_MS);
}

/* Another host, with a growing pause after each round. */
static void cfs_over_next_host(struct cfs_piece *piece, struct cfs_dp *dp)
{
	piece->host = (cfs_over_host(piece, dp) + 1) % dp->nhosts;
	piece->host_since = 0;
	if (piece->tries == U8_MAX)
		piece->tries -= dp->nhosts;	/* the rounds go on, their pause stays */
	piece->tries++;
	if (piece->tries % dp->nhosts == 0) {
		/* A row that the daemon has refreshed knows better than the rotation. */
		piece->host = U8_MAX;
		cfs_over_pause(piece, cfs_over_round_pause(piece->tries / dp->nhosts));
	}
}

/*
 * A connection to the host whose turn it is. One that is not connected yet is waited for, unless it
 * failed a short time ago; then it is the next one's turn. With none at all the first that comes
 * back is noticed at once: nothing is counted that would make a later pause longer.
 */
static struct cfs_conn *cfs_over_conn(struct cfs_piece *piece, struct cfs_dp *dp)
{
	struct cfs_conn *conn = NULL;
	int i;

	for (i = 0; i < dp->nhosts; i++) {
		conn = cfs_conn_await(dp->hosts[cfs_over_host(piece, dp)], CFS_CONN_OVERWRITE,
				      piece->pkt.csb, &piece->host_since);
		if (!IS_ERR(conn))
			break;
		piece->host = (cfs_over_host(piece, dp) + 1) % dp->nhosts;
		conn = NULL;
	}
	if (i == dp->nhosts)
		piece->host = U8_MAX;	/* the leader, as the daemon knows it by then */
	if (!conn)
		cfs_wait_change(&piece->write->data->run, CFS_RETRY_MS);
	return conn;
}

static void cfs_over_send(struct cfs_piece *piece, struct cfs_conn *conn)
{
	struct cfs_pkt *pkt = &piece->pkt;

	pkt->hdr = (struct cfs_pkt_hdr){
		.extent_type = CFS_ET_PROTO_VERSION | CFS_ET_NORMAL,
		.proto_version = CFS_PROTO_VERSION,
		.opcode = CFS_DOP_RANDOM_WRITE,
		.size = piece->len,
		.partition_id = piece->partition_id,
		.extent_id = piece->extent_id,
		.extent_offset = piece->extent_offset,
		.kernel_offset = piece->pos,
	};
	pkt->arg = NULL;
	pkt->iter = cfs_piece_source(piece);
	pkt->len = piece->len;
	piece->in_flight = true;
	if (cfs_conn_submit(conn, pkt)) {
		piece->in_flight = false;
		cfs_wait_change(&piece->write->data->run, CFS_RETRY_MS / 10);
	}
}

static void cfs_over_try(struct cfs_data *d, struct cfs_piece *piece)
{
	struct cfs_sb *csb = cfs_data_sb(d);
	struct cfs_conn *conn;
	struct cfs_dp *dp;

	if (cfs_io_expired(csb, piece->write->since))
		return cfs_over_finish(piece, -EIO);
	if (!cfs_piece_ready(piece))
		return cfs_over_pause(piece, CFS_RETRY_MS);
	dp = cfs_dp_get(csb, piece->partition_id);
	if (!dp) {
		cfs_dp_need(csb, piece->partition_id);
		return cfs_over_pause(piece, 2 * CFS_RETRY_MS);
	}
	if (dp->flags & CFS_DP_DISCARD) {
		cfs_dp_put(dp);
		return cfs_over_finish(piece, -EIO);
	}
	conn = cfs_over_conn(piece, dp);
	cfs_dp_put(dp);
	if (!conn)
		return;
	cfs_over_send(piece, conn);
	cfs_conn_put(conn);
}

/**
 * cfs_over_pump - send what can be sent
 * @d: Data state, d->lock held.
 */
void cfs_over_pump(struct cfs_data *d)
{
	struct cfs_piece *piece, *next;

	lockdep_assert_held(&d->lock);
	list_for_each_entry_safe(piece, next, &d->over, link)
		if (!piece->in_flight && cfs_passed(piece->not_before))
			cfs_over_try(d, piece);
}

/**
 * cfs_over_recall - what is not in flight is cut again: the map may change
 * @d: Data state, d->lock held.
 */
void cfs_over_recall(struct cfs_data *d)
{
	struct cfs_piece *piece, *next;

	lockdep_assert_held(&d->lock);
	list_for_each_entry_safe(piece, next, &d->over, link) {
		if (piece->in_flight)
			continue;
		cfs_piece_requeue(piece);
		d->nover--;
	}
}

/* ---- results ---- */

static void cfs_over_ok(struct cfs_piece *piece)
{
	struct cfs_data *d = piece->write->data;
	struct cfs_sb *csb = cfs_data_sb(d);

	cfs_count(csb, overwrite_packets, 1);
	cfs_count(csb, overwrite_wire_bytes, piece->len);
	WRITE_ONCE(d->overwrote, true);
	cfs_over_finish(piece, 0);
}

/* No answer. */
static void cfs_over_unknown(struct cfs_piece *piece, struct cfs_dp *dp)
{
	if (!piece->pkt.exposed)
		return;
	piece->ghost_until = cfs_after_ms(CFS_QUARANTINE_S * 1000);
	if (piece->again++ < CFS_SAME_HOST_TRIES)
		return;
	piece->again = 0;
	if (dp)
		cfs_over_next_host(piece, dp);
}

/*
 * The extent is missing: the list is old (a migration), or the file was cut by somebody else. Once
 * is believed. A server that has dropped the extent already acknowledges overwrites of it, which
 * nobody can tell.
 */
static void cfs_over_gone(struct cfs_piece *piece)
{
	struct cfs_data *d = piece->write->data;

	if (piece->gone)
		return cfs_over_finish(piece, -EIO);
	piece->gone = true;
	cfs_map_forget(d);
	d->nover--;
	cfs_piece_requeue(piece);
	cfs_waiter_run(&d->run);
}

static void cfs_over_refused(struct cfs_piece *piece, struct cfs_dp *dp)
{
	switch (piece->pkt.result) {
	case CFS_RC_AGAIN:
	case CFS_RC_LIMITED_IO:
		return cfs_over_pause(piece, CFS_RETRY_MS);
	case CFS_RC_NOT_EXIST:
		return cfs_over_gone(piece);
	case CFS_RC_TRY_OTHER_ADDR:
		cfs_dp_refused(piece->pkt.csb, dp, dp->hosts[cfs_over_host(piece, dp)],
			       piece->pkt.result);
		break;
	default:
		cfs_piece_copy(piece);
	}
	cfs_over_next_host(piece, dp);
}

/**
 * cfs_over_returned - an overwrite came back
 * @piece: Piece on d->over.
 */
void cfs_over_returned(struct cfs_piece *piece)
{
	struct cfs_pkt *pkt = &piece->pkt;
	struct cfs_dp *dp;

	lockdep_assert_held(&piece->write->data->lock);
	if (!pkt->err && pkt->result == CFS_RC_OK)
		return cfs_over_ok(piece);
	cfs_count(pkt->csb, overwrite_retries, 1);
	dp = cfs_dp_get(pkt->csb, piece->partition_id);
	if (pkt->err)
		cfs_over_unknown(piece, dp);
	else if (dp)
		cfs_over_refused(piece, dp);
	cfs_dp_put(dp);
}
