import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError

from api.settings import ApiSettings
from pipeline.playback import PlaybackSettings
from tests import stack
from tests.api.conftest import SECRET, Server, app_on, code_of, serving, token


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def signed_with(secret: bytes, head: dict[str, Any], claims: dict[str, Any]) -> str:
    """By hand: the library refuses to sign with what looks like a public key."""
    content = f"{part(head)}.{part(claims)}"
    signature = hmac.new(secret, content.encode(), hashlib.sha256).digest()
    return f"{content}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def in_an_hour() -> float:
    return time.time() + 3600


BAD_TOKENS: dict[str, Callable[[], str]] = {
    "expired": lambda: token("alice", exp=time.time() - 1),
    "without expiry": lambda: token("alice", exp=None),
    "not valid yet": lambda: token("alice", nbf=in_an_hour()),
    "for another audience": lambda: token("alice", aud="somebody else"),
    "signed with another key": lambda: token("alice", key="another secret that is long enough to sign with"),
    "of another algorithm": lambda: token("alice", key=SECRET * 2, algorithm="HS512"),
    "signed with a key of another kind": lambda: jwt.encode(
        {"sub": "alice", "exp": in_an_hour()}, ec.generate_private_key(ec.SECP256R1()), "ES256"
    ),
    "without signature": lambda: f"{part({'alg': 'none'})}.{part({'sub': 'alice', 'exp': in_an_hour()})}.",
    "with a forged head": lambda: f"{part({'alg': 'HS256'})}.{token('alice').split('.', 1)[1]}",
    "nested deeper than a parser goes": lambda: f"{part('x').replace('x', '')}{'Wlta' * 9000}.e30.e30",
    "no token at all": lambda: "hello",
    "not ASCII": lambda: "h\xe9llo",
    "of nobody": lambda: token(""),
    "of too long a name": lambda: token("a" * 129),
    "of a name with a line break": lambda: token("a\nb"),
    "with an expiry that is no number": lambda: token("alice", exp=str(round(in_an_hour()))),
    "with a scope that is no string": lambda: token("alice", ["admin"]),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("kind", BAD_TOKENS)
def test_a_token_that_is_not_ours_is_refused(server: Server, kind: str) -> None:
    value = b"Bearer " + BAD_TOKENS[kind]().encode("latin-1")
    answer = httpx.get(f"{server.url}/v1/threads", headers={b"Authorization": value})
    assert (answer.status_code, code_of(answer)) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_that_was_believed_ends_when_it_said(server: Server) -> None:
    value = {"Authorization": f"Bearer {token('alice', exp=int(time.time()) + 2)}"}

    def status() -> int:
        return httpx.get(f"{server.url}/v1/threads", headers=value).status_code

    assert [status(), status()] == [200, 200]
    stack.wait_until(lambda: status() == 401, timeout_s=10)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic YTpi", "Token x"])
def test_without_a_token_nothing_is_said(server: Server, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    for method, path in (("GET", "/v1/threads"), ("POST", "/v1/threads/x/voice-messages"), ("GET", "/v1/jobs")):
        answer = httpx.request(method, server.url + path, headers=headers)
        assert (answer.status_code, code_of(answer)) == (401, "unauthorized")


@pytest.mark.parametrize("name", [b"", b"a" * 129, b"a\x7fb", b"\xff\xfe", b"a" * 600])
def test_the_host_application_must_name_a_user(server: Server, name: bytes) -> None:
    headers = {b"Authorization": f"Bearer {token('backend', 'service')}".encode(), b"Earshot-User": name}
    answer = httpx.get(f"{server.url}/v1/threads", headers=headers)
    assert answer.status_code in (400, 422)
    assert code_of(answer) == "invalid_request"


def test_a_user_may_have_any_printable_name(server: Server) -> None:
    headers = {b"Authorization": f"Bearer {token('backend', 'service')}".encode(), b"Earshot-User": "zoë 🎤".encode()}
    made = httpx.post(f"{server.url}/v1/threads", headers=headers, json={"participants": []})
    assert made.json()["participants"] == ["zoë 🎤"]


class _Keys(BaseHTTPRequestHandler):
    document: bytes = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.document)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def issuer(key: rsa.RSAPrivateKey) -> Iterator[str]:
    public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    handler = type("Handler", (_Keys,), {"document": json.dumps({"keys": [public | {"kid": "one"}]}).encode()})
    with HTTPServer(("127.0.0.1", 0), handler) as issuer:
        thread = threading.Thread(target=issuer.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{issuer.server_port}/keys"
        issuer.shutdown()
        thread.join()


def test_an_issuers_keys_are_believed_and_nothing_else(
    s3: stack.S3, fresh_database: Callable[[], str], issuer: str, key: rsa.RSAPrivateKey
) -> None:
    trust = {"jwt_secret": None, "jwks_url": issuer, "jwt_audience": "earshot", "playback": "presigned"}
    claims = {"sub": "alice", "exp": in_an_hour(), "aud": "earshot"}
    with serving(lambda public, rings: app_on(s3, fresh_database(), public, rings, **trust)) as server:

        def status(value: str) -> int:
            return httpx.get(f"{server.url}/v1/threads", headers={"Authorization": f"Bearer {value}"}).status_code

        assert status(jwt.encode(claims, key, "RS256", headers={"kid": "one"})) == 200
        assert status(jwt.encode(claims | {"aud": "others"}, key, "RS256", headers={"kid": "one"})) == 401
        assert status(jwt.encode(claims, key, "RS256", headers={"kid": "two"})) == 401
        assert status(jwt.encode(claims, key, "RS512", headers={"kid": "one"})) == 401
        assert status(jwt.encode(claims, SECRET, "HS256", headers={"kid": "one"})) == 401
        other = ec.generate_private_key(ec.SECP256R1())
        assert status(jwt.encode(claims, other, "ES256", headers={"kid": "one"})) == 401
        # What everybody may know is no secret to sign with, in whichever form.
        for encoding in (Encoding.PEM, Encoding.DER):
            public = key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
            for secret in (public, public.strip()):
                assert status(signed_with(secret, {"alg": "HS256", "kid": "one"}, claims)) == 401
        for head in ({"alg": "none", "kid": "one"}, {"alg": "none"}, {"kid": "one"}, {"alg": None, "kid": "one"}):
            assert status(f"{part(head)}.{part(claims)}.") == 401
        # Nor is a key believed that the token brings itself.
        brought = jwt.encode(claims, other, "ES256", headers={"jwk": jwt.algorithms.ECAlgorithm.to_jwk(other, True)})
        assert status(brought) == 401


def test_an_issuer_out_of_reach_is_not_the_callers_fault(
    s3: stack.S3, fresh_database: Callable[[], str], key: rsa.RSAPrivateKey
) -> None:
    trust = {"jwt_secret": None, "jwks_url": "http://127.0.0.1:9/keys", "playback": "presigned"}
    with serving(lambda public, rings: app_on(s3, fresh_database(), public, rings, **trust)) as server:
        value = jwt.encode({"sub": "alice", "exp": in_an_hour()}, key, "RS256", headers={"kid": "one"})
        answer = httpx.get(f"{server.url}/v1/threads", headers={"Authorization": f"Bearer {value}"})
        assert (answer.status_code, code_of(answer)) == (503, "auth_unavailable")
        assert answer.headers["retry-after"]


def test_settings_need_one_source_of_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EARSHOT_JWT_SECRET", "EARSHOT_JWKS_URL", "EARSHOT_PLAYBACK_SECRET"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValidationError, match="exactly one"):
        ApiSettings()
    monkeypatch.setenv("EARSHOT_JWKS_URL", "https://issuer.example/keys")
    assert ApiSettings().jwt_secret is None
    monkeypatch.setenv("EARSHOT_PLAYBACK", "proxied")
    with pytest.raises(ValidationError, match="EARSHOT_PLAYBACK_SECRET"):
        PlaybackSettings()
    monkeypatch.setenv("EARSHOT_JWT_SECRET", SECRET)
    with pytest.raises(ValidationError, match="exactly one"):
        ApiSettings()
    monkeypatch.delenv("EARSHOT_JWKS_URL")
    monkeypatch.setenv("EARSHOT_CORS_ORIGINS", "https://a.example, https://b.example")
    assert ApiSettings().cors_origins == ["https://a.example", "https://b.example"]
    monkeypatch.setenv("EARSHOT_JWT_SECRET", "short")
    with pytest.raises(ValidationError, match="at least 32"):
        ApiSettings()
