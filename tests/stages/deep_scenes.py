"""Drawn scenes of several planes at different depths, with things parked or moving between them, and their truth.

The world is seen by a pinhole camera that looks along z: a point (X, Y) at depth Z lies on the screen at
((X - camera_x), (Y - camera_y)) * FAR / (Z - camera_z), turned and zoomed about the middle. Sizes and speeds are those
that a thing would have at the depth of the backdrop, FAR. Frames are drawn at 6 per second and are not encoded.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from math import cos, sin

import cv2
import numpy as np
from numpy.typing import NDArray

from manifests.schema import MASK_STRIDE, Facts
from pipeline.demo import cutouts
from pipeline.demo.cutouts import Cutout
from pipeline.demo.scene import DrawnScene, Sprite, render
from stages.facts import measure
from stages.video.camera import CameraTracker
from stages.video.colour import ColourSampler
from stages.video.times import FrameTimes
from stages.video.track import Track

WIDTH_PX, HEIGHT_PX, DURATION_S, STEP_S = 640, 360, 6.0, 1 / 6
FAR = 10.0  # depth of the backdrop

Path = Callable[[float], tuple[float, float]]


def still(x: float, y: float) -> Path:
    return lambda t: (x, y)


def line(x: float, y: float, vx: float, vy: float) -> Path:
    return lambda t: (x + vx * t, y + vy * t)


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Where it is, (x, y) in px of the backdrop and z in depths; where it looks, in px of the screen; its zoom."""

    at: Callable[[float], tuple[float, float, float]] = lambda t: (0.0, 0.0, 0.0)
    look: Path = lambda t: (0.0, 0.0)
    zoom: Callable[[float], float] = lambda t: 1.0
    label: tuple[str, ...] = ()  # what its motion may be called


@dataclass(frozen=True, kw_only=True)
class Thing:
    """An object at a depth, `path` in px of the screen as seen by a camera at the origin."""

    path: Path
    depth: float
    motion: str  # the truth
    colour: str = "red"
    width_px: float = 60  # on the screen, from the origin
    masked: bool = True
    seen_s: float = DURATION_S  # from the start


@dataclass(frozen=True, kw_only=True)
class Plane:
    """A picture that stands still at a depth: part of the background. Place and size are px of the screen."""

    depth: float
    box: tuple[float, float, float, float]  # left, top, width, height
    texture: str = "brick.png"
    colour: str = "green"


@dataclass(frozen=True, kw_only=True)
class Deep:
    """A scene in depth."""

    camera: Camera
    planes: tuple[Plane, ...]
    things: Mapping[str, Thing] = field(default_factory=dict)
    backdrop: str = "gravel.png"


STREET = (  # a house front before a hill, a hedge before it, the kerb
    Plane(depth=6.5, box=(-500, -10, 1700, 90), texture="brick.png", colour="orange"),
    Plane(depth=4.5, box=(-700, 60, 2100, 70), texture="grass.png", colour="green"),
    Plane(depth=3.0, box=(-900, 130, 2600, 60), texture="gravel.png", colour="grey"),
)
POSTS = tuple(  # things here and there, some high up
    Plane(depth=depth, box=(x, y, 50, 110), texture="brick.png", colour=colour)
    for depth, x, y, colour in (
        (7.0, -290, -170, "blue"), (5.0, -150, 20, "purple"), (6.0, 20, -160, "orange"), (4.0, 190, -60, "green"),
        (7.0, 330, 20, "grey"), (5.0, 470, -150, "yellow"), (4.0, -420, -80, "green"), (6.0, -520, 40, "orange"),
        (5.0, 620, 0, "purple"), (7.0, 700, -160, "blue"),
    )
)  # fmt: skip


def _reduced(mask_HW: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(mask_HW, size), np.uint8)


