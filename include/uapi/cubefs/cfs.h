/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * cubefs: interface between the kernel module and the control daemon (/dev/cubefs).
 *
 * Who sends what
 *   The kernel hands *requests* to the daemon (struct cfs_req + names + data) and gets one answer for each.
 *   The daemon gives the kernel *knowledge* by ioctl: nodes, partition rows, writable lists, connect orders.
 *   The kernel reports what happened to connections and partitions as CFS_OP_EVENT requests.
 *
 * A good run
 *   open(/dev/cubefs), CFS_IOC_ATTACH, mmap progress records, CFS_IOC_SESSIONS (mounts left by a former daemon:
 *   publish their views again), park CFS_URING_FETCH commands on an io_uring with SQE128. Each completion is one
 *   request in the buffer the command named; CFS_URING_COMMIT_AND_FETCH answers it and parks the slot again.
 *   To stop: CFS_IOC_DRAIN completes the parked commands with -ESHUTDOWN and delivers nothing more; what the daemon
 *   holds may still be answered (that command then ends with -ESHUTDOWN too). Then close.
 *   A mount: cfsctl calls fsmount; the kernel sends CFS_OP_MOUNT with the configuration string; the daemon contacts
 *   the cluster, publishes nodes, rows and writable lists, and answers with struct cfs_mount_reply.
 *
 * Detach, crash
 *   Closing the attached file (or dying) leaves mounts, connections and tables as they are. Requests that the daemon had
 *   not answered are handed to the next one with CFS_REQ_F_RESUMED; their progress record tells how far the former one
 *   came. New requests wait for a daemon up to the mount's limit, then fail with ETIMEDOUT. A killed waiter of an
 *   undelivered request withdraws it; of a delivered one, leaves it: the answer is then dropped. Caller and daemon both
 *   gone: a request that must not be repeated blindly still reaches the next daemon, with CFS_REQ_F_RESUMED |
 *   CFS_REQ_F_FORGET, to be finished. A slot is used again only after its answer or the daemon's death, so a progress
 *   record never changes under the daemon that holds it.
 *   CFS_IOC_SESSIONS also lists a mount whose CFS_OP_MOUNT is still under way (it comes again, RESUMED). CFS_OP_UNMOUNT is
 *   the last request of a mount; it may come while a CFS_OP_MOUNT whose caller gave up is being worked on, and is not
 *   sent to a daemon that attached after the mount was gone.
 *
 * Compatibility
 *   ioctls are told apart by their number alone, not by the size in it.
 *   Every ioctl struct begins with __u32 len, its size for the caller. The kernel accepts a shorter one (missing tail = 0) and
 *   a longer one whose unknown tail is zero (else E2BIG). Feature bits are agreed at attach. Numbers never change meaning.
 *   old daemon, new kernel: new features are off.  new daemon, old kernel: the same, by the agreed bits.
 *
 * Checks  The device is 0600 and needs CAP_SYS_ADMIN at open. One file is attached at a time; every command but
 *         CFS_IOC_ATTACH and CFS_IOC_ABORT fails with ENOTCONN on any other file. Everything read from the daemon is copied once, then
 *         judged; a bad value fails the command with EINVAL, a bad answer fails its request with EPROTO.
 *
 * Changelog
 *   1.0  first.
 *   1.1  CFS_LOOKUP_EXTENTS with CFS_ATTR_EXTENTS; CFS_RENAME_TARGET_KNOWN and the modes in rename; CFS_OP_TMPFILE;
 *        CFS_IOC_ABORT; four counts in struct cfs_stats. All are hints or new numbers: a 1.0 daemon ignores unknown
 *        request flags and answers ENOSYS to an unknown operation, which fails O_TMPFILE; a 1.0 kernel sends none of them.
 *   1.2  cfs_counters.volume, CFS_EV_CONN_SILENT, CFS_EV_PREFETCH, a time in CFS_IOC_CLOSE, four counts in struct cfs_stats.
 *        An older daemon fills no cache and does nothing for the events; an older kernel leaves volume 0.
 *   1.3  CFS_UNLINK_LATER with CFS_UNLINK_LEFT and CFS_EVICT_UNLINK. An older side does not know it and removes at once.
 *   1.4  CFS_CREATE_AHEAD with CFS_ATTR_AHEAD, and CFS_CREATE_MADE, which follows only an answer of the former.
 *   1.5  CFS_CLOSE_LOST; an older kernel takes no flags. At attach CFS_EV_CONN_UP comes for each connection that is up, and
 *        CFS_EV_CONN_SILENT again as long as a silence lasts: an older daemon takes both for news.
 */
