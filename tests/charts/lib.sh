# shellcheck shell=bash
# What the checks of the charts share. Sourced in the root of the repository.

tools=${ACKLINE_TEST_CACHE:-tests/cache}/kube # filled by tests/kube/get
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Nothing of the person who runs the checks: no plugins, no repositories.
export HELM_CACHE_HOME=$work/cache HELM_CONFIG_HOME=$work/config HELM_DATA_HOME=$work/data
passed=0 failed=0

# check NAME COMMAND...: one check, which ends at the first command of it that fails. What it prints is shown then.
check() {
  local name=$1 status
  shift
  # As a condition it would go on after a command that fails.
  set +e
  (set -e; "$@") >"$work/output" 2>&1
  status=$?
  set -e
  if [ $status -eq 0 ]; then
    passed=$((passed + 1))
    echo "ok      $name"
  else
    failed=$((failed + 1))
    echo "FAILED  $name"
    sed 's/^/        /' "$work/output"
  fi
}

need() {
  local tool
  for tool in "$@"; do
    [ -e "$tools/$tool" ] || { echo "$0: $tools/$tool is missing; run tests/kube/get cli check" >&2 && exit 1; }
  done
}

# In the form that tests/run counts.
result() {
  echo "test result: $([ "$failed" -eq 0 ] && echo ok || echo FAILED). $passed passed; $failed failed"
  [ "$failed" -eq 0 ]
}

# application_chart DIR: the chart of tests/charts/application with the library in it.
application_chart() {
  cp -R tests/charts/application "$1"
  mkdir "$1/charts"
  cp -R deploy/charts/ackline-sidecar "$1/charts/"
}
