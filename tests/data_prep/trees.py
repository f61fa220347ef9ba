"""Small source trees, laid out as the owners of the datasets lay them out; pixels are drawn."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from data_prep.ferplus import COLUMNS
from tests.faces import SHAPES, draw_face


def face(label: int, seed: int, size: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """An image and its landmarks; every seed looks different enough for a perceptual hash."""
    random = np.random.default_rng([seed, 7])
    image, landmarks = draw_face(SHAPES[label], size, random)
    coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), np.uint8)).resize((size, size))
    return (image // 2 + np.asarray(coarse) // 2).astype(np.uint8), landmarks


def save(image: np.ndarray, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(file, **({"quality": 95} if file.suffix == ".jpg" else {}))
    return file


def rafdb(root: Path, per_class: int = 4, images: str = "aligned") -> list[tuple[str, int, str]]:
    """RAF-DB's basic/ with Windows line ends; returns (stem, canonical label, split) in the order of the list."""
    listed, seed = [], 0
    for split, count in (("train", per_class), ("test", 2)):
        for number in range(count * 7):
            label, stem = number % 7, f"{split}_{number + 1:05d}"
            ending = "_aligned.jpg" if images == "aligned" else ".jpg"
            save(face(label, seed)[0], root / "basic/Image" / images / f"{stem}{ending}")
            listed.append((stem, label, split))
            seed += 1
    labels = root / "basic/EmoLabel/list_patition_label.txt"
    labels.parent.mkdir(parents=True)
    labels.write_bytes("".join(f"{stem}.jpg {label + 1}\r\n" for stem, label, _ in listed).encode())
    return listed


def rafdb_points(root: Path, stem: str, points: np.ndarray) -> None:
    """The owner's manual annotation: five points with a tab between, then gender, race and age."""
    file = root / f"basic/Annotation/manual/{stem}_manu_attri.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{x:.3f}\t{y:.3f}\n" for x, y in points) + "0\n1\n3\n")


def ferplus_tables(root: Path, votes: list[list[int]], usages: list[str], side: int = 48) -> np.ndarray:
    """fer2013.csv with made pixels and fer2013new.csv; returns the pixels (N, side, side)."""
    pixels = np.random.default_rng(0).integers(0, 256, (len(votes), side, side), np.uint8)
    root.mkdir(parents=True, exist_ok=True)
    with (root / "fer2013.csv").open("w", newline="") as stream:
        write = csv.writer(stream)
        write.writerow(("emotion", "pixels", "Usage"))
        for image, usage in zip(pixels, usages, strict=True):
            write.writerow((0, " ".join(map(str, image.ravel())), usage))
    with (root / "fer2013new.csv").open("w", newline="") as stream:
        write = csv.writer(stream)
        write.writerow(("Usage", "Image name", *COLUMNS))
        for row, (line, usage) in enumerate(zip(votes, usages, strict=True)):
            write.writerow((usage, "" if line[9] == 10 else f"fer{row:07d}.png", *line))
    return pixels


def ferplus_folders(root: Path, votes: list[list[int]]) -> None:
    """What the owner's tool writes: three folders, each with all these votes."""
    for k, name in enumerate(("FER2013Train", "FER2013Valid", "FER2013Test")):
        (root / name).mkdir(parents=True)
        with (root / name / "label.csv").open("w", newline="") as stream:
            write = csv.writer(stream)
            for row, line in enumerate(votes):
                file = f"fer{100 * k + row:07d}.png"
                save(face(row % 7, 100 * k + row, 48)[0].mean(axis=2).astype(np.uint8), root / name / file)
                write.writerow((file, "(0, 0, 48, 48)", *line))


def affectnet_lists(root: Path, train: list[int], test: list[int], absolute: bool = False, header: bool = True) -> None:
    """training.csv and validation.csv: photographs in which the face lies at (30, 20), 40 pixels wide."""
    titles = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
    seed = 0
    for name, numbers in (("training.csv", train), ("validation.csv", test)):
        lines = [titles] if header or name == "training.csv" else []
        for number in numbers:
            image, landmarks = face(number % 8, seed)
            photo = np.random.default_rng(seed).integers(0, 256, (90, 100, 3), np.uint8)
            photo[20:60, 30:70] = image
            path = f"{seed % 3}/photo{seed}.jpg"
            save(photo, root / "Manually_Annotated_Images" / path)
            text = ";".join(f"{v:.4f}" for v in (landmarks + np.array((30, 20))).ravel())
            box = "NULL,NULL,NULL,NULL,NULL" if number == 10 else f"30,20,40,40,{text}"
            lines.append(f"{'/data/Manually_Annotated_Images/' if absolute else ''}{path},{box},{number},0.5,-0.25")
            seed += 1
        (root / name).write_text("\n".join(lines) + "\n")


def affectnet_arrays(root: Path, train: list[int], test: list[int]) -> None:
    """train_set/ and val_set/ with images and arrays; expressions are arrays of text, as published."""
    seed = 0
    for name, numbers in (("train_set", train), ("val_set", test)):
        for k, number in enumerate(numbers):
            image, landmarks = face(number % 8, seed)
            save(image, root / name / "images" / f"{k}.jpg")
            folder = root / name / "annotations"
            folder.mkdir(parents=True, exist_ok=True)
            np.save(folder / f"{k}_exp.npy", np.array(str(number)))
            np.save(folder / f"{k}_lnd.npy", landmarks.ravel().astype(float))
            np.save(folder / f"{k}_val.npy", np.array("0.1"))
            seed += 1


SFEW_CLASSES = {"Angry": 5, "Disgust": 2, "Fear": 1, "Happy": 3, "Neutral": 6, "Sad": 4, "Surprise": 0}


def sfew(root: Path, aligned: bool = True, films: int = 6) -> None:
    """Train (each film once in each class) and Val (films of their own), with the junk that archives leave."""
    inner = {"Train": "Train/Train_Aligned_Faces", "Val": "Val/Val_Aligned_Faces_new"}
    for k, (split, folder) in enumerate(inner.items()):
        for name, label in SFEW_CLASSES.items():
            place = root / (folder if aligned else split) / name
            for film in range(films if split == "Train" else 2):
                title = f"Film_{film}{split}"
                save(face(label, 1000 * k + 10 * label + film)[0], place / f"{title}_000519240_00000005.png")
            (place / ".DS_Store").write_bytes(b"\0")
            (place / "Thumbs.db").write_bytes(b"\0")
