"""A run on the demo with a tiny model, as small as it can be and still learn."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from pipeline.export.frames import main as write_store
from pipeline.sa2va.config import DataConfig, ModelConfig, OptimConfig, TrainConfig
from tests.pipeline.sa2va.models import config as tiny_settings
from tests.pipeline.sa2va.tiny import TINY_SAM2, make_tiny_mllm, tiny_pixels
from tests.pipeline.sa2va.train.coloured import write_try

Settings = Callable[[Path], TrainConfig]


@pytest.fixture(scope="session")
def demo_store(for_all_workers: Path, demo_annotations: Path, demo_root: Path) -> Path:
    """The frame store of the demo's run, made once; read only."""
    store = for_all_workers / "demo_frames"
    with FileLock(f"{store}.lock"):
        if not (store.with_suffix(".made")).exists():
            given = [str(demo_annotations), "--sav-root", str(demo_root), "--out", str(store), "--short-px", "128"]
            assert write_store(given) == 0
            store.with_suffix(".made").touch()
    return store


@pytest.fixture(scope="session")
def settings(
    demo_annotations: Path, demo_root: Path, demo_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """Settings of a short run in the given folder; always the same base model."""
    base = make_tiny_mllm(tmp_path_factory.mktemp("mllm"), embedding_std=0.3)
    config = TrainConfig(
        source=str(demo_annotations),
        sav_root=str(demo_root),
        store=str(demo_store),
        out="",
        model=ModelConfig(base=str(base), sam2=TINY_SAM2, lora_rank=8, lora_alpha=16),
        data=DataConfig(pixels=tiny_pixels(), frames=2, max_objects=1),
        optim=OptimConfig(lr=5e-3, batch=4, micro_batch=2, epochs=4),
        loader_workers=0,
        checkpoint_every=3,
        pictures_every=0,
    )
    return lambda out: replace(config, out=str(out))


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Like `settings`, on videos of coloured shapes, which take a second to draw; for what the data does not matter."""
    folder = tmp_path_factory.mktemp("drawn")
    write_try(folder, count=5)
    source = folder / "videos/Ref-SAV.json"
    config = TrainConfig(
        source=str(source),
        sav_root=str(folder),
        store=str(source.parent / "frames"),
        out="",
        model=tiny_settings(),
        data=DataConfig(pixels=tiny_pixels(), frames=2, max_objects=1),
        optim=OptimConfig(lr=5e-3, batch=2, micro_batch=2),
        loader_workers=0,
    )
    return lambda out: replace(config, out=str(out))
