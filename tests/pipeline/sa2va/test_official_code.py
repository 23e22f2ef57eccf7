"""What is read of the user's clone of the release: drawn here, with questions of our own."""

from pathlib import Path

import pytest

from pipeline.sa2va.official_code import check_official_code, model_files, read_questions

COMMON = '''
"""Questions."""
import this_is_never_imported

NUMBERS = [1, 2]
SEG_QUESTIONS = [
    "Show me the {class_name}!",
    "Show me the {class_name}!",
    "Is {class_name} in a {{set}}?",
]
ANSWERS = ["{seg}"]
'''


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for folder in ("models", "models_qwen", "models_qwen3vl"):
        path = tmp_path / "Sa2VA/projects/sa2va/hf" / folder
        path.mkdir(parents=True)
        (path / "modeling_sa2va_qwen.py").write_text("raise SystemExit")
    common(tmp_path / "Sa2VA").parent.mkdir()
    common(tmp_path / "Sa2VA").write_text(COMMON)
    return tmp_path / "Sa2VA"


def common(clone: Path) -> Path:
    return clone / "projects/sa2va/datasets/common.py"


@pytest.mark.parametrize("inside", [".", "projects/sa2va/hf/models_qwen3vl"])
def test_questions_are_read_from_a_clone_by_its_root_or_a_folder_in_it(clone: Path, inside: str) -> None:
    check_official_code(clone / inside)
    templates = read_questions(clone / inside)
    assert [each.format(text="cat {x}") for each in templates] == [
        *["Show me the cat {x}!"] * 2,
        "Is cat {x} in a {set}?",
    ]


def test_files_of_a_family_are_found_by_the_root_too(clone: Path, tmp_path: Path) -> None:
    hf = clone / "projects/sa2va/hf"
    for family, folder in (("qwen3_vl", "models_qwen3vl"), ("qwen2_5_vl", "models_qwen"), ("internvl", "models")):
        for given in (clone, hf, hf / folder):
            check_official_code(given)
            assert model_files(given, family, ["modeling_sa2va_qwen.py"]) == hf / folder


def test_files_alone_have_no_questions(tmp_path: Path) -> None:
    (tmp_path / "modeling_sa2va_chat.py").touch()
    check_official_code(tmp_path)
    assert read_questions(tmp_path) == ()


def test_another_folder_is_refused(tmp_path: Path) -> None:
    for wrong in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ValueError, match="must be a clone of bytedance/Sa2VA or its folder"):
            check_official_code(wrong)


@pytest.mark.parametrize(
    "content",
    ["QUESTIONS = []", "SEG_QUESTIONS = []", "SEG_QUESTIONS = ['a', 'b']", "SEG_QUESTIONS = ['{a} {b}']", "SEG_QUES"]
    + ["SEG_QUESTIONS = ['{a}']\nSEG_QUESTIONS += ['{b}']", "SEG_QUESTIONS = ['{a}']\nSEG_QUESTIONS.append('{b}')"]
    + ["SEG_QUESTIONS = ['{a}']\nSEG_QUESTIONS = ['{b}']", "SEG_QUESTIONS = ['{a}']\nSEG_QUESTIONS[0] = '{b}'"]
    + ["SEG_QUESTIONS = ['{a}']\ndel SEG_QUESTIONS[0]", "for SEG_QUESTIONS in x: ...", "SEG_QUESTIONS: list[str]"]
    + ["SEG_QUESTIONS = {'{a}'}", "SEG_QUESTIONS = {'{a}': 1}", "SEG_QUESTIONS = '{a}'", "SEG_QUESTIONS = [1]"]
    + ["SEG_QUESTIONS = ['{a:{b}}']", "SEG_QUESTIONS = ['{a:d}']", "SEG_QUESTIONS = A = ['{a}']"]
    + ["SEG_QUESTIONS = [str(x) for x in y]", "SEG_QUESTIONS = 3", "SEG_QUESTIONS = ['{a'", "def f(:"],
)
def test_a_file_without_such_a_list_is_refused(clone: Path, content: str) -> None:
    common(clone).write_text(content)
    with pytest.raises(ValueError, match=r"common\.py must assign SEG_QUESTIONS a list of questions") as raised:
        read_questions(clone)
    assert "()" not in str(raised.value)


@pytest.mark.parametrize(
    "content",
    ["SEG_QUESTIONS: list[str] = ['See {x}?']", "SEG_QUESTIONS = ('See {x}?',)", "\ufeffSEG_QUESTIONS = ['See {x}?']"],
)
def test_other_ways_to_write_such_a_list_are_read(clone: Path, content: str) -> None:
    common(clone).write_text(content + "\nprint(SEG_QUESTIONS[0], len(SEG_QUESTIONS))")
    assert read_questions(clone) == ("See {text}?",)


def test_a_field_keeps_its_format(clone: Path) -> None:
    common(clone).write_text("SEG_QUESTIONS = ['<{x:>6}>', '{x!r}', '{x!s:^5}']")
    assert [each.format(text="cat") for each in read_questions(clone)] == ["<   cat>", "'cat'", " cat "]


def test_a_binary_file_is_a_short_sentence(clone: Path) -> None:
    common(clone).write_bytes(bytes(range(256)) * 300)
    with pytest.raises(ValueError, match="common.py must assign") as raised:
        read_questions(clone)
    assert len(str(raised.value)) < 600
