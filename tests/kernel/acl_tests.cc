// SPDX-License-Identifier: Apache-2.0
// POSIX ACLs and security.capability of a kernel mount, answered by the fake daemon.
//
// What breaks if it fails: an ACL is not enforced, not inherited or out of step with the mode; permission checks or small
// writes ask the daemon each time.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>

#include "tests/kernel/kernel_test.h"

namespace cfs::test {
namespace {

constexpr const char* kAccess = "system.posix_acl_access";
constexpr const char* kDefault = "system.posix_acl_default";
constexpr uid_t kFriend = 1000, kStranger = 1001;

/// Source: linux/posix_acl_xattr.h, struct posix_acl_xattr_entry.
struct AclEntry {
  uint16_t tag, perm;
  uint32_t id;
};
enum : uint16_t { kUserObj = 1, kUser = 2, kGroupObj = 4, kMask = 0x10, kOther = 0x20 };
struct Acl {
  uint32_t version = 2;
  AclEntry entries[5];
};

/// rw- for the owner, `perm` for the friend, nothing for group and others.
Acl friend_acl(uint16_t perm, uint16_t owner = 6) {
  return Acl{2,
             {{kUserObj, owner, ~0u},
              {kUser, perm, kFriend},
              {kGroupObj, 0, ~0u},
              {kMask, 7, ~0u},
              {kOther, 0, ~0u}}};
}

int set(const std::string& path, const char* name, const Acl& acl) {
  return setxattr(path.c_str(), name, &acl, sizeof(acl), 0);
}

/// errno of an open by another user.
int open_as(uid_t uid, const std::string& path, int flags) {
  Task t([=] { return setgid(uid) ?: setuid(uid) ?: open(path.c_str(), flags); });
  return t.wait_for(10);
}

void access_acl() {
  std::string f = at("acl");
  char buf[256];
  EXPECT(touch(f, O_EXCL, 0600) == 0);
  EXPECT_ERR(ENODATA, getxattr(f.c_str(), kAccess, buf, sizeof(buf)));
  EXPECT(set(f, kAccess, friend_acl(4)) == 0);
  EXPECT((stat_of(f).st_mode & 0777) == 0670);  // the group bits show the mask
  EXPECT(getxattr(f.c_str(), kAccess, buf, sizeof(buf)) == sizeof(Acl));
  EXPECT(listxattr(f.c_str(), buf, sizeof(buf)) == ssize_t(strlen(kAccess)) + 1);
  EXPECT(open_as(kFriend, f, O_RDONLY) == 0 && open_as(kFriend, f, O_WRONLY) == EACCES);
  EXPECT(open_as(kStranger, f, O_RDONLY) == EACCES);
  EXPECT(chmod(f.c_str(), 0600) == 0);  // which is the mask now
  EXPECT(open_as(kFriend, f, O_RDONLY) == EACCES);
  EXPECT(chmod(f.c_str(), 0640) == 0 && open_as(kFriend, f, O_RDONLY) == 0);
  EXPECT(removexattr(f.c_str(), kAccess) == 0 && open_as(kFriend, f, O_RDONLY) == EACCES);
  EXPECT_ERR(EACCES, set(f, kDefault, friend_acl(4)));
  Acl bad = friend_acl(4);
  bad.entries[4].tag = 0x40;
  EXPECT_ERR(EINVAL, set(f, kAccess, bad));
  EXPECT(unlink(f.c_str()) == 0);
}

void inherited_acl() {
  std::string d = at("heirs");
  char buf[256];
  EXPECT(mkdir(d.c_str(), 0755) == 0 && set(d, kDefault, friend_acl(6, 7)) == 0);
  umask(077);
  EXPECT(touch(d + "/f", O_EXCL, 0666) == 0);  // a default ACL takes the umask's place
  EXPECT(mkdir((d + "/sub").c_str(), 0777) == 0);
  EXPECT(touch(at("heirless"), O_EXCL, 0666) == 0);
  umask(022);
  EXPECT((stat_of(d + "/f").st_mode & 0777) == 0660);
  EXPECT((stat_of(at("heirless")).st_mode & 0777) == 0600);
  EXPECT(open_as(kFriend, d + "/f", O_RDWR) == 0);
  EXPECT(open_as(kStranger, d + "/f", O_RDONLY) == EACCES);
  EXPECT(getxattr((d + "/sub").c_str(), kDefault, buf, sizeof(buf)) == sizeof(Acl));
  EXPECT(getxattr((d + "/sub").c_str(), kAccess, buf, sizeof(buf)) == sizeof(Acl));
  EXPECT(unlink((d + "/f").c_str()) == 0 && unlink(at("heirless").c_str()) == 0);
  // what cannot get its ACL is not left behind with more permissions than it should have
  Task t([=] {
    ctl().hold_op = CFS_OP_SETXATTR;
    return touch(d + "/refused", O_EXCL, 0666);
  });
  EXPECT(wait_until(5, [] { return ctl().held == 1; }));
  ctl().refuse_xattrs = EDQUOT;
  ctl().hold_op = 0;
  EXPECT(t.wait_for(10) == EDQUOT);
  ctl().refuse_xattrs = 0;
  EXPECT(wait_until(5, [&] { return !shared->ns.find(stat_of(d).st_ino, "refused"); }));
  EXPECT(rmdir((d + "/sub").c_str()) == 0 && rmdir(d.c_str()) == 0);
}

/// Checks of one file ask once; a volume without xattrs has no ACLs, which is no error.
void acl_cost() {
  EXPECT(touch(at("asked"), O_EXCL, 0640) == 0);
  EXPECT(requests(CFS_OP_GETXATTR, [] { open_as(kStranger, at("asked"), O_RDONLY); }) == 0);
  shared->ns.make_entry(kRootIno, "strange", shared->ns.make_node(0, S_IFREG | 0640, 0, 0)->ino);
  EXPECT(requests(CFS_OP_GETXATTR, [] {
           for (int i = 0; i < 3; i++) open_as(kStranger, at("strange"), O_RDONLY);
         }) == 1);
  drop_caches();
  ctl().refuse_xattrs = EOPNOTSUPP;
  EXPECT(open_as(kStranger, at("strange"), O_RDONLY) == EACCES);
  EXPECT(chmod(at("strange").c_str(), 0644) == 0);
  EXPECT(open_as(kStranger, at("strange"), O_RDONLY) == 0);
  EXPECT_ERR(EOPNOTSUPP, set(at("strange"), kAccess, friend_acl(4)));
  ctl().refuse_xattrs = 0;
  EXPECT(unlink(at("strange").c_str()) == 0 && unlink(at("asked").c_str()) == 0);
}

/// An ACL that another host set is noticed when the time of the old answer is over.
void acl_expires() {
  ctl().valid_ms = 200;
  EXPECT(touch(at("late"), O_EXCL, 0640) == 0);
  EXPECT(open_as(kFriend, at("late"), O_RDONLY) == EACCES);
  Node* n = shared->ns.find(stat_of(at("late")).st_ino);
  const Acl acl = friend_acl(4);
  strcpy(n->xattrs[0].name, kAccess);
  memcpy(n->xattrs[0].value, &acl, sizeof(acl));
  n->xattrs[0].len = sizeof(acl);
  EXPECT(wait_until(5, [] { return open_as(kFriend, at("late"), O_RDONLY) == 0; }));
  EXPECT(unlink(at("late").c_str()) == 0);
  ctl().valid_ms = 600000;
}

/// Whatever changes data asks whether there is a capability to be dropped, once; a new file is known to have none.
void capability_cost() {
  auto change = [](const std::string& path, int flags) {
    int fd = open(path.c_str(), O_WRONLY | flags, 0644);
    EXPECT(fd >= 0 && ftruncate(fd, 0) == 0 && ftruncate(fd, 0) == 0);
    close(fd);
  };
  EXPECT(requests(CFS_OP_GETXATTR, [&] { change(at("fresh"), O_CREAT | O_EXCL); }) == 0);
  shared->ns.make_entry(kRootIno, "old", shared->ns.make_node(0, S_IFREG | 0644, 0, 0)->ino);
  EXPECT(requests(CFS_OP_GETXATTR, [&] { change(at("old"), 0); }) == 1);
  EXPECT(unlink(at("old").c_str()) == 0 && unlink(at("fresh").c_str()) == 0);
}

}  // namespace

void run_acl_tests() {
  ctl().valid_ms = 600000;
  run("access ACL", access_acl);
  run("inherited ACL", inherited_acl);
  run("ACL cost", acl_cost);
  run("ACL expires", acl_expires);
  run("capability cost", capability_cost);
  ctl().valid_ms = 0;
}

}  // namespace cfs::test
