"""Where a project finds its videos, and what it says where the run does not tell."""

from pathlib import Path

import pytest

from manifests.io import Folder
from validation_ui.project import Project


@pytest.mark.parametrize("content", [None, b"{}", b"[]", b'{"config": 3}', b'{"config"', bytes(range(256)) * 99])
def test_a_run_that_does_not_tell_its_sav_root_is_refused_in_a_short_sentence(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.json must tell the SAV_ROOT of the run, got .*--sav-root") as error:
        _ = Project(Folder(str(tmp_path)), tmp_path).sav_root
    assert len(str(error.value)) < 600
    assert Project(Folder(str(tmp_path)), tmp_path, sav=str(tmp_path)).sav_root == tmp_path
