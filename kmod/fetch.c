// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: the daemon's side of the request channel: io_uring commands on /dev/cubefs.
 *
 * Purpose   Parks FETCH commands, brings requests and commands together, takes answers. The only
 *           part of the channel that touches user memory.
 * Lifetime  A parked command belongs to io_uring and holds a reference to the file; it is ours only
 *           while it is on chan.parked. A delivery has a reference to its call.
 * Locks     chan.lock, see chan.h; never over a user copy.
 * Contexts  Commands are issued by the daemon's tasks or by workers of its ring; cfs_deliver_tw()
 *           is task work.
 * Failure   A request that cannot be written goes back in front of its queue. A bad answer fails
 *           its request (EPROTO); one that cannot be read fails the command and leaves the request
 *           with the daemon.
 */
#include <linux/io_uring/cmd.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "chan.h"
#include "compat.h"

#define CFS_ERRNO_MAX	EHWPOISON	/* larger ones are private to the kernel */

/* Lives in the command's own memory while it is parked or being delivered. */
struct cfs_parked {
	struct list_head node;		/* L: chan.parked, or empty: a delivery is under way */
	struct cfs_call *call;		/* strong; NULL when drained */
	u64 buf;
};

static struct cfs_parked *cfs_cmd_parked(struct io_uring_cmd *cmd)
{
	return io_uring_cmd_to_pdu(cmd, struct cfs_parked);
}

static struct io_uring_cmd *cfs_parked_cmd(struct cfs_parked *p)
{
	return container_of((u8 (*)[32])p, struct io_uring_cmd, pdu);
}

/* ---- delivery ---- */
/*
 * Next call for a fetch command, with a reference for the delivery. @idle: commands that could take
 * one. The last eighth, at most two, waits for the classes that write-back needs.
 */
static struct cfs_call *cfs_chan_pick(unsigned int idle)
{
	unsigned int kept = min((cfs_chan.sent + idle) / 8, 2u);
	struct cfs_call *call = NULL;
	int i, last = idle > kept ? CFS_LANE_USER : CFS_LANE_SYSTEM;

	lockdep_assert_held(&cfs_chan.lock);
	if (cfs_chan.draining || !idle)
		return NULL;
	for (i = 0; i <= last && !call; i++)
		call = list_first_entry_or_null(&cfs_chan.ready[i], struct cfs_call, node);
	if (!call)
		return NULL;
	list_del_init(&call->node);
	cfs_call_move(call, call->waiting ? CFS_CALL_SENT : CFS_CALL_ORPHAN);
	refcount_inc(&call->ref);
	return call;
}

static bool cfs_nobody_waits(const struct cfs_call *call)
{
	return !call->waiting || call->req.op == CFS_OP_UNMOUNT || call->req.op == CFS_OP_EVICT ||
	       call->req.op == CFS_OP_EVENT;
}

/* Write the request into the daemon's buffer. In the daemon's address space. */
static int cfs_copy_request(struct cfs_call *call, u64 buf)
{
	u8 __user *to = u64_to_user_ptr(buf);
	struct cfs_req req;

	spin_lock(&cfs_chan.lock);
	req = call->req;
	if (cfs_nobody_waits(call))
		req.flags |= CFS_REQ_F_FORGET;
	spin_unlock(&cfs_chan.lock);
	if (copy_to_user(to, &req, sizeof(req)))
		return -EFAULT;
	to += sizeof(req);
	if (copy_to_user(to, call->name, req.name_len))
		return -EFAULT;
	to += req.name_len;
	if (copy_to_user(to, call->name2, req.name2_len))
		return -EFAULT;
	to += req.name2_len;
	return copy_to_user(to, call->data, req.data_len) ? -EFAULT : req.len;
}

/*
 * Consumes the reference of cfs_chan_pick(). A request that could not be written goes to another
 * command.
 */
static int cfs_deliver(struct cfs_call *call, u64 buf, bool alive)
{
	int ret = alive ? cfs_copy_request(call, buf) : -EFAULT;
	LIST_HEAD(dead);

	if (ret < 0) {
		spin_lock(&cfs_chan.lock);
		if (call->state == CFS_CALL_SENT || call->state == CFS_CALL_ORPHAN)
			cfs_chan_return(call, &cfs_chan.ready[cfs_lane(call)], &dead);
		spin_unlock(&cfs_chan.lock);
		cfs_put_all(&dead);
		cfs_chan_pump();
	}
	cfs_call_put(call);
	return ret;
}

