// SPDX-License-Identifier: Apache-2.0
#include "tests/kernel/fake_daemon.h"

#include <fcntl.h>
#include <liburing.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <thread>

namespace cfs::test {
namespace {

constexpr uint32_t kRecordMagic = 0x50524f47;

/// What this daemon keeps in a progress record.
struct Record {
  uint32_t magic;
  uint32_t op;
  uint64_t ino;
};
static_assert(sizeof(Record) <= CFS_PROGRESS_BYTES);

[[noreturn]] void die(const char* what, int err = errno) {
  fprintf(stderr, "fake daemon: %s: %s\n", what, strerror(err));
  _exit(2);
}

bool is_repeatable(uint32_t op) {
  return op != CFS_OP_CREATE && op != CFS_OP_UNLINK && op != CFS_OP_RENAME && op != CFS_OP_LINK &&
         op != CFS_OP_TMPFILE;
}

/// A request with its byte strings, and the answer to it.
struct Exchange {
  cfs_req req;
  std::string_view name, name2, data;
  Record* record;
  int res = 0;
  std::vector<uint8_t> reply;

  template <typename T>
  void answer(const T& value) {
    reply.resize(sizeof(value));
    memcpy(reply.data(), &value, sizeof(value));
  }
};

/// One process: the operations on the namespace.
class Server {
 public:
  Server(Shared* shared) : ns_(shared->ns), ctl_(shared->control) {}

  void serve(Exchange& x) {
    switch (x.req.op) {
      case CFS_OP_MOUNT:
        return mount(x);
      case CFS_OP_STATFS:
        return statfs(x);
      case CFS_OP_LOOKUP:
        return lookup(x);
      case CFS_OP_GETATTR:
        return getattr(x, x.req.ino);
      case CFS_OP_SETATTR:
        return setattr(x);
      case CFS_OP_TRUNCATE:
        return truncate(x);
      case CFS_OP_READDIR:
        return readdir(x);
      case CFS_OP_CREATE:
        return create(x);
      case CFS_OP_TMPFILE:
        return tmpfile(x);
      case CFS_OP_UNLINK:
        return unlink(x);
      case CFS_OP_RENAME:
        return rename(x);
      case CFS_OP_LINK:
        return link(x);
      case CFS_OP_READLINK:
        return readlink(x);
      case CFS_OP_GETXATTR:
        return getxattr(x);
      case CFS_OP_SETXATTR:
        return setxattr(x);
      case CFS_OP_LISTXATTR:
        return listxattr(x);
      case CFS_OP_REMOVEXATTR:
        return removexattr(x);
      case CFS_OP_EXTENTS:
        return extents(x);
      case CFS_OP_EVICT:
        return evict(x);
      case CFS_OP_UNMOUNT:
      case CFS_OP_EVENT:
        return;
    }
    x.res = -EOPNOTSUPP;
  }

 private:
  void point(const Exchange& x, uint32_t which) {
    if (ctl_.die_op != x.req.op || ctl_.die_point != which) return;
    ctl_.die_op = 0;
    kill(getpid(), SIGKILL);
  }

  void attr(Exchange& x, const Node& n) {
    cfs_attr a = ns_.attr(n);
    a.entry_valid_ms = a.attr_valid_ms = ctl_.valid_ms;
    x.answer(a);
  }

  /// The record as a former daemon left it, or a new one for `ino`. Returns the inode it names.
  uint64_t begin(Exchange& x, uint64_t ino) {
    point(x, 1);
    if (!(x.req.flags & CFS_REQ_F_RESUMED) || x.record->magic != kRecordMagic)
      *x.record = Record{kRecordMagic, x.req.op, ino};
    point(x, 2);
    return x.record->ino;
  }

  void mount(Exchange& x) {
    cfs_mount_reply r{};
    r.len = sizeof(r);
    r.storage_class = 1;
    r.root = ns_.attr(*ns_.find(kRootIno));
    r.root.entry_valid_ms = r.root.attr_valid_ms = ctl_.valid_ms;
    r.fsid = 0x1122334455667788;
    x.answer(r);
  }

  void statfs(Exchange& x) { x.answer(cfs_statfs{1ull << 40, 1ull << 30, ns_.node_count(), 0}); }

  void lookup(Exchange& x) {
    ctl_.last_lookup = x.req;
    const Entry* e = ns_.find(x.req.ino, x.name);
    if (!e) {
      x.res = -ENOENT;
      return;
    }
    getattr(x, e->ino);
    const Node* n = ns_.find(e->ino);
    if (n && S_ISREG(n->mode) && x.req.lookup.flags & CFS_LOOKUP_EXTENTS) bring_extents(x, *n);
  }

