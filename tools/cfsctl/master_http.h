// SPDX-License-Identifier: Apache-2.0
/// Requests to a master's HTTP interface, for the cluster commands.
///
/// Purpose  One blocking GET; unpacks {"code","msg","data"}.
/// Threads  Main thread.
/// Failure  Error::what is a sentence: no connection, a refusal in the master's words, no JSON.
/// Source   CubeFS proto/admin_proto.go (HTTPReply).
#pragma once

#include <map>
#include <string>

#include "daemon/base/result.h"
#include "tools/cfsctl/output.h"

namespace cfs::ctl {

/// `data` of the reply. `master` is "host:port".
Result<Json> master_get(const std::string& master, const std::string& path,
                        const std::map<std::string, std::string>& query = {}, int timeout_s = 30);

}  // namespace cfs::ctl
