// SPDX-License-Identifier: GPL-2.0-only
/*
 * cubefs: a small set of byte ranges.
 *
 * Purpose   Remembers what was changed since all was committed. A folio is written back as a whole;
 *           what lies outside the set need not be sent again. No I/O, no allocation; also compiled
 *           in user space (tests/kernel_core).
 * Lifetime  Part of its owner; zeroed memory is an empty set.
 * Locks     Those of the owner.
 * Failure   None. When the set is full it grows instead: more bytes are sent than need be.
 */
#ifdef __KERNEL__
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/string.h>
#endif
#include "ranges.h"

/* Joins the two neighbours with the least between them. */
static void cfs_ranges_join(struct cfs_ranges *set)
{
	u64 gap, least = U64_MAX;
	u32 i, at = 0;

	for (i = 0; i + 1 < set->n; i++) {
		gap = set->r[i + 1].start - set->r[i].end;
		if (gap < least) {
			least = gap;
			at = i;
		}
	}
	set->r[at].end = set->r[at + 1].end;
	set->n--;
	memmove(&set->r[at + 1], &set->r[at + 2], (set->n - at - 1) * sizeof(set->r[0]));
}

/**
 * cfs_ranges_add - add bytes
 * @set:   Set.
 * @start: First byte.
 * @end:   Behind the last one; more than @start.
 */
void cfs_ranges_add(struct cfs_ranges *set, u64 start, u64 end)
{
	u32 i = 0, j;

	while (i < set->n && set->r[i].end < start)
		i++;
	for (j = i; j < set->n && set->r[j].start <= end; j++) {
		start = min(start, set->r[j].start);
		end = max(end, set->r[j].end);
	}
	if (i == j && set->n == CFS_RANGES) {
		cfs_ranges_join(set);
		cfs_ranges_add(set, start, end);
		return;
	}
	memmove(&set->r[i + 1], &set->r[j], (set->n - j) * sizeof(set->r[0]));
	set->n += 1 + i - j;
	set->r[i].start = start;
	set->r[i].end = end;
}

/**
 * cfs_ranges_at - is a byte in the set?
 * @set: Set.
 * @pos: Position of the byte.
 * @len: Filled: bytes from there on of which the same is true.
 */
bool cfs_ranges_at(const struct cfs_ranges *set, u64 pos, u64 *len)
{
	u32 i = 0;

	while (i < set->n && set->r[i].end <= pos)
		i++;
	if (i < set->n && set->r[i].start <= pos) {
		*len = set->r[i].end - pos;
		return true;
	}
	*len = (i < set->n ? set->r[i].start : U64_MAX) - pos;
	return false;
}
