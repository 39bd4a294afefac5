/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cubefs: types and prototypes inside the module, one section per .c file.
 *
 * Layers   Two entrances: the VFS (super.c, inode.c, attr.c, lookup.c, dir.c, ahead.c, readdir.c,
 *          file.c, xattr.c, acl.c, export.c, data.c) and the daemon (dev.c). Both call down into chan.c, view.c,
 *          conn.c, extent.c; never into each other. Changes go through peers.c to the other mounts.
 *          Only main.c knows every file.
 * Locks    outermost first:
 *            inode lock (i_rwsem) > mapping invalidate_lock > ci->data.lock > dp/node locks
 *            > conn->lock
 *          chan.lock (spinlock) is a leaf: never held over a wait, a user copy or another lock.
 */
#ifndef CFS_H
#define CFS_H

#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
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
	struct rcu_head rcu;			/* names are looked up without references */
	struct super_block *sb;		/* I */
	u32 session;			/* I: > 0 */
	u32 dev;			/* I: of sb, which calls may outlive; for the trace */
	char *config;			/* I: configuration string, kept for the next daemon */
	char *source;			/* I: as shown in /proc/mounts */
	bool nocrc;			/* I: mount option crc=off */
	bool noacl;			/* I: mount option noacl */
	bool nobpf;			/* I: mount option nobpf: no policy is asked */
	bool fsc;			/* I: mount option fsc */
	struct fscache_volume *fsc_volume; /* I: with fsc, from the end of CFS_OP_MOUNT on */
	/* I: mount option soft: fail after deadline_s instead of waiting for ever */
	bool soft;
	/* I: mount option deadline=: seconds for soft, and for a missing daemon */
	u32 deadline_s;
	u32 storage_class;		/* I: of new files, from CFS_OP_MOUNT */
	u64 mount_flags;		/* I: CFS_MR_* */
	u64 fsid;			/* I: from CFS_OP_MOUNT */
	unsigned long flags;		/* A: CFS_SB_* */
	/* I: vmalloc_user; readers READ_ONCE, writers cfs_change_*() */
	struct cfs_counters *counters;
	struct cfs_counts __percpu *counts; /* statistics, stats.c */
	struct list_head link;		/* chan.lock: list of sessions */
	/* chan.lock: calls whose outcome nobody has been told yet */
	u32 calls;
	struct delayed_work watch;	/* from the beginning of unmount to its end */
	u64 dying_at;			/* I once watched: jiffies64 of that beginning */
	struct kref ref;		/* superblock, and every call that names the session */
	spinlock_t change_lock;		/* writers of counters and seq_floor; a leaf */
	/* change_lock; readers READ_ONCE: values asked for earlier are not current */
	u64 seq_floor;
	/* bumped by CFS_IOC_INVALIDATE with ino 0: entries and attributes expire */
	atomic_t epoch;

	/* peers.c */
	struct cfs_volume *volume;	/* I once its MOUNT is answered; NULL: not yet */
	struct list_head peers;		/* RCU: volume->mounts */
	u64 peer_id;			/* I: ascends in that list */
	unsigned int joined;		/* READ_ONCE: 1 while on that list */
	u64 own_floor;			/* READ_ONCE: from here on, own_seq of inodes tells all */

	/* ahead.c */
	spinlock_t ahead_lock;
	struct list_head ahead;		/* ahead_lock: inodes without a name */
	struct delayed_work ahead_work;	/* gives them back */

	/* view.c */
	struct xarray dps;		/* partition id -> struct cfs_dp, RCU readers */
	struct cfs_writable_list __rcu *writable[CFS_CLASS_BLOBSTORE + 1];
	struct mutex view_lock;		/* writers of the two above */
	atomic_t dp_turn;		/* where the search for a partition begins */
	u64 asked_dp, asked_dp_id;	/* READ_ONCE: jiffies64 and partition of the last NEED_DP */
	/* READ_ONCE: jiffies64 of the last NEED_WRITABLE, by class: a busy one must not silence others */
	u64 asked_writable[CFS_CLASS_BLOBSTORE + 1];

	/* data.c */
	atomic64_t uncommitted;		/* bytes sent or acknowledged but not committed */
	atomic_t dirty_inodes;		/* inodes with writes that have not ended */
	/* inodes that hold a reference to themselves because of I/O */
	atomic_t held_inodes;
	wait_queue_head_t uncommitted_wait;	/* held_inodes became 0 */
	/* READ_ONCE: most bytes of an append; shrinks once if servers refuse large ones */
	u32 append_max;
	u32 read_us;			/* READ_ONCE: usual time of a read packet */
	bool large_append_ok;		/* READ_ONCE: one that large was accepted */
	atomic_t large_refused;		/* how many were refused before */
};

