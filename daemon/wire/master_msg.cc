// SPDX-License-Identifier: Apache-2.0
/// Envelope, error table and instances of the master's messages; see master_msg.h.
#include "daemon/wire/master_msg.h"

#include <array>

#include "daemon/wire/archive.h"

namespace cfs::wire {

namespace {

/// Index is the code. Source: proto/errors.go; 37 and 39 have no text there.
constexpr std::array<std::string_view, 68> kCodeTexts = {
    "success",
    "internal error",
    "parameter error",
    "bad configuration file",
    "persistence by raft occurred error",
    "marshal data error",
    "unmarshal data error",
    "vol not exists",
    "vol has been deleted",
    "vol was not previously deleted or already deleted",
    "meta partition not exists",
    "data partition not exists",
    "data node not exists",
    "meta node not exists",
    "duplicate vol",
    "no enough active data node",
    "no enough active meta node",
    "invalid meta partition start value",
    "no available data partition",
    "the array to be reshuffled is nil",
    "data replica is illegal",
    "a missing data replica is found",
    "there is a missing replica",
    "No data node available for creating a data partition",
    "No meta node available for creating a meta partition",
    "cannot take the data replica offline",
    "no enough data nodes for creating a data partition",
    "no zone available for creating a data partition",
    "no node set available for creating a data partition",
    "no node set available for creating a meta partition",
    "no enough meta nodes for creating a meta partition",
    "illegal meta replica",
    "no enough replicas",
    "no leader",
    "client and server auth key do not match",
    "auth keystore error",
    "auth API access response error",
    "",
    "auth Object Storage node API response error",
    "",
    "access key not exists",
    "invalid ticket",
    "invalid clientIDKey",
    "expired ticket",
    "master API generate response error",
    "duplicate user id",
    "user not exists",
    "read request body failed",
    "vol policy not exists",
    "duplicate access key",
    "no vol policy",
    "no zone available for creating a meta partition",
    "zone not exists",
    "own vols not empty",
    "super administrator exists",
    "invalid user ID",
    "invalid user type",
    "no permission",
    "token not found",
    "invalid access key",
    "invalid secret key",
    "user owns the volume",
    "zone num not qualified",
    "version op failed",
    "node set not exists",
    "lifecycle configuration does not exist",
    "Lifecycle storage class not allowed",
    "no space left on device",
};

struct TxWord {
  std::string_view word;
  uint8_t bits;
};

constexpr std::array kTxWords = {
    TxWord{"off", kTxMaskOff},         TxWord{"create", kTxMaskCreate},
    TxWord{"mkdir", kTxMaskMkdir},     TxWord{"remove", kTxMaskRemove},
    TxWord{"rename", kTxMaskRename},   TxWord{"mknod", kTxMaskMknod},
    TxWord{"symlink", kTxMaskSymlink}, TxWord{"link", kTxMaskLink},
    TxWord{"all", kTxMaskAll},         TxWord{"pause", kTxMaskPause},
};

std::optional<uint8_t> tx_word(std::string_view word) {
  for (const TxWord& w : kTxWords) {
    if (w.word == word) return w.bits;
  }
  return std::nullopt;
}

/// Envelope without its data; EBADMSG when there is no code.
struct EnvelopeHead {
  std::optional<int32_t> code{};
  std::string msg{};

