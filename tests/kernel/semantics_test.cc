// SPDX-License-Identifier: Apache-2.0
// What POSIX and Linux promise about file data, on a kernel mount: holes, allocation, times, synchronous writes, execution,
// asynchronous I/O, large offsets, many extents. Breaks: programs that rely on one of these.
#include <liburing.h>
#include <linux/aio_abi.h>
#include <linux/falloc.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <memory>

#include "data_fixture.h"

using namespace data_test;  // NOLINT: tests only

namespace {

class Semantics : public DataFaults {
 protected:
  off_t seek(int fd, off_t at, int whence) {
    off_t r = lseek(fd, at, whence);
    return r < 0 ? -errno : r;
  }
  int allocate(int fd, int mode, off_t at, off_t n) {
    return fallocate(fd, mode, at, n) ? errno : 0;
  }
  off_t size(int fd) {
    struct stat st {};
    EXPECT_EQ(fstat(fd, &st), 0);
    return st.st_size;
  }
  time_t server_mtime(const std::string& name) {
    drop_caches();
    struct stat st {};
    EXPECT_EQ(stat(path(name).c_str(), &st), 0);
    return st.st_mtime;
  }
};

struct FreeDeleter {
  void operator()(char* p) const { free(p); }
};
using Pages = std::unique_ptr<char, FreeDeleter>;

Pages pages(size_t n) {
  return Pages(static_cast<char*>(aligned_alloc(4096, n)));
}

// ---- holes ----

TEST_F(Semantics, HolesOfCommittedAndDirtyFiles) {
  Fd fd(path("f"), O_RDWR | O_CREAT);
  ASSERT_EQ(write_at(fd.get(), pattern(8192, 1), 0), 0);
  ASSERT_EQ(write_at(fd.get(), pattern(4096, 2), 4 * kMiB), 0);
  ASSERT_EQ(ftruncate(fd.get(), 8 * kMiB), 0);
  EXPECT_EQ(seek(fd.get(), 0, SEEK_DATA), 0);
  ASSERT_EQ(fd.sync(), 0);
  EXPECT_EQ(seek(fd.get(), 0, SEEK_HOLE), 8192);
  EXPECT_EQ(seek(fd.get(), 8192, SEEK_DATA), off_t(4 * kMiB));
  EXPECT_EQ(seek(fd.get(), 100000, SEEK_HOLE), 100000);
  EXPECT_EQ(seek(fd.get(), 4 * kMiB, SEEK_HOLE), off_t(4 * kMiB + 4096));
  EXPECT_EQ(seek(fd.get(), 4 * kMiB + 4096, SEEK_DATA), -ENXIO);
  EXPECT_EQ(seek(fd.get(), 8 * kMiB, SEEK_HOLE), -ENXIO);
  EXPECT_EQ(seek(fd.get(), -1, SEEK_DATA), -ENXIO);
  // not committed, still data
  ASSERT_EQ(write_at(fd.get(), "x", 2 * kMiB), 0);
  off_t data = seek(fd.get(), 8192, SEEK_DATA);
  EXPECT_GT(data, off_t(2 * kMiB - 4096));
  EXPECT_LE(data, off_t(2 * kMiB));
  drop_caches();
  EXPECT_EQ(seek(fd.get(), 4 * kMiB + 4096, SEEK_DATA), -ENXIO);
}

// ---- allocation ----

TEST_F(Semantics, PreallocationMovesTheEndOrNothing) {
  Fd fd(path("f"), O_RDWR | O_CREAT);
  EXPECT_EQ(allocate(fd.get(), 0, 0, 100000), 0);
  EXPECT_EQ(size(fd.get()), 100000);
  EXPECT_EQ(allocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, 10 * kMiB), 0);
  EXPECT_EQ(size(fd.get()), 100000);
  ASSERT_EQ(write_at(fd.get(), "data", 50), 0);
  EXPECT_EQ(allocate(fd.get(), 0, 0, 1000), 0);
  EXPECT_EQ(size(fd.get()), 100000);
  ASSERT_EQ(fd.sync(), 0);
  std::string want(100000, '\0');
  want.replace(50, 4, "data");
  expect_cold("f", want);
  EXPECT_EQ(allocate(fd.get(), FALLOC_FL_COLLAPSE_RANGE, 0, 4096), EOPNOTSUPP);
  EXPECT_EQ(allocate(fd.get(), FALLOC_FL_INSERT_RANGE, 0, 4096), EOPNOTSUPP);
}

