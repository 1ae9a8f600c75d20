"""A language model behind an address that speaks OpenAI's chat format, as a function from messages to a reply.

Knows HTTP and what can go wrong there; knows nothing of what is asked. Neither key nor messages are ever logged or
repeated in an error. Waiting for an overloaded server is left to urllib3.
"""

from __future__ import annotations

import ipaddress
import os
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.util import Retry

from medsight_core.errors import AuthenticationError, InputError, MedSightError, ServerError, ServerUnavailableError

KEY_ENVIRONMENT = "MEDSIGHT_ENDPOINT_KEY"
_CONNECT_TIMEOUT = 10.0
_READ_TIMEOUT = 300.0  # a large model on a shared machine thinks before it says anything
_BUSY = (429, 503)


class Endpoint:
    """One model at one address.

    url: what stands before "/chat/completions". model: the name that the server knows it by. The key, if the server
    wants one, comes from the environment variable `KEY_ENVIRONMENT`.

    Raises InputError for an address that cannot be used, and for a key that would travel unencrypted.
    """

    def __init__(self, url: str, model: str) -> None:
        self._url, local = _check(url)
        self._model = model
        key = os.environ.get(KEY_ENVIRONMENT, "").strip()
        if key and not local and not self._url.startswith("https://"):
            raise InputError(
                f"The key in {KEY_ENVIRONMENT} would travel to {self._url} unencrypted: give an https:// address."
            )
        self._session = requests.Session()
        self._session.trust_env = not local  # no proxy can reach this machine's own loopback
        self._session.auth = _Bearer(key)  # an auth object also keeps out the passwords of ~/.netrc
        waits = Retry(
            total=4,
            connect=0,
            read=0,
            other=0,
            status_forcelist=_BUSY,
            allowed_methods=None,
            backoff_factor=1,
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=waits))

    def __call__(self, messages: list[dict[str, str]]) -> str:
        """The model's reply to messages {"role", "content"}.

        Raises ServerUnavailableError when nobody answers or not in time, ServerError when the server fails or answers
        nonsense, AuthenticationError or InputError when it refuses the key or the request.
        """
        try:
            response = self._session.post(
                f"{self._url}/chat/completions",
                json={"model": self._model, "messages": messages},
                timeout=(_CONNECT_TIMEOUT, _READ_TIMEOUT),
                allow_redirects=False,  # the key goes to the given address and nowhere else
            )
        except requests.exceptions.RequestException:
            raise ServerUnavailableError(
                f"No language model answers at {self._url}: start it, or correct --endpoint. What is written stays, "
                "and the same command goes on from there."
            ) from None
        if response.status_code != requests.codes.ok:
            raise self._refusal(response.status_code)
        return self._content(response)

    def _refusal(self, status: int) -> MedSightError:
        if status in (401, 403):
            return AuthenticationError(
                f"The language model at {self._url} does not accept the key (HTTP {status}): put the right one into "
                f"the environment variable {KEY_ENVIRONMENT}."
            )
        if status in _BUSY or status >= 500:
            return ServerError(
                f"The language model at {self._url} failed (HTTP {status}): look at its log, then go on."
            )
        return InputError(
            f"The server at {self._url} refuses the request for the model {self._model!r} (HTTP {status}): check "
            "--model, and --endpoint, which most servers want to end in /v1."
        )

    def _content(self, response: requests.Response) -> str:
        try:
            content: Any = response.json()["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError):
            content = None
        if not isinstance(content, str):
            raise ServerError(f"What answers at {self._url} does not speak OpenAI's chat format: correct --endpoint.")
        return content


class _Bearer(AuthBase):
    def __init__(self, key: str) -> None:
        if not key.isascii() or not key.isprintable():
            raise InputError(f"The key in {KEY_ENVIRONMENT} holds characters that no key has: copy it again.")
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def _check(url: str) -> tuple[str, bool]:
    """The address without trailing slash, and whether it is this machine's own."""
    url = url.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise InputError(f"The endpoint {url!r} cannot be used: write it as http://127.0.0.1:8000/v1.")
    if parts.username is not None:
        raise InputError(f"The endpoint holds a user name or password: put a key into {KEY_ENVIRONMENT} instead.")
    try:
        return url, ipaddress.ip_address(host).is_loopback
    except ValueError:
        return url, host == "localhost" or host.endswith(".localhost")
