"""Attacks of foolbox, torchattacks and ART behind one signature, each beside ours of equal budget.

`make peers` installs them into .venv-peers; their libraries are imported when an attack runs.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

LIBRARIES = {"foolbox": "foolbox", "torchattacks": "torchattacks", "art": "art.attacks.evasion"}
BATCH = 128  # ours fills slots of so many images; the others get batches of as many

Run = Callable[..., Tensor]


@dataclass(frozen=True)
class Peer:
    """An attack of a peer, and ours of the same budget as a suite would name it.

    Attributes:
        library: its name in LIBRARIES.
        attack: what it is called here.
        norm: "linf", "l2" or "l1".
        run: (model, x, y, eps, steps) to perturbed images, for one batch.
        steps: gradient steps or queries.
        ours: attack and settings without `steps_key`.
        steps_key: the setting of ours that takes `steps`.
    """

    library: str
    attack: str
    norm: str
    run: Run
    steps: int
    ours: dict[str, Any] = field(default_factory=dict)
    steps_key: str | None = "steps"

    def __str__(self) -> str:
        return f"{self.library}-{self.attack}-{self.norm}"

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int | None = None
    ) -> Tensor:
        """Perturbed images (N, C, H, W); random starts as the libraries draw them, seeded."""
        torch.manual_seed(0)
        np.random.seed(0)
        taken = steps or self.steps
        batches = zip(x.split(BATCH), y.split(BATCH), strict=True)
        found = [self.run(model, part, label, eps, taken) for part, label in batches]
        return torch.cat(found).detach()

    def counterpart(self, steps: int | None = None) -> dict[str, Any]:
        """Our attack of equal budget, as one entry of a suite."""
        given = {} if self.steps_key is None else {self.steps_key: steps or self.steps}
        return self.ours | given


def installed(library: str) -> bool:
    try:
        importlib.import_module(LIBRARIES[library])
    except ImportError:
        return False
    return True


def _foolbox(name: str, **settings: Any) -> Run:
    def run(model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int) -> Tensor:
        import foolbox

        given = dict(settings)
        if given.pop("step", False):
            given |= {"steps": steps, "abs_stepsize": _across(eps, steps)}
        elif given.pop("counted", False):
            given["steps"] = steps
        wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device=x.device)
        return getattr(foolbox.attacks, name)(**given)(wrapped, x, y, epsilons=eps)[0]

    return run


def _torchattacks(name: str, count: str | None = "steps", **settings: Any) -> Run:
    def run(model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int) -> Tensor:
        import torchattacks

        given = dict(settings, eps=eps)
        if given.pop("step", False):
            given["alpha"] = _across(eps, steps)
        if count:
            given[count] = steps
        return getattr(torchattacks, name)(model, **given)(x, y)

    return run


@functools.lru_cache(maxsize=2)
def _classifier(model: nn.Module, shape: tuple[int, ...], classes: int) -> Any:
    from art.estimators.classification import PyTorchClassifier

    return PyTorchClassifier(
        model, nn.CrossEntropyLoss(), shape, classes, clip_values=(0.0, 1.0), device_type="cpu"
    )


def _art(name: str, norm: float, step: Callable[..., float] | None = None, **settings: Any) -> Run:
    def run(model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int) -> Tensor:
        from art.attacks import evasion

        with torch.no_grad():
            classes = model(x[:1]).shape[1]
        given = dict(settings, norm=norm, eps=eps, max_iter=steps, batch_size=BATCH)
        if step:
            given["eps_step"] = step(eps, steps)
        wrapped = _classifier(model, tuple(x.shape[1:]), classes)
        attack = getattr(evasion, name)(wrapped, verbose=False, **given)
        return torch.from_numpy(attack.generate(x.cpu().numpy(), y.cpu().numpy())).to(x)

    return run


def _across(eps: float, steps: int) -> float:
    return 2.5 * eps / steps


def _double(eps: float, steps: int) -> float:
    return 2 * eps


INF, TWO = float(np.inf), 2
PGD = {"attack": "pgd"}
APGD = {"attack": "apgd"}
SQUARE = {"attack": "square"}
FAB = {"attack": "fab", "targets": 0}  # all classes compared at each step, as there
ART_PGD = {"step": _across, "num_random_init": 1}
ART_APGD = {"step": _double, "nb_random_init": 1, "loss_type": "cross_entropy"}

PEERS = [
    Peer("foolbox", "fgsm", "linf", _foolbox("LinfFastGradientAttack"), 1, {"attack": "fgsm"},
         None),
    Peer("foolbox", "pgd", "linf", _foolbox("LinfPGD", step=True), 40, PGD),
    Peer("foolbox", "pgd", "l2", _foolbox("L2PGD", step=True), 40, PGD),
    Peer("foolbox", "deepfool", "l2", _foolbox("L2DeepFoolAttack", counted=True), 50,
         {"attack": "deepfool"}),
    Peer("foolbox", "deepfool", "linf", _foolbox("LinfDeepFoolAttack", counted=True), 50,
         {"attack": "deepfool"}),
    Peer("foolbox", "ddn", "l2", _foolbox("DDNAttack", counted=True), 100, {"attack": "ddn"}),
    Peer("foolbox", "fmn", "linf", _foolbox("LInfFMNAttack", counted=True), 100,
         {"attack": "fmn"}),
    Peer("foolbox", "fmn", "l2", _foolbox("L2FMNAttack", counted=True), 100, {"attack": "fmn"}),
    Peer("foolbox", "fmn", "l1", _foolbox("L1FMNAttack", counted=True), 100, {"attack": "fmn"}),
    Peer("foolbox", "cw", "l2", _foolbox("L2CarliniWagnerAttack", counted=True,
         binary_search_steps=3), 100, {"attack": "cw", "rounds": 3}),
    Peer("foolbox", "pgd", "l1", _foolbox("L1PGD", step=True), 100, {"attack": "apgd_l1"}),
    Peer("torchattacks", "pgd", "linf", _torchattacks("PGD", step=True), 40, PGD),
    Peer("torchattacks", "pgd", "l2", _torchattacks("PGDL2", step=True), 40, PGD),
    Peer("torchattacks", "apgd", "linf", _torchattacks("APGD", norm="Linf"), 50, APGD),
    Peer("torchattacks", "apgd", "l2", _torchattacks("APGD", norm="L2"), 50, APGD),
    Peer("torchattacks", "fab", "linf", _torchattacks("FAB", norm="Linf", n_classes=10), 50, FAB),
    Peer("torchattacks", "fab", "l2", _torchattacks("FAB", norm="L2", n_classes=10), 50, FAB),
    Peer("torchattacks", "square", "l2", _torchattacks("Square", "n_queries", norm="L2"), 300,
         SQUARE, "queries"),
    Peer("torchattacks", "square", "linf", _torchattacks("Square", "n_queries", norm="Linf"), 300,
         SQUARE, "queries"),
    Peer("art", "pgd", "linf", _art("ProjectedGradientDescent", INF, **ART_PGD), 40, PGD),
    Peer("art", "pgd", "l2", _art("ProjectedGradientDescent", TWO, **ART_PGD), 40, PGD),
    Peer("art", "apgd", "linf", _art("AutoProjectedGradientDescent", INF, **ART_APGD), 50, APGD),
    Peer("art", "square", "linf", _art("SquareAttack", INF), 300, SQUARE, "queries"),
]  # fmt: skip
