"""What a trained method makes of its own training labels, some of which are wrong: only a known truth can tell."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc

from fercore.batch import UNLABELLED
from fercore.datasets import FaceDataset
from fercore.methods.base import Method, in_use
from fercore.metrics import js_divergence, kl_divergence

LEAST_DOUBT = 0.05
"""A face whose truth gives less than this to the other emotions says nothing about which of them it resembles."""


def has_flipped_labels(data: FaceDataset) -> bool:
    """Whether a condition has replaced labels: some face has another label than the dataset's own."""
    if data.clean_label is None:
        return False
    return bool(((data.label != data.clean_label) & (data.label != UNLABELLED)).any())


def insight(method: Method, data: FaceDataset, batch_size: int = 256, seed: int = 0) -> dict[str, float]:
    """How close a method came to the truth about its N labelled training faces, as ``Method.explain`` shows it.

    noise/rate: the share of labels that are not the dataset's own.
    js/labels: mean Jensen-Shannon divergence (nats) of the one-hot labels to the true distributions (people's votes
    where that is all there is; the js and kl figures are absent where there are none).
    js/NAME: the same of each distribution in ``Method.distribution_names`` that gives the label's class something.
    kl_others/NAME: mean KL(truth, distribution), both without the label's own class, over the faces whose truth gives
    at least LEAST_DOUBT to the other classes.
    auroc/confidence: the chance that a face with its right label is trusted more than one with a flipped label;
    auroc/probability: the same of the probability that the model gives to the label, which every method has.
    flipped/label, flipped/truth: how often the model answers a face that has a flipped label with that label, and with
    the right one. Has it learnt the noise by heart?

    The faces come unaltered and in random batches (a method may compare the faces of a batch). {} where there is
    nothing to find out, see ``has_flipped_labels``.
    """
    if not has_flipped_labels(data):
        return {}
    labelled = torch.nonzero(data.label != UNLABELLED).flatten()
    order = labelled[torch.randperm(len(labelled), generator=torch.Generator().manual_seed(seed))]
    parts: dict[str, list[Tensor]] = {}
    with in_use(method) as device:
        for rows in order.split(batch_size):
            for name, value in method.explain(data.batch(rows, device)).items():
                if name == "confidence" or name in method.distribution_names:
                    parts.setdefault(name, []).append(value.float().cpu())
    seen = {name: torch.cat(values) for name, values in parts.items()}

    label, clean = data.label[order], data.clean_label[order]
    flipped = label != clean
    figures = {"noise/rate": float(flipped.float().mean())}
    if "probabilities" in seen:
        answer = seen["probabilities"].argmax(1)
        of_label = seen["probabilities"].gather(1, label[:, None])[:, 0]
        figures["auroc/probability"] = float(binary_auroc(of_label, (~flipped).long()))
        figures["flipped/label"] = float((answer == label)[flipped].float().mean())
        figures["flipped/truth"] = float((answer == clean)[flipped].float().mean())
    if "confidence" in seen:
        figures["auroc/confidence"] = float(binary_auroc(seen.pop("confidence"), (~flipped).long()))
    return figures if data.truth is None else figures | _divergences(seen, label, data.truth[order].double())


def _divergences(seen: dict[str, Tensor], label: Tensor, truth: Tensor) -> dict[str, float]:
    """The js and kl figures of the distributions (N, C) in ``seen``, and of the labels, to the truth (N, C)."""
    one_hot = F.one_hot(label, truth.shape[1]).double()
    figures = {"js/labels": float(js_divergence(one_hot, truth).mean())}
    others = truth * (1 - one_hot)
    doubtful = others.sum(1) >= LEAST_DOUBT
    others = others[doubtful] / others[doubtful].sum(1, keepdim=True)
    for name, value in seen.items():
        value = value.double()
        if bool((value * one_hot).any()):  # what leaves the label's class out is no rival of the whole truth
            figures[f"js/{name}"] = float(js_divergence(value, truth).mean())
        left = (value * (1 - one_hot))[doubtful].clamp(min=1e-8)
        figures[f"kl_others/{name}"] = float(kl_divergence(others, left / left.sum(1, keepdim=True)).mean())
    return figures