static CFS_TW_FN(cfs_deliver_tw)
{
	struct io_uring_cmd *cmd = CFS_TW_CMD;
	struct cfs_parked *p = cfs_cmd_parked(cmd);
	int ret = -ESHUTDOWN;

	/* A dying daemon, or the ring's worker in its place, cannot be written to. */
	if (p->call)
		ret = cfs_deliver(p->call, p->buf, !(current->flags & (PF_EXITING | PF_KTHREAD)));
	cfs_cmd_done(cmd, ret, CFS_TW_FLAGS);
}

/* Bring ready calls and parked commands together. */
void cfs_chan_pump(void)
{
	struct cfs_parked *p;

	do {
		spin_lock(&cfs_chan.lock);
		p = list_first_entry_or_null(&cfs_chan.parked, struct cfs_parked, node);
		if (p)
			p->call = cfs_chan_pick(cfs_chan.nparked);
		if (p && p->call) {
			list_del_init(&p->node);
			cfs_chan.nparked--;
		} else {
			p = NULL;
		}
		spin_unlock(&cfs_chan.lock);
		if (p)
			io_uring_cmd_complete_in_task(cfs_parked_cmd(p), cfs_deliver_tw);
	} while (p);
}

/* ---- answers ---- */
/* A call that the daemon holds, with a reference, or NULL. */
static struct cfs_call *cfs_chan_find_sent(u64 id)
{
	u32 slot = id & (BIT(CFS_SLOT_BITS) - 1);
	struct cfs_call *call;

	lockdep_assert_held(&cfs_chan.lock);
	call = slot < CFS_SLOTS ? cfs_chan.slots[slot] : NULL;
	if (!call || call->req.id != id ||
	    (call->state != CFS_CALL_SENT && call->state != CFS_CALL_ORPHAN))
		return NULL;
	refcount_inc(&call->ref);
	return call;
}

/* An answer on its way from the daemon's memory into the call. */
struct cfs_answer {
	int res;
	u32 len;
	void *big;			/* owned; NULL when it fits into small */
	u8 small[sizeof_field(struct cfs_call, small)];
};

static int cfs_answer_copy(struct cfs_answer *a, const struct cfs_uring_cmd *k, u32 reply_max)
{
	void *to = a->small;

	a->res = k->res;
	a->len = 0;
	a->big = NULL;
	if (k->res < -CFS_ERRNO_MAX || k->reply_len > reply_max)
		a->res = -EPROTO;
	if (a->res < 0 || !k->reply_len)
		return 0;
	if (k->reply_len > sizeof(a->small)) {
		a->big = kvmalloc(k->reply_len, GFP_KERNEL);
		if (!a->big)
			return -ENOMEM;
		to = a->big;
	}
	a->len = k->reply_len;
	if (!copy_from_user(to, u64_to_user_ptr(k->reply), a->len))
		return 0;
	kvfree(a->big);
	return -EFAULT;
}

/* The answer becomes the call's, if somebody waits for it. */
static void cfs_answer_give(struct cfs_answer *a, struct cfs_call *call)
{
	lockdep_assert_held(&cfs_chan.lock);
	if (!call->waiting || !a->len)
		return;
	call->reply_len = a->len;
	call->reply = a->big;
	a->big = NULL;
	if (!call->reply)
		call->reply = memcpy(call->small, a->small, a->len);
}

/* Answer of request k->id. An error leaves the request with the daemon. */
static int cfs_chan_commit(const struct cfs_uring_cmd *k)
{
	struct cfs_answer a;
	struct cfs_call *call;
	LIST_HEAD(dead);
	int ret;

	spin_lock(&cfs_chan.lock);
	call = cfs_chan_find_sent(k->id);
	spin_unlock(&cfs_chan.lock);
	if (!call)
		return -ENOENT;
	ret = cfs_answer_copy(&a, k, call->reply_max);
	if (ret)
		goto out;
	spin_lock(&cfs_chan.lock);
	if (call->state == CFS_CALL_SENT || call->state == CFS_CALL_ORPHAN) {
		cfs_answer_give(&a, call);
		cfs_call_finish(call, a.res, &dead);
		if (call->csb)
			cfs_count(call->csb, requests[call->req.op], 1);
	} else {
		ret = -ENOENT;		/* another command answered it meanwhile */
	}
	spin_unlock(&cfs_chan.lock);
	kvfree(a.big);
	cfs_put_all(&dead);
out:
	cfs_call_put(call);
	return ret;
}

