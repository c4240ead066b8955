"""One suite for every S3 server that we claim to run on. moto checks no signatures: refusals are proven on rclone."""

import hashlib
import io
import logging
import secrets
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from moto.server import ThreadedMotoServer

from storage.errors import ObjectMissing, StorageUnavailable
from storage.objects import ObjectStore
from tests.stack import S3, storage_settings

BODY = bytes(range(256)) * 4096


@pytest.fixture(scope="session")
def moto_server() -> Iterator[S3]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield S3(f"http://{host}:{port}", "access-key", "secret-key")
    server.stop()


@pytest.fixture(params=["rclone", "moto"])
def server(request: pytest.FixtureRequest) -> S3:
    fixture = "s3" if request.param == "rclone" else "moto_server"
    found: S3 = request.getfixturevalue(fixture)
    return found


@pytest.fixture
def bucket() -> str:
    return f"test-{secrets.token_hex(6)}"


@pytest.fixture
def store(server: S3, bucket: str) -> ObjectStore:
    made = ObjectStore(storage_settings(server, bucket))
    made.ensure_bucket()
    return made


def put(store: ObjectStore, key: str, body: bytes = BODY, content_type: str = "audio/mp4") -> None:
    store.put(key, body, size=len(body), content_type=content_type)


def test_the_end_of_a_body_does_not_wait_for_an_ack(s3: S3, bucket: str) -> None:
    """Nagle's algorithm and a delayed ACK together held every small object back for 40 ms."""
    store = ObjectStore(storage_settings(s3, bucket))
    store.ensure_bucket()
    store.put("x", b"x", size=1, content_type="audio/mp4", sha256=hashlib.sha256(b"x").hexdigest())
    (used,) = store._short._reached[bucket].wire._idle
    assert used.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


