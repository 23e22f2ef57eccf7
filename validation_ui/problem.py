"""The error that a request can end in, after "Problem Details for HTTP APIs" (RFC 9457)."""

from typing import Any


class Problem(Exception):
    """An error that is sent to the client as `{"error": {"code": …, "message": …, …}}` with an HTTP status.

    Args:
        status: the HTTP status, 400 to 599.
        code: one word, which scripts compare.
        message: a sentence for people: the rule, the value that broke it, what to do.
        extra: more fields of `error`.
    """

    def __init__(self, status: int, code: str, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.extra = status, code, message, extra
