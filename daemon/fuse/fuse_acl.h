// SPDX-License-Identifier: Apache-2.0
/// POSIX ACLs of the FUSE front end.
///
/// Purpose  The kernel checks permissions by ACLs (FUSE_POSIX_ACL); keeping ACL and mode in agreement
///          and giving new inodes what their directory's default ACL says is left to the server.
///          Values are stored as the kernel front end stores them, see docs/xattr.md.
/// Threads  The loop's.
/// Lifetime A PosixAcl is a value; the tasks live as long as the request that awaits them.
/// Failure  Errors of the requests. A stored value that is no ACL is left alone.
/// Source   Linux include/uapi/linux/posix_acl_xattr.h, fs/fuse/acl.c; acl(5); POSIX 1003.1e.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/core/volume.h"

namespace cfs {

inline constexpr char kAclAccess[] = "system.posix_acl_access";
inline constexpr char kAclDefault[] = "system.posix_acl_default";

class PosixAcl {
 public:
  /// Nothing when the bytes are no ACL of version 2.
  static std::optional<PosixAcl> parse(const std::string& bytes);
  [[nodiscard]] std::string bytes() const;

  /// It says no more than permission bits can.
  [[nodiscard]] bool is_mode() const;
  /// Permission bits of an inode with this ACL.
  [[nodiscard]] std::uint32_t mode_bits() const;
  /// chmod(2): the entries that the bits stand for.
  void set_mode(std::uint32_t mode);
  /// A default ACL becomes the ACL of an inode made with `mode`: each side limits the other. Returns
  /// the permission bits.
  std::uint32_t limit_by(std::uint32_t mode);

 private:
  enum Tag : std::uint16_t { kUserObj = 1, kGroupObj = 4, kMask = 0x10, kOther = 0x20 };
  struct Entry {
    std::uint16_t tag = 0;
    std::uint16_t perm = 0;
    std::uint32_t id = 0;
  };
  Entry* find(std::uint16_t tag);
  /// The entry that the group bits stand for: the mask, when there is one.
  Entry* group();
  std::vector<Entry> entries_;
};

/// What a new inode gets.
struct NewAcl {
  std::uint32_t mode = 0;  ///< st_mode, limited by the default ACL or the umask
  bool inherited = false;  ///< the directory has a default ACL
  std::string access;      ///< value of kAclAccess, empty: none
  std::string defaults;    ///< value of kAclDefault, empty: none
};

/// By the default ACL of `dir`, else by the umask.
Task<Result<NewAcl>> inherit_acl(Volume* volume, Ino dir, std::uint32_t mode, std::uint32_t umask);
/// Set them on the inode that has just been made.
Task<Result<void>> give_acl(Volume* volume, Ino ino, NewAcl acl);

/// setxattr(2) of kAclAccess: the mode follows. `keep_sgid`: the caller may keep that bit.
Task<Result<void>> set_access_acl(Volume* volume, Ino ino, std::string bytes, bool keep_sgid);
/// After chmod(2): the ACL follows the mode.
Task<Result<void>> acl_follows_mode(Volume* volume, Ino ino, std::uint32_t mode);
/// removexattr(2): none is as good.
Task<Result<void>> remove_acl(Volume* volume, Ino ino, std::string name);

}  // namespace cfs
