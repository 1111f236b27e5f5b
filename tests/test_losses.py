"""What attacks climb, against PyTorch's own cross-entropy and autograd, and numbers by hand."""

import pytest
import torch
from torch.nn import functional

from attacks.losses import cross_entropy, dlr


@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_the_cross_entropy_is_the_log_odds_with_the_gradient_of_log_odds(
    classes: int, scale: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(64, classes, generator=generator, dtype=torch.float64)
    y = torch.randint(classes, (64,), generator=generator)
    logits.requires_grad_(True)
    weights = torch.rand(64, generator=generator, dtype=torch.float64)
    odds = cross_entropy(logits, y)
    (found,) = torch.autograd.grad((weights * odds).sum(), logits)
    plain = functional.cross_entropy(logits, y, reduction="none")
    torch.testing.assert_close(functional.softplus(odds), plain)
    # d odds = d cross-entropy / (1 - p_y), written with what does not round to zero.
    others = logits.scatter(1, y[:, None], -torch.inf)
    (expected,) = torch.autograd.grad(
        (weights * (others.logsumexp(1) - logits.gather(1, y[:, None])[:, 0])).sum(), logits
    )
    torch.testing.assert_close(found, expected)
    assert bool((found.gather(1, y[:, None])[:, 0] == -weights).all())


@pytest.mark.parametrize(
    ("logits", "label", "ratio"),
    [
        ([7.0, 3.0, 1.0, 0.0, 2.0], 0, -4 / 5),  # read rightly: 3 - 7 over 7 - 2
        ([7.0, 3.0, 1.0, 0.0, 2.0], 1, 4 / 5),
        ([7.0, 3.0, 1.0, 0.0, 2.0], 3, 7 / 5),  # the label is none of the top three
        ([-1.0, -4.0, -9.0, -2.0], 0, -1 / 3),
        ([5.0, 5.0, 1.0, 0.0], 0, 0.0),
        ([5.0, 1.0, 1.0, 1.0], 0, -1.0),
        ([5.0, 1.0, 1.0, 1.0], 2, 1.0),
        ([2.0, 2.0, 2.0, 0.0], 1, 0.0),  # no spread at all
        ([4.0, 1.0, 2.0], 0, -2 / 3),
        ([4.0, 1.0], 0, -3.0),  # of two classes, the margin
    ],
)
def test_the_ratio_of_differences_is_the_published_one(
    logits: list[float], label: int, ratio: float
) -> None:
    """Croce and Hein 2020: -(z_y - max other) / (z_1 - z_3), the logits sorted."""
    rows = torch.tensor([logits, [10 * each for each in logits]])
    expected = torch.tensor([ratio, ratio if len(logits) > 2 else 10 * ratio])
    torch.testing.assert_close(dlr(rows, torch.tensor([label, label])), expected)
