"""The runs that are published: opened, and looked through once; what there is to know of them before they are joined.

A column that a run does not have yet, because an older version wrote it, gets its default; one that this version does
not know is carried along. So what is published follows the files' own schemas.
"""

import errno
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast, get_type_hints

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ValidationError, create_model

from manifests.arrow import arrow_schema
from manifests.io import Folder
from manifests.outputs import brief
from manifests.schema import AnnotationRow
from manifests.versions import ROW_DEFAULTS, fit, lacking, merged_type, plain_schema
from pipeline.export.outcomes import assert_sums
from pipeline.run import graph
from pipeline.run.recipes import RECIPES, paper
from pipeline.run.run_json import EngineInfo, RunInfo
from pipeline.writers.measured import MeasuredWriter
from stages.lineup_trials import LineupConfig
from stages.select_policy import STAGE as SELECT_OBJECTS

# Columns that a published row has beside those of its run: under which settings it came about.
STATED = pa.schema(
    [
        pa.field("recipe", pa.string(), False, {"description": "recipe of the run that the row is from"}),
        pa.field("models", pa.list_(pa.string()), False, {"description": "name@revision of the models of that run"}),
        pa.field("commit", pa.string(), True, {"description": "commit of the code of that run; null if unknown"}),
    ]
)


def _checker(name: str, kinds: dict[str, Any]) -> type[BaseModel]:
    """Make a type that checks a TypedDict: pydantic takes that of the standard library from Python 3.12 on only."""
    fields: dict[str, Any] = {field: (kind, ...) for field, kind in kinds.items()}
    return create_model(name, **fields)


_ENGINE_INFO: Any = _checker("EngineInfo", get_type_hints(EngineInfo))
_RUN_INFO = _checker("RunInfo", get_type_hints(RunInfo) | {"engine": _ENGINE_INFO | None})
_SHARED = ("sampling", "texts_file", "texts_sha256", "repair")  # settings that the card of all runs tells
_LOOKED_AT = ["object_id", "status", "prompt_ids", "calls"]


@dataclass(frozen=True)
class PublishedRun:
    """Holds a run and what a look through its rows found.

    Attributes:
        name: the path or URL as it was given, for messages.
        out: its folder.
        info: its run.json.
        schema: of its annotations: what their files have.
        first_id: the smallest object_id; runs are ordered by it, so that neither names nor paths matter.
        prompts: name of a prompt -> ids under which it was answered.
        asked: name@revision of every model that answered.
        rows: number of rows.
    """

    name: str
    out: Folder
    info: RunInfo
    schema: pa.Schema
    first_id: str
    prompts: dict[str, set[str]]
    asked: set[str]
    rows: int

    @property
    def stated(self) -> dict[str, Any]:
        """Return the values of the columns STATED, the same for all rows of the run."""
        models = set((self.info["models"] or {}).values()) | self.asked
        return {"recipe": self.recipe, "models": sorted(models), "commit": self.info["git_commit"]}

    @property
    def recipe(self) -> str:
        """Return the name of the recipe."""
        return str(self.info["config"].get("recipe") or "unknown")


def open_run(name: str, *, partial: bool = False) -> PublishedRun:
    """Open the folder of a run and look through its rows.

    Args:
        name: path or URL.
        partial: take a run that has not done all of its manifest (`--limit`, or stopped).

    Raises:
        ValueError: it is no run, cannot be read, or is not finished.
    """
    out = Folder(name)
    if not out.exists("run.json"):
        raise ValueError(f"a run is a folder that pipeline.annotate has written, got {name} without run.json")
    try:
        info = run_info(json.loads(out.read_bytes("run.json")))
    except (ValueError, IsADirectoryError) as error:
        raise ValueError(f"{name}/run.json must be what pipeline.annotate writes, got {brief(error)}") from error
    return _looked_through(name, out, info, partial)


def run_info(content: Any) -> RunInfo:
    """Check the content of a run.json; what earlier versions did not write yet is filled in.

    Raises:
        ValueError: a field is missing, or has another type.
    """
    if isinstance(content, dict):
        engine = content.get("engine")
        content = {"useless_passes": 0, **content}
        content["engine"] = {"dialects": {}, **engine} if isinstance(engine, dict) else engine
    try:
        _RUN_INFO.model_validate(content)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, one['loc'])) or 'all'}: {one['msg']}" for one in error.errors())
        raise ValueError("; ".join(faults)) from error
    return cast(RunInfo, content)


@contextmanager
def readable(name: str, file: str, hint: str = "run it again") -> Iterator[None]:
    """Turn what goes wrong in reading a damaged file into a ValueError that names it.

    Errors of the system, such as a lost connection, stay as they are.

    Args:
        name: the run or dataset.
        file: the file in it.
        hint: what to do.
    """
    try:
        yield
    except (pa.ArrowException, KeyError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT, errno.EISDIR):
            raise
        raise ValueError(f"{name}/{file} cannot be read: {brief(error)}; {hint}") from error


