// SPDX-License-Identifier: Apache-2.0
/// Operations whose time is over in the middle, because a meta node answers slowly at each step. Breaks: a call takes the
/// mount's deadline once per request instead of once, or ends with half of its work done.
///
/// Every deadline from "at once" to "long enough" is tried, each strikes while a request is on its way, whose outcome is unknown
/// then. Success is complete; a failure loses no file: a name more or a link too many is what may be left.
#include <sys/xattr.h>

#include <algorithm>
#include <map>

#include "tests/daemon/volume_fixture.h"

namespace cfs::test {
namespace {

constexpr std::uint32_t kStepMs = 24;  // of each request
/// Deadlines, in steps: each strikes another request, the last one is long enough.
constexpr std::int64_t kDeadlines[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 60};
/// For what has to be taken back, and a busy machine.
constexpr std::int64_t kSlackMs = 2000;

/// Names, each with inode and link count.
using Tree = std::map<std::string, std::pair<Ino, std::uint32_t>>;

class DeadlineTest;

struct Case {
  const char* name;
  const char* mask;  ///< operations that are transactions
  std::function<void(DeadlineTest&)> prepare;
  std::function<Task<Result<Attr>>(Volume&, Progress&)> act;
  std::vector<std::string> after;  ///< names that are there then
};

class DeadlineTest : public VolumeTest, public ::testing::WithParamInterface<int> {
 public:
  void add(const char* name, std::uint32_t mode) { make(kRoot, name, mode); }

 protected:
  void use_mask(const char* mask) {
    mini::Volume settings;
    settings.tx_mask = mask;
    make_volume(settings);
  }
  Tree tree() {
    Tree t;
    for (const DirEntry& e : list(kRoot)) {
      const Result<Attr> attr = getattr(e.ino);
      t[e.name] = {e.ino, attr.ok() ? attr->nlink : 0};
    }
    return t;
  }
  void slow(std::uint32_t ms) {
    arm(mini::FaultKind::kDelay, mini::Fault::kAnyOp, ms, mini::Fault::kForever);
  }
};

constexpr std::uint32_t kFile = S_IFREG | 0644, kDir = S_IFDIR | 0755;

void nothing(DeadlineTest&) {}
void one_file(DeadlineTest& t) {
  t.add("f", kFile);
}
void two_files(DeadlineTest& t) {
  t.add("f", kFile);
  t.add("g", kFile);
}
void one_directory(DeadlineTest& t) {
  t.add("f", kDir);
}
void two_directories(DeadlineTest& t) {
  t.add("f", kDir);
  t.add("g", kDir);
}

Task<Result<Attr>> create_f(Volume& v, Progress& p) {
  return v.create(1, "f", S_IFREG | 0644, {}, Caller{}, p);
}
Task<Result<Attr>> unlink_f(Volume& v, Progress& p) {
  return v.unlink(1, "f", false, p, {});
}
Task<Result<Attr>> rmdir_f(Volume& v, Progress& p) {
  return v.unlink(1, "f", true, p, {});
}
Task<Result<Attr>> rename_f_g(Volume& v, Progress& p) {
  return v.rename(1, "f", 1, "g", false, p, {});
}

/// Looks the inode up first, as a front end does.
Task<Result<Attr>> link_f_g(Volume& v, Progress& p) {
  const Result<Attr> f = co_await v.lookup(1, "f");
  if (!f.ok()) co_return f;
  Result<Attr> done = co_await v.link(f->ino, 1, "g", p);
  co_return done;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"create", "off", nothing, create_f, {"f"}},
      {"create", "all", nothing, create_f, {"f"}},
      {"unlink", "off", one_file, unlink_f, {}},
      {"unlink", "all", one_file, unlink_f, {}},
      {"rmdir", "off", one_directory, rmdir_f, {}},
      {"link", "off", one_file, link_f_g, {"f", "g"}},
      {"link", "all", one_file, link_f_g, {"f", "g"}},
      {"rename", "off", one_file, rename_f_g, {"g"}},
      {"rename", "all", one_file, rename_f_g, {"g"}},
      {"replace", "off", two_files, rename_f_g, {"g"}},
      {"replace", "all", two_files, rename_f_g, {"g"}},
      {"replaceDirectory", "off", two_directories, rename_f_g, {"g"}},
  };
  return all;
}

