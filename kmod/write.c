// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: writes: from a netfs sub-request to pieces, and what moves everything of an inode.
 * See data.h.
 *
 * Purpose   Admits writes in order of their ranges, cuts them by the extent map, hands pieces to
 *           stream.c and overwrite.c, collects what came back, starts commits, ends writes.
 * Lifetime  struct cfs_write: issue to end. struct cfs_piece: until finished, or a ghost no more.
 * Locks     d->lock for everything, d->note_lock for notes. netfs is told with no lock held.
 * Contexts  Issue: write-back or a direct writer. All else: cfs_data_run_now(), with memalloc_nofs,
 *           never waiting for a server or the daemon.
 * Failure   A piece that failed is cut again, without end on a hard mount. Final errors: no space,
 *           quota, the file is gone, read-only, conflicts CFS_CONFLICTS_MAX times in a row, a mount
 *           that is forced or soft.
 */
#include <linux/fs.h>
#include <linux/interval_tree_generic.h>
#include <linux/iov_iter.h>
#include <linux/net.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include "data.h"
#include "optrace.h"

#define CFS_WRITE_POOL	64	/* objects kept so that write-back goes on without memory */

static mempool_t cfs_write_pool, cfs_piece_pool;

#define CFS_WRITE_START(w)	((w)->start)
#define CFS_WRITE_LAST(w)	((w)->last)
INTERVAL_TREE_DEFINE(struct cfs_write, node, u64, subtree_last, CFS_WRITE_START, CFS_WRITE_LAST,
		     static __maybe_unused, cfs_range)

/* ---- pieces ---- */

static struct cfs_piece *cfs_piece_new(struct cfs_write *w, u64 pos, u32 len,
				       const struct iov_iter *iter)
{
	struct cfs_piece *piece = mempool_alloc(&cfs_piece_pool, GFP_NOWAIT);

	if (!piece)
		return NULL;
	memset(piece, 0, sizeof(*piece));
	piece->write = w;
	piece->pos = pos;
	piece->len = len;
	piece->iter = *iter;
	iov_iter_truncate(&piece->iter, len);
	piece->host = U8_MAX;
	piece->pkt.done = cfs_piece_done;
	piece->pkt.csb = cfs_data_sb(w->data);
	piece->pkt.op_id = w->op_id;
	INIT_LIST_HEAD(&piece->link);
	INIT_LIST_HEAD(&piece->note);
	INIT_LIST_HEAD(&piece->pkt.link);
	w->pieces++;
	return piece;
}

static u32 cfs_piece_pages(struct cfs_piece *piece)
{
	return DIV_ROUND_UP(piece->len, PAGE_SIZE);
}

/* Put, not free: a packet that is being sent again by TCP may still hold a page. */
static void cfs_piece_free_copy(struct cfs_piece *piece)
{
	u32 i;

	if (!piece->copy)
		return;
	for (i = 0; i < cfs_piece_pages(piece); i++)
		if (piece->copy[i])
			put_page(piece->copy[i]);
	kvfree(piece->copy);
	piece->copy = NULL;
}

/*
 * A piece keeps its first @len bytes. The others become a piece behind it, or wait in piece->rest. A
 * copy of the bytes is dropped, and made again if it is needed.
 */
static void cfs_piece_split(struct cfs_piece *piece, u32 len)
{
	struct iov_iter iter = piece->iter;
	struct cfs_piece *next;

	lockdep_assert_held(&piece->write->data->lock);
	cfs_piece_free_copy(piece);
	iov_iter_advance(&iter, len);
	next = cfs_piece_new(piece->write, piece->pos + len, piece->len - len, &iter);
	if (next) {
		next->moved = piece->moved;
		next->gone = piece->gone;
		next->ghost_until = piece->ghost_until;
		list_add(&next->link, &piece->link);
	} else {
		piece->rest = piece->len - len;
	}
	piece->len = len;
	iov_iter_truncate(&piece->iter, len);
}

/* Before it is cut again. */
static void cfs_piece_join(struct cfs_piece *piece)
{
	if (!piece->rest)
		return;
	cfs_piece_free_copy(piece);
	piece->len += piece->rest;
	piece->rest = 0;
	iov_iter_reexpand(&piece->iter, piece->len);
}

