// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: mounts.
 *
 * Purpose   Mount options, super block, statfs, and the order in which a mount ends.
 * Lifetime  struct cfs_sb is made with the fs_context, moves to the super block, and is freed when
 *           the last call that names it is gone, which may be after the super block.
 * Locks     s_umount, held by the VFS.
 * Contexts  Process.
 * Failure   A mount fails with the daemon's errno, or with ETIMEDOUT when there is none for
 *           deadline seconds.
 *
 * Options   config=KEY=VALUE  (repeatable; kept as lines for the daemon, this module does not look
 *           inside) crc=on|off  hard|soft  deadline=SECONDS  acl|noacl  nobpf  fsc
 * The end   data (every byte committed, unless forced), dentries and inodes (evictions are queued),
 *           calls, the daemon is told, struct cfs_sb. Only the first waits without bound, like any
 *           hard mount, as long as there is a daemon; without one, until the deadline. A forced
 *           unmount and CFS_IOC_ABORT skip it.
 */
#include <linux/backing-dev.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include <linux/vmalloc.h>
#include "cfs.h"
#include "compat.h"

#define CFS_DEADLINE_S		600
#define CFS_DEADLINE_MAX_S	86400
/* f_bsize 4096. Source: CubeFS client/fs/super.go */
#define CFS_BLOCK_SHIFT		12
#define CFS_READ_AHEAD_BYTES	SZ_4M
#define CFS_IO_BYTES		SZ_1M		/* largest piece that one packet carries */
/* inodes are not limited; half, so that sums do not overflow */
#define CFS_FILES_MAX		(S64_MAX >> 1)

enum {
	CFS_OPT_CONFIG, CFS_OPT_CRC, CFS_OPT_SOFT, CFS_OPT_HARD, CFS_OPT_DEADLINE, CFS_OPT_ACL,
	CFS_OPT_NOBPF, CFS_OPT_FSC
};

static const struct constant_table cfs_on_off[] = {
	{ "off", 0 },
	{ "on", 1 },
	{}
};

static const struct fs_parameter_spec cfs_parameters[] = {
	fsparam_string("config", CFS_OPT_CONFIG),
	fsparam_enum("crc", CFS_OPT_CRC, cfs_on_off),
	fsparam_flag("soft", CFS_OPT_SOFT),
	fsparam_flag("hard", CFS_OPT_HARD),
	fsparam_u32("deadline", CFS_OPT_DEADLINE),
	fsparam_flag_no("acl", CFS_OPT_ACL),
	fsparam_flag("nobpf", CFS_OPT_NOBPF),
	fsparam_flag("fsc", CFS_OPT_FSC),
	{}
};

static void cfs_watch_unmount(struct work_struct *work);

/* ---- struct cfs_sb ---- */
static struct cfs_sb *cfs_sb_new(void)
{
	struct cfs_sb *csb = kzalloc(sizeof(*csb), GFP_KERNEL);

	if (!csb)
		return NULL;
	kref_init(&csb->ref);
	INIT_LIST_HEAD(&csb->link);
	spin_lock_init(&csb->change_lock);
	INIT_DELAYED_WORK(&csb->watch, cfs_watch_unmount);
	csb->deadline_s = CFS_DEADLINE_S;
	csb->config = kstrdup("", GFP_KERNEL);
	csb->counts = alloc_percpu(struct cfs_counts);
	csb->counters = vmalloc_user(sizeof(*csb->counters));
	cfs_view_sb_init(csb);
	cfs_ahead_sb_init(csb);
	cfs_data_sb_init(csb);
	if (csb->config && csb->counts && csb->counters)
		return csb;
	cfs_sb_put(csb);
	return NULL;
}

static void cfs_sb_free(struct kref *ref)
{
	struct cfs_sb *csb = container_of(ref, struct cfs_sb, ref);

	cfs_view_sb_free(csb);
	cfs_peers_sb_free(csb);
	vfree(csb->counters);
	free_percpu(csb->counts);
	kfree_sensitive(csb->config);
	kfree(csb->source);
	kfree_rcu(csb, rcu);
}

/**
 * cfs_sb_put - drop a reference
 * @csb: Mount.
 *
 * Context: Process, may sleep.
 */
