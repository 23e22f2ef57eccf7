"""What is kept of a line-up: who was shown under which number, what the judge picked, and what was decided from it.

In a line-up a judge sees all separate objects of a video under numbers, reads a text, and says which of them it means.
stages/verify_lineup.py holds it; pipeline/verification counts what came of it.
"""

from pydantic import BaseModel, ConfigDict, Field

MAX_SHOWN = 9  # objects in one question: numbers of one digit all need tags of one size, and can be told at a glance

# Values of `Lineup.decision`
SINGLED_OUT, AMBIGUOUS, NOT_FOUND, ALONE = "singled_out", "ambiguous", "not_found", "alone"

MEASURED = "measured"  # `Lineup.judge` where it is no model, but the exact listener

# Values of `CatchTrial.kind`: what is known of the text, and so which answer is right
UNIQUE, DROPPED, NO_TARGET = "unique", "dropped", "no_target"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LineupMask(_Model):
    """Where an object is in a frame of a line-up."""

    object_id: str = Field(description="the object")
    counts: str = Field(description="its mask at the frame's size, as COCO run-length counts")


class LineupFrame(_Model):
    """A frame of the video without any mark, and the masks of all separate objects in it."""

    time_s: float = Field(description="seconds from the start of the video")
    size: list[int] = Field(description="[height, width] of the frame, in pixels")
    jpeg: bytes = Field(description="the frame, JPEG")
    seen: list[LineupMask] = Field(description="a mask for every object that is seen in it")

    @property
    def masks(self) -> dict[str, str]:
        """The run-length counts of the masks by object_id."""
        return {mask.object_id: mask.counts for mask in self.seen}


class LineupHeat(_Model):
    """One question to the judge: the objects that it was shown, and those that it picked."""

    shown: list[str] = Field(description="object_ids in the order of their numbers: the first bore number 1")
    picked: list[str] = Field(description="object_ids that the judge named: one, several, or none")
    evidence: str = Field(description="why, in the judge's own words")


class LineupTrial(_Model):
    """One trial: the same objects and frames under other numbers."""

    heats: list[LineupHeat] = Field(
        description="its questions: one; of more than 9 objects several, and a last one for their winners"
    )
    picked: list[str] = Field(description="object_ids that the trial ended with: one, several, or none")


class Lineup(_Model):
    """The trials of one text, and what was decided from them."""

    expression: str = Field(description="the text that was judged")
    candidates: list[str] = Field(description="object_ids of all objects that it could mean, the right one first")
    places: list[str] = Field(description="of each candidate, the cell of a 3x3 grid in which it is largest")
    times_s: list[float] = Field(description="times of the frames that the judge saw, the same in all trials")
    trials: list[LineupTrial] = Field(description="in order")
    pick_rate: float = Field(description="share of the trials that ended with the right object alone")
    runner_up: str | None = Field(description="the other object that most trials ended with; null if none did")
    runner_up_rate: float = Field(description="share of the trials that ended with it, alone or among several")
    decision: str = Field(
        description="singled_out, ambiguous, not_found; alone = no other object to confuse it with, nobody was asked"
    )
    judge: str = Field(description="name of the model, or measured")
    revision: str = Field(description="its commit, fingerprint or given revision; empty if that is not known")


class CatchTrial(_Model):
    """A text whose truth is known from measurement, put to the same decision: it measures the judge, not the text."""

    kind: str = Field(description="unique: fits this object alone; dropped: fits several; no_target: fits none")
    truth: list[str] = Field(description="object_ids of all objects that the text fits, by what was measured")
    lineup: Lineup = Field(description="what the judge made of it")

    @property
    def right(self) -> bool:
        """Whether the decision is the right one for a text of this kind."""
        return self.lineup.decision == {UNIQUE: SINGLED_OUT, DROPPED: AMBIGUOUS, NO_TARGET: NOT_FOUND}[self.kind]
