"""Prometheus metrics: requests by route, never by id, and what waits in the queues."""

import logging
from collections.abc import Iterator, Sequence
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric

from pipeline import reprocess_view
from pipeline.reprocess_view import RunView
from storage import job_records, runs
from storage.database import Database
from storage.errors import StorageFull, StorageUnavailable

log = logging.getLogger(__name__)
_LANES = ("live", "batch")
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)


class Requests:
    """Counted by the middleware; one registry per app, so that two apps in one process don't meet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "earshot_http_request_seconds",
            "Time from a request's head to the end of its answer",
            ["method", "route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._answers = Counter(
            "earshot_http_requests", "Answered requests", ["method", "route", "status"], registry=self.registry
        )

        # There are as many as routes and statuses; the library would look each up under a lock.
        self._series = cache(
            lambda method, route, status: (
                self._seconds.labels(method, route),
                self._answers.labels(method, route, status),
            )
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        timed, counted = self._series(method, route, status)
        timed.observe(seconds)
        counted.inc()


class Queues:
    """Asked of the database at each scrape."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        reached = GaugeMetricFamily("earshot_database_up", "Whether the database answered this scrape")
        try:
            with self._database.transaction() as connection:
                counts, waits = job_records.counts(connection), job_records.oldest_waits(connection)
                progress = [reprocess_view.read(connection, run_id) for run_id in runs.moving(connection)]
        except (StorageUnavailable, StorageFull) as error:
            log.warning("no queue metrics: %s", error)
            reached.add_metric([], 0)
            yield reached
            return
        reached.add_metric([], 1)
        yield reached
        depth = GaugeMetricFamily("earshot_jobs", "Jobs that are not done", labels=["queue", "lane", "state"])
        for queue, state, lane, number in counts:
            depth.add_metric([queue, _LANES[lane], state], number)
        yield depth
        age = GaugeMetricFamily(
            "earshot_oldest_job_seconds", "How long the oldest job that could run has waited", labels=["queue", "lane"]
        )
        for queue, lane, seconds in waits:
            age.add_metric([queue, _LANES[lane]], seconds)
        yield age
        yield from _of_runs(progress)


def _of_runs(progress: Sequence[RunView | None]) -> Iterator[Metric]:
    """Of those that are not over: a run is a time series for as long as it takes."""
    done = GaugeMetricFamily(
        "earshot_reprocess_messages", "Messages of a run by what became of them", labels=["run", "kind", "outcome"]
    )
    total = GaugeMetricFamily("earshot_reprocess_total", "Messages that a run is about", labels=["run", "kind"])
    rate = GaugeMetricFamily("earshot_reprocess_rate", "Messages a second, lately", labels=["run", "kind"])
    left = GaugeMetricFamily("earshot_reprocess_eta_seconds", "How long a run will take on", labels=["run", "kind"])
    for run in progress:
        if run is None:
            continue
        labels = [run.id, run.kind]
        for outcome in (*runs.OUTCOMES, "deleted"):
            done.add_metric([*labels, outcome], getattr(run, outcome))
        total.add_metric(labels, run.total)
        rate.add_metric(labels, run.rate_per_s)
        if run.eta_s is not None:
            left.add_metric(labels, run.eta_s)
    yield from (done, total, rate, left)
