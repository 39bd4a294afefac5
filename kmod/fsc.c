// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: the local cache of file data: the border to FS-Cache.
 *
 * Purpose   With the mount option fsc, what was read of a file is kept by cachefiles on a local disk
 *           and read from there when its pages, or the mount, have been away. netfs moves the bytes;
 *           told here is which cookie belongs to what, and when its content is old.
 * Lifetime  The volume's cookie lives as long as the mount, a regular file's from cfs_iget() to
 *           eviction. Only open files use theirs: a stat does not touch the disk.
 * Locks     i_lock while the coherency data is made. FS-Cache has locks of its own.
 * Contexts  Process; FS-Cache may wait for the disk.
 * Failure   Without a cache, with a full or a broken one, data comes from the servers.
 *
 * Coherence. What is cached belongs to the attributes that the pages of the inode belong to: when
 * these are dropped, so is the cache (cfs_data_invalidate()). What is on disk carries them and is
 * dropped when they differ. Servers tell an overwrite in place by whole seconds only: what is read
 * within the second of a change could change again unseen, and never matches later.
 *
 * A file that is open for writing is not cached, as NFS does it: neither what is written nor what is
 * read meanwhile.
 */
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fscache.h>
#include <linux/pagemap.h>
#include <linux/random.h>
#include "cfs.h"

/* On disk: changing it drops what is there. */
struct cfs_fsc_aux {
	__be64 gen;
	__be64 mtime;		/* seconds */
	__be64 birth;		/* seconds: a number used again is another file */
	__be64 young;		/* random while an overwrite could stay unseen, else 0 */
};

static struct fscache_cookie *cfs_fsc_cookie(struct inode *inode)
{
	return netfs_i_cookie(netfs_inode(inode));
}

static void cfs_fsc_set_cookie(struct inode *inode, struct fscache_cookie *cookie)
{
#if IS_ENABLED(CONFIG_FSCACHE)
	netfs_inode(inode)->cache = cookie;
#endif
}

static void cfs_fsc_aux(struct inode *inode, struct cfs_fsc_aux *aux)
{
	struct cfs_inode *ci = CFS_I(inode);

	spin_lock(&inode->i_lock);
	aux->gen = cpu_to_be64(ci->gen);
	aux->mtime = cpu_to_be64(ci->pages_mtime);
	aux->birth = cpu_to_be64(ci->birth);
	aux->young = ci->pages_young ? cpu_to_be64(get_random_u64() | 1) : 0;
	spin_unlock(&inode->i_lock);
}

/**
 * cfs_fsc_begin - take the volume's place in the local cache
 * @csb: Mount with the option fsc, its volume known.
 * @fc:  For messages.
 *
 * Return:  0; -EBUSY: another mount has it; -EOPNOTSUPP; -ENOMEM.
 */
int cfs_fsc_begin(struct cfs_sb *csb, struct fs_context *fc)
{
	struct fscache_volume *volume;
	char key[32];

	if (!IS_ENABLED(CONFIG_FSCACHE)) {
		errorf(fc, "cubefs: fsc: this kernel has no FS-Cache");
		return -EOPNOTSUPP;
	}
	snprintf(key, sizeof(key), "cubefs,%016llx", csb->fsid);
	volume = fscache_acquire_volume(key, NULL, NULL, 0);
	if (IS_ERR(volume)) {
		if (PTR_ERR(volume) == -EBUSY)
			errorf(fc, "cubefs: fsc: another mount of this volume has its local cache");
		return PTR_ERR(volume);
	}
	csb->fsc_volume = volume;
	return 0;
}

/**
 * cfs_fsc_end - give it back; what is cached stays for the next mount
 * @csb: Mount without inodes.
 */
void cfs_fsc_end(struct cfs_sb *csb)
{
	fscache_relinquish_volume(csb->fsc_volume, NULL, false);
	csb->fsc_volume = NULL;
}