#define CFS_SB_FORCED	0		/* umount -f: fail everything now */
#define CFS_SB_DYING	1		/* unmount has begun */

#define CFS_SB(s)	((struct cfs_sb *)(s)->s_fs_info)

int cfs_super_init(void);
void cfs_super_exit(void);
void cfs_sb_put(struct cfs_sb *csb);
void cfs_sb_abort(struct cfs_sb *csb);

/* ---- inode.c ---- */
void cfs_setattr_believed(struct inode *inode, struct cfs_req *r);
/*
 * Data state of a regular file; owned by data.c, which documents locks and lifetime at its
 * functions.
 */
struct cfs_data;

struct cfs_inode {
	struct netfs_inode netfs;	/* must be first */
	u64 gen;			/* i_lock: generation of the attributes */
	/*
	 * i_lock: the server's mtime that cached pages are not newer than, in seconds. An overwrite in
	 * place moves it and not the generation. Young: it might still move without being seen to.
	 */
	s64 pages_mtime;
	bool pages_young;
	bool wrote;			/* READ_ONCE: what moved it since was done here */
	/* i_lock: jiffies64; attributes are believed until then. 0: ask */
	u64 attr_until;
	u32 attr_epoch;			/* i_lock: cfs_epoch() at that time */
	/* READ_ONCE: jiffies64; regular files: whoever reads then has them compared */
	u64 check_at;
	/*
	 * i_lock, only where a volume is mounted more than once: sequences of the last change through
	 * this mount, through another one, and of the newest answer that was taken
	 */
	u64 own_seq, elsewhere_seq, attr_seq;
	u32 storage_class;		/* i_lock */
	/* i_lock: the server's ctime, which is the time of creation, in seconds */
	s64 birth;
	/* i_lock: utimes() set an atime here; servers do not return it */
	bool atime_set;
	/*
	 * i_lock; READ_ONCE: jiffies64; mode, owner, ACLs and the absence of capabilities are
	 * believed until then
	 */
	u64 rights_until;
	u32 rights_epoch;		/* as above: cfs_epoch() at that time */
	u32 absent_xattrs;		/* i_lock: CFS_XATTR_*, known to be absent as long as that */
	/* READ_ONCE: jiffies64; with fresh attributes, an open need not ask until then */
	u64 open_until;
	/* READ_ONCE: directories: a name was looked up since it was last asked, see readdir.c */
	bool names_used;
	u64 parent;			/* READ_ONCE: directories, for export.c; 0: not known */
	u64 created_at;			/* READ_ONCE: directories: jiffies64 of the last create */
	atomic_t names_epoch;		/* directories: grows when the names below expire at once */
	/* i_lock: EVICT, owed since nlink reached 0 here; else NULL */
	struct cfs_call *evict_call;
	struct cfs_data *data;		/* regular files; allocated with the inode */
};

static inline struct cfs_inode *CFS_I(struct inode *inode)
{
	return container_of(inode, struct cfs_inode, netfs.inode);
}

struct inode *cfs_inode_alloc(struct super_block *sb);
void cfs_inode_destroy(struct inode *inode);
void cfs_inode_free(struct inode *inode);
void cfs_inode_evict(struct inode *inode);
void cfs_inode_hold(struct inode *inode);
void cfs_inode_release(struct inode *inode);
int cfs_inode_init_cache(void);
void cfs_inode_exit_cache(void);
struct inode *cfs_iget(struct super_block *sb, const struct cfs_attr *attr, u64 seq);
struct inode *cfs_iget_number(struct super_block *sb, u64 ino);
void cfs_inode_invalidate(struct cfs_sb *csb, u64 ino, u32 flags);
int cfs_getattr_op(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat,
		   u32 request_mask, unsigned int flags);
