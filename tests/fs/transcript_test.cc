// SPDX-License-Identifier: Apache-2.0
/// The requests of each operation against what the Go FUSE client v3.5.3 was recorded to send (tests/golden/data/r3): their
/// numbers, both ways, and their order where it matters. Breaks: an operation asks the servers for more, leaves a request out
/// that it needs, or changes a server before it may.
///
/// Numbers   Each difference is in the table with its reason; everything else is equal. A difference that is no more fails.
/// Order     Requests that change a server and that the recorded client sent one after the other are sent one after the other
///           (the answer first, then the next request). `before` adds what must be known before something is changed.
/// Source    The mini cluster's list of requests ($CFS_TEST_MASTER, /mini/log).
#include <fstream>
#include <map>
#include <regex>

#include "mini.h"
#include "posix.h"

using namespace fs_test;  // NOLINT: tests only

namespace {

/// ">MetaLookup" for a request, "<MetaLookup" for an answer.
using Sequence = std::vector<std::string>;
using Bag = std::map<std::string, int>;

/// A number of requests that differs from the recorded one, by front end.
struct Change {
  const char* op;
  int fuse, kernel;  ///< ours minus recorded
  const char* why;
};

struct Transcript {
  const char* recording;
  std::function<void(const std::string& dir)> prepare;
  std::function<long(const std::string& dir)> act;
  std::vector<Change> changes{};
  std::vector<std::pair<const char*, const char*>> before{};
};

/// What we send instead of what the recorded client sent, and count as that: a name is removed only while it means our inode.
const std::map<std::string, std::string> kInstead = {{"MetaBatchDeleteDentry", "MetaDeleteDentry"}};

/// Not counted: an id is asked for 5000 at a time, wherever the last range ended.
const std::set<std::string> kUncounted = {"MetaGetUniqID"};

/// Requests that change no server.
const std::set<std::string> kReads = {
    "MetaLookup",        "MetaInodeGet", "MetaBatchInodeGet", "MetaExtentsList",
    "MetaReadDirLimit",  "MetaGetXAttr", "MetaBatchGetXAttr", "MetaListXAttr",
    "MetaGetInodeQuota", "StreamRead",   "MetaGetUniqID",     "StreamFollowerRead"};

std::string text_of(const Sequence& sequence) {
  std::string s;
  for (const std::string& event : sequence) s += (s.empty() ? "" : " ") + event;
  return s;
}

Bag count(const Sequence& sequence) {
  Bag bag;
  for (const std::string& event : sequence)
    if (event[0] == '>' && kUncounted.count(event.substr(1)) == 0) ++bag[event.substr(1)];
  return bag;
}

/// Source: tests/golden/README.md, one message a line.
Sequence recorded(const std::string& name) {
  std::ifstream in(std::string(CFS_GOLDEN_DIR) + "/r3/" + name + ".jsonl");
  EXPECT_TRUE(in.good()) << name;
  static const std::regex op("\"op\": \"(\\w+)\"");
  Sequence events;
  for (std::string line; std::getline(in, line);) {
    const bool request = line.find("\"dir\": \"req\"") != std::string::npos;
    const auto packet = line.find("\"packet\"");
    std::smatch found;
    if (packet == std::string::npos) continue;
    const std::string rest = line.substr(packet);
    if (std::regex_search(rest, found, op))
      events.push_back((request ? ">" : "<") + found[1].str());
  }
  return events;
}

/// The mini cluster's list; `how` begins or ends one.
Sequence logged(const std::string& how = {}) {
  const std::string json = ask_mini("/mini/log" + how);
  static const std::regex one("\"([<>])(\\w+)\"");
  Sequence events;
  for (std::sregex_iterator i(json.begin(), json.end(), one), end; i != end; ++i) {
    const auto instead = kInstead.find((*i)[2]);
    events.push_back((*i)[1].str() + (instead == kInstead.end() ? (*i)[2].str() : instead->second));
  }
  return events;
}

/// Every answer to `first` comes before any request `then`.
bool one_after_the_other(const Sequence& s, const std::string& first, const std::string& then) {
  const auto last_answer = std::find(s.rbegin(), s.rend(), "<" + first);
  const auto request = std::find(s.begin(), s.end(), ">" + then);
  if (last_answer == s.rend() || request == s.end()) return false;
  return last_answer.base() <= request;
}

long write_close(const std::string& path, std::size_t n) {
  Fd f(path, O_CREAT | O_EXCL | O_WRONLY);
  const long wrote = sys(::write(f.get(), std::string(n, 'x').data(), n));
  return wrote < 0 ? wrote : f.close();
}

void file(const std::string& d) {
  write_file(d + "/f", "content");
}
void nothing(const std::string&) {}

// Reasons; the first word says whose is better.
constexpr char kServerRefusesItself[] =
    "fewer: the parent is not asked for its number of entries, the server refuses a full directory "
    "at CreateDentry (0xF1)";
constexpr char kKernelCaches[] =
    "fewer: the kernel module knows names and attributes that the Go client asks for again after 5 "
    "s or at each use";
constexpr char kWarm[] = "fewer: the recorded client was cold here";
constexpr char kOneLookup[] =
    "fewer: each name is looked up once; the Go client looks both up twice before the transaction";
constexpr char kNoLease[] =
    "fewer: the lease only keeps lifecycle migration away from files that are open for writing";
constexpr char kKnownEmpty[] = "fewer: a new file is known to have no extents";
constexpr char kLastPage[] = "fewer: a page that is not full is the last one";
constexpr char kKnowsTheInode[] =
    "more: the inode is looked up before its name goes, so that only a name that still means it is "
    "removed";
constexpr char kTellsMissingFromEmpty[] =
    "other: GetXAttr answers a missing attribute with an empty one; BatchGetXAttr tells ENODATA "
    "from a value";
constexpr char kChecksFirst[] =
    "more: removing an attribute that is not there is ENODATA, the server says Ok";
constexpr char kCurrentAttributes[] =
    "more through FUSE: Setattr overwrites the type bits, they are read before; the Go client "
    "takes "
    "them from a cache up to 120 s old";
constexpr char kAclFollows[] = "more: with ACLs, chmod changes that of the inode as well";
constexpr char kCurrentAndSetId[] =
    "more through FUSE: Setattr overwrites the type bits, they are read before; the kernel reads "
    "the mode first, to clear set-id bits";
constexpr char kDefaultAcl[] =
    "more: with ACLs, a new inode takes over the directory's default ACL";
constexpr char kEvicts[] =
    "more: the replaced file is evicted when its last user has gone; the server does it at once";
constexpr char kEvictsDirectory[] =
    "more: a removed directory is evicted as a file is, the server has deleted it already";

const std::vector<Transcript>& transcripts();

}  // namespace

