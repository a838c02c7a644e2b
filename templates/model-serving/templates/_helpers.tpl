{{/*
Lists the variants and deployments to render, once for each release: `.Values.rendered.variants` and `.Values.rendered.deployments`.
Without entries in the values, the lists hold the single model of the values; if `deployment` is set, only its variant.
*/}}
{{- define "model-serving.prepare" -}}
{{- if not (hasKey .Values "rendered") -}}
{{- $batch := .Values.batch | default "{}" | mustFromJson -}}
{{- $variants := concat .Values.variants ($batch.variants | default list) -}}
{{- $deployments := concat .Values.deployments ($batch.deployments | default list) -}}
{{- if not (or $variants $deployments) -}}
{{- $name := include "model-serving.name" . -}}
{{- $variants = list (dict "name" $name "deployment" (.Values.deployment | default $name)) -}}
{{- if not .Values.deployment -}}
{{- $deployments = list (dict "name" $name "backends" (list (dict "variant" $name "weight" 100))) -}}
{{- end -}}
{{- end -}}
{{- $shared := omit .Values "variants" "deployments" "deployment" "batch" "overlays" "global" -}}
{{- $_ := set $shared "texts" dict -}}
{{- range concat $variants $deployments -}}
{{- include "model-serving.complete" (list $ $shared .) -}}
{{- end -}}
{{- $_ := set .Values "rendered" (dict "variants" $variants "deployments" $deployments) -}}
{{- end -}}
{{- end -}}

{{/* Fills in an entry's missing values from the chart's values and the release. Takes the root, the values and the entry. */}}
{{- define "model-serving.complete" -}}
{{- $root := index . 0 -}}
{{- $entry := index . 2 -}}
{{- range $key, $value := index . 1 -}}
{{- if not (hasKey $entry $key) -}}
{{- $_ := set $entry $key $value -}}
{{- else if and (kindIs "map" $value) $value -}}
{{- $_ := set $entry $key (mustMergeOverwrite (deepCopy $value) (get $entry $key)) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $entry "tenant" ($entry.tenant | default $root.Release.Namespace) -}}
{{- $_ := set $entry "namespace" ($entry.namespace | default $root.Release.Namespace) -}}
{{- $_ := set $entry "managedBy" ($entry.managedBy | default $root.Release.Service) -}}
{{- $_ := set $entry "image" ($entry.image | default (printf "kubeserve-runtime:%s" $root.Chart.AppVersion)) -}}
{{- $_ := set $entry "marks" (include "model-serving.labels" $entry) -}}
{{- end -}}

{{/* An object as YAML. Takes the entry and the object. Converts equal objects once, because a thousand entries mostly share theirs. */}}
{{- define "model-serving.yaml" -}}
{{- $texts := get (index . 0) "texts" -}}
{{- $key := index . 1 | toJson -}}
{{- if not (hasKey $texts $key) -}}
{{- $_ := set $texts $key (index . 1 | toYaml) -}}
{{- end -}}
{{- get $texts $key -}}
{{- end -}}

{{/* The deployment's name when the values describe a single model. */}}
{{- define "model-serving.name" -}}
{{- .Values.name | default .Release.Name | trunc 51 | trimSuffix "-" -}}
{{- end -}}

{{/* The labels of all objects of an entry: a deployment's, or a variant's and its pods'. */}}
{{- define "model-serving.labels" -}}
app.kubernetes.io/name: {{ .deployment | default .name | quote }}
app.kubernetes.io/instance: {{ .name | quote }}
app.kubernetes.io/component: model-server
app.kubernetes.io/part-of: kubeserve
app.kubernetes.io/managed-by: {{ .managedBy | quote }}
{{- with .installation }}
kubeserve.io/installation: {{ . | quote }}
{{- end }}
kubeserve.io/tenant: {{ .tenant | quote }}
kubeserve.io/deployment: {{ .deployment | default .name | quote }}
{{- if .deployment }}
kubeserve.io/variant: {{ .name | quote }}
app.kubernetes.io/version: {{ .model.version | quote }}
{{- end }}
{{- with .labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Name, namespace, labels and annotations of an object of an entry. */}}
{{- define "model-serving.metadata" -}}
name: {{ .name | quote }}
namespace: {{ .namespace | quote }}
labels:
  {{- .marks | nindent 2 }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The same for an HTTPRoute or Ingress, which also has the annotations of `routing`. */}}
{{- define "model-serving.routeMetadata" -}}
{{- $annotations := mustMergeOverwrite (dict) .annotations .routing.annotations -}}
{{- include "model-serving.metadata" (mustMergeOverwrite (dict) . (dict "annotations" $annotations)) -}}
{{- end -}}

{{/* The label that selects the pods of a variant. A selector can't be changed in place, so it has no other labels. */}}
{{- define "model-serving.selector" -}}
kubeserve.io/variant: {{ .name | quote }}
{{- end -}}

{{/* The path prefix of a deployment; the server expects it in the request. */}}
{{- define "model-serving.path" -}}
/{{ .tenant }}/{{ .deployment | default .name }}
{{- end -}}
{{- define "model-serving.apiPath" -}}
/api/v1/predict/{{ .tenant }}/{{ .deployment | default .name }}
{{- end -}}

{{/* Text as the value of a variable: a pair of dollars is one for Kubernetes, which would expand $(NAME). */}}
{{- define "model-serving.literal" -}}
{{- . | replace "$" "$$" | quote -}}
{{- end -}}

{{/* Name of the variant with the largest weight, the first of several. */}}
{{- define "model-serving.favourite" -}}
{{- $best := first .backends -}}
{{- range .backends -}}
{{- if gt (int .weight) (int $best.weight) -}}{{- $best = . -}}{{- end -}}
{{- end -}}
{{- $best.variant -}}
{{- end -}}
