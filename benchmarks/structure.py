"""Counts what makes the code hard to find one's way in: files, trips, circles of folders, names with two meanings.

`python -m benchmarks.structure` counts this checkout, `--root DIR` another one, such as a worktree of an older commit.
Everything is read from the source text with `ast`; nothing of the project is imported or run.
"""

import argparse
import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("manifests", "prompts", "stages", "pipeline", "validation_ui")
# The files that one opens to follow a value from where it comes in to where it leaves, found by reading.
TRIPS = {
    "object_id: manifest to annotations parquet": """manifests/schema manifests/arrow pipeline/run/ray_adapter
        pipeline/run/feed pipeline/run/run_stages pipeline/run/graph""",
    "a mask: annotation JSON to rendered image": """stages/render_views stages/video/masklets stages/video/rle
        stages/video/views stages/video/images stages/video/source_file""",
    "an expression: reply to Ref-SAV.json": """pipeline/engines/chat pipeline/engines/reading
        pipeline/writers/model_writer prompts/replies manifests/expression stages/writer stages/compose_expression
        stages/check_facts pipeline/run/run_stages pipeline/run/ray_adapter pipeline/export/annotations
        pipeline/export/refsav_json""",
    "a decision: HTTP POST to exported split": """validation_ui/web/review validation_ui/judging/submission
        validation_ui/judging/verdict validation_ui/judging/items validation_ui/judging/leases
        validation_ui/judging/protocol validation_ui/people/access validation_ui/schema validation_ui/database
        validation_ui/exporting/__init__ validation_ui/exporting/benchmark validation_ui/exporting/judgements
        validation_ui/exporting/training_file""",
    "a training sample: parquet row to loss": """pipeline/data/videos pipeline/data/clips pipeline/sa2va/dataset
        pipeline/sa2va/example pipeline/sa2va/text pipeline/sa2va/families pipeline/sa2va/pixels pipeline/sa2va/model
        pipeline/sa2va/grounding pipeline/sa2va/losses pipeline/sa2va/train/run pipeline/sa2va/train/step
        stages/video/frames stages/video/masklets stages/video/rle""",
}


def main() -> None:
    """Print the counts of one checkout."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).parent.parent, help="the checkout to count")
    root: Path = parser.parse_args().root
    sources = {path.relative_to(root): ast.parse(path.read_text()) for path in _source_paths(root)}
    lines = {path: len((root / path).read_text().splitlines()) for path in sources}

    print(f"{len(sources)} files, {sum(lines.values()):,} lines, of them in")
    for folder in sorted({path.parent for path in sources}):
        inside = [path for path in sources if path.parent == folder]
        print(f"  {folder!s:34}{len(inside):4} files{sum(lines[path] for path in inside):7,} lines")
    print(f"{sum(n > 400 for n in lines.values())} files above 400 lines, {_short(lines)} below 60")

    print("\nfiles to open on a trip")
    for trip, names in TRIPS.items():
        gone = [name for name in names.split() if not (root / f"{name}.py").is_file()]
        print(f"  {trip:46}{len(names.split()):3}" + (f"  not in this checkout: {', '.join(gone)}" if gone else ""))

    circles = _circles(_folder_imports(sources))
    print(f"\n{len(circles)} circles of folders that import one another")
    for circle in circles:
        print("  " + ", ".join(sorted(circle)))

    for kind, places in (("module", modules_by_name(sources)), ("type", types_by_name(sources))):
        shared = {name: paths for name, paths in sorted(places.items()) if len(paths) > 1}
        print(f"\n{len(shared)} {kind} names stand for more than one thing")
        for name, paths in shared.items():
            print(f"  {name:24}{len(paths)}: " + ", ".join(str(path) for path in sorted(paths)))


def _short(lines: dict[Path, int]) -> int:
    return sum(n < 60 for path, n in lines.items() if path.name != "__init__.py")


def _source_paths(root: Path) -> Iterator[Path]:
    for package in PACKAGES:
        yield from (path for path in sorted((root / package).rglob("*.py")) if "versions" not in path.parts)


def modules_by_name(sources: dict[Path, ast.Module]) -> dict[str, list[Path]]:
    """Return the files of every module name, `__init__` and `__main__` left out."""
    places: dict[str, list[Path]] = defaultdict(list)
    for path in sources:
        if not path.stem.startswith("__"):
            places[path.stem].append(path)
    return places


def types_by_name(sources: dict[Path, ast.Module]) -> dict[str, list[Path]]:
    """Return the files that define every public class or type alias (`Rle = dict[str, Any]`) at their top level."""
    places: dict[str, list[Path]] = defaultdict(list)
    for path, tree in sources.items():
        for node in tree.body:
            name = _type_name(node)
            if name and not name.startswith("_"):
                places[name].append(path)
    return places


def _type_name(node: ast.stmt) -> str | None:
    if isinstance(node, ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        name = node.targets[0].id
        return name if name[:1].isupper() and not name.isupper() and isinstance(node.value, ast.Subscript) else None
    return None


def _folder_imports(sources: dict[Path, ast.Module]) -> dict[str, set[str]]:
    """Return which folders' modules every folder imports, itself left out; imports inside functions count."""
    graph: dict[str, set[str]] = defaultdict(set)
    modules = {".".join(path.with_suffix("").parts) for path in sources}
    for path, tree in sources.items():
        here = ".".join(path.parent.parts)
        for name in _imported(tree):
            if name.split(".")[0] not in PACKAGES:
                continue
            there = name.rpartition(".")[0] if name in modules else name
            if there != here:
                graph[here].add(there)
                graph.setdefault(there, set())
    return graph


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def _circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Return the sets of folders of which every one reaches every other by imports (two folders or more)."""
    reach = {start: _reachable(graph, start) for start in graph}
    found: list[set[str]] = []
    for start in graph:
        circle = {other for other in reach[start] if start in reach[other]} | {start}
        if len(circle) > 1 and circle not in found:
            found.append(circle)
    return found


def _reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        folder = waiting.pop()
        if folder not in seen:
            seen.add(folder)
            waiting.extend(graph.get(folder, ()))
    return seen


if __name__ == "__main__":
    main()
