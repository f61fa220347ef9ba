"""Real photographs: read one, find its faces, cut them out once, ask a method about the crops, measure it."""

from fercore.photos.ask import classify_crops, explain_crops
from fercore.photos.ask_landmarks import draw_landmarks, find_landmarks
from fercore.photos.crop import CROP_SIZE, crop_like_blendfer, eye_frame, frame_like_blendfer
from fercore.photos.cut import Crop, choose_frame, crop_size, cut_faces
from fercore.photos.evaluate import evaluate_photos
from fercore.photos.faces import Face, find_faces
from fercore.photos.mesh_landmarks import MIN_SCORE, mesh_landmarks
from fercore.photos.predict import predict_photos
from fercore.photos.read import read_photo

__all__ = [
    "CROP_SIZE",
    "MIN_SCORE",
    "Crop",
    "Face",
    "choose_frame",
    "classify_crops",
    "crop_like_blendfer",
    "crop_size",
    "cut_faces",
    "draw_landmarks",
    "evaluate_photos",
    "explain_crops",
    "eye_frame",
    "find_faces",
    "find_landmarks",
    "frame_like_blendfer",
    "mesh_landmarks",
    "predict_photos",
    "read_photo",
]
