{{- define "ackline.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{/* `helm install ackline` makes `ackline`, and not `ackline-ackline`. */}}
{{- define "ackline.fullname" -}}
{{- $name := include "ackline.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "ackline.injector" -}}
{{- printf "%s-injector" (include "ackline.fullname" .) -}}
{{- end -}}

{{- define "ackline.selectorLabels" -}}
app.kubernetes.io/name: {{ include "ackline.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: injector
{{- end -}}

{{- define "ackline.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: ackline
{{ include "ackline.selectorLabels" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "ackline.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "ackline.injector" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Not empty if the injector makes its certificate itself. */}}
{{- define "ackline.selfManaged" -}}
{{- if eq .Values.webhook.certificate.mode "self-managed" -}}yes{{- end -}}
{{- end -}}

{{- define "ackline.certificateSecret" -}}
{{- if eq .Values.webhook.certificate.mode "secret" -}}
{{- required "webhook.certificate.secret.name: name the Secret that holds the certificate, or choose another webhook.certificate.mode" .Values.webhook.certificate.secret.name -}}
{{- else -}}
{{- printf "%s-certificate" (include "ackline.injector" .) -}}
{{- end -}}
{{- end -}}

{{/* The name of an image: takes `repository`, `tag` and `digest`. A digest says everything, so no tag stands beside it. */}}
{{- define "ackline.imageName" -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository .tag -}}
{{- end -}}
{{- end -}}

{{- define "ackline.injectorImage" -}}
{{- $own := .Values.injector.image -}}
{{- $sidecar := .Values.sidecar.image -}}
{{- $digest := $own.digest -}}
{{- if not (or $own.digest $own.repository $own.tag) -}}
{{- $digest = $sidecar.digest -}}
{{- end -}}
{{- $repository := default $sidecar.repository $own.repository -}}
{{- $tag := default (default .Chart.AppVersion $sidecar.tag) $own.tag -}}
{{- include "ackline.imageName" (dict "repository" $repository "tag" $tag "digest" $digest) -}}
{{- end -}}

{{/* `runAsUser` and `runAsGroup` as far as they are given. */}}
{{- define "ackline.user" -}}
{{- with . }}
{{- with .runAsUser }}
runAsUser: {{ int64 . }}
{{- end }}
{{- with .runAsGroup }}
runAsGroup: {{ int64 . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The rest of what Pod Security `restricted` asks of a container. */}}
{{- define "ackline.restricted" -}}
runAsNonRoot: true
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/*
The part of the values that the injector reads. Helm drops keys whose value is null, and the injector takes a key that is
not there for its default; so null is written out where it means something.
*/}}
{{- define "ackline.injectorFile" -}}
{{- $sidecar := deepCopy .Values.sidecar -}}
{{- $_ := set $sidecar.image "tag" (default .Chart.AppVersion $sidecar.image.tag) -}}
{{- $user := default dict $sidecar.securityContext -}}
{{- $_ := set $sidecar "securityContext" (dict "runAsUser" (get $user "runAsUser" | default nil) "runAsGroup" (get $user "runAsGroup" | default nil)) -}}
{{- $file := dict "sidecar" $sidecar "config" (default dict .Values.config) "clusters" .Values.clusters -}}
{{- $_ := set $file "defaultCluster" .Values.defaultCluster -}}
{{- $_ := set $file "offsetStore" .Values.offsetStore -}}
{{- $_ := set $file "allow" .Values.allow -}}
{{- toYaml $file -}}
{{- end -}}

{{/*
Not empty if `helm test` has something to do: a pod in the namespace of the release gets no sidecar, one without a profile
neither, and one with a classic sidecar does not end by itself.
*/}}
{{- define "ackline.testable" -}}
{{- if and .Values.test.enabled .Values.clusters (eq .Values.sidecar.mode "native") (ne .Values.test.namespace .Release.Namespace) -}}
yes
{{- end -}}
{{- end -}}

{{/* What no schema can say. */}}
{{- define "ackline.check" -}}
{{- $names := keys .Values.clusters | sortAlpha | join ", " | default "none" -}}
{{- if and .Values.defaultCluster (not (hasKey .Values.clusters .Values.defaultCluster)) -}}
{{- fail (printf "defaultCluster: there is no profile %q in clusters; there is: %s" .Values.defaultCluster $names) -}}
{{- end -}}
{{- if and .Values.test.cluster (not (hasKey .Values.clusters .Values.test.cluster)) -}}
{{- fail (printf "test.cluster: there is no profile %q in clusters; there is: %s" .Values.test.cluster $names) -}}
{{- end -}}
{{- if and (eq .Values.sidecar.mode "native") (semverCompare "<1.29.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "sidecar.mode: native sidecars need Kubernetes 1.29, this is %s; set sidecar.mode to classic" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- end -}}
