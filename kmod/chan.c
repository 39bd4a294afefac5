// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: request channel between the file system and the daemon.
 *
 * Purpose   Queues calls, hands them to the daemon's io_uring commands, takes the answers, and
 *           keeps what a daemon left half done for the next one. One channel serves all mounts of
 *           the host.
 * Lifetime  The channel lives as long as the module. A call has a reference of its caller (or of
 *           its done function), one of the channel from submission until DONE, and one of a
 *           delivery under way. A parked command belongs to io_uring; it is ours only while it is
 *           on chan.parked.
 * Slots     A call is delivered only when it has a slot, i.e. a progress record. Calls without one
 *           wait in chan.starved. The last slots are kept for calls that write-back waits for, and
 *           so are the last fetch commands: names and attributes cannot block a COMMIT.
 * Locks     chan.lock guards everything marked L and the states; it nests nothing but the locks
 *           inside completions and wait queues. Never held over a user copy, an allocation or
 *           cfs_call_put().
 * Contexts  Everything here runs in process context. cfs_deliver_tw() runs as task work of the
 *           daemon.
 * Failure   Daemon gone: calls stay, waiters leave after the mount's deadline or when killed.
 *           Half-done operations that must not be repeated blindly stay even then, until a daemon
 *           has finished them.
 */
#include <linux/list_sort.h>
#include <linux/mm.h>
#include <linux/nsproxy.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include "chan.h"
#include "trace.h"

#define CFS_CALL_RESERVE	32	/* calls that can be made without memory */
/* an attached daemon may answer that long after the last user left */
#define CFS_UNMOUNT_WAIT_S	30

struct cfs_chan cfs_chan;

enum cfs_lane cfs_lane(const struct cfs_call *call)
{
	switch (call->req.op) {
	case CFS_OP_COMMIT:
		return CFS_LANE_COMMIT;
	case CFS_OP_EXTENTS:
	case CFS_OP_EVICT:
	case CFS_OP_EVENT:
	case CFS_OP_UNMOUNT:
		return CFS_LANE_SYSTEM;
	}
	return CFS_LANE_USER;
}

/* May be dropped or done again whatever a former daemon did (enum cfs_op). */
static bool cfs_repeatable(const struct cfs_call *call)
{
	switch (call->req.op) {
	case CFS_OP_CREATE:
	case CFS_OP_TMPFILE:
	case CFS_OP_UNLINK:
	case CFS_OP_RENAME:
	case CFS_OP_LINK:
		return false;
	}
	return true;
}

/* ---- states; chan.lock is held ---- */
/* The only place that changes a call's state. */
void cfs_call_move(struct cfs_call *call, enum cfs_call_state to)
{
	static const u8 legal[CFS_CALL_STATES] = {
		[CFS_CALL_FREE]	  = BIT(CFS_CALL_QUEUED),
		[CFS_CALL_QUEUED] = BIT(CFS_CALL_SENT) | BIT(CFS_CALL_ORPHAN) |
				    BIT(CFS_CALL_DONE),
		[CFS_CALL_SENT]	  = BIT(CFS_CALL_QUEUED) | BIT(CFS_CALL_ORPHAN) |
				    BIT(CFS_CALL_DONE),
		[CFS_CALL_ORPHAN] = BIT(CFS_CALL_QUEUED) | BIT(CFS_CALL_DONE),
	};
	bool was = call->state == CFS_CALL_SENT || call->state == CFS_CALL_ORPHAN;
	bool is = to == CFS_CALL_SENT || to == CFS_CALL_ORPHAN;

	lockdep_assert_held(&cfs_chan.lock);
	WARN_ON_ONCE(!(legal[call->state] & BIT(to)));
	cfs_chan.sent += is - was;
	call->sent |= is;
	call->state = to;
	if (to == CFS_CALL_QUEUED)
		trace_cfs_request_queued(call);
	else if (is && !was)
		trace_cfs_request_sent(call);
}

static bool cfs_has_slot(const struct cfs_call *call)
{
	return call->req.id;
}