class TestEveryObjectStore:
    def test_gives_back_what_was_put(self, store: ObjectStore) -> None:
        digest = hashlib.sha256(BODY).hexdigest()
        store.put("a/b/c.m4a", BODY, size=len(BODY), content_type="audio/mp4", sha256=digest)
        with store.get("a/b/c.m4a") as stream:
            assert (stream.size, stream.total) == (len(BODY), len(BODY))
            assert stream.read() == BODY

    def test_puts_a_file_from_its_start_wherever_it_was_read_to(self, store: ObjectStore) -> None:
        file = io.BytesIO(BODY)
        file.read(1000)
        store.put("a/file", file, size=len(BODY), content_type="audio/ogg")
        assert store.get("a/file").read() == BODY

    def test_refuses_a_body_of_another_length(self, store: ObjectStore) -> None:
        with pytest.raises(ValueError, match="not 5 bytes"):
            store.put("a/wrong", b"four", size=5, content_type="audio/ogg")
        assert store.head("a/wrong") is None

    def test_keeps_an_empty_object(self, store: ObjectStore) -> None:
        put(store, "a/empty", b"")
        found = store.head("a/empty")
        assert found is not None
        assert found.size == 0
        assert store.get("a/empty").read() == store.read("a/empty") == b""

    def test_keeps_a_key_with_any_letters(self, store: ObjectStore) -> None:
        key = "messages/ünï çødé/日本 +&=%/🎤.ogg"
        put(store, key)
        assert store.get(key).read() == store.read(key) == BODY
        assert [found.key for found in store.list("messages/ünï")] == [key]
        store.delete([key])
        assert store.head(key) is None

    @pytest.mark.parametrize(
        ("asked", "wanted"),
        [
            ((0, 1), BODY[:2]),
            ((5, 9), BODY[5:10]),
            ((500_000, 999_999), BODY[500_000:1_000_000]),
            ((len(BODY) - 1, len(BODY) - 1), BODY[-1:]),
            ((len(BODY) - 10, len(BODY) + 1000), BODY[-10:]),
            ((0, len(BODY) - 1), BODY),
        ],
    )
    def test_gives_exactly_the_asked_bytes(self, store: ObjectStore, asked: tuple[int, int], wanted: bytes) -> None:
        put(store, "a/range")
        with store.get("a/range", asked) as stream:
            assert (stream.size, stream.total) == (len(wanted), len(BODY))
            assert stream.read() == wanted

    def test_refuses_a_range_after_the_end(self, store: ObjectStore) -> None:
        put(store, "a/range", b"short")
        with pytest.raises(ValueError, match="range"):
            store.get("a/range", (5, 9))

    def test_says_what_is_missing(self, store: ObjectStore) -> None:
        with pytest.raises(ObjectMissing):
            store.get("a/nothing")
        assert store.head("a/nothing") is None

    def test_does_not_take_a_missing_bucket_for_a_missing_object(self, server: S3) -> None:
        store = ObjectStore(storage_settings(server, "no-such-bucket"))
        for call in (store.get, store.head):
            with pytest.raises(StorageUnavailable):
                call("a/nothing")

    def test_heads_size_and_type(self, store: ObjectStore) -> None:
        put(store, "a/head", content_type="audio/ogg")
        found = store.head("a/head")
        assert found is not None
        assert (found.key, found.size, found.content_type) == ("a/head", len(BODY), "audio/ogg")
        assert abs(found.modified - datetime.now(UTC)) < timedelta(minutes=1)

    def test_downloads_to_a_file(self, store: ObjectStore, tmp_path: Path) -> None:
        put(store, "a/download")
        store.download("a/download", tmp_path / "got")
        assert (tmp_path / "got").read_bytes() == BODY

    def test_overwrites(self, store: ObjectStore) -> None:
        put(store, "a/same", b"first")
        put(store, "a/same", b"second one")
        assert store.get("a/same").read() == b"second one"

    def test_lists_a_prefix_in_order(self, store: ObjectStore) -> None:
        for key in ("m/2/b", "m/1/a", "m/10/c", "n/1/a"):
            put(store, key, b"12345")
        assert [(found.key, found.size) for found in store.list("m/")] == [
            ("m/1/a", 5),
            ("m/10/c", 5),
            ("m/2/b", 5),
        ]
        assert [found.key for found in store.list("m/1/")] == ["m/1/a"]
        assert list(store.list("nowhere/")) == []

    def test_deletes_keys_and_does_not_mind_missing_ones(self, store: ObjectStore) -> None:
        for key in ("d/1", "d/2", "d/3"):
            put(store, key, b"x")
        store.delete(["d/1", "d/3", "d/never"])
        store.delete([])
        assert [found.key for found in store.list("d/")] == ["d/2"]

    def test_deletes_a_prefix_of_more_keys_than_a_page_holds(self, store: ObjectStore) -> None:
        keys = [f"many/{number % 7}/{number:05}" for number in range(1100)]
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda key: put(store, key, b"x"), keys))
        put(store, "many-more/stays", b"x")
        assert store.delete_prefix("many/") == len(keys)
        assert [found.key for found in store.list("many")] == ["many-more/stays"]
        assert store.delete_prefix("many/") == 0

    @pytest.mark.parametrize("prefix", ["", "/", "many"])
    def test_deletes_no_prefix_that_is_not_a_folder(self, store: ObjectStore, prefix: str) -> None:
        with pytest.raises(ValueError, match="prefix"):
            store.delete_prefix(prefix)

    def test_takes_many_puts_at_once(self, store: ObjectStore) -> None:
        bodies = {f"c/{number}": secrets.token_bytes(20_000) for number in range(64)}
        with ThreadPoolExecutor(64) as pool:
            list(pool.map(lambda item: put(store, *item), bodies.items()))
            assert dict(pool.map(lambda key: (key, store.get(key).read()), bodies)) == bodies

    def test_signs_a_url_that_plays(self, store: ObjectStore) -> None:
        put(store, "p/voice", content_type="binary/octet-stream")
        url = store.presign_get(
            "p/voice", expires_at=datetime.now(UTC) + timedelta(minutes=15), content_type="audio/mp4"
        )
        answer = httpx.get(url)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/mp4")
        assert answer.content == BODY
        part = httpx.get(url, headers={"Range": "bytes=10-19"})
        assert part.content == BODY[10:20]
        assert part.headers["content-range"] == f"bytes 10-19/{len(BODY)}"

    def test_signs_the_same_url_twice(self, store: ObjectStore) -> None:
        expires_at = datetime.now(UTC) + timedelta(minutes=15)
        urls = {store.presign_get("p/x", expires_at=expires_at, content_type="audio/mp4") for _ in range(3)}
        # Two when the step ended in between.
        assert len(urls) <= 2

    def test_signs_a_file_name(self, store: ObjectStore) -> None:
        put(store, "p/named")
        expires_at = datetime.now(UTC) + timedelta(minutes=15)
        url = store.presign_get("p/named", expires_at=expires_at, content_type="audio/mp4", filename='Grüße "1".m4a')
        said = httpx.get(url).headers["content-disposition"]
        assert said == "attachment; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%221%22.m4a"

    def test_signs_a_put(self, store: ObjectStore) -> None:
        url, headers = store.presign_put("p/put", ttl=timedelta(minutes=15), size=len(BODY), content_type="audio/ogg")
        assert httpx.put(url, content=BODY, headers=headers).status_code == 200
        found = store.head("p/put")
        assert found is not None
        assert (found.size, found.content_type) == (len(BODY), "audio/ogg")

    def test_signs_a_put_with_its_digest(self, store: ObjectStore) -> None:
        digest = hashlib.sha256(BODY).hexdigest()
        url, headers = store.presign_put(
            "p/sum", ttl=timedelta(minutes=15), size=len(BODY), content_type="audio/ogg", sha256=digest
        )
        assert httpx.put(url, content=BODY, headers=headers).status_code == 200
        assert store.get("p/sum").read() == BODY

    def test_signs_for_the_public_endpoint(self, server: S3, bucket: str) -> None:
        settings = storage_settings(server, bucket).model_copy(update={"s3_public_url": "https://media.example.org/s3"})
        url = ObjectStore(settings).presign_get(
            "p/x", expires_at=datetime.now(UTC) + timedelta(hours=1), content_type="audio/mp4"
        )
        assert url.startswith(f"https://media.example.org/s3/{bucket}/p/x?")

    @pytest.mark.parametrize(
        ("changes", "origin"),
        [
            ({"s3_endpoint_url": None}, "https://voices.s3.amazonaws.com"),
            ({"s3_endpoint_url": None, "s3_region": "eu-west-1"}, "https://voices.s3.eu-west-1.amazonaws.com"),
            ({"s3_endpoint_url": None, "s3_bucket": "my.voices"}, "https://s3.amazonaws.com"),
            ({"s3_addressing": "virtual", "s3_public_url": "https://s3.example.org"}, "https://voices.s3.example.org"),
            ({"s3_public_url": "https://media.example.org:8443/s3"}, "https://media.example.org:8443"),
        ],
    )
    def test_knows_where_its_urls_lead(self, server: S3, changes: dict[str, str | None], origin: str) -> None:
        store = ObjectStore(storage_settings(server, "voices").model_copy(update=changes))
        expires_at = datetime.now(UTC) + timedelta(hours=1)
        assert store.presign_get("p/x", expires_at=expires_at, content_type="audio/mp4").startswith(f"{origin}/")
        assert store.public_origin() == origin

    def test_makes_its_bucket_once(self, store: ObjectStore) -> None:
        put(store, "a/kept", b"x")
        store.ensure_bucket()
        assert store.get("a/kept").read() == b"x"

    def test_answers_a_ping(self, store: ObjectStore) -> None:
        store.ping(2)

    def test_knows_of_versions_and_locks(self, store: ObjectStore) -> None:
        assert store.versioning() == "off"
        assert store.object_lock() is False


