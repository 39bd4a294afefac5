/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cubefs: data nodes, connections to them and the packets on these; between conn.c, transport.c,
 * view.c and the users of packets (read.c, stream.c, overwrite.c).
 *
 * Locks    node->lock > conn->lock; both are spinlocks taken in process context only, leaves for
 *          everybody outside. conn->tx is a mutex: who holds it writes to the socket; it may be
 *          held for as long as the peer accepts nothing.
 */
#ifndef CFS_CONN_H
#define CFS_CONN_H

#include <linux/mutex.h>
#include <linux/socket.h>
#include <linux/uio.h>
#include "cfs.h"

/*
 * Limits and times of the transport. Source of the server's: CubeFS v3.5.3, datanode/repl,
 * util/conn_pool.go.
 */
#define CFS_CONN_SILENCE_S	8	/* seconds without progress while something is outstanding:
					 * longer than a server waits for a follower (5 s), so that
					 * its verdict comes first
					 */
#define CFS_READ_SILENCE_S	4	/* on a read connection: no follower is involved, and there
					 * are other replicas
					 */
#define CFS_CREATE_SILENCE_S	10	/* the same while an extent is being created */
#define CFS_SILENT_MS		500	/* the daemon is told of a silence: it looks whether the
					 * path is broken
					 */
#define CFS_SILENT_AGAIN_MS	2000	/* and again as long as it lasts: it may be a new one */
#define CFS_TICK_MS		250	/* connections are looked at */
#define CFS_SUSPECT_MS		5000	/* a node that failed is avoided this long where there is a
					 * choice: longer than the daemon lets pass between dials of
					 * one class
					 */
#define CFS_READ_WINDOW		64	/* requests outstanding on a read connection */
#define CFS_APPEND_WINDOW	256	/* on an append connection: below the 2048 and 200 a server
					 * queues
					 */

static inline u64 cfs_after_ms(u64 ms)
{
	return get_jiffies_64() + msecs_to_jiffies(ms);
}

/* 0 has always passed. */
static inline bool cfs_passed(u64 when)
{
	return !when || !time_before64(get_jiffies_64(), when);
}

/* ---- waiting for anything that may unblock I/O ---- */
/*
 * Something that cannot go on until a connection, a row, a list or memory changes. Its work runs
 * after the change, or after its own delay, whichever is first. Lifetime: the owner's; it is off
 * the list before its work's function has returned unless it waits again.
 */
struct cfs_waiter {
	struct list_head link;		/* waiters lock (conn.c) */
	struct delayed_work work;
};

void cfs_waiter_init(struct cfs_waiter *w, work_func_t fn);
void cfs_wait_change(struct cfs_waiter *w, unsigned int delay_ms);
void cfs_waiter_run(struct cfs_waiter *w);
void cfs_waiter_done(struct cfs_waiter *w);
void cfs_waiter_cancel(struct cfs_waiter *w);
void cfs_wake_waiters(void);
extern struct workqueue_struct *cfs_io_wq;	/* WQ_MEM_RECLAIM: all work of the data path */

/* ---- packets ---- */
/*
 * One request and its reply. Embedded in its owner, who fills the first part, submits it once, and
 * gets it back by done().
 *
 *   idle -> queued (conn->txq) -> outstanding (conn->sent) -> done
 *             +------------------------------------------------^ the connection died first
 *
 * Between submit and done the packet, its argument and the pages of its iterator belong to the
 * connection. At done(): err == 0: a reply came, see result. err < 0: none came, the connection
 * died of this; the server may have executed the request iff `exposed`. -EREMOTEIO: it died because
 * another request was refused.
 */
struct cfs_pkt {
	/* owner, before submit */
	struct cfs_pkt_hdr hdr;		/* request; req_id is set by submit */
	struct cfs_sb *csb;		/* whose statistics, and for umount -f */
	const char *arg;		/* hdr.arg_len bytes, not copied */
	struct iov_iter iter;		/* bytes to send, or where a read puts them */
	u32 len;			/* of these */
	bool is_read;
	u64 op_id;			/* operation that it is part of, for the trace; or 0 */
	/* Reads, or NULL: the first of several with the same one takes it, and its data is used. */
	struct cfs_pkt **claim;
	void (*done)(struct cfs_pkt *pkt);	/* process context, no locks held; may submit again
						 */
	/* connection */
	struct list_head link;		/* conn->lock */
	u32 got;			/* bytes received and verified (reads) */
	bool lost;			/* another has the claim */
	bool exposed;			/* some of it was given to the socket */
	/* for the trace, set by submit */
	u64 submitted_ns;
	u32 node;
	/* result */
	int err;
	u8 result;			/* CFS_RC_*, CFS_RC_INIT: no reply */
	u64 extent_id;			/* of the reply */
	s64 extent_offset;
};

/* ---- connections ---- */
/*
 * CONNECTING -> UP -> DEAD. Only cfs_conn_move() changes it, under conn->lock.
 *
 * References: the slot of the node (passed to the close work when the connection dies) and every
 * user (cfs_conn_pick()). DEAD is final: the close work stops the callbacks, waits for sender and
 * receiver, resets the socket, which drops all references to pages, and only then hands the
 * outstanding packets back in their order. The struct lives until the last reference; a user that
 * still has one gets -ENOTCONN from submit.
 */
enum cfs_conn_state { CFS_CONN_CONNECTING, CFS_CONN_UP, CFS_CONN_DEAD };

