"""A request to the local AWS, read and recorded, and its answer in the right wire format.

That is awsJson 1.1 for ECR and ECR Public, Query with XML for STS. Sources:
https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html,
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from aiohttp import web

from lab.aws_keys import Signature, read_signature

_STS_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_SERVICES = {
    "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken": "ecr",
    "SpencerFrontendService.GetAuthorizationToken": "ecr-public",
}


@dataclass(slots=True, kw_only=True)
class Call:
    """One request, as it is recorded.

    Attributes:
        at: epoch seconds of this AWS.
        operation: `GetAuthorizationToken`, `AssumeRole`…, or `unknown`.
        service: `ecr`, `ecr-public`, `sts`, or empty.
        region, access_key: of the signature; empty where the request is unsigned.
        role, session, external_id, token, tags: parameters of STS; `token` is the web identity.
        form: all parameters of STS.
        outcome: `answered`, an AWS error code, `garbage`, `reset`, `gone` (the client left), or `pending`.
    """

    at: float
    operation: str
    service: str
    host: str
    signature: Signature | None = field(repr=False)
    region: str
    access_key: str
    role: str
    session: str
    external_id: str
    token: str = field(repr=False)
    tags: dict[str, str]
    form: dict[str, str] = field(repr=False)
    outcome: str = "pending"


def read_call(request: web.Request, body: bytes, now: float) -> Call:
    """Read a request; the services refuse an unknown operation."""
    signature = read_signature(request.headers.get("Authorization", ""))
    service = _SERVICES.get(request.headers.get("X-Amz-Target", ""), "")
    form: dict[str, str] = {}
    if not service and request.content_type == "application/x-www-form-urlencoded":
        form = dict(parse_qsl(body.decode(errors="replace")))
        service = "sts"
    return Call(
        at=now,
        operation="GetAuthorizationToken" if service.startswith("ecr") else form.get("Action", "unknown"),
        service=service,
        host=request.host.rpartition(":")[0] or request.host,
        signature=signature,
        region=signature.region if signature else "",
        access_key=signature.access_key if signature else "",
        role=form.get("RoleArn", ""),
        session=form.get("RoleSessionName", ""),
        external_id=form.get("ExternalId", ""),
        token=form.get("WebIdentityToken", ""),
        tags=_tags(form),
        form=form,
    )


def _tags(form: dict[str, str]) -> dict[str, str]:
    keys = [name for name in form if name.startswith("Tags.member.") and name.endswith(".Key")]
    return {form[name]: form.get(name.removesuffix("Key") + "Value", "") for name in keys}


def answer(call: Call, content: Mapping[str, Any]) -> web.Response:
    """Answer 200, with what the operation returns."""
    if call.service != "sts":
        return raw(call, json.dumps(content).encode())
    result = {f"{call.operation}Result": content, "ResponseMetadata": {"RequestId": str(uuid.uuid4())}}
    return raw(call, _xml(f"{call.operation}Response", result))


def refuse(call: Call, code: str, status: int, message: str) -> web.Response:
    """Answer an AWS error, and record it."""
    call.outcome = code
    if call.service != "sts":
        return raw(call, json.dumps({"__type": code, "message": message}).encode(), status)
    fault = "Sender" if status < web.HTTPInternalServerError.status_code else "Receiver"
    error = {"Type": fault, "Code": code, "Message": message}
    return raw(call, _xml("ErrorResponse", {"Error": error, "RequestId": str(uuid.uuid4())}), status)


def raw(call: Call, body: bytes, status: int = 200) -> web.Response:
    """Answer with any body, as JSON or XML."""
    content_type = "text/xml" if call.service == "sts" else "application/x-amz-json-1.1"
    headers = {"x-amzn-RequestId": str(uuid.uuid4()), "Content-Type": content_type}
    return web.Response(body=body, status=status, headers=headers)


def _xml(root: str, tree: Mapping[str, Any]) -> bytes:
    return f'<{root} xmlns="{_STS_NAMESPACE}">{_elements(tree)}</{root}>'.encode()


def _elements(tree: Mapping[str, Any]) -> str:
    return "".join(
        f"<{name}>{_elements(value) if isinstance(value, Mapping) else escape(str(value))}</{name}>"
        for name, value in tree.items()
    )