#ifndef _UAPI_CUBEFS_CFS_H
#define _UAPI_CUBEFS_CFS_H

#include <linux/types.h>
#include <linux/ioctl.h>

#define CFS_DEV_PATH		"/dev/cubefs"
#define CFS_ABI_MAJOR		1
#define CFS_ABI_MINOR		5

#define CFS_NAME_LEN_MAX	255	/* bytes of one name, valid UTF-8 */
#define CFS_LINK_LEN_MAX	4095	/* bytes of a symlink target */
#define CFS_XATTR_BYTES_MAX	65536	/* bytes of an xattr value or list */
#define CFS_CONFIG_LEN_MAX	8192	/* bytes of a mount's configuration string */
#define CFS_REPLY_MAX		(16 << 20)	/* bytes of any answer (extent lists) */
#define CFS_REQ_BYTES_MAX	(72 << 10)	/* a fetch buffer of this size holds any request */
#define CFS_SLOTS_MAX		4096
#define CFS_PROGRESS_BYTES	256	/* one progress record */
#define CFS_COUNTERS		65536	/* change counters of a session */
#define CFS_HOSTS_MAX		8	/* replicas of a partition */
#define CFS_NODE_NAME_MAX	64	/* "ip:port" with NUL, as the master's view spells it */
#define CFS_CONN_SLOTS_MAX	8	/* connections of one class to one node */
#define CFS_COMMIT_KEYS_MAX	256	/* keys in one CFS_OP_COMMIT */
#define CFS_LOOKUP_KEYS_MAX	1024	/* keys that an answer to CFS_OP_LOOKUP may bring along */

/* mmap offsets (bytes). */
#define CFS_MMAP_PROGRESS	0x0ULL			/* nslots * CFS_PROGRESS_BYTES, read and write */
#define CFS_MMAP_COUNTERS(session) (0x100000000ULL + ((__u64)(session) << 24))	/* struct cfs_counters, read only */

/* Feature bits of CFS_IOC_ATTACH. */
#define CFS_FEAT_PROGRESS	(1ULL << 0)
#define CFS_FEAT_COUNTERS	(1ULL << 1)
#define CFS_FEAT_ALL		(CFS_FEAT_PROGRESS | CFS_FEAT_COUNTERS)

/*
 * Change counters: changed[hash] is the value seq had when that directory's names (hash of the directory inode) or that
 * inode's attributes (hash of the inode) last changed locally; seq grows at each change, once before the change is sent
 * and once when it ended. A value obtained from a server is current iff changed[hash] <= the seq read before asking.
 * Writer: kernel only. hash(ino) = (ino * 0x9E3779B97F4A7C15) >> 48.
 */
struct cfs_counters {
	__u64 seq;
	__u64 volume;		/* key of this mount in the metadata cache (cfs_bpf.h), constant; 0: it does without */
	__u64 reserved[6];
	__u64 changed[CFS_COUNTERS];
};

/* ---- requests: kernel -> daemon ---- */
/*
 * "Repeat": may be done again after a daemon death without looking at the progress record.
 *   op             subject `ino`       name / name2 / data in          answer
 */
