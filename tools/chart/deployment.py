"""The templates of the Deployment, and of the pod that `helm test` runs: the same with other arguments."""

from typing import Any, Final

from tools.bundle.sources import Json, pick
from tools.chart.sources import Sources, component
from tools.chart.template import Template, enclosed, field, fields, more, whole

# kube-rbac-proxy needs cluster-wide permissions.
PROXIED: Final = "and .Values.metrics.proxy.enabled (not .Values.namespaces)"
SEVERAL: Final = "gt (int .Values.replicas) 1"
CREDENTIALS: Final = "aws-ecr-cloud-credentials"
_IMAGE: Final = '{{ include "ecr-secret-operator.image" . | quote }}'
_WATCH: Final = enclosed("with .Values.namespaces", 'value: {{ join "," . | quote }}')
_FLAGS: Final = """\
{{- range $name, $value := .Values.flags }}
{{- if not (or (kindIs "invalid" $value) (eq (toString $value) "[]")) }}
{{- $values := kindIs "slice" $value | ternary $value (list $value) }}
- {{ printf "--%s=%s" (kebabcase $name) (join "," $values) | quote }}
{{- end }}
{{- end }}"""
_SPREAD_AS_SET: Final = """\
{{- if .Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml .Values.topologySpreadConstraints | nindent INDENT }}"""


def deployment(sources: Sources, template: Template) -> Json:
    """Return the Deployment with actions in it."""
    manifest = pick(sources.default, "Deployment")
    spec, pod = manifest["spec"], manifest["spec"]["template"]
    metadata = {
        **pod["metadata"],
        "annotations": {**pod["metadata"]["annotations"], **template.lines(more("podAnnotations"))},
        "labels": {**pod["metadata"]["labels"], **template.lines(more("podLabels"))},
    }
    content = _pod_spec(sources, template, [*_proxy(sources, template), _manager(sources, template)])
    changed = {
        "replicas": template.action("{{ .Values.replicas }}"),
        "template": {"metadata": metadata, "spec": {**content, **_spread(template)}},
    }
    return {**manifest, "spec": {**spec, **changed}}


def check_pod(sources: Sources, template: Template) -> Json:
    """Return the pod of `helm test` with actions in it."""
    manager = _manager(sources, template)
    for serving in ("ports", "livenessProbe", "readinessProbe"):
        del manager[serving]
    manager["args"] = ["check", template.action(more("test.parts")), "--leader-elect"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "ecr-secret-operator-check",
            "namespace": pick(sources.default, "Deployment")["metadata"]["namespace"],
            "labels": {"app.kubernetes.io/name": "ecr-secret-operator"},
            "annotations": {"helm.sh/hook": "test"},
        },
        "spec": {**_pod_spec(sources, template, [manager]), "restartPolicy": "Never"},
    }


def _pod_spec(sources: Sources, template: Template, containers: list[Any]) -> Json:
    spec = pick(sources.default, "Deployment")["spec"]["template"]["spec"]
    spec = {
        **spec,
        "containers": containers,
        "volumes": [*_with_credentials(template, spec["volumes"]), template.action(more("volumes"))],
        **template.lines(field("priorityClassName", "priorityClassName")),
    }
    for name in ("imagePullSecrets", "nodeSelector", "tolerations", "affinity"):
        spec |= template.lines(fields(name, name))
    return spec


def _manager(sources: Sources, template: Template) -> Json:
    manager, plain = (_container(objects, "manager") for objects in (sources.default, sources.plain))
    env = _with_credentials(template, manager["env"])
    (watch,) = (each for each in env if each["name"] == "WATCH_NAMESPACE")
    watch |= template.lines(_WATCH)
    return {
        **manager,
        "image": template.action(_IMAGE),
        **template.lines(field("imagePullPolicy", "image.pullPolicy")),
        "args": [*template.either(PROXIED, manager["args"], plain["args"]), template.action(_FLAGS)],
        "ports": template.either(PROXIED, manager["ports"], plain["ports"]),
        "env": [*env, template.action(more("env"))],
        "resources": template.action(whole("resources")),
        "volumeMounts": [*manager["volumeMounts"], template.action(more("volumeMounts"))],
    }


def _proxy(sources: Sources, template: Template) -> list[Any]:
    proxy = {
        **_container(sources.default, "kube-rbac-proxy"),
        "image": template.action("{{ .Values.metrics.proxy.image | quote }}"),
        **template.lines(field("imagePullPolicy", "image.pullPolicy")),
        "resources": template.action(whole("metrics.proxy.resources")),
    }
    return [template.action("{{- if " + PROXIED + " }}"), proxy, template.action("{{- end }}")]


def _container(objects: tuple[Json, ...], name: str) -> Json:
    containers = pick(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(next(each for each in containers if each["name"] == name))


def _with_credentials(template: Template, content: Any) -> Any:
    """Return a copy that refers to the Secret of the operator's identity by the name in the values."""
    if isinstance(content, list):
        return [_with_credentials(template, each) for each in content]
    if isinstance(content, dict):
        return {key: _with_credentials(template, value) for key, value in content.items()}
    is_name = content == CREDENTIALS
    return template.action("{{ .Values.credentials.secretName | quote }}") if is_name else content


def _spread(template: Template) -> Json:
    patch = component("high-availability", "replicas_patch.yaml")["spec"]["template"]["spec"]
    otherwise, end = "{{- else if " + SEVERAL + " }}", "{{- end }}"
    return {**template.lines(f"{_SPREAD_AS_SET}\n{otherwise}"), **patch, **template.lines(end)}
