"""EAC: consistent attention against noisy labels (Zhang et al., ECCV 2022); RAC + RSL grew out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fercore.batch import Needs
from fercore.methods.rac_rsl import RACRSL, RACRSLConfig


@dataclass(frozen=True)
class EACConfig(RACRSLConfig):
    """Settings of EAC: every class alike, lambda = 5 from the start, certain labels, cross-entropy of the face alone.

    The released code averages over places but sums over classes: its lambda = 5 is 35 here, for seven classes.
    """

    lam: float = 5.0
    alpha: float = 0.0
    balance_maps: bool = False
    both_views: bool = False
    ramp: float = 0.0


class EAC(RACRSL):
    """A face with a patch erased, and the same mirrored, must give mirrored attention maps.

    Every face loses a patch; in the released code every second one, on average.
    """

    needs = Needs(views=("erase",))
    config_class = EACConfig
    paper_recipe: ClassVar[str] = "paper"
