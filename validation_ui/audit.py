"""The audit log: append-only rows in a hash chain, written in the same transaction as the change that they record.

The hash of a row covers the row and the hash of the row before it, so a later change of any row can be detected.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, update

from validation_ui.schema import audit, audit_head

_START = "0" * 64
_HEAD = select(audit_head.c.last_id, audit_head.c.hash).with_for_update()
_APPEND, _MOVE_HEAD = insert(audit), update(audit_head)


def append(
    connection: Connection, *, at: float, actor: str, action: str, subject: str, body: Mapping[str, Any] | None = None
) -> None:
    """Add a row. Call this last in a transaction: on PostgreSQL it holds the lock of the log until the commit."""
    last_id, previous = connection.execute(_HEAD).one()
    row = {
        "id": last_id + 1,
        "at": at,
        "actor": actor,
        "action": action,
        "subject": subject,
        "body": json.dumps(dict(body or {}), sort_keys=True, ensure_ascii=False),
    }
    row["hash"] = _hash(row, previous)
    connection.execute(_APPEND, row)
    connection.execute(_MOVE_HEAD, {"last_id": row["id"], "hash": row["hash"]})


def lock(connection: Connection) -> None:
    """Make other transactions that write the log wait until this one ends; on SQLite they wait anyway."""
    connection.execute(_HEAD)


def verify(connection: Connection) -> int:
    """Check the hash of every row and return the number of rows.

    Raises:
        ValueError: a row was changed, removed or added from outside; the message names the first one.
    """
    previous, count = _START, 0
    for row in rows(connection):
        count += 1
        if row["id"] != count or row["hash"] != _hash(row, previous):
            raise ValueError(
                f"the audit log is not as it was written: row {count} should follow row {count - 1}, and what stands "
                f"there is row {row['id']}, {row['action']} of {row['subject']}; compare with a backup"
            )
        previous = row["hash"]
    head = connection.execute(select(audit_head)).one()
    if (head.last_id, head.hash) != (count, previous):
        raise ValueError(f"the audit log is not as it was written: it had {head.last_id} rows, and {count} are left")
    return count


def rows(connection: Connection) -> Iterator[dict[str, Any]]:
    """Iterate over the rows of the log, oldest first."""
    wanted = select(audit).order_by(audit.c.id).execution_options(yield_per=1000)
    for row in connection.execute(wanted).mappings():
        yield dict(row)


def _hash(row: Mapping[str, Any], previous: str) -> str:
    text = json.dumps([row[key] for key in ("id", "at", "actor", "action", "subject", "body")], ensure_ascii=False)
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()
