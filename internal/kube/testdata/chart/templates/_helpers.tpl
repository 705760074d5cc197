{{- define "harbor.labels" }}{app: harbor, heritage: Helm, release: {{ .root.Release.Name }}, component: {{ .component }}}{{ end }}
{{- define "harbor.security" }}{runAsUser: 10000, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}{{ end }}
{{- define "harbor.container" }}{allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}{{ end }}
