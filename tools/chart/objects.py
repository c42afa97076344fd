"""The templates of all objects, each with the condition on which the chart has it."""

import re
from collections.abc import Iterator
from typing import Any, Final

from tools.bundle.sources import Json, pick
from tools.chart.deployment import PROXIED, SEVERAL, check_pod, deployment
from tools.chart.sources import Sources, component, patches
from tools.chart.template import Template, enclosed, fields, more, whole

NAMESPACE: Final = "ecr-secret-operator"
_MADE: Final = "{{- /* Made from config by `make chart`. */ -}}\n"
_KEPT: Final = enclosed("if .Values.crds.keep", "annotations:\n  helm.sh/resource-policy: keep")
# Folders with the permissions for one field, and the value that adds them.
_FIELDS: Final = {
    "rbac/service-account": "serviceAccountTokens",
    "rbac/link-service-accounts": "serviceAccountLinks",
}
# In a range over the served namespaces, of which an empty one stands for all.
_EVERY: Final = 'range .Values.namespaces | default (list "")'
_PLACE: Final = enclosed("with .", "namespace: {{ . | quote }}")


def templates(sources: Sources) -> Iterator[tuple[str, str]]:
    """Give all templates made from objects, by their paths in the chart's folder `templates`."""
    for manifest in sources.default:
        yield _path(manifest), _default(sources, manifest)
    yield "rbac/watched.yaml", _watched(sources.watched)
    for folder, value in _FIELDS.items():
        yield from _rights(sources.additions[folder], value)
    for manifest in sources.additions["policies/secret-writes"]:
        yield _path(manifest), _one(manifest, Template(), ".Values.secretWritesPolicy")
    yield from _metrics(sources)
    yield from _network_policies(sources)
    budget = component("high-availability", "pod_disruption_budget.yaml")
    yield _path(budget), _one(budget, Template(), SEVERAL)
    template = Template()
    yield "tests/check.yaml", _one(check_pod(sources, template), template)


def _default(sources: Sources, manifest: Json) -> str:
    kind, template = manifest["kind"], Template()
    if kind == "CustomResourceDefinition":
        manifest = _changed(manifest, metadata=template.lines(_KEPT))
        return _one(manifest, template, ".Values.crds.enabled")
    if kind in {"ClusterRole", "ClusterRoleBinding"}:
        return _cluster_role(manifest, template)
    if kind == "Deployment":
        manifest = deployment(sources, template)
    elif kind == "Service":
        ports = (pick(objects, kind)["spec"]["ports"] for objects in (sources.default, sources.plain))
        manifest = _changed(manifest, spec={"ports": template.either(PROXIED, *ports)})
    elif kind == "ServiceAccount":
        annotations = fields("annotations", "serviceAccount.annotations")
        manifest = _changed(manifest, metadata=template.lines(annotations))
    return _one(manifest, template)


def _cluster_role(manifest: Json, template: Template) -> str:
    """Return a cluster-wide role or binding, which is absent where only some namespaces are served."""
    for patch in patches("aggregate-roles", manifest):
        added = enclosed("if .Values.aggregateRoles", template.render(patch["metadata"]["labels"]))
        labels = {**manifest["metadata"]["labels"], **template.lines(added)}
        manifest = _changed(manifest, metadata={"labels": labels})
    is_of_proxy = any(patch.get("$patch") == "delete" for patch in patches("plain-metrics", manifest))
    return _one(manifest, template, PROXIED if is_of_proxy else "not .Values.namespaces")


def _watched(objects: tuple[Json, ...]) -> str:
    template = Template()
    place = {"namespace": template.action("{{ . | quote }}")}
    text = _documents([_changed(each, metadata=place) for each in objects], template)
    return f"{_MADE}{enclosed('range .Values.namespaces', text)}\n"


def _rights(objects: tuple[Json, ...], value: str) -> Iterator[tuple[str, str]]:
    """Give the permissions for one field, everywhere or in each served namespace, and their policy."""
    template = Template()
    roles = [each for each in objects if "Role" in each["kind"]]
    text = enclosed(_EVERY, _documents([_in_each(each, template) for each in roles], template))
    yield f"rbac/{_kebab(value)}.yaml", f"{_MADE}{enclosed(f'if .Values.{value}.enabled', text)}\n"
    for manifest in objects:
        if manifest not in roles:
            condition = f"and .Values.{value}.enabled .Values.{value}.policy"
            yield _path(manifest), _one(manifest, Template(), condition)


def _in_each(manifest: Json, template: Template) -> Json:
    """Return a cluster-wide role or binding as one of a namespace, where there is one."""

    def kind(cluster_wide: str) -> str:
        namespaced = cluster_wide.removeprefix("Cluster")
        return template.action("{{ if . }}" + namespaced + "{{ else }}" + cluster_wide + "{{ end }}")

    changed = _changed(manifest, metadata=template.lines(_PLACE)) | {"kind": kind(manifest["kind"])}
    if "roleRef" in manifest:
        changed = _changed(changed, roleRef={"kind": kind(manifest["roleRef"]["kind"])})
    return changed


def _metrics(sources: Sources) -> Iterator[tuple[str, str]]:
    for kind, value in (("ServiceMonitor", "serviceMonitor"), ("PrometheusRule", "alerts")):
        template = Template()
        manifest = pick(sources.additions["prometheus"], kind)
        labels = {**manifest["metadata"]["labels"], **template.lines(more(f"metrics.{value}.labels"))}
        manifest = _changed(manifest, metadata={"labels": labels})
        for (change,) in patches("plain-metrics", manifest):
            endpoints = template.either(PROXIED, manifest["spec"]["endpoints"], change["value"])
            manifest = _changed(manifest, spec={"endpoints": endpoints})
        yield _path(manifest), _one(manifest, template, f".Values.metrics.{value}.enabled")


def _network_policies(sources: Sources) -> Iterator[tuple[str, str]]:
    plain, template = pick(sources.plain, "NetworkPolicy"), Template()
    yield _path(plain), _one(plain, Template(), f"not ({PROXIED})")
    policy = component("network-policy", "network_policy.yaml")
    probes, metrics = policy["spec"]["ingress"]
    scraped = {**metrics, "from": template.action(whole("networkPolicy.metricsFrom"))}
    reached = template.action(whole("networkPolicy.egress"))
    policy = _changed(policy, spec={"ingress": [probes, scraped], "egress": reached})
    yield _path(policy), _one(policy, template, ".Values.networkPolicy.enabled")


def _changed(manifest: Json, **parts: Json) -> Json:
    """Return an object with other fields in some of its parts."""
    return manifest | {name: {**manifest[name], **new} for name, new in parts.items()}


def _one(manifest: Json, template: Template, condition: str = "") -> str:
    text = template.render(_placed(manifest, template, ".Release"))
    return _MADE + (f"{enclosed(f'if {condition}', text)}\n" if condition else text)


def _documents(manifests: list[Json], template: Template) -> str:
    """Return several objects, in a range."""
    placed = (_placed(each, template, "$.Release") for each in manifests)
    return "".join(f"---\n{template.render(each)}" for each in placed)


def _placed(content: Any, template: Template, release: str) -> Any:
    """Return an object in the namespace of the release."""
    if isinstance(content, list):
        return [_placed(each, template, release) for each in content]
    if not isinstance(content, dict):
        return content
    placed = {key: _placed(value, template, release) for key, value in content.items()}
    if content.get("namespace") == NAMESPACE:
        placed["namespace"] = template.action("{{ " + release + ".Namespace | quote }}")
    return placed


def _path(manifest: Json) -> str:
    """Return where the template of an object goes."""
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
