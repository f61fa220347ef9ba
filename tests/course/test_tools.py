"""The course's tooling on a toy course in a temporary folder."""

from pathlib import Path

import nbformat
import pandas as pd
import pytest

from fercore.course import check, find_root, runs_folder
from fercore.course.exercise import STRICT
from fercore.course.folders import RUNS
from fercore.runs.results import put_row
from notebooks.tools.lessons import LESSONS, Lesson, choose, existing, minutes, read_timings, write_timing
from notebooks.tools.notebooks import execute, from_source, parameters_of, refuse_unknown
from notebooks.tools.planned import page, results_file
from notebooks.tools.readme import generate
from notebooks.tools.rules import code_lines, committed_problems, solutions, solved, source_problems, words

SOURCE = """# %% [markdown]
# # A lesson in @REPOSITORY@, @MINUTES@
# ## What you will learn
# ## Setup
# ## The idea in one picture
# ## Exercises
# ## References

# %% tags=["colab-setup"]
import os

# %% tags=["parameters"]
PRESET = "quick"  # fast | quick | paper
SEED = 0

# %% jupyter={"source_hidden": true}
from fercore.course import check, runs_folder

print(PRESET, os.environ["FERCORE_STATIC"], runs_folder().name)

# %% tags=["exercise"]
one = None

# %% tags=["check"]
check(one, lambda x: x == 1)

# %% tags=["exercise"]
two = None

# %% tags=["exercise"]
three = None

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# one = 1
# ```
# </details>
# <details>
#
# ```python
# two = 2
# ```
# </details>
# <details>
#
# ```python
# three = 3
# ```
# </details>
"""
LESSON = Lesson("00_start_here", "Start", "shows")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def course(tmp_path):
    (tmp_path / "notebooks" / "src").mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    LESSON.source(tmp_path).write_text(SOURCE)
    return tmp_path


def alter(course, old, new):
    text = LESSON.source(course).read_text()
    assert old in text
    LESSON.source(course).write_text(text.replace(old, new))
    return from_source(LESSON, course)


def test_a_source_becomes_the_same_notebook_every_time(course):
    first, second = from_source(LESSON, course), from_source(LESSON, course)
    assert nbformat.writes(first) == nbformat.writes(second)
    nbformat.validate(first)
    assert "fercore/fercore" in first.cells[0].source
    assert "not timed yet" in first.cells[0].source
    assert [cell.metadata.get("tags") for cell in first.cells[1:4]] == [["colab-setup"], ["parameters"], None]
    assert "jupyter" not in first.cells[3].metadata  # only the tool folds cells


def test_the_parameters_are_the_literals_of_the_one_tagged_cell(course):
    assert parameters_of(from_source(LESSON, course)) == {"PRESET": "quick", "SEED": 0}
    with pytest.raises(ValueError, match="exactly one cell tagged parameters, this one has 0"):
        parameters_of(alter(course, 'tags=["parameters"]', ""))


@pytest.mark.parametrize("line", ["SEED = 1 + len('a')", "print(1)", "a, b = 1, 2"])
def test_derived_parameters_are_refused(course, line):
    with pytest.raises(ValueError, match=r"plain assignments|malformed"):
        parameters_of(alter(course, "SEED = 0", line))


def test_an_unknown_parameter_is_refused(course):
    notebook = from_source(LESSON, course)
    refuse_unknown(notebook, {"SEED": 1})
    with pytest.raises(ValueError, match=r"no parameter 'SEDE'; it has PRESET, SEED"):
        execute(notebook, course / "out.ipynb", {"SEDE": 1})
    assert not (course / "out.ipynb").exists()


def test_execution_leaves_outputs_and_no_trace_of_the_run(course):
    output = course / "runs" / "copy.ipynb"
    execute(from_source(LESSON, course), output, {"PRESET": "fast"}, cwd=course, runs=course / "elsewhere")
    notebook = nbformat.read(output, 4)
    text = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert text == "fast 1 elsewhere\n\N{WHITE CIRCLE} Waiting for your answer.\n"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert all(set(cell.metadata) <= {"tags", "jupyter", "cellView"} for cell in notebook.cells)
    folded = [cell.source for cell in notebook.cells if cell.metadata.get("jupyter") == {"source_hidden": True}]
    assert folded == ["check(one, lambda x: x == 1)"]


