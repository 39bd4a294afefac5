// SPDX-License-Identifier: Apache-2.0
/// If this fails, a daemon that dies in the middle of an operation leaves wrong names or link counts
/// behind, or the next daemon gives a wrong answer.
///
/// Each operation is abandoned before and after every store of its progress record, resumed by a
/// fresh volume with the same record (and abandoned there once more), and names and link counts are
/// compared with what the operation should have done.
#include "daemon/core/progress.h"
#include "tests/daemon/volume_fixture.h"

namespace cfs::test {
namespace {

/// A directory with known content, made anew for each run.
struct Scene {
  Ino top = 0;    ///< holds everything
  Ino dir = 0;    ///< top/dir, a directory
  Ino file = 0;   ///< top/file
  Ino other = 0;  ///< top/other, a file
  Ino empty = 0;  ///< top/empty, a directory
  Ino twins = 0;  ///< a directory with one file under two names, "one" and "two"
  Ino twin = 0;   ///< that file
};

class ProgressTest : public VolumeTest, public ::testing::WithParamInterface<const char*> {
 protected:
  using Run = std::function<Result<Attr>(const Scene&, Progress&)>;
  using Check = std::function<void(const Scene&, const Result<Attr>&)>;

  void SetUp() override {
    mini::Volume settings;
    settings.tx_mask = GetParam();
    make_volume(settings);
  }

  Scene build() {
    static int count = 0;
    Scene s;
    s.top = make(kRoot, "scene" + std::to_string(++count), S_IFDIR | 0755);
    s.dir = make(s.top, "dir", S_IFDIR | 0755);
    s.file = make(s.top, "file");
    s.other = make(s.top, "other");
    s.empty = make(s.top, "empty", S_IFDIR | 0755);
    s.twins = make(kRoot, "twins" + std::to_string(count), S_IFDIR | 0755);
    s.twin = make(s.twins, "one");
    EXPECT_TRUE(link(s.twin, s.twins, "two").ok());
    return s;
  }

  /// Run with the n-th store (before or after it) as the end; true when it got that far.
  bool run_until(int n, const Run& run, const Scene& scene, Progress& progress,
                 Result<Attr>* result) {
    int seen = 0;
    bool hit = false;
    impl().ops().progress_hook = ([&](ProgressOp, Step, bool) {
      hit = hit || seen++ == n;
      return hit;
    });
    impl().ops().settle = Millis(20);
    *result = run(scene, progress);
    impl().ops().progress_hook = {};
    return hit;
  }

  /// Every first death, each followed by every second one.
  void die_everywhere(const Run& run, const Check& check) {
    for (int first = 0;; ++first) {
      bool first_hit = false;
      for (int second = 0;; ++second) {
        SCOPED_TRACE("died at " + std::to_string(first) + ", then at " + std::to_string(second));
        alignas(8) unsigned char record[Progress::kBytes];
        std::memset(record, 0x5A, sizeof(record));  // what an earlier request left there
        const Scene scene = build();
        Progress fresh(record, false);
        Result<Attr> result = make_error(EIO, {});
        first_hit = run_until(first, run, scene, fresh, &result);
        if (!first_hit) {
          check(scene, result);
          break;
        }
        remount();
        Progress resumed(record, true);
        const bool second_hit = run_until(second, run, scene, resumed, &result);
        if (second_hit) result = run(scene, resumed);
        check(scene, result);
        Progress again(record, true);  // died after the last store: the same answer
        const Result<Attr> replayed = run(scene, again);
        EXPECT_EQ(result.code(), replayed.code());
        if (HasFailure() || !second_hit) break;
      }
      if (!first_hit || HasFailure()) break;
    }
  }

