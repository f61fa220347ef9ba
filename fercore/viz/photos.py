"""A photograph with what a model says about its faces."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from fercore.viz.faces import Pictures, opinions
from fercore.viz.style import MUTED, bare, new_figure, styled


@styled
def draw_photo(photo: np.ndarray, prediction: dict, crops: Pictures | None = None, title: str | None = None) -> Figure:
    """One entry of ``predict_photos(...)["photos"]`` drawn: each face framed, its probabilities as bars.

    photo: the (H, W, 3) uint8 photograph that the entry is about. crops: what the model was shown, one a face.
    Without a face the photograph is drawn with the entry's message.
    """
    faces = prediction["faces"]
    if faces:
        boxes, probabilities = [f["box"] for f in faces], [f["probabilities"] for f in faces]
        return opinions(photo, boxes, probabilities, crops, title)
    height, width = photo.shape[:2]
    figure, (axes,) = new_figure(5, min(8, max(2, 5 * height / width)) + 0.6)
    bare(axes).imshow(photo)
    axes.text(
        0.5, -0.02, prediction["message"], transform=axes.transAxes, ha="center", va="top", color=MUTED, wrap=True
    )
    if title:
        axes.set_title(title)
    return figure
