// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: mounts of one volume on this host.
 *
 * Purpose   What changes through one mount is seen through the others before the call returns: their
 *           change counters move, the attributes of the inode and the one name expire. Pages are
 *           not touched: the next open asks, and a generation that differs drops them.
 * Lifetime  struct cfs_volume lives from its first mount to the last struct cfs_sb that named it. A
 *           mount is on its list from the answer to MOUNT until its super block is empty.
 * Locks     cfs_volumes_lock, a leaf, for those who join and leave. Walkers use RCU; leaving waits
 *           for them. s_umount of another mount is only tried, so that neither an unmount nor a
 *           caller with locks of its own waits for the other.
 * Contexts  Process. cfs_peers_changed() neither sleeps nor allocates: commits of write-back call it.
 * Failure   Where s_umount cannot be had at once (unmount, remount), all names of the directory
 *           expire instead of one.
 *
 * Races     A change moves the other mount's counter, then looks for the inode or dentry. Who is told
 *           something older there makes inode or dentry findable, then looks at the counter, with
 *           i_lock or d_lock held. With a full barrier between each two, one of them sees the other.
 */
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/stringhash.h>
#include "cfs.h"

static DEFINE_SPINLOCK(cfs_volumes_lock);
static LIST_HEAD(cfs_volumes);			/* cfs_volumes_lock */
static u64 cfs_peer_ids;			/* cfs_volumes_lock: the last one given */

static struct cfs_volume *cfs_volume_find(u64 fsid)
{
	struct cfs_volume *v;

	lockdep_assert_held(&cfs_volumes_lock);
	list_for_each_entry(v, &cfs_volumes, node)
		if (v->fsid == fsid)
			return v;
	return NULL;
}

/*
 * Whoever changes something from now on sees this mount, and tells its own inodes; what was asked for
 * before counts as old here.
 */
static void cfs_peers_met(struct cfs_sb *csb)
{
	struct cfs_sb *peer;

	synchronize_rcu();
	rcu_read_lock();
	list_for_each_entry_rcu(peer, &csb->volume->mounts, peers)
		WRITE_ONCE(peer->own_floor, cfs_seq(peer) + 1);
	rcu_read_unlock();
	cfs_epoch_bump(csb);
}

/**
 * cfs_peers_join - a mount's volume is known
 * @csb: Mount; csb->fsid is set and nothing of it is cached yet.
 *
 * What it was told until now, others may have changed since: it counts as old.
 *
 * Context: Process, sleeps.
 * Return:  0 or -ENOMEM.
 */
int cfs_peers_join(struct cfs_sb *csb)
{
	struct cfs_volume *fresh = kzalloc(sizeof(*fresh), GFP_KERNEL), *v;

	if (!fresh)
		return -ENOMEM;
	INIT_LIST_HEAD(&fresh->mounts);
	fresh->fsid = csb->fsid;
	spin_lock(&cfs_volumes_lock);
	v = cfs_volume_find(csb->fsid);
	if (!v) {
		swap(v, fresh);
		list_add(&v->node, &cfs_volumes);
	}
	v->users++;
	csb->peer_id = ++cfs_peer_ids;
	csb->own_floor = U64_MAX;
	list_add_tail_rcu(&csb->peers, &v->mounts);
	WRITE_ONCE(csb->joined, 1);
	WRITE_ONCE(v->count, v->count + 1);
	smp_store_release(&csb->volume, v);	/* pairs with cfs_has_peers() */
	spin_unlock(&cfs_volumes_lock);
	kfree(fresh);
	if (cfs_has_peers(csb))
		cfs_peers_met(csb);
	return 0;
}

/**
 * cfs_peers_leave - a mount has no inodes any more
 * @csb: Mount, perhaps one that never joined.
 *
 * Context: Process, sleeps.
 */
void cfs_peers_leave(struct cfs_sb *csb)
{
	struct cfs_volume *v = csb->volume;
	struct cfs_sb *peer;
	bool shared;

	if (!csb->joined)
		return;
	spin_lock(&cfs_volumes_lock);
	shared = v->users > 1;
	list_del_rcu(&csb->peers);
	if (v->count == 2) {		/* the one that is left does not tell its inodes any more */
		list_for_each_entry(peer, &v->mounts, peers)
			WRITE_ONCE(peer->own_floor, U64_MAX);
	}
	/* who sees the count also sees the floor */
	smp_store_release(&v->count, v->count - 1);
	WRITE_ONCE(csb->joined, 0);
	spin_unlock(&cfs_volumes_lock);
	if (shared)
		synchronize_rcu();
}

