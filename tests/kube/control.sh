# Ports, certificates and the control plane: the half of `up` that needs no root. Sourced, never run.
# shellcheck shell=bash disable=SC2154

port_is_free() { # ADDRESS PORT
  ! (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null
}

# Below the range from which the kernel gives ports to outgoing connections, so that none of those is in the way.
free_ports() {
  local first
  for _ in $(seq 200); do
    first=$((10000 + RANDOM % 1000 * 4))
    if port_is_free 127.0.0.1 $first && port_is_free 127.0.0.1 $((first + 1)) && port_is_free 127.0.0.1 $((first + 2)); then
      echo $first
      return
    fi
  done
  fail "found no free ports"
}

choose_ports() { # remembered, so that a part that died comes back where the others look for it
  local first
  [ -e "$directory/port" ] || free_ports >"$directory/port"
  first=$(cat "$directory/port")
  etcd_port=$first api_port=${api_port:-$((first + 2))}
  server=https://$address:$api_port
}

# --- Certificates ---

key_and_request() { # NAME SUBJECT
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$directory/pki/$1.key" -subj "$2"
}

certificate() { # NAME SUBJECT [ALTERNATIVE NAMES]
  local pki=$directory/pki
  [ ! -e "$pki/$1.crt" ] || return 0
  key_and_request "$1" "$2" 2>>"$directory/log/openssl" |
    openssl x509 -req -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -set_serial "0x$(openssl rand -hex 8)" -days 30 \
      -out "$pki/$1.crt" -extfile <(echo "extendedKeyUsage=serverAuth,clientAuth${3:+
subjectAltName=$3}") 2>>"$directory/log/openssl" || fail "no certificate for $1, see $directory/log/openssl"
}

kubeconfig() { # FILE NAME OF THE CERTIFICATE
  local pki=$directory/pki
  [ ! -e "$1" ] || return 0
  # With the certificates inside, so that the file can be handed on.
  cat >"$1" <<TEXT
apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: "$server", certificate-authority-data: $(base64 -w0 "$pki/ca.crt")}}]
users:
  - name: test
    user: {client-certificate-data: $(base64 -w0 "$pki/$2.crt"), client-key-data: $(base64 -w0 "$pki/$2.key")}
contexts: [{name: test, context: {cluster: test, user: test}}]
TEXT
}

make_certificates() {
  local pki=$directory/pki
  [ -e "$pki/ca.crt" ] ||
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj '/CN=ackline test cluster' \
      -keyout "$pki/ca.key" -out "$pki/ca.crt" 2>>"$directory/log/openssl"
  [ -e "$pki/accounts.key" ] ||
    openssl ecparam -name prime256v1 -genkey -noout -out "$pki/accounts.key" 2>>"$directory/log/openssl"
  certificate server /CN=kube-apiserver \
    "IP:127.0.0.1,IP:$address,IP:$service_address,DNS:localhost,DNS:kubernetes.default.svc"
  certificate admin /O=system:masters/CN=admin
  certificate to-kubelet /O=system:masters/CN=kube-apiserver
  kubeconfig "$directory/kubeconfig" admin
  [ -z "$controllers" ] || client controller-manager system:kube-controller-manager
  [ "$node_count" -gt 0 ] || return 0
  client scheduler system:kube-scheduler
  client proxy system:kube-proxy
  client dns dns
  if [ -n "$policies" ]; then client policies policies; fi
}

client() { # NAME USER
  certificate "$1" "/CN=$2"
  kubeconfig "$directory/$1.kubeconfig" "$1"
}

# --- Processes ---

kubectl() {
  "$cache/cli/kubectl" --kubeconfig "$directory/kubeconfig" "$@"
}

answers() { # URL
  curl -fsS --max-time 5 --noproxy '*' --cacert "$directory/pki/ca.crt" --cert "$directory/pki/admin.crt" \
    --key "$directory/pki/admin.key" "$1"
}

