"""``python -m fercore COMMAND ...``: train, evaluate, predict, bench, run, doctor, data.

Each command prints its result as one JSON object on the last line of stdout; progress and talk go to stderr. A wrong
request ends with one sentence and exit status 2, Ctrl-C with 130, SIGTERM with 143. FERCORE_DEBUG=1 shows where an
error came from. What is heavy to import is imported inside the commands, so that ``--help`` is quick.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tyro

Preset = Literal["fast", "quick", "semi", "paper"]
NO_WEIGHTS = "none"
Reading = Annotated[Literal["works", "printed"], tyro.conf.arg(name="as")]
Changes = Annotated[tuple[str, ...], tyro.conf.arg(name="set")]
MAY_BE_NONE = ("--weights", "--variant")


def train(
    method: tyro.conf.Positional[str],
    condition: str = "clean",
    preset: Preset = "quick",
    recipe: str = "",
    seed: int = 0,
    data: Path | None = None,
    out: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    classes: Literal[7, 8] | None = None,
    backbone: str | None = None,
    weights: str = "",
    size: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    changes: Changes = (),
    amp: Literal["auto", "no"] | None = None,
    compile: bool = False,
    reading: Reading = "works",
    settings: tuple[str, ...] = (),
    variant: str = "",
    results: Path | None = None,
) -> dict[str, Any]:
    """Train a method and test it. Prints overall, mean, recall (by emotion), ece, seconds, n.

    :param method: its name, e.g. baseline.
    :param condition: what is done to the training set: clean, noise:0.3, imbalance:100, labels:100, annotators:A+B or
        annotators:NAME (the dataset's column label_NAME), joined by '+'.
    :param preset: fast (seconds), quick (a minute on a laptop), semi (semi-supervised methods alike), paper (a GPU).
    :param recipe: how any method is trained: fast, quick, full, paper, a paper's own (rac_rsl, dmue, ada_df, la_net,
        leaf) or MINE.toml; the preset's if left out.
    :param data: a folder in fercore's format; BlendFER if left out.
    :param out: folder of the run's files; runs/METHOD-CONDITION-PRESET-SEED if left out.
    :param resume: go on from the state in that folder.
    :param overwrite: begin anew whatever that folder holds; a finished run there is else kept until the new one is.
    :param classes: 7 leaves out contempt; by default 8 where the dataset has faces labelled so (BlendFER: 7).
    :param weights: where the backbone starts: face, imagenet, none, or a file.
    :param size: side of the image that the backbone sees, in pixels; by default the faces' own, at most the preset's.
    :param changes: fields of the recipe, e.g. --set lr=1e-3 warmup=0.1 average=0.998 erase=0.4.
    :param reading: printed: with the paper's own settings where ours differ, as those failed here.
    :param settings: the method's own, e.g. --settings lam=1 alpha=0.
    :param variant: what the results call your changes; by default they list them.
    :param results: also add a row to this CSV file.
    """
    from fercore.runs.environment import is_first_process
    from fercore.runs.experiment import Experiment, record, run_experiment
    from fercore.runs.results import check_results

    own = _settings(preset, backbone, weights, size, settings)
    training = _given(epochs=epochs, batch_size=batch_size, lr=lr, amp=amp, compile=compile or None)
    training |= _pairs("--set", changes)
    experiment = Experiment(
        method, condition, preset, seed, classes, data, own, training, variant, recipe, reading == "printed"
    )
    if out is not None and not out.strip():
        raise ValueError("--out '' names no folder; leave it out for runs/METHOD-CONDITION-PRESET-SEED")
    folder = experiment.folder if out is None else Path(out)
    if results is not None and is_first_process():
        check_results(results)
    result = run_experiment(experiment, folder, resume, overwrite=overwrite)
    if results is not None and is_first_process():
        record(result, results)
    return result


def evaluate(
    checkpoint: tyro.conf.Positional[Path],
    data: Path | None = None,
    split: Literal["train", "val", "test"] = "test",
    also: tuple[Path, ...] = (),
) -> dict[str, Any]:
    """Measure a trained method on a dataset or on a folder of photographs.

    :param checkpoint: a run's folder, or its model.safetensors.
    :param data: a folder in fercore's format, or one of photos with labels.csv (path,label); BlendFER if left out.
    :param split: which part of a dataset.
    :param also: further checkpoints, e.g. of other seeds: the mean of all probabilities is measured.
    """
    import fercore

    figures = fercore.evaluate(fercore.load(checkpoint, *also), data, split)
    if figures.get("warning"):
        print(f"warning: the model {figures['warning']}", file=sys.stderr)
    return figures


def predict(
    checkpoint: tyro.conf.Positional[Path],
    photo: tyro.conf.Positional[tuple[Path, ...]],
    landmarks: bool = False,
    out: Path = Path("landmarks"),
    also: tuple[Path, ...] = (),
) -> dict[str, Any]:
    """Find the faces in photographs and say what each expresses.

    :param checkpoint: a run's folder, or its model.safetensors.
    :param photo: image files.
    :param landmarks: also give each face's 68 landmarks and draw them on copies of the photographs (la_net, landmarks).
    :param out: folder of these copies.
    :param also: further checkpoints, e.g. of other seeds: all answer together, with the mean of their probabilities.
    """
    import fercore
    from fercore.photos import predict_photos

    if not photo:
        raise ValueError("give at least one photo to predict")
    method = fercore.load(checkpoint, *also)
    return predict_photos(method, photo, landmarks=out if landmarks else None)


def bench(
    method: tyro.conf.Positional[tuple[str, ...]],
    preset: Preset = "quick",
    recipe: str = "",
    data: Path | None = None,
    rounds: int = 20,
    classes: Literal[7, 8] | None = None,
    backbone: str | None = None,
    weights: str = NO_WEIGHTS,
    size: int | None = None,
    batch_size: int | None = None,
    amp: Literal["auto", "no"] | None = None,
) -> dict[str, Any]:
    """Time methods against plain cross-entropy, in turn. Prints step_ratio, epoch_ratio, peak_mb, images_per_s.

    :param method: names of methods.
    :param rounds: timed steps of each.
    """
    from fercore.methods import method_class
    from fercore.runs.bench import bench as measure
    from fercore.runs.experiment import open_data

    if not method:
        raise ValueError("give at least one method to bench")
    for name in method:
        method_class(name)
    faces = open_data(data, classes).where("train")
    training = _given(batch_size=batch_size, amp=amp)
    return measure(list(method), faces, preset, rounds, training, recipe, **_settings(preset, backbone, weights, size))


def run(
    methods: str = "baseline",
    conditions: str = "clean",
    seeds: str = "0",
    preset: Preset = "quick",
    recipe: str = "",
    results: Path = Path("notebooks/results/runs.csv"),
    data: Path | None = None,
    classes: Literal[7, 8] | None = None,
    backbone: str | None = None,
    weights: str = "",
    size: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    changes: Changes = (),
    reading: Reading = "works",
    settings: tuple[str, ...] = (),
    on: Literal["val", "test"] = "test",
    variant: str = "",
    plan: Path | None = None,
    only: str = "",
) -> dict[str, Any]:
    """Train every method under every condition with every seed, a row of results each; rows already there are skipped.

    Or the runs that a plan lists: --plan notebooks/results/plan.toml; then only --only and --results count besides.

    :param methods: names with commas between: baseline,cb
    :param conditions: likewise: clean,noise:0.3
    :param seeds: likewise: 0,1,2
    :param recipe: how any method is trained: fast, quick, full, paper, a paper's own (rac_rsl, dmue, ada_df, la_net,
        leaf) or MINE.toml; the preset's if left out.
    :param results: the CSV file.
    :param data: a folder in fercore's format; BlendFER if left out.
    :param classes: 7 leaves out contempt; by default 8 where the dataset has faces labelled so (BlendFER: 7).
    :param changes: fields of the recipe, e.g. --set lr=1e-3 warmup=0.1 average=0.998 erase=0.4.
    :param reading: printed: with the paper's own settings where ours differ, as those failed here.
    :param settings: the methods' own, e.g. --settings lam=1 alpha=0.
    :param on: the split that is measured: val to choose settings (needs --results of its own), test to report.
    :param plan: a TOML file that lists runs.
    :param only: of the plan the runs with this tag.
    """
    from fercore.runs.experiment import Experiment
    from fercore.runs.matrix import combinations, run_matrix, run_plan

    if plan is not None:
        return run_plan(plan, results, only)
    if only:
        raise ValueError(f"--only {only}: it chooses from a plan; give --plan FILE too")

    if on == "val" and results.name == "runs.csv":
        raise ValueError(f"--on val: {results} is for the test split; give another --results file")
    own = _settings(preset, backbone, weights, size, settings)
    training = _given(epochs=epochs, batch_size=batch_size, lr=lr) | _pairs("--set", changes)
    names, wanted = _list(methods), _list(conditions)
    base = Experiment(
        names[0], wanted[0], preset, 0, classes, data, own, training, variant, recipe, reading == "printed"
    )
    return run_matrix(combinations(base, names, wanted, _numbers(seeds)), results, on)


def doctor() -> dict[str, Any]:
    """Check this installation: versions, devices, data, permissions, and what to mend."""
    from fercore.runs.doctor import examine

    return examine()


def data(folder: tyro.conf.Positional[Path | None] = None, classes: Literal[7, 8] | None = None) -> dict[str, Any]:
    """Open a dataset, check it, and say what is in it.

    :param folder: a folder in fercore's format; BlendFER if left out.
    """
    from fercore.datasets.corruptions import agreement, other_labels
    from fercore.runs.experiment import open_data

    faces = open_data(folder, classes)
    splits = {}
    for name in dict.fromkeys(faces.split):
        part = faces.where(name)
        splits[name] = {"n": len(part), "by_emotion": dict(zip(part.classes, part.counts.tolist(), strict=True))}
    others = {name: agreement(faces, label) for name, label in other_labels(faces).items()}
    known = ("landmarks", "distribution", "votes", "subject")
    return {
        "size": list(faces.size),
        "splits": splits,
        "known": [name for name in known if getattr(faces, name) is not None],
        "annotators": others,
        "subjects": None if faces.subject is None else len(set(faces.subject)),
    }


COMMANDS = {f.__name__: f for f in (train, evaluate, predict, bench, run, doctor, data)}


AFTER_STOP = {
    "train": "nothing was trained yet",
    "run": "the rows that are there stay; the same command goes on from here",
    "predict": "there are no answers without an end; ask again, or about fewer photos",
    "evaluate": "nothing was measured",
    "bench": "nothing was measured",
}
"""What is true of a command that Ctrl-C or SIGTERM stops, where it does not say so itself."""


def main(arguments: list[str] | None = None) -> None:
    """Run one command.

    Exits with 0, 1 (doctor found something to mend), 2 (a wrong request), 130 (Ctrl-C) or 143 (SIGTERM).
    """
    given = sys.argv[1:] if arguments is None else arguments
    with _Signals() as signals:
        try:
            _check_none(given)
            result = tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="fercore", args=given)
            print(json.dumps(result, allow_nan=False), flush=True)
        except SystemExit:
            raise
        except BaseException as error:
            if signals.number:  # whatever an import that was cut off made of it
                words = error.args[0] if isinstance(error, KeyboardInterrupt) and error.args else None
                words = words or AFTER_STOP.get(given[0] if given else "", "nothing was changed")
                _leave(f"stopped; {words}", 128 + signals.number)
            if os.environ.get("FERCORE_DEBUG") or not _is_expected(error):
                raise
            _leave(_sentence(error), 2)
    if isinstance(result, dict) and result.get("mend"):
        sys.exit(1)


class _Signals:
    """Ctrl-C and SIGTERM raise KeyboardInterrupt; ``number`` says which of them came, 0 if none."""

    number = 0

    def __enter__(self) -> Self:
        taken = ()
        if threading.current_thread() is threading.main_thread():
            # Of several processes one would wait for the others: SIGTERM ends it at once, as torchrun wants it.
            taken = (signal.SIGINT, signal.SIGTERM) if os.environ.get("WORLD_SIZE", "1") == "1" else (signal.SIGINT,)
        self.previous = {number: signal.signal(number, self._stop) for number in taken}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: object) -> None:
        self.number = number
        raise KeyboardInterrupt


def _check_none(arguments: list[str]) -> None:
    """``--data None`` would pass for an option that was left out."""
    for option, value in itertools.pairwise(arguments):
        if value == "None" and option.startswith("--") and option not in MAY_BE_NONE:
            raise ValueError(f"{option} None: leave the option out for its default")


def _is_expected(error: BaseException) -> bool:
    return isinstance(error, (ValueError, OSError)) or _is_out_of_memory(error)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    words = ("out of memory", "can't allocate memory", "not enough memory", "Storage size calculation overflowed")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def _sentence(error: Exception) -> str:
    """On one line; the system's own errors without their numbers."""
    if _is_out_of_memory(error):
        return "there is not enough memory for this; choose a smaller --batch-size or --size, or smaller settings"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _leave(sentence: str, status: int) -> None:
    print(f"fercore: {sentence}", file=sys.stderr)
    sys.exit(status)


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _settings(
    preset: str, backbone: str | None, weights: str, size: int | None, more: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Changes of the method's Config; ``none`` means a random start.

    So does another backbone than the light one, but for preset paper, whose weights every larger backbone has.
    """
    settings = _given(backbone=backbone, weights=weights or None, size=size)
    if weights.lower() == NO_WEIGHTS:
        settings["weights"] = None
    elif not weights and backbone not in (None, "light") and preset != "paper":
        settings["weights"] = None
        print(f"{backbone} starts from random weights; give --weights imagenet, or a file", file=sys.stderr)
    return settings | _pairs("--settings", more)


def _pairs(option: str, texts: tuple[str, ...]) -> dict[str, Any]:
    """``name=value`` as a dict; values are numbers, true, false, lists of them, or else words."""
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise ValueError(f"{option} {text!r}: write name=value, e.g. lam=1")
        try:
            values[name] = json.loads(value.lower() if value in ("True", "False") else value)
        except json.JSONDecodeError:
            values[name] = value  # a word
    return values


def _list(text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise ValueError(f"{text!r} is no list; write names with commas between")
    return parts


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in _list(text)]
    except ValueError:
        raise ValueError(f"--seeds {text!r}: write whole numbers with commas between, e.g. 0,1,2") from None