  /// An empty list behind the attributes.
  static void bring_extents(Exchange& x, const Node& n) {
    const cfs_extents list{n.gen, n.size, 0, 1};
    reinterpret_cast<cfs_attr*>(x.reply.data())->flags |= CFS_ATTR_EXTENTS;
    const auto* bytes = reinterpret_cast<const uint8_t*>(&list);
    x.reply.insert(x.reply.end(), bytes, bytes + sizeof(list));
  }

  void getattr(Exchange& x, uint64_t ino) {
    const Node* n = ns_.find(ino);
    if (n) return attr(x, *n);
    x.res = -ENOENT;
  }

  void setattr(Exchange& x) {
    ctl_.last_setattr = x.req;
    Node* n = ns_.find(x.req.ino);
    if (!n) {
      x.res = -ENOENT;
      return;
    }
    const auto& s = x.req.setattr;
    if (s.valid & CFS_SA_MODE) n->mode = s.mode;
    if (s.valid & CFS_SA_UID) n->uid = s.uid;
    if (s.valid & CFS_SA_GID) n->gid = s.gid;
    if (s.valid & CFS_SA_MTIME) n->mtime = s.mtime;
    if (s.valid & CFS_SA_ATIME) n->atime = s.atime;
    if (!(x.req.flags & CFS_REQ_F_KNOWN)) attr(x, *n);
  }

  void truncate(Exchange& x) {
    Node* n = ns_.find(x.req.ino);
    if (n) n->size = x.req.truncate.size;
    getattr(x, x.req.ino);
  }

  void readdir(Exchange& x) {
    auto entries = ns_.list(x.req.ino, x.name);
    uint32_t limit = std::min(x.req.readdir.limit, 100u);  // many pages
    x.res = entries.size() > limit ? int(limit) : int(entries.size()) | CFS_READDIR_EOF;
    if (entries.size() > limit) entries.resize(limit);
    for (const Entry* e : entries) {
      cfs_dirent d{};
      d.reclen = (sizeof(d) + e->name_len + 7) / 8 * 8;
      d.name_len = e->name_len;
      d.ino = e->ino;
      if (const Node* n = ns_.find(e->ino)) {
        d.type = n->mode & S_IFMT;
        if (ctl_.list_attrs) d.attr = ns_.attr(*n);
        if (ctl_.list_security && std::none_of(std::begin(n->xattrs), std::end(n->xattrs),
                                               [](const Xattr& a) { return a.name[0] != 0; }))
          d.attr.flags |= CFS_ATTR_NO_SECURITY;
        d.attr.entry_valid_ms = d.attr.attr_valid_ms = ctl_.valid_ms;
      }
      size_t at = x.reply.size();
      x.reply.resize(at + d.reclen);
      memcpy(&x.reply[at], &d, sizeof(d));
      memcpy(&x.reply[at] + sizeof(d), e->name, e->name_len);
    }
  }

  void create(Exchange& x) {
    ctl_.last_create = x.req;
    const Entry* e = ns_.find(x.req.ino, x.name);
    const bool made = (x.req.create.flags & CFS_CREATE_MADE) != 0;
    cfs_attr ahead{};
    if (made) {
      memcpy(&ahead, x.data.data(), std::min(x.data.size(), sizeof(ahead)));
      x.data = {};
      ctl_.ahead_used++;
    }
    uint64_t ino = begin(x, e ? 0 : made ? ahead.ino : ns_.reserve_ino());
    if (e && e->ino != ino) {
      x.res = -EEXIST;
      return;
    }
    Node* n = ns_.make_node(ino, x.req.create.mode, x.req.uid, x.req.create.gid);
    memcpy(n->target, x.data.data(), std::min(x.data.size(), sizeof(n->target)));
    if (S_ISLNK(n->mode)) n->size = x.data.size();
    if (!e) ns_.make_entry(x.req.ino, x.name, ino);
    point(x, 3);
    attr(x, *n);
    if ((x.req.create.flags & CFS_CREATE_AHEAD) == 0) return;
    const Node* next = ns_.make_node(0, x.req.create.mode, x.req.uid, x.req.create.gid);
    cfs_attr answer[2];
    memcpy(&answer[0], x.reply.data(), sizeof(answer[0]));
    answer[0].flags |= CFS_ATTR_AHEAD;
    answer[1] = ns_.attr(*next);
    answer[1].nlink = 1;
    x.answer(answer);
    ctl_.ahead_made++;
  }

