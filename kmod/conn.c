// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: data nodes and the life of connections to them.
 *
 * Purpose   Keeps, per node and class, the connections the daemon ordered; chooses one for a
 *           packet; asks the daemon for one when there is none; ends dead ones in an order that
 *           lets go of pages first.
 * Lifetime  Nodes live until unload. Connections: see struct cfs_conn. Orders come from dev.c only.
 * Locks     waiters lock (leaf); node->lock > conn->lock; see conn.h.
 * Contexts  Orders and picks: process context. Connect, send, receive and close: work on cfs_io_wq.
 * Failure   A connection that fails in any way is reset and everything outstanding on it has an
 *           unknown outcome; the owners of the packets decide. Nothing here retries; the daemon
 *           orders the next connect.
 */
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include "conn.h"
#include "trace.h"

/* For a connection to one host, where there is another. */
#define CFS_HOST_WAIT_MS	2000

struct workqueue_struct *cfs_io_wq;

static DEFINE_XARRAY(cfs_nodes);		/* id -> struct cfs_node_obj; entries are never
						 * removed before unload
						 */
static DEFINE_MUTEX(cfs_nodes_lock);		/* adding */

static bool cfs_conn_exiting;			/* module unload: the channel is gone, nobody is
						 * told
						 */

static DEFINE_SPINLOCK(cfs_waiters_lock);
static LIST_HEAD(cfs_waiters);			/* cfs_waiters_lock */

static void cfs_conn_tick(struct work_struct *work);
static DECLARE_DELAYED_WORK(cfs_tick_work, cfs_conn_tick);

/* ---- waiters ---- */

/**
 * cfs_waiter_init - set up a waiter
 * @w:  Waiter.
 * @fn: Function of its delayed work; calls cfs_waiter_done() first.
 */
void cfs_waiter_init(struct cfs_waiter *w, work_func_t fn)
{
	INIT_LIST_HEAD(&w->link);
	INIT_DELAYED_WORK(&w->work, fn);
}

/**
 * cfs_wait_change - run the work at the next change, or after a delay
 * @w:        Waiter.
 * @delay_ms: Milliseconds; a run that is due sooner stays.
 */
void cfs_wait_change(struct cfs_waiter *w, unsigned int delay_ms)
{
	unsigned long delay = msecs_to_jiffies(delay_ms);

	spin_lock(&cfs_waiters_lock);
	if (list_empty(&w->link))
		list_add_tail(&w->link, &cfs_waiters);
	if (timer_pending(&w->work.timer) && time_after(w->work.timer.expires, jiffies + delay))
		mod_delayed_work(cfs_io_wq, &w->work, delay);
	else
		queue_delayed_work(cfs_io_wq, &w->work, delay);
	spin_unlock(&cfs_waiters_lock);
}

/**
 * cfs_waiter_run - run the work now
 * @w: Waiter.
 */
void cfs_waiter_run(struct cfs_waiter *w)
{
	mod_delayed_work(cfs_io_wq, &w->work, 0);
}

/**
 * cfs_waiter_done - the work of a waiter runs: it does not wait any more
 * @w: Waiter.
 *
 * A wake-up that came between the start of the work and this call would run it once more, when its
 * owner may be gone: it is taken back. Nothing is lost, since what it told about happened before.
 */
void cfs_waiter_done(struct cfs_waiter *w)
{
	spin_lock(&cfs_waiters_lock);
	list_del_init(&w->link);
	cancel_delayed_work(&w->work);
	spin_unlock(&cfs_waiters_lock);
}

/**
 * cfs_waiter_cancel - make sure that a waiter neither waits nor runs
 * @w: Waiter; nobody asks it to run any more.
 *
 * Context: Process, sleeps; not from the waiter's own work.
 */
void cfs_waiter_cancel(struct cfs_waiter *w)
{
	cfs_waiter_done(w);
	cancel_delayed_work_sync(&w->work);
	cfs_waiter_done(w);	/* it may have waited again */
}

/**
 * cfs_wake_waiters - something changed that blocked I/O may have waited for
 *
 * Everybody is woken: changes are rare and a waiter that still cannot go on waits again.
 */
void cfs_wake_waiters(void)
{
	struct cfs_waiter *w, *next;

	spin_lock(&cfs_waiters_lock);
	list_for_each_entry_safe(w, next, &cfs_waiters, link) {
		list_del_init(&w->link);
		mod_delayed_work(cfs_io_wq, &w->work, 0);
	}
	spin_unlock(&cfs_waiters_lock);
}

