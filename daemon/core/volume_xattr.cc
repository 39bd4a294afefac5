// SPDX-License-Identifier: Apache-2.0
/// Volume: extended attributes.
///
/// Purpose  POSIX answers (ENODATA, EEXIST) on servers that know neither, and values of any bytes
///          in a protocol of JSON strings; see docs/xattr.md.
/// Failure  ENODATA, EEXIST, E2BIG (64 KiB), EILSEQ (a name that is not UTF-8), ERANGE (its
///          length).
/// Source   CubeFS v3.5.3 metanode/partition_op_extend.go; Linux xattr(7).
#include <sys/xattr.h>

#include <algorithm>

#include "daemon/core/volume_impl.h"

namespace cfs {
namespace {

constexpr std::size_t kValueMax = 65536;
constexpr std::size_t kNameMax = 255;

Result<void> check_xattr_name(const std::string& name) {
  if (name.empty() || name.size() > kNameMax) return make_error(ERANGE, "xattr name");
  if (!wire::valid_utf8(name)) return make_error(EILSEQ, "xattr name is not UTF-8");
  return {};
}

/// The servers keep own keys in the same map; callers only know these namespaces.
bool has_namespace(const std::string& name) {
  for (const char* prefix : {"user.", "trusted.", "security.", "system."}) {
    if (name.rfind(prefix, 0) == 0) return true;
  }
  return false;
}

}  // namespace

std::string encode_xattr(const std::string& value) {
  const bool marked = value.rfind(kXattrMarker, 0) == 0;
  if (!marked && wire::valid_utf8(value)) return value;
  return std::string(kXattrMarker) + wire::base64_encode(value);
}

std::string decode_xattr(const std::string& stored) {
  if (stored.rfind(kXattrMarker, 0) != 0) return stored;
  Result<std::string> value = wire::base64_decode(stored.substr(kXattrMarker.size()));
  return value.ok() ? std::move(value).value() : stored;  // not ours: show what is there
}

Task<Result<std::vector<std::string>>> VolumeImpl::xattr_names(Ino ino) {
  wire::ListXattrReq req;
  req.ino = ino;
  Answer<wire::ListXattrReply> got = co_await ops_.client().send_to<wire::ListXattrReq>(
      ino, std::move(req), CallMode{.read = true});
  if (!got.ok()) co_return answer_error(got.result, got.error);
  std::vector<std::string> names = std::move(got.reply.names);
  co_return names;
}

/// The stored value, or nothing. The batch request is the only one whose answer tells a missing key
/// from an empty value.
Task<Result<std::optional<std::string>>> VolumeImpl::xattr_stored(Ino ino, std::string name) {
  wire::BatchGetXattrReq req;
  req.inos.push_back(ino);
  req.keys.push_back(name);
  Answer<wire::BatchGetXattrReply> got = co_await ops_.client().send_to<wire::BatchGetXattrReq>(
      ino, std::move(req), CallMode{.read = true});
  if (!got.ok()) co_return answer_error(got.result, got.error);
  std::optional<std::string> stored;
  for (const wire::XattrsOfInode& one : got.reply.inodes) {
    const auto found = one.attrs.find(name);
    if (one.ino == ino && found != one.attrs.end()) stored = found->second;
  }
  co_return stored;
}

Task<Result<std::string>> VolumeImpl::getxattr(Ino ino, std::string name) {
  Result<void> may = open_for_use();
  if (may.ok()) may = check_xattr_name(name);
  if (!may.ok()) co_return may.error();
  const Busy busy(*this);
  Result<std::optional<std::string>> stored = co_await xattr_stored(ino, std::move(name));
  if (!stored.ok()) co_return stored.error();
  if (!*stored) co_return make_error(ENODATA, {});
  co_return decode_xattr(**stored);
}

Task<Result<void>> VolumeImpl::setxattr(Ino ino, std::string name, std::string value, int flags) {
  Result<void> may = open_for_change();
  if (may.ok()) may = check_xattr_name(name);
  if (!may.ok()) co_return may;
  if (value.size() > kValueMax) co_return make_error(E2BIG, "xattr value above 64 KiB");
  const Busy busy(*this);
  if ((flags & (XATTR_CREATE | XATTR_REPLACE)) != 0) {
    Result<std::optional<std::string>> old = co_await xattr_stored(ino, name);
    if (!old.ok()) co_return old.error();
    if (*old && (flags & XATTR_CREATE) != 0) co_return make_error(EEXIST, {});
    if (!*old && (flags & XATTR_REPLACE) != 0) co_return make_error(ENODATA, {});
  }
  wire::SetXattrReq req;
  req.ino = ino;
  req.key = std::move(name);
  req.value = encode_xattr(value);
  Answer<wire::NoBody> got = co_await ops_.client().send_to<wire::SetXattrReq>(ino, std::move(req));
  if (!got.ok()) co_return answer_error(got.result, got.error);
  co_return Result<void>();
}

Task<Result<std::vector<std::string>>> VolumeImpl::listxattr(Ino ino) {
  const Result<void> open = open_for_use();
  if (!open.ok()) co_return open.error();
  const Busy busy(*this);
  Result<std::vector<std::string>> names = co_await xattr_names(ino);
  if (!names.ok()) co_return names;
  std::vector<std::string> out;
  std::copy_if(names->begin(), names->end(), std::back_inserter(out), has_namespace);
  co_return out;
}

Task<Result<void>> VolumeImpl::removexattr(Ino ino, std::string name) {
  Result<void> may = open_for_change();
  if (may.ok()) may = check_xattr_name(name);
  if (!may.ok()) co_return may;
  const Busy busy(*this);
  Result<std::optional<std::string>> old = co_await xattr_stored(ino, name);
  if (!old.ok()) co_return old.error();
  if (!*old) co_return make_error(ENODATA, {});
  wire::RemoveXattrReq req;
  req.ino = ino;
  req.key = std::move(name);
  Answer<wire::NoBody> got =
      co_await ops_.client().send_to<wire::RemoveXattrReq>(ino, std::move(req));
  if (!got.ok()) co_return answer_error(got.result, got.error);
  co_return Result<void>();
}

}  // namespace cfs
