// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: extended attributes user.*, trusted.* and security.*; the servers keep them, no value is
 * cached. That a file has no security.capability or security.selinux is remembered with its rights,
 * which attr.c forgets in time: execve(), writing and ls ask for them for each file. ACLs are acl.c.
 *
 * Contexts  Process, sleeps. Whether a volume has them at all is the daemon's answer (EOPNOTSUPP).
 * Locks     i_lock, for what is absent.
 */
#include <linux/capability.h>
#include <linux/xattr.h>
#include "cfs.h"
#include "optrace.h"

/**
 * cfs_xattr_call - a call about an extended attribute
 * @inode: File.
 * @op:    enum cfs_op.
 * @name:  Full name; NULL: all.
 *
 * Return: The call, or NULL without memory.
 */
struct cfs_call *cfs_xattr_call(struct inode *inode, u16 op, const char *name)
{
	struct cfs_call *call = cfs_inode_call(inode, op);

	if (!call)
		return NULL;
	if (name)
		cfs_call_name(call, name, strlen(name));
	call->reply_max = CFS_XATTR_BYTES_MAX;
	return call;
}

/* CFS_XATTR_* of a name, 0 for most. */
static u32 cfs_xattr_bit(const char *name)
{
	if (!strcmp(name, XATTR_NAME_CAPS))
		return CFS_XATTR_CAPABILITY;
	return strcmp(name, XATTR_NAME_SELINUX) ? 0 : CFS_XATTR_SELINUX;
}

static bool cfs_xattr_is_absent(struct inode *inode, u32 bit)
{
	bool absent;

	if (!bit || !cfs_rights_are_fresh(CFS_I(inode)))
		return false;
	spin_lock(&inode->i_lock);
	absent = CFS_I(inode)->absent_xattrs & bit;
	spin_unlock(&inode->i_lock);
	return absent;
}

/* @seq: before it was asked for. */
static void cfs_xattr_note_absent(struct inode *inode, u32 bit, u64 seq)
{
	spin_lock(&inode->i_lock);
	if (!cfs_changed_since(CFS_SB(inode->i_sb), inode->i_ino, seq))
		CFS_I(inode)->absent_xattrs |= bit;
	spin_unlock(&inode->i_lock);
}

static int cfs_xattr_get(const struct xattr_handler *handler, struct dentry *dentry,
			 struct inode *inode, const char *name, void *buffer, size_t size)
{
	const char *full = xattr_full_name(handler, name);
	u32 bit = cfs_xattr_bit(full);
	struct cfs_call *call;
	int ret;

	if (cfs_xattr_is_absent(inode, bit))
		return -ENODATA;
	call = cfs_xattr_call(inode, CFS_OP_GETXATTR, full);
	if (!call)
		return -ENOMEM;
	ret = cfs_call_sync(call);
	if (ret >= 0)
		ret = call->reply_len;
	else if (ret == -ENODATA && bit)
		cfs_xattr_note_absent(inode, bit, call->req.seq);
	if (ret > 0 && size) {
		if (ret <= size)
			memcpy(buffer, call->reply, ret);
		else
			ret = -ERANGE;
	}
	cfs_call_put(call);
	return ret;
}

/* Answers under way are old, and nothing is known to be absent. */
static void cfs_security_changed(struct inode *inode)
{
	cfs_rights_changed(CFS_SB(inode->i_sb), inode->i_ino, 0);
	spin_lock(&inode->i_lock);
	CFS_I(inode)->absent_xattrs = 0;
	spin_unlock(&inode->i_lock);
}

static int cfs_xattr_set(const struct xattr_handler *handler, struct mnt_idmap *idmap,
			 struct dentry *dentry, struct inode *inode, const char *name,
			 const void *value, size_t size, int flags)
{
	u16 op = value ? CFS_OP_SETXATTR : CFS_OP_REMOVEXATTR;
	struct cfs_call *call = cfs_xattr_call(inode, op, xattr_full_name(handler, name));
	int ret;

	if (!call)
		return -ENOMEM;
	if (value) {
		cfs_call_data(call, value, size);
		call->req.setxattr.flags = flags;
	}
	ret = cfs_call_sync(call);
	cfs_call_put(call);
	if (!strcmp(handler->prefix, XATTR_SECURITY_PREFIX))
		cfs_security_changed(inode);
	if (ret >= 0)
		inode_set_ctime_current(inode);
	return min(ret, 0);
}

