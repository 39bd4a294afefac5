// SPDX-License-Identifier: Apache-2.0
/// FUSE front end: a mount for hosts that cannot load the kernel module.
///
/// Purpose  Serves a Volume through libfuse's low-level interface on the daemon's loop. Same daemon
/// core as the kernel
///          front end, so it is also the fair baseline for comparisons; file data passes through
///          this process.
/// Threads  The loop thread; libfuse's session is read when poll says so, replies are sent from the
/// loop. Lifetime stop() unmounts, waits for running requests and flushes open files. Failure Every
/// request is answered with an errno. A caller that is killed waits until its request is answered,
/// as with every
///          FUSE file system that does not interrupt.
#pragma once

#include <memory>

#include "daemon/app/front_end.h"

namespace cfs {

Result<std::unique_ptr<FrontEnd>> fuse_mount(Loop& loop, std::shared_ptr<Volume> volume,
                                             MountPoint at, FuseOptions options);

}  // namespace cfs
