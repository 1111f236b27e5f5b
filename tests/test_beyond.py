"""Transformations and fooling images: known renderings, known thresholds, the cascade."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from attacks import ModelError, Transformation, evaluate, fool
from attacks.beyond.grid import lattice
from attacks.beyond.kinds import KINDS
from attacks.errors import ThreatError
from attacks.oracle import Oracle
from attacks.registry import largest_eps, resolve
from attacks.suite import run_suite
from attacks.verdict import BROKEN
from networks import digits, trained

EPS = {"rotation": 15.0, "translation": 0.1, "rigid": 0.4, "brightness": 0.5, "contrast": 0.7}
GRIDS = {kind: [eps / 4, eps / 2, eps] for kind, eps in EPS.items()}
kinds = pytest.mark.parametrize("kind", list(KINDS))


def some(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def render(kind: str, x: Tensor, *theta: float) -> Tensor:
    return Transformation(kind, KINDS[kind].largest).image(torch.tensor([theta] * len(x)), x)


@kinds
def test_theta_zero_leaves_every_bit_and_can_be_climbed_from(kind: str) -> None:
    x = some(3, 3, 7, 9)
    threat = Transformation(kind, 1.0)
    still = threat.unchanged(x).requires_grad_(True)
    image = threat.image(still, x)
    assert torch.equal(image, x)
    # A slope in the pixels: turned, shifted or scaled, it is another one.
    (grad,) = torch.autograd.grad((image * torch.arange(9.0)).sum(), still)
    assert (grad != 0).any(dim=1).all()


def test_a_quarter_turn_is_rot90_counter_clockwise() -> None:
    for size in (8, 9):
        x = some(2, 3, size, size)
        for quarters in (1, 2, -1):
            turned = render("rotation", x, 90.0 * quarters)
            assert torch.allclose(turned, torch.rot90(x, quarters, (2, 3)), atol=1e-6)


def test_a_turn_keeps_distances_in_pixels_where_the_image_is_no_square() -> None:
    x = torch.zeros(1, 1, 9, 15)
    x[0, 0, 4, 10] = 1  # three pixels right of the middle
    turned = render("rotation", x, 90.0)
    assert float(turned[0, 0, 1, 7]) == pytest.approx(1, abs=1e-6)  # three above it


def test_whole_pixels_shift_exactly_and_black_moves_in() -> None:
    x = some(2, 1, 8, 10)
    for kind, turn in (("translation", ()), ("rigid", (0.0,))):
        moved = render(kind, x, *turn, 0.2, -0.25)  # two to the right, two up
        assert torch.allclose(moved[:, :, :6, 2:], x[:, :, 2:, :8], atol=1e-6)
        assert (moved[:, :, 6:] == 0).all()
        assert (moved[:, :, :, :2] == 0).all()
    assert (render("translation", x, 1.0, 0.0) == 0).all()


def test_a_rigid_motion_turns_first_and_then_shifts() -> None:
    x = some(1, 1, 8, 8)
    steps = render("translation", render("rotation", x, 90.0), 0.25, 0.0)
    assert torch.allclose(render("rigid", x, 90.0, 0.25, 0.0), steps, atol=1e-6)


def test_brightness_adds_and_contrast_scales_about_the_mean() -> None:
    x = 0.4 + 0.2 * some(2, 3, 5, 5)
    assert torch.allclose(render("brightness", x, 0.3), x + 0.3, atol=1e-6)
    assert (render("brightness", x, -1.0) == 0).all()
    for theta in (-1.0, -0.4, 0.5):
        scaled = render("contrast", x, theta)
        assert torch.allclose(scaled.mean(dim=(1, 2, 3)), x.mean(dim=(1, 2, 3)), atol=1e-6)
        assert torch.allclose(scaled.std(dim=(1, 2, 3)), (1 + theta) * x.std(dim=(1, 2, 3)))


@kinds
def test_the_gradient_pulled_back_is_that_of_the_rendering(kind: str) -> None:
    x, weight = some(2, 1, 8, 8), some(2, 1, 8, 8) - 0.5
    threat = Transformation(kind, EPS[kind])
    theta = threat.at(torch.tensor([[0.31, -0.52, 0.73]] * 2)[:, : threat.parameters])
    pulled = threat.pull(theta, x, weight)
    step = 1e-4 * torch.tensor(KINDS[kind].scale)
    for number in range(threat.parameters):
        ahead, behind = theta.double().clone(), theta.double().clone()
        ahead[:, number] += step[number]
        behind[:, number] -= step[number]
        rise = (threat.image(ahead, x.double()) - threat.image(behind, x.double())) * weight
        slope = rise.sum(dim=(1, 2, 3)) / (2 * step[number])
        assert torch.allclose(pulled[:, number].double(), slope, rtol=2e-3, atol=1e-5)


class Bright(nn.Module):
    """Two classes; an image is of class 1 where its mean is above a level."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level = level

    def forward(self, x: Tensor) -> Tensor:
        lead = x.mean(dim=(1, 2, 3)) - self.level
        return torch.stack([-lead, lead], dim=1)


