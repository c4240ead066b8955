"""The tables. A migration makes them (storage/migrations); this file is what queries are written against."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)
# The database's clock decides, never a worker's: clocks of machines differ and step.
NOW = text("clock_timestamp()")


def _moment(name: str, **options: object) -> Column[object]:
    return Column(name, DateTime(timezone=True), **options)  # type: ignore[arg-type]


threads = Table(
    "threads",
    metadata,
    Column("id", Text, primary_key=True),
    Column("external_id", Text, unique=True),
    Column("title", Text),
    Column("created_by", Text, nullable=False),
    _moment("created_at", nullable=False, server_default=NOW),
    # Taken under the row's lock, so that a thread's numbers follow commit order.
    Column("last_seq", BigInteger, nullable=False, server_default=text("0")),
    _moment("last_activity_at", nullable=False, server_default=NOW),
)

participants = Table(
    "participants",
    metadata,
    Column("thread_id", Text, ForeignKey("threads.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Text, primary_key=True),
    _moment("joined_at", nullable=False, server_default=NOW),
    # By default all of it, also the history that is imported later: numbered below zero (storage/history.py).
    Column("visible_after_seq", BigInteger, nullable=False, server_default=text("-9007199254740992")),
    Column("read_seq", BigInteger, nullable=False, server_default=text("0")),
    Index("participants_user_id_idx", "user_id", "thread_id"),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Text, primary_key=True),
    Column("thread_id", Text, ForeignKey("threads.id", ondelete="CASCADE"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("sender_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("text", Text),
    Column("external_id", Text),
    _moment("created_at", nullable=False, server_default=NOW),
    _moment("deleted_at"),
    UniqueConstraint("thread_id", "seq"),
    Index("messages_sender_id_idx", "sender_id", "id"),
    Index("messages_thread_id_idx", "thread_id", "id"),
    Index("messages_external_id_idx", "thread_id", "external_id", postgresql_where=text("external_id IS NOT NULL")),
)

voices = Table(
    "voices",
    metadata,
    Column("message_id", Text, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("state", Text, nullable=False),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("language_hint", Text),
    # None once its retention has ended.
    Column("original_key", Text),
    Column("original_size", BigInteger, nullable=False),
    Column("original_sha256", Text, nullable=False),
    Column("container", Text, nullable=False),
    Column("duration_ms", Integer),
    Column("loudness_lufs", Double),
    Column("waveform", LargeBinary),
    Column("peaks", LargeBinary),
    Column("renditions", JSONB, nullable=False, server_default=text("'[]'")),
    Column("speech_key", Text),
    Column("transcript_id", Text),
    # What the sender says was said; stands in for the text of whichever transcript is active.
    Column("corrected_text", Text),
    # What retention still has to let go.
    Index("voices_original_idx", "message_id", postgresql_where=text("original_key IS NOT NULL")),
    Index("voices_speech_idx", "message_id", postgresql_where=text("speech_key IS NOT NULL")),
    Index("voices_renditions_idx", "message_id", postgresql_where=text("renditions <> '[]'")),
    Index("voices_transcript_idx", "message_id", postgresql_where=text("transcript_id IS NOT NULL")),
)

transcripts = Table(
    "transcripts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("message_id", Text, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("requested_language", Text),
    Column("requested_model", Text),
    Column("language", Text),
    Column("language_probability", Double),
    Column("confidence", Double),
    Column("text", Text),
    # Where each word begins in `text` and in the recording: see storage/word_times.py.
    Column("word_times", LargeBinary),
    Column("model", Text),
    # Which weights of that name: see transcribe.models.
    Column("model_version", Text),
    Column("object_key", Text),
    Column("error_code", Text),
    Column("error_message", Text),
    _moment("created_at", nullable=False, server_default=NOW),
    _moment("finished_at"),
    UniqueConstraint("message_id", "version"),
)

# What a message says now, for the search: deleted with its message, made anew when its text changes.
search_entries = Table(
    "search_entries",
    metadata,
    Column("message_id", Text, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("thread_id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    # The name of the text search configuration that stems its language.
    Column("config", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("document", TSVECTOR, nullable=False),
    Index("search_entries_document_idx", "document", postgresql_using="gin"),
    Index("search_entries_thread_id_idx", "thread_id", "message_id"),
)

plays = Table(
    "plays",
    metadata,
    Column("message_id", Text, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("position_ms", Integer, nullable=False),
    _moment("completed_at"),
    _moment("updated_at", nullable=False, server_default=NOW),
    Index("plays_user_id_idx", "user_id"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("queue", Text, nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("message_id", Text, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    Column("transcript_id", Text),
    # Of the run that made it; none for what a person waits for.
    Column("run_id", Text),
    Column("token", BigInteger, nullable=False, server_default=text("0")),
    _moment("lease_until"),
    _moment("run_after", nullable=False, server_default=NOW),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("requeues", Integer, nullable=False, server_default=text("0")),
    Column("expiries", Integer, nullable=False, server_default=text("0")),
    Column("alone", Boolean, nullable=False, server_default=text("false")),
    # Whether nobody is told what it comes to.
    Column("quiet", Boolean, nullable=False, server_default=text("false")),
    Column("reason", Text),
    Column("worker", Text),
    # When it was claimed last; jobs of one claim have the same.
    _moment("started_at"),
    _moment("created_at", nullable=False, server_default=NOW),
    _moment("updated_at", nullable=False, server_default=NOW),
    # Claiming reads the head of this index however long the queue is.
    Index("jobs_claim_idx", "queue", "lane", "run_after", "id", postgresql_where=text("state = 'queued'")),
    Index("jobs_lease_idx", "lease_until", postgresql_where=text("state = 'running'")),
    Index("jobs_state_idx", "state", "id", postgresql_where=text("state <> 'done'")),
    Index("jobs_message_id_idx", "message_id"),
    Index(
        "jobs_run_id_idx",
        "run_id",
        postgresql_where=text("run_id IS NOT NULL AND state IN ('queued', 'running', 'held')"),
    ),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    # Of filter and target: two runs of the same are never active together.
    Column("fingerprint", Text, nullable=False),
    Column("filter", JSONB, nullable=False),
    # None: whichever model the workers run.
    Column("model", Text),
    Column("language", Text),
    Column("policy", Text, nullable=False),
    Column("rate_limit", Double),
    Column("at_most", BigInteger),
    Column("state", Text, nullable=False),
    # The last message that there was when the run began.
    Column("until", Text, nullable=False),
    # Everything up to here is queued; moved in the transaction that queues.
    Column("cursor", Text),
    Column("walked", Boolean, nullable=False, server_default=text("false")),
    Column("total", BigInteger, nullable=False),
    Column("total_exact", Boolean, nullable=False),
    Column("audio_ms", BigInteger, nullable=False),
    Column("queued", BigInteger, nullable=False, server_default=text("0")),
    # What the rate limit has granted and was not used yet.
    Column("credit", Double, nullable=False, server_default=text("0")),
    _moment("credited_at", nullable=False, server_default=NOW),
    Column("measured_done", BigInteger, nullable=False, server_default=text("0")),
    _moment("measured_at", nullable=False, server_default=NOW),
    # Messages a second, lately.
    Column("rate", Double, nullable=False, server_default=text("0")),
    _moment("told_at", nullable=False, server_default=NOW),
    Column("reverted", BigInteger, nullable=False, server_default=text("0")),
    Column("created_by", Text, nullable=False),
    _moment("created_at", nullable=False, server_default=NOW),
    _moment("finished_at"),
    Index("runs_active_idx", "fingerprint", unique=True, postgresql_where=text("state IN ('running', 'paused')")),
    Index("runs_moving_idx", "id", postgresql_where=text("state IN ('running', 'paused', 'reverting')")),
)

# The messages of a run that was given ids.
run_ids = Table(
    "run_ids",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("message_id", Text, primary_key=True),
)

run_items = Table(
    "run_items",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("message_id", Text, primary_key=True),
    # The version that was active when the message was queued, and the one that the run made.
    Column("previous_id", Text),
    Column("transcript_id", Text),
    Column("outcome", Text),
    Column("reason", Text),
    # How many words are different.
    Column("words", Integer),
    Index(
        "run_items_trouble_idx",
        "run_id",
        "outcome",
        "message_id",
        postgresql_where=text("outcome IN ('refused', 'failed', 'left_alone')"),
    ),
)

# Sums of the items. Several rows for each sum, so that workers who count at the same time don't wait for each other.
run_tallies = Table(
    "run_tallies",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("outcome", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("shard", SmallInteger, primary_key=True),
    Column("messages", BigInteger, nullable=False),
    Column("words", BigInteger, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    # Given after the commit, under the lock of `event_log`: ids don't follow commit order, positions do.
    Column("position", BigInteger, unique=True),
    Column("type", Text, nullable=False),
    Column("thread_id", Text),
    Column("message_id", Text),
    Column("user_id", Text),
    Column("run_id", Text),
    _moment("created_at", nullable=False, server_default=NOW),
    Index("events_unordered_idx", "id", postgresql_where=text("position IS NULL")),
    Index("events_thread_id_position_idx", "thread_id", "position"),
    Index("events_run_idx", "position", postgresql_where=text("run_id IS NOT NULL")),
    Index("events_user_id_idx", "user_id", postgresql_where=text("user_id IS NOT NULL")),
)

event_log = Table(
    "event_log",
    metadata,
    Column("one", Boolean, primary_key=True, server_default=text("true")),
    # Positions up to `trimmed` are gone, those up to `last` are given.
    Column("last", BigInteger, nullable=False, server_default=text("0")),
    Column("trimmed", BigInteger, nullable=False, server_default=text("0")),
    CheckConstraint("one", name="event_log_one_row"),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("events", ARRAY(Text), nullable=False),
    # The newest first; each signs until its `until`, the newest for good.
    Column("secrets", JSONB, nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("disabled_reason", Text),
    # Events up to this position of the log have become deliveries.
    Column("position", BigInteger, nullable=False),
    _moment("created_at", nullable=False, server_default=NOW),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("webhook_id", Text, ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("thread_id", Text),
    Column("message_id", Text),
    Column("user_id", Text),
    Column("run_id", Text),
    _moment("happened_at", nullable=False),
    Column("state", Text, nullable=False, server_default=text("'pending'")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    # Whoever tries it puts this off first: when he dies, another tries again then.
    _moment("due_at", nullable=False, server_default=NOW),
    Column("response_status", Integer),
    Column("error_code", Text),
    Column("error_message", Text),
    _moment("created_at", nullable=False, server_default=NOW),
    _moment("updated_at", nullable=False, server_default=NOW),
    UniqueConstraint("webhook_id", "position"),
    Index("deliveries_due_idx", "webhook_id", "due_at", postgresql_where=text("state = 'pending'")),
    Index("deliveries_log_idx", "webhook_id", "id"),
    Index("deliveries_updated_at_idx", "updated_at"),
    Index("deliveries_user_id_idx", "user_id"),
)

user_erasures = Table(
    "user_erasures",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    # How many of each kind were removed so far.
    Column("removed", JSONB, nullable=False, server_default=text("'{}'")),
    # Their messages up to this one are gone.
    Column("reached", Text, nullable=False, server_default=text("''")),
    _moment("requested_at", nullable=False, server_default=NOW),
    _moment("finished_at"),
)

intents = Table(
    "intents",
    metadata,
    Column("object_key", Text, primary_key=True),
    Column("message_id", Text, nullable=False),
    _moment("expires_at", nullable=False),
    # Whose original it is.
    Column("sender_id", Text),
    Index("intents_expires_at_idx", "expires_at"),
    Index("intents_message_id_idx", "message_id"),
)

reservations = Table(
    "reservations",
    metadata,
    Column("slot", Text, primary_key=True),
    # Unix time by the clock of who uses it.
    Column("since", Double, nullable=False),
    _moment("made_at", nullable=False, server_default=NOW),
    _moment("expires_at", nullable=False),
)

erasures = Table(
    "erasures",
    metadata,
    Column("message_id", Text, primary_key=True),
    _moment("run_after", nullable=False, server_default=NOW),
    # Until then a worker that lost its lease may still write; the prefix is emptied again and again.
    _moment("settle_at", nullable=False),
    Column("emptied", Boolean, nullable=False, server_default=text("false")),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    _moment("locked_until"),
    Column("fingerprint", Text),
    Column("status", SmallInteger),
    Column("resource_id", Text),
    _moment("created_at", nullable=False, server_default=NOW),
    Index("idempotency_keys_created_at_idx", "created_at"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("thread_id", Text, nullable=False),
    Column("language", Text),
    Column("external_id", Text),
    # What a tus client said of its file, given back as it came.
    Column("metadata", Text),
    # What the sender of a direct upload says of it.
    Column("content_type", Text),
    Column("sha256", Text),
    Column("length", BigInteger, nullable=False),
    Column("received", BigInteger, nullable=False, server_default=text("0")),
    Column("state", Text, nullable=False),
    Column("message_id", Text),
    Column("error_code", Text),
    Column("error_message", Text),
    # The one request that may add bytes, and whether another one asks it to let go.
    Column("holder", Text),
    Column("asked", Boolean, nullable=False, server_default=text("false")),
    _moment("touched_at", nullable=False, server_default=NOW),
    _moment("expires_at", nullable=False),
    # When what may lie under a direct upload's key is deleted for the last time.
    _moment("sweep_at"),
    Index("uploads_user_id_idx", "user_id"),
    Index("uploads_open_idx", "user_id", postgresql_where=text("state = 'open'")),
    Index("uploads_full_idx", "touched_at", postgresql_where=text("state = 'open' AND received = length")),
    Index("uploads_expires_at_idx", "expires_at"),
    Index("uploads_sweep_at_idx", "sweep_at", postgresql_where=text("sweep_at IS NOT NULL")),
)

upload_chunks = Table(
    "upload_chunks",
    metadata,
    Column("upload_id", Text, ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True),
    Column("start", BigInteger, primary_key=True),
    # Stored as it comes: audio does not get smaller.
    Column("data", LargeBinary, nullable=False),
)

upload_usage = Table(
    "upload_usage",
    metadata,
    Column("user_id", Text, primary_key=True),
    _moment("hour", primary_key=True),
    Column("messages", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Index("upload_usage_hour_idx", "hour"),
)

# One row for each recording that an import has brought or that was refused, so that it is brought once.
imports = Table(
    "imports",
    metadata,
    # A hash: of the recording's thread and external id, or of thread, sender, time and content.
    Column("key", Text, primary_key=True),
    Column("message_id", Text, nullable=False),
    # Why it can't become a message that plays; its message was withdrawn then.
    Column("error_code", Text),
    _moment("created_at", nullable=False, server_default=NOW),
)
