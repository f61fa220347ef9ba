"""Figures say what their arrays say: read back from the artists, not from pixels."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from fercore import metrics, viz
from fercore.emotions import COLOURS, class_names
from fercore.viz.arrays import to_pictures
from fercore.viz.show import bundle

NAMES = class_names(7)
PHOTO = np.zeros((40, 30, 3), np.uint8)
TRUTH = np.array([0.2, 0.03, 0.01, 0.62, 0.02, 0.02, 0.1])
VOTES = np.array([3, 0, 0, 6, 0, 0, 1])


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts if text.get_text()]


def faces(n: int) -> torch.Tensor:
    return torch.randint(256, (n, 3, 16, 16), generator=torch.Generator().manual_seed(n)).to(torch.uint8)


def history(epochs: int) -> list[dict]:
    return [
        {"losses": {"cross_entropy": 2.0 / (e + 1), "pull": 0.1}, "val": {"overall": 0.1 * e, "mean": 0.08 * e}}
        for e in range(epochs)
    ]


def runs() -> pd.DataFrame:
    rows = [
        {
            "method": method,
            "variant": None,
            "condition": condition,
            "preset": "quick",
            "seed": seed,
            "overall": 0.6 + 0.1 * seed,
        }
        for method in ("baseline", "leaf")
        for condition in ("clean", "noise:0.3")
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows).assign(variant=None, preset="quick", mean=lambda table: table["overall"] - 0.2)


def sweep() -> pd.DataFrame:
    table = pd.DataFrame({"variant": ["", "lam=0.5", "lam=8", "alpha=0.3", "alpha=0.3,lam=8"], "seed": 0})
    return table.assign(overall=[0.5, 0.4, 0.3, 0.6, 0.9], mean=0.4)


def scarce() -> pd.DataFrame:
    return pd.concat([runs().assign(condition=f"labels:{number}") for number in (400, 100)])


FIGURES = {
    "agreement": lambda: viz.agreement(np.array([3, 5, 6, 10, 10])),
    "attention_strip": lambda: viz.attention_strip(faces(2), torch.rand(2, 4, 4), ["a", "b"], "title"),
    "candidates": lambda: viz.candidates(faces(1)[0], TRUTH, TRUTH > 0.05, TRUTH[::-1].copy(), NAMES, 0.9, "title"),
    "class_counts": lambda: viz.class_counts(torch.arange(7), NAMES),
    "class_recall": lambda: viz.class_recall(TRUTH, VOTES, NAMES, 0.7, 0.6),
    "class_weights": lambda: viz.class_weights(torch.arange(1, 8), torch.rand(7), NAMES),
    "class_matrices": lambda: viz.class_matrices({"a": np.eye(7), "b": np.eye(7)}, NAMES, np.arange(7) > 3, "title"),
    "closeness": lambda: viz.closeness({"all": {"a": 0.2, "b": 0.1}, "none": {"a": np.nan, "b": np.nan}}),
    "flip_maps": lambda: viz.flip_maps(
        faces(2), torch.randn(7, 4, 4), torch.randn(7, 4, 4), NAMES, ["a", "b"], "title"
    ),
    "confusion": lambda: viz.confusion(np.eye(7, dtype=int), NAMES),
    "contact_sheet": lambda: viz.contact_sheet(faces(5), captions=list("abcde"), columns=3, rows=["x", "y"], title="t"),
    "distribution_bars": lambda: viz.distribution_bars(TRUTH, NAMES, VOTES),
    "embedding": lambda: viz.embedding(np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 6, NAMES),
    "face_gate": lambda: viz.face_gate(faces(1)[0], [0.3, 0, 0.7], np.full((7, 3), 1 / 3), NAMES, 2, "title"),
    "face_lab": lambda: viz.face_lab(faces(1)[0], TRUTH, VOTES, NAMES),
    "gate_maps": lambda: viz.gate_maps({"a": torch.rand(7, 4), "b": torch.full((7, 2), torch.nan)}, NAMES, "title"),
    "label_curve": lambda: viz.label_curve(viz.summarise(scarce())),
    "label_curve_of_nothing": lambda: viz.label_curve(viz.summarise(runs())),
    "learning_curves": lambda: viz.learning_curves(history(4)),
    "learning_curves_one_epoch": lambda: viz.learning_curves(history(1)),
    "mixing": lambda: viz.mixing(
        faces(1)[0], {"a": torch.eye(7)[:3], "b": torch.eye(7)[3:6]}, TRUTH, NAMES, 3, ["x", "y", "z"], "title"
    ),
    "opinions": lambda: viz.opinions(PHOTO, [(1, 2, 9, 9)], [dict(zip(NAMES, TRUTH, strict=True))]),
    "opinions_without_faces": lambda: viz.opinions(PHOTO, [], []),
    "pipeline": lambda: viz.pipeline(
        [{"name": "a", "image": faces(1)[0]}, {"name": "b", "text": "c\nd", "strong": True}]
    ),
    "relation_maps": lambda: viz.relation_maps({"a": np.eye(6), "b": np.ones((6, 6))}, np.arange(6) // 2, NAMES, "t"),
    "reliability": lambda: viz.reliability(torch.rand(50), torch.arange(50) % 2 == 0),
    "results_figure": lambda: viz.results_figure(viz.summarise(runs())),
    "shares": lambda: viz.shares([0, 1, 2], {"a": {"x": [0.1, np.nan, 1]}, "b": {"y": torch.rand(3)}}, "epoch", 1, "t"),
    "sweeps": lambda: viz.sweeps(sweep(), {"lam": 2.0, "alpha": 0.1}, 0.4),
    "verification": lambda: viz.verification([0.0, 0.1, 0.2, 0.7], [0.1, 0.8, 0.1, 0.0], 0.9),
    "weights_by_group": lambda: viz.weights_by_group(
        torch.rand(50), {"a": torch.arange(50) < 20, "none": torch.zeros(50, dtype=torch.bool)}, "title"
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_draws_and_leaves_the_surroundings_alone(name):
    before = dict(mpl.rcParams)
    data, _ = bundle(FIGURES[name](), alt="a figure")
    assert {"image/png", "image/jpeg"} & set(data)
    assert dict(mpl.rcParams) == before


def test_confusion_writes_row_percentages():
    counts = np.zeros((7, 7), int)
    counts[0, :2] = 3, 1
    counts[6, 6] = 5
    assert texts(viz.confusion(counts, NAMES)) == ["75", "25", "100"]


def test_confusion_marks_a_class_without_faces():
    labels = viz.confusion(np.diag([1, 2, 3, 4, 5, 6, 0]), NAMES).axes[0].get_yticklabels()
    assert labels[6].get_text() == "neutral  (0)"


def test_reliability_gives_the_calibration_error_of_torchmetrics():
    random = torch.Generator().manual_seed(0)
    probabilities = torch.rand(400, 7, generator=random).mul(3).softmax(1)
    label = torch.randint(7, (400,), generator=random)
    confidence, answer = probabilities.max(1)
    expected = metrics.calibration_error(probabilities, label)
    figure = viz.reliability(confidence, answer == label, bins=metrics.CALIBRATION_BINS)
    assert f"ECE {100 * expected:.1f} %" in texts(figure)


def test_reliability_of_a_perfectly_calibrated_model_is_zero():
    figure = viz.reliability([0.5, 0.5, 1.0], [True, False, True])
    assert "ECE 0.0 %" in texts(figure)


def test_class_recall_sorts_by_frequency_and_names_both_accuracies():
    figure = viz.class_recall(TRUTH, [10, 70, 20, 30, 40, 50, 60], NAMES, 0.71, 0.64)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][:3] == ["fear", "neutral", "anger"]
    assert " overall 71 % " in texts(figure)
    assert " mean 64 % " in texts(figure)


def test_class_recall_survives_a_class_that_is_not_there():
    viz.class_recall([np.nan, *TRUTH[1:]], VOTES, NAMES, 0.7, 0.6)


def test_votes_are_one_marker_each():
    left, right = viz.distribution_bars(TRUTH, NAMES, VOTES).axes
    drawn = [len(line.get_xdata()) for line in right.lines if line.get_marker() not in ("", "None", None)]
    assert drawn == VOTES.tolist()
    assert [bar.get_width() for bar in left.patches] == pytest.approx(TRUTH.tolist())


def test_emotions_keep_their_colour():
    bars = viz.class_counts(VOTES, NAMES).axes[0].patches
    assert [mpl.colors.to_hex(bar.get_facecolor()).upper() for bar in bars] == [COLOURS[name] for name in NAMES]


def test_learning_curves_name_every_term():
    drawn = texts(viz.learning_curves(history(4)))
    assert drawn == ["pull 0.10", "cross entropy 0.50", "mean 24 %", "overall 30 %"]


def test_learning_curves_without_evaluation():
    assert len(viz.learning_curves([{"losses": {"cross_entropy": 1.0}}]).axes) == 1


def test_contact_sheet_refuses_captions_that_do_not_match():
    with pytest.raises(ValueError, match="2 captions for 3 faces"):
        viz.contact_sheet(faces(3), captions=["a", "b"])
    with pytest.raises(ValueError, match="1 row names for 2 rows"):
        viz.contact_sheet(faces(3), columns=2, rows=["a"])


@pytest.mark.parametrize(
    "images",
    [
        torch.full((2, 3, 4, 4), 128, dtype=torch.uint8),
        torch.full((2, 3, 4, 4), 128 / 255),
        np.full((2, 4, 4, 3), 128, np.uint8),
        [np.full((4, 4, 3), 128, np.uint8)] * 2,
        [torch.full((3, 4, 4), 128, dtype=torch.uint8)] * 2,
    ],
    ids=["bytes", "floats", "channels last", "list of arrays", "list of tensors"],
)
def test_pictures_come_in_many_forms(images):
    pictures = to_pictures(images)
    assert pictures.shape == (2, 4, 4, 3)
    assert pictures.dtype == np.uint8
    assert (pictures == 128).all()


def test_pictures_refuse_what_is_none():
    with pytest.raises(ValueError, match="pictures are"):
        to_pictures(np.zeros((4, 5)))


def test_summary_is_mean_and_students_interval():
    row = viz.summarise(runs()).iloc[0]
    assert (row["seeds"], row["overall"]) == (2, pytest.approx(0.65))
    assert row["overall_pm"] == pytest.approx(12.7062 * 0.05, rel=1e-4)  # t(0.975, 1) = 12.7062, s / sqrt(2) = 0.05


def test_summary_counts_a_seed_once_and_tells_a_lone_seed():
    table = runs()
    again = table[table["seed"] == 1].assign(overall=0.9)
    row = viz.summarise(pd.concat([table, again])).iloc[0]
    assert row["seeds"] == 2
    assert row["overall"] == pytest.approx(0.75)
    assert np.isnan(viz.summarise(table[table["seed"] == 0]).iloc[0]["overall_pm"])


def test_results_table_leaves_gaps_where_nothing_was_run():
    table = runs()
    table = table[(table["method"] != "leaf") | (table["condition"] != "clean")]
    lines = viz.results_markdown(viz.summarise(table)).splitlines()
    assert lines[0] == "| method | clean | noise:0.3 |"
    assert lines[3].startswith("| leaf |  | 65.0 ± ")


def test_a_sweep_takes_the_runs_that_change_one_setting_only():
    from fercore.viz.sweep import swept

    assert swept(sweep(), "lam", 2.0)[["value", "overall"]].to_numpy().tolist() == [[0.5, 0.4], [2.0, 0.5], [8.0, 0.3]]
    assert swept(sweep(), "alpha", 0.1)["overall"].tolist() == [0.5, 0.6]


def test_mixing_draws_each_distribution_with_the_truth_and_their_divergence():
    drawn = viz.mixing(faces(1)[0], {"label": TRUTH, "class": np.eye(7)[3]}, TRUTH, NAMES, 3)
    _, left, right = drawn.axes
    assert [bar.get_width() for bar in left.patches] == pytest.approx(TRUTH.tolist())
    assert [line.get_xdata()[0] for line in right.lines] == pytest.approx(TRUTH.tolist())
    far = metrics.js_divergence(torch.eye(7)[3:4].double(), torch.tensor(TRUTH[None]))
    assert texts(drawn) == ["black marks: the truth", "JS 0.00", f"JS {far.item():.2f}"]
    weights = [text.get_weight() for text in left.get_yticklabels()]
    assert [n for n, weight in enumerate(weights) if weight == "bold"] == [3]


def test_class_matrices_write_percent_and_grey_the_rows_that_stand_in():
    left, right = viz.class_matrices({"a": np.eye(7) * 0.7, "b": np.eye(7)}, NAMES, np.arange(7) == 2).axes
    assert [text.get_text() for text in left.texts] == ["70"] * 7
    blue, grey = left.images
    assert np.isnan(blue.get_array().filled(np.nan)[2]).all()
    assert np.isnan(grey.get_array().filled(np.nan)).any(1).sum() == 6
    assert len(right.images) == 1


def test_weights_by_group_tells_size_and_mean_and_leaves_out_empty_groups():
    groups = {"all": np.ones(4, bool), "none": np.zeros(4, bool), "two": np.array([True, True, False, False])}
    legend = viz.weights_by_group([0.2, 0.4, 0.6, 0.8], groups).legends[0]
    assert [text.get_text() for text in legend.get_texts()] == [
        "all: mean 0.50 (4 faces)",
        "two: mean 0.30 (2 faces)",
    ]


def test_closeness_marks_the_nearest_of_each_group():
    left, right = viz.closeness({"g": {"a": 0.2, "b": 0.1}, "h": {"a": 0.05, "b": np.nan}}).axes
    blue = [mpl.colors.to_hex(bar.get_facecolor()) == "#0072b2" for axes in (left, right) for bar in axes.patches]
    assert blue == [False, True, True, False]
    assert [text.get_text() for text in left.texts] == ["0.200", "0.100"]


def test_a_face_gate_names_the_dropped_experts_and_frames_the_row_of_the_face():
    _, bars, heat = viz.face_gate(faces(1)[0], [0.25, 0, 0.75], np.full((7, 3), 1 / 3), NAMES, 5).axes
    assert [text.get_text() for text in bars.texts] == ["25 %", "dropped", "75 %"]
    assert {text.get_text() for text in heat.texts} == {"33"}
    assert heat.patches[0].get_y() == 4.5


def test_by_heart_takes_means_over_seeds_and_leaves_out_variants():
    row = {"condition": "noise:0.3", "preset": "quick", "commit": "c"}
    table = pd.DataFrame(
        [
            {**row, "method": method, "variant": variant, "seed": seed, "name": name, "value": value}
            for method, variant, seed, name, value in (
                ("baseline", "", 0, "flipped/label", 0.2),
                ("baseline", "", 1, "flipped/label", 0.4),
                ("baseline", "", 0, "flipped/truth", 0.5),
                ("baseline", "weights=None", 0, "flipped/truth", 0.9),
                ("baseline", "", 0, "js/labels", 0.9),
                ("dmue", "", 0, "flipped/label", 0.9),
            )
        ]
    )
    assert viz.by_heart_markdown(table, ["baseline", "scn"]).splitlines()[2:] == [
        "| noise:0.3 | baseline | 30% | 50% | 2 |"
    ]


def test_gate_maps_share_one_scale_and_leave_out_what_is_not_known():
    left, right = viz.gate_maps({"a": np.full((7, 2), 0.5), "b": np.full((7, 4), np.nan)}, NAMES).axes
    assert [image.get_clim() for axes in (left, right) for image in axes.images] == [(0, 1)] * 2
    assert (len(left.texts), len(right.texts)) == (14, 0)


def test_candidates_are_in_order_with_their_sums_and_the_positive_ones_bold():
    p = np.array([0.1, 0.5, 0.3, 0.1, 0, 0, 0])
    _, axes = viz.candidates(faces(1)[0], p, p >= 0.3, TRUTH, NAMES, 0.75).axes
    ticks = axes.get_yticklabels()
    assert [tick.get_text() for tick in ticks][:4] == ["fear", "disgust", "surprise", "happiness"]
    assert [tick.get_weight() for tick in ticks][:3] == ["bold", "bold", "normal"]
    assert [text.get_text() for text in axes.texts][:4] == ["0.50", "0.80", "0.90", "1.00"]
    assert axes.get_title(loc="left") == "T = 0.75: 2 of 7 positive"


def test_a_label_curve_has_a_line_a_method_in_ascending_order_of_labels():
    left, right = viz.label_curve(viz.summarise(scarce())).axes
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["100", "400"]
    for axes, value in ((left, 65), (right, 45)):
        drawn = [container.lines[0].get_ydata() for container in axes.containers]
        assert np.allclose(drawn, value)
        assert np.shape(drawn) == (2, 2)


def test_shares_keep_the_look_of_a_line_in_every_panel():
    figure = viz.shares([0, 1], {"a": {"x": [0, 1], "y": [1, 0]}, "b": {"y": [0.5, 0.5]}}, "epoch")
    left, right = figure.axes
    assert left.lines[1].get_color() == right.lines[0].get_color() != left.lines[0].get_color()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["x", "y"]


def test_an_embedding_names_the_emotions_at_their_place_or_at_the_side():
    points, label = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 6
    assert texts(viz.embedding(points, label, NAMES)) == list(NAMES[:6])
    drawn = viz.embedding(points, label, NAMES, legend=True)
    assert texts(drawn) == []
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == list(NAMES)
