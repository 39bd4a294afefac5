/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cubefs: data state of a regular file; between data.c, map.c, read.c, write.c, stream.c,
 * overwrite.c, commit.c and file.c.
 *
 * How a write travels
 *   netfs hands over a sub-request (issue_write): struct cfs_write. It becomes pieces, struct
 *   cfs_piece, each inside one key of the map (overwrite) or inside one hole (append). A piece of a
 *   hole joins the struct cfs_stream that ends where it begins, or starts a new one. A piece is
 *   finished when its overwrite is acknowledged, or when the key of its stream that covers it is
 *   committed. When all its pieces are finished the write is ended towards netfs, and only then its
 *   folios leave write-back. A piece that fails goes back and is cut again by the map of that time;
 *   netfs sees none of it.
 *
 * One pass at a time per inode
 *   All of this is moved by cfs_data_run_now(), under cfs_data.lock: by the work item of the inode, by
 *   who hands over the first write, and by who brings the answer to a commit. Everybody else only
 *   leaves a note (a new write, a packet that came back) and lets the work run. Packets are queued on
 *   connections; only a small one on an idle connection is sent at once.
 *
 * Writes never overlap
 *   A write whose range overlaps an older one that has not ended waits until it has. So the map
 *   needs only committed keys: nothing reads or overwrites bytes that are on their way. Folios
 *   under write-back keep readers out (cfs_read_folio()).
 *
 * Locks, outermost first
 *   i_rwsem > invalidate_lock > cfs_data.lock (D) > cfs_data.note_lock (N) > i_lock
 *   cfs_data.lock > node->lock > conn->lock
 *
 * Memory
 *   Nothing waits for memory while it holds cfs_data.lock: the objects of a reserve may all be this
 *   inode's. What cannot be had is tried again in CFS_RETRY_MS; what is under way ends without, and
 *   puts back what it has.
 *
 * Lifetime
 *   struct cfs_data is allocated and freed with its inode. While anything is under way (active > 0)
 *   it holds a reference to the inode; the last one of an inode is dropped from a work item, never
 *   under a lock. An inode that is being freed already cannot be referenced: then its
 *   eviction waits for active to become 0.
 */
#ifndef CFS_DATA_H
#define CFS_DATA_H

#include <linux/mempool.h>
#include <linux/rbtree.h>
#include <linux/sizes.h>
#include "compat.h"
#include "conn.h"
#include "extent.h"
#include "ranges.h"

#define CFS_IO_SIZE		SZ_1M	/* bytes of a read packet and of a write sub-request
						 * at most
						 */
#define CFS_STREAMS_IDLE	4		/* kept for the next append, of an inode */
#define CFS_STREAM_WINDOW	16		/* packets of a stream on the wire */
#define CFS_OVERWRITE_WINDOW	32		/* overwrites of an inode that are cut and not
						 * finished
						 */
#define CFS_COMMIT_BYTES	SZ_4M	/* acknowledged bytes that start a commit */
#define CFS_COMMIT_MS		100		/* or the age of the oldest of them */
#define CFS_UNCOMMITTED_MAX	(64ll << 20)	/* bytes sent but not committed, per mount */
#define CFS_QUARANTINE_S	10		/* an overwrite of unknown outcome may still be
						 * applied: longer than an election
						 */
#define CFS_CONFLICTS_MAX	3		/* times a write is moved after a refused commit */
#define CFS_RETRY_MS		100		/* pause before the same thing is tried again */
#define CFS_RETRY_MAX_MS	2000		/* the pause grows up to this */

struct cfs_stream;

/* ---- write.c ---- */
/*
 * One netfs write sub-request.
 *
 *   NEW (d->fresh) -> WAITING (an older write overlaps) -> ACTIVE (pieces under way) -> freed
 */
