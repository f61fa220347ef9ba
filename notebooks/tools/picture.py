"""The README's one picture: what a student has after the two commands."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import skimage
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from fercore import photos, renderer
from fercore.datasets import blendfer, read_image
from fercore.emotions import NAMES
from fercore.training.checkpoints import load_method
from fercore.viz.distributions import draw_bars, draw_votes
from fercore.viz.style import CONTRAST, bare, styled

FILE = Path("notebooks") / "images" / "overview.webp"
ROWS, COLUMNS = 6, 6


def mosaic(images: torch.Tensor, columns: int, gap: int = 2) -> np.ndarray:
    """(N, 3, h, w) uint8 -> one white-gapped picture, (H, W, 3)."""
    n, _, h, w = images.shape
    page = np.full((-(-n // columns) * (h + gap) - gap, columns * (w + gap) - gap, 3), 255, np.uint8)
    for number, image in enumerate(images.numpy()):
        y, x = (number // columns) * (h + gap), (number % columns) * (w + gap)
        page[y : y + h, x : x + w] = image.transpose(1, 2, 0)
    return page


@styled
def overview(run: Path) -> Figure:
    """Faces at the left; at the right one face with its truth and votes, above a photograph with the model's opinion.

    run: the folder of lesson 01's trained model; FileNotFoundError if it was not trained yet.
    """
    model = load_method(run)
    test = blendfer.open(classes=8, split="test")
    random = np.random.default_rng(4)
    shown = np.concatenate(
        [random.choice(np.flatnonzero(test.label.numpy() == c), ROWS, replace=False) for c in range(COLUMNS)]
    )
    figure = Figure(figsize=(12, 5.6), layout="constrained")
    grid = figure.add_gridspec(2, 4, width_ratios=[2.25, 0.95, 1.05, 0.95])

    faces = bare(figure.add_subplot(grid[:, 0]))
    faces.imshow(mosaic(test.images[shown.reshape(COLUMNS, ROWS).T.ravel()], COLUMNS))
    faces.set_title("BlendFER: rendered faces whose truth is known")

    blend = renderer.render({"surprise": 0.55, "fear": 0.45}, intensity=0.8, identity=3, size=192)
    face = bare(figure.add_subplot(grid[0, 1]))
    face.imshow(blend.image)
    face.set_title("a face")
    truth = figure.add_subplot(grid[0, 2])
    draw_bars(truth, blend.distribution, NAMES)
    truth.set_title("its true distribution")
    votes = figure.add_subplot(grid[0, 3])
    draw_votes(votes, random.multinomial(10, blend.distribution), NAMES)
    votes.set_title("ten people's votes")

    path = Path(skimage.__file__).parent / "data" / "astronaut.png"  # Eileen Collins, in the public domain
    photo = read_image(path)
    opinion = photos.predict_photos(model, [path])["photos"][0]["faces"][0]
    portrait = bare(figure.add_subplot(grid[1, 1]))
    x, y, w, h = opinion["box"]
    portrait.imshow(photo)
    portrait.add_patch(Rectangle((x, y), w, h, fill=False, edgecolor=CONTRAST, linewidth=2))
    portrait.set_title("a real photograph")
    bars = figure.add_subplot(grid[1, 2])
    names = list(opinion["probabilities"])
    draw_bars(bars, np.array([opinion["probabilities"][name] for name in names]), names)
    bars.set_title("what your model says")
    return figure


def write(root: Path, run: Path) -> Path:
    """Draw the picture into notebooks/images and return its path."""
    drawn = io.BytesIO()
    overview(run).savefig(drawn, format="png", dpi=110)
    file = root / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.open(drawn).convert("RGB").save(file, "WEBP", quality=88, method=6)
    return file
