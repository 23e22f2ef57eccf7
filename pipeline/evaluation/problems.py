"""Everything that is wrong with some files, told at once: mending them one by one would take as many runs."""

from collections.abc import Sequence

SHOWN = 200  # lines of an error; a wrong folder breaks every rule for every frame


class MismatchError(ValueError):
    """Files that break a rule.

    Attributes:
        problems: one a line: where, the rule and what was got.
    """

    def __init__(self, what: str, problems: Sequence[str], way_out: str) -> None:
        self.what, self.problems, self.way_out = what, tuple(problems), way_out
        shown = [f"  {problem}" for problem in self.problems[:SHOWN]]
        if len(self.problems) > SHOWN:
            shown.append(f"  … and {len(self.problems) - SHOWN} more")
        super().__init__("\n".join([f"{what}: {len(self.problems)} wrong", *shown, way_out]))

    def __reduce__(self) -> tuple[type["MismatchError"], tuple[str, tuple[str, ...], str]]:
        return MismatchError, (self.what, self.problems, self.way_out)  # it may come out of a process of a pool


def some(names: Sequence[str], limit: int = 10) -> str:
    """A few of many names."""
    return ", ".join(names[:limit]) + (f", … ({len(names)} in all)" if len(names) > limit else "")
