// SPDX-License-Identifier: Apache-2.0
/// Who may do what: classes of mode bits, sticky directories, chmod and chown, set-id bits, umask, read-only mounts.
/// Breaks: somebody reads or changes what is not his, or is refused what is.
///
/// Source: POSIX.1-2017, file access permissions (4.5), chmod(), chown(), unlink(), rename().
#include <sys/mount.h>

#include "posix.h"

using namespace fs_test;  // NOLINT: tests only

class PosixPerm : public Posix {
 protected:
  void SetUp() override {
    Posix::SetUp();
    ASSERT_EQ(call::chmod(root_, 0777), 0);
  }
  /// A file of kUser:kGroup.
  void file(const std::string& n, mode_t mode) {
    write_file(p(n), "content");
    ASSERT_EQ(call::chown(p(n), kUser, kGroup), 0);
    ASSERT_EQ(call::chmod(p(n), mode), 0);
  }
};

namespace {

const Who kOwner = {kUser, kGroup, {}}, kMember = {kOther, kGroup, {}},
          kBySupplement = {kOther, kOtherGroup, {kGroup}}, kStranger = {kOther, kOtherGroup, {}};

struct Class {
  const char* name;
  Who who;
  unsigned shift;  ///< of the bits that count for it
};
const Class kClasses[] = {{"owner", kOwner, 6},
                          {"group", kMember, 3},
                          {"supplement", kBySupplement, 3},
                          {"other", kStranger, 0}};

/// The class has `bits`, the others the opposite: so a wrong class is noticed.
mode_t mode_for(unsigned shift, unsigned bits) {
  mode_t m = 0;
  for (const unsigned s : {6u, 3u, 0u}) m |= (s == shift ? bits : 7 ^ bits) << s;
  return m;
}

struct Need {
  const char* name;
  unsigned bits;
  std::function<long(const std::string&)> run;
};

const std::vector<Need> kFileNeeds = {
    {"read", 4, [](const std::string& f) { return call::open(f, O_RDONLY); }},
    {"write", 2, [](const std::string& f) { return call::open(f, O_WRONLY); }},
    {"both", 6, [](const std::string& f) { return call::open(f, O_RDWR); }},
    {"append", 2, [](const std::string& f) { return call::open(f, O_WRONLY | O_APPEND); }},
    {"open-truncate", 2, [](const std::string& f) { return call::open(f, O_WRONLY | O_TRUNC); }},
    {"truncate", 2, [](const std::string& f) { return call::truncate(f, 3); }},
    {"access-r", 4, [](const std::string& f) { return call::access(f, R_OK); }},
    {"access-w", 2, [](const std::string& f) { return call::access(f, W_OK); }},
    {"access-x", 1, [](const std::string& f) { return call::access(f, X_OK); }},
    {"access-rwx", 7, [](const std::string& f) { return call::access(f, R_OK | W_OK | X_OK); }},
    {"access-exists", 0, [](const std::string& f) { return call::access(f, F_OK); }},
    {"getxattr", 4,
     [](const std::string& f) {
       const long r = call::getx(f, "user.n");
       return r == -ENODATA ? 0 : r;
     }},
    {"setxattr", 2, [](const std::string& f) { return call::setx(f, "user.a", "v"); }},
    {"touch-now", 2,
     [](const std::string& f) { return sys(::utimensat(AT_FDCWD, f.c_str(), nullptr, 0)); }},
};

const std::vector<Need> kDirNeeds = {
    {"list", 4, [](const std::string& d) { return call::list(d); }},
    {"search", 1, [](const std::string& d) { return call::access(d + "/f", F_OK); }},
    {"chdir", 1,
     [](const std::string& d) {
       const long r = call::chdir(d);
       return r != 0 ? r : call::chdir("/");
     }},
    {"create", 3,
     [](const std::string& d) { return call::open(d + "/new", O_CREAT | O_EXCL | O_RDWR); }},
    {"mkdir", 3, [](const std::string& d) { return call::mkdir(d + "/newd"); }},
    {"symlink", 3, [](const std::string& d) { return call::symlink("t", d + "/newl"); }},
    {"mkfifo", 3, [](const std::string& d) { return call::mkfifo(d + "/newp"); }},
    {"link", 3, [](const std::string& d) { return call::link(d + "/own", d + "/newh"); }},
    {"rename", 3, [](const std::string& d) { return call::rename(d + "/f", d + "/g"); }},
    {"unlink", 3, [](const std::string& d) { return call::unlink(d + "/u"); }},
    {"rmdir", 3, [](const std::string& d) { return call::rmdir(d + "/d"); }},
};

}  // namespace

