"""The rasteriser: triangles to pixels with soft light, painted skin, eyes, teeth, hair (numba, compiled once, cached).

Paint is defined on the rest head (``canon``), so that it moves with the skin. Light is one key, one fill and an ambient
term from sky and ground; creases darken by screen-space occlusion and by the curvature of the mesh.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numba import njit

from fercore.renderer.head import Head


class Look(NamedTuple):
    """All numbers of one picture besides the mesh. Colours are linear RGB, lengths decimetres of the rest head."""

    skin: tuple[float, float, float]
    lip: tuple[float, float, float]
    lip_alpha: float
    iris: tuple[float, float, float]
    pupil: float
    brow: tuple[float, float, float]
    brow_alpha: float
    brow_thickness: float
    brow_height: float
    hair: tuple[float, float, float]
    hair_kind: float  # 0 none, 1 short, 2 long
    hairline: float
    beard: float
    moustache: float
    blush: float
    eye_bags: float
    freckles: float
    eye_shadow: float
    wrinkle_forehead: float
    wrinkle_glabella: float
    wrinkle_nose: float
    wrinkle_nasolabial: float
    wrinkle_crow: float
    wrinkle_chin: float
    wrinkle_frown: float
    seed: float
    key_direction: tuple[float, float, float]
    key: tuple[float, float, float]
    fill_direction: tuple[float, float, float]
    fill: float
    sky: tuple[float, float, float]
    ground: tuple[float, float, float]
    exponent: float  # display exponent, about 1 / 2.2
    scale: float  # pixels per decimetre, supersampled


_TAPS = np.array(
    [
        [[(math.cos(q * 0.7854 + 0.39 * r + p * 0.196), math.sin(q * 0.7854 + 0.39 * r + p * 0.196)) for q in range(8)]
         for r in range(2)]
        for p in range(4)
    ],
    np.float32,
)  # fmt: skip
"""Directions of the occlusion samples: 4 pixel phases, 2 radii, 8 directions."""


@njit(cache=True, fastmath=True, inline="always")
def _step(low, high, x):
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@njit(cache=True, fastmath=True, inline="always")
def _hash(ix, iy, seed):
    h = (ix * 374761393 + iy * 668265263 + seed * 1442695041) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFF) / 65535.0


@njit(cache=True, fastmath=True)
def _noise(x, y, seed):
    """Smooth value noise in [0, 1]."""
    fx, fy = math.floor(x), math.floor(y)
    ix, iy = int(fx), int(fy)
    tx, ty = x - fx, y - fy
    tx, ty = tx * tx * (3 - 2 * tx), ty * ty * (3 - 2 * ty)
    top = _hash(ix, iy, seed) * (1 - tx) + _hash(ix + 1, iy, seed) * tx
    low = _hash(ix, iy + 1, seed) * (1 - tx) + _hash(ix + 1, iy + 1, seed) * tx
    return top * (1 - ty) + low * ty


@njit(cache=True, fastmath=True, inline="always")
def _segment(x, y, ax, ay, bx, by):
    """Distance of a point to a segment."""
    dx, dy = bx - ax, by - ay
    t = min(max(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy), 0.0), 1.0)
    return math.hypot(x - ax - t * dx, y - ay - t * dy)


@njit(cache=True, fastmath=True, inline="always")
def _mix(a, b, t):
    return (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t)


@njit(cache=True, fastmath=True, inline="always")
def _tint(a, r, g, b):
    return (a[0] * r, a[1] * g, a[2] * b)


@njit(cache=True, fastmath=True)
def _wrinkles(ax, y, cx, look):
    """Depth of the painted lines at a point of the rest face, 0 to 1."""
    w = 0.0
    if look.wrinkle_forehead > 0 and ax < 0.5 and 7.58 < y < 7.98:
        row = (y - 7.63 - 0.02 * math.cos(cx * 7)) / 0.095
        d = abs(row - math.floor(row + 0.5)) * 0.095
        fade = _step(0.5, 0.3, ax) * _step(7.57, 7.63, y) * _step(7.97, 7.88, y)
        w += look.wrinkle_forehead * math.exp(-((d / 0.011) ** 2)) * fade
    if look.wrinkle_glabella > 0:
        w += look.wrinkle_glabella * math.exp(-((_segment(ax, y, 0.052, 7.36, 0.068, 7.50) / 0.013) ** 2))
    if look.wrinkle_nose > 0 and ax < 0.14 and 7.1 < y < 7.42:
        row = (y - 7.2 + 0.25 * ax) / 0.065
        d = abs(row - math.floor(row + 0.5)) * 0.065
        fade = _step(0.14, 0.05, ax) * _step(7.12, 7.18, y) * _step(7.42, 7.34, y)
        w += look.wrinkle_nose * math.exp(-((d / 0.012) ** 2)) * fade
    if look.wrinkle_nasolabial > 0:
        d = min(_segment(ax, y, 0.185, 6.98, 0.27, 6.86), _segment(ax, y, 0.27, 6.86, 0.335, 6.66))
        w += look.wrinkle_nasolabial * math.exp(-((d / 0.020) ** 2))
    if look.wrinkle_crow > 0:
        d = min(_segment(ax, y, 0.50, 7.30, 0.60, 7.36), _segment(ax, y, 0.50, 7.27, 0.62, 7.27))
        d = min(d, _segment(ax, y, 0.495, 7.24, 0.60, 7.18))
        under = _segment(ax, y, 0.20, 7.165, 0.42, 7.165)
        w += look.wrinkle_crow * (math.exp(-((d / 0.010) ** 2)) + 0.7 * math.exp(-((under / 0.014) ** 2)))
    if look.wrinkle_chin > 0:
        w += look.wrinkle_chin * _noise(cx * 28, y * 28, 11) * math.exp(-(cx * cx / 0.02 + (y - 6.28) ** 2 / 0.012))
    if look.wrinkle_frown > 0:
        w += look.wrinkle_frown * math.exp(-((_segment(ax, y, 0.275, 6.60, 0.335, 6.47) / 0.018) ** 2))
    return min(w, 1.0)


@njit(cache=True, fastmath=True)
def _skin(x, y, z, lips, lids, inside, ears, scalp, look, seed):
    """Colour of the skin at a rest position, with beard, brows, lines, lips and short hair; and its shine."""
    ax = abs(x)
    grain = _noise(x * 5 + 17, y * 5, seed) * 0.6 + _noise(x * 17, y * 17 + z * 9, seed + 3) * 0.4 - 0.5
    shade = 1 + 0.14 * grain
    c = _tint(look.skin, shade, shade, shade)
    shine = 0.10
    if z > 0.5:
        warm = math.exp(-((ax - 0.48) ** 2 / 0.03 + (y - 6.98) ** 2 / 0.035))
        warm = look.blush * (warm + 0.8 * math.exp(-(x * x / 0.02 + (y - 6.98) ** 2 / 0.02)))
        c = _tint(c, 1 + 0.10 * warm, 1 - 0.28 * warm, 1 - 0.25 * warm)
    if z > 0.8:
        bag = math.exp(-((ax - 0.31) ** 2 / 0.028 + (y - 7.27) ** 2 / 0.012)) * look.eye_bags
        c = _tint(c, 1 - 0.30 * bag, 1 - 0.38 * bag, 1 - 0.30 * bag)
        if look.freckles > 0:
            q = look.freckles * min(max(_noise(x * 42, y * 42, seed + 9) - 0.78, 0.0) * 8, 1.0)
            c = _tint(c, 1 - 0.25 * q, 1 - 0.38 * q, 1 - 0.45 * q)
    if look.beard > 0 and z > -0.1 and y < 7.35 and ears < 0.3:
        edge = 6.72 + 0.66 * max(ax - 0.30, 0.0) + (0.10 if z < 0.8 else 0.0)
        beard = _step(edge + 0.08, edge - 0.06, y) * _step(5.95, 6.12, y)
        lip = math.exp(-((y - 6.79) ** 2) / 0.0016) * _step(0.36, 0.26, ax) * look.moustache
        q = max(beard, lip) * look.beard * (0.65 + 0.35 * _noise(x * 60, y * 45, seed + 5)) * (1 - lips)
        c = _mix(c, look.hair, q)
    if z > 0.9 and look.brow_alpha > 0 and 0.07 <= ax <= 0.60:
        t = (ax - 0.07) / 0.53
        thick = 0.040 * (1 - 0.75 * t * t) * _step(-0.05, 0.06, t) * look.brow_thickness
        d = abs(y - look.brow_height - (7.435 + 0.20 * t - 0.21 * t * t * t))
        hairs = 0.72 + 0.28 * _noise(x * 40 - y * 30, y * 25, seed + 7)
        c = _mix(c, look.brow, _step(1.35, 0.55, d / thick) * look.brow_alpha * hairs)
    if z > 0.7:
        w = _wrinkles(ax, y, x, look)
        c = _tint(c, 1 - 0.42 * w, 1 - 0.52 * w, 1 - 0.55 * w)
    c = _mix(c, look.lip, lips * look.lip_alpha)
    shine += 0.22 * lips
    q = lids * look.eye_shadow
    c = _tint(c, 1 - 0.5 * q, 1 - 0.55 * q, 1 - 0.5 * q)
    if look.hair_kind >= 1 and scalp + look.hairline > 0.2:
        q = _step(0.35, 0.6, scalp + 0.25 * (_noise(x * 30, z * 30 + y * 8, seed + 2) - 0.5) + look.hairline)
        strands = 0.75 + 0.5 * _noise(x * 45 + z * 20, y * 6, seed + 21)
        c = _mix(c, _tint(look.hair, strands, strands, strands), q)
        shine *= 1 - 0.5 * q
    q = min(max(inside * 1.6, 0.0), 1.0) if inside > 0.02 else 0.0
    return _mix(c, (0.30, 0.08, 0.08), q), shine * (1 - q), 1 - 0.75 * q


@njit(cache=True, fastmath=True)
def _eye(dx, dy, dz, look, seed):
    """Colour of the eyeball at an offset from its centre."""
    r = math.hypot(dx, dy)
    # In dark surroundings of the eye the camera exposes for the skin: a white as bright as on pale skin looks lit up.
    white = 0.62 + 0.30 * min(1.0, look.skin[1] * 2.2)
    vein = _step(0.07, 0.15, r)
    c = (0.92 * white, 0.89 * white * (1 - 0.12 * vein), 0.87 * white * (1 - 0.12 * vein))
    if dz > 0 and r < 0.075:
        fibre = 0.75 + 0.5 * _noise(math.atan2(dy, dx) * 6, r * 60, seed)
        limbus = fibre * (1 - 0.6 * _step(0.048, 0.066, r))
        c = _mix(c, _tint(look.iris, limbus, limbus, limbus), _step(0.072, 0.064, r))
        c = _mix(c, (0.02, 0.02, 0.02), _step(look.pupil + 0.006, look.pupil - 0.004, r))
    return c


@njit(cache=True, fastmath=True)
def _normals(v, triangles, pointers, indices):
    """Vertex normals (V, 3), and curvature (V,): positive in creases."""
    n = np.zeros((len(v), 3), np.float32)
    for k in range(len(triangles)):
        a, b, c = triangles[k]
        ux, uy, uz = v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2]
        wx, wy, wz = v[c, 0] - v[a, 0], v[c, 1] - v[a, 1], v[c, 2] - v[a, 2]
        nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        for q in (a, b, c):
            n[q, 0] += nx
            n[q, 1] += ny
            n[q, 2] += nz
    curvature = np.zeros(len(v), np.float32)
    for i in range(len(v)):
        length = math.sqrt(n[i, 0] ** 2 + n[i, 1] ** 2 + n[i, 2] ** 2) + 1e-12
        n[i] /= length
    for i in range(len(v)):
        lean, reach = 0.0, 1e-9
        for j in range(pointers[i], pointers[i + 1]):
            q = indices[j]
            dx, dy, dz = v[q, 0] - v[i, 0], v[q, 1] - v[i, 1], v[q, 2] - v[i, 2]
            lean += dx * n[i, 0] + dy * n[i, 1] + dz * n[i, 2]
            reach += math.sqrt(dx * dx + dy * dy + dz * dz)
        curvature[i] = lean / reach
    return n, curvature


@njit(cache=True, fastmath=True)
def _depths(v, sx, sy, triangles, material, hair_kind, side):
    """Z-buffer, triangle index and two barycentric coordinates of each pixel."""
    depth = np.full((side, side), -1e9, np.float32)
    face = np.full((side, side), -1, np.int32)
    bary = np.zeros((side, side, 2), np.float32)
    for k in range(len(triangles)):
        if material[k] == 5 and hair_kind < 2:
            continue
        a, b, c = triangles[k]
        x0, y0, x1, y1, x2, y2 = sx[a], sy[a], sx[b], sy[b], sx[c], sy[c]
        area = (y1 - y2) * (x0 - x2) + (x2 - x1) * (y0 - y2)
        if abs(area) < 1e-9:
            continue
        left, right = max(0, math.floor(min(x0, x1, x2))), min(side - 1, math.ceil(max(x0, x1, x2)))
        top, bottom = max(0, math.floor(min(y0, y1, y2))), min(side - 1, math.ceil(max(y0, y1, y2)))
        for yy in range(top, bottom + 1):
            for xx in range(left, right + 1):
                px, py = xx + 0.5, yy + 0.5
                w0 = ((y1 - y2) * (px - x2) + (x2 - x1) * (py - y2)) / area
                w1 = ((y2 - y0) * (px - x2) + (x0 - x2) * (py - y2)) / area
                w2 = 1 - w0 - w1
                if w0 < 0 or w1 < 0 or w2 < 0:
                    continue
                z = w0 * v[a, 2] + w1 * v[b, 2] + w2 * v[c, 2]
                if z > depth[yy, xx]:
                    depth[yy, xx] = z
                    face[yy, xx] = k
                    bary[yy, xx, 0] = w0
                    bary[yy, xx, 1] = w1
    return depth, face, bary


@njit(cache=True, fastmath=True)
def _occlusion(depth, xx, yy, nx, ny, nz, scale):
    """How open the surroundings of a pixel are, 1 to 0.15, from nearby depths."""
    side = len(depth)
    phase = (xx & 1) + 2 * (yy & 1)
    hidden = 0.0
    for r in range(2):
        radius = 0.10 if r == 0 else 0.25
        for q in range(8):
            x2 = int(xx + radius * scale * _TAPS[phase, r, q, 0])
            y2 = int(yy + radius * scale * _TAPS[phase, r, q, 1])
            if x2 < 0 or y2 < 0 or x2 >= side or y2 >= side:
                continue
            rise = depth[y2, x2] - depth[yy, xx]
            rise_over_slope = rise + (nx * (x2 - xx) - ny * (y2 - yy)) / scale / max(nz, 0.25)
            if rise_over_slope > 0 and rise < 1.2:
                hidden += min(rise_over_slope / radius, 1.0)
    return 1 - min(hidden / 16.0 * 1.5, 0.85)


@njit(cache=True, fastmath=True)
def _light(c, nx, ny, nz, kind, openness, shine, gloss, look):
    """Reflected linear RGB of a surface of colour ``c``."""
    kx, ky, kz = look.key_direction
    lit = max((nx * kx + ny * ky + nz * kz + 0.25) / 1.25, 0.0)
    if kind == 1:
        lit = 0.35 + 0.55 * lit
    elif kind == 2:
        lit = 0.30 + 0.45 * lit
        nx, ny, openness = nx * 0.3, ny * 0.3, max(openness, 0.62)
    fx, fy, fz = look.fill_direction
    fill = max(nx * fx + ny * fy + nz * fz, 0.0) * look.fill
    up = 0.5 + 0.5 * ny
    length = math.sqrt(kx * kx + ky * ky + (kz + 1) ** 2) + 1e-6
    glint = shine * max((nx * kx + ny * ky + nz * (kz + 1)) / length, 0.0) ** gloss
    open2 = openness * (0.55 + 0.45 * openness)
    r = c[0] * (look.key[0] * lit + fill * look.sky[0] + look.sky[0] * up + look.ground[0] * (1 - up)) * open2
    g = c[1] * (look.key[1] * lit + fill * look.sky[1] + look.sky[1] * up + look.ground[1] * (1 - up)) * open2
    b = c[2] * (look.key[2] * lit + fill * look.sky[2] + look.sky[2] * up + look.ground[2] * (1 - up)) * open2
    return r + glint * look.key[0], g + glint * look.key[1], b + glint * look.key[2]


@njit(cache=True, fastmath=True)
def _normal(triangle, w0, w1, n):
    """Interpolated unit normal, turned to the camera."""
    a, b, c = triangle
    w2 = 1 - w0 - w1
    nx = w0 * n[a, 0] + w1 * n[b, 0] + w2 * n[c, 0]
    ny = w0 * n[a, 1] + w1 * n[b, 1] + w2 * n[c, 1]
    nz = w0 * n[a, 2] + w1 * n[b, 2] + w2 * n[c, 2]
    length = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
    if nz < 0:
        length = -length
    return nx / length, ny / length, nz / length


@njit(cache=True, fastmath=True)
def _pixel(triangle, kind, w0, w1, nx, ny, nz, openness, curvature, canon, masks, scalp, eyes, look, seed):
    """Linear RGB of one covered sample."""
    a, b, c = triangle
    w2 = 1 - w0 - w1
    x = w0 * canon[a, 0] + w1 * canon[b, 0] + w2 * canon[c, 0]
    y = w0 * canon[a, 1] + w1 * canon[b, 1] + w2 * canon[c, 1]
    z = w0 * canon[a, 2] + w1 * canon[b, 2] + w2 * canon[c, 2]
    shine, gloss = 0.10, 20.0
    if kind == 0:
        lips = w0 * masks[a, 0] + w1 * masks[b, 0] + w2 * masks[c, 0]
        lids = w0 * masks[a, 1] + w1 * masks[b, 1] + w2 * masks[c, 1]
        inside = w0 * masks[a, 2] + w1 * masks[b, 2] + w2 * masks[c, 2]
        ears = w0 * masks[a, 3] + w1 * masks[b, 3] + w2 * masks[c, 3]
        hairy = w0 * scalp[a] + w1 * scalp[b] + w2 * scalp[c]
        colour, shine, dim = _skin(x, y, z, lips, lids, inside, ears, hairy, look, seed)
        crease = (w0 * curvature[a] + w1 * curvature[b] + w2 * curvature[c]) * 1.6
        openness *= dim * max(0.35, 1 - max(crease, 0.0)) * (1 + min(max(-crease, 0.0) * 0.25, 0.12))
    elif kind == 1:
        e = 0 if x > 0 else 1
        colour = _eye(x - eyes[e, 0], y - eyes[e, 1], z - eyes[e, 2], look, seed)
        shine, gloss, openness = 0.9, 90.0, openness * 0.9 + 0.1
    elif kind == 2:
        gap = abs(x / 0.058 - math.floor(x / 0.058 + 0.5)) > 0.45
        colour = (0.79, 0.73, 0.63) if gap else (0.86, 0.80, 0.70)
        shine, gloss, openness = 0.25, 40.0, 0.55 + 0.45 * openness
    elif kind == 3:
        colour, shine = (0.62, 0.25, 0.25), 0.2
    elif kind == 4:
        colour, shine = (0.06, 0.045, 0.04), 0.0
    else:
        strands = 0.7 + 0.6 * _noise(x * 40 + z * 25, y * 5, seed + 31)
        colour, shine = _tint(look.hair, strands, strands, strands), 0.15
    return _light(colour, nx, ny, nz, kind, openness, shine, gloss, look)


@njit(cache=True, fastmath=True, nogil=True)
def _prepare(v, sx, sy, triangles, material, pointers, indices, hair_kind, side):
    """Normals, curvature and visible triangles: all that the rows share."""
    n, curvature = _normals(v, triangles, pointers, indices)
    depth, face, bary = _depths(v, sx, sy, triangles, material, hair_kind, side)
    return n, curvature, depth, face, bary


@njit(cache=True, fastmath=True, nogil=True)
def _shade(first, last, n, curvature, depth, face, bary, canon, triangles, material, masks, scalp, eyes, look,
           background, samples, out):  # fmt: skip
    """Fill rows ``first`` to ``last`` of ``out`` (S, S, 3)."""
    seed = int(look.seed)
    share = 1.0 / (samples * samples)
    for row in range(first, last):
        for column in range(len(background)):
            r, g, b = 0.0, 0.0, 0.0
            openness, occluded_kind = 1.0, -1
            for point in range(samples * samples):
                yy, xx = row * samples + point // samples, column * samples + point % samples
                k = face[yy, xx]
                if k < 0:
                    pr, pg, pb = background[row, column, 0], background[row, column, 1], background[row, column, 2]
                else:
                    w0, w1, kind = bary[yy, xx, 0], bary[yy, xx, 1], material[k]
                    nx, ny, nz = _normal(triangles[k], w0, w1, n)
                    if kind != occluded_kind:  # the costly part: once a pixel and material
                        openness, occluded_kind = _occlusion(depth, xx, yy, nx, ny, nz, look.scale), kind
                    pr, pg, pb = _pixel(
                        triangles[k], kind, w0, w1, nx, ny, nz, openness,
                        curvature, canon, masks, scalp, eyes, look, seed,
                    )  # fmt: skip
                r, g, b = r + pr, g + pg, b + pb
            out[row, column, 0] = min(max(r * share, 0.0), 1.0) ** look.exponent
            out[row, column, 1] = min(max(g * share, 0.0), 1.0) ** look.exponent
            out[row, column, 2] = min(max(b * share, 0.0), 1.0) ** look.exponent


def rasterise(mesh: Head, v, sx, sy, look: Look, background: np.ndarray, samples: int, threads: int = 1) -> np.ndarray:
    """One picture.

    v: (V, 3) posed vertices; sx, sy: (V,) their pixels in the supersampled picture; background: (S, S, 3) linear RGB.
    Returns (S, S, 3) display RGB in [0, 1]; each pixel is the mean of ``samples`` x ``samples`` points. Rows are
    independent: any number of threads gives the same pixels.
    """
    size = len(background)
    shared = _prepare(v, sx, sy, mesh.triangles, mesh.material, *mesh.neighbours, look.hair_kind, size * samples)
    paint = (mesh.canon, mesh.triangles, mesh.material, mesh.masks, mesh.scalp, mesh.eyes, look, background, samples)
    out = np.empty((size, size, 3), np.float32)
    if threads == 1:
        _shade(0, size, *shared, *paint, out)
        return out
    bands = np.linspace(0, size, 4 * threads + 1).astype(int)  # more bands than threads: faces fill the middle rows
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda band: _shade(*band, *shared, *paint, out), pairwise(bands)))
    return out