/* ---- nodes ---- */

/**
 * cfs_node_find - the node with an id
 * @id: The daemon's.
 *
 * Return:  the node, valid until unload; NULL when it was never announced.
 */
struct cfs_node_obj *cfs_node_find(u32 id)
{
	return xa_load(&cfs_nodes, id);
}

static void cfs_node_address(struct cfs_node_obj *node, const struct cfs_node *n)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&node->addr;
	struct sockaddr_in *in = (struct sockaddr_in *)&node->addr;

	if (n->family == AF_INET) {
		in->sin_family = AF_INET;
		in->sin_port = htons(n->port);
		memcpy(&in->sin_addr, n->addr, sizeof(in->sin_addr));
		node->addr_len = sizeof(*in);
	} else {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(n->port);
		memcpy(&in6->sin6_addr, n->addr, sizeof(in6->sin6_addr));
		node->addr_len = sizeof(*in6);
	}
}

static struct cfs_node_obj *cfs_node_new(const struct cfs_node *n)
{
	struct cfs_node_obj *node = kzalloc(sizeof(*node), GFP_KERNEL);

	if (!node)
		return NULL;
	node->id = n->id;
	spin_lock_init(&node->lock);
	strscpy(node->name, n->name, sizeof(node->name));
	cfs_node_address(node, n);
	return node;
}

static bool cfs_node_same(const struct cfs_node_obj *a, const struct cfs_node_obj *b)
{
	return a->addr_len == b->addr_len && !memcmp(&a->addr, &b->addr, a->addr_len) &&
	       !strcmp(a->name, b->name);
}

/**
 * cfs_node_set - CFS_IOC_NODE: announce a data node
 * @n: Judged by dev.c.
 *
 * Return:  0, also when the same node is announced again; -EEXIST when the id is bound to another
 *          address or name; -ENOMEM.
 */
int cfs_node_set(const struct cfs_node *n)
{
	struct cfs_node_obj *node = cfs_node_new(n), *old;
	int ret = 0;

	if (!node)
		return -ENOMEM;
	mutex_lock(&cfs_nodes_lock);
	old = cfs_node_find(n->id);
	if (old && !cfs_node_same(old, node))
		ret = -EEXIST;
	else if (!old)
		ret = xa_err(xa_store(&cfs_nodes, n->id, node, GFP_KERNEL));
	mutex_unlock(&cfs_nodes_lock);
	if (old || ret)
		kfree(node);
	return ret;
}

/**
 * cfs_node_suspect - is a node probably not reachable?
 * @node:  Node.
 * @class: Connection class.
 *
 * Return:  true when a connection of the class broke or could not be made a short time ago, and no
 *          other has shown a sign of the node since.
 */
bool cfs_node_suspect(struct cfs_node_obj *node, enum cfs_conn_class class)
{
	struct cfs_node_class *c = &node->class[class];
	bool failed;
	int i;

	spin_lock(&node->lock);
	failed = c->failed && !cfs_passed(c->failed + msecs_to_jiffies(CFS_SUSPECT_MS));
	for (i = 0; failed && i < CFS_CONN_SLOTS_MAX; i++)
		if (c->slot[i] && READ_ONCE(c->slot[i]->state) == CFS_CONN_UP &&
		    !time_before(READ_ONCE(c->slot[i]->heard), (unsigned long)c->failed))
			failed = false;
	spin_unlock(&node->lock);
	return failed;
}

/* ---- state and references ---- */

/*
 * One function makes all moves. Returns false when the move is not legal from where the connection
 * is.
 */
bool cfs_conn_move(struct cfs_conn *conn, enum cfs_conn_state to)
{
	lockdep_assert_held(&conn->lock);
	if (conn->state >= to)
		return false;
	WRITE_ONCE(conn->state, to);
	trace_cfs_conn(conn, to, to == CFS_CONN_DEAD ? conn->why : 0);
	return true;
}

void cfs_conn_get(struct cfs_conn *conn)
{
	refcount_inc(&conn->ref);
}

/**
 * cfs_conn_put - drop a reference
 * @conn: Connection.
 *
 * The last one is dropped after the close work, so the socket is gone by then.
 */
