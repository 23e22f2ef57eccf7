"""What a team should know of its quotas: which cannot be filled, and what a lowered one means."""

from collections.abc import Iterator

from sqlalchemy import Connection, distinct, func, select

from validation_ui.judging.items import IN_SPLIT
from validation_ui.schema import ItemState, item
from validation_ui.settings import Settings
from validation_ui.statistics.progress import progress


def quota_notes(connection: Connection) -> Iterator[str]:
    """Yield a sentence, without its full stop, for every quota that is overfull or cannot be filled."""
    yield from overfull(connection)
    yield from unfilled(connection)


def unfilled(connection: Connection) -> Iterator[str]:
    """Yield a sentence, without its full stop, for every quota that the candidates drawn so far cannot fill."""
    for name, quota in progress(connection, 0.0).quotas.items():
        if quota.reachable < quota.quota:
            yield f"the quota {name}={quota.quota} cannot be filled: this run has candidates for {quota.reachable}"


def overfull(connection: Connection) -> Iterator[str]:
    """Yield a sentence, without its full stop, for every quota below what was accepted."""
    settings = Settings.load(connection)
    for name, quota in progress(connection, 0.0).quotas.items():
        if quota.accepted > quota.quota:
            yield _overfull(
                f"{name}={quota.quota} is below the {quota.accepted} that were accepted: they stay accepted"
            )
    objects = func.count(distinct(item.c.masklet_id))
    accepted = select(item.c.video_id).where(item.c.state == ItemState.ACCEPTED, IN_SPLIT).group_by(item.c.video_id)
    full = connection.execute(accepted.having(objects > settings.per_video)).all()
    if full:
        yield _overfull(
            f"per_video={settings.per_video} is below the accepted objects of {len(full)} videos: they stay accepted"
        )


def _overfull(what: str) -> str:
    return f"{what}, nothing new of this sort is begun, and the export is refused until it is raised again"
