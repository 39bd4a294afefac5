// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: commits: making acknowledged bytes part of the file.
 *
 * Purpose   Tells the meta node, through the daemon, which extents the file has now; finishes the
 *           pieces they hold.
 * Lifetime  One COMMIT per inode at a time. Its streams are on d->committing until its answer has
 *           been dealt with.
 * Locks     d->lock. The answer comes in a work item, which stores it and deals with it in a pass of
 *           its own (cfs_data_run_now()).
 * Failure   Conflict: another client wrote there; the server has thrown away our extent, so it is
 *           never submitted again: the list is fetched and the bytes are written elsewhere. Quota,
 *           space, deleted file: final. No answer: the same keys, or longer ones, are submitted
 *           again; shorter ones never are (the server would insert them beside the longer).
 * Source    CubeFS v3.5.3, metanode/sorted_extents.go AppendWithCheck,
 *           metanode/partition_fsmop_extent.go.
 */
#include <linux/fs.h>
#include <linux/slab.h>
#include "../include/cubefs/cfs_errno.h"
#include "data.h"
#include "trace.h"

/* ---- when ---- */

static bool cfs_stream_due(const struct cfs_stream *st)
{
	return !st->dropped && st->acked > st->committed;
}

/*
 * Enough bytes, or old enough, or nothing else is to come, so that somebody may be waiting for it.
 */
static bool cfs_commit_due(struct cfs_data *d)
{
	bool quiet = list_empty(&d->todo), old = false;
	struct cfs_stream *st;
	u64 bytes = 0;

	list_for_each_entry(st, &d->streams, link) {
		quiet &= !st->nflight && list_empty(&st->queue) && list_empty(&st->failed);
		if (!cfs_stream_due(st))
			continue;
		bytes += st->acked - st->committed;
		old |= cfs_passed(st->acked_at + msecs_to_jiffies(CFS_COMMIT_MS));
	}
	return bytes && (quiet || old || d->frozen || bytes >= CFS_COMMIT_BYTES ||
			 atomic64_read(&cfs_data_sb(d)->uncommitted) >= CFS_UNCOMMITTED_MAX);
}

/* ---- request ---- */

static void cfs_stream_key(struct cfs_stream *st, struct cfs_ekey *key)
{
	*key = (struct cfs_ekey){
		.file_offset = st->base,
		.partition_id = st->dp->id,
		.extent_id = st->extent_id,
		.extent_offset = st->extent_offset,
		.size = st->submitted - st->base,
		.flags = st->fresh ? CFS_EK_FRESH : 0,
	};
}

/* Keys go in order of their place in the file. */
static void cfs_commit_insert(struct cfs_data *d, struct cfs_stream *st)
{
	struct cfs_stream *at;

	list_for_each_entry_reverse(at, &d->committing, commit)
		if (at->base <= st->base)
			break;
	list_add(&st->commit, &at->commit);
}

static u32 cfs_commit_collect(struct cfs_data *d, u32 most)
{
	struct cfs_stream *st;
	u32 n = 0;

	list_for_each_entry(st, &d->streams, link) {
		if (!cfs_stream_due(st) || n == most)
			continue;
		st->submitted = st->acked;
		cfs_commit_insert(d, st);
		n++;
	}
	return n;
}

static void cfs_commit_undo(struct cfs_data *d)
{
	struct cfs_stream *st, *next;

	list_for_each_entry_safe(st, next, &d->committing, commit)
		list_del_init(&st->commit);
}

static void cfs_commit_answered(struct cfs_call *call)
{
	struct cfs_data *d = call->priv;

	mutex_lock(&d->lock);
	d->commit_res = cfs_call_fixed(call, &d->commit_reply, sizeof(d->commit_reply));
	d->commit_done = true;
	mutex_unlock(&d->lock);
	cfs_data_run_now(d);
	cfs_data_drop(d, false);
	cfs_call_put(call);
}

/* A few keys have room in the call, where the answer will be: without memory, only these go. */
static void cfs_commit_keys(struct cfs_data *d, struct cfs_call *call)
{
	struct cfs_ekey *keys = (struct cfs_ekey *)call->small;
	const u32 few = sizeof(call->small) / sizeof(*keys);
	u32 n = cfs_commit_collect(d, CFS_COMMIT_KEYS_MAX), i = 0;
	struct cfs_stream *st;

	if (n > few) {
		keys = kvmalloc_array(n, sizeof(*keys), GFP_NOFS | __GFP_NOWARN);
		call->own_data = keys;
	}
	if (!keys) {
		cfs_commit_undo(d);
		n = cfs_commit_collect(d, few);
		keys = (struct cfs_ekey *)call->small;
	}
	list_for_each_entry(st, &d->committing, commit) {
		cfs_stream_key(st, &keys[i++]);
		if (st->op_id)
			call->op_id = st->op_id;
	}
	cfs_call_data(call, keys, n * sizeof(*keys));
	call->req.commit.nkeys = n;
}

static struct cfs_call *cfs_commit_call(struct cfs_data *d)
{
	struct cfs_call *call;

