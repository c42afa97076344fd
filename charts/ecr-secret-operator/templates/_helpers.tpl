{{- define "ecr-secret-operator.image" -}}
{{- with .Values.image -}}
{{ .repository }}:{{ .tag | default (print "v" $.Chart.AppVersion) }}{{ with .digest }}@{{ . }}{{ end }}
{{- end -}}
{{- end -}}
