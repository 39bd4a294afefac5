// SPDX-License-Identifier: Apache-2.0
#include "tests/kernel/fake_namespace.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace cfs::test {

void Namespace::reset() {
  memset(nodes_, 0, sizeof(nodes_));
  memset(entries_, 0, sizeof(entries_));
  entries_high_ = nodes_high_ = 0;
  next_ino_ = 1000;
  make_node(kRootIno, S_IFDIR | 0777, 0, 0);
}

Node* Namespace::find(uint64_t ino) {
  for (size_t i = 0; i < nodes_high_; i++)
    if (nodes_[i].ino == ino) return &nodes_[i];
  return nullptr;
}

Entry* Namespace::find(uint64_t parent, std::string_view name) {
  for (size_t i = 0; i < entries_high_; i++) {
    Entry& e = entries_[i];
    if (e.ino && e.parent == parent && name == std::string_view(e.name, e.name_len)) return &e;
  }
  return nullptr;
}

Node* Namespace::make_node(uint64_t ino, uint32_t mode, uint32_t uid, uint32_t gid) {
  if (!ino) ino = reserve_ino();
  if (Node* old = find(ino)) return old;
  size_t i = 0;
  while (i < nodes_high_ && nodes_[i].ino) i++;
  if (i == kMax) {
    fprintf(stderr, "fake namespace: out of nodes\n");
    abort();
  }
  Node& n = nodes_[i];
  n = Node{};
  n.mode = mode;
  n.uid = uid;
  n.gid = gid;
  n.gen = 1;
  n.mtime = n.atime = n.ctime = time(nullptr);
  n.ino = ino;
  nodes_high_ = std::max(nodes_high_, i + 1);
  return &n;
}

void Namespace::make_entry(uint64_t parent, std::string_view name, uint64_t ino) {
  size_t i = 0;
  while (i < entries_high_ && entries_[i].ino) i++;
  if (i == kMax) {
    fprintf(stderr, "fake namespace: out of entries\n");
    abort();
  }
  Entry& e = entries_[i];
  e.parent = parent;
  e.name_len = name.size();
  memcpy(e.name, name.data(), name.size());
  entries_high_ = std::max(entries_high_, i + 1);
  __atomic_store_n(&e.ino, ino, __ATOMIC_RELEASE);
}

void Namespace::remove_node(uint64_t ino) {
  if (Node* n = find(ino)) n->ino = 0;
}

uint32_t Namespace::links(uint64_t ino) {
  const Node* n = find(ino);
  uint32_t links = 0, children = 0;
  for (size_t i = 0; i < entries_high_; i++) {
    if (!entries_[i].ino) continue;
    links += entries_[i].ino == ino;
    children += entries_[i].parent == ino;
  }
  if (n && S_ISDIR(n->mode)) return ino == kRootIno || links ? 2 + children : 0;
  return links;
}

bool Namespace::is_empty(uint64_t dir) {
  for (size_t i = 0; i < entries_high_; i++)
    if (entries_[i].ino && entries_[i].parent == dir) return false;
  return true;
}

cfs_attr Namespace::attr(const Node& n) {
  cfs_attr a{};
  a.ino = n.ino;
  a.size = n.size;
  a.gen = n.gen;
  a.mode = n.mode;
  a.nlink = links(n.ino);
  a.uid = n.uid;
  a.gid = n.gid;
  a.mtime = n.mtime;
  a.ctime = n.ctime;
  a.atime = n.atime;
  a.storage_class = 1;
  return a;
}

std::vector<const Entry*> Namespace::list(uint64_t dir, std::string_view marker) {
  std::vector<const Entry*> found;
  auto name = [](const Entry* e) { return std::string_view(e->name, e->name_len); };
  for (size_t i = 0; i < entries_high_; i++) {
    const Entry& e = entries_[i];
    if (e.ino && e.parent == dir && name(&e) > marker) found.push_back(&e);
  }
  std::sort(found.begin(), found.end(), [&](auto* a, auto* b) { return name(a) < name(b); });
  return found;
}

size_t Namespace::node_count() {
  return std::count_if(nodes_, nodes_ + nodes_high_, [](const Node& n) { return n.ino != 0; });
}

}  // namespace cfs::test
