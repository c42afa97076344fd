"""The templates of the Deployment, and of the pod that `helm test` runs: its container with another command."""

from typing import Any, Final

from tools.bundle.sources import Json
from tools.chart.sources import Sources, component, pick
from tools.chart.template import Template, more, of_value, of_values

# kube-rbac-proxy needs cluster-wide permissions.
PROXIED: Final = "and .Values.metrics.proxy.enabled (not .Values.namespaces)"
SEVERAL: Final = "gt (int .Values.replicas) 1"
_IMAGE: Final = '{{ include "ecr-secret-operator.image" . | quote }}'
_WATCH: Final = """\
{{- with .Values.namespaces }}
value: {{ join "," . | quote }}
{{- end }}"""
_FLAGS: Final = """\
{{- range $name, $value := .Values.flags }}
{{- if not (or (kindIs "invalid" $value) (eq (toString $value) "[]")) }}
- {{ printf "--%s=%s" (kebabcase $name) (kindIs "slice" $value | ternary $value (list $value) | join ",") | quote }}
{{- end }}
{{- end }}"""
_SPREAD: Final = f"""\
{{{{- if .Values.topologySpreadConstraints }}}}
topologySpreadConstraints:
  {{{{- toYaml .Values.topologySpreadConstraints | nindent INDENT }}}}
{{{{- else if {SEVERAL} }}}}"""


def deployment(sources: Sources, template: Template) -> Json:
    """Return the Deployment with actions in it."""
    manifest = pick(sources.default, "Deployment")
    spec, pod = manifest["spec"], manifest["spec"]["template"]
    metadata = {
        **pod["metadata"],
        "annotations": {**pod["metadata"]["annotations"], template.action(more("podAnnotations")): ""},
        "labels": {**pod["metadata"]["labels"], template.action(more("podLabels")): ""},
    }
    content = _pod_spec(sources, template, [*_proxy(sources, template), _manager(sources, template)])
    return {
        **manifest,
        "spec": {
            **spec,
            "replicas": template.action("{{ .Values.replicas }}"),
            "template": {"metadata": metadata, "spec": content | _spread(template)},
        },
    }


def test_pod(sources: Sources, template: Template) -> Json:
    """Return the pod of `helm test` with actions in it."""
    manager = _manager(sources, template)
    left_out = {"ports", "livenessProbe", "readinessProbe", "args"}
    checking = {
        **{key: value for key, value in manager.items() if key not in left_out},
        "args": ["check", template.action(more("test.parts")), "--leader-elect"],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "ecr-secret-operator-check",
            "namespace": pick(sources.default, "Deployment")["metadata"]["namespace"],
            "labels": {"app.kubernetes.io/name": "ecr-secret-operator"},
            "annotations": {"helm.sh/hook": "test"},
        },
        "spec": {**_pod_spec(sources, template, [checking]), "restartPolicy": "Never"},
    }


def _pod_spec(sources: Sources, template: Template, containers: list[Any]) -> Json:
    spec = pick(sources.default, "Deployment")["spec"]["template"]["spec"]
    volumes = [_with_credentials(template, each) for each in spec["volumes"]]
    optional = ("imagePullSecrets", "nodeSelector", "tolerations", "affinity")
    return {
        **spec,
        "containers": containers,
        "volumes": [*volumes, template.action(more("volumes"))],
        **{template.action(of_values(name, name)): "" for name in optional},
        template.action(of_value("priorityClassName", "priorityClassName")): "",
    }


def _manager(sources: Sources, template: Template) -> Json:
    manager, plain = (_container(objects, "manager") for objects in (sources.default, sources.plain))
    env = [_with_credentials(template, each) for each in manager["env"]]
    (watch,) = (each for each in env if each["name"] == "WATCH_NAMESPACE")
    watch[template.action(_WATCH)] = ""
    return {
        **manager,
        "image": template.action(_IMAGE),
        template.action(of_value("imagePullPolicy", "image.pullPolicy")): "",
        "args": [*template.either(PROXIED, manager["args"], plain["args"]), template.action(_FLAGS)],
        "ports": template.either(PROXIED, manager["ports"], plain["ports"]),
        "env": [*env, template.action(more("env"))],
        "resources": template.action("{{- toYaml .Values.resources | nindent INDENT+2 }}"),
        "volumeMounts": [*manager["volumeMounts"], template.action(more("volumeMounts"))],
    }


def _proxy(sources: Sources, template: Template) -> list[Any]:
    proxy = {
        **_container(sources.default, "kube-rbac-proxy"),
        "image": template.action("{{ .Values.metrics.proxy.image | quote }}"),
        template.action(of_value("imagePullPolicy", "image.pullPolicy")): "",
        "resources": template.action("{{- toYaml .Values.metrics.proxy.resources | nindent INDENT+2 }}"),
    }
    return template.only(PROXIED, [proxy])


def _container(objects: tuple[Json, ...], name: str) -> Json:
    containers = pick(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(next(each for each in containers if each["name"] == name))


def _with_credentials(template: Template, content: Any) -> Any:
    """Return what refers to the Secret of the operator's identity, by the name that the values have."""
    if isinstance(content, dict):
        return {key: _with_credentials(template, value) for key, value in content.items()}
    if content == "aws-ecr-cloud-credentials":
        return template.action("{{ .Values.credentials.secretName | quote }}")
    return content


def _spread(template: Template) -> Json:
    patch = component("high-availability", "replicas_patch.yaml")["spec"]["template"]["spec"]
    return {
        template.action(_SPREAD): "",
        **patch,
        template.action("{{- end }}"): "",
    }
