/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cubefs: types and prototypes inside the module, one section per .c file.
 *
 * Layers   Two entrances: the VFS (super.c, inode.c, dir.c, file.c, xattr.c, data.c) and the daemon (dev.c). Both call down
 *          into chan.c, view.c, conn.c, extent.c; never into each other. Only main.c knows every file.
 * Locks    outermost first:
 *            inode lock (i_rwsem) > mapping invalidate_lock > ci->data.lock > dp/node locks > conn->lock
 *            chan.lock (spinlock) is a leaf: never held over a wait, a user copy or another lock.
 */
#ifndef CFS_H
#define CFS_H

#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/netfs.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <cubefs/cfs.h>		/* include/uapi */
#include "../include/cubefs/cfs_wire.h"

#define CFS_FS_NAME	"cubefs"
#define CFS_MAGIC	0x43554245	/* "CUBE" */

struct cfs_call;
struct cfs_conn;
struct cfs_dp;
struct cfs_node_obj;
struct io_uring_cmd;

/* ---- super.c: one mount ---- */
/* I: fixed after setup   A: atomic   others: named at the field */
struct cfs_sb {
	struct super_block *sb;		/* I */
	u32 session;			/* I: > 0 */
	char *config;			/* I: configuration string, kept for the next daemon */
	char *source;			/* I: as shown in /proc/mounts */
	bool nocrc;			/* I: mount option crc=off */
	bool soft;			/* I: mount option soft: fail after deadline_s instead of waiting for ever */
	u32 deadline_s;			/* I: mount option deadline=: seconds for soft, and for a missing daemon */
	u32 storage_class;		/* I: of new files, from CFS_OP_MOUNT */
	u64 mount_flags;		/* I: CFS_MR_* */
	unsigned long flags;		/* A: CFS_SB_* */
	struct cfs_counters *counters;	/* I: vmalloc_user; readers READ_ONCE, writers cfs_change_*() */
	struct cfs_counts __percpu *counts; /* statistics, stats.c */
	struct list_head link;		/* chan.c: list of sessions */
	struct kref ref;		/* superblock, and every call in flight that names the session */
	atomic_t epoch;			/* bumped by CFS_IOC_INVALIDATE with ino 0: entries and attributes expire */

	/* view.c */
	struct xarray dps;		/* partition id -> struct cfs_dp, RCU readers */
	struct cfs_writable_list __rcu *writable[CFS_CLASS_BLOBSTORE + 1];
	struct mutex view_lock;		/* writers of the two above */

	/* data.c */
	atomic64_t uncommitted;		/* bytes acknowledged but not committed */
	atomic_t dirty_inodes;		/* inodes that hold themselves for such bytes */
	wait_queue_head_t uncommitted_wait;
};
#define CFS_SB_FORCED	0		/* umount -f: fail everything now */
#define CFS_SB_DYING	1		/* unmount has begun */

#define CFS_SB(s)	((struct cfs_sb *)(s)->s_fs_info)

int cfs_super_init(void);
void cfs_super_exit(void);
void cfs_sb_put(struct cfs_sb *csb);

/* ---- inode.c ---- */
/* Data state of a regular file; owned by data.c, which documents locks and lifetime at its functions. */
struct cfs_data;

struct cfs_inode {
	struct netfs_inode netfs;	/* must be first */
	u64 gen;			/* i_lock: generation of the attributes */
	u64 attr_until;			/* jiffies64; attributes are believed until then. 0: ask */
	u32 attr_epoch;			/* csb->epoch at that time */
	u32 storage_class;
	bool orphan;			/* i_lock: nlink reached 0 here: EVICT is owed */
	struct cfs_data *data;		/* regular files; allocated with the inode */
};

static inline struct cfs_inode *CFS_I(struct inode *inode)
{
	return container_of(inode, struct cfs_inode, netfs.inode);
}

