"""Imports: what was brought, jobs that nobody is told of, history that comes before everything sent here"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"
branch_labels = None
depends_on = None

# Below the number of every message: who saw all of a thread also sees the history that is imported into it.
_EVERYTHING = "-9007199254740992"


def upgrade() -> None:
    op.create_table(
        "imports",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("error_code", sa.Text()),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("key", name="imports_pkey"),
    )
    op.add_column("jobs", sa.Column("quiet", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index(
        "messages_external_id_idx",
        "messages",
        ["thread_id", "external_id"],
        postgresql_where=sa.text("external_id IS NOT NULL"),
    )
    op.alter_column("participants", "visible_after_seq", server_default=sa.text(_EVERYTHING))
    op.execute("UPDATE participants SET visible_after_seq = DEFAULT WHERE visible_after_seq = 0")
