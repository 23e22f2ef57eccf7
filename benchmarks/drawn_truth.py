"""Clips that are drawn and measured in memory, and what is true of their objects by the drawing, not by `stages.facts`.

Whether a claim is true is read off exact masks and paths without any margin: the middle of the frame is the border of
left and right, and what is hidden in a single frame is hidden. So a claim that `stages.claims` calls true or ruled
out with its margins must be so here too.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial

import cv2
import numpy as np
from numpy.typing import NDArray

from manifests.lineup import LineupFrame, LineupMask
from manifests.schema import MASK_STRIDE, Claim, Facts
from pipeline.demo import cutouts
from pipeline.demo.scene import DrawnScene, Sprite, render
from stages.facts import measure
from stages.video.camera import CameraTracker
from stages.video.colour import ColourSampler
from stages.video.images import encode_jpeg
from stages.video.rle import from_mask
from stages.video.times import FrameTimes
from stages.video.track import Track
from stages.video.views import uniform_indices

WIDTH_PX, HEIGHT_PX, FPS = 640, 360, 24
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black", "brown")
_GROUNDS = (("grass.png", (92, 124, 58)), ("gravel.png", (142, 132, 118)), ("brick.png", (84, 88, 98)))
_SMALL = (320, 180)  # width, height of the frames in which the camera is followed
_VIEWS, _LINEUP_FRAMES = 8, 3
_MOVES_DIAGONAL_FRAC = 0.03  # a path within this extent is none
_CHANGES_RATIO = 1.1  # of areas
_SIGNS = {"left": (0, -1), "right": (0, 1), "top": (1, -1), "bottom": (1, 1), "up": (1, -1), "down": (1, 1)}


@dataclass(frozen=True, eq=False)
class DrawnObject:
    """What the drawing says of one object; T annotated frames.

    Attributes:
        colours: basic colour terms, dominant first.
        seen_T: whether any of it can be seen.
        centres_T2: (x, y) of what can be seen / (width, height); nan where nothing can.
        world_T2: (x, y) of its path through the world, px of the screen.
        scales_T: of its size on the screen.
        areas_T: pixels that can be seen.
    """

    object_id: str
    colours: tuple[str, ...]
    seen_T: NDArray[np.bool_]
    centres_T2: NDArray[np.float64]
    world_T2: NDArray[np.float64]
    scales_T: NDArray[np.float64]
    areas_T: NDArray[np.int64]

    def holds_rank(self, claim: Claim, among: Sequence["DrawnObject"]) -> bool:
        """Return whether a claim of `stages.claims.rank` is true among objects, without a margin.

        Args:
            claim: of rank.
            among: all objects that are ranked, this one too.
        """
        name, lower, _, higher = claim.value.split(":")
        own, others = _TRAITS[name](self), [_TRAITS[name](other) for other in among if other is not self]
        below, above = sum(value < own for value in others), sum(value > own for value in others)
        return (lower == "*" or below == int(lower)) and (higher == "*" or above == int(higher))

    def holds(self, claim: Claim) -> bool:
        """Return whether a claim of `stages.claims.measurable` is true, without a margin."""
        return _HOLDS[claim.kind](self, claim.value)

    @property
    def shown(self) -> NDArray[np.float64]:
        """Return the centres where it can be seen."""
        return self.centres_T2[self.seen_T]


@dataclass(frozen=True)
class DrawnVideo:
    """A clip: what was drawn of its objects, and what was measured, by object_id; and frames for its line-ups."""

    objects: dict[str, DrawnObject]
    facts: dict[str, Facts]
    frames: tuple[LineupFrame, ...]


def draw(seed: int, *, alike: bool) -> DrawnVideo:
    """Draw and measure a clip of two to five objects; `alike`: all of one colour."""
    rng = random.Random(f"gates {seed}")
    colour = rng.choice(COLOURS)
    count = rng.randint(2, 5)
    colours = [colour] * count if alike else [rng.choice(COLOURS) for _ in range(count)]
    duration_s = rng.choice([5.0, 6.0, 7.5])
    sprites = tuple(_sprite(f"clip_{seed:06d}/manual/{n}", name, duration_s, rng) for n, name in enumerate(colours))
    pan = rng.choice([0.0, 0.0, 0.0, 30.0, -30.0])
    zoom = 0.0 if pan else rng.choice([0.0, 0.0, 0.0, 0.04])
    texture, rgb = rng.choice(_GROUNDS)
    scene = DrawnScene(
        video_id=f"clip_{seed:06d}",
        width_px=WIDTH_PX,
        height_px=HEIGHT_PX,
        duration_s=duration_s,
        background_HW3=_ground(texture, rgb),
        sprites=sprites,
        camera=lambda t_s: (640 + pan * t_s, 360.0, 1 + zoom * t_s),
    )
    return _measured(scene, duration_s)


@cache
def _ground(texture: str, rgb: tuple[int, int, int]) -> NDArray[np.uint8]:
    return cutouts.ground(texture, rgb, (1280, 720))


@cache
def _cutout(kind: str, colour: str) -> cutouts.Cutout:
    return cutouts.horse(colour, 96) if kind == "horse" else cutouts.ball(colour, 64)


def _sprite(name: str, colour: str, duration_s: float, rng: random.Random) -> Sprite:
    """Make an object that stays, goes one way or to and fro, and may come, go, be away for a while, grow or shrink."""
    x, y = rng.uniform(360, 920), rng.uniform(210, 510)
    reach_px, turn = rng.uniform(90, 220), rng.choice([(1, 0), (-1, 0), (0, 1), (0, -1)])
    kind = rng.choice(["still", "still", "line", "line", "sway"])
    paths: dict[str, Callable[[float], float]] = {
        "still": lambda t_s: 0.0,
        "line": lambda t_s: reach_px * (t_s / duration_s - 0.5),
        "sway": lambda t_s: 0.4 * reach_px * math.sin(4 * math.pi * t_s / duration_s),
    }
    far = paths[kind]
    gone = rng.choice(["", "", "", "before", "after", "between"])
    away = {
        "": (0.0, 0.0),
        "before": (0.0, 0.35 * duration_s),
        "after": (0.65 * duration_s, 2 * duration_s),
        "between": (0.4 * duration_s, 0.7 * duration_s),
    }[gone]
    growth = rng.choice([0.0, 0.0, 0.0, 0.12, -0.09])
    size = rng.uniform(0.5, 1.1)
    return _cutout(rng.choice(["ball", "ball", "horse"]), colour).sprite(
        name,
        centre=lambda t_s: (x + turn[0] * far(t_s), y + turn[1] * far(t_s)),
        scale=lambda t_s: size * (1 + growth * t_s),
        visible=lambda t_s: not away[0] <= t_s < away[1],
    )


def _measured(scene: DrawnScene, duration_s: float) -> DrawnVideo:
    """Draw the annotated frames, and measure them as the stage render_views does."""
    names = [sprite.name for sprite in scene.sprites]
    count = -(-scene.frame_count // MASK_STRIDE)
    times_s = [MASK_STRIDE * k / FPS for k in range(count)]
    views = set(uniform_indices(count, _VIEWS))
    frames, masks = zip(*(render(scene, t_s) for t_s in times_s), strict=True)
    areas_NT = np.array([[int(of_frame[name].sum()) for of_frame in masks] for name in names])
    camera = CameraTracker(WIDTH_PX / _SMALL[0])
    samplers = {name: ColourSampler() for name in names}
    for k, (frame_HW3, of_frame) in enumerate(zip(frames, masks, strict=True)):
        grey_HW = cv2.resize(cv2.cvtColor(frame_HW3, cv2.COLOR_RGB2GRAY), _SMALL, interpolation=cv2.INTER_AREA)
        camera.add(np.asarray(grey_HW, np.uint8), partial(_union, of_frame))
        bgr_HW3 = np.ascontiguousarray(frame_HW3[..., ::-1])
        for name, areas_T in zip(names, areas_NT, strict=True):
            if k in views or k == areas_T.argmax():
                samplers[name].add(bgr_HW3, of_frame[name], best=k == areas_T.argmax())
    seen = [name for name, areas_T in zip(names, areas_NT, strict=True) if areas_T.any()]
    tracks = {name: _track(name, [of_frame[name] for of_frame in masks]) for name in seen}
    measured = measure(
        list(tracks.values()),
        height_px=HEIGHT_PX,
        width_px=WIDTH_PX,
        times=FrameTimes.steady(scene.frame_count, FPS),
        camera_steps=camera.steps,
        trails=camera.trails,
        colours=samplers,
    )
    zooms_T = np.array([scene.view(t_s)[2] for t_s in times_s])
    objects = {
        sprite.name: DrawnObject(
            object_id=sprite.name,
            colours=sprite.colours,
            seen_T=np.array(tracks[sprite.name].areas_px) > 0,
            centres_T2=tracks[sprite.name].centres_px / (WIDTH_PX, HEIGHT_PX),
            world_T2=np.array([sprite.centre(t_s) for t_s in times_s]) * zooms_T.mean(),
            scales_T=np.array([sprite.scale(t_s) for t_s in times_s]) * zooms_T,
            areas_T=np.array(tracks[sprite.name].areas_px),
        )
        for sprite in scene.sprites
        if sprite.name in tracks
    }
    shown = [(times_s[k], frames[k], masks[k]) for k in uniform_indices(count, _LINEUP_FRAMES)]
    lineup = tuple(_lineup_frame(t_s, frame_HW3, of_frame) for t_s, frame_HW3, of_frame in shown)
    return DrawnVideo(objects, {facts.object_id: facts for facts in measured}, lineup)


def _lineup_frame(time_s: float, rgb_HW3: NDArray[np.uint8], masks: Mapping[str, NDArray[np.bool_]]) -> LineupFrame:
    seen = {name: from_mask(mask_HW.astype(np.uint8))["counts"] for name, mask_HW in masks.items() if mask_HW.any()}
    return LineupFrame(
        time_s=time_s,
        size=[HEIGHT_PX, WIDTH_PX],
        jpeg=encode_jpeg(np.ascontiguousarray(rgb_HW3[..., ::-1]), 90),
        seen=[LineupMask(object_id=name, counts=counts) for name, counts in seen.items()],
    )


def _union(masks: dict[str, NDArray[np.bool_]]) -> NDArray[np.uint8]:
    union_HW = np.any(list(masks.values()), axis=0).astype(np.uint8)
    return np.asarray(cv2.resize(union_HW, _SMALL, interpolation=cv2.INTER_NEAREST), np.uint8)


def _track(name: str, masks: list[NDArray[np.bool_]]) -> Track:
    boxes = [cv2.boundingRect(mask.astype(np.uint8)) for mask in masks]
    centres = [np.argwhere(mask)[:, ::-1].mean(axis=0) if mask.any() else (np.nan, np.nan) for mask in masks]
    return Track(name, [int(mask.sum()) for mask in masks], np.array(boxes), np.array(centres))


def _colour(one: DrawnObject, value: str) -> bool:
    return value.split()[1] in one.colours


def _on_side(centre_2: NDArray[np.float64], side: str) -> bool:
    axis, sign = _SIGNS[side]
    return bool((centre_2[axis] - 0.5) * sign > 0)


def _side(one: DrawnObject, value: str) -> bool:
    side, _, when = value.partition(" ")
    if when == "at first":
        return _on_side(one.shown[0], side)
    if when == "in the end":
        return _on_side(one.shown[-1], side)
    return sum(_on_side(centre_2, side) for centre_2 in one.shown) > len(one.shown) / 2


def _order(one: DrawnObject, value: str) -> bool:
    before, after = value.split(" then ")
    return _on_side(one.shown[0], before) and _on_side(one.shown[-1], after)


def _direction(one: DrawnObject, value: str) -> bool:
    """Return whether it goes so on the screen or through the world: people speak of either."""
    paths = (one.shown * (WIDTH_PX, HEIGHT_PX), one.world_T2[one.seen_T])
    least_px = _MOVES_DIAGONAL_FRAC * np.hypot(WIDTH_PX, HEIGHT_PX)
    for path in paths:
        extent_px, net_px = float(np.hypot(*np.ptp(path, axis=0))), path[-1] - path[0]
        if value == "still":
            holds = extent_px < least_px
        elif value == "to and fro":
            holds = extent_px >= least_px and float(np.hypot(*net_px)) < 0.5 * extent_px
        else:
            axis, sign = _SIGNS[value]
            holds = float(net_px[axis]) * sign > least_px
        if holds:
            return True
    return False


def _visibility(one: DrawnObject, value: str) -> bool:
    shown = np.flatnonzero(one.seen_T)
    first, last = int(shown[0]), int(shown[-1])
    holds: dict[str, bool] = {
        "always": bool(one.seen_T.all()),
        "hidden": not bool(one.seen_T[first : last + 1].all()),
        "enters": first > 0,
        "leaves": last < len(one.seen_T) - 1,
    }
    return holds[value]


def _size(one: DrawnObject, value: str) -> bool:
    scales = one.scales_T[one.seen_T]
    ratio = float(scales[-1] / scales[0]) ** 2
    return {
        "grows": ratio > _CHANGES_RATIO,
        "shrinks": ratio < 1 / _CHANGES_RATIO,
        "steady": 1 / _CHANGES_RATIO**2 < ratio < _CHANGES_RATIO**2,
    }[value]


_HOLDS: dict[str, Callable[[DrawnObject, str], bool]] = {
    "colour": _colour,
    "side": _side,
    "order": _order,
    "direction": _direction,
    "visibility": _visibility,
    "size": _size,
}


def _speed(one: DrawnObject) -> float:
    return float(np.median(np.hypot(*np.diff(one.world_T2[one.seen_T], axis=0).T)))


def _gap(one: DrawnObject) -> float:
    first, last = np.flatnonzero(one.seen_T)[[0, -1]].tolist()
    return float((~one.seen_T[first : last + 1]).sum())


_TRAITS: dict[str, Callable[[DrawnObject], float]] = {
    "x_start": lambda one: float(one.shown[0][0]),
    "y_start": lambda one: float(one.shown[0][1]),
    "x_end": lambda one: float(one.shown[-1][0]),
    "y_end": lambda one: float(one.shown[-1][1]),
    "area": lambda one: float(np.median(one.areas_T[one.seen_T])),
    "seen_from": lambda one: float(np.flatnonzero(one.seen_T)[0]),
    "seen_until": lambda one: float(np.flatnonzero(one.seen_T)[-1]),
    "hidden": _gap,
    "speed": _speed,
}
