"""A reveal is recorded, and accepted texts that nobody found by their final wording go back to the blind pass."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"

# the texts of an item that somebody hit in the blind pass, by their words
_FOUND = """
    SELECT 1 FROM judgement JOIN pointing ON pointing.id = judgement.pointing_id
    JOIN text_version AS judged ON judged.id = judgement.text_id
    JOIN text_version AS final ON final.id = item.text_id
    WHERE judgement.item_id = item.id AND judgement.undone_at IS NULL AND pointing.hit AND judged.sha256 = final.sha256
"""


def upgrade() -> None:
    """Add what this version adds to the tables of the one before."""
    op.add_column("pointing", sa.Column("revealed_at", sa.Float(), nullable=True))
    op.execute("UPDATE pointing SET revealed_at = created_at WHERE hit IS NOT NULL")
    op.add_column("skipped", sa.Column("entry_round", sa.Integer(), nullable=True))
    op.create_index("ix_seen_video_id", "seen", ["video_id"])
    op.create_index("ix_seen_person_id_at", "seen", ["person_id", "at"])
    unfound = f"state IN ('accepted', 'surplus') AND gold = '' AND NOT EXISTS ({_FOUND})"
    op.execute(f"""
        INSERT INTO slot (item_id, kind, n, state, version, priority, text_id)
        SELECT id, 'blind', (SELECT COALESCE(MAX(n), 0) + 1 FROM slot WHERE item_id = item.id AND kind = 'blind'),
            'open', 1, priority, text_id
        FROM item WHERE {unfound}
    """)
    op.execute(f"UPDATE item SET state = 'blind', settled_at = NULL WHERE {unfound}")


def downgrade() -> None:
    """Take back; texts that went back to the blind pass stay there."""
    op.drop_index("ix_seen_person_id_at", "seen")
    op.drop_index("ix_seen_video_id", "seen")
    op.drop_column("skipped", "entry_round")
    op.drop_column("pointing", "revealed_at")
