// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: open regular files.
 *
 * Purpose   open, read, write, mmap, fsync, close. Data goes through netfs; the cases it does not
 *           handle are handled here.
 * Lifetime  An open file has no state of its own.
 * Locks     i_rwsem as netfs takes it: shared for reads and direct I/O, exclusive for buffered
 *           writes.
 * Contexts  System calls; direct I/O of io_uring and libaio ends in a work item.
 * Failure   Errors of write-back are told once per open file, by fsync and by close, then forgotten
 *           (errseq).
 *
 * Preallocation reserves nothing: the servers have no such thing. It moves the end of the file, or
 * does nothing. Punching and zeroing write zeros where there are extents.
 *
 * Closing a file that was written commits it, as the FUSE client does: another host that opens it
 * afterwards sees it.
 * Source: CubeFS v3.5.3, client/fs/file.go (Flush, Fsync).
 */
#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/filelock.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/uio.h>
#include "compat.h"
#include "data.h"
#include "optrace.h"

#define CFS_ZERO_PAGES	16	/* written at a time where a range is cleared */

/*
 * The size and the generation must be those of now: the lookup of this open has asked for them (see
 * lookup.c); they are asked for again only if they are not believed any more. With another
 * generation, pages and map go. A file made by this open has no extents, which saves asking for
 * them.
 */
static int cfs_file_open(struct inode *inode, struct file *file)
{
	int ret;

	file->f_mode |= FMODE_CAN_ODIRECT | FMODE_NOWAIT;
	if (file->f_mode & FMODE_CREATED) {
		cfs_map_set_empty(inode);
		cfs_fsc_open(inode, file);
		return 0;
	}
	ret = cfs_inode_refresh(inode, false);
	if (ret)
		return ret;
	flush_work(&CFS_I(inode)->data->inval_work);	/* what is read from now on is new */
	cfs_map_check(inode);
	ret = generic_file_open(inode, file);
	if (!ret)
		cfs_fsc_open(inode, file);
	return ret;
}

static int cfs_file_release(struct inode *inode, struct file *file)
{
	cfs_fsc_release(inode);
	return 0;
}

/*
 * close(2): errors since the last report on this file; they stay for an fsync on a copy of the
 * descriptor.
 */
static int cfs_file_flush(struct file *file, fl_owner_t id)
{
	struct inode *inode = file_inode(file);

	if (!(file->f_mode & FMODE_WRITE))
		return 0;
	cfs_data_sync(inode);
	return filemap_check_wb_err(inode->i_mapping, READ_ONCE(file->f_wb_err));
}

static int cfs_file_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	int ret = file_write_and_wait_range(file, start, end);

	if (!datasync)
		cfs_data_send_mtime(file_inode(file));
	return ret;
}

/* ---- holes ---- */

/* Is the byte at @pos data? @len: bytes up to where that may change. d->lock is held. */
static bool cfs_data_at(struct cfs_data *d, u64 pos, bool busy, u64 *len)
{
	struct cfs_slice slice;
	bool dirty = false;

	cfs_map_lookup(&d->map, pos, &slice);
	*len = slice.len;
	if (slice.hole && busy) {
		dirty = cfs_dirty_at(d, pos, len);
		*len = min(slice.len, *len);
	}
	return dirty || !slice.hole;
}

/*
 * Data is what has a key, or may get one. That nothing is dirty is asked before the map: what was
 * dirty earlier is in it.
 */
static loff_t cfs_seek_data_hole(struct inode *inode, loff_t offset, int whence)
{
	struct cfs_data *d = CFS_I(inode)->data;
	bool busy = cfs_data_busy(inode);
	u64 pos = offset, size = i_size_read(inode), len;
	int ret;

	if (offset < 0 || pos >= size)
		return -ENXIO;
	ret = cfs_map_lock(d);
	if (ret)
		return ret;
	while (pos < size && cfs_data_at(d, pos, busy, &len) != (whence == SEEK_DATA))
		pos += len;
	mutex_unlock(&d->lock);
	if (pos < size)
		return pos;
	return whence == SEEK_HOLE ? size : -ENXIO;
}

static loff_t cfs_file_llseek(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);
	loff_t ret;

	if (whence == SEEK_SET || whence == SEEK_CUR)
		return generic_file_llseek(file, offset, whence);
	ret = cfs_inode_refresh(inode, false);
	if (ret)
		return ret;
	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return generic_file_llseek(file, offset, whence);
	ret = cfs_seek_data_hole(inode, offset, whence);
	return ret < 0 ? ret : vfs_setpos(file, ret, inode->i_sb->s_maxbytes);
}

/* ---- reading ---- */

/*
 * Without waiting: what is in the cache, if nobody holds the lock and no direct I/O has to be
 * waited for.
 */