/**
 * cfs_fsc_setup - a new inode, with its attributes
 * @inode: Inode, I_NEW.
 */
void cfs_fsc_setup(struct inode *inode)
{
	struct cfs_sb *csb = CFS_SB(inode->i_sb);
	__be64 key = cpu_to_be64(inode->i_ino);
	struct cfs_fsc_aux aux;

	if (!csb->fsc_volume || !S_ISREG(inode->i_mode))
		return;
	cfs_fsc_aux(inode, &aux);
	cfs_fsc_set_cookie(inode, fscache_acquire_cookie(csb->fsc_volume, 0, &key, sizeof(key), &aux, sizeof(aux),
							 i_size_read(inode)));
	/* netfs wants to know of pages that go */
	if (fscache_cookie_valid(cfs_fsc_cookie(inode)))
		mapping_set_release_always(inode->i_mapping);
}

/**
 * cfs_fsc_evict - the inode goes
 * @inode: Inode without pages. If it was removed here, so is what is cached.
 */
void cfs_fsc_evict(struct inode *inode)
{
	struct fscache_cookie *cookie = cfs_fsc_cookie(inode);
	struct cfs_fsc_aux aux;

	if (!fscache_cookie_valid(cookie))
		return;
	cfs_fsc_aux(inode, &aux);
	netfs_clear_inode_writeback(inode, &aux);
	fscache_relinquish_cookie(cookie, !inode->i_nlink);
	cfs_fsc_set_cookie(inode, NULL);
}

/* @flags: FSCACHE_INVAL_DIO_WRITE: and nothing is cached until all users have gone. */
static void cfs_fsc_forget(struct inode *inode, unsigned int flags)
{
	struct cfs_fsc_aux aux;

	if (!fscache_cookie_valid(cfs_fsc_cookie(inode)))
		return;
	cfs_fsc_aux(inode, &aux);
	fscache_invalidate(cfs_fsc_cookie(inode), &aux, i_size_read(inode), flags);
}

/**
 * cfs_fsc_invalidate - what is cached is not what the servers have
 * @inode: Regular file, with its new attributes.
 *
 * A read under way caches what it read after this: so whoever drops pages calls this before, that
 * nothing old is read any more, and after, when all that was being read has gone.
 */
void cfs_fsc_invalidate(struct inode *inode)
{
	cfs_fsc_forget(inode, 0);
}

/**
 * cfs_fsc_failed - a page could not be read: was it for the local cache?
 * @inode: Regular file.
 *
 * On 6.12 netfs does not ask the servers when the cache fails or is invalidated meanwhile.
 *
 * Return:  Whether to try again. What is cached is not believed any more.
 */
bool cfs_fsc_failed(struct inode *inode)
{
	if (!fscache_cookie_enabled(cfs_fsc_cookie(inode)))
		return false;
	cfs_fsc_forget(inode, FSCACHE_INVAL_DIO_WRITE);
	return true;
}

/**
 * cfs_fsc_open - a file was opened
 * @inode: Regular file, its attributes current.
 * @file:  Open file; cfs_fsc_release() follows.
 */
void cfs_fsc_open(struct inode *inode, struct file *file)
{
	fscache_use_cookie(cfs_fsc_cookie(inode), file->f_mode & FMODE_WRITE);
	if (inode_is_open_for_write(inode))
		cfs_fsc_forget(inode, FSCACHE_INVAL_DIO_WRITE);
}

/**
 * cfs_fsc_release - an open file goes
 * @inode: Regular file.
 */
void cfs_fsc_release(struct inode *inode)
{
	loff_t size = i_size_read(inode);
	struct cfs_fsc_aux aux;

	if (!fscache_cookie_valid(cfs_fsc_cookie(inode)))
		return;
	cfs_fsc_aux(inode, &aux);
	fscache_unuse_cookie(cfs_fsc_cookie(inode), &aux, &size);
}