/**
 * cfs_piece_source - what to send
 * @piece: Piece.
 *
 * Return:  iterator over its copy if there is one, else over the original.
 */
struct iov_iter cfs_piece_source(struct cfs_piece *piece)
{
	u32 i, left = piece->len, n = cfs_piece_pages(piece);
	struct bio_vec *bv = piece->copy ? (struct bio_vec *)(piece->copy + n) : NULL;
	struct iov_iter iter = piece->iter;

	if (!bv)
		return iter;
	for (i = 0; i < n; i++) {
		bvec_set_page(&bv[i], piece->copy[i], min_t(u32, left, PAGE_SIZE), 0);
		left -= bv[i].bv_len;
	}
	iov_iter_bvec(&iter, ITER_SOURCE, bv, n, piece->len);
	return iter;
}

/* Stops at memory that must not be sent by reference: a slab page has no count of its own. */
static size_t cfs_sendable_step(void *base, size_t progress, size_t len, void *priv, void *priv2)
{
	return virt_addr_valid(base) && sendpage_ok(virt_to_page(base)) ? 0 : len;
}

/**
 * cfs_piece_ready - may a piece be sent by reference?
 * @piece: Piece.
 *
 * Kernel users of direct I/O (a loop device, for example) may hand over any memory; it is copied if
 * need be.
 *
 * Return:  false when it had to be copied and there was no memory to do so.
 */
bool cfs_piece_ready(struct cfs_piece *piece)
{
	struct iov_iter iter = piece->iter;

	if (!piece->write->direct || piece->copy || !iov_iter_is_bvec(&iter))
		return true;
	if (iterate_and_advance_kernel(&iter, piece->len, NULL, NULL, cfs_sendable_step) ==
	    piece->len)
		return true;
	cfs_piece_copy(piece);
	return piece->copy;
}

/**
 * cfs_piece_copy - copy a piece of an application's memory before it is sent again
 * @piece: Piece of a direct write whose packet was refused, perhaps because its memory changed
 *         between CRC and sending, or cannot be sent by reference.
 *
 * Without memory nothing happens: the next attempt may do without, or come here again.
 */
void cfs_piece_copy(struct cfs_piece *piece)
{
	u32 i, n = cfs_piece_pages(piece);
	struct iov_iter from = piece->iter;

	lockdep_assert_held(&piece->write->data->lock);
	if (piece->copy || !piece->write->direct)
		return;
	piece->copy = kvzalloc(n * (sizeof(struct page *) + sizeof(struct bio_vec)),
			       GFP_NOFS | __GFP_NOWARN);
	for (i = 0; piece->copy && i < n; i++) {
		size_t len = min_t(size_t, PAGE_SIZE, iov_iter_count(&from));

		piece->copy[i] = alloc_page(GFP_NOFS | __GFP_NOWARN);
		if (!piece->copy[i] || copy_page_from_iter(piece->copy[i], 0, len, &from) != len)
			cfs_piece_free_copy(piece);
	}
	if (!piece->copy)
		return;
	cfs_count(cfs_data_sb(piece->write->data), copied_bytes, piece->len);
	trace_cfs_piece(piece, "copied");
}

/* Back to be cut again, at its place in the order of positions. */
void cfs_piece_requeue(struct cfs_piece *piece)
{
	struct cfs_data *d = piece->write->data;
	struct cfs_piece *at;

	lockdep_assert_held(&d->lock);
	cfs_piece_join(piece);
	piece->stream = NULL;
	piece->tries = 0;
	piece->host = U8_MAX;
	list_for_each_entry_reverse(at, &d->todo, link)
		if (at->pos <= piece->pos)
			break;
	list_move(&piece->link, &at->link);
}

void cfs_pieces_requeue(struct list_head *list)
{
	struct cfs_piece *piece, *next;

	list_for_each_entry_safe(piece, next, list, link)
		cfs_piece_requeue(piece);
}

