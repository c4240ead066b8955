"""What the service says of itself: health, limits, metrics, documentation, the page."""

import socket
import struct
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI

from api.app import create_app
from storage.database import Database
from tests import stack
from tests.api.conftest import SECRET, Person, Server, app_on, code_of, serving


def test_a_running_service_is_healthy_and_ready(server: Server) -> None:
    assert httpx.get(f"{server.url}/healthz").json() == {"status": "ok"}
    ready = httpx.get(f"{server.url}/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ok", "degraded": []})


def test_without_a_broker_it_is_ready_but_says_so(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise ConnectionError("refused")

    monkeypatch.setitem(server.services.__dict__, "ping_broker", gone)
    ready = httpx.get(f"{server.url}/readyz")
    assert (ready.status_code, ready.json()["degraded"]) == (200, ["broker"])


def test_without_postgres_or_s3_it_is_not_ready(
    s3: stack.S3, fresh_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(lambda public, rings: app_on(s3, fresh_database(), public, rings)) as server:
        with monkeypatch.context() as outage:
            outage.setattr(server.services.store, "_bucket", "a-bucket-that-is-not-there")
            answer = httpx.get(f"{server.url}/readyz")
            assert (answer.status_code, code_of(answer)) == (503, "storage_unavailable")
        with monkeypatch.context() as outage:
            nowhere = Database("postgresql+psycopg://nobody:x@127.0.0.1:9/nothing")
            outage.setitem(server.services.__dict__, "database", nowhere)
            answer = httpx.get(f"{server.url}/readyz")
            assert (answer.status_code, code_of(answer)) == (503, "storage_unavailable")
            with server.person("alice") as alice:
                listed = alice.get("/v1/threads")
            assert (listed.status_code, code_of(listed)) == (503, "storage_unavailable")
            assert listed.headers["retry-after"]
            nowhere.close()
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        assert httpx.get(f"{server.url}/metrics").status_code == 200


def test_limits_are_told_before_they_are_met(server: Server) -> None:
    limits = httpx.get(f"{server.url}/v1/limits").json()
    assert (limits["max_duration_ms"], limits["max_participants"]) == (60_000, 256)


def test_metrics_count_routes_and_never_name_a_message(server: Server, alice: Person, message: str) -> None:
    alice.get(f"/v1/messages/{message}")
    httpx.get(f"{server.url}/no/such/address")
    httpx.request("BREW", f"{server.url}/v1/threads")
    text = httpx.get(f"{server.url}/metrics").text
    assert 'earshot_http_requests_total{method="GET",route="/v1/messages/{message_id}",status="200"}' in text
    assert 'route="unmatched",status="404"' in text
    assert 'earshot_jobs{lane="live",queue="media",state="queued"}' in text
    assert 'earshot_oldest_job_seconds{lane="live",queue="media"}' in text
    assert "earshot_database_up 1.0" in text
    assert "BREW" not in text
    assert "msg_" not in text


def test_an_answer_comes_in_one_piece(server: Server) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        for _ in range(50):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = connection.recv(65536)
            while not answer.endswith(b'{"status":"ok"}'):
                answer += connection.recv(65536)
        # Segments with data that came (`tcpi_data_segs_in` of linux/tcp.h).
        assert struct.unpack_from("I", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192), 152) == (50,)


def test_the_documentation_page_needs_nothing_from_elsewhere(server: Server) -> None:
    answer = httpx.get(f"{server.url}/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "/v1/threads/{thread_id}/voice-messages" in answer.text
    assert "<script" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_the_page_is_served_under_a_strict_policy(server: Server) -> None:
    answer = httpx.get(f"{server.url}/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert f"media-src 'self' {server.url} blob:" in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    script = httpx.get(f"{server.url}/main.js")
    assert (script.status_code, script.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert httpx.get(f"{server.url}/../app.py").status_code == 404
    assert httpx.get(f"{server.url}/%2e%2e/app.py").status_code == 404


def test_only_named_origins_may_call_from_a_web_page(s3: stack.S3, fresh_database: Callable[[], str]) -> None:
    ours, theirs = "https://app.example", "https://evil.example"
    with serving(lambda public, rings: app_on(s3, fresh_database(), public, rings, cors_origins=[ours])) as server:
        url = f"{server.url}/v1/threads"
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        preflight = httpx.options(url, headers=asked | {"Origin": ours})
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, ours)
        refused = httpx.options(url, headers=asked | {"Origin": theirs})
        assert "access-control-allow-origin" not in refused.headers
        assert "access-control-allow-origin" not in httpx.get(url, headers={"Origin": theirs}).headers


def test_the_app_is_assembled_from_the_environment_without_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "EARSHOT_DATABASE_URL": "postgresql+psycopg://nobody:x@127.0.0.1:9/nothing",
        "EARSHOT_BROKER_URL": "redis://127.0.0.1:9/0",
        "EARSHOT_S3_ENDPOINT_URL": "http://127.0.0.1:9",
        "EARSHOT_JWT_SECRET": SECRET,
    }.items():
        monkeypatch.setenv(name, value)
    assert isinstance(create_app(), FastAPI)
