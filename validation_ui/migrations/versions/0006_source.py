"""An item says where its text comes from: the run kept it, a gate of the run rejected it, or it fits nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    """Add what this version adds to the tables of the one before; all earlier items are of kept texts."""
    op.add_column("item", sa.Column("source", sa.String(length=9), server_default="kept", nullable=False))


def downgrade() -> None:
    """Take back; what was mixed in is withdrawn, as an earlier version would count it for the split."""
    mixed_in = "SELECT id FROM item WHERE source <> 'kept'"
    pending = f"state IN ('open', 'leased') AND item_id IN ({mixed_in})"
    op.execute(f"UPDATE slot SET state = 'void', holder_id = NULL WHERE {pending}")
    op.execute(
        "UPDATE item SET state = 'dropped', retired = TRUE, settled_at = COALESCE(settled_at, 0) WHERE source <> 'kept'"
    )
    op.drop_column("item", "source")