struct cfs_write {
	struct cfs_data *data;
	struct netfs_io_subrequest *sr;
	struct list_head link;		/* N: d->fresh; D: d->waiting, or the list of those that
					 * ended
					 */
	struct rb_node node;		/* D: d->ranges */
	u64 start, last;		/* range, inclusive */
	u64 subtree_last;		/* D: interval tree */
	u64 seq;			/* D: age */
	u64 since;			/* jiffies64 */
	u64 op_id;			/* operation that issued it, for the trace; or 0 */
	u32 pieces;			/* D: not finished */
	u8 conflicts;			/* D */
	int error;			/* D: first final one */
	bool direct;			/* memory of an application: it may change while it is sent
					 */
};

/*
 * A part of a write. Is on one list or in one connection at any time:
 *
 *   todo -> stream->queue -> in flight -> stream->acked -> finished
 *    ^  \                      |             | commit refused
 *    |   +-> over -> in flight-+-> finished  |
 *    |   +-> kept (a ghost overlaps)   +-> ghost
 *    +-------------------------+-------------+
 *
 * A ghost is an overwrite that was repeated with success after a server had got it and not
 * answered: that server may still apply the first one. Newer overwrites of the same bytes are kept
 * back until that is impossible.
 */
struct cfs_piece {
	struct cfs_pkt pkt;
	struct cfs_write *write;	/* NULL: ghost */
	struct list_head link;		/* D: see above; in flight: stream->flight or d->over */
	struct list_head note;		/* N: d->notes, back from its connection */
	u64 pos;			/* bytes from the start of the file */
	u32 len;
	/* bytes behind these that it goes on with when it is finished: there was no memory to split it */
	u32 rest;
	struct iov_iter iter;		/* exactly these bytes */
	struct cfs_stream *stream;	/* appends */
	struct page **copy;		/* its own pages, once the application's memory proved
					 * unstable
					 */
	u64 not_before;			/* overwrites: jiffies64 */
	u64 ghost_until;		/* overwrites: jiffies64; 0: all outcomes are known */
	u64 host_since;			/* overwrites: waiting for a connection since; 0: not */
	u64 partition_id;		/* overwrites: target */
	u64 extent_id, extent_offset;
	u8 host;			/* overwrites: index in the row; 0xFF: the leader */
	u8 tries;			/* overwrites: hosts tried */
	u8 again;			/* overwrites: times the host did not answer */
	u8 moved;			/* times it failed as an append */
	bool in_flight;			/* D */
	bool gone;			/* its extent was reported missing once */
};

/* ---- stream.c ---- */
/*
 * An extent that is being appended to, and the part of it that has no committed key yet.
 *
 *   NEW -> CREATING -> OPEN -> SEALED -> freed
 *    |  ^_____/          |
 *    +-> OPEN            +-> BROKEN -> SEALED
 *    (tiny, continued)         what was acknowledged keeps its key, the rest goes elsewhere
 *
 * Offsets in the file: base <= committed <= acked <= next. The key is [base, acked) at
 * extent_offset.
 */
enum cfs_stream_state { CFS_ST_NEW, CFS_ST_CREATING, CFS_ST_OPEN, CFS_ST_BROKEN, CFS_ST_SEALED };

/* All D, except while a packet is in flight: that packet. */
struct cfs_stream {
	struct cfs_data *data;
	struct list_head link;		/* d->streams */
	struct list_head commit;	/* d->committing */
	struct list_head note;		/* N: d->created */
	enum cfs_stream_state state;
	bool tiny;			/* one packet; the server chooses extent and offset */
	bool fresh;			/* made here and never committed */
	bool sealing;			/* CREATING: SEALED as soon as that ended */
	bool dropped;			/* its key must not be committed (any more) */
	struct cfs_dp *dp;		/* strong; NULL: to be chosen */
	struct cfs_conn *conn;		/* strong; appends of one extent use one connection, their
					 * order matters
					 */
	u64 avoid;			/* partition that failed last */
	u64 extent_id;
	u64 extent_offset;		/* of base */
	u64 base, committed, acked, next;
	u64 submitted;			/* end of the key that is being committed */
	u64 acked_at;			/* jiffies64 of the oldest byte not committed */
	u64 wait_since;			/* jiffies64: waiting for a connection; 0: not */
	u64 not_before;			/* jiffies64 */
	u64 op_id;			/* of its newest piece, for the trace of create and commit */
	u32 nflight;
	u8 tries;
	u8 full;			/* times no partition had space */
	struct list_head queue;		/* pieces not sent, in order */
	struct list_head flight;	/* pieces sent, in order */
	struct list_head acked_list;	/* pieces to be finished by a commit, in order */
	struct list_head failed;	/* BROKEN: pieces that came back, until the last has */
	struct cfs_pkt create;		/* CREATING */
	u8 create_body[8];
	struct kvec create_vec;
};

