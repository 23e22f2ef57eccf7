"""How long an expression is, as a level of the facet length: by the words of its present text, for its own kind."""

from collections.abc import Mapping

# Kind -> upper ends in words. Long: the measured writer's expressions have 50 to 93 words, 12 of 29 up to 65 (demo and
# a real-looking shard); a model is asked for more, see manifests/expression.py. Short ones have 3 to 20 words.
_LEVELS = {"long": ((65, "short"), (80, "medium")), "short": ((6, "short"), (12, "medium"))}


def length_level(kind: str, parts: Mapping[str, str]) -> str:
    """Return short, medium or long for the parts of a text; `kind` is that of its item, long or short."""
    words = sum(len(part.split()) for part in parts.values())
    return next((name for limit, name in _LEVELS[kind] if words <= limit), "long")