  void expect_names(Ino dir, std::vector<std::string> wanted) { EXPECT_EQ(wanted, names(dir)); }
  void expect_links(Ino ino, std::uint32_t wanted) {
    const Result<Attr> attr = getattr(ino);
    EXPECT_EQ(wanted, attr.ok() ? attr->nlink : 0) << "inode " << ino;
  }
  /// Parent counts: 2 + entries.
  void expect_dir(Ino dir, std::vector<std::string> wanted) {
    expect_links(dir, static_cast<std::uint32_t>(2 + wanted.size()));
    expect_names(dir, std::move(wanted));
  }
};

TEST_P(ProgressTest, Create) {
  die_everywhere(
      [&](const Scene& s, Progress& p) {
        return await(volume_->create(s.dir, "new", S_IFREG | 0600, "", Caller{1, 2}, p));
      },
      [&](const Scene& s, const Result<Attr>& r) {
        ASSERT_TRUE(r.ok()) << r.error().text();
        expect_dir(s.dir, {"new"});
        EXPECT_EQ(r->ino, lookup(s.dir, "new")->ino);
        expect_links(r->ino, 1);
      });
}

/// With an inode that was made ahead, and one for the next create: the first has its name and one link at
/// the end, the second has none and is told, unless a daemon died before it knew its number.
TEST_P(ProgressTest, CreateAhead) {
  std::map<Ino, Attr> stock;
  std::map<Ino, std::optional<Attr>> next;
  int told = 0, all = 0;
  if (std::string_view(GetParam()) == "all") {  // transactions make none
    Ahead ahead{.use = {}, .more = true, .next = {}};
    EXPECT_TRUE(create(build().dir, "new", S_IFREG | 0644, {}, &ahead).ok());
    EXPECT_FALSE(ahead.next);
    return;
  }
  die_everywhere(
      [&](const Scene& s, Progress& p) {
        const ProgressHook hook = std::exchange(impl().ops().progress_hook, {});
        if (stock.count(s.dir) == 0) {
          Ahead first{.use = {}, .more = true, .next = {}};
          EXPECT_TRUE(create(s.dir, "first", S_IFREG | 0644, {}, &first).ok());
          stock[s.dir] = *first.next;
        }
        impl().ops().progress_hook = hook;
        Ahead ahead{.use = stock[s.dir], .more = true, .next = {}};
        const Result<Attr> made =
            await(volume_->create(s.dir, "new", S_IFREG | 0644, "", Caller{1000, 100}, p, &ahead));
        next[s.dir] = ahead.next;
        return made;
      },
      [&](const Scene& s, const Result<Attr>& r) {
        ASSERT_TRUE(r.ok()) << r.error().text();
        expect_dir(s.dir, {"first", "new"});
        EXPECT_EQ(stock[s.dir].ino, r->ino);
        EXPECT_EQ(r->ino, lookup(s.dir, "new")->ino);
        expect_links(r->ino, 1);
        ++all;
        if (!next[s.dir]) return;
        ++told;
        EXPECT_NE(r->ino, next[s.dir]->ino);
        expect_links(next[s.dir]->ino, 1);
      });
  EXPECT_GT(told, all / 2);
}

TEST_P(ProgressTest, CreateSymlink) {
  die_everywhere(
      [&](const Scene& s, Progress& p) {
        return await(volume_->create(s.dir, "new", S_IFLNK | 0777, "to/here", Caller{1, 2}, p));
      },
      [&](const Scene& s, const Result<Attr>& r) {
        ASSERT_TRUE(r.ok()) << r.error().text();
        EXPECT_EQ("to/here", lookup(s.dir, "new")->target);
      });
}

TEST_P(ProgressTest, CreateOfAnExistingName) {
  die_everywhere(
      [&](const Scene& s, Progress& p) {
        return await(volume_->create(s.top, "file", S_IFREG | 0600, "", Caller{1, 2}, p));
      },
      [&](const Scene& s, const Result<Attr>& r) {
        EXPECT_EQ(EEXIST, r.code());
        EXPECT_EQ(s.file, lookup(s.top, "file")->ino);
        expect_links(s.file, 1);
      });
}

TEST_P(ProgressTest, Unlink) {
  die_everywhere(
      [&](const Scene& s, Progress& p) { return await(volume_->unlink(s.top, "file", false, p)); },
      [&](const Scene& s, const Result<Attr>& r) {
        ASSERT_TRUE(r.ok()) << r.error().text();
        EXPECT_EQ(s.file, r->ino);
        EXPECT_EQ(0u, r->nlink);
        expect_dir(s.top, {"dir", "empty", "other"});
        expect_links(s.file, 0);
      });
}

TEST_P(ProgressTest, UnlinkOfOneOfTwoNames) {
  die_everywhere(
      [&](const Scene& s, Progress& p) { return await(volume_->unlink(s.twins, "one", false, p)); },
      [&](const Scene& s, const Result<Attr>& r) {
        ASSERT_TRUE(r.ok()) << r.error().text();
        EXPECT_EQ(1u, r->nlink);
        expect_dir(s.twins, {"two"});
        expect_links(s.twin, 1);
      });
}

/// With transactions, and where nobody can tell any more who removed the name, no link is left.
TEST_P(ProgressTest, UnlinkThatLeavesTheLink) {
  die_everywhere(
      [&](const Scene& s, Progress& p) {
        return await(volume_->unlink(s.top, "file", false, p, {s.file, true}));
      },
      [&](const Scene& s, const Result<Attr>& r) {
        ASSERT_TRUE(r.ok()) << r.error().text();
        EXPECT_EQ(s.file, r->ino);
        expect_dir(s.top, {"dir", "empty", "other"});
        EXPECT_TRUE(r->nlink == 0 || !r->link_left);
        expect_links(s.file, r->link_left ? 1 : r->nlink);
      });
}

TEST_P(ProgressTest, EvictionOfALinkThatWasLeft) {
  if (std::string_view(GetParam()) == "all") {  // transactions leave none
    const Scene s = build();
    EXPECT_FALSE(unlink(s.top, "file", false, {s.file, true})->link_left);
    return;
  }
  die_everywhere(
      [&](const Scene& s, Progress& p) {
        const ProgressHook hook = std::exchange(impl().ops().progress_hook, {});
        const Result<Attr> gone = unlink(s.top, "file", false, {s.file, true});
        impl().ops().progress_hook = hook;
        EXPECT_TRUE(gone.ok() ? gone->link_left : gone.code() == ENOENT) << "left by the first run";
        const Result<void> done = await(volume_->evict_link(s.file, p));
        return done.ok() ? Result<Attr>(Attr{.ino = s.file}) : done.error();
      },
      [&](const Scene& s, const Result<Attr>& r) {
        ASSERT_TRUE(r.ok()) << r.error().text();
        EXPECT_EQ(ENOENT, getattr(s.file).code());
      });
}

TEST_P(ProgressTest, RenameOverOneOfTwoNames) {
  die_everywhere(
      [&](const Scene& s, Progress& p) {
        return await(volume_->rename(s.top, "file", s.twins, "two", false, p));
      },
      [&](const Scene& s, const Result<Attr>& r) {
        ASSERT_TRUE(r.ok()) << r.error().text();
        EXPECT_EQ(s.twin, r->ino);
        EXPECT_EQ(1u, r->nlink);
        expect_dir(s.twins, {"one", "two"});
        EXPECT_EQ(s.file, lookup(s.twins, "two")->ino);
        expect_links(s.twin, 1);
        expect_links(s.file, 1);
      });
}

TEST_P(ProgressTest, RenameOfOneOfTwoNames) {
  die_everywhere(
      [&](const Scene& s, Progress& p) {
        return await(volume_->rename(s.twins, "one", s.dir, "new", false, p));
      },
      [&](const Scene& s, const Result<Attr>& r) {
        ASSERT_TRUE(r.ok()) << r.error().text();
        expect_dir(s.twins, {"two"});
        expect_dir(s.dir, {"new"});
        expect_links(s.twin, 2);
      });
}

TEST_P(ProgressTest, Rmdir) {
  die_everywhere(
      [&](const Scene& s, Progress& p) { return await(volume_->unlink(s.top, "empty", true, p)); },
      [&](const Scene& s, const Result<Attr>& r) {
        ASSERT_TRUE(r.ok()) << r.error().text();
        expect_dir(s.top, {"dir", "file", "other"});
        EXPECT_EQ(ENOENT, getattr(s.empty).code());
      });
}

TEST_P(ProgressTest, Link) {
  die_everywhere(
      [&](const Scene& s, Progress& p) { return await(volume_->link(s.file, s.dir, "new", p)); },
      [&](const Scene& s, const Result<Attr>& r) {
        ASSERT_TRUE(r.ok()) << r.error().text();
        EXPECT_EQ(s.file, lookup(s.dir, "new")->ino);
        expect_dir(s.dir, {"new"});
        expect_links(s.file, 2);
      });
}

TEST_P(ProgressTest, RenameToANewName) {
  die_everywhere(
      [&](const Scene& s, Progress& p) {
        return await(volume_->rename(s.top, "file", s.dir, "new", false, p));
      },
      [&](const Scene& s, const Result<Attr>& r) {
        ASSERT_TRUE(r.ok()) << r.error().text();
        expect_dir(s.top, {"dir", "empty", "other"});
        expect_dir(s.dir, {"new"});
        EXPECT_EQ(s.file, lookup(s.dir, "new")->ino);
        expect_links(s.file, 1);
      });
}

TEST_P(ProgressTest, RenameOverAFile) {
  die_everywhere(
      [&](const Scene& s, Progress& p) {
        return await(volume_->rename(s.top, "file", s.top, "other", false, p));
      },
      [&](const Scene& s, const Result<Attr>& r) {
        ASSERT_TRUE(r.ok()) << r.error().text();
        EXPECT_EQ(s.other, r->ino);
        expect_dir(s.top, {"dir", "empty", "other"});
        EXPECT_EQ(s.file, lookup(s.top, "other")->ino);
        expect_links(s.file, 1);
        expect_links(s.other, 0);
      });
}

TEST_P(ProgressTest, RenameOfADirectoryOverAnEmptyOne) {
  die_everywhere(
      [&](const Scene& s, Progress& p) {
        return await(volume_->rename(s.top, "dir", s.top, "empty", false, p));
      },
      [&](const Scene& s, const Result<Attr>& r) {
        ASSERT_TRUE(r.ok()) << r.error().text();
        expect_dir(s.top, {"empty", "file", "other"});
        EXPECT_EQ(s.dir, lookup(s.top, "empty")->ino);
        expect_links(s.dir, 2);
        EXPECT_EQ(ENOENT, getattr(s.empty).code());
      });
}

INSTANTIATE_TEST_SUITE_P(Masks, ProgressTest, ::testing::Values("off", "rename", "all", "pause"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace cfs::test
