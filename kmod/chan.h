/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cubefs: what the three files of the request channel share, and nobody else may use.
 *
 * chan.c   states, slots, queues; daemons that come and go; sessions
 * call.c   the calling side: make, send, wait, abandon
 * fetch.c  the daemon's side: io_uring commands, delivery, answers
 */
#ifndef CFS_CHAN_H
#define CFS_CHAN_H

#include <linux/bitmap.h>
#include <linux/log2.h>
#include <linux/mempool.h>
#include <linux/wait.h>
#include <net/net_namespace.h>
#include "cfs.h"

#define CFS_SLOTS	1024
/* Low bits of a request id are its slot. */
#define CFS_SLOT_BITS	ilog2(CFS_SLOTS_MAX)

enum cfs_call_state {
	CFS_CALL_FREE,
	CFS_CALL_QUEUED,
	CFS_CALL_SENT,
	CFS_CALL_ORPHAN,
	CFS_CALL_DONE,
	CFS_CALL_STATES,
};

/* Who may use the last slots and fetch commands; also the order of delivery. */
enum cfs_lane {
	CFS_LANE_COMMIT,	/* pages stay dirty until it is answered */
	CFS_LANE_SYSTEM,	/* write-back or nobody waits for it */
	CFS_LANE_USER,
	CFS_LANES,
};

/* I: fixed after setup   L: chan.lock */
struct cfs_chan {
	spinlock_t lock;		/* what is marked L, here and in struct cfs_call */
	/* L: attached file, not a reference: its release ends the attachment */
	struct file *owner;
	struct net *net;		/* L: strong, of the attaching task */
	u64 generation;			/* L: grows by one at each attach */
	u64 detached_at;		/* L: jiffies64 when the last daemon went */
	bool draining;			/* L: nothing is delivered to this daemon any more */
	u64 last_id;			/* L */
	struct list_head ready[CFS_LANES];	/* L: QUEUED with a slot */
	struct list_head starved[CFS_LANES];	/* L: QUEUED without */
	struct cfs_call *slots[CFS_SLOTS];	/* L: every call that has a slot */
	DECLARE_BITMAP(used, CFS_SLOTS);	/* L */
	unsigned int free;		/* L: slots */
	unsigned int sent;		/* L: calls in SENT or ORPHAN */
	/* L: struct cfs_parked, last parked first: its thread's caches are warm */
	struct list_head parked;
	unsigned int nparked;		/* L */
	struct list_head sessions;	/* L: struct cfs_sb.link */
	u32 last_session;		/* L */
	/* a session's calls may have reached 0, or the daemon went */
	wait_queue_head_t idle;
	u8 *progress;			/* I: CFS_SLOTS records, vmalloc_user */
	struct workqueue_struct *wq;	/* I: runs done functions */
	struct delayed_work expire;	/* while there is no daemon */
	struct kmem_cache *cache;	/* I */
	mempool_t *reserve;		/* I */
};

static_assert(sizeof_field(struct cfs_chan, slots) <= CFS_SLOTS_MAX * sizeof(void *));

extern struct cfs_chan cfs_chan;

/* chan.c; chan.lock is held */
enum cfs_lane cfs_lane(const struct cfs_call *call);
void cfs_call_move(struct cfs_call *call, enum cfs_call_state to);
void cfs_call_tell(struct cfs_call *call, int res);
void cfs_call_finish(struct cfs_call *call, int res, struct list_head *dead);
bool cfs_call_must_finish(const struct cfs_call *call);
void cfs_chan_return(struct cfs_call *call, struct list_head *queue, struct list_head *dead);
void cfs_chan_enqueue(struct cfs_call *call);
/* chan.c; chan.lock is not held */
void cfs_put_all(struct list_head *dead);

/* fetch.c; chan.lock is not held */
void cfs_chan_pump(void);

#endif
