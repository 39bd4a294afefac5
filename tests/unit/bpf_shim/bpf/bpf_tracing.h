/* SPDX-License-Identifier: Apache-2.0 */
/* Callbacks as plain functions. */
#ifndef CFS_SHIM_BPF_TRACING_H
#define CFS_SHIM_BPF_TRACING_H

#define BPF_PROG(name, ...) name(__VA_ARGS__)

#endif
