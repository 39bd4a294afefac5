// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: reads: from a netfs sub-request to read packets and back.
 *
 * Purpose   Cuts a range by the extent map, zeroes holes, reads the rest from a replica, tries
 *           others when one fails.
 * Lifetime  A struct cfs_read lives from issue to the end of its last piece; each piece is on its
 *           own: in a connection, waiting (cfs_waiter), or in d->map_readers. The inode is held
 *           meanwhile. A hedged piece outlives the read until its last packet is back.
 * Locks     d->lock while cutting. A piece belongs to whoever handles it; the count of pieces is
 *           atomic.
 * Contexts  Issue: the reader's. Replies: receiver or close work of a connection. Retries: work.
 * Failure   Nothing is an error while another replica or another attempt may help; a hard mount
 *           tries for ever. Final: the partition is lost, the extent is gone although the list is
 *           fresh, the file is gone, the mount is forced or soft.
 *
 * Replicas. Appended bytes are the same on all replicas. Overwritten bytes are certain on the raft
 * leader only, so it is asked first, with the opcode that others refuse; when it fails, or
 * none is known, the others are asked in the same way, since one of them may lead now. After CFS_LEADER_MS, longer than an
 * election, any replica will do, or a partition that has lost its majority could not be read at all.
 * Source: CubeFS v3.5.3, sdk/data/stream/extent_reader.go, datanode/wrap_operator.go.
 *
 * Hedging. Where any replica may be read, a packet that is not back after CFS_HEDGE_TIMES the usual
 * time is sent a second time, to the next replica. Whose first byte comes first wins (rp->claim):
 * the receiver throws the other's data away, so that two never fill the same pages, and pages that
 * are no longer the read's stay untouched; if it fails later, it is tried again when both are back.
 * Overwritten bytes are read from the leader, which nobody can stand in for: no hedge there.
 */
#include <linux/fs.h>
#include <linux/slab.h>
#include "data.h"
#include "optrace.h"

#define CFS_READ_POOL	16	/* objects kept so that reads go on without memory */
#define CFS_AGAIN_MAX	20	/* times a replica may say "try again" before another is asked */
#define CFS_LEADER_MS	3000	/* so long after the first attempt only the leader will do */
#define CFS_HEDGE_TIMES	4	/* the usual time of a packet, then it is hedged */
#define CFS_HEDGE_MIN_MS	100
#define CFS_HEDGE_MAX_MS	500

struct cfs_read {
	struct netfs_io_subrequest *sr;
	struct cfs_data *data;
	u64 since;		/* jiffies64 */
	u64 len;		/* bytes inside the file */
	u64 op_id;		/* for the trace */
	atomic_t pieces;
	int error;		/* first; written once (cmpxchg) */
	struct work_struct work; /* its end, where the data goes to the local cache */
};

struct cfs_rpiece {
	struct cfs_pkt pkt;
	struct cfs_pkt hedge;		/* the same to another replica */
	struct cfs_pkt *claim;		/* cmpxchg: the one of the two whose data is taken */
	atomic_t arms;			/* packets on their way, and the timer */
	bool won;			/* the one with the claim brought all: the read is not ours */
	struct delayed_work timer;	/* hedges */
	struct cfs_data *data;		/* held as long as the timer or a hedge may run, or NULL */
	u64 sent;			/* jiffies64 */
	struct cfs_read *read;
	struct cfs_waiter wait;		/* runs cfs_rpiece_work() */
	struct list_head link;		/* d->map_readers or a local list */
	u64 pos;			/* bytes from the start of the file */
	u64 len;
	u64 rest;			/* bytes behind it, to go on with: no memory for a piece */
	struct iov_iter iter;		/* where they go */
	bool cut;			/* the rest is known */
	bool hole;
	u64 partition_id, extent_id, extent_offset;
	u32 map_serial;			/* of the list it was cut by */
	u8 host;			/* replica that was sent to */
	u8 turn;			/* replicas tried in this round */
	u8 round;
	u8 again;
	u8 base;			/* follower reads: where the rotation began */
	bool gone;			/* the extent was reported missing, the list is fresh */
	u32 missing;			/* hosts that said so since then */
	u64 host_since;			/* jiffies64: waiting for a connection; 0: not */
	u64 leader_until;		/* jiffies64: the leader is asked so long; 0: it has not failed */
};

