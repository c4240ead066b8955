"""Positions of events, given after their commit"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("events_order_idx", "events")
    op.drop_column("events", "xid")
    op.add_column("events", sa.Column("position", sa.BigInteger()))
    op.create_unique_constraint("events_position_key", "events", ["position"])
    op.create_index("events_unordered_idx", "events", ["id"], postgresql_where=sa.text("position IS NULL"))
    op.create_index("events_thread_id_position_idx", "events", ["thread_id", "position"])
    op.create_table(
        "event_log",
        sa.Column("one", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("last", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("trimmed", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("one", name="event_log_one_row"),
        sa.PrimaryKeyConstraint("one", name="event_log_pkey"),
    )
    op.execute("INSERT INTO event_log DEFAULT VALUES")
