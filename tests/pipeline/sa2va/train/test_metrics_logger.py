import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline.sa2va.train import metrics_logger
from pipeline.sa2va.train.metrics_logger import MetricsLogger, best_step, last_evaluation

PARTS = {"llm": 1.0, "mask": 0.5, "dice": 0.25}


def tell(out: Path, steps: range, begun: int) -> None:
    watch = MetricsLogger(out, 10, begun)
    for step in steps:
        watch.log(step, PARTS, lr=1e-4, norm=2.0, pace={"samples/s": 3.0 + begun}, by_source={"a": 1.75})
    watch.add_image(steps[-1], "masks", torch.from_numpy(np.full((8, 8, 3), 200, np.uint8)))
    watch.close()


def test_a_resumed_run_goes_on_in_the_same_curve(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    tell(tmp_path, range(1, 6), 0)
    time.sleep(1.1)  # TensorBoard orders its files by the second
    tell(tmp_path, range(4, 11), 3)
    lines = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 11))
    assert [line["samples/s"] for line in lines] == [3.0] * 3 + [6.0] * 7
    assert lines[0] == PARTS | {"step": 1, "loss": 1.75, "lr": 1e-4, "gradient": 2.0, "samples/s": 3.0, "loss/a": 1.75}
    assert "step 10/10  loss 1.7500 (llm 1.0000  mask 0.5000  dice 0.2500)" in caplog.messages[-1]
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert [event.step for event in board.Scalars("train/loss")] == list(range(1, 11))
    assert board.Images("masks")[-1].step == 10


def test_a_run_that_begins_anew_forgets_the_old_curve(tmp_path: Path) -> None:
    tell(tmp_path, range(1, 6), 0)
    tell(tmp_path, range(1, 3), 0)
    assert len((tmp_path / "curve.jsonl").read_text().splitlines()) == 2


def test_a_kill_while_the_curve_is_taken_over_costs_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(tmp_path, range(1, 6), 0)
    before = (tmp_path / "curve.jsonl").read_text()
    monkeypatch.setattr(metrics_logger, "_parsed", lambda *_: 1 / 0)  # here the process dies
    with pytest.raises(ZeroDivisionError):
        tell(tmp_path, range(4, 6), 3)
    assert (tmp_path / "curve.jsonl").read_text() == before
    monkeypatch.undo()
    written = []

    def note(path: Path, _: str) -> None:
        written.append(path)
        path.touch()

    monkeypatch.setattr(Path, "write_text", note)
    metrics_logger.MetricsLogger(tmp_path, 10, 3).close()
    assert written == [tmp_path / ".curve.jsonl.tmp"], "not the curve itself"


def test_the_best_evaluation_is_one_that_can_be_compared(tmp_path: Path) -> None:
    watch = MetricsLogger(tmp_path, 10, 0)
    for step, on, score in [(0, "a", 90.0), (1, "b", 80.0), (2, "a", float("nan")), (3, "a", 50.0), (4, "a", 50.0)]:
        watch.log_evaluation(step, {"J&F": score}, on)
    watch.close()
    assert best_step(tmp_path) == (3, 50.0), "not before the first step, on other videos, no number, or later"
    assert [last_evaluation(tmp_path, on) for on in "abc"] == [4, 1, -1]
