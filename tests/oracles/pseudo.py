"""FlexMatch's, FreeMatch's, SoftMatch's, AdaCM's and SimCLR's equations in loops."""

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


def moving(values, start, keep):
    """An exponential moving average over a list of values."""
    for value in values:
        start = keep * start + (1 - keep) * value
    return start


def self_adaptive_thresholds(batches, keep):
    """FreeMatch's SAT. batches: the weak views' probabilities, step after step. Returns tau(c), p_t, h_t."""
    classes = len(batches[0][0])
    size = len(batches[0])
    tau = moving([sum(map(max, batch)) / size for batch in batches], 1 / classes, keep)
    p, h = [], []
    for c in range(classes):
        p.append(moving([sum(q[c] for q in batch) / size for batch in batches], 1 / classes, keep))
        h.append(moving([sum(q.index(max(q)) == c for q in batch) / size for batch in batches], 1 / classes, keep))
    return [value / max(p) * tau for value in p], p, h


def self_adaptive_fairness(strong, mask, p, h):
    """FreeMatch's SAF: strong holds probabilities; sums run over the classes that something was given to."""
    kept = [q for q, m in zip(strong, mask, strict=True) if m]
    if not kept:
        return 0.0
    classes = len(p)
    mean = [sum(q[c] for q in kept) / len(kept) for c in range(classes)]
    hist = [sum(q.index(max(q)) == c for q in kept) / len(kept) for c in range(classes)]

    def sum_norm(values, by):
        quotient = [v / b if b else 0.0 for v, b in zip(values, by, strict=True)]
        return [v / sum(quotient) for v in quotient]

    wanted, found = sum_norm(p, h), sum_norm(mean, hist)
    cross_entropy = -sum(w * math.log(f + 1e-12) for w, f in zip(wanted, found, strict=True))
    return -cross_entropy


def truncated_gaussian(most, mean, variance, sigmas):
    """SoftMatch's weight of one face; sigma is divided by ``sigmas``."""
    return 1.0 if most >= mean else math.exp(-((most - mean) ** 2) / (2 * (math.sqrt(variance) / sigmas) ** 2))


def aligned(p, mean, wanted):
    """ReMixMatch: normalise(p * wanted / mean) of one face."""
    drawn = [a * w / m for a, w, m in zip(p, wanted, mean, strict=True)]
    return [value / sum(drawn) for value in drawn]
