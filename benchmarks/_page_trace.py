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
    """Of the busiest main thread: scripting, rendering and its longest task, by the clock and by CPU time."""
    events = [event for event in json.loads(trace)["traceEvents"] if event.get("ph") == "X"]
    thread = _busiest(events)
    mine = [event for event in events if (event["pid"], event["tid"]) == thread]
    tasks = [event for event in mine if event["name"].endswith("RunTask")]
    return {
        **_covered("scripting", mine, _SCRIPTING),
        **_covered("rendering", mine, _RENDERING),
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


def _covered(name: str, events: Iterable[dict[str, Any]], kinds: set[str]) -> dict[str, float]:
    """What lies within another counts once."""
    wall, cpu, reached = 0, 0, 0
    for event in sorted(
        (each for each in events if each["name"] in kinds), key=lambda each: (each["ts"], -each["dur"])
    ):
        if event["ts"] >= reached:
            wall, cpu, reached = wall + event["dur"], cpu + event.get("tdur", 0), event["ts"] + event["dur"]
    return {f"{name}_ms": round(wall / 1000, 1), f"{name}_cpu_ms": round(cpu / 1000, 1)}
