// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: partitions and their replicas, as the daemon publishes them, and the choice of a
 * partition for new data.
 *
 * Purpose   Rows by partition id, ranked lists of writable partitions by storage class, penalties
 *           after failures.
 * Lifetime  A row is replaced as a whole and freed after a grace period when its last user drops
 *           it; penalties move on to the new row. Everything of a mount is freed by
 *           cfs_view_sb_free(), when no I/O is left.
 * Locks     csb->view_lock for writers; readers use RCU. Penalties are single words, written and
 *           read without a lock: a lost update costs one failed attempt.
 * Contexts  Publishing: the daemon's ioctl. Reading: the data path, any context that may allocate
 *           GFP_NOFS (events).
 * Failure   What is missing is asked for by an event, at most once in CFS_ASK_MS; the caller waits
 *           with cfs_wait_change().
 */
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include "conn.h"

#define CFS_ASK_MS	500	/* least time between two events of a kind and mount */
/* Status of a partition: takes new extents, or not. Source: CubeFS v3.5.3, proto/status.go. */
#define CFS_DP_RO	1
#define CFS_DP_RW	2

/**
 * cfs_view_sb_init - empty tables of a new mount
 * @csb: Mount.
 */
void cfs_view_sb_init(struct cfs_sb *csb)
{
	xa_init(&csb->dps);
	mutex_init(&csb->view_lock);
}

/**
 * cfs_view_sb_free - free the tables of a mount
 * @csb: Mount without I/O and without a session that the daemon could publish to.
 */
void cfs_view_sb_free(struct cfs_sb *csb)
{
	struct cfs_dp *dp;
	unsigned long id;
	int i;

	xa_for_each(&csb->dps, id, dp)
		cfs_dp_put(dp);
	xa_destroy(&csb->dps);
	for (i = 0; i < ARRAY_SIZE(csb->writable); i++)
		kvfree(rcu_dereference_protected(csb->writable[i], true));
}

/**
 * cfs_dp_put - drop a reference to a row
 * @dp: Row or NULL.
 */
void cfs_dp_put(struct cfs_dp *dp)
{
	if (dp && refcount_dec_and_test(&dp->ref))
		kfree_rcu(dp, rcu);
}

/**
 * cfs_dp_get - the row of a partition
 * @csb: Mount.
 * @id:  Partition id.
 *
 * Return:  strong reference, or NULL when the daemon has not published it.
 */
struct cfs_dp *cfs_dp_get(struct cfs_sb *csb, u64 id)
{
	struct cfs_dp *dp;

	rcu_read_lock();
	dp = xa_load(&csb->dps, id);
	if (dp && !refcount_inc_not_zero(&dp->ref))
		dp = NULL;
	rcu_read_unlock();
	return dp;
}

/*
 * Follower list of appends. Source: CubeFS v3.5.3, sdk/data/stream/extent_handler.go,
 * datanode/repl/packet.go.
 */
static void cfs_dp_arg(struct cfs_dp *dp)
{
	u16 len = 0;
	int i;

	if (dp->nhosts == 1)
		dp->arg[len++] = '/';
	for (i = 1; i < dp->nhosts; i++)
		len += scnprintf(dp->arg + len, sizeof(dp->arg) - len, "%s/", dp->hosts[i]->name);
	dp->arg_len = len;
}

static struct cfs_dp *cfs_dp_new(const struct cfs_dp_row *row)
{
	struct cfs_dp *dp = kzalloc(sizeof(*dp), GFP_KERNEL);
	int i;

	if (!dp)
		return ERR_PTR(-ENOMEM);
	dp->id = row->partition_id;
	dp->status = row->status;
	dp->media = row->media;
	dp->nhosts = row->nhosts;
	dp->leader = row->leader;
	dp->flags = row->flags;
	refcount_set(&dp->ref, 1);
	for (i = 0; i < row->nhosts; i++) {
		dp->hosts[i] = cfs_node_find(row->hosts[i]);
		if (!dp->hosts[i]) {
			kfree(dp);
			return ERR_PTR(-ENOENT);
		}
	}
	cfs_dp_arg(dp);
	return dp;
}