static mempool_t cfs_read_pool, cfs_rpiece_pool;
static atomic_t cfs_read_turn = ATOMIC_INIT(0);

static void cfs_rpiece_try(struct cfs_rpiece *rp);
static void cfs_rpiece_cut(struct cfs_rpiece *rp);
static void cfs_rpiece_hedge(struct work_struct *work);

/* ---- life ---- */

static void cfs_rpiece_work(struct work_struct *work)
{
	struct cfs_rpiece *rp = container_of(work, struct cfs_rpiece, wait.work.work);

	cfs_waiter_done(&rp->wait);
	if (rp->cut)
		cfs_rpiece_try(rp);
	else
		cfs_rpiece_cut(rp);
}

static struct cfs_rpiece *cfs_rpiece_new(struct cfs_read *rd, u64 pos, u64 len,
					 const struct iov_iter *iter, gfp_t gfp)
{
	struct cfs_rpiece *rp = mempool_alloc(&cfs_rpiece_pool, gfp);

	if (!rp)
		return NULL;
	memset(rp, 0, sizeof(*rp));
	rp->read = rd;
	rp->pos = pos;
	rp->len = len;
	rp->iter = *iter;
	rp->base = atomic_inc_return(&cfs_read_turn);
	iov_iter_truncate(&rp->iter, len);
	INIT_LIST_HEAD(&rp->link);
	INIT_LIST_HEAD(&rp->pkt.link);
	cfs_waiter_init(&rp->wait, cfs_rpiece_work);
	INIT_DELAYED_WORK(&rp->timer, cfs_rpiece_hedge);
	atomic_inc(&rd->pieces);
	return rp;
}

/*
 * A short direct read must say that it met the end of the file: netfs would ask for the rest for
 * ever. A buffered read is inside the file, and netfs clears what is left of the last folio.
 */
static void cfs_read_end(struct cfs_read *rd)
{
	struct netfs_io_subrequest *sr = rd->sr;
	struct cfs_data *d = rd->data;
	int error = READ_ONCE(rd->error);

	if (sr->rreq->origin != NETFS_DIO_READ)
		__set_bit(NETFS_SREQ_CLEAR_TAIL, &sr->flags);
	if (!error && rd->len < sr->len - sr->transferred)
		__set_bit(NETFS_SREQ_HIT_EOF, &sr->flags);
	cfs_read_done(sr, error ? 0 : rd->len, error);
	mempool_free(rd, &cfs_read_pool);
	cfs_data_drop(d, false);
}

static void cfs_read_end_work(struct work_struct *work)
{
	cfs_read_end(container_of(work, struct cfs_read, work));
}

/*
 * 6.12 writes to the local cache in whoever tells of the end: a receiver must not wait for that
 * disk.
 */
static void cfs_read_unref(struct cfs_read *rd)
{
	if (!atomic_dec_and_test(&rd->pieces))
		return;
	if (!test_bit(NETFS_SREQ_COPY_TO_CACHE, &rd->sr->flags)) {
		cfs_read_end(rd);
		return;
	}
	INIT_WORK(&rd->work, cfs_read_end_work);
	queue_work(cfs_io_wq, &rd->work);
}

static void cfs_rpiece_free(struct cfs_rpiece *rp)
{
	struct cfs_data *d = rp->data;

	mempool_free(rp, &cfs_rpiece_pool);	/* first: without users the module may go */
	if (d)
		cfs_data_drop(d, false);
}

/* The next part of a piece that could not be split. */
static void cfs_rpiece_go_on(struct cfs_rpiece *rp)
{
	iov_iter_reexpand(&rp->iter, rp->len + rp->rest);
	iov_iter_advance(&rp->iter, rp->len);
	rp->pos += rp->len;
	rp->len = rp->rest;
	rp->rest = 0;
	rp->cut = false;
	rp->turn = 0;
	rp->round = 0;
	rp->leader_until = 0;
	rp->sent = 0;
	cfs_wait_change(&rp->wait, 0);
}

static void cfs_rpiece_finish(struct cfs_rpiece *rp, int error)
{
	struct cfs_read *rd = rp->read;

	if (rp->rest && !error)
		return cfs_rpiece_go_on(rp);
	if (error)
		cmpxchg(&rd->error, 0, error);
	cfs_rpiece_free(rp);
	cfs_read_unref(rd);
}

