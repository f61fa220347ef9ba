"""Ada-DF's equations as the paper writes them, in loops."""

import math


def class_distributions(label_distributions, label, classes, t):
    """Equations 4 to 7; a class without faces has no mean and takes the threshold distribution."""
    rows = []
    for c in range(classes):
        members = [d for d, y in zip(label_distributions, label, strict=True) if y == c]
        mean = [sum(d[j] for d in members) / len(members) for j in range(classes)] if members else None
        if mean is None or mean[c] < t:
            rows.append([t if j == c else (1 - t) / (classes - 1) for j in range(classes)])
        else:
            rows.append(mean)
    return rows


def normalise(weights, smallest):
    """Equation 11."""
    low, high = min(weights), max(weights)
    return [(w - low) / (high - low) * (1 - smallest) + smallest for w in weights]


def fuse(of_class, of_face, weight):
    """Equation 12 for one face."""
    return [weight * c + (1 - weight) * f for c, f in zip(of_class, of_face, strict=True)]


def divergence(targets, predictions):
    """Equation 13 with the sign of a divergence."""
    total = 0.0
    for d, p in zip(targets, predictions, strict=True):
        total += sum(a * math.log(a / b) for a, b in zip(d, p, strict=True) if a > 0)
    return total / len(targets)