std::vector<std::string> names_of(const Tree& tree) {
  std::vector<std::string> names;
  for (const auto& [name, inode] : tree) names.push_back(name);
  return names;
}

/// Links of an inode with so many names, for whoever counts them.
std::uint32_t links_for(const Case& c, const Tree& tree, Ino ino) {
  std::uint32_t names = 0;
  for (const auto& [name, inode] : tree) names += inode.first == ino;
  const std::string what = c.name;
  return what == "rmdir" || what == "replaceDirectory" ? 2 : names;
}

/// No file without a name but one that was to go, no link too few, and at most one too many.
void expect_nothing_lost(const Case& c, const Tree& before, const Tree& after, std::int64_t steps) {
  for (const auto& [name, inode] : after) {
    const std::uint32_t least = links_for(c, after, inode.first);
    EXPECT_LE(least, inode.second) << c.name << " after " << steps << " steps: " << name;
    EXPECT_GE(least + 1, inode.second) << c.name << " after " << steps << " steps: " << name;
  }
  const bool goes = c.after.empty();
  const auto f = before.find("f");
  if (goes || f == before.end()) return;
  EXPECT_TRUE(std::any_of(after.begin(), after.end(),
                          [&](const auto& entry) { return entry.second.first == f->second.first; }))
      << c.name << " after " << steps << " steps";
}

TEST_P(DeadlineTest, EndsInTimeAndLosesNothing) {
  const Case& c = cases()[static_cast<std::size_t>(GetParam())];
  int failed = 0, succeeded = 0;
  for (const std::int64_t steps : kDeadlines) {
    use_mask(c.mask);
    c.prepare(*this);
    const Tree before = tree();
    Progress progress;
    slow(kStepMs);
    const std::int64_t begin = Loop::now_ms();
    const std::int64_t deadline = begin + steps * kStepMs + kStepMs / 2;
    const Result<Attr> done = await(c.act(*volume_, progress).until(deadline));
    EXPECT_LE(Loop::now_ms(), deadline + kSlackMs) << c.name << " after " << steps << " steps";
    cluster_->faults().clear();
    std::this_thread::sleep_for(Millis(2 * kStepMs));  // what was still on its way
    const Tree after = tree();
    expect_nothing_lost(c, before, after, steps);
    if (done.ok()) {
      EXPECT_EQ(c.after, names_of(after)) << "after " << steps << " steps";
    } else {
      EXPECT_TRUE(done.code() == ETIMEDOUT || done.code() == EIO) << done.error().text();
    }
    ++(done.ok() ? succeeded : failed);
  }
  EXPECT_GT(failed, 0) << "no deadline struck";
  EXPECT_GT(succeeded, 0) << "the last deadline is too short";
}

TEST_F(VolumeTest, ReadsEndInTime) {
  const Ino f = make(kRoot, "f");
  make(kRoot, "g");
  remount();  // unknown names take two round trips
  arm(mini::FaultKind::kDelay, mini::Fault::kAnyOp, 300, mini::Fault::kForever);
  const auto within = [] { return Loop::now_ms() + 400; };
  const std::int64_t begin = Loop::now_ms();
  EXPECT_FALSE(await(volume_->lookup(kRoot, "f").until(within())).ok());
  EXPECT_FALSE(await(volume_->lookup_open(kRoot, "g").until(within())).ok());
  EXPECT_FALSE(await(volume_->truncate(f, 1).until(within())).ok());
  EXPECT_FALSE(
      await(volume_->setattr(f, {.valid = SetAttr::kMode, .mode = 0600}).until(within())).ok());
  EXPECT_FALSE(await(volume_->setxattr(f, "user.a", "b", XATTR_CREATE).until(within())).ok());
  EXPECT_LT(Loop::now_ms() - begin, 5 * 400 + kSlackMs);
}

INSTANTIATE_TEST_SUITE_P(Operations, DeadlineTest,
                         ::testing::Range(0, static_cast<int>(cases().size())),
                         [](const auto& param) {
                           const Case& c = cases()[static_cast<std::size_t>(param.param)];
                           return std::string(c.name) + "_" + c.mask;
                         });

}  // namespace
}  // namespace cfs::test