class TestVersionedBucket:
    """On moto only: rclone keeps no versions."""

    @pytest.fixture
    def server(self, moto_server: S3) -> S3:
        return moto_server

    @pytest.fixture
    def versioned(self, store: ObjectStore, bucket: str) -> ObjectStore:
        store._s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        return store

    def remaining(self, store: ObjectStore, bucket: str) -> set[str]:
        answer = store._s3.list_object_versions(Bucket=bucket)
        return {each["Key"] for kind in ("Versions", "DeleteMarkers") for each in answer.get(kind, ())}

    def test_is_told(self, versioned: ObjectStore) -> None:
        assert versioned.versioning() == "enabled"

    def test_deletes_every_version_of_a_key(self, versioned: ObjectStore, bucket: str) -> None:
        for body in (b"1", b"2", b"3"):
            put(versioned, "v/key", body)
        put(versioned, "v/key2", b"stays")
        versioned._s3.delete_object(Bucket=bucket, Key="v/key")
        versioned.delete(["v/key"])
        assert self.remaining(versioned, bucket) == {"v/key2"}

    def test_deletes_every_version_of_a_prefix(self, versioned: ObjectStore, bucket: str) -> None:
        keys = [f"v/{number}" for number in range(400)]
        for key in (*keys, "w/stays"):
            put(versioned, key, b"x")
        for _ in range(2):
            versioned._s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
        assert versioned.delete_prefix("v/") == 1200
        assert self.remaining(versioned, bucket) == {"w/stays"}