/* Give a QUEUED call a slot, if its class may have one. Its node must be on no list. */
static bool cfs_chan_admit(struct cfs_call *call)
{
	static const unsigned int kept[CFS_LANES] = {
		[CFS_LANE_SYSTEM] = CFS_SLOTS / 64,
		[CFS_LANE_USER] = CFS_SLOTS / 16,
	};
	unsigned int slot;

	lockdep_assert_held(&cfs_chan.lock);
	if (cfs_chan.free <= kept[cfs_lane(call)])
		return false;
	slot = find_first_zero_bit(cfs_chan.used, CFS_SLOTS);
	__set_bit(slot, cfs_chan.used);
	cfs_chan.free--;
	cfs_chan.slots[slot] = call;
	call->slot = slot;
	call->req.slot = slot;
	call->req.id = ++cfs_chan.last_id << CFS_SLOT_BITS | slot;
	memset(cfs_chan.progress + slot * CFS_PROGRESS_BYTES, 0, CFS_PROGRESS_BYTES);
	list_add_tail(&call->node, &cfs_chan.ready[cfs_lane(call)]);
	return true;
}

static void cfs_chan_admit_starved(void)
{
	struct cfs_call *call, *next;
	int i;

	for (i = 0; i < CFS_LANES; i++) {
		list_for_each_entry_safe(call, next, &cfs_chan.starved[i], node) {
			list_del_init(&call->node);
			if (!cfs_chan_admit(call)) {
				list_add(&call->node, &cfs_chan.starved[i]);
				return;
			}
		}
	}
}

/* Tell the outcome to whoever waits for it; once. */
void cfs_call_tell(struct cfs_call *call, int res)
{
	lockdep_assert_held(&cfs_chan.lock);
	if (!call->waiting)
		return;
	call->waiting = false;
	call->res = res;
	trace_cfs_request_done(call, res);
	if (call->csb && !--call->csb->calls)
		wake_up_all(&cfs_chan.idle);
	if (call->done)
		queue_work(cfs_chan.wq, &call->work);
	else
		complete(&call->completion);
}

/*
 * End of a call. The channel's reference goes with the place on @dead: cfs_put_all() after
 * unlocking.
 */
void cfs_call_finish(struct cfs_call *call, int res, struct list_head *dead)
{
	lockdep_assert_held(&cfs_chan.lock);
	list_del_init(&call->node);
	cfs_call_move(call, CFS_CALL_DONE);
	cfs_call_tell(call, res);
	list_add_tail(&call->node, dead);
	if (!cfs_has_slot(call))
		return;
	cfs_chan.slots[call->slot] = NULL;
	__clear_bit(call->slot, cfs_chan.used);
	cfs_chan.free++;
	cfs_chan_admit_starved();
}

void cfs_put_all(struct list_head *dead)
{
	struct cfs_call *call, *next;

	list_for_each_entry_safe(call, next, dead, node) {
		list_del_init(&call->node);
		cfs_call_put(call);
	}
}

/* A former daemon was in the middle of it: it cannot be withdrawn, only finished. */
bool cfs_call_must_finish(const struct cfs_call *call)
{
	return call->req.flags & CFS_REQ_F_RESUMED && !cfs_repeatable(call) &&
	       !list_empty(&call->csb->link);
}

/* The daemon does not have the call (any more): back to @queue, or the end when nobody wants it. */
void cfs_chan_return(struct cfs_call *call, struct list_head *queue, struct list_head *dead)
{
	lockdep_assert_held(&cfs_chan.lock);
	if (!call->waiting && !cfs_call_must_finish(call)) {
		cfs_call_finish(call, -ENOTCONN, dead);
		return;
	}
	cfs_call_move(call, CFS_CALL_QUEUED);
	list_add(&call->node, queue);
}

/* Make a call QUEUED. chan.lock is held; does not wake a daemon. */
void cfs_chan_enqueue(struct cfs_call *call)
{
	struct cfs_req *r = &call->req;
	bool admitted;

	lockdep_assert_held(&cfs_chan.lock);
	r->len = sizeof(*r) + r->name_len + r->name2_len + r->data_len;
	call->queued_ns = ktime_get_ns();
	call->since = get_jiffies_64();
	call->waiting = true;
	if (call->csb)
		call->csb->calls++;
	refcount_inc(&call->ref);
	admitted = cfs_chan_admit(call);	/* first: the trace tells the id */
	cfs_call_move(call, CFS_CALL_QUEUED);
	if (!admitted)
		list_add_tail(&call->node, &cfs_chan.starved[cfs_lane(call)]);
}

