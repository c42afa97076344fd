"""The templates of all objects, each with the condition on which the chart has it."""

import re
from collections.abc import Iterator
from typing import Any, Final

from tools.bundle.sources import Json
from tools.chart.deployment import PROXIED, SEVERAL, deployment, test_pod
from tools.chart.sources import Sources, component, patches, pick
from tools.chart.template import Template, more, of_values

NAMESPACE: Final = "ecr-secret-operator"
_MADE: Final = "{{- /* Made from config by `make chart`. */ -}}\n"
_CLUSTER_WIDE: Final = "not .Values.namespaces"
_KEPT: Final = """\
{{- if .Values.crds.keep }}
annotations:
  helm.sh/resource-policy: keep
{{- end }}"""
# Folders with the permissions for one field, and the value that adds them.
_FIELDS: Final = {
    "rbac/service-account": "serviceAccountTokens",
    "rbac/link-service-accounts": "serviceAccountLinks",
}
# Empty: all namespaces, by a ClusterRole.
_EVERY: Final = '{{- range .Values.namespaces | default (list "") }}\n'
_PLACE: Final = "{{- with . }}\nnamespace: {{ . | quote }}\n{{- end }}"
_KIND: Final = "{{ if . }}%s{{ else }}Cluster%s{{ end }}"


def templates(sources: Sources) -> Iterator[tuple[str, str]]:
    """Give all templates made from objects, by their paths in the chart's folder `templates`."""
    for manifest in sources.default:
        yield _path(manifest), _default(sources, manifest)
    yield "rbac/watched.yaml", _watched(sources.watched)
    for folder, value in _FIELDS.items():
        yield from _rights(sources.additions[folder], value)
    for manifest in sources.additions["policies/secret-writes"]:
        yield _path(manifest), _one(manifest, ".Values.secretWritesPolicy")
    yield from _metrics(sources)
    yield from _network_policies(sources)
    budget = component("high-availability", "pod_disruption_budget.yaml")
    yield _path(budget), _one(budget, SEVERAL)
    template = Template()
    yield "tests/check.yaml", _whole([_placed(test_pod(sources, template), template)], template)


def _default(sources: Sources, manifest: Json) -> str:
    kind = manifest["kind"]
    if kind == "CustomResourceDefinition":
        return _crd(manifest)
    if kind in {"ClusterRole", "ClusterRoleBinding"}:
        return _cluster_role(manifest)
    template = Template()
    if kind == "Deployment":
        manifest = deployment(sources, template)
    elif kind == "Service":
        ports = (pick(objects, "Service")["spec"]["ports"] for objects in (sources.default, sources.plain))
        manifest = {**manifest, "spec": {**manifest["spec"], "ports": template.either(PROXIED, *ports)}}
    elif kind == "ServiceAccount":
        text = of_values("annotations", "serviceAccount.annotations")
        manifest = {**manifest, "metadata": {**manifest["metadata"], template.action(text): ""}}
    return _whole([_placed(manifest, template)], template)


def _crd(manifest: Json) -> str:
    template = Template()
    metadata = {**manifest["metadata"], template.action(_KEPT): ""}
    return _whole([{**manifest, "metadata": metadata}], template, ".Values.crds.enabled")


def _cluster_role(manifest: Json) -> str:
    """Return a cluster-wide role or binding, which is absent where only some namespaces are served."""
    template = Template()
    condition = _CLUSTER_WIDE
    if any(patch.get("$patch") == "delete" for patch in patches("plain-metrics", manifest)):
        condition = PROXIED
    metadata = dict(manifest["metadata"])
    for patch in patches("aggregate-roles", manifest):
        text = template.render(patch["metadata"]["labels"])
        more = f"{{{{- if .Values.aggregateRoles }}}}\n{text}{{{{- end }}}}"
        metadata["labels"] = {**metadata["labels"], template.action(more): ""}
    return _whole([_placed({**manifest, "metadata": metadata}, template)], template, condition)


def _watched(objects: tuple[Json, ...]) -> str:
    template = Template()
    placed = []
    for manifest in objects:
        metadata = {**manifest["metadata"], "namespace": template.action("{{ . | quote }}")}
        placed.append(_placed({**manifest, "metadata": metadata}, template, root="$"))
    return f"{_MADE}{{{{- range .Values.namespaces }}}}\n{_documents(placed, template)}{{{{- end }}}}\n"