class TestRefusals:
    """On rclone only: moto lets everybody in."""

    def test_a_wrong_secret_is_an_outage_not_a_missing_object(self, s3: S3, bucket: str) -> None:
        wrong = S3(s3.endpoint_url, s3.access_key, "somebody-elses-secret")
        store = ObjectStore(storage_settings(wrong, bucket))
        for call in (store.get, store.head):
            with pytest.raises(StorageUnavailable):
                call("a/b")
        with pytest.raises(StorageUnavailable):
            put(store, "a/b")

    @pytest.fixture
    def stored(self, object_store: ObjectStore) -> ObjectStore:
        put(object_store, "r/voice")
        return object_store

    def test_a_url_dies_at_its_time(self, stored: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
        expires_at = datetime.now(UTC) - timedelta(seconds=1)
        # Signed an hour ago, when that was in the future.
        monkeypatch.setattr("storage.presign.step_before", lambda now: expires_at - timedelta(hours=1))
        url = stored.presign_get("r/voice", expires_at=expires_at, content_type="audio/mp4")
        # AWS says 403, rclone 400.
        assert httpx.get(url).status_code in (400, 403)

    def test_a_url_signed_long_ago_still_lives(self, stored: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
        expires_at = datetime.now(UTC) + timedelta(minutes=1)
        monkeypatch.setattr("storage.presign.step_before", lambda now: expires_at - timedelta(days=2))
        url = stored.presign_get("r/voice", expires_at=expires_at, content_type="audio/mp4")
        assert httpx.get(url).status_code == 200

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("r/voice", "r/other"),
            ("audio%2Fmp4", "text%2Fhtml"),
            ("X-Amz-Expires=", "X-Amz-Expires=9"),
            ("X-Amz-Signature=", "X-Amz-Signature=0"),
        ],
    )
    def test_a_changed_url_is_refused(self, stored: ObjectStore, old: str, new: str) -> None:
        put(stored, "r/other")
        url = stored.presign_get(
            "r/voice", expires_at=datetime.now(UTC) + timedelta(minutes=15), content_type="audio/mp4"
        )
        assert old in url
        assert httpx.get(url.replace(old, new)).status_code == 403

    def test_a_url_for_reading_does_not_write(self, stored: ObjectStore) -> None:
        url = stored.presign_get(
            "r/voice", expires_at=datetime.now(UTC) + timedelta(minutes=15), content_type="audio/mp4"
        )
        assert httpx.put(url, content=b"x").status_code == 403
        assert httpx.delete(url).status_code == 403

    @pytest.mark.parametrize(("body", "changed"), [(BODY + b"more", {}), (BODY, {"Content-Type": "text/html"})])
    def test_a_put_is_bound_to_size_and_type(
        self, object_store: ObjectStore, body: bytes, changed: dict[str, str]
    ) -> None:
        url, headers = object_store.presign_put(
            "r/put", ttl=timedelta(minutes=15), size=len(BODY), content_type="audio/ogg"
        )
        headers |= {"Content-Length": str(len(body)), **changed}
        assert httpx.put(url, content=body, headers=headers).status_code == 403
        assert object_store.head("r/put") is None

    def test_a_url_can_not_live_forever_or_be_born_dead(self, object_store: ObjectStore) -> None:
        for lifetime in (timedelta(days=8), -timedelta(hours=1)):
            with pytest.raises(ValueError, match="URL"):
                object_store.presign_get("r/x", expires_at=datetime.now(UTC) + lifetime, content_type="audio/mp4")