/* ---- daemons ---- */
static bool cfs_call_expired(const struct cfs_call *call)
{
	return (call->req.op == CFS_OP_COMMIT || call->req.op == CFS_OP_EXTENTS) &&
	       call->csb->soft &&
	       get_jiffies_64() - call->since >= (u64)call->csb->deadline_s * HZ;
}

/*
 * Work: a soft mount's I/O waits for a daemon until the deadline. What a daemon has is not withdrawn:
 * it could still be executed, after a truncation that came later, for example.
 */
static void cfs_chan_expire(struct work_struct *work)
{
	struct cfs_call *call, *next;
	LIST_HEAD(dead);
	int i;

	spin_lock(&cfs_chan.lock);
	/* First those without a slot, as in cfs_chan_cancel(). */
	for (i = 0; i < 2 * CFS_LANES; i++)
		list_for_each_entry_safe(call, next, i < CFS_LANES ? &cfs_chan.starved[i] :
					 &cfs_chan.ready[i - CFS_LANES], node)
			if (cfs_call_expired(call))
				cfs_call_finish(call, -ETIMEDOUT, &dead);
	if (!cfs_chan.owner && !list_empty(&cfs_chan.sessions))
		queue_delayed_work(cfs_chan.wq, &cfs_chan.expire, HZ);
	spin_unlock(&cfs_chan.lock);
	cfs_put_all(&dead);
}

/**
 * cfs_chan_attach - a file becomes the daemon's
 * @file: Its release ends the attachment.
 * @arg:  In and out, see the ABI header.
 *
 * Context: Process; the data connections will live in this task's network namespace.
 * Return:  0; -EPROTONOSUPPORT; -EBUSY when another file is attached.
 */
int cfs_chan_attach(struct file *file, struct cfs_attach *arg)
{
	struct net *net;
	struct cfs_sb *csb;
	int ret = -EBUSY;

	if (arg->abi >> 16 != CFS_ABI_MAJOR)
		return -EPROTONOSUPPORT;
	arg->abi = CFS_ABI_MAJOR << 16 | CFS_ABI_MINOR;
	arg->features &= CFS_FEAT_ALL;
	arg->nslots = CFS_SLOTS;
	arg->nsessions = 0;
	net = get_net(current->nsproxy->net_ns);
	spin_lock(&cfs_chan.lock);
	if (!cfs_chan.owner) {
		cfs_chan.owner = file;
		cfs_chan.draining = false;
		swap(cfs_chan.net, net);
		arg->generation = ++cfs_chan.generation;
		list_for_each_entry(csb, &cfs_chan.sessions, link)
			arg->nsessions++;
		ret = 0;
	}
	spin_unlock(&cfs_chan.lock);
	if (net)
		put_net(net);
	if (!ret)
		trace_cfs_session("attach", arg->generation, 0);
	return ret;
}

/**
 * cfs_chan_attached - is this the daemon's file?
 * @file: File of /dev/cubefs; the caller keeps it open.
 *
 * Return: true if so, and then until its release.
 */
bool cfs_chan_attached(const struct file *file)
{
	return READ_ONCE(cfs_chan.owner) == file;
}

static int cfs_call_by_id(void *priv, const struct list_head *a, const struct list_head *b)
{
	return list_entry(a, struct cfs_call, node)->req.id >
	       list_entry(b, struct cfs_call, node)->req.id;
}

/* What the daemon held goes back in front of the queues, oldest first, for the next one. */
static void cfs_chan_take_back(struct list_head *dead)
{
	struct list_head back[CFS_LANES];
	struct cfs_call *call;
	int i;

	lockdep_assert_held(&cfs_chan.lock);
	for (i = 0; i < CFS_LANES; i++)
		INIT_LIST_HEAD(&back[i]);
	for (i = 0; i < CFS_SLOTS; i++) {
		call = cfs_chan.slots[i];
		if (!call || call->state == CFS_CALL_QUEUED)
			continue;
		call->req.flags |= CFS_REQ_F_RESUMED;
		/*
		 * The next daemon learns of mounts by CFS_IOC_SESSIONS, so also of those that
		 * ended.
		 */
		if (call->req.op == CFS_OP_UNMOUNT)
			cfs_call_finish(call, 0, dead);
		else
			cfs_chan_return(call, &back[cfs_lane(call)], dead);
	}
	for (i = 0; i < CFS_LANES; i++) {
		list_sort(NULL, &back[i], cfs_call_by_id);
		list_splice(&back[i], &cfs_chan.ready[i]);
	}
}

