"""RAC + RSL's equations as the paper writes them: loops over sums, in double precision."""

import math


def attention_map(features, weight):
    """Equation 2. features: nested lists (N, C, H, W); weight (L, C) -> (N, L, H, W)."""
    channels, height, width = len(features[0]), len(features[0][0]), len(features[0][0][0])
    return [
        [
            [[sum(w[c] * f[c][y][x] for c in range(channels)) for x in range(width)] for y in range(height)]
            for w in weight
        ]
        for f in features
    ]


def consistency(maps, flipped_maps, balance):
    """Equations 3 and 5, flip included: the mean of |B A - Flip(B A~)|."""
    total, number = 0.0, 0
    for a, b in zip(maps, flipped_maps, strict=True):
        for weight, rows, other_rows in zip(balance, a, b, strict=True):
            for row, other in zip(rows, other_rows, strict=True):
                for x in range(len(row)):
                    total += abs(weight * row[x] - weight * other[len(row) - 1 - x])
                    number += 1
    return total / number


def class_weight(beta, n):
    """Equation 4: one over 1 + beta + ... + beta^(n - 1), the effective number of n samples."""
    return 1 / sum(beta**k for k in range(n))


def smooth_label(label, balance, alpha):
    """Equation 8 for one face."""
    return [(1 - alpha) * (label == k) + alpha * b / len(balance) for k, b in enumerate(balance)]


def cross_entropy(logits, target):
    """Equation 7 for one face."""
    total = sum(math.exp(z) for z in logits)
    return -sum(t * math.log(math.exp(z) / total) for z, t in zip(logits, target, strict=True))
