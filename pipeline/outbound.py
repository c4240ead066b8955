"""POST to a stranger: to a checked address that stays the same, within one deadline, without following anything."""

import ssl
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpcore

from pipeline.addresses import AddressRefused, Resolve, check, check_url, resolve

TIMEOUT_S = 15.0


class SendFailed(Exception):
    """No answer came; `code` is address_refused, unreachable, timeout, tls_failed or bad_answer."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Answer:
    """`retry_after_s` is how long the receiver asks to be left alone, where it does."""

    status: int
    retry_after_s: float = 0


class Outbound:
    def __init__(
        self,
        *,
        allow_loopback: bool = False,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._allow_loopback = allow_loopback
        self._resolve = resolve
        self._tls = tls or ssl.create_default_context()
        self._timeout_s = timeout_s

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The answer without its body, which is not read. Raises SendFailed."""
        backend = _Pinned(self._allow_loopback, self._resolve, time.monotonic() + self._timeout_s)
        given = [(name.encode(), value.encode()) for name, value in headers.items()]
        try:
            # What was allowed when the webhook was made may not be any more.
            check_url(url, allow_loopback=self._allow_loopback)
            with (
                httpcore.ConnectionPool(ssl_context=self._tls, network_backend=backend, retries=0) as pool,
                pool.stream("POST", url, headers=[*given, (b"Connection", b"close")], content=body) as answer,
            ):
                return Answer(answer.status, _retry_after_s(answer))
        except AddressRefused as error:
            raise SendFailed("address_refused", str(error)) from error
        except httpcore.TimeoutException as error:
            raise SendFailed("timeout", f"no answer within {self._timeout_s:g} s") from error
        except (httpcore.NetworkError, OSError, UnicodeError) as error:
            code = "tls_failed" if isinstance(_root(error), ssl.SSLError) else "unreachable"
            raise SendFailed(code, f"no connection ({type(_root(error)).__name__})") from error
        except httpcore.ProtocolError as error:
            raise SendFailed("bad_answer", "what answered does not speak HTTP") from error


class _Pinned(httpcore.NetworkBackend):
    """Looks the name up once, judges all that it leads to, and connects to just that."""

    def __init__(self, allow_loopback: bool, resolve: Resolve, deadline: float) -> None:
        self._allow_loopback = allow_loopback
        self._resolve = resolve
        self._deadline = deadline
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = self._looked_up(host.strip("[]"), port)
        for address in addresses:
            check(address, allow_loopback=self._allow_loopback)
        for number, address in enumerate(addresses, 1):
            try:
                return _Timed(self._inner.connect_tcp(address, port, timeout=_left(self._deadline)), self._deadline)
            except httpcore.NetworkError:
                if number == len(addresses):
                    raise
        raise httpcore.ConnectError("the name leads nowhere")

    def _looked_up(self, host: str, port: int) -> Sequence[str]:
        """A lookup can't be broken off, and a stranger's name server may take minutes: it is left behind."""
        found: list[Sequence[str] | Exception] = []

        def look() -> None:
            try:
                found.append(self._resolve(host, port))
            except Exception as error:
                found.append(error)

        looking = threading.Thread(target=look, name="lookup", daemon=True)
        looking.start()
        looking.join(_left(self._deadline))
        if not found:
            raise httpcore.ConnectTimeout
        if isinstance(result := found[0], Exception):
            raise result
        return result


class _Timed(httpcore.NetworkStream):
    """Nothing on this connection lasts beyond the deadline, however slowly the other side drips."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: float) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(self._deadline))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Timed(self._inner.start_tls(ssl_context, server_hostname, _left(self._deadline)), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _retry_after_s(answer: httpcore.Response) -> float:
    """Of 429 and 503: seconds or a date, https://www.rfc-editor.org/rfc/rfc9110#name-retry-after"""
    value = next((value for name, value in answer.headers if name.lower() == b"retry-after"), b"").decode("latin-1")
    if answer.status not in (429, 503) or not value:
        return 0
    if value.isdecimal():
        return float(value[:9])
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return 0


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left


def _root(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error