/**
 * cfs_chan_release - last close of a file of /dev/cubefs
 * @file: File; no command of it is left, since each holds a reference.
 *
 * If it was the daemon's: the daemon is gone, what it held waits for the next one.
 *
 * Context: Process.
 */
void cfs_chan_release(struct file *file)
{
	struct net *net = NULL;
	LIST_HEAD(dead);
	u64 generation;

	spin_lock(&cfs_chan.lock);
	if (cfs_chan.owner != file) {
		spin_unlock(&cfs_chan.lock);
		return;
	}
	WARN_ON_ONCE(cfs_chan.nparked);
	WRITE_ONCE(cfs_chan.owner, NULL);
	cfs_chan.draining = false;
	cfs_chan.detached_at = get_jiffies_64();
	generation = cfs_chan.generation;
	swap(cfs_chan.net, net);
	cfs_chan_take_back(&dead);
	wake_up_all(&cfs_chan.idle);
	queue_delayed_work(cfs_chan.wq, &cfs_chan.expire, HZ);
	spin_unlock(&cfs_chan.lock);
	put_net(net);
	cfs_put_all(&dead);
	trace_cfs_session("detach", generation, 0);
}

/**
 * cfs_chan_net - network namespace of the attached daemon
 *
 * Return: A reference, or NULL when none is attached.
 */
struct net *cfs_chan_net(void)
{
	struct net *net;

	spin_lock(&cfs_chan.lock);
	net = cfs_chan.net ? get_net(cfs_chan.net) : NULL;
	spin_unlock(&cfs_chan.lock);
	return net;
}

/**
 * cfs_chan_mmap_progress - map the progress records
 * @vma: From offset 0; not longer than the records.
 *
 * Return: 0 or -errno.
 */
int cfs_chan_mmap_progress(struct vm_area_struct *vma)
{
	return remap_vmalloc_range(vma, cfs_chan.progress, 0);
}

/**
 * cfs_chan_absence - how long there has been no daemon
 *
 * Return: jiffies; 0 while one is attached.
 */
u64 cfs_chan_absence(void)
{
	u64 since;

	spin_lock(&cfs_chan.lock);
	since = cfs_chan.owner ? 0 : max(get_jiffies_64() - cfs_chan.detached_at, 1ULL);
	spin_unlock(&cfs_chan.lock);
	return since;
}

/* ---- sessions ---- */
/**
 * cfs_chan_add_session - a mount begins: it gets its number
 * @csb: Mount.
 */
void cfs_chan_add_session(struct cfs_sb *csb)
{
	spin_lock(&cfs_chan.lock);
	csb->session = ++cfs_chan.last_session;
	list_add_tail(&csb->link, &cfs_chan.sessions);
	spin_unlock(&cfs_chan.lock);
	trace_cfs_session("mount", 0, csb->session);
}

/**
 * cfs_session_get - mount by its number
 * @session: Number from the daemon.
 *
 * Return: A strong reference (cfs_sb_put()), or NULL. It does not keep the super block.
 */
struct cfs_sb *cfs_session_get(u32 session)
{
	struct cfs_sb *csb, *found = NULL;

	spin_lock(&cfs_chan.lock);
	list_for_each_entry(csb, &cfs_chan.sessions, link) {
		if (csb->session != session)
			continue;
		kref_get(&csb->ref);
		found = csb;
		break;
	}
	spin_unlock(&cfs_chan.lock);
	return found;
}

/**
 * cfs_session_super - super block of a mount, kept from unmounting
 * @csb: Mount.
 *
 * Return: The super block with s_umount held for reading; NULL when that cannot be had at once.
 */
