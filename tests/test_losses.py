"""What attacks climb, against PyTorch's own cross-entropy and autograd."""

import pytest
import torch
from torch.nn import functional

from attacks.losses import cross_entropy


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
