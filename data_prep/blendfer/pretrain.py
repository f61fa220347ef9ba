"""Face-pretrained weights: recognise rendered people, whatever they feel. No expression label is used.

All five papers start from a network trained to recognise faces (MS-Celeb-1M). This one has seen only rendered people,
none of whom is in BlendFER.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn
from torchmetrics.functional.classification import binary_auroc
from tqdm.auto import trange

from data_prep.blendfer import build
from fercore import renderer
from fercore.datasets.images import read_image
from fercore.datasets.views import AUGMENTATIONS
from fercore.models import build_backbone
from fercore.models.weights import FACE_WEIGHTS
from fercore.renderer.head import ASSET

FIRST_PERSON, FIRST_STRANGER = 100_000, 200_000
"""Seeds of the people learnt from, and of those who only test the result; BlendFER's people have smaller ones."""
STRANGERS, FACES_OF_STRANGER = 100, 6
SCALE, MARGIN = 16.0, 0.1
BATCH, LEARNING_RATE = 128, 3e-3


def renderer_version() -> str:
    """Changes with every file that decides how a face looks."""
    sources = [*sorted(Path(renderer.__file__).parent.glob("*.py")), ASSET, Path(build.__file__)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:8]


def render_people(first: int, people: int, faces: int) -> tuple[Tensor, Tensor]:
    """Images (people * faces, 3, 64, 64) uint8 and who they show, numbered from 0; kept in ``runs/pretrain``."""
    kept = Path("runs/pretrain") / f"{first}-{people}-{faces}-{renderer_version()}.npy"
    person = torch.arange(people).repeat_interleave(faces)
    if kept.exists():
        return torch.from_numpy(np.load(kept)), person
    tasks = []
    emotions = np.random.default_rng(first).integers(8, size=(people, faces))
    for seed in range(people):
        # A split of a single person makes all its faces show that person.
        split = build.Split("train", faces, first + seed, 1)
        tasks += [(split, number, int(emotions[seed, number])) for number in range(faces)]
    images = [read_image(row["image"], "rendered face") for row in build.make_rows(tasks)]
    pixels = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
    kept.parent.mkdir(parents=True, exist_ok=True)
    np.save(kept, pixels)
    return torch.from_numpy(pixels), person


class Recogniser(nn.Module):
    """The light backbone and one direction per person: logits are scaled cosines, less a margin (Wang et al., 2018)."""

    def __init__(self, people: int):
        super().__init__()
        self.backbone = build_backbone("light")
        self.people = nn.Parameter(F.normalize(torch.randn(people, self.backbone.dim)))

    def embed(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, D) of length 1."""
        return F.normalize(self.backbone(image).float().mean((2, 3)))

    def loss(self, image: Tensor, person: Tensor) -> Tensor:
        """Cross-entropy of s (cos - m for the true person)."""
        cosines = self.embed(image) @ F.normalize(self.people).T
        return F.cross_entropy(SCALE * (cosines - MARGIN * F.one_hot(person, len(self.people))), person)


def train(model: Recogniser, images: Tensor, person: Tensor, epochs: int) -> list[float]:
    """Train in place with AdamW and one cosine; returns the mean loss of each epoch."""
    optimiser = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=0.05)
    steps = epochs * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, steps, pct_start=0.15)
    device = model.people.device
    model.train().to(memory_format=torch.channels_last)
    images, person, losses = images.to(device), person.to(device), []
    for _ in trange(epochs, desc="pretraining", unit="epoch"):
        total, batches = torch.zeros((), device=device), torch.randperm(len(images)).split(BATCH)[: steps // epochs]
        for rows in batches:
            image, _ = AUGMENTATIONS["weak"](images[rows])
            with torch.autocast(device.type, torch.bfloat16):
                loss = model.loss(image.contiguous(memory_format=torch.channels_last), person[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.detach()
        losses.append(total.item() / len(batches))
        print(f"loss {losses[-1]:.3f}", file=sys.stderr)
    return losses


def verification(model: Recogniser, images: Tensor, person: Tensor) -> dict:
    """How well cosines tell pairs of the same stranger from pairs of different ones: AUC and both histograms."""
    model.eval()
    device = model.people.device
    with torch.inference_mode():
        embedded = torch.cat([model.embed(part.to(device).float() / 255).cpu() for part in images.split(256)])
    first, second = torch.triu_indices(len(images), len(images), 1)
    cosine, same = (embedded @ embedded.T)[first, second], person[first] == person[second]
    auc = float(binary_auroc((cosine + 1) / 2, same.long()))
    positives, negatives = int(same.sum()), int((~same).sum())
    histograms = {
        name: torch.histc(cosine[chosen], 40, -1, 1).div(chosen.sum()).tolist()
        for name, chosen in (("same", same), ("different", ~same))
    }
    return {"auc": auc, "pairs_same": positives, "pairs_different": negatives, "histograms": histograms}


def write_start(backbone: nn.Module, path: Path, report: dict) -> None:
    """The trunk in half precision (safetensors), and the report as JSON beside it."""
    trunk = {
        name: (value.half() if value.is_floating_point() else value).cpu().contiguous()
        for name, value in backbone.state_dict().items()
    }
    save_file(trunk, path)
    path.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")


def pretrain(out: Path | None, people: int, faces: int, epochs: int) -> None:
    """Render, train, verify; write the trunk (fp16 safetensors) and ``light_face.json`` with the figures beside it."""
    torch.manual_seed(0)
    images, person = render_people(FIRST_PERSON, people, faces)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = Recogniser(people).to(device)
    losses = train(model, images, person, epochs)
    report = {"people": people, "faces": faces, "epochs": epochs, "losses": losses}
    report |= verification(model, *render_people(FIRST_STRANGER, STRANGERS, FACES_OF_STRANGER))
    path = out or FACE_WEIGHTS
    write_start(model.backbone, path, report)
    print(json.dumps({"auc": report["auc"], "loss": losses[-1], "bytes": path.stat().st_size}))
