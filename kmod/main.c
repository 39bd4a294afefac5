// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: load and unload, in the order of the layers.
 *
 * Each layer is ready before the one that calls it exists: the file system and then the device come
 * last, since with them the outside can call in.
 */
#include <linux/module.h>
#include "cfs.h"
/* tests/bench/trace_cost.sh builds a module without tracepoints, to know what they cost */
#ifndef NOTRACE
#define CREATE_TRACE_POINTS
#endif
#include "trace.h"

static int __init cfs_init(void)
{
	int ret = cfs_policy_init();

	if (!ret)
		ret = cfs_inode_init_cache();
	if (ret)
		return ret;
	ret = cfs_chan_init();
	if (ret)
		goto err_inode_cache;
	ret = cfs_conn_init();
	if (ret)
		goto err_chan;
	ret = cfs_data_init();
	if (ret)
		goto err_conn;
	ret = cfs_super_init();
	if (ret)
		goto err_data;
	ret = cfs_dev_init();
	if (ret)
		goto err_super;
	return 0;

err_super:
	cfs_super_exit();
err_data:
	cfs_data_exit();
err_conn:
	cfs_conn_exit();
err_chan:
	cfs_chan_exit();
err_inode_cache:
	cfs_inode_exit_cache();
	return ret;
}

static void __exit cfs_exit(void)
{
	cfs_dev_exit();
	cfs_super_exit();
	cfs_data_exit();
	cfs_conn_exit();
	cfs_chan_exit();
	cfs_inode_exit_cache();
}

module_init(cfs_init);
module_exit(cfs_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("cubefs-client developers");
MODULE_DESCRIPTION("CubeFS client");
MODULE_ALIAS_FS("cubefs");