void cfs_sb_put(struct cfs_sb *csb)
{
	kref_put(&csb->ref, cfs_sb_free);
}

/* ---- super block operations ---- */
static int cfs_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct super_block *sb = dentry->d_sb;
	struct cfs_call *call = cfs_call_alloc(CFS_SB(sb), CFS_OP_STATFS, 0, GFP_KERNEL);
	struct cfs_statfs st;
	int ret = cfs_call_ask(call, &st, sizeof(st), NULL);

	if (ret)
		return ret;
	buf->f_type = CFS_MAGIC;
	buf->f_bsize = 1 << CFS_BLOCK_SHIFT;
	buf->f_frsize = buf->f_bsize;
	buf->f_blocks = st.total_bytes >> CFS_BLOCK_SHIFT;
	buf->f_bfree = (st.total_bytes - min(st.used_bytes, st.total_bytes)) >> CFS_BLOCK_SHIFT;
	buf->f_bavail = buf->f_bfree;
	buf->f_files = CFS_FILES_MAX;
	buf->f_ffree = CFS_FILES_MAX - min_t(u64, st.inodes, CFS_FILES_MAX);
	buf->f_namelen = CFS_NAME_LEN_MAX;
	buf->f_fsid = u64_to_fsid(CFS_SB(sb)->fsid);
	return 0;
}

static int cfs_show_options(struct seq_file *m, struct dentry *root)
{
	struct cfs_sb *csb = CFS_SB(root->d_sb);

	if (csb->nocrc)
		seq_puts(m, ",crc=off");
	if (csb->soft)
		seq_puts(m, ",soft");
	if (csb->deadline_s != CFS_DEADLINE_S)
		seq_printf(m, ",deadline=%u", csb->deadline_s);
	if (csb->noacl)
		seq_puts(m, ",noacl");
	if (csb->nobpf)
		seq_puts(m, ",nobpf");
	if (csb->fsc_volume)
		seq_puts(m, ",fsc");
	return 0;
}

/**
 * cfs_sb_abort - nobody waits any more, and what cannot be saved is lost
 * @csb: Mount; stays so, even if it is busy.
 *
 * Context: Process; may be called at any time until the last reference is gone.
 */
void cfs_sb_abort(struct cfs_sb *csb)
{
	set_bit(CFS_SB_FORCED, &csb->flags);
	cfs_chan_abort_session(csb);
	cfs_data_sb_abort(csb);
}

static void cfs_umount_begin(struct super_block *sb)
{
	cfs_sb_abort(CFS_SB(sb));
}

static const struct super_operations cfs_super_ops = {
	.alloc_inode	= cfs_inode_alloc,
	.destroy_inode	= cfs_inode_destroy,
	.free_inode	= cfs_inode_free,
	.evict_inode	= cfs_inode_evict,
	.write_inode	= netfs_unpin_writeback,	/* for dirty pages; inodes are not written */
	.statfs		= cfs_statfs,
	.show_options	= cfs_show_options,
	.umount_begin	= cfs_umount_begin,
};

/* ---- mounting ---- */
/* Ask the daemon to open the volume; it publishes what the data path needs before it answers. */
static int cfs_mount_call(struct cfs_sb *csb, struct cfs_mount_reply *reply, u64 *seq)
{
	struct cfs_call *call = cfs_call_alloc(csb, CFS_OP_MOUNT, 0, GFP_KERNEL);

	if (call)
		cfs_call_data(call, csb->config, strlen(csb->config));
	return cfs_call_ask(call, reply, sizeof(*reply), seq);
}

static int cfs_make_root(struct super_block *sb, const struct cfs_attr *attr, u64 seq)
{
	struct inode *inode;

	if (!S_ISDIR(attr->mode))
		return -EPROTO;
	inode = cfs_iget(sb, attr, seq);
	if (IS_ERR(inode))
		return PTR_ERR(inode);
	sb->s_root = d_make_root(inode);
	return sb->s_root ? 0 : -ENOMEM;
}