static int cfs_view_put_row(struct cfs_sb *csb, const struct cfs_dp_row *row)
{
	struct cfs_dp *dp = cfs_dp_new(row), *old;

	lockdep_assert_held(&csb->view_lock);
	if (IS_ERR(dp))
		return PTR_ERR(dp);
	old = xa_load(&csb->dps, dp->id);
	if (old) {
		dp->penalty_until = READ_ONCE(old->penalty_until);
		dp->full_until = READ_ONCE(old->full_until);
		dp->tiny_until = READ_ONCE(old->tiny_until);
	}
	old = xa_store(&csb->dps, dp->id, dp, GFP_KERNEL);
	if (xa_is_err(old)) {
		cfs_dp_put(dp);
		return xa_err(old);
	}
	cfs_dp_put(old);
	return 0;
}

/**
 * cfs_view_publish - CFS_IOC_VIEW: insert or replace rows
 * @csb:   Mount.
 * @rows:  Judged by dev.c.
 * @nrows: How many.
 *
 * Return:  0; -ENOENT: node not announced, the rows before stay; -ENOMEM.
 */
int cfs_view_publish(struct cfs_sb *csb, const struct cfs_dp_row *rows, u32 nrows)
{
	int ret = 0;
	u32 i;

	mutex_lock(&csb->view_lock);
	for (i = 0; i < nrows && !ret; i++)
		ret = cfs_view_put_row(csb, &rows[i]);
	mutex_unlock(&csb->view_lock);
	cfs_wake_waiters();
	return ret;
}

/**
 * cfs_view_writable - CFS_IOC_WRITABLE: replace a ranked list
 * @csb:           Mount.
 * @storage_class: Class of the files it is for; judged by dev.c.
 * @ids:           Partition ids, best first.
 * @count:         How many.
 *
 * Return:  0 or -ENOMEM.
 */
int cfs_view_writable(struct cfs_sb *csb, u32 storage_class, const u64 *ids, u32 count)
{
	struct cfs_writable_list *list, *old;

	list = kvzalloc(struct_size(list, ids, count), GFP_KERNEL);
	if (!list)
		return -ENOMEM;
	list->count = count;
	memcpy(list->ids, ids, count * sizeof(*ids));
	mutex_lock(&csb->view_lock);
	old = rcu_replace_pointer(csb->writable[storage_class], list,
				  lockdep_is_held(&csb->view_lock));
	mutex_unlock(&csb->view_lock);
	if (old)
		kvfree_rcu(old, rcu);
	cfs_wake_waiters();
	return 0;
}

/* ---- events ---- */

/**
 * cfs_may_ask - may the daemon be told again?
 * @last: jiffies64 of the last time; racing callers may both be told yes.
 */
bool cfs_may_ask(u64 *last)
{
	u64 before = READ_ONCE(*last);

	if (before && !cfs_passed(before + msecs_to_jiffies(CFS_ASK_MS)))
		return false;
	WRITE_ONCE(*last, get_jiffies_64());
	return true;
}

/**
 * cfs_dp_refused - tell the daemon what a partition answered
 * @csb:    Mount.
 * @dp:     Row.
 * @node:   Who answered.
 * @result: What.
 */
void cfs_dp_refused(struct cfs_sb *csb, struct cfs_dp *dp, struct cfs_node_obj *node, u8 result)
{
	struct cfs_req req = {};

	req.event.kind = CFS_EV_DP_REFUSED;
	req.event.partition_id = dp->id;
	req.event.node = node->id;
	req.event.error = result;
	cfs_event(csb, &req);
}

/**
 * cfs_dp_need - I/O waits for a row that is missing
 * @csb: Mount.
 * @id:  Partition id.
 */