/* Its bytes are durable; it goes on with those behind them. */
static void cfs_piece_go_on(struct cfs_piece *piece)
{
	u32 done = piece->len;

	cfs_piece_join(piece);
	iov_iter_advance(&piece->iter, done);
	piece->pos += done;
	piece->len -= done;
	piece->ghost_until = 0;
	piece->again = 0;
	piece->gone = false;
	cfs_piece_requeue(piece);
}

static void cfs_write_ended(struct cfs_write *w)
{
	struct cfs_data *d = w->data;

	list_add_tail(&w->link, &d->ended);
	cfs_range_remove(w, &d->ranges);
}

/**
 * cfs_piece_finish - a piece is durable, or failed for good
 * @piece: Piece on no list but its owner's; freed here, unless it has a rest.
 * @error: 0 or final errno.
 */
void cfs_piece_finish(struct cfs_piece *piece, int error)
{
	struct cfs_write *w = piece->write;

	lockdep_assert_held(&w->data->lock);
	trace_cfs_piece(piece, error ? "failed" : "finished");
	if (piece->rest && !error)
		return cfs_piece_go_on(piece);
	if (error && !w->error)
		w->error = error;
	list_del(&piece->link);
	cfs_piece_free_copy(piece);
	mempool_free(piece, &cfs_piece_pool);
	if (!--w->pieces)
		cfs_write_ended(w);
}

/**
 * cfs_piece_ghost - an overwrite is durable, but may be applied once more
 * @piece: Piece, finished as far as its write is concerned.
 */
void cfs_piece_ghost(struct cfs_piece *piece)
{
	struct cfs_write *w = piece->write;
	struct cfs_data *d = w->data;

	lockdep_assert_held(&d->lock);
	trace_cfs_piece(piece, "ghost");
	cfs_piece_free_copy(piece);
	piece->write = NULL;
	list_move_tail(&piece->link, &d->ghosts);
	cfs_data_hold(d, false);
	if (!--w->pieces)
		cfs_write_ended(w);
}

/* A packet came back: leave a note. Any process context. */
void cfs_piece_done(struct cfs_pkt *pkt)
{
	struct cfs_piece *piece = container_of(pkt, struct cfs_piece, pkt);
	struct cfs_data *d = piece->write->data;

	trace_cfs_packet(d->ci->netfs.inode.i_ino, pkt);
	spin_lock(&d->note_lock);
	list_add_tail(&piece->note, &d->notes);
	cfs_waiter_run(&d->run);	/* with the lock: @d may be gone when the note is taken */
	spin_unlock(&d->note_lock);
}

/* ---- admission ---- */

/**
 * cfs_issue_write - netfs: write one sub-request
 * @sr: Sub-request; ended by cfs_write_done() exactly once.
 *
 * The first one is sent by the caller, which spares a small file two switches; more are cut and
 * sent by work while the caller gathers the next.
 *
 * Context: Write-back or a direct writer; waits for memory of a pool and for d->lock.
 */
void cfs_issue_write(struct netfs_io_subrequest *sr)
{
	struct cfs_data *d = CFS_I(sr->rreq->inode)->data;
	struct cfs_write *w = mempool_alloc(&cfs_write_pool, GFP_NOFS);
	bool first;

	*w = (struct cfs_write){
		.data = d,
		.sr = sr,
		.start = sr->start + sr->transferred,
		.last = sr->start + sr->len - 1,
		.since = get_jiffies_64(),
		.op_id = cfs_op_id(),
		.direct = sr->rreq->origin == NETFS_DIO_WRITE ||
			  sr->rreq->origin == NETFS_UNBUFFERED_WRITE,
	};
	cfs_data_hold(d, true);
	spin_lock(&d->note_lock);
	list_add_tail(&w->link, &d->fresh);
	first = d->nwrites == 1;
	spin_unlock(&d->note_lock);
	if (first)
		cfs_data_run_now(d);
	else
		cfs_waiter_run(&d->run);
}

static bool cfs_write_blocked(struct cfs_data *d, struct cfs_write *w)
{
	struct cfs_write *other = cfs_range_iter_first(&d->ranges, w->start, w->last);

	for (; other; other = cfs_range_iter_next(other, w->start, w->last))
		if (other->seq < w->seq)
			return true;
	return false;
}

