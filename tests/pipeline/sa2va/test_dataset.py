from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from pipeline.data.clips import Clips
from pipeline.data.videos import Video
from pipeline.export.frames import StoreConfig, store_video
from pipeline.sa2va.config import DataConfig
from pipeline.sa2va.dataset import RefSavDataset
from pipeline.sa2va.example import Batch
from tests.pipeline.data.tiny import AUTO, MANUAL, make_video

SIDE = 20
DRAWN = {f"manual/{n}": masklet for n, masklet in enumerate(MANUAL)} | {"auto/0": AUTO[0]}


def encode(
    *,
    video_id: str,
    object_ids: Sequence[str],
    texts: Sequence[str],
    frames: Sequence[NDArray[np.uint8]],
    masks_OFMM: NDArray[np.uint8],
    seed: int,
) -> Batch:
    """Words become their lengths; images are thinned."""
    words = [len(word) for text in texts for word in text.split()]
    thinned = np.stack([frame[::8, ::8] for frame in frames]).transpose(0, 3, 1, 2)
    return Batch(
        video_ids_B=(video_id,),
        object_ids_B=(tuple(object_ids),),
        input_ids_BL=torch.tensor([words]),
        labels_BL=torch.tensor([[seed % 1000]]),
        attention_BL=torch.ones(1, len(words), dtype=torch.bool),
        mllm={},
        sam_frames_N3SS=torch.from_numpy(np.ascontiguousarray(thinned)),
        masks_B=(torch.from_numpy(masks_OFMM),),
    )


Make = Callable[..., RefSavDataset]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Video]:
    root = tmp_path_factory.mktemp("sav")
    return [make_video(root, f"sav_00000{n}", auto=AUTO if n % 2 else ()) for n in range(4)]


@pytest.fixture
def make(videos: list[Video]) -> Make:
    def made(clips: Clips | None = None, config: DataConfig | None = None, seed: int = 1) -> RefSavDataset:
        return RefSavDataset(videos, clips or Clips(), config or DataConfig(), encode, seed, mask_px=SIDE)

    return made


def same(one: Batch, other: Batch) -> bool:
    return (
        (one.video_ids_B, one.object_ids_B) == (other.video_ids_B, other.object_ids_B)
        and torch.equal(one.labels_BL, other.labels_BL)
        and torch.equal(one.sam_frames_N3SS, other.sam_frames_N3SS)
        and torch.equal(one.masks_B[0], other.masks_B[0])
    )


def test_an_example_has_the_masks_and_frames_that_were_chosen(make: Make, videos: list[Video]) -> None:
    dataset = make()
    for index, video in enumerate(videos):
        frames = dataset.frames(3, index)
        example = dataset[3, index]
        assert example.video_ids_B[0] == video.video_id
        assert sorted(example.object_ids_B[0]) == sorted(each.object_id for each in video.expressions)
        masklets = [DRAWN[object_id.removeprefix(f"{video.video_id}/")] for object_id in example.object_ids_B[0]]
        rows, columns = np.arange(SIDE) * 120 // SIDE, np.arange(SIDE) * 160 // SIDE
        expected = [[masklet(t)[rows][:, columns] for t in frames] for masklet in masklets]
        assert np.array_equal(example.masks_B[0].numpy(), expected)
        images, _ = Clips().read(video, frames, [])
        assert np.array_equal(example.sam_frames_N3SS[4].numpy(), images[4][::8, ::8].transpose(2, 0, 1))


def test_texts_stand_in_the_order_of_their_objects(make: Make, videos: list[Video]) -> None:
    texts = {each.object_id: each.text for video in videos for each in video.expressions}

    def as_read(**chosen: Any) -> Any:
        return chosen

    chosen: Any = RefSavDataset(videos, Clips(), DataConfig(), as_read, 1)[0, 1]
    assert list(chosen["texts"]) == [texts[object_id] for object_id in chosen["object_ids"]]


def test_any_number_of_workers_draws_the_same(make: Make) -> None:
    """Workers are not forked from this process: PyAV hangs in a copy of one that has decoded a video."""
    dataset = make()
    order = [[(2, 3), (2, 0)], [(2, 1)], [(2, 2), (0, 0)]]
    alone = [[dataset[at] for at in batch] for batch in order]
    for workers in (0, 2):
        context = "forkserver" if workers else None
        loader = DataLoader(
            dataset, batch_sampler=order, collate_fn=list, num_workers=workers, multiprocessing_context=context
        )
        loaded = list(loader)
        assert [len(batch) for batch in loaded] == [2, 1, 2]
        assert all(same(a, b) for one, two in zip(alone, loaded, strict=True) for a, b in zip(one, two, strict=True))


def test_draws_differ_by_epoch_index_and_seed_and_by_nothing_else(make: Make) -> None:
    dataset, other = make(config=DataConfig(repeats=2)), make(config=DataConfig(repeats=2), seed=2)
    assert same(dataset[0, 1], make()[0, 1])
    drawn = [dataset[0, 1], dataset[1, 1], dataset[0, 5], other[0, 1]]
    assert len({int(one.labels_BL) for one in drawn}) == 4
    assert len({tuple(dataset.frames(epoch, 1)) for epoch in range(8)}) > 1


def test_the_store_gives_the_same_choice_and_masks(make: Make, videos: list[Video], tmp_path: Path) -> None:
    for video in videos:
        assert store_video(video, tmp_path, StoreConfig())[0] == "made"
    for index in range(4):
        direct, stored = make()[0, index], make(Clips(tmp_path))[0, index]
        assert direct.object_ids_B[0] == stored.object_ids_B[0]
        assert torch.equal(direct.masks_B[0], stored.masks_B[0])
        assert torch.equal(direct.labels_BL, stored.labels_BL)


def test_an_index_runs_over_the_repeats(make: Make, videos: list[Video]) -> None:
    dataset = make(config=DataConfig(repeats=3))
    assert len(dataset) == len(dataset.lengths()) == 12
    assert dataset[0, 7].video_ids_B[0] == videos[3].video_id
    for index in (-1, 12):
        with pytest.raises(IndexError, match=str(index)):
            dataset[0, index]


def test_lengths_follow_the_text_that_is_expected(make: Make) -> None:
    ours = make().lengths()
    assert ours == [len("text 0 of manual") * 3, len("text 0 of manual") * 3 + len("text 0 of auto")] * 2
    two = make(config=DataConfig(max_objects=2)).lengths()
    assert two == [32, 31, 32, 31]
    official = make(config=DataConfig(with_replacement=True)).lengths()
    assert official[0] == 5 * 16


def test_a_video_that_cannot_be_read_stops_with_its_id(videos: list[Video], tmp_path: Path) -> None:
    broken = make_video(tmp_path, "sav_broken")
    broken.video_path.write_bytes(broken.video_path.read_bytes()[:1500])
    dataset = RefSavDataset([videos[0], broken], Clips(), DataConfig(), encode, 0, mask_px=SIDE)
    with pytest.raises(ValueError, match=r"^sav_broken: .*sav_broken\.mp4"):
        dataset[0, 1]


def test_no_video_is_an_error() -> None:
    with pytest.raises(ValueError, match="got none"):
        RefSavDataset([], Clips(), DataConfig(), encode, 0)
