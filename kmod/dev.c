// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: /dev/cubefs.
 *
 * Purpose   The daemon's entrance: open, ioctl, mmap; io_uring commands go straight to fetch.c.
 *           Everything that comes in by ioctl is copied once and judged here; what is called below
 *           trusts it.
 * Lifetime  An open file holds the module. The attachment ends with the last reference to its file,
 *           which mappings and parked commands hold too.
 * Locks     None of its own.
 * Contexts  Process.
 * Failure   A bad value changes nothing.
 */
#include <linux/capability.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/socket.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include "cfs.h"

#define CFS_ROWS_MAX		65536	/* of a view or a list, in one command */
#define CFS_SESSIONS_BYTES_MAX	(16 << 20)	/* of CFS_IOC_SESSIONS */
#define CFS_NODE_ID_MAX		65535
#define CFS_CONNECT_MS_MAX	60000

/*
 * The rule of lengths (see "Compatibility" in the ABI header): a shorter struct is filled up with
 * zeros, a longer one must end in zeros.
 */
static int cfs_arg_in(void *arg, size_t size, void __user *user)
{
	u32 *arg_len = arg, len;
	int ret;

	if (get_user(len, (u32 __user *)user))
		return -EFAULT;
	if (len < sizeof(len) || len > PAGE_SIZE)
		return -EINVAL;
	ret = copy_struct_from_user(arg, size, user, len);
	*arg_len = len;		/* user space may have changed it meanwhile */
	return ret;
}

static int cfs_arg_out(const void *arg, size_t size, void __user *user)
{
	const u32 *len = arg;

	return copy_to_user(user, arg, min_t(size_t, *len, size)) ? -EFAULT : 0;
}

static int cfs_dev_attach(struct file *file, void __user *user)
{
	struct cfs_attach arg;
	int ret = cfs_arg_in(&arg, sizeof(arg), user);

	if (!ret)
		ret = cfs_chan_attach(file, &arg);
	if (!ret)
		cfs_conn_tell_all();
	return ret ?: cfs_arg_out(&arg, sizeof(arg), user);
}

static int cfs_dev_drain(struct file *file, void __user *user)
{
	cfs_chan_drain(file);
	return 0;
}

static int cfs_dev_sessions(struct file *file, void __user *user)
{
	struct cfs_sessions arg;
	int ret = cfs_arg_in(&arg, sizeof(arg), user);
	void *buf = NULL;

	if (ret)
		return ret;
	if (arg.buf_len > CFS_SESSIONS_BYTES_MAX)
		return -EINVAL;
	if (arg.buf_len) {
		buf = kvzalloc(arg.buf_len, GFP_KERNEL);
		if (!buf)
			return -ENOMEM;
	}
	cfs_chan_sessions(buf, arg.buf_len, &arg.count, &arg.need);
	if (arg.need > arg.buf_len)
		ret = -ENOSPC;
	else if (copy_to_user(u64_to_user_ptr(arg.buf), buf, arg.need))
		ret = -EFAULT;
	kvfree(buf);
	return cfs_arg_out(&arg, sizeof(arg), user) ?: ret;
}

static int cfs_dev_node(struct file *file, void __user *user)
{
	struct cfs_node arg;
	int ret = cfs_arg_in(&arg, sizeof(arg), user);

	if (ret)
		return ret;
	if (!arg.id || arg.id > CFS_NODE_ID_MAX || !arg.port || memchr_inv(arg.reserved, 0, 3) ||
	    arg.reserved2 || (arg.family != AF_INET && arg.family != AF_INET6) ||
	    !arg.name[0] || !memchr(arg.name, 0, sizeof(arg.name)) || strchr(arg.name, '/'))
		return -EINVAL;		/* a name goes into follower lists, where '/' separates */
	return cfs_node_set(&arg);
}

static int cfs_dev_connect_arg(struct cfs_connect *arg, void __user *user, u32 flags)
{
	int ret = cfs_arg_in(arg, sizeof(*arg), user);

	if (ret)
		return ret;
	if (!arg->node || arg->node > CFS_NODE_ID_MAX || arg->conn_class >= CFS_CONN_CLASSES ||
	    arg->conn_slot >= CFS_CONN_SLOTS_MAX || arg->flags & ~flags ||
	    arg->timeout_ms > CFS_CONNECT_MS_MAX)
		return -EINVAL;
	return 0;
}

static int cfs_dev_connect(struct file *file, void __user *user)
{
	struct cfs_connect arg;

	return cfs_dev_connect_arg(&arg, user, 0) ?: cfs_conn_order(&arg);
}