class Transcripts : public Posix {
 protected:
  void SetUp() override {
    if (std::getenv("CFS_TEST_MASTER") == nullptr)
      GTEST_SKIP() << "CFS_TEST_MASTER names no mini cluster";
    Posix::SetUp();
  }
  void TearDown() override {
    if (!IsSkipped()) Posix::TearDown();
  }
  /// What `act` makes the client send, also what it sends a little later, while it knows all of `d`.
  static Sequence sent(const std::string& d, const std::function<void()>& act) {
    logged("?on=true");
    settled();
    call::access(d, F_OK);
    for (const std::string& n : list(d)) status(d + "/" + n);  // the recorded client knew them, too
    settled();
    logged("?on=true");
    act();
    Sequence all = settled();
    logged("?on=false");
    return all;
  }
  void expect_numbers(const Transcript& t, const Sequence& ours, const Sequence& golden) {
    Bag expected = count(golden);
    for (const Change& c : t.changes) expected[c.op] += front() == kFuse ? c.fuse : c.kernel;
    Bag got = count(ours);
    for (const auto& [op, n] : expected) got[op] += 0;
    for (const auto& [op, n] : got)
      EXPECT_EQ(n, expected[op]) << t.recording << " on " << front_name(front()) << ": " << op
                                 << "\n  sent     " << text_of(ours) << "\n  recorded "
                                 << text_of(golden);
  }
  static void expect_order(const Transcript& t, const Sequence& ours, const Sequence& golden) {
    const Bag sent = count(ours);
    for (const auto& [first, n] : count(golden))
      for (const auto& [then, m] : count(golden)) {
        const bool changes = kReads.count(first) == 0 && kReads.count(then) == 0;
        const bool both = sent.count(first) != 0 && sent.count(then) != 0;
        if (first == then || !changes || !both || !one_after_the_other(golden, first, then))
          continue;
        EXPECT_TRUE(one_after_the_other(ours, first, then))
            << t.recording << ": " << first << " before " << then << "\n  sent " << text_of(ours);
      }
    for (const auto& [first, then] : t.before) {
      if (sent.count(first) == 0) continue;  // numbers are expect_numbers()'
      EXPECT_TRUE(one_after_the_other(ours, first, then))
          << t.recording << ": " << first << " before " << then << "\n  sent " << text_of(ours);
    }
  }

