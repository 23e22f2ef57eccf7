"""What goes wrong in a request, as the caller is told it."""

from typing import Any


class Problem(Exception):
    """An answer other than success: `{"error": {"code": …, "message": …, …}}` with an HTTP status.

    Args:
        status: of HTTP, 400 to 599.
        code: a word that scripts look at.
        message: a sentence for people: the rule, what was got, what to do.
        extra: more fields of `error`.
    """

    def __init__(self, status: int, code: str, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.extra = status, code, message, extra
