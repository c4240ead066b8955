"""Tries each statement on a running server and says which do not hold; exit status 1 when any does not."""

import argparse
import json
import sys
import time
import urllib.request
from urllib.parse import urljoin, urlsplit

from tests.tus_conformance import core, extensions, faults, messages  # noqa: F401 - they register their statements
from tests.tus_conformance.statement import STATEMENTS, Statement
from tests.tus_conformance.target import NotApplicable, Target


def main() -> int:
    options = _options()
    target = _target(options)
    chosen = [each for each in STATEMENTS if not options.only or each.number.startswith(tuple(options.only))]
    began = time.monotonic()
    results = [_tried(each, target) for each in chosen]
    failed = results.count("FAILED")
    print(
        f"{results.count('holds')} of {len(results)} statements hold, {failed} do not,"
        f" {results.count('n/a')} not applicable; {time.monotonic() - began:.0f} s"
    )
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.tus_conformance", description=__doc__)
    parser.add_argument("url", help="where uploads are created; /v1/uploads is added to a URL without a path")
    parser.add_argument("--token", help="sent as a bearer token")
    parser.add_argument("--stranger-token", help="another user's token, to see that uploads are private")
    parser.add_argument("--thread", help="thread_id of the uploads; an Earshot without one is asked for a new thread")
    parser.add_argument("--idle-s", type=float, help="seconds after which the server cuts a silent body")
    parser.add_argument("--only", nargs="*", help="numbers of statements, or how they begin")
    return parser.parse_args()


def _target(options: argparse.Namespace) -> Target:
    endpoint = options.url if urlsplit(options.url).path.strip("/") else urljoin(options.url, "/v1/uploads")
    target = Target(
        endpoint,
        headers=_bearer(options.token),
        stranger=_bearer(options.stranger_token) if options.stranger_token else None,
        idle_s=options.idle_s,
    )
    if not target.is_earshot:
        return target
    thread = options.thread or _new_thread(endpoint, options.token)
    return Target(endpoint, target.headers, {"thread_id": thread}, target.stranger, options.idle_s)


def _bearer(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _new_thread(endpoint: str, token: str | None) -> str:
    headers = {**_bearer(token), "Content-Type": "application/json"}
    request = urllib.request.Request(urljoin(endpoint, "/v1/threads"), b'{"participants": []}', headers)
    with urllib.request.urlopen(request, timeout=15) as answer:
        return str(json.load(answer)["id"])


def _tried(statement: Statement, target: Target) -> str:
    try:
        statement.check(target)
    except NotApplicable as reason:
        result, remark = "n/a", f" ({reason})"
    except Exception as error:
        result, remark = "FAILED", f"\n        {type(error).__name__}: {error}"
    else:
        result, remark = "holds", ""
    print(f"{statement.number:>5}  {result:6}  {statement.text}{remark}", flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main())