TEST_F(Semantics, PunchAndZero) {
  std::string data = pattern(3 * kMiB, 3);
  Fd fd(path("f"), O_RDWR | O_CREAT);
  ASSERT_EQ(write_at(fd.get(), data, 0), 0);
  ASSERT_EQ(allocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000, 700001), 0);
  data.replace(5000, 700001, 700001, '\0');
  ASSERT_EQ(allocate(fd.get(), FALLOC_FL_ZERO_RANGE, 3 * kMiB - 10, 5000), 0);
  data.replace(3 * kMiB - 10, 10, 10, '\0');
  data.resize(3 * kMiB + 4990, '\0');
  ASSERT_EQ(allocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3 * kMiB - 100, 1 << 30),
            0);
  data.replace(3 * kMiB - 100, 90, 90, '\0');
  EXPECT_EQ(size(fd.get()), off_t(data.size()));
  expect_same(read_all(path("f")), data, "warm");
  ASSERT_EQ(fd.sync(), 0);
  expect_cold("f", data);
}

// ---- times ----

// Servers do not notice overwrites: the time has to be told.
TEST_F(Semantics, OverwriteMovesMtimeOnTheServer) {
  write_file("f", pattern(100000, 4));
  timespec old[2] = {{1000000, 0}, {1000000, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, path("f").c_str(), old, 0), 0);
  ASSERT_EQ(server_mtime("f"), 1000000);
  time_t now = time(nullptr);
  {
    Fd fd(path("f"), O_RDWR);
    ASSERT_EQ(write_at(fd.get(), "changed", 5000), 0);
  }
  EXPECT_GE(server_mtime("f"), now - 1) << "close";
  ASSERT_EQ(utimensat(AT_FDCWD, path("f").c_str(), old, 0), 0);
  Fd fd(path("f"), O_RDWR);
  ASSERT_EQ(write_at(fd.get(), "changed", 6000), 0);
  ASSERT_EQ(fd.sync(), 0);
  EXPECT_GE(server_mtime("f"), now - 1) << "fsync";
}

// ---- synchronous writes ----

/// What a write needs to be visible to another mount: its key. Nobody calls fsync here.
TEST_F(Semantics, SynchronousWritesAreCommitted) {
  Fd fd(path("f"), O_RDWR | O_CREAT);
  std::string data = pattern(9000, 5);
  for (int flag : {RWF_DSYNC, RWF_SYNC}) {
    iovec v{data.data(), data.size()};
    fault("action=force_result&op=" + std::to_string(kMetaCommit) + "&value=241&count=1");
    fault("action=force_result&op=" + std::to_string(kMetaBatchCommit) + "&value=241&count=1");
    ASSERT_EQ(ftruncate(fd.get(), 0), 0);
    EXPECT_EQ(pwritev2(fd.get(), &v, 1, 0, flag), -1) << "the refused commit was not waited for";
    EXPECT_EQ(errno, EDQUOT);
    fault("action=clear");
    ASSERT_EQ(pwritev2(fd.get(), &v, 1, 0, flag), ssize_t(data.size()));
  }
  fd.sync();
  for (int flag : {O_SYNC, O_DSYNC}) {
    Fd other(path("g" + std::to_string(flag)), O_RDWR | O_CREAT | flag);
    fault("action=force_result&op=" + std::to_string(kMetaCommit) + "&value=241&count=1");
    fault("action=force_result&op=" + std::to_string(kMetaBatchCommit) + "&value=241&count=1");
    EXPECT_EQ(pwrite(other.get(), data.data(), data.size(), 0), -1);
    EXPECT_EQ(errno, EDQUOT);
    fault("action=clear");
  }
}

// ---- execution ----

TEST_F(Semantics, ProgramsRunFromTheMount) {
  std::string copy = "cp /bin/true '" + path("prog") + "' && chmod 755 '" + path("prog") + "'";
  ASSERT_EQ(system(copy.c_str()), 0);
  drop_caches();
  EXPECT_EQ(system(("'" + path("prog") + "'").c_str()), 0);
  Fd writer(path("prog"), O_RDWR);
  pid_t pid = fork();
  if (!pid) {
    execl(path("prog").c_str(), "prog", nullptr);
    _exit(errno == ETXTBSY ? 42 : 1);
  }
  int status;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 42) << "a file that is written must not be executed";
}

// ---- asynchronous I/O ----

constexpr unsigned kDepth = 64;
constexpr size_t kBlock = 4096;

struct Timing {
  double submit, total;  // seconds
};

