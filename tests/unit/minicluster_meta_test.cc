// SPDX-License-Identifier: Apache-2.0
/// Rules of the meta partition's state machine, one refusal or effect per test.
///
/// Breaks if    clients would meet other semantics here than on a real cluster: link counts,
///              existing names, conflicting extent keys, background removal.
#include "tests/unit/minicluster_machine.h"

namespace cfs::mini::test {
namespace {

TEST_F(Machine, NumbersFollowTheCursorUntilTheRangeEnds) {
  EXPECT_EQ(file(), 2u);
  config_.end = 3;
  EXPECT_EQ(file(), 3u);
  EXPECT_EQ(rc(new_file(kPid)), CFS_RC_INODE_FULL);
}

TEST_F(Machine, SecondPartitionHasNoRootAndStartsAfterItsStart) {
  PartitionConfig config;
  config.start = 4194305;
  std::unique_ptr<Txn> txn = store_.begin_write();
  PartitionStore store(*txn, 8);
  init_partition(store, config, now_);
  EXPECT_FALSE(store.inode(CFS_ROOT_INO).has_value());
  EXPECT_EQ(store.counters().cursor + 1, 4194306u);
}

TEST_F(Machine, HotVolumeNeedsAStorageType) {
  wire::CreateInodeReq req = new_file(kPid);
  req.storage_type = CFS_CLASS_UNSPECIFIED;
  EXPECT_EQ(rc(req), CFS_RC_ERR);
  config_.cold = true;
  EXPECT_EQ(ok(req).info.storage_class, uint32_t{CFS_CLASS_BLOBSTORE});
}

TEST_F(Machine, DirectoryLinksAreTwoPlusEntries) {
  uint64_t d = directory(CFS_ROOT_INO, "d");
  EXPECT_EQ(stat(CFS_ROOT_INO).nlink, 3u);
  EXPECT_EQ(name(d, "f", file()), CFS_RC_OK);
  directory(d, "s");
  EXPECT_EQ(stat(d).nlink, 4u);
  EXPECT_EQ(remove(d, "f").result, CFS_RC_OK);
  EXPECT_EQ(stat(d).nlink, 3u);
}

TEST_F(Machine, CreateDentryRefusals) {
  uint64_t f = file(), g = file();
  uint64_t d = file(kDir);
  EXPECT_EQ(name(f, "x", f), CFS_RC_EXIST) << "parent is the inode itself";
  EXPECT_EQ(name(999, "x", f), CFS_RC_NOT_EXIST) << "no parent";
  EXPECT_EQ(name(f, "x", g), CFS_RC_ARG_MISMATCH) << "parent is a file";
  EXPECT_EQ(name(CFS_ROOT_INO, "f", f), CFS_RC_OK);
  EXPECT_EQ(name(CFS_ROOT_INO, "f", f), CFS_RC_OK) << "repeated";
  EXPECT_EQ(stat(CFS_ROOT_INO).nlink, 3u) << "the repetition counts nothing";
  EXPECT_EQ(name(CFS_ROOT_INO, "f", g), CFS_RC_EXIST);
  EXPECT_EQ(name(CFS_ROOT_INO, "f", d, kDir), CFS_RC_ARG_MISMATCH) << "other type";
  EXPECT_EQ(name(CFS_ROOT_INO, "f", g, CFS_GOMODE_SYMLINK | 0777), CFS_RC_EXIST) << "symlink";
  config_.dir_limit = 3;
  EXPECT_EQ(name(CFS_ROOT_INO, "g", g), CFS_RC_DIR_QUOTA);
}

TEST_F(Machine, CreateDentryEchoesItsRequest) {
  MetaReply reply = call(new_name(kPid, CFS_ROOT_INO, "f", file()));
  EXPECT_EQ(reply.body, MetaReply::kEcho);
}

TEST_F(Machine, DeleteDentryTwiceIsNotExistAndDeleteLockHolds) {
  EXPECT_EQ(name(CFS_ROOT_INO, "f", file()), CFS_RC_OK);
  config_.delete_lock_h = 1;
  EXPECT_EQ(remove(CFS_ROOT_INO, "f", now_).result, CFS_RC_NOT_PERM);
  now_ += 3601;
  EXPECT_EQ(remove(CFS_ROOT_INO, "f", now_ - 3601).result, CFS_RC_OK);
  EXPECT_EQ(remove(CFS_ROOT_INO, "f").result, CFS_RC_NOT_EXIST);
}

TEST_F(Machine, BatchDeleteRemovesOnlyWhatMeansTheInode) {
  const uint64_t f = file(), g = file();
  EXPECT_EQ(name(CFS_ROOT_INO, "f", f), CFS_RC_OK);
  wire::BatchDeleteDentryReq req;
  req.pino = CFS_ROOT_INO;
  req.dentries.push_back({"f", g, 0});
  req.dentries.push_back({"none", f, 0});
  req.dentries.push_back({"f", f, 0});
  const auto reply = ok(req);
  ASSERT_EQ(reply.items.size(), 3u);
  EXPECT_EQ(reply.items[0].status, CFS_RC_NOT_EXIST);
  EXPECT_EQ(reply.items[1].status, CFS_RC_NOT_EXIST);
  EXPECT_EQ(reply.items[2].status, CFS_RC_OK);
  EXPECT_EQ(reply.items[2].ino, f);
  EXPECT_EQ(lookup(CFS_ROOT_INO, "f"), 0u);
}

TEST_F(Machine, UpdateDentryGivesOldInodeOrZero) {
  uint64_t f = file(), g = file();
  wire::UpdateDentryReq req;
  req.pino = CFS_ROOT_INO;
  req.name = "f";
  req.ino = g;
  EXPECT_EQ(rc(req), CFS_RC_NOT_EXIST);
  EXPECT_EQ(name(CFS_ROOT_INO, "f", f), CFS_RC_OK);
  EXPECT_EQ(ok(req).ino, f);
  EXPECT_EQ(ok(req).ino, 0u) << "repeated";
  EXPECT_EQ(lookup(CFS_ROOT_INO, "f"), g);
}

TEST_F(Machine, UniqueIdsAreNotAppliedTwice) {
  uint64_t f = file();
  wire::LinkInodeReq link;
  link.ino = f;
  link.uniq_id = 5;
  EXPECT_EQ(ok(link).info.nlink, 2u);
  EXPECT_EQ(ok(link).info.nlink, 2u);
  EXPECT_EQ(unlink(f, 6).result, CFS_RC_OK);
  EXPECT_EQ(unlink(f, 6).result, CFS_RC_OK);
  EXPECT_EQ(stat(f).nlink, 1u);
}

TEST_F(Machine, UniqueIdsAreForgottenOnlyWhenOldAndMany) {
  uint64_t f = file();
  policy_.uniq_keep_count = 1;
  wire::LinkInodeReq link;
  link.ino = f;
  link.uniq_id = 5;
  ok(link);
  now_ += policy_.uniq_keep_s + 1;
  reclaim_now();
  EXPECT_EQ(ok(link).info.nlink, 2u) << "still among the last";
  link.uniq_id = 6;
  ok(link);
  reclaim_now();
  link.uniq_id = 5;
  EXPECT_EQ(ok(link).info.nlink, 4u) << "forgotten";
}

TEST_F(Machine, UniqueIdRangesDoNotOverlap) {
  wire::GetUniqIdReq req;
  req.num = 5000;
  EXPECT_EQ(ok(req).start, 1u);
  EXPECT_EQ(ok(req).start, 5001u);
}

TEST_F(Machine, UnlinkedFileStaysUntilEvictedThenGoesWithItsExtents) {
  uint64_t f = file();
  EXPECT_EQ(add(f, key(0, 2000, 100)), CFS_RC_OK);
  EXPECT_EQ(unlink(f).result, CFS_RC_OK);
  EXPECT_EQ(stat(f).nlink, 0u);
  EXPECT_EQ(evict(f), CFS_RC_OK);
  EXPECT_EQ(stat_rc(f), CFS_RC_NOT_EXIST) << "delete mark";
  EXPECT_EQ(evict(f), CFS_RC_OK) << "again, not yet removed";
  EXPECT_EQ(unlink(f).result, CFS_RC_NOT_EXIST);
  EXPECT_EQ(extents(f).size(), 1u) << "the list still answers";
  now_ += policy_.deleted_s;
  EXPECT_TRUE(reclaim_now());
  EXPECT_EQ(evict(f), CFS_RC_NOT_EXIST);
  ASSERT_EQ(freed().size(), 1u);
  EXPECT_EQ(freed()[0].extent_id, 2000u);
}

TEST_F(Machine, OrphanIsPurgedAfterADayNotBefore) {
  uint64_t f = file();
  EXPECT_EQ(unlink(f).result, CFS_RC_OK);
  now_ += policy_.orphan_s - 1;
  reclaim_now();
  EXPECT_EQ(stat_rc(f), CFS_RC_OK);
  now_ += 2;
  reclaim_now();
  EXPECT_EQ(stat_rc(f), CFS_RC_NOT_EXIST);
}

TEST_F(Machine, RelinkedOrphanIsKept) {
  uint64_t f = file();
  EXPECT_EQ(unlink(f).result, CFS_RC_OK);
  wire::LinkInodeReq link;
  link.ino = f;
  ok(link);
  now_ += policy_.orphan_s + 1;
  reclaim_now();
  EXPECT_EQ(stat(f).nlink, 1u);
}

TEST_F(Machine, EvictOfALinkedFileDoesNothing) {
  uint64_t f = file();
  EXPECT_EQ(evict(f), CFS_RC_OK);
  EXPECT_EQ(stat_rc(f), CFS_RC_OK);
}

TEST_F(Machine, EmptyDirectoryGoesAtOnceAFullOneLosesALink) {
  uint64_t d = directory(CFS_ROOT_INO, "d");
  EXPECT_EQ(name(d, "f", file()), CFS_RC_OK);
  EXPECT_EQ(unlink(d).result, CFS_RC_OK);
  EXPECT_EQ(stat(d).nlink, 2u);
  EXPECT_EQ(unlink(d).result, CFS_RC_OK);
  EXPECT_EQ(stat_rc(d), CFS_RC_NOT_EXIST);
}

TEST_F(Machine, SetattrSetsOnlyWhatIsValidAndAlwaysWorks) {
  uint64_t f = file();
  wire::SetattrReq req;
  req.ino = f;
  req.mode = 0600;
  req.uid = 5;
  req.mtime = 1234567890;
  req.valid = CFS_ATTR_MODE | CFS_ATTR_MTIME;
  EXPECT_EQ(rc(req), CFS_RC_OK);
  EXPECT_EQ(stat(f).mode, 0600u);
  EXPECT_EQ(stat(f).uid, 0u);
  EXPECT_EQ(stat(f).mtime, 1234567890);
  req.ino = 999;
  EXPECT_EQ(rc(req), CFS_RC_OK);
}

TEST_F(Machine, AccessTimeIsNowForClientsAndStoredForInner) {
  uint64_t f = file();
  const int64_t made = now_;
  now_ += 100;
  EXPECT_EQ(stat(f).atime, now_);
  wire::InodeGetReq inner = get_inode(kPid, f);
  inner.inner = true;
  EXPECT_EQ(ok(inner).info.atime, made);
}

TEST_F(Machine, ReadDirPagesIncludeTheMarker) {
  for (const char* n : {"b", "a", "c\xC3\xA4"}) EXPECT_EQ(name(CFS_ROOT_INO, n, file()), CFS_RC_OK);
  wire::ReadDirLimitReq req;
  req.pino = CFS_ROOT_INO;
  req.limit = 2;
  auto page = ok(req).children;
  ASSERT_EQ(page.size(), 2u);
  EXPECT_EQ(page[0].name, "a");
  req.marker = page[1].name;
  page = ok(req).children;
  ASSERT_EQ(page.size(), 2u);
  EXPECT_EQ(page[0].name, "b");
  req.pino = 999;
  EXPECT_TRUE(ok(req).children.nil) << "a missing directory is an empty one";
}

TEST_F(Machine, ExtentsInOrderAndGrowth) {
  uint64_t f = file();
  EXPECT_EQ(add(f, key(100, 2000, 100)), CFS_RC_OK);
  EXPECT_EQ(add(f, key(0, 2001, 50)), CFS_RC_OK) << "in front";
  EXPECT_EQ(add(f, key(200, 2000, 10, 100)), CFS_RC_OK) << "same extent, after the end";
  EXPECT_EQ(extents(f).size(), 3u);
  EXPECT_EQ(stat(f).size, 210u);
  EXPECT_EQ(stat(f).gen, 4u);
  EXPECT_EQ(add(f, key(0, 2001, 90)), CFS_RC_OK) << "the same extent grows";
  EXPECT_EQ(extents(f)[0].size, 90u);
  EXPECT_TRUE(freed().empty());
}

TEST_F(Machine, RepeatedKeyChangesOnlyTheGeneration) {
  uint64_t f = file();
  EXPECT_EQ(add(f, key(0, 2000, 100)), CFS_RC_OK);
  EXPECT_EQ(add(f, key(0, 2000, 100)), CFS_RC_OK);
  EXPECT_EQ(extents(f).size(), 1u);
  EXPECT_EQ(stat(f).gen, 3u);
}

TEST_F(Machine, ReplacingNeedsTheDisplacedKeysNamed) {
  uint64_t f = file();
  const wire::ExtentKey a = key(0, 2000, 50), b = key(50, 2001, 50), all = key(0, 2002, 100);
  EXPECT_EQ(add(f, a), CFS_RC_OK);
  EXPECT_EQ(add(f, b), CFS_RC_OK);
  EXPECT_EQ(add(f, all, {a}), CFS_RC_CONFLICT_EXTENTS) << "one is missing";
  EXPECT_EQ(add(f, all, {b, a}), CFS_RC_CONFLICT_EXTENTS) << "wrong order";
  EXPECT_EQ(add(f, all, {a, b}), CFS_RC_OK);
  EXPECT_EQ(extents(f), ExtentList{all});
  ExtentList gone = freed();
  ASSERT_EQ(gone.size(), 4u) << "two refused keys and two displaced ones";
  EXPECT_EQ(gone[2], a);
  EXPECT_EQ(gone[3], b);
}

TEST_F(Machine, ConflictDeletesTheSubmittedKey) {
  uint64_t f = file();
  EXPECT_EQ(add(f, key(0, 2000, 50)), CFS_RC_OK);
  const wire::ExtentKey refused = key(0, 2001, 60);
  EXPECT_EQ(add(f, refused), CFS_RC_CONFLICT_EXTENTS);
  EXPECT_EQ(freed(), ExtentList{refused});
  EXPECT_EQ(extents(f)[0].extent_id, 2000u);
  EXPECT_EQ(stat(f).gen, 2u);
}

TEST_F(Machine, OverlappingKeysStandSideBySide) {
  uint64_t f = file();
  EXPECT_EQ(add(f, key(0, 2000, 100)), CFS_RC_OK);
  EXPECT_EQ(add(f, key(50, 2001, 100)), CFS_RC_OK) << "starts inside another";
  EXPECT_EQ(extents(f).size(), 2u);
  EXPECT_EQ(add(f, key(0, 2000, 20)), CFS_RC_OK) << "an older, shorter version of a key";
  EXPECT_EQ(extents(f).size(), 3u);
}

TEST_F(Machine, ExtentRefusals) {
  uint64_t f = file();
  EXPECT_EQ(add(999, key(0, 2000, 1)), CFS_RC_NOT_EXIST);
  EXPECT_EQ(add(f, key(0, 2000, 1), {}, CFS_CLASS_HDD), CFS_RC_STORAGE_CLASS);
  EXPECT_EQ(add(f, key(0, 2000, 1), {}, CFS_CLASS_BLOBSTORE), CFS_RC_STORAGE_CLASS);
  wire::ExtentAddCheckReq cache;
  cache.ino = f;
  cache.is_cache = true;
  EXPECT_EQ(rc(cache), CFS_RC_ARG_MISMATCH);
  wire::BatchExtentsAddReq batch;
  batch.ino = f;
  config_.cold = true;
  EXPECT_EQ(rc(batch), CFS_RC_ERR) << "cold volume";
}

TEST_F(Machine, BatchTakesManyKeysAndDropsCoveredOnes) {
  uint64_t f = file();
  EXPECT_EQ(add(f, key(0, 2000, 50)), CFS_RC_OK);
  wire::BatchExtentsAddReq batch;
  batch.ino = f;
  batch.extents.push_back(key(0, 2001, 100));
  batch.extents.push_back(key(100, 2002, 100));
  EXPECT_EQ(rc(batch), CFS_RC_OK);
  EXPECT_EQ(extents(f).size(), 2u);
  EXPECT_EQ(stat(f).size, 200u);
  EXPECT_EQ(stat(f).gen, 3u) << "one step for all keys";
  EXPECT_EQ(freed(), ExtentList{key(0, 2000, 50)});
}

TEST_F(Machine, TruncateCutsAndFrees) {
  uint64_t f = file();
  EXPECT_EQ(add(f, key(0, 2000, 100)), CFS_RC_OK);
  EXPECT_EQ(add(f, key(100, 2001, 100)), CFS_RC_OK);
  EXPECT_EQ(truncate(f, 60), CFS_RC_OK);
  EXPECT_EQ(extents(f), ExtentList{key(0, 2000, 60)});
  EXPECT_EQ(freed(), ExtentList{key(100, 2001, 100)});
  EXPECT_EQ(truncate(f, 5000), CFS_RC_OK);
  EXPECT_EQ(stat(f).size, 5000u);
  EXPECT_EQ(stat(f).gen, 5u);
}

TEST_F(Machine, TruncateRefusals) {
  uint64_t f = file();
  EXPECT_EQ(truncate(999, 0), CFS_RC_ERR);
  EXPECT_EQ(truncate(CFS_ROOT_INO, 0), CFS_RC_ARG_MISMATCH);
  proto_ = 0;
  EXPECT_EQ(truncate(f, 0), CFS_RC_PROTO_VERSION);
  EXPECT_EQ(rc(new_file(kPid)), CFS_RC_OK) << "only truncate asks for the version";
  config_.refuse_proto0 = false;
  EXPECT_EQ(truncate(f, 0), CFS_RC_OK);
  EXPECT_EQ(unlink(f).result, CFS_RC_OK);
  EXPECT_EQ(evict(f), CFS_RC_OK);
  EXPECT_EQ(truncate(f, 0), CFS_RC_NOT_EXIST) << "delete mark";
  config_.cold = true;
  EXPECT_EQ(truncate(file(), 0), CFS_RC_ERR);
}

TEST_F(Machine, XattrsNeedNoInodeAndMissingOnesAreEmpty) {
  wire::SetXattrReq set;
  set.ino = 77;
  set.key = "user.a";
  set.value = "1";
  EXPECT_EQ(rc(set), CFS_RC_OK);
  wire::GetXattrReq get;
  get.ino = 77;
  get.key = "user.b";
  EXPECT_EQ(ok(get).value, "");
  wire::BatchGetXattrReq batch;
  batch.inos = {77, 78};
  batch.keys = {"user.a", "user.b"};
  auto found = ok(batch).inodes;
  ASSERT_EQ(found.size(), 1u) << "inodes without attributes are left out";
  EXPECT_EQ(found[0].attrs.size(), 1u);
  wire::RemoveXattrReq remove_twice;
  remove_twice.ino = 77;
  remove_twice.key = "user.a";
  EXPECT_EQ(rc(remove_twice), CFS_RC_OK);
  EXPECT_EQ(rc(remove_twice), CFS_RC_OK);
}

TEST_F(Machine, ForbiddenVolumeRefusesChangesAndLookup) {
  config_.forbidden = true;
  EXPECT_EQ(rc(new_file(kPid)), CFS_RC_FORBIDDEN);
  wire::LookupReq look;
  look.pino = CFS_ROOT_INO;
  EXPECT_EQ(rc(look), CFS_RC_FORBIDDEN);
  EXPECT_EQ(stat_rc(CFS_ROOT_INO), CFS_RC_OK);
}

TEST_F(Machine, BodyMustBeJsonForThisPartition) {
  EXPECT_EQ(raw(CFS_MOP_INODE_GET, "this is not json").result, CFS_RC_ERR);
  MetaReply other = raw(CFS_MOP_INODE_GET, R"({"vol":"x","pid":8,"ino":1})");
  EXPECT_EQ(other.result, CFS_RC_ERR);
  EXPECT_EQ(other.data, "unknown meta partition: 8");
}

TEST_F(Machine, LeaseIsAnHourAndShowsInTheExtentList) {
  uint64_t f = file();
  wire::RenewMigrationLeaseReq lease;
  lease.ino = f;
  EXPECT_EQ(rc(lease), CFS_RC_OK);
  EXPECT_TRUE(stat(f).forbidden_lc);
  EXPECT_EQ(stat(f).lease_expire_s, static_cast<uint64_t>(now_ + 3600));
  lease.ino = 999;
  EXPECT_EQ(rc(lease), CFS_RC_NOT_EXIST);
}

TEST_F(Machine, MissingInodesAreRefused) {
  wire::LinkInodeReq link;
  link.ino = 999;
  EXPECT_EQ(rc(link), CFS_RC_NOT_EXIST);
  EXPECT_EQ(unlink(999).result, CFS_RC_NOT_EXIST);
  EXPECT_EQ(evict(999), CFS_RC_NOT_EXIST);
  EXPECT_EQ(stat_rc(999), CFS_RC_NOT_EXIST);
  wire::UpdateInodeMetaReq bump;
  bump.ino = 999;
  EXPECT_EQ(rc(bump), CFS_RC_NOT_EXIST);
  wire::ExtentsListReq list;
  list.ino = 999;
  EXPECT_EQ(rc(list), CFS_RC_NOT_EXIST);
  wire::BatchExtentsAddReq batch;
  batch.ino = 999;
  EXPECT_EQ(rc(batch), CFS_RC_NOT_EXIST);
  batch.ino = file();
  batch.storage_class = CFS_CLASS_HDD;
  EXPECT_EQ(rc(batch), CFS_RC_STORAGE_CLASS);
  wire::LookupReq look;
  look.pino = CFS_ROOT_INO;
  look.name = "nothing";
  EXPECT_EQ(rc(look), CFS_RC_NOT_EXIST);
}

TEST_F(Machine, DeletedDirectoryTakesNoNames) {
  uint64_t d = file(kDir);
  EXPECT_EQ(evict(d), CFS_RC_OK);
  EXPECT_EQ(name(d, "f", file()), CFS_RC_NOT_EXIST);
}

TEST_F(Machine, NameCannotPointToItsOwnDirectory) {
  EXPECT_EQ(name(CFS_ROOT_INO, "f", file()), CFS_RC_OK);
  wire::UpdateDentryReq req;
  req.pino = CFS_ROOT_INO;
  req.name = "f";
  req.ino = CFS_ROOT_INO;
  EXPECT_EQ(rc(req), CFS_RC_EXIST);
}

TEST_F(Machine, GenerationCanBeBumped) {
  wire::UpdateInodeMetaReq bump;
  bump.ino = file();
  EXPECT_EQ(rc(bump), CFS_RC_OK);
  EXPECT_EQ(stat(bump.ino).gen, 2u);
}

TEST_F(Machine, TruncateOfABlobstoreInodeIsRefused) {
  wire::CreateInodeReq req = new_file(kPid);
  req.storage_type = CFS_CLASS_BLOBSTORE;
  EXPECT_EQ(truncate(ok(req).info.ino, 0), CFS_RC_ERR);
}

TEST(LmdbStore, KeepsWhatWasCommittedAndDropsWhatWasNot) {
  TempDir dir;
  {
    auto store = open_lmdb_store(dir.path(), Durability::kProcess).value();
    auto txn = store->begin_write();
    txn->put(Table::kXattr, "kept", "1");
    EXPECT_TRUE(txn->commit().ok());
    store->begin_write()->put(Table::kXattr, "dropped", "1");
  }
  auto store = open_lmdb_store(dir.path(), Durability::kDisk).value();
  auto txn = store->begin_read();
  EXPECT_EQ(txn->get(Table::kXattr, "kept"), "1");
  EXPECT_FALSE(txn->get(Table::kXattr, "dropped").has_value());
}

TEST(LmdbStore, TooLongAKeyFailsTheCommitOnly) {
  TempDir dir;
  auto store = open_lmdb_store(dir.path(), Durability::kProcess).value();
  auto txn = store->begin_write();
  txn->put(Table::kXattr, std::string(600, 'k'), "1");
  EXPECT_EQ(txn->commit().code(), ENAMETOOLONG);
  txn = store->begin_write();
  txn->put(Table::kXattr, "short", "1");
  EXPECT_TRUE(txn->commit().ok());
}

}  // namespace
}  // namespace cfs::mini::test
