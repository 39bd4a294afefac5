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
 * cfs_ranges_has - is any byte of a range in the set?
 * @set:   Set.
 * @start: First byte.
 * @end:   Behind the last one.
 */
bool cfs_ranges_has(const struct cfs_ranges *set, u64 start, u64 end)
{
	u32 i;

	for (i = 0; i < set->n; i++)
		if (set->r[i].start < end && set->r[i].end > start)
			return true;
	return false;
}

/**
 * cfs_ranges_run - how many bytes from a position on are in the set?
 * @set: Set.
 * @pos: Position.
 *
 * Return:  0 when the byte at @pos is not in the set.
 */
u64 cfs_ranges_run(const struct cfs_ranges *set, u64 pos)
{
	u32 i;

	for (i = 0; i < set->n; i++)
		if (set->r[i].end > pos)
			return set->r[i].start > pos ? 0 : set->r[i].end - pos;
	return 0;
}

/**
 * cfs_ranges_gap - how many bytes from a position are not in the set?
 * @set: Set.
 * @pos: Position.
 *
 * Return:  0 when the byte at @pos is in the set.
 */
u64 cfs_ranges_gap(const struct cfs_ranges *set, u64 pos)
{
	u32 i;

	for (i = 0; i < set->n; i++)
		if (set->r[i].end > pos)
			return set->r[i].start > pos ? set->r[i].start - pos : 0;
	return U64_MAX - pos;
}
