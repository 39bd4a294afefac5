// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: map from file offsets to extents of data partitions.
 *
 * Purpose   Answers "which partition, extent and offset hold byte N of the file". No I/O, no locks,
 *           no waiting; this file is also compiled in user space (tests/kernel_core).
 * Lifetime  A map is part of its inode's struct cfs_data: zeroed memory is an empty map,
 *           cfs_map_clear() frees it.
 * Locks     Those of the owner. Slices handed out are copies.
 * Failure   Only memory: functions that may allocate leave the map unchanged when they fail.
 * Source    CubeFS v3.5.3, proto/extent_key.go, sdk/data/stream/extent_cache.go,
 *           metanode/sorted_extents.go.
 */
#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/string.h>
#endif
#include "extent.h"
#include "../include/cubefs/cfs_wire.h"

#define CFS_MAP_ROOM_MIN	8
#define CFS_TINY_EXTENT_MAX	(4ULL << 40)	/* bytes in a tiny extent. Source:
						 * storage/extent_store.go ExtentMaxSize
						 */
#define CFS_FILE_MAX		((u64)LLONG_MAX)

/**
 * cfs_map_clear - empty a map and free its memory
 * @map: Map.
 */
void cfs_map_clear(struct cfs_map *map)
{
	kvfree(map->keys);
	*map = (struct cfs_map){};
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

static bool cfs_map_reserve(struct cfs_map *map, u32 want)
{
	struct cfs_ekey *keys;
	u32 room = map->room ?: CFS_MAP_ROOM_MIN;

	if (want <= map->room)
		return true;
	while (room < want)
		room *= 2;
	keys = kvmalloc_array(room, sizeof(*keys), GFP_NOFS);
	if (!keys)
		return false;
	if (map->nkeys)
		memcpy(keys, map->keys, map->nkeys * sizeof(*keys));
	kvfree(map->keys);
	map->keys = keys;
	map->room = room;
	return true;
}

/* Index of the first key that ends after @pos; nkeys when there is none. */
static u32 cfs_map_find(const struct cfs_map *map, u64 pos)
{
	u32 lo = 0, hi = map->nkeys;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (cfs_ekey_end(&map->keys[mid]) > pos)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* Drop the first @n bytes of a key. */
static void cfs_ekey_cut_front(struct cfs_ekey *key, u64 n)
{
	key->file_offset += n;
	key->extent_offset += n;
	key->size -= n;
}

/**
 * cfs_map_load - replace the whole map by a server's list
 * @map:   Map.
 * @keys:  Keys in any order, normally sorted.
 * @nkeys: How many.
 *
 * Where keys overlap, which a server's list should not but can, the later one in the list wins.
 *
 * Return:  0; -EUCLEAN for an impossible key; -ENOMEM. The map is unchanged on failure.
 * Source:  CubeFS v3.5.3, metanode/sorted_extents.go (a key that starts inside another is inserted,
 *          not merged).
 */
int cfs_map_load(struct cfs_map *map, const struct cfs_ekey *keys, u32 nkeys)
{
	struct cfs_map fresh = {};
	int ret = -ENOMEM;
	u32 i;

	if (nkeys && !cfs_map_reserve(&fresh, nkeys))
		return -ENOMEM;
	for (i = 0; i < nkeys; i++) {
		ret = cfs_ekey_ok(&keys[i]) ? cfs_map_put(&fresh, &keys[i]) : -EUCLEAN;
		if (ret)
			goto err_free;
	}
	cfs_map_clear(map);
	*map = fresh;
	return 0;

err_free:
	cfs_map_clear(&fresh);
	return ret;
}

/**
 * cfs_map_lookup - what lies at a file offset
 * @map: Map.
 * @pos: Bytes from the start of the file.
 * @out: Filled: the rest of the key or of the hole that @pos is in.
 */
void cfs_map_lookup(const struct cfs_map *map, u64 pos, struct cfs_slice *out)
{
	u32 i = cfs_map_find(map, pos);
	const struct cfs_ekey *key = i < map->nkeys ? &map->keys[i] : NULL;

	*out = (struct cfs_slice){ .hole = !key || key->file_offset > pos };
	if (out->hole) {
		out->len = (key ? key->file_offset : U64_MAX) - pos;
		return;
	}
	out->len = cfs_ekey_end(key) - pos;
	out->partition_id = key->partition_id;
	out->extent_id = key->extent_id;
	out->extent_offset = key->extent_offset + (pos - key->file_offset);
}

/**
 * cfs_map_overlaps - is any byte of a range covered by a key?
 * @map: Map.
 * @pos: Start of the range, bytes.
 * @len: Length of the range, bytes.
 */
bool cfs_map_overlaps(const struct cfs_map *map, u64 pos, u64 len)
{
	u32 i = cfs_map_find(map, pos);

	return i < map->nkeys && map->keys[i].file_offset < pos + len;
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
	u64 start = key->file_offset, end = cfs_ekey_end(key);
	u32 first = cfs_map_find(map, start), after = first, at;
	struct cfs_ekey left = {}, right = {};

	if (!cfs_map_reserve(map, map->nkeys + 2))
		return -ENOMEM;
	while (after < map->nkeys && map->keys[after].file_offset < end)
		after++;
	if (after > first && map->keys[first].file_offset < start) {
		left = map->keys[first];
		left.size = start - left.file_offset;
	}
	if (after > first && cfs_ekey_end(&map->keys[after - 1]) > end) {
		right = map->keys[after - 1];
		cfs_ekey_cut_front(&right, end - right.file_offset);
	}
	at = first + !!left.size + 1 + !!right.size;
	memmove(&map->keys[at], &map->keys[after], (map->nkeys - after) * sizeof(*key));
	map->nkeys += at - after;
	if (left.size)
		map->keys[first++] = left;
	map->keys[first] = *key;
	map->keys[first++].flags = 0;
	if (right.size)
		map->keys[first] = right;
	return 0;
}

/**
 * cfs_map_truncate - forget everything at and beyond a size
 * @map:  Map.
 * @size: Bytes.
 *
 * Source:  CubeFS v3.5.3, metanode/sorted_extents.go Truncate (the key that crosses is shortened).
 */
void cfs_map_truncate(struct cfs_map *map, u64 size)
{
	u32 i = cfs_map_find(map, size);

	if (i < map->nkeys && map->keys[i].file_offset < size) {
		map->keys[i].size = size - map->keys[i].file_offset;
		i++;
	}
	map->nkeys = i;
}

/**
 * cfs_map_ending_at - the key whose last byte is just before an offset
 * @map: Map.
 * @pos: Bytes from the start of the file.
 *
 * Return:  the key, valid until the map changes; NULL when there is none.
 */
const struct cfs_ekey *cfs_map_ending_at(const struct cfs_map *map, u64 pos)
{
	u32 i = cfs_map_find(map, pos);

	return i && cfs_ekey_end(&map->keys[i - 1]) == pos ? &map->keys[i - 1] : NULL;
}