double seconds(steady_clock::time_point since) {
  return std::chrono::duration<double>(steady_clock::now() - since).count();
}

Timing libaio(int fd, int opcode, char* memory) {
  aio_context_t ctx = 0;
  EXPECT_EQ(syscall(SYS_io_setup, kDepth, &ctx), 0);
  std::vector<iocb> cbs(kDepth);
  std::vector<iocb*> list;
  for (unsigned i = 0; i < kDepth; i++) {
    cbs[i].aio_lio_opcode = uint16_t(opcode);
    cbs[i].aio_fildes = uint32_t(fd);
    cbs[i].aio_buf = reinterpret_cast<uintptr_t>(memory + i * kBlock);
    cbs[i].aio_nbytes = kBlock;
    cbs[i].aio_offset = int64_t(i * kBlock);
    cbs[i].aio_data = i;
    list.push_back(&cbs[i]);
  }
  auto start = steady_clock::now();
  EXPECT_EQ(syscall(SYS_io_submit, ctx, kDepth, list.data()), long(kDepth));
  Timing t{seconds(start), 0};
  std::vector<io_event> events(kDepth);
  for (unsigned got = 0; got < kDepth;) {
    long n = syscall(SYS_io_getevents, ctx, 1, kDepth - got, events.data() + got, nullptr);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      ADD_FAILURE() << "io_getevents: " << strerror(errno);
      break;
    }
    got += unsigned(n);
  }
  t.total = seconds(start);
  for (const auto& e : events) EXPECT_EQ(e.res, int64_t(kBlock)) << e.data;
  syscall(SYS_io_destroy, ctx);
  return t;
}

Timing uring(int fd, bool write, char* memory) {
  io_uring ring;
  EXPECT_EQ(io_uring_queue_init(kDepth, &ring, 0), 0);
  for (unsigned i = 0; i < kDepth; i++) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring);
    if (write)
      io_uring_prep_write(sqe, fd, memory + i * kBlock, kBlock, i * kBlock);
    else
      io_uring_prep_read(sqe, fd, memory + i * kBlock, kBlock, i * kBlock);
  }
  auto start = steady_clock::now();
  EXPECT_EQ(io_uring_submit(&ring), int(kDepth));
  Timing t{seconds(start), 0};
  for (unsigned i = 0; i < kDepth; i++) {
    io_uring_cqe* cqe;
    EXPECT_EQ(io_uring_wait_cqe(&ring, &cqe), 0);
    EXPECT_EQ(cqe->res, int(kBlock));
    io_uring_cqe_seen(&ring, cqe);
  }
  t.total = seconds(start);
  io_uring_queue_exit(&ring);
  return t;
}

// A server takes 200 ms for each answer. Submission must not wait for one, and the requests must be under way together.
TEST_F(Semantics, AsynchronousIoIsAsynchronous) {
  std::string data = pattern(kDepth * kBlock, 6);
  write_file("f", data);
  Fd fd(path("f"), O_RDWR | O_DIRECT);
  Pages memory = pages(kDepth * kBlock);
  auto check = [&](const char* what, Timing t) {
    SCOPED_TRACE(what);
    RecordProperty(what, std::to_string(t.submit) + " of " + std::to_string(t.total));
    EXPECT_LT(t.submit, t.total / 4) << "submission waited";
    EXPECT_GE(t.total, 0.2);
    EXPECT_LT(t.total, 0.2 * kDepth * 0.7) << "one after the other";
  };
  knob("delay_ms=200");
  check("libaio read", libaio(fd.get(), IOCB_CMD_PREAD, memory.get()));
  EXPECT_EQ(memcmp(memory.get(), data.data(), data.size()), 0);
  memset(memory.get(), 0, data.size());
  check("io_uring read", uring(fd.get(), false, memory.get()));
  EXPECT_EQ(memcmp(memory.get(), data.data(), data.size()), 0);
  for (bool by_uring : {false, true}) {
    data = pattern(kDepth * kBlock, 7 + by_uring);
    memcpy(memory.get(), data.data(), data.size());
    if (by_uring)
      check("io_uring write", uring(fd.get(), true, memory.get()));
    else
      check("libaio write", libaio(fd.get(), IOCB_CMD_PWRITE, memory.get()));
  }
  knob("delay_ms=0");
  expect_cold("f", data);
}

