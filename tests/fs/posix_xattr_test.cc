// SPDX-License-Identifier: Apache-2.0
/// Extended attributes and POSIX ACLs. Breaks: an attribute is lost or altered, or an ACL grants what it should not.
///
/// Source: Linux xattr(7), setxattr(2), acl(5); POSIX 1003.1e draft 17 (ACL check, default ACLs, mask).
#include <linux/posix_acl_xattr.h>

#include "posix.h"

using namespace fs_test;  // NOLINT: tests only

namespace {

constexpr char kAccess[] = "system.posix_acl_access", kDefault[] = "system.posix_acl_default";
constexpr std::uint16_t kUserObj = 0x01, kNamedUser = 0x02, kGroupObj = 0x04, kNamedGroup = 0x08,
                        kMask = 0x10, kOthers = 0x20;
constexpr std::uint32_t kNoId = 0xffffffffu;

struct Entry {
  std::uint16_t tag, perm;
  std::uint32_t id = kNoId;
};

/// Version 2: le32 version, then entries of le16 tag, le16 perm, le32 id. Source: linux/posix_acl_xattr.h.
std::string acl(const std::vector<Entry>& entries) {
  std::string s("\2\0\0\0", 4);
  const auto put = [&s](std::uint32_t v, int bytes) {
    for (int i = 0; i < bytes; ++i) s.push_back(static_cast<char>(v >> (8 * i)));
  };
  for (const Entry& e : entries) {
    put(e.tag, 2);
    put(e.perm, 2);
    put(e.id, 4);
  }
  return s;
}

std::string hex(const std::string& s) {
  static const char digits[] = "0123456789abcdef";
  std::string out;
  for (const char c : s) {
    out.push_back(digits[static_cast<unsigned char>(c) >> 4]);
    out.push_back(digits[c & 15]);
  }
  return out;
}

std::string value_of(const std::string& path, const char* name) {
  char b[65536];
  const ssize_t n = ::getxattr(path.c_str(), name, b, sizeof(b));
  return n < 0 ? result_text(-errno) : hex(std::string(b, static_cast<std::size_t>(n)));
}

}  // namespace

class PosixXattr : public Posix {};

TEST_F(PosixXattr, EachNamespace) {
  write_file(p("f"), "x");
  ASSERT_EQ(call::mkdir(p("d")) | call::symlink("f", p("l")) | call::mkfifo(p("p")), 0);
  for (const char* n : {"user.a", "trusted.a", "security.a"}) {
    for (const char* path : {"f", "d"}) {
      const std::string name = std::string(n) + "." + path;
      same(name + ".set", call::setx(p(path), n, "value"), 0);
      drop_caches();
      same_text(name + ".get", value_of(p(path), n), hex("value"));
      same(name + ".remove", sys(::removexattr(p(path).c_str(), n)), 0);
      same(name + ".gone", call::getx(p(path), n), -ENODATA);
    }
  }
  same("user-on-fifo", call::setx(p("p"), "user.a", "v"), -EPERM);
  same("user-on-link", sys(::lsetxattr(p("l").c_str(), "user.a", "v", 1, 0)), -EPERM);
  same("trusted-on-link", sys(::lsetxattr(p("l").c_str(), "trusted.a", "v", 1, 0)), 0);
  same("no-namespace", call::setx(p("f"), "plain", "v"), -EOPNOTSUPP);
  same("unknown-namespace", call::setx(p("f"), "other.a", "v"), -EOPNOTSUPP);
  same("only-prefix", call::setx(p("f"), "user.", "v"), -EINVAL);
  same("empty-name", call::setx(p("f"), "", "v"), -ERANGE);
  same("255", call::setx(p("f"), ("user." + std::string(250, 'n')).c_str(), "v"), 0);
  same("256", call::setx(p("f"), ("user." + std::string(251, 'n')).c_str(), "v"), -ERANGE);
  same("bad-flags", call::setx(p("f"), "user.a", "v", 8), -EINVAL);
}

