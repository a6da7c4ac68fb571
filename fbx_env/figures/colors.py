"""Colours of the figures, distinguishable for readers with any kind of colour vision."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

PALETTE = ("#0072B2", "#E69F00", "#882255", "#56B4E9", "#117733", "#CC6677")
"""For things without an order, such as loss terms; after Okabe and Ito (2008) and Tol (2021)."""

LOAD = "#CC79A7"
"""Of forces of the world."""

DIVERGING = "RdBu_r"
"""Name, for matplotlib and for Plotly, of the map for signed values: blue, white at 0, red."""

_SEQUENCE = np.array([[13, 8, 135], [126, 3, 168], [204, 71, 120], [248, 149, 64]])
_WHITE = np.array([0.95047, 1.0, 1.08883])
_XYZ_TO_RGB = np.array(
    [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
)


def cyclic(angle: Float[np.ndarray, " n"]) -> list[str]:
    """Colours for angles [rad], such as directions: equal steps look equal, all the way round.

    The colours lie on an ellipse in the CIE L*a*b* space, as large as screens can show, that is
    nearly a circle for lightness and for blue against yellow. These two are what readers who
    confuse red and green see, so eight directions stay apart for them too.

    Returns:
        One ``#rrggbb`` an angle.

    Example:
        >>> cyclic(np.array([0.0, np.pi]))
        ['#838612', '#4c7fe0']
    """
    angle = np.asarray(angle, float)
    lightness = 54 + 22 * np.sin(angle)
    green_red = 44 * np.cos(angle + 1.9)
    blue_yellow = 55 * np.cos(angle)
    return _lab_to_hex(np.stack([lightness, green_red, blue_yellow], axis=-1))


def sequential(values: Float[np.ndarray, " n"]) -> list[str]:
    """Colours for numbers, from dark blue for the lowest to orange for the highest.

    They lie between four of the colour map plasma, whose lightness rises evenly.

    Returns:
        One ``#rrggbb`` a number; of equal numbers that in the middle.

    Example:
        >>> sequential(np.array([0.0, 10.0]))
        ['#0d0887', '#f89540']
    """
    values = np.asarray(values, float)
    low, high = values.min(), values.max()
    share = (values - low) / (high - low) if high > low else np.full(values.shape, 0.5)
    places = np.linspace(0, 1, len(_SEQUENCE))
    channels = [np.interp(share, places, channel) for channel in _SEQUENCE.T]
    return ["#" + bytes(rgb).hex() for rgb in np.rint(np.stack(channels, -1)).astype(np.uint8)]


def translucent(color: str, opacity: float) -> str:
    """A ``#rrggbb`` colour with an opacity between 0 and 1, as CSS writes it."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def _lab_to_hex(lab: Float[np.ndarray, "n 3"]) -> list[str]:
    """CIE L*a*b* (white point D65) to sRGB, as in IEC 61966-2-1, clipped to what screens show."""
    y = (lab[:, 0] + 16) / 116
    root = np.stack([y + lab[:, 1] / 500, y, y - lab[:, 2] / 200], axis=-1)
    xyz = _WHITE * np.where(root > 6 / 29, root**3, 3 * (6 / 29) ** 2 * (root - 4 / 29))
    linear = np.clip(xyz @ _XYZ_TO_RGB.T, 0, 1)
    srgb = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    return ["#" + bytes(channels).hex() for channels in np.rint(255 * srgb).astype(np.uint8)]