TEST_F(PosixPerm, FileModes) {
  for (const Class& c : kClasses) {
    for (unsigned bits = 0; bits < 8; ++bits)
      file(c.name + std::to_string(bits), mode_for(c.shift, bits));
    const auto got = as_many(c.who, [&] {
      std::vector<long> r;
      for (unsigned bits = 0; bits < 8; ++bits)
        for (const Need& n : kFileNeeds) r.push_back(n.run(p(c.name + std::to_string(bits))));
      return r;
    });
    ASSERT_EQ(got.size(), 8 * kFileNeeds.size());
    auto at = got.begin();
    for (unsigned bits = 0; bits < 8; ++bits)
      for (const Need& n : kFileNeeds) {
        // touching with the time of now is also the owner's right
        const bool may =
            (bits & n.bits) == n.bits || (c.shift == 6 && std::string(n.name) == "touch-now");
        same(std::string(n.name) + "." + c.name + "." + std::to_string(bits), *at++,
             may ? 0 : -EACCES);
      }
  }
}

TEST_F(PosixPerm, DirectoryModes) {
  for (const Class& c : kClasses) {
    for (unsigned bits = 0; bits < 8; ++bits) {
      const std::string d = c.name + std::to_string(bits);
      ASSERT_EQ(call::mkdir(p(d)) | call::mkdir(p(d + "/d")), 0);
      for (const char* n : {"/f", "/u"}) file(d + n, 0644);
      write_file(
          p(d + "/own"),
          "");  // whoever links it must own it where hard links are protected (proc_sys_fs(5))
      ASSERT_EQ(call::chown(p(d + "/own"), c.who.uid, c.who.gid) | call::chown(p(d), kUser, kGroup),
                0);
      ASSERT_EQ(call::chmod(p(d), mode_for(c.shift, bits)), 0);
    }
    const auto got = as_many(c.who, [&] {
      std::vector<long> r;
      for (unsigned bits = 0; bits < 8; ++bits)
        for (const Need& n : kDirNeeds) r.push_back(n.run(p(c.name + std::to_string(bits))));
      return r;
    });
    ASSERT_EQ(got.size(), 8 * kDirNeeds.size());
    auto at = got.begin();
    for (unsigned bits = 0; bits < 8; ++bits)
      for (const Need& n : kDirNeeds)
        same(std::string(n.name) + "." + c.name + "." + std::to_string(bits), *at++,
             (bits & n.bits) == n.bits ? 0 : -EACCES);
  }
}

TEST_F(PosixPerm, RootMayAll) {
  file("f", 0);
  ASSERT_EQ(call::mkdir(p("d"), 0), 0);
  ASSERT_EQ(call::chown(p("d"), kUser, kGroup), 0);
  same("open", call::open(p("f"), O_RDWR), 0);
  same("create", call::open(p("d/new"), O_CREAT | O_RDWR), 0);
  same("list", call::list(p("d")), 0);
  same("access-x", call::access(p("f"), X_OK), -EACCES);
}

TEST_F(PosixPerm, StickyDirectory) {
  const struct {
    const char* name;
    Who who;
    bool may;
  } actors[] = {{"owner-of-directory", {4001, 4001, {}}, true},
                {"owner-of-file", kOwner, true},
                {"group-of-file", kMember, false},
                {"stranger", kStranger, false}};
  for (const auto& a : actors) {
    const std::string d = a.name;
    ASSERT_EQ(call::mkdir(p(d)), 0);
    for (const char* n : {"/f", "/g", "/h"}) file(d + n, 0666);
    ASSERT_EQ(call::mkdir(p(d + "/d")) | call::chown(p(d + "/d"), kUser, kGroup), 0);
    ASSERT_EQ(call::chown(p(d), 4001, 4001) | call::chmod(p(d), 01777), 0);
    drop_caches();
    same(d + ".mode", mode_of(p(d)), S_IFDIR | 01777);
    const auto got = as_many(a.who, [&] {
      return std::vector<long>{call::open(p(d + "/new"), O_CREAT | O_RDWR),
                               call::unlink(p(d + "/f")), call::rename(p(d + "/g"), p(d + "/g2")),
                               call::rename(p(d + "/new"), p(d + "/h")), call::rmdir(p(d + "/d"))};
    });
    ASSERT_EQ(got.size(), 5u);
    const long expected = a.may ? 0 : -EPERM;
    same(d + ".create", got[0], 0);
    same(d + ".unlink", got[1], expected);
    same(d + ".rename-from", got[2], expected);
    same(d + ".rename-over", got[3], expected);
    same(d + ".rmdir", got[4], expected);
  }
}

