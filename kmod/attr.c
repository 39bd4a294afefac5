// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: what is believed of inodes: change counters, attributes, rights.
 *
 * Purpose   Takes a server's attributes, or refuses them as older than a local change; asks for them
 *           when they are not believed any more; tells what of an inode expires.
 * Lifetime  All of it is part of the inode, see inode.c, but the counters, which are the mount's.
 * Locks     i_lock guards cached attributes; csb->change_lock the counters; both are leaves here
 *           (cfs_data_busy() and cfs_data_set_size() are called under i_lock).
 * Contexts  Process.
 * Failure   Attributes that might be older than a local change are not taken, but asked for again
 *           at next use.
 *
 * Times     Servers keep whole seconds, and of ctime only the time of creation. So ctime is the
 *           newest of that and of the changes seen here while the inode is cached. Source: CubeFS
 *           proto/fs_proto.go, client/fs/inode.go.
 */
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/posix_acl.h>
#include "cfs.h"
#include "optrace.h"

#define CFS_CHECK_LEAST_MS	1000	/* an open file is not compared more often */
#define CFS_CHECK_AGAIN_MS	30000	/* without an answer */
#define CFS_REFRESH_TRIES	8	/* while changes through this mount make answers old */
#define CFS_MTIME_GRAIN		2	/* seconds after which a server's mtime tells all before it */

/* ---- change counters ---- */
static u32 cfs_change_hash(u64 ino)
{
	return (ino * 0x9E3779B97F4A7C15ULL) >> 48;
}

/*
 * An inode that is in the cache, under RCU. Answers and orders outlive a mount: one that has left its
 * volume has no inodes, and its super block may be gone. Found joined, both stay for a grace period.
 */
static struct inode *cfs_inode_cached(struct cfs_sb *csb, u64 ino)
{
	return READ_ONCE(csb->joined) ? find_inode_by_ino_rcu(csb->sb, ino) : NULL;
}

/* Returns the new sequence. *@last: filled with that of the change before. */
static u64 cfs_counter_move(struct cfs_sb *csb, u64 ino, u64 *last)
{
	struct cfs_counters *c = csb->counters;
	u32 at = cfs_change_hash(ino);
	u64 seq;

	spin_lock(&csb->change_lock);
	*last = c->changed[at];
	seq = c->seq + 1;
	WRITE_ONCE(c->changed[at], seq);
	/* A reader that sees this sequence also sees what changed (pairs with user space). */
	smp_store_release(&c->seq, seq);
	spin_unlock(&csb->change_lock);
	return seq;
}

/* The same for a change through this mount, which its inode is told of. */
static u64 cfs_own_change(struct cfs_sb *csb, u64 ino, u64 *last)
{
	struct inode *inode;
	u64 seq;

	rcu_read_lock();
	inode = cfs_has_peers(csb) ? cfs_inode_cached(csb, ino) : NULL;
	if (inode) {
		spin_lock(&inode->i_lock);
		seq = cfs_counter_move(csb, ino, last);
		CFS_I(inode)->own_seq = seq;
		spin_unlock(&inode->i_lock);
	} else {
		seq = cfs_counter_move(csb, ino, last);
	}
	rcu_read_unlock();
	cfs_policy_invalidate(csb, ino);
	return seq;
}

/**
 * cfs_changed_elsewhere - something about an inode has changed, not through this mount
 * @csb: Mount; its inode and dentries are the caller's business.
 * @ino: See cfs_change().
 *
 * Context: Any.
 * Return:  The new sequence.
 */
u64 cfs_changed_elsewhere(struct cfs_sb *csb, u64 ino)
{
	u64 last, seq = cfs_counter_move(csb, ino, &last);

	cfs_policy_invalidate(csb, ino);
	return seq;
}

/**
 * cfs_change - something about an inode is about to change through this mount
 * @csb: Mount.
 * @ino: Directory whose names, or inode whose attributes change.
 *
 * A value asked for before that is not current afterwards; nor is one asked for until
 * cfs_change_end().
 *
 * Context: Process.
 * Return:  The new sequence, for cfs_change_end().
 */
u64 cfs_change(struct cfs_sb *csb, u64 ino)
{
	u64 last;

	return cfs_own_change(csb, ino, &last);
}

static u64 cfs_end(struct cfs_sb *csb, u64 ino, u64 begun, unsigned int what)
{
	u64 last, seq = cfs_own_change(csb, ino, &last);

	if (cfs_has_peers(csb))
		cfs_peers_changed(csb, ino, what);
	return last == begun ? seq : 0;
}

