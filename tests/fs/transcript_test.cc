// SPDX-License-Identifier: Apache-2.0
/// The requests of each operation against what the Go FUSE client v3.5.3 was recorded to send (tests/golden/data/r3): no
/// request more than it sent, unless the table says which and why. Breaks: an operation asks the servers for more.
///
/// Requests are counted by the mini cluster ($CFS_TEST_MASTER, /mini/stats) and compared as a bag: those that we send side
/// by side have no order. Fewer are fine everywhere; what every operation needs is shown by the tests that look at its
/// outcome, and counted exactly in the cost tests of tests/daemon.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <regex>

#include "posix.h"

using namespace fs_test;  // NOLINT: tests only

namespace {

using Bag = std::map<std::string, int>;

std::string text_of(const Bag& bag) {
  std::string s;
  for (const auto& [op, n] : bag)
    if (n != 0) s += (s.empty() ? "" : " ") + op + (n > 1 ? "*" + std::to_string(n) : "");
  return s;
}

/// Source: tests/golden/README.md, one message a line.
Bag recorded(const std::string& name) {
  std::ifstream in(std::string(CFS_GOLDEN_DIR) + "/r3/" + name + ".jsonl");
  EXPECT_TRUE(in.good()) << name;
  static const std::regex op("\"op\": \"(\\w+)\"");
  Bag bag;
  for (std::string line; std::getline(in, line);) {
    if (line.find("\"dir\": \"req\"") == std::string::npos) continue;
    const auto packet = line.find("\"packet\"");
    std::smatch found;
    if (packet == std::string::npos) continue;
    const std::string rest = line.substr(packet);
    if (std::regex_search(rest, found, op)) ++bag[found[1]];
  }
  return bag;
}

/// What we send instead of what the recorded client sent, and count as that: a name is removed only while it means our inode.
const std::map<std::string, std::string> kInstead = {{"MetaBatchDeleteDentry", "MetaDeleteDentry"}};

/// Requests so far, of all nodes.
Bag counted(const std::string& master) {
  std::string json;
  FILE* in = ::popen(("curl -sf 'http://" + master + "/mini/stats'").c_str(), "r");
  char b[4096];
  for (std::size_t n; in != nullptr && (n = std::fread(b, 1, sizeof(b), in)) > 0;)
    json.append(b, n);
  if (in != nullptr) ::pclose(in);
  EXPECT_FALSE(json.empty()) << "no answer from " << master;
  static const std::regex ops("\"ops\":\\{([^}]*)\\}"), one("\"(\\w+)\":(\\d+)");
  Bag bag;
  for (std::sregex_iterator o(json.begin(), json.end(), ops), end; o != end; ++o) {
    const std::string inner = (*o)[1];
    for (std::sregex_iterator i(inner.begin(), inner.end(), one); i != end; ++i) {
      const auto instead = kInstead.find((*i)[1]);
      bag[instead == kInstead.end() ? (*i)[1].str() : instead->second] += std::stoi((*i)[2]);
    }
  }
  return bag;
}

struct Transcript {
  const char* recording;
  std::function<void(const std::string& dir)> prepare;
  std::function<long(const std::string& dir)> act;
  Bag more;            ///< what we may send besides
  const char* reason;  ///< why
};

long write_close(const std::string& path, std::size_t n) {
  Fd f(path, O_CREAT | O_EXCL | O_WRONLY);
  const long wrote = sys(::write(f.get(), std::string(n, 'x').data(), n));
  return wrote < 0 ? wrote : f.close();
}

void file(const std::string& d) {
  write_file(d + "/f", "content");
}
void nothing(const std::string&) {}

constexpr char kCapabilityAndReplicas[] =
    "before the first write the kernel asks for security.capability, which the Go client denies "
    "unasked; data nodes "
    "are counted at each of three replicas, the recording was made at the client";
constexpr char kOwnLookup[] =
    "a lookup whose answer is not believed any more (5 s) is repeated, the Go client's was warm "
    "for 60 s";
constexpr char kKnowsTheInode[] =
    "the inode is looked up before its name goes, so that a lost reply can be told from another "
    "host's unlink";
constexpr char kTellsMissingFromEmpty[] =
    "GetXAttr answers a missing attribute with an empty one; BatchGetXAttr tells ENODATA from a "
    "value";
constexpr char kCurrentAttributes[] =
    "Setattr overwrites the type bits and the answer shows what is stored: both are asked for, the "
    "Go client takes "
    "them from a cache that is up to 120 s old; chown also asks for security.capability";

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
  Bag sent(const std::string& d, const std::function<void()>& act) {
    const std::string master = std::getenv("CFS_TEST_MASTER");
    settled(master, counted(master));
    call::access(d, F_OK);
    for (const std::string& n : list(d)) status(d + "/" + n);  // the recorded client knew them, too
    const Bag before = counted(master);
    act();
    Bag after = settled(master, before);
    for (const auto& [op, n] : before) after[op] -= n;
    return after;
  }

