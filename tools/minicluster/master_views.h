// SPDX-License-Identifier: Apache-2.0
/// Topology and state as the masters' JSON shows them.
///
/// Purpose   Fills the structs of daemon/wire/master_msg.h; administrative documents that no client
///           reads beyond a few keys are completed from recorded defaults.
/// Threads   Free functions over a cluster that runs; any thread.
#pragma once

#include <string>

#include "daemon/wire/master_msg.h"
#include "tools/minicluster/cluster.h"
#include "tools/minicluster/master.h"

namespace cfs::mini {

[[nodiscard]] wire::ClusterInfo cluster_info(Cluster& cluster, const std::string& client_ip);
[[nodiscard]] wire::SimpleVolView simple_vol_view(Cluster& cluster, const Volume& volume);
[[nodiscard]] wire::List<wire::MetaPartitionView> meta_views(Cluster& cluster,
                                                             const std::string& volume);
[[nodiscard]] wire::VolView vol_view(Cluster& cluster, const Volume& volume);
[[nodiscard]] wire::VolStatInfo vol_stat_info(Cluster& cluster, const Volume& volume);
[[nodiscard]] wire::DataPartitionsView partitions_view(Cluster& cluster, const Volume& volume);
[[nodiscard]] wire::VolInfo vol_info(Cluster& cluster, const Volume& volume);
/// Envelopes of /admin/getCluster and /dataPartition/get with all recorded keys.
[[nodiscard]] std::string cluster_document(Cluster& cluster);
[[nodiscard]] std::string data_partition_document(Cluster& cluster, const DataPartitionRow& row);

/// Envelope of a refusal when the request's authKey is not that of the volume's owner; empty when
/// it is. Source: CubeFS v3.5.3, master/operate_util.go (matchKey).
[[nodiscard]] std::string refuse_owner(const MasterRequest& request, const Volume& volume);

}  // namespace cfs::mini
