"""FlexMatch's, AdaCM's and SimCLR's equations in loops."""

import math


def flexible_thresholds(assigned, classes, tau, warm_up=True):
    """FlexMatch, equations 5, 7 or 11, and 12. assigned: a class, None if none yet."""
    sigma = [sum(a == c for a in assigned) for c in range(classes)]
    most = max(sigma)
    if warm_up:
        most = max(most, sum(a is None for a in assigned))
    betas = [s / most if most else 0.0 for s in sigma]
    return [b / (2 - b) * tau for b in betas]


def contrast(first, second, mask, temperature):
    """InfoNCE of the faces in the mask, each view against all others of theirs."""
    views = [f for f, m in zip(first, mask, strict=True) if m] + [s for s, m in zip(second, mask, strict=True) if m]
    n, total = len(views) // 2, 0.0

    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    for i, view in enumerate(views):
        partner = views[(i + n) % (2 * n)]
        others = sum(math.exp(cosine(view, v) / temperature) for j, v in enumerate(views) if j != i)
        total -= math.log(math.exp(cosine(view, partner) / temperature) / others)
    return total / len(views) if views else 0.0
