"""Names of people: which are allowed, and which look the same as another.

Who judges under a name that looks like another person's could be taken for them. So a new name must differ from all
others in what people see: not only in case, width, accents, spaces or invisible characters, nor by letters of another
script that are drawn alike (Unicode Technical Standard 39 calls these confusable).
"""

# ruff: noqa: RUF001
import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property

from validation_ui.problem import Problem

MAX_CHARS = 40
_MAX_KEY_CHARS = 80
_MAX_MARKS = 2  # of one letter, where no single character has them: Yoruba and Vietnamese names need one
_RULE = "A name has 1 to 40 letters, digits, spaces or . ' - _"
_BETWEEN = " .'-_"
# characters of the categories L, M and N that leave no mark: joiners, fillers, selectors
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\uffff\U000e0000-\U000e0fff]"
)
# scripts in which names are written today, by the first word of a character's name in Unicode; others have letters that
# are only drawn like those of these
_SCRIPTS = frozenset(
    ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "HEBREW", "ARABIC", "DEVANAGARI", "BENGALI", "GURMUKHI",
     "GUJARATI", "ORIYA",
     "TAMIL", "TELUGU", "KANNADA", "MALAYALAM", "SINHALA", "THAI", "LAO", "TIBETAN", "MYANMAR", "KHMER", "GEORGIAN",
     "ETHIOPIC", "HANGUL", "CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "THAANA")
)  # fmt: skip
_ASIAN = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"})  # Japanese, Korean and Chinese mix them
_NO_LETTERS = re.compile(
    "^LATIN (SMALL )?LETTER .*(CLICK|SMALL CAPITAL|SALTILLO|GLOTTAL|STOP|TONE)|^LATIN LETTER SMALL"
)
# letters that are drawn like others, by these: those of other scripts, and Latin ones that are no base with a mark
_DRAWN = {
    ord(other): like
    for like, others in {
        "a": "аαɑ", "b": "вьβ", "c": "сϲ", "d": "ԁđɗ", "e": "еєεҽəǝɘ", "f": "ғſƒ", "g": "ɡԍց", "h": "нһհħ",
        "i": "іιıɩ",
        "j": "јϳյ", "k": "кκƙ", "l": "ӏłƚ", "m": "мϻ", "n": "ոռηŋп", "o": "оοσօøӧסہ०০੦೦൦๐໐ഠం", "p": "рρþ",
        "q": "ԛգզ",
        "r": "г", "s": "ѕʂս", "t": "тτŧ", "u": "υսʋ", "v": "νѵ", "w": "ԝωɯш", "x": "хχ", "y": "уγүყ",
        "z": "ζʐ", "ae": "ӕæ",
        "oe": "œ", "ss": "ß", "3": "зӡȝ", "4": "ч", "6": "б",
    }.items()
    for other in others
}  # fmt: skip
_CAPITALS = {
    ord(other): like
    for like, others in {
        "a": "АΑ", "b": "ВΒ", "e": "ЕΕ", "h": "НΗ", "k": "КΚ", "l": "IІΙӀ1", "m": "МΜ", "n": "ΝՈ",
        "o": "0ОΟՕ", "p": "РΡ",
        "s": "ЅՏ", "t": "ТΤ", "u": "Ս", "x": "ХΧ", "y": "УΥҮ", "z": "Ζ",
    }.items()
    for other in others
}  # fmt: skip


@dataclass(frozen=True)
class Name:
    """A person's name as it is shown, and its key, which no two people share and by which they sign in."""

    shown: str
    key: str

    @classmethod
    def of(cls, text: str) -> "Name":
        """Normalise a name and derive its key.

        Raises:
            Problem: 422; the name is empty, too long, or has characters that are not allowed in names.
        """
        shown = unicodedata.normalize("NFC", " ".join(text.split()))
        key = key_of(shown)
        odd = next((c for c in shown if unicodedata.category(c)[0] not in "LMN" and c not in _BETWEEN), None)
        if (
            odd is not None
            or not any(c.isalnum() for c in shown)
            or len(shown) > MAX_CHARS
            or len(key) > _MAX_KEY_CHARS
        ):
            raise refused(_RULE)
        if _INVISIBLE.search(shown) or _longest_marks(shown) > _MAX_MARKS:
            raise refused("A name has no invisible characters, and no heaps of accents.")
        scripts = {_script(c) for c in unicodedata.normalize("NFKC", shown) if unicodedata.category(c)[0] in "LM"} - {
            None
        }
        if not scripts <= _SCRIPTS or (len(scripts) > 1 and not scripts <= _ASIAN):
            raise refused("A name is written in one script: letters of two of them look alike and are others.")
        return cls(shown, key)

    @cached_property
    def looks(self) -> frozenset[str]:
        """What the name looks like; two names that have a look in common can be taken for each other."""
        return looks_of(self.shown)


def key_of(name: str) -> str:
    """Return the key of a name: the same for names that differ in case, width or spaces."""
    return unicodedata.normalize("NFKC", " ".join(name.split())).casefold()


def looks_of(name: str) -> frozenset[str]:
    """Return what a name looks like, as it is written and in small letters, in Latin letters as far as it can be.

    Accents, digits of other scripts, `0` and `O`, `1`, `I` and `l`, `rn` and `m`, `vv` and `w` make no difference.
    """
    plain = unicodedata.normalize("NFKD", _INVISIBLE.sub("", name))
    plain = "".join(c for c in plain if unicodedata.category(c)[0] != "M" or not _is_accent(c))
    plain = "".join(str(unicodedata.digit(c, c)) for c in plain if c not in _BETWEEN)
    written = plain.translate(_CAPITALS)
    return frozenset(
        each.casefold().translate(_DRAWN).replace("0", "o").replace("1", "l").replace("rn", "m").replace("vv", "w")
        for each in (plain, written)
    )


def refused(message: str) -> Problem:
    """Return the problem of a name that cannot be taken."""
    return Problem(422, "invalid", message, fields={"name": message})


def _is_accent(mark: str) -> bool:
    """Whether a mark only changes a letter; those of Indian scripts are vowels."""
    return unicodedata.name(mark, "").split(" ")[0] in ("COMBINING", "ARABIC", "HEBREW")


def _longest_marks(text: str) -> int:
    """Return how many accents follow each other at most."""
    longest = here = 0
    for c in text:
        here = here + 1 if unicodedata.category(c) in ("Mn", "Me") and _is_accent(c) else 0
        longest = max(longest, here)
    return longest


def _script(letter: str) -> str | None:
    """Return the script of a letter, "" for one that is in none of today's names; None for an accent."""
    name = unicodedata.name(letter, "")
    if _NO_LETTERS.search(name):
        return ""
    first = name.split(" ")[0]
    return None if first == "COMBINING" else "KATAKANA" if name.startswith("KATAKANA-HIRAGANA") else first
