// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: listing directories.
 *
 * Purpose   Pages of entries from the daemon, in bytewise order of names; each page is asked for by
 *           the last name of the one before (its marker).
 * Lifetime  An open directory keeps one page and the markers it met; both go with its last close.
 * Locks     dd->lock: a file may be shared, and not every caller holds f_pos_lock.
 * Contexts  Process, sleeps; killable.
 * Failure   A page that is out of order or does not fit its claim is refused whole (EPROTO).
 *
 * Entries come with attributes, which go into the caches, so that looking at what was listed asks for
 * nothing. Not without bound when nobody looks: after CFS_FILL_PAGES pages without a lookup in the
 * directory, pages are only listed, until there is one.
 *
 * Positions 0 and 1 are "." and "..", then entries are counted. A position that is not in the page
 * at hand is reached from the nearest marker before it, so that telldir/seekdir stay exact as long
 * as the names in between do not change. Position 0 starts anew, as POSIX rewinddir() demands.
 * Markers are thinned out when there are many: memory is bounded.
 */
#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include "cfs.h"
#include "optrace.h"

/* asked for at once, as the FUSE client does. Source: client/fs/dir.go */
#define CFS_PAGE_ENTRIES	1024
#define CFS_ENTRY_BYTES_MAX	(sizeof(struct cfs_dirent) + CFS_NAME_LEN_MAX + 8)
#define CFS_PAGE_BYTES_MAX	(CFS_PAGE_ENTRIES * CFS_ENTRY_BYTES_MAX)
#define CFS_MARKERS_MAX		1024
/* 10240 names: fts(3), the walker of find and rm, reads 10000 before it looks at any of them */
#define CFS_FILL_PAGES		10
#define CFS_FIRST_POS		2	/* of the first entry */

static_assert(CFS_PAGE_BYTES_MAX <= CFS_REPLY_MAX);

/* "The entry at @pos is the first one after @name." */
struct cfs_marker {
	u64 pos;
	u32 len;
	char name[];
};

/* L: dd->lock */
struct cfs_dir_data {
	struct mutex lock;		/* what is marked L */
	struct cfs_call *page;		/* L: holds the answer; NULL: none */
	u64 first;			/* L: position of the page's first entry */
	u32 count;			/* L: its entries */
	bool eof;			/* L: nothing follows the page */
	const struct cfs_dirent *last;	/* L: its last entry */
	struct cfs_marker **markers;	/* L: ascending; NULL until the first page is left */
	unsigned int nmarkers;		/* L */
	unsigned int fills;		/* L: pages that may still go into the caches unasked */
	u64 stride;			/* L: least distance of markers, in entries */
};

static const char *cfs_dirent_name(const struct cfs_dirent *de)
{
	return (const char *)(de + 1);
}

static const struct cfs_dirent *cfs_dirent_next(const struct cfs_dirent *de)
{
	return (const void *)de + de->reclen;
}

static int cfs_name_cmp(const char *a, u32 a_len, const char *b, u32 b_len)
{
	return memcmp(a, b, min(a_len, b_len)) ?: (a_len > b_len) - (a_len < b_len);
}

/* ---- the border: an answer is judged once ---- */
static bool cfs_dirent_is_valid(const struct cfs_dirent *de, size_t left)
{
	const char *name = cfs_dirent_name(de);

	if (left < sizeof(*de) || de->reclen > left || de->reclen % 8 || !de->name_len ||
	    de->name_len > CFS_NAME_LEN_MAX || de->reclen < sizeof(*de) + de->name_len || !de->ino)
		return false;
	if (memchr(name, 0, de->name_len) || memchr(name, '/', de->name_len))
		return false;
	return name[0] != '.' || (de->name_len != 1 && (de->name_len != 2 || name[1] != '.'));
}