/* ---- cutting ---- */

/* One key or hole, or a part of it; what follows becomes a new piece. */
static struct cfs_rpiece *cfs_rpiece_slice(struct cfs_rpiece *rp)
{
	struct cfs_data *d = rp->read->data;
	struct cfs_rpiece *rest = NULL;
	struct cfs_slice slice;
	struct iov_iter iter;
	u64 len;

	lockdep_assert_held(&d->lock);
	cfs_map_lookup(&d->map, rp->pos, &slice);
	len = min(slice.len, rp->len);
	if (!slice.hole)
		len = min_t(u64, len, CFS_IO_SIZE);
	if (len < rp->len) {
		iter = rp->iter;
		iov_iter_advance(&iter, len);
		rest = cfs_rpiece_new(rp->read, rp->pos + len, rp->len - len, &iter, GFP_NOWAIT);
		if (rest) {
			rest->gone = rp->gone;
			rest->missing = rp->missing;
		} else {
			rp->rest = rp->len - len;
		}
		rp->len = len;
		iov_iter_truncate(&rp->iter, len);
	}
	rp->cut = true;
	rp->hole = slice.hole;
	rp->partition_id = slice.partition_id;
	rp->extent_id = slice.extent_id;
	rp->extent_offset = slice.extent_offset;
	rp->map_serial = d->map_serial;
	return rest;
}

static void cfs_rpieces_start(struct list_head *list)
{
	struct cfs_rpiece *rp, *next;

	list_for_each_entry_safe(rp, next, list, link) {
		struct iov_iter iter = rp->iter;

		list_del_init(&rp->link);
		if (!rp->hole) {
			cfs_rpiece_try(rp);
			continue;
		}
		iov_iter_zero(rp->len, &iter);
		cfs_rpiece_finish(rp, 0);
	}
}

static void cfs_rpiece_cut(struct cfs_rpiece *rp)
{
	struct cfs_data *d = rp->read->data;
	LIST_HEAD(ready);

	if (cfs_read_hopeless(cfs_data_sb(d)) || cfs_io_expired(cfs_data_sb(d), rp->read->since))
		return cfs_rpiece_finish(rp, -EIO);
	mutex_lock(&d->lock);
	if (!d->map_valid) {
		list_add_tail(&rp->link, &d->map_readers);
		cfs_map_fetch(d);
		if (!d->map_loading)
			cfs_wait_change(&d->run, CFS_RETRY_MS);	/* the runner fetches it */
		mutex_unlock(&d->lock);
		return;
	}
	while (rp) {
		struct cfs_rpiece *rest = cfs_rpiece_slice(rp);

		list_add_tail(&rp->link, &ready);
		rp = rest;
	}
	mutex_unlock(&d->lock);
	cfs_rpieces_start(&ready);
}

/**
 * cfs_read_resume - the extent list that pieces waited for came, or did not
 * @readers: Pieces, taken from d->map_readers.
 * @error:   Final errno, or 0: look again.
 *
 * Context: Process, no locks held.
 */
void cfs_read_resume(struct list_head *readers, int error)
{
	struct cfs_rpiece *rp, *next;

	list_for_each_entry_safe(rp, next, readers, link) {
		list_del_init(&rp->link);
		if (error)
			cfs_rpiece_finish(rp, error);
		else
			cfs_rpiece_cut(rp);
	}
}

/* ---- replicas ---- */

static u8 cfs_rpiece_first(struct cfs_rpiece *rp, struct cfs_dp *dp)
{
	if (rp->pkt.csb->mount_flags & CFS_MR_FOLLOWER_READ)
		return rp->base % dp->nhosts;
	return dp->leader == 0xFF ? 0 : dp->leader;
}

static struct cfs_node_obj *cfs_rpiece_node(struct cfs_rpiece *rp, struct cfs_dp *dp)
{
	return dp->hosts[(cfs_rpiece_first(rp, dp) + rp->turn) % dp->nhosts];
}

/*
 * A connection to the replica whose turn it is. One that is not connected yet is waited for, unless
 * it failed a short time ago; then it is the next one's turn.
 */