def _rights(objects: tuple[Json, ...], value: str) -> Iterator[tuple[str, str]]:
    """Give the permissions for one field, everywhere or in each served namespace, and their policy."""
    template = Template()
    roles = [each for each in objects if "Role" in each["kind"]]
    everywhere = _documents([_in_each(each, template) for each in roles], template)
    text = f"{{{{- if .Values.{value}.enabled }}}}\n{_EVERY}{everywhere}{{{{- end }}}}\n{{{{- end }}}}\n"
    yield f"rbac/{_kebab(value)}.yaml", _MADE + text
    for manifest in objects:
        if manifest not in roles:
            yield _path(manifest), _one(manifest, f"and .Values.{value}.enabled .Values.{value}.policy")


def _in_each(manifest: Json, template: Template) -> Json:
    def either(kind: str) -> str:
        name = kind.removeprefix("Cluster")
        return template.action(_KIND % (name, name))

    metadata = {**manifest["metadata"], template.action(_PLACE): ""}
    changed = {**manifest, "kind": either(manifest["kind"]), "metadata": metadata}
    if "roleRef" in manifest:
        changed["roleRef"] = {**manifest["roleRef"], "kind": either(manifest["roleRef"]["kind"])}
    placed: Json = _placed(changed, template, root="$")
    return placed


def _metrics(sources: Sources) -> Iterator[tuple[str, str]]:
    for kind, value in (("ServiceMonitor", "serviceMonitor"), ("PrometheusRule", "alerts")):
        template = Template()
        manifest = pick(sources.additions["prometheus"], kind)
        labels = {**manifest["metadata"]["labels"], template.action(more(f"metrics.{value}.labels")): ""}
        manifest = {**manifest, "metadata": {**manifest["metadata"], "labels": labels}}
        for (change,) in patches("plain-metrics", manifest):
            endpoints = template.either(PROXIED, manifest["spec"]["endpoints"], change["value"])
            manifest = {**manifest, "spec": {**manifest["spec"], "endpoints": endpoints}}
        condition = f".Values.metrics.{value}.enabled"
        yield _path(manifest), _whole([_placed(manifest, template)], template, condition)


def _network_policies(sources: Sources) -> Iterator[tuple[str, str]]:
    plain = pick(sources.plain, "NetworkPolicy")
    yield _path(plain), _one(plain, f"not ({PROXIED})")
    template = Template()
    policy = component("network-policy", "network_policy.yaml")
    probes, metrics = policy["spec"]["ingress"]
    sources_of = template.action("{{- toYaml .Values.networkPolicy.metricsFrom | nindent INDENT+2 }}")
    reached = template.action("{{- toYaml .Values.networkPolicy.egress | nindent INDENT+2 }}")
    ingress = [probes, {**metrics, "from": sources_of}]
    policy = {**policy, "spec": {**policy["spec"], "ingress": ingress, "egress": reached}}
    yield _path(policy), _whole([_placed(policy, template)], template, ".Values.networkPolicy.enabled")


def _one(manifest: Json, condition: str) -> str:
    template = Template()
    return _whole([_placed(manifest, template)], template, condition)


def _whole(contents: list[Json], template: Template, condition: str = "") -> str:
    text = "".join(template.render(content) for content in contents)
    return f"{_MADE}{{{{- if {condition} }}}}\n{text}{{{{- end }}}}\n" if condition else _MADE + text


def _documents(contents: list[Json], template: Template) -> str:
    return "".join(f"---\n{template.render(content)}" for content in contents)


def _placed(content: Any, template: Template, root: str = "") -> Any:
    """Return an object in the namespace of the release; `root` is for what stands in a range."""
    if isinstance(content, list):
        return [_placed(each, template, root) for each in content]
    if not isinstance(content, dict):
        return content
    placed = {key: _placed(value, template, root) for key, value in content.items()}
    if content.get("namespace") == NAMESPACE:
        placed["namespace"] = template.action(f"{{{{ {root}.Release.Namespace | quote }}}}")
    return placed


def _path(manifest: Json) -> str:
    """Return where the template of an object goes: a folder for each sort, and its name."""
    kind, name = manifest["kind"], manifest["metadata"]["name"].removeprefix(f"{NAMESPACE}-")
    if kind == "CustomResourceDefinition":
        return f"crd/{manifest['spec']['names']['plural']}.yaml"
    if kind.startswith("ValidatingAdmissionPolicy"):
        return f"policies/{name}{'-binding' if kind.endswith('Binding') else ''}.yaml"
    if "Role" in kind or kind == "ServiceAccount":
        return f"rbac/{name if 'Role' in kind else 'service-account'}.yaml"
    return f"operator/{kind.lower()}{'-' + name if kind == 'NetworkPolicy' else ''}.yaml"


def _kebab(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"-{letter[0].lower()}", name)