enum cfs_op {
	CFS_OP_MOUNT = 1,	/* -                   config                          cfs_mount_reply; repeat */
	CFS_OP_UNMOUNT = 2,	/* -                                                   none; repeat; nobody waits */
	CFS_OP_STATFS = 3,	/* -                                                   cfs_statfs; repeat */
	CFS_OP_LOOKUP = 4,	/* directory, lookup   name                            cfs_attr, see CFS_ATTR_EXTENTS; repeat */
	CFS_OP_GETATTR = 5,	/* inode                                               cfs_attr; repeat */
	CFS_OP_SETATTR = 6,	/* inode, setattr                                      cfs_attr, see CFS_REQ_F_KNOWN; repeat */
	CFS_OP_READDIR = 7,	/* directory, readdir  name = marker                   cfs_dirent...; repeat */
	CFS_OP_CREATE = 8,	/* directory, create   name, data = symlink target     cfs_attr, see CFS_CREATE_AHEAD */
	CFS_OP_UNLINK = 9,	/* directory, unlink   name                            cfs_attr of the removed, nlink after it */
	CFS_OP_RENAME = 10,	/* directory, rename   name, name2                     cfs_attr of the overwritten, ino 0 if none;
				 *                                                     entry_valid_ms: of the new name, in any case */
	CFS_OP_LINK = 11,	/* inode, link         name                            cfs_attr */
	CFS_OP_READLINK = 12,	/* inode                                               target bytes; repeat */
	CFS_OP_GETXATTR = 13,	/* inode               name                            value bytes; repeat */
	CFS_OP_SETXATTR = 14,	/* inode, setxattr     name, data = value              none; repeat */
	CFS_OP_LISTXATTR = 15,	/* inode                                               names, each NUL-ended; repeat */
	CFS_OP_REMOVEXATTR = 16,/* inode               name                            none; repeat */
	CFS_OP_EXTENTS = 17,	/* inode                                               cfs_extents + cfs_ekey...; repeat */
	CFS_OP_COMMIT = 18,	/* inode, commit       data = cfs_ekey...              cfs_commit_reply; repeat */
	CFS_OP_TRUNCATE = 19,	/* inode, truncate                                     cfs_attr; repeat */
	CFS_OP_EVICT = 20,	/* inode, evict (nlink 0, last user gone)              none; repeat; nobody waits */
	CFS_OP_EVENT = 21,	/* event                                               none; nobody waits */
	CFS_OP_TMPFILE = 22,	/* directory, create                                   cfs_attr of a file without a name, nlink 0 */
};

#define CFS_REQ_F_RESUMED	(1 << 0)	/* a former daemon had it: read the progress record of `slot` first */
#define CFS_REQ_F_FORGET	(1 << 1)	/* nobody waits for the answer */
/*
 * CFS_OP_SETATTR: the inode is believed to be there, and what is not in `valid` is filled with what is believed. The daemon need
 * not read it first, and may answer without a cfs_attr.
 */
#define CFS_REQ_F_KNOWN		(1 << 2)

struct cfs_ekey {			/* extent key; all offsets and sizes in bytes */
	__u64 file_offset;
	__u64 partition_id;
	__u64 extent_id;		/* <= 64: tiny extent */
	__u64 extent_offset;
	__u32 size;
	__u32 flags;			/* CFS_EK_* in CFS_OP_COMMIT, else 0 */
};
#define CFS_EK_FRESH		(1 << 0)	/* first commit of this extent, overlaps no known key */

/* CFS_OP_SETATTR valid bits. */
#define CFS_SA_MODE		(1 << 0)
#define CFS_SA_UID		(1 << 1)
#define CFS_SA_GID		(1 << 2)
#define CFS_SA_MTIME		(1 << 3)
#define CFS_SA_ATIME		(1 << 4)

#define CFS_LOOKUP_EXTENTS	(1 << 0)	/* a regular file is about to be opened: its extents will be asked for next */
/*
 * Files that are made one after the other: AHEAD: the daemon may make an inode for the next one beside this one's name, of the
 * same directory, mode and owner, and answers it with CFS_ATTR_AHEAD. MADE: data is such an answer, and this file takes
 * that inode. One that no file takes is given back by CFS_OP_EVICT with CFS_EVICT_UNLINK; after an error answer the
 * kernel has none to give back.
 */