/* Names ascend from the marker on: so every page makes progress. */
static int cfs_page_check(struct cfs_dir_data *dd, const struct cfs_call *call)
{
	u32 count = call->res & ~CFS_READDIR_EOF, len = call->req.name_len, i;
	const struct cfs_dirent *de = call->reply;
	const char *name = call->name;
	size_t left = call->reply_len;

	for (i = 0; i < count; i++) {
		if (!cfs_dirent_is_valid(de, left) ||
		    (len && cfs_name_cmp(name, len, cfs_dirent_name(de), de->name_len) >= 0))
			return -EPROTO;
		name = cfs_dirent_name(de);
		len = de->name_len;
		left -= de->reclen;
		dd->last = de;
		de = cfs_dirent_next(de);
	}
	dd->count = count;
	dd->eof = call->res & CFS_READDIR_EOF;
	return left || (!count && !dd->eof) ? -EPROTO : 0;
}

/* ---- pages ---- */
static void cfs_page_drop(struct cfs_dir_data *dd)
{
	cfs_call_put(dd->page);
	dd->page = NULL;
}

/* The page at hand has just come, and the directory has been locked since it was asked for. */
static void cfs_page_fill(struct file *file, struct cfs_dir_data *dd, u32 epoch)
{
	struct cfs_inode *ci = CFS_I(file_inode(file));
	const struct cfs_dirent *de = dd->page->reply;
	u32 i;

	if (READ_ONCE(ci->names_used)) {
		WRITE_ONCE(ci->names_used, false);
		dd->fills = CFS_FILL_PAGES;
	}
	if (!dd->fills)
		return;
	dd->fills--;
	for (i = 0; i < dd->count && !fatal_signal_pending(current); i++) {
		if (de->attr.ino == de->ino)
			cfs_names_fill(file->f_path.dentry, de, epoch, dd->page->req.seq);
		de = cfs_dirent_next(de);
		cond_resched();
	}
}

/*
 * The page that begins at @first, after the name @name. It replaces the one at hand, which @name
 * may be part of.
 */
static int cfs_page_fetch(struct file *file, struct cfs_dir_data *dd, u64 first, const char *name,
			  u32 len)
{
	struct inode *dir = file_inode(file);
	u32 epoch = cfs_names_epoch(dir);
	struct cfs_call *call = cfs_inode_call(dir, CFS_OP_READDIR);
	int ret;

	if (!call)
		return -ENOMEM;
	cfs_call_name(call, name, len);
	call->req.readdir.limit = CFS_PAGE_ENTRIES;
	call->reply_max = CFS_PAGE_BYTES_MAX;
	ret = cfs_call_sync(call);
	if (ret >= 0) {
		cfs_page_drop(dd);
		dd->first = first;
		ret = cfs_page_check(dd, call);
	}
	if (ret < 0) {
		cfs_call_put(call);
		return ret;
	}
	dd->page = call;
	cfs_page_fill(file, dd, epoch);
	return 0;
}

/* ---- markers ---- */
static void cfs_markers_thin(struct cfs_dir_data *dd)
{
	unsigned int i, kept = 0;

	for (i = 0; i < dd->nmarkers; i++) {
		if (i % 2)
			dd->markers[kept++] = dd->markers[i];
		else
			kfree(dd->markers[i]);
	}
	dd->nmarkers = kept;
	dd->stride *= 2;
}

/*
 * Remember where the page at hand ends. Only memory can be short, and then seeking back takes
 * longer.
 */
static void cfs_marker_add(struct cfs_dir_data *dd)
{
	u64 pos = dd->first + dd->count;
	struct cfs_marker *m;

	if (!dd->count)
		return;
	if (dd->nmarkers && dd->markers[dd->nmarkers - 1]->pos + dd->stride > pos)
		return;
	if (!dd->markers)
		dd->markers = kcalloc(CFS_MARKERS_MAX, sizeof(m), GFP_KERNEL);
	m = dd->markers ? kmalloc(struct_size(m, name, dd->last->name_len), GFP_KERNEL) : NULL;
	if (!m)
		return;
	m->pos = pos;
	m->len = dd->last->name_len;
	memcpy(m->name, cfs_dirent_name(dd->last), m->len);
	if (dd->nmarkers == CFS_MARKERS_MAX)
		cfs_markers_thin(dd);
	dd->markers[dd->nmarkers++] = m;
}

/* The last marker at or before @pos, or NULL for the beginning. */
static const struct cfs_marker *cfs_marker_find(const struct cfs_dir_data *dd, u64 pos)
{
	unsigned int i = dd->nmarkers;

	while (i && dd->markers[i - 1]->pos > pos)
		i--;
	return i ? dd->markers[i - 1] : NULL;
}