static struct cfs_conn *cfs_rpiece_host(struct cfs_rpiece *rp, struct cfs_dp *dp)
{
	int i;

	for (i = 0; i < dp->nhosts; i++) {
		struct cfs_conn *conn = cfs_conn_await(cfs_rpiece_node(rp, dp), CFS_CONN_READ,
						       rp->pkt.csb, &rp->host_since);

		if (!IS_ERR(conn))
			return conn;
		rp->turn++;
	}
	return NULL;
}

static unsigned int cfs_rpiece_pause(struct cfs_rpiece *rp)
{
	return min_t(unsigned int, CFS_RETRY_MS << min_t(u8, rp->round, 5), CFS_RETRY_MAX_MS);
}

/* The next replica; after the last one the first again, with a pause. */
static void cfs_rpiece_next(struct cfs_rpiece *rp, struct cfs_dp *dp)
{
	unsigned int pause = 0;

	if (!rp->leader_until)
		rp->leader_until = (rp->sent ?: get_jiffies_64()) + msecs_to_jiffies(CFS_LEADER_MS);
	rp->again = 0;
	rp->turn++;
	if (rp->turn >= dp->nhosts) {
		rp->turn = 0;
		pause = cfs_rpiece_pause(rp);
		if (rp->round < U8_MAX)
			rp->round++;
		if (rp->gone && hweight32(rp->missing) >= dp->nhosts)
			return cfs_rpiece_finish(rp, -EIO);
	}
	cfs_wait_change(&rp->wait, pause);
}

/*
 * The extent is not there: by a migration, for example, which changes the list without a new
 * generation. Fetch it again.
 */
static void cfs_rpiece_gone(struct cfs_rpiece *rp)
{
	struct cfs_data *d = rp->read->data;

	mutex_lock(&d->lock);
	if (d->map_serial == rp->map_serial)
		cfs_map_forget(d);
	mutex_unlock(&d->lock);
	rp->gone = true;
	rp->cut = false;
	rp->turn = 0;
	cfs_wait_change(&rp->wait, 0);
}

static void cfs_rpiece_refused(struct cfs_rpiece *rp, struct cfs_dp *dp, u8 result)
{
	if (result == CFS_RC_AGAIN || result == CFS_RC_LIMITED_IO) {
		if (++rp->again < CFS_AGAIN_MAX)
			return cfs_wait_change(&rp->wait, CFS_RETRY_MS);
	} else if (result == CFS_RC_NOT_EXIST && !rp->gone) {
		return cfs_rpiece_gone(rp);
	} else if (result == CFS_RC_NOT_EXIST) {
		rp->missing |= BIT((cfs_rpiece_first(rp, dp) + rp->turn) % dp->nhosts);
	} else if (result == CFS_RC_TRY_OTHER_ADDR) {
		cfs_dp_refused(rp->pkt.csb, dp, cfs_rpiece_node(rp, dp), result);
	}
	cfs_rpiece_next(rp, dp);
}

/* ---- hedging ---- */

static unsigned int cfs_hedge_ms(struct cfs_sb *csb)
{
	return clamp_t(unsigned int, CFS_HEDGE_TIMES * READ_ONCE(csb->read_us) / USEC_PER_MSEC,
		       CFS_HEDGE_MIN_MS, CFS_HEDGE_MAX_MS);
}

/* A moving average; a lost update does no harm. */
static void cfs_read_took(struct cfs_sb *csb, u64 since)
{
	u32 us = jiffies_to_usecs(min_t(u64, get_jiffies_64() - since, HZ));
	u32 old = READ_ONCE(csb->read_us);

	WRITE_ONCE(csb->read_us, old - old / 8 + us / 8);
}

/* Before the first packet is sent: with a timer, if another replica may answer in its place. */
static void cfs_rpiece_arm(struct cfs_rpiece *rp, struct cfs_dp *dp)
{
	struct cfs_pkt *pkt = &rp->pkt;
	bool hedge = pkt->csb->mount_flags & CFS_MR_FOLLOWER_READ && dp->nhosts > 1 && !rp->rest;

	rp->claim = NULL;
	rp->won = false;
	rp->sent = get_jiffies_64();
	rp->host = cfs_rpiece_first(rp, dp) + rp->turn;
	pkt->claim = &rp->claim;
	atomic_set(&rp->arms, 1 + hedge);
	if (!hedge)
		return;
	if (!rp->data) {
		rp->data = rp->read->data;
		cfs_data_hold(rp->data, false);
	}
	queue_delayed_work(cfs_io_wq, &rp->timer, msecs_to_jiffies(cfs_hedge_ms(pkt->csb)));
}