/**
 * cfs_change_end - a change has ended
 * @csb:   Mount. The others of its volume forget what they know of the inode.
 * @ino:   See cfs_change().
 * @begun: What that returned; 0: the return value is not used.
 *
 * Context: Process.
 * Return:  The new sequence, with which the answer to the change is current; 0, with which nothing
 *          is, if something else changed meanwhile.
 */
u64 cfs_change_end(struct cfs_sb *csb, u64 ino, u64 begun)
{
	return cfs_end(csb, ino, begun, 0);
}

/**
 * cfs_rights_changed - the same, of mode, owner, ACL or capability
 * @csb:   Mount. What it cached of them is the caller's business.
 * @ino:   Inode.
 * @begun: As for cfs_change_end().
 *
 * Context: Process.
 * Return:  As cfs_change_end().
 */
u64 cfs_rights_changed(struct cfs_sb *csb, u64 ino, u64 begun)
{
	return cfs_end(csb, ino, begun, CFS_EXPIRE_RIGHTS);
}

/**
 * cfs_changed_since - may a value be older than a local change?
 * @csb: Mount.
 * @ino: See cfs_change().
 * @seq: cfs_seq() before the value was asked for.
 */
bool cfs_changed_since(struct cfs_sb *csb, u64 ino, u64 seq)
{
	return READ_ONCE(csb->counters->changed[cfs_change_hash(ino)]) > seq ||
	       seq < READ_ONCE(csb->seq_floor);
}

/**
 * cfs_epoch_bump - every name and attribute of a mount expires, also those being asked for
 * @csb: Mount.
 */
void cfs_epoch_bump(struct cfs_sb *csb)
{
	spin_lock(&csb->change_lock);
	WRITE_ONCE(csb->seq_floor, csb->counters->seq + 1);
	WRITE_ONCE(csb->counters->seq, csb->seq_floor);
	spin_unlock(&csb->change_lock);
	atomic_inc(&csb->epoch);
}

/* ---- attributes ---- */
/**
 * cfs_attr_is_valid - can these be attributes?
 * @attr: From the daemon.
 */
bool cfs_attr_is_valid(const struct cfs_attr *attr)
{
	switch (attr->mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFIFO:
	case S_IFSOCK:
		return attr->ino && attr->size <= MAX_LFS_FILESIZE &&
		       uid_valid(make_kuid(&init_user_ns, attr->uid)) &&
		       gid_valid(make_kgid(&init_user_ns, attr->gid));
	}
	return false;
}

/**
 * cfs_attrs_are_fresh - are the cached attributes believed?
 * @ci: Inode.
 */
bool cfs_attrs_are_fresh(struct cfs_inode *ci)
{
	struct cfs_sb *csb = CFS_SB(ci->netfs.inode.i_sb);
	bool fresh;

	spin_lock(&ci->netfs.inode.i_lock);
	fresh = time_before64(get_jiffies_64(), ci->attr_until) &&
		ci->attr_epoch == cfs_epoch(csb);
	spin_unlock(&ci->netfs.inode.i_lock);
	return fresh;
}

static void cfs_apply_times(struct inode *inode, const struct cfs_attr *attr, bool busy)
{
	struct cfs_inode *ci = CFS_I(inode);

	lockdep_assert_held(&inode->i_lock);
	ci->birth = attr->ctime;
	if (inode_get_ctime_sec(inode) < attr->ctime)
		inode_set_ctime(inode, attr->ctime, 0);
	if (!ci->atime_set)
		inode_set_atime(inode, attr->atime, 0);
	if (!busy)
		inode_set_mtime(inode, attr->mtime, 0);
}

/**
 * cfs_rights_are_fresh - are mode, owner and what goes with them believed?
 * @ci: Inode.
 */
bool cfs_rights_are_fresh(const struct cfs_inode *ci)
{
	return time_before64(get_jiffies_64(), READ_ONCE(ci->rights_until)) &&
		READ_ONCE(ci->rights_epoch) == cfs_epoch(CFS_SB(ci->netfs.inode.i_sb));
}

static void cfs_forget_security(struct inode *inode)
{
	lockdep_assert_held(&inode->i_lock);
	inode->i_flags &= ~S_NOSEC;
	CFS_I(inode)->absent_xattrs = 0;
	forget_all_cached_acls(inode);
}

