"""Figures as pure functions of arrays, one look, and two ways to put them on a page: ``show`` and ``explore``.

Needs the extra ``course``. Every figure takes arrays or CPU tensors and returns a matplotlib ``Figure``; none is kept
by pyplot, none is drawn twice.
"""

from fercore.viz.attention import class_weights, flip_maps
from fercore.viz.candidates import candidates
from fercore.viz.claims import Claim, claims_markdown
from fercore.viz.curves import learning_curves, shares
from fercore.viz.diagram import pipeline
from fercore.viz.distributions import agreement, class_counts, distribution_bars, face_lab
from fercore.viz.embedding import embedding, embedding_plotly
from fercore.viz.explore import explore
from fercore.viz.faces import attention_strip, contact_sheet, opinions
from fercore.viz.gates import face_gate, gate_maps
from fercore.viz.landmark_strip import landmarks
from fercore.viz.mixing import class_matrices, closeness, mixing, weights_by_group
from fercore.viz.quality import class_recall, confusion, reliability, verification
from fercore.viz.relations import relation_maps
from fercore.viz.scarcity import label_curve
from fercore.viz.show import show
from fercore.viz.sweep import sweeps
from fercore.viz.tables import by_heart_markdown, results_figure, results_markdown, summarise

__all__ = [
    "Claim",
    "agreement",
    "attention_strip",
    "by_heart_markdown",
    "candidates",
    "claims_markdown",
    "class_counts",
    "class_matrices",
    "class_recall",
    "class_weights",
    "closeness",
    "confusion",
    "contact_sheet",
    "distribution_bars",
    "embedding",
    "embedding_plotly",
    "explore",
    "face_gate",
    "face_lab",
    "flip_maps",
    "gate_maps",
    "label_curve",
    "landmarks",
    "learning_curves",
    "mixing",
    "opinions",
    "pipeline",
    "relation_maps",
    "reliability",
    "results_figure",
    "results_markdown",
    "shares",
    "show",
    "summarise",
    "sweeps",
    "verification",
    "weights_by_group",
]