/* A packet came back in vain. What arrived before is kept. */
static void cfs_rpiece_failed(struct cfs_rpiece *rp, struct cfs_pkt *pkt)
{
	struct cfs_dp *dp;

	cfs_count(pkt->csb, read_retries, 1);
	iov_iter_advance(&rp->iter, pkt->got);
	rp->pos += pkt->got;
	rp->len -= pkt->got;
	rp->extent_offset += pkt->got;
	dp = cfs_dp_get(pkt->csb, rp->partition_id);
	if (!dp)
		return cfs_wait_change(&rp->wait, CFS_RETRY_MS);
	if (pkt->err)
		cfs_rpiece_next(rp, dp);
	else
		cfs_rpiece_refused(rp, dp, pkt->result);
	cfs_dp_put(dp);
}

/*
 * A packet, or the timer (@pkt NULL), is through with the piece. One that has the claim and brought
 * all ends the piece's part of the read, which the others do not look at any more; if none did, the
 * last one tries again.
 */
static void cfs_rpiece_back(struct cfs_rpiece *rp, struct cfs_pkt *pkt)
{
	struct cfs_read *rd = rp->read;
	bool won = pkt && pkt == READ_ONCE(rp->claim) && !pkt->err && pkt->result == CFS_RC_OK;

	if (pkt)
		trace_cfs_packet((rp->data ?: rd->data)->ci->netfs.inode.i_ino, pkt);
	if (won && pkt == &rp->pkt)
		cfs_read_took(pkt->csb, rp->sent);
	if (won)
		rp->won = true;
	if (!atomic_dec_and_test(&rp->arms)) {
		if (won)
			cfs_read_unref(rd);
	} else if (won) {
		cfs_rpiece_finish(rp, 0);
	} else if (rp->won) {
		cfs_rpiece_free(rp);
	} else {
		cfs_rpiece_failed(rp, rp->claim ?: &rp->pkt);
	}
}

static void cfs_rpiece_done(struct cfs_pkt *pkt)
{
	struct cfs_rpiece *rp = container_of(pkt, struct cfs_rpiece, pkt);

	if (cancel_delayed_work(&rp->timer))
		atomic_dec(&rp->arms);		/* if it runs already it finds out itself */
	cfs_rpiece_back(rp, pkt);
}

static void cfs_rpiece_hedged(struct cfs_pkt *pkt)
{
	cfs_rpiece_back(container_of(pkt, struct cfs_rpiece, hedge), pkt);
}

/* Work: the packet has been away for too long. */
static void cfs_rpiece_hedge(struct work_struct *work)
{
	struct cfs_rpiece *rp = container_of(work, struct cfs_rpiece, timer.work);
	struct cfs_sb *csb = cfs_data_sb(rp->data);
	struct cfs_conn *conn = NULL;
	struct cfs_dp *dp = NULL;

	if (!READ_ONCE(rp->claim))
		dp = cfs_dp_get(csb, rp->partition_id);
	if (dp)
		conn = cfs_conn_pick(dp->hosts[(rp->host + 1) % dp->nhosts], CFS_CONN_READ, csb);
	if (conn) {
		rp->hedge = (struct cfs_pkt){
			.hdr = rp->pkt.hdr,
			.csb = csb,
			.op_id = rp->pkt.op_id,
			.iter = rp->iter,
			.len = rp->len,
			.is_read = true,
			.claim = &rp->claim,
			.done = cfs_rpiece_hedged,
		};
		INIT_LIST_HEAD(&rp->hedge.link);
		atomic_inc(&rp->arms);
		if (cfs_conn_submit(conn, &rp->hedge))
			atomic_dec(&rp->arms);
		else
			cfs_count(csb, read_hedges, 1);
		cfs_conn_put(conn);
	}
	if (dp)
		cfs_dp_put(dp);
	cfs_rpiece_back(rp, NULL);
}

