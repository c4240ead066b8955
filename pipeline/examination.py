"""`earshot doctor`: looks at every part that Earshot needs and says what it found."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from pipeline.rings import Ringer
from pipeline.settings import Settings
from storage.database import Database
from storage.errors import StorageUnavailable
from storage.migrate import current, head
from storage.objects import ObjectStore
from storage.server_log import reasons_for_values
from transcode import jail_report
from transcribe import ModelError, resolve_model


@dataclass(frozen=True)
class Finding:
    level: Literal["ok", "warning", "error"]
    subject: str
    detail: str


def examine() -> list[Finding]:
    settings = Settings()
    examinations: tuple[Callable[[Settings], Iterator[Finding]], ...] = (_database, _bucket, _broker, _jail, _model)
    return [finding for examination in examinations for finding in examination(settings)]


def _database(settings: Settings) -> Iterator[Finding]:
    database = Database(settings.storage.database_url, pool_size=1)
    try:
        with database.transaction() as connection:
            revision, logged = current(connection), reasons_for_values(connection)
    except StorageUnavailable as error:
        yield Finding("error", "Postgres", f"{error}; check EARSHOT_DATABASE_URL")
        return
    finally:
        database.close()
    if revision == head():
        yield Finding("ok", "Postgres", f"answers, at revision {revision}")
    else:
        yield Finding(
            "error", "Postgres", f"at revision {revision}, this version needs {head()}: run `earshot migrate`"
        )
    if logged:
        detail = f"would hold what people say and write ({', '.join(logged)}): set log_parameter_max_length"
        yield Finding("warning", "Postgres log", f"{detail} and log_parameter_max_length_on_error to 0")
    else:
        yield Finding("ok", "Postgres log", "holds nothing of what people say and write")


def _bucket(settings: Settings) -> Iterator[Finding]:
    store = ObjectStore(settings.storage)
    try:
        store.ping(timeout=3)
        yield Finding("ok", "S3", f"bucket {settings.storage.s3_bucket} answers")
        yield from _guarantees(store)
    except StorageUnavailable as error:
        yield Finding("error", "S3", f"{error}; check EARSHOT_S3_ENDPOINT_URL, EARSHOT_S3_BUCKET and the AWS keys")


def _guarantees(store: ObjectStore) -> Iterator[Finding]:
    versioning = store.versioning()
    yield Finding(
        "warning" if versioning == "unknown" else "ok",
        "S3 versioning",
        f"{versioning}; deleting a message deletes every version of its objects",
    )
    if store.object_lock():
        yield Finding("error", "S3 object lock", "on: what people delete can't be deleted; use a bucket without it")
    else:
        yield Finding("ok", "S3 object lock", "off")


def _broker(settings: Settings) -> Iterator[Finding]:
    ringer = Ringer(settings.pipeline.broker_url)
    try:
        ringer.ping()
        yield Finding("ok", "broker", "answers")
    except Exception as error:
        detail = f"does not answer ({type(error).__name__}): messages wait; check EARSHOT_BROKER_URL"
        yield Finding("error", "broker", detail)
    finally:
        ringer.close()


def _jail(settings: Settings) -> Iterator[Finding]:
    report = jail_report()
    enough = report.allows(settings.transcode.jail)
    detail = f"in force: {', '.join(report.floor + report.walls)}"
    if report.missing:
        detail += f"; not offered by this system: {', '.join(report.missing)}"
    yield Finding("ok" if enough else "error", "jail", detail)


def _model(settings: Settings) -> Iterator[Finding]:
    try:
        model = resolve_model(settings.transcribe.model, allow_micro=settings.may_use_micro)
    except ModelError as error:
        yield Finding("error", "model", error.message)
        return
    if model.name == "micro":
        detail = "micro, which only knows its own sentences: `earshot models fetch base` and EARSHOT_MODEL=base"
        yield Finding("warning", "model", detail)
    else:
        yield Finding("ok", "model", model.name)
