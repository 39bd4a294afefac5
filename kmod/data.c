// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: file data: the border to netfs, and the life of an inode's data state.
 *
 * Purpose   Everything that knows netfs or the page cache is here and in file.c: operations tables,
 *           truncation, dropping pages, what unmount needs.
 * Lifetime  See data.h. netfs requests do not hold the inode: eviction waits for them.
 * Locks     See data.h.
 * Contexts  As told at each function.
 * Failure   A truncation whose outcome is not known leaves a map that is fetched again.
 *
 * netfs. Sub-requests of reads are not cut here: read.c cuts by extents and packets, and 6.12's
 * netfs joins the parts of a folio that lies in two sub-requests in a way that has had many faults.
 * netfs_resize_file() is not called: on 6.12 it switches on an optimisation that takes bytes beyond
 * a former end of file for zeroes, which holds only with the page release callbacks that come with
 * it.
 */
#include <linux/fs.h>
#include <linux/fscache.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include "data.h"

static struct kmem_cache *cfs_data_cache;
static struct workqueue_struct *cfs_put_wq;	/* last references: eviction may wait for netfs */

/* ---- netfs ---- */

static int cfs_netfs_init_request(struct netfs_io_request *rreq, struct file *file)
{
	rreq->wsize = CFS_IO_SIZE;
	/* Pages on their way to the local cache are marked, not dirty: they are the servers'. */
	if (fscache_cookie_valid(netfs_i_cookie(netfs_inode(rreq->inode))))
		__set_bit(NETFS_RREQ_USE_PGPRIV2, &rreq->flags);
	return 0;
}

static void cfs_netfs_begin_writeback(struct netfs_io_request *wreq)
{
	wreq->io_streams[0].avail = true;
}

static void cfs_netfs_prepare_write(struct netfs_io_subrequest *sr)
{
	sr->rreq->io_streams[sr->stream_nr].sreq_max_len = CFS_IO_SIZE;
}

static const struct netfs_request_ops cfs_netfs_ops = {
	.init_request	 = cfs_netfs_init_request,
	.issue_read	 = cfs_issue_read,
	.begin_writeback = cfs_netfs_begin_writeback,
	.prepare_write	 = cfs_netfs_prepare_write,
	.issue_write	 = cfs_issue_write,
};

/*
 * A folio that is partly written and not up to date is not dirty any more while it is under
 * write-back, and netfs would read over it: old bytes in the cache, and in the packet that refers
 * to it. When write-back ended, its bytes are committed, and the server returns them.
 */
static int cfs_read_folio(struct file *file, struct folio *folio)
{
	struct address_space *mapping = folio->mapping;
	int ret;

	folio_wait_writeback(folio);
	ret = netfs_read_folio(file, folio);
	if (likely(folio_test_uptodate(folio)) || !cfs_fsc_failed(mapping->host))
		return ret;
	folio_lock(folio);
	if (folio->mapping == mapping && !folio_test_uptodate(folio))
		return netfs_read_folio(file, folio);
	folio_unlock(folio);
	return folio_test_uptodate(folio) ? 0 : AOP_TRUNCATED_PAGE;
}

/*
 * Writes and stores through mappings are noted before they happen. Only memory that is written by a
 * device after its mapping was cleaned or is gone (direct I/O of another file into a mapping of this
 * one) comes here unannounced.
 */
static bool cfs_dirty_folio(struct address_space *mapping, struct folio *folio)
{
	struct cfs_data *d = CFS_I(mapping->host)->data;
	u64 start = folio_pos(folio), size = folio_size(folio), clean;

	spin_lock(&d->dirty_lock);
	if (!cfs_ranges_at(&d->dirty, start, &clean) && clean >= size)
		cfs_ranges_add(&d->dirty, start, start + size);
	spin_unlock(&d->dirty_lock);
	return netfs_dirty_folio(mapping, folio);
}

static const struct address_space_operations cfs_aops = {
	.read_folio	  = cfs_read_folio,
	.readahead	  = netfs_readahead,
	.dirty_folio	  = cfs_dirty_folio,
	.release_folio	  = netfs_release_folio,
	.invalidate_folio = netfs_invalidate_folio,
	.direct_IO	  = noop_direct_IO,
	.writepages	  = netfs_writepages,
	.migrate_folio	  = filemap_migrate_folio,
};