static void cfs_rpiece_send(struct cfs_rpiece *rp, struct cfs_dp *dp, struct cfs_conn *conn)
{
	struct cfs_pkt *pkt = &rp->pkt;
	bool leader = (!rp->leader_until || !cfs_passed(rp->leader_until)) &&
		      !(pkt->csb->mount_flags & CFS_MR_FOLLOWER_READ);

	pkt->hdr = (struct cfs_pkt_hdr){
		.extent_type = CFS_ET_NORMAL | CFS_ET_PROTO_VERSION,
		.proto_version = CFS_PROTO_VERSION,
		.opcode = leader ? CFS_DOP_STREAM_READ : CFS_DOP_STREAM_FOLLOWER_READ,
		.size = rp->len,
		.partition_id = rp->partition_id,
		.extent_id = rp->extent_id,
		.extent_offset = rp->extent_offset,
		.kernel_offset = rp->pos,
	};
	pkt->iter = rp->iter;
	pkt->len = rp->len;
	pkt->is_read = true;
	pkt->done = cfs_rpiece_done;
	cfs_count(pkt->csb, read_packets, 1);
	cfs_rpiece_arm(rp, dp);
	if (!cfs_conn_submit(conn, pkt))
		return;
	pkt->err = -ENOTCONN;
	cfs_rpiece_done(pkt);
}

/* Sends the piece to a replica, or waits for what is missing to do so. */
static void cfs_rpiece_try(struct cfs_rpiece *rp)
{
	struct cfs_sb *csb = cfs_data_sb(rp->read->data);
	struct cfs_conn *conn;
	struct cfs_dp *dp;

	rp->pkt.csb = csb;
	rp->pkt.op_id = rp->read->op_id;
	if (cfs_read_hopeless(csb) || cfs_io_expired(csb, rp->read->since))
		return cfs_rpiece_finish(rp, -EIO);
	dp = cfs_dp_get(csb, rp->partition_id);
	if (!dp) {
		cfs_dp_need(csb, rp->partition_id);
		return cfs_wait_change(&rp->wait, 2 * CFS_RETRY_MS);
	}
	if (dp->flags & CFS_DP_DISCARD) {
		cfs_dp_put(dp);
		return cfs_rpiece_finish(rp, -EIO);
	}
	conn = cfs_rpiece_host(rp, dp);
	if (conn) {
		cfs_rpiece_send(rp, dp, conn);	/* the piece may be gone then */
		cfs_conn_put(conn);
	} else {
		cfs_wait_change(&rp->wait, 2 * CFS_RETRY_MS);
	}
	cfs_dp_put(dp);
}

/* ---- entrance ---- */

/**
 * cfs_issue_read - netfs: read one sub-request
 * @sr: Sub-request; ended by cfs_read_done() exactly once.
 *
 * Context: The reader's; may sleep for memory.
 */
void cfs_issue_read(struct netfs_io_subrequest *sr)
{
	struct inode *inode = sr->rreq->inode;
	struct cfs_data *d = CFS_I(inode)->data;
	u64 pos = sr->start + sr->transferred, size = i_size_read(inode);
	struct cfs_read *rd = mempool_alloc(&cfs_read_pool, GFP_NOFS);

	*rd = (struct cfs_read){
		.sr = sr,
		.data = d,
		.since = get_jiffies_64(),
		.op_id = cfs_op_id(),
		.len = pos < size ? min_t(u64, size - pos, sr->len - sr->transferred) : 0,
	};
	atomic_set(&rd->pieces, 1);
	cfs_data_hold(d, false);
	if (rd->len)
		cfs_rpiece_cut(cfs_rpiece_new(rd, pos, rd->len, &sr->io_iter, GFP_NOFS));
	cfs_read_unref(rd);
}

int cfs_read_init(void)
{
	return mempool_init_kmalloc_pool(&cfs_read_pool, CFS_READ_POOL, sizeof(struct cfs_read)) ?:
	       mempool_init_kmalloc_pool(&cfs_rpiece_pool, CFS_READ_POOL,
					 sizeof(struct cfs_rpiece));
}

void cfs_read_exit(void)
{
	mempool_exit(&cfs_rpiece_pool);
	mempool_exit(&cfs_read_pool);
}
