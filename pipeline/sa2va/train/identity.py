"""What a run has learned from: the ids of its videos and expressions, and a hash of them with their texts.

It lies in every checkpoint. A run that goes on must find the same data, or say that it may be another; and whatever was
learned from at any time stays in the list that keeps a model away from its own benchmark.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from pipeline.data.videos import Video

_FEW = 3


@dataclass(frozen=True)
class DataIdentity:
    """The data of a run.

    Attributes:
        objects: video id -> the ids of its expressions' objects, in order.
        sha256: of all that is learned from an expression: its video, object, mask file and column, text.
        trained_on: ids of all videos that the model has ever learned from.
    """

    objects: dict[str, tuple[str, ...]]
    sha256: str
    trained_on: frozenset[str]

    @classmethod
    def of(cls, videos: Iterable[Video], before: Iterable[str] = ()) -> Self:
        """The identity of `videos`; `before`: ids of what the model has learned from already."""
        objects: dict[str, tuple[str, ...]] = {}
        digest = hashlib.sha256()
        for video in videos:
            objects[video.video_id] = objects.get(video.video_id, ()) + tuple(e.object_id for e in video.expressions)
            rows = [[each.object_id, each.masklet_type, each.column, each.text] for each in video.expressions]
            digest.update(json.dumps([video.video_id, video.frame_count, rows]).encode())
        return cls(objects, digest.hexdigest(), frozenset(before) | objects.keys())

    def to_json(self) -> str:
        """As it lies in a checkpoint."""
        content = {"sha256": self.sha256, "trained_on": sorted(self.trained_on), "objects": self.objects}
        return json.dumps(content)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            content = json.loads(text)
            objects = {str(video_id): tuple(ids) for video_id, ids in content["objects"].items()}
            return cls(objects, str(content["sha256"]), frozenset(content["trained_on"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"sha256, trained_on and objects must be there, got {error!r}") from error

    def difference(self, now: "DataIdentity") -> str:
        """What is other in `now`, in words; "" if nothing is."""
        if now.sha256 == self.sha256:
            return ""
        shared = self.objects.keys() & now.objects.keys()
        told = [
            _named("videos are gone", self.objects.keys() - now.objects.keys()),
            _named("videos are new", now.objects.keys() - self.objects.keys()),
            _named("videos have other expressions", {v for v in shared if self.objects[v] != now.objects[v]}),
        ]
        return ", ".join(each for each in told if each) or "the texts or masks of the same expressions are other ones"


def _named(what: str, ids: Iterable[str]) -> str:
    ordered = sorted(ids)
    rest = ", …" if len(ordered) > _FEW else ""
    return f"{len(ordered)} {what} ({', '.join(ordered[:_FEW])}{rest})" if ordered else ""
