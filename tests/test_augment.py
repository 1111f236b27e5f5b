"""Augmentation: what it does to an image, and that every example has its own draw."""

from __future__ import annotations

import pytest
import torch

from pipeline.training.augment import AUGMENTATIONS, DRAWS, augment

MIDDLE = 0.5  # the draw that changes nothing


def draws(count: int, **columns: float) -> torch.Tensor:
    """Draws that leave the image as it is but for the named ones."""
    names = ["x", "y", "rotation", "shear", "zoom_x", "zoom_y", "flip", "brightness", "contrast"]
    assert len(names) == DRAWS
    out = torch.full((count, DRAWS), MIDDLE)
    for name, value in columns.items():
        out[:, names.index(name)] = value
    return out


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(6, 3, 10, 10, generator=torch.Generator().manual_seed(0))


def test_none_is_the_image_itself(images: torch.Tensor) -> None:
    assert augment(images, torch.rand(6, DRAWS), "none", flip=True) is images


@pytest.mark.parametrize("name", ["light", "heavier"])
def test_the_middle_of_every_range_changes_nothing(name: str, images: torch.Tensor) -> None:
    result = augment(images, draws(6), name, flip=False)
    torch.testing.assert_close(result, images, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["light", "heavier"])
def test_stays_in_the_box_and_changes_every_image(name: str, images: torch.Tensor) -> None:
    drawn = torch.rand(6, DRAWS, generator=torch.Generator().manual_seed(1))
    result = augment(images, drawn, name, flip=True)
    assert result.shape == images.shape
    assert result.min() >= 0 and result.max() <= 1
    assert (result - images).abs().amax(dim=(1, 2, 3)).min() > 0.01


@pytest.mark.parametrize("name", ["light", "heavier"])
def test_an_image_does_not_depend_on_its_batch(name: str, images: torch.Tensor) -> None:
    drawn = torch.rand(6, DRAWS, generator=torch.Generator().manual_seed(1))
    together = augment(images, drawn, name, flip=True)
    order = torch.tensor([4, 1, 5, 0, 3, 2])
    assert torch.equal(augment(images[order], drawn[order], name, flip=True), together[order])
    alone = torch.cat(
        [augment(images[i : i + 1], drawn[i : i + 1], name, flip=True) for i in range(6)]
    )
    torch.testing.assert_close(alone, together)


def test_shift_by_a_tenth_of_the_width(images: torch.Tensor) -> None:
    right_edge = augment(images, draws(6, x=1.0), "light", flip=False)  # one of ten pixels
    expected = torch.cat([images[..., 1:], images[..., -1:]], dim=3)  # filled from the border
    torch.testing.assert_close(right_edge, expected, atol=1e-5, rtol=0)
    down = augment(images, draws(6, y=1.0), "light", flip=False)
    expected = torch.cat([images[..., 1:, :], images[..., -1:, :]], dim=2)
    torch.testing.assert_close(down, expected, atol=1e-5, rtol=0)


def test_flip_is_a_mirror_for_half_of_the_draws_and_only_if_allowed(images: torch.Tensor) -> None:
    mirrored = augment(images, draws(6, flip=0.2), "light", flip=True)
    torch.testing.assert_close(mirrored, images.flip(3), atol=1e-5, rtol=0)
    kept = augment(images, draws(6, flip=0.8), "light", flip=True)
    torch.testing.assert_close(kept, images, atol=1e-5, rtol=0)
    forbidden = augment(images, draws(6, flip=0.2), "light", flip=False)
    torch.testing.assert_close(forbidden, images, atol=1e-5, rtol=0)


def test_rotation_turns_about_the_middle() -> None:
    ranges = AUGMENTATIONS["heavier"]
    assert ranges is not None and ranges.rotation == 22.5
    bar = torch.zeros(1, 1, 21, 21)
    bar[:, :, 10, :] = 1  # a horizontal line
    turned = augment(bar, draws(1, rotation=1.0), "heavier", flip=False)[0, 0]
    assert turned[10, 10] > 0.9
    left, right = turned[:, 2].argmax().item(), turned[:, 18].argmax().item()
    # tan(22.5 degrees) * 16 columns = 6.6 rows
    assert abs(abs(left - right) - 6.6) < 1.0


def test_brightness_and_contrast_by_hand() -> None:
    images = 0.4 + 0.2 * torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    brighter = augment(images, draws(2, brightness=1.0), "heavier", flip=False)
    torch.testing.assert_close(brighter, images + 0.25, atol=1e-5, rtol=0)
    stronger = augment(images, draws(2, contrast=1.0), "heavier", flip=False)
    mean = images.mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(stronger, mean + 1.5 * (images - mean), atol=1e-5, rtol=0)


def test_light_leaves_colour_and_shape_alone(images: torch.Tensor) -> None:
    extreme = draws(6, rotation=1.0, shear=1.0, zoom_x=1.0, zoom_y=0.0, brightness=1.0)
    torch.testing.assert_close(
        augment(images, extreme, "light", flip=False), images, atol=1e-5, rtol=0
    )
