"""The index of leases depends on no parameter of a statement, and that of states has all that the quotas count."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision: str | None = "0007"


def upgrade() -> None:
    """Index all slots with the end of a lease in the place of leased ones; add the source to the index of states."""
    _index("lease_until IS NOT NULL", ["state", "kind", "video_id", "source"])


def downgrade() -> None:
    """Make both indexes as they were."""
    _index("state = 'leased'", ["state", "kind", "video_id"])


def _index(slots: str, columns: list[str]) -> None:
    op.drop_index("ix_slot_lease_until", "slot")
    where = sa.text(slots)
    op.create_index("ix_slot_lease_until", "slot", ["lease_until"], sqlite_where=where, postgresql_where=where)
    op.drop_index("ix_item_state_kind", "item")
    op.create_index("ix_item_state_kind", "item", columns)