/*
 * Mode and owner are those of now. What goes with them but is cached by the VFS is asked for again
 * when its time is over: ACLs, and what of security.* is absent.
 */
static void cfs_renew_rights(struct inode *inode, u32 valid_ms)
{
	struct cfs_inode *ci = CFS_I(inode);

	lockdep_assert_held(&inode->i_lock);
	if (cfs_rights_are_fresh(ci))
		return;
	cfs_forget_security(inode);
	WRITE_ONCE(ci->rights_epoch, cfs_epoch(CFS_SB(inode->i_sb)));
	WRITE_ONCE(ci->rights_until, get_jiffies_64() + msecs_to_jiffies(valid_ms));
}

enum cfs_stale { CFS_STALE_NOTHING, CFS_STALE_PAGES, CFS_STALE_DATA };

/*
 * Servers tell an overwrite in place by mtime only, in whole seconds: one that is not over yet tells
 * nothing. Returns whether another host may have changed what is cached.
 */
static bool cfs_mtime_moved(struct cfs_inode *ci, s64 mtime)
{
	bool ours = READ_ONCE(ci->wrote);
	bool moved = !ours && (ci->pages_young || mtime != ci->pages_mtime);

	WRITE_ONCE(ci->wrote, false);
	ci->pages_mtime = mtime;
	ci->pages_young = !ours && mtime + CFS_MTIME_GRAIN > ktime_get_real_seconds();
	return moved;
}

/**
 * cfs_mtime_told - a server has taken an mtime from here, and said nothing else
 * @inode: Regular file.
 * @mtime: Seconds.
 *
 * As if its attributes had come: the next mtime that is another one is another host's. Unless bytes are under
 * way here, which move it as well.
 *
 * Context: Any.
 */
void cfs_mtime_told(struct inode *inode, s64 mtime)
{
	spin_lock(&inode->i_lock);
	if (!cfs_data_busy(inode)) {
		WRITE_ONCE(CFS_I(inode)->wrote, true);
		cfs_mtime_moved(CFS_I(inode), mtime);
	}
	spin_unlock(&inode->i_lock);
}

/* What is known of the inode is asked for at next use. */
static void cfs_forget_locked(struct inode *inode)
{
	lockdep_assert_held(&inode->i_lock);
	CFS_I(inode)->attr_until = 0;
	WRITE_ONCE(CFS_I(inode)->rights_until, 0);
}

/* What was just taken is better than nothing, but only an answer to a later question is current. */
static void cfs_fell_behind(struct inode *inode, u64 seq)
{
	cfs_forget_locked(inode);
	CFS_I(inode)->elsewhere_seq = max(CFS_I(inode)->elsewhere_seq, seq + 1);
}

/*
 * What was asked for at @seq is not current, but only because of changes through other mounts: is it
 * newer than what is known here?
 */
static bool cfs_changed_only_elsewhere(const struct inode *inode, u64 seq)
{
	const struct cfs_inode *ci = container_of(inode, struct cfs_inode, netfs.inode);
	const struct cfs_sb *csb = CFS_SB(inode->i_sb);

	lockdep_assert_held(&inode->i_lock);
	return seq >= READ_ONCE(csb->seq_floor) && seq >= READ_ONCE(csb->own_floor) &&
	       seq >= ci->own_seq && seq >= ci->attr_seq;
}

/* What ls and execve() want of every file need not be asked for. The attributes are current, and so are the rights. */
static void cfs_note_no_security(struct inode *inode, const struct cfs_attr *attr)
{
	lockdep_assert_held(&inode->i_lock);
	if (!(attr->flags & CFS_ATTR_NO_SECURITY))
		return;
	CFS_I(inode)->absent_xattrs |= CFS_XATTR_CAPABILITY | CFS_XATTR_SELINUX;
	set_cached_acl(inode, ACL_TYPE_ACCESS, NULL);
	if (S_ISDIR(inode->i_mode))
		set_cached_acl(inode, ACL_TYPE_DEFAULT, NULL);
}

/* Returns what of the cached data is not the server's. */
static enum cfs_stale cfs_apply_locked(struct inode *inode, const struct cfs_attr *attr, u64 seq)
{
	struct cfs_inode *ci = CFS_I(inode);
	bool busy = S_ISREG(inode->i_mode) && cfs_data_busy(inode);
	enum cfs_stale stale = CFS_STALE_NOTHING;

