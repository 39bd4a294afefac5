// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: fetching the extent list of a file.
 *
 * Purpose   Fills the map of an inode by an EXTENTS call when somebody needs it and it is not
 *           valid, or by a list that a LOOKUP brought along.
 * Lifetime  A call under way counts in d->calls and holds the inode by cfs_data_hold().
 * Locks     d->lock. A list is never fetched while a commit is under way, nor a commit started
 *           while a list is fetched: an old list must not replace a map that already has the new
 *           key.
 * Failure   An answer that says the file is gone, or a list that makes no sense, fails the I/O that
 *           waits for it. Everything else is tried again until that I/O expires.
 */
#include <linux/fs.h>
#include "data.h"

/* Errors that another attempt does not change. */
static bool cfs_map_error_final(int err)
{
	switch (err) {
	case -ESTALE:
	case -EUCLEAN:
	case -EPERM:
	case -EACCES:
	case -EPROTO:
	case -EOPNOTSUPP:
		return true;
	default:
		return false;
	}
}

/*
 * Data of class blobstore lies in another store, which a module without HTTP cannot read: its list
 * is empty although the file is not, and must not be taken for a hole. Source: CubeFS v3.5.3,
 * proto/storage_class.go.
 */
static int cfs_map_parse(struct cfs_data *d, const struct cfs_extents *list, u32 len)
{
	int ret;

	if (len < sizeof(*list) ||
	    (len - sizeof(*list)) / sizeof(struct cfs_ekey) < list->nkeys)
		return -EPROTO;
	if (list->storage_class >= CFS_CLASS_BLOBSTORE)
		return -EOPNOTSUPP;
	ret = cfs_map_load(&d->map, (const struct cfs_ekey *)(list + 1), list->nkeys);
	if (!ret)
		d->map_gen = list->gen;
	return ret;
}

/* The list is newer than what we know of the inode: its attributes are old. */
static void cfs_map_note_gen(struct cfs_inode *ci, u64 gen)
{
	spin_lock(&ci->netfs.inode.i_lock);
	if (ci->gen != gen)
		ci->attr_until = 0;
	spin_unlock(&ci->netfs.inode.i_lock);
}

static void cfs_map_loaded(struct cfs_call *call)
{
	struct cfs_data *d = call->priv;
	LIST_HEAD(readers);
	int ret, error;

	mutex_lock(&d->lock);
	ret = call->res < 0 ? call->res : cfs_map_parse(d, call->reply, call->reply_len);
	if (ret == -ENOENT)
		ret = -ESTALE;	/* a file that is open has no name to be missing */
	d->map_loading = false;
	d->calls--;
	d->map_valid = !ret;
	d->map_error = cfs_map_error_final(ret) ? ret : 0;
	d->map_result = ret && !d->map_error ? -EAGAIN : ret;
	WRITE_ONCE(d->map_answers, d->map_answers + 1);
	d->map_retry = ret ? cfs_after_ms(CFS_RETRY_MS) : 0;
	if (!ret) {
		d->map_serial++;
		cfs_map_note_gen(d->ci, d->map_gen);
	}
	list_splice_init(&d->map_readers, &readers);
	error = d->map_error;
	wake_up_all(&d->idle);
	mutex_unlock(&d->lock);
	cfs_read_resume(&readers, error);
	cfs_waiter_run(&d->run);
	cfs_data_drop(d, false);
	cfs_call_put(call);
}

/**
 * cfs_map_fetch - ask for the extent list, unless that is under way
 * @d: Data state, d->lock held; something that waits holds it active.
 *
 * While a commit is under way this does nothing: the runner calls again when it ended.
 */
void cfs_map_fetch(struct cfs_data *d)
{
	struct cfs_call *call;

	lockdep_assert_held(&d->lock);
	if (d->map_loading || d->commit_busy || d->frozen || !cfs_passed(d->map_retry))
		return;
	call = cfs_call_alloc(cfs_data_sb(d), CFS_OP_EXTENTS, d->ci->netfs.inode.i_ino, GFP_NOWAIT);
	if (!call) {
		d->map_retry = cfs_after_ms(CFS_RETRY_MS);
		return;
	}
	call->reply_max = CFS_REPLY_MAX;
	call->done = cfs_map_loaded;
	call->priv = d;
	d->map_loading = true;
	d->calls++;
	cfs_data_hold(d, false);
	cfs_call_async(call);
}