  void tmpfile(Exchange& x) {
    uint64_t ino = begin(x, ns_.reserve_ino());
    attr(x, *ns_.make_node(ino, x.req.create.mode, x.req.uid, x.req.create.gid));
  }

  void unlink(Exchange& x) {
    Entry* e = ns_.find(x.req.ino, x.name);
    uint64_t ino = begin(x, e ? e->ino : 0);
    Node* n = ns_.find(ino);
    if (!n) {
      x.res = -ENOENT;
      return;
    }
    if (S_ISDIR(n->mode) && !ns_.is_empty(ino)) {
      x.res = -ENOTEMPTY;
      return;
    }
    if (e && e->ino == ino) e->ino = 0;
    point(x, 3);
    attr(x, *n);
    if ((x.req.unlink.flags & CFS_UNLINK_LATER) == 0) return;
    x.res = CFS_UNLINK_LEFT;
    ctl_.links_left++;
  }

  void rename(Exchange& x) {
    ctl_.last_rename = x.req;
    Entry* from = ns_.find(x.req.ino, x.name);
    Entry* to = ns_.find(x.req.rename.new_dir, x.name2);
    uint64_t over = begin(x, to ? to->ino : 0);
    uint64_t child = x.req.rename.child;
    bool moved = to && to->ino == child;
    if (!moved && !from) {
      x.res = -ENOENT;
      return;
    }
    if (!moved && to && x.req.rename.flags & CFS_RENAME_NOREPLACE) {
      x.res = -EEXIST;
      return;
    }
    if (!moved && to) to->ino = child;
    if (!to) ns_.make_entry(x.req.rename.new_dir, x.name2, child);
    if (from && from->ino == child) from->ino = 0;
    point(x, 3);
    cfs_attr a{};
    if (Node* n = over && over != child ? ns_.find(over) : nullptr) a = ns_.attr(*n);
    a.entry_valid_ms = ctl_.valid_ms;
    x.answer(a);
  }

  void link(Exchange& x) {
    const Entry* e = ns_.find(x.req.link.dir, x.name);
    uint64_t ino = begin(x, e ? 0 : x.req.ino);
    if (e && e->ino != ino) {
      x.res = -EEXIST;
      return;
    }
    if (!e) ns_.make_entry(x.req.link.dir, x.name, ino);
    point(x, 3);
    getattr(x, x.req.ino);
  }

  void readlink(Exchange& x) {
    const Node* n = ns_.find(x.req.ino);
    if (!n) {
      x.res = -ENOENT;
      return;
    }
    x.reply.assign(n->target, n->target + n->size);
  }

  Xattr* xattr_of(Exchange& x, std::string_view name) {
    if (Node* n = ns_.find(x.req.ino))
      for (Xattr& a : n->xattrs)
        if (name == a.name) return &a;
    return nullptr;
  }

  /// Of the request; answers the request when it does not exist.
  Xattr* known_xattr(Exchange& x) {
    if (ctl_.refuse_xattrs) {
      x.res = -ctl_.refuse_xattrs;
      return nullptr;
    }
    Xattr* a = xattr_of(x, x.name);
    if (!a) x.res = -ENODATA;
    return a;
  }

  void getxattr(Exchange& x) {
    if (const Xattr* a = known_xattr(x)) x.reply.assign(a->value, a->value + a->len);
  }

  void setxattr(Exchange& x) {
    if (ctl_.refuse_xattrs) {
      x.res = -ctl_.refuse_xattrs;
      return;
    }
    Xattr* a = xattr_of(x, x.name);
    if (!a) a = xattr_of(x, "");
    if (!a || x.name.size() >= sizeof(a->name) || x.data.size() > sizeof(a->value)) {
      x.res = -ENOSPC;
      return;
    }
    memset(a->name, 0, sizeof(a->name));
    memcpy(a->name, x.name.data(), x.name.size());
    memcpy(a->value, x.data.data(), x.data.size());
    a->len = x.data.size();
  }

  void listxattr(Exchange& x) {
    const std::string_view hidden("oss:private\0", 12);
    x.reply.assign(hidden.begin(), hidden.end());
    if (const Node* n = ns_.find(x.req.ino))
      for (const Xattr& a : n->xattrs)
        if (a.name[0]) x.reply.insert(x.reply.end(), a.name, a.name + strlen(a.name) + 1);
  }

  void removexattr(Exchange& x) {
    if (Xattr* a = known_xattr(x)) *a = Xattr{};
  }

  void extents(Exchange& x) {
    const Node* n = ns_.find(x.req.ino);
    x.answer(cfs_extents{n ? n->gen : 1, n ? n->size : 0, 0, 1});
  }

