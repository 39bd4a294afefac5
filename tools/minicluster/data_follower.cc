// SPDX-License-Identifier: Apache-2.0
/// A primary's connection to one follower; see data_follower.h.
#include "tools/minicluster/data_follower.h"

#include <sys/socket.h>

namespace cfs::mini {
namespace {

constexpr std::chrono::milliseconds kDialTimeout{1000};

bool belongs_to(const cfs_pkt_hdr& reply, const cfs_pkt_hdr& request) {
  return reply.req_id == request.req_id && reply.partition_id == request.partition_id &&
         reply.extent_id == request.extent_id && reply.extent_offset == request.extent_offset &&
         reply.crc == request.crc;
}

}  // namespace

Result<std::unique_ptr<FollowerLink>> FollowerLink::dial(const std::string& address) {
  Result<Fd> fd = dial_tcp(address, kDialTimeout);
  if (!fd) return fd.error();
  return std::unique_ptr<FollowerLink>(new FollowerLink(address, std::move(fd.value())));
}

std::string FollowerLink::send(const DataPacket& request) {
  cfs_pkt_hdr header = request.header;
  header.followers = 0;
  header.arg_len = 0;
  const int error = send_packet(fd_.get(), header, request.versions, {}, request.payload());
  if (error == 0) return "";
  return "ActionSendToFollowers_" + error_text("write", fd_.get(), error);
}

Verdict FollowerLink::await(const cfs_pkt_hdr& request, Deadline deadline) {
  reader_.set_deadline(deadline);
  if (const int error = receive_packet(reader_, reply_); error != 0) {
    return Refusal{CFS_RC_INTRA_GROUP_NET, error_text("read", fd_.get(), error)};
  }
  if (!belongs_to(reply_.header, request)) {
    return Refusal{CFS_RC_INTRA_GROUP_NET,
                   "ActionCheckReply reply of " + address_ + " does not belong to the request"};
  }
  if (reply_.header.result == CFS_RC_OK) return std::nullopt;
  const auto text = reply_.payload();
  return Refusal{reply_.header.result, std::string(text.begin(), text.end())};
}

void FollowerLink::shut() {
  ::shutdown(fd_.get(), SHUT_RDWR);
}

}  // namespace cfs::mini
