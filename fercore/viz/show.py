"""Put a figure on the page so that it is seen everywhere: JupyterLab, GitHub, an HTML export, a screen reader."""

from __future__ import annotations

import base64
import io
import json
import sys
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

LARGEST_PNG = 90_000


def encode(figure: Figure) -> tuple[str, bytes]:
    """(MIME type, bytes) of a figure: a palette PNG, or a JPEG where photographs would make the PNG large."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=120, facecolor="white", metadata={"Software": None})
    picture = Image.open(drawn).convert("RGB")
    as_png = io.BytesIO()
    picture.save(as_png, "PNG", optimize=True)
    if as_png.tell() <= LARGEST_PNG:
        return "image/png", as_png.getvalue()
    as_jpeg = io.BytesIO()
    picture.save(as_jpeg, "JPEG", quality=75, subsampling=0, optimize=True)
    return ("image/jpeg", as_jpeg.getvalue()) if as_jpeg.tell() < as_png.tell() else ("image/png", as_png.getvalue())


def bundle(figure: Any, static: Figure | None = None, alt: str = "") -> tuple[dict, dict]:
    """(data, metadata) of one display: the plotly figure if it is one, a picture, and the alternative text.

    Raises ValueError without ``alt`` (a picture that cannot be seen must be told), or for a plotly figure without its
    ``static`` twin.
    """
    if not alt.strip():
        raise ValueError("give alt=: one sentence that says what the figure shows, for those who cannot see it")
    data: dict[str, Any] = {"text/plain": alt}
    picture = figure
    if not isinstance(figure, Figure):
        if static is None:
            raise ValueError("give static=: the matplotlib twin of the plotly figure, for GitHub and for print")
        data["application/vnd.plotly.v1+json"] = json.loads(figure.to_json())
        picture = static
    kind, content = encode(picture)
    data[kind] = base64.b64encode(content).decode("ascii")
    return data, {kind: {"alt": alt}}


def show(figure: Any, *, alt: str, static: Figure | None = None) -> None:
    """Display a matplotlib or plotly figure with its alternative text; see ``bundle`` for what is raised.

    Colab does not read plotly's MIME type, so there the plotly figure shows itself.
    """
    from IPython.display import display

    data, metadata = bundle(figure, static, alt)
    if "google.colab" in sys.modules and "application/vnd.plotly.v1+json" in data:
        figure.show()
        return
    display(data, metadata=metadata, raw=True)