	lockdep_assert_held(&inode->i_lock);
	inode->i_mode = (inode->i_mode & S_IFMT) | (attr->mode & ~S_IFMT);
	if (is_sxid(inode->i_mode))
		inode->i_flags &= ~S_NOSEC;
	inode->i_uid = make_kuid(&init_user_ns, attr->uid);
	inode->i_gid = make_kgid(&init_user_ns, attr->gid);
	set_nlink(inode, attr->nlink);
	cfs_apply_times(inode, attr, busy);
	if (S_ISREG(inode->i_mode) && !busy) {
		if (cfs_mtime_moved(ci, attr->mtime))
			stale = CFS_STALE_PAGES;
		if (attr->gen != ci->gen)
			stale = CFS_STALE_DATA;
		ci->gen = attr->gen;
		ci->storage_class = attr->storage_class;
		cfs_data_set_size(inode, attr->size);
	} else if (S_ISLNK(inode->i_mode)) {
		i_size_write(inode, attr->size);
	}
	ci->attr_seq = seq;
	ci->attr_until = get_jiffies_64() + msecs_to_jiffies(attr->attr_valid_ms);
	ci->attr_epoch = cfs_epoch(CFS_SB(inode->i_sb));
	WRITE_ONCE(ci->check_at, get_jiffies_64() + msecs_to_jiffies(max(attr->attr_valid_ms,
									 CFS_CHECK_LEAST_MS)));
	cfs_renew_rights(inode, attr->attr_valid_ms);
	return stale;
}

/**
 * cfs_attrs_begin - the first attributes of a new inode
 * @inode: Inode, I_NEW, nothing cached of it.
 * @attr:  cfs_attr_is_valid().
 * @seq:   Sequence before they were asked for. Better these than none, but if they may be older than
 *         a local change, they are asked for again.
 */
void cfs_attrs_begin(struct inode *inode, const struct cfs_attr *attr, u64 seq)
{
	smp_mb();	/* the inode can be found; pairs with cfs_peers_changed() */
	spin_lock(&inode->i_lock);
	cfs_apply_locked(inode, attr, seq);
	if (cfs_changed_since(CFS_SB(inode->i_sb), inode->i_ino, seq))
		cfs_fell_behind(inode, seq);
	else
		cfs_note_no_security(inode, attr);
	spin_unlock(&inode->i_lock);
}

/* @wait: see cfs_data_invalidate(). */
static bool cfs_inode_take(struct inode *inode, const struct cfs_attr *attr, u64 seq, bool wait)
{
	struct cfs_sb *csb = CFS_SB(inode->i_sb);
	enum cfs_stale stale = CFS_STALE_NOTHING;
	bool current_ones, taken;

	if (attr->ino != inode->i_ino || !cfs_attr_is_valid(attr) ||
	    inode_wrong_type(inode, attr->mode))
		return true;		/* of no use, now or later */
	spin_lock(&inode->i_lock);
	current_ones = !cfs_changed_since(csb, inode->i_ino, seq);
	taken = current_ones || cfs_changed_only_elsewhere(inode, seq);
	if (taken)
		stale = cfs_apply_locked(inode, attr, seq);
	if (taken && !current_ones)
		cfs_fell_behind(inode, seq);
	else if (taken)
		cfs_note_no_security(inode, attr);
	else
		CFS_I(inode)->attr_until = 0;
	spin_unlock(&inode->i_lock);
	if (stale)
		cfs_data_invalidate(inode, stale == CFS_STALE_DATA, wait);
	return taken;
}

/**
 * cfs_inode_apply - take a server's attributes
 * @inode: Inode.
 * @attr:  From the daemon; its type must be the inode's.
 * @seq:   Sequence before they were asked for. Older than a local change: not taken, asked for at
 *         next use. Older than a change through another mount: taken, being the best that is known
 *         here, but asked for at next use as well.
 *
 * Size, mtime and generation are not taken while local bytes are under way.
 *
 * Context: Process, may sleep (data of another generation is dropped).
 * Return:  Whether they were taken.
 */
bool cfs_inode_apply(struct inode *inode, const struct cfs_attr *attr, u64 seq)
{
	return cfs_inode_take(inode, attr, seq, true);
}

/**
 * cfs_attrs_expire - ask for the attributes at next use
 * @inode: Inode; what a local change made of its attributes stays until then.
 */