TEST_F(PosixXattr, Privileges) {
  write_file(p("f"), "x");
  ASSERT_EQ(call::chmod(p("f"), 0666) | call::setx(p("f"), "trusted.t", "secret") |
                call::setx(p("f"), "user.u", "v"),
            0);
  const auto got = as_many({kUser, kGroup, {}}, [&] {
    char names[1000];
    const long n = sys(::listxattr(p("f").c_str(), names, sizeof(names)));
    const bool shown = n > 0 && std::string(names, static_cast<std::size_t>(n)).find("trusted.t") !=
                                    std::string::npos;
    return std::vector<long>{call::getx(p("f"), "trusted.t"), call::setx(p("f"), "trusted.t", "v"),
                             shown, call::setx(p("f"), "security.s", "v"),
                             call::getx(p("f"), "user.u")};
  });
  ASSERT_EQ(got.size(), 5u);
  same("trusted-get", got[0], -ENODATA);
  same("trusted-set", got[1], -EPERM);
  same("trusted-listed", got[2], 0);
  same("security-set", got[3], -EPERM);
  same("user-get", got[4], 1);
}

TEST_F(PosixXattr, ValuesOfAnyBytes) {
  write_file(p("f"), "x");
  std::string every;
  for (int i = 0; i < 256; ++i) every.push_back(static_cast<char>(i));
  const std::string values[] = {"",    "plain",        std::string(1, '\0'), "\xff",
                                every, "\xef\xbf\xbd", "{\"json\":\"<&>\"}", pattern(3000, 5)};
  for (const std::string& v : values) {
    ASSERT_EQ(call::setx(p("f"), "user.v", v), 0);
    drop_caches();
    same_text("value." + std::to_string(v.size()) + "." + hex(v.substr(0, 2)),
              value_of(p("f"), "user.v"), hex(v));
  }
}

TEST_F(PosixXattr, Sizes) {
  write_file(p("f"), "x");
  ASSERT_EQ(call::setx(p("f"), "user.v", std::string(1000, 'v')), 0);
  char b[1000];
  same("ask-size", sys(::getxattr(p("f").c_str(), "user.v", nullptr, 0)), 1000);
  same("small-buffer", sys(::getxattr(p("f").c_str(), "user.v", b, 999)), -ERANGE);
  same("exact-buffer", sys(::getxattr(p("f").c_str(), "user.v", b, 1000)), 1000);
  same("list-size", sys(::listxattr(p("f").c_str(), nullptr, 0)), 7);
  same("list-small", sys(::listxattr(p("f").c_str(), b, 6)), -ERANGE);
  same("list-exact", sys(::listxattr(p("f").c_str(), b, 7)), 7);
  same("too-large", call::setx(p("f"), "user.big", std::string(65537, 'v')), -E2BIG);
}

TEST_F(PosixXattr, ManyAttributes) {
  write_file(p("f"), "x");
  for (int i = 0; i < 60; ++i)
    ASSERT_EQ(call::setx(p("f"), ("user.n" + std::to_string(i)).c_str(), std::to_string(i)), 0);
  drop_caches();
  char names[4096];
  const long n = sys(::listxattr(p("f").c_str(), names, sizeof(names)));
  same("bytes", n, 10 * 8 + 50 * 9 - 10 * 0);
  same("one", call::getx(p("f"), "user.n37"), 2);
}

TEST_F(PosixXattr, FollowTheInode) {
  write_file(p("f"), "x");
  ASSERT_EQ(
      call::setx(p("f"), "user.a", "v") | call::link(p("f"), p("g")) | call::rename(p("f"), p("h")),
      0);
  same("link", call::getx(p("g"), "user.a"), 1);
  same("renamed", call::getx(p("h"), "user.a"), 1);
  ASSERT_EQ(call::unlink(p("g")) | call::unlink(p("h")), 0);
  write_file(p("g"), "x");
  same("new-file", call::getx(p("g"), "user.a"), -ENODATA);
}

class PosixAcl : public Posix {
 protected:
  void SetUp() override {
    Posix::SetUp();
    ASSERT_EQ(call::chmod(root_, 0755), 0);
    write_file(p("f"), "content");
    ASSERT_EQ(call::chown(p("f"), kUser, kGroup) | call::chmod(p("f"), 0640), 0);
  }
  long opened(const Who& who, int flags) {
    return as(who, [&] { return call::open(p("f"), flags); });
  }
};

TEST_F(PosixAcl, NamedUserAndMask) {
  const std::string a =
      acl({{kUserObj, 6}, {kNamedUser, 6, kOther}, {kGroupObj, 4}, {kMask, 4}, {kOthers, 0}});
  same("set", call::setx(p("f"), kAccess, a), 0);
  same("mode-shows-mask", mode_of(p("f")), S_IFREG | 0640);
  same_text("get", value_of(p("f"), kAccess), hex(a));
  const Who named = {kOther, kOtherGroup, {}};
  same("named-read", opened(named, O_RDONLY), 0);
  same("named-write-masked", opened(named, O_WRONLY), -EACCES);
  same("stranger", opened({4001, 4001, {}}, O_RDONLY), -EACCES);
  same("chmod-moves-mask", call::chmod(p("f"), 0660), 0);
  same("named-write", opened(named, O_WRONLY), 0);
  drop_caches();
  same("named-write-cold", opened(named, O_WRONLY), 0);
  same_text(
      "get-cold", value_of(p("f"), kAccess),
      hex(acl({{kUserObj, 6}, {kNamedUser, 6, kOther}, {kGroupObj, 4}, {kMask, 6}, {kOthers, 0}})));
}

