// SPDX-License-Identifier: Apache-2.0
// File data: what was written is what is read, warm and cold, by every kind of call. Breaks: a
// wrong byte.
#include <sys/uio.h>

#include <atomic>
#include <thread>

#include "fs.h"
#include "mini.h"

using namespace fs_test;  // NOLINT: tests only

using Data = Dir;

namespace {

/// Written in one go, read back warm, then cold.
void round_trip(const std::string& path, std::size_t n, unsigned seed) {
  std::string data = pattern(n, seed);
  write_file(path, data);
  EXPECT_EQ(read_file(path), data) << n << " bytes, warm";
  drop_caches();
  EXPECT_EQ(read_file(path), data) << n << " bytes, cold";
}

}  // namespace

TEST_F(Data, Sizes) {
  unsigned seed = 1;
  for (std::size_t n :
       {std::size_t{0}, std::size_t{1}, std::size_t{100}, std::size_t{4095}, std::size_t{4096},
        std::size_t{4097}, std::size_t{131072}, std::size_t{300000}, std::size_t{1048575},
        std::size_t{1048576}, std::size_t{1048577}, std::size_t{3000000}}) {
    round_trip(p("f" + std::to_string(n)), n, seed++);
  }
}

// A size that a server told before it knew of bytes of ours must not be believed after: the pages behind it would be cut,
// and appends go to the old end.
TEST_F(Data, SizeStaysWhileOthersAsk) {
  Fd f(p("f"), O_RDWR | O_CREAT | O_APPEND);
  std::atomic<bool> stop{false};
  std::thread asks([&] {
    struct statx st {};
    while (!stop) ::statx(AT_FDCWD, p("f").c_str(), AT_STATX_FORCE_SYNC, STATX_SIZE, &st);
  });
  std::string want;
  for (unsigned i = 0; i < 150 && !HasFailure(); ++i) {
    const std::string more = pattern(3000, i);
    EXPECT_EQ(::write(f.get(), more.data(), more.size()), static_cast<ssize_t>(more.size()));
    EXPECT_EQ(sys(::fsync(f.get())), 0);
    want += more;
    struct stat st {};
    EXPECT_EQ(sys(::fstat(f.get(), &st)), 0);
    EXPECT_EQ(static_cast<std::size_t>(st.st_size), want.size()) << "after append " << i;
  }
  stop = true;
  asks.join();
  EXPECT_EQ(read_all(f.get(), want.size() + 1, 0), want);
}

// The same from a listing that was begun before.
TEST_F(Data, SizeStaysWhileADirectoryIsListed) {
  constexpr int kFiles = 300;  // more than one portion of what the kernel asks for
  for (int i = 0; i < kFiles; ++i) write_file(p("file" + std::to_string(i)), "short");
  DIR* d = ::opendir(root_.c_str());
  ASSERT_NE(d, nullptr);
  ASSERT_NE(::readdir(d), nullptr);
  for (int i = 0; i < kFiles; ++i) {
    Fd f(p("file" + std::to_string(i)), O_WRONLY | O_APPEND);
    write_all(f.get(), " and longer", 5);
    ASSERT_EQ(f.close(), 0);
  }
  while (::readdir(d) != nullptr) {
  }
  ::closedir(d);
  for (int i = 0; i < kFiles; ++i) {
    struct stat st {};
    EXPECT_EQ(sys(::stat(p("file" + std::to_string(i)).c_str(), &st)), 0);
    EXPECT_EQ(st.st_size, 16) << i;
  }
}

TEST_F(Data, Large) {
  round_trip(p("big"), 24u << 20, 99);
}

TEST_F(Data, OverwriteMiddle) {
  std::string data = pattern(700000, 1);
  write_file(p("f"), data);
  Fd f(p("f"), O_RDWR);
  for (auto [at, n] : std::vector<std::pair<off_t, std::size_t>>{
           {0, 10}, {1000, 200000}, {131070, 4}, {699990, 10}, {5, 1}}) {
    std::string change = pattern(n, static_cast<unsigned>(at) + 5);
    write_all(f.get(), change, at);
    data.replace(static_cast<std::size_t>(at), n, change);
  }
  ASSERT_EQ(sys(::fsync(f.get())), 0);
  EXPECT_EQ(read_file(p("f")), data);
  drop_caches();
  EXPECT_EQ(read_file(p("f")), data);
}