#define CFS_CREATE_AHEAD	(1 << 0)
#define CFS_CREATE_MADE		(1 << 1)
#define CFS_RENAME_NOREPLACE	(1 << 0)
#define CFS_RENAME_TARGET_KNOWN	(1 << 1)	/* target was looked up and is believed: 0 means that there is none */
#define CFS_UNLINK_DIR		(1 << 0)	/* rmdir */
/*
 * The child's only link, and nobody has it open: the daemon may remove just the name and answer res CFS_UNLINK_LEFT with nlink 0.
 * The server's link count is then lowered by the CFS_OP_EVICT that follows, which has CFS_EVICT_UNLINK.
 */
#define CFS_UNLINK_LATER	(1 << 1)
#define CFS_UNLINK_LEFT		1
#define CFS_EVICT_UNLINK	(1 << 0)

enum cfs_event_kind {
	CFS_EV_NEED_CONN = 1,		/* node, conn_class: I/O waits for a connection */
	CFS_EV_CONN_UP = 2,		/* node, conn_class, conn_slot */
	CFS_EV_CONN_DOWN = 3,		/* node, conn_class, conn_slot, error: connect failed or connection broke */
	CFS_EV_DP_REFUSED = 4,		/* partition_id, node, error = result code: full, read-only, unknown, moved leader */
	CFS_EV_NEED_WRITABLE = 5,	/* storage_class: no usable partition is left in the list */
	CFS_EV_NEED_DP = 6,		/* partition_id: no row, I/O waits for it */
	CFS_EV_CONN_SILENT = 7,		/* node, conn_class, conn_slot: requests wait and nothing comes; every 2 s */
	CFS_EV_PREFETCH = 8,		/* partition_id: inode of a directory that is worth fetching whole; nobody waits */
};

struct cfs_req {
	__u32 len;		/* bytes: this struct, name, name2, data */
	__u16 op;		/* enum cfs_op */
	__u16 flags;		/* CFS_REQ_F_* */
	__u64 id;		/* unique while the module is loaded, never 0 */
	__u32 slot;		/* index of the progress record */
	__u32 session;		/* mount, > 0; 0 in events of connections */
	__u64 ino;		/* subject, see enum cfs_op */
	__u64 seq;		/* counter sequence when the request was made */
	__u32 uid;		/* of the caller, initial user namespace */
	__u32 gid;
	__u32 name_len;		/* the three byte strings follow this struct in this order, not NUL-ended */
	__u32 name2_len;
	__u32 data_len;
	__u32 reserved;
	union {
		struct {
			__u32 flags;		/* CFS_LOOKUP_EXTENTS */
			__u32 reserved;
		} lookup;
		struct {
			__u32 valid;		/* CFS_SA_* */
			__u32 mode;		/* st_mode with type */
			__u32 uid, gid;
			__s64 mtime, atime;	/* seconds */
		} setattr;
		struct {
			__u32 limit;		/* entries wanted at most */
			__u32 flags;		/* 0 */
		} readdir;
		struct {
			__u32 mode;		/* st_mode: type and permissions, umask applied */
			__u32 flags;		/* CFS_CREATE_*, regular files only */
			__u32 gid;		/* group of the new inode (setgid directories) */
			__u32 reserved;
		} create;
		struct {
			__u32 flags;		/* CFS_UNLINK_DIR, CFS_UNLINK_LATER */
			__u32 reserved;
			__u64 child;		/* inode the caller believes it removes */
		} unlink;
		struct {
			__u64 new_dir;
			__u64 child;		/* inode believed to be moved */
			__u64 target;		/* inode believed to be overwritten, 0 if none */
			__u32 flags;		/* CFS_RENAME_* */
			__u32 reserved;
			__u32 child_mode;	/* st_mode of the two inodes, 0 with inode 0 */
			__u32 target_mode;
		} rename;
		struct {
			__u64 dir;		/* new parent */
		} link;
		struct {
			__u32 flags;		/* XATTR_CREATE, XATTR_REPLACE */
			__u32 reserved;
		} setxattr;
		struct {
			__u32 nkeys;		/* 1..CFS_COMMIT_KEYS_MAX, sorted by file_offset */
			__u32 storage_class;
		} commit;
		struct {
			__u64 size;		/* bytes */
		} truncate;
		struct {
			__u32 flags;		/* CFS_EVICT_UNLINK */
			__u32 reserved;
		} evict;
		struct {
			__u32 kind;		/* enum cfs_event_kind */
			__u32 node;
			__u32 conn_class;
			__u32 conn_slot;
			__u64 partition_id;
			__s32 error;		/* errno (negative) or result code, see the kind */
			__u32 storage_class;
		} event;
		__u64 space[8];
	};
};