def test_a_sound_lesson_has_no_problems(course):
    assert source_problems(from_source(LESSON, course)) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("one = None", "one = None\n" + "x = 1\n" * 351, "lines of code, at most 350"),
        ("two = None", "two = None" + "\n\n# %%\npass" * 36, "code cells, at most 40"),
        ("## Setup", "## Setup\n# " + "word " * 3501, "words, at most 3500"),
        ("## References", "## Sources", "no section 'References'"),
        ('tags=["colab-setup"]', "", "not the one tagged colab-setup"),
        ('# %% tags=["exercise"]\nthree', "# %%\nthree", "2 exercises and 3 solutions"),
        ("SEED = 0", "SEED = 7", "the parameters start as"),
    ],
)
def test_each_rule_can_be_broken(course, old, new, problem):
    assert any(problem in found for found in source_problems(alter(course, old, new)))


def test_the_committed_notebook_must_be_run_and_match(course):
    assert committed_problems(LESSON, course) == ["not built yet: run make notebooks"]
    notebook = from_source(LESSON, course)
    nbformat.write(notebook, LESSON.notebook(course))
    assert committed_problems(LESSON, course) == ["was not run from top to bottom: run make notebooks"]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, start=1):
        cell.execution_count = count
    nbformat.write(notebook, LESSON.notebook(course))
    assert committed_problems(LESSON, course) == []
    alter(course, "one = None", "one = 0")
    assert committed_problems(LESSON, course) == ["differs from its source: run make notebooks"]
    notebook.metadata["widgets"] = {}
    code[0].outputs = [nbformat.v4.new_output("error", ename="E", evalue="", traceback=["x" * (1 << 20)])]
    nbformat.write(notebook, LESSON.notebook(course))
    found = committed_problems(LESSON, course)
    assert found[0].endswith("MiB, at most 1 is allowed")
    assert found[-2:] == ["carries the metadata widgets", "shows an error"]


def test_solutions_take_the_place_of_the_exercises(course):
    notebook = from_source(LESSON, course)
    assert solutions(notebook) == ["one = 1\n", "two = 2\n", "three = 3\n"]
    assert [cell.source for cell in solved(notebook).cells if "exercise" in cell.metadata.get("tags", [])] == solutions(
        notebook
    )
    assert "one = None" in notebook.cells[4].source
    with pytest.raises(ValueError, match="2 cells tagged exercise, but 3"):
        solved(alter(course, '# %% tags=["exercise"]\nthree', "# %%\nthree"))


READ = """A [link](https://x.y/z), it's <b>two-fold</b>.
<details>
```python
no = 1
```
</details>"""


def test_words_and_lines_are_counted_as_a_reader_does():
    assert words(nbformat.v4.new_markdown_cell(READ)) == 4
    assert code_lines(nbformat.v4.new_code_cell("# why\n\na = 1  # here\nb = 2")) == 2


@pytest.mark.parametrize(
    ("answer", "passed", "reply"),
    [
        (None, False, "Waiting"),
        (..., False, "Waiting"),
        (2, True, "\N{CHECK MARK} Right.\n"),
        (3, False, "Not yet."),
        ("x", False, "raised TypeError"),
    ],
)
def test_check_answers_and_never_stops_the_notebook(answer, passed, reply, capsys, monkeypatch):
    monkeypatch.delenv(STRICT, raising=False)
    check(answer, lambda value: value - 2 == 0)
    assert reply in capsys.readouterr().out
    monkeypatch.setenv(STRICT, "1")
    if not passed:
        with pytest.raises(AssertionError):
            check(answer, lambda value: value - 2 == 0)


def test_folders(course, monkeypatch, tmp_path_factory):
    monkeypatch.delenv(RUNS, raising=False)
    monkeypatch.chdir(course / "notebooks")
    assert find_root() == course
    assert runs_folder("a", "b") == course / "runs" / "a" / "b"
    assert runs_folder("a").is_dir()
    outside = tmp_path_factory.mktemp("outside")
    monkeypatch.chdir(outside)
    with pytest.raises(FileNotFoundError, match="not inside a clone of fercore"):
        find_root()
    assert runs_folder() == outside / "runs"
    monkeypatch.setenv(RUNS, str(outside / "chosen"))
    assert runs_folder("x") == outside / "chosen" / "x"


def test_lessons_are_chosen_by_number_or_name(course):
    assert [lesson.name for lesson in existing(course)] == ["00_start_here"]
    assert choose((), course) == choose(("00",), course) == choose(("00_start_here",), course)
    with pytest.raises(ValueError, match="no lesson '01'; there are 00_start_here"):
        choose(("01",), course)


