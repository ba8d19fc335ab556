{{- define "labels" -}}
app.kubernetes.io/part-of: heliograph
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "settings" -}}
PRESET: {{ .Values.preset | quote }}
AGENTS: {{ int64 .Values.agents | quote }}
RUN: /runs/{{ .Values.preset }}-{{ int64 .Values.agents }}
EPISODES: {{ int64 .Values.episodes | quote }}
MINIMUM: {{ .Values.minimum | toString | quote }}
SECURITY_OPTIONS: {{ eq .Values.tls.mode "none" | ternary "--insecure" "--tls /keys/own --trusted-key /keys/trusted/bundles.pub" | quote }}
METRICS_OPTIONS: {{ .Values.metrics.enabled | ternary "--metrics 0.0.0.0:9100" "" | quote }}
{{- end }}

{{- /* Other settings are another map, so that pods do not go on with the old ones. */}}
{{- define "settings-name" -}}
settings-{{ include "settings" . | sha256sum | trunc 10 }}
{{- end }}

{{- define "confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "annotations" -}}
{{- if .Values.metrics.enabled -}}
annotations: {prometheus.io/scrape: "true", prometheus.io/port: "9100"}
{{- end }}
{{- end }}

{{- define "pull-secrets" -}}
{{- with .Values.images.pullSecrets -}}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- /* How a process is asked after its health at a port: Kubernetes' own gRPC probes have no certificate. */}}
{{- define "asked" -}}
{{- if eq .root.Values.tls.mode "none" -}}
grpc: {port: {{ .port }}}
{{- else -}}
exec: {command: [heliograph, health, "127.0.0.1:{{ .port }}", --tls, /keys/own]}
timeoutSeconds: 10
{{- end }}
{{- end }}
