/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kmod/extent.c and kmod/ranges.c need of the kernel, in user space. Allocations can be told to fail.
 */
#ifndef EXTENT_SHIM_H
#define EXTENT_SHIM_H

#include <errno.h>
#include <limits.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef __u64 u64;
typedef __u32 u32;

#ifndef U64_MAX
#define U64_MAX UINT64_MAX
#endif
#ifndef LLONG_MAX
#define LLONG_MAX __LONG_LONG_MAX__
#endif
#define GFP_NOFS 0
#ifndef __cplusplus
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Allocations that still succeed; negative: all. */
extern int cfs_shim_allocations;

static inline void *kvmalloc_array(size_t n, size_t size, int gfp)
{
	(void)gfp;
	if (!cfs_shim_allocations)
		return NULL;
	if (cfs_shim_allocations > 0)
		cfs_shim_allocations--;
	return calloc(n, size);
}

static inline void kvfree(void *p)
{
	free(p);
}

#ifdef __cplusplus
}
#endif
#endif
