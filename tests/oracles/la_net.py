"""LA-Net's equations as the paper writes them: loops over faces, neighbours, classes and pairs.

A face has a name, since a batch may show it twice; pairs are judged by names and pseudo-labels.
"""

import math


def cosine(a, b):
    """Equation 1."""
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


def neighbours(features, names, k):
    """Equation 2: for each face the rows of its k nearest others, nearest first (fewer if there are not so many)."""
    found = []
    for i, a in enumerate(features):
        others = [j for j in range(len(features)) if names[j] != names[i]]
        found.append(sorted(others, key=lambda j, a=a: -cosine(a, features[j]))[:k])
    return found


def linear(x, layer):
    return [sum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in zip(*layer, strict=True)]


def relu(x):
    return [max(0.0, v) for v in x]


def contribution(a, b, layers):
    """Equation 3. layers: (weights, biases) of g1, g2 and f's two layers, as nested lists."""
    g1, g2, f1, f2 = layers
    pair = relu(linear(a, g1)) + relu(linear(b, g2))
    (score,) = linear(relu(linear(pair, f1)), f2)
    return 1 / (1 + math.exp(-score))


def label_distribution(i, p, spaces):
    """Equation 4. spaces: of each, the neighbours k of face i with their contributions c_ik."""
    classes, d = len(p[0]), []
    for y in range(classes):
        total = 0.0
        for pairs in spaces:
            total += sum(c * p[k][y] for k, c in pairs) / sum(c for _, c in pairs)
        d.append(total / len(spaces))
    return d


def average(before, now, omega):
    """Equation 5."""
    return [omega * b + (1 - omega) * n for b, n in zip(before, now, strict=True)]


def divergence(d, p):
    """Equation 7 without its printed minus: a divergence is not negative."""
    total = 0.0
    for row_d, row_p in zip(d, p, strict=True):
        total += sum(x * math.log(x / y) for x, y in zip(row_d, row_p, strict=True) if x > 0)
    return total / len(d)


def pseudo_label(d, delta):
    """Equation 8."""
    return d.index(max(d)) if max(d) > delta else -1


def belong(label_i, name_i, label_j, name_j):
    """Equation 9: whether j is in I(i)."""
    if name_i == name_j:
        return True
    return label_i != -1 and label_i == label_j


def contrast(query, key, batch, bank, tau):
    """Equation 11 (or 12, the spaces changed). batch: (label, name) of each face; bank: (key, label, name) entries.

    The denominator holds the positive itself and all negatives: of I(i) the complement, not I(i) as printed.
    """
    total = 0.0
    for i, (label, name) in enumerate(batch):
        positives = [j for j, other in enumerate(batch) if belong(label, name, *other)]
        negatives = [k for k, *other in bank if not belong(label, name, *other)]
        inner = 0.0
        for j in positives:
            top = math.exp(cosine(query[i], key[j]) / tau)
            inner += math.log(top / (top + sum(math.exp(cosine(query[i], k) / tau) for k in negatives)))
        total -= inner / len(positives)
    return total / len(batch)