/**
 * cfs_map_lock - take the lock of an inode's data, with a map that can be used
 * @d: Data state.
 *
 * Context: System call; waits for the daemon, can be killed.
 * Return:  0: d->lock is held. -errno: it is not.
 */
int cfs_map_lock(struct cfs_data *d)
{
	u32 seen, first = READ_ONCE(d->map_answers);
	u64 since = get_jiffies_64();
	long left = 0;

	for (;;) {
		mutex_lock(&d->lock);
		if (d->map_valid)
			return 0;
		seen = d->map_answers;
		if (seen != first && d->map_result && d->map_result != -EAGAIN)
			left = d->map_result;
		else
			cfs_map_fetch(d);
		mutex_unlock(&d->lock);
		if (left < 0)
			return left;
		if (cfs_io_expired(cfs_data_sb(d), since))
			return -EIO;
		left = wait_event_killable_timeout(d->idle, READ_ONCE(d->map_answers) != seen,
						   msecs_to_jiffies(CFS_RETRY_MS));
		if (left < 0)
			return -EINTR;
	}
}

/**
 * cfs_map_is_wanted - is no extent list known?
 * @inode: Regular file.
 *
 * Return: A hint; cfs_map_offer() decides.
 */
bool cfs_map_is_wanted(struct inode *inode)
{
	return !READ_ONCE(CFS_I(inode)->data->map_valid);
}

/**
 * cfs_map_offer - an extent list that came along with attributes
 * @inode: Regular file.
 * @list:  struct cfs_extents and its keys, from the daemon.
 * @len:   Bytes of it.
 * @seq:   Sequence before it was asked for: a commit or truncation since then makes it worthless.
 *
 * A list that is not taken, or makes no sense, is asked for when it is needed.
 */
void cfs_map_offer(struct inode *inode, const void *list, u32 len, u64 seq)
{
	struct cfs_data *d = CFS_I(inode)->data;

	mutex_lock(&d->lock);
	/* Readers that wait are woken by the answer to a fetch, and by nothing else. */
	if (d->map_valid || d->map_loading || d->commit_busy || d->frozen ||
	    !list_empty(&d->map_readers) ||
	    cfs_changed_since(cfs_data_sb(d), inode->i_ino, seq))
		goto out;
	if (!cfs_map_parse(d, list, len)) {
		d->map_valid = true;
		d->map_error = 0;
		d->map_retry = 0;
		d->map_serial++;
		cfs_map_note_gen(d->ci, d->map_gen);
		if (READ_ONCE(d->active))
			cfs_waiter_run(&d->run);	/* writes may wait for a map, too */
	}
out:
	mutex_unlock(&d->lock);
}

/**
 * cfs_map_forget - the map is not to be believed any more
 * @d: Data state, d->lock held.
 *
 * Streams are sealed: their extents may have been cut by whoever changed the list.
 */
void cfs_map_forget(struct cfs_data *d)
{
	lockdep_assert_held(&d->lock);
	d->map_valid = false;
	d->map_error = 0;
	cfs_streams_seal(d);
}

/**
 * cfs_map_set_empty - the file has no extents: it was created a moment ago
 * @inode: Regular file.
 */
void cfs_map_set_empty(struct inode *inode)
{
	struct cfs_data *d = CFS_I(inode)->data;

	mutex_lock(&d->lock);
	if (!d->map_valid && !d->map_loading) {
		cfs_map_clear(&d->map);
		d->map_gen = CFS_I(inode)->gen;
		d->map_valid = true;
		d->map_serial++;
	}
	mutex_unlock(&d->lock);
}

/**
 * cfs_map_check - at open: is the map of the generation that the attributes tell?
 * @inode: Regular file.
 */
void cfs_map_check(struct inode *inode)
{
	struct cfs_inode *ci = CFS_I(inode);
	struct cfs_data *d = ci->data;
	u64 gen;

	mutex_lock(&d->lock);
	spin_lock(&inode->i_lock);
	gen = ci->gen;
	spin_unlock(&inode->i_lock);
	if (d->map_valid && d->map_gen != gen && !cfs_data_busy(inode))
		cfs_map_forget(d);
	mutex_unlock(&d->lock);
}
