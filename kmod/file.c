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
 * Closing a file that was written commits it, as the FUSE client does: another host that opens it
 * afterwards sees it.
 * Source: CubeFS v3.5.3, client/fs/file.go (Flush, Fsync).
 */
#include <linux/fs.h>
#include <linux/filelock.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/uio.h>
#include "compat.h"
#include "data.h"

/*
 * The size and the generation must be those of now, as far as attributes are believed at all; with
 * another generation, pages and map go. A file made by this open has no extents, which saves asking
 * for them.
 */
static int cfs_file_open(struct inode *inode, struct file *file)
{
	int ret;

	file->f_mode |= FMODE_CAN_ODIRECT | FMODE_NOWAIT;
	if (file->f_mode & FMODE_CREATED) {
		cfs_map_set_empty(inode);
		return 0;
	}
	ret = cfs_inode_refresh(inode, false);
	if (ret)
		return ret;
	cfs_map_check(inode);
	return generic_file_open(inode, file);
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

static loff_t cfs_file_llseek(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);
	int ret;

	if (whence != SEEK_SET && whence != SEEK_CUR) {
		ret = cfs_inode_refresh(inode, false);
		if (ret)
			return ret;
	}
	return generic_file_llseek(file, offset, whence);
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
	if (iocb->ki_flags & IOCB_NOWAIT)
		return cfs_read_nowait(iocb, to);
	return netfs_file_read_iter(iocb, to);
}

/* ---- writing ---- */

/*
 * If all pages are clean, only the bytes of this write will differ from what the servers have: the
 * rest of a folio need not be sent with them. Called with the inode's lock, so that no other write is
 * under way; a mapping that may be stored to is not known to be clean.
 */
static void cfs_note_write(struct inode *inode, loff_t pos, size_t len)
{
	struct address_space *mapping = inode->i_mapping;
	bool clean = !mapping_tagged(mapping, PAGECACHE_TAG_DIRTY) &&
		     !mapping_tagged(mapping, PAGECACHE_TAG_WRITEBACK) &&
		     !mapping_writably_mapped(mapping);

	cfs_data_dirty(CFS_I(inode)->data, pos, len, clean);
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

/* O_APPEND and O_DIRECT: the end of the file must not move between finding it and writing there. */
static ssize_t cfs_append_direct(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t ret = netfs_start_io_write(inode);	/* exclusive, direct I/O has ended */

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
	ret = netfs_unbuffered_write_iter_locked(iocb, from, NULL);
	if (ret == -EIOCBQUEUED)
		inode_dio_wait(inode);		/* until the size has moved */
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

static int cfs_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	int ret = generic_file_mmap(file, vma);

	if (!ret)
		vma->vm_ops = &cfs_vm_ops;
	return ret;
}

const struct file_operations cfs_file_fops = {
	.open		= cfs_file_open,
	.flush		= cfs_file_flush,
	.fsync		= cfs_file_fsync,
	.llseek		= cfs_file_llseek,
	.read_iter	= cfs_file_read_iter,
	.write_iter	= cfs_file_write_iter,
	.mmap		= cfs_file_mmap,
	.splice_read	= filemap_splice_read,
	.splice_write	= iter_file_splice_write,
	.setlease	= cfs_setlease,
};
