"""What a key may be set to: names of actions and of keys, both closed lists (CVE-2026-22033 was free text here)."""

from collections.abc import Mapping
from string import ascii_uppercase

from validation_ui.problem import Problem

_ACTIONS = """
play previous next back1 on1 back10 on10 home end previousChange nextChange loopStart loopEnd clearLoop speed
mask holdMask opacity style zoomIn zoomOut zoomReset zoomToObject
accept edit reject flag note short submit skip undo point ambiguous absent second help
pick_1 pick_2 pick_3 pick_4 pick_5 pick_6 pick_7 pick_8 pick_9
"""  # as static/player/actions.js and static/review/keys.js name them
_NAMED_KEYS = """
Space Enter Backspace Delete Insert Home End PageUp PageDown ArrowLeft ArrowRight ArrowUp ArrowDown
Comma Period Slash Semicolon Quote BracketLeft BracketRight Backslash IntlBackslash Minus Equal Backquote
NumpadAdd NumpadSubtract NumpadMultiply NumpadDivide NumpadDecimal NumpadEnter
"""
_KEYS = (
    *_NAMED_KEYS.split(),
    *(f"Key{letter}" for letter in ascii_uppercase),
    *(f"{row}{n}" for row in ("Digit", "Numpad") for n in range(10)),
    *(f"F{n}" for n in range(1, 13)),
)
ACTIONS = frozenset(_ACTIONS.split())
CODES = frozenset(f"{held}{key}" for held in ("", "Shift+", "Alt+", "Ctrl+") for key in _KEYS)  # KeyboardEvent.code


def check(hotkeys: Mapping[str, str]) -> dict[str, str]:
    """The same keys, each allowed, none used twice.

    Raises:
        Problem: 422; without repeating what was sent.
    """
    if not (hotkeys.keys() <= ACTIONS and set(hotkeys.values()) <= CODES):
        raise Problem(422, "invalid", "A key is set for an action of the list, to a key of the list.")
    if len(set(hotkeys.values())) < len(hotkeys):
        raise Problem(422, "invalid", "Two actions have the same key. Give one of them another.")
    return dict(hotkeys)
