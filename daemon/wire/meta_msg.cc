// SPDX-License-Identifier: Apache-2.0
/// Instances of encode() and decode() for metadata messages, and the two that are not JSON.
#include "daemon/wire/meta_msg.h"

#include "daemon/wire/archive.h"

namespace cfs::wire {

// Bodies that are no JSON. AppliedIdReply: metanode/manager_op.go (opMetaGetAppliedID).

template <>
std::string encode(const NoBody&) {
  return {};
}

template <>
Result<NoBody> decode(std::string_view) {
  return NoBody{};
}

template <>
std::string encode(const AppliedIdReply& reply) {
  std::string out(sizeof(uint64_t), '\0');
  cfs_put64(reply.applied_id, out.data());
  return out;
}

template <>
Result<AppliedIdReply> decode(std::string_view body) {
  if (body.size() != sizeof(uint64_t)) return make_error(EBADMSG, "applied id is not 8 bytes");
  return AppliedIdReply{cfs_get64(body.data())};
}

template <class T>
std::string encode(const T& message) {
  return detail::encode_json(message);
}

template <class T>
Result<T> decode(std::string_view body) {
  return detail::decode_json<T>(body);
}

#define CFS_WIRE_MESSAGE(T)              \
  template std::string encode(const T&); \
  template Result<T> decode(std::string_view);

CFS_WIRE_MESSAGE(BatchDeleteDentryReply)
CFS_WIRE_MESSAGE(BatchDeleteDentryReq)
CFS_WIRE_MESSAGE(BatchExtentsAddReq)
CFS_WIRE_MESSAGE(BatchGetXattrReply)
CFS_WIRE_MESSAGE(BatchGetXattrReq)
CFS_WIRE_MESSAGE(BatchInodeGetReply)
CFS_WIRE_MESSAGE(BatchInodeGetReq)
CFS_WIRE_MESSAGE(BatchSetXattrReq)
CFS_WIRE_MESSAGE(CreateDentryReq)
CFS_WIRE_MESSAGE(CreateInodeReq)
CFS_WIRE_MESSAGE(DeleteDentryReq)
CFS_WIRE_MESSAGE(EvictInodeReq)
CFS_WIRE_MESSAGE(ExtentAddCheckReq)
CFS_WIRE_MESSAGE(ExtentKey)
CFS_WIRE_MESSAGE(ExtentsListReply)
CFS_WIRE_MESSAGE(ExtentsListReq)
CFS_WIRE_MESSAGE(GetAllXattrReply)
CFS_WIRE_MESSAGE(GetAllXattrReq)
CFS_WIRE_MESSAGE(GetAppliedIdReq)
CFS_WIRE_MESSAGE(GetInodeQuotaReply)
CFS_WIRE_MESSAGE(GetInodeQuotaReq)
CFS_WIRE_MESSAGE(LockDirReq)
CFS_WIRE_MESSAGE(LockDirReply)
CFS_WIRE_MESSAGE(GetUniqIdReply)
CFS_WIRE_MESSAGE(GetUniqIdReq)
CFS_WIRE_MESSAGE(GetXattrReply)
CFS_WIRE_MESSAGE(GetXattrReq)
CFS_WIRE_MESSAGE(InoReply)
CFS_WIRE_MESSAGE(InodeGetReply)
CFS_WIRE_MESSAGE(InodeGetReq)
CFS_WIRE_MESSAGE(InodeInfo)
CFS_WIRE_MESSAGE(InodeReply)
CFS_WIRE_MESSAGE(LinkInodeReq)
CFS_WIRE_MESSAGE(ListXattrReply)
CFS_WIRE_MESSAGE(ListXattrReq)
CFS_WIRE_MESSAGE(LookupReply)
CFS_WIRE_MESSAGE(LookupReq)
CFS_WIRE_MESSAGE(QuotaCreateDentryReq)
CFS_WIRE_MESSAGE(QuotaCreateInodeReq)
CFS_WIRE_MESSAGE(ReadDirLimitReq)
CFS_WIRE_MESSAGE(ReadDirReply)
CFS_WIRE_MESSAGE(ReadDirReq)
CFS_WIRE_MESSAGE(RemoveXattrReq)
CFS_WIRE_MESSAGE(RenewMigrationLeaseReq)
CFS_WIRE_MESSAGE(SetXattrReq)
CFS_WIRE_MESSAGE(SetattrReq)
CFS_WIRE_MESSAGE(TransactionInfo)
CFS_WIRE_MESSAGE(TruncateReq)
CFS_WIRE_MESSAGE(TxCommitReq)
CFS_WIRE_MESSAGE(TxCreateDentryReq)
CFS_WIRE_MESSAGE(TxCreateInodeReq)
CFS_WIRE_MESSAGE(TxCreateReq)
CFS_WIRE_MESSAGE(TxDeleteDentryReq)
CFS_WIRE_MESSAGE(TxInodeReply)
CFS_WIRE_MESSAGE(TxLinkInodeReq)
CFS_WIRE_MESSAGE(TxReply)
CFS_WIRE_MESSAGE(TxRollbackReq)
CFS_WIRE_MESSAGE(TxUnlinkInodeReq)
CFS_WIRE_MESSAGE(TxUpdateDentryReq)
CFS_WIRE_MESSAGE(UnlinkInodeReq)
CFS_WIRE_MESSAGE(UpdateDentryReq)
CFS_WIRE_MESSAGE(UpdateInodeMetaReq)
#undef CFS_WIRE_MESSAGE

}  // namespace cfs::wire
