// SPDX-License-Identifier: Apache-2.0
/// The kernel side of a mount: module, fsopen(2) and its family.
///
/// Purpose  Creates the mount in the caller's mount namespace, so that it works inside containers
///          where the daemon is outside.
/// Threads  Main thread.
/// Failure  Error::what is a sentence; what the kernel wrote into the fs context is part of it.
///          Nothing is left behind: the mount appears in one step, at the end.
#pragma once

#include <string>

#include "daemon/base/result.h"
#include "tools/cfsctl/mount_plan.h"

namespace cfs::ctl {

[[nodiscard]] bool module_loaded();
/// Loads it with modprobe when it is not; quiet.
Result<void> ensure_module();
[[nodiscard]] bool has_sys_admin();

Result<void> kernel_mount(const MountPlan& plan, const std::string& directory);
/// Only ro and rw, and the flags of the mount, can change.
Result<void> kernel_remount(const MountPlan& plan, const std::string& directory);

}  // namespace cfs::ctl