	call = cfs_call_alloc(cfs_data_sb(d), CFS_OP_COMMIT, d->ci->netfs.inode.i_ino, GFP_NOWAIT);
	if (!call)
		return NULL;
	cfs_commit_keys(d, call);
	call->req.commit.storage_class = cfs_data_class(d);
	call->done = cfs_commit_answered;
	call->priv = d;
	return call;
}

/**
 * cfs_commit_start - submit what is acknowledged, if it is time
 * @d: Data state, d->lock held.
 */
void cfs_commit_start(struct cfs_data *d)
{
	struct cfs_call *call;

	lockdep_assert_held(&d->lock);
	if (d->commit_busy || d->map_loading || !cfs_passed(d->commit_retry) || !cfs_commit_due(d))
		return;
	call = cfs_commit_call(d);
	if (!call) {
		d->commit_retry = cfs_after_ms(CFS_RETRY_MS);
		return;
	}
	d->commit_busy = true;
	if (!d->commit_since)
		d->commit_since = get_jiffies_64();
	cfs_data_hold(d, false);
	cfs_change(cfs_data_sb(d), d->ci->netfs.inode.i_ino);
	cfs_count(cfs_data_sb(d), commits, 1);
	cfs_call_async(call);
}

/* ---- answer ---- */

static void cfs_commit_one(struct cfs_data *d, struct cfs_stream *st)
{
	struct cfs_ekey key;

	cfs_stream_key(st, &key);
	if (d->map_valid && cfs_map_put(&d->map, &key))
		cfs_map_forget(d);	/* no memory: it is fetched when it is needed */
	cfs_stream_committed(st);
	trace_cfs_stream(st);
}

/* The generation moved by our own doing: attributes and map are not old because of it. */
static void cfs_commit_gen(struct cfs_data *d, u32 committed)
{
	u64 gen = d->commit_reply.gen;

	spin_lock(&d->ci->netfs.inode.i_lock);
	d->ci->gen = gen ?: d->ci->gen + committed;
	d->map_gen = d->ci->gen;
	spin_unlock(&d->ci->netfs.inode.i_lock);
}

/*
 * What a refusal means for the stream it is about. Returns a final errno, 0 for "write it
 * elsewhere", 1 for "again".
 */
static int cfs_commit_verdict(u8 result)
{
	switch (result) {
	case CFS_RC_CONFLICT_EXTENTS:
		return 0;
	case CFS_RC_NOT_EXIST:
		return -ESTALE;
	case CFS_RC_NO_SPACE:
	case CFS_RC_DIR_QUOTA:
	case CFS_RC_STORAGE_CLASS:
		return -cfs_result_errno(result);
	case CFS_RC_FORBIDDEN:
	case CFS_RC_NOT_PERM:
		return -EROFS;
	default:
		return 1;
	}
}

static void cfs_commit_refused(struct cfs_data *d, struct cfs_stream *st, u8 result)
{
	int verdict = cfs_commit_verdict(result);

	if (verdict == 1) {
		d->commit_retry = cfs_after_ms(2 * CFS_RETRY_MS);
		return;
	}
	if (!verdict || result == CFS_RC_STORAGE_CLASS)
		cfs_map_forget(d);
	if (!verdict)
		d->no_continue = st->extent_id;
	cfs_stream_drop(st, verdict);
}

/* No usable answer. */
static void cfs_commit_failed(struct cfs_data *d)
{
	int error = d->commit_res;
	struct cfs_stream *st, *next;

	d->commit_retry = cfs_after_ms(2 * CFS_RETRY_MS);
	if (error == -ENOENT || error == -ESTALE)
		error = -ESTALE;
	else if (cfs_io_expired(cfs_data_sb(d), d->commit_since))
		error = -EIO;
	else
		return cfs_commit_undo(d);
	d->commit_since = 0;
	list_for_each_entry_safe(st, next, &d->committing, commit) {
		list_del_init(&st->commit);
		cfs_stream_drop(st, error);
	}
}

/**
 * cfs_commit_finish - deal with the answer to a commit, if there is one
 * @d: Data state, d->lock held.
 */
void cfs_commit_finish(struct cfs_data *d)
{
	struct cfs_stream *st, *next;
	u32 left;

	lockdep_assert_held(&d->lock);
	if (!d->commit_done)
		return;
	d->commit_done = false;
	d->commit_busy = false;
	cfs_change_end(cfs_data_sb(d), d->ci->netfs.inode.i_ino, 0);
	if (d->commit_res < 0)
		return cfs_commit_failed(d);
	d->commit_since = 0;
	d->commit_retry = 0;
	left = d->commit_reply.committed;
	if (left)
		cfs_commit_gen(d, left);
	list_for_each_entry_safe(st, next, &d->committing, commit) {
		list_del_init(&st->commit);
		if (left) {
			cfs_commit_one(d, st);
			left--;
			continue;
		}
		/*
		 * The first one not committed is the one the result is about; those behind it were
		 * not tried.
		 */
		if (d->commit_reply.result != CFS_RC_OK)
			cfs_commit_refused(d, st, d->commit_reply.result);
		else if (!d->commit_reply.committed)	/* nonsense, but not to be asked at once */
			d->commit_retry = cfs_after_ms(2 * CFS_RETRY_MS);
		cfs_commit_undo(d);
		break;
	}
}