int cfs_setattr_op(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *ia);
int cfs_inode_set_mode(struct mnt_idmap *idmap, struct inode *inode, umode_t mode);

extern const struct inode_operations cfs_file_iops;			/* inode.c */
extern const struct file_operations cfs_file_fops;			/* file.c */

/* ---- attr.c: what is believed of inodes ---- */
bool cfs_attr_is_valid(const struct cfs_attr *attr);
bool cfs_attrs_are_fresh(struct cfs_inode *ci);
void cfs_mtime_told(struct inode *inode, s64 mtime);
bool cfs_rights_are_fresh(const struct cfs_inode *ci);
void cfs_attrs_begin(struct inode *inode, const struct cfs_attr *attr, u64 seq);
bool cfs_inode_apply(struct inode *inode, const struct cfs_attr *attr, u64 seq);
int cfs_getattr_call(struct super_block *sb, u64 ino, struct cfs_attr *attr, u64 *seq);
int cfs_inode_refresh(struct inode *inode, bool force);
int cfs_permission(struct mnt_idmap *idmap, struct inode *inode, int mask);
void cfs_attrs_expire(struct inode *inode);
void cfs_inode_expire(struct cfs_sb *csb, u64 ino, unsigned int what, u64 seq);
void cfs_epoch_bump(struct cfs_sb *csb);
u64 cfs_change(struct cfs_sb *csb, u64 ino);
u64 cfs_change_end(struct cfs_sb *csb, u64 ino, u64 begun);
u64 cfs_rights_changed(struct cfs_sb *csb, u64 ino, u64 begun);
u64 cfs_changed_elsewhere(struct cfs_sb *csb, u64 ino);
bool cfs_changed_since(struct cfs_sb *csb, u64 ino, u64 seq);
static inline u64 cfs_seq(struct cfs_sb *csb)
{
	return READ_ONCE(csb->counters->seq);
}

void cfs_inode_check_now(struct inode *inode);

/* Called by each read of an open file: see cfs_inode_check_now(). */
static inline void cfs_inode_check(struct inode *inode)
{
	if (unlikely(time_after_eq64(get_jiffies_64(), READ_ONCE(CFS_I(inode)->check_at))))
		cfs_inode_check_now(inode);
}

/* ---- lookup.c: believed names ---- */
u32 cfs_names_epoch(const struct inode *dir);
void cfs_stamp(struct dentry *dentry, const struct inode *dir, u32 epoch, u32 valid_ms, u64 seq);
void cfs_stamp_expire(struct dentry *dentry);
int cfs_check_new_name(const struct qstr *name);
struct dentry *cfs_lookup(struct inode *dir, struct dentry *dentry, unsigned int flags);
void cfs_names_fill(struct dentry *parent, const struct cfs_dirent *de, u32 epoch, u64 seq);

extern const struct dentry_operations cfs_dentry_ops;

/* ---- policy.c: the metadata cache and the BPF program that decides on it ---- */
/* A name, and what is known of it. */
struct cfs_meta_hit {
	struct cfs_attr attr;		/* ino 0: there is no such name; lifetimes: what is left */
	u64 seq;			/* of the attributes */
	u32 open_ms;
};

extern atomic_t cfs_policy_generation;

/* Grows when all that is believed of a mount expires at once. */
static inline u32 cfs_epoch(const struct cfs_sb *csb)
{
	return atomic_read(&csb->epoch) + (csb->nobpf ? 0 : atomic_read(&cfs_policy_generation));
}

bool cfs_policy_lookup(struct dentry *parent, struct inode *dir, const struct qstr *name,
		       unsigned int flags, bool again, struct cfs_meta_hit *hit);
bool cfs_policy_attr(struct dentry *dentry, struct inode *inode, struct cfs_meta_hit *hit);
void cfs_reply_lifetime(struct dentry *dentry, struct inode *inode, struct cfs_attr *attr);
u32 cfs_policy_fill(struct dentry *parent, struct inode *dir, struct cfs_attr *attr, bool listed);
void cfs_policy_invalidate(struct cfs_sb *csb, u64 ino);

