"""The one exception that is meant for the user's eyes, and the words that its messages share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class UserError(Exception):
    """Something the user can mend: the command line prints it and exits with 2, no traceback.

    The message names the key or the file, what was wrong, and what is allowed.
    """


def first_line(error: Exception) -> str:
    """The first line of what an error says, or what it is called where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)


# What code of the user's may raise. One that ends the program would end ours, with its exit code
# in place of a verdict's.
ANY = (Exception, SystemExit)


def told(error: BaseException) -> str:
    """What an error is called and the first line of what it says: of code that may raise `ANY`."""
    if isinstance(error, SystemExit):
        return f"it ends the program ({error!r}); guard it with if __name__ == '__main__'"
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}".rstrip(": ")


def listed(names: Iterable[Any]) -> str:
    """`fgsm, pgd`, in the order of the alphabet."""
    return ", ".join(sorted(map(str, names)))


def unknown(name: Any, allowed: Iterable[Any]) -> str:
    """`unknown 'pgdd'; did you mean 'pgd'? allowed: fgsm, pgd`."""
    close = difflib.get_close_matches(str(name), list(map(str, allowed)), n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    return f"unknown {name!r}{hint} allowed: {listed(allowed)}"
