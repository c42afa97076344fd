"""A request to the local AWS, read and recorded, and the wire formats in which it is answered.

awsJson 1.1 for ECR and ECR Public, Query with XML for STS. Sources:
https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html,
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
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


class AwsJson:
    """The protocol of ECR."""

    def raw(self, body: bytes) -> web.Response:
        """Answer 200 with any body, as JSON."""
        return _response(body, 200, "application/x-amz-json-1.1")

    def answer(self, content: Mapping[str, Any]) -> web.Response:
        """Answer 200."""
        return self.raw(json.dumps(content).encode())

    def error(self, code: str, status: int, message: str, retry_after: float | None = None) -> web.Response:
        """Answer an AWS error."""
        body = json.dumps({"__type": code, "message": message}).encode()
        return _response(body, status, "application/x-amz-json-1.1", retry_after)


class Query:
    """The protocol of STS."""

    def raw(self, body: bytes) -> web.Response:
        """Answer 200 with any body, as XML."""
        return _response(body, 200, "text/xml")

    def answer(self, action: str, result: Mapping[str, Any]) -> web.Response:
        """Answer 200."""
        body = _xml({f"{action}Result": result, "ResponseMetadata": {"RequestId": str(uuid.uuid4())}})
        return self.raw(f'<{action}Response xmlns="{_STS_NAMESPACE}">{body}</{action}Response>'.encode())

    def error(self, code: str, status: int, message: str, retry_after: float | None = None) -> web.Response:
        """Answer an AWS error."""
        fault = "Sender" if status < web.HTTPInternalServerError.status_code else "Receiver"
        body = _xml(
            {"Error": {"Type": fault, "Code": code, "Message": message}, "RequestId": str(uuid.uuid4())}
        )
        text = f'<ErrorResponse xmlns="{_STS_NAMESPACE}">{body}</ErrorResponse>'
        return _response(text.encode(), status, "text/xml", retry_after)


@dataclass(slots=True, kw_only=True)
class Call:
    """One request, as it is recorded.

    Attributes:
        at: epoch seconds of this AWS.
        operation: `GetAuthorizationToken`, `AssumeRole`…, or `unknown`.
        service: `ecr`, `ecr-public`, `sts`, or empty.
        region, access_key: of the signature; empty where the request is unsigned.
        role, session, external_id, token, tags: parameters of STS; `token` is the web identity.
        outcome: `answered`, an AWS error code, `garbage`, `reset`, `gone` (the client left), or `pending`.
    """

    at: float
    operation: str
    service: str
    host: str = ""
    region: str = ""
    access_key: str = ""
    role: str = ""
    session: str = ""
    external_id: str = ""
    token: str = field(default="", repr=False)
    tags: dict[str, str] = field(default_factory=dict)
    outcome: str = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request and how to answer it; `form` holds the fields of a Query request."""

    call: Call
    wire: AwsJson | Query
    signature: Signature | None
    form: dict[str, str] = field(repr=False)


def read_request(request: web.Request, body: bytes, now: float) -> Asked:
    """Read what is asked; an unknown operation is one that the services refuse."""
    signature = read_signature(request.headers.get("Authorization", ""))
    service = _SERVICES.get(request.headers.get("X-Amz-Target", ""), "")
    form: dict[str, str] = {}
    if not service and request.content_type == "application/x-www-form-urlencoded":
        form = dict(parse_qsl(body.decode(errors="replace")))
        service = "sts"
    call = Call(
        at=now,
        operation="GetAuthorizationToken" if service.startswith("ecr") else form.get("Action", "unknown"),
        service=service,
        host=request.host.rpartition(":")[0] or request.host,
        region=signature.region if signature else "",
        access_key=signature.access_key if signature else "",
        role=form.get("RoleArn", ""),
        session=form.get("RoleSessionName", ""),
        external_id=form.get("ExternalId", ""),
        token=form.get("WebIdentityToken", ""),
        tags=_tags(form),
    )
    wire = Query() if service == "sts" else AwsJson()
    return Asked(call=call, wire=wire, signature=signature, form=form)


def _tags(form: dict[str, str]) -> dict[str, str]:
    keys = [name for name in form if name.startswith("Tags.member.") and name.endswith(".Key")]
    return {form[name]: form.get(name.removesuffix("Key") + "Value", "") for name in keys}


def xml_time(seconds: float) -> str:
    """Write epoch seconds as STS does: 2026-01-02T03:04:05Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _xml(tree: Mapping[str, Any]) -> str:
    return "".join(
        f"<{name}>{_xml(value) if isinstance(value, Mapping) else escape(str(value))}</{name}>"
        for name, value in tree.items()
    )


def _response(body: bytes, status: int, content_type: str, retry_after: float | None = None) -> web.Response:
    headers = {"x-amzn-RequestId": str(uuid.uuid4()), "Content-Type": content_type}
    if retry_after is not None:
        headers["Retry-After"] = f"{retry_after:g}"
    return web.Response(body=body, status=status, headers=headers)
