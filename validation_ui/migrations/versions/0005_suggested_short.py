"""An item has the short expression that the run suggests, for its reviewer to confirm or replace."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"


def upgrade() -> None:
    """Add what this version adds to the tables of the one before; items of earlier imports suggest nothing."""
    op.add_column("item", sa.Column("suggested_short", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take back what `upgrade` added."""
    op.drop_column("item", "suggested_short")