/**
 * cfs_write_out - write what is dirty and wait for it
 * @mapping: Pages of a regular file.
 * @start:   First byte.
 * @end:     Last byte.
 *
 * Return:  0, or the error of a write that failed meanwhile. What failed before is for fsync to tell,
 *          and stays untold here.
 */
int cfs_write_out(struct address_space *mapping, loff_t start, loff_t end)
{
	errseq_t before = READ_ONCE(mapping->wb_err);
	int ret = filemap_fdatawrite_range(mapping, start, end);

	filemap_fdatawait_range_keep_errors(mapping, start, end);
	return ret ?: errseq_check(&mapping->wb_err, before);
}

/*
 * A folio that was partly written before it was read carries a record of the dirty part. On 6.12
 * netfs_read_gaps() makes it up to date but leaves the record, and write-back then sends only that
 * part: what is stored through a mapping is lost. Such a folio is written first; being up to date,
 * it does not get another record.
 */
static vm_fault_t cfs_page_mkwrite(struct vm_fault *vmf)
{
	struct folio *folio = page_folio(vmf->page);
	struct address_space *mapping = vmf->vma->vm_file->f_mapping;
	loff_t start, end;
	bool partial;

	folio_lock(folio);
	partial = folio->mapping == mapping && netfs_folio_info(folio);
	start = folio_pos(folio);
	end = start + folio_size(folio) - 1;
	folio_unlock(folio);
	if (partial && cfs_write_out(mapping, start, end))
		return VM_FAULT_SIGBUS;
	/* Every page of a folio faults on its own. */
	cfs_data_dirty(CFS_I(mapping->host)->data, (u64)vmf->pgoff << PAGE_SHIFT, PAGE_SIZE, false);
	return netfs_page_mkwrite(vmf, NULL);
}

const struct vm_operations_struct cfs_vm_ops = {
	.fault		= filemap_fault,
	.map_pages	= filemap_map_pages,
	.page_mkwrite	= cfs_page_mkwrite,
};

/**
 * cfs_data_setup - prepare a new inode for data
 * @inode: Regular file, I_NEW.
 */
void cfs_data_setup(struct inode *inode)
{
	netfs_inode_init(netfs_inode(inode), &cfs_netfs_ops, false);
	inode->i_mapping->a_ops = &cfs_aops;
	/* Parts of a folio from the local cache and parts from servers would have to be joined, which
	 * 6.12's netfs cannot be trusted with; pages are the unit of that cache and have no parts.
	 */
	if (!CFS_SB(inode->i_sb)->fsc_volume)
		mapping_set_large_folios(inode->i_mapping);
	mapping_set_stable_writes(inode->i_mapping);	/* pages are sent by reference, with a CRC
							 */
	cfs_mapping_set_reclaim_hint(inode->i_mapping);
}

/**
 * cfs_data_set_size - take a server's size
 * @inode: Regular file, i_lock held, cfs_data_busy() is false.
 * @size:  Bytes.
 */
void cfs_data_set_size(struct inode *inode, u64 size)
{
	lockdep_assert_held(&inode->i_lock);
	i_size_write(inode, size);
	inode->i_blocks = DIV_ROUND_UP_ULL(size, 512);
}

/* ---- life ---- */

static void cfs_data_put_work(struct work_struct *work)
{
	struct cfs_data *d = container_of(work, struct cfs_data, put_work);
	struct inode *inode = &d->ci->netfs.inode;
	int n = atomic_xchg(&d->puts, 0);

	/* @d may be gone after the last one. */
	for (; n; n--)
		cfs_inode_release(inode);
}

/* Clean ones. Dirty ones stay. */
static void cfs_data_drop_pages(struct inode *inode)
{
	invalidate_inode_pages2(inode->i_mapping);
	cfs_fsc_invalidate(inode);
}

static void cfs_data_inval_work(struct work_struct *work)
{
	struct cfs_data *d = container_of(work, struct cfs_data, inval_work);
	struct inode *inode = &d->ci->netfs.inode;

	cfs_data_drop_pages(inode);
	cfs_inode_release(inode);
}

/**
 * cfs_data_alloc - data state of a new regular file
 * @ci: Inode.
 *
 * Return: 0 or -ENOMEM.
 */
