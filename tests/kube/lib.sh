# What the scripts of this folder share: versions, the cache, addresses, and how a process of a cluster is recognised.
# Sourced, never run.
# shellcheck shell=bash disable=SC2034

newest_kubernetes=v1.37.2
oldest_kubernetes=v1.33.13

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(dirname "$(dirname "$scripts")")
test_cache=${ACKLINE_TEST_CACHE:-$repository/tests/cache}
[[ $test_cache == /* ]] || test_cache=$PWD/$test_cache
cache=$test_cache/kube
debian=$cache/debian # Debian packages, unpacked and not installed

# Addresses of a cluster with nodes. The bridge stands for the network between machines: node N is 10.77.0.(N + 1), its
# pods are 10.77.N.0/24, and what listens on the bridge's own address (the API server, Kafka) is reached from all of them.
bridge=ackline-test
network=10.77
bridge_address=$network.0.1
service_network=10.96.0.0/16
service_address=10.96.0.1 # of the Service `kubernetes`
dns_address=$bridge_address
bridge_owner=/run/ackline-test-cluster # names the folder of the cluster whose bridge it is

fail() {
  echo "tests/kube/${0##*/}: $*" >&2
  exit 1
}

# resolve_version NAME: `newest` and `oldest` spare callers from naming numbers.
resolve_version() {
  case $1 in
    newest) echo "$newest_kubernetes" ;;
    oldest) echo "$oldest_kubernetes" ;;
    v*) echo "$1" ;;
    *) echo "v$1" ;;
  esac
}

# in_cache FILE...: the first of them that is in the unpacked packages; releases of Debian differ in where it lies.
in_cache() {
  local file
  for file in "$@"; do
    if [ -e "$debian/$file" ]; then
      echo "$debian/$file"
      return
    fi
  done
  return 1
}

busybox() {
  in_cache bin/busybox usr/bin/busybox || fail "there is no busybox in $cache; run tests/kube/get node"
}

# shell_into ROOT: puts a shell and the usual commands into a file system.
shell_into() {
  local command
  mkdir -p "$1/bin"
  install -m 755 "$(busybox)" "$1/bin/busybox"
  "$1/bin/busybox" --list | while read -r command; do
    [ "$command" = busybox ] || ln -s busybox "$1/bin/$command"
  done
}

# process_of DIR NAME: the process id of a running part of that cluster; fails when it is down. The command line is
# compared as well, because process ids are used again: each part is told of a file below DIR.
process_of() {
  local pid
  pid=$(cat "$1/pid/$2" 2>/dev/null) || return 1
  { tr '\0' '\n' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qF "$1/" || return 1
  echo "$pid"
}

gone() { # a zombie has released everything it held
  [ ! -e "/proc/$1" ] || grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null
}

# wait_for_end PID TENTHS
wait_for_end() {
  local tenths=$2
  until gone "$1"; do
    [ "$tenths" -gt 0 ] || return 1
    tenths=$((tenths - 1))
    sleep 0.1
  done
}

# cluster_nodes DIR: names of the nodes of a cluster, in order.
cluster_nodes() {
  local file
  for file in "$1"/pid/node-*; do
    [ ! -e "$file" ] || echo "${file##*/}"
  done | sort -t- -k2n
}

# control_groups NODE: the folder of the node in each hierarchy of control groups, of version 1 or 2.
control_groups() {
  local parent
  for parent in /sys/fs/cgroup /sys/fs/cgroup/*/; do
    if [ -e "$parent/cgroup.procs" ]; then echo "${parent%/}/ackline-$1"; fi
    # One hierarchy of version 2 is all there is then; what lies below are groups.
    [ ! -e /sys/fs/cgroup/cgroup.controllers ] || return 0
  done
}

# for_cluster DIR: the folder of a cluster that is there, as an absolute path.
for_cluster() {
  directory=$(cd "${1:?}" 2>/dev/null && pwd) && [ -e "$directory/env" ] ||
    fail "there is no cluster in $1; start one with tests/kube/up $1"
}
