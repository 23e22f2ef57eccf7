"""The only file that runs stages on Ray: functions in parallel, and the stages on Ray Data.

Resume is Ray Data's row checkpoint (`ray.data.checkpoint`): a block's ids are written as pending, then its rows,
then the ids are renamed to committed, so that a kill at any point leaves rows that are either committed or cleaned up.
Its filter of done rows is replaced by our own read, which leaves out the done rows of the manifest: the filter
operator of Ray 2.60 stalls behind a read that it cannot be fused with, and loads ids through a second dataset (10 s).
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from ray.data import ActorPoolStrategy, DataContext
from ray.data.block import BlockMetadata
from ray.data.checkpoint import CheckpointConfig
from ray.data.checkpoint.checkpoint_filter import IdColumnCheckpointManager
from ray.data.datasource import Datasource, ReadTask
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from manifests.arrow import arrow_schema, to_table
from manifests.io import Folder
from manifests.schema import AnnotationRow, ManifestRow, Reason, Row, Status
from pipeline.run.feed import Feed, open_rows, open_units, processes
from pipeline.run.progress import Progress, Seen
from pipeline.run.run_stages import finish, run_stages
from stages.base import FatalError, Stage
from stages.render_views import RenderViews
from stages.select_policy import STAGE as SELECT_OBJECTS

logger = logging.getLogger(__name__)
T = TypeVar("T")
R = TypeVar("R")

_WAITING_CPUS = 0.05  # of a process that asks others and waits
_CRASHES = 2  # times that a video whose process died is tried again


def map_parallel(function: Callable[[T], R], items: Sequence[T], chunk: int = 8) -> Iterator[R]:
    """`map` over the cluster, results in order; `function` and items must be picklable.

    Only a few chunks for each CPU are under way or wait to be asked for. Exceptions of `function` come out.
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
    """What is run: the manifest below `out`, the stages, and which of its rows are done or were tried before."""

    out: Folder
    stages: Sequence[Stage]
    done: Collection[str]
    attempts: Mapping[str, int]
    max_attempts: int


@dataclass(frozen=True)
class Pools:
    """How many processes do what.

    Attributes:
        cpus: that compute, one video at a time.
        in_flight: requests that those which wait for an engine have open at a time, all together; 0 = there are none.
        rows_per_unit: rows of the manifest that are committed together.
    """

    cpus: int
    in_flight: int = 0
    rows_per_unit: int = 32


def run(job: Job, pools: Pools, progress: Progress) -> None:
    """Take every row of the manifest that is not done through the stages, into `annotations/*.parquet`.

    Stages of the pool "cpu" at the beginning compute: a Ray task takes the rows of one video through them, and a video
    whose process dies costs its own rows. Those that follow wait for an engine: few processes hold all of their rows.

    Raises:
        UselessEngineError: most rows got no usable answer.
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
    counter = _Counter.options(scheduling_strategy=here).remote()  # a node that is lost must not take it along
    first = next((at for at, stage in enumerate(job.stages) if stage.pool != "cpu"), len(job.stages))
    # Without the 1, Ray splits what few read tasks give into single rows, and a video is decoded once for each.
    dataset = ray.data.read_datasource(_Manifest(job), override_num_blocks=1).map_batches(
        _Feeder,
        fn_constructor_args=(job.stages[:first], job.stages[first:], counter, job.max_attempts, pools),
        batch_size=None,  # a unit of the manifest stays whole: it becomes one file
        batch_format="pyarrow",
        compute=_few_with_many_units(pools),
        num_cpus=_WAITING_CPUS,
    )
    try:
        with progress.watching(lambda: ray.get(counter.seen.remote())):
            dataset.write_parquet(job.out.path("annotations"), filesystem=job.out.arrow_fs)
    except ray.exceptions.RayError as error:
        fatal = ray.get(counter.fatal.remote())
        if fatal is None:  # the sink, the store or a machine: a full disk, a lost node
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
        enable_true_multi_threading=True,  # else calls run one at a time, whatever their number (ray/data compute.py)
    )


class _CleanUpOnly(IdColumnCheckpointManager):
    """Removes half-written blocks of a killed run; done rows are left out by `_Manifest`."""

    def load_checkpoint(self, data_file_dir: str | None = None, data_file_filesystem: Any = None) -> tuple[None, int]:
        self._clean_pending_checkpoints(data_file_dir, data_file_filesystem)
        return None, 0


class _Manifest(Datasource):
    """The undone rows of manifest.parquet, one read task per row group."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._schema = arrow_schema(ManifestRow)

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:
        tasks = []
        ids = _ids_by_row_group(self._job.out)
        for group, group_ids in enumerate(ids):
            todo = [object_id not in self._job.done for object_id in group_ids]
            if any(todo):
                attempts = [self._job.attempts.get(object_id, 0) for object_id in group_ids]
                meta = BlockMetadata(num_rows=sum(todo), size_bytes=None, input_files=None, exec_stats=None)
                read = _Read(self._job.out, group, todo, attempts)
                tasks.append(ReadTask(read, meta, schema=self._schema))
        return tasks


