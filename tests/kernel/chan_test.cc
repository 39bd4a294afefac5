// SPDX-License-Identifier: Apache-2.0
// The kernel module against a daemon made for the test: channel, device, mounts and names, without any cluster.
// Runs as root inside a guest with the module loaded; unloads it at the end.   chan_test [SEED [STRESS_SECONDS]]
//
// What breaks if it fails: a daemon's death loses or doubles a change, a killed caller takes memory with it that the
// daemon still reads, a hostile daemon reaches kernel memory, or a mount without a daemon can never be ended.
#include <cubefs/cfs.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <set>
#include <thread>

#include "tests/kernel/kernel_test.h"

namespace cfs::test {
namespace {

constexpr uint32_t kAbi = CFS_ABI_MAJOR << 16 | CFS_ABI_MINOR;

/// A struct of the ABI with bytes after it.
template <typename T>
struct Longer {
  T arg;
  uint64_t tail;
};

// ---- device ----

void attach_rules() {
  int a = open_device(), b = open_device();
  Longer<cfs_attach> at{};
  EXPECT_ERR(ENOTCONN, ioctl(a, CFS_IOC_DRAIN));
  EXPECT_ERR(ENOTTY, ioctl(a, _IO('C', 0x7f)));
  EXPECT_ERR(EINVAL, ioctl(a, CFS_IOC_ATTACH, &at));
  at.arg.len = sizeof(at.arg);
  at.arg.abi = (CFS_ABI_MAJOR + 1) << 16;
  EXPECT_ERR(EPROTONOSUPPORT, ioctl(a, CFS_IOC_ATTACH, &at));
  at.arg.abi = kAbi;
  at.arg.len = sizeof(at);
  at.tail = 1;
  EXPECT_ERR(E2BIG, ioctl(a, CFS_IOC_ATTACH, &at));
  at.tail = 0;
  at.arg.features = ~0ull;
  EXPECT(ioctl(a, CFS_IOC_ATTACH, &at) == 0);
  EXPECT(at.arg.features == CFS_FEAT_ALL && at.arg.nslots > 0 && at.arg.nslots <= CFS_SLOTS_MAX);
  EXPECT_ERR(EBUSY, ioctl(b, CFS_IOC_ATTACH, &at));
  EXPECT_ERR(EBUSY, ioctl(a, CFS_IOC_ATTACH, &at));
  close(a);
  uint64_t before = at.arg.generation;
  at.arg.len = offsetof(cfs_attach, nsessions);  // an older daemon
  EXPECT(ioctl(b, CFS_IOC_ATTACH, &at) == 0);
  EXPECT(at.arg.generation == before);  // not written behind the caller's length
  close(b);
}

void needs_privilege() {
  Task t([] { return setuid(65534) ?: open(CFS_DEV_PATH, O_RDWR); });
  EXPECT(t.wait_for(5) == EACCES);
  chmod(CFS_DEV_PATH, 0666);
  Task u([] { return setuid(65534) ?: open(CFS_DEV_PATH, O_RDWR); });
  EXPECT(u.wait_for(5) == EPERM);
  chmod(CFS_DEV_PATH, 0600);
}

void bad_arguments(int fd, uint32_t session) {
  Longer<cfs_view> v{{sizeof(cfs_view), session, 1u << 20, 0, 0}, 0};
  EXPECT_ERR(EINVAL, ioctl(fd, CFS_IOC_VIEW, &v));
  v.arg.nrows = 1;
  v.arg.rows = 8;
  EXPECT_ERR(EFAULT, ioctl(fd, CFS_IOC_VIEW, &v));
  cfs_dp_row row{};
  row.partition_id = 7;
  v.arg.rows = reinterpret_cast<uintptr_t>(&row);
  EXPECT_ERR(EINVAL, ioctl(fd, CFS_IOC_VIEW, &v));  // no host
  v.arg.len = sizeof(v);
  v.tail = 5;
  EXPECT_ERR(E2BIG, ioctl(fd, CFS_IOC_VIEW, &v));
  cfs_writable w{sizeof(w), session, 99, 0, 0};
  EXPECT_ERR(EINVAL, ioctl(fd, CFS_IOC_WRITABLE, &w));
  w = {sizeof(w), session + 1000, 1, 0, 0};
  EXPECT_ERR(ENODEV, ioctl(fd, CFS_IOC_WRITABLE, &w));
  cfs_node n{};
  n.len = sizeof(n);
  EXPECT_ERR(EINVAL, ioctl(fd, CFS_IOC_NODE, &n));
  cfs_connect c{sizeof(c), 1, CFS_CONN_CLASSES, 0, 0, 0};
  EXPECT_ERR(EINVAL, ioctl(fd, CFS_IOC_CONNECT, &c));
  c.conn_class = 0;
  c.conn_slot = CFS_CONN_SLOTS_MAX;
  EXPECT_ERR(EINVAL, ioctl(fd, CFS_IOC_CLOSE, &c));
  c.conn_slot = 0;
  c.flags = CFS_CLOSE_LOST;
  EXPECT_ERR(EINVAL, ioctl(fd, CFS_IOC_CONNECT, &c));
  EXPECT_ERR(ENOENT, ioctl(fd, CFS_IOC_CLOSE, &c));
  c.flags = 2;
  EXPECT_ERR(EINVAL, ioctl(fd, CFS_IOC_CLOSE, &c));
  cfs_invalidate inv{sizeof(inv), session, 0, 1u << 31, 0};
  EXPECT_ERR(EINVAL, ioctl(fd, CFS_IOC_INVALIDATE, &inv));
}

/// Attaches in this process, which is no daemon: nothing is answered meanwhile.
int attach_here() {
  int fd = open_device();
  cfs_attach a{sizeof(a), kAbi, 0, 0, 0, 0};
  EXPECT(ioctl(fd, CFS_IOC_ATTACH, &a) == 0);
  return fd;
}

void* map(int fd, int prot, int flags, uint64_t offset, size_t len = 4096) {
  return mmap(nullptr, len, prot, flags, fd, offset);
}
#define EXPECT_MAP_ERR(e, ...) \
  (errno = 0,                  \
   map(__VA_ARGS__) == MAP_FAILED && errno == (e) ? void() : fail(__LINE__, "map should be " #e))

void mapping_and_sessions() {
  uint32_t session = ctl().session;
  int other = open_device();
  EXPECT_MAP_ERR(ENOTCONN, other, PROT_READ, MAP_SHARED, CFS_MMAP_PROGRESS);
  close(other);
  int fd = attach_here();
  EXPECT_MAP_ERR(EPERM, fd, PROT_READ | PROT_WRITE, MAP_SHARED, CFS_MMAP_COUNTERS(session));
  EXPECT_MAP_ERR(ENODEV, fd, PROT_READ, MAP_SHARED, CFS_MMAP_COUNTERS(session + 1000));
  EXPECT_MAP_ERR(EINVAL, fd, PROT_READ, MAP_SHARED, CFS_MMAP_COUNTERS(session) + 4096);
  EXPECT_MAP_ERR(EINVAL, fd, PROT_READ, MAP_PRIVATE, CFS_MMAP_PROGRESS);
  EXPECT_MAP_ERR(EINVAL, fd, PROT_READ, MAP_SHARED, 4096);
  EXPECT(map(fd, PROT_READ, MAP_SHARED, CFS_MMAP_PROGRESS, 1 << 30) == MAP_FAILED);
  auto* c = static_cast<const cfs_counters*>(
      map(fd, PROT_READ, MAP_SHARED, CFS_MMAP_COUNTERS(session), sizeof(cfs_counters)));
  EXPECT(c != MAP_FAILED &&
         mprotect(const_cast<cfs_counters*>(c), 4096, PROT_READ | PROT_WRITE) < 0);

  std::vector<uint8_t> buf(65536);
  cfs_sessions s{sizeof(s), 0, 0, 0, 0};
  EXPECT_ERR(ENOSPC, ioctl(fd, CFS_IOC_SESSIONS, &s));
  EXPECT(s.count == 1 && s.need > sizeof(cfs_session_info));
  s.buf = reinterpret_cast<uintptr_t>(buf.data());
  s.buf_len = buf.size();
  EXPECT(ioctl(fd, CFS_IOC_SESSIONS, &s) == 0);
  auto* info = reinterpret_cast<const cfs_session_info*>(buf.data());
  EXPECT(info->session == session);
  EXPECT(std::string(reinterpret_cast<const char*>(info + 1), info->config_len) ==
         "volName=test\nowner=me");
  bad_arguments(fd, session);
  cfs_stats st{};
  st.len = sizeof(st);
  st.session = session;
  EXPECT(ioctl(fd, CFS_IOC_STATS, &st) == 0 && st.requests[CFS_OP_MOUNT] == 1);
  close(fd);
  // the mapping outlives the attachment
  uint64_t seq = c->seq;
  munmap(const_cast<cfs_counters*>(c), sizeof(cfs_counters));
  EXPECT(seq > 0);
}

/// A name that vanished elsewhere is believed until its time is over, or until the daemon says so.
void lifetimes() {
  ctl().valid_ms = 600000;
  uint32_t session = ctl().session;
  struct {
    const char* name;
    uint32_t flags;
    uint64_t ino;
  } cases[] = {{"by-epoch", 0, 0}, {"by-directory", CFS_INV_ENTRIES, kRootIno}};
  for (auto& c : cases) {
    EXPECT(touch(at(c.name)) == 0);
    shared->ns.find(kRootIno, c.name)->ino = 0;
    EXPECT(access(at(c.name).c_str(), F_OK) == 0);
    daemon_process->kill_now();
    EXPECT(access(at(c.name).c_str(), F_OK) == 0);  // no daemon is needed for what is believed
    int fd = attach_here();
    cfs_invalidate inv{sizeof(inv), session, c.ino, c.flags, 0};
    EXPECT(ioctl(fd, CFS_IOC_INVALIDATE, &inv) == 0);
    close(fd);
    new_daemon();
    EXPECT_ERR(ENOENT, access(at(c.name).c_str(), F_OK));
  }
  ctl().valid_ms = 50;
  EXPECT(touch(at("by-time")) == 0);
  shared->ns.find(kRootIno, "by-time")->ino = 0;
  EXPECT(wait_until(5, [] { return access(at("by-time").c_str(), F_OK) < 0 && errno == ENOENT; }));
}

// ---- daemons that die ----

struct Operation {
  const char* name;
  uint32_t op;
  std::function<int()> run;
  std::function<bool()> done;
};

bool exists(const char* name) {
  return shared->ns.find(kRootIno, name) != nullptr;
}

std::vector<Operation> operations() {
  return {
      {"create", CFS_OP_CREATE, [] { return touch(at("new"), O_EXCL); },
       [] { return exists("new"); }},
      {"link", CFS_OP_LINK, [] { return link(at("new").c_str(), at("new2").c_str()); },
       [] { return exists("new2"); }},
      {"rename", CFS_OP_RENAME, [] { return rename(at("new2").c_str(), at("new3").c_str()); },
       [] { return exists("new3") && !exists("new2"); }},
      {"unlink", CFS_OP_UNLINK, [] { return unlink(at("new3").c_str()); },
       [] { return !exists("new3"); }},
      {"mkdir", CFS_OP_CREATE, [] { return mkdir(at("newdir").c_str(), 0755); },
       [] { return exists("newdir"); }},
      {"rmdir", CFS_OP_UNLINK, [] { return rmdir(at("newdir").c_str()); },
       [] { return !exists("newdir"); }},
      {"lookup", CFS_OP_LOOKUP, [] { return access(at("new").c_str(), F_OK); },
       [] { return true; }},
      {"unlink", CFS_OP_UNLINK, [] { return unlink(at("new").c_str()); },
       [] { return !exists("new"); }},
  };
}

/// SIGKILL with the request in flight; the next daemon gets it and finishes it.
void killed_daemon() {
  for (auto& o : operations()) {
    ctl().hold_op = o.op;
    Task t(o.run);
    EXPECT(wait_until(5, [] { return ctl().held == 1; }));
    uint32_t resumed = ctl().resumed;
    daemon_process->kill_now();
    EXPECT(t.wait_for(0.1) == -1);
    ctl().hold_op = 0;
    new_daemon();
    EXPECT(t.wait_for(10) == 0 && o.done());
    EXPECT(ctl().resumed == resumed + 1 && ctl().sessions == 1);
  }
}

/// The daemon dies at each step of each change: none fails, none happens twice, the record tells how far it came.
void dies_at_every_step() {
  for (uint32_t step = 1; step <= 3; step++) {
    for (auto& o : operations()) {
      if (o.op == CFS_OP_LOOKUP) continue;
      uint32_t records = ctl().records;
      ctl().die_point = step;
      ctl().die_op = o.op;
      Task t(o.run);
      daemon_process->reap();
      new_daemon();
      EXPECT(t.wait_for(10) == 0 && o.done());
      EXPECT(ctl().records == records + (step > 1));
    }
  }
}

/// Queued while no daemon is there, delivered to the first that comes; not resumed, since nobody had it.
void queued_without_daemon() {
  daemon_process->kill_now();
  uint32_t resumed = ctl().resumed;
  Task t([] { return touch(at("queued")); });
  EXPECT(t.wait_for(0.3) == -1);
  new_daemon();
  EXPECT(t.wait_for(10) == 0 && ctl().resumed == resumed);
  EXPECT(unlink(at("queued").c_str()) == 0);
}

// ---- callers that die ----

void killed_callers() {
  // undelivered: withdrawn
  daemon_process->kill_now();
  uint64_t creates = ctl().seen[CFS_OP_CREATE], lookups = ctl().seen[CFS_OP_LOOKUP];
  Task t([] { return mkdir(at("withdrawn").c_str(), 0755); });
  EXPECT(t.wait_for(0.2) == -1);
  t.kill_now();
  EXPECT(t.wait_for(5) == -2);
  new_daemon();
  EXPECT(ctl().seen[CFS_OP_CREATE] == creates && ctl().seen[CFS_OP_LOOKUP] == lookups);
  // delivered: dies at once, the daemon finishes
  ctl().hold_op = CFS_OP_CREATE;
  Task u([] { return mkdir(at("finished").c_str(), 0755); });
  EXPECT(wait_until(5, [] { return ctl().held == 1; }));
  double start = now();
  u.kill_now();
  EXPECT(u.wait_for(5) == -2 && now() - start < 2);
  ctl().hold_op = 0;
  EXPECT(wait_until(5, [] { return exists("finished"); }));
  EXPECT(rmdir(at("finished").c_str()) == 0);
}

/// Caller and daemon die, in the middle of a change: the next daemon must finish it, for nobody.
void killed_both() {
  ctl().hold_op = CFS_OP_CREATE;
  Task t([] { return mkdir(at("both").c_str(), 0755); });
  EXPECT(wait_until(5, [] { return ctl().held == 1; }));
  t.kill_now();
  EXPECT(t.wait_for(5) == -2);
  uint32_t forgets = ctl().forgets;
  daemon_process->kill_now();
  ctl().hold_op = 0;
  new_daemon();
  EXPECT(wait_until(5, [&] { return ctl().forgets == forgets + 1 && exists("both"); }));
  EXPECT(rmdir(at("both").c_str()) == 0);
}

/// The reserve: with every user slot and command taken, evictions still get through.
void full_channel() {
  int fd = open(at("reserved").c_str(), O_RDWR | O_CREAT, 0600);
  EXPECT(fd >= 0 && unlink(at("reserved").c_str()) == 0);
  ctl().hold_op = CFS_OP_STATFS;
  struct statfs st;
  std::vector<std::unique_ptr<Task>> tasks;
  for (int i = 0; i < 40; i++)
    tasks.push_back(std::make_unique<Task>([&] { return close(fd) ?: statfs(kMnt, &st); }));
  EXPECT(wait_until(20, [] { return ctl().held >= 14; }));
  uint64_t evicted = ctl().seen[CFS_OP_EVICT];
  close(fd);
  EXPECT(wait_until(5, [&] { return ctl().seen[CFS_OP_EVICT] == evicted + 1; }));
  ctl().hold_op = 0;
  for (auto& t : tasks) EXPECT(t->wait_for(20) == 0);
}

// ---- daemons that lie ----

void bad_answers() {
  struct {
    Bad bad;
    int err, cqe_error;
  } cases[] = {{Bad::kShort, EPROTO, 0},     {Bad::kLong, EPROTO, 0},
               {Bad::kInsaneRes, EPROTO, 0}, {Bad::kWrongId, 0, -ENOENT},
               {Bad::kBadType, EPROTO, 0},   {Bad::kBadPointer, 0, -EFAULT}};
  EXPECT(touch(at("truth")) == 0);
  for (auto& c : cases) {
    ctl().cqe_error = 0;
    ctl().bad_op = CFS_OP_LOOKUP;
    ctl().bad = c.bad;
    errno = 0;
    int rc = access(at("truth").c_str(), F_OK);
    bool as_expected = c.err ? rc < 0 && errno == c.err : rc == 0;
    if (!as_expected) printf("  bad answer %u: rc %d errno %d\n", unsigned(c.bad), rc, errno);
    EXPECT(as_expected);
    EXPECT(ctl().cqe_error == c.cqe_error);
    ctl().bad = Bad::kNone;
    EXPECT(access(at("truth").c_str(), F_OK) == 0);
  }
  EXPECT(unlink(at("truth").c_str()) == 0);
}

/// Lists that do not fit together are refused, none makes the kernel loop.
void bad_lists() {
  EXPECT(mkdir(at("list").c_str(), 0755) == 0);
  uint64_t dir = stat_of(at("list")).st_ino;
  for (int i = 0; i < 5; i++) shared->ns.make_entry(dir, "n" + std::to_string(i), 5000 + i);
  ctl().bad_op = CFS_OP_READDIR;
  for (Bad bad : {Bad::kShort, Bad::kLong, Bad::kInsaneRes}) {
    ctl().bad = bad;
    EXPECT(names_in(at("list")).empty());
  }
  ctl().bad = Bad::kNone;
  EXPECT(names_in(at("list")).size() == 5);
  for (const char* name : {"a/b", ".", "..", "nul"}) {
    shared->ns.make_entry(dir, name[0] == 'n' ? std::string_view("n\0l", 3) : name, 6000);
    EXPECT(names_in(at("list")).empty());
    for (const Entry* e : shared->ns.list(dir, ""))
      if (e->ino == 6000) const_cast<Entry*>(e)->ino = 0;
  }
  for (const Entry* e : shared->ns.list(dir, "")) const_cast<Entry*>(e)->ino = 0;
  EXPECT(rmdir(at("list").c_str()) == 0);
}

/// Orderly end: parked commands come back, what is in hand can still be answered, the mount stays.
void drains() {
  ctl().hold_op = CFS_OP_LOOKUP;
  Task t([] { return touch(at("drained")); });
  EXPECT(wait_until(5, [] { return ctl().held == 1; }));
  ctl().drained = 0;
  ctl().stop = true;
  EXPECT(wait_until(5, [] { return ctl().drained == 15; }));
  ctl().hold_op = 0;
  EXPECT(daemon_process->stop() == 0 && ctl().drained == 16);
  EXPECT(t.wait_for(0.2) == -1);  // the create that follows the lookup waits for the next daemon
  new_daemon();
  EXPECT(t.wait_for(10) == 0 && unlink(at("drained").c_str()) == 0);
}

// ---- stress ----

/// One process, its own directory: random changes, compared with a model after each.
int stress_worker(int id, uint32_t seed, double seconds) {
  std::mt19937 rnd(seed + id);
  std::string dir = at("stress-" + std::to_string(id));
  std::set<std::string> model;
  if (mkdir(dir.c_str(), 0755)) return -1;
  auto path = [&](const std::string& n) { return dir + "/" + n; };
  double end = now() + seconds;
  while (now() < end) {
    std::string a = "f" + std::to_string(rnd() % 20), b = "f" + std::to_string(rnd() % 20);
    bool has_a = model.count(a);
    int rc = 0, expected = 0;
    switch (rnd() % 4) {
      case 0:
        rc = touch(path(a), O_EXCL);
        expected = has_a ? EEXIST : 0;
        model.insert(a);
        break;
      case 1:
        rc = unlink(path(a).c_str());
        expected = has_a ? 0 : ENOENT;
        model.erase(a);
        break;
      case 2:
        rc = access(path(a).c_str(), F_OK);
        expected = has_a ? 0 : ENOENT;
        break;
      case 3:
        rc = rename(path(a).c_str(), path(b).c_str());
        expected = has_a ? 0 : ENOENT;
        if (has_a && a != b) model.erase(a), model.insert(b);
    }
    if ((rc ? errno : 0) != expected) {
      printf("  worker %d: %s %s: errno %d, not %d\n", id, a.c_str(), b.c_str(), rc ? errno : 0,
             expected);
      return errno = EIO, -1;
    }
  }
  auto names = names_in(dir);
  if (std::set(names.begin(), names.end()) != model || names.size() != model.size())
    return errno = EBADF, -1;
  for (auto& n : model) unlink(path(n).c_str());
  return rmdir(dir.c_str());
}

void stress(uint32_t seed, double seconds) {
  std::mt19937 rnd(seed);
  std::vector<std::unique_ptr<Task>> workers;
  for (int i = 0; i < 4; i++)
    workers.push_back(std::make_unique<Task>([=] { return stress_worker(i, seed, seconds); }));
  int kills = 0;
  for (double end = now() + seconds; now() < end; kills++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50 + rnd() % 400));
    if (rnd() % 4)
      daemon_process->kill_now();
    else
      daemon_process->stop();
    new_daemon(1 + rnd() % 24);
  }
  for (auto& w : workers) EXPECT(w->wait_for(60) == 0);
  printf("  %d daemons, %u requests resumed\n", kills, ctl().resumed.load());
  EXPECT(kills > 0 && ctl().held == 0);
  new_daemon();
}

// ---- ends ----

void unmounts() {
  EXPECT(umount(kMnt) == 0);
  EXPECT(wait_until(5, [] { return ctl().seen[CFS_OP_UNMOUNT] == 1; }));
  EXPECT(shared->ns.node_count() > 0);
}

void mount_fails() {
  // the answer is not a directory: everything made so far is undone
  ctl().bad_op = CFS_OP_MOUNT;
  ctl().bad = Bad::kShort;
  EXPECT_ERR(EPROTO, mount_default());
  ctl().bad = Bad::kNone;
  EXPECT_ERR(EINVAL, mount_with({{"deadline", "0"}}));
  EXPECT_ERR(EINVAL, mount_with({{"nonsense", "1"}}));
  EXPECT_ERR(EINVAL, mount_with({{"config", "two\nlines"}}));
  ctl().hold_op = CFS_OP_MOUNT;
  Task t([] { return mount_default(); });
  EXPECT(wait_until(5, [] { return ctl().held == 1; }));
  t.kill_now();
  EXPECT(t.wait_for(10) == -2);
  ctl().hold_op = 0;
  EXPECT(wait_until(5, [] { return ctl().held == 0; }));
}

/// Without a daemon: a limit, then an error; and an end that does not wait.
void limits_without_daemon() {
  EXPECT(mount_with({{"config", "volName=test"}, {"deadline", "2"}, {"crc", "off"}}) == 0);
  char line[256] = {};
  bool shown = false;
  FILE* mounts = fopen("/proc/mounts", "r");
  while (fgets(line, sizeof(line), mounts))
    shown |= strstr(line, kMnt) && strstr(line, "test@fake") && strstr(line, "crc=off,deadline=2");
  fclose(mounts);
  EXPECT(shown);
  EXPECT(mount(nullptr, kMnt, nullptr, MS_REMOUNT | MS_RDONLY, "") == 0);
  EXPECT_ERR(EROFS, touch(at("read-only")));
  EXPECT(mount(nullptr, kMnt, nullptr, MS_REMOUNT, "") == 0);
  EXPECT(touch(at("left")) == 0 && unlink(at("left").c_str()) == 0);
  int fd = open(at("orphan").c_str(), O_RDWR | O_CREAT, 0600);
  EXPECT(unlink(at("orphan").c_str()) == 0);
  daemon_process->kill_now();
  double start = now();
  EXPECT_ERR(ETIMEDOUT, mkdir(at("late").c_str(), 0755));
  EXPECT(now() - start > 1.5 && now() - start < 10);
  close(fd);  // its eviction finds no daemon
  start = now();
  EXPECT(umount(kMnt) == 0 && now() - start < 5);
  EXPECT_ERR(ETIMEDOUT, mount_with({{"config", "volName=test"}, {"deadline", "1"}}));
  new_daemon();
}

void forced_unmount() {
  ctl().valid_ms = 600000;  // the root can be opened without a daemon
  EXPECT(mount_default() == 0);
  daemon_process->kill_now();
  int fd = open(kMnt, O_RDONLY | O_DIRECTORY);
  Task t([] { return mkdir(at("stuck").c_str(), 0755); });
  EXPECT(t.wait_for(0.2) == -1);
  double start = now();
  umount2(kMnt, MNT_FORCE);  // busy: fails, but ends what waits
  EXPECT(t.wait_for(5) == EIO);
  struct statfs st;
  EXPECT_ERR(EIO, fstatfs(fd, &st));
  close(fd);
  EXPECT(umount2(kMnt, MNT_FORCE) == 0 && now() - start < 5);
  new_daemon();
}

/// A file with a dirty page that cannot be written, since no data node is known; nothing has it open.
void leave_dirty_page() {
  int fd = open(at("dirty").c_str(), O_RDWR | O_CREAT, 0600);
  EXPECT(fd >= 0 && ftruncate(fd, 4096) == 0);
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  EXPECT(page != MAP_FAILED);
  close(fd);  // while it is clean: a close waits for what was written
  *static_cast<volatile char*>(page) = 1;
  munmap(page, 4096);
}

/// umount(8) cannot name a mount whose unmount has begun: it must come to an end without that.
void stuck_unmounts() {
  EXPECT(mount_with({{"config", "volName=test"}, {"deadline", "2"}}) == 0);
  leave_dirty_page();
  daemon_process->kill_now();
  usleep(
      3'000'000);  // the deadline counts from the unmount: a daemon that comes now may still save the page
  double start = now();
  Task expires([] { return umount(kMnt); });
  EXPECT(expires.wait_for(1.7) == -1);
  EXPECT(expires.wait_for(10) == 0 && now() - start < 8);
  new_daemon();

  EXPECT(mount_default() == 0);
  leave_dirty_page();
  Task aborted([] { return umount(kMnt); });  // the daemon is there, the servers are not
  EXPECT(aborted.wait_for(1) == -1);
  int fd = open_device();
  cfs_abort order{sizeof(order), 0, 0, 1};
  EXPECT_ERR(EINVAL, ioctl(fd, CFS_IOC_ABORT, &order));
  order.reserved = 0;
  start = now();
  EXPECT(ioctl(fd, CFS_IOC_ABORT, &order) == 0 && order.count == 1);
  EXPECT(aborted.wait_for(5) == 0 && now() - start < 5);
  EXPECT(ioctl(fd, CFS_IOC_ABORT, &order) == 0 && order.count == 0);
  close(fd);
}

/// A daemon that holds a request of a mount that was ended by force answers late: nothing happens.
void late_answer() {
  EXPECT(mount_default() == 0);
  ctl().hold_op = CFS_OP_CREATE;
  Task t([] { return mkdir(at("stuck").c_str(), 0755); });
  EXPECT(wait_until(5, [] { return ctl().held == 1; }));
  // busy, unless the caller that it frees is gone in time
  bool unmounted = umount2(kMnt, MNT_FORCE) == 0;
  EXPECT(t.wait_for(5) == EIO);
  EXPECT(unmounted || umount2(kMnt, MNT_FORCE) == 0);
  ctl().cqe_error = 0;
  ctl().hold_op = 0;
  EXPECT(wait_until(5, [] { return ctl().held == 0; }));
  EXPECT(mount_default() == 0 && touch(at("after")) == 0 && ctl().cqe_error == 0);
  EXPECT(umount(kMnt) == 0);
}

void unloads() {
  EXPECT(mount_default() == 0);
  EXPECT_ERR(EAGAIN, syscall(SYS_delete_module, "cubefs", O_NONBLOCK));
  EXPECT(umount(kMnt) == 0);
  EXPECT(daemon_process->stop() == 0);
  daemon_process.reset();
  EXPECT(wait_until(10, [] { return syscall(SYS_delete_module, "cubefs", O_NONBLOCK) == 0; }));
}

int run_all(uint32_t seed, double stress_seconds) {
  run("attach", attach_rules);
  run("privilege", needs_privilege);
  new_daemon();
  run("mount fails", mount_fails);
  EXPECT(mount_default() == 0);
  ctl().seen[CFS_OP_UNMOUNT] = 0;
  run_names_tests();
  run_cost_tests();
  run_acl_tests();
  run_handle_tests();
  run("bad answers", bad_answers);
  run("bad lists", bad_lists);
  run("killed daemon", killed_daemon);
  run("dies at every step", dies_at_every_step);
  run("queued without daemon", queued_without_daemon);
  run("killed callers", killed_callers);
  run("killed both", killed_both);
  run("full channel", full_channel);
  run("drains", drains);
  run("lifetimes", lifetimes);
  run("stress", [=] { stress(seed, stress_seconds); });
  daemon_process->kill_now();
  run("mappings and sessions", mapping_and_sessions);
  new_daemon();
  run("unmounts", unmounts);
  run("limits without daemon", limits_without_daemon);
  run("forced unmount", forced_unmount);
  run("stuck unmounts", stuck_unmounts);
  run("late answer", late_answer);
  run("unloads", unloads);
  return failures ? 1 : 0;
}

}  // namespace
}  // namespace cfs::test

int main(int argc, char** argv) {
  uint32_t seed = argc > 1 ? strtoul(argv[1], nullptr, 0) : std::random_device{}();
  double stress_seconds = argc > 2 ? atof(argv[2]) : 10;
  if (access(CFS_DEV_PATH, F_OK)) {
    printf("skipped: the module is not loaded\n");
    return 77;
  }
  printf("seed %u\n", seed);
  setvbuf(stdout, nullptr, _IOLBF, 0);
  cfs::test::shared = cfs::test::make_shared_state();
  return cfs::test::run_all(seed, stress_seconds);
}