/* ---- data.c ---- */
/* I: fixed   D: lock   N: note_lock   A: atomic */
struct cfs_data {
	struct cfs_inode *ci;		/* I */
	struct mutex lock;
	struct cfs_waiter run;		/* runs cfs_data_run() */

	/* map.c */
	struct cfs_map map;		/* D: of use while map_valid */
	bool map_valid;			/* D */
	bool map_loading;		/* D: EXTENTS is under way */
	int map_error;			/* D: final answer to EXTENTS; taken by a pass */
	u32 map_answers;		/* READ_ONCE: grows with each answer to EXTENTS */
	int map_result;			/* D: the last one: 0, a final error or -EAGAIN */
	u32 map_serial;			/* D: grows with each list loaded */
	u64 map_gen;			/* D */
	u64 map_retry;			/* D: jiffies64; EXTENTS failed, not before */
	struct list_head map_readers;	/* D: struct cfs_rpiece */

	/* write.c, stream.c, overwrite.c, commit.c */
	struct rb_root_cached ranges;	/* D: all writes */
	u64 seq;			/* D */
	struct list_head waiting;	/* D: writes overlapped by an older one, oldest first */
	struct list_head todo;		/* D: pieces to be cut, by position */
	struct list_head kept;		/* D: pieces kept back because of ghosts */
	struct list_head ghosts;	/* D: pieces */
	struct list_head over;		/* D: overwrite pieces */
	u32 nover;			/* D: length of over */
	struct list_head streams;	/* D */
	struct list_head committing;	/* D: streams in the COMMIT under way, as in the request */
	bool commit_busy;		/* D */
	bool commit_done;		/* D: its answer is in the next three */
	int commit_res;
	struct cfs_commit_reply commit_reply;
	u64 commit_retry;		/* D: jiffies64 */
	u64 commit_since;		/* D: jiffies64: of the first without success; 0: none */
	struct list_head ended;		/* D: writes to be ended towards netfs */
	u64 no_continue;		/* D: extent that must not be appended to */
	u64 limit;			/* D: a truncation is under way: bytes from here on are not
					 * worth writing
					 */
	bool frozen;			/* D: nothing new is started */
	bool still;			/* READ_ONCE: a pass found nothing under way */
	u32 calls;			/* D: creates and EXTENTS under way */
	wait_queue_head_t idle;		/* frozen and nothing under way; active became 0 */

	spinlock_t note_lock;		/* fields marked N */
	struct list_head fresh;		/* N: new writes */
	struct list_head notes;		/* N: pieces back from connections */
	struct list_head created;	/* N: streams whose create came back */
	u32 active;			/* N: reads, writes, ghosts, creates, calls */
	u32 nwrites;			/* N: writes */
	bool held;			/* N: active holds a reference to the inode */
	atomic_t puts;			/* references to be dropped */
	struct work_struct put_work;
	struct work_struct inval_work;	/* queued: holds a reference to the inode */

	atomic_t busy;			/* system calls under way that change data or size */
	spinlock_t dirty_lock;		/* dirty; a leaf */
	struct cfs_ranges dirty;	/* what may differ from what is committed; see
					 * cfs_note_write()
					 */
	bool overwrote;			/* READ_ONCE: an overwrite happened: the server's mtime is
					 * old
					 */
};