static void cfs_super_setup(struct super_block *sb)
{
	sb->s_magic = CFS_MAGIC;
	sb->s_op = &cfs_super_ops;
	sb->s_xattr = cfs_xattr_handlers;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_blocksize_bits = CFS_BLOCK_SHIFT;
	sb->s_blocksize = 1 << CFS_BLOCK_SHIFT;
	sb->s_time_gran = NSEC_PER_SEC;		/* servers keep whole seconds */
	sb->s_flags |= SB_NOSEC | SB_NOATIME;
	if (!CFS_SB(sb)->noacl)
		sb->s_flags |= SB_POSIXACL;
	sb->s_export_op = &cfs_export_ops;
	/* pages are sent by reference, with their checksum */
	sb->s_iflags |= SB_I_STABLE_WRITES;
	cfs_set_d_op(sb, &cfs_dentry_ops);
}

static int cfs_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct cfs_sb *csb = CFS_SB(sb);
	struct cfs_mount_reply reply;
	u64 seq;
	int ret;

	csb->sb = sb;
	csb->dev = new_encode_dev(sb->s_dev);
	csb->source = kstrdup(fc->source ?: "none", GFP_KERNEL);
	if (!csb->source)
		return -ENOMEM;
	cfs_super_setup(sb);
	ret = super_setup_bdi(sb);
	if (ret)
		return ret;
	sb->s_bdi->ra_pages = CFS_READ_AHEAD_BYTES >> PAGE_SHIFT;
	sb->s_bdi->io_pages = CFS_IO_BYTES >> PAGE_SHIFT;
	csb->counters->volume = csb->nobpf ? 0 : get_random_u64() | 1;
	cfs_chan_add_session(csb);
	ret = cfs_mount_call(csb, &reply, &seq);
	if (ret)
		return ret;
	csb->storage_class = reply.storage_class;
	csb->mount_flags = reply.flags;
	csb->fsid = reply.fsid;
	ret = cfs_peers_join(csb);
	if (ret)
		return ret;
	if (reply.flags & CFS_MR_READ_ONLY)
		sb->s_flags |= SB_RDONLY;
	ret = csb->fsc ? cfs_fsc_begin(csb, fc) : 0;
	return ret ?: cfs_make_root(sb, &reply.root, seq);
}

static int cfs_get_tree(struct fs_context *fc)
{
	return get_tree_nodev(fc, cfs_fill_super);
}

/*
 * umount(8) cannot name a mount any more whose unmount has begun: one that has no daemon for the
 * mount's deadline must end by itself. CFS_IOC_ABORT ends it sooner.
 */
static void cfs_watch_unmount(struct work_struct *work)
{
	struct cfs_sb *csb = container_of(work, struct cfs_sb, watch.work);

	if (test_bit(CFS_SB_FORCED, &csb->flags))
		return;
	if (min(cfs_chan_absence(), get_jiffies_64() - csb->dying_at) < (u64)csb->deadline_s * HZ) {
		schedule_delayed_work(&csb->watch, HZ);
		return;
	}
	pr_warn("cubefs: %s: unmount without a daemon for %u s: given up\n", csb->source,
		csb->deadline_s);
	cfs_sb_abort(csb);
}

static void cfs_kill_sb(struct super_block *sb)
{
	struct cfs_sb *csb = CFS_SB(sb);

	set_bit(CFS_SB_DYING, &csb->flags);
	csb->dying_at = get_jiffies_64();
	schedule_delayed_work(&csb->watch, HZ);
	if (sb->s_root)
		cfs_data_sb_sync(csb);
	kill_anon_super(sb);
	cfs_fsc_end(csb);
	cfs_peers_leave(csb);
	cfs_ahead_sb_exit(csb);
	cancel_delayed_work_sync(&csb->watch);
	if (csb->session)
		cfs_chan_del_session(csb);
	cfs_sb_put(csb);
}

/* ---- options ---- */
/*
 * One more line of the configuration; a string of the mount system calls is at most 255 bytes long.
 */
static int cfs_add_config(struct fs_context *fc, struct cfs_sb *csb, const char *line)
{
	char *config;

	if (strchr(line, '\n') || strlen(csb->config) + strlen(line) + 1 > CFS_CONFIG_LEN_MAX)
		return invalf(fc, "cubefs: configuration too long, or with a line break");
	config = kasprintf(GFP_KERNEL, "%s%s%s", csb->config, *csb->config ? "\n" : "", line);
	if (!config)
		return -ENOMEM;
	kfree_sensitive(csb->config);
	csb->config = config;
	return 0;
}