TEST_F(Data, OverwriteStraddlesEnd) {
  std::string data = pattern(300000, 1), tail = pattern(100000, 2);
  write_file(p("f"), data);
  Fd f(p("f"), O_RDWR);
  write_all(f.get(), tail, 250000);
  data.replace(250000, 50000, tail);
  ASSERT_EQ(f.close(), 0);
  drop_caches();
  EXPECT_EQ(read_file(p("f")), data);
}

TEST_F(Data, AppendManySmall) {
  std::string all;
  for (int i = 0; i < 30; ++i) {
    Fd f(p("log"), O_WRONLY | O_CREAT | O_APPEND);
    ASSERT_GE(f.get(), 0);
    std::string line = "line " + std::to_string(i) + "\n";
    ASSERT_EQ(sys(::write(f.get(), line.data(), line.size())), static_cast<long>(line.size()));
    ASSERT_EQ(f.close(), 0);
    all += line;
  }
  EXPECT_EQ(read_file(p("log")), all);
  drop_caches();
  EXPECT_EQ(read_file(p("log")), all);
}

TEST_F(Data, AppendFromProcesses) {
  constexpr int kProcs = 3, kLines = 50;
  write_file(p("log"), "");
  std::vector<pid_t> pids;
  for (int w = 0; w < kProcs; ++w) {
    pid_t pid = ::fork();
    if (pid == 0) {
      int fd = ::open(p("log").c_str(), O_WRONLY | O_APPEND);
      std::string line(63, static_cast<char>('a' + w));
      line += '\n';
      for (int i = 0; i < kLines; ++i)
        if (::write(fd, line.data(), line.size()) != 64) ::_exit(1);
      ::_exit(::close(fd) == 0 ? 0 : 2);
    }
    pids.push_back(pid);
  }
  for (pid_t pid : pids) {
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    ASSERT_EQ(WEXITSTATUS(status), 0);
  }
  drop_caches();
  std::string data = read_file(p("log"));
  ASSERT_EQ(data.size(), 64u * kProcs * kLines);
  int count[kProcs] = {};
  for (std::size_t i = 0; i < data.size(); i += 64) {
    ASSERT_EQ(data[i + 63], '\n');
    ASSERT_EQ(data.substr(i, 63), std::string(63, data[i])) << "lines are torn";
    count[data[i] - 'a']++;
  }
  for (int c : count) EXPECT_EQ(c, kLines);
}

TEST_F(Data, TruncateDownUp) {
  std::string data = pattern(500000, 3);
  write_file(p("f"), data);
  ASSERT_EQ(sys(::truncate(p("f").c_str(), 123456)), 0);
  data.resize(123456);
  EXPECT_EQ(read_file(p("f")), data);
  ASSERT_EQ(sys(::truncate(p("f").c_str(), 400000)), 0);
  data.resize(400000, '\0');
  EXPECT_EQ(read_file(p("f")), data);
  drop_caches();
  EXPECT_EQ(read_file(p("f")), data);
  Fd f(p("f"), O_RDWR);
  write_all(f.get(), "after", 399000);
  data.replace(399000, 5, "after");
  ASSERT_EQ(sys(::ftruncate(f.get(), 399003)), 0);
  data.resize(399003);
  ASSERT_EQ(f.close(), 0);
  drop_caches();
  EXPECT_EQ(read_file(p("f")), data);
}

TEST_F(Data, TruncateToZeroAndRewrite) {
  write_file(p("f"), pattern(200000, 4));
  write_file(p("f"), "short");
  EXPECT_EQ(read_file(p("f")), "short");
  drop_caches();
  EXPECT_EQ(read_file(p("f")), "short");
}

TEST_F(Data, TruncateThenWriteBeyondShowsNoOldBytes) {
  write_file(p("f"), pattern(8192, 4));
  Fd f(p("f"), O_RDWR);
  ASSERT_EQ(sys(::ftruncate(f.get(), 100)), 0);
  write_all(f.get(), "end", 8000);
  ASSERT_EQ(f.close(), 0);
  std::string want = pattern(8192, 4).substr(0, 100) + std::string(7900, '\0') + "end";
  EXPECT_EQ(read_file(p("f")), want);
  drop_caches();
  EXPECT_EQ(read_file(p("f")), want);
}