int cfs_data_alloc(struct cfs_inode *ci)
{
	struct cfs_data *d = kmem_cache_zalloc(cfs_data_cache, GFP_KERNEL);

	if (!d)
		return -ENOMEM;
	d->ci = ci;
	d->limit = U64_MAX;
	d->ranges = RB_ROOT_CACHED;
	mutex_init(&d->lock);
	cfs_map_init(&d->map, &d->lock);
	spin_lock_init(&d->note_lock);
	spin_lock_init(&d->dirty_lock);
	init_waitqueue_head(&d->idle);
	cfs_waiter_init(&d->run, cfs_data_run);
	INIT_LIST_HEAD(&d->map_readers);
	INIT_LIST_HEAD(&d->waiting);
	INIT_LIST_HEAD(&d->ghosts);
	INIT_LIST_HEAD(&d->kept);
	INIT_LIST_HEAD(&d->todo);
	INIT_LIST_HEAD(&d->over);
	INIT_LIST_HEAD(&d->streams);
	INIT_LIST_HEAD(&d->committing);
	INIT_LIST_HEAD(&d->ended);
	INIT_LIST_HEAD(&d->fresh);
	INIT_LIST_HEAD(&d->notes);
	INIT_LIST_HEAD(&d->created);
	INIT_WORK(&d->put_work, cfs_data_put_work);
	INIT_WORK(&d->inval_work, cfs_data_inval_work);
	ci->data = d;
	return 0;
}

/**
 * cfs_data_free - free the data state
 * @ci: Inode that was evicted, or never came to life.
 *
 * Context: Process, may sleep.
 */
void cfs_data_free(struct cfs_inode *ci)
{
	struct cfs_data *d = ci->data;

	if (!d)
		return;
	cfs_waiter_cancel(&d->run);
	ci->data = NULL;
	cfs_streams_free(d);
	mutex_lock(&d->lock);
	cfs_map_clear(&d->map);
	mutex_unlock(&d->lock);
	kmem_cache_free(cfs_data_cache, d);
}

/**
 * cfs_data_evict - the inode goes: wait until nothing of netfs or of ours refers to it
 * @inode: Inode being evicted.
 *
 * Normally there is nothing to wait for: I/O under way holds the inode. Only an inode that was
 * already being freed when its last pages were written (at unmount) could not be held.
 */
void cfs_data_evict(struct inode *inode)
{
	struct cfs_data *d = CFS_I(inode)->data;

	wait_event(d->idle, !READ_ONCE(d->active));
	/* Whoever dropped the last use may still be in its last line, with this lock. */
	spin_lock(&d->note_lock);
	spin_unlock(&d->note_lock);
	netfs_wait_for_outstanding_io(inode);
	cfs_waiter_cancel(&d->run);
	WARN_ON_ONCE(!list_empty(&d->todo) || !list_empty(&d->over) || d->nwrites);
}

/**
 * cfs_data_hold - something is under way: keep the inode
 * @d:     Data state.
 * @write: It is a write.
 *
 * Context: Any process context.
 */
void cfs_data_hold(struct cfs_data *d, bool write)
{
	struct inode *inode = &d->ci->netfs.inode;
	struct cfs_sb *csb = cfs_data_sb(d);

	spin_lock(&d->note_lock);
	if (!d->active++ && igrab(inode)) {
		d->held = true;
		atomic_inc(&csb->held_inodes);
	}
	if (write && !d->nwrites++)
		atomic_inc(&csb->dirty_inodes);
	spin_unlock(&d->note_lock);
}

/**
 * cfs_data_drop - the opposite of cfs_data_hold()
 * @d:     Data state; may be gone afterwards.
 * @write: As in cfs_data_hold().
 */