TEST_F(PosixPerm, Chmod) {
  file("f", 0644);
  ASSERT_EQ(call::mkdir(p("d")), 0);
  for (mode_t m = 0; m <= 07777; m = m * 2 + 1) {
    same("bits." + std::to_string(m), call::chmod(p("f"), m), 0);
    same("bits-seen." + std::to_string(m), mode_of(p("f")), S_IFREG | m);
  }
  for (const mode_t m : {01777, 02755, 03775, 0})
    same("directory." + std::to_string(m), call::chmod(p("d"), m) == 0 ? mode_of(p("d")) : -1,
         S_IFDIR | m);
  same("owner", as(kOwner, [&] { return call::chmod(p("f"), 0600); }), 0);
  same("member", as(kMember, [&] { return call::chmod(p("f"), 0666); }), -EPERM);
  same("stranger", as(kStranger, [&] { return call::chmod(p("f"), 0666); }), -EPERM);
  same("seen", mode_of(p("f")), S_IFREG | 0600);
  drop_caches();
  same("seen-cold", mode_of(p("f")), S_IFREG | 0600);
  ASSERT_EQ(call::symlink("f", p("l")), 0);
  same("through-link", call::chmod(p("l"), 0604), 0);
  same("target", mode_of(p("f")), S_IFREG | 0604);
  // an owner outside the file's group loses the set-group-id bit
  ASSERT_EQ(call::chown(p("f"), kUser, kOtherGroup), 0);
  same("setgid-foreign-group", as(kOwner, [&] { return call::chmod(p("f"), 02755); }), 0);
  same("setgid-foreign-group-seen", mode_of(p("f")), S_IFREG | 0755);
  Fd f(p("f"), O_RDONLY);
  same("fchmod", sys(::fchmod(f.get(), 0640)), 0);
  same("fchmod-seen", mode_of(p("f")), S_IFREG | 0640);
}

TEST_F(PosixPerm, ChmodOfEachType) {
  ASSERT_EQ(
      call::mkfifo(p("fifo")) | call::mknod(p("socket"), S_IFSOCK | 0644) | call::mkdir(p("dir")),
      0);
  const struct {
    const char* name;
    mode_t type;
  } kinds[] = {{"fifo", S_IFIFO}, {"socket", S_IFSOCK}, {"dir", S_IFDIR}};
  for (const auto& k : kinds) {
    same(std::string(k.name) + ".chmod", call::chmod(p(k.name), 0601), 0);
    same(std::string(k.name) + ".chown", call::chown(p(k.name), kUser, kGroup), 0);
    drop_caches();
    same(std::string(k.name) + ".mode", mode_of(p(k.name)), k.type | 0601);
    same(std::string(k.name) + ".uid", status(p(k.name)).st_uid, kUser);
  }
}

TEST_F(PosixPerm, Chown) {
  file("f", 0644);
  same("root", call::chown(p("f"), 65000, 65001), 0);
  drop_caches();
  same("uid", status(p("f")).st_uid, 65000);
  same("gid", status(p("f")).st_gid, 65001);
  same("large", call::chown(p("f"), 4294967293u, 4294967293u), 0);
  same("large-seen", status(p("f")).st_uid, 4294967293);
  ASSERT_EQ(call::chown(p("f"), kUser, kGroup), 0);
  same("gives-away", as(kOwner, [&] { return call::chown(p("f"), kOther, -1u); }), -EPERM);
  same("takes", as(kStranger, [&] { return call::chown(p("f"), kOther, -1u); }), -EPERM);
  same("own-group",
       as({kUser, kGroup, {kOtherGroup}}, [&] { return call::chown(p("f"), -1u, kOtherGroup); }),
       0);
  same("own-group-seen", status(p("f")).st_gid, kOtherGroup);
  same("foreign-group", as(kOwner, [&] { return call::chown(p("f"), -1u, 4444); }), -EPERM);
  same("nothing-owner", as(kOwner, [&] { return call::chown(p("f"), -1u, -1u); }), 0);
  ASSERT_EQ(call::symlink("f", p("l")), 0);
  same("lchown", call::lchown(p("l"), 77, 78), 0);
  same("lchown-link", status(p("l")).st_uid, 77);
  same("lchown-target", status(p("f")).st_uid, kUser);
  same("chown-through", call::chown(p("l"), 79, 80), 0);
  same("chown-through-target", status(p("f")).st_uid, 79);
}

