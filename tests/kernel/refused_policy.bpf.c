// SPDX-License-Identifier: GPL-2.0-only
/*
 * A policy that the verifier must refuse: it writes to its context, as if it could make a value up.
 * tests/kernel/cache_test.cc loads it.
 */
#include "policy.h"

SEC("struct_ops/lookup")
int BPF_PROG(cfs_lookup, struct cfs_policy_ctx *pc)
{
	pc->ino = 42;
	return CFS_POLICY_HIT;
}

SEC(".struct_ops.link")
struct cubefs_policy refused = {
	.lookup	= (void *)cfs_lookup,
	.name	= "refused",
};

char LICENSE[] SEC("license") = "GPL";
