"""The tables of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Create all tables of the project."""
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("actor", sa.String(length=60), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("last_id", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.create_table(
        "login_failure",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_login_failure")),
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
    )
    op.create_table(
        "person",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("name_key", sa.String(length=80), nullable=False),
        sa.Column("role", sa.String(length=12), nullable=False),
        sa.Column("standing", sa.String(length=8), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("hotkeys", sa.JSON(), nullable=False),
        sa.Column("preferences", sa.JSON(), nullable=False),
        sa.Column("entry_round", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.CheckConstraint("role IN ('reader', 'reviewer', 'adjudicator', 'admin')", name=op.f("ck_person_role")),
        sa.CheckConstraint("standing IN ('entry', 'active', 'failed', 'stopped')", name=op.f("ck_person_standing")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sa.UniqueConstraint("name_key", name=op.f("uq_person_name_key")),
    )
    op.create_table(
        "video",
        sa.Column("id", sa.String(length=80), nullable=False),
        sa.Column("media_id", sa.String(length=24), nullable=False),
        sa.Column("split", sa.String(length=10), nullable=False),
        sa.Column("path", sa.String(length=500), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("height_px", sa.Integer(), nullable=False),
        sa.Column("width_px", sa.Integer(), nullable=False),
        sa.Column("shown_height_px", sa.Integer(), nullable=False),
        sa.Column("shown_width_px", sa.Integer(), nullable=False),
        sa.Column("fps", sa.Float(), nullable=False),
        sa.Column("frame_count", sa.Integer(), nullable=False),
        sa.Column("pts_s", sa.JSON(), nullable=False),
        sa.Column("chunks", sa.JSON(), nullable=False),
        sa.Column("fingerprints", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("split IN ('benchmark', 'train')", name=op.f("ck_video_split")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_video")),
        sa.UniqueConstraint("media_id", name=op.f("uq_video_media_id")),
    )
    op.create_table(
        "invite",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=12), nullable=False),
        sa.Column("created_by", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("used_by", sa.Integer(), nullable=True),
        sa.Column("used_at", sa.Float(), nullable=True),
        sa.Column("revoked_at", sa.Float(), nullable=True),
        sa.CheckConstraint("role IN ('reader', 'reviewer', 'adjudicator', 'admin')", name=op.f("ck_invite_role")),
        sa.ForeignKeyConstraint(["created_by"], ["person.id"], name=op.f("fk_invite_created_by")),
        sa.ForeignKeyConstraint(["used_by"], ["person.id"], name=op.f("fk_invite_used_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invite")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_invite_token_hash")),
    )
    op.create_table(
        "masklet",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("object_id", sa.String(length=120), nullable=False),
        sa.Column("video_id", sa.String(length=80), nullable=False),
        sa.Column("areas_px", sa.JSON(), nullable=False),
        sa.Column("rles", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["video_id"], ["video.id"], name=op.f("fk_masklet_video_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_masklet")),
        sa.UniqueConstraint("object_id", name=op.f("uq_masklet_object_id")),
    )
    with op.batch_alter_table("masklet", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_masklet_video_id"), ["video_id"], unique=False)

    op.create_table(
        "reply",
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("request_sha256", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_reply_person_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("person_id", "key", name=op.f("pk_reply")),
    )
    op.create_table(
        "seen",
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("video_id", sa.String(length=80), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_seen_person_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["video_id"], ["video.id"], name=op.f("fk_seen_video_id")),
        sa.PrimaryKeyConstraint("person_id", "video_id", name=op.f("pk_seen")),
    )
    op.create_table(
        "session",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_session_person_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_session")),
    )
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_session_person_id"), ["person_id"], unique=False)

    op.create_table(
        "item",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(length=24), nullable=False),
        sa.Column("masklet_id", sa.Integer(), nullable=False),
        sa.Column("video_id", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=5), nullable=False),
        sa.Column("gold", sa.String(length=7), nullable=False),
        sa.Column("retired", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("overlap", sa.Boolean(), nullable=False),
        sa.Column("wants_short", sa.Boolean(), nullable=False),
        sa.Column("strata", sa.JSON(), nullable=False),
        sa.Column("author_id", sa.Integer(), nullable=True),
        sa.Column("text_id", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("settled_at", sa.Float(), nullable=True),
        sa.Column("exported_at", sa.Float(), nullable=True),
        sa.CheckConstraint("gold IN ('', 'good', 'swapped')", name=op.f("ck_item_gold")),
        sa.CheckConstraint("kind IN ('long', 'short')", name=op.f("ck_item_kind")),
        sa.CheckConstraint(
            "state IN ('sighted', 'blind', 'adjudicate', 'accepted', 'surplus', 'dropped', 'gold')",
            name=op.f("ck_item_state"),
        ),
        sa.ForeignKeyConstraint(["author_id"], ["person.id"], name=op.f("fk_item_author_id")),
        sa.ForeignKeyConstraint(["masklet_id"], ["masklet.id"], name=op.f("fk_item_masklet_id")),
        sa.ForeignKeyConstraint(["video_id"], ["video.id"], name=op.f("fk_item_video_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_item")),
        sa.UniqueConstraint("public_id", name=op.f("uq_item_public_id")),
    )
    with op.batch_alter_table("item", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_item_masklet_id"), ["masklet_id"], unique=False)
        batch_op.create_index("ix_item_state_kind", ["state", "kind", "video_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_item_video_id"), ["video_id"], unique=False)

    op.create_table(
        "skipped",
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_skipped_item_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_skipped_person_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("person_id", "item_id", name=op.f("pk_skipped")),
    )
    op.create_table(
        "slot",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=6), nullable=False),
        sa.Column("holder_id", sa.Integer(), nullable=True),
        sa.Column("lease_until", sa.Float(), nullable=True),
        sa.Column("claimed_at", sa.Float(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("text_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("kind IN ('sighted', 'blind', 'adjudicate')", name=op.f("ck_slot_kind")),
        sa.CheckConstraint("state IN ('open', 'leased', 'done', 'void')", name=op.f("ck_slot_state")),
        sa.ForeignKeyConstraint(["holder_id"], ["person.id"], name=op.f("fk_slot_holder_id")),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_slot_item_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_slot")),
        sa.UniqueConstraint("item_id", "kind", "n", name=op.f("uq_slot_item_id_kind_n")),
    )
    with op.batch_alter_table("slot", schema=None) as batch_op:
        batch_op.create_index(
            "ix_slot_free",
            ["kind", "priority", "id"],
            unique=False,
            sqlite_where=sa.text("state IN ('open', 'leased')"),
            postgresql_where=sa.text("state IN ('open', 'leased')"),
        )
        batch_op.create_index("ix_slot_holder_id", ["holder_id"], unique=False)

    op.create_table(
        "text_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("author_id", sa.Integer(), nullable=True),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["author_id"], ["person.id"], name=op.f("fk_text_version_author_id")),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_text_version_item_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_text_version")),
    )
    with op.batch_alter_table("text_version", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_text_version_item_id"), ["item_id"], unique=False)

    op.create_table(
        "draft",
        sa.Column("slot_id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("saved_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_draft_person_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["slot_id"], ["slot.id"], name=op.f("fk_draft_slot_id")),
        sa.PrimaryKeyConstraint("slot_id", "person_id", name=op.f("pk_draft")),
    )
    op.create_table(
        "pointing",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("slot_id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("answer", sa.String(length=9), nullable=False),
        sa.Column("points", sa.JSON(), nullable=False),
        sa.Column("candidates", sa.Integer(), nullable=True),
        sa.Column("outlines", sa.JSON(), nullable=False),
        sa.Column("extent_id", sa.Integer(), nullable=True),
        sa.Column("hit", sa.Boolean(), nullable=True),
        sa.Column("chance_frac", sa.Float(), nullable=False),
        sa.Column("answer_s", sa.Float(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["extent_id"], ["masklet.id"], name=op.f("fk_pointing_extent_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_pointing_person_id")),
        sa.ForeignKeyConstraint(["slot_id"], ["slot.id"], name=op.f("fk_pointing_slot_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pointing")),
        sa.UniqueConstraint("slot_id", "person_id", name=op.f("uq_pointing_slot_id_person_id")),
    )
    op.create_table(
        "judgement",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("slot_id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("text_id", sa.Integer(), nullable=False),
        sa.Column("decision", sa.String(length=6), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("new_text_id", sa.Integer(), nullable=True),
        sa.Column("short_item_id", sa.Integer(), nullable=True),
        sa.Column("pointing_id", sa.Integer(), nullable=True),
        sa.Column("gold_right", sa.Boolean(), nullable=True),
        sa.Column("entry_round", sa.Integer(), nullable=True),
        sa.Column("spent_s", sa.Float(), nullable=False),
        sa.Column("watched_frac", sa.Float(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("undone_at", sa.Float(), nullable=True),
        sa.Column("undone_by", sa.String(length=12), nullable=True),
        sa.CheckConstraint("decision IN ('accept', 'edit', 'reject', 'flag')", name=op.f("ck_judgement_decision")),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_judgement_item_id")),
        sa.ForeignKeyConstraint(["new_text_id"], ["text_version.id"], name=op.f("fk_judgement_new_text_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_judgement_person_id")),
        sa.ForeignKeyConstraint(["pointing_id"], ["pointing.id"], name=op.f("fk_judgement_pointing_id")),
        sa.ForeignKeyConstraint(["short_item_id"], ["item.id"], name=op.f("fk_judgement_short_item_id")),
        sa.ForeignKeyConstraint(["slot_id"], ["slot.id"], name=op.f("fk_judgement_slot_id")),
        sa.ForeignKeyConstraint(["text_id"], ["text_version.id"], name=op.f("fk_judgement_text_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_judgement")),
    )
    with op.batch_alter_table("judgement", schema=None) as batch_op:
        batch_op.create_index("ix_judgement_item_id_person_id", ["item_id", "person_id"], unique=False)
        batch_op.create_index("ix_judgement_person_id_created_at", ["person_id", "created_at"], unique=False)
        batch_op.create_index(
            "uq_judgement_slot_id_live",
            ["slot_id"],
            unique=True,
            sqlite_where=sa.text("undone_at IS NULL"),
            postgresql_where=sa.text("undone_at IS NULL"),
        )

    op.bulk_insert(head, [{"id": 1, "last_id": 0, "hash": "0" * 64}])  # an empty log


def downgrade() -> None:
    """Drop all tables of the project."""
    with op.batch_alter_table("judgement", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_judgement_slot_id_live",
            sqlite_where=sa.text("undone_at IS NULL"),
            postgresql_where=sa.text("undone_at IS NULL"),
        )
        batch_op.drop_index("ix_judgement_person_id_created_at")
        batch_op.drop_index("ix_judgement_item_id_person_id")

    op.drop_table("judgement")
    op.drop_table("pointing")
    op.drop_table("draft")
    with op.batch_alter_table("text_version", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_text_version_item_id"))

    op.drop_table("text_version")
    with op.batch_alter_table("slot", schema=None) as batch_op:
        batch_op.drop_index("ix_slot_holder_id")
        batch_op.drop_index(
            "ix_slot_free",
            sqlite_where=sa.text("state IN ('open', 'leased')"),
            postgresql_where=sa.text("state IN ('open', 'leased')"),
        )

    op.drop_table("slot")
    op.drop_table("skipped")
    with op.batch_alter_table("item", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_item_video_id"))
        batch_op.drop_index("ix_item_state_kind")
        batch_op.drop_index(batch_op.f("ix_item_masklet_id"))

    op.drop_table("item")
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_session_person_id"))

    op.drop_table("session")
    op.drop_table("seen")
    op.drop_table("reply")
    with op.batch_alter_table("masklet", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_masklet_video_id"))

    op.drop_table("masklet")
    op.drop_table("invite")
    op.drop_table("video")
    op.drop_table("person")
    op.drop_table("meta")
    op.drop_table("login_failure")
    op.drop_table("audit_head")
    op.drop_table("audit")