/**
 * cfs_peers_sb_free - nobody names the mount any more
 * @csb: Mount that has left, or never joined.
 */
void cfs_peers_sb_free(struct cfs_sb *csb)
{
	struct cfs_volume *v = csb->volume;

	if (!v)
		return;
	spin_lock(&cfs_volumes_lock);
	if (--v->users)
		v = NULL;
	else
		list_del(&v->node);
	spin_unlock(&cfs_volumes_lock);
	kfree(v);
}

/**
 * cfs_peers_changed - something about an inode changed
 * @csb:  Mount that it changed through; has or had peers.
 * @ino:  See cfs_change().
 * @what: CFS_EXPIRE_*, besides attributes.
 *
 * Context: Any that may take i_lock.
 */
void cfs_peers_changed(struct cfs_sb *csb, u64 ino, unsigned int what)
{
	struct cfs_sb *peer;
	u64 seq;

	rcu_read_lock();
	list_for_each_entry_rcu(peer, &csb->volume->mounts, peers) {
		if (peer == csb)
			continue;
		seq = cfs_changed_elsewhere(peer, ino);
		smp_mb();		/* see Races */
		cfs_inode_expire(peer, ino, CFS_EXPIRE_ATTRS | what, seq);
	}
	rcu_read_unlock();
}

/**
 * cfs_mounts_epoch_bump - every name and attribute of a volume's mounts expires
 * @csb: One of them.
 *
 * Context: Any.
 */
void cfs_mounts_epoch_bump(struct cfs_sb *csb)
{
	struct cfs_sb *peer;

	cfs_epoch_bump(csb);
	if (!cfs_has_peers(csb))
		return;
	rcu_read_lock();
	list_for_each_entry_rcu(peer, &csb->volume->mounts, peers)
		if (peer != csb)
			cfs_epoch_bump(peer);
	rcu_read_unlock();
}

/* The next mount of the list, which may change meanwhile. Returns a strong reference or NULL. */
static struct cfs_sb *cfs_peer_after(struct cfs_sb *csb, u64 id)
{
	struct cfs_sb *peer, *found = NULL;

	rcu_read_lock();
	list_for_each_entry_rcu(peer, &csb->volume->mounts, peers) {
		if (peer != csb && peer->peer_id > id) {
			kref_get(&peer->ref);	/* the super block's goes after the grace period */
			found = peer;
			break;
		}
	}
	rcu_read_unlock();
	return found;
}

/* The dentry of a directory that is in the cache, with a reference. Needs s_umount. */
static struct dentry *cfs_peer_parent(struct super_block *sb, u64 ino)
{
	struct dentry *parent = NULL;
	struct inode *dir;

	rcu_read_lock();
	dir = find_inode_by_ino_rcu(sb, ino);
	if (dir)
		parent = d_find_any_alias(dir);
	rcu_read_unlock();
	return parent;
}

static void cfs_peer_name_expire(struct cfs_sb *peer, u64 ino, const struct qstr *name)
{
	struct super_block *sb = cfs_session_super(peer);
	struct dentry *parent, *dentry = NULL;
	struct qstr key = *name;

	if (!sb) {
		cfs_inode_expire(peer, ino, CFS_EXPIRE_NAMES, 0);
		return;
	}
	parent = cfs_peer_parent(sb, ino);
	if (parent) {
		key.hash = full_name_hash(parent, key.name, key.len);
		dentry = d_lookup(parent, &key);
	}
	if (dentry) {
		spin_lock(&dentry->d_lock);
		cfs_stamp_expire(dentry);
		spin_unlock(&dentry->d_lock);
	}
	dput(dentry);
	dput(parent);
	up_read(&sb->s_umount);
}

/**
 * cfs_peers_name_changed - a name was made, removed or moved
 * @csb:  Mount that it changed through.
 * @dir:  Its directory, whose counter has moved.
 * @name: Name.
 *
 * Context: Process, may sleep.
 */
void cfs_peers_name_changed(struct cfs_sb *csb, u64 dir, const struct qstr *name)
{
	struct cfs_sb *peer;
	u64 id = 0;

	if (!cfs_has_peers(csb))
		return;
	smp_mb();			/* see Races */
	while ((peer = cfs_peer_after(csb, id))) {
		id = peer->peer_id;
		cfs_peer_name_expire(peer, dir, name);
		cfs_sb_put(peer);
	}
}