void cfs_conn_put(struct cfs_conn *conn)
{
	if (!refcount_dec_and_test(&conn->ref))
		return;
	WARN_ON_ONCE(conn->sock || !list_empty(&conn->sent) || !list_empty(&conn->txq));
	kfree(conn);
}

/* The connection in a slot, strong, or NULL. */
static struct cfs_conn *cfs_conn_at(struct cfs_node_obj *node, unsigned int class,
				    unsigned int index)
{
	struct cfs_conn *conn;

	spin_lock(&node->lock);
	conn = node->class[class].slot[index];
	if (conn)
		cfs_conn_get(conn);
	spin_unlock(&node->lock);
	return conn;
}

static void cfs_conn_event(struct cfs_conn *conn, u32 kind, int error)
{
	struct cfs_req req = {};

	if (READ_ONCE(cfs_conn_exiting))
		return;
	req.event.kind = kind;
	req.event.node = conn->node->id;
	req.event.conn_class = conn->class;
	req.event.conn_slot = conn->index;
	req.event.error = error;
	cfs_event(NULL, &req);
}

/* ---- death ---- */

/**
 * cfs_conn_kill - first step of the end: no new packets, out of its slot
 * @conn: Connection; the caller holds a reference or is one of its works.
 * @why:  Negative errno, for the daemon.
 *
 * Context: Process. Does not wait; may be called from the sender and the receiver, and more than
 *          once.
 */
void cfs_conn_kill(struct cfs_conn *conn, int why)
{
	struct cfs_node_obj *node = conn->node;
	struct cfs_node_class *c = &node->class[conn->class];
	bool first;

	spin_lock(&node->lock);
	spin_lock(&conn->lock);
	if (conn->state != CFS_CONN_DEAD)
		conn->why = why;
	first = cfs_conn_move(conn, CFS_CONN_DEAD);
	spin_unlock(&conn->lock);
	if (first) {
		if (c->slot[conn->index] == conn)
			c->slot[conn->index] = NULL;
		/* These say nothing bad of the node. */
		if (why != -ESHUTDOWN && why != -ECANCELED && why != -EREMOTEIO)
			c->failed = get_jiffies_64();
	}
	spin_unlock(&node->lock);
	if (first)
		queue_work(cfs_io_wq, &conn->close_work);	/* has the slot's reference now */
}

static void cfs_pkt_end(struct cfs_pkt *pkt, int err)
{
	/*
	 * A packet that got an error reply keeps it: its outcome is known, that of those behind it
	 * is not.
	 */
	if (pkt->result == CFS_RC_INIT || pkt->result == CFS_RC_OK) {
		pkt->result = CFS_RC_INIT;
		pkt->err = err;
	}
	pkt->done(pkt);
}

static void cfs_conn_fail_all(struct cfs_conn *conn)
{
	struct cfs_pkt *pkt, *next;
	LIST_HEAD(all);

	spin_lock(&conn->lock);
	list_splice_init(&conn->sent, &all);
	list_splice_tail_init(&conn->txq, &all);
	conn->nsent = 0;
	conn->nqueued = 0;
	spin_unlock(&conn->lock);
	pkt = list_first_entry_or_null(&all, struct cfs_pkt, link);
	if (pkt)
		cfs_count(pkt->csb, conn_faults, 1);
	list_for_each_entry_safe(pkt, next, &all, link) {
		list_del_init(&pkt->link);
		cfs_pkt_end(pkt, conn->why);
	}
}

/*
 * Second step: everything that may still use the connection ends, in this order: the socket's
 * callbacks (unhooked), sender and receiver (the socket is shut down, which wakes them), the
 * connect work. The socket is then reset: its queues, and with them references to pages, are gone
 * before any packet is handed back.
 */
static void cfs_conn_close(struct work_struct *work)
{
	struct cfs_conn *conn = container_of(work, struct cfs_conn, close_work);

	cancel_work_sync(&conn->connect_work);
	cfs_transport_close(conn);
	cfs_conn_fail_all(conn);
	cfs_conn_event(conn, CFS_EV_CONN_DOWN, conn->why);
	cfs_wake_waiters();
	cfs_conn_put(conn);
}

/* ---- all of them ---- */

