"""One HTTP request to one server, and every way in which it can fail as a sentence with advice.

Holds the address, the token, the proxy rule and the timeouts. Knows nothing of questions and answers. Logs nothing:
what travels here is a patient's.
"""

from __future__ import annotations

import http.client
import ipaddress
import secrets
from typing import Any, Generator
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from medsight_core.errors import (
    AuthenticationError,
    InputError,
    MedSightError,
    ServerError,
    ServerUnavailableError,
    TooLargeError,
    from_status,
)
from medsight_core.protocol import HEADER_CLIENT

# A server on this machine or in the hospital's network accepts at once, or is not there.
CONNECT_TIMEOUT = 5.0
# The server says nothing while the model thinks: a whole volume on a slow processor takes minutes.
READ_TIMEOUT = 600.0
# Who are you, and forget this session: no model is involved, and a person may be looking at the button they pressed.
SHORT_READ_TIMEOUT = 10.0

# Between programs that ask at the same time a server shares its time out. Chance, so that it tells nothing.
_THIS_PROGRAM = secrets.token_hex(8)

START_ADVICE = "start it with 'medsight serve', or correct the address"


class Transport:
    """Requests to one address, with one token.

    Raises InputError for an address that is not http:// or https:// with a host, or that holds a password.
    """

    def __init__(
        self, address: str, token: str | None, connect_timeout: float, read_timeout: float, who: str | None = None
    ):
        """``address`` may leave out ``http://``; timeouts are in seconds. who: as of `MedSightClient`."""
        self.address, host = _normalise(address)
        self._arguments = (address, token, connect_timeout, read_timeout, who)
        self._timeouts = (connect_timeout, read_timeout)
        self._session = requests.Session()
        # A proxy from the environment cannot reach this machine's own loopback, and must not see what goes there.
        self.is_local = _is_loopback(host)
        self._session.trust_env = not self.is_local
        # An auth object, unlike a header, keeps requests from putting ~/.netrc's password in the token's place.
        self._session.auth = _Bearer(token)
        self._session.headers[HEADER_CLIENT] = who or _THIS_PROGRAM

    def request(self, method: str, path: str, *, read_timeout: float | None = None, **kwargs: Any) -> requests.Response:
        """The server's reply, with status 2xx, and complete unless ``stream`` is true.

        Raises ServerUnavailableError when nobody answers or not in time, ServerError when the connection breaks or the
        reply is a redirect, and for other statuses the error of `medsight_core.errors.from_status`.
        """
        timeout = (self._timeouts[0], self._timeouts[1] if read_timeout is None else read_timeout)
        try:
            # Redirects are refused: a volume and a token go to the address that the user gave, and nowhere else.
            response = self._session.request(
                method, self.address + path, timeout=timeout, allow_redirects=False, **kwargs
            )
        except requests.exceptions.RequestException as error:
            raise self._failure(error, timeout) from None
        if response.is_redirect:
            raise ServerError(
                f"The server at {self.address} answers with a redirect, which is not followed: give its final address."
            )
        if not response.ok:
            raise self._refusal(response)
        return response

    def lines(self, path: str, headers: dict[str, str], *, read_timeout: float) -> Generator[bytes, None, None]:
        """The lines of a ``GET`` reply as they arrive; errors as `request`, whenever they happen.

        read_timeout: seconds that may pass between two lines.
        """
        with self.request("GET", path, read_timeout=read_timeout, headers=headers, stream=True) as response:
            try:
                yield from response.iter_lines()  # its default size does not hold back what comes chunked, as this does
            except requests.exceptions.RequestException as error:
                raise self._failure(error, (self._timeouts[0], read_timeout)) from None

    def chunks(self, response: requests.Response) -> Generator[bytes, None, None]:
        """The body of a reply that was asked for with ``stream``, a piece at a time; errors as `request`."""
        with response:
            try:
                yield from response.iter_content(1 << 20)
            except requests.exceptions.RequestException as error:
                raise self._failure(error, self._timeouts) from None

    def broken(self) -> ServerError:
        """The error of a reply that stops half way."""
        return ServerError(
            f"The MedSIGHT server at {self.address} broke the connection before its reply was complete: "
            "see whether it still runs and what its log says, then ask again."
        )

    def another(self) -> Transport:
        """One to the same server for another thread: requests' sessions are not made to be shared."""
        return Transport(*self._arguments)

    def close(self) -> None:
        """Drop the open connections."""
        self._session.close()

    def _failure(self, error: requests.exceptions.RequestException, timeout: tuple[float, float]) -> MedSightError:
        kinds = requests.exceptions
        if isinstance(error, kinds.ProxyError):
            return ServerUnavailableError(
                f"A proxy stands before the MedSIGHT server at {self.address} and does not let the request through: "
                "add the server's host to the NO_PROXY environment variable."
            )
        if isinstance(error, kinds.SSLError):
            return ServerUnavailableError(
                f"The certificate of the MedSIGHT server at {self.address} is not trusted: name its authority's file "
                "in the REQUESTS_CA_BUNDLE environment variable, or write http:// if the server uses no TLS."
            )
        if isinstance(error, kinds.ConnectTimeout):
            return ServerUnavailableError(
                f"Nobody answers at {self.address} within {timeout[0]:g} seconds: {START_ADVICE}."
            )
        if isinstance(error, kinds.ReadTimeout) or _came_late(error):
            return ServerUnavailableError(
                f"The MedSIGHT server at {self.address} said nothing for {timeout[1]:g} seconds: "
                "ask about one plane instead of the volume, or give it more time with read_timeout."
            )
        if isinstance(error, (kinds.ChunkedEncodingError, kinds.ContentDecodingError)) or _was_connected(error):
            return self.broken()
        if isinstance(error, kinds.ConnectionError):
            return ServerUnavailableError(f"No MedSIGHT server answers at {self.address}: {START_ADVICE}.")
        return InputError(f"No request can be made to {self.address}: write the address as http://host:port.")

    def _refusal(self, response: requests.Response) -> MedSightError:
        status, detail = response.status_code, _detail(response)
        wait = response.headers.get("Retry-After", "")
        retry_after = float(wait) if wait.isdecimal() and len(wait) < 6 else None  # it may also be a date
        if detail:
            return from_status(status, detail, retry_after)
        if status == AuthenticationError.http_status:
            return AuthenticationError(
                f"The MedSIGHT server at {self.address} does not accept this token: "
                "copy the one that it printed when it started."
            )
        if status == TooLargeError.http_status:
            return TooLargeError(
                "The server refuses this much data: send a smaller image, or raise the server's limit."
            )
        if status in (407, 502, 503, 504):
            return ServerUnavailableError(
                f"A proxy or gateway answers in place of the MedSIGHT server at {self.address} (HTTP {status}): "
                "see whether the server runs, or add its host to the NO_PROXY environment variable."
            )
        if status in (404, 405):
            return ServerError(
                f"What answers at {self.address} is not a MedSIGHT server (HTTP {status}): correct the address."
            )
        return ServerError(
            f"The MedSIGHT server at {self.address} failed (HTTP {status}): look at its log, then ask again."
        )