static inline struct cfs_sb *cfs_data_sb(struct cfs_data *d)
{
	return CFS_SB(d->ci->netfs.inode.i_sb);
}

/* Nobody waits for what is read any more: the mount is forced, or all files are closed. */
static inline bool cfs_read_hopeless(struct cfs_sb *csb)
{
	return test_bit(CFS_SB_FORCED, &csb->flags) || test_bit(CFS_SB_DYING, &csb->flags);
}

/*
 * I/O that began at @since (jiffies64) has to be given up: umount -f, or a soft mount's deadline.
 */
static inline bool cfs_io_expired(struct cfs_sb *csb, u64 since)
{
	return test_bit(CFS_SB_FORCED, &csb->flags) ||
	       (csb->soft && cfs_passed(since + (u64)csb->deadline_s * HZ));
}

void cfs_data_hold(struct cfs_data *d, bool write);
void cfs_data_drop(struct cfs_data *d, bool write);
void cfs_data_dirty(struct cfs_data *d, u64 pos, u64 len, bool first);
bool cfs_dirty_at(struct cfs_data *d, u64 pos, u64 *len);
bool cfs_pages_are_clean(struct address_space *mapping);
int cfs_write_out(struct address_space *mapping, loff_t start, loff_t end);
void cfs_data_send_mtime(struct inode *inode);
u32 cfs_data_class(struct cfs_data *d);
extern const struct vm_operations_struct cfs_vm_ops;

/* ---- map.c ---- */
void cfs_map_fetch(struct cfs_data *d);
int cfs_map_lock(struct cfs_data *d);
void cfs_map_forget(struct cfs_data *d);
void cfs_map_set_empty(struct inode *inode);
void cfs_map_check(struct inode *inode);

/* ---- read.c ---- */
struct cfs_rpiece;
void cfs_issue_read(struct netfs_io_subrequest *sr);
void cfs_read_resume(struct list_head *readers, int error);
int cfs_read_init(void);
void cfs_read_exit(void);

/* ---- write.c ---- */
void cfs_issue_write(struct netfs_io_subrequest *sr);
void cfs_data_run_now(struct cfs_data *d);
void cfs_data_run(struct work_struct *work);
void cfs_piece_done(struct cfs_pkt *pkt);
void cfs_piece_finish(struct cfs_piece *piece, int error);
void cfs_piece_ghost(struct cfs_piece *piece);
void cfs_piece_requeue(struct cfs_piece *piece);
void cfs_pieces_requeue(struct list_head *list);
void cfs_piece_copy(struct cfs_piece *piece);
bool cfs_piece_ready(struct cfs_piece *piece);
struct iov_iter cfs_piece_source(struct cfs_piece *piece);
int cfs_data_freeze(struct cfs_data *d);
void cfs_data_thaw(struct cfs_data *d);
int cfs_write_init(void);
void cfs_write_exit(void);

/* ---- stream.c ---- */
u32 cfs_stream_most(struct cfs_data *d, struct cfs_piece *piece);
bool cfs_stream_add(struct cfs_data *d, struct cfs_piece *piece);
void cfs_stream_returned(struct cfs_piece *piece);
void cfs_stream_created(struct cfs_stream *st);
void cfs_stream_pump(struct cfs_data *d);
void cfs_stream_drop(struct cfs_stream *st, int error);
void cfs_stream_committed(struct cfs_stream *st);
void cfs_streams_seal(struct cfs_data *d);
void cfs_streams_free(struct cfs_data *d);
void cfs_stream_reap(struct cfs_data *d);
int cfs_stream_init(void);
void cfs_stream_exit(void);

/* ---- overwrite.c ---- */
void cfs_over_add(struct cfs_data *d, struct cfs_piece *piece, const struct cfs_slice *slice);
void cfs_over_returned(struct cfs_piece *piece);
void cfs_over_pump(struct cfs_data *d);
void cfs_over_recall(struct cfs_data *d);

/* ---- commit.c ---- */
void cfs_commit_start(struct cfs_data *d);
void cfs_commit_finish(struct cfs_data *d);

#endif