int cfs_inode_init_cache(void);
void cfs_inode_exit_cache(void);
/* New or cached inode for @attr; applies the attributes. @seq: counter sequence read before the RPC. */
struct inode *cfs_iget(struct super_block *sb, const struct cfs_attr *attr, u64 seq);
/* Take a server's attributes if @seq says they are current and the file has no local bytes in flight (size, mtime). */
void cfs_inode_apply(struct inode *inode, const struct cfs_attr *attr, u64 seq);
/* Attributes from the cache while they are valid, else from the daemon. Killable. */
int cfs_inode_refresh(struct inode *inode, bool force);
/* Local change of an inode's attributes or a directory's names: before sending, and after it ended. Returns seq. */
u64 cfs_change(struct cfs_sb *csb, u64 ino);
static inline u64 cfs_seq(struct cfs_sb *csb)
{
	return READ_ONCE(csb->counters->seq);
}
bool cfs_changed_since(struct cfs_sb *csb, u64 ino, u64 seq);

extern const struct inode_operations cfs_dir_iops, cfs_file_iops, cfs_symlink_iops, cfs_special_iops;
extern const struct file_operations cfs_dir_fops, cfs_file_fops;
extern const struct dentry_operations cfs_dentry_ops;
extern const struct xattr_handler * const cfs_xattr_handlers[];

/* ---- chan.c: calls to the daemon ---- */
/*
 * One request on its way to the daemon and back.
 *
 *   FREE -> QUEUED -> SENT -> DONE
 *             |  ^      |
 *             |  +------+        the daemon died: handed to the next one with CFS_REQ_F_RESUMED
 *             |         +--> ORPHAN -> DONE   the waiter was killed: the answer is dropped
 *             +--> DONE                       killed before delivery, forced unmount, or no daemon for too long
 *
 * Only cfs_call_move() (chan.c) changes the state, under chan.lock.
 */
struct cfs_call {
	struct cfs_req req;
	const void *name, *name2, *data;	/* caller's memory for synchronous calls; owned (kvfree) with own_data */
	bool own_data;
	/* answer */
	int res;				/* >= 0 or -errno */
	void *reply;				/* kvmalloc'ed; NULL when empty */
	u32 reply_len;
	u32 reply_max;				/* most that this call accepts, <= CFS_REPLY_MAX */
	/* asynchronous: runs once in process context (workqueue), then frees the call with cfs_call_put(); NULL: synchronous */
	void (*done)(struct cfs_call *call);
	void *priv;
	/* chan.c only */
	int state;
	refcount_t ref;
	struct cfs_sb *csb;			/* strong */
	struct list_head node;
	struct completion completion;
	struct work_struct work;
	u64 queued_ns;
};

struct cfs_call *cfs_call_alloc(struct cfs_sb *csb, u16 op, u64 ino, gfp_t gfp);
void cfs_call_put(struct cfs_call *call);
/* Send and wait (killable, with the mount's limit). Returns res; the answer is in call->reply until cfs_call_put(). */
int cfs_call_sync(struct cfs_call *call);
/* Send; call->done runs later. @name/@data must be owned by the call. Never fails: a problem is told to done. */
void cfs_call_async(struct cfs_call *call);
/* Fixed-size answer: copies min(len) and checks that at least @len bytes came, else -EPROTO. Returns res. */
int cfs_call_fixed(struct cfs_call *call, void *out, u32 len);
void cfs_event(struct cfs_sb *csb, const struct cfs_req *event_args);	/* any context that may allocate NOFS */
void cfs_chan_add_session(struct cfs_sb *csb);
void cfs_chan_del_session(struct cfs_sb *csb);	/* cancels its calls with -EIO; returns when none is left */
void cfs_chan_abort_session(struct cfs_sb *csb);	/* umount -f: every call of it fails with -EIO now */
struct cfs_sb *cfs_session_get(u32 session);	/* strong reference or NULL */
int cfs_chan_init(void);
void cfs_chan_exit(void);
struct net *cfs_chan_net(void);			/* network namespace of the attached daemon, strong; NULL when none */

