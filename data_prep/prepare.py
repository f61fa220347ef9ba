"""One function a dataset, for notebooks and the command line: read the owner's files, write the one format.

Each returns what ``OUT/summary.json`` holds (counts, what was left out, duplicates, mean and deviation, options) and
raises ValueError or OSError with one sentence that says what to mend. The source is never written to; ``OUT`` appears
when it is complete; a stopped run goes on when it is repeated. What is heavy to import is imported inside.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from data_prep.options import Options

DEFAULT = Options()


def prepare_rafdb(
    source: Path, out: Path, images: Literal["aligned", "original"] = "aligned", options: Options = DEFAULT
) -> dict[str, Any]:
    """RAF-DB's basic subset: EmoLabel/, Image/ and, for the original images, Annotation/manual/.

    :param source: holds basic/, or is it.
    :param out: the new folder.
    :param images: the owner's aligned faces of 100 x 100, or the original photographs (give --align, too).
    """
    from data_prep.convert import check_folders, convert
    from data_prep.rafdb import read_rafdb

    check_folders(Path(source), Path(out))
    return convert(read_rafdb(source, images, options.accept), out, options)


def prepare_ferplus(
    source: Path,
    out: Path,
    classes: Literal[7, 8] = 8,
    rule: Literal["majority", "most"] = "majority",
    unknown: Literal["vote", "ignore"] = "vote",
    ties: Literal["first", "drop"] = "first",
    options: Options = DEFAULT,
) -> dict[str, Any]:
    """FERPlus: fer2013.csv with fer2013new.csv, or the FER2013Train, -Valid and -Test folders of the owner's tool.

    :param source: holds either.
    :param out: the new folder.
    :param classes: 7 leaves out faces labelled contempt.
    :param rule: majority: single votes dropped, the winner needs more than half; most: the most votes win.
    :param unknown: vote: faces that 'unknown' or 'not a face' win are left out; ignore: those votes are set aside.
    :param ties: who wins a tie: the first in the owner's order, or nobody.
    """
    from data_prep.convert import check_folders, convert
    from data_prep.ferplus import read_ferplus

    check_folders(Path(source), Path(out))
    return convert(read_ferplus(source, classes, rule, unknown, ties, options.accept), out, options)


def prepare_affectnet(
    source: Path, out: Path, classes: Literal[7, 8] = 8, options: Options = DEFAULT
) -> dict[str, Any]:
    """AffectNet: training.csv and validation.csv with Manually_Annotated_Images/, or train_set/ and val_set/.

    :param source: holds either.
    :param out: the new folder.
    :param classes: 7 leaves out contempt.
    """
    from data_prep.affectnet import read_affectnet
    from data_prep.convert import check_folders, convert

    check_folders(Path(source), Path(out))
    return convert(read_affectnet(source, classes, options.accept), out, options)


def prepare_sfew(
    source: Path, out: Path, images: Literal["aligned", "frames"] = "aligned", options: Options = DEFAULT
) -> dict[str, Any]:
    """SFEW 2.0: Train and Val with class folders; Val becomes the test split, as in papers.

    :param source: holds Train/ and Val/.
    :param out: the new folder.
    :param images: the owner's aligned faces, or whole frames (give --align, too).
    """
    from data_prep.convert import check_folders, convert
    from data_prep.sfew import read_sfew

    check_folders(Path(source), Path(out))
    return convert(read_sfew(source, images, options.accept), out, options)


def prepare_folder(
    source: Path, out: Path, classes: tuple[str, ...] = (), subject: str | None = None, options: Options = DEFAULT
) -> dict[str, Any]:
    """Any folder: [SPLIT/]CLASS/images, or labels.csv with path, label and perhaps split and subject.

    :param source: that folder.
    :param out: the new folder.
    :param classes: what your class names mean: joy=happiness 1=surprise other=drop.
    :param subject: regular expression whose first group, searched in the path, names the person.
    """
    from data_prep.convert import check_folders, convert
    from data_prep.folder import read_folder

    check_folders(Path(source), Path(out))
    return convert(read_folder(source, classes, subject, options.accept), out, options)


COMMANDS = {
    "rafdb": prepare_rafdb,
    "ferplus": prepare_ferplus,
    "affectnet": prepare_affectnet,
    "sfew": prepare_sfew,
    "folder": prepare_folder,
}
