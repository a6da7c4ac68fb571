"""Colours stay apart for readers with any kind of colour vision."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from fbx_env.figures import colors

# Machado, Oliveira and Fernandes (2009), table 1, severity 1.
VISION = {
    "full": np.eye(3),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
}
RGB_TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)


def lab(hexes, vision):
    """CIE L*a*b* of colours as someone sees them."""
    srgb = np.array([to_rgb(color) for color in hexes])
    linear = np.where(srgb > 0.04045, ((srgb + 0.055) / 1.055) ** 2.4, srgb / 12.92)
    xyz = np.clip(linear @ VISION[vision].T, 0, 1) @ RGB_TO_XYZ.T / [0.95047, 1, 1.08883]
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def smallest_difference(hexes, vision):
    seen = lab(hexes, vision)
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
    return apart[np.triu_indices(len(seen), 1)].min()


@pytest.mark.parametrize("vision", VISION)
def test_colours_can_be_distinguished(vision):
    """A difference of about 2 is just noticed; 10 is seen at a glance."""
    seven = colors.cyclic(2 * np.pi * np.arange(7) / 7)
    eight = colors.cyclic(2 * np.pi * np.arange(8) / 8)
    assert smallest_difference(seven, vision) > 15
    assert smallest_difference(eight, vision) > 15
    assert smallest_difference([*colors.PALETTE, "#000000", "#FFFFFF"], vision) > 18


def test_cyclic_colours_are_what_the_ellipse_says_and_dark_enough_for_white_paper():
    angle = np.linspace(0, 2 * np.pi, 50)
    seen = lab(colors.cyclic(angle), "full")
    np.testing.assert_allclose(seen[:, 0], 54 + 22 * np.sin(angle), atol=1)
    np.testing.assert_allclose(seen[:, 2], 55 * np.cos(angle), atol=3)
    assert colors.cyclic(angle)[0] == colors.cyclic(angle)[-1]


def test_translucent_is_the_same_colour_in_css():
    assert colors.translucent("#0072B2", 0.25) == "rgba(0,114,178,0.25)"


def test_numbers_have_colours_whose_lightness_rises_with_them():
    shades = colors.sequential(np.array([3.0, -1.0, 1.0, 2.0]))
    assert shades[1] == "#0d0887"
    assert shades[0] == "#f89540"
    weights = [0.2126, 0.7152, 0.0722]
    light = [np.dot(weights, [int(s[i : i + 2], 16) for i in (1, 3, 5)]) for s in shades]
    assert light[1] < light[2] < light[3] < light[0]
    assert len(set(colors.sequential(np.ones(3)))) == 1
