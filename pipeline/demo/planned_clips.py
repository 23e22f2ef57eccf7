"""Describes the clips of the demo shard: what is in them, and what should become of every masklet.

Together they show every state and every reason that a row can end with. World coordinates (x, y) are pixels of the
background.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi, sin

from manifests.schema import Reason
from pipeline.demo import cutouts
from pipeline.demo.scene import DrawnScene
from pipeline.demo.write_clip import Masklet
from stages.select_policy import SelectConfig

Trajectory = Callable[[float], tuple[float, float]]  # time in s -> world (x, y)
WIDE = (1280, 720)
LAWN, GRAVEL, BRICK, SLATE = (92, 124, 58), (142, 132, 118), (148, 92, 74), (84, 88, 98)


@dataclass(frozen=True, kw_only=True)
class PlannedMasklet(Masklet):
    """A masklet, and what the pipeline should make of it."""

    reason: Reason | None = None  # why it should not be kept; None = it should be
    part_of: str | None = None  # name of another masklet of the clip
    duplicate_of: str | None = None
    colours: tuple[str, ...] = ()  # basic colour terms, dominant first, if not those of its sprite


@dataclass(frozen=True, kw_only=True)
class PlannedClip:
    """A scene, its annotation files, and what is damaged after they were written."""

    scene: DrawnScene
    manual: tuple[PlannedMasklet, ...]
    auto: tuple[PlannedMasklet, ...] = ()
    rotation_deg: int = 0  # see write_clip
    video_broken: bool = False  # packets in the middle of the video are overwritten
    manual_truncated: bool = False  # the second half of the manual file is missing


def clips() -> tuple[PlannedClip, ...]:
    """Return all clips of the shard; nothing is drawn yet."""
    return lawn(), road(), space(), lookalikes(), coins(), wall(), broken_video(), truncated_manual()


def lawn() -> PlannedClip:
    """Make a clip in which a cup crosses a lawn, behind a pillar and behind a ball that comes the other way."""
    scene = DrawnScene(
        video_id="demo_000001",
        width_px=WIDE[0],
        height_px=WIDE[1],
        duration_s=10.0,
        background_HW3=cutouts.ground("grass.png", LAWN, WIDE),
        sprites=(
            cutouts.cat(210).sprite("cat", centre=_still(190, 580)),
            cutouts.cup(170).sprite("cup", centre=_line((110, 250), (105, 0))),
            cutouts.slab("brick.png", "grey", (290, 420)).sprite("pillar", centre=_still(880, 230)),
            cutouts.ball("blue", 120).sprite("blue ball", centre=_line((1190, 165), (-100, 25))),
        ),
    )
    return PlannedClip(
        scene=scene,
        manual=(PlannedMasklet(name="cup"), PlannedMasklet(name="blue ball"), PlannedMasklet(name="cat")),
        auto=(
            PlannedMasklet(name="pillar"),
            _machine("cup"),
            PlannedMasklet(name="coffee", part_of="cup", colours=("orange", "brown"), reason=Reason.PART),
            PlannedMasklet(name="eye", part_of="cat", colours=("green", "brown"), reason=Reason.PART),
            _machine("cat"),
        ),
    )


def road() -> PlannedClip:
    """Make a clip in which the camera turns right with a motorcycle, and a ball rolls out of view and comes back."""
    pan = _line((640, 360), (60, 0))
    scene = DrawnScene(
        video_id="demo_000002",
        width_px=WIDE[0],
        height_px=WIDE[1],
        duration_s=9.875,  # 237 frames, not a multiple of 4, as in most real videos
        background_HW3=cutouts.ground("gravel.png", GRAVEL, (1920, 720)),
        camera=lambda t_s: (*pan(t_s), 1.0),
        sprites=(
            cutouts.coin(3, "white", 17).sprite("small white coin", centre=_still(900, 640)),
            cutouts.ball("yellow", 90).sprite("yellow ball", centre=_still(980, 130)),
            cutouts.motorcycle(330).sprite("motorcycle", centre=_line((260, 300), (115, 0))),
            cutouts.horse("brown", 230).sprite("horse", centre=_line((1010, 560), (55, 0))),
            cutouts.ball("green", 100).sprite(
                "green ball", centre=lambda t_s: (pan(t_s)[0] - 330 - 420 * sin(pi * t_s / 5), 500)
            ),
            cutouts.ball("purple", 80).sprite(
                "purple ball", centre=_line((700, 60), (150, 60)), visible=lambda t_s: 4.0 <= t_s < 4.6
            ),
            cutouts.ball("red", 80).sprite("absent ball", centre=_still(700, 60), visible=lambda t_s: False),
        ),
    )
    return PlannedClip(
        scene=scene,
        manual=(
            PlannedMasklet(name="motorcycle"),
            PlannedMasklet(name="green ball"),
            PlannedMasklet(name="yellow ball"),
            PlannedMasklet(name="small white coin", reason=Reason.TOO_SMALL),
            PlannedMasklet(name="purple ball", reason=Reason.TOO_FEW_VISIBLE_FRAMES),
            PlannedMasklet(name="absent ball", reason=Reason.NEVER_VISIBLE),
        ),
        auto=(PlannedMasklet(name="horse"), _machine("motorcycle")),
    )


def space() -> PlannedClip:
    """Make a portrait clip, stored rotated, in which a rocket flies up past two planets and an astronaut."""
    size = (720, 1280)
    scene = DrawnScene(
        video_id="demo_000003",
        width_px=size[0],
        height_px=size[1],
        duration_s=8.125,
        background_HW3=cutouts.sky(size),
        sprites=(
            cutouts.planet(190).sprite("red planet", centre=_line((540, 150), (0, 48)), shadow=False),
            cutouts.ball("blue", 110).sprite("blue planet", centre=_still(150, 190), shadow=False),
            cutouts.ball("purple", 320).sprite(
                "purple planet", centre=lambda t_s: (872 - 12 * sin(pi * t_s / 8), 760), shadow=False
            ),
            cutouts.rocket(60).sprite(
                "rocket", centre=_line((300, 930), (0, -92)), scale=lambda t_s: 1 - 0.085 * t_s, shadow=False
            ),
            cutouts.astronaut(330).sprite(
                "astronaut", centre=lambda t_s: (360 + 150 * sin(pi * t_s / 2), 870), shadow=False
            ),
            cutouts.hill(720, 290).sprite("hill", centre=_still(359.5, 1135), shadow=False),
        ),
    )
    return PlannedClip(
        scene=scene,
        manual=(
            PlannedMasklet(name="rocket"),
            PlannedMasklet(name="astronaut"),
            PlannedMasklet(name="red planet"),
            PlannedMasklet(name="purple planet", reason=Reason.AT_BORDER),
        ),
        auto=(
            PlannedMasklet(name="blue planet"),
            PlannedMasklet(name="helmet", part_of="astronaut", colours=("black", "white"), reason=Reason.PART),
            _machine("rocket"),
        ),
        rotation_deg=90,
    )


def lookalikes() -> PlannedClip:
    """Make a clip with two horses that differ only in place and path, and two discs that differ in nothing."""
    middle = _line((560, 380), (22, 0))

    def twin(turn: float) -> Trajectory:
        """Return the path of one of two discs that circle one another, so that each is on every side of the other."""

        def at(t_s: float) -> tuple[float, float]:
            (x, y), angle = middle(t_s), pi * t_s + turn
            return x + 37 * cos(angle), y + 37 * sin(angle)

        return at

    horse = cutouts.horse("yellow", 240)
    disc = cutouts.ball("blue", 66)
    scene = DrawnScene(
        video_id="demo_000004",
        width_px=WIDE[0],
        height_px=WIDE[1],
        duration_s=8.0,
        background_HW3=cutouts.ground("brick.png", BRICK, WIDE),
        sprites=(
            horse.sprite("upper horse", centre=_line((170, 140), (110, 0))),
            cutouts.mirrored(horse).sprite("lower horse", centre=_line((1100, 590), (-105, 0))),
            disc.sprite("first twin", centre=twin(0)),
            disc.sprite("second twin", centre=twin(pi)),
        ),
    )
    return PlannedClip(
        scene=scene,
        manual=(
            PlannedMasklet(name="upper horse"),
            PlannedMasklet(name="first twin", reason=Reason.AMBIGUOUS),
            PlannedMasklet(name="lower horse"),
            PlannedMasklet(name="second twin", reason=Reason.AMBIGUOUS),
        ),
    )


def coins() -> PlannedClip:
    """Make a clip in which the camera nears a table with more coins than `max_objects` of a video."""
    # colour, width and place (px), largest first, as the limit ranks them
    table = (
        ("yellow", 190, 640, 360), ("red", 150, 400, 250), ("blue", 138, 880, 250), ("green", 126, 420, 480),
        ("white", 114, 860, 490), ("pink", 102, 640, 180), ("orange", 92, 640, 540), ("purple", 82, 290, 370),
        ("brown", 74, 980, 380), ("black", 66, 520, 120), ("white", 58, 770, 130),
    )  # fmt: skip
    limit = SelectConfig().max_objects
    names = [f"{colour} coin {number + 1}" for number, (colour, *_) in enumerate(table)]
    planned = [
        PlannedMasklet(name=name, reason=Reason.OVER_VIDEO_LIMIT if rank >= limit else None)
        for rank, name in enumerate(names)
    ]
    scene = DrawnScene(
        video_id="demo_000005",
        width_px=WIDE[0],
        height_px=WIDE[1],
        duration_s=6.5,
        background_HW3=cutouts.ground("gravel.png", SLATE, WIDE, zoom=1.2),
        camera=lambda t_s: (639.5, 359.5, 1 + 0.05 * t_s),
        sprites=tuple(
            cutouts.coin(number, colour, width_px).sprite(names[number], centre=_still(x, y))
            for number, (colour, width_px, x, y) in enumerate(table)
        ),
    )
    return PlannedClip(scene=scene, manual=tuple(planned[:1]), auto=tuple(planned[1:]))


def wall() -> PlannedClip:
    """Make a clip of a wall, along which the camera turns left; one masklet changes from a ball to another half-way."""
    pan = _line((1100, 360), (-50, 0))
    stone = cutouts.ground("brick.png", SLATE, (1500, 720), zoom=1.3)
    patch = cutouts.Cutout(texture_HW3=stone[120:250, 700:830].copy(), alpha_HW=cutouts.disc(130), colours=("grey",))
    scene = DrawnScene(
        video_id="demo_000006",
        width_px=WIDE[0],
        height_px=WIDE[1],
        duration_s=7.0,
        background_HW3=stone,
        camera=lambda t_s: (*pan(t_s), 1.0),
        sprites=(
            patch.sprite("patch of wall", centre=_still(768, 186), shadow=False),
            cutouts.ball("orange", 210).sprite(
                "orange ball", centre=_line((1070, 190), (-20, 0)), scale=lambda t_s: 1 - 0.08 * t_s
            ),
            cutouts.ball("red", 130).sprite("red ball", centre=_line((1030, 560), (-80, 0))),
            cutouts.ball("green", 130).sprite("green ball", centre=_line((840, 440), (-20, 0))),
        ),
    )
    slip = PlannedMasklet(
        name="red ball, then green ball",
        target=lambda t_s: "red ball" if t_s < 3.5 else "green ball",
        colours=("red", "green"),
        reason=Reason.INCONSISTENT,
    )
    return PlannedClip(
        scene=scene,
        manual=(
            slip,
            PlannedMasklet(name="orange ball"),
            PlannedMasklet(name="patch of wall", reason=Reason.UNRECOGNIZABLE),
        ),
    )


def broken_video() -> PlannedClip:
    """Make a clip whose video opens and decodes for some frames, and then cannot be decoded."""
    scene = DrawnScene(
        video_id="demo_000007",
        width_px=WIDE[0] // 2,
        height_px=WIDE[1] // 2,
        duration_s=6.0,
        camera=lambda t_s: (639.5, 359.5, 0.5),
        background_HW3=cutouts.ground("grass.png", LAWN, WIDE),
        sprites=(
            cutouts.motorcycle(360).sprite("motorcycle", centre=_line((300, 350), (110, 0))),
            cutouts.ball("pink", 110).sprite("pink ball", centre=_line((640, 110), (0, 80))),
        ),
    )
    lost = [PlannedMasklet(name=name, reason=Reason.DECODE_ERROR) for name in ("motorcycle", "pink ball")]
    return PlannedClip(scene=scene, manual=tuple(lost[:1]), auto=tuple(lost[1:]), video_broken=True)


def truncated_manual() -> PlannedClip:
    """Make a clip whose manual file is cut in half; its automatic file and its video are intact."""
    scene = DrawnScene(
        video_id="demo_000008",
        width_px=WIDE[0] // 2,
        height_px=WIDE[1] // 2,
        duration_s=6.0,
        camera=lambda t_s: (639.5, 359.5, 0.5),
        background_HW3=cutouts.ground("gravel.png", GRAVEL, WIDE),
        sprites=(
            cutouts.mirrored(cutouts.horse("white", 330)).sprite("white horse", centre=_line((1000, 330), (-110, 0))),
            cutouts.coin(1, "orange", 120).sprite("orange coin", centre=_still(300, 600)),
        ),
    )
    return PlannedClip(
        scene=scene,
        manual=(PlannedMasklet(name="orange coin"),),
        auto=(PlannedMasklet(name="white horse"),),
        manual_truncated=True,
    )


def _machine(name: str) -> PlannedMasklet:
    """Make a duplicate, with a slightly wider outline, of a masklet in the manual file, as a tracker would."""
    return PlannedMasklet(
        name=f"{name} again", target=lambda t_s: name, grow_px=2, duplicate_of=name, reason=Reason.DUPLICATE
    )


def _still(x: float, y: float) -> Trajectory:
    return lambda t_s: (x, y)


def _line(start: tuple[float, float], speed_px_s: tuple[float, float]) -> Trajectory:
    return lambda t_s: (start[0] + speed_px_s[0] * t_s, start[1] + speed_px_s[1] * t_s)