/* ---- answers: daemon -> kernel ---- */
struct cfs_attr {
	__u64 ino;
	__u64 size;		/* bytes */
	__u64 gen;		/* grows with each extent change */
	__u32 mode;		/* st_mode */
	__u32 nlink;
	__u32 uid, gid;
	__s64 mtime, ctime, atime;	/* seconds */
	__u32 storage_class;
	__u32 flags;		/* CFS_ATTR_* */
	__u32 entry_valid_ms;	/* how long the name may be believed */
	__u32 attr_valid_ms;	/* how long the attributes may be believed */
};
/*
 * Only in an answer to CFS_OP_LOOKUP with CFS_LOOKUP_EXTENTS: cfs_extents + cfs_ekey... follow, as CFS_OP_EXTENTS answers
 * them. The daemon leaves them out when there are more than CFS_LOOKUP_KEYS_MAX keys or when it could not get them.
 */
#define CFS_ATTR_EXTENTS	(1 << 0)
/* Only in an answer to CFS_OP_CREATE with CFS_CREATE_AHEAD: the cfs_attr of an inode without a name follows. */
#define CFS_ATTR_AHEAD		(1 << 1)
/* The file had no ACL, no security.capability and no security.selinux. Without it that is not known. */
#define CFS_ATTR_NO_SECURITY	(1 << 2)

/* CFS_OP_READDIR: entries in bytewise order of names, each aligned to 8 bytes. res = number of entries. */
struct cfs_dirent {
	__u16 reclen;		/* bytes to the next entry */
	__u16 name_len;		/* name follows, not NUL-ended */
	__u32 type;		/* S_IFMT bits */
	__u64 ino;
	struct cfs_attr attr;	/* attr.ino 0: not known */
};
/* res of CFS_OP_READDIR: entry count | CFS_READDIR_EOF when nothing follows. The entry equal to the marker is not repeated. */
#define CFS_READDIR_EOF		(1 << 30)

struct cfs_extents {		/* CFS_OP_EXTENTS */
	__u64 gen;
	__u64 size;		/* file size in bytes */
	__u32 nkeys;		/* struct cfs_ekey follows, sorted, not overlapping */
	__u32 storage_class;
};

struct cfs_commit_reply {
	__u64 gen;		/* generation after the commit, 0 if not known */
	__u32 result;		/* CubeFS result code (cfs_wire.h) that decided; CFS_RC_OK 0xF0 */
	__u32 committed;	/* keys committed, from the first */
};

struct cfs_statfs {
	__u64 total_bytes, used_bytes, inodes;
	__u64 reserved;
};

struct cfs_mount_reply {
	__u32 len;		/* bytes of this struct */
	__u32 storage_class;	/* of new files */
	__u64 flags;		/* CFS_MR_* */
	struct cfs_attr root;
	__u64 fsid;		/* stable per cluster, volume and sub-directory */
};
#define CFS_MR_FOLLOWER_READ	(1ULL << 0)	/* any replica may serve reads */
#define CFS_MR_READ_ONLY	(1ULL << 1)

