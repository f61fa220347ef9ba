"""Pseudo-labels weighted by confidence rather than cut off at a threshold (SoftMatch, Chen et al., 2023)."""

from __future__ import annotations

from torch import Tensor


def soft_weights(most: Tensor, mean: Tensor, variance: Tensor, sigmas: float = 1.0) -> Tensor:
    """The truncated Gaussian: exp(-(max p - mu)^2 / (2 sigma^2)) below mu, 1 from mu on (SoftMatch, section 3.1).

    :param most: max p, (N,). mean, variance: mu_t and sigma_t^2, (), of the largest probability.
    :param sigmas: the released code divides sigma by this, 2: the curve falls twice as fast.
    :return: (N,), in (0, 1].
    """
    below = (most - mean).clamp(max=0)
    return (-(below**2) * sigmas**2 / (2 * variance.clamp(min=1e-12))).exp()