void cfs_dp_need(struct cfs_sb *csb, u64 id)
{
	struct cfs_req req = {};

	if (READ_ONCE(csb->asked_dp_id) != id)
		WRITE_ONCE(csb->asked_dp, 0);
	WRITE_ONCE(csb->asked_dp_id, id);
	if (!cfs_may_ask(&csb->asked_dp))
		return;
	req.event.kind = CFS_EV_NEED_DP;
	req.event.partition_id = id;
	cfs_event(csb, &req);
}

static void cfs_need_writable(struct cfs_sb *csb, u32 storage_class)
{
	struct cfs_req req = {};

	if (!cfs_may_ask(&csb->asked_writable[storage_class]))
		return;
	req.event.kind = CFS_EV_NEED_WRITABLE;
	req.event.storage_class = storage_class;
	cfs_event(csb, &req);
}

/* ---- penalties and choice ---- */

/**
 * cfs_dp_penalise - do not put new extents on a partition for a while
 * @csb:     Mount.
 * @dp:      Row, perhaps replaced meanwhile: the present one is marked as well.
 * @result:  What it answered, for the daemon; CFS_RC_INIT: it did not.
 * @seconds: How long.
 */
void cfs_dp_penalise(struct cfs_sb *csb, struct cfs_dp *dp, u8 result, unsigned int seconds)
{
	u64 until = get_jiffies_64() + seconds * HZ;
	struct cfs_dp *now = cfs_dp_get(csb, dp->id);

	WRITE_ONCE(dp->penalty_until, until);
	if (now)
		WRITE_ONCE(now->penalty_until, until);
	if (now && result == CFS_RC_DISK_NO_SPACE)
		WRITE_ONCE(now->full_until, until);
	cfs_dp_put(now);
	/* A penalty that is renewed again and again must not keep the daemon from looking. */
	if (result != CFS_RC_INIT && cfs_may_ask(&dp->told))
		cfs_dp_refused(csb, dp, dp->hosts[0], result);
}

/**
 * cfs_dp_has_space - a partition took a new extent
 * @csb: Mount.
 * @dp:  Row, perhaps replaced meanwhile.
 */
void cfs_dp_has_space(struct cfs_sb *csb, struct cfs_dp *dp)
{
	struct cfs_dp *now = cfs_dp_get(csb, dp->id);

	if (now && READ_ONCE(now->full_until))
		WRITE_ONCE(now->full_until, 0);
	cfs_dp_put(now);
}

/**
 * cfs_dp_no_tiny - a partition has no tiny slot: use normal extents for a while
 * @dp: Row.
 */
void cfs_dp_no_tiny(struct cfs_dp *dp)
{
	WRITE_ONCE(dp->tiny_until, get_jiffies_64() + CFS_TINY_PENALTY_S * HZ);
}

static bool cfs_dp_class_ok(struct cfs_dp *dp, u32 storage_class)
{
	return !dp->media || !storage_class || dp->media == storage_class;
}

static bool cfs_dp_usable(struct cfs_dp *dp, u32 storage_class, s8 status)
{
	return dp->status == status && !(dp->flags & CFS_DP_DISCARD) &&
	       cfs_dp_class_ok(dp, storage_class);
}

/**
 * cfs_view_full - is there no space left, as far as known?
 * @csb:           Mount.
 * @storage_class: Class of the file.
 *
 * A partition that takes nothing because a node is down has space when it is back: only if each one
 * said "no space" itself a short time ago, or the daemon knows of none that may be asked (the
 * volume is read-only because it is full), waiting is of no use.
 *
 * Return:  true when that is so.
 */
bool cfs_view_full(struct cfs_sb *csb, u32 storage_class)
{
	struct cfs_writable_list *list;
	bool full = false;
	struct cfs_dp *dp;
	unsigned long id;

	if (storage_class >= ARRAY_SIZE(csb->writable))
		return false;
	rcu_read_lock();
	list = rcu_dereference(csb->writable[storage_class]);
	if (list && !list->count) {
		rcu_read_unlock();
		return true;
	}
	xa_for_each(&csb->dps, id, dp) {
		if (dp->flags & CFS_DP_DISCARD || !cfs_dp_class_ok(dp, storage_class))
			continue;
		full = !cfs_passed(READ_ONCE(dp->full_until));
		if (!full)
			break;
	}
	rcu_read_unlock();
	return full;
}

