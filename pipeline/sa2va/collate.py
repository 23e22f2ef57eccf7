"""Examples to a batch."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from pipeline.sa2va.batch import IGNORED, Batch, Example
from pipeline.sa2va.families.base import Family


def collate(examples: Sequence[Example], family: Family, pad_id: int = 0) -> Batch:
    """The examples in their order, texts padded on the right.

    Args:
        examples: at least one; all of one family.
        family: joins what the MLLM sees.
        pad_id: stands where `attention_BL` is False; may be a token that also occurs in texts.

    Raises:
        ValueError: no examples.
    """
    if not examples:
        raise ValueError("a batch must have at least one example, got none")

    def padded(rows: list[Tensor], value: float) -> Tensor:
        return pad_sequence(rows, batch_first=True, padding_value=value)

    ids = [example.input_ids_L for example in examples]
    return Batch(
        video_ids_B=tuple(example.video_id for example in examples),
        object_ids_B=tuple(example.object_ids_O for example in examples),
        input_ids_BL=padded(ids, pad_id),
        labels_BL=padded([example.labels_L for example in examples], IGNORED),
        attention_BL=padded([torch.ones(len(row), dtype=torch.bool) for row in ids], False),
        mllm=family.join([example.mllm for example in examples]),
        sam_frames_N3SS=torch.cat([example.sam_frames_F3SS for example in examples]),
        masks_B=tuple(example.masks_OFMM for example in examples),
    )
