"""The only file that runs stages on Ray: functions in parallel, and the stages on Ray Data.

Resume is Ray Data's row checkpoint (`ray.data.checkpoint`): a block's ids are written as pending, then its rows,
then the ids are renamed to committed, so that a kill at any point leaves rows that are either committed or cleaned up.
Its filter of done rows is replaced by our own read, which leaves out the done rows of the manifest: the filter
operator of Ray 2.60 stalls behind a read that it cannot be fused with, and loads ids through a second dataset (10 s).
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
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

from manifests.arrow import arrow_schema, to_table
from manifests.io import Folder
from manifests.schema import AnnotationRow, ManifestRow, Row
from pipeline.progress import Progress
from pipeline.run_stages import finish, run_stages
from stages.base import FatalError, Stage

logger = logging.getLogger(__name__)
T = TypeVar("T")
R = TypeVar("R")

_WAITING_CPUS = 0.05  # of a process that asks others and waits
_UNITS_IN_FLIGHT = (
    4  # of such a process: while the last rows of one unit are waited for, the next keeps the engine busy
)


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


def run(job: Job, workers: Mapping[str, int], progress: Progress) -> None:
    """Take every row of the manifest that is not done through the stages, into `annotations/*.parquet`.

    `workers` is the number of processes for each pool of stages; only those of "cpu" compute, the others wait.

    Raises:
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
    counter = _Counter.remote()
    pools = _pools(job.stages)
    # Without the 1, Ray splits what few read tasks give into single rows, and a video is decoded once for each.
    dataset = ray.data.read_datasource(_Manifest(job), override_num_blocks=1)
    for position, pool in enumerate(pools):
        name = pool[0].pool
        dataset = dataset.map_batches(
            _Worker,
            fn_constructor_args=(pool, counter, job.max_attempts if position == len(pools) - 1 else None),
            batch_size=None,  # a unit of the manifest stays whole: the objects of a video share one decode
            batch_format="pyarrow",
            compute=ActorPoolStrategy(
                min_size=1,
                max_size=workers[name],
                max_concurrent_calls_per_actor=None if name == "cpu" else _UNITS_IN_FLIGHT,
            ),
            num_cpus=1 if name == "cpu" else _WAITING_CPUS,
        )
    try:
        with progress.watching(lambda: dict(ray.get(counter.counts.remote()))):
            dataset.write_parquet(job.out.path("annotations"), filesystem=job.out.arrow_fs)
    except ray.exceptions.RayError as error:
        fatal = ray.get(counter.fatal.remote())
        if fatal is None:  # the sink, the store or a machine: a full disk, a lost node
            logger.exception("Ray could not go on")
            fatal = str(error).strip().splitlines()[-1]
        raise FatalError(fatal) from error


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


class _Worker:
    """Some stages on one process; the last pool of a run also closes the rows and counts them."""

    def __init__(self, stages: Sequence[Stage], counter: Any, max_attempts: int | None) -> None:
        """`max_attempts` is None in all pools but the last."""
        self._stages, self._counter, self._max_attempts = stages, counter, max_attempts
        for stage in stages:
            stage.setup()

    def __call__(self, table: pa.Table) -> pa.Table:
        rows = [Row.model_validate(row) for row in table.to_pylist()]
        try:
            run_stages(self._stages, rows)
        except FatalError as error:
            ray.get(self._counter.stop.remote(str(error)))  # Ray hands the driver an exception without its cause
            raise
        if self._max_attempts is None:
            return to_table(rows, Row)
        finish(rows, self._max_attempts)
        self._counter.add.remote(Counter(row.status.value for row in rows))
        return to_table(rows, AnnotationRow)


@ray.remote(num_cpus=0)
class _Counter:
    """What the driver wants to know of its workers: rows by state, and the first fatal error."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._fatal: str | None = None

    def add(self, counts: Counter[str]) -> None:
        self._counts.update(counts)

    def counts(self) -> dict[str, int]:
        return dict(self._counts)

    def stop(self, why: str) -> None:
        self._fatal = self._fatal or why

    def fatal(self) -> str | None:
        return self._fatal


def _pools(stages: Sequence[Stage]) -> list[list[Stage]]:
    pools: list[list[Stage]] = []
    for stage in stages:
        if pools and pools[-1][-1].pool == stage.pool:
            pools[-1].append(stage)
        else:
            pools.append([stage])
    return pools
