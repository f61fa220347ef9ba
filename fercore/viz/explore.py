"""Sliders for any function that draws a figure, with a still picture where there is nobody to move them."""

from __future__ import annotations

import base64
import html
import inspect
import os
from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from fercore.viz.show import encode, show

STATIC = "FERCORE_STATIC"
"""With this environment variable set, ``explore`` shows its still twin: for papermill, GitHub and the HTML book."""


def explore(draw: Callable[..., Figure], *, alt: str, **controls: Any) -> None:
    """Widgets for the arguments of ``draw``; each starts at the argument's own default, which the still twin shows too.

    draw: pure function -> Figure, every explored argument with a default. alt: what the figure shows.
    controls: as in ipywidgets.interact: (low, high, step) a slider, a list a menu, a bool a tick box, or a widget.
    Raises ValueError for a control that ``draw`` has no argument with a default for.
    """
    start = _defaults(draw, controls)
    first = draw()
    if os.environ.get(STATIC):
        from IPython.display import Markdown, display

        show(first, alt=alt)
        told = ", ".join(f"{name.replace('_', ' ')} = {value}" for name, value in start.items())
        display(
            Markdown(f"*A still picture at {told}. Run this cell in Jupyter, Colab or Binder to move the sliders.*")
        )
        return
    from IPython.display import display

    display(panel(draw, first, start, alt, controls))


def panel(draw: Callable[..., Figure], first: Figure, start: dict, alt: str, controls: dict) -> Any:
    """The widget that ``explore`` displays: controls above, the figure below."""
    import ipywidgets as widgets

    picture = widgets.HTML(_picture(first, alt))
    chosen = {name: _widget(name, control, start[name]) for name, control in controls.items()}

    def redraw(_change: Any) -> None:
        values = {name: widget.value for name, widget in chosen.items()}
        try:
            picture.value = _picture(draw(**values), alt)
        except Exception as error:  # shown in the panel: a widget's callback has no cell to raise in
            picture.value = f"<p role='alert'><b>{type(error).__name__}</b>: {html.escape(str(error))}</p>"

    for widget in chosen.values():
        widget.observe(redraw, names="value")
    desk = widgets.HBox(list(chosen.values()), layout=widgets.Layout(flex_flow="row wrap"))
    return widgets.VBox([desk, picture])


def _defaults(draw: Callable[..., Figure], controls: dict) -> dict[str, Any]:
    known = {
        name: parameter.default
        for name, parameter in inspect.signature(draw).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    for name in controls:
        if name not in known:
            raise ValueError(
                f"{draw.__name__} has no argument {name!r} with a default; it has {', '.join(known) or 'none'}"
            )
    return {name: known[name] for name in controls}


def _widget(name: str, control: Any, value: Any) -> Any:
    import ipywidgets as widgets

    widget = control if isinstance(control, widgets.Widget) else widgets.interactive.widget_from_abbrev(control, value)
    if widget is None:
        raise ValueError(f"{name}={control!r} is no control: give (low, high, step), a list, a bool or a widget")
    widget.value = value
    widget.description = name.replace("_", " ")
    widget.style.description_width = "90px"
    if "continuous_update" in widget.traits():
        widget.continuous_update = False
    return widget


def _picture(figure: Figure, alt: str) -> str:
    kind, content = encode(figure)
    content = base64.b64encode(content).decode("ascii")
    return f"<img alt='{html.escape(alt, quote=True)}' src='data:{kind};base64,{content}'>"
