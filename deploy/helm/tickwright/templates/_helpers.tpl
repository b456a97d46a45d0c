{{- /* Labels of every object. */ -}}
{{- define "tickwright.labels" -}}
app.kubernetes.io/part-of: tickwright
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- /* An image by digest where there is one. Takes a dict: root, name (as pushed), digest. */ -}}
{{- define "tickwright.image" -}}
{{- $tag := .root.Values.image.tag | default .root.Chart.AppVersion -}}
{{- $name := printf "%s-%s" .root.Values.image.registry .name -}}
{{- if .digest }}{{ printf "%s@%s" $name .digest }}{{ else }}{{ printf "%s:%s" $name $tag }}{{ end }}
{{- end }}

{{- /* What every pod of ours runs as: the image's own user, nothing to gain. */ -}}
{{- define "tickwright.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "tickwright.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- /* One variable from the Secret. Takes a dict: root, key, and a Secret of another name if any. */ -}}
{{- define "tickwright.secretEnv" -}}
- name: {{ .key }}
  valueFrom: { secretKeyRef: { name: {{ .secret | default .root.Values.secretName }}, key: {{ .key }} } }
{{- end }}

{{- /* Whether a role takes tickets, and so needs keys, an allocator and the gRPC port. */ -}}
{{- define "tickwright.matches" -}}
{{- if has . (list "all" "matchmaking") }}yes{{ end }}
{{- end }}

{{- /* The role whose Service game servers and autoscalers are told of. */ -}}
{{- define "tickwright.matchService" -}}
{{- if hasKey (.Values.backend.roles | default dict) "matchmaking" }}backend-matchmaking{{ else }}backend{{ end }}
{{- end }}

{{- /* A role's object name: the one that answers everything is just the backend. */ -}}
{{- define "tickwright.roleName" -}}
{{- if eq . "all" }}backend{{ else }}backend-{{ . }}{{ end }}
{{- end }}

{{- /* Whether anything asks our webhook. */ -}}
{{- define "tickwright.webhook" -}}
{{- range $name, $fleet := .Values.fleets }}{{ if eq $fleet.autoscaler.policy "webhook" }}yes{{ end }}{{ end }}
{{- end }}

{{- /* The paths of a role, as JSON; the longest prefix wins. A check compares them with the routes in the code. */ -}}
{{- define "tickwright.paths" -}}
{{- $paths := dict
  "accounts" (list "/v1/auth" "/v1/me" "/.well-known/jwks.json")
  "matchmaking" (list "/v1/matchmaking" "/v1/parties" "/v1/matches")
  "leaderboards" (list "/v1/leaderboards" "/v1/me/progression" "/v1/me/achievements" "/v1/players")
  "all" (list "/v1" "/.well-known/jwks.json") -}}
{{- get $paths . | toJson }}
{{- end }}

{{- /* The secrets that the regions' clusters name, each once, as JSON. */ -}}
{{- define "tickwright.allocatorSecrets" -}}
{{- $names := list -}}
{{- range .Values.allocation.regions }}{{ range .clusters }}{{ $names = append $names .connectionInfo.secretName }}{{ end }}{{ end -}}
{{- $names | uniq | sortAlpha | toJson }}
{{- end }}