static bool cfs_write_start(struct cfs_write *w)
{
	struct cfs_piece *piece;

	piece = cfs_piece_new(w, w->start, w->last - w->start + 1, &w->sr->io_iter);
	if (!piece)
		return false;
	cfs_piece_requeue(piece);
	trace_cfs_piece(piece, "new");
	return true;
}

static void cfs_take_fresh(struct cfs_data *d)
{
	struct cfs_write *w, *next;
	LIST_HEAD(fresh);

	spin_lock(&d->note_lock);
	list_splice_init(&d->fresh, &fresh);
	spin_unlock(&d->note_lock);
	list_for_each_entry_safe(w, next, &fresh, link) {
		w->seq = d->seq++;
		cfs_range_insert(w, &d->ranges);
		list_move_tail(&w->link, &d->waiting);
	}
}

static void cfs_start_waiting(struct cfs_data *d)
{
	struct cfs_write *w, *next;

	list_for_each_entry_safe(w, next, &d->waiting, link) {
		if (cfs_write_blocked(d, w))
			continue;
		if (!cfs_write_start(w))
			break;
		list_del_init(&w->link);
	}
}

/* ---- what came back ---- */

static void cfs_take_notes(struct cfs_data *d)
{
	struct cfs_piece *piece, *next;
	struct cfs_stream *st, *next_st;
	LIST_HEAD(created);
	LIST_HEAD(notes);

	spin_lock(&d->note_lock);
	list_splice_init(&d->notes, &notes);
	list_splice_init(&d->created, &created);
	spin_unlock(&d->note_lock);
	list_for_each_entry_safe(st, next_st, &created, note) {
		list_del_init(&st->note);
		cfs_stream_created(st);
	}
	list_for_each_entry_safe(piece, next, &notes, note) {
		list_del_init(&piece->note);
		piece->in_flight = false;
		if (piece->stream)
			cfs_stream_returned(piece);
		else
			cfs_over_returned(piece);
	}
}

/* ---- ghosts ---- */

static void cfs_end_ghosts(struct cfs_data *d)
{
	bool dying = test_bit(CFS_SB_DYING, &cfs_data_sb(d)->flags);
	struct cfs_piece *piece, *next;

	list_for_each_entry_safe(piece, next, &d->ghosts, link) {
		if (!dying && !cfs_passed(piece->ghost_until))
			continue;
		list_del(&piece->link);
		mempool_free(piece, &cfs_piece_pool);
		cfs_data_drop(d, false);
	}
	if (dying || list_empty(&d->ghosts) || test_bit(CFS_SB_FORCED, &cfs_data_sb(d)->flags))
		cfs_pieces_requeue(&d->kept);
}

/* Keeps a piece back that would overwrite what an older request may still overwrite. */
static bool cfs_piece_keep(struct cfs_data *d, struct cfs_piece *piece)
{
	struct cfs_piece *ghost;

	list_for_each_entry(ghost, &d->ghosts, link) {
		if (ghost->pos >= piece->pos + piece->len || piece->pos >= ghost->pos + ghost->len)
			continue;
		list_move_tail(&piece->link, &d->kept);
		return true;
	}
	return false;
}

/* ---- cutting ---- */

static int cfs_write_gave_up(struct cfs_write *w)
{
	if (w->error)
		return w->error;
	if (w->conflicts > CFS_CONFLICTS_MAX)
		return -EIO;
	return cfs_io_expired(cfs_data_sb(w->data), w->since) ? -EIO : 0;
}

/* How many bytes of a piece, from its first, need not be sent. */
static u64 cfs_piece_spare(struct cfs_data *d, struct cfs_piece *piece,
			   const struct cfs_slice *slice)
{
	u64 gap;

	if (piece->pos >= d->limit)
		return piece->len;
	if (slice->hole || cfs_dirty_at(d, piece->pos, &gap))
		return 0;
	return min3(gap, slice->len, (u64)piece->len);
}