/* From now on, an open of a file whose attributes are believed need not ask. */
static inline void cfs_open_grant(struct inode *inode, u32 open_ms)
{
	WRITE_ONCE(CFS_I(inode)->open_until,
		   open_ms ? get_jiffies_64() + msecs_to_jiffies(open_ms) : 0);
}

int cfs_policy_init(void);

/* For programs; declared for the checkers only. */
struct cfs_policy_ctx;
int cfs_policy_fetch(struct cfs_policy_ctx *ctx, void *p__map);
int cfs_policy_rule(struct cfs_policy_ctx *ctx, void *p__map);
int cfs_policy_grant(struct cfs_policy_ctx *ctx, u32 entry_ms, u32 attr_ms, u32 open_ms);
int cfs_policy_prefetch(struct cfs_policy_ctx *ctx);

/* ---- peers.c: mounts of one volume on this host ---- */
struct cfs_volume {
	u64 fsid;			/* I */
	struct list_head mounts;	/* RCU */
	unsigned int count;		/* READ_ONCE: of them */
	unsigned int users;		/* cfs_volumes_lock: struct cfs_sb that name it */
	struct list_head node;		/* cfs_volumes_lock */
};

/* What of an inode is not believed any more; see cfs_inode_expire(). */
#define CFS_EXPIRE_ATTRS	BIT(0)
#define CFS_EXPIRE_RIGHTS	BIT(1)	/* mode, owner, ACLs, absence of capabilities */
#define CFS_EXPIRE_NAMES	BIT(2)	/* of a directory */

/* All that a change costs where a volume is mounted once. */
static inline bool cfs_has_peers(struct cfs_sb *csb)
{
	/* pairs with cfs_peers_join() */
	struct cfs_volume *v = smp_load_acquire(&csb->volume);

	return v && READ_ONCE(v->count) > READ_ONCE(csb->joined);
}

int cfs_peers_join(struct cfs_sb *csb);
void cfs_peers_leave(struct cfs_sb *csb);
void cfs_peers_sb_free(struct cfs_sb *csb);
void cfs_peers_changed(struct cfs_sb *csb, u64 ino, unsigned int what);
void cfs_peers_name_changed(struct cfs_sb *csb, u64 dir, const struct qstr *name);
void cfs_mounts_epoch_bump(struct cfs_sb *csb);

/* ---- ahead.c: inodes made ahead of their names ---- */
void cfs_ahead_begin(struct inode *dir, struct cfs_call *call);
void cfs_ahead_end(struct cfs_call *call);
void cfs_ahead_sb_init(struct cfs_sb *csb);
void cfs_ahead_sb_exit(struct cfs_sb *csb);

/* ---- fsc.c: the local cache of file data ---- */
int cfs_fsc_begin(struct cfs_sb *csb, struct fs_context *fc);
void cfs_fsc_end(struct cfs_sb *csb);
void cfs_fsc_setup(struct inode *inode);
void cfs_fsc_evict(struct inode *inode);
void cfs_fsc_invalidate(struct inode *inode);
bool cfs_fsc_failed(struct inode *inode);
void cfs_fsc_open(struct inode *inode, struct file *file);
void cfs_fsc_release(struct inode *inode);

/* ---- dir.c, xattr.c, acl.c, export.c ---- */
/* What a new inode inherits; NULL: none. */
struct cfs_new_acls {
	struct posix_acl *access, *preset;
};

/* Attributes that the kernel or its users ask for with each use of a file, and few files have. */
#define CFS_XATTR_CAPABILITY	BIT(0)
#define CFS_XATTR_SELINUX	BIT(1)

struct cfs_call *cfs_xattr_call(struct inode *inode, u16 op, const char *name);
ssize_t cfs_listxattr(struct dentry *dentry, char *list, size_t size);
struct posix_acl *cfs_get_inode_acl(struct inode *inode, int type, bool rcu);
int cfs_set_acl(struct mnt_idmap *idmap, struct dentry *dentry, struct posix_acl *acl, int type);
int cfs_acl_init(struct inode *inode, const struct cfs_new_acls *acls);

extern const struct export_operations cfs_export_ops;			/* export.c */