static ssize_t cfs_read_nowait(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t ret = -EAGAIN;

	if (iocb->ki_flags & IOCB_DIRECT || !inode_trylock_shared(inode))
		return -EAGAIN;
	if (!test_bit(NETFS_ICTX_ODIRECT, &netfs_inode(inode)->flags))
		ret = filemap_read(iocb, to, 0);
	inode_unlock_shared(inode);
	return ret;
}

static ssize_t cfs_file_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	cfs_inode_check(file_inode(iocb->ki_filp));
	if (iocb->ki_flags & IOCB_NOWAIT)
		return cfs_read_nowait(iocb, to);
	return netfs_file_read_iter(iocb, to);
}

static ssize_t cfs_file_splice_read(struct file *in, loff_t *ppos, struct pipe_inode_info *pipe,
				    size_t len, unsigned int flags)
{
	cfs_inode_check(file_inode(in));
	return filemap_splice_read(in, ppos, pipe, len, flags);
}

/* ---- writing ---- */

/*
 * If all pages are clean, only the bytes of this write will differ from what the servers have: the
 * rest of a folio must not be sent with them, another host may have changed it. When more ranges are
 * dirty than can be remembered, they are written back first. Called with the inode's lock, so that no
 * other write is under way.
 */
static void cfs_note_write(struct inode *inode, loff_t pos, size_t len)
{
	struct address_space *mapping = inode->i_mapping;
	struct cfs_data *d = CFS_I(inode)->data;

	if (READ_ONCE(d->dirty.n) == CFS_RANGES && !cfs_pages_are_clean(mapping) &&
	    !mapping_writably_mapped(mapping)) {
		filemap_fdatawrite(mapping);
		filemap_fdatawait_keep_errors(mapping);
	}
	cfs_data_dirty(d, pos, len, true);
}

/*
 * O_SYNC: written to the cache and then synced. netfs' own way of writing through leaves folios
 * dirty and sends them twice.
 */
static ssize_t cfs_write_buffered(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	int sync = iocb->ki_flags & (IOCB_DSYNC | IOCB_SYNC);
	ssize_t ret = netfs_start_io_write(inode);

	if (ret)
		return ret;
	ret = generic_write_checks(iocb, from);
	if (ret > 0) {
		cfs_note_write(inode, iocb->ki_pos, iov_iter_count(from));
		iocb->ki_flags &= ~sync;
		ret = netfs_buffered_write_iter_locked(iocb, from, NULL);
		iocb->ki_flags |= sync;
	}
	netfs_end_io_write(inode);
	return ret > 0 ? generic_write_sync(iocb, ret) : ret;
}

/*
 * O_APPEND and O_DIRECT: the end of the file must not move between finding it and writing there. So
 * asynchronous ones wait, too: netfs may begin them when the lock is not held any more.
 */
static ssize_t cfs_append_direct(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t ret = netfs_start_io_write(inode);	/* exclusive, direct I/O has ended */
	struct kiocb sync;

	if (ret)
		return ret;
	ret = generic_write_checks(iocb, from);
	if (ret <= 0)
		goto out;
	ret = file_remove_privs(iocb->ki_filp) ?: file_update_time(iocb->ki_filp);
	if (!ret)
		ret = filemap_invalidate_inode(inode, true, iocb->ki_pos, LLONG_MAX);
	if (ret)
		goto out;
	kiocb_clone(&sync, iocb, iocb->ki_filp);
	ret = netfs_unbuffered_write_iter_locked(&sync, from, NULL);
	iocb->ki_pos = sync.ki_pos;
out:
	netfs_end_io_write(inode);
	return ret;
}

/*
 * Buffered writes may wait for locks, pages and servers: without waiting, none is begun. Direct
 * ones return when their key is committed, so O_SYNC adds nothing.
 */
static ssize_t cfs_file_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct cfs_data *d = CFS_I(inode)->data;
	ssize_t ret = 0;

	if (iocb->ki_flags & IOCB_NOWAIT)
		return -EAGAIN;
	if (!iov_iter_count(from))
		return 0;
	if (iocb->ki_flags & IOCB_APPEND)
		ret = cfs_inode_refresh(inode, false);
	if (ret)
		return ret;
	atomic_inc(&d->busy);
	if (!(iocb->ki_flags & IOCB_DIRECT))
		ret = cfs_write_buffered(iocb, from);
	else if (iocb->ki_flags & IOCB_APPEND)
		ret = cfs_append_direct(iocb, from);
	else
		ret = netfs_unbuffered_write_iter(iocb, from);
	atomic_dec(&d->busy);
	return ret;
}

/* ---- allocation ---- */

static ssize_t cfs_write_zeros(struct file *file, u64 pos, u64 len)
{
	struct inode *inode = file_inode(file);
	struct bio_vec bv[CFS_ZERO_PAGES];
	struct iov_iter from;
	struct kiocb iocb;
	int i;

	for (i = 0; i < CFS_ZERO_PAGES; i++)
		bvec_set_page(&bv[i], ZERO_PAGE(0), PAGE_SIZE, 0);
	len = min_t(u64, len, CFS_ZERO_PAGES * PAGE_SIZE);
	init_sync_kiocb(&iocb, file);
	iocb.ki_flags = 0;
	iocb.ki_pos = pos;
	iov_iter_bvec(&from, ITER_SOURCE, bv, CFS_ZERO_PAGES, len);
	cfs_note_write(inode, pos, len);
	return netfs_buffered_write_iter_locked(&iocb, &from, NULL);
}

