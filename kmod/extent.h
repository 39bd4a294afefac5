/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cubefs: map from file offsets to extents of data partitions. Pure logic, also built in user space
 * by the tests.
 */
#ifndef CFS_EXTENT_H
#define CFS_EXTENT_H

#ifdef __KERNEL__
#include <linux/maple_tree.h>
#include <linux/types.h>
#else
#include "extent_shim.h"	/* tests/kernel_core: u64, maple tree and the like */
#endif
#include <cubefs/cfs.h>

/*
 * The committed keys of one file: a maple tree from ranges of bytes to struct cfs_run. Bytes without
 * an entry are a hole. Keys of bytes that are on their way (written but not committed) are not here:
 * they belong to their stream, see write.h. Locks: the owner's; see struct cfs_data.
 */
struct cfs_map {
	struct maple_tree tree;
};

/* What lies at a file offset. */
struct cfs_slice {
	bool hole;
	u64 len;		/* bytes to the end of the key or the hole; U64_MAX - pos after the
				 * last key
				 */
	u64 partition_id;	/* the rest: not for holes */
	u64 extent_id;
	u64 extent_offset;	/* of the first byte of the slice */
};

/* Before anything else; the lock is what lockdep looks for when the map is used. */
#define cfs_map_init(map, lock) do {					\
	mt_init_flags(&(map)->tree, MT_FLAGS_LOCK_EXTERN);		\
	mt_set_external_lock(&(map)->tree, lock);			\
} while (0)
void cfs_map_clear(struct cfs_map *map);
bool cfs_ekey_ok(const struct cfs_ekey *key);
int cfs_map_load(struct cfs_map *map, const struct cfs_ekey *keys, u32 nkeys);
void cfs_map_lookup(const struct cfs_map *map, u64 pos, struct cfs_slice *out);
int cfs_map_put(struct cfs_map *map, const struct cfs_ekey *key);
int cfs_map_truncate(struct cfs_map *map, u64 size);
bool cfs_map_ending_at(const struct cfs_map *map, u64 pos, struct cfs_ekey *key);

static inline u64 cfs_ekey_end(const struct cfs_ekey *key)
{
	return key->file_offset + key->size;
}

#endif