extern const struct inode_operations cfs_dir_iops, cfs_symlink_iops;	/* dir.c */
extern const struct file_operations cfs_dir_fops;			/* readdir.c */
extern const struct xattr_handler * const cfs_xattr_handlers[];		/* xattr.c */

/* ---- chan.c: calls to the daemon ---- */
/*
 * One request on its way to the daemon and back.
 *
 *   FREE -> QUEUED -> SENT -> DONE
 *            ^ |  ^     |
 *            | |  +-----+       the daemon died: handed to the next one with CFS_REQ_F_RESUMED
 *            | |        +--> ORPHAN -> DONE   nobody waits any more: the answer is dropped
 *            | +--> ORPHAN                    delivered although nobody waits (CFS_REQ_F_FORGET)
 *            | +--> DONE                      withdrawn: killed, forced, no daemon for too long
 *            +--- ORPHAN                      the daemon died in what must be finished
 *
 * The daemon owns SENT and ORPHAN, and with them the progress record: such a slot is reused only
 * after its answer or its death, even when the outcome was told long ago. Only cfs_call_move()
 * (chan.c) changes the state, under chan.lock.
 */
struct cfs_call {
	struct cfs_req req;
	/*
	 * Byte strings. Synchronous calls: the caller's memory, copied at submission, since a
	 * killed caller leaves before the daemon has read them. With own_data: kvmalloc'ed, freed
	 * with the call; asynchronous calls must own theirs.
	 */
	const void *name, *name2, *data;
	bool own_data;
	/* answer */
	int res;				/* >= 0 or -errno */
	void *reply;				/* NULL when empty */
	u32 reply_len;
	/* most that this call accepts, <= CFS_REPLY_MAX; 256 unless set */
	u32 reply_max;
	/*
	 * asynchronous: runs once in process context (workqueue), ends with cfs_call_put(); NULL:
	 * synchronous
	 */
	void (*done)(struct cfs_call *call);
	/*
	 * synchronous, or NULL: if the caller leaves while a daemon has the call, it goes on as an
	 * asynchronous one with this as its done function
	 */
	void (*late)(struct cfs_call *call);
	void *priv;
	/* chan.c only */
	int state;				/* L: chan.lock */
	/* L: somebody waits for the outcome, and has not been told */
	bool waiting;
	bool sent;				/* L: a daemon has got it, now or before */
	u16 slot;				/* L: valid while in the slot table */
	u64 op_id;				/* I: operation that made it, for the trace; or 0 */
	u64 queued_ns;				/* I: time of submission, for the trace */
	u64 since;				/* I: jiffies64 of submission */
	refcount_t ref;				/* caller (or done), channel, delivery */
	struct cfs_sb *csb;			/* strong; NULL for events of connections */
	struct list_head node;			/* L: one of the queues of the channel */
	struct completion completion;
	struct work_struct work;
	void *block;				/* copies of the caller's byte strings; owned */
	/* an answer that fits needs no allocation: COMMIT must not; before, a few keys */
	u8 small[128] __aligned(8);
};

struct cfs_call *cfs_call_alloc(struct cfs_sb *csb, u16 op, u64 ino, gfp_t gfp);
static inline struct cfs_call *cfs_inode_call(struct inode *inode, u16 op)
{
	return cfs_call_alloc(CFS_SB(inode->i_sb), op, inode->i_ino, GFP_KERNEL);
}

/* Byte strings of a call: the pointer and its length in the request. */
static inline void cfs_call_name(struct cfs_call *call, const void *name, u32 len)
{
	call->name = name;
	call->req.name_len = len;
}

static inline void cfs_call_data(struct cfs_call *call, const void *data, u32 len)
{
	call->data = data;
	call->req.data_len = len;
}