struct super_block *cfs_session_super(struct cfs_sb *csb)
{
	struct super_block *sb = NULL;

	spin_lock(&cfs_chan.lock);
	/* Unlinked before the super block is freed. */
	if (!list_empty(&csb->link) && down_read_trylock(&csb->sb->s_umount))
		sb = csb->sb;
	if (sb && (!sb->s_root || !(sb->s_flags & SB_ACTIVE))) {
		up_read(&sb->s_umount);
		sb = NULL;
	}
	spin_unlock(&cfs_chan.lock);
	return sb;
}

/**
 * cfs_chan_sessions - records for CFS_IOC_SESSIONS
 * @buf:     Zeroed memory.
 * @buf_len: Bytes of it.
 * @count:   Filled: mounts.
 * @need:    Filled: bytes that all records need; if more than @buf_len, @buf is not complete.
 */
void cfs_chan_sessions(void *buf, u32 buf_len, u32 *count, u32 *need)
{
	struct cfs_session_info *info;
	struct cfs_sb *csb;
	u32 config_len, reclen;

	*count = 0;
	*need = 0;
	spin_lock(&cfs_chan.lock);
	list_for_each_entry(csb, &cfs_chan.sessions, link) {
		config_len = strlen(csb->config);
		reclen = ALIGN(sizeof(*info) + config_len, 8);
		if (*need + reclen <= buf_len) {
			info = buf + *need;
			info->reclen = reclen;
			info->session = csb->session;
			info->config_len = config_len;
			memcpy(info + 1, csb->config, config_len);
		}
		*need += reclen;
		++*count;
	}
	spin_unlock(&cfs_chan.lock);
}

/*
 * Every call of a mount fails with -EIO; what a daemon holds keeps its slot until the daemon is
 * done with it.
 */
static void cfs_chan_cancel(struct cfs_sb *csb, struct list_head *dead)
{
	struct cfs_call *call, *next;
	int i;

	lockdep_assert_held(&cfs_chan.lock);
	/* First those without a slot: each slot that becomes free below would go to one of them. */
	for (i = 0; i < CFS_LANES; i++)
		list_for_each_entry_safe(call, next, &cfs_chan.starved[i], node)
			if (call->csb == csb)
				cfs_call_finish(call, -EIO, dead);
	for (i = 0; i < CFS_SLOTS; i++) {
		call = cfs_chan.slots[i];
		if (!call || call->csb != csb)
			continue;
		if (call->state == CFS_CALL_QUEUED) {
			cfs_call_finish(call, -EIO, dead);
			continue;
		}
		cfs_call_tell(call, -EIO);
		if (call->state == CFS_CALL_SENT)
			cfs_call_move(call, CFS_CALL_ORPHAN);
	}
}

/**
 * cfs_chan_abort_session - forced unmount
 * @csb: Mount; CFS_SB_FORCED is set, so that later calls fail at once.
 *
 * Context: Process.
 */
void cfs_chan_abort_session(struct cfs_sb *csb)
{
	LIST_HEAD(dead);

	spin_lock(&cfs_chan.lock);
	cfs_chan_cancel(csb, &dead);
	spin_unlock(&cfs_chan.lock);
	cfs_put_all(&dead);
	cfs_chan_pump();
}

/* The next mount to be aborted, strong, or NULL. */
static struct cfs_sb *cfs_chan_next_abort(u32 session)
{
	struct cfs_sb *csb, *found = NULL;

	spin_lock(&cfs_chan.lock);
	list_for_each_entry(csb, &cfs_chan.sessions, link) {
		if (test_bit(CFS_SB_FORCED, &csb->flags) ||
		    (session ? csb->session != session : !test_bit(CFS_SB_DYING, &csb->flags)))
			continue;
		kref_get(&csb->ref);
		found = csb;
		break;
	}
	spin_unlock(&cfs_chan.lock);
	return found;
}

/**
 * cfs_chan_abort - end mounts by force
 * @session: Number; 0: all whose unmount has begun.
 *
 * Context: Process.
 * Return:  How many were not forced before.
 */
