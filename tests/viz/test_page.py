"""show and explore: what reaches the page, and that the sliders work."""

import base64
import io
import sys
import types

import ipywidgets
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from matplotlib.figure import Figure
from PIL import Image

from fercore import viz
from fercore.viz.explore import STATIC, panel
from fercore.viz.show import bundle


def line(height: float = 1.0) -> Figure:
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, height])
    return figure


def photograph(side: float = 5.0) -> Figure:
    figure = Figure(figsize=(side, side))
    figure.subplots().imshow(np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8))
    return figure


def plotly_figure():
    return viz.embedding_plotly(np.eye(2), [0, 1], ("surprise", "fear"), ["first", "second"])


@pytest.fixture(autouse=True)
def shell(monkeypatch):
    monkeypatch.delenv(STATIC, raising=False)
    return InteractiveShell.instance()


def test_a_figure_is_a_png_with_its_alternative_text():
    data, metadata = bundle(line(), alt="A rising line.")
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert picture.size == (240, 120)
    assert data["text/plain"] == "A rising line."
    assert metadata == {"image/png": {"alt": "A rising line."}}


def test_photographs_become_small_jpegs():
    data, _ = bundle(photograph(), alt="Noise.")
    assert "image/jpeg" in data


def test_the_same_figure_gives_the_same_bytes():
    assert bundle(line(), alt="x") == bundle(line(), alt="x")


def test_a_figure_without_alternative_text_is_refused():
    with pytest.raises(ValueError, match="alt="):
        bundle(line(), alt=" ")


def test_plotly_comes_with_its_twin_in_one_bundle():
    data, _ = bundle(plotly_figure(), static=line(), alt="Two points.")
    assert set(data) == {"text/plain", "image/png", "application/vnd.plotly.v1+json"}
    traces = data["application/vnd.plotly.v1+json"]["data"]
    assert [(trace["name"], trace["x"], trace["text"]) for trace in traces] == [
        ("surprise", [1.0], ["first"]),
        ("fear", [0.0], ["second"]),
    ]


def test_plotly_without_twin_is_refused():
    with pytest.raises(ValueError, match="static="):
        bundle(plotly_figure(), alt="Two points.")


def test_show_displays_one_bundle():
    with capture_output() as captured:
        viz.show(line(), alt="A rising line.")
    assert [set(output.data) for output in captured.outputs] == [{"text/plain", "image/png"}]


def test_on_colab_plotly_shows_itself(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    figure = plotly_figure()
    shown = []
    monkeypatch.setattr(type(figure), "show", lambda self: shown.append(self))
    with capture_output() as captured:
        viz.show(figure, static=line(), alt="Two points.")
    assert shown == [figure]
    assert captured.outputs == []


def draw(height=2.0, name="a", dotted=False):
    if name == "bad":
        raise ValueError("no <such> name")
    return line(height + len(name) + dotted)


def test_sliders_start_at_the_defaults_and_redraw():
    box = panel(
        draw, draw(), {"height": 2.0, "name": "a"}, "A line.", {"height": (0.0, 5.0, 0.5), "name": ["a", "bad"]}
    )
    (slider, menu), picture = box.children[0].children, box.children[1]
    assert isinstance(slider, ipywidgets.FloatSlider)
    assert (slider.value, slider.continuous_update, menu.value) == (2.0, False, "a")
    before = picture.value
    assert "alt='A line.'" in before
    slider.value = 4.5
    assert picture.value != before
    menu.value = "bad"
    assert "no &lt;such&gt; name" in picture.value
    menu.value = "a"
    slider.value = 2.0
    assert picture.value == before


def test_explore_shows_widgets_where_they_live():
    with capture_output() as captured:
        viz.explore(draw, alt="A line.", dotted=True)
    assert "application/vnd.jupyter.widget-view+json" in captured.outputs[0].data


def test_explore_shows_its_still_twin_where_they_do_not(monkeypatch):
    monkeypatch.setenv(STATIC, "1")
    with capture_output() as captured:
        viz.explore(draw, alt="A line.", height=(0.0, 5.0, 0.5), dotted=True)
    picture, told = captured.outputs
    assert picture.data == bundle(draw(), alt="A line.")[0]
    assert "height = 2.0, dotted = False" in told.data["text/markdown"]


def test_explore_fails_in_its_cell_not_in_a_callback():
    with pytest.raises(ValueError, match="no <such> name"):
        viz.explore(lambda name="bad": draw(name=name), alt="A line.", name=["bad"])


@pytest.mark.parametrize(
    ("controls", "message"), [({"width": (0, 1)}, "no argument 'width'"), ({"height": object()}, "no control")]
)
def test_explore_refuses_controls_that_do_not_fit(controls, message):
    with pytest.raises(ValueError, match=message):
        viz.explore(draw, alt="A line.", **controls)