void cfs_data_drop(struct cfs_data *d, bool write)
{
	struct inode *inode = &d->ci->netfs.inode;
	struct cfs_sb *csb = cfs_data_sb(d);

	spin_lock(&d->note_lock);
	if (write && !--d->nwrites)
		atomic_dec(&csb->dirty_inodes);
	if (--d->active)
		goto out;
	if (!d->held) {
		wake_up_all(&d->idle);
		goto out;
	}
	d->held = false;
	if (atomic_add_unless(&inode->i_count, -1, 1)) {
		/* Not the last reference, as nearly always: its eviction waits for note_lock. */
		if (atomic_dec_and_test(&csb->held_inodes))
			wake_up_all(&csb->uncommitted_wait);
	} else {
		/* A run that is queued owns a reference at least: else @d could be gone before it. */
		if (atomic_inc_return(&d->puts) == 1)
			queue_work(cfs_put_wq, &d->put_work);
	}
out:
	spin_unlock(&d->note_lock);
}

/**
 * cfs_data_busy - are there local bytes that a server does not know of yet?
 * @inode: Regular file.
 *
 * Context: Any; i_lock may be held.
 */
bool cfs_data_busy(struct inode *inode)
{
	struct cfs_data *d = CFS_I(inode)->data;

	return atomic_read(&d->busy) || READ_ONCE(d->nwrites) ||
	       mapping_tagged(inode->i_mapping, PAGECACHE_TAG_DIRTY) ||
	       mapping_tagged(inode->i_mapping, PAGECACHE_TAG_WRITEBACK);
}

/**
 * cfs_data_class - storage class that new extents of a file must have
 * @d: Data state.
 */
u32 cfs_data_class(struct cfs_data *d)
{
	return READ_ONCE(d->ci->storage_class) ?: cfs_data_sb(d)->storage_class;
}

/**
 * cfs_pages_are_clean - do the servers have all that is in the cache?
 * @mapping: Pages of a regular file. One that may be stored to is not known to be clean.
 */
bool cfs_pages_are_clean(struct address_space *mapping)
{
	return !mapping_tagged(mapping, PAGECACHE_TAG_DIRTY) &&
	       !mapping_tagged(mapping, PAGECACHE_TAG_WRITEBACK) && !mapping_writably_mapped(mapping);
}

/**
 * cfs_data_dirty - bytes may soon differ from what is committed
 * @d:     Data state.
 * @pos:   First of them, from the start of the file.
 * @len:   How many.
 * @first: All that was noted before can be forgotten, if it has been written since.
 *
 * Context: Any that may take a spinlock outside of interrupts.
 */
void cfs_data_dirty(struct cfs_data *d, u64 pos, u64 len, bool first)
{
	struct address_space *mapping = d->ci->netfs.inode.i_mapping;

	WRITE_ONCE(d->ci->wrote, true);
	spin_lock(&d->dirty_lock);
	/* Under the lock: a mapping that is stored to from now on adds its range behind this. */
	if (first && cfs_pages_are_clean(mapping))
		cfs_ranges_clear(&d->dirty);
	cfs_ranges_add(&d->dirty, pos, pos + len);
	spin_unlock(&d->dirty_lock);
}

/**
 * cfs_dirty_at - may a byte differ from what is committed?
 * @d:   Data state.
 * @pos: Its position.
 * @len: Filled: bytes from there on of which the same is true.
 */
bool cfs_dirty_at(struct cfs_data *d, u64 pos, u64 *len)
{
	bool dirty;

	spin_lock(&d->dirty_lock);
	dirty = cfs_ranges_at(&d->dirty, pos, len);
	spin_unlock(&d->dirty_lock);
	return dirty;
}

/* ---- invalidation ---- */

/**
 * cfs_data_invalidate - clean pages, and perhaps the map, are old: drop them
 * @inode: Regular file; the caller holds a reference.
 * @map:   The map is, too.
 * @wait:  Pages that are being read may be waited for if nothing is known to be read.
 *
 * Pages that are being read are dropped by a work item: whoever asked for attributes must not wait for
 * a dead node, nor the daemon for a read that waits for it. An open waits, see cfs_file_open().
 *
 * Context: Process, sleeps.
 */
void cfs_data_invalidate(struct inode *inode, bool map, bool wait)
{
	struct cfs_data *d = CFS_I(inode)->data;

	cfs_fsc_invalidate(inode);
	if (map) {
		mutex_lock(&d->lock);
		cfs_map_forget(d);
		mutex_unlock(&d->lock);
		cfs_waiter_run(&d->run);
	}
	if (wait && !READ_ONCE(d->active)) {
		cfs_data_drop_pages(inode);
		return;
	}
	invalidate_mapping_pages(inode->i_mapping, 0, -1);
	cfs_inode_hold(inode);
	if (!queue_work(cfs_put_wq, &d->inval_work))
		cfs_inode_release(inode);
}

