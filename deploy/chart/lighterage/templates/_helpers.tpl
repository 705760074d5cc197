{{- define "lighterage.name" -}}
{{- if contains .Chart.Name .Release.Name -}}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{- else -}}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{- end -}}
{{- end -}}

{{- define "lighterage.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "lighterage.labels" -}}
{{ include "lighterage.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "lighterage.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "lighterage.name" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "lighterage.claim" -}}
{{- .Values.persistence.existingClaim | default (include "lighterage.name" .) -}}
{{- end -}}

{{/* Whether something that must outlive the pod is on its volume. */}}
{{- define "lighterage.needsVolume" -}}
{{- if or (not .Values.database.existingSecret) (not .Values.key.existingSecret) (not (or .Values.storage.s3.bucket .Values.home.url)) -}}true{{- end -}}
{{- end -}}

{{/* Whether two pods may be there at once, as in a rolling update. */}}
{{- define "lighterage.shared" -}}
{{- if and .Values.database.existingSecret .Values.key.existingSecret (or .Values.storage.s3.bucket .Values.home.url (eq .Values.persistence.accessMode "ReadWriteMany")) -}}true{{- end -}}
{{- end -}}

{{- define "lighterage.externalURL" -}}
{{- if .Values.externalURL -}}{{ .Values.externalURL }}
{{- else if and .Values.ingress.enabled .Values.ingress.host -}}{{ ternary "https" "http" (not (empty .Values.ingress.tlsSecret)) }}://{{ .Values.ingress.host }}
{{- end -}}
{{- end -}}

{{- define "lighterage.storage" -}}
{{- $s := .Values.storage.s3 -}}
{{- $options := dict -}}
{{- range $name, $value := $s.options -}}{{- $_ := set $options $name (toString $value) -}}{{- end -}}
{{- with $s.endpoint -}}{{- $_ := set $options "endpoint" . -}}{{- end -}}
{{- with $s.region -}}{{- $_ := set $options "region" . -}}{{- end -}}
{{- $pairs := list -}}
{{- range $name := keys $options | sortAlpha -}}{{- $pairs = append $pairs (printf "%s=%s" $name (get $options $name | urlquery)) -}}{{- end -}}
s3://{{ $s.bucket }}{{ with trimAll "/" $s.prefix }}/{{ . }}{{ end }}{{ with $pairs }}?{{ join "&" . }}{{ end }}
{{- end -}}

{{/* What cannot work is refused before anything is changed. */}}
{{- define "lighterage.check" -}}
{{- if and (include "lighterage.needsVolume" .) (not .Values.persistence.enabled) -}}
{{- fail "persistence.enabled=false loses the database, the key or the images with the pod: set database.existingSecret, key.existingSecret and storage.s3.bucket (or home.url)" -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.database.existingSecret) -}}
{{- fail "replicas > 1 need PostgreSQL: set database.existingSecret" -}}
{{- end -}}
{{- if and .Values.database.existingSecret (not .Values.key.existingSecret) (gt (int .Values.replicas) 1) -}}
{{- fail "replicas > 1 must share the key that seals secrets: set key.existingSecret" -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) (not (include "lighterage.shared" .)) -}}
{{- fail "replicas > 1 must share the images: set storage.s3.bucket, or persistence.accessMode=ReadWriteMany, or home.url" -}}
{{- end -}}
{{- if and .Values.home.url (or (not .Values.home.username) (not .Values.home.existingSecret)) -}}
{{- fail "home.url needs home.username and home.existingSecret" -}}
{{- end -}}
{{- if and .Values.home.url .Values.storage.s3.bucket -}}
{{- fail "home.url and storage.s3.bucket exclude each other: a server whose home is a Harbor has no images" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.enabled needs ingress.host" -}}
{{- end -}}
{{- if and (or .Values.metrics.serviceMonitor.enabled .Values.metrics.prometheusRule.enabled) (not .Values.metrics.enabled) -}}
{{- fail "metrics.serviceMonitor and metrics.prometheusRule need metrics.enabled" -}}
{{- end -}}
{{- end -}}
