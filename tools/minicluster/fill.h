// SPDX-License-Identifier: Apache-2.0
/// Large directories in seconds: many files made or removed at once, past the network.
///
/// Purpose   A test that lists a million names should not have to make them one by one. The files
///           are made by the same functions as those of clients and cannot be told from them.
/// Lifetime  Functions over the store; each works in several transactions, so that requests of
///           clients run in between and the disk is written in pieces.
/// Threads   Any; not two at a time on one directory.
/// Failure   ENOENT, ENOTDIR from the path, ENOSPC and others from the store: what was committed
///           before stays.
#pragma once

#include "tools/minicluster/topology.h"

namespace cfs::mini {

/// Empty files `prefix`0000000, `prefix`0000001 ... in a directory; their inodes go to the volume's
/// partitions in turn. A name that exists is left alone.
Result<void> fill_directory(Store& store, const Topology& topology, const std::string& volume,
                            const std::string& path, const std::string& prefix, uint64_t count);

/// Removes every regular file of a directory, other entries stay; says how many went.
Result<uint64_t> empty_directory(Store& store, const Topology& topology, const std::string& volume,
                                 const std::string& path);

}  // namespace cfs::mini