/* ---- dev.c: /dev/cubefs ---- */
int cfs_dev_init(void);
void cfs_dev_exit(void);

/* ---- view.c: partitions and replicas, as the daemon publishes them ---- */
/* Replaced as a whole by RCU; strong reference while used. */
struct cfs_dp {
	u64 id;
	s8 status;
	u8 media;
	u8 nhosts;
	u8 leader;			/* 0xFF unknown */
	u32 flags;
	struct cfs_node_obj *hosts[CFS_HOSTS_MAX];
	refcount_t ref;
	struct rcu_head rcu;
	u16 arg_len;			/* follower list "ip:port/...", for Arg of appends */
	char arg[CFS_HOSTS_MAX * CFS_NODE_NAME_MAX];
};
struct cfs_writable_list {
	u32 count;
	struct rcu_head rcu;
	u64 ids[];
};
/* Called by dev.c with structs already copied from user space and length-checked. */
int cfs_view_publish(struct cfs_sb *csb, const struct cfs_dp_row *rows, u32 nrows);
int cfs_view_writable(struct cfs_sb *csb, u32 storage_class, const u64 *ids, u32 count);
struct cfs_dp *cfs_dp_get(struct cfs_sb *csb, u64 id);	/* strong or NULL */
void cfs_dp_put(struct cfs_dp *dp);
void cfs_view_sb_init(struct cfs_sb *csb);
void cfs_view_sb_free(struct cfs_sb *csb);

/* ---- conn.c: nodes and their connections ---- */
int cfs_node_set(const struct cfs_node *n);		/* CFS_IOC_NODE: id is bound once; same id, other address: EEXIST */
int cfs_conn_order(const struct cfs_connect *c);	/* CFS_IOC_CONNECT */
int cfs_conn_close_order(const struct cfs_connect *c);	/* CFS_IOC_CLOSE */
int cfs_conn_init(void);
void cfs_conn_exit(void);

/* ---- data.c, extent.c, file.c: file data ---- */
int cfs_data_alloc(struct cfs_inode *ci);		/* at inode allocation for regular files */
void cfs_data_free(struct cfs_inode *ci);		/* at inode free */
void cfs_data_setup(struct inode *inode);		/* a_ops, netfs ops, large folios; regular files, at I_NEW */
void cfs_data_evict(struct inode *inode);		/* evict_inode: nothing is dirty or uncommitted any more (asserted) */
/* Local bytes dirty, in flight or uncommitted: a server's size and mtime are not taken. Any context. */
bool cfs_data_busy(struct inode *inode);
/* Clean pages and extent map are from another generation: drop them (pages only if not dirty). May sleep. */
void cfs_data_invalidate(struct inode *inode);
/* setattr(size): flush, truncate at the server, page cache and map. inode lock held. Fills @attr on success. */
int cfs_data_truncate(struct inode *inode, u64 size, struct cfs_attr *attr, u64 *seq);
int cfs_data_sync(struct inode *inode);			/* fsync: pages clean, which means committed; mtime of overwrites sent */
int cfs_data_sb_init(struct cfs_sb *csb);
void cfs_data_sb_sync(struct cfs_sb *csb);		/* unmount: nothing dirty or uncommitted is left, or forced */
void cfs_data_sb_abort(struct cfs_sb *csb);		/* umount -f: fail everything in flight */
int cfs_data_init(void);
void cfs_data_exit(void);

/* ---- stats.c ---- */
/* Per-CPU counters of a mount, in the order of struct cfs_stats after `requests`. */
struct cfs_counts {
	u64 requests[32];
	u64 read_wire_bytes, append_wire_bytes, overwrite_wire_bytes, rehomed_bytes, crc_errors;
	u64 read_packets, append_packets, overwrite_packets, extents_created, commits, conn_faults;
};
#define cfs_count(csb, field, n)	this_cpu_add((csb)->counts->field, (n))
int cfs_stats_sum(struct cfs_sb *csb, struct cfs_stats *out);

#endif
