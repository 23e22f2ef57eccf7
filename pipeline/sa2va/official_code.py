"""Find and read files in the user's own copy of the official release (bytedance/Sa2VA).

None of it is ours to ship and none of it is run: Python files are copied beside a checkpoint, and questions are read by
parsing. The user gives the root of a clone, or a folder of the Hugging Face files, in a clone or anywhere.
"""

import ast
from collections.abc import Iterable
from pathlib import Path
from string import Formatter

_MODELS = Path("projects/sa2va/hf")
_MODELS_OF = {"qwen3_vl": "models_qwen3vl", "qwen2_5_vl": "models_qwen", "internvl": "models"}
# transformers' configuration that a Qwen's configuration_sa2va_chat.py builds on; file names of both Qwens are the same
_BUILDS_ON = {"qwen3_vl": "Qwen3VLConfig", "qwen2_5_vl": "Qwen2_5_VLConfig"}
_CONFIGURATION = "configuration_sa2va_chat.py"
_QUESTIONS, _NAME = Path("projects/sa2va/datasets/common.py"), "SEG_QUESTIONS"


def model_files(given: Path, family: str, needed: Iterable[str]) -> Path:
    """Return the folder of the Hugging Face files of a family.

    Args:
        given: a clone, its folder of all families, or that of this family.
        family: name of the MLLM's family.
        needed: names of the files that must be there.

    Raises:
        ValueError: a file is not there, or the files are those of another family.
    """
    places = (given / _MODELS / _MODELS_OF[family], given / _MODELS_OF[family])
    folder = next((place for place in places if place.is_dir()), given)
    missing = sorted(name for name in needed if not (folder / name).is_file())
    if missing:
        raise ValueError(
            f"the folder of the official code must have {', '.join(missing)}, {folder} has not; there is one such "
            f"folder a family in {_MODELS} of bytedance/Sa2VA, for {family} it is {_MODELS_OF[family]}"
        )
    configuration = folder / _CONFIGURATION
    text = configuration.read_text(encoding="utf-8", errors="replace") if configuration.is_file() else ""
    others = [name for other, name in _BUILDS_ON.items() if other != family and name in text]
    if others and _BUILDS_ON.get(family, "") not in text:
        raise ValueError(
            f"the official code must be that of {family}, got {others[0]} in {configuration}: take {_MODELS_OF[family]}"
        )
    return folder


def check_official_code(given: Path) -> None:
    """Refuse a folder that is neither a clone nor one of the Hugging Face files, whatever the family.

    Raises:
        ValueError: there is no such folder, or it is another one.
    """
    patterns = ("modeling_sa2va_*.py", f"{_MODELS_OF['internvl']}*/modeling_sa2va_*.py")
    if not (given / _MODELS).is_dir() and not any(any(given.glob(pattern)) for pattern in patterns):
        raise ValueError(
            f"--official-code must be a clone of bytedance/Sa2VA or its folder of Hugging Face files (one a family in "
            f"{_MODELS}), got {given}"
        )


def read_questions(given: Path) -> tuple[str, ...]:
    """Read the release's questions as templates with a field {text}, as often as they are listed; none outside a clone.

    Raises:
        ValueError: the file of the clone does not list questions that have one field.
    """
    folder = given.resolve()
    file = next((root / _QUESTIONS for root in (folder, *folder.parents) if (root / _QUESTIONS).is_file()), None)
    if file is None:
        return ()
    try:
        listed = _assigned_once(ast.parse(file.read_text(encoding="utf-8-sig")))
        templates = tuple(_template(ast.literal_eval(question)) for question in listed.elts)
    except (OSError, SyntaxError, ValueError, TypeError, AttributeError, LookupError) as error:
        raise ValueError(
            f"{file} must assign {_NAME} a list of questions with one field each, got {error}: check out "
            "bytedance/Sa2VA again, or leave --official-code out to train with questions of ours"
        ) from error
    if not templates:
        raise ValueError(f"{file} must assign {_NAME} a list of questions, got none: check out bytedance/Sa2VA again")
    return templates


def _assigned_once(tree: ast.Module) -> ast.List | ast.Tuple:
    """Return the literal list that the module assigns the questions' name, if it does nothing else with the name."""
    uses = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == _NAME]
    values = [
        node.value
        for node in tree.body
        if (isinstance(node, ast.Assign) and len(node.targets) == 1 and node.targets[0] in uses)
        or (isinstance(node, ast.AnnAssign) and node.target in uses)
    ]
    changed = [use for use in uses if isinstance(use.ctx, ast.Load) and _may_change(use, tree)]
    stored = [use for use in uses if not isinstance(use.ctx, ast.Load)]
    if len(values) != 1 or len(stored) != 1 or changed:
        raise ValueError(f"{len(stored)} assignments and {len(changed)} changes of it")
    [value] = values
    if not isinstance(value, ast.List | ast.Tuple):
        raise ValueError("something else than a literal list")
    return value


def _may_change(use: ast.Name, tree: ast.Module) -> bool:
    """Return whether a use of the list calls one of its methods, or stores or deletes an item of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.value is use:
            return True
        if isinstance(node, ast.Subscript) and node.value is use and not isinstance(node.ctx, ast.Load):
            return True
    return False


def _template(question: str) -> str:
    """Return a question as a template with the field {text}, which has the conversion and format of its own field."""
    parts = list(Formatter().parse(question))
    if sum(field is not None for _, field, _, _ in parts) != 1:
        raise ValueError(f"{question!r}, which has not one field")
    template = ""
    for text, field, form, conversion in parts:
        template += text.replace("{", "{{").replace("}", "}}")
        if field is not None:
            template += "{text" + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "") + "}"
    template.format(text="a")
    return template
