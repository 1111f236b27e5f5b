"""The one exception that is meant for the user's eyes."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend: the command line prints it and exits with 2, no traceback.

    The message names the key or the file, what was wrong, and what is allowed.
    """