/* What the receiver is in the middle of. Receiver only. */
struct cfs_rx {
	enum { CFS_RX_HEADER, CFS_RX_VERSIONS, CFS_RX_SKIP, CFS_RX_DATA } step;
	u32 have;			/* bytes in buf */
	u32 left;			/* bytes of the step still to come */
	u32 crc;			/* running CRC of the data */
	struct cfs_pkt_hdr hdr;
	u8 buf[CFS_PKT_HDR_MAX + 2];	/* header, then count of versions */
};

/* I: fixed   L: conn->lock   T: tx   R: receiver work */
struct cfs_conn {
	struct cfs_node_obj *node;	/* I */
	u8 class;			/* I: enum cfs_conn_class */
	u8 index;			/* I: slot */
	u16 window;			/* I: most packets outstanding */
	u32 connect_ms;			/* I */
	refcount_t ref;
	spinlock_t lock;		/* fields marked L */
	enum cfs_conn_state state;	/* L */
	int why;			/* L: errno of its death */
	struct list_head txq;		/* L: to be sent */
	struct list_head sent;		/* L: sent or being sent, in wire order */
	struct cfs_pkt *sending;	/* L: the one of `sent` that the sender still reads */
	u32 nsent;			/* L: length of sent */
	u32 nqueued;			/* L: length of txq */
	unsigned long progress;		/* L: jiffies of the last byte received or request begun */
	unsigned long heard;		/* READ_ONCE: jiffies of the last byte received, or when UP */
	unsigned long told;		/* L: the progress whose silence the daemon knows */
	u64 tell_again;			/* L: jiffies64, when it is told of the same silence again */
	struct mutex tx;
	wait_queue_head_t idle;		/* sending became NULL */
	struct socket *sock;		/* I once UP */
	struct net *net;		/* I once UP: strong, kernel sockets do not hold one */
	void (*saved_data_ready)(struct sock *sk);	/* I once UP */
	void (*saved_state_change)(struct sock *sk);	/* I once UP */
	struct cfs_rx rx;		/* R */
	struct work_struct connect_work, tx_work, rx_work, close_work;
};

struct cfs_conn *cfs_conn_pick(struct cfs_node_obj *node, enum cfs_conn_class class,
			       struct cfs_sb *csb);
struct cfs_conn *cfs_conn_await(struct cfs_node_obj *node, enum cfs_conn_class class,
				struct cfs_sb *csb, u64 *since);
void cfs_conn_get(struct cfs_conn *conn);
void cfs_conn_put(struct cfs_conn *conn);
bool cfs_conn_move(struct cfs_conn *conn, enum cfs_conn_state to);
void cfs_conn_kill(struct cfs_conn *conn, int why);
void cfs_conn_abort_sb(struct cfs_sb *csb);
int cfs_conn_submit(struct cfs_conn *conn, struct cfs_pkt *pkt);
bool cfs_node_suspect(struct cfs_node_obj *node, enum cfs_conn_class class);

/* transport.c, for conn.c */
int cfs_transport_open(struct cfs_conn *conn);
void cfs_transport_hook(struct cfs_conn *conn);
void cfs_transport_close(struct cfs_conn *conn);
void cfs_transport_tx(struct work_struct *work);
void cfs_transport_rx(struct work_struct *work);

/* ---- conn.c, for view.c ---- */
struct sockaddr_storage;
/*
 * A data node. Never freed before the module is unloaded: ids are the daemon's, few, and bound
 * once. I: fixed   L: lock
 */
struct cfs_node_obj {
	u32 id;				/* I */
	char name[CFS_NODE_NAME_MAX];	/* I: NUL-ended */
	struct sockaddr_storage addr;	/* I */
	int addr_len;			/* I */
	spinlock_t lock;		/* fields marked L */
	struct cfs_node_class {
		struct cfs_conn *slot[CFS_CONN_SLOTS_MAX];	/* L: strong; NULL: none */
		u32 turn;		/* L: where the search for the least busy begins */
		u64 asked;		/* L: jiffies64 of the last NEED_CONN, 0: never */
		u64 failed;		/* L: jiffies64 of the last failure, 0: never */
	} class[CFS_CONN_CLASSES];	/* L */
};

struct cfs_node_obj *cfs_node_find(u32 id);

/* ---- view.c ---- */
#define CFS_DP_PENALTY_S	30	/* seconds without new extents after a failure */
#define CFS_DP_FULL_S		60	/* after "no space" or "too many extents" */
#define CFS_TINY_PENALTY_S	30	/* without tiny writes after a refusal: no slot is ready */
struct cfs_dp *cfs_dp_pick(struct cfs_sb *csb, u32 storage_class, u64 avoid, bool tiny);
bool cfs_view_full(struct cfs_sb *csb, u32 storage_class);
void cfs_dp_has_space(struct cfs_sb *csb, struct cfs_dp *dp);
struct cfs_dp *cfs_dp_get_writable(struct cfs_sb *csb, u64 id, u32 storage_class);
void cfs_dp_penalise(struct cfs_sb *csb, struct cfs_dp *dp, u8 result, unsigned int seconds);
void cfs_dp_no_tiny(struct cfs_dp *dp);
void cfs_dp_need(struct cfs_sb *csb, u64 id);
void cfs_dp_refused(struct cfs_sb *csb, struct cfs_dp *dp, struct cfs_node_obj *node, u8 result);
bool cfs_may_ask(u64 *last);

#endif
