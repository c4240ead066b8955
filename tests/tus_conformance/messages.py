"""Section 7: what Earshot promises above the protocol. Not applicable to other servers."""

import json
import secrets
from urllib.parse import urljoin

from tests.tus_conformance.statement import Check, statement
from tests.tus_conformance.target import CHUNK, Answer, NotApplicable, Target, recording


def _of_earshot(check: Check) -> Check:
    def checked(target: Target) -> None:
        if not target.is_earshot:
            raise NotApplicable("the server makes no messages")
        check(target)

    checked.__doc__ = check.__doc__
    return checked


@statement("7.1")
@_of_earshot
def the_last_patch_names_the_message(target: Target) -> None:
    """The last PATCH, and HEAD after it, carry Earshot-Message-Id; the message is there."""
    url, body = target.created(1000), recording(1000)
    assert target.patch(url, 0, body[:500]).message_id is None
    last = target.patch(url, 500, body[500:])
    assert last.message_id
    assert target.head(url).message_id == last.message_id
    assert _message(target, last.message_id).status == 200


@statement("7.2")
@_of_earshot
def terminating_a_finished_upload(target: Target) -> None:
    """Terminating a finished upload does not touch its message."""
    answer = target.create(1000, recording(1000), CHUNK)
    assert target.request("DELETE", target.located(answer)).status == 204
    assert _message(target, answer.message_id or "").status == 200


@statement("7.3")
@_of_earshot
def another_users_upload(target: Target) -> None:
    """Somebody else's upload is 404 for every method; without a token it is 401."""
    if target.stranger is None:
        raise NotApplicable("no token of another user was given")
    url = target.created(1000)
    chunk = {**CHUNK, "Upload-Offset": "0"}
    for headers, status in ((target.stranger, 404), ({"Authorization": None}, 401)):
        assert target.request("HEAD", url, headers=headers).status == status
        assert target.request("PATCH", url, b"RIFF", {**chunk, **headers}).status == status
        assert target.request("DELETE", url, headers=headers).status == status
    assert target.offset(url) == 0


@statement("7.4")
@_of_earshot
def the_same_creation_again(target: Target) -> None:
    """A creation repeated with its Idempotency-Key is the same upload as it is by now; with another body it is 422."""
    key, body = {"Idempotency-Key": secrets.token_hex(8)}, recording(1000)
    first = target.create(1000, body[:300], {**CHUNK, **key})
    again = target.create(1000, body[:300], {**CHUNK, **key})
    assert (again.status, again.offset) == (201, 300)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert target.create(1002, headers=key).status == 422
    done = target.patch(target.located(first), 300, body[300:])
    assert target.create(1000, body[:300], {**CHUNK, **key}).message_id == done.message_id


@statement("7.5")
@_of_earshot
def what_is_no_recording(target: Target) -> None:
    """Bytes that begin no recording are 415 once there are enough of them, long before the end, and HEAD says so."""
    url, text = target.created(1_000_000), b"This is no sound. " * 4000
    assert target.patch(url, 0, text[:100]).status == 204
    refused = target.patch(url, 100, text[100:])
    assert (refused.status, json.loads(refused.body)["code"]) == (415, "unsupported_format")
    assert target.head(url).status == 415
    assert target.patch(url, len(text), text).status == 415


@statement("7.6")
@_of_earshot
def an_empty_recording(target: Target) -> None:
    """A recording of no bytes is 422 at once."""
    assert target.create(0).status == 422


@statement("7.7")
@_of_earshot
def a_thread_of_others(target: Target) -> None:
    """A thread that is not the caller's is 404; none at all is 400."""
    for metadata, status in (("thread_id dGhyX25vcGU=", 404), ("filename bm9uZQ==", 400)):
        assert target.create(1000, headers={"Upload-Metadata": metadata}).status == status


@statement("7.8")
@_of_earshot
def problems_have_codes(target: Target) -> None:
    """Refusals are problems with the codes of the contract."""
    url = target.created(1000)
    for answer, code in (
        (target.patch(url, 5, b"RIFF"), "offset_conflict"),
        (target.patch(url, 0, b"RIFF", {"Upload-Checksum": "md5 " + "A" * 22 + "=="}), "checksum_mismatch"),
        (target.patch(url, 0, recording(1002)), "too_large"),
        (target.create(10**10), "too_large"),
    ):
        assert answer.headers["content-type"] == "application/problem+json"
        assert json.loads(answer.body)["code"] == code


def _message(target: Target, message_id: str) -> Answer:
    return target.request("GET", urljoin(target.endpoint, f"/v1/messages/{message_id}"))
