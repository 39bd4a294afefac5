// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: inodes made ahead of their names.
 *
 * Purpose   Where files are made one after the other, the answer to a create brings the inode of
 *           the next one in this directory, which then waits for its name only.
 * Lifetime  struct cfs_ahead belongs to a create, then to its mount's list, until the next create
 *           takes it. What none has taken for CFS_AHEAD_MS, or until unmount, is given back: its
 *           EVICT was prepared. A create spends its inode in any case, unless no daemon saw it.
 * Locks     csb->ahead_lock, a leaf.
 * Contexts  Process.
 * Failure   A daemon or host that dies meanwhile leaves at most the inodes of creates in flight.
 *
 * CFS_AHEAD_MS is also how much older than its name a file's time may be, so it is about as long as
 * the clocks of servers differ.
 */
#include <linux/fs.h>
#include <linux/slab.h>
#include "cfs.h"

#define CFS_AHEAD_MS	50

struct cfs_ahead {
	struct list_head node;		/* ahead_lock */
	struct cfs_attr attr;		/* ino 0: not made yet */
	struct cfs_call *evict;		/* prepared */
	u64 parent;			/* this and the next line: of the request it was made for */
	u32 mode, uid, gid;
	struct inode *dir;		/* held, while a create owns this */
	u64 made;			/* jiffies64 before it was made */
};

static void cfs_ahead_free(struct cfs_ahead *a)
{
	cfs_call_put(a->evict);
	kfree(a);
}

/* Nothing of another owner or mode, and nothing old. */
static bool cfs_ahead_fits(const struct cfs_ahead *a, const struct cfs_req *r)
{
	return a->parent == r->ino && a->mode == r->create.mode && a->uid == r->uid &&
	       a->gid == r->create.gid &&
	       get_jiffies_64() - a->made <= msecs_to_jiffies(CFS_AHEAD_MS);
}

static struct cfs_ahead *cfs_ahead_take(struct cfs_sb *csb, const struct cfs_req *r)
{
	struct cfs_ahead *a, *found = NULL;

	spin_lock(&csb->ahead_lock);
	list_for_each_entry(a, &csb->ahead, node) {
		if (cfs_ahead_fits(a, r)) {
			found = a;
			list_del(&a->node);
			break;
		}
	}
	spin_unlock(&csb->ahead_lock);
	return found;
}

static struct cfs_ahead *cfs_ahead_new(struct inode *dir, const struct cfs_req *r)
{
	struct cfs_ahead *a = kzalloc(sizeof(*a), GFP_KERNEL);

	if (!a)
		return NULL;
	a->evict = cfs_inode_call(dir, CFS_OP_EVICT);
	if (!a->evict) {
		kfree(a);
		return NULL;
	}
	a->evict->done = cfs_call_put;
	a->evict->req.evict.flags = CFS_EVICT_UNLINK;
	a->parent = r->ino;
	a->mode = r->create.mode;
	a->uid = r->uid;
	a->gid = r->create.gid;
	return a;
}

static void cfs_ahead_store(struct cfs_sb *csb, struct cfs_ahead *a)
{
	spin_lock(&csb->ahead_lock);
	list_add_tail(&a->node, &csb->ahead);
	spin_unlock(&csb->ahead_lock);
	schedule_delayed_work(&csb->ahead_work, msecs_to_jiffies(CFS_AHEAD_MS) + 1);
}

/* The answer is there, or none will come: keep what it brought, or what was not spent. */
static void cfs_ahead_answered(struct cfs_call *call)
{
	const struct cfs_attr *reply = call->reply;
	struct cfs_ahead *a = call->priv;
	struct inode *dir = a->dir;

	if (call->sent) {
		memset(&a->attr, 0, sizeof(a->attr));
		if (call->res >= 0 && call->reply_len >= 2 * sizeof(*reply) &&
		    reply->flags & CFS_ATTR_AHEAD)
			a->attr = reply[1];
		a->evict->req.ino = a->attr.ino;
		a->made = call->since;
	}
	if (a->attr.ino)
		cfs_ahead_store(call->csb, a);
	else
		cfs_ahead_free(a);
	cfs_inode_release(dir);
}

static void cfs_ahead_late(struct cfs_call *call)
{
	cfs_ahead_answered(call);
	cfs_call_put(call);
}

/**
 * cfs_ahead_begin - before a create is sent
 * @dir:  Its directory.
 * @call: CREATE, filled except for create.flags and data of a regular file. Its inode, if there is
 *        one that fits, goes with it; the next one is asked for when the last create here was a
 *        moment ago.
 *
 * Context: Process, may sleep. cfs_ahead_end() must follow.
 */
void cfs_ahead_begin(struct inode *dir, struct cfs_call *call)
{
	u64 now = get_jiffies_64(), last = READ_ONCE(CFS_I(dir)->created_at);
	struct cfs_ahead *a;

	if (!S_ISREG(call->req.create.mode))
		return;
	WRITE_ONCE(CFS_I(dir)->created_at, now);
	if (now - last > msecs_to_jiffies(CFS_AHEAD_MS))
		return;
	a = cfs_ahead_take(call->csb, &call->req) ?: cfs_ahead_new(dir, &call->req);
	if (!a)
		return;
	call->req.create.flags = CFS_CREATE_AHEAD;
	if (a->attr.ino) {
		call->req.create.flags |= CFS_CREATE_MADE;
		cfs_call_data(call, &a->attr, sizeof(a->attr));
	}
	a->dir = dir;
	cfs_inode_hold(dir);
	call->priv = a;
	call->late = cfs_ahead_late;
}

/**
 * cfs_ahead_end - after cfs_call_sync() of the create has returned
 * @call: CREATE that cfs_ahead_begin() has seen.
 *
 * Context: Process.
 */
void cfs_ahead_end(struct cfs_call *call)
{
	if (call->priv && !call->done)		/* else it is cfs_ahead_late()'s */
		cfs_ahead_answered(call);
}

static void cfs_ahead_give_back(struct cfs_sb *csb, bool all)
{
	u64 age = msecs_to_jiffies(CFS_AHEAD_MS), now = get_jiffies_64();
	struct cfs_ahead *a, *next;
	LIST_HEAD(old);

	spin_lock(&csb->ahead_lock);
	list_for_each_entry_safe(a, next, &csb->ahead, node)
		if (all || now - a->made > age)
			list_move_tail(&a->node, &old);
	if (!list_empty(&csb->ahead))
		schedule_delayed_work(&csb->ahead_work, age + 1);
	spin_unlock(&csb->ahead_lock);
	list_for_each_entry_safe(a, next, &old, node) {
		cfs_call_async(a->evict);
		kfree(a);
	}
}

static void cfs_ahead_expire(struct work_struct *work)
{
	cfs_ahead_give_back(container_of(to_delayed_work(work), struct cfs_sb, ahead_work), false);
}

/* cfs_ahead_sb_init - for a new struct cfs_sb */
void cfs_ahead_sb_init(struct cfs_sb *csb)
{
	spin_lock_init(&csb->ahead_lock);
	INIT_LIST_HEAD(&csb->ahead);
	INIT_DELAYED_WORK(&csb->ahead_work, cfs_ahead_expire);
}

/**
 * cfs_ahead_sb_exit - give back what is left
 * @csb: Mount in which no create runs any more.
 *
 * Context: Process, sleeps.
 */
void cfs_ahead_sb_exit(struct cfs_sb *csb)
{
	cancel_delayed_work_sync(&csb->ahead_work);
	cfs_ahead_give_back(csb, true);
}
