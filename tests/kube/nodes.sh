# The network, and what is made for a node before it runs: the half of `up` that needs root. Sourced, never run.
# shellcheck shell=bash disable=SC2154

make_bridge() {
  local owner
  owner=$(cat "$bridge_owner" 2>/dev/null || true)
  if [ -n "$owner" ] && [ "$owner" != "$directory" ]; then
    fail "the cluster in $owner has nodes, and this machine takes one such at a time; stop it: tests/kube/down $owner"
  fi
  ip link show "$bridge" >/dev/null 2>&1 && return
  if ip -o addr show | grep -qF " $network."; then
    fail "an address of $network.0.0/16 is in use on this machine, and nodes would need it"
  fi
  echo "$directory" >"$bridge_owner"
  ip link add "$bridge" type bridge
  ip addr add "$bridge_address/24" dev "$bridge"
  ip link set "$bridge" up
  # From node to node: what comes in here is forwarded, and nothing else of this machine.
  echo 1 >"/proc/sys/net/ipv4/conf/$bridge/forwarding"
}

# node_number NAME
node_number() { echo "${1##*-}"; }

node_address() { echo "$network.0.$(($(node_number "$1") + 1))"; }

make_control_groups() { # NODE
  local folder file
  while read -r folder; do
    mkdir -p "$folder"
    # A new group of version 1 may use no processor and no memory until it is told which.
    for file in cpuset.cpus cpuset.mems; do
      if [ -e "$folder/$file" ] && [ ! -e "$folder/cgroup.controllers" ]; then cat "$folder/../$file" >"$folder/$file"; fi
    done
  done < <(control_groups "$1")
}

write_network_settings() { # NODE
  local folder=$directory/$1
  mkdir -p "$folder/network"
  cat >"$folder/network/10-pods.conflist" <<TEXT
{"cniVersion": "0.4.0", "name": "pods", "plugins": [{
  "type": "ptp",
  "ipam": {"type": "host-local", "dataDir": "$folder/addresses", "routes": [{"dst": "0.0.0.0/0"}],
           "ranges": [[{"subnet": "$network.$(node_number "$1").0/24"}]]}
}]}
TEXT
}

write_containerd_settings() { # NODE
  local folder=$directory/$1
  # restrict_oom_score_adj: containers of continuous integration may often not set it. Network namespaces of pods are
  # mounted below the state, where they end with the node.
  cat >"$folder/containerd.toml" <<TEXT
version = 2
root = "$folder/containerd"
state = "$folder/state"
[grpc]
  address = "$folder/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/ackline-test/pause:1"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$(in_cache usr/lib/cni)"
    conf_dir = "$folder/network"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "$(in_cache usr/sbin/runc usr/bin/runc)"
        Root = "$folder/runc"
TEXT
}

write_kubelet_settings() { # NODE
  local folder=$directory/$1 pki=$directory/pki
  # failCgroupV1: from 1.35 on a kubelet refuses control groups of version 1 unless told otherwise. The lease is short for
  # the sake of the grace period in control.sh.
  cat >"$folder/kubelet.yaml" <<TEXT
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /ackline-$1
containerRuntimeEndpoint: unix://$folder/containerd.sock
authentication: {anonymous: {enabled: false}, x509: {clientCAFile: "$pki/ca.crt"}}
tlsCertFile: $pki/$1.crt
tlsPrivateKeyFile: $pki/$1.key
clusterDNS: [$dns_address]
clusterDomain: cluster.local
resolvConf: ""
nodeLeaseDurationSeconds: 8
nodeStatusUpdateFrequency: 2s
oomScoreAdj: 0
enforceNodeAllocatable: []
failSwapOn: false
makeIPTablesUtilChains: false
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
podLogsDir: $folder/logs
TEXT
}

write_proxy_settings() { # NODE
  cat >"$directory/$1/proxy.yaml" <<TEXT
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: $1
clusterCIDR: $network.0.0/16
clientConnection: {kubeconfig: "$directory/proxy.kubeconfig"}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
TEXT
}

# Connects the node with the bridge. Its network namespace is that of its first process.
connect() { # NODE PID
  local address
  address=$(node_address "$1")
  # The kernel takes its time to remove the one of a node that was lost.
  ip link delete "ackline-$1" 2>/dev/null || true
  ip link add "ackline-$1" type veth peer name eth0 netns "$2"
  ip link set "ackline-$1" master "$bridge" up
  nsenter --net="/proc/$2/ns/net" ip -batch - <<TEXT
link set lo up
address add $address/24 dev eth0
link set eth0 up
route add default via $bridge_address
TEXT
  ip route replace "$network.$(node_number "$1").0/24" via "$address" dev "$bridge"
}

prepare_node() { # NODE
  local pid
  mkdir -p "$directory/$1"
  certificate "$1" "/O=system:nodes/CN=system:node:$1" "IP:$(node_address "$1"),DNS:$1"
  kubeconfig "$directory/$1.kubeconfig" "$1"
  write_network_settings "$1"
  write_containerd_settings "$1"
  write_kubelet_settings "$1"
  write_proxy_settings "$1"
  make_control_groups "$1"
  # What a machine forgets when it starts anew.
  rm -rf "$directory/$1"/{connected,admitted,registered,containerd.sock,state,runc}
  # All that runs on the node, and all that it mounts, ends with this process: the kernel sees to it.
  PATH=$(dirname "$(in_cache usr/sbin/runc usr/bin/runc)"):$debian/usr/bin:$PATH \
    start "$1" unshare --mount --net --pid --fork --kill-child --mount-proc "$scripts/node" "$directory/$1" "$binaries" \
    "$(node_address "$1")" "$policies"
  pid=$(cat "$directory/pid/$1")
  until [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do
    if gone "$pid"; then not_ready "$1" "ended"; fi
    sleep 0.02
  done
  connect "$1" "$pid"
  touch "$directory/$1/connected"
}

prepare_nodes() {
  local number
  [ "$node_count" -gt 0 ] || return 0
  for number in $(seq "$node_count"); do
    process_of "$directory" "node-$number" >/dev/null || prepare_node "node-$number"
  done
}

load_images() {
  local number
  for number in $(seq "$node_count"); do
    "$scripts/load" --node "node-$number" "$directory" "$cache/images/pause.tar" "$cache/images/tools.tar" "${images[@]}"
  done
}

# Waits until NetworkPolicies are enforced there.
ready_for_policies() { # NODE
  local pid
  pid=$(cat "$directory/pid/$1")
  touch "$directory/$1/registered"
  ready "$1" nsenter --net="/proc/$pid/ns/net" iptables --list-rules KUBE-ROUTER-FORWARD
}

start_nodes() {
  local number
  for number in $(seq "$node_count"); do
    # The kubelet waits for this: it would retry ever more slowly while there is no API server.
    touch "$directory/node-$number/admitted"
  done
  for number in $(seq "$node_count"); do
    ready "node-$number" kubectl get node "node-$number"
    kubectl wait --for=condition=Ready "node/node-$number" --timeout=60s >/dev/null || not_ready "node-$number" "is not ready"
    [ -z "$policies" ] || ready_for_policies "node-$number"
  done
}
