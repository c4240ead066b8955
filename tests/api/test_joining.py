"""Who joins sees what was said before, where the operator wants it so."""

from collections.abc import Callable

from tests import stack
from tests.api.conftest import app_on, serving


def test_history_can_be_open_to_who_joins(s3: stack.S3, fresh_database: Callable[[], str]) -> None:
    with (
        serving(lambda url, rings: app_on(s3, fresh_database(), url, rings, join_history="all")) as server,
        server.person("alice") as alice,
        server.person("carol") as carol,
    ):
        thread = alice.post("/v1/threads", json={"participants": []}).json()["id"]
        said = alice.post(f"/v1/threads/{thread}/messages", json={"text": "long before"}).json()["id"]
        alice.post(f"/v1/threads/{thread}/participants", json={"user_id": carol.name})
        assert [item["id"] for item in carol.get(f"/v1/threads/{thread}/messages").json()["items"]] == [said]
        assert carol.get(f"/v1/threads/{thread}").json()["unread_count"] == 1
