"""Real photographs: find the faces, crop them as BlendFER's, ask a method, measure it."""

from fercore.photos.ask_landmarks import draw_landmarks, find_landmarks
from fercore.photos.crop import CROP_SIZE, crop_like_blendfer, eye_frame, frame_like_blendfer
from fercore.photos.evaluate import evaluate_photos
from fercore.photos.faces import Face, find_faces
from fercore.photos.predict import classify_crops, predict_photos

__all__ = [
    "CROP_SIZE",
    "Face",
    "classify_crops",
    "crop_like_blendfer",
    "draw_landmarks",
    "evaluate_photos",
    "eye_frame",
    "find_faces",
    "find_landmarks",
    "frame_like_blendfer",
    "predict_photos",
]
