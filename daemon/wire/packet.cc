// SPDX-License-Identifier: Apache-2.0
/// Packet codec and mode conversion; see packet.h.
#include "daemon/wire/packet.h"

#include <zlib.h>

namespace cfs::wire {

namespace {

constexpr uint8_t kOpRead = 0x04;    // whole extent read of old clients, proto/packet.go (OpRead)
constexpr size_t kVersionCount = 2;  // bytes of the count in front of a version list

const uint8_t* bytes_of(std::string_view s) {
  return reinterpret_cast<const uint8_t*>(s.data());
}

/// Lengths of the parts of a packet.
struct Layout {
  cfs_pkt_hdr h{};
  size_t header = 0;  ///< 0: unknown, more bytes are needed
  size_t versions = 0;
  size_t arg = 0;
  size_t data = 0;

  [[nodiscard]] size_t versions_at() const { return header + (has_list() ? kVersionCount : 0); }
  [[nodiscard]] size_t head() const { return versions_at() + versions + arg; }
  [[nodiscard]] bool has_list() const { return h.extent_type & CFS_ET_VERSION_LIST; }
};

Error too_large(const char* part, uint64_t bytes) {
  return make_error(EMSGSIZE, "packet: " + std::string(part) + " of " + std::to_string(bytes));
}

/// Reads the version list's count; false when its two bytes are not there yet.
bool read_version_count(std::string_view in, Layout* l) {
  if (!l->has_list()) return true;
  if (in.size() < l->versions_at()) return false;
  const uint8_t* p = bytes_of(in) + l->header;
  l->versions = static_cast<size_t>(p[0] << 8 | p[1]) * CFS_VER_ENTRY;
  return true;
}

Result<Layout> read_layout(std::string_view in, const PacketLimits& limits) {
  Layout l;
  const int len = cfs_pkt_decode(bytes_of(in), in.size(), &l.h);
  if (len < 0) return make_error(EPROTO, "packet: wrong magic");
  if (len == 0) return Layout{};
  l.header = static_cast<size_t>(len);
  l.arg = l.h.arg_len;
  l.data = is_read_request(l.h) ? 0 : l.h.size;
  if (l.arg > limits.arg_bytes) return too_large("arg", l.arg);
  if (l.data > limits.data_bytes) return too_large("data", l.data);
  if (!read_version_count(in, &l)) return Layout{};
  if (l.versions > size_t{limits.versions} * CFS_VER_ENTRY) {
    return too_large("version list", l.versions);
  }
  return l;
}

void take_head(std::string_view in, const Layout& l, Packet* p) {
  p->h = l.h;
  p->versions = in.substr(l.versions_at(), l.versions);
  p->arg = in.substr(l.versions_at() + l.versions, l.arg);
  p->data.clear();
}

}  // namespace

bool is_read_request(const cfs_pkt_hdr& h) {
  if (h.result != CFS_RC_INIT) return false;
  return h.opcode == CFS_DOP_STREAM_READ || h.opcode == CFS_DOP_STREAM_FOLLOWER_READ ||
         h.opcode == kOpRead;
}

namespace {

/// Base header with these lengths, version list, Arg; room for `more` bytes behind them.
std::string head_bytes(const Packet& p, uint32_t size, size_t more) {
  cfs_pkt_hdr h = p.h;
  h.size = size;
  h.arg_len = static_cast<uint32_t>(p.arg.size());
  std::string out;
  out.reserve(CFS_PKT_HDR_MAX + kVersionCount + p.versions.size() + p.arg.size() + more);
  out.resize(CFS_PKT_HDR_MAX);
  out.resize(cfs_pkt_encode(&h, reinterpret_cast<uint8_t*>(out.data())));
  if (h.extent_type & CFS_ET_VERSION_LIST) {
    const size_t count = p.versions.size() / CFS_VER_ENTRY;
    out.push_back(static_cast<char>(count >> 8));
    out.push_back(static_cast<char>(count));
    out.append(p.versions, 0, count * CFS_VER_ENTRY);
  }
  out.append(p.arg);
  return out;
}

}  // namespace

std::string encode_head(const Packet& p) {
  return head_bytes(p, p.h.size, 0);
}

std::string encode(const Packet& p) {
  const uint32_t size = is_read_request(p.h) ? p.h.size : static_cast<uint32_t>(p.data.size());
  std::string out = head_bytes(p, size, p.data.size());
  out.append(p.data);
  return out;
}

Result<size_t> head_length(std::string_view bytes, const PacketLimits& limits) {
  const Result<Layout> l = read_layout(bytes, limits);
  if (!l) return l.error();
  return l->header == 0 ? size_t{0} : l->head();
}

Result<size_t> decode_head(std::string_view bytes, Packet* p, const PacketLimits& limits) {
  const Result<Layout> l = read_layout(bytes, limits);
  if (!l) return l.error();
  if (l->header == 0 || bytes.size() < l->head()) return make_error(EPROTO, "packet: short head");
  take_head(bytes, *l, p);
  return l->data;
}

Result<size_t> decode_packet(std::string_view bytes, Packet* p, const PacketLimits& limits) {
  const Result<Layout> l = read_layout(bytes, limits);
  if (!l) return l.error();
  if (l->header == 0 || bytes.size() < l->head() + l->data) return size_t{0};
  take_head(bytes, *l, p);
  p->data = bytes.substr(l->head(), l->data);
  return l->head() + l->data;
}

void PacketDecoder::feed(std::string_view bytes) {
  if (start_ > 0) {
    buffer_.erase(0, start_);
    start_ = 0;
  }
  buffer_.append(bytes);
}

Result<bool> PacketDecoder::next(Packet* p) {
  const Result<size_t> used = decode_packet(std::string_view(buffer_).substr(start_), p, limits_);
  if (!used) return used.error();
  start_ += *used;
  return *used > 0;
}

Packet meta_request(uint8_t op, uint64_t partition_id, int64_t req_id, std::string body) {
  Packet p;
  p.h.extent_type = CFS_ET_PROTO_VERSION;
  p.h.opcode = op;
  p.h.partition_id = partition_id;
  p.h.req_id = req_id;
  p.h.proto_version = CFS_PROTO_VERSION;
  p.h.size = static_cast<uint32_t>(body.size());
  p.data = std::move(body);
  return p;
}

Packet make_reply(const Packet& request, uint8_t result, std::string body) {
  Packet p;
  p.h = request.h;
  p.h.extent_type &= static_cast<uint8_t>(~CFS_ET_VERSION_LIST);
  p.h.result = result;
  p.h.arg_len = 0;
  p.h.size = static_cast<uint32_t>(body.size());
  p.data = std::move(body);
  return p;
}

bool is_reply_to(const cfs_pkt_hdr& reply, const cfs_pkt_hdr& request) {
  return reply.req_id == request.req_id && reply.opcode == request.opcode;
}

uint32_t crc32_ieee(std::string_view bytes, uint32_t seed) {
  return static_cast<uint32_t>(::crc32_z(seed, bytes_of(bytes), bytes.size()));
}

uint32_t to_go_mode(mode_t mode) {
  uint32_t m = mode & 0777;
  if (mode & S_ISUID) m |= CFS_GOMODE_SETUID;
  if (mode & S_ISGID) m |= CFS_GOMODE_SETGID;
  if (mode & S_ISVTX) m |= CFS_GOMODE_STICKY;
  switch (mode & S_IFMT) {
    case S_IFREG:
      return m;
    case S_IFDIR:
      return m | CFS_GOMODE_DIR;
    case S_IFLNK:
      return m | CFS_GOMODE_SYMLINK;
    case S_IFIFO:
      return m | CFS_GOMODE_FIFO;
    case S_IFSOCK:
      return m | CFS_GOMODE_SOCKET;
    case S_IFCHR:
      return m | CFS_GOMODE_DEVICE | CFS_GOMODE_CHARDEV;
    default:
      return m | CFS_GOMODE_DEVICE;
  }
}

namespace {

mode_t go_file_type(uint32_t m) {
  if (m & CFS_GOMODE_DIR) return S_IFDIR;
  if (m & CFS_GOMODE_SYMLINK) return S_IFLNK;
  if (m & CFS_GOMODE_FIFO) return S_IFIFO;
  if (m & CFS_GOMODE_SOCKET) return S_IFSOCK;
  if (m & CFS_GOMODE_DEVICE) return m & CFS_GOMODE_CHARDEV ? S_IFCHR : S_IFBLK;
  return S_IFREG;
}

}  // namespace

mode_t from_go_mode(uint32_t go_mode) {
  mode_t m = (go_mode & 0777) | go_file_type(go_mode);
  if (go_mode & CFS_GOMODE_SETUID) m |= S_ISUID;
  if (go_mode & CFS_GOMODE_SETGID) m |= S_ISGID;
  if (go_mode & CFS_GOMODE_STICKY) m |= S_ISVTX;
  return m;
}

}  // namespace cfs::wire