void cfs_attrs_expire(struct inode *inode)
{
	spin_lock(&inode->i_lock);
	CFS_I(inode)->attr_until = 0;
	spin_unlock(&inode->i_lock);
}

/**
 * cfs_inode_expire - something about an inode changed in another place
 * @csb:  Mount; its super block may be about to go, or have gone.
 * @ino:  Inode; may be unknown here.
 * @what: CFS_EXPIRE_*.
 * @seq:  What cfs_changed_elsewhere() returned of it.
 *
 * Context: Any.
 */
void cfs_inode_expire(struct cfs_sb *csb, u64 ino, unsigned int what, u64 seq)
{
	struct inode *inode;

	rcu_read_lock();
	inode = cfs_inode_cached(csb, ino);
	if (inode) {
		spin_lock(&inode->i_lock);
		CFS_I(inode)->elsewhere_seq = max(CFS_I(inode)->elsewhere_seq, seq);
		if (what & CFS_EXPIRE_ATTRS) {
			CFS_I(inode)->attr_until = 0;
			WRITE_ONCE(CFS_I(inode)->check_at, 0);
		}
		if (what & CFS_EXPIRE_RIGHTS) {
			WRITE_ONCE(CFS_I(inode)->rights_until, 0);
			cfs_forget_security(inode);
		}
		spin_unlock(&inode->i_lock);
		if (what & CFS_EXPIRE_NAMES)
			atomic_inc(&CFS_I(inode)->names_epoch);
	}
	rcu_read_unlock();
}

/**
 * cfs_getattr_call - ask for attributes
 * @sb:   Super block.
 * @ino:  Inode.
 * @attr: Filled on success; not judged yet.
 * @seq:  Filled: the sequence before.
 *
 * Context: Process, sleeps; killable.
 * Return:  0; -ESTALE when there is none; -errno of the call.
 */
int cfs_getattr_call(struct super_block *sb, u64 ino, struct cfs_attr *attr, u64 *seq)
{
	struct cfs_call *call = cfs_call_alloc(CFS_SB(sb), CFS_OP_GETATTR, ino, GFP_KERNEL);
	int ret = cfs_call_ask(call, attr, sizeof(*attr), seq);

	return ret == -ENOENT || (!ret && attr->ino != ino) ? -ESTALE : ret;
}

/* Make the attributes, and what goes with them, current without asking. Returns whether they are. */
static bool cfs_refresh_cached(struct inode *inode)
{
	struct dentry *alias = d_find_any_alias(inode);
	struct cfs_meta_hit hit;
	bool is_hit = cfs_policy_attr(alias, inode, &hit);

	dput(alias);
	if (!is_hit || inode_wrong_type(inode, hit.attr.mode))
		return false;
	if (!cfs_attrs_are_fresh(CFS_I(inode))) {
		cfs_open_grant(inode, hit.open_ms);
		cfs_inode_apply(inode, &hit.attr, hit.seq);
		return cfs_attrs_are_fresh(CFS_I(inode));
	}
	spin_lock(&inode->i_lock);
	is_hit = !cfs_changed_since(CFS_SB(inode->i_sb), inode->i_ino, hit.seq);
	if (is_hit)
		cfs_renew_rights(inode, hit.attr.attr_valid_ms);
	spin_unlock(&inode->i_lock);
	return is_hit;
}

/* Any of its names tells which directory's rules are the inode's. */
static void cfs_refresh_lifetime(struct inode *inode, struct cfs_attr *attr)
{
	struct dentry *alias = d_find_any_alias(inode);

	cfs_reply_lifetime(alias, inode, attr);
	dput(alias);
}

/* Out of line, as the next one: who has fresh attributes needs neither their stack nor registers. */
static noinline int cfs_refresh_told(struct inode *inode)
{
	trace_cfs_cache(inode, CFS_CACHE_ATTR, CFS_CACHE_HIT);
	return 0;
}

/* Returns -EAGAIN for an answer that was not taken. */
static int cfs_refresh_asked(struct inode *inode)
{
	struct cfs_attr attr;
	u64 seq;
	int ret = cfs_getattr_call(inode->i_sb, inode->i_ino, &attr, &seq);

	if (ret)
		return ret;
	if (inode_wrong_type(inode, attr.mode))
		return -ESTALE;
	cfs_refresh_lifetime(inode, &attr);
	return cfs_inode_apply(inode, &attr, seq) ? 0 : -EAGAIN;
}

