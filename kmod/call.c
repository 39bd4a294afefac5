// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: calls to the daemon, from the caller's side.
 *
 * Purpose   Makes calls, sends them, waits for answers within the mount's limit. States and slots
 *           are chan.c's.
 * Lifetime  cfs_call_alloc() returns one reference: the caller's for synchronous calls, the done
 *           function's for others.
 * Locks     chan.lock, see chan.h.
 * Contexts  Process. Synchronous calls sleep killably.
 * Failure   No daemon: a synchronous caller leaves after the mount's deadline with -ETIMEDOUT; an
 *           asynchronous call stays until its mount ends. Killed: see cfs_call_abandon().
 */
#include <linux/cred.h>
#include <linux/slab.h>
#include <linux/uidgid.h>
#include "chan.h"
#include "optrace.h"

/* fixed answers, with room for a newer daemon's longer ones */
#define CFS_REPLY_DEFAULT	256

static void cfs_call_run_done(struct work_struct *work)
{
	struct cfs_call *call = container_of(work, struct cfs_call, work);

	call->done(call);
}

/**
 * cfs_call_alloc - a call that has not been sent
 * @csb: Mount; NULL for events of connections.
 * @op:  enum cfs_op.
 * @ino: Subject.
 * @gfp: Without __GFP_FS (write-back, reclaim) the call may come from a reserve, which GFP_NOWAIT
 *       does not wait for.
 *
 * Context: Process, may sleep as @gfp allows.
 * Return:  The call with one reference, or NULL.
 */
struct cfs_call *cfs_call_alloc(struct cfs_sb *csb, u16 op, u64 ino, gfp_t gfp)
{
	struct cfs_call *call;

	if (gfp & __GFP_FS)
		call = kmem_cache_alloc(cfs_chan.cache, gfp);
	else
		call = mempool_alloc(cfs_chan.reserve, gfp);
	if (!call)
		return NULL;
	memset(call, 0, sizeof(*call));
	call->req.op = op;
	call->req.ino = ino;
	call->req.uid = from_kuid(&init_user_ns, current_fsuid());
	call->req.gid = from_kgid(&init_user_ns, current_fsgid());
	call->reply_max = CFS_REPLY_DEFAULT;
	call->op_id = cfs_op_id();
	refcount_set(&call->ref, 1);
	INIT_LIST_HEAD(&call->node);
	init_completion(&call->completion);
	INIT_WORK(&call->work, cfs_call_run_done);
	if (csb) {
		kref_get(&csb->ref);
		call->csb = csb;
		call->req.session = csb->session;
	}
	return call;
}

/**
 * cfs_call_put - drop a reference
 * @call: Call, or NULL.
 *
 * Context: Process, may sleep (the last reference of a mount may go with it).
 */
void cfs_call_put(struct cfs_call *call)
{
	struct cfs_sb *csb;

	if (!call || !refcount_dec_and_test(&call->ref))
		return;
	if (call->own_data) {
		kvfree(call->name);
		kvfree(call->name2);
		kvfree(call->data);
	}
	kvfree(call->block);
	if (call->reply != call->small)
		kvfree(call->reply);
	csb = call->csb;
	/* Calls of the slab are taken by the pool too, as long as it is not full. */
	mempool_free(call, cfs_chan.reserve);
	if (csb)
		cfs_sb_put(csb);
}

/* Copy the caller's byte strings: see struct cfs_call. */
static int cfs_call_own(struct cfs_call *call)
{
	const struct cfs_req *r = &call->req;
	size_t len = (size_t)r->name_len + r->name2_len + r->data_len;
	u8 *block;

	if (call->own_data || !len)
		return 0;
	block = kvmalloc(len, GFP_KERNEL);
	if (!block)
		return -ENOMEM;
	memcpy(block, call->name, r->name_len);
	memcpy(block + r->name_len, call->name2, r->name2_len);
	memcpy(block + r->name_len + r->name2_len, call->data, r->data_len);
	call->name = block;
	call->name2 = block + r->name_len;
	call->data = block + r->name_len + r->name2_len;
	call->block = block;
	return 0;
}

static void cfs_chan_submit(struct cfs_call *call)
{
	LIST_HEAD(dead);

	if (call->csb)
		call->req.seq = cfs_seq(call->csb);
	spin_lock(&cfs_chan.lock);
	cfs_chan_enqueue(call);
	if (call->csb && test_bit(CFS_SB_FORCED, &call->csb->flags))
		cfs_call_finish(call, -EIO, &dead);
	spin_unlock(&cfs_chan.lock);
	cfs_put_all(&dead);
	cfs_chan_pump();
}

/* How long the caller may go on waiting, in jiffies; 0: not any longer. */
static u64 cfs_call_patience(struct cfs_call *call)
{
	u64 limit = (u64)call->csb->deadline_s * HZ, from = call->since, now = get_jiffies_64();

	if (!call->csb->soft) {
		spin_lock(&cfs_chan.lock);
		from = cfs_chan.owner ? now : max(from, cfs_chan.detached_at);
		spin_unlock(&cfs_chan.lock);
	}
	return from + limit > now ? from + limit - now : 0;
}

/* Without its caller, see struct cfs_call. */
static void cfs_call_go_on(struct cfs_call *call)
{
	lockdep_assert_held(&cfs_chan.lock);
	call->done = call->late;
	call->waiting = true;
	call->csb->calls++;
	refcount_inc(&call->ref);
}

