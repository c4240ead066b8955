"""Runs over stored messages, what became of each message, and which model made which text"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    _runs()
    op.add_column("jobs", sa.Column("run_id", sa.Text()))
    op.add_column("jobs", sa.Column("started_at", sa.DateTime(timezone=True)))
    op.create_index(
        "jobs_run_id_idx",
        "jobs",
        ["run_id"],
        postgresql_where=sa.text("run_id IS NOT NULL AND state IN ('queued', 'running', 'held')"),
    )
    op.add_column("transcripts", sa.Column("requested_model", sa.Text()))
    op.add_column("transcripts", sa.Column("model_version", sa.Text()))
    # A run over one person's or one thread's messages walks them in the order of their ids, which never change.
    op.drop_index("messages_sender_id_idx", "messages")
    op.create_index("messages_sender_id_idx", "messages", ["sender_id", "id"])
    op.create_index("messages_thread_id_idx", "messages", ["thread_id", "id"])
    for table in ("events", "deliveries"):
        op.add_column(table, sa.Column("run_id", sa.Text()))
        op.alter_column(table, "thread_id", nullable=True)
    op.create_index("events_run_idx", "events", ["position"], postgresql_where=sa.text("run_id IS NOT NULL"))


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("filter", postgresql.JSONB(), nullable=False),
        sa.Column("model", sa.Text()),
        sa.Column("language", sa.Text()),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("rate_limit", sa.Double()),
        sa.Column("at_most", sa.BigInteger()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("until", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text()),
        sa.Column("walked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("total_exact", sa.Boolean(), nullable=False),
        sa.Column("audio_ms", sa.BigInteger(), nullable=False),
        sa.Column("queued", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("credit", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("credited_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("measured_done", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("rate", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("reverted", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="runs_pkey"),
    )
    op.create_index(
        "runs_active_idx",
        "runs",
        ["fingerprint"],
        unique=True,
        postgresql_where=sa.text("state IN ('running', 'paused')"),
    )
    op.create_index(
        "runs_moving_idx", "runs", ["id"], postgresql_where=sa.text("state IN ('running', 'paused', 'reverting')")
    )
    op.create_table(
        "run_ids",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="run_ids_run_id_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "message_id", name="run_ids_pkey"),
    )
    op.create_table(
        "run_items",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("previous_id", sa.Text()),
        sa.Column("transcript_id", sa.Text()),
        sa.Column("outcome", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("words", sa.Integer()),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="run_items_run_id_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "message_id", name="run_items_pkey"),
    )
    op.create_index(
        "run_items_trouble_idx",
        "run_items",
        ["run_id", "outcome", "message_id"],
        postgresql_where=sa.text("outcome IN ('refused', 'failed', 'left_alone')"),
    )
    op.create_table(
        "run_tallies",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("words", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="run_tallies_run_id_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "outcome", "reason", "shard", name="run_tallies_pkey"),
    )
