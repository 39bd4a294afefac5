// SPDX-License-Identifier: Apache-2.0
/// USDT probes of the daemon, for bpftrace, perf and systemtap; one instruction each while nobody looks.
///
/// Purpose  Joins what the module's tracepoints show (cfs_request_*, field id) with the requests to meta nodes
///          that it took. `id` is 0 for the daemon's own work and for FUSE.
/// Fields   are stable; new ones are added at the end. See docs/observability.md, tools/bpftrace/cfsrpc.bt.
#pragma once

#include <sys/sdt.h>

#include <cstdint>

namespace cfs::probe {

/// A request of the module was taken up. op: enum cfs_op.
inline void request_start(std::uint64_t id, unsigned op, std::uint64_t ino) {
  DTRACE_PROBE3(cfsd, request__start, id, op, ino);
}
/// Its answer is about to go back. res: >= 0 or -errno.
inline void request_done(std::uint64_t id, int res) {
  DTRACE_PROBE2(cfsd, request__done, id, res);
}
/// A request goes to a meta node. packet: its id, one of its own; opcode: wire protocol; node: "ip:port".
inline void rpc_start(std::uint64_t id, std::uint64_t packet, unsigned opcode,
                      std::uint64_t partition, const char* node) {
  DTRACE_PROBE5(cfsd, rpc__start, id, packet, opcode, partition, node);
}
/// Its reply came (result: of the wire protocol), or did not (error: errno).
inline void rpc_done(std::uint64_t id, std::uint64_t packet, unsigned result, int error) {
  DTRACE_PROBE4(cfsd, rpc__done, id, packet, result, error);
}

}  // namespace cfs::probe
