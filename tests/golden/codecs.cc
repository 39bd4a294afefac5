// SPDX-License-Identifier: Apache-2.0
/// Tables of codecs; see codecs.h.
#include "tests/golden/codecs.h"

#include <algorithm>
#include <array>

#include "daemon/wire/master_msg.h"
#include "daemon/wire/meta_msg.h"

namespace cfs::golden {

namespace {

using namespace cfs::wire;  // NOLINT: forty message types

template <class T>
Result<std::string> again(std::string_view body) {
  const Result<T> message = decode<T>(body);
  if (!message) return message.error();
  return encode(*message);
}

template <class T>
Result<std::string> reply_again(std::string_view body) {
  const Result<T> message = decode_reply<T>(body);
  if (!message) return message.error();
  return encode_reply(*message);
}

template <class Req>
constexpr MetaCodec meta() {
  using Reply = typename Req::Reply;
  return {Req::kOp, again<Req>, again<Reply>, !std::is_same_v<Reply, NoBody>};
}

/// Directories only: the request and reply of ReadDir under another opcode.
constexpr MetaCodec kReadDirOnly = {0x3C, again<ReadDirReq>, again<ReadDirReply>, true};

constexpr std::array kMeta = {
    meta<CreateInodeReq>(),
    meta<QuotaCreateInodeReq>(),
    meta<UnlinkInodeReq>(),
    meta<LinkInodeReq>(),
    meta<EvictInodeReq>(),
    meta<CreateDentryReq>(),
    meta<QuotaCreateDentryReq>(),
    meta<DeleteDentryReq>(),
    meta<BatchDeleteDentryReq>(),
    meta<UpdateDentryReq>(),
    meta<LookupReq>(),
    meta<ReadDirReq>(),
    meta<ReadDirLimitReq>(),
    meta<InodeGetReq>(),
    meta<BatchInodeGetReq>(),
    meta<ExtentsListReq>(),
    meta<ExtentAddCheckReq>(),
    meta<BatchExtentsAddReq>(),
    meta<TruncateReq>(),
    meta<SetattrReq>(),
    meta<SetXattrReq>(),
    meta<BatchSetXattrReq>(),
    meta<GetXattrReq>(),
    meta<RemoveXattrReq>(),
    meta<ListXattrReq>(),
    meta<GetAllXattrReq>(),
    meta<BatchGetXattrReq>(),
    meta<GetInodeQuotaReq>(),
    meta<RenewMigrationLeaseReq>(),
    meta<GetUniqIdReq>(),
    meta<GetAppliedIdReq>(),
    meta<UpdateInodeMetaReq>(),
    meta<TxCreateReq>(),
    meta<TxCreateInodeReq>(),
    meta<TxUnlinkInodeReq>(),
    meta<TxLinkInodeReq>(),
    meta<TxCreateDentryReq>(),
    meta<TxDeleteDentryReq>(),
    meta<TxUpdateDentryReq>(),
    meta<TxCommitReq>(),
    meta<TxRollbackReq>(),
    kReadDirOnly,
};

constexpr std::array kMaster = {
    MasterCodec{"/admin/getIp", reply_again<ClusterInfo>, true},
    MasterCodec{"/admin/getVol", reply_again<SimpleVolView>, true},
    MasterCodec{"/client/vol", reply_again<VolView>, true},
    MasterCodec{"/client/volStat", reply_again<VolStatInfo>, true},
    MasterCodec{"/client/partitions", reply_again<DataPartitionsView>, true},
    MasterCodec{"/client/metaPartitions", reply_again<List<MetaPartitionView>>, true},
    MasterCodec{"/client/flashGroups", reply_again<FlashGroupView>, true},
    MasterCodec{"/admin/aclOp", reply_again<AclRsp>, true},
    MasterCodec{"/admin/qosUpload", reply_again<LimitRsp>, true},
    MasterCodec{"/admin/getMonitorPushAddr", reply_again<std::string>, true},
    MasterCodec{"/quota/list", reply_again<QuotaList>, true},
    MasterCodec{"/vol/list", reply_again<List<VolInfo>>, true},
    MasterCodec{"/admin/getCluster", reply_again<ClusterView>, false},
    MasterCodec{"/dataPartition/get", reply_again<DataPartitionInfo>, false},
    MasterCodec{"/multiVer/getAll", reply_again<VolVersionList>, false},
};

}  // namespace

std::span<const MetaCodec> meta_codecs() {
  return kMeta;
}

std::span<const MasterCodec> master_codecs() {
  return kMaster;
}

const MetaCodec* find_meta_codec(uint8_t op) {
  const auto it =
      std::find_if(kMeta.begin(), kMeta.end(), [op](const MetaCodec& c) { return c.op == op; });
  return it == kMeta.end() ? nullptr : &*it;
}

const MasterCodec* find_master_codec(std::string_view path) {
  const auto it = std::find_if(kMaster.begin(), kMaster.end(),
                               [path](const MasterCodec& c) { return c.path == path; });
  return it == kMaster.end() ? nullptr : &*it;
}

}  // namespace cfs::golden
