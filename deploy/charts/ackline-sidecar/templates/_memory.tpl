{{/*
Memory limit of the container: what `sidecar.resources.limits.memory` says, or what `ackline config memory` computes:
24Mi for the process, 30Mi for the fetch queue, 96 times `kafka.fetch_max_bytes`, and 2.5 times `in_flight.bytes` and, with
`processing: transactional`, twice `transactions.max_bytes`.
*/}}
{{- define "ackline-sidecar.memory" -}}
{{- $limits := default dict (default dict .Values.sidecar.resources).limits -}}
{{- if $limits.memory -}}
{{- $limits.memory -}}
{{- else -}}
{{- $settings := include "ackline-sidecar.settings" . | fromYaml -}}
{{- $inFlight := default dict $settings.in_flight -}}
{{- $held := include "ackline-sidecar.bytes" (default "16MiB" $inFlight.bytes) | int64 -}}
{{- if eq (default "at_least_once" $settings.processing) "transactional" -}}
{{- $transactions := default dict $settings.transactions -}}
{{- $held = add $held (mul 2 (include "ackline-sidecar.bytes" (default "16MiB" $transactions.max_bytes) | int64)) -}}
{{- end -}}
{{- $kafka := default dict $settings.kafka -}}
{{- $responses := mul 96 (include "ackline-sidecar.bytes" (default "128KiB" $kafka.fetch_max_bytes) | int64) -}}
{{- $bytes := add (div (mul $held 5) 2) $responses 56623104 -}}
{{- printf "%dMi" (div (add $bytes 1048575) 1048576) -}}
{{- end -}}
{{- end -}}

{{/* A size such as 16MiB, 64Ki or 1500, as a number of bytes. */}}
{{- define "ackline-sidecar.bytes" -}}
{{- if kindIs "string" . -}}
{{- if not (regexMatch "^[0-9]+(B|Ki|Mi|Gi|KiB|MiB|GiB)?$" .) -}}
{{- fail (printf "ackline-sidecar: %q is no size; write a whole number with B, KiB, MiB or GiB" .) -}}
{{- end -}}
{{- $factors := dict "" 1 "B" 1 "Ki" 1024 "KiB" 1024 "Mi" 1048576 "MiB" 1048576 "Gi" 1073741824 "GiB" 1073741824 -}}
{{- $number := regexFind "^[0-9]+" . -}}
{{- mul (int64 $number) (get $factors (trimPrefix $number .)) -}}
{{- else -}}
{{- int64 . -}}
{{- end -}}
{{- end -}}

{{/*
A grace period that leaves the sidecar time to end: `drain.shutdown` and five seconds. Below `drain.shutdown` the pod may
be killed before the last commit.
*/}}
{{- define "ackline-sidecar.terminationGracePeriodSeconds" -}}
{{- $settings := include "ackline-sidecar.settings" . | fromYaml -}}
{{- $drain := default dict $settings.drain -}}
{{- $factors := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 -}}
{{- $milliseconds := 0 -}}
{{- range regexFindAll "[0-9]+(ms|s|m|h)" (default "25s" $drain.shutdown) -1 -}}
{{- $number := regexFind "^[0-9]+" . -}}
{{- $milliseconds = add $milliseconds (mul (int64 $number) (get $factors (trimPrefix $number .))) -}}
{{- end -}}
{{- add (div (add $milliseconds 999) 1000) 5 -}}
{{- end -}}