static int cfs_dev_close(struct file *file, void __user *user)
{
	struct cfs_connect arg;

	return cfs_dev_connect_arg(&arg, user, CFS_CLOSE_LOST) ?: cfs_conn_close_order(&arg);
}

static bool cfs_row_is_valid(const struct cfs_dp_row *row)
{
	int i;

	if (!row->partition_id || row->status < -1 || row->status > 2 || !row->nhosts ||
	    row->nhosts > CFS_HOSTS_MAX || row->media > CFS_CLASS_BLOBSTORE ||
	    (row->leader >= row->nhosts && row->leader != 0xff) || row->flags & ~CFS_DP_DISCARD)
		return false;
	for (i = 0; i < row->nhosts; i++)
		if (!row->hosts[i] || row->hosts[i] > CFS_NODE_ID_MAX)
			return false;
	return true;
}

static int cfs_dev_view(struct file *file, void __user *user)
{
	struct cfs_dp_row *rows;
	struct cfs_view arg;
	struct cfs_sb *csb;
	u32 i;
	int ret = cfs_arg_in(&arg, sizeof(arg), user);

	if (ret)
		return ret;
	if (arg.nrows > CFS_ROWS_MAX || arg.reserved)
		return -EINVAL;
	rows = vmemdup_array_user(u64_to_user_ptr(arg.rows), arg.nrows, sizeof(*rows));
	if (IS_ERR(rows))
		return PTR_ERR(rows);
	for (i = 0; i < arg.nrows && !ret; i++)
		if (!cfs_row_is_valid(&rows[i]))
			ret = -EINVAL;
	csb = ret ? NULL : cfs_session_get(arg.session);
	if (csb) {
		ret = cfs_view_publish(csb, rows, arg.nrows);
		cfs_sb_put(csb);
	} else if (!ret) {
		ret = -ENODEV;
	}
	kvfree(rows);
	return ret;
}

static int cfs_dev_writable(struct file *file, void __user *user)
{
	struct cfs_writable arg;
	struct cfs_sb *csb;
	u64 *ids;
	int ret = cfs_arg_in(&arg, sizeof(arg), user);

	if (ret)
		return ret;
	if (arg.count > CFS_ROWS_MAX || arg.storage_class > CFS_CLASS_BLOBSTORE)
		return -EINVAL;
	ids = vmemdup_array_user(u64_to_user_ptr(arg.ids), arg.count, sizeof(*ids));
	if (IS_ERR(ids))
		return PTR_ERR(ids);
	csb = cfs_session_get(arg.session);
	if (csb) {
		ret = cfs_view_writable(csb, arg.storage_class, ids, arg.count);
		cfs_sb_put(csb);
	} else {
		ret = -ENODEV;
	}
	kvfree(ids);
	return ret;
}

static int cfs_dev_invalidate(struct file *file, void __user *user)
{
	struct cfs_invalidate arg;
	struct cfs_sb *csb;
	int ret = cfs_arg_in(&arg, sizeof(arg), user);

	if (ret)
		return ret;
	if (arg.flags & ~(CFS_INV_ATTR | CFS_INV_DATA | CFS_INV_ENTRIES) || arg.reserved)
		return -EINVAL;
	csb = cfs_session_get(arg.session);
	if (!csb)
		return -ENODEV;
	if (arg.ino)
		cfs_inode_invalidate(csb, arg.ino, arg.flags);
	else
		cfs_mounts_epoch_bump(csb);
	cfs_sb_put(csb);
	return 0;
}

static int cfs_dev_stats(struct file *file, void __user *user)
{
	struct cfs_stats arg;
	struct cfs_sb *csb;
	int ret = cfs_arg_in(&arg, sizeof(arg), user);
	u32 len = arg.len;

	if (ret)
		return ret;
	csb = cfs_session_get(arg.session);
	if (!csb)
		return -ENODEV;
	cfs_stats_sum(csb, &arg);
	arg.len = len;
	cfs_sb_put(csb);
	return cfs_arg_out(&arg, sizeof(arg), user);
}

static int cfs_dev_abort(struct file *file, void __user *user)
{
	struct cfs_abort arg;
	int ret = cfs_arg_in(&arg, sizeof(arg), user);

	if (ret)
		return ret;
	if (arg.reserved)
		return -EINVAL;
	arg.count = cfs_chan_abort(arg.session);
	return cfs_arg_out(&arg, sizeof(arg), user);
}

