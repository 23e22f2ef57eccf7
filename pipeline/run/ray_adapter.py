"""The only file that runs stages on Ray: a parallel map, and the stages on Ray Data.

A run is resumed by Ray Data's row checkpoint (`ray.data.checkpoint`): a block's ids are written as pending, then its
rows, then the ids are renamed to committed. A kill at any point leaves rows that are either committed or cleaned up by
the next call. Ray's own filter of done rows is not used: in Ray 2.60 it stalls behind a read that it cannot be fused
with, and loads the ids through a second dataset (10 s). Instead, our datasource does not read the done rows.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray
from numpy.typing import NDArray
from ray.data import ActorPoolStrategy, DataContext
from ray.data.block import BlockMetadata
from ray.data.checkpoint import CheckpointConfig
from ray.data.checkpoint.checkpoint_filter import IdColumnCheckpointManager
from ray.data.datasource import Datasource, ReadTask
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from manifests.arrow import arrow_schema, conform, to_table
from manifests.io import Folder
from manifests.row_results import FatalError
from manifests.schema import AnnotationRow, ManifestRow, Reason, Row, Status
from pipeline.run.feed import Feed, open_rows, open_units, processes
from pipeline.run.progress_bar import RunProgress, Seen
from pipeline.run.run_stages import finish, run_stages
from pipeline.run.units import unit_ends
from stages.base import Stage
from stages.render_views import RenderViews
from stages.select_policy import STAGE as SELECT_OBJECTS

logger = logging.getLogger(__name__)
T = TypeVar("T")
R = TypeVar("R")

_WAITING_CPUS = 0.05  # reserved by a process that waits for an engine
_CRASHES = 2  # retries of a video whose process died


def map_parallel(function: Callable[[T], R], items: Sequence[T], chunk: int = 8) -> Iterator[R]:
    """Apply `function` to items on all nodes of the cluster; yield the results in order.

    Only a few chunks per CPU are computed ahead of what was taken. An exception of `function` is raised here.

    Args:
        function: must be picklable, as must the items and the results.
        items: its arguments.
        chunk: how many items one task of Ray takes.
    """

    @ray.remote
    def run(part: Sequence[T]) -> list[R]:
        return [function(item) for item in part]

    ahead = 4 * max(1, int(ray.cluster_resources().get("CPU", 1)))
    parts = (run.remote(items[start : start + chunk]) for start in range(0, len(items), chunk))
    waiting = deque(islice(parts, ahead))
    while waiting:
        try:
            results = ray.get(waiting.popleft())
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        waiting.extend(islice(parts, 1))
        yield from results


@dataclass(frozen=True)
class Job:
    """Says which stages to run, and on which rows of a manifest.

    Attributes:
        out: folder of the run, with `manifest.parquet`.
        stages: stages for its rows.
        done: object ids of the rows that are done, an array of strings.
        attempts: by object id, how often a row was tried before.
        max_attempts: a row that failed so often is poisoned.
    """

    out: Folder
    stages: Sequence[Stage]
    done: pa.Array
    attempts: Mapping[str, int]
    max_attempts: int


@dataclass(frozen=True)
class Pools:
    """Says how much a run does at a time.

    Attributes:
        cpus: processes that compute, each one video at a time.
        in_flight: open requests to the engine, of all processes together; 0 = no engine is asked.
        rows_per_unit: rows of the manifest that are committed together.
    """

    cpus: int
    in_flight: int = 0
    rows_per_unit: int = 32


def run(job: Job, pools: Pools, progress: RunProgress) -> None:
    """Run the stages on every row of the manifest that is not done, and write the rows to `annotations/*.parquet`.

    The first stages, those of the pool "cpu", compute: a Ray task runs them on the rows of one video, and a video whose
    process dies costs only its own rows. The stages that follow wait for an engine: a few processes hold all rows.

    Raises:
        UselessEngineError: most rows got no usable reply.
        FatalError: a stage or Ray said that the run cannot go on; what was committed stays.
    """
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.checkpoint_config = CheckpointConfig(
        id_column="object_id",
        checkpoint_path=job.out.path("checkpoint"),
        delete_checkpoint_on_success=False,
        override_filesystem=job.out.arrow_fs,
        checkpoint_manager_cls=_CleanUpOnly,
    )
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    counter = _Counter.options(
        scheduling_strategy=here
    ).remote()  # on this node, so that it does not get lost with another
    first = next((at for at, stage in enumerate(job.stages) if stage.pool != "cpu"), len(job.stages))
    # Without the 1, Ray splits the blocks of few read tasks into rows, and a video is decoded once for every row.
    dataset = ray.data.read_datasource(_Manifest(job, pools.rows_per_unit), override_num_blocks=1).map_batches(
        _Feeder,
        fn_constructor_args=(job.stages[:first], job.stages[first:], counter, job.max_attempts, pools),
        batch_size=None,  # a unit of the manifest is one batch, and becomes one file
        batch_format="pyarrow",
        compute=_few_with_many_units(pools),
        num_cpus=_WAITING_CPUS,
    )
    try:
        with progress.watching(lambda: ray.get(counter.seen.remote())):
            dataset.write_parquet(job.out.path("annotations"), filesystem=job.out.arrow_fs)
    except ray.exceptions.RayError as error:
        fatal = ray.get(counter.fatal.remote())
        if fatal is None:  # not from a stage: a full disk, a lost node
            logger.exception("Ray could not go on")
            fatal = FatalError(str(error).strip().splitlines()[-1])
        raise fatal from error


def _few_with_many_units(pools: Pools) -> ActorPoolStrategy:
    number = processes(pools.in_flight)
    units = open_units(pools.in_flight // number, pools.rows_per_unit)
    return ActorPoolStrategy(
        size=number,
        max_tasks_in_flight_per_actor=units,
        max_concurrent_calls_per_actor=units,
        enable_true_multi_threading=True,  # without it calls run one at a time (ray/data compute.py)
    )


class _CleanUpOnly(IdColumnCheckpointManager):
    """Removes half-written blocks of a killed run, and filters nothing: `_Manifest` leaves out the done rows."""

    def load_checkpoint(self, data_file_dir: str | None = None, data_file_filesystem: Any = None) -> tuple[None, int]:
        self._clean_pending_checkpoints(data_file_dir, data_file_filesystem)
        return None, 0


class _Manifest(Datasource):
    """Reads the rows of manifest.parquet that are not done, with one read task for each unit of work."""

    def __init__(self, job: Job, rows_per_unit: int) -> None:
        self._job, self._rows_per_unit = job, rows_per_unit
        self._schema = arrow_schema(ManifestRow)

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:
        with self._job.out.open_table("manifest.parquet") as file:
            ids = file.read(columns=["object_id", "video_id"])
            lengths = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        undone = pc.invert(pc.is_in(ids["object_id"], value_set=self._job.done)).to_numpy()
        tasks, first = [], 0
        for group, length in enumerate(lengths):
            start = 0
            for end in unit_ends(ids["video_id"].slice(first, length).to_pylist(), self._rows_per_unit):
                todo = start + np.flatnonzero(undone[first + start : first + end])
                if len(todo):
                    meta = BlockMetadata(num_rows=len(todo), size_bytes=None, input_files=None, exec_stats=None)
                    tried = [self._job.attempts.get(one, 0) for one in ids["object_id"].take(first + todo).to_pylist()]
                    tasks.append(ReadTask(_Read(self._job.out, group, todo, tried), meta, schema=self._schema))
                start = end
            first += length
        return tasks


@dataclass(frozen=True)
class _Read:
    out: Folder
    group: int
    todo: NDArray[np.int64]  # places of the rows in the row group
    attempts: list[int]  # of each of them

    def __call__(self) -> Iterable[pa.Table]:
        with self.out.open_table("manifest.parquet") as file:
            table = conform(file.read_row_group(self.group).take(self.todo), arrow_schema(ManifestRow))
        at = table.schema.get_field_index("attempts")
        yield table.set_column(at, table.schema.field(at), pa.array(self.attempts, pa.int64()))


class _Feeder:
    """Runs many units at a time through the stages: those that compute in tasks on any node, those that wait here."""

    def __init__(
        self, compute: Sequence[Stage], waiting: Sequence[Stage], counter: Any, max_attempts: int, pools: Pools
    ) -> None:
        self._counter, self._max_attempts = counter, max_attempts
        # If no other stage follows, columns that are not written are dropped in the task that made them.
        self._compute: Any = ray.put((list(compute), Row if waiting else AnnotationRow))
        for stage in waiting:
            stage.setup()
        number = processes(pools.in_flight)
        rows, renders = open_rows(pools.in_flight // number), max(1, pools.cpus // number)
        self._feed = Feed(self._render if compute else _as_they_are, waiting, rows, renders, self._close)

    def __call__(self, table: pa.Table) -> pa.Table:
        with _reported(self._counter):
            return to_table(self._feed.run(_rows_of(table)), AnnotationRow)

    def _close(self, row: Row) -> None:
        """Set the final state of a row, count it, and drop its columns that are not written."""
        finish([row], self._max_attempts)
        sent = [call for call in row.calls if not call.stored]
        tokens_in, tokens_out = sum(call.tokens_in for call in sent), sum(call.tokens_out for call in sent)
        described = row.stage != SELECT_OBJECTS
        asked = Counter(described=described, requests=len(sent), tokens_in=tokens_in, tokens_out=tokens_out)
        self._counter.add.remote(row.object_id, row.status.value, asked)
        for name in Row.model_fields.keys() - AnnotationRow.model_fields.keys():  # its unit may stay open for long
            setattr(row, name, Row.model_fields[name].get_default(call_default_factory=True))

    async def _render(self, rows: list[Row]) -> list[Row]:
        try:
            rendered: list[Row] = await _run_elsewhere.remote(self._compute, rows)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except ray.exceptions.RayError as error:  # its process died every time: the decoder crashes, or memory is short
            for row in rows:
                row.status, row.stage, row.reason = Status.FAILED, RenderViews.name, Reason.UNEXPECTED_ERROR
                row.detail = f"the process that works on {row.video_id} dies each time: {' '.join(str(error).split())}"
            return rows
        return rendered


@ray.remote(num_cpus=1, max_retries=_CRASHES)
def _run_elsewhere(what: tuple[Sequence[Stage], type[AnnotationRow]], rows: list[Row]) -> list[Row]:
    stages, kept = what
    for stage in stages:
        stage.setup()
    run_stages(stages, rows)
    return [Row.model_construct(**{name: getattr(row, name) for name in kept.model_fields}) for row in rows]


async def _as_they_are(rows: list[Row]) -> list[Row]:
    return rows


def _rows_of(table: pa.Table) -> list[Row]:
    return [Row.model_validate(row) for row in table.to_pylist()]


@contextmanager
def _reported(counter: Any) -> Iterator[None]:
    """Report a FatalError to the counter, which keeps the first: Ray passes exceptions to the driver without cause."""
    try:
        yield
    except FatalError as error:
        ray.get(counter.stop.remote(error))
        raise


@ray.remote(num_cpus=0)
class _Counter:
    """An actor that counts, for the driver, the rows by state and what was asked, and keeps the first fatal error."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}  # by object_id, because a unit whose node was lost is run again
        self._asked: Counter[str] = Counter()
        self._fatal: FatalError | None = None

    def add(self, object_id: str, state: str, asked: Counter[str]) -> None:
        self._states[object_id] = state
        self._asked.update(asked)

    def seen(self) -> Seen:
        return Seen(Counter(self._states.values()), **self._asked)

    def stop(self, why: FatalError) -> None:
        self._fatal = self._fatal or why

    def fatal(self) -> FatalError | None:
        return self._fatal
