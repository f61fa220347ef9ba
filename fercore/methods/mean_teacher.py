"""Mean Teacher: agree with the average of your own past weights (Tarvainen and Valpola, NeurIPS 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from fercore.batch import Batch
from fercore.methods.semi import SemiConfig, SemiSupervised


@dataclass(frozen=True)
class MeanTeacherConfig(SemiConfig):
    """Settings of Mean Teacher.

    lam: weight of the consistency, rising over ``ramp``; both USB's (2022), as the paper's differ by dataset.
    ema: alpha of the teacher; 0.999 in the paper (section 3), less here for preset quick's few hundred steps.
    """

    lam: float = 50.0
    ramp: float = 0.4
    ema: float = 0.99

    def __post_init__(self):
        super().__post_init__()
        if not self.ema:
            raise ValueError("the teacher is the average of the weights: ema must be above 0")


class MeanTeacher(SemiSupervised):
    """Two weak views of a face, one for the student, one for the teacher, which is deployed.

    The teacher works as deployed also in training; in the released code its norms look at the batch.
    """

    config_class = MeanTeacherConfig
    unlabelled_views: ClassVar[tuple[str, ...]] = ("weak", "weak")
    through_network: ClassVar[int] = 1

    def unlabelled_terms(self, logits: list[Tensor], features: list[Tensor], faces: Batch) -> dict[str, Tensor]:
        """``consistency``: mean square difference of probabilities."""
        (student,) = logits
        with torch.no_grad():
            teacher = self.guess(self.average(faces.views[1])).softmax(1)
        return {"consistency": F.mse_loss(student.softmax(1), teacher)}
