"""A media job: the original out of S3, through the jail, its renditions and speech audio into S3."""

import hashlib
import logging
from pathlib import Path

from pipeline import reprocess_items
from pipeline.context import Context
from pipeline.publishing import Artifact, patiently, publish
from pipeline.work_folders import work_folder
from storage import jobs, run_items, voices
from storage.jobs import Job, Lane
from storage.keys import object_key
from storage.messages import StoredRendition
from storage.voices import MediaResult, MediaWork
from transcode import Media, Rejected, transcode

log = logging.getLogger(__name__)
SPEECH_TYPE = "audio/flac"


def process(context: Context, job: Job) -> None:
    """Ends with the voice ready or rejected, for a run with its item done; raises LeaseLost, storage's errors, or
    whatever kept it from that."""
    with context.database.transaction(durable=False) as connection:
        jobs.confirm(connection, job)
        is_new = job.run_id is None
        work = voices.start(connection, job.message_id) if is_new else run_items.start_media(connection, job)
    if work is None:
        return
    with work_folder() as folder:
        try:
            media = _transcode(context, work, folder)
        except Rejected as refusal:
            _reject(context, job, work, refusal)
        else:
            _publish(context, job, work, media)
            if is_new:
                context.ringer.ring("speech", Lane(job.lane))


def _transcode(context: Context, work: MediaWork, folder: Path) -> Media:
    source = folder / "original"
    context.store.download(work.original_key, source)
    outputs = folder / "out"
    outputs.mkdir(mode=0o700)
    return transcode(source, outputs, context.settings.transcode)


def _reject(context: Context, job: Job, work: MediaWork, refusal: Rejected) -> None:
    def commit() -> None:
        if job.run_id is not None:
            # What was taken once is not to be lost to a stricter rule.
            return reprocess_items.refuse(context, job, refusal.code)
        with context.database.transaction() as connection:
            voices.reject(connection, job, work, code=refusal.code, message=refusal.message)

    patiently(context, commit)
    log.info("%s rejected: %s", work.message_id, refusal.code)


def _publish(context: Context, job: Job, work: MediaWork, media: Media) -> None:
    *renditions, speech = _artifacts(context.settings.storage.s3_prefix, work.message_id, media)
    result = MediaResult(
        duration_ms=media.duration_ms,
        loudness_lufs=media.loudness_lufs,
        waveform=media.waveform,
        peaks=media.peaks,
        renditions=[
            StoredRendition(made.format, made.mime_type, stored.key, made.size, made.sha256)
            for made, stored in zip(media.renditions, renditions, strict=True)
        ],
        speech_key=speech.key,
    )

    def commit() -> None:
        if job.run_id is not None:
            return reprocess_items.finish_media(context, job, result)
        with context.database.transaction() as connection:
            voices.finish(connection, job, work, result)

    # A run leaves the speech audio as it is: its text was made of it.
    stored = [*renditions, speech] if job.run_id is None else renditions
    publish(context, job, stored, commit)
    log.info("%s ready: %d ms", work.message_id, media.duration_ms)


def _artifacts(prefix: str, message_id: str, media: Media) -> list[Artifact]:
    """The renditions in their order, then the speech audio."""
    made = [
        Artifact(
            object_key(prefix, message_id, rendition.format, rendition.sha256, rendition.extension),
            rendition.path,
            rendition.size,
            rendition.sha256,
            rendition.mime_type,
        )
        for rendition in media.renditions
    ]
    return [*made, speech_artifact(prefix, message_id, media.speech)]


def speech_artifact(prefix: str, message_id: str, path: Path) -> Artifact:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    key = object_key(prefix, message_id, "speech", sha256, "flac")
    return Artifact(key, path, path.stat().st_size, sha256, SPEECH_TYPE)
