{{- define "tidegate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "tidegate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "tidegate.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "tidegate.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tidegate.selector" -}}
app.kubernetes.io/name: {{ include "tidegate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tidegate.labels" -}}
{{ include "tidegate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "tidegate.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tidegate.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "tidegate.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The configuration file: what the values say, and what only the chart can know. */}}
{{- define "tidegate.config" -}}
{{- range $key := list "data_dir" "node" "site" "user" "workers" "admin" -}}
{{- if hasKey $.Values.config $key -}}
{{- fail (printf "config.%s is set by the chart: use the values `site`, `workers`, `admin` and `host` instead" $key) -}}
{{- end -}}
{{- end -}}
{{- $own := dict "site" .Values.site "node" "${TIDEGATE_NODE}" "data_dir" "/var/lib/tidegate" "workers" .Values.workers -}}
{{- /* A number in a values file is a float to helm. */ -}}
{{- if not (kindIs "string" .Values.workers) }}{{ $_ := set $own "workers" (int .Values.workers) }}{{ end -}}
{{- /* Who may renew the lease: the speaker gives its socket to this user's group. */ -}}
{{- if eq .Values.profile "host" }}{{ $_ := set $own "user" (printf "%d:%d" (int .Values.host.uid) (int .Values.host.uid)) }}{{ end -}}
{{- $_ := set $own "admin" (dict "listen" (printf "%s:%d" .Values.admin.address (int .Values.admin.port)) "speaker_listen" (printf "%s:%d" .Values.admin.address (int .Values.admin.speakerPort))) -}}
{{- with .Values.admin.api -}}
{{- if .enabled -}}
{{- $tls := dict "cert" (required "admin.api.tls.cert names the certificate's file" .tls.cert) "key" (required "admin.api.tls.key names the key's file" .tls.key) -}}
{{- with .tls.clientCa }}{{ $_ := set $tls "client_ca" . }}{{ end -}}
{{- if not (or .tokens .tls.clientCa) -}}
{{- fail "admin.api needs somebody who can log in: give tokens, or tls.clientCa and certificates" -}}
{{- end -}}
{{- $api := dict "listen" (printf "%s:%d" $.Values.admin.address (int .port)) "tls" $tls -}}
{{- with .tokens }}{{ $_ := set $api "tokens" . }}{{ end -}}
{{- with .certificates }}{{ $_ := set $api "certificates" . }}{{ end -}}
{{- $_ := set $own.admin "api" $api -}}
{{- end -}}
{{- end -}}
{{- toYaml (merge $own (deepCopy .Values.config)) -}}
{{- end -}}

{{/* What every pod has, whichever the profile. */}}
{{- define "tidegate.podMeta" -}}
labels:
  {{- include "tidegate.labels" . | nindent 2 }}
  {{- with .Values.podLabels }}{{ toYaml . | nindent 2 }}{{ end }}
annotations:
  checksum/config: {{ include "tidegate.config" . | sha256sum }}
  {{- if and (eq .Values.profile "pod") .Values.pod.multus.enabled }}
  {{- $m := .Values.pod.multus }}
  {{- $parts := splitList "/" (required "pod.multus.network names the NetworkAttachmentDefinition" $m.network) }}
  {{- $net := dict "name" (last $parts) "interface" $m.interface }}
  {{- if gt (len $parts) 1 }}{{ $_ := set $net "namespace" (first $parts) }}{{ end }}
  {{- if $m.ips }}{{ $_ := set $net "ips" $m.ips }}{{ end }}
  k8s.v1.cni.cncf.io/networks: {{ list $net | toJson | quote }}
  {{- end }}
  {{- with .Values.podAnnotations }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end -}}

{{- define "tidegate.podCommon" -}}
serviceAccountName: {{ include "tidegate.serviceAccount" . }}
automountServiceAccountToken: false
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "tidegate.image.fields" -}}
image: {{ include "tidegate.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end -}}

{{/* A container that runs tidegate. Arguments: root, role, port, port name, the node's field. */}}
{{- define "tidegate.run" -}}
{{- $v := .root.Values -}}
{{- include "tidegate.image.fields" .root }}
args: [run, --config, /etc/tidegate/config/tidegate.yaml, --role, {{ .role }}]
env:
  - name: TIDEGATE_NODE
    valueFrom: {fieldRef: {fieldPath: {{ .field }}}}
  {{- with $v.env }}{{ toYaml . | nindent 2 }}{{ end }}
{{- with $v.envFrom }}
envFrom: {{ toYaml . | nindent 2 }}
{{- end }}
ports:
  - {name: {{ .portName }}, containerPort: {{ .port }}, protocol: TCP}
  {{- if and $v.admin.api.enabled (ne .role "speaker") }}
  - {name: api, containerPort: {{ $v.admin.api.port }}, protocol: TCP}
  {{- end }}
startupProbe:
  httpGet: {path: /livez, port: {{ .portName }}}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: {{ .portName }}}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: {{ .portName }}}
  periodSeconds: 3
  timeoutSeconds: 2
  failureThreshold: 2
{{- end -}}

{{- define "tidegate.drain" -}}
lifecycle:
  preStop:
    exec:
      command: [sh, -c, "tidegate lb drain --data-dir /var/lib/tidegate; sleep {{ .Values.drainSeconds }}"]
{{- end -}}

{{- define "tidegate.mounts" -}}
- {name: config, mountPath: /etc/tidegate/config, readOnly: true}
- {name: data, mountPath: /var/lib/tidegate}
- {name: tmp, mountPath: /tmp}
{{- range .Values.secrets }}
- {name: {{ printf "secret-%s" .name | quote }}, mountPath: {{ printf "/etc/tidegate/secrets/%s" .name | quote }}, readOnly: true}
{{- end }}
{{- end -}}

{{- define "tidegate.volumes" -}}
- name: config
  configMap: {name: {{ include "tidegate.fullname" . }}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- range .Values.secrets }}
- name: {{ printf "secret-%s" .name | quote }}
  secret: {secretName: {{ .name | quote }}, defaultMode: 0440}
{{- end }}
{{- end -}}

{{/* What Pod Security `restricted` and OpenShift's restricted-v2 admit. */}}
{{- define "tidegate.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}