/* Was there any? */
static bool cfs_conn_each(void (*call)(struct cfs_conn *conn, void *arg), void *arg)
{
	struct cfs_node_obj *node;
	struct cfs_conn *conn;
	unsigned long id;
	bool any = false;
	int i;

	xa_for_each(&cfs_nodes, id, node) {
		for (i = 0; i < CFS_CONN_CLASSES * CFS_CONN_SLOTS_MAX; i++) {
			conn = cfs_conn_at(node, i / CFS_CONN_SLOTS_MAX, i % CFS_CONN_SLOTS_MAX);
			if (!conn)
				continue;
			any = true;
			call(conn, arg);
			cfs_conn_put(conn);
		}
	}
	return any;
}

static void cfs_conn_abort(struct cfs_conn *conn, void *csb)
{
	struct cfs_pkt *pkt;
	bool hit = false;

	spin_lock(&conn->lock);
	list_for_each_entry(pkt, &conn->sent, link)
		hit |= pkt->csb == csb;
	list_for_each_entry(pkt, &conn->txq, link)
		hit |= pkt->csb == csb;
	spin_unlock(&conn->lock);
	if (hit)
		cfs_conn_kill(conn, -ECANCELED);
}

/**
 * cfs_conn_abort_sb - umount -f: kill every connection that carries a packet of a mount
 * @csb: Mount.
 *
 * Other mounts' packets on these connections are tried again by their owners.
 */
void cfs_conn_abort_sb(struct cfs_sb *csb)
{
	cfs_conn_each(cfs_conn_abort, csb);
}

static void cfs_conn_tell_up(struct cfs_conn *conn, void *unused)
{
	spin_lock(&conn->lock);
	conn->tell_again = 0;
	spin_unlock(&conn->lock);
	if (READ_ONCE(conn->state) == CFS_CONN_UP)
		cfs_conn_event(conn, CFS_EV_CONN_UP, 0);
}

/**
 * cfs_conn_tell_all - a new daemon hears of the connections that its predecessor ordered, and then
 *                     of their silence
 *
 * Context: Process.
 */
void cfs_conn_tell_all(void)
{
	cfs_conn_each(cfs_conn_tell_up, NULL);
}

/* ---- silence ---- */

/* Have requests waited for @ms without a sign of the peer? */
static bool cfs_conn_silent(struct cfs_conn *conn, unsigned int ms)
{
	lockdep_assert_held(&conn->lock);
	return !list_empty(&conn->sent) &&
	       time_after(jiffies, conn->progress + msecs_to_jiffies(ms));
}

/* Silent for so long, a connection is taken for dead whatever its path. */
static unsigned int cfs_conn_limit_ms(struct cfs_conn *conn)
{
	struct cfs_pkt *head;

	lockdep_assert_held(&conn->lock);
	head = list_first_entry_or_null(&conn->sent, struct cfs_pkt, link);
	if (head && head->hdr.opcode == CFS_DOP_CREATE_EXTENT)
		return CFS_CREATE_SILENCE_S * MSEC_PER_SEC;
	return (conn->class == CFS_CONN_READ ? CFS_READ_SILENCE_S : CFS_CONN_SILENCE_S) *
	       MSEC_PER_SEC;
}

static void cfs_conn_listen(struct cfs_conn *conn, void *unused)
{
	bool dead, tell;

	spin_lock(&conn->lock);
	dead = cfs_conn_silent(conn, cfs_conn_limit_ms(conn));
	tell = !dead && cfs_conn_silent(conn, CFS_SILENT_MS) &&
	       (conn->told != conn->progress || cfs_passed(conn->tell_again));
	if (tell) {
		conn->told = conn->progress;
		conn->tell_again = cfs_after_ms(CFS_SILENT_AGAIN_MS);
	}
	spin_unlock(&conn->lock);
	if (dead)
		cfs_conn_kill(conn, -ETIMEDOUT);
	else if (tell)
		cfs_conn_event(conn, CFS_EV_CONN_SILENT, 0);
}

/* Every CFS_TICK_MS while there are connections. */
static void cfs_conn_tick(struct work_struct *work)
{
	if (cfs_conn_each(cfs_conn_listen, NULL))
		queue_delayed_work(cfs_io_wq, &cfs_tick_work, msecs_to_jiffies(CFS_TICK_MS));
}

/* ---- orders ---- */

