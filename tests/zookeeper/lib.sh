# What `up`, `down` and `tool` share. Sourced, never run.

# ZooKeeper comes with the last line of Kafka that could use it.
. "$(dirname "${BASH_SOURCE[0]}")/../kafka/lib.sh"
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$oldest_version
home=$cache_root/$version

fail() {
  echo "tests/zookeeper/${0##*/}: $*" >&2
  exit 1
}

# server_pid DIR: the process id of the server in DIR; fails when it is down. Process ids are used again, so the command line
# is compared as well.
server_pid() {
  local pid
  pid=$(cat "$1/pid" 2>/dev/null) || return 1
  { tr '\0' '\n' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qxF "$1/zoo.cfg" || return 1
  echo "$pid"
}
