"""The one exception that is meant for the user's eyes, and what others say in one line."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend: the command line prints it and exits with 2, no traceback.

    The message names the key or the file, what was wrong, and what is allowed.
    """


def first_line(error: Exception) -> str:
    """The first line of what an error says, or what it is called where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)
