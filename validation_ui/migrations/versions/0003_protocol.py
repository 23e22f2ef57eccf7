"""Leases that have run out are found quickly, and some items are found by two people independently."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"

_LEASED = sa.text("state = 'leased'")


def upgrade() -> None:
    """Add what this version adds to the tables of the one before."""
    op.create_index("ix_slot_lease_until", "slot", ["lease_until"], sqlite_where=_LEASED, postgresql_where=_LEASED)
    op.add_column("item", sa.Column("blind_overlap", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Take back what `upgrade` added."""
    op.drop_column("item", "blind_overlap")
    op.drop_index("ix_slot_lease_until", "slot")
