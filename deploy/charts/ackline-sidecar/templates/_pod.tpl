{{/* What goes into `volumes` of the pod. */}}
{{- define "ackline-sidecar.volumes" -}}
- name: ackline-socket
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
- name: ackline-admin
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
# The sidecar asks the API server for nothing, so it is not given the pod's token: an empty volume is in its place, which
# the API server takes for one.
- name: ackline-no-token
  emptyDir: {sizeLimit: 1Mi}
{{ include "ackline-sidecar.mountedVolumes" . }}
{{- end -}}

{{/* Volumes that the sidecar alone mounts, and only reads; each below /etc/ackline, by its name. */}}
{{- define "ackline-sidecar.mountedVolumes" -}}
{{- $cluster := include "ackline-sidecar.cluster" . | fromYaml -}}
{{- $tls := default dict $cluster.tls -}}
- name: ackline-settings
  downwardAPI:
    items:
      - path: ackline.yaml
        fieldRef: {fieldPath: "metadata.annotations['ackline.dev/settings']"}
{{- with .Values.configMap }}
- name: ackline-config-map
  configMap: {name: {{ quote . }}, items: [{key: ackline.yaml, path: ackline.yaml}]}
{{- end }}
{{- if $tls.enabled }}
{{- with $tls.caSecret }}
- name: ackline-tls-ca
  secret:
    secretName: {{ quote .name }}
    items: [{key: {{ default "ca.crt" .key | quote }}, path: ca.crt}]
{{- end }}
{{- with $tls.clientSecret }}
- name: ackline-tls-client
  secret:
    secretName: {{ quote .name }}
    items:
      - {key: {{ default "tls.crt" .certKey | quote }}, path: tls.crt}
      - {key: {{ default "tls.key" .keyKey | quote }}, path: tls.key}
{{- end }}
{{- end }}
{{- with $cluster.sasl }}
- name: ackline-sasl
  secret:
    secretName: {{ quote .secret.name }}
    items:
      - {key: {{ default "username" .secret.usernameKey | quote }}, path: username}
      - {key: {{ default "password" .secret.passwordKey | quote }}, path: password}
{{- end }}
{{- $settings := include "ackline-sidecar.settings" . | fromYaml }}
{{- with include "ackline-sidecar.storeFiles" (dict "settings" $settings "root" .) | fromYamlArray }}
- name: ackline-offset-store
  secret:
    secretName: {{ (include "ackline-sidecar.storeSecret" $ | fromYaml).name | quote }}
    items:
      {{- range . }}
      - {key: {{ quote .key }}, path: {{ .path }}}
      {{- end }}
{{- end }}
{{- end -}}

{{/* What goes into `volumeMounts` of a container that uses the sidecar. */}}
{{- define "ackline-sidecar.volumeMounts" -}}
- name: ackline-socket
  mountPath: /run/ackline
  readOnly: true
{{- end -}}

{{/* What goes into `env` of a container that uses the sidecar. */}}
{{- define "ackline-sidecar.env" -}}
- name: ACKLINE_TARGET
  value: unix:/run/ackline/ackline.sock
{{- end -}}

{{/*
What goes into the annotations of the pod: the settings, which the container mounts as a file, so that a change of them
makes new pods; and the group, which the PodMonitor of the chart `ackline` makes a label of metrics.
*/}}
{{- define "ackline-sidecar.annotations" -}}
{{- with (default dict (include "ackline-sidecar.settings" . | fromYaml).group).id }}
ackline.dev/group: {{ quote . }}
{{- end }}
ackline.dev/settings: |
  {{- include "ackline-sidecar.settings" . | nindent 2 }}
{{- end -}}

{{/* What goes into the labels of the pod: the injector leaves it alone, the PodMonitor of the chart `ackline` finds it. */}}
{{- define "ackline-sidecar.labels" -}}
ackline.dev/inject: "false"
{{- end -}}
