"""The renderer that drew BlendFER, and draws more such faces: ``render(emotions, intensity, identity, scene)``."""

from fercore.renderer.live import Face, render
from fercore.renderer.people import Identity, sample_identity
from fercore.renderer.scenes import COVERS, GLASSES, Scene, sample_scene

__all__ = ["COVERS", "GLASSES", "Face", "Identity", "Scene", "render", "sample_identity", "sample_scene"]
