"""`Tone`: HDR pictures as SDR ones, for models trained on SDR, and SDR colours in the coding of HDR.

Display light where diffuse white is 203 cd/m² (ITU-R BT.2408): PQ by SMPTE ST 2084, HLG by BT.2100 for a
display of 1000 cd/m². What is up to 0.6 of white stays, what is brighter is compressed smoothly; each colour
by itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .look import Look
from .pixels import Image, as_uint8, in_eight_bits, is_deep

_PQ = 16
_WHITE, _PEAK, _MOST = 203.0, 1000.0, 10000.0  # cd/m²
_KNEE, _GAMMA, _SYSTEM_GAMMA = 0.6, 2.4, 1.2
_M1, _M2, _C1, _C2, _C3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875  # ST 2084
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073  # BT.2100, HLG

Curve = npt.NDArray[np.float64]


class Tone:
    """The curves of one look, as tables.

    Args:
        look: of the pictures. Without HDR, depth is all that changes.
    """

    def __init__(self, look: Look) -> None:
        self._down: npt.NDArray[np.uint8] | None = None
        self._up = (np.arange(256) * 257).astype(np.uint16)
        if look.hdr is not None:
            is_pq = look.transfer == _PQ
            codes = np.arange(65536) / 65535
            light = _pq_light(codes) if is_pq else _hlg_light(codes)
            self._down = np.rint(255 * _compressed(light / _WHITE) ** (1 / _GAMMA)).astype(np.uint8)
            shown = _WHITE * (np.arange(256) / 255) ** _GAMMA
            up = _pq_code(shown) if is_pq else _hlg_code(shown)
            self._up = np.rint(65535 * up).astype(np.uint16)

    def to_sdr(self, image: Image) -> Image:
        """RGB of 16 bits -> RGB uint8 as SDR displays show it; uint8 stays as it is."""
        if self._down is None or not is_deep(image):
            return in_eight_bits(image)
        return as_uint8(self._down[image])

    def painted(self, image: Image, plain: Image, drawn: Image) -> Image:
        """A copy of ``image`` with what was ``drawn`` on its SDR form ``plain``, in its own coding."""
        if not is_deep(image):
            return drawn
        result = image.copy()
        changed = (plain != drawn).any(axis=2)
        result[changed] = self._up[drawn[changed]]
        return result


def _compressed(x: Curve) -> Curve:
    room = 1 - _KNEE
    return np.where(x <= _KNEE, x, _KNEE + room * (1 - np.exp(-(np.maximum(x, _KNEE) - _KNEE) / room)))


def _pq_light(code: Curve) -> Curve:
    power = code ** (1 / _M2)
    return np.asarray(_MOST * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1))


def _pq_code(light: Curve) -> Curve:
    power = (light / _MOST) ** _M1
    return np.asarray(((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2)


def _hlg_light(code: Curve) -> Curve:
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - _C) / _A) + _B) / 12)
    return np.asarray(_PEAK * scene**_SYSTEM_GAMMA)


def _hlg_code(light: Curve) -> Curve:
    scene = (light / _PEAK) ** (1 / _SYSTEM_GAMMA)
    upper = _A * np.log(np.maximum(12 * scene - _B, 1e-9)) + _C
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), upper)
