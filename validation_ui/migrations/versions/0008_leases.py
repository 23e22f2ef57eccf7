"""The index of leases depends on no value that statements pass as a parameter."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision: str | None = "0007"


def upgrade() -> None:
    """Index all slots that have a lease, or had one, in the place of those in the state `leased`."""
    _index("lease_until IS NOT NULL")


def downgrade() -> None:
    """Index the slots in the state `leased` again."""
    _index("state = 'leased'")


def _index(where: str) -> None:
    op.drop_index("ix_slot_lease_until", "slot")
    op.create_index(
        "ix_slot_lease_until",
        "slot",
        ["lease_until"],
        sqlite_where=sa.text(where),
        postgresql_where=sa.text(where),
    )
