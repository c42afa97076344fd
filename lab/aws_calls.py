"""A request to the local AWS, read: what is asked, by whom, and in which protocol."""

from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from aiohttp import web

from lab.aws_answers import AwsJson, Query
from lab.aws_sigv4 import Signature, read_signature

_SERVICES = {
    "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken": "ecr",
    "SpencerFrontendService.GetAuthorizationToken": "ecr-public",
}


@dataclass(slots=True, kw_only=True)
class Call:
    """One request, as it is recorded.

    Attributes:
        at: when it came, epoch seconds of this AWS.
        operation: `GetAuthorizationToken`, `AssumeRole`…, or `unknown`.
        service: `ecr`, `ecr-public`, `sts`, or empty.
        host: that the client meant to talk to.
        region: of the signature's scope; empty where the request is unsigned.
        access_key: that signed it; empty where the request is unsigned.
        role: the role ARN that is to be assumed, or empty.
        session: the RoleSessionName, or empty.
        external_id: that was sent, or empty.
        token: the web identity token, or empty.
        tags: of the session.
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
