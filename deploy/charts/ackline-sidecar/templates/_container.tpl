{{/* The container: into `initContainers` with `sidecar.mode: native`, into `containers` with `classic`. */}}
{{- define "ackline-sidecar.container" -}}
{{- $sidecar := .Values.sidecar -}}
{{- $memory := include "ackline-sidecar.memory" . -}}
{{- $resources := default dict $sidecar.resources -}}
name: ackline
image: {{ include "ackline-sidecar.image" . }}
imagePullPolicy: {{ $sidecar.image.pullPolicy }}
{{- if eq $sidecar.mode "native" }}
restartPolicy: Always
{{- end }}
args:
  - run
  - --config
  - /etc/ackline/settings/ackline.yaml
  {{- if .Values.configMap }}
  - --config
  - /etc/ackline/config-map/ackline.yaml
  {{- end }}
env:
  - name: POD_NAME
    valueFrom: {fieldRef: {fieldPath: metadata.name}}
  - name: POD_NAMESPACE
    valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
  - name: NODE_NAME
    valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
  {{- with $sidecar.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
ports:
  - name: ackline-http
    containerPort: {{ include "ackline-sidecar.port" . }}
startupProbe:
  httpGet: {path: /startupz, port: ackline-http}
  periodSeconds: {{ int $sidecar.startup.periodSeconds }}
  failureThreshold: {{ int $sidecar.startup.failureThreshold }}
livenessProbe:
  httpGet: {path: /livez, port: ackline-http}
  periodSeconds: 10
  failureThreshold: 3
  timeoutSeconds: 5
{{- if $sidecar.readiness }}
readinessProbe:
  httpGet: {path: /readyz, port: ackline-http}
{{- end }}
# Kubernetes runs it at once when the pod ends; the signal comes only after the application has ended.
lifecycle:
  preStop:
    exec:
      command: [/ackline, drain, --notice, --reason, preStop]
resources:
  requests:
    {{- with (default dict $resources.requests).cpu }}
    cpu: {{ . }}
    {{- end }}
    memory: {{ $memory }}
  limits:
    {{- with (default dict $resources.limits).cpu }}
    cpu: {{ . }}
    {{- end }}
    memory: {{ $memory }}
securityContext:
  runAsNonRoot: true
  {{- with $sidecar.securityContext }}
  {{- with .runAsUser }}
  runAsUser: {{ int64 . }}
  {{- end }}
  {{- with .runAsGroup }}
  runAsGroup: {{ int64 . }}
  {{- end }}
  {{- end }}
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
volumeMounts:
  - name: ackline-socket
    mountPath: /run/ackline
  - name: ackline-admin
    mountPath: /run/ackline-admin
  - name: ackline-no-token
    mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    readOnly: true
  {{- range include "ackline-sidecar.mountedVolumes" . | fromYamlArray }}
  - name: {{ .name }}
    mountPath: /etc/ackline/{{ trimPrefix "ackline-" .name }}
    readOnly: true
  {{- end }}
{{- end -}}

{{/* Port of probes and metrics: that of `listen.http`. */}}
{{- define "ackline-sidecar.port" -}}
{{- $settings := include "ackline-sidecar.settings" . | fromYaml -}}
{{- regexFind "[0-9]+$" (default "0.0.0.0:7421" (default dict $settings.listen).http) -}}
{{- end -}}

{{- define "ackline-sidecar.image" -}}
{{- $image := .Values.sidecar.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default (include "ackline-sidecar.version" .) $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The `appVersion` of this chart. Templates are called with the chart of somebody else, so it has to stand here. */}}
{{- define "ackline-sidecar.version" -}}
0.1.0
{{- end -}}
