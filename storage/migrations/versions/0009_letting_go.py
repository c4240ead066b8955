"""What erasing a person and retention look for is found without reading through whole tables"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None

_KEPT = {
    "original": "original_key IS NOT NULL",
    "speech": "speech_key IS NOT NULL",
    "renditions": "renditions <> '[]'",
    "transcript": "transcript_id IS NOT NULL",
}


def upgrade() -> None:
    op.add_column("user_erasures", sa.Column("reached", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.create_index("events_user_id_idx", "events", ["user_id"], postgresql_where=sa.text("user_id IS NOT NULL"))
    op.create_index("uploads_user_id_idx", "uploads", ["user_id"])
    for kind, kept in _KEPT.items():
        op.create_index(f"voices_{kind}_idx", "voices", ["message_id"], postgresql_where=sa.text(kept))