class _Bearer(AuthBase):
    def __init__(self, token: str | None):
        self._token = token.strip() if token else ""
        if not self._token.isascii() or not self._token.isprintable():
            raise InputError("The token holds characters that no MedSIGHT token has: copy it again from the server.")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _normalise(address: str) -> tuple[str, str]:
    """The address without trailing slash, and its host."""
    text = address.strip()
    if "://" not in text:
        text = "http://" + text
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port  # reading the port checks it
        host.encode("idna")  # what the connection will do, with an error of its own
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise InputError(f"The server address {address.strip()!r} cannot be used: write it as http://127.0.0.1:8000.")
    if parts.username is not None:
        raise InputError("The server address holds a user name or password: give a token instead.")
    return text.rstrip("/"), host


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _was_connected(error: BaseException) -> bool:
    """Whether the connection stood and then broke; urllib3 wraps that in an error whose first word is "aborted"."""
    reason = error.args[0] if error.args else None
    return isinstance(error, requests.exceptions.ConnectionError) and "aborted" in str(reason)


def _came_late(error: requests.exceptions.RequestException) -> bool:
    """Whether a reply that had begun came to a halt; requests tells that from a broken connection in the text alone."""
    return isinstance(error, requests.exceptions.ConnectionError) and "Read timed out" in str(error)


def _detail(response: requests.Response) -> str:
    """The sentence in a reply ``{"detail": sentence}``, or "" when there is none.

    A web framework's own "Not Found" is no sentence: it comes from servers that do not know our paths.
    """
    try:
        detail = response.json().get("detail")
    except (ValueError, AttributeError, requests.exceptions.RequestException):  # the last: it broke off half way
        return ""
    is_sentence = isinstance(detail, str) and detail != http.client.responses.get(response.status_code)
    return detail if is_sentence else ""