/* For a remount: only options that change nothing are accepted. */
static int cfs_check_remount(struct fs_context *fc, int opt, const struct fs_parse_result *r)
{
	const struct cfs_sb *csb = CFS_SB(fc->root->d_sb);

	switch (opt) {
	case CFS_OPT_CONFIG:
		return 0;
	case CFS_OPT_CRC:
		if (csb->nocrc == !r->uint_32)
			return 0;
		break;
	case CFS_OPT_SOFT:
		if (csb->soft)
			return 0;
		break;
	case CFS_OPT_HARD:
		if (!csb->soft)
			return 0;
		break;
	case CFS_OPT_DEADLINE:
		if (csb->deadline_s == r->uint_32)
			return 0;
		break;
	case CFS_OPT_ACL:
		if (csb->noacl == r->negated)
			return 0;
		break;
	case CFS_OPT_NOBPF:
		if (csb->nobpf)
			return 0;
		break;
	case CFS_OPT_FSC:
		if (csb->fsc)
			return 0;
		break;
	}
	return invalf(fc, "cubefs: only ro and rw can be changed by a remount");
}

static int cfs_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct cfs_sb *csb = fc->s_fs_info;
	struct fs_parse_result r;
	int opt = fs_parse(fc, cfs_parameters, param, &r);

	if (opt < 0)
		return opt;
	if (fc->purpose == FS_CONTEXT_FOR_RECONFIGURE)
		return cfs_check_remount(fc, opt, &r);
	switch (opt) {
	case CFS_OPT_CONFIG:
		return cfs_add_config(fc, csb, param->string);
	case CFS_OPT_CRC:
		csb->nocrc = !r.uint_32;
		return 0;
	case CFS_OPT_SOFT:
	case CFS_OPT_HARD:
		csb->soft = opt == CFS_OPT_SOFT;
		return 0;
	case CFS_OPT_ACL:
		csb->noacl = r.negated;
		return 0;
	case CFS_OPT_NOBPF:
		csb->nobpf = true;
		return 0;
	case CFS_OPT_FSC:
		csb->fsc = true;
		return 0;
	}
	if (!r.uint_32 || r.uint_32 > CFS_DEADLINE_MAX_S)
		return invalf(fc, "cubefs: deadline is 1..%u seconds", CFS_DEADLINE_MAX_S);
	csb->deadline_s = r.uint_32;
	return 0;
}

static int cfs_reconfigure(struct fs_context *fc)
{
	struct super_block *sb = fc->root->d_sb;

	if (!(fc->sb_flags & SB_RDONLY) && CFS_SB(sb)->mount_flags & CFS_MR_READ_ONLY)
		return invalf(fc, "cubefs: this volume or user is read-only");
	return sync_filesystem(sb);
}

static void cfs_fc_free(struct fs_context *fc)
{
	/* NULL once the super block owns it. */
	if (fc->s_fs_info)
		cfs_sb_put(fc->s_fs_info);
}

static const struct fs_context_operations cfs_fc_ops = {
	.parse_param	= cfs_parse_param,
	.get_tree	= cfs_get_tree,
	.reconfigure	= cfs_reconfigure,
	.free		= cfs_fc_free,
};

static int cfs_init_fs_context(struct fs_context *fc)
{
	fc->ops = &cfs_fc_ops;
	if (fc->purpose == FS_CONTEXT_FOR_RECONFIGURE)
		return 0;
	fc->s_fs_info = cfs_sb_new();
	return fc->s_fs_info ? 0 : -ENOMEM;
}

static struct file_system_type cfs_fs_type = {
	.owner		 = THIS_MODULE,
	.name		 = CFS_FS_NAME,
	.init_fs_context = cfs_init_fs_context,
	.parameters	 = cfs_parameters,
	.kill_sb	 = cfs_kill_sb,
	.fs_flags	 = FS_ALLOW_IDMAP,
};

/**
 * cfs_super_init - at module load
 *
 * Return: 0 or -errno.
 */
int cfs_super_init(void)
{
	return register_filesystem(&cfs_fs_type);
}

/**
 * cfs_super_exit - at module unload; nothing is mounted
 */
void cfs_super_exit(void)
{
	unregister_filesystem(&cfs_fs_type);
}