TEST_F(PosixPerm, ChownClearsSetIds) {
  for (const mode_t bits : {06755, 04755, 02755, 02745}) {
    const std::string n = std::to_string(bits);
    file("f" + n, bits);
    // a set-group-id file that is not executable by its group keeps the bit: mandatory locking, inode_should_...
    const mode_t left = S_IFREG | (bits & (bits & S_IXGRP ? 0777u : 02777u));
    same("owner." + n, as(kOwner, [&] { return call::chown(p("f" + n), -1u, kGroup); }), 0);
    same("owner-seen." + n, mode_of(p("f" + n)), left);
    ASSERT_EQ(call::chmod(p("f" + n), bits), 0);
    same("root." + n, call::chown(p("f" + n), kUser, kGroup), 0);
    same("root-seen." + n, mode_of(p("f" + n)), left);
  }
  ASSERT_EQ(call::mkdir(p("d")) | call::chmod(p("d"), 02755) | call::chown(p("d"), kUser, kGroup),
            0);
  same("directory", mode_of(p("d")), S_IFDIR | 02755);
}

TEST_F(PosixPerm, WritingClearsSetIds) {
  const std::vector<std::pair<const char*, std::function<long(const std::string&)>>> writers = {
      {"write",
       [](const std::string& f) {
         Fd fd(f, O_WRONLY);
         return sys(::pwrite(fd.get(), "x", 1, 0)) == 1 ? fd.close() : -EIO;
       }},
      {"append",
       [](const std::string& f) {
         Fd fd(f, O_WRONLY | O_APPEND);
         return sys(::write(fd.get(), "x", 1)) == 1 ? fd.close() : -EIO;
       }},
      {"truncate", [](const std::string& f) { return call::truncate(f, 3); }},
      {"open-truncate", [](const std::string& f) { return call::open(f, O_WRONLY | O_TRUNC); }},
  };
  for (const auto& [name, run] : writers) {
    file(name, 06777);
    same(std::string(name) + ".user", as(kStranger, [&, r = run, n = name] { return r(p(n)); }), 0);
    same(std::string(name) + ".user-seen", mode_of(p(name)), S_IFREG | 0777);
    drop_caches();
    same(std::string(name) + ".user-cold", mode_of(p(name)), S_IFREG | 0777);
    ASSERT_EQ(call::chmod(p(name), 06777), 0);
    same(std::string(name) + ".root", run(p(name)), 0);
    same(std::string(name) + ".root-seen", mode_of(p(name)), S_IFREG | 06777);
  }
}

TEST_F(PosixPerm, SetgidDirectory) {
  ASSERT_EQ(call::mkdir(p("d")) | call::chown(p("d"), 0, kGroup) | call::chmod(p("d"), 02777), 0);
  const auto got = as_many(kStranger, [&] {
    return std::vector<long>{call::open(p("d/f"), O_CREAT | O_RDWR, 0644),
                             call::mkdir(p("d/sub"), 0755), call::mkfifo(p("d/p")),
                             call::symlink("t", p("d/l")),
                             call::open(p("d/g"), O_CREAT | O_RDWR, 02755)};
  });
  for (const long r : got) ASSERT_EQ(r, 0);
  for (const char* n : {"f", "sub", "p", "l", "g"})
    same(std::string("gid.") + n, status(p(std::string("d/") + n)).st_gid, kGroup);
  same("sub-mode", mode_of(p("d/sub")), S_IFDIR | 02755);
  same("file-mode", mode_of(p("d/f")), S_IFREG | 0644);
  same("foreign-setgid-file", mode_of(p("d/g")), S_IFREG | 0755);
  drop_caches();
  same("gid-cold", status(p("d/f")).st_gid, kGroup);
  same("sub-mode-cold", mode_of(p("d/sub")), S_IFDIR | 02755);
}

TEST_F(PosixPerm, Umask) {
  for (const mode_t mask : {0, 022, 027, 077, 0777}) {
    ::umask(mask);
    const std::string n = std::to_string(mask);
    EXPECT_EQ(call::open(p("f" + n), O_CREAT | O_WRONLY, 0666) | call::mkdir(p("d" + n), 0777) |
                  call::mkfifo(p("p" + n), 0666) | call::mknod(p("s" + n), S_IFSOCK | 0666) |
                  call::symlink("t", p("l" + n)),
              0);
    ::umask(0);
    same("file." + n, mode_of(p("f" + n)), S_IFREG | (0666 & ~mask));
    same("dir." + n, mode_of(p("d" + n)), S_IFDIR | (0777 & ~mask));
    same("fifo." + n, mode_of(p("p" + n)), S_IFIFO | (0666 & ~mask));
    same("socket." + n, mode_of(p("s" + n)), S_IFSOCK | (0666 & ~mask));
    same("symlink." + n, mode_of(p("l" + n)), S_IFLNK | 0777);
  }
}

