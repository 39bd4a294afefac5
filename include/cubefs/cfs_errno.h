/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * CubeFS result code -> errno: the one table, used by module, daemon and tests.
 *
 * Purpose   What an application sees when a server refuses, after all retries are used up.
 * Rules     Positive errno, 0 for CFS_RC_OK. A transport failure has no result code: it is EIO.
 *           Retrying (CFS_RC_ERR, CFS_RC_AGAIN, CFS_RC_TX_CONFLICT) is the caller's; the table only says
 *           what is left when it gives up.
 * Source    CubeFS v3.5.3, sdk/meta/meta.go (parseStatus, statusToErrno). Differences on purpose:
 *           CFS_RC_DISK_NO_SPACE is ENOSPC and CFS_RC_CONFLICT_EXTENTS is EIO for a caller of write(2)
 *           on the data path (the Go client reports EAGAIN and ENOTSUP); storage class and lease errors
 *           are EIO as at the Go client's FUSE border.
 */
#ifndef CUBEFS_CFS_ERRNO_H
#define CUBEFS_CFS_ERRNO_H

#include "cfs_wire.h"

#ifdef __KERNEL__
#include <linux/errno.h>
#else
#include <errno.h>
#endif

/**
 * cfs_result_errno - errno for a result code
 * @rc: ResultCode of a reply.
 *
 * Return:  0 or a positive errno.
 */
static inline int cfs_result_errno(uint8_t rc)
{
	switch (rc) {
	case CFS_RC_OK:
		return 0;
	case CFS_RC_NOT_EXIST:
		return ENOENT;
	case CFS_RC_EXIST:
	case CFS_RC_UPLOAD_PART_CONFLICT:
		return EEXIST;
	case CFS_RC_NOT_EMPTY:
		return ENOTEMPTY;
	case CFS_RC_ARG_MISMATCH:
		return EINVAL;
	case CFS_RC_NOT_PERM:
	case CFS_RC_FORBIDDEN:
		return EPERM;
	case CFS_RC_DIR_QUOTA:
		return EDQUOT;
	case CFS_RC_NO_SPACE:
	case CFS_RC_DISK_NO_SPACE:
		return ENOSPC;
	case CFS_RC_INODE_FULL:
		return ENOMEM;
	case CFS_RC_CONFLICT_EXTENTS:
	case CFS_RC_STORAGE_CLASS:
	case CFS_RC_LEASE_OCCUPIED:
	case CFS_RC_LEASE_GENERATION:
	case CFS_RC_DISK:
		return EIO;
	default:
		return EAGAIN;
	}
}

#endif /* CUBEFS_CFS_ERRNO_H */
