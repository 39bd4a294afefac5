// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: map from file offsets to extents of data partitions.
 *
 * Purpose   Answers "which partition, extent and offset hold byte N of the file". No I/O, no locks,
 *           no waiting; this file is also compiled in user space (tests/kernel_core).
 * Lifetime  A map is part of its inode's struct cfs_data: cfs_map_init() makes it empty,
 *           cfs_map_clear() empties it and frees its memory. A run lives as long as a range refers to
 *           it.
 * Locks     Those of the owner, readers included. Slices handed out are copies.
 * Failure   Only memory; each function says what is left then.
 * Speed     Looking up and inserting are logarithmic; a key takes about 55 bytes.
 * Source    CubeFS v3.5.3, proto/extent_key.go, sdk/data/stream/extent_cache.go,
 *           metanode/sorted_extents.go.
 */
#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/slab.h>
#endif
#include "extent.h"
#include "../include/cubefs/cfs_wire.h"

#define CFS_TINY_EXTENT_MAX	(4ULL << 40)	/* bytes in a tiny extent. Source:
						 * storage/extent_store.go ExtentMaxSize
						 */
#define CFS_FILE_MAX		((u64)LLONG_MAX)

/*
 * Where a run of bytes lies. The range that refers to it says which bytes; a range that was cut into
 * two refers to it twice.
 */
struct cfs_run {
	u64 partition_id;
	u64 extent_id;
	u64 shift;		/* offset in the extent minus offset in the file, modulo 2^64 */
	u32 ranges;		/* how many refer to it */
};

/* The bytes first..last of the file are about to refer to something else. */
static void cfs_map_release(struct cfs_map *map, u64 first, u64 last)
{
	MA_STATE(mas, &map->tree, first, first);
	struct cfs_run *run;

	mas_for_each(&mas, run, last) {
		run->ranges += (mas.index < first) + (mas.last > last);
		if (!--run->ranges)
			kfree(run);
	}
}

/* Let the bytes first..last refer to a run, or to nothing. -ENOMEM: nothing has changed. */
static int cfs_map_store(struct cfs_map *map, u64 first, u64 last, struct cfs_run *run)
{
	MA_STATE(mas, &map->tree, first, last);

	if (mas_preallocate(&mas, run, GFP_NOFS))
		return -ENOMEM;
	cfs_map_release(map, first, last);
	mas_store_prealloc(&mas, run);
	return 0;
}

/**
 * cfs_map_clear - empty a map and free its memory
 * @map: Map.
 */
void cfs_map_clear(struct cfs_map *map)
{
	cfs_map_release(map, 0, ULONG_MAX);
	__mt_destroy(&map->tree);
}

/**
 * cfs_ekey_ok - may a key from a server be believed?
 * @key: Key.
 *
 * A range that overflows, or lies where no extent can reach, is refused rather than asked for.
 *
 * Return:  true when all its ranges are possible.
 */
bool cfs_ekey_ok(const struct cfs_ekey *key)
{
	u64 most = key->extent_id <= CFS_TINY_COUNT ? CFS_TINY_EXTENT_MAX : CFS_FILE_MAX;

	return key->size && key->partition_id && key->extent_id &&
	       key->file_offset <= CFS_FILE_MAX - key->size &&
	       key->extent_offset <= most - key->size;
}

/**
 * cfs_map_put - insert a key; what it covers of others is cut away
 * @map: Map.
 * @key: Key, checked by the caller (cfs_ekey_ok()).
 *
 * The key of a growing extent replaces its shorter version by this rule.
 *
 * Return:  0 or -ENOMEM, then the map is unchanged.
 */
int cfs_map_put(struct cfs_map *map, const struct cfs_ekey *key)
{
	struct cfs_run *run = kmalloc(sizeof(*run), GFP_NOFS);
	int ret;

	if (!run)
		return -ENOMEM;
	*run = (struct cfs_run){
		.partition_id = key->partition_id,
		.extent_id = key->extent_id,
		.shift = key->extent_offset - key->file_offset,
		.ranges = 1,
	};
	ret = cfs_map_store(map, key->file_offset, cfs_ekey_end(key) - 1, run);
	if (ret)
		kfree(run);
	return ret;
}

/**
 * cfs_map_load - replace the whole map by a server's list
 * @map:   Map.
 * @keys:  Keys in any order, normally sorted.
 * @nkeys: How many.
 *
 * Where keys overlap, which a server's list should not but can, the later one in the list wins.
 *
 * Return:  0; -EUCLEAN for an impossible key: the map is unchanged; -ENOMEM: it is empty.
 * Source:  CubeFS v3.5.3, metanode/sorted_extents.go (a key that starts inside another is inserted,
 *          not merged).
 */
int cfs_map_load(struct cfs_map *map, const struct cfs_ekey *keys, u32 nkeys)
{
	int ret;
	u32 i;

	for (i = 0; i < nkeys; i++)
		if (!cfs_ekey_ok(&keys[i]))
			return -EUCLEAN;
	cfs_map_clear(map);
	for (i = 0; i < nkeys; i++) {
		ret = cfs_map_put(map, &keys[i]);
		if (ret) {
			cfs_map_clear(map);
			return ret;
		}
	}
	return 0;
}

/**
 * cfs_map_lookup - what lies at a file offset
 * @map: Map.
 * @pos: Bytes from the start of the file.
 * @out: Filled: the rest of the run or of the hole that @pos is in.
 */
void cfs_map_lookup(const struct cfs_map *map, u64 pos, struct cfs_slice *out)
{
	MA_STATE(mas, (struct maple_tree *)&map->tree, pos, pos);
	const struct cfs_run *run = mas_walk(&mas);

	*out = (struct cfs_slice){ .hole = !run };
	out->len = mas.last == ULONG_MAX ? U64_MAX - pos : mas.last - pos + 1;
	if (!run)
		return;
	out->partition_id = run->partition_id;
	out->extent_id = run->extent_id;
	out->extent_offset = pos + run->shift;
}

/**
 * cfs_map_truncate - forget everything at and beyond a size
 * @map:  Map.
 * @size: Bytes. 0 needs no memory.
 *
 * Return:  0 or -ENOMEM, then the map is unchanged.
 * Source:  CubeFS v3.5.3, metanode/sorted_extents.go Truncate (the key that crosses is shortened).
 */
int cfs_map_truncate(struct cfs_map *map, u64 size)
{
	MA_STATE(mas, &map->tree, size, size);

	if (!size)
		cfs_map_clear(map);
	if (!size || !mas_find(&mas, ULONG_MAX))
		return 0;
	return cfs_map_store(map, size, ULONG_MAX, NULL);
}

/**
 * cfs_map_ending_at - the key whose last byte is just before an offset
 * @map: Map.
 * @pos: Bytes from the start of the file.
 * @key: Filled, when there is one.
 *
 * Return:  Is there one?
 */
bool cfs_map_ending_at(const struct cfs_map *map, u64 pos, struct cfs_ekey *key)
{
	MA_STATE(mas, (struct maple_tree *)&map->tree, pos - 1, pos - 1);
	const struct cfs_run *run = pos ? mas_walk(&mas) : NULL;

	if (!run || mas.last != pos - 1)
		return false;
	*key = (struct cfs_ekey){
		.file_offset = mas.index,
		.partition_id = run->partition_id,
		.extent_id = run->extent_id,
		.extent_offset = mas.index + run->shift,
		.size = mas.last - mas.index + 1,
	};
	return true;
}