class Striped(Bright):
    """The same of the difference of the image's left and right half."""

    def forward(self, x: Tensor) -> Tensor:
        half = x.shape[-1] // 2
        lead = (x[..., half:] - x[..., :half]).mean(dim=(1, 2, 3)) - self.level
        return torch.stack([-lead, lead], dim=1)


@pytest.mark.parametrize("attack", ["grid", "steepest"])
def test_a_linear_network_falls_at_its_known_size(attack: str) -> None:
    """Brightness: level - mean. Contrast, which scales the difference: 1 - level / difference."""
    x = 0.3 + 0.1 * some(30, 1, 6, 6)
    x[..., 3:] += torch.linspace(0.1, 0.3, 30).view(30, 1, 1, 1)
    halves = (x[..., 3:] - x[..., :3]).mean(dim=(1, 2, 3))
    cases = [
        ("brightness", Bright(0.8), 0, 0.8 - x.mean(dim=(1, 2, 3))),
        ("contrast", Striped(0.05), 1, 1 - 0.05 / halves),
    ]
    for kind, model, label, needed in cases:
        y = torch.full((30,), label)
        # The grid's last point lies up to one spacing short of eps.
        short = KINDS[kind].spacing[0] if attack == "grid" else 1e-3
        for eps in needed.quantile(torch.tensor([0.2, 0.5, 0.8])).tolist():
            broken = evaluate(model, x, y, Transformation(kind, eps), attack, signs=0).broken
            assert not broken[needed > eps].any()
            assert broken[needed < eps - short].all()
            assert 0 < broken.sum() < 30


@kinds
def test_success_is_monotone_in_eps_and_zero_breaks_nothing(kind: str) -> None:
    _, _, x, y = digits()
    x, y, model = x[:120], y[:120], trained()
    right = model(x).argmax(dim=1) == y
    before = ~right
    for eps in (0.0, *GRIDS[kind]):
        broken = evaluate(model, x, y, Transformation(kind, eps), "grid", signs=0).broken
        assert (broken | ~before).all(), "the lattice is nested: no cascade was needed"
        if eps == 0:
            assert torch.equal(broken, ~right)
        before = broken
    assert before.sum() > (~right).sum()


@kinds
def test_verdicts_are_bit_identical_for_any_batch_size_order_and_subset(kind: str) -> None:
    _, _, x, y = digits()
    x, y, keys = x[:30], y[:30], torch.arange(30) + 300
    attackers = resolve([{"attack": "grid"}, {"attack": "steepest", "steps": 5}], kind)

    def rows(chosen: Tensor) -> dict[tuple[int, int, float], list[str]]:
        found = run_suite(
            trained(), x[chosen], y[chosen], kind, GRIDS[kind], attackers, keys=keys[chosen]
        )
        names = ("index", "attack", "eps", "how", "outcome", "distance", "margin", "forwards")
        listed = zip(*(found.rows[name].tolist() for name in names), strict=True)
        table = {each[:3]: list(map(repr, each)) for each in listed}
        witness = dict(
            zip(found.witnesses.index.tolist(), found.witnesses.theta.tolist(), strict=True)
        )
        return {key: [*told, repr(witness.get(key[0]))] for key, told in table.items()}

    whole = rows(torch.arange(30))
    assert len(whole) == 30 * 2 * 3
    parts = [torch.arange(begin, begin + 7) for begin in range(0, 21, 7)]
    parts += [torch.tensor([number]) for number in (0, 3, 25)]
    parts += [torch.randperm(30, generator=torch.Generator().manual_seed(0))[:20]]
    for chosen in parts:
        for key, told in rows(chosen).items():
            assert told == whole[key]