TEST_F(Data, SparseFile) {
  Fd f(p("f"), O_RDWR | O_CREAT);
  write_all(f.get(), "head", 0);
  write_all(f.get(), "tail", 5000000);
  ASSERT_EQ(sys(::fsync(f.get())), 0);
  drop_caches();
  std::string got = read_all(f.get(), 5000010, 0);
  ASSERT_EQ(got.size(), 5000004u);
  EXPECT_EQ(got.substr(0, 4), "head");
  EXPECT_EQ(got.substr(5000000), "tail");
  EXPECT_EQ(std::count(got.begin() + 4, got.begin() + 5000000, '\0'), 4999996);
}

TEST_F(Data, FillHoleLater) {
  Fd f(p("f"), O_RDWR | O_CREAT);
  write_all(f.get(), pattern(1000, 1), 300000);
  ASSERT_EQ(sys(::fsync(f.get())), 0);
  write_all(f.get(), pattern(300000, 2), 0);
  ASSERT_EQ(f.close(), 0);
  drop_caches();
  EXPECT_EQ(read_file(p("f")), pattern(300000, 2) + pattern(1000, 1));
}

TEST_F(Data, BackwardWrites) {
  // Each write lies before the former one: many short extents, committed in order.
  constexpr std::size_t kChunk = 10000, kCount = 20;
  Fd f(p("f"), O_RDWR | O_CREAT);
  std::string want;
  for (std::size_t i = kCount; i-- > 0;) {
    write_all(f.get(), pattern(kChunk, static_cast<unsigned>(i)), static_cast<off_t>(i * kChunk));
    if (i % 7 == 0) {
      ASSERT_EQ(sys(::fsync(f.get())), 0);
    }
  }
  for (std::size_t i = 0; i < kCount; ++i) want += pattern(kChunk, static_cast<unsigned>(i));
  ASSERT_EQ(f.close(), 0);
  drop_caches();
  EXPECT_EQ(read_file(p("f")), want);
}

TEST_F(Data, ReadPastEnd) {
  write_file(p("f"), "12345");
  Fd f(p("f"), O_RDONLY);
  EXPECT_EQ(read_all(f.get(), 100, 3), "45");
  EXPECT_EQ(read_all(f.get(), 100, 5), "");
  EXPECT_EQ(read_all(f.get(), 100, 5000), "");
}

TEST_F(Data, DirectIo) {
  constexpr std::size_t kBytes = 1u << 20;
  void* mem = nullptr;
  ASSERT_EQ(::posix_memalign(&mem, 4096, kBytes), 0);
  std::string data = pattern(kBytes, 5);
  memcpy(mem, data.data(), kBytes);
  Fd f(p("f"), O_RDWR | O_CREAT | O_DIRECT);
  ASSERT_GE(f.get(), 0) << strerror(f.error());
  ASSERT_EQ(sys(::pwrite(f.get(), mem, kBytes, 0)), static_cast<long>(kBytes));
  memset(mem, 0, kBytes);
  ASSERT_EQ(sys(::pread(f.get(), mem, kBytes, 0)), static_cast<long>(kBytes));
  EXPECT_EQ(memcmp(mem, data.data(), kBytes), 0);
  ASSERT_EQ(sys(::pwrite(f.get(), mem, 4096, 8192)), 4096);
  data.replace(8192, 4096, data.substr(0, 4096));
  EXPECT_EQ(sys(::pread(f.get(), mem, kBytes, static_cast<off_t>(kBytes) - 4096)), 4096)
      << "short direct read at the end";
  EXPECT_EQ(sys(::pread(f.get(), mem, kBytes, static_cast<off_t>(kBytes))), 0);
  EXPECT_EQ(read_file(p("f")), data) << "buffered read after direct write";
  ::free(mem);
}

TEST_F(Data, BufferedThenDirectRead) {
  std::string data = pattern(200000, 6);
  Fd f(p("f"), O_RDWR | O_CREAT);
  write_all(f.get(), data, 0);
  Fd d(p("f"), O_RDONLY | O_DIRECT);
  ASSERT_GE(d.get(), 0);
  void* mem = nullptr;
  ASSERT_EQ(::posix_memalign(&mem, 4096, 204800), 0);
  ASSERT_EQ(sys(::pread(d.get(), mem, 204800, 0)), 200000);
  EXPECT_EQ(memcmp(mem, data.data(), data.size()), 0);
  ::free(mem);
}

