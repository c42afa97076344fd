"""The wire formats of the local AWS: awsJson 1.1 for ECR and ECR Public, Query with XML for STS.

Sources: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html,
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from aiohttp import web

_STS_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


class AwsJson:
    """The protocol of ECR."""

    def raw(self, body: bytes) -> web.Response:
        """Say anything, as JSON."""
        return _response(body, 200, "application/x-amz-json-1.1")

    def answer(self, content: Mapping[str, Any]) -> web.Response:
        """Say a good answer."""
        return self.raw(json.dumps(content).encode())

    def error(self, code: str, status: int, message: str, retry_after: float | None = None) -> web.Response:
        """Say an error."""
        body = json.dumps({"__type": code, "message": message}).encode()
        return _response(body, status, "application/x-amz-json-1.1", retry_after)


class Query:
    """The protocol of STS."""

    def raw(self, body: bytes) -> web.Response:
        """Say anything, as XML."""
        return _response(body, 200, "text/xml")

    def answer(self, action: str, result: Mapping[str, Any]) -> web.Response:
        """Say a good answer."""
        body = _xml({f"{action}Result": result, "ResponseMetadata": {"RequestId": str(uuid.uuid4())}})
        return self.raw(f'<{action}Response xmlns="{_STS_NAMESPACE}">{body}</{action}Response>'.encode())

    def error(self, code: str, status: int, message: str, retry_after: float | None = None) -> web.Response:
        """Say an error."""
        fault = "Sender" if status < web.HTTPInternalServerError.status_code else "Receiver"
        body = _xml(
            {"Error": {"Type": fault, "Code": code, "Message": message}, "RequestId": str(uuid.uuid4())}
        )
        text = f'<ErrorResponse xmlns="{_STS_NAMESPACE}">{body}</ErrorResponse>'
        return _response(text.encode(), status, "text/xml", retry_after)


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
