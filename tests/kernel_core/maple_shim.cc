// SPDX-License-Identifier: Apache-2.0
// Stands for the kernel's maple tree and its allocator in tests of pure parts of the module: the same answers, not the same speed.
#include <map>

#include "extent_shim.h"

namespace {

struct Range {
  unsigned long last;
  void* entry;
};
using Ranges =
    std::map<unsigned long, Range>;  // by first index, never overlapping, no empty entries

Ranges& ranges_of(maple_tree* tree) {
  if (tree->ranges == nullptr) tree->ranges = new Ranges;
  return *static_cast<Ranges*>(tree->ranges);
}

/// The first range that ends at or behind an index.
Ranges::iterator at_or_behind(Ranges& ranges, unsigned long index) {
  auto it = ranges.upper_bound(index);
  if (it != ranges.begin() && std::prev(it)->second.last >= index) --it;
  return it;
}

bool allocation_fails() {
  if (cfs_shim_allocations == 0) return true;
  if (cfs_shim_allocations > 0) --cfs_shim_allocations;
  return false;
}

}  // namespace

int cfs_shim_allocations = -1;

void* kmalloc(size_t size, int) {
  return allocation_fails() ? nullptr : malloc(size);
}

void* mas_walk(ma_state* mas) {
  Ranges& ranges = ranges_of(mas->tree);
  const unsigned long pos = mas->index;
  const auto it = at_or_behind(ranges, pos);
  if (it != ranges.end() && it->first <= pos) {
    mas->index = it->first;
    mas->last = it->second.last;
    return it->second.entry;
  }
  mas->index = it == ranges.begin() ? 0 : std::prev(it)->second.last + 1;
  mas->last = it == ranges.end() ? ULONG_MAX : it->first - 1;
  return nullptr;
}

void* mas_find(ma_state* mas, unsigned long max) {
  Ranges& ranges = ranges_of(mas->tree);
  if (mas->moved && mas->last == ULONG_MAX) return nullptr;
  const auto it = at_or_behind(ranges, mas->moved ? mas->last + 1 : mas->index);
  if (it == ranges.end() || it->first > max) return nullptr;
  mas->moved = true;
  mas->index = it->first;
  mas->last = it->second.last;
  return it->second.entry;
}

int mas_preallocate(ma_state*, void*, int) {
  return allocation_fails() ? -ENOMEM : 0;
}

void mas_store_prealloc(ma_state* mas, void* entry) {
  Ranges& ranges = ranges_of(mas->tree);
  for (auto it = at_or_behind(ranges, mas->index); it != ranges.end() && it->first <= mas->last;) {
    const unsigned long first = it->first;
    const Range old = it->second;
    it = ranges.erase(it);
    if (first < mas->index) ranges[first] = {mas->index - 1, old.entry};
    if (old.last > mas->last) it = ranges.insert_or_assign(mas->last + 1, old).first;
  }
  if (entry != nullptr) ranges[mas->index] = {mas->last, entry};
}

void __mt_destroy(maple_tree* tree) {
  delete static_cast<Ranges*>(tree->ranges);
  tree->ranges = nullptr;
}