/* ---- commands of the daemon ---- */
static int cfs_chan_fetch(struct io_uring_cmd *cmd, u64 buf, unsigned int issue_flags)
{
	struct cfs_parked *p = cfs_cmd_parked(cmd);
	struct cfs_call *call;
	bool draining;

	spin_lock(&cfs_chan.lock);
	call = cfs_chan_pick(cfs_chan.nparked + 1);
	spin_unlock(&cfs_chan.lock);
	if (call)
		return cfs_deliver(call, buf, true);

	INIT_LIST_HEAD(&p->node);
	p->buf = buf;
	p->call = NULL;
	/* Before others can see the command, and not under chan.lock: it may sleep. */
	io_uring_cmd_mark_cancelable(cmd, issue_flags);
	spin_lock(&cfs_chan.lock);
	draining = cfs_chan.draining;
	if (!draining) {
		list_add(&p->node, &cfs_chan.parked);
		cfs_chan.nparked++;
	}
	spin_unlock(&cfs_chan.lock);
	if (draining)
		cfs_cmd_done(cmd, -ESHUTDOWN, issue_flags);
	else
		cfs_chan_pump();	/* a call may have come in between */
	return -EIOCBQUEUED;
}

static void cfs_chan_cancel_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct cfs_parked *p = cfs_cmd_parked(cmd);
	bool parked;

	spin_lock(&cfs_chan.lock);
	parked = !list_empty(&p->node);
	if (parked) {
		list_del_init(&p->node);
		cfs_chan.nparked--;
	}
	spin_unlock(&cfs_chan.lock);
	/* Else a delivery is under way and completes it. */
	if (parked)
		cfs_cmd_done(cmd, -ECANCELED, issue_flags);
}

/**
 * cfs_chan_uring_cmd - CFS_URING_FETCH and CFS_URING_COMMIT_AND_FETCH
 * @cmd:         Command; may be shared with user space until its payload is copied.
 * @issue_flags: IO_URING_F_*.
 *
 * Context: Task of the daemon, or a worker of its ring in its address space.
 * Return:  See "CQE res" in the ABI header; -EIOCBQUEUED when it completes later.
 */
int cfs_chan_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct cfs_uring_cmd k;
	int ret;

	if (issue_flags & IO_URING_F_CANCEL) {
		cfs_chan_cancel_cmd(cmd, issue_flags);
		return 0;
	}
	if (!(issue_flags & IO_URING_F_SQE128))
		return -EINVAL;
	memcpy(&k, cfs_sqe_payload(cmd, struct cfs_uring_cmd), sizeof(k));
	if (k.buf_len < CFS_REQ_BYTES_MAX || k.reserved)
		return -EINVAL;
	if (!cfs_chan_attached(cmd->file))
		return -ENOTCONN;
	switch (cmd->cmd_op) {
	case CFS_URING_COMMIT_AND_FETCH:
		ret = cfs_chan_commit(&k);
		if (ret)
			return ret;
		fallthrough;
	case CFS_URING_FETCH:
		return cfs_chan_fetch(cmd, k.buf, issue_flags);
	}
	return -ENOTTY;
}

/**
 * cfs_chan_drain - complete all parked commands with -ESHUTDOWN and deliver nothing more
 * @file: Attached file.
 *
 * Leaving that to the end of the ring would make its worker post the completions, which io_uring
 * warns about for rings with IORING_SETUP_DEFER_TASKRUN. Requests the daemon holds can still be
 * answered.
 */
void cfs_chan_drain(struct file *file)
{
	struct cfs_parked *p = NULL;

	do {
		spin_lock(&cfs_chan.lock);
		if (cfs_chan.owner == file) {
			cfs_chan.draining = true;
			p = list_first_entry_or_null(&cfs_chan.parked, struct cfs_parked, node);
		}
		if (p) {
			list_del_init(&p->node);	/* a cancel does not find it any more */
			cfs_chan.nparked--;
		}
		spin_unlock(&cfs_chan.lock);
		if (p)
			io_uring_cmd_complete_in_task(cfs_parked_cmd(p), cfs_deliver_tw);
	} while (p);
}

