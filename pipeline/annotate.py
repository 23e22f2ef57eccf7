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
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from manifests.arrow import arrow_schema
from manifests.io import Folder
from manifests.outputs import NEGATIVES_FILE, TRAIN_FILE, check_out
from manifests.row_results import FatalError
from manifests.schema import AnnotationRow, Status
from pipeline import build_manifest, dead_letter
from pipeline.audit.figures import Audit
from pipeline.audit.given_texts import TEXTS_FILE, GivenTexts, check_texts, read_given
from pipeline.audit.text_ends import MANIFEST_COLUMNS, as_csv, text_ends
from pipeline.demo.draw_demo import draw_demo
from pipeline.engines import reply_packs
from pipeline.engines.address import bypass_for_loopback
from pipeline.engines.models import EngineModel
from pipeline.explain import explain
from pipeline.export import card, cost, frames, negatives_json, outcomes, refsav_json, report
from pipeline.export.annotations import Annotations
from pipeline.run import graph, progress_bar, resume, session
from pipeline.run.feed import BAD, UselessEngineError
from pipeline.run.recipes import RECIPES, TOKENS_PER_OBJECT
from pipeline.run.run_config import ENGINES, RunConfig
from pipeline.run.run_json import EngineInfo, begin_run, end_run, note_engine, note_useless_pass
from pipeline.run.thresholds import with_thresholds
from pipeline.verification.summary import Findings, verify
from pipeline.writers.measured import MeasuredWriter
from stages.lineup_trials import LineupConfig
from stages.sav_root import find_root, list_videos
from stages.select_policy import STAGE as SELECT_OBJECTS
from stages.shard import shard_names

logger = logging.getLogger("refsav")

