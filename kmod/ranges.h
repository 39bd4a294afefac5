/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cubefs: which bytes of a file may differ from what is committed. Pure logic, also built in user
 * space by the tests.
 */
#ifndef CFS_RANGES_H
#define CFS_RANGES_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include "extent_shim.h"	/* tests/kernel_core */
#endif

#define CFS_RANGES	64

/* Half-open, sorted, not touching. With more than fit, neighbours are joined: never too few bytes. */
struct cfs_ranges {
	u32 n;
	struct cfs_range {
		u64 start, end;
	} r[CFS_RANGES];
};

void cfs_ranges_add(struct cfs_ranges *set, u64 start, u64 end);
bool cfs_ranges_at(const struct cfs_ranges *set, u64 pos, u64 *len);

static inline void cfs_ranges_clear(struct cfs_ranges *set)
{
	set->n = 0;
}

#endif