 private:
  /// When nothing was counted for a while.
  static Bag settled(const std::string& master, Bag last) {
    for (int quiet = 0; quiet < 3;) {
      ::usleep(100000);
      Bag now = counted(master);
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
    const Bag got = sent(d, [&] { t.act(d); });
    const Bag golden = recorded(t.recording);
    Bag allowed = golden;
    for (const auto& [op, n] : t.more) allowed[op] += n;
    ++allowed["MetaGetUniqID"];  // a range of 5000 ids may end anywhere
    for (const auto& [op, n] : got)
      EXPECT_LE(n, allowed[op]) << t.recording << ": sent " << text_of(got) << "; recorded "
                                << text_of(golden);
  }
}

namespace {

const std::vector<Transcript>& transcripts() {
  static const std::vector<Transcript> table = {
      {"02_lookup_missing",
       nothing,
       [](const auto& d) { return call::access(d + "/none", F_OK); },
       {},
       ""},
      {"03_mkdir", nothing, [](const auto& d) { return call::mkdir(d + "/d"); }, {}, ""},
      {"05_create_empty",
       nothing,
       [](const auto& d) { return call::open(d + "/f", O_CREAT | O_EXCL | O_WRONLY); },
       {},
       ""},
      {"07_write_100B",
       nothing,
       [](const auto& d) { return write_close(d + "/f", 100); },
       {{"MetaBatchGetXAttr", 1}, {"Write", 2}},
       kCapabilityAndReplicas},
      {"38_link",
       [](const auto& d) {
         file(d);
         call::mkdir(d + "/d");
       },
       [](const auto& d) { return call::link(d + "/f", d + "/d/g"); },
       {{"MetaLookup", 1}},
       kOwnLookup},
      {"40_unlink_one_of_two_links",
       [](const auto& d) {
         file(d);
         call::link(d + "/f", d + "/g");
       },
       [](const auto& d) { return call::unlink(d + "/g"); },
       {{"MetaLookup", 1}},
       kKnowsTheInode},
      {"41_symlink",
       nothing,
       [](const auto& d) { return call::symlink("../w3m", d + "/l"); },
       {},
       ""},
      {"43_mknod_fifo", nothing, [](const auto& d) { return call::mkfifo(d + "/p"); }, {}, ""},
      {"30_rename_samedir",
       file,
       [](const auto& d) { return call::rename(d + "/f", d + "/g"); },
       {},
       ""},
      {"46_readdir_empty",
       nothing,
       [](const auto& d) { return static_cast<long>(list(d).size()); },
       {},
       ""},
      {"48_setxattr",
       file,
       [](const auto& d) { return call::setx(d + "/f", "user.k1", "value1"); },
       {},
       ""},
      {"50_getxattr",
       [](const auto& d) {
         file(d);
         call::setx(d + "/f", "user.k1", "v");
       },
       [](const auto& d) { return call::getx(d + "/f", "user.k1"); },
       {{"MetaBatchGetXAttr", 1}},
       kTellsMissingFromEmpty},
      {"53_listxattr",
       file,
       [](const auto& d) { return sys(::listxattr((d + "/f").c_str(), nullptr, 0)); },
       {},
       ""},
      {"54_removexattr",
       [](const auto& d) {
         file(d);
         call::setx(d + "/f", "user.k1", "v");
       },
       [](const auto& d) { return sys(::removexattr((d + "/f").c_str(), "user.k1")); },
       {{"MetaBatchGetXAttr", 1}},
       kTellsMissingFromEmpty},
      {"60_chmod",
       file,
       [](const auto& d) { return call::chmod(d + "/f", 0600); },
       {{"MetaInodeGet", 2}},
       kCurrentAttributes},
      {"61_chown",
       file,
       [](const auto& d) { return call::chown(d + "/f", 1000, 1001); },
       {{"MetaInodeGet", 3}, {"MetaBatchGetXAttr", 1}},
       kCurrentAttributes},
      {"62_utimes",
       file,
       [](const auto& d) {
         return call::touch(d + "/f", {1000000000, 0}, {1100000000, 0});
       },
       {{"MetaInodeGet", 2}},
       kCurrentAttributes},
      {"71_unlink",
       file,
       [](const auto& d) { return call::unlink(d + "/f"); },
       {{"MetaLookup", 1}},
       kKnowsTheInode},
      {"74_rmdir_nonempty",
       [](const auto& d) {
         call::mkdir(d + "/d");
         write_file(d + "/d/x", "");
       },
       [](const auto& d) { return call::rmdir(d + "/d"); },
       {},
       ""},
      {"75_rmdir",
       [](const auto& d) { call::mkdir(d + "/d"); },
       [](const auto& d) { return call::rmdir(d + "/d"); },
       {},
       ""},
      {"76_unlink_dir",
       [](const auto& d) { call::mkdir(d + "/d"); },
       [](const auto& d) { return call::unlink(d + "/d"); },
       {},
       ""},
  };
  return table;
}

}  // namespace
