"""LEAF's equations as the paper writes them: loops over faces, experts and classes counted from 0."""

import math


def softmax(values):
    total = sum(math.exp(v) for v in values)
    return [math.exp(v) / total for v in values]


def gate(scores, top_k):
    """Equations 3 and 5 for one face: softplus, all but the K highest to -infinity, softmax."""
    active = [math.log(1 + math.exp(s)) for s in scores]
    kept = sorted(range(len(active)), key=lambda j: -active[j])[:top_k]
    return softmax([a if j in kept else -math.inf for j, a in enumerate(active)])


def mixture(weights, outputs):
    """Equations 2 and 4 for one face: outputs[j] is what expert j makes of it."""
    mixed = [0.0] * len(outputs[0])
    for g, output in zip(weights, outputs, strict=True):
        for place, value in enumerate(output):
            mixed[place] += g * value
    return mixed


def positive_set(probabilities, threshold):
    """Equations 6 to 8 for one face: classes are added, likeliest first, until the sum reaches T."""
    chosen, total = [], 0.0
    for k in sorted(range(len(probabilities)), key=lambda k: -probabilities[k]):
        if chosen and total >= threshold:
            break
        chosen.append(k)
        total += probabilities[k]
    return set(chosen)


def hard_consistency(scores, positive, margin=0.0):
    """Equation 10, with the margin of equation 9: nothing is smoothed."""
    negative = [y for k, y in enumerate(scores) if k not in positive]
    return max(0.0, max(negative) - min(scores[k] for k in positive) + margin)


def consistency_by_logarithms(scores, positive, margin=0.0):
    """Equation 14, third line."""
    low = math.log(sum(math.exp(-scores[k]) for k in positive))
    high = math.log(sum(math.exp(y) for k, y in enumerate(scores) if k not in positive))
    return math.log(1 + math.exp(low + high + margin))


def consistency_by_products(scores, positive, margin=0.0):
    """Equation 14, last line."""
    low = sum(math.exp(-scores[k]) for k in positive)
    high = sum(math.exp(y) for k, y in enumerate(scores) if k not in positive)
    return math.log(1 + low * high * math.exp(margin))