/*
 * What speaks against a partition, summed up so that less is better: what a vain attempt costs comes
 * first. 0: nothing.
 */
enum cfs_dp_fault {
	CFS_DP_FAILED = 1,		/* some time ago, or has no tiny slots: refuses at once */
	CFS_DP_FAILED_NOW = 2,
	CFS_DP_FOLLOWER_AWAY = 4,	/* suspected; every replica is needed, and it may be silent */
	CFS_DP_PRIMARY_AWAY = 8,
	CFS_DP_READ_ONLY = 16,
};

static u32 cfs_dp_fault(struct cfs_dp *dp, u64 avoid, bool tiny)
{
	u32 fault = 0;
	int i;

	if (dp->id == avoid)
		fault = CFS_DP_FAILED_NOW;
	else if (!cfs_passed(READ_ONCE(dp->penalty_until)) ||
		 (tiny && !cfs_passed(READ_ONCE(dp->tiny_until))))
		fault = CFS_DP_FAILED;
	for (i = 0; i < dp->nhosts; i++)
		if (cfs_node_suspect(dp->hosts[i], CFS_CONN_APPEND))
			fault |= i ? CFS_DP_FOLLOWER_AWAY : CFS_DP_PRIMARY_AWAY;
	return fault;
}

/**
 * cfs_dp_get_writable - the row of a partition to append to an extent it has
 * @csb:           Mount.
 * @id:            Partition id.
 * @storage_class: Class of the file.
 *
 * Return:  strong reference; NULL when the partition is not known, takes no appends, or failed a
 *          short time ago.
 */
struct cfs_dp *cfs_dp_get_writable(struct cfs_sb *csb, u64 id, u32 storage_class)
{
	struct cfs_dp *dp = cfs_dp_get(csb, id);

	if (dp && cfs_dp_usable(dp, storage_class, CFS_DP_RW) && !cfs_dp_fault(dp, 0, false))
		return dp;
	cfs_dp_put(dp);
	return NULL;
}

/**
 * cfs_dp_pick - a partition for new data
 * @csb:           Mount.
 * @storage_class: Class of the file, 0: any.
 * @avoid:         Partition that just failed, 0: none.
 * @tiny:          It must have tiny slots, as far as known.
 *
 * The list is walked from a place that moves on, so that streams spread; the first partition
 * without a fault wins. If all have one, the first with the least is taken rather than none, except
 * for tiny writes, which have an alternative. With none usable a read-only one is asked: it may be
 * so because it is full or because a replica is away, and only it can say which.
 *
 * Return:  strong reference or NULL.
 */
struct cfs_dp *cfs_dp_pick(struct cfs_sb *csb, u32 storage_class, u64 avoid, bool tiny)
{
	struct cfs_writable_list *list;
	struct cfs_dp *best = NULL, *dp;
	u32 i, start, fault, least = U32_MAX;

	if (storage_class >= ARRAY_SIZE(csb->writable))
		return NULL;
	start = atomic_inc_return(&csb->dp_turn);
	rcu_read_lock();
	list = rcu_dereference(csb->writable[storage_class]);
	for (i = 0; list && i < list->count && least; i++) {
		dp = xa_load(&csb->dps, list->ids[(start + i) % list->count]);
		if (!dp)
			continue;
		if (cfs_dp_usable(dp, storage_class, CFS_DP_RW))
			fault = 0;
		else if (cfs_dp_usable(dp, storage_class, CFS_DP_RO))
			fault = CFS_DP_READ_ONLY;
		else
			continue;
		fault |= cfs_dp_fault(dp, avoid, tiny);
		if (fault < least && !(fault && tiny)) {
			best = dp;
			least = fault;
		}
	}
	if (best && !refcount_inc_not_zero(&best->ref))
		best = NULL;
	rcu_read_unlock();
	if (least && !tiny)
		cfs_need_writable(csb, storage_class);
	return best;
}