/* Is what is known older than a change that has ended, because others went on and answers were refused? */
static bool cfs_is_behind(struct inode *inode)
{
	struct cfs_inode *ci = CFS_I(inode);
	bool behind;

	spin_lock(&inode->i_lock);
	behind = ci->attr_seq < ci->elsewhere_seq;
	spin_unlock(&inode->i_lock);
	return behind;
}

static noinline int cfs_refresh(struct inode *inode, bool force)
{
	int ret, tries = 0;

	trace_cfs_cache(inode, CFS_CACHE_ATTR, force ? CFS_CACHE_ASKED : CFS_CACHE_EXPIRED);
	if (!force && cfs_refresh_cached(inode))
		return 0;
	do {
		ret = cfs_refresh_asked(inode);
	} while (ret == -EAGAIN && cfs_is_behind(inode) && ++tries < CFS_REFRESH_TRIES);
	return ret == -EAGAIN ? 0 : ret;
}

/**
 * cfs_inode_refresh - make the cached attributes current
 * @inode: Inode.
 * @force: Ask even if they are believed.
 *
 * An inode that was deleted here is not asked about: its attributes are only ours.
 *
 * Context: Process, sleeps; killable.
 * Return:  0; -ESTALE when the inode is gone; -errno of the call.
 */
int cfs_inode_refresh(struct inode *inode, bool force)
{
	if (!inode->i_nlink || (!force && cfs_attrs_are_fresh(CFS_I(inode))))
		return trace_cfs_cache_enabled() ? cfs_refresh_told(inode) : 0;
	return cfs_refresh(inode, force);
}

/* A mount that is just ending needs no comparison. */
static void cfs_inode_checked(struct cfs_call *call)
{
	struct super_block *sb = cfs_session_super(call->csb);
	struct cfs_attr attr;
	struct inode *inode;

	if (!sb)
		goto out;
	inode = ilookup(sb, call->req.ino);
	if (inode && cfs_call_fixed(call, &attr, sizeof(attr)) >= 0) {
		cfs_refresh_lifetime(inode, &attr);
		cfs_inode_take(inode, &attr, call->req.seq, false);
	}
	iput(inode);
	up_read(&sb->s_umount);
out:
	cfs_call_put(call);
}

/**
 * cfs_inode_check_now - compare an open file with the servers'
 * @inode: Regular file that is being read, unheard of for the lifetime of its attributes.
 *
 * What is cached of a file is compared when it is opened. One that stays open would be read as it
 * was then for ever, over a cut of the network too. Nobody waits for the answer: with another
 * generation, pages go when it comes.
 *
 * Context: Process; does not sleep.
 */
void cfs_inode_check_now(struct inode *inode)
{
	struct cfs_call *call;

	WRITE_ONCE(CFS_I(inode)->check_at, get_jiffies_64() + msecs_to_jiffies(CFS_CHECK_AGAIN_MS));
	if (!inode->i_nlink || cfs_data_busy(inode) || cfs_chan_absence())
		return;
	call = cfs_call_alloc(CFS_SB(inode->i_sb), CFS_OP_GETATTR, inode->i_ino, GFP_NOWAIT);
	if (!call)
		return;
	call->done = cfs_inode_checked;
	cfs_call_async(call);
}

/* The rights of an inode are old. */
static noinline int cfs_rights_refresh(struct inode *inode)
{
	return cfs_refresh_cached(inode) ? 0 : cfs_inode_refresh(inode, true);
}

CFS_TOLD(static, int, cfs_rights_refresh, CFS_VFS_PERMISSION, inode, ret,
	 (struct inode *inode), (inode))

static noinline int cfs_permission_expired(struct mnt_idmap *idmap, struct inode *inode, int mask)
{
	if (mask & MAY_NOT_BLOCK)
		return -ECHILD;
	return cfs_rights_refresh_op(inode) ?: generic_permission(idmap, inode, mask);
}

/**
 * cfs_permission - inode_operations.permission
 * @idmap: Of the mount.
 * @inode: File.
 * @mask:  MAY_*.
 *
 * Directories that a process stands in are used without being looked up: so what decides is
 * refreshed here, when it is old.
 */
int cfs_permission(struct mnt_idmap *idmap, struct inode *inode, int mask)
{
	return cfs_rights_are_fresh(CFS_I(inode)) ? generic_permission(idmap, inode, mask) :
		cfs_permission_expired(idmap, inode, mask);
}