 private:
  /// When nothing came for a while.
  static Sequence settled() {
    Sequence last = logged();
    for (int quiet = 0; quiet < 3;) {
      ::usleep(100000);
      Sequence now = logged();
      quiet = now == last ? quiet + 1 : 0;
      last = std::move(now);
    }
    return last;
  }
};

TEST_F(Transcripts, AsRecordedOrBetter) {
  if (front() == kLocal) GTEST_SKIP() << "no servers";
  for (const Transcript& t : transcripts()) {
    const std::string d = p(t.recording);
    ASSERT_EQ(call::mkdir(d), 0);
    t.prepare(d);
    const Sequence ours = sent(d, [&] { t.act(d); });
    const Sequence golden = recorded(t.recording);
    expect_numbers(t, ours, golden);
    expect_order(t, ours, golden);
  }
}

TEST_F(Transcripts, OrderIsNoticed) {
  const Sequence s = {">A", "<A", ">B", ">C", "<C", "<B", ">D"};
  EXPECT_TRUE(one_after_the_other(s, "A", "B"));
  EXPECT_FALSE(one_after_the_other(s, "B", "A"));
  EXPECT_FALSE(one_after_the_other(s, "B", "C")) << "side by side";
  EXPECT_FALSE(one_after_the_other(s, "C", "B"));
  EXPECT_TRUE(one_after_the_other(s, "C", "D"));
  EXPECT_FALSE(one_after_the_other(s, "A", "E")) << "never sent";
}

