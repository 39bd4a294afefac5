// SPDX-License-Identifier: Apache-2.0
#include "tests/kernel/kernel_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>

#include <chrono>
#include <cstdio>
#include <cstring>

namespace cfs::test {

Shared* shared;
std::unique_ptr<Daemon> daemon_process;
int failures;

void fail(int line, const char* what) {
  printf("  line %d: %s (errno %d %s)\n", line, what, errno, strerror(errno));
  failures++;
}

void new_daemon(unsigned depth) {
  daemon_process.reset();
  daemon_process = std::make_unique<Daemon>(shared, depth);
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int mount_with(const std::vector<std::pair<const char*, const char*>>& options) {
  mkdir(kMnt, 0755);
  int fs = fsopen("cubefs", FSOPEN_CLOEXEC);
  if (fs < 0) return -1;
  int rc = fsconfig(fs, FSCONFIG_SET_STRING, "source", "test@fake", 0);
  for (auto& [key, value] : options)
    rc = rc ?: fsconfig(fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key, value, 0);
  rc = rc ?: fsconfig(fs, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0);
  int mnt = rc ? -1 : fsmount(fs, FSMOUNT_CLOEXEC, 0);
  int err = errno;
  close(fs);
  if (mnt < 0) return errno = err, -1;
  rc = move_mount(mnt, "", AT_FDCWD, kMnt, MOVE_MOUNT_F_EMPTY_PATH);
  close(mnt);
  return rc;
}

int mount_default() {
  return mount_with({{"config", "volName=test"}, {"config", "owner=me"}, {"deadline", "30"}});
}

uint64_t all_requests() {
  uint64_t sum = 0;
  for (uint32_t op = 0; op < 32; op++)
    if (op != CFS_OP_EVENT && op != CFS_OP_EVICT) sum += ctl().seen[op];
  return sum;
}

void drop_caches() {
  // dentries that were used since the last pass survive one
  for (int i = 0; i < 4; i++) {
    int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
    EXPECT(fd >= 0 && write(fd, "3", 1) == 1);
    close(fd);
  }
}

int touch(const std::string& path, int flags, mode_t mode) {
  int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | flags, mode);
  return fd < 0 ? -1 : close(fd);
}

struct stat stat_of(const std::string& path) {
  struct stat st {};
  EXPECT(lstat(path.c_str(), &st) == 0);
  return st;
}

std::vector<std::string> names_in(const std::string& dir) {
  std::vector<std::string> names;
  DIR* d = opendir(dir.c_str());
  if (!d) return names;
  while (dirent* e = readdir(d))
    if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) names.push_back(e->d_name);
  closedir(d);
  return names;
}

}  // namespace cfs::test
