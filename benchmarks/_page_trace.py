"""What a trace of Chromium says of a page's main thread."""

import json
from collections.abc import Iterable
from typing import Any

CATEGORIES = ["devtools.timeline", "disabled-by-default-devtools.timeline", "v8", "disabled-by-default-v8.compile"]
# What the developer tools call scripting.
_SCRIPTING = {
    "EvaluateScript",
    "FunctionCall",
    "TimerFire",
    "RunMicrotasks",
    "EventDispatch",
    "FireAnimationFrame",
    "FireIdleCallback",
    "v8.compile",
    "v8.compileModule",
    "v8.evaluateModule",
    "V8.GCScavenger",
    "MinorGC",
    "MajorGC",
    "ParseAuthorStyleSheet",
}
_RENDERING = {"UpdateLayoutTree", "Layout", "PrePaint", "Paint", "Layerize", "Commit"}


def summary(trace: bytes) -> dict[str, float]:
    """Milliseconds of the busiest main thread: scripting, rendering, its longest task by the clock and by CPU time."""
    events = [event for event in json.loads(trace)["traceEvents"] if event.get("ph") == "X"]
    thread = _busiest(events)
    mine = [event for event in events if (event["pid"], event["tid"]) == thread]
    tasks = [event for event in mine if event["name"].endswith("RunTask")]
    return {
        "scripting_ms": round(_covered(mine, _SCRIPTING) / 1000, 1),
        "rendering_ms": round(_covered(mine, _RENDERING) / 1000, 1),
        "longest_task_ms": round(max(task["dur"] for task in tasks) / 1000, 1),
        "longest_task_cpu_ms": round(max(task.get("tdur", 0) for task in tasks) / 1000, 1),
    }


def _busiest(events: Iterable[dict[str, Any]]) -> tuple[int, int]:
    scripted: dict[tuple[int, int], int] = {}
    for event in events:
        if event["name"] in ("FunctionCall", "v8.evaluateModule", "EvaluateScript", "RunMicrotasks"):
            thread = event["pid"], event["tid"]
            scripted[thread] = scripted.get(thread, 0) + event.get("dur", 0)
    return max(scripted, key=lambda thread: scripted[thread])


def _covered(events: Iterable[dict[str, Any]], names: set[str]) -> int:
    """Microseconds; what lies within another counts once."""
    total, reached = 0, 0
    for begin, end in sorted((each["ts"], each["ts"] + each.get("dur", 0)) for each in events if each["name"] in names):
        total += max(0, end - max(begin, reached))
        reached = max(reached, end)
    return total