def _looked_through(name: str, out: Folder, info: RunInfo, partial: bool) -> PublishedRun:
    prompts: dict[str, set[str]] = defaultdict(set)
    asked: set[str] = set()
    schemas: dict[pa.Schema, None] = {}
    parts = []
    for file in out.names("annotations", ".parquet"):
        with readable(name, file), out.open_table(file) as opened:
            schemas[plain_schema(opened.schema_arrow)] = None
            table = _fitted(opened.read(columns=_LOOKED_AT), _LOOKED_AT)
            parts.append(table.select(["object_id", "status"]))
            calls = pc.list_flatten(table["calls"].combine_chunks())
            models = [pc.struct_field(calls, name) for name in ("model", "revision")]
            asked |= set(pc.unique(pc.binary_join_element_wise(*models, "@")).to_pylist())
            for prompt in pc.unique(pc.list_flatten(table["prompt_ids"])).to_pylist():
                prompts[prompt.partition("@")[0]].add(prompt)
    if not parts:
        raise ValueError(f"a run has rows in annotations/, got none in {name}: run its command to the end")
    rows = pa.concat_tables(parts, promote_options="permissive").combine_chunks()
    if partial:
        manifest = rows
    else:
        with readable(name, "manifest.parquet"):
            manifest = _fitted(out.read_table("manifest.parquet", ["object_id"]), ["object_id"])
    for what, hint in ((rows, ""), (manifest, " To publish what there is, add --partial.")):
        try:
            assert_sums(what, rows)
        except AssertionError as error:
            raise ValueError(f"{name} cannot be published as it is: {error}{hint}") from error
    with readable(name, "annotations"):
        schema = pa.unify_schemas(list(schemas), promote_options="permissive")
    there = {field.name: field for field in schema}
    if missing := [
        lack for field in arrow_schema(AnnotationRow) for lack in lacking(field, there.get(field.name), ROW_DEFAULTS)
    ]:
        raise ValueError(
            f"the rows of {name} must have all that this version cannot do without, got none of {', '.join(missing)}: "
            "an earlier version wrote them; run it again with another --out"
        )
    return PublishedRun(name, out, info, schema, pc.min(rows["object_id"]).as_py(), dict(prompts), asked, len(rows))


def _fitted(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return columns of AnnotationRow in the types that this version writes, whatever tool wrote the file."""
    known = plain_schema(arrow_schema(AnnotationRow))
    return pa.table({name: fit(table[name], known.field(name).type, ROW_DEFAULTS, (name,)) for name in names})


def joined_schema(runs: Sequence[PublishedRun]) -> pa.Schema:
    """Return the columns of all runs together: those that this version knows first, then others, then STATED.

    Raises:
        ValueError: two runs have a column of the same name and of types that do not go together.
    """
    known = arrow_schema(AnnotationRow)
    try:
        found = pa.unify_schemas([run.schema for run in runs], promote_options="permissive")
    except pa.ArrowException as error:
        raise ValueError(f"the runs must have columns of the same types, got {brief(error)}") from error
    fields = [
        field.with_type(
            merged_type(field.type, found.field(field.name).type if field.name in found.names else field.type)
        )
        for field in known
    ]
    taken = {*known.names, *STATED.names}
    others = [field for field in found if field.name not in taken]
    return pa.schema([*fields, *others, *STATED])


def joined_info(runs: Sequence[PublishedRun]) -> RunInfo:
    """Return what a run.json would say of all runs together; times are summed, and what differs is listed."""
    infos = [run.info for run in runs]
    engines = [info["engine"] for info in infos if info["engine"]]
    names = sorted({name for info in infos for name in info["versions"]})
    return RunInfo(
        shards=sorted({shard for info in infos for shard in info["shards"]}),
        writer=_listed(info["writer"] for info in infos),
        models=_merged_models(infos),
        engine=_summed(engines) if engines else None,
        seconds=round(sum(info["seconds"] for info in infos), 1),
        git_commit=_listed(info["git_commit"] or "unknown" for info in infos),
        versions={name: _listed(info["versions"].get(name, "unknown") for info in infos) for name in names},
        useless_passes=sum(info.get("useless_passes", 0) for info in infos),
        config={
            "recipe": _listed(run.recipe for run in runs),
            **{name: infos[0]["config"].get(name) for name in _SHARED},
        },
    )


def joined_stages(runs: Sequence[PublishedRun]) -> list[str]:
    """Return the names of the stages that the rows went through, in their order."""
    names = [SELECT_OBJECTS]
    for run in runs:
        config = RECIPES.get(run.recipe, paper)()
        settings = {
            name: run.info["config"].get(name, getattr(config, name))
            for name in ("repair", "on_contradiction", "texts_sha256")
        }
        if "lineup" in run.info["config"]:
            settings["lineup"] = LineupConfig() if run.info["config"]["lineup"] else None
        order = [stage.name for stage in graph.build(replace(config, **settings), Folder("."), MeasuredWriter())]
        before = SELECT_OBJECTS
        for name in order:  # one that is new comes after the one that it follows in its run
            if name not in names:
                names.insert(names.index(before) + 1, name)
            before = name
    return names


def _listed(values: Any) -> str:
    return ", ".join(sorted(set(values)))


def _merged_models(infos: Sequence[RunInfo]) -> dict[str, str] | None:
    roles: dict[str, set[str]] = defaultdict(set)
    for info in infos:
        for role, name in (info["models"] or {}).items():
            roles[role].add(name)
    return {role: _listed(names) for role, names in sorted(roles.items())} or None


def _summed(engines: Sequence[EngineInfo]) -> EngineInfo:
    """Add up what engines did; with different numbers of GPUs their time is counted as that of one GPU."""
    gpus = {engine["gpus"] for engine in engines}
    one = len(gpus) == 1
    hits = [engine["prefix_hits"] for engine in engines if engine["prefix_hits"] is not None]
    queries = [engine["prefix_queries"] for engine in engines if engine["prefix_queries"] is not None]
    return EngineInfo(
        url="",
        gpus=gpus.pop() if one else 1,
        seconds=sum(engine["seconds"] * (1 if one else max(1, engine["gpus"])) for engine in engines),
        prefix_hits=sum(hits) if hits else None,
        prefix_queries=sum(queries) if queries else None,
        dialects={},
    )
