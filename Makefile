# SPDX-License-Identifier: Apache-2.0
# Front door. CMake builds user space, Kbuild the module; this file only calls them.
# Everything built is in build/, everything slow to fetch or make in $CUBEFS_CACHE (~/.cache/cubefs-client).
SHELL := /bin/bash
PRESET ?= release
B := build/$(PRESET)
JOBS ?= $(shell nproc)
KERNEL ?= stock
PREFIX ?= /usr
HOST_KDIR := /lib/modules/$(shell uname -r)/build
CHANGED_SINCE ?=
ARGS ?=

.DEFAULT_GOAL := all
.PHONY: all help deps user kmod kmod-guest demo test check test-debug nightly bench bench-data bench-meta bench-recovery bench-icount vm format lint install install-dkms clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'
	@echo
	@echo "  PRESET=release|asan|tsan   KERNEL=stock|newer|debug   JOBS=$(JOBS)"

all: deps user kmod ## build everything: daemon, tools, BPF, tests, module

deps: ## install what building and testing needs (asks before it touches apt sources)
	@packaging/deps.sh

user: | deps
	@[ -f $(B)/build.ninja ] || cmake --preset $(PRESET) >/dev/null
	@cmake --build $(B) -j $(JOBS)

kmod: kmod-guest
	@if [ -e "$(HOST_KDIR)/Makefile" ]; then \
	  tests/vm/kbuild "$(HOST_KDIR)" kmod build/kmod-host && echo "module for this kernel: build/kmod-host/kmod/cubefs.ko"; \
	else echo "no headers of the running kernel ($$(uname -r)): the module was built for the guest only"; fi

kmod-guest: | deps
	@tests/vm/get-kernel $(KERNEL)
	@tests/vm/kbuild $(KERNEL) kmod build/kmod-$(KERNEL)

demo: all ## mini cluster + guest + kernel mount: copy a real tree in, compare, edit, compare; about 4 minutes
	@tools/demo/demo.sh

test: all ## all suites: unit, golden, daemon, FUSE, kernel in a stock and a debug guest
	@tests/run

check: user ## no root, no guest, under two minutes: unit, golden, daemon against the mini cluster
	@tests/run --quick

test-debug: all ## the whole kernel suite on the KASAN, lockdep, kmemleak kernel
	@tests/run --suite kernel-debug-full

nightly: all ## everything, long: newer kernel, full debug suite, random tests with many seeds
	@tests/run --nightly

bench: all ## kernel front end (BPF on, off), FUSE, tmpfs, ext4 in one guest: report and plots in build/bench; ARGS=--quick
	@tests/bench/run.sh $(ARGS)

bench-meta: all ## bench, only names: cached and cold metadata, 50,000 files, goals; ARGS=--quick
	@tests/bench/run.sh --report build/bench-meta --many-files 50000 $(ARGS) --group names --group many

bench-data: all ## bench, only file data: sequential, random, small files
	@tests/bench/run.sh --report build/bench-data $(ARGS) --group large --group random --group small

bench-recovery: all ## how long work pauses when network, data nodes or the daemon go away and come back: medians of 7, 20 minutes
	@tests/kernel/run.sh stock --recovery

bench-icount: all ## micro benchmarks in guest instructions against tests/bench/icount-baseline.json
	@tests/bench/icount.sh $(ARGS)

vm: all ## a shell in a guest: module loaded, volume mounted at /mnt/cubefs
	@tools/demo/shell.sh

format: ## clang-format all C++ sources
	@git ls-files 'daemon/*.cc' 'daemon/*.h' 'tools/*.cc' 'tools/*.h' 'tests/*.cc' 'tests/*.h' ':!tests/kernel_core' | xargs clang-format-14 -i

lint: all ## clang-format, clang-tidy on changed files, shellcheck, sparse, checkpatch, SPDX lines
	@tests/lint $(CHANGED_SINCE)

install: all ## install daemon, tools, systemd unit and (for the running kernel) the module
	cmake --install $(B) --prefix $(PREFIX)
	@if [ -e build/kmod-host/kmod/cubefs.ko ]; then \
	  install -D -m 644 build/kmod-host/kmod/cubefs.ko "/lib/modules/$$(uname -r)/extra/cubefs.ko" && depmod; fi

install-dkms: ## the module by DKMS instead: built again for every kernel that is installed later
	@packaging/dkms.sh install

clean: ## remove build/ (the cache of kernels stays)
	rm -rf build
