"""Published weights, downloaded once, or told within seconds how to bring them."""

from __future__ import annotations

import socket
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import torch

from .errors import UserError, told

SECONDS = 8.0
"""In which a server that can be reached at all has answered."""


def downloaded(url: str, what: str, instead: str) -> Path:
    """Where torch keeps the weights, which are downloaded once.

    Args:
        url: of the file.
        what: "the weights of ...", for messages.
        instead: what to do with a file that was brought from elsewhere, for messages.

    Raises:
        UserError: if they are not there and cannot be downloaded, within seconds.
    """
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if file.is_file():
        return file
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SECONDS)
    try:
        _within(SECONDS, lambda: urllib.request.urlopen(url).close())
        torch.hub.load_state_dict_from_url(url, check_hash=True, weights_only=True)
    except Exception as error:  # whatever a network, a proxy or a full disk may raise
        raise UserError(
            f"{what} are not in {file.parent} and cannot be downloaded ({told(error)}). Where "
            f"there is a network, get {url}; then {instead}"
        ) from None
    finally:
        socket.setdefaulttimeout(before)
    return file


def _within(seconds: float, ask: Callable[[], object]) -> None:
    """Raise what `ask` raises, or TimeoutError: looking up a name heeds no timeout of its own."""
    raised: list[Exception] = []

    def run() -> None:
        try:
            ask()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    if raised:
        raise raised[0]
