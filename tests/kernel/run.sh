#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The kernel suite in a guest: mini cluster on the host side of the tap, module, daemon and tests in the guest.
#   tests/kernel/run.sh stock|newer|debug [--short|--channel|--fs FILTER|--cache [FILTER]|--observe|--upgrade|--systemd|--fsc|--soak|--recovery|--page [DIRECTORY]]
# --channel: only the channel test; --fs: only these tests of fs_suite; --cache: only the metadata cache's; --observe: only the
# tools that watch; --upgrade: only upgrades under load; --systemd: only the unit file and fstab; --fsc: only the local cache; --soak: many operations and faults (CFS_ORACLE_OPS, CFS_OUTAGE_CYCLES);
# --recovery: measure how long work pauses (CFS_RECOVERY_ROUNDS), not a test; --page: only the status page in a browser, screenshots go to DIRECTORY
set -eu
cd "$(dirname "$0")/../.."
kernel=$1
shift
B=$PWD/build/release
tests/vm/get-kernel "$kernel"
tests/vm/kbuild "$kernel" kmod "build/kmod-$kernel"

limit=2600
[[ ! ${1:-} =~ ^--(soak|recovery)$ ]] || limit=5200
# The channel alone, against a daemon made for the test: it lies, dies and comes back. Ends by unloading the module.
[[ ${1:-} =~ ^--(fs|cache|observe|upgrade|systemd|fsc|soak|recovery|page)$ ]] || tests/vm/run --kernel "$kernel" --net none --time-limit "$limit" --module "build/kmod-$kernel/kmod/cubefs.ko" \
  -- "$B/tests/kernel/chan_test"
[ "${1:-}" != --channel ] || exit 0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
more=() nodes=3
[ "${1:-}" != --recovery ] || nodes=4 # one more than replicas
if [ "${1:-}" = --page ]; then
  shots=$(realpath "${2:-$dir/shots}")
  mkdir -p "$shots"
  rm -f "$shots/loaded" "$shots/result"
  more=(--bind "$shots" --host-command "exec tests/kernel/page.sh host '$shots'")
  set -- --page "$shots"
fi
tests/vm/run --kernel "$kernel" --time-limit "$limit" --module "build/kmod-$kernel/kmod/cubefs.ko" \
  --env CFS_ORACLE_OPS="${CFS_ORACLE_OPS:-}" --env CFS_OUTAGE_CYCLES="${CFS_OUTAGE_CYCLES:-}" --env CFS_OUTAGE_SEED="${CFS_OUTAGE_SEED:-}" --env CFS_RECOVERY_ROUNDS="${CFS_RECOVERY_ROUNDS:-}" \
  --host-command "exec '$B/tools/minicluster/cfs-minicluster' --dir '$dir' --ip \$CUBEFS_HOST_IP --datanodes $nodes --tiny-ready-ms 0 \
     --volume test:tester --volume single:tester:1" "${more[@]}" \
  -- tests/kernel/suite.sh "$@"