TEST_F(PosixAcl, NamedGroup) {
  same("set",
       call::setx(p("f"), kAccess,
                  acl({{kUserObj, 6},
                       {kGroupObj, 0},
                       {kNamedGroup, 4, kOtherGroup},
                       {kMask, 7},
                       {kOthers, 0}})),
       0);
  same("group", opened({4001, kOtherGroup, {}}, O_RDONLY), 0);
  same("supplement", opened({4001, 4001, {kOtherGroup}}, O_RDONLY), 0);
  same("group-write", opened({4001, kOtherGroup, {}}, O_WRONLY), -EACCES);
  same("owning-group", opened({4001, kGroup, {}}, O_RDONLY), -EACCES);
}

TEST_F(PosixAcl, EqualToAMode) {
  same("set", call::setx(p("f"), kAccess, acl({{kUserObj, 6}, {kGroupObj, 0}, {kOthers, 4}})), 0);
  same("mode", mode_of(p("f")), S_IFREG | 0604);
  same("not-kept", call::getx(p("f"), kAccess), -ENODATA);
}

TEST_F(PosixAcl, Refusals) {
  same("bad-version", call::setx(p("f"), kAccess, std::string("\3\0\0\0", 4)), -EOPNOTSUPP);
  same("bad-length", call::setx(p("f"), kAccess, std::string("\2\0\0\0\1", 5)), -EINVAL);
  same("no-mask",
       call::setx(p("f"), kAccess,
                  acl({{kUserObj, 6}, {kNamedUser, 6, 1}, {kGroupObj, 4}, {kOthers, 0}})),
       -EINVAL);
  same("bad-tag", call::setx(p("f"), kAccess, acl({{0x40, 6}})), -EINVAL);
  same("default-on-file",
       call::setx(p("f"), kDefault, acl({{kUserObj, 6}, {kGroupObj, 4}, {kOthers, 0}})), -EACCES);
  same("stranger",
       as({kOther, kOtherGroup, {}},
          [&] {
            return call::setx(p("f"), kAccess, acl({{kUserObj, 6}, {kGroupObj, 4}, {kOthers, 4}}));
          }),
       -EPERM);
  same("none", call::getx(p("f"), kAccess), -ENODATA);
  same("remove-none", sys(::removexattr(p("f").c_str(), kAccess)), 0);
}

TEST_F(PosixAcl, DefaultIsInherited) {
  ASSERT_EQ(call::mkdir(p("d"), 0777), 0);
  const std::string d =
      acl({{kUserObj, 7}, {kNamedUser, 7, kOther}, {kGroupObj, 5}, {kMask, 7}, {kOthers, 0}});
  same("set", call::setx(p("d"), kDefault, d), 0);
  ::umask(077);  // a default ACL takes the umask's place
  EXPECT_EQ(call::open(p("d/f"), O_CREAT | O_RDWR, 0666) | call::mkdir(p("d/sub"), 0777) |
                call::symlink("t", p("d/l")),
            0);
  ::umask(0);
  same("file-mode", mode_of(p("d/f")), S_IFREG | 0660);
  same_text(
      "file-acl", value_of(p("d/f"), kAccess),
      hex(acl({{kUserObj, 6}, {kNamedUser, 7, kOther}, {kGroupObj, 5}, {kMask, 6}, {kOthers, 0}})));
  same_text("directory-default", value_of(p("d/sub"), kDefault), hex(d));
  same("named-user", as({kOther, kOtherGroup, {}}, [&] { return call::open(p("d/f"), O_RDWR); }),
       0);
  drop_caches();
  same("named-user-cold",
       as({kOther, kOtherGroup, {}}, [&] { return call::open(p("d/f"), O_RDWR); }), 0);
  same("remove", sys(::removexattr(p("d").c_str(), kDefault)), 0);
  EXPECT_EQ(call::open(p("d/plain"), O_CREAT | O_RDWR, 0640), 0);
  same("plain", call::getx(p("d/plain"), kAccess), -ENODATA);
}
