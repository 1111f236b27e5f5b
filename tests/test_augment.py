"""Augmentation: what it does to an image, and that every example has its own draw."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from pipeline.base.config.augmentation import Augmentation
from pipeline.training.augment import COLUMN, DRAWS, MORE, augment, draw, mix
from pipeline.training.ranges import HEAVIER, LIGHT, Ranges, ranges_of

MIDDLE = 0.5  # the draw that changes nothing


def draws(count: int, **columns: float) -> torch.Tensor:
    """Draws that leave the image as it is but for the named ones."""
    out = torch.full((count, len(COLUMN)), MIDDLE)
    for name, value in columns.items():
        out[:, COLUMN[name]] = value
    return out


def drawn(count: int) -> torch.Tensor:
    return torch.rand(count, len(COLUMN), generator=torch.Generator().manual_seed(1))


EVERYTHING = Ranges(
    shift=0.1,
    crop=2,
    rotation=20,
    shear=0.1,
    zoom=0.1,
    stretch=0.1,
    lens=0.2,
    elastic=0.1,
    brightness=0.1,
    contrast=0.3,
    color=0.5,
    cutout=4,
)
SCHEMES = {"light": LIGHT, "heavier": HEAVIER, "everything": EVERYTHING}


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(6, 3, 10, 10, generator=torch.Generator().manual_seed(0))


def test_none_is_the_image_itself(images: torch.Tensor) -> None:
    assert ranges_of("none") is None
    assert augment(images, drawn(6), None, flip=True) is images


@pytest.mark.parametrize("name", ["light", "heavier"])
def test_the_middle_of_every_range_changes_nothing(name: str, images: torch.Tensor) -> None:
    result = augment(images, draws(6), SCHEMES[name], flip=False)
    torch.testing.assert_close(result, images, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", SCHEMES)
def test_stays_in_the_box_and_changes_every_image(name: str, images: torch.Tensor) -> None:
    result = augment(images, drawn(6), SCHEMES[name], flip=True)
    assert result.shape == images.shape
    assert result.min() >= 0 and result.max() <= 1
    assert (result - images).abs().amax(dim=(1, 2, 3)).min() > 0.01


@pytest.mark.parametrize("name", SCHEMES)
def test_an_image_does_not_depend_on_its_batch(name: str, images: torch.Tensor) -> None:
    ranges, numbers = SCHEMES[name], drawn(6)
    together = augment(images, numbers, ranges, flip=True)
    order = torch.tensor([4, 1, 5, 0, 3, 2])
    assert torch.equal(augment(images[order], numbers[order], ranges, flip=True), together[order])
    alone = torch.cat(
        [augment(images[i : i + 1], numbers[i : i + 1], ranges, flip=True) for i in range(6)]
    )
    torch.testing.assert_close(alone, together)


def test_shift_by_a_tenth_of_the_width(images: torch.Tensor) -> None:
    right_edge = augment(images, draws(6, x=1.0), LIGHT, flip=False)  # one of ten pixels
    expected = torch.cat([images[..., 1:], images[..., -1:]], dim=3)  # filled from the border
    torch.testing.assert_close(right_edge, expected, atol=1e-5, rtol=0)
    down = augment(images, draws(6, y=1.0), LIGHT, flip=False)
    expected = torch.cat([images[..., 1:, :], images[..., -1:, :]], dim=2)
    torch.testing.assert_close(down, expected, atol=1e-5, rtol=0)


def test_flip_is_a_mirror_for_half_of_the_draws_and_only_if_allowed(images: torch.Tensor) -> None:
    mirrored = augment(images, draws(6, flip=0.2), LIGHT, flip=True)
    torch.testing.assert_close(mirrored, images.flip(3), atol=1e-5, rtol=0)
    kept = augment(images, draws(6, flip=0.8), LIGHT, flip=True)
    torch.testing.assert_close(kept, images, atol=1e-5, rtol=0)
    forbidden = augment(images, draws(6, flip=0.2), LIGHT, flip=False)
    torch.testing.assert_close(forbidden, images, atol=1e-5, rtol=0)


def test_rotation_turns_about_the_middle() -> None:
    assert HEAVIER.rotation == 22.5
    bar = torch.zeros(1, 1, 21, 21)
    bar[:, :, 10, :] = 1  # a horizontal line
    turned = augment(bar, draws(1, rotation=1.0), HEAVIER, flip=False)[0, 0]
    assert turned[10, 10] > 0.9
    left, right = turned[:, 2].argmax().item(), turned[:, 18].argmax().item()
    # tan(22.5 degrees) * 16 columns = 6.6 rows
    assert abs(abs(left - right) - 6.6) < 1.0


def test_images_that_are_not_square_turn_in_pixels() -> None:
    square, wide = torch.zeros(1, 1, 41, 41), torch.zeros(1, 1, 21, 41)
    square[:, :, 18:23, 30:35] = wide[:, :, 8:13, 30:35] = 1  # the same blob right of the middle
    for name in ("rotation", "shear"):
        turned = augment(square, draws(1, **{name: 0.9}), HEAVIER, flip=False)
        assert torch.allclose(
            augment(wide, draws(1, **{name: 0.9}), HEAVIER, flip=False),
            turned[:, :, 10:31],
            atol=1e-5,
        )
        assert (turned - square).abs().max() > 0.1


def test_brightness_and_contrast_by_hand() -> None:
    images = 0.4 + 0.2 * torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    brighter = augment(images, draws(2, brightness=1.0), HEAVIER, flip=False)
    torch.testing.assert_close(brighter, images + 0.25, atol=1e-5, rtol=0)
    stronger = augment(images, draws(2, contrast=1.0), HEAVIER, flip=False)
    mean = images.mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(stronger, mean + 1.5 * (images - mean), atol=1e-5, rtol=0)


def test_light_leaves_colour_and_shape_alone(images: torch.Tensor) -> None:
    extreme = draws(6, rotation=1.0, shear=1.0, stretch_x=1.0, stretch_y=0.0, brightness=1.0)
    torch.testing.assert_close(
        augment(images, extreme, LIGHT, flip=False), images, atol=1e-5, rtol=0
    )


def test_ranges_of_ones_own_change_those_of_the_scheme() -> None:
    own = Augmentation(scheme="heavier", rotation=0, cutout=3)
    assert ranges_of(own) == dataclasses.replace(HEAVIER, rotation=0, cutout=3)
    assert own.model_dump() == {"scheme": "heavier", "rotation": 0, "cutout": 3}
    assert ranges_of(Augmentation(scheme="none")) == Ranges()


def test_flip_alone_moves_whole_pixels(images: torch.Tensor) -> None:
    numbers = draws(6)
    numbers[:3, COLUMN["flip"]] = 0.2
    result = augment(images, numbers, Ranges(), flip=True)
    assert torch.equal(result, torch.cat([images[:3].flip(3), images[3:]]))
    assert torch.equal(augment(images, numbers, Ranges(), flip=False), images)


def test_a_crop_lets_black_in_and_moves_by_whole_pixels(images: torch.Tensor) -> None:
    result = augment(images, draws(6, crop_x=0.0, crop_y=0.99), Ranges(crop=2), flip=False)
    assert torch.equal(result[..., :-2, 2:], images[..., 2:, :-2])  # right by 2, up by 2
    assert not result[..., :2].any() and not result[..., -2:, :].any()
    numbers = draw(Ranges(crop=2), 5000, torch.Generator(), seed=0)
    one = torch.zeros(5000, 1, 5, 5)
    one[:, :, 2, 2] = 1
    landed = augment(one, numbers, Ranges(crop=2), flip=False).mean(0)[0]
    assert landed.min() > 0.03 and landed.max() < 0.05  # each of 25 places as often


def test_zoom_keeps_the_proportions_and_stretch_does_not() -> None:
    square = torch.zeros(1, 1, 41, 41)
    square[:, :, 11:30, 11:30] = 1

    def sides(image: torch.Tensor) -> tuple[int, int]:
        inside = image[0, 0] > 0.5
        return int(inside.any(1).sum()), int(inside.any(0).sum())

    assert sides(augment(square, draws(1, zoom=1.0), Ranges(zoom=0.5), flip=False)) == (29, 29)
    wide = augment(square, draws(1, stretch_x=1.0), Ranges(stretch=0.5), flip=False)
    assert sides(wide) == (19, 29)


def test_a_lens_moves_corners_and_leaves_the_middle() -> None:
    ramp = torch.linspace(0, 1, 21).expand(1, 1, 21, 21)
    bent = augment(ramp, draws(1, lens=0.0), Ranges(lens=0.5), flip=False)[0, 0]
    assert bent[10, 10] == pytest.approx(0.5, abs=1e-6)
    # At the edge of the middle row the place is drawn in by half of r² = 1/2, so by a quarter.
    place = (20 / 21) * (1 - 0.5 * (20 / 21) ** 2 / 2)
    assert bent[10, 20] == pytest.approx((place * 21 / 20 + 1) / 2, abs=1e-4)
    corner = (20 / 21) * (1 - 0.5 * (20 / 21) ** 2)
    assert bent[20, 20] == pytest.approx((corner * 21 / 20 + 1) / 2, abs=1e-4)


def test_elastic_distortion_pulls_where_it_was_drawn() -> None:
    ramp = torch.linspace(0, 1, 21).expand(1, 1, 21, 21)
    pulled = augment(ramp, draws(1, pull_0=1.0), Ranges(elastic=0.2), flip=False)[0, 0]
    assert pulled[0, 0] == pytest.approx(0.2 * 21 / 20, abs=1e-4)  # from a fifth further right
    assert pulled[20, 20] == pytest.approx(1.0, abs=1e-4)
    assert (pulled[0, :6] - ramp[0, 0, 0, :6] > 0.02).all()


def test_color_by_hand(images: torch.Tensor) -> None:
    grey = augment(images, draws(6, color=0.0), Ranges(color=0.999), flip=False)
    torch.testing.assert_close(
        grey, images.mean(1, keepdim=True).expand_as(images), atol=1e-3, rtol=0
    )
    muted = 0.4 + 0.2 * images
    richer = augment(muted, draws(6, color=1.0), Ranges(color=0.5), flip=False)
    mean = muted.mean(1, keepdim=True)
    torch.testing.assert_close(richer, mean + 1.5 * (muted - mean))


def test_cutout_hides_a_square_about_any_pixel(images: torch.Tensor) -> None:
    result = augment(images, draws(6, cutout_x=0.5, cutout_y=0.0), Ranges(cutout=4), flip=False)
    hidden = torch.zeros(10, 10, dtype=torch.bool)
    hidden[:2, 3:7] = True  # the square about (0, 5), as far as it is inside
    assert torch.equal(result[..., ~hidden], images[..., ~hidden])
    mean = images.mean((2, 3)).unsqueeze(2).expand(6, 3, 8)
    torch.testing.assert_close(result[..., hidden], mean)


def test_mixup_mixes_neighbours_and_their_labels(images: torch.Tensor) -> None:
    y = torch.tensor([0, 1, 2, 0, 1, 2])
    mixed, shares = mix(images, y, draws(6, mixup=0.7), classes=4)
    torch.testing.assert_close(mixed[1], 0.7 * images[1] + 0.3 * images[0])
    torch.testing.assert_close(shares[1], torch.tensor([0.3, 0.7, 0, 0]))
    torch.testing.assert_close(shares.sum(1), torch.ones(6))


def test_the_share_of_mixup_is_that_of_a_beta_distribution() -> None:
    numbers = draw(Ranges(mixup=0.4), 4000, torch.Generator(), seed=3)[:, COLUMN["mixup"]]
    theirs = torch.distributions.Beta(0.4, 0.4).sample((40000,))
    theirs = torch.maximum(theirs, 1 - theirs)
    assert numbers.min() >= 0.5 and numbers.max() <= 1
    shares = torch.tensor([0.1, 0.25, 0.5, 0.75])
    torch.testing.assert_close(numbers.quantile(shares), theirs.quantile(shares), atol=0.02, rtol=0)


def test_mixup_draws_follow_from_the_seed_alone() -> None:
    first, again, other = (
        draw(Ranges(mixup=0.4), 50, torch.Generator(), seed)[:, COLUMN["mixup"]]
        for seed in (3, 3, 4)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_further_draws_leave_the_first_as_they_were() -> None:
    plain = draw(LIGHT, 5, torch.Generator().manual_seed(4), seed=0)
    more = draw(EVERYTHING, 5, torch.Generator().manual_seed(4), seed=0)
    assert plain.shape == (5, len(DRAWS)) and more.shape == (5, len(DRAWS + MORE))
    assert torch.equal(plain, more[:, : len(DRAWS)])
    again = draw(EVERYTHING, 5, torch.Generator().manual_seed(4), seed=1)
    assert not torch.equal(again[:, len(DRAWS) :], more[:, len(DRAWS) :])