static void cfs_dir_rewind(struct cfs_dir_data *dd)
{
	cfs_page_drop(dd);
	while (dd->nmarkers)
		kfree(dd->markers[--dd->nmarkers]);
	dd->stride = 1;
}

/* ---- listing ---- */
/* Bring the page that holds @pos to hand, or the last one when @pos is behind the end. */
static int cfs_dir_seek(struct file *file, struct cfs_dir_data *dd, u64 pos)
{
	const struct cfs_marker *m;
	int ret = 0;

	if (!dd->page || pos < dd->first) {
		m = cfs_marker_find(dd, pos);
		ret = m ? cfs_page_fetch(file, dd, m->pos, m->name, m->len) :
			cfs_page_fetch(file, dd, CFS_FIRST_POS, NULL, 0);
	}
	while (!ret && pos >= dd->first + dd->count && !dd->eof) {
		cfs_marker_add(dd);
		ret = cfs_page_fetch(file, dd, dd->first + dd->count, cfs_dirent_name(dd->last),
				     dd->last->name_len);
	}
	return ret;
}

/* Emit from the page at hand. Returns whether the caller's buffer has room for more. */
static bool cfs_dir_emit_page(struct cfs_dir_data *dd, struct dir_context *ctx)
{
	const struct cfs_dirent *de = dd->page->reply;
	u64 pos;

	for (pos = dd->first; pos < dd->first + dd->count; pos++, de = cfs_dirent_next(de)) {
		if (pos < ctx->pos)
			continue;
		if (!dir_emit(ctx, cfs_dirent_name(de), de->name_len, de->ino, S_DT(de->type)))
			return false;
		ctx->pos++;
	}
	return true;
}

static int cfs_dir_emit(struct file *file, struct cfs_dir_data *dd, struct dir_context *ctx)
{
	int ret;

	do {
		ret = cfs_dir_seek(file, dd, ctx->pos);
		if (ret || ctx->pos >= dd->first + dd->count)
			return ret;
	} while (cfs_dir_emit_page(dd, ctx) && !dd->eof);
	return 0;
}

static int cfs_iterate(struct file *file, struct dir_context *ctx)
{
	struct cfs_dir_data *dd = file->private_data;
	bool anew = !ctx->pos;
	int ret;

	if (!dir_emit_dots(file, ctx))
		return 0;
	ret = mutex_lock_killable(&dd->lock);
	if (ret)
		return ret;
	if (anew)
		cfs_dir_rewind(dd);
	ret = cfs_dir_emit(file, dd, ctx);
	mutex_unlock(&dd->lock);
	return ret;
}

static int cfs_dir_open(struct inode *inode, struct file *file)
{
	struct cfs_dir_data *dd = kzalloc(sizeof(*dd), GFP_KERNEL);

	if (!dd)
		return -ENOMEM;
	mutex_init(&dd->lock);
	dd->stride = 1;
	dd->fills = CFS_FILL_PAGES;
	file->private_data = dd;
	return 0;
}

static int cfs_dir_release(struct inode *inode, struct file *file)
{
	struct cfs_dir_data *dd = file->private_data;

	cfs_dir_rewind(dd);
	kfree(dd->markers);
	kfree(dd);
	return 0;
}

/* Positions are no bytes, and have nothing to do with i_size. */
static loff_t cfs_dir_llseek(struct file *file, loff_t offset, int whence)
{
	return generic_file_llseek_size(file, offset, whence, S64_MAX, 0);
}

CFS_TOLD(static, int, cfs_iterate, CFS_VFS_READDIR, file_inode(file), ret,
	 (struct file *file, struct dir_context *ctx), (file, ctx))

const struct file_operations cfs_dir_fops = {
	.open		= cfs_dir_open,
	.release	= cfs_dir_release,
	.llseek		= cfs_dir_llseek,
	.read		= generic_read_dir,
	.iterate_shared	= cfs_iterate_op,
	.fsync		= noop_fsync,	/* a change of names is durable when it returns */
};
