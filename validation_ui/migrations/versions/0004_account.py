"""A person's account can be paused and closed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    """Add what this version adds to the tables of the one before."""
    op.add_column("person", sa.Column("account", sa.String(length=6), server_default="open", nullable=False))


def downgrade() -> None:
    """Take back; people who were paused or had left can sign in and judge again."""
    op.drop_column("person", "account")
