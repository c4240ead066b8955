"""Originals may be put before anything is written of their messages, by slots that are durable many at a time"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    made_at = sa.Column(
        "made_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()")
    )
    op.create_table(
        "reservations",
        sa.Column("slot", sa.Text(), primary_key=True),
        sa.Column("since", sa.Double(), nullable=False),
        made_at,
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    )