TEST_F(Data, VectorsAndSync) {
  std::string a = pattern(5000, 1), b = pattern(70000, 2);
  iovec iov[2] = {{a.data(), a.size()}, {b.data(), b.size()}};
  Fd f(p("f"), O_RDWR | O_CREAT | O_SYNC);
  ASSERT_EQ(sys(::writev(f.get(), iov, 2)), 75000);
  EXPECT_EQ(sys(::fdatasync(f.get())), 0);
  EXPECT_EQ(sys(::sync_file_range(f.get(), 0, 0, SYNC_FILE_RANGE_WRITE)), 0);
  drop_caches();
  EXPECT_EQ(read_file(p("f")), a + b);
}

TEST_F(Data, MapShared) {
  constexpr std::size_t kBytes = 300000;
  write_file(p("f"), pattern(kBytes, 1));
  Fd f(p("f"), O_RDWR);
  auto* m =
      static_cast<char*>(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, f.get(), 0));
  ASSERT_NE(m, MAP_FAILED);
  std::string data = pattern(kBytes, 1);
  EXPECT_EQ(memcmp(m, data.data(), kBytes), 0);
  memcpy(m + 4090, "mapped bytes", 12);
  memcpy(m + kBytes - 3, "end", 3);
  data.replace(4090, 12, "mapped bytes");
  data.replace(kBytes - 3, 3, "end");
  EXPECT_EQ(read_file(p("f")), data) << "read(2) sees the mapping";
  ASSERT_EQ(sys(::msync(m, kBytes, MS_SYNC)), 0);
  ::munmap(m, kBytes);
  drop_caches();
  EXPECT_EQ(read_file(p("f")), data);
}

TEST_F(Data, MapExtendedFile) {
  Fd f(p("f"), O_RDWR | O_CREAT);
  ASSERT_EQ(sys(::ftruncate(f.get(), 100000)), 0);
  auto* m =
      static_cast<char*>(::mmap(nullptr, 100000, PROT_READ | PROT_WRITE, MAP_SHARED, f.get(), 0));
  ASSERT_NE(m, MAP_FAILED);
  std::string data = pattern(100000, 9);
  memcpy(m, data.data(), data.size());
  ::munmap(m, 100000);
  ASSERT_EQ(f.close(), 0);
  drop_caches();
  EXPECT_EQ(read_file(p("f")), data);
}

TEST_F(Data, OneFileTwoDescriptors) {
  Fd a(p("f"), O_RDWR | O_CREAT), b(p("f"), O_RDWR);
  write_all(a.get(), "from a", 0);
  EXPECT_EQ(read_all(b.get(), 10, 0), "from a");
  write_all(b.get(), "longer from b", 0);
  EXPECT_EQ(read_all(a.get(), 100, 0), "longer from b");
}

TEST_F(Data, CopyTool) {
  write_file(p("src"), pattern(2500000, 3));
  std::string cmd =
      "cp '" + p("src") + "' '" + p("dst") + "' && cmp '" + p("src") + "' '" + p("dst") + "'";
  EXPECT_EQ(::system(cmd.c_str()), 0);
}

/// Without room: who reads, and so makes the client send what others wrote, must not use up their error.
TEST_F(Data, AReaderDoesNotTakeTheWritersError) {
  ASSERT_NE(std::getenv("CFS_TEST_MASTER"), nullptr);
  Fd writer(p("f"), O_RDWR | O_CREAT), reader(p("f"), O_RDONLY | O_DIRECT);
  ask_mini("/mini/fault?action=knob&knob=full&value=all");
  alignas(4096) static char buffer[4096];
  const long wrote = sys(::pwrite(writer.get(), pattern(100000, 3).data(), 100000, 0));
  const long read = sys(::pread(reader.get(), buffer, sizeof(buffer), 0));
  const long synced = sys(::fsync(writer.get()));
  ask_mini("/mini/fault?action=knob&knob=full&value=0");
  EXPECT_TRUE(wrote == 100000 || wrote == -ENOSPC) << wrote;
  EXPECT_TRUE(wrote == -ENOSPC || synced == -ENOSPC) << synced << ", the reader got " << read;
  write_all(writer.get(), pattern(100000, 4), 0);
  ASSERT_EQ(sys(::fsync(writer.get())), 0);
  drop_caches();
  EXPECT_EQ(read_file(p("f")), pattern(100000, 4));
}