/* ---- truncation ---- */

/*
 * The daemon has done with a truncation whose caller was killed meanwhile. Until now nothing else was
 * sent: it would have cut bytes that were written after the kill.
 */
static void cfs_truncate_late(struct cfs_call *call)
{
	struct cfs_data *d = call->priv;
	struct inode *inode = &d->ci->netfs.inode;

	cfs_change_end(cfs_data_sb(d), inode->i_ino, 0);
	cfs_attrs_expire(inode);
	mutex_lock(&d->lock);
	cfs_map_forget(d);
	mutex_unlock(&d->lock);
	cfs_data_thaw(d);
	cfs_data_drop(d, false);
	cfs_call_put(call);
}

/* *@left: the outcome is not known yet, cfs_truncate_late() will deal with it. */
static int cfs_truncate_call(struct inode *inode, u64 size, struct cfs_attr *attr, u64 *seq,
			     bool *left)
{
	struct cfs_sb *csb = CFS_SB(inode->i_sb);
	struct cfs_call *call = cfs_call_alloc(csb, CFS_OP_TRUNCATE, inode->i_ino, GFP_KERNEL);
	int ret;

	if (!call)
		return -ENOMEM;
	call->req.truncate.size = size;
	call->priv = CFS_I(inode)->data;
	call->late = cfs_truncate_late;
	*seq = cfs_change(csb, inode->i_ino);
	ret = cfs_call_sync(call);
	*left = call->done;
	if (ret >= 0)
		ret = cfs_call_fixed(call, attr, sizeof(*attr));
	if (ret >= 0 && attr->ino != inode->i_ino)
		ret = -EPROTO;
	cfs_call_put(call);
	return min(ret, 0);
}

/* The map is cut as the server has cut its list, if nobody else changed that at the same time. */
static void cfs_truncate_map(struct inode *inode, u64 size, const struct cfs_attr *attr, int err)
{
	struct cfs_inode *ci = CFS_I(inode);
	struct cfs_data *d = ci->data;
	struct cfs_ekey last;

	mutex_lock(&d->lock);
	if (!err) {
		err = cfs_map_truncate(&d->map, size);
		if (cfs_map_ending_at(&d->map, size, &last))
			d->no_continue = last.extent_id;	/* it is longer than its key now */
		d->limit = size;
		if (!size && !err)
			d->map_valid = true;
		else if (err || attr->gen != d->map_gen + 1)
			cfs_map_forget(d);
		d->map_gen = attr->gen;
		spin_lock(&inode->i_lock);
		ci->gen = attr->gen;
		spin_unlock(&inode->i_lock);
	} else {
		cfs_map_forget(d);
	}
	mutex_unlock(&d->lock);
}

/**
 * cfs_data_truncate - change the size of a file
 * @inode: Regular file, its lock held.
 * @size:  New size, bytes.
 * @attr:  Filled on success, to be applied by the caller.
 * @seq:   Sequence to apply it with.
 *
 * Bytes that are dirty are written first. Nothing is on its way to the servers while they change
 * the size: a commit that came later would bring cut bytes back. Write-back that starts meanwhile
 * waits, and what of it lies beyond the new size is dropped. If the caller is killed, all that waits
 * until the daemon is done with it.
 *
 * Return:  0 or -errno.
 */
int cfs_data_truncate(struct inode *inode, u64 size, struct cfs_attr *attr, u64 *seq)
{
	struct cfs_data *d = CFS_I(inode)->data;
	bool left = false;
	int ret;

	atomic_inc(&d->busy);
	inode_dio_wait(inode);
	ret = cfs_write_out(inode->i_mapping, 0, LLONG_MAX);
	if (ret)
		goto out;
	filemap_invalidate_lock(inode->i_mapping);
	ret = cfs_data_freeze(d);
	if (ret)
		goto unlock;
	cfs_data_hold(d, false);
	ret = cfs_truncate_call(inode, size, attr, seq, &left);
	if (left)
		goto unlock;
	cfs_truncate_map(inode, size, attr, ret);
	cfs_data_thaw(d);
	cfs_data_drop(d, false);
	if (!ret) {
		cfs_fsc_invalidate(inode);
		truncate_setsize(inode, size);
		cfs_fsc_invalidate(inode);
	}
	mutex_lock(&d->lock);
	d->limit = U64_MAX;
	mutex_unlock(&d->lock);
unlock:
	filemap_invalidate_unlock(inode->i_mapping);
out:
	atomic_dec(&d->busy);
	return ret;
}

