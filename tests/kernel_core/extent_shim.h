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

void *kmalloc(size_t size, int gfp);

static inline void kfree(void *p)
{
	free(p);
}

/* The maple tree, as far as linux/maple_tree.h promises it to users of the advanced interface; see maple_shim.cc. */
struct maple_tree {
	void *ranges;
};

struct ma_state {
	struct maple_tree *tree;
	unsigned long index, last;
	bool moved; /* mas_find() goes on behind last */
};

#define MA_STATE(name, mt, first, end) struct ma_state name = {.tree = (mt), .index = (first), .last = (end)}
#define MT_FLAGS_LOCK_EXTERN 0
#define mt_init_flags(mt, flags) ((void)((mt)->ranges = NULL))
#define mt_set_external_lock(mt, lock) ((void)(lock))
#define mas_for_each(mas, entry, max) while (((entry) = mas_find((mas), (max))) != NULL)

void *mas_walk(struct ma_state *mas);
void *mas_find(struct ma_state *mas, unsigned long max);
int mas_preallocate(struct ma_state *mas, void *entry, int gfp);
void mas_store_prealloc(struct ma_state *mas, void *entry);
void __mt_destroy(struct maple_tree *mt);

#ifdef __cplusplus
}
#endif
#endif
