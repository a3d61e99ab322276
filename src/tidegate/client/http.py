"""HTTP to the controller: one request in, a JSON document out or an error of the contract raised."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx

from tidegate.client.home import ControllerAddress
from tidegate.contract.errors import (
    BreakingChange,
    Conflict,
    Frozen,
    InvalidInput,
    NotFound,
    NotReady,
    NotTrusted,
    ReasonRequired,
    TidegateError,
    Unavailable,
)

_KINDS: tuple[type[TidegateError], ...] = (
    *(InvalidInput, NotTrusted, BreakingChange, ReasonRequired),
    *(NotFound, Conflict, Frozen, NotReady, Unavailable, TidegateError),
)
_BY_CODE = {kind.code: kind for kind in _KINDS}
_BY_STATUS: dict[int, type[TidegateError]] = {
    400: InvalidInput,
    401: Unavailable,
    403: Unavailable,
    404: NotFound,
    409: Conflict,
    413: InvalidInput,
    422: InvalidInput,
    503: Unavailable,
    504: Unavailable,
}


def error_from(status: int, body: Any) -> TidegateError:
    """Rebuild the error that an answer carries.

    Args:
        status: HTTP status, used when the body does not name a code that this version knows.
        body: the decoded JSON, or None when the answer was not JSON.
    """
    fields = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(fields, Mapping) or "message" not in fields:
        said = body.get("detail") if isinstance(body, Mapping) else None
        told = f": {said}" if said else "."
        return _BY_STATUS.get(status, TidegateError)(
            f"The controller answered {status} {_phrase(status)}{told}",
            hint="Look into its log: tidegate doctor",
        )
    by_status = _BY_STATUS.get(status, TidegateError)
    code = str(fields.get("code", by_status.code))
    error = _BY_CODE.get(code, by_status)(
        str(fields["message"]),
        subject=fields.get("subject"),
        expected=fields.get("expected"),
        got=fields.get("got"),
        hint=fields.get("hint"),
    )
    error.code = code
    return error


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def needs_certificates(url: str) -> bool:
    """Say whether certificates have to be checked. Loading them takes 25 ms, and plain HTTP on loopback has none."""
    return not url.startswith("http://")


class Transport:
    """A connection to one controller. It is on this machine: proxies named in the environment are left out."""

    def __init__(self, address: ControllerAddress, timeout_seconds: float) -> None:
        self.address = address
        self._timeout_seconds = timeout_seconds
        self._http = httpx.Client(
            base_url=address.url,
            headers={"Authorization": f"Bearer {address.token}"},
            timeout=timeout_seconds,
            trust_env=False,
            verify=needs_certificates(address.url),
        )

    def json(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        timeout_seconds: float | None = None,
    ) -> dict[str, Any]:
        """Send one request and return the JSON object that comes back; an empty answer is an empty object."""
        response = self._send(method, path, params, body, timeout_seconds)
        if not response.content:
            return {}
        document = _decoded(response)
        if not isinstance(document, dict):
            raise TidegateError(
                f"{self.address.url}{path} did not answer with a JSON object.",
                got=response.text[:200],
                hint="Is it Tidegate's controller that listens there? tidegate doctor",
            )
        return document

    def text(self, path: str, *, params: Mapping[str, Any] | None = None) -> str:
        """Return the body of a GET as text."""
        return self._send("GET", path, params, None, None).text

    def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        body: Any,
        timeout_seconds: float | None,
    ) -> httpx.Response:
        given = {key: value for key, value in (params or {}).items() if value is not None}
        try:
            response = self._http.request(
                method, path, params=given, json=body, timeout=timeout_seconds or self._timeout_seconds
            )
        except httpx.TimeoutException as late:
            raise Unavailable(
                f"The controller at {self.address.url} did not answer in time.",
                subject=self.address.url,
                hint="See what is wrong with: tidegate doctor",
            ) from late
        except httpx.HTTPError as away:
            raise Unavailable(
                f"The controller at {self.address.url} does not answer.",
                subject=self.address.url,
                hint="Start it with: tidegate up (see what is wrong with: tidegate doctor)",
            ) from away
        if response.is_error:
            raise error_from(response.status_code, _decoded(response))
        return response

    def close(self) -> None:
        self._http.close()


def fetch_json(url: str, timeout_seconds: float) -> dict[str, Any]:
    """Get a JSON object from a served model, which needs no token; Unavailable when there is none."""
    try:
        verify = needs_certificates(url)
        response = httpx.get(url, timeout=timeout_seconds, trust_env=False, verify=verify).raise_for_status()
    except httpx.HTTPError as error:
        raise Unavailable(f"{url} does not answer: {error}", subject=url, hint="Look with: tidegate doctor") from error
    document = _decoded(response)
    if not isinstance(document, dict):
        raise Unavailable(f"{url} does not answer with a JSON object.", subject=url)
    return document


def post_json(url: str, body: Any, timeout_seconds: float) -> dict[str, Any]:
    """Ask a served model and return the JSON object that it answers with.

    Raises:
        InvalidInput: the model refuses the request; its own sentence is the message.
        Unavailable: it does not answer, or not as a model does.
    """
    try:
        response = httpx.post(url, json=body, timeout=timeout_seconds, trust_env=False, verify=needs_certificates(url))
    except httpx.HTTPError as error:
        raise Unavailable(f"{url} does not answer: {error}", subject=url, hint="Look with: tidegate doctor") from error
    document = _decoded(response)
    if response.is_client_error:
        said = document.get("error") if isinstance(document, dict) else None
        raise InvalidInput(f"the model refuses the request: {said or response.status_code}", subject=url)
    if not response.is_success or not isinstance(document, dict):
        raise Unavailable(f"{url} answers {response.status_code} {_phrase(response.status_code)}.", subject=url)
    return document


def _decoded(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None
