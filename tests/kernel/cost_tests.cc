// SPDX-License-Identifier: Apache-2.0
// What operations on names cost in requests to the daemon, and what is believed for how long.
//
// What breaks if it fails: `ls -l` asks once per file, an open asks twice or not at all (then it shows what was there before
// another host's close), a rename looks up again what the kernel knows, a changed mode is never noticed.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/kernel/kernel_test.h"

namespace cfs::test {
namespace {

constexpr uint32_t kLong = 600000, kNever = 0;

uint64_t make_remotely(uint64_t dir, const std::string& name) {
  uint64_t ino = shared->ns.make_node(0, S_IFREG | 0644, 0, 0)->ino;
  shared->ns.make_entry(dir, name, ino);
  return ino;
}

/// A directory with `n` files that this mount has not seen.
std::string strange_directory(const std::string& name, int n) {
  EXPECT(mkdir(at(name).c_str(), 0755) == 0);
  uint64_t dir = stat_of(at(name)).st_ino;
  for (int i = 0; i < n; i++) make_remotely(dir, "f" + std::to_string(i));
  return at(name);
}

void remove_all(const std::string& dir) {
  for (const std::string& name : names_in(dir)) unlink((dir + "/" + name).c_str());
  EXPECT(rmdir(dir.c_str()) == 0);
}

void stat_all(const std::string& dir, int n) {
  for (int i = 0; i < n; i++) stat_of(dir + "/f" + std::to_string(i));
}

/// Looking at what was listed asks for nothing; what was not listed with attributes is asked for.
void listing_fills_caches() {
  ctl().list_attrs = true;
  std::string dir = strange_directory("listed", 150);
  EXPECT(requests([&] { EXPECT(names_in(dir).size() == 150); }) == 2);  // pages of 100
  EXPECT(requests([&] { stat_all(dir, 150); }) == 0);
  struct stat st = stat_of(dir + "/f7");
  EXPECT(st.st_size == 0 && (st.st_mode & 0777) == 0644);
  remove_all(dir);

  ctl().list_attrs = false;
  dir = strange_directory("plain", 10);
  EXPECT(names_in(dir).size() == 10);
  EXPECT(requests(CFS_OP_LOOKUP, [&] { stat_all(dir, 10); }) == 10);
  remove_all(dir);
  ctl().list_attrs = true;
}

ssize_t xattr_bytes(const std::string& path, const char* name) {
  char buf[64];
  return lgetxattr(path.c_str(), name, buf, sizeof(buf));
}

/// `ls -l` asks each file for its ACL and its label: a listing says who has none, until that changes here.
void listing_tells_who_has_no_security() {
  constexpr char kAcl[] = "system.posix_acl_access", kLabel[] = "security.selinux";
  ctl().list_security = true;
  std::string dir = strange_directory("labelled", 4), f0 = dir + "/f0", f1 = dir + "/f1",
              f2 = dir + "/f2";
  EXPECT(setxattr(f1.c_str(), kLabel, "label", 5, 0) == 0);
  drop_caches();
  EXPECT(names_in(dir).size() == 4);
  EXPECT(requests([&] {
           for (const char* name : {kAcl, kLabel, "security.capability"})
             EXPECT_ERR(ENODATA, xattr_bytes(f0, name));
         }) == 0);
  EXPECT(requests(CFS_OP_GETXATTR, [&] { EXPECT(xattr_bytes(f1, kLabel) == 5); }) == 1);
  EXPECT(setxattr(f2.c_str(), kLabel, "new", 3, 0) == 0);
  EXPECT(xattr_bytes(f2, kLabel) == 3);
  // without word of it, nothing is known
  ctl().list_security = false;
  drop_caches();
  EXPECT(names_in(dir).size() == 4);
  EXPECT(requests(CFS_OP_GETXATTR, [&] { EXPECT_ERR(ENODATA, xattr_bytes(f0, kLabel)); }) == 1);
  remove_all(dir);
}

/// Ten pages that nobody looks at are enough; a look starts it again.
void listing_fills_with_measure() {
  std::string dir = strange_directory("measured", 1500);
  EXPECT(names_in(dir).size() == 1500);
  uint64_t asked = requests(CFS_OP_LOOKUP, [&] { stat_all(dir, 1500); });
  EXPECT(asked == 500);
  remove_all(dir);
}

/// A listing is no proof against what changed here meanwhile: the younger answer stays.
void listing_is_not_newer() {
  std::string dir = strange_directory("young", 3);
  names_in(dir);
  EXPECT(chmod((dir + "/f1").c_str(), 0600) == 0 && unlink((dir + "/f2").c_str()) == 0);
  ctl().hold_op = CFS_OP_READDIR;
  Task t([=] { return names_in(dir).size() == 2 ? 0 : -1; });
  EXPECT(wait_until(5, [] { return ctl().held == 1; }));
  EXPECT(chmod((dir + "/f0").c_str(), 0640) == 0);
  Node* f0 = shared->ns.find(stat_of(dir + "/f0").st_ino);
  f0->mode = S_IFREG | 0644;  // the listing was made before that
  ctl().hold_op = 0;
  EXPECT(t.wait_for(10) == 0);
  f0->mode = S_IFREG | 0640;
  EXPECT((stat_of(dir + "/f0").st_mode & 0777) == 0640);
  EXPECT((stat_of(dir + "/f1").st_mode & 0777) == 0600);
  struct stat st;
  EXPECT_ERR(ENOENT, stat((dir + "/f2").c_str(), &st));
  remove_all(dir);
}

int read_some(const std::string& path) {
  char buf[16];
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  int rc = fd < 0 || read(fd, buf, sizeof(buf)) < 0 ? -1 : 0;
  close(fd);
  return rc;
}

/// A cold open brings the extents along; a known name costs one request, and shows what another host closed.
void opens() {
  uint64_t ino = make_remotely(kRootIno, "cold");
  shared->ns.find(ino)->size = 100;
  EXPECT(requests([] { EXPECT(read_some(at("cold")) == 0); }) == 1);
  EXPECT(ctl().last_lookup.lookup.flags == CFS_LOOKUP_EXTENTS);
  uint64_t getattrs = 0;
  EXPECT(requests([&] {
           getattrs = requests(CFS_OP_GETATTR, [] { EXPECT(read_some(at("cold")) == 0); });
         }) == 1 &&
         getattrs == 1);
  shared->ns.find(ino)->size = 500;
  shared->ns.find(ino)->gen = 2;
  EXPECT(requests([] { EXPECT(read_some(at("cold")) == 0); }) == 2);  // and the new extents
  EXPECT(requests([] { EXPECT(stat_of(at("cold")).st_size == 500); }) == 0);
  // /proc/self/fd names no name, but opens as well
  int fd = open(at("cold").c_str(), O_PATH | O_CLOEXEC);
  shared->ns.find(ino)->size = 700;
  EXPECT(read_some("/proc/self/fd/" + std::to_string(fd)) == 0);
  EXPECT(stat_of(at("cold")).st_size == 700);
  close(fd);
  EXPECT(requests([] { stat_of(at("cold")); }) == 0);
  EXPECT(unlink(at("cold").c_str()) == 0);
  // a file that is gone elsewhere is not opened because its name is believed
  ino = make_remotely(kRootIno, "vanished");
  EXPECT(read_some(at("vanished")) == 0);
  shared->ns.find(kRootIno, "vanished")->ino = 0;
  shared->ns.remove_node(ino);
  EXPECT_ERR(ENOENT, open(at("vanished").c_str(), O_RDONLY));
}

/// A 1.0 daemon ignores what it does not know; creating asks for the name once.
void creates() {
  EXPECT(requests([] { EXPECT(touch(at("made"), O_EXCL) == 0); }) == 1);
  EXPECT(requests([] { EXPECT(touch(at("made2")) == 0); }) == 2);
  EXPECT(requests([] { EXPECT(unlink(at("made2").c_str()) == 0); }) == 1);
  EXPECT(unlink(at("made").c_str()) == 0);
}

/// The daemon is told what the kernel knows, so that it need not look it up.
void rename_hints() {
  EXPECT(touch(at("from")) == 0 && touch(at("over")) == 0);
  uint64_t from = stat_of(at("from")).st_ino, over = stat_of(at("over")).st_ino;
  EXPECT(requests([] { EXPECT(rename(at("from").c_str(), at("to").c_str()) == 0); }) == 2);
  const auto& r = ctl().last_rename.rename;
  EXPECT(r.flags == CFS_RENAME_TARGET_KNOWN && r.child == from && !r.target && !r.target_mode);
  EXPECT(S_ISREG(r.child_mode));
  EXPECT(requests([] { EXPECT(rename(at("to").c_str(), at("over").c_str()) == 0); }) == 1);
  EXPECT(r.flags == CFS_RENAME_TARGET_KNOWN && r.target == over && S_ISREG(r.target_mode));
  EXPECT(unlink(at("over").c_str()) == 0);
}

/// With attributes that are believed a change needs no look at the inode before, and makes nothing believed for longer.
void changes_of_attributes() {
  EXPECT(touch(at("known")) == 0);
  uint64_t ino = stat_of(at("known")).st_ino;
  const auto& r = ctl().last_setattr;
  EXPECT(requests([] { EXPECT(chmod(at("known").c_str(), 0600) == 0); }) == 1);
  EXPECT(r.flags & CFS_REQ_F_KNOWN && r.setattr.valid == CFS_SA_MODE);
  EXPECT(r.setattr.mode == (S_IFREG | 0600) && r.setattr.mtime == shared->ns.find(ino)->mtime);
  const timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, {.tv_sec = 77, .tv_nsec = 0}};
  EXPECT(utimensat(AT_FDCWD, at("known").c_str(), times, 0) == 0);
  EXPECT(r.flags & CFS_REQ_F_KNOWN && r.setattr.valid == CFS_SA_MTIME &&
         r.setattr.mode == (S_IFREG | 0600));
  uint64_t asked = requests([] {
    struct stat st = stat_of(at("known"));
    EXPECT((st.st_mode & 0777) == 0600 && st.st_mtim.tv_sec == 77);
  });
  EXPECT(asked == 0);

