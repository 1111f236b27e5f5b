"""Makes a folder of results whose truth is known, so that a report can be tested without training.

Each image has its own threshold per method: it breaks at every eps that is not below it. So every
curve, eps50 and noise multiple of the made results follows from the thresholds.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from pipeline.base import store
from pipeline.base.store import Place
from pipeline.training import overfitting

CLASSES = [str(digit) for digit in range(10)]
SHAPE = (1, 8, 8)
SUITES = {
    "linf": ("linf", [0.02, 0.05, 0.1, 0.15, 0.2, 0.3]),
    "l2": ("l2", [0.25, 0.5, 1.0, 1.5, 2.0]),
}
NOISE = {"linf": [0.05, 0.15, 0.3, 0.5, 0.75, 1.0], "l2": [1.0, 2.0, 3.0, 5.0, 8.0]}
KINDS = ["uniform", "surface", "corners", "gaussian"]
# network -> (eps50 under linf, how many times larger noise must be, clean accuracy)
NETWORKS = {
    "plain": (0.09, 5.0, 0.98),
    "augmented": (0.10, 6.0, 0.97),
    "regularized": (0.11, 5.0, 0.99),
    "adversarial": (0.21, 4.0, 0.97),
}
# group -> runs: name, kind, fraction
CORRUPTIONS = {
    "labels": [
        ("true labels", "labels", 0.0),
        ("50 % random labels", "labels", 0.5),
        ("random labels", "labels", 1.0),
    ],
    "pixels": [
        ("shuffled pixels", "shuffled_pixels", 1.0),
        ("Gaussian images", "gaussian", 1.0),
    ],
}
RUN, SKIPPED, IMPLIED = 0, 1, 2


def config(networks: dict[str, tuple[float, float, float]] | None = None, **changes: Any) -> Any:
    """The part of a configuration that the report reads."""
    names = list(networks or NETWORKS)
    values: dict[str, Any] = {
        "data": SimpleNamespace(name="digits", seed=0),
        "networks": {name: {} for name in names},
        "suites": {
            name: SimpleNamespace(norm=norm, eps=eps, attacks="fast")
            for name, (norm, eps) in SUITES.items()
        },
        "noise": SimpleNamespace(kinds=KINDS, draws=100, eps=NOISE),
        "memorize": SimpleNamespace(seed=0, networks=names[:1]),
        "headline": SimpleNamespace(suite="linf", eps=0.1),
        "evaluation": SimpleNamespace(samples=None, seed=0, slots=64, diagnosis=200),
    }
    return SimpleNamespace(**(values | changes))


def write(
    folder: Path,
    networks: dict[str, tuple[float, float, float]] | None = None,
    *,
    n: int = 200,
    seed: int = 0,
    images: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    seeds: dict[str, list[int]] | None = None,
) -> Place:
    """Write a whole grid of results below `folder`; `images` (n, 1, 8, 8) may be real ones.

    `seeds`: of the networks that were trained more than once.
    """
    place = Place(folder)
    rng = np.random.default_rng(seed)
    x = _blobs(rng, n) if images is None else images
    y = rng.integers(0, 10, n) if labels is None else labels
    _write_data(place, x, y)
    difficulty = rng.lognormal(0, 0.5, n)  # shared: the same images are hard for every network
    witnesses: dict[tuple[str, str], np.ndarray] = {}
    for name, (eps50, factor, clean) in (networks or NETWORKS).items():
        listed = (seeds or {}).get(name, [0])
        store.write_json(place.network(name) / "seeds.json", {"seeds": listed, "weights": []})
        for other in listed[1:]:
            _write_seed(place, name, other, eps50 * difficulty, factor, y, rng.random(n) > clean)
        _write_training(place, name, clean)
        wrong = rng.random(n) > clean
        for suite, (norm, grid) in SUITES.items():
            scale = eps50 * (1.0 if norm == "linf" else 8.0)
            pgd = scale * difficulty * rng.lognormal(0, 0.2, n)
            attack = {"fgsm": 1.3 * pgd, "pgd": pgd}
            noise = {}
            for number, kind in enumerate(KINDS):
                one = factor * (1.5 - 0.15 * number) * pgd
                noise |= {kind: one, f"{kind}_x100": one / 2}
            write_verdicts(place.attack(name, suite), name, suite, y, wrong, attack, grid)
            write_verdicts(
                place.noise(name, suite), name, suite, y, wrong, noise, NOISE[norm], cascade=False
            )
            write_diagnosis(place.attack(name, suite), y, wrong, attack, grid)
            witnesses[name, suite] = np.where(wrong, np.inf, pgd)
            _write_gallery(place, name, suite, x, y, wrong, pgd, grid)
            _write_fooling(place, name, suite)
            for at in (place.attack(name, suite), place.noise(name, suite)):
                _write_run(at, name, suite, norm)
    for suite, (_, grid) in SUITES.items():
        made = {name: found for (name, of), found in witnesses.items() if of == suite}
        further = [f"{n}/seed-{k}" for n, listed in (seeds or {}).items() for k in listed[1:]]
        write_transfer(place, suite, made, grid, further)
    first = next(iter(networks or NETWORKS))
    runs = [
        {"group": group, **memorized(*run)} for group, runs in CORRUPTIONS.items() for run in runs
    ]
    write_memorized(place, first, runs)
    return place


def _write_seed(
    place: Place,
    network: str,
    seed: int,
    threshold: np.ndarray,
    factor: float,
    y: np.ndarray,
    wrong: np.ndarray,
) -> None:
    """A further training run, which breaks at an ε of its own."""
    draw = np.random.default_rng(seed)
    pgd = threshold * draw.lognormal(0.1 * draw.standard_normal(), 0.2, len(y))
    for suite, (norm, grid) in SUITES.items():
        scaled = pgd * (1.0 if norm == "linf" else 8.0)
        attack = {"fgsm": 1.3 * scaled, "pgd": scaled}
        noise = {"uniform": factor * scaled, "uniform_x100": factor * scaled / 2}
        for stage, found, budgets in (
            (place.attack, attack, grid),
            (place.noise, noise, NOISE[norm]),
        ):
            at = stage(network, suite) / f"seed-{seed}"
            write_verdicts(
                at, network, suite, y, wrong, found, budgets, cascade=stage == place.attack
            )
            _write_run(at, network, suite, norm)


def write_memorized(place: Place, network: str, runs: list[dict[str, Any]], **recipe: Any) -> None:
    """What a network of `memorize` has fitted; `recipe` as far as it is not plain."""
    true = hashlib.sha256(store.read_npz(place.data)["y_test"].tobytes()).hexdigest()
    value = {
        "network": network,
        "recipe": PLAIN | recipe,
        "runs": [run | {"test_label_hash": true} for run in runs],
        "device": DEVICE,
        "versions": VERSIONS,
    }
    store.write_json(place.memorize(network), value)


def write_verdicts(
    folder: Path,
    network: str,
    suite: str,
    y: np.ndarray,
    wrong: np.ndarray,
    thresholds: dict[str, np.ndarray],
    grid: list[float],
    *,
    cascade: bool = True,
    clipped: float = 1.0,
    errors: np.ndarray | None = None,
) -> None:
    """One verdict table: a cascade from the largest eps down, or each method and eps by itself.

    `errors` (N,) bool: images on which every attack ended in an error at the largest eps.
    `clipped`: what the box leaves of a perturbation's size.
    """
    n = len(y)
    pred = np.where(wrong, (y + 1) % 10, y)
    columns: dict[str, list[np.ndarray]] = {}
    alive = ~wrong
    for eps in reversed(grid):
        broken_here = np.zeros(n, bool)
        for code, threshold in enumerate(thresholds.values()):
            runs = alive & ~broken_here if cascade else ~wrong
            breaks = runs & (threshold <= eps)
            how = np.where(runs, RUN, np.where(alive, SKIPPED, IMPLIED))
            steps = 1 if list(thresholds)[code] == "fgsm" else 20
            outcome = np.where(breaks, 1, 0)
            if errors is not None and eps == grid[-1]:
                outcome = np.where(errors & runs, 2, outcome)
                breaks &= ~errors
            broken_here |= breaks
            how = np.where(wrong, SKIPPED, how)
            outcome = np.where(wrong, 1, outcome)
            row = {
                "index": np.arange(n, dtype=np.int64) * 3,
                "label": y.astype(np.int16),
                "clean_pred": pred.astype(np.int16),
                "clean_confidence": np.full(n, 0.9, np.float32),
                "attack": np.full(n, code, np.int16),
                "eps": np.full(n, eps),
                "how": how.astype(np.uint8),
                "outcome": outcome.astype(np.uint8),
                "adv_pred": np.where(breaks, (y + 3) % 10, np.where(wrong, pred, -1)).astype(
                    np.int16
                ),
                "adv_confidence": np.where(breaks, 0.6, np.nan).astype(np.float32),
                "distance": np.where(runs, eps * clipped, np.nan).astype(np.float32),
                "margin": np.where(breaks, 0.4, np.nan).astype(np.float32),
                "forwards": np.where(runs, 20, 0).astype(np.int32),
                "backwards": np.where(runs, steps, 0).astype(np.int32),
            }
            for key, column in row.items():
                columns.setdefault(key, []).append(column)
        # What survives a larger eps is not run at a smaller one; an error settles nothing.
        alive = broken_here if errors is None else broken_here | (errors & alive)
    store.write_npz(
        folder / "verdicts.npz",
        **{key: np.concatenate(parts) for key, parts in columns.items()},
        attack_names=np.array(list(thresholds)),
        norm=np.array(SUITES[suite][0]),
        suite=np.array(suite),
        network=np.array(network),
        eps_grid=np.array(grid),
        shape=np.array(SHAPE),
    )


def write_diagnosis(
    folder: Path,
    y: np.ndarray,
    wrong: np.ndarray,
    thresholds: dict[str, np.ndarray],
    grid: list[float],
) -> None:
    """Each attack alone at the middle and the largest eps; a PGD of any length does the same."""
    n, middle = len(y), grid[len(grid) // 2]
    attacks = {"fgsm": (thresholds["fgsm"], "suite", [middle, grid[-1]])}
    attacks["pgd"] = (thresholds["pgd"], "suite", [middle, grid[-1]])
    attacks["square"] = (1.5 * thresholds["pgd"], "probe", [middle])
    for more in ("10 steps", "20 steps", "80 steps", "2 restarts"):
        attacks[f"pgd, {more}"] = (thresholds["pgd"], "ladder", [middle])
    columns: dict[str, list[np.ndarray]] = {}
    for code, (threshold, _, budgets) in enumerate(attacks.values()):
        for eps in budgets:
            row = {
                "index": np.arange(n, dtype=np.int64) * 3,
                "label": y.astype(np.int16),
                "clean_pred": np.where(wrong, (y + 1) % 10, y).astype(np.int16),
                "attack": np.full(n, code, np.int16),
                "eps": np.full(n, eps),
                "outcome": (wrong | (threshold <= eps)).astype(np.uint8),
                "margin": (eps - threshold).astype(np.float32),
            }
            for key, column in row.items():
                columns.setdefault(key, []).append(column)
    names = list(attacks)
    store.write_npz(
        folder / "diagnosis.npz",
        **{key: np.concatenate(parts) for key, parts in columns.items()},
        compared_at=np.array(middle),
        ball=np.array(True),
        attack_names=np.array(names),
        role=np.array([role for _, role, _ in attacks.values()]),
        gradients=np.array([name != "square" for name in names]),
        single_step=np.array([name == "fgsm" for name in names]),
        steps=np.array([10, 20, 40, 80]),
        steps_attack=np.array([3, 4, 1, 5]),
        restarts=np.array([1, 2]),
        restarts_attack=np.array([1, 6]),
    )
    store.write_json(folder / "signs.json", SIGNS | {"n": int((~wrong).sum())})


def write_transfer(
    place: Place,
    suite: str,
    thresholds: dict[str, np.ndarray],
    grid: list[float],
    further: list[str] | None = None,
) -> None:
    """Each network's witnesses, at the grid's eps above its (N,) threshold, tried on the others.

    A witness breaks another network if its eps is 1.5 times the other's own threshold, and none of
    the `further` targets.
    """
    names = list(thresholds)
    columns: dict[str, list[np.ndarray]] = {}
    for source, own in enumerate(thresholds.values()):
        rows = np.flatnonzero(own <= grid[-1])
        eps = np.array(grid)[np.searchsorted(grid, own[rows])]
        for target, other in enumerate(thresholds.values()):
            if source == target:
                continue
            row = {
                "source": np.full(len(rows), source, np.int16),
                "target": np.full(len(rows), target, np.int16),
                "index": rows.astype(np.int64) * 3,
                "eps": eps,
                "outcome": (eps >= 1.5 * other[rows]).astype(np.uint8),
            }
            for key, column in row.items():
                columns.setdefault(key, []).append(column)
    if len(names) == 1:
        columns = {key: [np.zeros(0)] for key in ("source", "target", "index", "eps", "outcome")}
    store.write_npz(
        place.transfer(suite),
        **{key: np.concatenate(parts) for key, parts in columns.items()},
        source_names=np.array(names),
        target_names=np.array([*names, *(further or [])]),
    )


# What the attack stage counts in a healthy network, as far as it is not the number of images.
SIGNS = {
    "zero": 0, "saturated": 0, "squashed": 0, "constant": 0, "random": 0, "company": 0,
    "precision": 0, "fragile": 0, "large": 10, "majority": 30, "unbounded": 0, "constant_class": 0,
    "optimizes": 0, "unstable_permille": 20,
}  # fmt: skip


def _blobs(rng: np.random.Generator, n: int) -> np.ndarray:
    rows, columns = np.mgrid[0:8, 0:8]
    centre = rng.uniform(2, 5, (n, 2, 1, 1))
    blob = np.exp(-((rows - centre[:, 0]) ** 2 + (columns - centre[:, 1]) ** 2) / 5)
    return (blob[:, None] * 16).round().astype(np.uint8)


def _write_data(place: Place, x: np.ndarray, y: np.ndarray) -> None:
    arrays: dict[str, np.ndarray] = {}
    for part in ("train", "validation", "test"):
        shown = x if part == "test" else 16 - x  # no test image is a training image
        arrays |= {f"x_{part}": shown, f"y_{part}": y, f"index_{part}": np.arange(len(y)) * 3}
    store.write_npz(
        place.data,
        **arrays,
        classes=np.array(CLASSES),
        levels=np.array(16),
        name=np.array("digits"),
        checksum=np.array("0" * 64),
    )


PLAIN = {
    "architecture": "small_cnn",
    "settings": {},
    "samples": None,
    "epochs": 10,
    "weight_decay": 0.0,
    "dropout": 0.0,
    "label_smoothing": 0.0,
    "augmentation": "none",
    "adversarial": None,
    "select": "last",
    "seeds": [0],
}
DEVICE = {"type": "cpu", "name": "a test", "threads": 1}
VERSIONS = {"python": "3.11.0", "torch": "2.11.0", "numpy": "2.4.0"}


def _write_training(place: Place, network: str, clean: float) -> None:
    history = [
        {
            "epoch": epoch,
            "loss": 2.3 * 0.7**epoch,
            "train_acc": min(1.0, 0.3 + 0.1 * epoch),
            "validation_acc": min(clean, 0.3 + 0.09 * epoch),
            "validation_robust_acc": 0.05 * epoch if network == "adversarial" else None,
            "lr": 0.1,
            "seconds": 0.2,
        }
        for epoch in range(1, 11)
    ]
    recipe = PLAIN | {
        "weight_decay": 0.0005 if network == "regularized" else 0.0,
        "dropout": 0.3 if network == "regularized" else 0.0,
        "augmentation": "light" if network == "augmented" else "none",
        "adversarial": (
            {"norm": "linf", "eps": 0.15, "steps": 7} if network == "adversarial" else None
        ),
    }
    value = {
        "network": network,
        "history": history,
        "selected_epoch": 10,
        "clean_acc_train": 1.0,
        "n_train": 200,
        "parameters": 12345,
        "cost": {
            "parameters": 12345,
            "trained": 12345,
            "weight_bytes": 49380,
            "activation_bytes": 6656,
            "macs": 116352,
        },
        "seconds": 2.0,
        "device": DEVICE,
        "versions": VERSIONS,
        "robust_acc_validation": (
            overfitting.robustness(history, 200) if network == "adversarial" else None
        ),
        "clean_acc_validation": clean,
        "recipe": recipe,
    }
    store.write_json(place.network(network) / "training.json", value)


def _write_run(folder: Path, network: str, suite: str, norm: str) -> None:
    run = {
        "network": network,
        "suite": suite,
        "norm": norm,
        "seconds": 3.5,
        "device": DEVICE,
        "versions": VERSIONS,
        "slots": 64,
        "forwards": 120000,
        "backwards": 80000,
        "seed": 0,
        "parameters": 12345,
        "attacks": {"fgsm": {}, "pgd": {"steps": 40, "restarts": 2}},
    }
    store.write_json(folder / "run.json", run)


def _write_gallery(
    place: Place,
    network: str,
    suite: str,
    x: np.ndarray,
    y: np.ndarray,
    wrong: np.ndarray,
    threshold: np.ndarray,
    grid: list[float],
) -> None:
    rng = np.random.default_rng(1)
    shown = np.flatnonzero(~wrong & (threshold <= grid[-1]))[:12]
    eps = np.array(grid)[np.searchsorted(grid, threshold[shown])].astype(np.float64)
    clean = (x[shown] / 16).astype(np.float32)
    size = eps[:, None, None, None].astype(np.float32) / (1 if suite == "linf" else 8)
    signs = rng.choice([-1.0, 1.0], size=(2, *clean.shape)).astype(np.float32)
    half = np.full(len(shown), 0.5, np.float32)
    noise, adv = (np.clip(clean + sign * size, 0, 1) for sign in signs)
    order = np.inf if suite == "linf" else 2

    def distance(image: np.ndarray) -> np.ndarray:
        return np.linalg.norm((image - clean).reshape(len(shown), math.prod(SHAPE)), order, axis=1)

    store.write_npz(
        place.attack(network, suite) / "gallery.npz",
        index=shown * 3,
        label=y[shown],
        eps=eps,
        distance=distance(adv),
        noise_distance=distance(noise),
        x=clean,
        noise=noise,
        x_adv=adv,
        clean_pred=y[shown],
        clean_confidence=half + 0.4,
        noise_pred=y[shown],
        noise_confidence=half + 0.3,
        adv_pred=(y[shown] + 3) % 10,
        adv_confidence=half + 0.1,
    )


def _write_fooling(place: Place, network: str, suite: str) -> None:
    """Two classes from each start; those from a blank were not convincing."""
    rng = np.random.default_rng(2)
    store.write_npz(
        place.attack(network, suite) / "fooling.npz",
        asked=np.array(0.99),
        start=np.array(["noise", "noise", "blank", "blank"]),
        target=np.array([3, 8, 3, 8]),
        x=rng.random((4, *SHAPE), np.float32),
        prediction=np.array([3, 8, 3, 1]),
        confidence=np.array([0.995, 0.991, 0.8, 0.1], np.float32),
        reached=np.array([True, True, False, False]),
    )


def memorized(name: str, kind: str, fraction: float) -> dict[str, Any]:
    speed = {"true labels": 0.5, "shuffled pixels": 0.3}.get(name, 0.25 - 0.1 * fraction)
    history = [
        {"epoch": e, "loss": 2.3 * np.exp(-speed * e), "train_acc": 1 - 0.9 * np.exp(-speed * e)}
        for e in range(1, 31)
    ]
    return {
        "name": name,
        "kind": kind,
        "fraction": fraction,
        "changed_fraction": fraction * 0.9 if kind == "labels" else 0.0,
        "history": history,
        "fitted_epoch": 10 if fraction == 0 else 29,
        "train_acc": 1.0,
        "test_acc": 0.98 - 0.88 * fraction,
        "n_train": 1000,
        "n_test": 360,
        "classes": 10,
        "label_hash": f"{kind}-{fraction}",
        "labels_seen": [f"{kind}-{fraction}"],
        "parameters": 12345,
        "seconds": 1.0,
    }