static bool cfs_xattr_is_listed(const char *name, bool acl)
{
	if (!strcmp(name, XATTR_NAME_POSIX_ACL_ACCESS) || !strcmp(name, XATTR_NAME_POSIX_ACL_DEFAULT))
		return acl;
	if (!strncmp(name, XATTR_TRUSTED_PREFIX, XATTR_TRUSTED_PREFIX_LEN))
		return capable(CAP_SYS_ADMIN);
	/* Servers keep names of their own in the same place. */
	return !strncmp(name, XATTR_USER_PREFIX, XATTR_USER_PREFIX_LEN) ||
	       !strncmp(name, XATTR_SECURITY_PREFIX, XATTR_SECURITY_PREFIX_LEN);
}

static ssize_t cfs_xattr_filter(const struct cfs_call *call, bool acl, char *list, size_t size)
{
	const char *name = call->reply, *end = name + call->reply_len;
	ssize_t used = 0;
	size_t len;

	if (name && end[-1])
		return -EPROTO;
	for (; name < end; name += len) {
		len = strlen(name) + 1;
		if (!cfs_xattr_is_listed(name, acl))
			continue;
		if (size && used + len > size)
			return -ERANGE;
		if (size)
			memcpy(list + used, name, len);
		used += len;
	}
	return used;
}

/**
 * cfs_listxattr - inode_operations.listxattr
 * @dentry: File.
 * @list:   Filled with names, each ended by NUL.
 * @size:   Bytes of @list; 0: only say how many are needed.
 *
 * Return: Bytes, or -errno.
 */
ssize_t cfs_listxattr(struct dentry *dentry, char *list, size_t size)
{
	struct cfs_call *call = cfs_xattr_call(d_inode(dentry), CFS_OP_LISTXATTR, NULL);
	ssize_t ret;

	if (!call)
		return -ENOMEM;
	ret = cfs_call_sync(call);
	if (ret >= 0)
		ret = cfs_xattr_filter(call, IS_POSIXACL(d_inode(dentry)), list, size);
	cfs_call_put(call);
	return ret;
}

CFS_TOLD(static, int, cfs_xattr_get, CFS_VFS_GETXATTR, inode, ret,
	 (const struct xattr_handler *handler, struct dentry *dentry, struct inode *inode,
	  const char *name, void *buffer, size_t size),
	 (handler, dentry, inode, name, buffer, size))
CFS_TOLD(static, int, cfs_xattr_set, CFS_VFS_SETXATTR, inode, ret,
	 (const struct xattr_handler *handler, struct mnt_idmap *idmap, struct dentry *dentry,
	  struct inode *inode, const char *name, const void *value, size_t size, int flags),
	 (handler, idmap, dentry, inode, name, value, size, flags))

static const struct xattr_handler cfs_xattr_user = {
	.prefix	= XATTR_USER_PREFIX,
	.get	= cfs_xattr_get_op,
	.set	= cfs_xattr_set_op,
};

static const struct xattr_handler cfs_xattr_trusted = {
	.prefix	= XATTR_TRUSTED_PREFIX,
	.get	= cfs_xattr_get_op,
	.set	= cfs_xattr_set_op,
};

static const struct xattr_handler cfs_xattr_security = {
	.prefix	= XATTR_SECURITY_PREFIX,
	.get	= cfs_xattr_get_op,
	.set	= cfs_xattr_set_op,
};

const struct xattr_handler * const cfs_xattr_handlers[] = {
	&cfs_xattr_user,
	&cfs_xattr_trusted,
	&cfs_xattr_security,
	NULL
};
