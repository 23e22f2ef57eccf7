"""What a source of masklets is: the protocol that every source follows, what it gives, and the registry of all.

A source is one module of this folder whose `SOURCE` follows `MaskletSource`. It finds the videos below a path, cheaply
and in the command's own process, and opens one of them in a worker. What it gives is the same for all: pictures with
times, and masks of objects at some of them. `write_sav.py` makes SA-V's files of that.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from stages.video.images import Image
from stages.video.rle import Rle
from stages.video.times import FrameTimes

SOURCES = ("png", "ytvis", "mevis", "cvat", "video")  # modules of this folder, in the order in which a path is tried


class ImportReason(StrEnum):
    """Why a video, an object or a text of a source was left out. docs/import.md has a table of all reasons."""

    # The whole video.
    ENTRY_MALFORMED = "entry_malformed"  # its entry in a JSON or XML file breaks the format
    FRAME_MISSING = "frame_missing"  # a picture is not there
    FRAME_UNREADABLE = "frame_unreadable"  # a picture or the mp4 cannot be decoded
    MASK_MISSING = "mask_missing"  # a mask file is not there, or there are fewer masks than pictures
    MASK_UNREADABLE = "mask_unreadable"  # a mask cannot be decoded
    SIZE_MISMATCH = "size_mismatch"  # a mask, or a picture, has another size than the first picture
    MASKS_SPARSE = "masks_sparse"  # too few pictures have masks
    NO_OBJECT = "no_object"  # nothing is left of it
    UNSUPPORTED = "unsupported"  # a form of annotation that this source does not read
    UNEXPECTED_ERROR = "unexpected_error"  # anything that was not foreseen; `detail` has the error
    # One object.
    NEVER_VISIBLE = "never_visible"  # no mask at any kept picture
    UNKNOWN_CATEGORY = "unknown_category"  # its category is not in the file's list
    NO_MASK = "no_mask"  # it has boxes or points only
    # One text.
    NO_TARGET = "no_target"  # it means no object, on purpose
    EMPTY_TEXT = "empty_text"  # it has no words
    UNKNOWN_OBJECT = "unknown_object"  # it means an object that has no masks or was left out


class ImportFailedError(Exception):
    """A video of a source cannot be imported; the others can."""

    def __init__(self, reason: ImportReason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class LeftOut:
    """Says what was left out, and why.

    Attributes:
        reason: the rule.
        detail: what was got, with file and position.
        object_id: the source's own id, if it is an object.
        text_id: the source's own id, if it is a text.
    """

    reason: ImportReason
    detail: str
    object_id: str | None = None
    text_id: str | None = None

    @property
    def kind(self) -> str:
        """Return what was left out: video, object or text."""
        return "text" if self.text_id is not None else "object" if self.object_id is not None else "video"


@dataclass(frozen=True)
class ImportOptions:
    """Holds what a user may tell about a source.

    Attributes:
        fps: pictures a second, where the source does not state it.
        images: folder of the pictures, if it is not beside the annotations.
        first_frame: number that the names of masks give to a video's first frame.
    """

    fps: Fraction | None = None
    images: Path | None = None
    first_frame: int = 0


@dataclass(frozen=True)
class ImportTask:
    """Names a video that a source found.

    Attributes:
        source_id: the source's own id of the video, unique in it.
        files: all that is read for it; if one has another size or time than before, it is imported again.
        entry: what the source needs to open it; it must be possible to pickle it.
    """

    source_id: str
    files: tuple[Path, ...]
    entry: Any = None


@dataclass(frozen=True)
class SourceObject:
    """Holds an object's own id in its source, and its category or noun phrase there, if any."""

    source_id: str
    label: str | None = None


@dataclass(frozen=True)
class SourceText:
    """Holds a referring expression, its own id, and the objects that it means, one at least."""

    text_id: str
    text: str
    objects: tuple[str, ...]


class Pictures(Protocol):
    """Gives the pictures of a video, from files or from an mp4."""

    @property
    def names(self) -> Sequence[str]:
        """Return what messages call each picture."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Return (height, width) in pixels, upright."""
        ...

    @property
    def times(self) -> FrameTimes:
        """Return when the pictures are shown."""
        ...

    def read(self, wanted: Collection[int]) -> Iterator[tuple[int, Image]]:
        """Give the pictures at these positions, rising, with their position.

        Raises:
            ImportFailedError: one cannot be read or has another size.
        """
        ...


@dataclass(frozen=True)
class SourceVideo:
    """Holds a video of a source with its masks.

    Attributes:
        pictures: its pictures.
        objects: those that have masks, in the order of the source.
        masks: position of a picture -> own id of an object -> its mask; an object that is not named is not to be
            seen there. Pictures that nobody annotated are not in it.
        texts: its referring expressions.
        left_out: objects and texts that the source could not use.
    """

    pictures: Pictures
    objects: Sequence[SourceObject]
    masks: Mapping[int, Mapping[str, Rle]]
    texts: Sequence[SourceText] = ()
    left_out: Sequence[LeftOut] = field(default_factory=tuple)


class MaskletSource(Protocol):
    """Reads videos and masks of one layout.

    Attributes:
        reads: what it reads, in a few words, for messages.
        needs: what must be below its path, for messages.
    """

    reads: str
    needs: str

    def fits(self, path: Path) -> bool:
        """Tell at a glance whether `path` looks like this layout."""
        ...

    def find(self, path: Path, options: ImportOptions) -> Sequence[ImportTask]:
        """Return the videos below `path`; none if it is another layout.

        Raises:
            ValueError: a file that all videos need cannot be read, or an option is missing or does not fit.
        """
        ...

    def open(self, task: ImportTask, options: ImportOptions) -> SourceVideo:
        """Read the masks of a video, and look at its pictures.

        Raises:
            ImportFailedError: it cannot be used.
        """
        ...


def source(name: str) -> MaskletSource:
    """Return the source of one of the names in SOURCES."""
    return cast(MaskletSource, import_module(f"pipeline.importers.{name}").SOURCE)


def required_fps(options: ImportOptions, what: str) -> Fraction:
    """Return what --fps says.

    Raises:
        ValueError: it was not given.
    """
    if options.fps is None:
        raise ValueError(
            f"--fps must say how many pictures a second {what} has: its files do not. YouTube-VOS and what was made of "
            "it have 6 (every fifth of 30)"
        )
    return options.fps
