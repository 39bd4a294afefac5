// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: POSIX ACLs.
 *
 * Purpose   ACLs as the xattrs system.posix_acl_access and system.posix_acl_default, in the form
 *           that getxattr(2) shows; servers do not look inside. The kernel checks them.
 * Lifetime  The VFS caches ACLs in the inode, also that there is none; forgotten with the rights of
 *           the inode (attr.c). What is set here is known without asking.
 * Locks     Setting: the inode's lock, held by the VFS.
 * Contexts  Process, sleeps; killable.
 * Failure   Volume without xattrs: no file has an ACL. An ACL that cannot be read: access that
 *           depends on it is refused with that error.
 */
#include <linux/fs.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include "cfs.h"
#include "compat.h"

static const char *cfs_acl_name(int type)
{
	return type == ACL_TYPE_ACCESS ? XATTR_NAME_POSIX_ACL_ACCESS : XATTR_NAME_POSIX_ACL_DEFAULT;
}

/**
 * cfs_get_inode_acl - inode_operations.get_inode_acl
 * @inode: File.
 * @type:  ACL_TYPE_*.
 * @rcu:   Called under RCU, where it cannot be asked for.
 *
 * Return: The ACL, NULL if there is none, or an error.
 */
struct posix_acl *cfs_get_inode_acl(struct inode *inode, int type, bool rcu)
{
	struct cfs_call *call;
	struct posix_acl *acl;
	int ret;

	if (rcu)
		return ERR_PTR(-ECHILD);
	call = cfs_xattr_call(inode, CFS_OP_GETXATTR, cfs_acl_name(type));
	if (!call)
		return ERR_PTR(-ENOMEM);
	ret = cfs_call_sync(call);
	if (ret == -ENODATA || ret == -EOPNOTSUPP)
		acl = NULL;
	else if (ret < 0)
		acl = ERR_PTR(ret);
	else
		acl = posix_acl_from_xattr(&init_user_ns, call->reply, call->reply_len);
	cfs_call_put(call);
	return acl;
}

/* NULL removes it. */
static int cfs_acl_send(struct inode *inode, const struct posix_acl *acl, int type)
{
	u16 op = acl ? CFS_OP_SETXATTR : CFS_OP_REMOVEXATTR;
	struct cfs_call *call = cfs_xattr_call(inode, op, cfs_acl_name(type));
	void *value = NULL;
	size_t size = 0;
	int ret = -ENOMEM;

	if (acl)
		value = cfs_acl_to_xattr(acl, &size);
	if (IS_ERR(value)) {
		ret = PTR_ERR(value);
		value = NULL;
	} else if (call) {
		cfs_call_data(call, value, size);
		ret = cfs_call_sync(call);
	}
	cfs_call_put(call);
	kfree(value);
	return !acl && ret == -ENODATA ? 0 : min(ret, 0);
}

/**
 * cfs_set_acl - inode_operations.set_acl
 * @idmap:  Of the mount.
 * @dentry: File, its inode locked.
 * @acl:    NULL removes it.
 * @type:   ACL_TYPE_*.
 *
 * An access ACL changes the permissions of the mode, and is dropped when they say it all. Source:
 * POSIX 1003.1e draft 17, 23.1.
 */
int cfs_set_acl(struct mnt_idmap *idmap, struct dentry *dentry, struct posix_acl *acl, int type)
{
	struct inode *inode = d_inode(dentry);
	umode_t mode = inode->i_mode;
	int ret = 0;

	if (type == ACL_TYPE_ACCESS && acl)
		ret = posix_acl_update_mode(idmap, inode, &mode, &acl);
	if (ret)
		goto out;
	ret = cfs_acl_send(inode, acl, type);
	cfs_rights_changed(CFS_SB(inode->i_sb), inode->i_ino, 0);
	if (!ret && mode != inode->i_mode)
		ret = cfs_inode_set_mode(idmap, inode, mode);
out:
	if (ret)
		forget_cached_acl(inode, type);
	else
		set_cached_acl(inode, type, acl);
	return ret;
}

/**
 * cfs_acl_init - give a new inode the ACLs of its directory
 * @inode: Made a moment ago by this host: it has no xattrs.
 * @acls:  From posix_acl_create().
 *
 * Return: 0 or -errno; then an ACL may be missing.
 */
int cfs_acl_init(struct inode *inode, const struct cfs_new_acls *acls)
{
	int ret = 0;

	if (acls->access)
		ret = cfs_acl_send(inode, acls->access, ACL_TYPE_ACCESS);
	if (!ret && acls->preset)
		ret = cfs_acl_send(inode, acls->preset, ACL_TYPE_DEFAULT);
	if (ret)
		return ret;
	set_cached_acl(inode, ACL_TYPE_ACCESS, acls->access);
	if (S_ISDIR(inode->i_mode))
		set_cached_acl(inode, ACL_TYPE_DEFAULT, acls->preset);
	return 0;
}