void cfs_call_put(struct cfs_call *call);
int cfs_call_sync(struct cfs_call *call);
void cfs_call_async(struct cfs_call *call);
int cfs_call_fixed(struct cfs_call *call, void *out, u32 len);
int cfs_call_ask(struct cfs_call *call, void *out, u32 len, u64 *seq);
void cfs_event(struct cfs_sb *csb, const struct cfs_req *event_args);
void cfs_chan_add_session(struct cfs_sb *csb);
void cfs_chan_del_session(struct cfs_sb *csb);
void cfs_chan_abort_session(struct cfs_sb *csb);
struct cfs_sb *cfs_session_get(u32 session);
struct super_block *cfs_session_super(struct cfs_sb *csb);
int cfs_chan_init(void);
void cfs_chan_exit(void);
u64 cfs_chan_absence(void);
u32 cfs_chan_abort(u32 session);
struct net *cfs_chan_net(void);
int cfs_chan_attach(struct file *file, struct cfs_attach *arg);
bool cfs_chan_attached(const struct file *file);
void cfs_chan_release(struct file *file);
void cfs_chan_drain(struct file *file);
int cfs_chan_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags);
void cfs_chan_sessions(void *buf, u32 buf_len, u32 *count, u32 *need);
int cfs_chan_mmap_progress(struct vm_area_struct *vma);

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
	u64 penalty_until;		/* READ_ONCE: jiffies64; no new extents before */
	u64 full_until;			/* READ_ONCE: jiffies64; had no space */
	u64 tiny_until;			/* READ_ONCE: jiffies64; no tiny writes before */
	u64 told;			/* READ_ONCE: jiffies64 of the last DP_REFUSED */
	u16 arg_len;			/* follower list "ip:port/...", for Arg of appends */
	char arg[CFS_HOSTS_MAX * CFS_NODE_NAME_MAX];
};

struct cfs_writable_list {
	u32 count;
	struct rcu_head rcu;
	u64 ids[];
};

int cfs_view_publish(struct cfs_sb *csb, const struct cfs_dp_row *rows, u32 nrows);
int cfs_view_writable(struct cfs_sb *csb, u32 storage_class, const u64 *ids, u32 count);
struct cfs_dp *cfs_dp_get(struct cfs_sb *csb, u64 id);
void cfs_dp_put(struct cfs_dp *dp);
void cfs_view_sb_init(struct cfs_sb *csb);
void cfs_view_sb_free(struct cfs_sb *csb);

/* ---- conn.c: nodes and their connections ---- */
int cfs_node_set(const struct cfs_node *n);
int cfs_conn_order(const struct cfs_connect *c);
int cfs_conn_close_order(const struct cfs_connect *c);
void cfs_conn_tell_all(void);
int cfs_conn_init(void);
void cfs_conn_exit(void);

/* ---- data.c, extent.c, file.c, map.c: file data ---- */
bool cfs_map_is_wanted(struct inode *inode);
void cfs_map_offer(struct inode *inode, const void *list, u32 len, u64 seq);
int cfs_data_alloc(struct cfs_inode *ci);
void cfs_data_free(struct cfs_inode *ci);
void cfs_data_setup(struct inode *inode);
void cfs_data_evict(struct inode *inode);
bool cfs_data_busy(struct inode *inode);
void cfs_data_set_size(struct inode *inode, u64 size);
void cfs_data_invalidate(struct inode *inode, bool map, bool wait);
int cfs_data_truncate(struct inode *inode, u64 size, struct cfs_attr *attr, u64 *seq);
int cfs_data_sync(struct inode *inode);
void cfs_data_sb_init(struct cfs_sb *csb);
void cfs_data_sb_sync(struct cfs_sb *csb);
void cfs_data_sb_abort(struct cfs_sb *csb);
int cfs_data_init(void);
void cfs_data_exit(void);

/* ---- stats.c ---- */
/* Per-CPU counters of a mount, in the order of struct cfs_stats after `requests`. */
struct cfs_counts {
	u64 requests[32];
	u64 read_wire_bytes, append_wire_bytes, overwrite_wire_bytes, rehomed_bytes, crc_errors;
	u64 read_packets, append_packets, overwrite_packets, extents_created, commits, conn_faults;
	u64 now[2];			/* stay 0: struct cfs_stats has values here that are no counts */
	u64 read_retries, overwrite_retries, spliced_bytes, copied_bytes, read_hedges;
	u64 cache_hits, cache_absent_hits, cache_misses;
};

#define cfs_count(csb, field, n)	this_cpu_add((csb)->counts->field, (n))
void cfs_stats_sum(struct cfs_sb *csb, struct cfs_stats *out);

#endif
