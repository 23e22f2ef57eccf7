"""Every table of the validation app, for SQLite and PostgreSQL.

Times (`_at`) are seconds since 1970 by the server's clock, durations (`_s`) are seconds, points are (x, y) as fractions
of width and height. A *video* is shared by the masklets of an annotation run. An *item* is one expression that is
judged. A *slot* is one judgement that an item needs; a person leases it for some time. A *judgement* is one answer.
"""

from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    literal_column,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Role(StrEnum):
    """What a person may do. Every role includes the rights of the one above it, except that READER only looks."""

    READER = "reader"  # progress, agreement and items; judges nothing
    REVIEWER = "reviewer"  # sighted and blind pass
    ADJUDICATOR = "adjudicator"  # also settles what reviewers disagree on
    ADMIN = "admin"  # also people, invites, gold items and settings


ADJUDICATORS = (Role.ADJUDICATOR, Role.ADMIN)


class Standing(StrEnum):
    """Whether a reviewer is given real items."""

    ENTRY = "entry"  # takes the entry test
    ACTIVE = "active"
    FAILED = "failed"  # failed the entry test; an admin may let them try again
    STOPPED = "stopped"  # fell below the gold gate, or was stopped by an admin


class Account(StrEnum):
    """Whether a person takes part; an admin decides it. What they judged counts in any case."""

    OPEN = "open"
    PAUSED = "paused"  # signs in and looks, but gets no items and does not count for the team
    CLOSED = "closed"  # cannot sign in


UNDONE_BY_ADMIN = "admin"  # value of judgement.undone_by: an admin had the work of this person done again


class ItemState(StrEnum):
    """The state of an item. ACCEPTED, SURPLUS and DROPPED are final until a judgement is undone."""

    SIGHTED = "sighted"
    BLIND = "blind"
    ADJUDICATE = "adjudicate"
    ACCEPTED = "accepted"
    SURPLUS = "surplus"  # accepted after the quota of its kind, of its video or of all videos was filled
    DROPPED = "dropped"
    GOLD = "gold"  # an item whose right answer is known: for the entry test and hidden checks


class SlotKind(StrEnum):
    """The pass that a slot belongs to."""

    SIGHTED = "sighted"
    BLIND = "blind"
    ADJUDICATE = "adjudicate"


class SlotState(StrEnum):
    """The state of a slot. A lease that has run out counts as open and is taken over when somebody claims it."""

    OPEN = "open"
    LEASED = "leased"
    DONE = "done"
    VOID = "void"  # no longer needed: its item was settled, or the text changed


class Decision(StrEnum):
    """The decision of a judgement."""

    ACCEPT = "accept"
    EDIT = "edit"
    REJECT = "reject"
    FLAG = "flag"  # leave it to the adjudicator, with a reason


class Gold(StrEnum):
    """The known answer of a gold item; NONE = a real item."""

    NONE = ""
    GOOD = "good"  # the text is right: accept (or edit) is right
    SWAPPED = "swapped"  # the text describes another object: reject is right


class Source(StrEnum):
    """Where the text of a real item comes from. Only KEPT ones count for quotas, strata and figures of agreement."""

    KEPT = "kept"  # the run kept it, or a person wrote it for an object whose text the run kept
    REJECTED = "rejected"  # a gate of the run rejected it: mixed in to measure the gate
    NO_TARGET = "no_target"  # it fits nothing in its video, by measurement: "absent" is right in the blind pass


def has_any(column: ColumnElement[str], values: Iterable[str]) -> ColumnElement[bool]:
    """Build the condition that a column has one of some constants, which are written into the statement.

    `in_` makes a list of parameters of them, and SQLAlchemy spells that out anew each time the statement runs.
    """
    return column.in_([literal_column(f"'{value}'") for value in values])


def _is_one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(str(value)) for value in values)})", name=column)


meta = Table("meta", metadata, Column("key", String(40), primary_key=True), Column("value", JSON, nullable=False))

