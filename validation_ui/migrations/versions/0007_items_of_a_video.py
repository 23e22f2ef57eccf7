"""Items of a video in one state are found by one index, however many items the project has."""

from alembic import op

revision = "0007"
down_revision: str | None = "0006"


def upgrade() -> None:
    """Put the index of both columns in the place of that of the video alone."""
    op.create_index("ix_item_video_id_state", "item", ["video_id", "state"])
    op.drop_index("ix_item_video_id", "item")


def downgrade() -> None:
    """Take the index of both columns back."""
    op.create_index("ix_item_video_id", "item", ["video_id"])
    op.drop_index("ix_item_video_id_state", "item")