// Each finds the end of the file that the one before it has made.
TEST_F(Semantics, AsynchronousAppendsDoNotOverlap) {
  Fd fd(path("f"), O_RDWR | O_CREAT | O_DIRECT | O_APPEND);
  Pages memory = pages(kDepth * kBlock);
  std::string want;
  for (unsigned i = 0; i < kDepth; i++) want += std::string(kBlock, char('0' + i));
  memcpy(memory.get(), want.data(), want.size());
  libaio(fd.get(), IOCB_CMD_PWRITE, memory.get());
  expect_cold("f", want);
}

// RWF_NOWAIT: the answer comes at once although the servers take a second.
TEST_F(Semantics, NowaitNeverWaits) {
  std::string data = pattern(kMiB, 9);
  write_file("f", data);
  drop_caches();
  Fd fd(path("f"), O_RDWR), direct(path("f"), O_RDWR | O_DIRECT);
  Pages memory = pages(kBlock);
  iovec v{memory.get(), kBlock};
  knob("delay_ms=1000");
  auto start = steady_clock::now();
  for (int i = 0; i < 5; i++) {
    EXPECT_TRUE(preadv2(fd.get(), &v, 1, 65536 * i, RWF_NOWAIT) == -1 && errno == EAGAIN);
    ssize_t n = preadv2(direct.get(), &v, 1, 0, RWF_NOWAIT);
    EXPECT_TRUE(n == -1 && errno == EAGAIN) << n;
    n = pwritev2(fd.get(), &v, 1, 0, RWF_NOWAIT);
    EXPECT_TRUE(n == -1 && errno == EAGAIN) << n;
  }
  EXPECT_LT(seconds(start), 0.5);
  knob("delay_ms=0");
  ASSERT_EQ(pread(fd.get(), memory.get(), kBlock, 0), ssize_t(kBlock));
  EXPECT_EQ(preadv2(fd.get(), &v, 1, 0, RWF_NOWAIT), ssize_t(kBlock)) << "what is in the cache";
}

// ---- size ----

TEST_F(Semantics, SparseFileOfTwentyGibibytes) {
  constexpr off_t kSize = 20ll << 30;
  Fd fd(path("f"), O_RDWR | O_CREAT);
  ASSERT_EQ(ftruncate(fd.get(), kSize), 0);
  for (off_t at = 0; at < kSize; at += 1ll << 30)
    ASSERT_EQ(write_at(fd.get(), pattern(5000, unsigned(at >> 30)), at + 12345), 0);
  ASSERT_EQ(fd.sync(), 0);
  drop_caches();
  std::string got(6000, 'x');
  off_t data = 0;
  for (off_t at = 0; at < kSize; at += 1ll << 30) {
    ASSERT_EQ(pread(fd.get(), got.data(), 6000, at + 12000), 6000);
    EXPECT_EQ(got,
              std::string(345, '\0') + pattern(5000, unsigned(at >> 30)) + std::string(655, '\0'));
    data = seek(fd.get(), data, SEEK_DATA);
    EXPECT_LE(data, at + 12345);
    EXPECT_GT(data, at + 12345 - 4096);
    data = seek(fd.get(), data, SEEK_HOLE);
  }
  EXPECT_EQ(seek(fd.get(), data, SEEK_DATA), -ENXIO);
  EXPECT_EQ(size(fd.get()), kSize);
}

TEST_F(Semantics, OffsetsOfSixteenTebibytes) {
  constexpr off_t kFar = (16ll << 40) - 8192;
  std::string data = pattern(8192, 11);
  Fd fd(path("f"), O_RDWR | O_CREAT), direct(path("f"), O_RDWR | O_DIRECT);
  ASSERT_EQ(write_at(fd.get(), data, kFar), 0);
  ASSERT_EQ(fd.sync(), 0);
  drop_caches();
  std::string got(8192, 'x');
  ASSERT_EQ(pread(fd.get(), got.data(), 8192, kFar), 8192);
  expect_same(got, data, "far");
  Pages memory = pages(4096);
  memcpy(memory.get(), data.data() + 4096, 4096);
  ASSERT_EQ(pwrite(direct.get(), memory.get(), 4096, kFar), 4096);
  ASSERT_EQ(pread(fd.get(), got.data(), 4096, kFar), 4096);
  EXPECT_EQ(got, data.substr(4096) + data.substr(4096));
  ASSERT_EQ(pread(fd.get(), got.data(), 4096, kFar / 2), 4096);
  EXPECT_EQ(got.substr(0, 4096), std::string(4096, '\0'));
}

}  // namespace

int main(int argc, char** argv) {
  return data_test::run(argc, argv);
}