  void evict(Exchange& x) {
    if ((x.req.evict.flags & CFS_EVICT_UNLINK) != 0) ctl_.links_taken++;
    if (!ns_.links(x.req.ino)) ns_.remove_node(x.req.ino);
  }

  Namespace& ns_;
  Control& ctl_;
};

/// One process: the channel.
class Channel {
 public:
  Channel(Shared* shared, unsigned depth) : server_(shared), ctl_(shared->control), slots_(depth) {}

  int run() {
    attach();
    io_uring_params p{};
    p.flags = IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    if (int rc = io_uring_queue_init_params(slots_.size() * 2, &ring_, &p)) die("io_uring", -rc);
    for (size_t i = 0; i < slots_.size(); i++) {
      slots_[i].buf.resize(CFS_REQ_BYTES_MAX);
      fetch(i);
    }
    parked_ = slots_.size();
    io_uring_submit(&ring_);
    ctl_.ready = true;
    while (parked_) turn();
    io_uring_queue_exit(&ring_);
    return 0;
  }

 private:
  struct Slot {
    std::vector<uint8_t> buf;
    Exchange x;
    bool held = false;
    bool again = false;  // answer was refused on purpose: now the right one
  };

  void attach() {
    fd_ = open_device();
    cfs_attach a{};
    a.len = sizeof(a);
    a.abi = CFS_ABI_MAJOR << 16 | CFS_ABI_MINOR;
    a.features = CFS_FEAT_ALL;
    if (ioctl(fd_, CFS_IOC_ATTACH, &a)) die("attach");
    ctl_.sessions = a.nsessions;
    ctl_.generation = a.generation;
    void* p = mmap(nullptr, size_t{a.nslots} * CFS_PROGRESS_BYTES, PROT_READ | PROT_WRITE,
                   MAP_SHARED, fd_, CFS_MMAP_PROGRESS);
    if (p == MAP_FAILED) die("mmap progress");
    progress_ = static_cast<uint8_t*>(p);
  }

  // liburing 2.3 has no helper for commands
  void submit(size_t slot, uint32_t op, const cfs_uring_cmd& cmd) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (!sqe) die("submission queue", EBUSY);
    memset(static_cast<void*>(sqe), 0, 2 * sizeof(*sqe));
    sqe->opcode = IORING_OP_URING_CMD;
    sqe->fd = fd_;
    sqe->cmd_op = op;
    sqe->user_data = slot;
    memcpy(sqe->cmd, &cmd, sizeof(cmd));
  }

  cfs_uring_cmd command(size_t slot) {
    cfs_uring_cmd cmd{};
    cmd.buf = reinterpret_cast<uintptr_t>(slots_[slot].buf.data());
    cmd.buf_len = slots_[slot].buf.size();
    return cmd;
  }

  void fetch(size_t slot) { submit(slot, CFS_URING_FETCH, command(slot)); }

