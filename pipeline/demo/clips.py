"""The clips of the demo shard: what is in them and what should become of each masklet.

Between them they show every state and every reason that a row can end with. World (x, y) are pixels of the background.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi, sin

from manifests.schema import Reason
from pipeline.demo import cutouts
from pipeline.demo.scene import Scene
from pipeline.demo.write_clip import Masklet
from stages.select_policy import SelectConfig

Path = Callable[[float], tuple[float, float]]
WIDE = (1280, 720)
LAWN, GRAVEL, BRICK, SLATE = (92, 124, 58), (142, 132, 118), (148, 92, 74), (84, 88, 98)


@dataclass(frozen=True, kw_only=True)
class Planned(Masklet):
    """A masklet and what should become of it."""

    reason: Reason | None = None  # None: an expression for it is kept
    part_of: str | None = None  # names of other masklets of the clip
    duplicate_of: str | None = None
    colours: tuple[str, ...] = ()  # if not those of its sprite: basic terms, dominant first


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A scene, its annotation files, and damage done to it afterwards."""

    scene: Scene
    manual: tuple[Planned, ...]
    auto: tuple[Planned, ...] = ()
    rotation_deg: int = 0  # see write_clip
    video_broken: bool = False  # packets in the middle are destroyed
    manual_truncated: bool = False


def clips() -> tuple[Clip, ...]:
    """All clips of the shard, undrawn."""
    return lawn(), road(), space(), lookalikes(), coins(), wall(), broken_video(), truncated_manual()


def lawn() -> Clip:
    """A cup crosses a lawn: behind a pillar, and behind a ball that comes the other way."""
    scene = Scene(
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
    return Clip(
        scene=scene,
        manual=(Planned(name="cup"), Planned(name="blue ball"), Planned(name="cat")),
        auto=(
            Planned(name="pillar"),
            _machine("cup"),
            Planned(name="coffee", part_of="cup", colours=("orange", "brown"), reason=Reason.PART),
            Planned(name="eye", part_of="cat", colours=("green", "brown"), reason=Reason.PART),
            _machine("cat"),
        ),
    )


def road() -> Clip:
    """The camera turns right with a motorcycle; a ball rolls out of view and comes back."""
    pan = _line((640, 360), (60, 0))
    scene = Scene(
        video_id="demo_000002",
        width_px=WIDE[0],
        height_px=WIDE[1],
        duration_s=9.875,  # 237 frames: not a multiple of 4, as in most real videos
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
    return Clip(
        scene=scene,
        manual=(
            Planned(name="motorcycle"),
            Planned(name="green ball"),
            Planned(name="yellow ball"),
            Planned(name="small white coin", reason=Reason.TOO_SMALL),
            Planned(name="purple ball", reason=Reason.TOO_FEW_VISIBLE_FRAMES),
            Planned(name="absent ball", reason=Reason.NEVER_VISIBLE),
        ),
        auto=(Planned(name="horse"), _machine("motorcycle")),
    )


def space() -> Clip:
    """Portrait, stored lying: a rocket flies away upwards past two planets and an astronaut."""
    size = (720, 1280)
    scene = Scene(
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
    return Clip(
        scene=scene,
        manual=(
            Planned(name="rocket"),
            Planned(name="astronaut"),
            Planned(name="red planet"),
            Planned(name="purple planet", reason=Reason.AT_BORDER),
        ),
        auto=(
            Planned(name="blue planet"),
            Planned(name="helmet", part_of="astronaut", colours=("black", "white"), reason=Reason.PART),
            _machine("rocket"),
        ),
        rotation_deg=90,
    )


def lookalikes() -> Clip:
    """Two horses that only place and path tell apart, and two twins that nothing does."""
    middle = _line((560, 380), (22, 0))

    def twin(turn: float) -> Path:
        """One of two that circle each other: each is left, right, above and below the other in turn."""

        def at(t_s: float) -> tuple[float, float]:
            (x, y), angle = middle(t_s), pi * t_s + turn
            return x + 37 * cos(angle), y + 37 * sin(angle)

        return at

    horse = cutouts.horse("yellow", 240)
    disc = cutouts.ball("blue", 66)
    scene = Scene(
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
    return Clip(
        scene=scene,
        manual=(
            Planned(name="upper horse"),
            Planned(name="first twin", reason=Reason.AMBIGUOUS),
            Planned(name="lower horse"),
            Planned(name="second twin", reason=Reason.AMBIGUOUS),
        ),
    )


def coins() -> Clip:
    """The camera nears a table full of coins: more than one video's share of objects."""
    # colour, width and place, largest first, as the limit ranks them
    table = (
        ("yellow", 190, 640, 360), ("red", 150, 400, 250), ("blue", 138, 880, 250), ("green", 126, 420, 480),
        ("white", 114, 860, 490), ("pink", 102, 640, 180), ("orange", 92, 640, 540), ("purple", 82, 290, 370),
        ("brown", 74, 980, 380), ("black", 66, 520, 120), ("white", 58, 770, 130),
    )  # fmt: skip
    limit = SelectConfig().max_objects
    names = [f"{colour} coin {number + 1}" for number, (colour, *_) in enumerate(table)]
    planned = [
        Planned(name=name, reason=Reason.OVER_VIDEO_LIMIT if rank >= limit else None) for rank, name in enumerate(names)
    ]
    scene = Scene(
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
    return Clip(scene=scene, manual=tuple(planned[:1]), auto=tuple(planned[1:]))


def wall() -> Clip:
    """The camera turns left along a wall; an annotator slips from one ball to another half-way."""
    pan = _line((1100, 360), (-50, 0))
    stone = cutouts.ground("brick.png", SLATE, (1500, 720), zoom=1.3)
    patch = cutouts.Cutout(texture_HW3=stone[120:250, 700:830].copy(), alpha_HW=cutouts.disc(130), colours=("grey",))
    scene = Scene(
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
    slip = Planned(
        name="red ball, then green ball",
        target=lambda t_s: "red ball" if t_s < 3.5 else "green ball",
        colours=("red", "green"),
        reason=Reason.INCONSISTENT,
    )
    return Clip(
        scene=scene,
        manual=(slip, Planned(name="orange ball"), Planned(name="patch of wall", reason=Reason.UNRECOGNIZABLE)),
    )


def broken_video() -> Clip:
    """Opens, shows its first frames, and then cannot be decoded."""
    scene = Scene(
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
    lost = [Planned(name=name, reason=Reason.DECODE_ERROR) for name in ("motorcycle", "pink ball")]
    return Clip(scene=scene, manual=tuple(lost[:1]), auto=tuple(lost[1:]), video_broken=True)


def truncated_manual() -> Clip:
    """Half of the manual file is missing; the automatic file and the video are sound."""
    scene = Scene(
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
    return Clip(
        scene=scene, manual=(Planned(name="orange coin"),), auto=(Planned(name="white horse"),), manual_truncated=True
    )


def _machine(name: str) -> Planned:
    """What a tracker found of a thing that is in the manual file too: a slightly wider outline."""
    return Planned(name=f"{name} again", target=lambda t_s: name, grow_px=2, duplicate_of=name, reason=Reason.DUPLICATE)


def _still(x: float, y: float) -> Path:
    return lambda t_s: (x, y)


def _line(start: tuple[float, float], speed_px_s: tuple[float, float]) -> Path:
    return lambda t_s: (start[0] + speed_px_s[0] * t_s, start[1] + speed_px_s[1] * t_s)