u32 cfs_chan_abort(u32 session)
{
	struct cfs_sb *csb;
	u32 count = 0;

	while ((csb = cfs_chan_next_abort(session))) {
		cfs_sb_abort(csb);
		cfs_sb_put(csb);
		count++;
	}
	return count;
}

static bool cfs_session_is_idle(struct cfs_sb *csb)
{
	return !READ_ONCE(csb->calls) || !READ_ONCE(cfs_chan.owner);
}

/**
 * cfs_chan_del_session - end of a mount
 * @csb: Mount; nobody makes calls for it any more.
 *
 * An attached daemon gets some time to answer what is under way (evictions). Without one, what is
 * left is dropped: servers remove deleted inodes by themselves after a day, but for those whose last
 * link was left to the eviction (CFS_UNLINK_LATER).
 *
 * Context: Process, sleeps; not killable, but bounded.
 */
void cfs_chan_del_session(struct cfs_sb *csb)
{
	struct cfs_call *bye = cfs_call_alloc(csb, CFS_OP_UNMOUNT, 0, GFP_KERNEL | __GFP_NOFAIL);
	LIST_HEAD(dead);
	u32 left;

	bye->done = cfs_call_put;
	wait_event_timeout(cfs_chan.idle, cfs_session_is_idle(csb), CFS_UNMOUNT_WAIT_S * HZ);
	spin_lock(&cfs_chan.lock);
	left = csb->calls;
	list_del_init(&csb->link);
	cfs_chan_cancel(csb, &dead);
	if (cfs_chan.owner && !cfs_chan.draining) {
		cfs_chan_enqueue(bye);
		bye = NULL;
	}
	spin_unlock(&cfs_chan.lock);
	cfs_put_all(&dead);
	cfs_call_put(bye);
	cfs_chan_pump();
	flush_workqueue(cfs_chan.wq);	/* done functions still use the super block */
	trace_cfs_session("unmount", 0, csb->session);
	if (left)
		pr_warn("cubefs: %s: %u requests dropped at unmount, no daemon answered\n",
			csb->source, left);
}

/* ---- module ---- */
static void cfs_chan_free(void)
{
	if (cfs_chan.wq)
		destroy_workqueue(cfs_chan.wq);
	mempool_destroy(cfs_chan.reserve);
	kmem_cache_destroy(cfs_chan.cache);
	vfree(cfs_chan.progress);
}

/**
 * cfs_chan_init - at module load
 *
 * Return: 0 or -ENOMEM.
 */
int cfs_chan_init(void)
{
	int i;

	spin_lock_init(&cfs_chan.lock);
	for (i = 0; i < CFS_LANES; i++) {
		INIT_LIST_HEAD(&cfs_chan.ready[i]);
		INIT_LIST_HEAD(&cfs_chan.starved[i]);
	}
	INIT_LIST_HEAD(&cfs_chan.parked);
	INIT_LIST_HEAD(&cfs_chan.sessions);
	init_waitqueue_head(&cfs_chan.idle);
	INIT_DELAYED_WORK(&cfs_chan.expire, cfs_chan_expire);
	cfs_chan.free = CFS_SLOTS;
	cfs_chan.detached_at = get_jiffies_64();
	cfs_chan.progress = vmalloc_user(CFS_SLOTS * CFS_PROGRESS_BYTES);
	cfs_chan.cache = KMEM_CACHE_USERCOPY(cfs_call, 0, small);
	if (cfs_chan.cache)
		cfs_chan.reserve = mempool_create_slab_pool(CFS_CALL_RESERVE, cfs_chan.cache);
	cfs_chan.wq = alloc_workqueue("cubefs-chan", WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	if (cfs_chan.progress && cfs_chan.reserve && cfs_chan.wq)
		return 0;
	cfs_chan_free();
	return -ENOMEM;
}

/**
 * cfs_chan_exit - at module unload
 *
 * No mount exists and no file of the device is open. Only events of connections can be left.
 */
void cfs_chan_exit(void)
{
	LIST_HEAD(dead);

	cancel_delayed_work_sync(&cfs_chan.expire);
	spin_lock(&cfs_chan.lock);
	cfs_chan_cancel(NULL, &dead);
	spin_unlock(&cfs_chan.lock);
	cfs_put_all(&dead);
	cfs_chan_free();
}
