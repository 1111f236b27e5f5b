"""The program that judges every witness again, in plain PyTorch, as the page prints it."""

from __future__ import annotations

from pathlib import Path

from ..base.store import Place

RECHECK = """\
import numpy as np, torch
{imported}

artifacts = "{artifacts}"
saved = torch.load(f"{{artifacts}}/networks/{network}/network.pt", weights_only=True)
{built}
data = np.load(f"{{artifacts}}/data.npz")
stored = np.load(f"{{artifacts}}/attack/{network}/{suite}/witnesses.npz")
row = {{index: n for n, index in enumerate(data["index_test"])}}
x = data["x_test"][[row[index] for index in stored["index"]]]
x = torch.tensor(x).float() / int(data["levels"])
x_adv, y = torch.tensor(stored["x_adv"]), torch.tensor(stored["label"])
{size}
assert x_adv.min() >= 0 and x_adv.max() <= 1
assert (size <= torch.tensor(stored["eps"]) + 1e-6).all()
assert (model(x_adv).argmax(dim=1) != y).all()
print(len(y), "witnesses hold")
"""

BUILT = """\
model = build(saved["architecture"], shape=saved["shape"], classes=saved["classes"],
              **saved["settings"]).eval()
model.load_state_dict(saved["state"])\
"""
# A model of the user's own, and what stands around it.
OWN = """\
network = {function}(**saved["args"]).float().eval()
network.load_state_dict(saved["state"])
model = fronted(network, saved["shape"][1:], **saved["front"]).eval()\
"""

# How large a witness is. Of a transformation its parameters say so, and the image that they make
# must be the one that was stored.
BALL = "size = (x_adv - x).flatten(1).norm(dim=1, p={p})"
MADE = """\
theta = torch.tensor(stored["theta"])
size = (theta / torch.tensor({scale})).abs().amax(dim=1)
{made}
assert (made - x_adv).abs().max() < 1e-4\
"""
MOVED = """\
turn, right, down = {parts}
cos, sin, k = turn.deg2rad().cos(), turn.deg2rad().sin(), x.shape[2] / x.shape[3]
matrix = torch.stack([cos, -sin * k, 2 * (down * sin * k - right * cos),
                      sin / k, cos, -2 * (right * sin / k + down * cos)], dim=1)
grid = torch.nn.functional.affine_grid(matrix.view(-1, 2, 3), list(x.shape), align_corners=False)
made = torch.nn.functional.grid_sample(x, grid, align_corners=False)\
"""
SIZES = {
    "linf": BALL.format(p='float("inf")'),
    "l2": BALL.format(p="2"),
    "l1": BALL.format(p="1"),
    "rotation": MADE.format(
        scale="[1.0]", made=MOVED.format(parts="theta[:, 0], 0 * theta[:, 0], 0 * theta[:, 0]")
    ),
    "translation": MADE.format(
        scale="[1.0, 1.0]", made=MOVED.format(parts="0 * theta[:, 0], theta[:, 0], theta[:, 1]")
    ),
    "rigid": MADE.format(scale="[30.0, 0.1, 0.1]", made=MOVED.format(parts="theta.T")),
    "brightness": MADE.format(
        scale="[1.0]", made="made = (x + theta[:, :, None, None]).clamp(0, 1)"
    ),
    "contrast": MADE.format(
        scale="[1.0]",
        made="""\
mean = x.mean(dim=(1, 2, 3), keepdim=True)
made = (mean + (1 + theta[:, :, None, None]) * (x - mean)).clamp(0, 1)\
""",
    ),
}


def recheck(place: Place, network: str, suite: str, norm: str, model: str | None = None) -> str:
    """Plain PyTorch that judges every witness of one cell again, from the repository's root.

    `model`: the `module:function` of a user's own model.
    """
    # Stages run in the repository's root. A path of this machine would be wrong on any other, so an
    # experiment outside of the root is named from its own folder.
    inside = place.artifacts.absolute().is_relative_to(Path.cwd())
    folder = place.artifacts.absolute().relative_to(
        Path.cwd() if inside else place.folder.absolute()
    )
    imported, built = "from models import build", BUILT
    if model is not None:
        module, _, function = model.partition(":")
        imported = f"from models.front import fronted\nfrom {module} import {function}"
        built = OWN.format(function=function)
    return RECHECK.format(
        imported=imported,
        built=built,
        artifacts=folder.as_posix(),
        network=network,
        suite=suite,
        size=SIZES[norm],
    )