start_etcd() {
  process_of "$directory" etcd >/dev/null && return
  local client=http://127.0.0.1:$etcd_port peer=http://127.0.0.1:$((etcd_port + 1))
  start etcd "$(in_cache usr/bin/etcd)" --data-dir "$directory/etcd" --log-level error \
    --listen-client-urls "$client" --advertise-client-urls "$client" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "default=$peer"
}

start_api_server() {
  local pki=$directory/pki more=()
  # Without the controller manager nobody makes the service accounts that this plug-in insists on.
  [ -n "$controllers" ] || more+=(--disable-admission-plugins=ServiceAccount)
  # A loopback address must not be an endpoint of the Service `kubernetes`.
  [ "$address" != 127.0.0.1 ] || more+=(--endpoint-reconciler-type=none)
  # Aggregator routing: webhooks that are Services are called at the address of a pod. The API server runs where no
  # kube-proxy does.
  start apiserver "$binaries/kube-apiserver" --etcd-servers "http://127.0.0.1:$etcd_port" \
    --bind-address "$address" --secure-port "$api_port" --advertise-address "$address" \
    --enable-aggregator-routing --authorization-mode Node,RBAC --allow-privileged \
    --client-ca-file "$pki/ca.crt" --tls-cert-file "$pki/server.crt" --tls-private-key-file "$pki/server.key" \
    --kubelet-client-certificate "$pki/to-kubelet.crt" --kubelet-client-key "$pki/to-kubelet.key" \
    --kubelet-certificate-authority "$pki/ca.crt" --kubelet-preferred-address-types InternalIP \
    --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$pki/accounts.key" \
    --service-account-signing-key-file "$pki/accounts.key" --service-cluster-ip-range "$service_network" "${more[@]}"
  ready apiserver answers "$server/readyz"
}

start_controllers() {
  local pki=$directory/pki
  process_of "$directory" controller-manager >/dev/null ||
    # A node that says nothing for 12 s is taken for lost, not for 50 s: tests wait for that.
    start controller-manager "$binaries/kube-controller-manager" --kubeconfig "$directory/controller-manager.kubeconfig" \
      --service-account-private-key-file "$pki/accounts.key" --root-ca-file "$pki/ca.crt" \
      --cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key" \
      --use-service-account-credentials --leader-elect=false --secure-port 0 \
      --node-monitor-grace-period 12s --node-monitor-period 1s
  [ "$node_count" -gt 0 ] || return 0
  process_of "$directory" scheduler >/dev/null ||
    start scheduler "$binaries/kube-scheduler" --kubeconfig "$directory/scheduler.kubeconfig" --leader-elect=false \
      --secure-port 0
}

may_watch() { # USER RESOURCES
  kubectl create clusterrole "test-$1" --verb=list,watch,get --resource="$2" --dry-run=client -o yaml |
    kubectl apply -f - >/dev/null
  kubectl create clusterrolebinding "test-$1" --clusterrole="test-$1" --user="$1" --dry-run=client -o yaml |
    kubectl apply -f - >/dev/null
}

# DNS runs beside the API server and not in a pod, which saves its image and its start.
start_dns() {
  process_of "$directory" dns >/dev/null && return
  may_watch dns services,namespaces,pods,endpointslices.discovery.k8s.io
  cat >"$directory/Corefile" <<TEXT
.:53 {
  bind $dns_address
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $directory/dns.kubeconfig test
  }
}
TEXT
  start dns "$cache/dns/coredns" -conf "$directory/Corefile"
}

start_control() {
  ready etcd answers "http://127.0.0.1:$etcd_port/health"
  process_of "$directory" apiserver >/dev/null || start_api_server
  if [ -n "$controllers" ]; then start_controllers; fi
  if [ "$node_count" -gt 0 ]; then start_dns; fi
  [ -z "$policies" ] || may_watch policies pods,nodes,namespaces,networkpolicies.networking.k8s.io
  # Pods are refused until their namespace has its service account.
  [ -z "$controllers" ] || ready controller-manager answers "$server/api/v1/namespaces/default/serviceaccounts/default"
}