@dataclass(frozen=True)
class _Read:
    out: Folder
    group: int
    todo: list[bool]
    attempts: list[int]

    def __call__(self) -> Iterable[pa.Table]:
        with pq.ParquetFile(self.out.path("manifest.parquet"), filesystem=self.out.arrow_fs) as file:
            table = file.read_row_group(self.group).cast(arrow_schema(ManifestRow))
        at = table.schema.get_field_index("attempts")
        table = table.set_column(at, table.schema.field(at), pa.array(self.attempts, pa.int64()))
        yield table.filter(pa.array(self.todo))


def _ids_by_row_group(out: Folder) -> list[list[str]]:
    with pq.ParquetFile(out.path("manifest.parquet"), filesystem=out.arrow_fs) as file:
        groups = range(file.metadata.num_row_groups)
        return [file.read_row_group(group, columns=["object_id"])["object_id"].to_pylist() for group in groups]


class _Feeder:
    """Takes many units at a time through the stages: the first ones by tasks on any node, the waiting ones here."""

    def __init__(
        self, compute: Sequence[Stage], waiting: Sequence[Stage], counter: Any, max_attempts: int, pools: Pools
    ) -> None:
        self._counter, self._max_attempts = counter, max_attempts
        # What only stages need is dropped where it was made if no other stage follows.
        self._compute: Any = ray.put((list(compute), Row if waiting else AnnotationRow))
        for stage in waiting:
            stage.setup()
        number = processes(pools.in_flight)
        rows, renders = open_rows(pools.in_flight // number), max(1, pools.cpus // number)
        self._feed = Feed(self._render if compute else _as_they_are, waiting, rows, renders, self._close)

    def __call__(self, table: pa.Table) -> pa.Table:
        with _told(self._counter):
            return to_table(self._feed.run(_rows_of(table)), AnnotationRow)

    def _close(self, row: Row) -> None:
        """Give a row its final state, count it, and drop what is not written."""
        finish([row], self._max_attempts)
        sent = [call for call in row.calls if not call.stored]
        tokens_in, tokens_out = sum(call.tokens_in for call in sent), sum(call.tokens_out for call in sent)
        described = row.stage != SELECT_OBJECTS
        asked = Counter(described=described, requests=len(sent), tokens_in=tokens_in, tokens_out=tokens_out)
        self._counter.add.remote(row.object_id, row.status.value, asked)
        for name in Row.model_fields.keys() - AnnotationRow.model_fields.keys():  # its unit may be open for long
            setattr(row, name, Row.model_fields[name].get_default(call_default_factory=True))

    async def _render(self, rows: list[Row]) -> list[Row]:
        try:
            rendered: list[Row] = await _run_elsewhere.remote(self._compute, rows)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except ray.exceptions.RayError as error:  # its process died each time: a decoder that crashes, no memory left
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
def _told(counter: Any) -> Iterator[None]:
    """Ray hands the driver an exception without its cause: the counter keeps the first fatal one."""
    try:
        yield
    except FatalError as error:
        ray.get(counter.stop.remote(error))
        raise


@ray.remote(num_cpus=0)
class _Counter:
    """What the driver wants to know of its workers: rows by state, what was asked, and the first fatal error."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}  # by object_id: a unit whose node was lost is done again
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