namespace {

const std::vector<Transcript>& transcripts() {
  static const std::vector<Transcript> table = {
      {"02_lookup_missing", nothing, [](const auto& d) { return call::access(d + "/none", F_OK); }},
      {"03_mkdir",
       nothing,
       [](const auto& d) { return call::mkdir(d + "/d"); },
       {{"MetaBatchGetXAttr", 1, 0, kDefaultAcl},
        {"MetaInodeGet", 0, -1, kServerRefusesItself},
        {"MetaLookup", 0, -1, kKernelCaches}}},
      {"05_create_empty",
       nothing,
       [](const auto& d) { return call::open(d + "/f", O_CREAT | O_WRONLY); },
       {{"MetaBatchGetXAttr", 1, 0, kDefaultAcl},
        {"MetaInodeGet", 0, -1, kServerRefusesItself},
        {"MetaRenewalForbiddenMigration", -1, -1, kNoLease}}},
      {"07_write_100B",
       nothing,
       [](const auto& d) { return write_close(d + "/f", 100); },
       {{"MetaBatchGetXAttr", 1, 0, kDefaultAcl},
        {"MetaExtentsList", 0, -1, kKnownEmpty},
        {"MetaInodeGet", 0, -1, kServerRefusesItself},
        {"MetaLookup", 0, -1, kKernelCaches},
        {"MetaRenewalForbiddenMigration", -1, -1, kNoLease}}},
      {"38_link",
       [](const auto& d) {
         file(d);
         call::mkdir(d + "/d");
       },
       [](const auto& d) { return call::link(d + "/f", d + "/d/g"); },
       {{"MetaInodeGet", -1, -1, kServerRefusesItself}, {"MetaLookup", 0, -1, kKernelCaches}},
       {{"MetaLookup", "MetaLinkInode"}}},
      {"40_unlink_one_of_two_links",
       [](const auto& d) {
         file(d);
         call::link(d + "/f", d + "/g");
       },
       [](const auto& d) { return call::unlink(d + "/g"); },
       {{"MetaLookup", 1, 0, kKnowsTheInode}}},
      {"41_symlink",
       nothing,
       [](const auto& d) { return call::symlink("../w3m", d + "/l"); },
       {{"MetaInodeGet", 0, -1, kServerRefusesItself}, {"MetaLookup", 0, -1, kKernelCaches}}},
      {"43_mknod_fifo",
       nothing,
       [](const auto& d) { return call::mkfifo(d + "/p"); },
       {{"MetaBatchGetXAttr", 1, 0, kDefaultAcl},
        {"MetaInodeGet", 0, -1, kServerRefusesItself},
        {"MetaLookup", 0, -1, kKernelCaches}}},
      {"30_rename_samedir",
       file,
       [](const auto& d) { return call::rename(d + "/f", d + "/g"); },
       {{"MetaInodeGet", -1, -1, kWarm}, {"MetaLookup", -2, -4, kOneLookup}},
       {{"MetaTxDeleteDentry", "MetaTxCreateDentry"}}},
      {"31_rename_crossdir",
       [](const auto& d) {
         file(d);
         call::mkdir(d + "/d");
       },
       [](const auto& d) { return call::rename(d + "/f", d + "/d/g"); },
       {{"MetaInodeGet", -1, -1, kWarm}, {"MetaLookup", -2, -4, kOneLookup}}},
      {"32_rename_over_existing",
       [](const auto& d) {
         file(d);
         write_file(d + "/g", "other");
       },
       [](const auto& d) { return call::rename(d + "/f", d + "/g"); },
       {{"MetaEvictInode", 1, 1, kEvicts},
        {"MetaExtentsList", -1, -1, kWarm},
        {"MetaInodeGet", 0, -1, kWarm},
        {"MetaLookup", -2, -5, kOneLookup}}},
      {"33_rename_dir",
       [](const auto& d) { call::mkdir(d + "/d"); },
       [](const auto& d) { return call::rename(d + "/d", d + "/e"); },
       {{"MetaLookup", -1, -3, kOneLookup}}},
      {"46_readdir_empty",
       nothing,
       [](const auto& d) { return static_cast<long>(list(d).size()); },
       {{"MetaInodeGet", 0, -1, kKernelCaches},
        {"MetaLookup", -1, -1, kWarm},
        {"MetaReadDirLimit", 0, -1, kLastPage}}},
      {"48_setxattr",
       file,
       [](const auto& d) { return call::setx(d + "/f", "user.k1", "value1"); },
       {{"MetaInodeGet", -1, -1, kWarm}, {"MetaLookup", -1, -1, kWarm}}},
      {"50_getxattr",
       [](const auto& d) {
         file(d);
         call::setx(d + "/f", "user.k1", "v");
       },
       [](const auto& d) { return call::getx(d + "/f", "user.k1"); },
       {{"MetaBatchGetXAttr", 1, 1, kTellsMissingFromEmpty},
        {"MetaGetXAttr", -1, -1, kTellsMissingFromEmpty}}},
      {"53_listxattr", file,
       [](const auto& d) { return sys(::listxattr((d + "/f").c_str(), nullptr, 0)); }},
      {"54_removexattr",
       [](const auto& d) {
         file(d);
         call::setx(d + "/f", "user.k1", "v");
       },
       [](const auto& d) { return sys(::removexattr((d + "/f").c_str(), "user.k1")); },
       {{"MetaBatchGetXAttr", 1, 1, kChecksFirst}},
       {{"MetaBatchGetXAttr", "MetaRemoveXAttr"}}},
      {"60_chmod",
       file,
       [](const auto& d) { return call::chmod(d + "/f", 0600); },
       {{"MetaBatchGetXAttr", 1, 0, kAclFollows}, {"MetaInodeGet", 1, 0, kCurrentAttributes}},
       {{"MetaInodeGet", "MetaSetattr"}}},
      {"61_chown",
       file,
       [](const auto& d) { return call::chown(d + "/f", 1000, 1001); },
       {{"MetaInodeGet", 2, 0, kCurrentAndSetId}},
       {{"MetaInodeGet", "MetaSetattr"}}},
      {"62_utimes",
       file,
       [](const auto& d) {
         return call::touch(d + "/f", {1000000000, 0}, {1100000000, 0});
       },
       {{"MetaInodeGet", 1, 0, kCurrentAttributes}}},
      {"71_unlink",
       file,
       [](const auto& d) { return call::unlink(d + "/f"); },
       {{"MetaLookup", 1, 0, kKnowsTheInode}}},
      {"74_rmdir_nonempty",
       [](const auto& d) {
         call::mkdir(d + "/d");
         write_file(d + "/d/x", "");
       },
       [](const auto& d) { return call::rmdir(d + "/d"); },
       {{"MetaLookup", -1, -1, kWarm}}},
      {"75_rmdir",
       [](const auto& d) { call::mkdir(d + "/d"); },
       [](const auto& d) { return call::rmdir(d + "/d"); },
       {{"MetaEvictInode", 0, 1, kEvictsDirectory}, {"MetaLookup", -1, -1, kWarm}},
       {{"MetaInodeGet", "MetaDeleteDentry"}}},
      {"76_unlink_dir", [](const auto& d) { call::mkdir(d + "/d"); },
       [](const auto& d) { return call::unlink(d + "/d"); }},
      {"77_create_exist",
       file,
       [](const auto& d) { return call::open(d + "/f", O_CREAT | O_EXCL | O_WRONLY); },
       {{"MetaInodeGet", 0, -1, kKernelCaches}, {"MetaLookup", -1, -2, kWarm}}},
  };
  return table;
}

}  // namespace