def measured(deep: Deep) -> dict[str, Facts]:
    """Facts of the masked things."""
    scene, names = _scene(deep), [name for name, thing in deep.things.items() if thing.masked]
    camera, sampler = CameraTracker(scale=2.0), ColourSampler()
    masks: list[list[NDArray[np.bool_]]] = []
    times = round(DURATION_S / STEP_S)
    for k in range(times):
        frame_HW3, all_masks = render(scene, k * STEP_S)
        seen = {name: all_masks[name] & (k * STEP_S < deep.things[name].seen_s) for name in names}
        masks.append([seen[name] for name in names])
        grey_HW = cv2.resize(cv2.cvtColor(frame_HW3, cv2.COLOR_RGB2GRAY), (320, 180), interpolation=cv2.INTER_AREA)
        union_HW = np.any(masks[-1], axis=0).astype(np.uint8)
        camera.add(np.asarray(grey_HW, np.uint8), partial(_reduced, union_HW, (320, 180)))
    return {
        facts.object_id: facts
        for facts in measure(
            [_track(name, [frame[n] for frame in masks]) for n, name in enumerate(names)],
            height_px=HEIGHT_PX,
            width_px=WIDTH_PX,
            times=FrameTimes.steady(times * MASK_STRIDE, 24.0),
            camera_steps=camera.steps,
            trails=camera.trails,
            colours=dict.fromkeys(names, sampler),
        )
    }


def _track(name: str, masks: list[NDArray[np.bool_]]) -> Track:
    boxes = [cv2.boundingRect(mask.astype(np.uint8)) for mask in masks]
    centres = [np.argwhere(mask)[:, ::-1].mean(axis=0) if mask.any() else (np.nan, np.nan) for mask in masks]
    return Track(name, [int(mask.sum()) for mask in masks], np.array(boxes), np.array(centres))


def _scene(deep: Deep) -> DrawnScene:
    camera = deep.camera

    def view(t: float) -> tuple[float, float, float]:
        (x, y, z), (look_x, look_y) = camera.at(t), camera.look(t)
        nearing = FAR / (FAR - z)
        # what lies in mid-view, in px of the backdrop
        return 1400 + x + look_x / nearing, 700 + y + look_y / nearing, camera.zoom(t) * nearing

    def sprite(name: str, cutout: Cutout, path: Path, depth: float, scale: float) -> Sprite:
        def centre(t: float) -> tuple[float, float]:
            x, y, z = camera.at(t)
            px, py = path(t)
            # px of the screen of a camera at the origin -> world at FAR, as that of the camera where it is
            back = (FAR - z) / (depth - z)
            return 1400 + x + (px * depth / FAR - x) * back, 700 + y + (py * depth / FAR - y) * back

        def size(t: float) -> float:
            z = camera.at(t)[2]
            return scale * depth / FAR * (FAR - z) / (depth - z)

        return cutout.sprite(name, centre=centre, scale=size, shadow=False)

    parts = [
        (plane.depth, sprite(f"plane {n}", _board(plane), _middle(plane), plane.depth, 1.0))
        for n, plane in enumerate(deep.planes)
    ]
    for name, thing in deep.things.items():
        cutout = cutouts.ball(thing.colour, 64)
        parts.append((thing.depth, sprite(name, cutout, thing.path, thing.depth, thing.width_px / 64)))
    return DrawnScene(
        video_id="deep",
        width_px=WIDTH_PX,
        height_px=HEIGHT_PX,
        duration_s=DURATION_S,
        background_HW3=_backdrop(deep.backdrop),
        sprites=tuple(each for _, each in sorted(parts, key=lambda part: -part[0])),
        camera=view,
    )


@cache
def _backdrop(name: str) -> NDArray[np.uint8]:
    return cutouts.ground(name, cutouts.TINTS["grey"], (2800, 1400))


@cache
def _board(plane: Plane) -> Cutout:
    size = int(plane.box[2]), int(plane.box[3])
    texture_HW3 = cutouts.ground(plane.texture, cutouts.TINTS[plane.colour], size, zoom=1.1)
    return Cutout(texture_HW3=texture_HW3, alpha_HW=np.ones(size[::-1], bool), colours=(plane.colour,))


def _middle(plane: Plane) -> Path:
    left, top, width, height = plane.box
    return still(left + width / 2, top + height / 2)


