// SPDX-License-Identifier: Apache-2.0
// A large file, written and compared with little memory: for tests that take memory away.
//
//   bulk write|map|verify FILE MIB
//
// Each 8 bytes hold their own offset, so that a lost, old or moved page is seen. write and map end
// with fsync. Exit status 0; 1: a call failed or a byte is wrong; 2: wrong use.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t kMiB = 1 << 20;
constexpr std::size_t kWords = kMiB / sizeof(std::uint64_t);

int failed(const char* what, std::size_t at) {
  std::fprintf(stderr, "%s at %zu: %s\n", what, at, strerror(errno));
  return 1;
}

void fill(std::uint64_t* words, std::size_t at) {
  for (std::size_t i = 0; i < kWords; ++i) words[i] = at + i * sizeof(std::uint64_t) + 1;
}

int write_file(int fd, std::size_t mib) {
  std::vector<std::uint64_t> words(kWords);
  for (std::size_t at = 0; at < mib * kMiB; at += kMiB) {
    fill(words.data(), at);
    if (::pwrite(fd, words.data(), kMiB, static_cast<off_t>(at)) != kMiB)
      return failed("write", at);
  }
  return ::fsync(fd) == 0 ? 0 : failed("fsync", 0);
}

int map_file(int fd, std::size_t mib) {
  if (::ftruncate(fd, static_cast<off_t>(mib * kMiB)) != 0) return failed("truncate", 0);
  for (std::size_t at = 0; at < mib * kMiB; at += kMiB) {
    void* m = ::mmap(nullptr, kMiB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, static_cast<off_t>(at));
    if (m == MAP_FAILED) return failed("mmap", at);
    fill(static_cast<std::uint64_t*>(m), at);
    ::munmap(m, kMiB);
  }
  return ::fsync(fd) == 0 ? 0 : failed("fsync", 0);
}

int verify(int fd, std::size_t mib) {
  std::vector<std::uint64_t> words(kWords), want(kWords);
  for (std::size_t at = 0; at < mib * kMiB; at += kMiB) {
    if (::pread(fd, words.data(), kMiB, static_cast<off_t>(at)) != kMiB) return failed("read", at);
    fill(want.data(), at);
    if (words != want) return failed("wrong bytes", at);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  std::string_view what = argv[1];
  std::size_t mib = std::strtoul(argv[3], nullptr, 10);
  int fd = ::open(argv[2], O_RDWR | O_CREAT, 0644);
  if (fd < 0) return failed("open", 0);
  if (what == "write") return write_file(fd, mib);
  if (what == "map") return map_file(fd, mib);
  return what == "verify" ? verify(fd, mib) : 2;
}
