"""All of SA-V as rows: `python -m benchmarks.scale`, or `--shards 1 10` for less.

50,583 videos and 642,036 masklets in 56 shards, invented: as many rows, files and bytes as a run would leave, but
nothing is decoded and no model asked. For 1, 10 and 56 shards it prints seconds, processor seconds (which other work on
the machine hardly changes) and peak memory of every step that sees all rows of a run, or all runs of a dataset:

- *manifest*: rows of N shards are written to one manifest (the time to invent them is in it);
- *resume*: a run of N shards, all done but for one failed row in 500, is continued;
- *exports*: Ref-SAV.json, card, bill and report of that run;
- *publish*: N runs of one shard each become one dataset, viewer included;
- *diff*: that dataset and a run of N shards in which a prompt was changed.

Wanted: time in proportion to the rows, and memory that does not follow them. The largest size writes 9 GB to --root.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.arrow import arrow_schema, to_table
from manifests.io import Folder
from manifests.outputs import TRAIN_FILE
from manifests.schema import AnnotationRow, ManifestRow, Reason, Status
from pipeline import build_manifest, diff
from pipeline.export import card, cost, outcomes, refsav_json, report
from pipeline.export.annotations import Annotations
from pipeline.publishing.publish_dataset import PublishSettings, publish
from pipeline.publishing.runs import open_run
from pipeline.run import resume
from pipeline.run.run_json import RunInfo
from tests.pipeline import model_rows, rows

SHARDS, VIDEOS, MASKLETS = 56, 50_583, 642_036
UNIT = 32  # rows of a file, as a run writes them
KEPT, DESCRIBED = 1.43, 0.6  # objects of a video that are kept (72,509 / 50,583), and that are described and rejected
PREVIEW_BYTES = 30_000
FAILED_EVERY = 500
STEPS = ("manifest", "resume", "exports", "publish", "diff")
PROMPT = "compose_expression@00000000"
ROOT = Path(__file__).parent.parent


def main() -> None:
    """Run the steps at every size, each in a process of its own, and print a table."""
    command = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    command.add_argument("--shards", type=int, nargs="+", default=[1, 10, SHARDS])
    command.add_argument("--root", type=Path, help="folder for the runs; default a temporary one")
    command.add_argument("--steps", choices=STEPS, nargs="+", default=STEPS, help="default all; diff needs publish")
    command.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = command.parse_args()
    if options.step:
        began_s = time.monotonic()
        _STEPS[options.step](options.root, options.shards[0])
        print(json.dumps(time.monotonic() - began_s))
        return
    with tempfile.TemporaryDirectory() as scratch:
        root = options.root or Path(scratch)
        print(f"{'step':>9} {'shards':>6} {'rows':>8} {'s':>8} {'CPU s':>8} {'CPU ms a row':>12} {'peak MiB':>9}")
        for count in sorted(options.shards):
            for step in options.steps:
                for side in {"manifest": "", "diff": "ab"}.get(step, "a"):
                    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
                        list(pool.map(make_shard, *zip(*((root, shard, side) for shard in range(count)), strict=True)))
                seconds, cpu_s, peak_mib = measured(step, root, count)
                masklets = sum(masklets_of(shard) for shard in range(count))
                told = f"{step:>9} {count:6} {masklets:8,} {seconds:8.1f} {cpu_s:8.1f} {1e3 * cpu_s / masklets:12.3f}"
                print(f"{told} {peak_mib:9.0f}", flush=True)


def measured(step: str, root: Path, count: int) -> tuple[float, float, float]:
    """Seconds, processor seconds and peak MiB of a step in its own process."""
    command = [sys.executable, "-m", "benchmarks.scale", "--step", step, "--root", str(root), "--shards", str(count)]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    output = child.stdout.read() if child.stdout else ""
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{step} ended with {child.returncode}: {output}")
    return float(output.strip().splitlines()[-1]), used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


# ---- the steps ----


def _manifest(root: Path, count: int) -> None:
    out = Folder(str(root / f"manifest_{count}"))
    columns = arrow_schema(ManifestRow).names
    tables = (unit.select(columns) for shard in range(count) for unit in units(shard, previews=False))
    build_manifest.write(tables, out, UNIT)


def _resume(root: Path, count: int) -> None:
    out = _linked(root, count, "a")
    before = len(resume.done_ids(out))
    attempts = resume.take_back_failed(out)
    assert len(attempts) == before - len(resume.done_ids(out)) > 0


def _exports(root: Path, count: int) -> None:
    out, info, stages = _linked(root, count, "exports"), run_info(range(count)), list(model_rows.STAGES)
    annotations = Annotations(out)
    table = annotations.select(["object_id", "status", "stage", "reason"])
    outcomes.assert_sums(table, table)
    bill = cost.cost(annotations, info)
    out.write_text(TRAIN_FILE, refsav_json.text(annotations))
    out.write_text("README.md", [card.card(annotations, info, stages, bill)])
    out.write_text("report.html", report.report(annotations, info, stages, bill))


def _publish(root: Path, count: int) -> None:
    runs = [open_run(str(root / f"a/{shard:03d}")) for shard in range(count)]
    publish(runs, PublishSettings(out=root / f"dataset_{count}", date="2026-11-26"), lambda _: None)


def _diff(root: Path, count: int) -> None:
    after = _linked(root, count, "b")
    given = [str(root / f"dataset_{count}"), after.path(), "--out", str(root / f"diff_{count}")]
    assert diff.main(given) == 0


_STEPS: dict[str, Callable[[Path, int], None]] = {
    "manifest": _manifest,
    "resume": _resume,
    "exports": _exports,
    "publish": _publish,
    "diff": _diff,
}


# ---- invented runs ----


def masklets_of(shard: int) -> int:
    """Number of masklets of a shard: as even as can be."""
    return MASKLETS * (shard + 1) // SHARDS - MASKLETS * shard // SHARDS


def run_info(shards: range) -> RunInfo:
    """The run.json of a run of these shards."""
    config = {"recipe": "paper", "repair": True, "sampling": {"seed": 0}}
    return {**model_rows.RUN, "shards": [f"sav_{shard:03d}" for shard in shards], "config": config}


def make_shard(root: Path, shard: int, side: str) -> None:
    """Write a shard as run `a`, or as run `b`, whose expressions are of another prompt; once is enough."""
    out = Folder(str(root / f"{side}/{shard:03d}"))
    if out.exists("run.json"):
        return
    manifest = []
    for number, unit in enumerate(units(shard, previews=side == "a")):
        table = changed(unit) if side == "b" else unit
        out.write_table(f"annotations/{shard:03d}_{number:06d}-0.parquet", table)
        out.write_table(f"checkpoint/{shard:03d}_{number:06d}.parquet", table.select(["object_id"]))
        manifest.append(table.select(["object_id", "video_id", "status"]))
    out.write_table("manifest.parquet", pa.concat_tables(manifest))
    out.write_json("run.json", run_info(range(shard, shard + 1)))


def units(shard: int, *, previews: bool) -> Iterator[pa.Table]:
    """Yield the rows of a shard as tables of UNIT rows."""
    kinds = {"kept": _template(0), "described": _template(1), "plain": _template(2), "failed": _template(3)}
    template = pa.concat_tables(kinds.values())
    first_video = VIDEOS * shard // SHARDS
    videos = VIDEOS * (shard + 1) // SHARDS - first_video
    total = masklets_of(shard)
    noise = np.random.default_rng(shard)
    for start in range(0, total, UNIT):
        numbers = np.arange(start, min(start + UNIT, total))
        of_video = numbers * videos // total
        place = numbers - (of_video * total + videos - 1) // videos
        kept_of = np.floor((of_video + 1) * KEPT) - np.floor(of_video * KEPT)
        described_of = np.floor((of_video + 1) * DESCRIBED) - np.floor(of_video * DESCRIBED)
        kind = np.where(place < kept_of, 0, np.where(place < kept_of + described_of, 1, 2))
        kind = np.where((kind == 2) & (numbers % FAILED_EVERY == 7), 3, kind)
        ids = [f"sav_{first_video + v:06d}" for v in of_video.tolist()]
        object_ids = [f"{video}/manual/{p}" for video, p in zip(ids, place.tolist(), strict=True)]
        folder = f"sav_train/sav_{shard:03d}"
        table = template.take(kind)
        columns: dict[str, list[object]] = {
            "object_id": list(object_ids),
            "video_id": list(ids),
            "shard": [f"sav_{shard:03d}"] * len(ids),
            "masklet_position": place.tolist(),
            "video_path": [f"{folder}/{video}.mp4" for video in ids],
            "anno_path": [f"{folder}/{video}_manual.json" for video in ids],
        }
        if previews:
            columns["preview_jpeg"] = [noise.bytes(PREVIEW_BYTES) if one == 0 else None for one in kind.tolist()]
        for name, values in columns.items():
            at = table.schema.get_field_index(name)
            table = table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))
        yield _with_keys(table, object_ids)


def changed(unit: pa.Table) -> pa.Table:
    """The same rows, with another last prompt and another expression in those that are kept."""
    kept = pc.equal(unit["status"], Status.KEPT.value)
    asked = zip(unit["prompt_ids"].to_pylist(), kept.to_pylist(), strict=True)
    columns = {
        "prompt_ids": [[*ids[:-1], PROMPT] if is_kept else ids for ids, is_kept in asked],
        "expression": pc.replace_substring(unit["expression"], "medium", "middling"),
    }
    for name, values in columns.items():
        at = unit.schema.get_field_index(name)
        field = unit.schema.field(at)
        column = values if isinstance(values, pa.ChunkedArray) else pa.array(values, field.type)
        unit = unit.set_column(at, field, column)
    return unit


def _template(kind: int) -> pa.Table:
    if kind == 0:
        row = model_rows.kept(0, 0)
    elif kind == 1:
        asked = model_rows.calls("x", model_rows.PASS[:3])
        row = model_rows.lost(0, 0, Status.REJECTED, "check_consistency", Reason.INCONSISTENT, asked)
    elif kind == 2:
        row = rows.stopped(0, 0, 0)
    else:
        row = model_rows.lost(0, 0, Status.FAILED, "caption_object", Reason.ENGINE_ERROR, [])
    return to_table([row], AnnotationRow)


def _with_keys(table: pa.Table, object_ids: list[str]) -> pa.Table:
    """Give every request a key of its own."""
    calls = table["calls"].combine_chunks()
    inner = calls.flatten()
    owners = np.repeat(np.arange(len(calls)), calls.value_lengths().to_numpy())
    keys = pa.array([f"{object_ids[owner]}:{n}" for n, owner in enumerate(owners.tolist())], pa.string())
    fields = list(inner.type)
    arrays = [keys if field.name == "key" else inner.field(place) for place, field in enumerate(fields)]
    struct = pa.StructArray.from_arrays(arrays, fields=fields)
    lengths = np.concatenate([[0], np.cumsum(calls.value_lengths().to_numpy())]).astype(np.int32)
    at = table.schema.get_field_index("calls")
    field = table.schema.field(at)
    return table.set_column(at, field, pa.ListArray.from_arrays(pa.array(lengths), struct).cast(field.type))


def _linked(root: Path, count: int, name: str) -> Folder:
    """One run of `count` shards: hard links to the files of the runs of one shard."""
    side = "b" if name == "b" else "a"
    out = root / f"linked_{name}_{count}"
    if not out.exists():
        for folder in ("annotations", "checkpoint"):
            (out / folder).mkdir(parents=True)
            for shard in range(count):
                for path in (root / f"{side}/{shard:03d}/{folder}").iterdir():
                    os.link(path, out / folder / path.name)
        Folder(str(out)).write_json("run.json", run_info(range(count)))
    return Folder(str(out))


if __name__ == "__main__":
    main()