TEST_F(PosixPerm, SetIdsAtCreate) {
  same("file", call::open(p("f"), O_CREAT | O_RDWR, 07755), 0);
  same("file-mode", mode_of(p("f")), S_IFREG | 07755);
  same("dir", call::mkdir(p("d"), 07755), 0);
  same("dir-mode", mode_of(p("d")), S_IFDIR | 01755);
  same(
      "mode-0-then-write",
      [&] {
        Fd f(p("z"), O_CREAT | O_RDWR, 0);
        return sys(::write(f.get(), "x", 1));
      }(),
      1);
}

TEST_F(PosixPerm, TimesOfOthers) {
  file("f", 0666);
  const timespec then = {1000000000, 0}, omit = {0, UTIME_OMIT}, now = {0, UTIME_NOW};
  same("owner-any", as(kOwner, [&] { return call::touch(p("f"), then, then); }), 0);
  same("writer-any", as(kStranger, [&] { return call::touch(p("f"), then, then); }), -EPERM);
  same("writer-now", as(kStranger, [&] { return call::touch(p("f"), now, now); }), 0);
  same("writer-mixed", as(kStranger, [&] { return call::touch(p("f"), omit, now); }), -EPERM);
  same("stranger-omit", as(kStranger, [&] { return call::touch(p("f"), omit, omit); }), 0);
}

TEST_F(PosixPerm, ReadOnlyMount) {
  write_file(p("f"), "content");
  ASSERT_EQ(call::mkdir(p("d")), 0);
  const std::vector<std::pair<const char*, std::function<long()>>> calls = {
      {"create", [&] { return call::open(p("n"), O_CREAT | O_RDWR); }},
      {"create-existing-read", [&] { return call::open(p("f"), O_CREAT | O_RDONLY); }},
      {"open-write", [&] { return call::open(p("f"), O_WRONLY); }},
      {"open-truncate", [&] { return call::open(p("f"), O_RDONLY | O_TRUNC); }},
      {"mkdir", [&] { return call::mkdir(p("n")); }},
      {"mkfifo", [&] { return call::mkfifo(p("n")); }},
      {"symlink", [&] { return call::symlink("t", p("n")); }},
      {"link", [&] { return call::link(p("f"), p("n")); }},
      {"rename", [&] { return call::rename(p("f"), p("n")); }},
      {"unlink", [&] { return call::unlink(p("f")); }},
      {"rmdir", [&] { return call::rmdir(p("d")); }},
      {"chmod", [&] { return call::chmod(p("f"), 0600); }},
      {"chown", [&] { return call::chown(p("f"), 1, 1); }},
      {"truncate", [&] { return call::truncate(p("f"), 0); }},
      {"touch", [&] { return sys(::utimensat(AT_FDCWD, p("f").c_str(), nullptr, 0)); }},
      {"setxattr", [&] { return call::setx(p("f"), "user.a", "v"); }},
      {"removexattr", [&] { return sys(::removexattr(p("f").c_str(), "user.a")); }},
      {"access-w", [&] { return call::access(p("f"), W_OK); }},
  };
  const auto got = with_own_mounts([&] {
    if (::mount(root_.c_str(), root_.c_str(), nullptr, MS_BIND, nullptr) != 0)
      return std::vector<long>{-errno};
    if (::mount(nullptr, root_.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0)
      return std::vector<long>{-errno};
    std::vector<long> r;
    for (const auto& c : calls) r.push_back(c.second());
    return r;
  });
  ASSERT_EQ(got.size(), calls.size()) << result_text(got.front());
  for (std::size_t i = 0; i < calls.size(); ++i)
    same(calls[i].first, got[i],
         std::string(calls[i].first) == "create-existing-read" ? 0 : -EROFS);
}

TEST_F(PosixPerm, MountPointsAreBusy) {
  ASSERT_EQ(call::mkdir(p("d")) | call::mkdir(p("e")), 0);
  const auto got = with_own_mounts([&] {
    if (::mount(p("e").c_str(), p("d").c_str(), nullptr, MS_BIND, nullptr) != 0)
      return std::vector<long>{-errno};
    return std::vector<long>{call::rmdir(p("d")), call::rename(p("d"), p("x")),
                             call::rename(p("e"), p("d"))};
  });
  ASSERT_EQ(got.size(), 3u) << result_text(got.front());
  same("rmdir", got[0], -EBUSY);
  same("rename", got[1], -EBUSY);
  same("rename-over", got[2], -EBUSY);
}
