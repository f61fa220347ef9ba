"""The landmark branch's units and heads; what it is for is tested with LA-Net."""

import pytest
import torch

from fercore.models.landmark_branch import HEADS, to_pixels, to_shares
from tests.faces import toy_dataset


def test_shares_mean_the_same_in_images_of_all_sizes():
    """By hand: corners and centre of an image 4 pixels wide and 2 high, whose first pixel's centre is (0, 0)."""
    pixels = torch.tensor([[-0.5, -0.5], [1.5, 0.5], [3.5, 1.5], [0.0, 0.0]])
    shares = torch.tensor([[-0.5, -0.5], [0.0, 0.0], [0.5, 0.5], [-0.375, -0.25]])
    torch.testing.assert_close(to_shares(pixels, (2, 4)), shares)
    torch.testing.assert_close(to_pixels(shares, (2, 4)), pixels)
    torch.testing.assert_close(to_pixels(to_shares(pixels, (2, 4)), (4, 8)), 2 * (pixels + 0.5) - 0.5)


def test_a_pattern_head_starts_near_the_mean_shape_and_can_place_any_face():
    shapes = to_shares(toy_dataset(n=40, size=32).landmarks, (32, 32))
    head = HEADS["pattern"](8, 64)
    head.expect(shapes)
    with torch.no_grad():
        v, points = head(torch.zeros(2, 8, 4, 4))
    assert v.shape == (2, 64)
    assert (points - shapes.mean(0)).abs().mean() < head.spread
    # pose reaches what the pattern does not: together any shape
    free = torch.eye(136) - head.frame @ head.frame.T
    assert torch.linalg.matrix_rank(free) == 132


@pytest.mark.parametrize("name", HEADS)
def test_equal_faces_have_no_spread_but_do_not_divide_by_zero(name):
    head = HEADS[name](8, 16)
    head.expect(torch.rand(1, 68, 2).expand(3, 68, 2))
    assert head.spread > 0
    _, points = head(torch.randn(2, 8, 4, 4))
    assert points.isfinite().all()
