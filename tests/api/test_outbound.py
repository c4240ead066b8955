"""What strangers' addresses can't do to us: lead inside, change after the check, or hold us forever."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipeline.addresses import AddressRefused, check
from pipeline.outbound import Outbound, SendFailed
from tests.api.receiver import receiving

NAME = "hooks.example.org"


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "::ffff:8.8.8.8",
        "::ffff:127.0.0.1",
        "64:ff9b::8.8.8.8",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001:0:1::1",
        "::7f00:1",
        "ff02::1",
        "2001:db8::1",
        "fec0::1",
        "3fff::1",
        "5f00::1",
        "192.0.0.8",
        "192.88.99.1",
    ],
)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    with pytest.raises(AddressRefused):
        check(address, allow_loopback=False)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])
def test_public_addresses_are_allowed(address: str) -> None:
    check(address, allow_loopback=False)


@pytest.mark.parametrize("others", [["10.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["127.0.0.1"], ["64:ff9b::a00:1"]])
def test_a_name_that_leads_inside_is_refused_after_the_lookup(others: list[str]) -> None:
    with pytest.raises(SendFailed) as refused:
        Outbound(resolve=lambda *_: others).post(f"https://{NAME}/", b"", {})
    assert refused.value.code == "address_refused"


def test_a_name_that_changes_after_the_check_changes_nothing() -> None:
    """The second lookup, which never comes, would lead elsewhere; the name stays in the header."""
    answers = [["127.0.0.1"], ["10.0.0.1"]]
    with receiving() as receiver:
        url = receiver.url.replace("127.0.0.1", NAME)
        pinned = Outbound(allow_loopback=True, resolve=lambda *_: answers.pop(0))
        assert pinned.post(url, b"{}", {}).status == 204
        assert receiver.calls[0][0]["host"].startswith(f"{NAME}:")
    assert answers == [["10.0.0.1"]]


def test_the_certificate_must_be_the_name_s(tmp_path: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(_certificate(tmp_path, NAME)))
    outbound = Outbound(allow_loopback=True, resolve=lambda *_: ["127.0.0.1"], tls=trusting)
    with _tls_server(tmp_path) as (port, names):
        assert outbound.post(f"https://{NAME}:{port}/", b"{}", {}).status == 204
        assert names == [NAME]
        with pytest.raises(SendFailed) as refused:
            outbound.post(f"https://other.example.org:{port}/", b"{}", {})
        assert refused.value.code == "tls_failed"


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n"])
def test_who_never_ends_an_answer_is_given_up(said: bytes) -> None:
    def drip(connection: socket.socket) -> None:
        for letter in said + b"X-Slow: " + b"x" * 1000:
            connection.sendall(bytes([letter]))
            if stopped.wait(0.05):
                return

    stopped = threading.Event()
    with _server(drip) as port, pytest.raises(SendFailed) as failure:
        Outbound(allow_loopback=True, timeout_s=0.4).post(f"http://127.0.0.1:{port}/", b"{}", {})
    stopped.set()
    assert failure.value.code == "timeout"


def test_a_name_server_that_never_answers_is_given_up() -> None:
    def resolve(*_: object) -> list[str]:
        stopped.wait(30)
        return []

    stopped = threading.Event()
    with pytest.raises(SendFailed) as failure:
        Outbound(resolve=resolve, timeout_s=0.2).post(f"https://{NAME}/", b"", {})
    stopped.set()
    assert failure.value.code == "timeout"


def test_a_name_that_leads_nowhere_is_a_failure() -> None:
    def resolve(*_: object) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    with pytest.raises(SendFailed) as failure:
        Outbound(resolve=resolve).post(f"https://{NAME}/", b"", {})
    assert failure.value.code == "unreachable"


def test_what_is_no_longer_allowed_is_not_sent() -> None:
    """The webhook was made while loopback and plain http were allowed."""
    with pytest.raises(SendFailed) as refused:
        Outbound(resolve=lambda *_: ["8.8.8.8"]).post(f"http://{NAME}/", b"", {})
    assert refused.value.code == "address_refused"


@pytest.mark.parametrize(
    ("status", "said", "most", "least"),
    [
        (503, "120", 120, 120),
        (429, "0", 0, 0),
        (429, format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True), 7200, 6000),
        (429, "Mon, 01 Jan 2001 00:00:00 GMT", 0, 0),
        (503, "soon", 0, 0),
        (503, "9" * 40, 10**9, 86_400),
        (500, "120", 0, 0),
        (200, "120", 0, 0),
    ],
)
def test_a_receiver_says_how_long_it_wants_to_be_left_alone(status: int, said: str, most: float, least: float) -> None:
    with receiving([status], headers={"Retry-After": said}) as receiver:
        answer = Outbound(allow_loopback=True).post(receiver.url, b"{}", {})
    assert answer.status == status
    assert least <= answer.retry_after_s <= most


def test_an_answer_without_end_is_not_read() -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with _server(flood) as port:
        assert Outbound(allow_loopback=True).post(f"http://127.0.0.1:{port}/", b"{}", {}).status == 200


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000])
def test_what_speaks_no_http_is_a_failure(said: bytes) -> None:
    with _server(lambda connection: connection.sendall(said)) as port, pytest.raises(SendFailed) as failure:
        Outbound(allow_loopback=True).post(f"http://127.0.0.1:{port}/", b"{}", {})
    assert failure.value.code in ("bad_answer", "unreachable")


@contextmanager
def _server(behave: Callable[[socket.socket], object]) -> Iterator[int]:
    """Hands the first connection, with its request read, to `behave`."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            try:
                connection.recv(65536)
                behave(connection)
            except OSError:
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
    thread.join()


@contextmanager
def _tls_server(folder: Path) -> Iterator[tuple[int, list[str]]]:
    """Answers two connections; the names that clients asked for are kept."""
    names: list[str] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    context.sni_callback = lambda _, name, __: names.append(name)

    def serve() -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            try:
                with context.wrap_socket(connection, server_side=True) as secured:
                    while not secured.recv(65536).endswith(b"{}"):
                        pass
                    secured.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            except OSError:
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], names
        thread.join()


def _certificate(folder: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "certificate.pem"