/*
 * Bytes that did not change since they were committed are what the servers have: the rest of a folio
 * is not sent with the part that was written. Bytes at or beyond a truncation under way are not sent
 * at all.
 */
static bool cfs_piece_skip(struct cfs_data *d, struct cfs_piece *piece,
			   const struct cfs_slice *slice)
{
	u64 len = piece->write->direct ? 0 : cfs_piece_spare(d, piece, slice);

	if (!len)
		return false;
	if (len < piece->len)
		cfs_piece_split(piece, len);
	cfs_piece_finish(piece, 0);
	return true;
}

/* Takes the first piece of d->todo on. Returns false when it has to stay there. */
static bool cfs_piece_cut(struct cfs_data *d, struct cfs_piece *piece)
{
	struct cfs_slice slice;
	int error = cfs_write_gave_up(piece->write);
	u64 len, run;

	if (error) {
		cfs_piece_finish(piece, error);
		return true;
	}
	cfs_piece_join(piece);
	cfs_map_lookup(&d->map, piece->pos, &slice);
	if (cfs_piece_skip(d, piece, &slice))
		return true;
	if (!slice.hole && d->nover >= CFS_OVERWRITE_WINDOW)
		return false;
	len = min(slice.len, d->limit > piece->pos ? d->limit - piece->pos : slice.len);
	len = min_t(u64, len, slice.hole ? cfs_stream_most(d, piece) : CFS_BLOCK_SIZE);
	if (!slice.hole && !piece->write->direct && cfs_dirty_at(d, piece->pos, &run))
		len = min(len, run);
	if (len < piece->len)
		cfs_piece_split(piece, len);
	if (slice.hole)
		return cfs_stream_add(d, piece);
	if (!cfs_piece_keep(d, piece))
		cfs_over_add(d, piece, &slice);
	return true;
}

/* Nothing is cut, but what has to be given up still ends. */
static void cfs_fail_todo(struct cfs_data *d, int error)
{
	struct cfs_piece *piece, *next;
	int e;

	list_for_each_entry_safe(piece, next, &d->todo, link) {
		e = error ?: cfs_write_gave_up(piece->write);
		if (e)
			cfs_piece_finish(piece, e);
	}
}

static void cfs_cut_todo(struct cfs_data *d)
{
	struct cfs_piece *piece;

	if (!d->map_valid && (d->map_error || !list_empty(&d->todo))) {
		cfs_fail_todo(d, d->map_error);
		d->map_error = 0;
	}
	if (!d->map_valid && (!list_empty(&d->todo) || !list_empty(&d->map_readers)))
		cfs_map_fetch(d);
	while (d->map_valid && (piece = list_first_entry_or_null(&d->todo, struct cfs_piece, link)))
		if (!cfs_piece_cut(d, piece))
			break;
}

/* ---- end ---- */

/* Tells netfs, with no lock held. */
static void cfs_end_writes(struct cfs_data *d, struct list_head *ended)
{
	struct cfs_write *w, *next;

	list_for_each_entry_safe(w, next, ended, link) {
		struct netfs_io_subrequest *sr = w->sr;
		bool direct = w->direct;
		int error = w->error;

		if (error)	/* the servers have other bytes than the cache */
			cfs_data_dirty(d, 0, U64_MAX, false);
		mempool_free(w, &cfs_write_pool);
		cfs_write_done(sr, error ?: sr->len - sr->transferred, direct);
		cfs_data_drop(d, true);
	}
}

/*
 * Something that only time, or a change elsewhere, moves. Everything else leaves a note when it
 * comes back.
 */
static bool cfs_data_must_wait(struct cfs_data *d)
{
	return !list_empty(&d->todo) || !list_empty(&d->over) || !list_empty(&d->streams) ||
	       !list_empty(&d->ghosts) || !list_empty(&d->kept) || !list_empty(&d->waiting) ||
	       !list_empty(&d->map_readers);
}

static void cfs_data_move(struct cfs_data *d)
{
	cfs_take_fresh(d);
	cfs_take_notes(d);
	cfs_commit_finish(d);
	cfs_end_ghosts(d);
	cfs_start_waiting(d);
	if (!d->frozen) {
		cfs_cut_todo(d);
		cfs_over_pump(d);
		cfs_stream_pump(d);
	} else {
		cfs_over_recall(d);
		cfs_fail_todo(d, 0);
	}
	cfs_commit_start(d);
	cfs_stream_reap(d);
}

