// SPDX-License-Identifier: Apache-2.0
/// The reviewed list of what differs from a local file system.
///
/// Purpose  Each entry: a case of the posix_*_test.cc files, the front ends it concerns, what they answer, why. Nothing
///          else may differ, and an entry that no longer differs fails its test.
#include "posix.h"

namespace fs_test {

namespace {

constexpr char kOnlyFilesAreLinked[] =
    "CubeFS links regular files only (sdk/meta/api.go, link_ll); Go clients refuse the rest";
constexpr char kNoSuchRename[] =
    "the protocol has no exchange and no whiteout; renameat2(2): EINVAL where not supported";
constexpr char kEntriesAreCounted[] =
    "a directory's link count is 2 + all entries, files too (metanode/partition_fsmop_dentry.go)";
constexpr char kNoDevices[] = "an inode has no field for a device number (proto/fs_proto.go)";
constexpr char kDirectoryGone[] =
    "the server deletes a directory with its last link, and FUSE keeps no attributes of its own";
constexpr char kNoTmpfile[] = "libfuse 3.14 knows no FUSE_TMPFILE";
constexpr char kAllIsData[] =
    "lseek(2) allows it: the whole file is data, its end the only hole; so do Go clients";
constexpr char kNoAllocation[] =
    "the FUSE front end has no fallocate, as Go clients; posix_fallocate(3) works by writing";
constexpr char kCtimeIsCreation[] =
    "servers keep the time of creation only (proto/fs_proto.go); the kernel front end remembers "
    "changes while it "
    "caches the inode, FUSE cannot";
constexpr char kWholeSeconds[] =
    "servers keep whole seconds; nanoseconds are rounded down (metanode/inode.go)";
constexpr char kNoAtime[] =
    "servers keep no access times: statx(2) says so by leaving STATX_ATIME out";
constexpr char kNoFuseStatx[] = "libfuse 3.14 knows no FUSE_STATX";
constexpr char kNoLeases[] =
    "a lease promises that nobody opens the file, which other hosts cannot know; fcntl(2): EINVAL";

}  // namespace

const std::vector<Difference>& differences() {
  static const std::vector<Difference> list = {
      {"PosixNames.LinkEachType/link.*", kBoth, "EPERM", kOnlyFilesAreLinked},
      {"PosixNames.LinkEachType/nlink.*", kBoth, "1", kOnlyFilesAreLinked},
      {"PosixNames.LinkEachType/unlink.*", kBoth, "ENOENT", kOnlyFilesAreLinked},
      {"PosixNames.RenameFlags/exchange", kBoth, "EINVAL", kNoSuchRename},
      {"PosixNames.RenameFlags/whiteout", kBoth, "EINVAL", kNoSuchRename},
      {"PosixNames.DirectoryLinkCounts/with-file*", kBoth, "4", kEntriesAreCounted},
      {"PosixNames.Devices/char.root", kBoth, "EPERM", kNoDevices},
      {"PosixNames.Devices/block.root", kBoth, "EPERM", kNoDevices},
      {"PosixNames.RmdirForgetsTheName/fstat", kFuse, "ESTALE", kDirectoryGone},
      {"PosixOpen.TemporaryFile/open", kFuse, "EOPNOTSUPP", kNoTmpfile},
      {"PosixOpen.TemporaryFileRefusals/excl", kFuse, "EOPNOTSUPP", kNoTmpfile},
      {"PosixOpen.SeekDataAndHole/data", kFuse, "0", kAllIsData},
      {"PosixOpen.SeekDataAndHole/hole", kFuse, "1048576", kAllIsData},
      {"PosixOpen.SeekDataAndHole/hole-after", kFuse, "0", kAllIsData},
      {"PosixOpen.Allocation/allocate", kFuse, "EOPNOTSUPP", kNoAllocation},
      {"PosixOpen.Allocation/punch", kFuse, "EOPNOTSUPP", kNoAllocation},
      {"PosixTimes.FileOfAChange/write.ctime-moves", kFuse, "0", kCtimeIsCreation},
      {"PosixTimes.FileOfAChange/append.ctime-moves", kFuse, "0", kCtimeIsCreation},
      {"PosixTimes.FileOfAChange/truncate.ctime-moves", kFuse, "0", kCtimeIsCreation},
      {"PosixTimes.FileOfAChange/open-truncate.ctime-moves", kFuse, "0", kCtimeIsCreation},
      {"PosixTimes.FileOfAChange/chmod.ctime-moves", kFuse, "0", kCtimeIsCreation},
      {"PosixTimes.FileOfAChange/chown.ctime-moves", kFuse, "0", kCtimeIsCreation},
      {"PosixTimes.FileOfAChange/link.ctime-moves", kFuse, "0", kCtimeIsCreation},
      {"PosixTimes.FileOfAChange/setxattr.ctime-moves", kFuse, "0", kCtimeIsCreation},
      {"PosixTimes.FileOfAChange/touch.ctime-moves", kFuse, "0", kCtimeIsCreation},
      {"PosixTimes.Nanoseconds/nanoseconds", kBoth, "0", kWholeSeconds},
      {"PosixTimes.Statx/btime", kFuse, "0", kNoFuseStatx},
      {"PosixTimes.Statx/basic", kKernel, "2015", kNoAtime},
      {"PosixLock.Leases/read-lease", kKernel, "EINVAL", kNoLeases},
      {"PosixLock.Leases/get", kKernel, "2", kNoLeases},
      {"PosixLock.Leases/unlock-again", kKernel, "EINVAL", kNoLeases},
  };
  return list;
}

}  // namespace fs_test