  void turn() {
    if (ctl_.stop && !draining_) {
      if (ioctl(fd_, CFS_IOC_DRAIN)) die("drain");
      draining_ = true;
    }
    for (size_t i = 0; i < slots_.size(); i++)
      if (slots_[i].held && slots_[i].x.req.op != ctl_.hold_op) answer(i);
    __kernel_timespec ts{0, 20000000};
    io_uring_cqe* cqe;
    int rc = io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &ts, nullptr);
    if (rc < 0 && rc != -ETIME && rc != -EINTR) die("wait", -rc);
    unsigned head, n = 0;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      completed(cqe->user_data, cqe->res);
      n++;
    }
    io_uring_cq_advance(&ring_, n);
  }

  void completed(size_t slot, int res) {
    if (res == -ESHUTDOWN) {
      ctl_.drained++;
      parked_--;
      return;
    }
    if (res < 0) {
      ctl_.cqe_error = res;
      if (slots_[slot].again) return answer(slot);
      return fetch(slot);
    }
    take(slot);
  }

  void take(size_t slot) {
    Slot& s = slots_[slot];
    s.x = Exchange{};
    memcpy(&s.x.req, s.buf.data(), sizeof(cfs_req));
    const cfs_req& r = s.x.req;
    const char* p = reinterpret_cast<const char*>(s.buf.data()) + sizeof(r);
    s.x.name = {p, r.name_len};
    s.x.name2 = {p + r.name_len, r.name2_len};
    s.x.data = {p + r.name_len + r.name2_len, r.data_len};
    s.x.record = reinterpret_cast<Record*>(progress_ + size_t{r.slot} * CFS_PROGRESS_BYTES);
    observe(s.x);
    if (r.op == ctl_.hold_op) {
      s.held = true;
      ctl_.held++;
      return;
    }
    answer(slot);
  }

  void observe(const Exchange& x) {
    ctl_.seen[x.req.op % 32]++;
    if (x.req.session) ctl_.session = x.req.session;
    if (x.req.flags & CFS_REQ_F_RESUMED) {
      // an eviction of a former test may be under way at any time
      if (x.req.op != CFS_OP_EVICT) ctl_.resumed++;
      if (x.record->magic == kRecordMagic && x.record->op == x.req.op) ctl_.records++;
    } else if (x.record->magic) {
      die("progress record of a new request is not empty", EPROTO);
    }
    if (x.req.flags & CFS_REQ_F_FORGET && !is_repeatable(x.req.op)) ctl_.forgets++;
  }

  void answer(size_t slot) {
    Slot& s = slots_[slot];
    if (s.held) ctl_.held--;
    s.held = false;
    if (!s.again) server_.serve(s.x);
    cfs_uring_cmd cmd = command(slot);
    cmd.id = s.x.req.id;
    cmd.res = s.x.res;
    cmd.reply = reinterpret_cast<uintptr_t>(s.x.reply.data());
    cmd.reply_len = s.x.reply.size();
    bool spoil = !s.again && s.x.req.op == ctl_.bad_op && ctl_.bad != Bad::kNone;
    s.again = spoil && (ctl_.bad == Bad::kWrongId || ctl_.bad == Bad::kBadPointer);
    if (spoil) make_bad(s.x, cmd);
    submit(slot, CFS_URING_COMMIT_AND_FETCH, cmd);
  }

  void make_bad(Exchange& x, cfs_uring_cmd& cmd) {
    switch (ctl_.bad) {
      case Bad::kShort:
        cmd.reply_len--;
        break;
      case Bad::kLong:
        x.reply.resize(CFS_REPLY_MAX + 1);
        cmd.reply = reinterpret_cast<uintptr_t>(x.reply.data());
        cmd.reply_len = x.reply.size();
        break;
      case Bad::kInsaneRes:
        cmd.res = -512;
        break;
      case Bad::kWrongId:
        cmd.id += 4096;
        break;
      case Bad::kBadPointer:
        cmd.reply = 8;
        break;
      case Bad::kBadType:
        if (x.reply.size() >= sizeof(cfs_attr))
          reinterpret_cast<cfs_attr*>(x.reply.data())->mode = 0;
        break;
      case Bad::kNone:
        break;
    }
  }

  Server server_;
  Control& ctl_;
  std::vector<Slot> slots_;
  io_uring ring_{};
  int fd_ = -1;
  uint8_t* progress_ = nullptr;
  size_t parked_ = 0;
  bool draining_ = false;
};

}  // namespace

int open_device() {
  int fd = open(CFS_DEV_PATH, O_RDWR | O_CLOEXEC);
  if (fd < 0) die(CFS_DEV_PATH);
  return fd;
}

bool wait_until(double seconds, const std::function<bool()>& done) {
  auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

Shared* make_shared_state() {
  void* p =
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) die("mmap");
  auto* shared = new (p) Shared;
  shared->ns.reset();
  return shared;
}

Daemon::Daemon(Shared* shared, unsigned depth) : shared_(shared) {
  shared->control.ready = false;
  shared->control.stop = false;
  shared->control.held = 0;
  pid_ = fork();
  if (pid_ < 0) die("fork");
  if (!pid_) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    // freed before the process ends would be freed late: leave that to the kernel, as a crash does
    auto* channel = new Channel(shared, depth);
    _exit(channel->run());
  }
  if (!wait_until(20, [&] { return shared->control.ready.load(); }))
    die("daemon does not start", ETIME);
}

Daemon::~Daemon() {
  if (pid_ > 0) kill_now();
}

void Daemon::kill_now() {
  kill(pid_, SIGKILL);
  reap();
}

void Daemon::reap() {
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
  // io_uring drops the file some time after the process is gone
  cfs_attach a{};
  wait_until(20, [&] {
    int fd = open_device();
    a.len = sizeof(a);
    a.abi = CFS_ABI_MAJOR << 16;
    bool is_free = !ioctl(fd, CFS_IOC_ATTACH, &a);
    close(fd);
    return is_free;
  });
}

int Daemon::stop() {
  shared_->control.stop = true;
  int status = -1;
  if (!wait_until(20, [&] { return waitpid(pid_, &status, WNOHANG) == pid_; })) {
    kill_now();
    return -1;
  }
  pid_ = -1;
  return status;
}

}  // namespace cfs::test