/* ---- sync ---- */

/**
 * cfs_data_send_mtime - tell the server the time of the last overwrite, which it does not notice
 * itself
 * @inode: Regular file.
 *
 * A failure is not reported: the data is safe. It is tried again at the next sync.
 */
void cfs_data_send_mtime(struct inode *inode)
{
	struct cfs_data *d = CFS_I(inode)->data;
	struct cfs_sb *csb = CFS_SB(inode->i_sb);
	struct cfs_call *call;

	if (!READ_ONCE(d->overwrote) || test_bit(CFS_SB_FORCED, &csb->flags))
		return;
	call = cfs_call_alloc(csb, CFS_OP_SETATTR, inode->i_ino, GFP_KERNEL);
	if (!call)
		return;
	WRITE_ONCE(d->overwrote, false);
	WRITE_ONCE(d->ci->wrote, true);
	cfs_setattr_believed(inode, &call->req);
	call->req.setattr.valid = CFS_SA_MTIME;
	call->req.setattr.mtime = inode_get_mtime_sec(inode);
	cfs_change(csb, inode->i_ino);
	if (cfs_call_sync(call) < 0)
		WRITE_ONCE(d->overwrote, true);
	else
		cfs_mtime_told(inode, call->req.setattr.mtime);
	cfs_change_end(csb, inode->i_ino, 0);
	cfs_call_put(call);
}

/**
 * cfs_data_sync - everything written so far is committed
 * @inode: Regular file.
 *
 * Return:  0 or the error of a write that failed for good.
 */
int cfs_data_sync(struct inode *inode)
{
	int ret = cfs_write_out(inode->i_mapping, 0, LLONG_MAX);

	cfs_data_send_mtime(inode);
	return ret;
}

/* ---- mount ---- */

void cfs_data_sb_init(struct cfs_sb *csb)
{
	init_waitqueue_head(&csb->uncommitted_wait);
	csb->append_max = CFS_APPEND_MAX;
}

/**
 * cfs_data_sb_sync - unmount: write what is dirty, wait until no inode is held by I/O
 * @csb: Mount, no files open. CFS_SB_DYING is set: quarantines end.
 *
 * Waits like any hard mount; on a forced one everything fails at once.
 */
void cfs_data_sb_sync(struct cfs_sb *csb)
{
	sync_filesystem(csb->sb);
	cfs_wake_waiters();
	wait_event(csb->uncommitted_wait, !atomic_read(&csb->held_inodes));
	flush_workqueue(cfs_put_wq);	/* the last one may still be in its last line */
}

/**
 * cfs_data_sb_abort - umount -f: end everything under way
 * @csb: Mount; CFS_SB_FORCED is set, its calls have been aborted.
 */
void cfs_data_sb_abort(struct cfs_sb *csb)
{
	int inodes = atomic_read(&csb->dirty_inodes);

	if (inodes)
		pr_warn("cubefs: %s: forced unmount: %d files lose %lld bytes or more\n",
			csb->source, inodes, (long long)atomic64_read(&csb->uncommitted));
	cfs_conn_abort_sb(csb);
	cfs_wake_waiters();
}

/* ---- module ---- */

int cfs_data_init(void)
{
	cfs_data_cache = KMEM_CACHE(cfs_data, SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT);
	cfs_put_wq = alloc_workqueue("cubefs_put", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (cfs_data_cache && cfs_put_wq && !cfs_read_init() && !cfs_write_init() &&
	    !cfs_stream_init())
		return 0;
	cfs_data_exit();
	return -ENOMEM;
}

void cfs_data_exit(void)
{
	cfs_stream_exit();
	cfs_write_exit();
	cfs_read_exit();
	if (cfs_put_wq)
		destroy_workqueue(cfs_put_wq);
	kmem_cache_destroy(cfs_data_cache);
}
