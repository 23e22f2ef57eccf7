"""The words of the dataset card of a run; `card.py` fills in the figures, by the names of the placeholders."""

# What the hub reads of every card; the rest of the header says which files there are.
HEAD = """\
---
pretty_name: {pretty_name}
license: cc-by-4.0
language:
- en
task_categories:
- image-segmentation
tags:
- video
- referring-video-object-segmentation
- sa-v
- sa2va
size_categories:
- {size}
"""

FILES = """\
configs:
- config_name: default
  data_files: annotations/*.parquet
---

# Ref-SAV annotations of {shards}

Referring expressions for the masklets of [SA-V](https://ai.meta.com/datasets/segment-anything-video/) videos, made by
an open pipeline after section 3.3 of [Sa2VA](https://arxiv.org/abs/2501.04001). One row is one masklet (an object's
mask through the video): {rows:,} rows, of which {kept:,} are kept with an expression. Rejected and failed masklets are
in the table too, each with its reason. Videos and masks are not here: get them from SA-V.

```python
from datasets import load_dataset

rows = load_dataset("parquet", data_files="annotations/*.parquet", split="train")
kept = rows.filter(lambda row: row["status"] == "kept")
```

`Ref-SAV.json` has the kept rows for the official Sa2VA training code. Its paths are relative to Sa2VA's `sam_v_full`:
lay SA-V out so that {places} exists, with no other folder called `sav_train` above it.
`report.html` shows every object with its views; it opens in a browser, without a server.

"""

# What every card says of how the rows came about, with the names of `values` as placeholders.
BODY = """\
## How it was made

{made}

- writer: {writers}
- shards: {shards}
- wall time: {seconds:,.0f} s
- code: {commit}
- versions: {versions}
- prompts (name@hash of its text): {prompts}

{example}

## What happened to every masklet

{outcome_table}

{totals}
{verified}{asked}
## Beside the paper

Table 4 of the paper, with this run below. Masks are those in which the object can be seen; the paper does not say
whether it counts empty ones.

{table_4}

Table 3 of the paper ticks five properties, which it says no other benchmark has together, without saying where each
begins. The thresholds are this project's; shares are of the {measured:,} kept objects that have facts;
what could not be measured is counted apart.

{table_3}

## Limits

{limits}\
- SA-V is not exhaustive: an object that fits an expression may have no masklet, and many masklets are parts of things.
- A negative is ruled out for every masklet of its video by masks and pixels, not for what has no masklet.
  `unseen_twin_possible` is true where a region outside all masks has the object's colour and area and moves along with
  it; that finds a second ball on a lawn, and nothing that is only of the same kind.
- Masks are SA-V's own: manual ones are checked by people, automatic ones (`masklet_type` auto) are not.

## Columns

A type with `?` may be null. Units are in the names: `_px` pixels of the upright frame, `_frac` share, `_s` seconds.

{columns}

## Licence

SA-V is by Meta, under [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/); these annotations derive from it and
carry the same licence. Name both when you use them.
"""

WRITTEN = """\
Each chosen masklet was described from its crop, from the frame with all else black, from the frame with a contour, and
from 8 frames spread over the video; the parts were checked against one another and joined to one expression."""

GIVEN = """\
The texts are not of this run: they were given in the file {texts_file} (SHA-256 {texts_sha256}), and audited. Each was
compared with what was measured{judged}; `given_texts` has what was found of every text, `texts.csv` what became of
it. {repair}"""

UNREAD_LIMIT = "- No person has read these texts. They are training data, not a benchmark.\n"
GIVEN_LIMIT = "- Who wrote these texts is not known here: what is said of them, measurements and models say.\n"
MACHINE_MADE = "The texts are machine-made: no person wrote or corrected any of them."
JUDGED = "The texts were given: models were asked which object they mean, and wrote those that are `repairs`."

MEASURED_LIMIT = """\
- Rows of the writer `measured` were written from measurements alone (colour, place, size, path, time). It knows no
  categories: it never says dog or cup, and its captions are not a vision model's.
"""

MODEL_LIMIT = """\
- Texts that a model wrote may name what is not there. Claims against the measured facts are in `contradictions`.
"""

VERIFIED = """
## {question}

{method}

{summary}

{remarks}

{tables}
"""

LINEUP = """\
In a line-up a judge saw all separate objects of a video under numbers, in frames chosen for the text, and said which of
them the text means; several trials, each with other numbers. A text was kept if the judge found its object alone. The
column `lineup` has every trial."""

NO_LINEUP = """\
Each text was compared with what was measured of its object. There was no line-up: whether it fits another object as
well is not known."""

ASKED = """
## What the models were asked

{origin} Each request, with its seed and what was wrong
with its reply, is in the column `calls`; the replies themselves are in `replies/` of the run's folder.

- models (name@revision): {models}
- sampling: {sampling}

{summary}

{prompts}

Tokens count for the row whose request was paid. Masklets that ended before the first request are not counted here.

{ended}
"""