def test_timings_are_kept_one_row_a_lesson(course):
    row = dict.fromkeys(("cores", "python", "torch", "date"), "x") | {"lesson": "01_baseline", "preset": "quick"}
    assert read_timings(course) == {}
    write_timing(course, row | {"minutes": "9"})
    write_timing(course, row | {"minutes": "2.6"})
    write_timing(course, row | {"lesson": "00_start_here", "minutes": "0.4"})
    assert [entry["minutes"] for entry in read_timings(course).values()] == ["0.4", "2.6"]
    assert minutes(read_timings(course)["01_baseline", "quick"]) == "about 3 minutes"
    assert minutes({"minutes": "1.2"}) == "about 1 minute"
    assert minutes({"minutes": "0.9"}) == "under a minute"


MARKED = """before
<!-- lessons:start -->
old
<!-- lessons:end -->
<!-- results:start -->
<!-- results:end -->
after
"""


def test_readme_links_only_what_exists(course):
    (course / "README.md").write_text(MARKED)
    assert "](notebooks/" not in generate(course)
    LESSON.notebook(course).touch()
    text = generate(course)
    assert text.count("](notebooks/") == 1
    assert text.count("| planned |") == len(LESSONS) - 1
    assert "old" not in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    (course / "README.md").write_text(text)
    assert generate(course) == text
    (course / "README.md").write_text("no markers")
    with pytest.raises(ValueError, match="lessons:start"):
        generate(course)


def test_readme_shows_the_results_that_were_measured(course):
    (course / "README.md").write_text(MARKED)
    assert "No results yet" in generate(course)
    file = course / "notebooks" / "results" / "runs.csv"
    row = {"method": "baseline", "variant": "", "condition": "clean", "preset": "quick", "overall": 0.7, "mean": 0.6}
    for seed in (0, 1):
        put_row(file, row | {"seed": seed})
        put_row(file, row | {"seed": seed, "method": "scn", "mean": 0.65})
    put_row(file, row | {"seed": 0, "method": "scn", "data": "ferplus@0a1b2c3d", "mean": 0.1})
    assert "No results yet" in generate(course)
    (course / "notebooks" / "results" / "plan.toml").write_text(
        '[[runs]]\nwhy = "w"\ntags = ["headline"]\nmethods = ["baseline", "scn", "dmue"]\n'
        'conditions = ["clean"]\nseeds = 3\n'
    )
    assert "| clean | scn | 70.0 / 65.0 | 70.0 / 60.0 | +5.0 ± 0.0 (2 of 3) |" in generate(course)
    assert "| clean | dmue | not measured yet | 70.0 / 60.0 | not measured yet (0 of 3) |" in generate(course)
    assert "| scn | clean | blendfer | quick, its own | 70.0 ± 0.0 | 65.0 ± 0.0 | 2 of 3 | missing: 1 |" in page(course)
    assert "| dmue | clean | blendfer | quick, its own | not measured | not measured | 0 of 3 | **missing** |" in page(
        course
    )


def test_the_committed_readme_is_what_the_data_say():
    assert (ROOT / "README.md").read_text() == generate(ROOT), "run python -m notebooks.tools readme"
    assert results_file(ROOT).read_text() == page(ROOT), "run python -m notebooks.tools readme"


def test_lessons_are_numbered_in_order():
    assert [lesson.name[:2] for lesson in LESSONS] == [f"{number:02d}" for number in range(9)]


def test_photos_writes_a_row_a_seed_and_one_for_all_together(course, monkeypatch):
    from notebooks.tools import photos

    def found(method, folder):
        return {
            **{"n": 4, "faces_missed": 1, "overall": 0.5, "mean": 0.5, "smile_vs_neutral_balanced": 0.75},
            "recall": {"happiness": 1.0, "neutral": len(method) / 4, "fear": None},
        }

    trained = []
    monkeypatch.chdir(course)
    monkeypatch.setattr(photos, "run_experiment", lambda experiment, out, resume: trained.append(experiment.seed))
    monkeypatch.setattr(photos, "load_together", list)
    monkeypatch.setattr(photos, "evaluate_photos", found)
    monkeypatch.setattr(photos, "evaluate", lambda method, data: {"overall": len(method) / 10})
    finished = photos.Experiment("baseline", seed=4, training={"epochs": photos.EPOCHS}).folder / photos.RESULT
    finished.parent.mkdir(parents=True)
    finished.write_text("{}")
    photos.measure(course, Path("some/holiday"), [3, 4])
    assert trained == [3]
    table = pd.read_csv(photos.results_file(course))
    assert list(table["seed"]) == ["3", "4", "3+4"]
    assert list(table["blendfer_overall"]) == [0.1, 0.1, 0.2]
    assert list(table["recall_neutral"]) == [0.25, 0.25, 0.5]
    assert set(table["photos"]) == {"holiday"}
    assert "recall_fear" not in table
