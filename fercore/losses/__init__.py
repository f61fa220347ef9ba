"""The losses, one file per idea; ``LOSSES`` says which function is which equation of which paper."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from fercore.losses.alignment import align, shares, uniform
from fercore.losses.ambiguous import ambiguous_consistency, positive_set
from fercore.losses.attention import attention_consistency
from fercore.losses.free_match import adaptive_thresholds, class_shares, fairness
from fercore.losses.fusion import class_distributions, fuse, kl_to_prediction, normalise_weights, trusted_classes
from fercore.losses.labelled import labelled_cross_entropy, membership
from fercore.losses.landmark_contrast import landmark_contrast, positive_pairs, pseudo_labels
from fercore.losses.landmark_error import landmark_error
from fercore.losses.latent import (
    auxiliary_cross_entropy,
    averaged_cross_entropy,
    averaged_distribution,
    latent_distribution,
    latent_l2,
)
from fercore.losses.neighbours import aggregate, average_over_epochs, mean_of_views, neighbours
from fercore.losses.pseudo import (
    adaptive_margins,
    confident,
    contrast,
    flexible_thresholds,
    masked_cross_entropy,
    masked_divergence,
    sharpen,
)
from fercore.losses.ramps import ramps, rise
from fercore.losses.rank import rank_regularisation
from fercore.losses.rebalance import class_balanced_cross_entropy, class_weights, smooth_labels, soft_cross_entropy
from fercore.losses.similarity import (
    relations,
    relative_confidence,
    similarity_preserving,
    similarity_vector,
    weighted_cross_entropy,
)
from fercore.losses.soft_match import soft_weights

__all__ = [
    "LOSSES",
    "OURS",
    "Loss",
    "adaptive_margins",
    "adaptive_thresholds",
    "aggregate",
    "align",
    "ambiguous_consistency",
    "attention_consistency",
    "auxiliary_cross_entropy",
    "average_over_epochs",
    "averaged_cross_entropy",
    "averaged_distribution",
    "class_balanced_cross_entropy",
    "class_distributions",
    "class_shares",
    "class_weights",
    "confident",
    "contrast",
    "fairness",
    "flexible_thresholds",
    "fuse",
    "kl_to_prediction",
    "labelled_cross_entropy",
    "landmark_contrast",
    "landmark_error",
    "latent_distribution",
    "latent_l2",
    "masked_cross_entropy",
    "masked_divergence",
    "mean_of_views",
    "membership",
    "neighbours",
    "normalise_weights",
    "positive_pairs",
    "positive_set",
    "pseudo_labels",
    "ramps",
    "rank_regularisation",
    "relations",
    "relative_confidence",
    "rise",
    "shares",
    "sharpen",
    "similarity_preserving",
    "similarity_vector",
    "smooth_labels",
    "soft_cross_entropy",
    "soft_weights",
    "trusted_classes",
    "uniform",
    "weighted_cross_entropy",
]

OURS = "fercore"
"""The paper of what is in none."""


class Loss(NamedTuple):
    """One function and where it comes from: ``paper, where`` stands so in its docstring.

    symbol: what the paper calls its value.
    """

    function: Callable
    paper: str
    where: str
    symbol: str


LOSSES = (
    Loss(labelled_cross_entropy, OURS, "", "L_ce over the faces with a label"),
    Loss(align, "ReMixMatch", "section 3.1", "DA(p), as logits"),
    Loss(shares, OURS, "", "p(y)"),
    Loss(uniform, OURS, "", "1 / C"),
    Loss(adaptive_thresholds, "FreeMatch", "section 4.1", "tau_t(c)"),
    Loss(class_shares, "FreeMatch", "section 4.2", "Hist"),
    Loss(fairness, "FreeMatch", "section 4.2", "L_f"),
    Loss(soft_weights, "SoftMatch", "section 3.1", "lambda(p)"),
    Loss(membership, OURS, "", "y, one-hot"),
    Loss(class_weights, "RAC + RSL", "equation 4", "B_l"),
    Loss(attention_consistency, "RAC + RSL", "equations 3 and 5", "l_cons"),
    Loss(soft_cross_entropy, "RAC + RSL", "equation 7", "H(y, p)"),
    Loss(smooth_labels, "RAC + RSL", "equation 8", "y~"),
    Loss(class_balanced_cross_entropy, "Cui et al., 2019", "equation 12", "CB_softmax"),
    Loss(auxiliary_cross_entropy, "DMUE", "equations 1 and 2", "L_CE^aux"),
    Loss(latent_distribution, "DMUE", "equation 3", "y~, sharpened"),
    Loss(latent_l2, "DMUE", "equation 4", "L_soft"),
    Loss(similarity_vector, "DMUE", "equations 6 and 7", "SV"),
    Loss(weighted_cross_entropy, "DMUE", "equation 9", "L_WCE^target"),
    Loss(ramps, "DMUE", "equations 11, 12", "w_u, w_d"),
    Loss(relations, "DMUE", "equations 14 and 15", "A"),
    Loss(similarity_preserving, "DMUE", "equations 16 and 17", "L_sp"),
    Loss(averaged_cross_entropy, "DMUE", "section 4.7", "L_CE^aux of LD-A"),
    Loss(averaged_distribution, "DMUE", "section 4.7", "y~ of LD-A"),
    Loss(relative_confidence, OURS, "", "alpha, 1 on average"),
    Loss(rank_regularisation, "SCN", "section 3.3", "L_RR"),
    Loss(trusted_classes, "Ada-DF", "equation 5", "d_cc >= t"),
    Loss(class_distributions, "Ada-DF", "equations 4 to 7", "d_class"),
    Loss(rank_regularisation, "Ada-DF", "equations 9, 10", "L_RR"),
    Loss(normalise_weights, "Ada-DF", "equation 11", "w"),
    Loss(fuse, "Ada-DF", "equation 12", "d_fused"),
    Loss(kl_to_prediction, "Ada-DF", "equation 13", "L_kld"),
    Loss(ramps, "Ada-DF", "equations 15, 16", "alpha_2, alpha_1"),
    Loss(neighbours, "LA-Net", "equations 1 and 2", "N(i)"),
    Loss(aggregate, "LA-Net", "equation 4", "a half of d_i"),
    Loss(mean_of_views, OURS, "", "d_i of a face seen twice"),
    Loss(average_over_epochs, "LA-Net", "equation 5", "d_i^[e]"),
    Loss(kl_to_prediction, "LA-Net", "equation 7", "L_kl"),
    Loss(pseudo_labels, "LA-Net", "equation 8", "l^_i"),
    Loss(positive_pairs, "LA-Net", "equation 9", "I(i)"),
    Loss(landmark_contrast, "LA-Net", "equations 11 and 12", "L_1, L_2"),
    Loss(landmark_error, "LA-Net", "section 3", "L_lm"),
    Loss(positive_set, "LEAF", "equations 6 to 8", "Y^p"),
    Loss(ambiguous_consistency, "LEAF", "equations 9 to 14", "L^U"),
    Loss(confident, "FixMatch", "equation 4", "q^, max q >= tau"),
    Loss(masked_cross_entropy, "FixMatch", "equation 4", "l_u"),
    Loss(masked_divergence, "UDA", "equation 2", "D_KL"),
    Loss(sharpen, "UDA", "equation 4", "p^(sharp)"),
    Loss(flexible_thresholds, "FlexMatch", "equations 5, 7, 11 and 12", "T_t(c)"),
    Loss(adaptive_margins, "Li et al., 2022", "section 3", "T_c"),
    Loss(contrast, '"SimCLR", 2020', "equation 1", "l_i,j"),
    Loss(rise, OURS, "", "a weight from 0 to 1"),
)
"""Every loss and what losses are made of, paper by paper in the order of its equations; what two share, under both."""