  template <class S, class A>
  static void fields(S& s, A& a) {
    a("code", s.code)("msg", s.msg);
  }
};

Result<EnvelopeHead> read_head(detail::Element root) {
  Result<EnvelopeHead> head = detail::read_root<EnvelopeHead>(root);
  if (head && !head->code) return make_error(EBADMSG, "reply without a code");
  return head;
}

/// Data of the envelope; an absent key is null.
detail::Element data_of(detail::Element root, bool* found) {
  detail::Element data;
  *found = root.at_key("data").get(data) == simdjson::SUCCESS;
  return data;
}

Error envelope_error(const EnvelopeHead& head) {
  const std::string text(head.msg.empty() ? master_code_text(*head.code) : head.msg);
  return make_error(master_errno(*head.code), "master: " + text);
}

template <class T>
Result<T> read_reply(detail::Element root) {
  const Result<EnvelopeHead> head = read_head(root);
  if (!head) return head.error();
  if (*head->code != kMasterOk) return envelope_error(*head);
  bool found = false;
  const detail::Element data = data_of(root, &found);
  if (!found) return T{};
  Result<T> value = detail::read_root<T>(data);
  if (!value) return value.error().in("data");
  return value;
}

std::string envelope_text(int32_t code, std::string_view msg, std::string_view data) {
  std::string out;
  JsonWriter w(&out);
  w.begin_object();
  w.key("code");
  w.number(code);
  w.key("msg");
  w.string(msg);
  w.key("data");
  w.raw(data);
  w.end_object();
  return out;
}

}  // namespace

std::string_view master_code_text(int32_t code) {
  const bool known = code >= 0 && static_cast<size_t>(code) < kCodeTexts.size();
  const std::string_view text = known ? kCodeTexts[static_cast<size_t>(code)] : "";
  return text.empty() ? kCodeTexts[kMasterInternal] : text;
}

int master_errno(int32_t code) {
  switch (code) {
    case kMasterOk:
      return 0;
    case kMasterParam:
      return EINVAL;
    case kMasterVolNotExists:
    case kMasterVolDeleted:
    case kMasterMetaPartitionNotExists:
    case kMasterDataPartitionNotExists:
    case 12:  // data node
    case 13:  // meta node
    case 46:  // user
      return ENOENT;
    case kMasterAuthKeyMismatch:
    case 40:  // access key does not exist
    case 41:  // invalid ticket
    case 42:  // invalid client key
    case 43:  // expired ticket
    case kMasterNoPermission:
    case 59:  // invalid access key
    case 60:  // invalid secret key
      return EACCES;
    case 14:  // duplicate volume
      return EEXIST;
    case kMasterNoLeader:
      return EAGAIN;
    case 67:
      return ENOSPC;
    default:
      return EIO;
  }
}

Result<uint8_t> parse_tx_mask(std::string_view text) {
  uint8_t mask = 0;
  for (std::string_view rest = text;;) {
    const size_t bar = rest.find('|');
    const std::optional<uint8_t> bits = tx_word(rest.substr(0, bar));
    if (!bits) return make_error(EINVAL, "bad transaction mask: " + std::string(text));
    mask |= *bits;
    if (bar == std::string_view::npos) return mask;
    rest.remove_prefix(bar + 1);
  }
}

Result<Envelope> decode_envelope(std::string_view body) {
  return detail::with_json<Envelope>(body, [](detail::Element root) -> Result<Envelope> {
    const Result<EnvelopeHead> head = read_head(root);
    if (!head) return head.error();
    bool found = false;
    const detail::Element data = data_of(root, &found);
    return Envelope{*head->code, head->msg, found ? simdjson::minify(data) : "null"};
  });
}

std::string encode_error(int32_t code, std::string_view msg) {
  return envelope_text(code, msg.empty() ? master_code_text(code) : msg, "null");
}

template <>
std::string encode(const LimitReq& request) {
  return detail::encode_json(request);
}

template <>
Result<LimitReq> decode(std::string_view body) {
  return detail::decode_json<LimitReq>(body);
}

template <class T>
Result<T> decode_reply(std::string_view body) {
  return detail::with_json<T>(body, [](detail::Element root) { return read_reply<T>(root); });
}

template <class T>
std::string encode_reply(const T& data) {
  return envelope_text(kMasterOk, master_code_text(kMasterOk), detail::encode_json(data));
}

#define CFS_WIRE_REPLY(T)                                    \
  template Result<T> decode_reply<T>(std::string_view body); \
  template std::string encode_reply<T>(const T& data);

CFS_WIRE_REPLY(AclRsp)
CFS_WIRE_REPLY(ClusterInfo)
CFS_WIRE_REPLY(ClusterView)
CFS_WIRE_REPLY(DataPartitionInfo)
CFS_WIRE_REPLY(DataPartitionsView)
CFS_WIRE_REPLY(FlashGroupView)
CFS_WIRE_REPLY(LimitRsp)
CFS_WIRE_REPLY(List<MetaPartitionView>)
CFS_WIRE_REPLY(List<VolInfo>)
CFS_WIRE_REPLY(QuotaList)
CFS_WIRE_REPLY(SimpleVolView)
CFS_WIRE_REPLY(VolStatInfo)
CFS_WIRE_REPLY(VolVersionList)
CFS_WIRE_REPLY(VolView)
CFS_WIRE_REPLY(std::string)
#undef CFS_WIRE_REPLY

}  // namespace cfs::wire
