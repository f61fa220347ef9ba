"""DMUE's equations as the paper writes them: loops over sums, faces and classes counted from 0."""

import math


def softmax(logits):
    total = sum(math.exp(z) for z in logits)
    return [math.exp(z) / total for z in logits]


def auxiliary_cross_entropy(logits, label):
    """Equations 1 and 2. logits[j][n] maps each class other than j to its logit."""
    classes, total = len(logits), 0.0
    for j in range(classes):
        faces = [n for n, y in enumerate(label) if y != j]
        if faces:
            loss = 0.0
            for n in faces:
                names = list(logits[j][n])
                p = dict(zip(names, softmax([logits[j][n][k] for k in names]), strict=True))
                loss -= math.log(p[label[n]])
            total += loss / len(faces)
    return total / classes


def sharpen(p, temperature):
    """Equation 3."""
    powers = [value ** (1 / temperature) for value in p]
    return [value / sum(powers) for value in powers]


def latent_l2(prediction, latent, label):
    """Equation 4: the own class is skipped."""
    classes, total = len(prediction[0]), 0.0
    for p, soft, y in zip(prediction, latent, label, strict=True):
        total += sum((soft[k] - p[k]) ** 2 for k in range(classes) if k != y)
    return total / (len(label) * (classes - 1))


def relations(features):
    """Equations 14 and 15."""
    rows = []
    for a in features:
        row = [sum(x * y for x, y in zip(a, b, strict=True)) for b in features]
        length = math.sqrt(sum(value**2 for value in row))
        rows.append([value / length for value in row])
    return rows


def similarity_preserving(target, auxiliary, label):
    """Equations 16 and 17."""
    classes, total = len(auxiliary), 0.0
    for i in range(classes):
        number = sum(y != i for y in label)
        square = 0.0
        for q, y_q in enumerate(label):
            for p, y_p in enumerate(label):
                m = 0 if y_p == i or y_q == i else 1
                square += (m * target[q][p] - m * auxiliary[i][q][p]) ** 2
        total += square / number**2 if number else 0.0
    return total / classes


def similarity_vector(features, label, classes, own=True):
    """Equations 6 and 7; a class without faces gives 0. own: whether a face is one of the images of its class."""

    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    rows = []
    for i, (a, y) in enumerate(zip(features, label, strict=True)):
        row = []
        for j in range(classes):
            members = [b for n, (b, k) in enumerate(zip(features, label, strict=True)) if k == j and (own or n != i)]
            row.append(sum(cosine(a, b) for b in members) / len(members) if members else 0.0)
        rows.append(row + [float(y == j) for j in range(classes)])
    return rows


def weighted_cross_entropy(logits, confidence, label):
    """Equation 9."""
    terms = [-math.log(softmax([a * z for z in row])[y]) for row, a, y in zip(logits, confidence, label, strict=True)]
    return sum(terms) / len(terms)