@kinds
def test_every_witness_is_what_its_parameters_render_and_no_larger_than_its_eps(kind: str) -> None:
    _, _, x, y = digits()
    model = trained()
    found = run_suite(model, x, y, kind, GRIDS[kind], resolve("fast", kind)).witnesses
    assert len(found.index) > 10
    scale = torch.tensor(KINDS[kind].scale, dtype=torch.float64)
    size = (found.theta.double().abs() / scale).amax(dim=1)
    assert (size <= found.eps + 1e-6).all()
    assert torch.allclose(size.float(), found.distance)
    assert torch.equal(render_each(kind, x[found.index], found.theta), found.x_adv)
    assert (model(found.x_adv).argmax(dim=1) != found.label).all()


def render_each(kind: str, x: Tensor, theta: Tensor) -> Tensor:
    threat = Transformation(kind, 1.0)
    return torch.cat([threat.image(theta[i : i + 1], x[i : i + 1]) for i in range(len(x))])


@kinds
def test_gradients_find_nearly_what_the_grid_finds_and_both_more_than_chance(kind: str) -> None:
    """At most 3 of 100 images fewer than the grid, at defaults."""
    _, _, x, y = digits()
    threat = Transformation(kind, EPS[kind])
    broken = {
        name: int(evaluate(trained(), x, y, threat, name, signs=0).broken.sum())
        for name in ("grid", "steepest")
    }
    assert broken["steepest"] >= broken["grid"] - 0.03 * len(x)
    suite = run_suite(trained(), x, y, kind, [EPS[kind]], noise_alone())
    by_chance = int((suite.rows["outcome"] == BROKEN).sum())
    assert broken["grid"] > by_chance


def noise_alone() -> list:
    from attacks.registry import NOISE, Attacker

    return [Attacker("random", "random", NOISE["random"], {"draws": 1})]


@kinds
def test_the_lattice_is_nested_begins_at_zero_and_reaches_eps(kind: str) -> None:
    large, small = lattice(kind, EPS[kind], 1.0), lattice(kind, EPS[kind] / 2, 1.0)
    assert (large[0] == 0).all()
    points = set(map(tuple, large.tolist()))
    assert len(points) == len(large)
    assert set(map(tuple, small.tolist())) < points
    size = Transformation(kind, 1.0).distance(large, large)
    assert (size.diff() >= 0).all()
    spacing = max(s / c for s, c in zip(KINDS[kind].spacing, KINDS[kind].scale, strict=True))
    assert EPS[kind] - spacing < float(size[-1]) <= EPS[kind] + 1e-6


def test_engstroms_grid_is_the_one_of_eps_one() -> None:
    assert len(lattice("rigid", 1.0, 1.0)) == 31 * 5 * 5


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        logits = trained()(x)
        return logits + torch.randn_like(logits)


def test_what_means_nothing_is_refused() -> None:
    with pytest.raises(ThreatError, match="rotation"):
        Transformation("rotating", 3.0)
    for eps in (-1.0, math.nan, torch.tensor([[1.0], [-1.0]])):
        with pytest.raises(ThreatError):
            Transformation("rotation", eps)
    assert largest_eps("rotation", 64) == 180


