# What `up`, `down` and `tool` share: versions, jars, the JVM, and how a node is recognised.
# Sourced, never run.

newest_version=4.3.1 # all three group protocols
oldest_version=3.9.2 # the last line with the classic protocols alone

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache_root=${ACKLINE_TEST_CACHE:-$(dirname "$scripts")/cache}/kafka

fail() {
  echo "tests/kafka/${0##*/}: $*" >&2
  exit 1
}

# resolve_version NAME: `newest` and `oldest` spare callers from naming numbers.
resolve_version() {
  case $1 in
    newest) echo "$newest_version" ;;
    oldest) echo "$oldest_version" ;;
    *) echo "$1" ;;
  esac
}

# locked FILE COMMAND...: one process at a time. The command's children do not inherit the lock, or a broker
# started under it would hold it for as long as it lives.
locked() {
  local file=$1 descriptor
  shift
  mkdir -p "$(dirname "$file")"
  exec {descriptor}>"$file"
  flock "$descriptor"
  lock_descriptor=$descriptor
  "$@"
  exec {descriptor}>&-
}

# java_for VERSION ARGUMENTS...: becomes a JVM with that version's jars. The class path is spelled out and sorted,
# because a class archive is only accepted with the very string it was made with.
java_for() {
  local home=$cache_root/$1 class_path
  shift
  class_path=$(printf '%s\n' "$home"/jars/*.jar | LC_ALL=C sort | paste -sd:)
  exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Xshare:auto -Djava.awt.headless=true \
    -Dackline.log="${KAFKA_LOG_LEVEL:-WARN}" -Dlog4j2.configurationFile="file:$home/log4j2.properties" \
    -Dlog4j.configuration="file:$home/log4j.properties" -cp "$class_path" "$@"
}

# node_pid DIR NODE: the process id of a running node of that cluster; fails when it is down.
# The command line is compared as well, because process ids are used again.
node_pid() {
  local pid
  pid=$(cat "$1/node$2/pid" 2>/dev/null) || return 1
  { tr '\0' '\n' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qxF "$1/node$2/server.properties" || return 1
  echo "$pid"
}

# cluster_nodes DIR: the node numbers of a cluster.
cluster_nodes() {
  local node
  for node in "$1"/node*; do
    [ -d "$node" ] && echo "${node##*/node}"
  done
}

# --- The cache: jars and log settings, of $version in $home ---

dependency() {
  printf '<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>\n' "$@"
}

write_pom() {
  local artifact
  echo '<project><modelVersion>4.0.0</modelVersion><groupId>ackline.tests</groupId><artifactId>kafka</artifactId>'
  echo '<version>1</version><packaging>pom</packaging><dependencies>'
  dependency org.apache.kafka kafka_2.13 "$version"
  dependency org.apache.kafka kafka-tools "$version"
  # A logging back end is in none of Kafka's own dependency lists.
  if [[ $version == 3.* ]]; then
    dependency org.slf4j slf4j-reload4j 1.7.36
    dependency ch.qos.reload4j reload4j 1.2.25
  else
    for artifact in log4j-core log4j-slf4j-impl log4j-1.2-api; do
      dependency org.apache.logging.log4j "$artifact" 2.25.3
    done
  fi
  echo '</dependencies></project>'
}

write_log_settings() {
  cat >"$home/log4j2.properties" <<'TEXT'
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss.SSS} %p %c{1}: %m%n
rootLogger.level = ${sys:ackline.log}
rootLogger.appenderRef.console.ref = console
TEXT
  cat >"$home/log4j.properties" <<'TEXT'
log4j.rootLogger=${ackline.log}, console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{HH:mm:ss.SSS} %p %c{1}: %m%n
TEXT
}

fetch_jars() {
  [ -e "$home/jars.complete" ] && return
  echo "tests/kafka/up: fetching Apache Kafka $version (about 55 MB, once)" >&2
  mkdir -p "$home/jars"
  write_pom >"$home/pom.xml"
  # -U: Maven remembers an artifact it once failed to get, and would not ask again.
  mvn -B -q -U -Dstyle.color=never -f "$home/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$home/jars" >&2 || fail "Maven could not fetch Apache Kafka $version"
  write_log_settings
  touch "$home/jars.complete"
}