static void cfs_conn_connect(struct work_struct *work)
{
	struct cfs_conn *conn = container_of(work, struct cfs_conn, connect_work);
	int err = cfs_transport_open(conn);
	bool up;

	if (err) {
		cfs_conn_kill(conn, err);
		return;
	}
	cfs_transport_hook(conn);
	spin_lock(&conn->lock);
	conn->progress = jiffies;
	conn->heard = jiffies;
	up = cfs_conn_move(conn, CFS_CONN_UP);
	spin_unlock(&conn->lock);
	if (!up)
		return;		/* closed meanwhile: the close work waits for us and frees the
				 * socket
				 */
	cfs_conn_event(conn, CFS_EV_CONN_UP, 0);
	cfs_wake_waiters();
	/* What came before the hook. */
	queue_work(cfs_io_wq, &conn->rx_work);
}

static u16 cfs_conn_window(u32 class)
{
	switch (class) {
	case CFS_CONN_READ:
		return CFS_READ_WINDOW;
	case CFS_CONN_APPEND:
		return CFS_APPEND_WINDOW;
	default:
		return 1;	/* overwrites: one raft round at a time, and nothing else may have
				 * an unknown outcome
				 */
	}
}

static struct cfs_conn *cfs_conn_new(struct cfs_node_obj *node, const struct cfs_connect *c)
{
	struct cfs_conn *conn = kzalloc(sizeof(*conn), GFP_KERNEL);

	if (!conn)
		return NULL;
	conn->node = node;
	conn->class = c->conn_class;
	conn->index = c->conn_slot;
	conn->window = cfs_conn_window(c->conn_class);
	conn->connect_ms = c->timeout_ms ?: 1000;
	refcount_set(&conn->ref, 1);
	spin_lock_init(&conn->lock);
	INIT_LIST_HEAD(&conn->txq);
	INIT_LIST_HEAD(&conn->sent);
	mutex_init(&conn->tx);
	init_waitqueue_head(&conn->idle);
	INIT_WORK(&conn->connect_work, cfs_conn_connect);
	INIT_WORK(&conn->tx_work, cfs_transport_tx);
	INIT_WORK(&conn->rx_work, cfs_transport_rx);
	INIT_WORK(&conn->close_work, cfs_conn_close);
	return conn;
}

/**
 * cfs_conn_order - CFS_IOC_CONNECT: begin to connect
 * @c: Judged by dev.c.
 *
 * Return:  0, and a CONN_UP or CONN_DOWN event follows; also 0 when the slot is connecting or up
 *          (an UP event is repeated for a daemon that is new). -ENOENT (unknown node), -ENOMEM.
 */
int cfs_conn_order(const struct cfs_connect *c)
{
	struct cfs_node_obj *node = cfs_node_find(c->node);
	struct cfs_conn *conn, **slot, *old;

	if (!node)
		return -ENOENT;
	conn = cfs_conn_new(node, c);
	if (!conn)
		return -ENOMEM;
	slot = &node->class[c->conn_class].slot[c->conn_slot];
	spin_lock(&node->lock);
	old = *slot;
	if (old) {
		cfs_conn_get(old);
	} else {
		*slot = conn;
		queue_work(cfs_io_wq, &conn->connect_work);
	}
	spin_unlock(&node->lock);
	queue_delayed_work(cfs_io_wq, &cfs_tick_work, msecs_to_jiffies(CFS_TICK_MS));
	if (!old)
		return 0;
	if (READ_ONCE(old->state) == CFS_CONN_UP)
		cfs_conn_event(old, CFS_EV_CONN_UP, 0);
	cfs_conn_put(old);
	cfs_conn_put(conn);
	return 0;
}

/**
 * cfs_conn_close_order - CFS_IOC_CLOSE: end a connection
 * @c: Judged by dev.c.
 *
 * Return:  0, and a CONN_DOWN event with -ESHUTDOWN follows, or with -ETIMEDOUT, which speaks against
 *          the node, when that is lost; -ENOENT when there is none; -EAGAIN when it is not silent as
 *          the order says.
 */
int cfs_conn_close_order(const struct cfs_connect *c)
{
	struct cfs_node_obj *node = cfs_node_find(c->node);
	struct cfs_conn *conn = node ? cfs_conn_at(node, c->conn_class, c->conn_slot) : NULL;
	bool close;

	if (!conn)
		return -ENOENT;
	spin_lock(&conn->lock);
	close = !c->timeout_ms || cfs_conn_silent(conn, c->timeout_ms);
	spin_unlock(&conn->lock);
	if (close)
		cfs_conn_kill(conn, c->flags & CFS_CLOSE_LOST ? -ETIMEDOUT : -ESHUTDOWN);
	cfs_conn_put(conn);
	return close ? 0 : -EAGAIN;
}