@pytest.mark.parametrize("start", ["noise", "blank", "images"])
def test_a_network_is_led_to_every_class_with_confidence(start: str) -> None:
    target = torch.arange(10)
    _, _, x, _ = digits()
    given = {"start": x[:10]} if start == "images" else {"start": start, "shape": (1, 8, 8)}
    found = fool(trained(), target, confidence=0.99, **given)
    assert found.reached.all()
    assert found.x.min() >= 0
    assert found.x.max() <= 1
    # Judged by plain torch.
    with torch.no_grad():
        sure = trained()(found.x).softmax(dim=1)
    assert torch.equal(sure.argmax(dim=1), target)
    assert (sure.gather(1, target[:, None]) >= 0.99 - 1e-5).all()
    if start == "images":
        assert torch.equal(x, digits()[2])


def test_an_image_that_is_sure_already_is_left_alone() -> None:
    _, _, x, y = digits()
    with torch.no_grad():
        sure = trained()(x).softmax(dim=1).gather(1, y[:, None])[:, 0] > 0.995
    found = fool(trained(), y[sure], start=x[sure])
    assert torch.equal(found.x, x[sure])


def test_what_was_not_reached_says_so() -> None:
    target = torch.arange(10)
    found = fool(trained(), target, start="noise", shape=(1, 8, 8), steps=2)
    with torch.no_grad():
        sure = trained()(found.x).softmax(dim=1).gather(1, target[:, None])[:, 0]
    assert torch.allclose(found.confidence, sure, atol=1e-5)
    assert not found.reached[sure < 0.98].any()
    assert (sure < 0.98).any()


def test_fooling_images_do_not_depend_on_their_company() -> None:
    keys = torch.tensor([4, 9, 2])
    shape = (1, 8, 8)
    whole = fool(Oracle(trained()), keys, start="noise", shape=shape, keys=keys)
    for row in range(3):
        one = keys[row : row + 1]
        alone = fool(Oracle(trained()), one, start="noise", shape=shape, keys=one)
        assert torch.equal(alone.x[0], whole.x[row])
        assert torch.equal(alone.confidence[0], whole.confidence[row])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"start": "noise"}, "shape"),
        ({"start": "grey", "shape": (1, 8, 8)}, "'noise', 'blank' or images"),
        ({"shape": (1, 8, 8), "confidence": 1.0}, "between 0 and 1"),
    ],
)
def test_a_start_that_cannot_be_is_told(given, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        fool(trained(), torch.arange(3), **given)


PROBABILITIES = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Softmax(1))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"start": 255 * torch.ones(3, 1, 8, 8)}, r"must lie in \[0, 1\], got \[255, 255\]"),
        ({"start": torch.ones(3, 64)}, r"must be float32 \(N, C, H, W\)"),
        ({"start": torch.ones(2, 1, 8, 8)}, "targets must be one int64 class for each image"),
        ({"target": torch.tensor([1, 10, 3])}, "targets go from 1 to 10, but the model has 10"),
        ({"target": torch.tensor([1.0, 2.0, 3.0])}, "targets must be one int64 class"),
        ({"model": Noisy()}, "answers differently when it is asked again"),
        ({"model": PROBABILITIES}, "returns probabilities"),
    ],
)
def test_what_cannot_be_fooled_is_refused_before_any_step(given, told: str) -> None:
    given = {"model": trained(), "target": torch.arange(3), "shape": (1, 8, 8), **given}
    with pytest.raises(ModelError, match=told):
        fool(**given)


def test_a_run_that_meets_nan_does_not_end_the_others() -> None:
    """Wrong where bright, NaN where dark: some of five random starts are dark."""

    class DarkNaN(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mean = x.mean(dim=(1, 2, 3))
            wrong = torch.where(mean < 0.3, torch.nan, mean - 0.6)
            return torch.stack([0 * mean, wrong], dim=1)

    x, y = torch.full((20, 1, 4, 4), 0.5), torch.zeros(20, dtype=torch.int64)
    result = evaluate(DarkNaN(), x, y, Transformation("brightness", 0.3), "steepest", signs=0)
    assert result.broken.all()
