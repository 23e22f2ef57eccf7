"""The rules that a published split should meet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from validation_ui.comparisons import Agreement
from validation_ui.exporting.wording import number_text, share_text
from validation_ui.stats import Reviewer

RELIABLE = 0.8  # alpha or AC1
TENTATIVE = 0.667
BLIND_HIT_FRAC = 0.9
MAX_FINAL_FRAC = 0.25


@dataclass(frozen=True)
class Gate:
    """A rule that a published split should meet."""

    name: str
    rule: str
    got: str
    n: int
    passed: bool


def gates(
    found: Agreement, people: Sequence[Reviewer], raters: Mapping[int, str], gold_right_frac: float
) -> list[Gate]:
    """The gates of the protocol; one that nothing was measured for is not passed."""
    decision = found.sighted["decision"]
    alpha, ac1 = (decision.figures[name].value for name in ("alpha", "ac1"))
    best = max((value for value in (alpha, ac1) if value is not None), default=None)
    advice = "; train the reviewers and judge again" if best is not None and TENTATIVE <= best < RELIABLE else ""
    hit = found.blind.hit
    tested = [each for each in people if each.judged]
    weak = [raters[each.id] for each in tested if each.gold.frac is None or each.gold.frac < gold_right_frac]
    top = max(people, key=lambda each: each.final_accepts, default=None)
    most = top.final_frac if top else None
    return [
        Gate(
            "agreement of two sighted reviewers",
            f"alpha or AC1 >= {RELIABLE}",
            f"alpha {number_text(alpha)}, AC1 {number_text(ac1)}{advice}",
            decision.n,
            best is not None and best >= RELIABLE,
        ),
        Gate(
            "blind hits before adjudication",
            f">= {BLIND_HIT_FRAC:.0%}",
            share_text(hit),
            hit.n,
            hit.frac is not None and hit.frac >= BLIND_HIT_FRAC,
        ),
        Gate(
            "gold items of each reviewer",
            f">= {gold_right_frac:.0%} of their last ones",
            f"below or untested: {', '.join(weak)}" if weak else "all reviewers",
            sum(each.gold.n for each in tested),
            bool(tested) and not weak,
        ),
        Gate(
            "final accepts of one reviewer",
            f"<= {MAX_FINAL_FRAC:.0%}",
            "none" if top is None or most is None else f"{most:.1%} ({raters[top.id]})",
            sum(each.final_accepts for each in people),
            most is not None and most <= MAX_FINAL_FRAC,
        ),
    ]
