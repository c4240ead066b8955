"""What a person has put that is no message yet is known as theirs: an erasure waits for it"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("intents", sa.Column("sender_id", sa.Text()))
