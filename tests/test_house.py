"""The rules of the house that a reader cannot see break: imports, sizes, what importing costs, what is documented."""

import ast
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import pipeline
from benchmarks.structure import modules_by_name, types_by_name
from manifests.schema import Reason
from pipeline.run.recipes import RECIPES

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "manifests": set(),
    "prompts": {"manifests"},
    "stages": {"manifests", "prompts"},
    "pipeline": {"manifests", "prompts", "stages"},
    "validation_ui": {"manifests", "prompts", "stages"},
}
SOURCES = [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]
README = (ROOT / "README.md").read_text()
FOLDERS = (*MAY_IMPORT, "benchmarks", "tests")
PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/*.md"),
    *(page for name in FOLDERS for page in (ROOT / name).rglob("*.md")),
]
MEDIA = {"av", "decord", "imageio", "moviepy", "pycocotools", "torchcodec", "torchvision"}
OPENCV_VIDEO = {"VideoCapture", "VideoWriter"}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
TREE = README.split("## The tree")[1].split("```")[1]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_the_tests_do_not_shadow_the_package() -> None:
    assert Path(pipeline.__file__ or "").parent == ROOT / "pipeline"


def test_imports_only_go_down() -> None:
    upwards = {}
    for path in SOURCES:
        package = path.relative_to(ROOT).parts[0]
        if wrong := imported(path) & set(MAY_IMPORT) - MAY_IMPORT[package] - {package}:
            upwards[str(path.relative_to(ROOT))] = wrong
    assert not upwards


def test_what_is_imported_is_declared() -> None:
    """In pyproject.toml, under some extra; what is not installed here, as torch after `make check`, is not seen."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = {plain_name(re.split(r"[\[=<>]", name)[0]) for names in asked for name in names}
    distributions = packages_distributions()
    names = {name for path in SOURCES for name in imported(path)} - set(sys.stdlib_module_names) - set(MAY_IMPORT)
    assert not {n for n in names if n in distributions and not declared & set(map(plain_name, distributions[n]))}


def test_an_install_has_every_package_and_file() -> None:
    """From a wheel, and not only from a checkout: pages are Markdown, which only the checkout needs."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    include = setuptools["packages"]["find"]["include"]
    packages = {".".join(path.relative_to(ROOT).parent.parts) for path in SOURCES}
    assert not {package for package in packages if not any(fnmatchcase(package, name) for name in include)}
    assert not {path.parent for path in SOURCES if not (path.parent / "__init__.py").exists()}
    assert not {name for name in FOLDERS if name not in MAY_IMPORT and any(fnmatchcase(name, one) for one in include)}
    data = {ROOT / package.replace(".", "/"): globs for package, globs in setuptools["package-data"].items()}
    shipped = {path for folder, globs in data.items() for name in globs for path in folder.glob(name)}
    checkout_only = (".py", ".pyc", ".md", ".mako")  # .mako: for making a migration
    files = {path for name in MAY_IMPORT for path in (ROOT / name).rglob("*.*") if path.suffix not in checkout_only}
    assert files - shipped == {ROOT / "validation_ui/web/static/jsconfig.json"}  # for tsc


def plain_name(distribution: str) -> str:
    return distribution.lower().replace("_", "-")


def imported_modules(path: Path) -> set[str]:
    """Return the dotted names that a file imports, and of `from a import b` also a.b, which may be a module."""
    names = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_no_folder_of_pipeline_imports_a_command() -> None:
    commands = {f"pipeline.{path.stem}" for path in (ROOT / "pipeline").glob("[a-z]*.py")}
    assert {"pipeline.annotate", "pipeline.train_on_refsav"} <= commands
    assert not [path for path in (ROOT / "pipeline").glob("*/**/*.py") if imported_modules(path) & commands]


def test_stages_video_imports_no_stage() -> None:
    for path in (ROOT / "stages/video").glob("*.py"):
        assert {name for name in imported_modules(path) if name.startswith("stages")} <= {
            name for name in imported_modules(path) if name.startswith("stages.video")
        }, path


def test_stages_claims_imports_no_stage() -> None:
    own = ("stages.claims", "stages.video")
    for path in (ROOT / "stages/claims").glob("*.py"):
        assert not [name for name in imported_modules(path) if name.startswith("stages.") and not name.startswith(own)]


def test_one_file_each_connects_to_ray_runs_stages_on_it_starts_engines_in_it_and_trains_on_it() -> None:
    know_ray = [str(path.relative_to(ROOT)) for path in SOURCES if "ray" in imported(path)]
    starts = [str(path.relative_to(ROOT)) for path in SOURCES if "ray.init(" in path.read_text()]
    pipeline = ("engines/serve.py", "ray_train.py", "run/ray_adapter.py", "run/ray_connect.py")
    assert know_ray == [f"pipeline/{name}" for name in pipeline]
    assert starts == ["pipeline/run/ray_connect.py"]


def test_only_stages_video_reads_and_writes_videos_and_masks() -> None:
    """Everybody else calls it: libraries for video and masks are its own, and so is the key `masklet`."""
    tables = ("validation_ui/schema.py", "validation_ui/migrations/versions/0001_first.py")
    wrong = {}
    for path in SOURCES:
        name = str(path.relative_to(ROOT))
        used = media_used(tree_of(path)) - ({"masklet"} if name in tables else set())
        if used and not name.startswith("stages/video/"):
            wrong[name] = used
    assert not wrong


@pytest.mark.parametrize(
    "line",
    [
        "from av import open",
        "import av.container as c",
        "import pycocotools.mask as m",
        "m = importlib.import_module('pycocotools.mask')",
        "m = __import__('av')",
        "import cv2 as c; v = c.VideoCapture('x.mp4')",
        "from cv2 import VideoWriter as W",
        "import imageio.v3",
        "from torchvision.io import read_video",
        "subprocess.run(['ffmpeg', '-i', 'x.mp4'])",
        "rles = json.load(file)['masklet']",
    ],
)
def test_what_reads_a_video_or_a_mask_is_seen_however_it_is_written(line: str) -> None:
    assert media_used(ast.parse(line))


def media_used(tree: ast.Module) -> set[str]:
    """Return what a source file names of libraries and programs for video and masks, and of SA-V's files."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names} & MEDIA
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module.split(".")[0]} & MEDIA
            found |= {alias.name for alias in node.names} & OPENCV_VIDEO if node.module == "cv2" else set()
        elif isinstance(node, ast.Attribute):
            found |= {node.attr} & OPENCV_VIDEO
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            found |= {str(arg.value).split(".")[0] for arg in node.args if isinstance(arg, ast.Constant)} & MEDIA
        elif isinstance(node, ast.Constant):
            found |= {str(node.value)} & {"ffmpeg", "masklet"}
    return found


def test_stage_files_are_short() -> None:
    long = {path.name: n for path in (ROOT / "stages").glob("*.py") if (n := len(path.read_text().splitlines())) >= 150}
    assert not long


def test_importing_stages_loads_nothing_heavy() -> None:
    code = "import sys, stages, stages.base, prompts, manifests.schema; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"ray", "torch", "vllm", "openai", "cv2", "av", "pyarrow", "pandas"} & set(loaded)


def test_the_base_install_runs_the_command_without_what_engines_need() -> None:
    """Their packages are extras: here they are there, so importing them is made to fail."""
    absent = ("openai", "peft", "prometheus_client", "sam2", "torch", "transformers", "vllm")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({absent})); from pipeline.annotate import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", code, "--shard", "demo", "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_a_name_has_one_meaning() -> None:
    """But for what models are sent (`prompts/replies.py`), and two modules whose package says which one is meant."""
    sources = {path.relative_to(ROOT): tree_of(path) for path in SOURCES}
    shared = {name for name, paths in modules_by_name(sources).items() if len(paths) > 1}
    assert shared == {"frames", "schema"}
    types = {name for name, paths in types_by_name(sources).items() if len(paths) > 1}
    assert types == {"Expression", "Video"}


def test_public_docstrings_have_at_least_four_words() -> None:
    short = []
    for path in SOURCES:
        nodes = [node for node in ast.walk(tree_of(path)) if isinstance(node, _DOCUMENTED)]
        named = [(getattr(node, "name", "module"), (ast.get_docstring(node) or "").split("\n\n")[0]) for node in nodes]
        public = [(name, text) for name, text in named if text and not name.startswith("_")]
        short += [f"{path.relative_to(ROOT)}: {name}: {text}" for name, text in public if len(text.split()) < 4]
    assert not short


def test_suppressions_are_counted() -> None:
    """Raise a number only with a reason in docs/decisions.md."""
    text = "\n".join(path.read_text() for path in SOURCES)
    assert len(re.findall("# noqa", text)) <= 2
    assert len(re.findall("# type: ignore", text)) == 0


def folders_with_code(depth: int) -> set[str]:
    """Names of the source folders that hold a module and lie at most `depth` levels below the root."""
    parents = {path.relative_to(ROOT).parent for path in SOURCES if path.name != "__init__.py"}
    return {folder.name for folder in parents if len(folder.parts) <= depth}


def test_the_readmes_tree_names_the_folders_that_there_are() -> None:
    named = set(re.findall(r"(?:^|(?<= ))([a-z0-9_]+)/", TREE, flags=re.MULTILINE))
    assert folders_with_code(depth=2) <= named, "put the folder into README's tree"
    there = {path.name for path in ROOT.glob("*/") if path.is_dir()}
    there |= {path.name for package in MAY_IMPORT for path in (ROOT / package).rglob("*/") if path.is_dir()}
    assert named <= there, "README's tree names a folder that is not there"


def test_pages_point_to_what_is_there_and_their_tables_have_headers() -> None:
    wrong = []
    for page in PAGES:
        text = page.read_text()
        lines = text.splitlines()
        starts = [n for n, line in enumerate(lines) if line.startswith("|") and not lines[n - 1].startswith("|")]
        wrong += [(page, lines[n]) for n in starts if not re.fullmatch(r"\|[-| ]+\|", lines[n + 1])]
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
        wrong += [(page, link) for link in links if not (page.parent / link).exists()]
        if page.name not in ("decisions.md", "CHANGELOG.md"):
            files = re.findall(r"`([\w/]+\.(?:py|txt))`", text)
            ours = [name for name in files if name.split("/")[0] in FOLDERS or page.name == "README.md"]
            wrong += [(page, name) for name in ours if not any((near / name).exists() for near in (page.parent, ROOT))]
    assert not wrong


def test_every_reason_recipe_and_make_target_is_in_the_docs() -> None:
    options = (ROOT / "docs/annotate.md").read_text()
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert not [name for name in (*Reason, *RECIPES) if f"`{name}`" not in options]
    assert not [target for target in targets if f"make {target}" not in README]
