// SPDX-License-Identifier: Apache-2.0
/// What the servers saw: requests that meta and data nodes of a mini cluster have got.
///
/// Failure  Result with the URL, also when the answer is not that of a mini cluster.
#pragma once

#include <string>

#include "daemon/base/result.h"

namespace cfs::bench {

/// All requests of all clients since the cluster's start; masters' are not counted.
Result<double> requests_of_servers(const std::string& master);

}  // namespace cfs::bench
