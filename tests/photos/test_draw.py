import io

import numpy as np
from PIL import Image

from fercore.photos import predict_photos
from fercore.viz.photos import draw_photo
from tests.photos.portraits import COFFEE, HOPPER, Fixed, read


def drawn(figure) -> np.ndarray:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return np.asarray(Image.open(file))


def test_frames_the_face_and_draws_its_probabilities():
    (photo,) = predict_photos(Fixed(0.0, 1.0, 0.0, 2.0, 0.0, 0.0, 0.5), [HOPPER])["photos"]
    figure = draw_photo(read(HOPPER), photo)
    assert drawn(figure).std() > 0
    frame = figure.axes[0].patches[0]
    assert [round(n) for n in (*frame.get_xy(), frame.get_width(), frame.get_height())] == photo["faces"][0]["box"]
    widths = sorted(bar.get_width() for bar in figure.axes[1].patches)
    np.testing.assert_allclose(widths, sorted(photo["faces"][0]["probabilities"].values()))


def test_without_a_face_it_says_so():
    (photo,) = predict_photos(Fixed(*[0.0] * 7), [COFFEE])["photos"]
    figure = draw_photo(read(COFFEE), photo)
    assert drawn(figure).std() > 0
    assert photo["message"] in [text.get_text() for text in figure.axes[0].texts]