/* The caller stops waiting. Returns @err, or the outcome when it came first. */
static int cfs_call_abandon(struct cfs_call *call, int err)
{
	LIST_HEAD(dead);

	spin_lock(&cfs_chan.lock);
	if (!call->waiting) {
		err = call->res;
	} else if (call->state == CFS_CALL_QUEUED && !cfs_call_must_finish(call)) {
		cfs_call_finish(call, err, &dead);
	} else {
		cfs_call_tell(call, err);
		if (call->late)
			cfs_call_go_on(call);
		else if (call->state == CFS_CALL_SENT)
			cfs_call_move(call, CFS_CALL_ORPHAN);
	}
	spin_unlock(&cfs_chan.lock);
	cfs_put_all(&dead);
	cfs_chan_pump();
	return err;
}

/**
 * cfs_call_sync - send a call and wait for its answer
 * @call: Call; its byte strings may be the caller's memory.
 *
 * Context: Process, sleeps; killable. No lock may be held that the daemon needs.
 * Return:  The daemon's res (>= 0 or -errno); -EINTR killed; -ETIMEDOUT no daemon for the mount's
 *          deadline, or a soft mount's deadline; -EIO forced unmount; -ENOMEM. The answer is in
 *          @call until cfs_call_put().
 */
int cfs_call_sync(struct cfs_call *call)
{
	int ret = cfs_call_own(call);
	long left = 0;
	u64 patience;

	if (ret)
		return ret;
	cfs_chan_submit(call);
	while (!left) {
		patience = cfs_call_patience(call);
		if (!patience)
			return cfs_call_abandon(call, -ETIMEDOUT);
		/*
		 * A daemon that dies meanwhile is noticed in time: its absence counts from its
		 * death.
		 */
		left = wait_for_completion_killable_timeout(&call->completion, patience);
	}
	return left < 0 ? cfs_call_abandon(call, -EINTR) : call->res;
}

/**
 * cfs_call_async - send a call; call->done() runs when its outcome is known
 * @call: Call with done set, which consumes the caller's reference; owns its byte strings.
 *
 * Context: Process; does not sleep.
 */
void cfs_call_async(struct cfs_call *call)
{
	WARN_ON_ONCE(!call->done);
	cfs_chan_submit(call);
}

/**
 * cfs_call_fixed - the answer as a structure
 * @call: Call that cfs_call_sync() returned >= 0 for.
 * @out:  Filled on success.
 * @len:  Bytes that must have come; more are ignored.
 *
 * Return: The daemon's res; -EPROTO when the answer is too short.
 */
int cfs_call_fixed(struct cfs_call *call, void *out, u32 len)
{
	if (call->res < 0)
		return call->res;
	if (call->reply_len < len)
		return -EPROTO;
	memcpy(out, call->reply, len);
	return call->res;
}

/**
 * cfs_call_ask - send a call, take its answer of a fixed size, and drop it
 * @call: Call or NULL.
 * @out:  Filled on success.
 * @len:  See cfs_call_fixed().
 * @seq:  NULL, or filled: the sequence before it was sent.
 *
 * Context: As cfs_call_sync().
 * Return:  0; -ENOMEM without a call; -errno as cfs_call_sync() and cfs_call_fixed().
 */
int cfs_call_ask(struct cfs_call *call, void *out, u32 len, u64 *seq)
{
	int ret;

	if (!call)
		return -ENOMEM;
	ret = cfs_call_sync(call);
	if (ret >= 0)
		ret = cfs_call_fixed(call, out, len);
	if (seq)
		*seq = call->req.seq;
	cfs_call_put(call);
	return min(ret, 0);
}

/* An equal event that no daemon has seen says the same. */
static bool cfs_event_is_queued(const struct cfs_call *call)
{
	struct list_head *queues[] = {
		&cfs_chan.ready[CFS_LANE_SYSTEM],
		&cfs_chan.starved[CFS_LANE_SYSTEM],
	};
	struct cfs_call *other;
	int i;

	lockdep_assert_held(&cfs_chan.lock);
	for (i = 0; i < ARRAY_SIZE(queues); i++)
		list_for_each_entry(other, queues[i], node)
			if (other->req.op == CFS_OP_EVENT && other->csb == call->csb &&
			    !memcmp(&other->req.event, &call->req.event, sizeof(call->req.event)))
				return true;
	return false;
}

/**
 * cfs_event - tell the daemon something
 * @csb:        Mount it is about; NULL for connections.
 * @event_args: Only its event member is read.
 *
 * Events wait for a daemon as long as the mount exists; equal ones are told once. Without memory
 * nothing is told: what I/O waits for is asked for again, and so the daemon learns the rest.
 *
 * Context: Process; does not sleep.
 */
void cfs_event(struct cfs_sb *csb, const struct cfs_req *event_args)
{
	struct cfs_call *call = cfs_call_alloc(csb, CFS_OP_EVENT, 0, GFP_NOWAIT);
	bool queued;

	if (!call)
		return;
	call->req.event = event_args->event;
	call->done = cfs_call_put;
	spin_lock(&cfs_chan.lock);
	queued = cfs_event_is_queued(call);
	if (!queued && !(csb && test_bit(CFS_SB_FORCED, &csb->flags)))
		cfs_chan_enqueue(call);
	else
		queued = true;
	spin_unlock(&cfs_chan.lock);
	if (queued)
		cfs_call_put(call);
	else
		cfs_chan_pump();
}

