"""Annotate SA-V shards: `python -m pipeline.annotate --shard sav_000 --sav-root /data/sav`, or `make annotate`.

Give the same command again after a kill or a failure: done rows stay, failed ones are tried again.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from manifests.io import Folder
from manifests.schema import Status
from pipeline import build_manifest, dead_letter, graph, resume
from pipeline.config import ENGINES, RunConfig
from pipeline.demo.shard import draw_demo
from pipeline.engines import session
from pipeline.engines.config import ModelConfig
from pipeline.explain import explain
from pipeline.export import cost, frames, outcomes
from pipeline.export.run_info import EngineInfo
from pipeline.export.write import read_annotations, write_exports
from pipeline.progress import Progress
from pipeline.recipes import RECIPES
from pipeline.run_json import begin_run, end_run
from pipeline.writers.measured import MeasuredWriter
from stages.base import FatalError
from stages.sav_root import find_root, list_videos
from stages.shard import shard_names

logger = logging.getLogger("refsav")

EXIT_TOO_MANY_FAILED, EXIT_USER_ERROR, EXIT_FATAL = 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 0 done, 1 too many rows failed, 2 wrong settings, 3 stopped, run it again."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    for library in ("httpx2", "openai"):  # a line for each request
        logging.getLogger(library).setLevel(logging.WARNING)
    try:
        return annotate(options)
    except ValueError as error:
        logger.error("%s", error)
        return EXIT_USER_ERROR
    except FatalError as error:
        logger.error("stopped: %s. What is done is kept; give the same command again.", error)
        return EXIT_FATAL


def annotate(options: argparse.Namespace) -> int:
    """Run the command described by `options`; returns the exit code.

    Raises:
        ValueError: settings that cannot be carried out.
        FatalError: the run stopped; the same command goes on.
    """
    shards = shard_names(options.shard)
    out = Folder(options.out or f"runs/{'-'.join(shards)}")
    config = _config(options, shards)
    sav = _sav_root(options, shards, out)
    stages = graph.build(config, sav, MeasuredWriter())  # the order is the same whoever writes
    graph.check(stages)
    if options.check:
        logger.info("%d stages fit together: %s", len(stages), " -> ".join(stage.name for stage in stages))
        return 0
    if options.explain:
        sys.stdout.write(explain(out, sav, config, options.explain))
        return 0

    if options.store:
        frames.check_local(out, sav)
    session.check(config)
    started_s = time.monotonic()
    if shards == ["demo"] and sav.is_local and not sav.exists("sav_train/demo"):
        logger.info("drawing the demo shard into %s", sav.path())
        draw_demo(Path(sav.path()))
    if not out.exists("manifest.parquet"):
        for shard in shards:
            list_videos(sav.fs, sav.path(), shard)  # a wrong name is told before anything is made
    begin_run(out, config, session.revisions(config), sav, shards)
    if options.replay or options.prompt_changed:
        selection = dead_letter.parse(options.replay or ())
        chosen = dead_letter.take_back(out, selection, prompt_changed=options.prompt_changed)
        logger.info("%d masklets are run again", chosen)
    engine = _run(options, config, out, sav, shards)
    order = ["select_objects", *(stage.name for stage in stages)]
    table = read_annotations(out)
    outcomes.assert_sums(out.read_table("manifest.parquet", ["object_id"]), table)
    info = end_run(out, time.monotonic() - started_s, engine)
    write_exports(out, info, order)
    sys.stdout.write(f"{outcomes.as_text(table, order)}\n")
    if info["models"]:
        sys.stdout.write(f"\n{cost.as_text(table, info)}\n")
    sys.stdout.write(f"\nlook at  {out.path('report.html')}\n")
    sys.stdout.write(f"dataset  {out.path('annotations')}, {out.path('Ref-SAV.json')}, card {out.path('README.md')}\n")
    not_stored = frames.store_run(out, sav, options.workers) if options.store else 0

    lost = sum(table["status"].to_pylist().count(state) for state in (Status.FAILED, Status.POISONED))
    if lost > config.max_failed_frac * table.num_rows:
        logger.error(
            "%d of %d rows failed, more than max_failed_frac %g allows: see stage and detail in the report; "
            "the same command tries them again, %d times in all",
            *(lost, table.num_rows, config.max_failed_frac, config.max_attempts),
        )
        return EXIT_TOO_MANY_FAILED
    return EXIT_TOO_MANY_FAILED if not_stored else 0


def _run(
    options: argparse.Namespace, config: RunConfig, out: Folder, sav: Folder, shards: Sequence[str]
) -> EngineInfo | None:
    """Make the manifest if there is none, and take its undone rows through the stages; what the engine did, if any."""
    attempts = resume.take_back_failed(out)
    done = resume.done_ids(out)
    if out.exists("manifest.parquet"):
        todo = _rows(out) - len(done)
        if not todo:
            logger.info("all %d masklets are done", len(done))
            return None
    from pipeline import ray_adapter  # costs seconds that --help, --check and a finished run do not need

    workers = ray_adapter.connect(options.ray_address, options.workers, session.slots(config))
    try:
        if not out.exists("manifest.parquet"):
            tables = build_manifest.build(sav.fs, sav.path(), shards, config.select, ray_adapter.map_parallel)
            build_manifest.write(tables, out, config.rows_per_unit)
        todo = _rows(out) - len(done)
        with session.opened(config, out) as engine:
            logger.info("%d masklets, %d done before, %d workers", todo + len(done), len(done), workers)
            stages = graph.build(config, sav, engine.writer)
            job = ray_adapter.Job(out, stages, done, attempts, config.max_attempts)
            ray_adapter.run(job, {"cpu": workers, **engine.workers}, Progress(todo))
        return engine.info
    finally:
        ray_adapter.disconnect()


def _rows(out: Folder) -> int:
    return len(out.read_table("manifest.parquet", ["object_id"]))


def _config(options: argparse.Namespace, shards: Sequence[str]) -> RunConfig:
    recipe = options.recipe or ("demo" if shards == ["demo"] else "paper")
    if recipe not in RECIPES:
        raise ValueError(f"--recipe must be one of {', '.join(RECIPES)}, got {recipe!r}")
    names = ("engine", "engine_url", "max_attempts", "max_failed_frac", "rows_per_unit")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    config = RECIPES[recipe]()
    vlm, llm = (_model(options, getattr(config, role), getattr(options, f"{role}_model")) for role in ("vlm", "llm"))
    return replace(config, vlm=vlm, llm=llm or vlm, **given)


def _model(options: argparse.Namespace, model: ModelConfig | None, name: str | None) -> ModelConfig | None:
    """The recipe's model, or the one that was named instead: `name[@revision]`."""
    if name:
        name, _, revision = name.partition("@")
        if model is None or model.model != name:
            model = ModelConfig(model=name)  # what the recipe says of its own model does not hold for this one
        model = replace(model, revision=revision or model.revision)
    if model and options.in_flight is not None:
        model = replace(model, in_flight=options.in_flight)
    return model


