"""Search"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("transcripts", sa.Column("word_times", sa.LargeBinary()))
    op.create_table(
        "search_entries",
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("document", postgresql.TSVECTOR(), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name="search_entries_message_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("message_id", name="search_entries_pkey"),
    )
    op.create_index("search_entries_document_idx", "search_entries", ["document"], postgresql_using="gin")
    op.create_index("search_entries_thread_id_idx", "search_entries", ["thread_id", "message_id"])