static bool cfs_data_still(struct cfs_data *d)
{
	struct cfs_stream *st;
	struct cfs_piece *piece;

	if (d->calls || d->commit_busy)
		return false;
	list_for_each_entry(piece, &d->over, link)
		if (piece->in_flight)
			return false;
	list_for_each_entry(st, &d->streams, link)
		if (st->nflight || (st->committed != st->acked && !st->dropped))
			return false;
	return true;
}

/**
 * cfs_data_run_now - move everything of one inode as far as it goes
 * @d: Data state; the inode stays for the time of this call.
 *
 * Context: Process, sleeps; no lock that write-back may need.
 */
void cfs_data_run_now(struct cfs_data *d)
{
	unsigned int nofs = memalloc_nofs_save();
	LIST_HEAD(readers);
	LIST_HEAD(ended);

	cfs_waiter_done(&d->run);
	mutex_lock(&d->lock);
	cfs_data_move(d);
	list_splice_init(&d->ended, &ended);
	if (!list_empty(&ended) && !list_empty(&d->waiting))
		cfs_waiter_run(&d->run);
	if (!d->map_loading && (d->map_valid || cfs_read_hopeless(cfs_data_sb(d))))
		list_splice_init(&d->map_readers, &readers);
	if (cfs_data_must_wait(d) && READ_ONCE(d->active))
		cfs_wait_change(&d->run, CFS_RETRY_MS);
	WRITE_ONCE(d->still, cfs_data_still(d));
	wake_up_all(&d->idle);
	mutex_unlock(&d->lock);
	cfs_read_resume(&readers, 0);
	cfs_end_writes(d, &ended);	/* @d may be gone afterwards */
	memalloc_nofs_restore(nofs);
}

/* Work. */
void cfs_data_run(struct work_struct *work)
{
	cfs_data_run_now(container_of(work, struct cfs_data, run.work.work));
}

/* ---- truncation ---- */

/**
 * cfs_data_freeze - stop starting anything, wait until what was started has ended
 * @d: Data state; the caller has the inode's lock.
 *
 * Commits still run: afterwards no byte is acknowledged and not committed. Writes stay queued until
 * cfs_data_thaw(). A truncation whose caller was killed may still be under way: it is waited for.
 *
 * Context: Sleeps; as long as servers and daemon take, at most until the mount is forced.
 * Return:  0 or -EINTR: killed, nothing is frozen.
 */
int cfs_data_freeze(struct cfs_data *d)
{
	mutex_lock(&d->lock);
	while (d->frozen) {
		mutex_unlock(&d->lock);
		if (wait_event_killable(d->idle, !READ_ONCE(d->frozen)))
			return -EINTR;
		mutex_lock(&d->lock);
	}
	WRITE_ONCE(d->frozen, true);
	cfs_streams_seal(d);
	WRITE_ONCE(d->still, false);
	mutex_unlock(&d->lock);
	cfs_data_run_now(d);
	wait_event(d->idle, READ_ONCE(d->still));
	return 0;
}

/**
 * cfs_data_thaw - go on after cfs_data_freeze()
 * @d: Data state.
 */
void cfs_data_thaw(struct cfs_data *d)
{
	mutex_lock(&d->lock);
	cfs_over_recall(d);
	WRITE_ONCE(d->frozen, false);
	mutex_unlock(&d->lock);
	cfs_data_run_now(d);
}

int cfs_write_init(void)
{
	return mempool_init_kmalloc_pool(&cfs_write_pool, CFS_WRITE_POOL, sizeof(struct cfs_write)) ?:
	       mempool_init_kmalloc_pool(&cfs_piece_pool, CFS_WRITE_POOL, sizeof(struct cfs_piece));
}

void cfs_write_exit(void)
{
	mempool_exit(&cfs_piece_pool);
	mempool_exit(&cfs_write_pool);
}