def sway(x_px: float, y_px: float) -> Path:
    """A hand: two slow waves and a faster one."""
    return lambda t: (
        x_px * (0.6 * sin(1.7 * t) + 0.4 * sin(4.1 * t + 1)),
        y_px * (0.6 * cos(1.3 * t) + 0.4 * sin(3.7 * t)),
    )


CAMERAS = {
    "slides right": Camera(at=lambda t: (22 * t, 0, 0), label=("travels",)),
    "slides left fast": Camera(at=lambda t: (-40 * t, 0, 0), label=("travels",)),
    "slides and sways": Camera(
        at=lambda t: (22 * t + sway(8, 0)(t)[0], sway(0, 6)(t)[1], 0), look=sway(8, 8), label=("travels",)
    ),
    "slides and turns": Camera(at=lambda t: (20 * t, 0, 0), look=lambda t: (14 * t, 0), label=("travels",)),
    "rises": Camera(at=lambda t: (0, -18 * t, 0), label=("travels",)),
    "slides down to the right": Camera(at=lambda t: (18 * t, 12 * t, 0), label=("travels",)),
    "goes forward": Camera(at=lambda t: (0, 0, 0.22 * t), label=("travels", "zooms in")),
    "goes back": Camera(at=lambda t: (0, 0, -0.5 * t), label=("travels", "zooms out")),
    "turns right": Camera(look=lambda t: (40 * t, 0), label=("pans right",)),
    "turns up": Camera(look=lambda t: (0, -30 * t), label=("tilts up",)),
    "zooms in": Camera(zoom=lambda t: 1 + 0.08 * t, label=("zooms in",)),
    "zooms out": Camera(zoom=lambda t: 1.5 - 0.07 * t, label=("zooms out",)),
    "is held": Camera(
        at=lambda t: (sway(10, 0)(t)[0], sway(0, 6)(t)[1], 0), look=sway(14, 10), label=("moves", "static", "travels")
    ),
    "walks": Camera(
        at=lambda t: (sway(8, 0)(t)[0], sway(0, 6)(t)[1], 0.2 * t), look=sway(10, 8), label=("travels", "zooms in")
    ),
    "is held and turns": Camera(
        at=lambda t: (sway(4, 0)(t)[0], sway(0, 3)(t)[1], 0),
        look=lambda t: (-35 * t + sway(8, 0)(t)[0], sway(0, 6)(t)[1]),
        label=("pans left",),
    ),
    "stands": Camera(label=("static",)),
}


def things(camera: Camera) -> dict[str, Thing]:
    """Parked ones near and far, and ones that go with the camera, against it and across."""
    (x, y, _), (look_x, look_y) = camera.at(1.0), camera.look(1.0)
    vertical = abs(y + look_y) > abs(x + look_x)
    pace = max(42.0, 2 * float(np.hypot(x, y)))  # of what keeps in view of a camera that slides
    sign = 1 if ((y + look_y) if vertical else (x + look_x)) >= 0 else -1

    def go(x0: float, y0: float, along: float, across: float) -> Path:
        vx, vy = (across, along * sign) if vertical else (along * sign, across)
        return line(x0 - 3 * vx, y0 - 3 * vy, vx, vy)

    ahead = ("down" if sign > 0 else "up") if vertical else ("right" if sign > 0 else "left")
    behind = {"down": "up", "up": "down", "right": "left", "left": "right"}[ahead]
    over = "left" if vertical else "up"
    return {
        "parked near": Thing(path=still(60, 60), depth=3.5, motion="none", width_px=70),
        "parked middle": Thing(path=still(-60, -70), depth=5.5, motion="none", colour="yellow"),
        "parked far": Thing(path=still(100, -110), depth=9.0, motion="none", colour="blue", width_px=40),
        "with": Thing(path=go(0, -20, pace, 0), depth=5.0, motion=ahead, colour="white"),
        "against": Thing(path=go(70, 10, -pace, 0), depth=5.0, motion=behind, colour="pink"),
        "across": Thing(path=go(160, -20, 0, -36), depth=5.0, motion=over, colour="orange"),
    }
