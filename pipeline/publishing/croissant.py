"""Describes a dataset in Croissant 1.0 (http://mlcommons.org/croissant/1.0), with the responsible-AI fields.

https://docs.mlcommons.org/croissant/docs/croissant-spec.html says which properties there must be, and
https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html what the `rai:` ones mean. `check` holds a description
against these rules where `mlcroissant` is not installed.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.publishing.dataset_card import Config
from pipeline.publishing.features import IMAGES

FILE = "croissant.json"
CORE, RAI = "http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"
_LICENCE = "https://creativecommons.org/licenses/by/4.0/"
# The hub's repository has no checksum of its own; this address is what the hub's own descriptions state instead.
_NO_CHECKSUM = "https://github.com/mlcommons/croissant/issues/80"
_REQUIRED = ("@context", "@type", "conformsTo", "description", "license", "name", "url", "creator", "datePublished")

_TERMS = (
    *("citeAs", "column", "data", "dataType", "equivalentProperty", "examples", "extract", "field", "fileProperty"),
    *("fileObject", "fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path"),
    *("recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField"),
    *("transform",),
)
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{term: f"cr:{term}" for term in _TERMS},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}
_CITE = (
    "@article{yuan2025sa2va, title={Sa2VA: Marrying SAM2 with LLaVA for Dense Grounded Understanding of Images and "
    "Videos}, author={Yuan, Haobo and others}, journal={arXiv:2501.04001}, year={2025}}"
)


def describe(
    configs: Sequence[Config],
    sums: Mapping[str, str],
    sizes: Mapping[str, int],
    *,
    name: str,
    repo: str,
    creator: str,
    date: str,
    version: str,
    texts: Mapping[str, str],
    tools: Sequence[str],
) -> dict[str, Any]:
    """Return the description as JSON values.

    Args:
        configs: the tables.
        sums: SHA-256 of the files that are named one by one, by name.
        sizes: their sizes in bytes.
        name: of the dataset.
        repo: USER/NAME on the hub.
        creator: who made it.
        date: YYYY-MM-DD.
        version: MAJOR.MINOR.PATCH.
        texts: `description`, and under the names of the `rai:` properties what differs from dataset to dataset.
        tools: what wrote and checked the texts.
    """
    url = f"https://huggingface.co/datasets/{repo}"
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [CORE, RAI],
        "name": name,
        "description": texts["description"],
        "license": _LICENCE,
        "url": url,
        "creator": {"@type": "sc:Organization", "name": creator},
        "datePublished": date,
        "version": version,
        "inLanguage": "en",
        "keywords": ["video", "referring video object segmentation", "SA-V", "Sa2VA"],
        "isBasedOn": "https://ai.meta.com/datasets/segment-anything-video/",
        "citeAs": _CITE,
        **_responsible(texts, tools),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "repo",
                "name": "repo",
                "description": "The git repository on the Hugging Face hub.",
                "contentUrl": url,
                "encodingFormat": "git+https",
                "sha256": _NO_CHECKSUM,
            },
            *(_file(file, digest, sizes[file]) for file, digest in sums.items()),
            *(
                {
                    "@type": "cr:FileSet",
                    "@id": f"{config.name}-files",
                    "name": f"{config.name}-files",
                    "description": config.text,
                    "containedIn": {"@id": "repo"},
                    "encodingFormat": "application/x-parquet",
                    "includes": f"{config.folder}/train-*.parquet",
                }
                for config in configs
            ),
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": config.name,
                "name": config.name,
                "description": f"{config.text}: {config.rows:,} rows.",
                **({"key": {"@id": f"{config.name}/object_id"}} if config.name != "negatives" else {}),
                "field": [told for column in config.schema if (told := _field(config.name, column))],
            }
            for config in configs
        ],
    }


def check(described: Mapping[str, Any]) -> list[str]:
    """Return what a description lacks or gets wrong by the rules of the specification; empty if nothing."""
    faults = [f"{name} must be there" for name in _REQUIRED if not described.get(name)]
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", str(described.get("datePublished"))):
        faults.append(f"datePublished must be a date, got {described.get('datePublished')}")
    if not re.fullmatch(r"\d+\.\d+\.\d+", str(described.get("version"))):
        faults.append(f"version must be MAJOR.MINOR.PATCH, got {described.get('version')}")
    if CORE not in described.get("conformsTo", []):
        faults.append(f"conformsTo must have {CORE}")
    context = described.get("@context", {})
    faults += [
        f"the term {term!r} must be declared in @context"
        for term in sorted(set(_terms(described)))
        if term.partition(":")[0] not in context and term in _TERMS
    ]
    ids = [node["@id"] for node in _nodes(described) if "@id" in node and len(node) > 1]
    faults += [f"@id must be given once, got {name!r} twice" for name in sorted({i for i in ids if ids.count(i) > 1})]
    references = [node["@id"] for node in _nodes(described) if node.keys() == {"@id"}]
    faults += [f"@id {name!r} is referred to and not there" for name in sorted(set(references) - set(ids))]
    for file in described.get("distribution", []):
        wanted = ("name", "contentUrl", "encodingFormat", "sha256")
        wanted = wanted if file["@type"] == "cr:FileObject" else ("name", "includes", "encodingFormat", "containedIn")
        faults += [f"{file['@id']} must have {name}" for name in wanted if not file.get(name)]
    for field in (node for node in _nodes(described) if node.get("@type") == "cr:Field"):
        if "subField" not in field and not (field.get("dataType") and field.get("source")):
            faults.append(f"{field['@id']} must have dataType and source, or subField")
    return faults


def _responsible(texts: Mapping[str, str], tools: Sequence[str]) -> dict[str, Any]:
    return {
        "rai:dataCollection": "No video was collected: the videos and masklets are those of SA-V.",
        "rai:dataCollectionType": ["Secondary Data analysis", "Software Collection"],
        "rai:dataCollectionRawData": "SA-V: videos at 24 fps with masklets at 6 fps, CC BY 4.0, by Meta.",
        "rai:dataCollectionMissingData": "A column without a value is null; what cannot be measured is called unknown.",
        "rai:dataPreprocessingProtocol": [
            "Masklets that are hidden, tiny, at the border, parts or duplicates of others are rejected; each with its "
            "reason in the config not_kept."
        ],
        "rai:dataAnnotationProtocol": texts["protocol"],
        "rai:dataAnnotationAnalysis": [texts["analysis"]],
        "rai:annotationsPerItem": texts["per_item"],
        "rai:machineAnnotationTools": list(tools),
        "rai:dataReleaseMaintenancePlan": [
            "A new version is published under a new number; `python -m pipeline.diff` tells what differs."
        ],
        "rai:personalSensitiveInformation": [
            "Texts describe people as they can be seen (clothes, posture, actions) and may name an apparent gender or "
            "age. SA-V's videos had faces blurred by their publisher. No name or identity is given."
        ],
        "rai:dataSocialImpact": "Models that find things and people by descriptions may be used for surveillance.",
        "rai:dataBiases": [texts["biases"]],
        "rai:dataLimitations": [texts["limitations"]],
        "rai:dataUseCases": ["Training models that segment what an expression refers to in a video."],
    }


def _file(name: str, digest: str, size_bytes: int) -> dict[str, Any]:
    kinds = {".json": "application/json", ".parquet": "application/x-parquet"}
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "containedIn": {"@id": "repo"},
        "contentSize": f"{size_bytes} B",
        "encodingFormat": next((kind for end, kind in kinds.items() if name.endswith(end)), "text/plain"),
        "sha256": digest,
    }


def _field(config: str, field: pa.Field, above: "_Place | None" = None) -> dict[str, Any] | None:
    """Describe a column, or a field inside one; None if it cannot be: a duration, a list of structs in another.

    A transform finds one value in a struct, or one in each item of a list, so there is one for each level of lists.
    """
    data_type, repeated = field.type, False
    while pa.types.is_list(data_type):
        data_type, repeated = data_type.value_type, True
    if pa.types.is_duration(data_type):
        return None
    place = above.inside(field.name) if above else _Place((field.name,), ((),))
    told: dict[str, Any] = {"@type": "cr:Field", "@id": _id(config, place.names), "name": "/".join(place.names)}
    if text := (field.metadata or {}).get(b"description"):
        told["description"] = text.decode()
    if repeated:
        told["repeated"] = True
    image = field.name in IMAGES and above is None
    if pa.types.is_struct(data_type) and not image:
        if repeated and place.in_list:
            return None
        inner = place.of_items() if repeated else place
        fields = [described for one in data_type if (described := _field(config, one, inner))]
        return {**told, "subField": fields} if fields else None
    steps = [("bytes",)] if image else [step for step in place.steps if step]
    transforms = [{"jsonPath": ".".join(map(_path_part, step))} for step in steps]
    source: dict[str, Any] = {"fileSet": {"@id": f"{config}-files"}, "extract": {"column": place.names[0]}}
    if transforms:
        source["transform"] = transforms if len(transforms) > 1 else transforms[0]
    return {**told, "dataType": "sc:ImageObject" if image else _data_type(data_type), "source": source}


def _id(config: str, names: Sequence[str]) -> str:
    """Return the @id of a field; a column of somebody else may have characters in its name that an IRI may not."""
    return "/".join([config, *(re.sub(r"[^\w.-]", lambda found: f"_{ord(found[0]):x}_", name) for name in names)])


def _path_part(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) else json.dumps(name, ensure_ascii=False)


@dataclass(frozen=True)
class _Place:
    """Says where a field lies: the names above it and its own, and the path from its column, cut where lists begin."""

    names: tuple[str, ...]
    steps: tuple[tuple[str, ...], ...]
    in_list: bool = False

    def inside(self, name: str) -> "_Place":
        """Return the place of a field of the struct here."""
        return _Place((*self.names, name), (*self.steps[:-1], (*self.steps[-1], name)), self.in_list)

    def of_items(self) -> "_Place":
        """Return the place for the fields of the structs in the list here."""
        return _Place(self.names, (*self.steps, ()) if self.steps[-1] else self.steps, in_list=True)


def _data_type(data_type: pa.DataType) -> str:
    if pa.types.is_boolean(data_type):
        return "sc:Boolean"
    if pa.types.is_integer(data_type):
        return "sc:Integer"
    if pa.types.is_floating(data_type) or pa.types.is_decimal(data_type):
        return "sc:Float"
    if pa.types.is_timestamp(data_type):
        return "sc:DateTime"
    if pa.types.is_date(data_type):
        return "sc:Date"
    return "sc:Time" if pa.types.is_time(data_type) else "sc:Text"


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield all objects below the context."""
    if isinstance(value, Mapping):
        yield dict(value)
        for name, inner in value.items():
            if name != "@context":
                yield from _nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _nodes(inner)


def _terms(described: Mapping[str, Any]) -> Iterator[str]:
    for node in _nodes(described):
        yield from (name for name in node if not name.startswith("@"))
