"""Moves an uploaded message on as the workers would, by their own queries, with files that transcode really made."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from api.services import Services
from pipeline.speech import word_times
from storage import intents, jobs, messages, transcripts, voices
from storage.keys import object_key
from transcode import Media
from transcribe import Segment, Transcript, Word

WORKER = "the tests"
SPOKEN = Transcript(
    state="completed",
    language="en",
    language_probability=0.97,
    text="Can we meet at three? Bring the maps.",
    segments=(
        Segment(
            100,
            1500,
            "Can we meet at three?",
            tuple(
                Word(100 + 250 * n, 350 + 250 * n, w, 0.9) for n, w in enumerate(["Can", "we", "meet", "at", "three?"])
            ),
        ),
        Segment(
            1600,
            2500,
            "Bring the maps.",
            tuple(Word(1600 + 300 * n, 1900 + 300 * n, w, 0.9) for n, w in enumerate(["Bring", "the", "maps."])),
        ),
    ),
    model="micro",
)
NOTHING_SAID = Transcript("no_speech", None, None, "", (), "micro")


@dataclass(frozen=True)
class Workers:
    services: Services
    media: Media

    def finish(self, message_id: str, transcript: Transcript = SPOKEN) -> None:
        self.make_ready(message_id)
        self.transcribe(message_id, transcript)

    def make_ready(self, message_id: str) -> None:
        job = self._claim("media", message_id)
        with self.services.database.transaction() as connection:
            work = voices.start(connection, message_id)
        assert work is not None
        renditions = [
            messages.StoredRendition(
                each.format, each.mime_type, self._put(message_id, each.path, each.mime_type), each.size, each.sha256
            )
            for each in self.media.renditions
        ]
        speech_key = self._put(message_id, self.media.speech, "audio/flac")
        result = voices.MediaResult(
            self.media.duration_ms,
            self.media.loudness_lufs,
            self.media.waveform,
            self.media.peaks,
            renditions,
            speech_key,
        )
        with self.services.database.transaction() as connection:
            voices.finish(connection, job, work, result)

    def reject(self, message_id: str, code: str, message: str) -> None:
        job = self._claim("media", message_id)
        with self.services.database.transaction() as connection:
            work = voices.start(connection, message_id)
            assert work is not None
            voices.reject(connection, job, work, code=code, message=message)

    def give_up(self, message_id: str) -> str:
        """The media job dies of its own failures; returns its id."""
        job = self._claim("media", message_id)
        with self.services.database.transaction() as connection:
            assert jobs.blame(connection, job, reason="it broke", final=True)
            voices.fail(connection, message_id, code="processing_failed", message="we could not process it")
        return job.id

    def transcribe(self, message_id: str, transcript: Transcript = SPOKEN) -> None:
        job = self._claim("speech", message_id)
        body = transcript.to_json().encode()
        key = self._put(message_id, body, "application/json")
        result = transcripts.SpeechResult(
            state=transcript.state,
            language=transcript.language,
            language_probability=transcript.language_probability,
            confidence=0.88,
            text=transcript.text,
            model=transcript.model,
            object_key=key,
            word_times=word_times(transcript),
        )
        with self.services.database.transaction() as connection:
            work = transcripts.start(connection, job.transcript_id or "")
            assert work is not None
            transcripts.finish(connection, job, work, result)

    def _claim(self, queue: jobs.Queue, message_id: str) -> jobs.Job:
        """Puts the message's job in front: the database is shared with messages of other tests."""
        with self.services.database.transaction() as connection:
            claimed = jobs.claim(connection, queue, lane=None, limit=1000, lease_s=60, worker=WORKER)
            for job in claimed:
                if job.message_id != message_id:
                    jobs.requeue(connection, job, reason=None, delay_s=0)
        return next(job for job in claimed if job.message_id == message_id)

    def _put(self, message_id: str, body: Path | bytes, content_type: str) -> str:
        data = body if isinstance(body, bytes) else body.read_bytes()
        prefix = self.services.storage.s3_prefix
        key = object_key(prefix, message_id, "made", hashlib.sha256(data).hexdigest(), "bin")
        with self.services.database.transaction() as connection:
            intents.declare(connection, message_id, [key], ttl_s=60)
        self.services.store.put(key, data, size=len(data), content_type=content_type)
        return key
