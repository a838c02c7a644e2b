{{/* The pod of a variant. */}}
{{- define "model-serving.pod" -}}
serviceAccountName: {{ .serviceAccountName | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ add (ceil (addf .timeouts.linger .timeouts.drain)) 5 }}
securityContext:
  {{- include "model-serving.yaml" (list . .podSecurityContext) | nindent 2 }}
{{- with .imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .topologySpread }}
topologySpreadConstraints:
  {{- range .topologySpread }}
  - topologyKey: {{ .topologyKey | quote }}
    maxSkew: {{ .maxSkew }}
    whenUnsatisfiable: {{ .whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "model-serving.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
initContainers:
  - name: fetch
    {{- include "model-serving.container" . | nindent 4 }}
    command:
      - kubeserve-fetch
    env:
      {{- include "model-serving.fetchEnv" . | nindent 6 }}
    resources:
      {{- include "model-serving.yaml" (list . (.fetch.resources | default .resources)) | nindent 6 }}
    volumeMounts:
      - name: artifacts
        mountPath: /artifacts
      - name: tmp
        mountPath: /tmp
containers:
  - name: server
    {{- include "model-serving.container" . | nindent 4 }}
    env:
      {{- include "model-serving.serverEnv" . | nindent 6 }}
    ports:
      - name: http
        containerPort: 8080
        protocol: TCP
    startupProbe:
      httpGet:
        path: /health
        port: http
      {{- include "model-serving.yaml" (list . .probes.startup) | nindent 6 }}
    readinessProbe:
      httpGet:
        path: /ready
        port: http
      {{- include "model-serving.yaml" (list . .probes.readiness) | nindent 6 }}
    livenessProbe:
      httpGet:
        path: /health
        port: http
      {{- include "model-serving.yaml" (list . .probes.liveness) | nindent 6 }}
    resources:
      {{- include "model-serving.yaml" (list . .resources) | nindent 6 }}
    volumeMounts:
      - name: artifacts
        mountPath: /artifacts
        readOnly: true
      - name: overlay
        mountPath: /overlay
      - name: tmp
        mountPath: /tmp
volumes:
  - name: artifacts
    emptyDir:
      sizeLimit: {{ .storage.artifacts | quote }}
  - name: overlay
    emptyDir:
      sizeLimit: {{ .storage.overlay | quote }}
  - name: tmp
    emptyDir:
      sizeLimit: {{ .storage.tmp | quote }}
{{- end -}}

{{/* What both containers have. Without a message of its own, a failed one ends with the last lines of its log. */}}
{{- define "model-serving.container" -}}
image: {{ .image | quote }}
imagePullPolicy: {{ .imagePullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  {{- include "model-serving.yaml" (list . .securityContext) | nindent 2 }}
{{- end -}}

{{/* Which version to fetch, and from where. */}}
{{- define "model-serving.fetchEnv" -}}
- name: KUBESERVE_ARTIFACTS
  value: /artifacts
- name: KUBESERVE_TENANT
  value: {{ .tenant | quote }}
- name: KUBESERVE_MODEL
  value: {{ .model.name | default .deployment | quote }}
- name: KUBESERVE_VERSION
  value: {{ .model.version | quote }}
- name: KUBESERVE_DIGEST
  value: {{ required "model.digest is required: the version's digest, as kubeserve push prints it" .model.digest | quote }}
- name: KUBESERVE_STORE_BUCKET
  value: {{ required "store.bucket is required: the bucket that holds the version" .store.bucket | quote }}
{{- with .store.prefix }}
- name: KUBESERVE_STORE_PREFIX
  value: {{ include "model-serving.literal" . }}
{{- end }}
{{- with .store.endpoint }}
- name: KUBESERVE_STORE_ENDPOINT
  value: {{ include "model-serving.literal" . }}
{{- end }}
{{- with .store.region }}
- name: KUBESERVE_STORE_REGION
  value: {{ . | quote }}
{{- end }}
- name: KUBESERVE_STORE_PATH_STYLE
  value: {{ .store.pathStyle | quote }}
{{- with .store.secret }}
- name: AWS_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef:
      name: {{ . | quote }}
      key: AWS_ACCESS_KEY_ID
- name: AWS_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef:
      name: {{ . | quote }}
      key: AWS_SECRET_ACCESS_KEY
{{- end }}
{{- end -}}

{{/* The server's settings, then the variables of the model's own. */}}
{{- define "model-serving.serverEnv" -}}
- name: KUBESERVE_HOST
  value: 0.0.0.0
- name: KUBESERVE_PORT
  value: "8080"
- name: KUBESERVE_ARTIFACTS
  value: /artifacts
- name: KUBESERVE_OVERLAY
  value: /overlay
- name: KUBESERVE_REASON_FILE
  value: /dev/termination-log
- name: KUBESERVE_TENANT
  value: {{ .tenant | quote }}
- name: KUBESERVE_DEPLOYMENT
  value: {{ .deployment | quote }}
- name: KUBESERVE_MODEL
  value: {{ .model.name | default .deployment | quote }}
- name: KUBESERVE_VERSION
  value: {{ .model.version | quote }}
- name: KUBESERVE_VARIANT
  value: {{ .name | quote }}
- name: KUBESERVE_REPLICA
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: KUBESERVE_DIGEST
  value: {{ .model.digest | quote }}
- name: KUBESERVE_PREFIXES
  value: {{ printf "%s,%s" (include "model-serving.path" .) (include "model-serving.apiPath" .) | quote }}
{{- with .checks }}
- name: KUBESERVE_CHECKS
  value: {{ include "model-serving.literal" (kindIs "string" . | ternary . (toJson .)) }}
{{- end }}
- name: KUBESERVE_REQUEST_TIMEOUT
  value: {{ .timeouts.request | quote }}
- name: KUBESERVE_GRACE
  value: {{ .timeouts.drain | quote }}
- name: KUBESERVE_LINGER
  value: {{ .timeouts.linger | quote }}
- name: KUBESERVE_THREADS
  value: {{ .threads | quote }}
{{- range $name, $value := .env }}
- name: {{ $name | quote }}
  {{- if kindIs "map" $value }}
  valueFrom:
    secretKeyRef:
      name: {{ $value.secret | quote }}
      key: {{ $value.key | quote }}
  {{- else }}
  value: {{ include "model-serving.literal" $value }}
  {{- end }}
{{- end }}
{{- end -}}