/* ---- choice ---- */

/*
 * Least busy live connection, the search beginning one further each time so that equals take turns.
 */
static struct cfs_conn *cfs_conn_least_busy(struct cfs_node_class *c)
{
	struct cfs_conn *best = NULL;
	u32 i, load, least = U32_MAX;

	for (i = 0; i < CFS_CONN_SLOTS_MAX; i++) {
		struct cfs_conn *conn = c->slot[(c->turn + i) % CFS_CONN_SLOTS_MAX];

		if (!conn || READ_ONCE(conn->state) != CFS_CONN_UP)
			continue;
		load = READ_ONCE(conn->nsent) + READ_ONCE(conn->nqueued);
		if (load < least) {
			best = conn;
			least = load;
		}
	}
	c->turn++;
	return best;
}

/**
 * cfs_conn_pick - a connection to a node
 * @node:  Node.
 * @class: Connection class.
 * @csb:   Mount whose I/O needs it, for the event.
 *
 * Context: Process; allocates with GFP_NOFS when the daemon has to be asked.
 * Return:  strong reference, or NULL when there is none. Then wait with cfs_wait_change().
 */
struct cfs_conn *cfs_conn_pick(struct cfs_node_obj *node, enum cfs_conn_class class,
			       struct cfs_sb *csb)
{
	struct cfs_node_class *c = &node->class[class];
	struct cfs_req req = {};
	struct cfs_conn *conn;
	bool ask = false;

	spin_lock(&node->lock);
	conn = cfs_conn_least_busy(c);
	if (conn)
		cfs_conn_get(conn);
	else
		ask = cfs_may_ask(&c->asked);
	spin_unlock(&node->lock);
	if (ask) {
		req.event.kind = CFS_EV_NEED_CONN;
		req.event.node = node->id;
		req.event.conn_class = class;
		cfs_event(csb, &req);
	}
	return conn;
}

/**
 * cfs_conn_await - a connection to a node that others can stand in for
 * @node:  Node.
 * @class: Connection class.
 * @csb:   Mount whose I/O needs it.
 * @since: jiffies64 since which the caller waits for this node, 0: it does not. Kept here.
 *
 * Context: Process, as cfs_conn_pick().
 * Return:  strong reference; NULL: it is worth waiting for, with cfs_wait_change();
 *          ERR_PTR(-EHOSTUNREACH): it failed a short time ago or has been waited for too long, so
 *          it is another one's turn.
 */
struct cfs_conn *cfs_conn_await(struct cfs_node_obj *node, enum cfs_conn_class class,
				struct cfs_sb *csb, u64 *since)
{
	struct cfs_conn *conn = cfs_conn_pick(node, class, csb);

	if (conn) {
		*since = 0;
		return conn;
	}
	if (!*since)
		*since = get_jiffies_64();
	if (!cfs_node_suspect(node, class) &&
	    !cfs_passed(*since + msecs_to_jiffies(CFS_HOST_WAIT_MS)))
		return NULL;
	*since = 0;
	return ERR_PTR(-EHOSTUNREACH);
}

/* ---- module ---- */

int cfs_conn_init(void)
{
	cfs_io_wq = alloc_workqueue("cubefs_io", WQ_UNBOUND | WQ_MEM_RECLAIM | WQ_HIGHPRI, 0);
	return cfs_io_wq ? 0 : -ENOMEM;
}

/* No mount and no daemon is left: nothing is outstanding and nobody orders. */
void cfs_conn_exit(void)
{
	struct cfs_node_obj *node;
	struct cfs_connect c = {};
	unsigned long id;

	WRITE_ONCE(cfs_conn_exiting, true);
	xa_for_each(&cfs_nodes, id, node) {
		c.node = node->id;
		for (c.conn_class = 0; c.conn_class < CFS_CONN_CLASSES; c.conn_class++)
			for (c.conn_slot = 0; c.conn_slot < CFS_CONN_SLOTS_MAX; c.conn_slot++)
				cfs_conn_close_order(&c);
	}
	cancel_delayed_work_sync(&cfs_tick_work);
	flush_workqueue(cfs_io_wq);
	destroy_workqueue(cfs_io_wq);
	xa_for_each(&cfs_nodes, id, node)
		kfree(node);
	xa_destroy(&cfs_nodes);
}
