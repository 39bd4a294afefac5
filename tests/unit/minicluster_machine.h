// SPDX-License-Identifier: Apache-2.0
/// One meta partition without a network, for the tests of the state machine.
///
/// Purpose   Requests go straight to apply() over a store in memory; the test moves the clock and the
///           partition's settings.
/// Lifetime  A fresh partition per test.
/// Failure   Helpers whose request must work fail the test when it does not.
#pragma once

#include "tests/unit/minicluster_test.h"
#include "tools/minicluster/meta_state.h"

namespace cfs::mini::test {

inline constexpr uint64_t kPid = 7;
inline constexpr uint32_t kDir = CFS_GOMODE_DIR | 0755;

/// One partition over a store in memory, with a clock that the test moves.
class Machine : public testing::Test {
 protected:
  Machine() {
    config_.id = kPid;
    config_.end = 1000;
    std::unique_ptr<Txn> txn = store_.begin_write();
    PartitionStore store(*txn, kPid);
    init_partition(store, config_, now_);
    store.flush();
    EXPECT_TRUE(txn->commit().ok());
  }

  template <class Req>
  MetaReply call(Req req) {
    if constexpr (requires { req.pid; }) req.pid = kPid;
    if constexpr (requires { req.tm_id; }) req.tm_id = kPid;
    return raw(Req::kOp, wire::encode(req));
  }
  MetaReply raw(uint8_t op, const std::string& body) {
    std::unique_ptr<Txn> txn = store_.begin_write();
    PartitionStore store(*txn, kPid);
    MetaCall call{store, config_, op, proto_, body, now_};
    MetaReply reply = apply(call);
    if (op_class(op) == OpClass::kWrite) store.flush();
    EXPECT_TRUE(txn->commit().ok());
    return reply;
  }
  template <class Req>
  typename Req::Reply ok(const Req& req) {
    MetaReply reply = call(req);
    EXPECT_EQ(reply.result, CFS_RC_OK) << reply.data;
    return wire::decode<typename Req::Reply>(reply.data).value();
  }
  template <class Req>
  uint8_t rc(const Req& req) {
    return call(req).result;
  }
  bool reclaim_now() {
    std::unique_ptr<Txn> txn = store_.begin_write();
    PartitionStore store(*txn, kPid);
    bool changed = reclaim(store, policy_, now_);
    store.flush();
    EXPECT_TRUE(txn->commit().ok());
    return changed;
  }
  ExtentList freed() {
    ExtentList keys;
    for (auto& [order, key] : PartitionStore::freed(*store_.begin_read(), 100)) keys.push_back(key);
    return keys;
  }

  uint64_t file(uint32_t mode = 0644) { return ok(new_file(kPid, mode)).info.ino; }
  uint8_t name(uint64_t parent, const std::string& n, uint64_t ino, uint32_t mode = 0644) {
    return rc(new_name(kPid, parent, n, ino, mode));
  }
  uint64_t directory(uint64_t parent, const std::string& n) {
    uint64_t ino = file(kDir);
    EXPECT_EQ(name(parent, n, ino, kDir), CFS_RC_OK);
    return ino;
  }
  wire::InodeInfo stat(uint64_t ino) { return ok(get_inode(kPid, ino)).info; }
  uint8_t stat_rc(uint64_t ino) { return rc(get_inode(kPid, ino)); }
  uint64_t lookup(uint64_t parent, const std::string& n) {
    wire::LookupReq req;
    req.pino = parent;
    req.name = n;
    MetaReply reply = call(req);
    if (reply.result != CFS_RC_OK) return 0;
    return wire::decode<wire::LookupReply>(reply.data)->ino;
  }
  MetaReply unlink(uint64_t ino, uint64_t uniq = 0) {
    wire::UnlinkInodeReq req;
    req.ino = ino;
    req.uniq_id = uniq;
    return call(req);
  }
  MetaReply remove(uint64_t parent, const std::string& n, int64_t created = 0) {
    wire::DeleteDentryReq req;
    req.pino = parent;
    req.name = n;
    req.inode_create_time_s = created;
    return call(req);
  }
  uint8_t evict(uint64_t ino) {
    wire::EvictInodeReq req;
    req.ino = ino;
    return rc(req);
  }
  uint8_t truncate(uint64_t ino, uint64_t size) {
    wire::TruncateReq req;
    req.ino = ino;
    req.size = size;
    return rc(req);
  }

  static wire::ExtentKey key(uint64_t offset, uint64_t extent, uint32_t size, uint64_t place = 0) {
    return {offset, 10, extent, place, size, 0, std::nullopt};
  }
  uint8_t add(uint64_t ino, const wire::ExtentKey& k, const ExtentList& discard = {},
              uint32_t storage_class = 0) {
    wire::ExtentAddCheckReq req;
    req.ino = ino;
    req.extent = k;
    req.discard = wire::List<wire::ExtentKey>(discard);
    req.storage_class = storage_class;
    return rc(req);
  }
  ExtentList extents(uint64_t ino) {
    wire::ExtentsListReq req;
    req.ino = ino;
    return ok(req).extents;
  }

  MemStore store_;
  PartitionConfig config_;
  ReclaimPolicy policy_;
  int64_t now_ = 1'800'000'000;
  uint32_t proto_ = CFS_PROTO_VERSION;
};

}  // namespace cfs::mini::test