  ctl().valid_ms = 500;
  EXPECT(touch(at("brief")) == 0);
  int fd = open(at("brief").c_str(), O_RDONLY | O_CLOEXEC);
  struct stat st = stat_of(at("brief"));
  shared->ns.find(st.st_ino)->gid = 34;  // another host
  EXPECT(wait_until(
      3, [&] { return fchmod(fd, 0600) == 0 && fstat(fd, &st) == 0 && st.st_gid == 34; }));
  close(fd);
  ctl().valid_ms = kNever;
  EXPECT(touch(at("unknown")) == 0 && chmod(at("unknown").c_str(), 0600) == 0);
  EXPECT(!(r.flags & CFS_REQ_F_KNOWN) && (stat_of(at("unknown")).st_mode & 0777) == 0600);
  for (const char* name : {"known", "brief", "unknown"}) EXPECT(unlink(at(name).c_str()) == 0);
  ctl().valid_ms = kLong;
}

/// The mode of a directory that a process stands in is not believed for ever.
void rights_expire() {
  EXPECT(mkdir(at("stand").c_str(), 0755) == 0 && touch(at("stand/f")) == 0);
  Task t([] {
    if (chdir(at("stand").c_str()) || setgid(1001) || setuid(1000) || access("f", F_OK)) return -1;
    wait_until(1.5, [] { return false; });
    return access("f", F_OK);
  });
  uint64_t ino = stat_of(at("stand")).st_ino;
  EXPECT(t.wait_for(0.7) == -1);
  shared->ns.find(ino)->mode = S_IFDIR | 0700;
  EXPECT(t.wait_for(10) == EACCES);
  EXPECT(unlink(at("stand/f").c_str()) == 0 && rmdir(at("stand").c_str()) == 0);
}

}  // namespace

void run_cost_tests() {
  ctl().valid_ms = kLong;
  stat_of(kMnt);
  run("listing fills caches", listing_fills_caches);
  run("listing tells who has no security", listing_tells_who_has_no_security);
  run("listing fills with measure", listing_fills_with_measure);
  run("listing is not newer", listing_is_not_newer);
  run("opens", opens);
  run("creates", creates);
  run("rename hints", rename_hints);
  run("changes of attributes", changes_of_attributes);
  ctl().valid_ms = 200;
  run("rights expire", rights_expire);
  ctl().list_attrs = false;
  ctl().valid_ms = kNever;
}

}  // namespace cfs::test
