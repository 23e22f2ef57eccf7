"""What the gates catch of errors that are known: `python -m benchmarks.gates`.

Over drawn clips (`drawn_truth.py`) a simulated writer describes objects by the drawing's truth and errs in known ways.
It has three parts, each printed as tables:

1. Every text goes through the check of facts and then to the exact listener, which keeps it if its claims leave just
   its object. The minimal texts and the negatives of every object are compared with the truth.
2. The same texts go through the real line-up, with a judge whose errors are known (`judged_gates.py`).
3. Whole runs are simulated, to see how often the corrected share lies in its interval (`coverage.py`).

The drawing's truth is not `stages.facts`: a claim that is made, ruled out or called unique from measurements is wrong
here if the drawing says otherwise. Exit code 1 if a goal is not met.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor

from benchmarks import coverage, judged_gates
from benchmarks.drawn_truth import DrawnVideo, draw
from benchmarks.judged_gates import judge_clips
from benchmarks.simulated_writer import NO_ERROR, TWO, Case, cases, fitting
from manifests.text_tables import text_table
from stages.claims.contradictions import find_contradictions
from stages.claims.listener import objects_that_fit, read_claims
from stages.claims.minimal import minimal_texts
from stages.claims.negatives import NO_TARGET, negatives

KEPT_GOAL_FRAC = 0.95  # of texts that are true and fit only their object
NEGATIVES_GOAL = 1000


def main() -> int:
    """Draw, write, check and print; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=int, default=200, help="drawn clips, every second one of look-alikes; 0 = none")
    parser.add_argument("--judged", type=int, default=60, help="drawn clips whose texts are put to judges; 0 = none")
    parser.add_argument("--runs", type=int, default=1000, help="simulated runs of every size; 0 = none")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    options = parser.parse_args()
    met: dict[str, bool] = {}
    with ProcessPoolExecutor(options.workers) as pool:
        if options.clips:
            met |= _exactly(options.clips, pool)
        if options.judged:
            judged = judge_clips(options.judged, pool)
            print(f"\n{judged_gates.report(judged)}")
            met |= judged_gates.goals(judged)
        if options.runs:
            met |= coverage.show(options.runs, pool)
    missed = [goal for goal, reached in met.items() if not reached]
    for goal in missed:
        print(f"NOT MET: {goal}")
    return 1 if missed else 0


def _exactly(clips: int, pool: Executor) -> dict[str, bool]:
    """Print what facts and the exact listener make of the texts; return what must hold, and whether it does."""
    total: Counter[tuple[str, ...]] = Counter()
    for counts, lines in pool.map(look, range(clips), chunksize=4):
        total.update(counts)
        for line in lines:
            print(line)
    print(report(total))
    return goals(total)


def look(seed: int) -> tuple[Counter[tuple[str, ...]], list[str]]:
    """Return the counts of one clip, and a line for everything that goes against the drawing's truth."""
    alike = seed % 2 == 1
    video, rng = draw(seed, alike=alike), random.Random(f"writer {seed}")
    counts: Counter[tuple[str, ...]] = Counter()
    lines: list[str] = []
    for case in cases(video, rng):
        counts["text", case.error, caught_by(case, video)] += 1
        if case.error == TWO and alike:
            counts["alike", caught_by(case, video)] += 1
    for object_id in video.facts:
        lines += _short(object_id, video, counts)
        lines += _negatives(object_id, video, counts)
    return counts, [f"clip {seed}: {line}" for line in lines]


def caught_by(case: Case, video: DrawnVideo) -> str:
    """Return the gate that rejects a text: facts or listener; kept if none does."""
    if find_contradictions(case.text, video.facts[case.object_id]):
        return "facts"
    fits = objects_that_fit(read_claims(case.text), video.facts)
    return "kept" if fits == [case.object_id] else "listener"


