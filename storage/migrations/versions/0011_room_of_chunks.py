"""What deleted chunks leave is used again soon: a file that grows and shrinks with each upload took a fifth longer"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE upload_chunks SET (autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off,"
        " toast.autovacuum_vacuum_cost_delay = 0, toast.vacuum_truncate = off)"
    )
