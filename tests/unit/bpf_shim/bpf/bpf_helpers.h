/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What policies need of libbpf's bpf_helpers.h, in user space: maps are only addresses. See policy_shim.h.
 */
#ifndef CFS_SHIM_BPF_HELPERS_H
#define CFS_SHIM_BPF_HELPERS_H

#define SEC(name)
#define __uint(name, val) int(*name)[val]
#define __type(name, val) val* name
#define __ksym
#define LIBBPF_PIN_BY_NAME 1
#define preserve_access_index
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))

void* bpf_map_lookup_elem(void* map, const void* key);
long bpf_map_update_elem(void* map, const void* key, const void* value, unsigned long long flags);

#endif
