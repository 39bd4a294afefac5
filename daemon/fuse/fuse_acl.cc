// SPDX-License-Identifier: Apache-2.0
/// See fuse_acl.h.
#include "daemon/fuse/fuse_acl.h"

#include <endian.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace cfs {
namespace {

constexpr std::uint32_t kVersion = 2;
constexpr std::size_t kHeadBytes = 4;   // le32 version
constexpr std::size_t kEntryBytes = 8;  // le16 tag, le16 permissions, le32 id
constexpr std::uint16_t kAllPerms = 7;

template <typename T>
T read_at(const std::string& bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

template <typename T>
void append(std::string* bytes, T value) {
  bytes->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

/// ENODATA is no error where no ACL is as good.
Result<void> unless_missing(const Result<void>& r) {
  return r.ok() || r.code() == ENODATA ? Result<void>() : r;
}

}  // namespace

std::optional<PosixAcl> PosixAcl::parse(const std::string& bytes) {
  const bool whole = bytes.size() >= kHeadBytes && (bytes.size() - kHeadBytes) % kEntryBytes == 0;
  if (!whole || le32toh(read_at<std::uint32_t>(bytes, 0)) != kVersion) return std::nullopt;
  PosixAcl acl;
  for (std::size_t at = kHeadBytes; at < bytes.size(); at += kEntryBytes) {
    acl.entries_.push_back({le16toh(read_at<std::uint16_t>(bytes, at)),
                            le16toh(read_at<std::uint16_t>(bytes, at + 2)),
                            le32toh(read_at<std::uint32_t>(bytes, at + 4))});
  }
  for (const std::uint16_t tag : {kUserObj, kGroupObj, kOther}) {
    if (acl.find(tag) == nullptr) return std::nullopt;
  }
  return acl;
}

std::string PosixAcl::bytes() const {
  std::string out;
  append(&out, htole32(kVersion));
  for (const Entry& e : entries_) {
    append(&out, htole16(e.tag));
    append(&out, htole16(e.perm));
    append(&out, htole32(e.id));
  }
  return out;
}

PosixAcl::Entry* PosixAcl::find(std::uint16_t tag) {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [tag](const Entry& e) { return e.tag == tag; });
  return found == entries_.end() ? nullptr : &*found;
}

PosixAcl::Entry* PosixAcl::group() {
  Entry* const mask = find(kMask);
  return mask != nullptr ? mask : find(kGroupObj);
}

bool PosixAcl::is_mode() const {
  return entries_.size() == 3;  // parse() has found the three that every ACL has
}

std::uint32_t PosixAcl::mode_bits() const {
  PosixAcl copy = *this;
  return copy.limit_by(0777);
}

void PosixAcl::set_mode(std::uint32_t mode) {
  find(kUserObj)->perm = static_cast<std::uint16_t>(mode >> 6 & kAllPerms);
  group()->perm = static_cast<std::uint16_t>(mode >> 3 & kAllPerms);
  find(kOther)->perm = static_cast<std::uint16_t>(mode & kAllPerms);
}

std::uint32_t PosixAcl::limit_by(std::uint32_t mode) {
  std::uint32_t bits = 0;
  unsigned shift = 6;
  for (Entry* entry : {find(kUserObj), group(), find(kOther)}) {
    entry->perm = static_cast<std::uint16_t>(entry->perm & mode >> shift & kAllPerms);
    bits |= std::uint32_t{entry->perm} << shift;
    shift -= 3;
  }
  return bits;
}

Task<Result<NewAcl>> inherit_acl(Volume* volume, Ino dir, std::uint32_t mode, std::uint32_t umask) {
  NewAcl out;
  const Result<std::string> stored = co_await volume->getxattr(dir, kAclDefault);
  if (!stored.ok() && stored.code() != ENODATA) co_return stored.error();
  std::optional<PosixAcl> acl;
  if (stored.ok()) acl = PosixAcl::parse(*stored);
  if (!acl) {
    out.mode = mode & ~umask;
    co_return out;
  }
  out.inherited = true;
  if (S_ISDIR(mode)) out.defaults = *stored;
  out.mode = (mode & ~std::uint32_t{0777}) | acl->limit_by(mode);
  if (!acl->is_mode()) out.access = acl->bytes();
  co_return out;
}

Task<Result<void>> give_acl(Volume* volume, Ino ino, NewAcl acl) {
  Result<void> done;
  if (!acl.access.empty()) done = co_await volume->setxattr(ino, kAclAccess, acl.access, 0);
  if (!done.ok() || acl.defaults.empty()) co_return done;
  done = co_await volume->setxattr(ino, kAclDefault, acl.defaults, 0);
  co_return done;
}

Task<Result<void>> set_access_acl(Volume* volume, Ino ino, std::string bytes, bool keep_sgid) {
  const std::optional<PosixAcl> acl = PosixAcl::parse(bytes);
  if (!acl) co_return make_error(EINVAL, "not an ACL");
  const Result<Attr> now = co_await volume->getattr(ino);
  if (!now.ok()) co_return now.error();
  Result<void> done;
  if (acl->is_mode()) {
    done = co_await remove_acl(volume, ino, kAclAccess);
  } else {
    done = co_await volume->setxattr(ino, kAclAccess, bytes, 0);
  }
  if (!done.ok()) co_return done;
  SetAttr change;
  change.valid = SetAttr::kMode;
  change.mode = (now->mode & ~std::uint32_t{0777}) | acl->mode_bits();
  if (!keep_sgid) change.mode &= ~std::uint32_t{S_ISGID};
  if (change.mode == now->mode) co_return done;
  const Result<Attr> set = co_await volume->setattr(ino, change);
  if (!set.ok()) co_return set.error();
  co_return done;
}

Task<Result<void>> acl_follows_mode(Volume* volume, Ino ino, std::uint32_t mode) {
  const Result<std::string> stored = co_await volume->getxattr(ino, kAclAccess);
  if (!stored.ok() && stored.code() == ENODATA) co_return Result<void>();
  if (!stored.ok()) co_return stored.error();
  std::optional<PosixAcl> acl = PosixAcl::parse(*stored);
  if (!acl) co_return Result<void>();
  acl->set_mode(mode);
  std::string bytes = acl->bytes();
  if (bytes == *stored) co_return Result<void>();
  Result<void> done = co_await volume->setxattr(ino, kAclAccess, std::move(bytes), 0);
  co_return done;
}

Task<Result<void>> remove_acl(Volume* volume, Ino ino, std::string name) {
  const Result<void> gone = co_await volume->removexattr(ino, std::move(name));
  co_return unless_missing(gone);
}

}  // namespace cfs
