{{/*
Settings of the sidecar as YAML. Later wins: `config`, the profile's `config`, how to reach the profile's Kafka, files of
the offset store, `set`, and what has a value of its own. Maps come together, lists are replaced.
*/}}
{{- define "ackline-sidecar.settings" -}}
{{- $values := .Values -}}
{{- $cluster := include "ackline-sidecar.cluster" . | fromYaml -}}
{{- $own := dict -}}
{{- with $values.group }}{{ $_ := set $own "group" (dict "id" .) }}{{ end -}}
{{- with $values.topics }}{{ $_ := set $own "topics" . }}{{ end -}}
{{- with $values.start }}{{ $_ := set $own "start" . }}{{ end -}}
{{- with $values.order }}{{ $_ := set $own "order" . }}{{ end -}}
{{- with $values.deadLetterTopic }}{{ $_ := set $own "dead_letter" (dict "topic" .) }}{{ end -}}
{{- $profile := deepCopy (default dict $cluster.config) -}}
{{- $connection := include "ackline-sidecar.connection" $cluster | fromYaml -}}
{{- $set := deepCopy (default dict $values.set) -}}
{{- $known := mergeOverwrite (deepCopy (default dict $values.config)) (deepCopy $profile) (deepCopy $connection) (deepCopy $set) -}}
{{- $store := include "ackline-sidecar.storeSettings" (dict "settings" $known "root" .) | fromYaml -}}
{{- $settings := mergeOverwrite (deepCopy (default dict $values.config)) $profile $connection $store $set $own -}}
{{- if not $values.configMap -}}
{{- $_ := required "ackline-sidecar: group is empty; name the consumer group" (default dict $settings.group).id -}}
{{- $_ := required "ackline-sidecar: topics is empty; name what to read" $settings.topics -}}
{{- $_ := required "ackline-sidecar: start is empty; choose earliest, latest or stop" $settings.start -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{/* The chosen profile, as YAML. */}}
{{- define "ackline-sidecar.cluster" -}}
{{- $clusters := default dict .Values.clusters -}}
{{- $names := keys $clusters | sortAlpha -}}
{{- if not $names -}}
{{- fail "ackline-sidecar: clusters is empty; say how to reach a Kafka" -}}
{{- end -}}
{{- $name := default .Values.defaultCluster .Values.cluster -}}
{{- if and (not $name) (gt (len $names) 1) -}}
{{- fail (printf "ackline-sidecar: choose one of the clusters by cluster or defaultCluster: %s" (join ", " $names)) -}}
{{- end -}}
{{- $name = default (first $names) $name -}}
{{- if not (hasKey $clusters $name) -}}
{{- fail (printf "ackline-sidecar: there is no cluster %q; there is: %s" $name (join ", " $names)) -}}
{{- end -}}
{{- toYaml (get $clusters $name) -}}
{{- end -}}

{{/* What a profile says about brokers, TLS and passwords, as settings. Files lie where "volumes" puts them. */}}
{{- define "ackline-sidecar.connection" -}}
{{- $tls := default dict .tls -}}
kafka:
  brokers: {{- toYaml .brokers | nindent 4 }}
  {{- if hasKey $tls "enabled" }}
  tls:
    enabled: {{ $tls.enabled }}
    {{- if and $tls.enabled $tls.caSecret }}
    ca_file: /etc/ackline/tls-ca/ca.crt
    {{- end }}
    {{- if and $tls.enabled $tls.clientSecret }}
    cert_file: /etc/ackline/tls-client/tls.crt
    key_file: /etc/ackline/tls-client/tls.key
    {{- end }}
  {{- end }}
  {{- with .sasl }}
  sasl:
    mechanism: {{ .mechanism }}
    username_file: /etc/ackline/sasl/username
    password_file: /etc/ackline/sasl/password
  {{- end }}
{{- end -}}