/* ---- io_uring commands (SQE128: 80 payload bytes) ---- */
struct cfs_uring_cmd {
	__u64 buf;		/* where the next request is stored: buf_len >= CFS_REQ_BYTES_MAX */
	__u32 buf_len;
	__s32 res;		/* COMMIT: answer of request `id`: >= 0, or -errno */
	__u64 id;
	__u64 reply;		/* COMMIT: answer bytes */
	__u32 reply_len;
	__u32 reserved;
};
#define CFS_URING_FETCH			_IOW('C', 0x20, struct cfs_uring_cmd)
#define CFS_URING_COMMIT_AND_FETCH	_IOW('C', 0x21, struct cfs_uring_cmd)
/*
 * CQE res of both: bytes of the request; -ESHUTDOWN drained; -ECANCELED; -EINVAL, -ENOTCONN. COMMIT also: -EFAULT, -ENOMEM
 * (the answer could not be read and is still owed), -ENOENT (unknown id). After an error nothing is parked: FETCH again.
 */

/* ---- ioctls ---- */
struct cfs_attach {
	__u32 len;
	__u32 abi;		/* in: daemon's, out: kernel's; major << 16 | minor; another major: EPROTONOSUPPORT */
	__u64 features;		/* in: known to the daemon, out: agreed */
	__u32 nslots;		/* out: progress records */
	__u32 nsessions;	/* out: mounts that exist */
	__u64 generation;	/* out: grows by one at each attach */
};

struct cfs_session_info {	/* record of CFS_IOC_SESSIONS, aligned to 8 bytes */
	__u32 reclen;
	__u32 session;
	__u32 config_len;	/* config bytes follow */
	__u32 reserved;
};

struct cfs_sessions {
	__u32 len;
	__u32 count;		/* out: records */
	__u64 buf;
	__u32 buf_len;
	__u32 need;		/* out: bytes needed; ENOSPC when buf is too small */
};

struct cfs_node {		/* a data node: the id is the daemon's, for all sessions */
	__u32 len;
	__u32 id;		/* 1..65535 */
	__u8 family;		/* AF_INET or AF_INET6 */
	__u8 reserved[3];
	__u16 port;		/* host order */
	__u16 reserved2;
	__u8 addr[16];		/* network order, IPv4 in the first 4 bytes */
	char name[CFS_NODE_NAME_MAX];	/* goes verbatim into follower lists */
};

enum cfs_conn_class { CFS_CONN_READ = 0, CFS_CONN_APPEND = 1, CFS_CONN_OVERWRITE = 2, CFS_CONN_CLASSES = 3 };

struct cfs_connect {		/* CFS_IOC_CONNECT: returns at once, CFS_EV_CONN_UP or _DOWN tells; CFS_IOC_CLOSE */
	__u32 len;
	__u32 node;
	__u32 conn_class;	/* enum cfs_conn_class */
	__u32 conn_slot;	/* < CFS_CONN_SLOTS_MAX */
	__u32 timeout_ms;	/* connect; 0 = 1000. CLOSE: only if requests have waited in silence so long; 0: always */
	__u32 flags;		/* CLOSE: CFS_CLOSE_*; CONNECT: 0 */
};

#define CFS_CLOSE_LOST		1u	/* nothing answers for the node: it is avoided for a while */

struct cfs_dp_row {
	__u64 partition_id;
	__s8 status;		/* 2 read-write, 1 read-only, 0 recovering, -1 unavailable */
	__u8 media;		/* storage class, 0 unspecified */
	__u8 nhosts;		/* 1..CFS_HOSTS_MAX; hosts[0] is the primary of appends */
	__u8 leader;		/* index of the raft leader, 0xFF unknown */
	__u32 flags;		/* CFS_DP_* */
	__u32 hosts[CFS_HOSTS_MAX];	/* node ids */
};
#define CFS_DP_DISCARD		(1 << 0)	/* the partition is lost */

