// SPDX-License-Identifier: Apache-2.0
// A file system's names and attributes in shared memory: what a cluster would keep, for tests of the kernel module.
//
// Lifetime: one per test program, mapped before any fork, so that it survives the daemons that work on it.
// Threads:  one daemon at a time changes it; nobody else does while one runs.
// Crashes:  a daemon may be killed anywhere. An entry exists iff its `ino` is not 0, which is stored last when it is made
//           and cleared first when it goes; link counts are counted, not kept.
#pragma once

#include <cubefs/cfs.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace cfs::test {

inline constexpr uint64_t kRootIno = 1;

struct Xattr {
  uint32_t len;   // of the value
  char name[64];  // empty: free
  char value[256];
};

struct Node {
  uint64_t ino;  // 0: free
  uint64_t size;
  int64_t mtime, atime, ctime;
  uint32_t mode, uid, gid;
  uint64_t gen;
  char target[256];
  Xattr xattrs[4];
};

struct Entry {
  uint64_t ino;  // 0: free
  uint64_t parent;
  uint32_t name_len;
  char name[256];
};

/// Bounds are the tests', which run out of them loudly.
class Namespace {
 public:
  /// Back to an empty root directory.
  void reset();

  Node* find(uint64_t ino);
  Entry* find(uint64_t parent, std::string_view name);
  /// A new node; `ino` 0 chooses one. Making a node that exists returns it as it is.
  Node* make_node(uint64_t ino, uint32_t mode, uint32_t uid, uint32_t gid);
  uint64_t reserve_ino() { return next_ino_++; }
  void make_entry(uint64_t parent, std::string_view name, uint64_t ino);
  void remove_node(uint64_t ino);

  uint32_t links(uint64_t ino);
  bool is_empty(uint64_t dir);
  cfs_attr attr(const Node& node);
  /// Entries of `dir` behind `marker`, bytewise ascending.
  std::vector<const Entry*> list(uint64_t dir, std::string_view marker);
  size_t node_count();

 private:
  static constexpr size_t kMax = 8192;

  uint64_t next_ino_;
  size_t entries_high_, nodes_high_;  // nothing is behind these
  Node nodes_[kMax];
  Entry entries_[kMax];
};

}  // namespace cfs::test