person = Table(
    "person",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(40), nullable=False),
    Column("name_key", String(80), nullable=False, unique=True),  # casefolded: no two names look the same
    Column("role", String(12), nullable=False),
    Column("standing", String(8), nullable=False),
    Column("password_hash", String(200), nullable=False),  # argon2id, or what a link for a new password is checked by
    Column("account", String(6), nullable=False, server_default=Account.OPEN),
    Column("hotkeys", JSON, nullable=False, default=dict),  # {action: KeyboardEvent.code}; defaults are not stored
    Column("preferences", JSON, nullable=False, default=dict),  # {theme, light_mode, hotkeys_off}
    Column("entry_round", Integer, nullable=False, default=0),  # raised when an admin lets them try again
    Column("created_at", Float, nullable=False),
    _is_one_of("role", Role),
    _is_one_of("standing", Standing),
)

session = Table(
    "session",
    metadata,
    Column("token_hash", String(64), primary_key=True),  # sha256 of the cookie: who reads the table gets no session
    Column("person_id", ForeignKey("person.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
)

invite = Table(
    "invite",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("role", String(12), nullable=False),
    Column("created_by", ForeignKey("person.id"), nullable=True),  # null: made by the command line
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("used_by", ForeignKey("person.id"), nullable=True),
    Column("used_at", Float, nullable=True),
    Column("revoked_at", Float, nullable=True),
    _is_one_of("role", Role),
)

login_failure = Table(
    "login_failure",
    metadata,
    Column("key", String(64), primary_key=True),  # sha256 of account and address
    Column("count", Integer, nullable=False),
    Column("last_at", Float, nullable=False),
)

video = Table(
    "video",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("media_id", String(24), nullable=False, unique=True),  # random; the video's name in URLs
    Column("split", String(10), nullable=False),  # benchmark or train; never changes after the import
    Column("path", String(500), nullable=False),  # of the source file, relative to SAV_ROOT
    Column("sha256", String(64), nullable=False),  # of the source file; empty if it was not read completely
    Column("height_px", Integer, nullable=False),  # of the source after rotation (upright)
    Column("width_px", Integer, nullable=False),
    Column("shown_height_px", Integer, nullable=False, default=0),  # of the images in the chunks
    Column("shown_width_px", Integer, nullable=False, default=0),
    Column("fps", Float, nullable=False),
    Column("frame_count", Integer, nullable=False),
    Column("pts_s", JSON, nullable=False, default=list),  # time of each source frame
    # [{"first": 0, "key": "<sha256>.bin", "rest": "<sha256>.bin"}]: 24 frames per chunk; key: annotated ones
    Column("chunks", JSON, nullable=False, default=list),  # empty: no item of this video is shown to anybody
    Column("fingerprints", LargeBinary, nullable=False, default=b""),  # 32 bytes per sampled frame (fingerprint.py)
    CheckConstraint("split IN ('benchmark', 'train')", name="split"),
)

masklet = Table(
    "masklet",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("object_id", String(120), nullable=False, unique=True),
    Column("video_id", ForeignKey("video.id"), nullable=False, index=True),
    Column("areas_px", JSON, nullable=False),  # at each annotated frame, 0 = not visible
    Column("rles", LargeBinary, nullable=False),  # zlib of a JSON list: counts or null at each annotated frame
)

item = Table(
    "item",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("public_id", String(24), nullable=False, unique=True),  # random; the item's name in links
    Column("masklet_id", ForeignKey("masklet.id"), nullable=False, index=True),
    Column("video_id", ForeignKey("video.id"), nullable=False),
    Column("kind", String(5), nullable=False),  # long: written by the pipeline, short: written by a person
    Column("gold", String(7), nullable=False, default=""),
    Column("source", String(9), nullable=False, default=Source.KEPT, server_default=Source.KEPT),
    Column("retired", Boolean, nullable=False, default=False),  # an admin took it out
    Column("state", String(10), nullable=False),
    Column("priority", Integer, nullable=False),  # small ones are judged first: the seeded order over the strata
    Column("overlap", Boolean, nullable=False, default=False),  # needs a second, independent sighted judgement
    # needs two independent answers in the blind pass, if this is the first text that comes to it
    Column("blind_overlap", Boolean, nullable=False, default=False, server_default=false()),
    Column("wants_short", Boolean, nullable=False, default=False),  # the reviewer is asked for a short expression
    Column(
        "suggested_short", Text, nullable=True
    ),  # the run's, which counts only if the reviewer says that it is right
    Column("strata", JSON, nullable=False, default=dict),  # {size, length, motion, camera, occlusion, look_alikes}
    Column("author_id", ForeignKey("person.id"), nullable=True),  # who wrote the short expression
    Column("text_id", Integer, nullable=True),  # the current text
    Column("version", Integer, nullable=False, default=1),  # rises with every change of the current text; for If-Match
    Column("settled_at", Float, nullable=True),
    Column("exported_at", Float, nullable=True),  # its judgements cannot be undone after that
    CheckConstraint("kind IN ('long', 'short')", name="kind"),
    _is_one_of("state", ItemState),
    _is_one_of("gold", Gold),
    Index("ix_item_video_id_state", "video_id", "state"),  # without the state, SQLite looks through all of that state
    Index("ix_item_state_kind", "state", "kind", "video_id", "source"),  # covers the query that counts for the quotas
)

text_version = Table(
    "text_version",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("item_id", ForeignKey("item.id"), nullable=False, index=True),
    Column("parts", JSON, nullable=False),  # {"object": …, "scene": …, "video": …} or {"short": …}
    Column("sha256", String(64), nullable=False),  # of the parts; a judgement holds for texts with the same hash
    Column("author_id", ForeignKey("person.id"), nullable=True),  # null: the pipeline
    Column("parent_id", Integer, nullable=True),
    Column("created_at", Float, nullable=False),
)

slot = Table(
    "slot",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("item_id", ForeignKey("item.id"), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("n", Integer, nullable=False),  # 1, 2, … for each item and kind
    Column("state", String(6), nullable=False),
    Column("holder_id", ForeignKey("person.id"), nullable=True),  # of a slot that is not leased: the last holder
    Column("lease_until", Float, nullable=True),
    Column("claimed_at", Float, nullable=True),  # null in a leased slot: it is prefetched, nobody looks at it yet
    Column("version", Integer, nullable=False, default=1),  # rises with every change of holder
    Column("priority", Integer, nullable=False),  # that of the item
    Column("text_id", Integer, nullable=True),  # the text that is to be judged; null: the item's first text
    UniqueConstraint("item_id", "kind", "n"),
    _is_one_of("kind", SlotKind),
    _is_one_of("state", SlotState),
    # for the query of a claim: only slots that may be free, best first
    Index(
        "ix_slot_free",
        "kind",
        "priority",
        "id",
        sqlite_where=text("state IN ('open', 'leased')"),
        postgresql_where=text("state IN ('open', 'leased')"),
    ),
    Index("ix_slot_holder_id", "holder_id"),
    # for the query of leases that have run out. Not "WHERE state = 'leased'": SQLite would compile every statement with
    # a parameter for the state anew each time it runs, as the value would decide whether this index serves
    Index(
        "ix_slot_lease_until",
        "lease_until",
        sqlite_where=text("lease_until IS NOT NULL"),
        postgresql_where=text("lease_until IS NOT NULL"),
    ),
)

pointing = Table(  # the answer of a person in the blind pass, given before the object was revealed
    "pointing",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("slot_id", ForeignKey("slot.id"), nullable=False),
    Column("person_id", ForeignKey("person.id"), nullable=False),
    Column("answer", String(9), nullable=False),  # pointed, ambiguous, absent
    Column("points", JSON, nullable=False, default=list),  # [{"frame": source frame, "x": frac, "y": frac}]
    Column("candidates", Integer, nullable=True),  # how many objects fit, if ambiguous
    Column("outlines", JSON, nullable=False, default=list),  # masklet ids under the points, in the order shown
    Column("extent_id", ForeignKey("masklet.id"), nullable=True),  # the one of them that the person meant
    Column("hit", Boolean, nullable=True),  # null: the person still has to choose one of the outlines
    Column("chance_frac", Float, nullable=False, default=0.0),  # mean area of the target in the frames of the points
    Column("answer_s", Float, nullable=False),  # time from the claim to the answer
    Column("created_at", Float, nullable=False),
    # when the person was shown the object: after all open blind items of the video are answered; null: not yet
    Column("revealed_at", Float, nullable=True),
    UniqueConstraint("slot_id", "person_id"),
)

judgement = Table(
    "judgement",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("slot_id", ForeignKey("slot.id"), nullable=False),
    Column("item_id", ForeignKey("item.id"), nullable=False),
    Column("person_id", ForeignKey("person.id"), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("text_id", ForeignKey("text_version.id"), nullable=False),  # the text that was judged
    Column("decision", String(6), nullable=False),
    Column("parts", JSON, nullable=False),  # {part: right | wrong | unsure}
    Column("reasons", JSON, nullable=False, default=list),
    Column("note", Text, nullable=False, default=""),
    Column("new_text_id", ForeignKey("text_version.id"), nullable=True),  # what an edit wrote
    Column("short_item_id", ForeignKey("item.id"), nullable=True),  # item of the short expression written with it
    Column("pointing_id", ForeignKey("pointing.id"), nullable=True),
    Column("gold_right", Boolean, nullable=True),  # whether the answer to a gold item was right; null: a real item
    Column("entry_round", Integer, nullable=True),  # which time the person took the entry test; null: not in the test
    Column("spent_s", Float, nullable=False),  # time since the claim, or since the reveal in the blind pass
    Column("watched_frac", Float, nullable=False, default=0.0),  # fraction of the visible span that was played
    Column("created_at", Float, nullable=False),
    Column("undone_at", Float, nullable=True),
    Column("undone_by", String(12), nullable=True),  # person, gold_gate, admin, reopened
    _is_one_of("decision", Decision),
    Index("ix_judgement_item_id_person_id", "item_id", "person_id"),
    Index("ix_judgement_person_id_created_at", "person_id", "created_at"),
    # the database itself allows one live judgement per slot
    Index(
        "uq_judgement_slot_id_live",
        "slot_id",
        unique=True,
        sqlite_where=text("undone_at IS NULL"),
        postgresql_where=text("undone_at IS NULL"),
    ),
)

seen = Table(  # people who have seen a mask of a video: they get no blind items of this video
    "seen",
    metadata,
    Column("person_id", ForeignKey("person.id", ondelete="CASCADE"), primary_key=True),
    Column("video_id", ForeignKey("video.id"), primary_key=True),
    Column("at", Float, nullable=False),
    Index("ix_seen_video_id", "video_id"),
    Index("ix_seen_person_id_at", "person_id", "at"),
)

skipped = Table(
    "skipped",
    metadata,
    Column("person_id", ForeignKey("person.id", ondelete="CASCADE"), primary_key=True),
    Column("item_id", ForeignKey("item.id"), primary_key=True),
    Column("reason", String(40), nullable=False, default=""),
    Column("at", Float, nullable=False),
    Column("entry_round", Integer, nullable=True),  # of a gold item in the entry test: which time they took it
)

draft = Table(
    "draft",
    metadata,
    Column("slot_id", ForeignKey("slot.id"), primary_key=True),
    Column("person_id", ForeignKey("person.id", ondelete="CASCADE"), primary_key=True),
    Column("body", JSON, nullable=False),
    Column("version", Integer, nullable=False),
    Column("saved_at", Float, nullable=False),
)

reply = Table(  # the response to the first request with an Idempotency-Key; every repeated request gets it again
    "reply",
    metadata,
    Column("person_id", ForeignKey("person.id", ondelete="CASCADE"), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("request_sha256", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("actor", String(60), nullable=False),  # "person:3", "cli"
    Column("action", String(40), nullable=False),
    Column("subject", String(80), nullable=False),  # "slot:12"
    Column("body", Text, nullable=False),  # JSON, exactly as it was hashed
    Column("hash", String(64), nullable=False),  # sha256 of this row and the hash of the row before it
)

audit_head = Table(  # names the last row of the log, so that removed rows are noticed; locked by writers on PostgreSQL
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("last_id", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
)
