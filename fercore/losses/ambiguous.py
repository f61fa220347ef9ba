"""Several candidate labels for an unlabelled face, and the loss that keeps them on top (LEAF, section 4.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def positive_set(probabilities: Tensor, threshold: float) -> Tensor:
    """The likeliest classes up to and including the first at which their sum reaches T (LEAF, equations 6 to 8).

    At least one class is positive, and all are where the sum never reaches T. Of equal classes the first comes first.

    :param probabilities: y, (N, k). threshold: T.
    :return: (N, k), true where positive; the other classes are the negative set.
    """
    ordered, order = probabilities.sort(dim=1, descending=True, stable=True)
    missing = ordered.cumsum(1) < threshold
    needed = torch.ones_like(missing)
    needed[:, 1:] = missing[:, :-1]  # a class is needed if those before it did not suffice
    return torch.zeros_like(needed).scatter(1, order, needed)


def ambiguous_consistency(scores: Tensor, positive: Tensor, margin: float = 0.0) -> Tensor:
    """How far the positive classes are from beating all negative ones by the margin (LEAF, equations 9 to 14).

    ``log(1 + e^epsilon sum_positive e^-y sum_negative e^y)``, on logarithms of the sums, so that nothing overflows.

    :param scores: y of one view, (N, k): logits or probabilities. positive: (N, k), from the other view.
    :param margin: epsilon of equation 9. Equation 14 is printed for 0.
    :return: (N,); 0 where no class is negative.
    """
    lowest_positive = -(-scores).masked_fill(~positive, -torch.inf).logsumexp(1)  # equation 11
    highest_negative = scores.masked_fill(positive, -torch.inf).logsumexp(1)  # equation 12
    return F.softplus(highest_negative - lowest_positive + margin)  # equations 10 and 13
