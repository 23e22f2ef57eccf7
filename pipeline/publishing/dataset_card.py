"""Writes the card of a dataset: README.md, with the header that the hub reads: files, features, splits and sizes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.outputs import TRAIN_FILE
from manifests.text_tables import markdown_table, yaml_value
from pipeline.export.card_text import BODY, HEAD
from pipeline.publishing.features import yaml_features
from pipeline.publishing.parts import Part

_INTRO = """\
---

# {title}

Referring expressions for the masklets of [SA-V](https://ai.meta.com/datasets/segment-anything-video/) videos, made by
an open pipeline after section 3.3 of [Sa2VA](https://arxiv.org/abs/2501.04001). One row is one masklet (an object's
mask through the video): {rows:,} rows of {runs}, of which {kept:,} are kept with an expression. Videos and masks
are not here: get them from SA-V.

```python
from datasets import load_dataset

kept = load_dataset("{repo}", split="train")                 # rows with an expression
others = load_dataset("{repo}", "not_kept", split="train")   # rejected and failed masklets, each with its reason
```

`{train_file}` has the kept rows for the official Sa2VA training code. Its paths are relative to Sa2VA's `sam_v_full`:
lay SA-V out so that {places} exists, with no other folder called `sav_train` above it.
`index.html` shows the rows with their views; it opens in a browser from disk, without a server.

{files}

{mixed}
{left_out}
"""

_AGREEMENT = """
## Benchmark split and agreement

`benchmark/` has the expressions that people accepted, with frames and masks as the official evaluation reads them, and
every judgement. {apart}

{report}
"""


@dataclass(frozen=True)
class Config:
    """Holds a config of the dataset, as the hub calls a table: its name, files, columns and what it has."""

    name: str
    folder: str
    schema: pa.Schema
    parts: Sequence[Part]
    text: str

    @property
    def rows(self) -> int:
        """Return the number of rows in all files."""
        return sum(part.rows for part in self.parts)

    @property
    def size_bytes(self) -> int:
        """Return the size of all files."""
        return sum(part.size_bytes for part in self.parts)


def dataset_card(
    values: Mapping[str, Any],
    configs: Sequence[Config],
    *,
    title: str,
    repo: str,
    runs: str,
    unpacked: Mapping[str, int],
    mixed: Sequence[str],
    left_out: str,
    agreement: tuple[str, str] | None,
    others: Sequence[tuple[str, str]],
) -> str:
    """Return the text of README.md.

    Args:
        values: of `card.values`, for all rows together.
        configs: the tables.
        title: the heading.
        repo: USER/NAME on the hub.
        runs: how many runs were joined, in words.
        unpacked: name of a config -> bytes of its rows in memory.
        mixed: in what the runs differ; empty if they were made alike.
        left_out: a paragraph on rows that were left out because of the split, or nothing.
        agreement: how the split and the training rows were kept apart, and the split's own report; None without one.
        others: names of the other files, and what they have.
    """
    header = [
        HEAD.format(**values),
        *_yaml({"configs": [_config(config) for config in configs]}),
        *_yaml({"dataset_info": [_info(config, unpacked[config.name]) for config in configs]}),
    ]
    listed = [
        *((f"`{config.folder}/*.parquet`", f"{config.text}: {config.rows:,} rows") for config in configs),
        *((f"`{name}`", text) for name, text in others),
    ]
    intro = _INTRO.format(
        **{**values, "title": title, "repo": repo, "runs": runs, "train_file": TRAIN_FILE},
        files=markdown_table(("file", "what"), listed),
        mixed=_mixed(mixed),
        left_out=left_out,
    )
    end = _AGREEMENT.format(apart=agreement[0], report=_deeper(agreement[1])) if agreement else ""
    return header[0] + "\n".join(header[1:]) + "\n" + intro + BODY.format(**values) + end


def unpacked_bytes(paths: Sequence[str]) -> int:
    """Return the bytes that the columns of parquet files have before they are compressed."""
    total = 0
    for path in paths:
        metadata = pq.read_metadata(path)
        total += sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    return total


def _config(config: Config) -> dict[str, Any]:
    files = [{"split": "train", "path": f"{config.folder}/train-*"}]
    return {"config_name": config.name, "data_files": files}


def _info(config: Config, unpacked: int) -> dict[str, Any]:
    return {
        "config_name": config.name,
        "features": yaml_features(config.schema),
        "splits": [{"name": "train", "num_bytes": unpacked, "num_examples": config.rows}],
        "download_size": config.size_bytes,
        "dataset_size": unpacked,
    }


def _mixed(lines: Sequence[str]) -> str:
    if not lines:
        return "All rows come from one recipe, its prompts and its models."
    told = "\n".join(f"- {line}" for line in lines)
    return (
        "**The rows come from runs that were not made alike.** Every row states its `recipe`, `models`, `commit` and "
        f"`prompt_ids`. They differ in:\n\n{told}"
    )


def _deeper(report: str) -> str:
    """Put the headings of a report two levels down."""
    return "\n".join(f"##{line}" if line.startswith("#") else line for line in report.strip().splitlines())


def _yaml(value: Any, indent: str = "") -> list[str]:
    """Write nested lists and dictionaries of names and numbers as lines of YAML."""
    lines = []
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, dict | list):
                lines += [f"{indent}{name}:", *_yaml(inner, f"{indent}  " if isinstance(inner, dict) else indent)]
            else:
                lines.append(f"{indent}{name}: {yaml_value(inner)}")
    else:
        for inner in value:
            first, *rest = _yaml(inner, f"{indent}  ")
            lines += [f"{indent}- {first.strip()}", *rest]
    return lines
