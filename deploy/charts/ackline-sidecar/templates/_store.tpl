{{/* The Secret of a store of positions outside Kafka, as YAML: that of the profile, if it names one, else that of all. */}}
{{- define "ackline-sidecar.storeSecret" -}}
{{- $cluster := include "ackline-sidecar.cluster" . | fromYaml -}}
{{- $own := default dict (default dict $cluster.offsetStore).secret -}}
{{- $general := default dict (default dict .Values.offsetStore).secret -}}
{{- toYaml (ternary $own $general (not (empty $own.name))) -}}
{{- end -}}

{{/*
What the chosen store needs of that Secret, as a list in YAML: `key` of the Secret, `path` of the file, the `setting` that
names it, and whether that stands below `tls`. Takes `settings`, and what templates are called with as `root`.
*/}}
{{- define "ackline-sidecar.storeFiles" -}}
{{- $secret := include "ackline-sidecar.storeSecret" .root | fromYaml -}}
{{- $store := default dict .settings.offset_store -}}
{{- $kind := default "kafka" $store.kind -}}
{{- $encrypted := default false (default dict (default dict (get $store $kind)).tls).enabled -}}
{{- $identified := and $encrypted (eq $kind "zookeeper") -}}
{{- $files := list -}}
{{- if and $secret.name (ne $kind "kafka") -}}
{{- $files = append $files (dict "named" "usernameKey" "path" "username" "setting" "username_file" "tls" false) -}}
{{- $files = append $files (dict "named" "passwordKey" "path" "password" "setting" "password_file" "tls" false) -}}
{{- if $encrypted -}}
{{- $files = append $files (dict "named" "caKey" "path" "ca.crt" "setting" "ca_file" "tls" true) -}}
{{- end -}}
{{- if $identified -}}
{{- $files = append $files (dict "named" "certKey" "path" "tls.crt" "setting" "cert_file" "tls" true) -}}
{{- $files = append $files (dict "named" "keyKey" "path" "tls.key" "setting" "key_file" "tls" true) -}}
{{- end -}}
{{- end -}}
{{- $keys := dict "usernameKey" "username" "passwordKey" "password" "caKey" "ca.crt" "certKey" "tls.crt" "keyKey" "tls.key" -}}
{{- range $files -}}
{{- $key := get (ternary $secret $keys (hasKey $secret .named)) .named -}}
{{- if $key }}
- {key: {{ quote $key }}, path: {{ .path }}, setting: {{ .setting }}, tls: {{ .tls }}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The settings that name these files, as YAML. Takes what "storeFiles" takes. Files lie where "volumes" puts them. */}}
{{- define "ackline-sidecar.storeSettings" -}}
{{- $server := dict -}}
{{- $tls := dict -}}
{{- range include "ackline-sidecar.storeFiles" . | fromYamlArray -}}
{{- $_ := set (ternary $tls $server .tls) .setting (printf "/etc/ackline/offset-store/%s" .path) -}}
{{- end -}}
{{- if $tls }}{{ $_ := set $server "tls" $tls }}{{ end -}}
{{- if $server -}}
{{- toYaml (dict "offset_store" (dict .settings.offset_store.kind $server)) -}}
{{- end -}}
{{- end -}}