typedef int (*cfs_ioctl_fn)(struct file *file, void __user *user);

/* By number alone: the size in a command differs between versions of a struct. */
static const cfs_ioctl_fn cfs_ioctls[] = {
	[_IOC_NR(CFS_IOC_ATTACH)]	= cfs_dev_attach,
	[_IOC_NR(CFS_IOC_DRAIN)]	= cfs_dev_drain,
	[_IOC_NR(CFS_IOC_SESSIONS)]	= cfs_dev_sessions,
	[_IOC_NR(CFS_IOC_NODE)]		= cfs_dev_node,
	[_IOC_NR(CFS_IOC_CONNECT)]	= cfs_dev_connect,
	[_IOC_NR(CFS_IOC_CLOSE)]	= cfs_dev_close,
	[_IOC_NR(CFS_IOC_VIEW)]		= cfs_dev_view,
	[_IOC_NR(CFS_IOC_WRITABLE)]	= cfs_dev_writable,
	[_IOC_NR(CFS_IOC_INVALIDATE)]	= cfs_dev_invalidate,
	[_IOC_NR(CFS_IOC_STATS)]	= cfs_dev_stats,
	[_IOC_NR(CFS_IOC_ABORT)]	= cfs_dev_abort,
};

static long cfs_dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	unsigned int nr = _IOC_NR(cmd);

	if (_IOC_TYPE(cmd) != _IOC_TYPE(CFS_IOC_ATTACH) || nr >= ARRAY_SIZE(cfs_ioctls) ||
	    !cfs_ioctls[nr])
		return -ENOTTY;
	if (cfs_ioctls[nr] != cfs_dev_attach && cfs_ioctls[nr] != cfs_dev_abort &&
	    !cfs_chan_attached(file))
		return -ENOTCONN;
	return cfs_ioctls[nr](file, (void __user *)arg);
}

static int cfs_dev_mmap_counters(struct vm_area_struct *vma, u64 offset)
{
	struct cfs_sb *csb;
	int ret;

	if (vma->vm_flags & VM_WRITE)
		return -EPERM;
	vm_flags_mod(vma, VM_DONTEXPAND, VM_MAYWRITE);
	csb = cfs_session_get((offset - CFS_MMAP_COUNTERS(0)) >> 24);
	if (!csb)
		return -ENODEV;
	/* The pages have references of their own: a mapping may outlive the mount. */
	ret = remap_vmalloc_range(vma, csb->counters, 0);
	cfs_sb_put(csb);
	return ret;
}

static int cfs_dev_mmap(struct file *file, struct vm_area_struct *vma)
{
	u64 offset = (u64)vma->vm_pgoff << PAGE_SHIFT;

	if (!cfs_chan_attached(file))
		return -ENOTCONN;
	if (!(vma->vm_flags & VM_SHARED) || vma->vm_flags & VM_EXEC)
		return -EINVAL;
	if (offset == CFS_MMAP_PROGRESS) {
		/* A child of the daemon is not the daemon. */
		vm_flags_set(vma, VM_DONTCOPY | VM_DONTEXPAND);
		return cfs_chan_mmap_progress(vma);
	}
	if (offset < CFS_MMAP_COUNTERS(0) || offset & ((1 << 24) - 1))
		return -EINVAL;
	return cfs_dev_mmap_counters(vma, offset);
}

static int cfs_dev_open(struct inode *inode, struct file *file)
{
	file->private_data = NULL;	/* the misc device points it to itself */
	return capable(CAP_SYS_ADMIN) ? 0 : -EPERM;
}

static int cfs_dev_release(struct inode *inode, struct file *file)
{
	cfs_chan_release(file);
	return 0;
}

static const struct file_operations cfs_dev_fops = {
	.owner		= THIS_MODULE,
	.open		= cfs_dev_open,
	.release	= cfs_dev_release,
	.unlocked_ioctl	= cfs_dev_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.mmap		= cfs_dev_mmap,
	.uring_cmd	= cfs_chan_uring_cmd,
};

static struct miscdevice cfs_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "cubefs",
	.fops	= &cfs_dev_fops,
	.mode	= 0600,
};

/**
 * cfs_dev_init - at module load, last: from now on a daemon can come
 *
 * Return: 0 or -errno.
 */
int cfs_dev_init(void)
{
	return misc_register(&cfs_misc);
}

/**
 * cfs_dev_exit - at module unload; no file is open
 */
void cfs_dev_exit(void)
{
	misc_deregister(&cfs_misc);
}