EXIT_TOO_MANY_FAILED, EXIT_USER_ERROR, EXIT_FATAL = 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 1 too many rows failed, 2 wrong settings, 3 stopped."""
    options = parser().parse_args(_joined(sys.argv[1:] if arguments is None else arguments))
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    for library in ("httpx2", "openai"):  # they would log a line for each request
        logging.getLogger(library).setLevel(logging.WARNING)
    bypass_for_loopback()
    try:
        return annotate(options)
    except ValueError as error:
        logger.error("%s", error)
        return EXIT_USER_ERROR
    except (FatalError, OSError) as error:  # OSError: a disk that is full, gone or not writable
        logger.error("stopped: %s. What is done is kept; give the same command again.", error)
        return EXIT_FATAL


def annotate(options: argparse.Namespace) -> int:
    """Run the command with these options; returns the exit code, 0 or 1.

    Raises:
        ValueError: the settings are wrong or contradict one another.
        FatalError: the run stopped; the same command continues it.
    """
    shards = shard_names(options.shard)
    if options.limit is not None and options.limit < 1:
        raise ValueError(f"--limit must be at least 1, got {options.limit}")
    out = Folder(options.out or f"runs/{'-'.join(shards)}{'-texts' if options.texts else ''}")
    given = read_given(options.texts) if options.texts else None
    config = _config(options, shards, given)
    sav = _sav_root(options, shards, out)
    stages = graph.build(config, sav, MeasuredWriter())  # only for their order, which does not depend on the writer
    graph.check(stages)
    if options.check:
        logger.info("%d stages fit together: %s", len(stages), " -> ".join(stage.name for stage in stages))
        return 0
    if options.explain:
        sys.stdout.write(explain(out, sav, config, options.explain))
        return 0

    if out.is_local:
        check_out(Path(out.path()))
    if options.store:
        frames.check_local(out, sav)
    if options.replay or options.prompt_changed or _to_do(out):
        config = session.check(config)
    started_s = time.monotonic()
    if shards == ["demo"] and sav.is_local and not sav.exists("sav_train/demo"):
        logger.info("drawing the demo shard into %s", sav.path())
        draw_demo(Path(sav.path()))
    if not out.exists("manifest.parquet"):
        # raises for a wrong name, before anything is written
        videos = {files.video_id for shard in shards for files in list_videos(sav.fs, sav.path(), shard)}
        if given:
            check_texts(given, options.texts, out, videos)
    begin_run(out, config, session.revisions(config), sav, shards)
    if options.replay or options.prompt_changed:
        selection = dead_letter.parse(options.replay or ())
        chosen = dead_letter.take_back(out, selection, prompt_changed=options.prompt_changed)
        logger.info("%d masklets are run again", chosen)
    engine = _run(options, config, out, sav, shards, given)
    order = [SELECT_OBJECTS, *(stage.name for stage in stages)]
    annotations = Annotations(out)
    table = annotations.select(["object_id", "status", "stage", "reason"])
    manifest = out.read_table("manifest.parquet", ["object_id", "video_id", "status"])
    not_taken = _ids_without(_left_out(manifest, options.limit), table["object_id"])
    outcomes.assert_sums(_without(manifest, not_taken), table)
    info = end_run(out, time.monotonic() - started_s, engine)
    if not len(not_taken):
        reply_packs.pack_if_many(out)
    bill = cost.cost(annotations, info)
    out.write_text(TRAIN_FILE, refsav_json.text(annotations))
    out.write_text(NEGATIVES_FILE, negatives_json.text(annotations))
    verified: Findings | None = verify(annotations)
    if given:
        ends = text_ends(given, out.read_table("manifest.parquet", MANIFEST_COLUMNS), annotations)
        out.write_text(TEXTS_FILE, as_csv(ends))
        verified = Audit(given, ends, verify(annotations), repair=config.repair)
    out.write_text("README.md", [card.card(annotations, info, order, bill, verified)])
    out.write_text("report.html", report.report(annotations, info, order, bill, verified=verified))
    sys.stdout.write(f"{outcomes.as_text(table, order)}\n")
    if len(not_taken):
        sys.stdout.write(f"{len(not_taken):,} more are left by --limit: the same command without it goes on\n")
    if verified:
        sys.stdout.write(f"\n{verified.as_text()}\n")
    if info["models"]:
        sys.stdout.write(f"\n{cost.as_text(bill)}\n")
    if given:
        sys.stdout.write(f"\ntexts    {out.path(TEXTS_FILE)}: what became of each\n")
    sys.stdout.write(f"\nlook at  {out.path('report.html')}\n")
    sys.stdout.write(f"dataset  {out.path('annotations')}, {out.path(TRAIN_FILE)}, card {out.path('README.md')}\n")
    not_stored = frames.store_run(out, sav, options.workers) if options.store else 0

    lost = _count(table, Status.FAILED) + _count(table, Status.POISONED)
    if lost > config.max_failed_frac * table.num_rows:
        logger.error(
            "%d of %d rows failed, more than max_failed_frac %g allows: see stage and detail in the report; "
            "the same command tries them again, %d times in all",
            *(lost, table.num_rows, config.max_failed_frac, config.max_attempts),
        )
        return EXIT_TOO_MANY_FAILED
    return EXIT_TOO_MANY_FAILED if not_stored else 0


def _to_do(out: Folder) -> bool:
    """Tell whether any row is left to do, so that an engine will be needed; a row that failed is."""
    if not out.exists("manifest.parquet"):
        return True
    table = out.read_tables("annotations", arrow_schema(AnnotationRow), ["status"])
    return len(table) < _rows(out) or _count(table, Status.FAILED) > 0


def _run(
    options: argparse.Namespace,
    config: RunConfig,
    out: Folder,
    sav: Folder,
    shards: Sequence[str],
    given: GivenTexts | None,
) -> EngineInfo | None:
    """Build the manifest if there is none, and run the stages on its undone rows; returns what the engine did."""
    attempts = resume.take_back_failed(out)
    done = resume.done_ids(out)
    if out.exists("manifest.parquet") and _rows(out) == len(done):
        logger.info("all %d masklets are done", len(done))
        return None
    from pipeline.run import ray_adapter, ray_connect  # here, because Ray takes seconds to import

    workers = ray_connect.connect(options.ray_address, options.workers, session.slots(config))
    try:
        texts = given.by_object() if given else None
        if not out.exists("manifest.parquet"):
            tables = build_manifest.build(sav.fs, sav.path(), shards, config.select, ray_adapter.map_parallel, texts)
            build_manifest.write(tables, out, config.rows_per_unit)
        manifest = out.read_table("manifest.parquet", ["object_id", "video_id", "status"])
        not_taken = 0
        if options.limit:
            left_out = _ids_without(_left_out(manifest, options.limit), done)
            done, not_taken = pa.concat_arrays([done, *left_out.chunks]), len(left_out)
        todo = _without(manifest, done)
        if not len(manifest):
            logger.warning("the annotation files of %s have no masklets: there is nothing to do", ", ".join(shards))
            return None
        if not len(todo):
            logger.info("all masklets of the %d videos that --limit takes are done", options.limit)
            return None
        pending = _count(todo, Status.PENDING)
        asked = sum(len(texts.get(name, ())) for name in todo["object_id"].to_pylist()) if texts else None
        plan = progress_bar.estimate_run(config, pending, asked) if config.models else None
        if plan:
            what = f"{pending} objects to describe" if asked is None else f"{asked} texts of {pending} objects to audit"
            logger.info("%s: about %s", what, plan)
        with session.opened(config, out) as engine:
            if plan and engine.info:
                note_engine(out, engine.info)
                took_h = progress_bar.estimate_h(plan, config.in_flight, *engine.timed)
                logger.info("at the speed of the first request that is about %s", progress_bar.in_words(took_h))
            before = f"{len(manifest) - len(todo) - not_taken} done before"
            before += f", {not_taken} left by --limit" if not_taken else ""
            logger.info("%d masklets, %s, %d workers", len(manifest), before, workers)
            stages = graph.build(config, sav, engine.writer, _catch_frac(config, manifest, options.limit))
            job = ray_adapter.Job(out, stages, done, attempts, config.max_attempts)
            pools = ray_adapter.Pools(workers, config.in_flight if config.models else 0, config.rows_per_unit)
            correct = partial(progress_bar.corrected_estimate, plan) if plan else None
            ray_adapter.run(job, pools, progress_bar.RunProgress(len(todo), correct))
        return engine.info
    except UselessEngineError:
        note_useless_pass(out)
        resume.forgive(out, BAD, done)
        raise
    finally:
        ray_connect.disconnect()


def _catch_frac(config: RunConfig, manifest: pa.Table, limit: int | None) -> float:
    """Return the share of the objects that get catch trials: so that enough of those that are described have some."""
    if config.lineup is None:
        return 0.0
    described = _count(_without(manifest, _left_out(manifest, limit)), Status.PENDING)
    return config.lineup.catch_share(described)


def _left_out(manifest: pa.Table, limit: int | None) -> pa.ChunkedArray:
    """Return the ids of the rows that --limit leaves out; none without it."""
    return build_manifest.rows_left_out(manifest, limit) if limit else manifest["object_id"].slice(0, 0)


def _without(manifest: pa.Table, object_ids: pa.Array | pa.ChunkedArray) -> pa.Table:
    return manifest.filter(pc.invert(pc.is_in(manifest["object_id"], value_set=_array(object_ids))))


def _ids_without(object_ids: pa.ChunkedArray, others: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    return object_ids.filter(pc.invert(pc.is_in(object_ids, value_set=_array(others))))


def _array(object_ids: pa.Array | pa.ChunkedArray) -> pa.Array:
    return object_ids.combine_chunks() if isinstance(object_ids, pa.ChunkedArray) else object_ids


def _count(table: pa.Table, status: Status) -> int:
    return int(pc.sum(pc.equal(table["status"], status.value)).as_py() or 0)


def _rows(out: Folder) -> int:
    return len(out.read_table("manifest.parquet", ["object_id"]))


def _config(options: argparse.Namespace, shards: Sequence[str], texts: GivenTexts | None = None) -> RunConfig:
    recipe = options.recipe or ("demo" if shards == ["demo"] else "paper")
    if recipe not in RECIPES:
        raise ValueError(f"--recipe must be one of {', '.join(RECIPES)}, got {recipe!r}")
    names = ("engine", "engine_url", "in_flight", "request", "max_attempts", "max_failed_frac", "rows_per_unit")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    if "request" in given:
        given["request"] = tuple(given["request"])
    config = RECIPES[recipe]()
    if options.lineup or texts:
        given["lineup"] = None if options.lineup == "off" else config.lineup or LineupConfig()
    if options.repair or texts:
        given["repair"] = options.repair == "on"
    if texts:
        given |= {"texts_file": texts.name, "texts_sha256": texts.sha256, "short": False, "on_contradiction": "reject"}
    if options.judge_model and not given.get("lineup", config.lineup):
        raise ValueError(
            f"--judge-model (make: JUDGE_MODEL=…) is asked in line-ups, and recipe {recipe!r} has none here: give "
            "--lineup on (make: LINEUP=on), or leave it out"
        )
    engine = options.engine or config.engine
    vlm, llm, judge = (
        _model(getattr(config, role), getattr(options, f"{role}_model"), engine) for role in ("vlm", "llm", "judge")
    )
    if options.vlm_model and not options.judge_model:
        judge = None  # the recipe's judge was chosen for the recipe's writer: without a name, the new one judges itself
    if texts:
        judge = judge or vlm
    config = replace(config, vlm=vlm, llm=llm or vlm, judge=judge, **given)
    return with_thresholds(config, options.thresholds) if options.thresholds else config


def _model(model: EngineModel | None, name: str | None, engine: str) -> EngineModel | None:
    """Return the recipe's model, or one of the name that was given instead.

    A name on the hub may have a revision, `name@revision`. For an endpoint the name is not split here: `session.check`
    compares it with the names that the endpoint lists.
    """
    if not name:
        return model
    revision = ""
    if engine != "http" and "@" in name and not Path(name).exists():
        name, _, revision = name.rpartition("@")
    if model is None or model.model != name:
        # The settings of the recipe's model do not hold for this one, but the tokens of an object are similar.
        tokens = model.tokens_per_object if model else TOKENS_PER_OBJECT
        model = EngineModel(model=name, tokens_per_object=tokens)
    return replace(model, revision=revision or model.revision)


def _joined(arguments: Sequence[str]) -> list[str]:
    """Join `--request -seed` to `--request=-seed`, because argparse takes `-seed` for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] == "--request" and argument.startswith("-"):
            joined[-1] = f"--request={argument}"
        else:
            joined.append(argument)
    return joined


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
    """Make the parser of the command's options; `make annotate` sets the common ones."""
    command = argparse.ArgumentParser(prog="python -m pipeline.annotate", description=__doc__)
    add = command.add_argument
    add("--shard", required=True, help="shard folder below SAV_ROOT/sav_train, several with commas, or demo")
    add("--sav-root", help="folder or fsspec URL that holds sav_train/; not needed for demo, which is drawn")
    add("--out", help="folder or fsspec URL of the run (default runs/<shard>)")
    add(
        "--recipe",
        help=f"{', '.join(RECIPES)} (default: demo for the demo shard, else paper); see pipeline/run/recipes.py",
    )
    add("--engine", choices=ENGINES, help="who writes: measured (no model, default), vllm (started here), http")
    add(
        "--engine-url",
        type=str.strip,
        help="with --engine http: an OpenAI-compatible endpoint, e.g. http://host:8000/v1",
    )
    add(
        "--vlm-model", help="model for prompts with pictures: hub id, folder or served name, [@revision]; else recipe's"
    )
    add("--llm-model", help="model for prompts without; default the recipe's, else the VLM")
    add("--judge-model", help="model that finds objects by their texts; default the recipe's, with --vlm-model the VLM")
    add(
        "--lineup",
        choices=("on", "off"),
        help="whether a judge must find each object by its text; default the recipe's",
    )
    add("--thresholds", metavar="FILE", help="thresholds of the gates, as `python -m pipeline.calibrate` writes them")
    add("--texts", metavar="FILE", help="audit texts of others: a Ref-SAV.json, or a CSV of object_id and text")
    add(
        "--repair",
        choices=("on", "off"),
        help="whether texts that fail a check are written anew once; default the recipe's, with --texts off",
    )
    add("--in-flight", type=int, help="requests open at a time, all models and replicas together; default the recipe's")
    add(
        "--request",
        action="append",
        metavar="NAME=VALUE",
        help="set a field of every request, or leave one out with -NAME; may be given several times",
    )
    add("--limit", type=int, metavar="N", help="take N videos, spread over the shard; without it the run goes on")
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