struct cfs_view {		/* rows are inserted or replaced by partition_id; others stay */
	__u32 len;
	__u32 session;
	__u32 nrows;
	__u32 reserved;
	__u64 rows;		/* struct cfs_dp_row[nrows] */
};

struct cfs_writable {		/* ranked list for new extents; replaces the former one. Empty: the volume is full */
	__u32 len;
	__u32 session;
	__u32 storage_class;
	__u32 count;		/* <= 65536 */
	__u64 ids;		/* __u64[count] */
};

/* Names and attributes: also for the other mounts of the volume on this host. */
struct cfs_invalidate {
	__u32 len;
	__u32 session;
	__u64 ino;		/* 0: everything (epoch is bumped) */
	__u32 flags;		/* CFS_INV_* */
	__u32 reserved;
};
#define CFS_INV_ATTR		(1 << 0)
#define CFS_INV_DATA		(1 << 1)	/* clean pages and extent map */
#define CFS_INV_ENTRIES		(1 << 2)	/* names below the directory */

/*
 * CFS_IOC_ABORT: as umount -f does: every request and all I/O of the mount fails with EIO, what was not written is lost.
 * For mounts that umount(8) cannot name any more, because their unmount has begun and waits for servers or a daemon. May
 * be sent on a file that is not attached.
 */
struct cfs_abort {
	__u32 len;
	__u32 session;		/* 0: every mount whose unmount has begun */
	__u32 count;		/* out: mounts */
	__u32 reserved;
};

struct cfs_stats {		/* CFS_IOC_STATS: of one session; since mount */
	__u32 len;
	__u32 session;
	__u64 requests[32];		/* answered, by enum cfs_op */
	__u64 read_wire_bytes;		/* file data received from data nodes by the kernel */
	__u64 append_wire_bytes;	/* file data sent as appends */
	__u64 overwrite_wire_bytes;	/* file data sent as overwrites */
	__u64 rehomed_bytes;		/* sent again to another extent */
	__u64 crc_errors;
	__u64 read_packets, append_packets, overwrite_packets;
	__u64 extents_created;
	__u64 commits;
	__u64 conn_faults;
	__u64 uncommitted_bytes;	/* now */
	__u64 dirty_inodes;		/* now: inodes held for data not yet committed */
	/* since 1.1; a 1.0 kernel leaves 0 */
	__u64 read_retries;		/* reads that went to another replica, or to one again */
	__u64 overwrite_retries;	/* overwrites that were sent again */
	__u64 spliced_bytes;		/* sent by reference to the pages of the file or caller */
	__u64 copied_bytes;		/* copied before sending: memory that changed meanwhile */
	/* since 1.2 */
	__u64 read_hedges;		/* reads that were sent to a second replica: the first was slow */
	__u64 cache_hits;		/* names answered from the metadata cache, without a request */
	__u64 cache_absent_hits;	/* the same, of names that do not exist */
	__u64 cache_misses;		/* names that a policy could not answer */
	__u64 reserved;
};

#define CFS_IOC_ATTACH		_IOWR('C', 0x01, struct cfs_attach)
#define CFS_IOC_DRAIN		_IO('C', 0x02)
#define CFS_IOC_SESSIONS	_IOWR('C', 0x03, struct cfs_sessions)
#define CFS_IOC_NODE		_IOW('C', 0x04, struct cfs_node)
#define CFS_IOC_CONNECT		_IOW('C', 0x05, struct cfs_connect)
#define CFS_IOC_CLOSE		_IOW('C', 0x06, struct cfs_connect)
#define CFS_IOC_VIEW		_IOW('C', 0x07, struct cfs_view)
#define CFS_IOC_WRITABLE	_IOW('C', 0x08, struct cfs_writable)
#define CFS_IOC_INVALIDATE	_IOW('C', 0x09, struct cfs_invalidate)
#define CFS_IOC_STATS		_IOWR('C', 0x0A, struct cfs_stats)
#define CFS_IOC_ABORT		_IOWR('C', 0x0B, struct cfs_abort)

#endif /* _UAPI_CUBEFS_CFS_H */
