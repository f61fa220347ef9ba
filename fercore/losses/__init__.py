"""The losses, one file per idea; ``LOSSES`` says which function is which equation of which paper."""

from fercore.losses.ambiguous import ambiguous_consistency, positive_set
from fercore.losses.attention import attention_consistency
from fercore.losses.fusion import class_distributions, fuse, kl_to_prediction, normalise_weights
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
from fercore.losses.table import LOSSES, OURS, Loss

__all__ = [
    "LOSSES",
    "OURS",
    "Loss",
    "adaptive_margins",
    "aggregate",
    "ambiguous_consistency",
    "attention_consistency",
    "auxiliary_cross_entropy",
    "average_over_epochs",
    "averaged_cross_entropy",
    "averaged_distribution",
    "class_balanced_cross_entropy",
    "class_distributions",
    "class_weights",
    "confident",
    "contrast",
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
    "sharpen",
    "similarity_preserving",
    "similarity_vector",
    "smooth_labels",
    "soft_cross_entropy",
    "weighted_cross_entropy",
]