def _sav_root(options: argparse.Namespace, shards: Sequence[str], out: Folder) -> Folder:
    if shards != ["demo"]:
        if "demo" in shards:
            raise ValueError("the demo shard is annotated by itself: give --shard demo alone")
        if not options.sav_root:
            raise ValueError("--sav-root (make: SAV_ROOT=…) must name the folder that holds sav_train/<shard>/")
        sav = Folder(options.sav_root)
        return sav.at(find_root(sav.fs, sav.path(), shards))
    return Folder(options.sav_root or (out.path("sav") if out.is_local else "runs/demo/sav"))


def parser() -> argparse.ArgumentParser:
    """The options; `make annotate` sets the common ones."""
    command = argparse.ArgumentParser(prog="python -m pipeline.annotate", description=__doc__)
    add = command.add_argument
    add("--shard", required=True, help="shard folder below SAV_ROOT/sav_train, several with commas, or demo")
    add("--sav-root", help="folder or fsspec URL that holds sav_train/; not needed for demo, which is drawn")
    add("--out", help="folder or fsspec URL of the run (default runs/<shard>)")
    add(
        "--recipe", help=f"{', '.join(RECIPES)} (default: demo for the demo shard, else paper); see pipeline/recipes.py"
    )
    add("--engine", choices=ENGINES, help="who writes: measured (no model, default), vllm (started here), http")
    add("--engine-url", help="with --engine http: an OpenAI-compatible endpoint, e.g. http://host:8000/v1")
    add(
        "--vlm-model", help="model for prompts with pictures: hub id, folder or served name, [@revision]; else recipe's"
    )
    add("--llm-model", help="model for prompts without; default the recipe's, else the VLM")
    add("--in-flight", type=int, help="requests open at a time for each replica of a model (default: the recipe's)")
    add(
        "--replay",
        nargs="+",
        metavar="NAME=VALUE",
        help="run chosen rows again: reason= stage= status= object_id= video_id=",
    )
    add(
        "--prompt-changed",
        action="store_true",
        help="alone or with --replay: rows whose prompts are not today's",
    )
    add("--explain", metavar="OBJECT_ID", help="print everything known of one masklet of the run, and stop")
    add("--workers", type=int, help="processes that work on rows (default: CPUs here, CPUs - 1 on a cluster)")
    add(
        "--ray-address",
        default=os.environ.get("RAY_ADDRESS"),
        help="Ray cluster (default $RAY_ADDRESS, else this machine)",
    )
    add("--max-attempts", type=int, help="a row that failed so often is poisoned and left alone")
    add("--max-failed-frac", type=float, help="exit code 1 if a larger share of all rows failed")
    add("--rows-per-unit", type=int, help="rows committed together: what a kill can cost")
    add("--store", action="store_true", help="also make the frame store that training reads, OUT/frames")
    add("--check", action="store_true", help="check settings and the order of the stages, run nothing")
    add("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"), help="default INFO")
    return command


if __name__ == "__main__":
    sys.exit(main())