def _short(object_id: str, video: DrawnVideo, counts: Counter[tuple[str, ...]]) -> Iterator[str]:
    """Count the minimal text of an object; yield a line if the drawing says that it is wrong, or fits another."""
    found = minimal_texts(object_id, video.facts)
    if not found:
        counts["short", "none"] += 1
        return
    plain = [made for made in found[0].claims if made.kind != "rank"]
    fits = fitting(plain, video)
    if object_id not in fits:
        counts["short", "wrong"] += 1
        yield f"short text {found[0].text!r} is not true of {object_id}"
    elif len(plain) < len(found[0].claims):
        rank = next(made for made in found[0].claims if made.kind == "rank")
        coloured = [
            drawn
            for drawn in video.objects.values()
            if all(drawn.holds(made) for made in plain if made.kind == "colour")
        ]
        right = video.objects[object_id].holds_rank(rank, coloured)
        counts["short", "has the rank that it says" if right else "wrong"] += 1
        if not right:
            yield f"short text {found[0].text!r} is not true of {object_id}"
    elif fits != (object_id,):
        counts["short", "fits others"] += 1
        yield f"short text {found[0].text!r} of {object_id} fits {', '.join(fits)}"
    else:
        counts["short", "fits one"] += 1


def _negatives(object_id: str, video: DrawnVideo, counts: Counter[tuple[str, ...]]) -> Iterator[str]:
    """Count the negatives of an object; yield a line for those that the drawing says are true of the wrong one."""
    for made in negatives(object_id, video.facts):
        claims = [one for one in read_claims(made.text) if one.kind != "rank"]
        fits = fitting(claims, video)
        right = fits == ((made.target,) if made.target else ())
        counts["negative", made.kind, made.changed, "right" if right else "wrong"] += 1
        if not right:
            yield f"negative {made.text!r} ({made.kind}, {made.target}) is true of {', '.join(fits) or 'nothing'}"


def goals(total: Counter[tuple[str, ...]]) -> dict[str, bool]:
    """Return what must hold, and whether it does."""
    clean = {gate: total["text", NO_ERROR, gate] for gate in ("facts", "listener", "kept")}
    wrong = sum(n for key, n in total.items() if key[0] == "negative" and key[-1] == "wrong")
    made = sum(n for key, n in total.items() if key[:2] == ("negative", NO_TARGET))
    return {
        "every text that fits two look-alikes is caught": total["alike", "kept"]
        == 0
        < sum(n for key, n in total.items() if key[0] == "alike"),
        f"at least {KEPT_GOAL_FRAC:.0%} of true texts that fit one object are kept": clean["kept"]
        >= KEPT_GOAL_FRAC * sum(clean.values()),
        "no negative is true of an object that it must not fit": wrong == 0,
        f"there are {NEGATIVES_GOAL} negatives without a target": made >= NEGATIVES_GOAL,
        "no short text is wrong or fits another object": total["short", "wrong"] + total["short", "fits others"] == 0,
    }


def report(total: Counter[tuple[str, ...]]) -> str:
    """Return what was caught of every kind of error, and how negatives and short texts did, as tables of text."""
    errors = list(dict.fromkeys(key[1] for key in total if key[0] == "text"))
    rows: list[tuple[str, ...]] = [("error of the text", "made", "by facts", "by listener", "kept", "caught")]
    for error in sorted(errors, key=lambda name: (name == NO_ERROR, name)):
        facts, listener, kept = (total["text", error, gate] for gate in ("facts", "listener", "kept"))
        made = facts + listener + kept
        rows.append((error, *map(str, (made, facts, listener, kept)), f"{100 * (made - kept) / made:.1f} %"))
    shorts = [("short text", "objects"), *((key[1], str(n)) for key, n in sorted(total.items()) if key[0] == "short")]
    table: list[tuple[str, ...]] = [("negative", "changed", "made", "wrong")]
    for kind, changed in sorted({key[1:3] for key in total if key[0] == "negative"}):
        right, wrong = (total["negative", kind, changed, state] for state in ("right", "wrong"))
        table.append((kind, changed, str(right + wrong), str(wrong)))
    parts = (text_table(rows, left=1), text_table(shorts, left=1), text_table(table, left=2))
    return "\n\n".join("\n".join(part) for part in parts)


if __name__ == "__main__":
    sys.exit(main())
