{{/* The name of all objects. A CronJob's may have 52 characters. */}}
{{- define "cf-service-tokens.name" -}}
{{- $name := ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) -}}
{{- $name | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{- define "cf-service-tokens.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: {{ ternary "watch" "renew" (eq .Values.mode "watch") }}
{{- end }}

{{- define "cf-service-tokens.labels" -}}
{{ include "cf-service-tokens.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "cf-service-tokens.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "cf-service-tokens.name" .) }}
{{- end }}

{{- define "cf-service-tokens.claim" -}}
{{ .Values.persistence.existingClaim | default (printf "%s-journal" (include "cf-service-tokens.name" .)) }}
{{- end }}

{{/* The arguments of the command. */}}
{{- define "cf-service-tokens.arguments" -}}
{{- if .Values.shards.count -}}
- --api-token-file=/run/secrets/cf-service-tokens/api-token-$(JOB_COMPLETION_INDEX)
- renew
- --all-accounts
- {{ printf "--within=%s" .Values.shards.within | quote }}
- --shard=$(JOB_COMPLETION_INDEX)/{{ .Values.shards.count }}
{{- else -}}
- keep
- --config=/etc/cf-service-tokens/config.toml
{{- if eq .Values.mode "watch" }}
- --watch
- {{ printf "--listen=%s:%v" .Values.watch.address .Values.watch.port | quote }}
{{- with .Values.watch.interval }}
- {{ printf "--interval=%s" . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The template of the pod, which the Deployment and the CronJob share. */}}
{{- define "cf-service-tokens.pod" -}}
metadata:
  labels:
    {{- include "cf-service-tokens.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Another configuration starts another pod.
    checksum/config: {{ .Values.config | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- if ne .Values.mode "watch" }}
  restartPolicy: Never
  {{- end }}
  serviceAccountName: {{ include "cf-service-tokens.serviceAccount" . | quote }}
  automountServiceAccountToken: {{ .Values.serviceAccount.mountToken }}
  enableServiceLinks: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    # By default, each start would let the group write to the journal, which is then refused.
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: cf-service-tokens
      {{- with .Values.image }}
      image: {{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
      imagePullPolicy: {{ .pullPolicy }}
      {{- end }}
      args:
        {{- include "cf-service-tokens.arguments" . | nindent 8 }}
      {{- if or .Values.persistence.enabled .Values.env }}
      env:
        {{- if .Values.persistence.enabled }}
        - name: CF_SERVICE_TOKENS_JOURNAL
          value: /var/lib/cf-service-tokens/journal
        {{- end }}
        {{- with .Values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      {{- if eq .Values.mode "watch" }}
      ports:
        - name: http
          containerPort: {{ .Values.watch.port }}
      # Ready once it has listed all tokens; live unless it is stuck.
      readinessProbe:
        httpGet:
          path: /readyz
          port: http
      livenessProbe:
        httpGet:
          path: /healthz
          port: http
        periodSeconds: 60
      {{- end }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        {{- if .Values.config }}
        # By itself: everybody may write to the directory of a ConfigMap's volume, as its mode
        # says, and the command refuses a configuration in such a directory.
        - name: config
          mountPath: /etc/cf-service-tokens/config.toml
          subPath: config.toml
          readOnly: true
        {{- end }}
        {{- if or .Values.secretFiles .Values.shards.count }}
        # Not by subPath, since such a file does not change with its Secret.
        - name: secrets
          mountPath: /run/secrets/cf-service-tokens
          readOnly: true
        {{- end }}
        {{- if .Values.persistence.enabled }}
        - name: journal
          mountPath: /var/lib/cf-service-tokens
        {{- end }}
        {{- with .Values.volumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- if .Values.config }}
    - name: config
      configMap:
        name: {{ include "cf-service-tokens.name" . }}
    {{- end }}
    {{- if or .Values.secretFiles .Values.shards.count }}
    - name: secrets
      projected:
        defaultMode: 0440
        sources:
          {{- if .Values.shards.count }}
          - secret:
              name: {{ .Values.shards.secret | quote }}
          {{- end }}
          {{- range .Values.secretFiles }}
          - secret:
              name: {{ .secret | quote }}
              items:
                - key: {{ .key | quote }}
                  path: {{ .path | quote }}
          {{- end }}
    {{- end }}
    {{- if .Values.persistence.enabled }}
    - name: journal
      persistentVolumeClaim:
        claimName: {{ include "cf-service-tokens.claim" . | quote }}
    {{- end }}
    {{- with .Values.volumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