/* What is dirty gets its keys first; then every key of the range is overwritten. */
static int cfs_zero_keys(struct file *file, u64 pos, u64 end)
{
	struct inode *inode = file_inode(file);
	struct cfs_data *d = CFS_I(inode)->data;
	struct cfs_slice slice;
	ssize_t n = cfs_write_out(inode->i_mapping, pos, end - 1);

	while (!n && pos < end) {
		n = fatal_signal_pending(current) ? -EINTR : cfs_map_lock(d);
		if (n)
			break;
		cfs_map_lookup(&d->map, pos, &slice);
		mutex_unlock(&d->lock);
		slice.len = min(slice.len, end - pos);
		if (!slice.hole)
			n = cfs_write_zeros(file, pos, slice.len);
		if (n < 0)
			break;
		pos += slice.hole ? slice.len : n;
		n = 0;
	}
	return n;
}

static int cfs_file_grow(struct file *file, loff_t size)
{
	struct inode *inode = file_inode(file);
	struct iattr ia = { .ia_valid = ATTR_SIZE | ATTR_FILE, .ia_size = size, .ia_file = file };
	int ret = inode_newsize_ok(inode, size);

	return ret ?: notify_change(file_mnt_idmap(file), file_dentry(file), &ia, NULL);
}

static int cfs_fallocate_locked(struct file *file, int mode, loff_t pos, loff_t end)
{
	struct inode *inode = file_inode(file);
	loff_t size = i_size_read(inode);
	int ret = file_modified(file);

	if (!ret && mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE) && pos < size)
		ret = cfs_zero_keys(file, pos, min(end, size));
	if (!ret && !(mode & FALLOC_FL_KEEP_SIZE) && end > size)
		ret = cfs_file_grow(file, end);
	return ret;
}

static long cfs_file_fallocate(struct file *file, int mode, loff_t pos, loff_t len)
{
	struct inode *inode = file_inode(file);
	struct cfs_data *d = CFS_I(inode)->data;
	int ret;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	ret = cfs_inode_refresh(inode, false) ?: netfs_start_io_write(inode);
	if (ret)
		return ret;
	atomic_inc(&d->busy);
	ret = cfs_fallocate_locked(file, mode, pos, pos + len);
	atomic_dec(&d->busy);
	netfs_end_io_write(inode);
	if (!ret && file->f_flags & O_DSYNC)
		ret = vfs_fsync_range(file, pos, pos + len - 1, !(file->f_flags & __O_SYNC));
	return ret;
}

static int cfs_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	int ret = generic_file_mmap(file, vma);

	if (!ret)
		vma->vm_ops = &cfs_vm_ops;
	return ret;
}

CFS_TOLD(static, int, cfs_file_open, CFS_VFS_OPEN, inode, ret,
	 (struct inode *inode, struct file *file), (inode, file))
CFS_TOLD(static, int, cfs_file_flush, CFS_VFS_FLUSH, file_inode(file), ret,
	 (struct file *file, fl_owner_t id), (file, id))
CFS_TOLD(static, int, cfs_file_fsync, CFS_VFS_FSYNC, file_inode(file), ret,
	 (struct file *file, loff_t start, loff_t end, int datasync), (file, start, end, datasync))
CFS_TOLD(static, ssize_t, cfs_file_read_iter, CFS_VFS_READ, file_inode(iocb->ki_filp), ret,
	 (struct kiocb *iocb, struct iov_iter *to), (iocb, to))
CFS_TOLD(static, ssize_t, cfs_file_write_iter, CFS_VFS_WRITE, file_inode(iocb->ki_filp), ret,
	 (struct kiocb *iocb, struct iov_iter *from), (iocb, from))
CFS_TOLD(static, long, cfs_file_fallocate, CFS_VFS_FALLOCATE, file_inode(file), ret,
	 (struct file *file, int mode, loff_t pos, loff_t len), (file, mode, pos, len))

const struct file_operations cfs_file_fops = {
	.open		= cfs_file_open_op,
	.release	= cfs_file_release,
	.flush		= cfs_file_flush_op,
	.fsync		= cfs_file_fsync_op,
	.llseek		= cfs_file_llseek,
	.read_iter	= cfs_file_read_iter_op,
	.write_iter	= cfs_file_write_iter_op,
	.mmap		= cfs_file_mmap,
	.fallocate	= cfs_file_fallocate_op,
	.splice_read	= cfs_file_splice_read,
	.splice_write	= iter_file_splice_write,
	.setlease	= cfs_setlease,
};
