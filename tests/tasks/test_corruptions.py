"""Each corruption against another way to compute it."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage, signal

from tombola.core.text import parse
from tombola.tasks.corrupted import corrupt
from tombola.tasks.corruptions import blur, digital, noise, shared, weather


@pytest.fixture(scope="module")
def real() -> dict[str, np.ndarray]:
    return {text: parse("task", text).arrays().test_images[:120] for text in ("mnist", "cifar100_subset")}


def grey(value: float, side: int = 32, number: int = 50, channels: int = 3) -> np.ndarray:
    return np.full((number, side, side, channels), value)


def draws(number: int = 50, name: str = "test") -> shared.Draws:
    return shared.Draws(name, pictures=range(number))


# --- Noise: moments.


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_the_moments_of_noise(severity):
    x, number = grey(0.4), 50 * 32 * 32 * 3
    normal = noise.gaussian_noise(x, severity, draws()) - x
    sd = {1: 0.04, 3: 0.08, 5: 0.10}[severity]
    assert abs(normal.mean()) < 5 * sd / number**0.5 and normal.std() == pytest.approx(sd, rel=0.02)
    shot, photons = noise.shot_noise(x, severity, draws()), {1: 500, 3: 100, 5: 50}[severity]
    assert shot.mean() == pytest.approx(0.4, abs=5 * (0.4 / photons / number) ** 0.5)
    assert shot.var() == pytest.approx(0.4 / photons, rel=0.03)
    assert np.allclose(shot * photons, np.rint(shot * photons))
    hit = noise.impulse_noise(x, severity, draws())
    for value in (0.0, 1.0):
        share = {1: 0.01, 3: 0.03, 5: 0.07}[severity] / 2
        assert (hit == value).mean() == pytest.approx(share, abs=5 * (share / number) ** 0.5)
    one_only = ((hit != x).sum(3) == 1).mean() / (hit != x).any(3).mean()
    assert one_only > 0.9  # Channels are hit by themselves.


# --- Blur.


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_the_kernel_of_a_defocus_by_hand(severity):
    """At 32 pixels: one pixel, a plus of 5 or a block of 9, under the outer product of three Gaussian taps."""
    hard = {4: [[0, 1, 0], [1, 1, 1], [0, 1, 0]], 5: np.ones((3, 3))}.get(severity, [[0, 0, 0], [0, 1, 0], [0, 0, 0]])
    tap = np.exp(-0.5 / {1: 0.4, 2: 0.5, 3: 0.6, 4: 0.2, 5: 0.1}[severity] ** 2)
    soft = np.array([tap, 1, tap]) / (1 + 2 * tap)
    expected = signal.convolve2d(np.array(hard) / np.sum(hard), np.outer(soft, soft))
    kernel = blur.disk(32, severity)
    assert kernel[1:-1, 1:-1] == pytest.approx(expected, abs=1e-8) and kernel.sum() == pytest.approx(1)


@pytest.mark.parametrize("side", [4, 8, 16, 28, 32, 64])
def test_kernels_of_every_side(side: int):
    for severity in (1, 2, 3, 4, 5):
        kernel = blur.disk(side, severity)
        assert kernel.sum() == pytest.approx(1) and kernel == pytest.approx(kernel[::-1].T)
        x = np.random.default_rng(0).random((2, side, side, 3))
        reach = len(kernel) // 2
        if reach < side:
            slow = [signal.convolve2d(np.pad(p, reach, mode="reflect"), kernel, "valid") for p in x[..., 1]]
            assert blur.defocus_blur(x, severity, draws())[..., 1] == pytest.approx(np.array(slow))


def test_a_small_picture_is_blurred_less():
    def width(side: int, severity: int) -> float:
        kernel = blur.disk(side, severity)
        places = np.arange(len(kernel)) - len(kernel) // 2
        return float((kernel.sum(0) * places**2).sum())

    for severity in (1, 2, 3, 4, 5):
        widths = [width(side, severity) for side in (8, 16, 28, 32, 64)]
        assert widths == sorted(widths) and widths[-1] >= 4 * widths[-2]
    # A weight at distance 1 goes to 28 / 32: by triangles, 7/8 of it to pixel 1.
    assert width(28, 5) == pytest.approx(width(32, 5) * 7 / 8)


@pytest.mark.parametrize("swap", [True, False])
def test_glass_by_a_loop_over_one_picture(swap: bool):
    x = np.random.default_rng(1).random((3, 7, 7, 3))
    fast = blur.glass_blur(x, 5, draws(3), swap=swap)
    for turn, generator in enumerate(draws(3).generators):
        sigma = 0.4 * 7 / 32
        image = np.stack([ndimage.gaussian_filter(x[turn, ..., c], sigma, mode="nearest") for c in range(3)], 2)
        moves = generator.integers(-1, 1, size=(2, 25, 2))
        for moved in moves:
            walk = iter(moved)
            for row in range(6, 1, -1):
                for column in range(6, 1, -1):
                    down, right = next(walk)
                    there = row + down, column + right
                    before = image[row, column].copy()
                    image[row, column] = image[there]
                    if swap:
                        image[there] = before
        image = np.stack([ndimage.gaussian_filter(image[..., c], sigma, mode="nearest") for c in range(3)], 2)
        assert fast[turn] == pytest.approx(image)


def test_exchanging_keeps_the_pixels_and_overwriting_does_not():
    x = np.random.default_rng(1).random((2, 8, 8, 1))
    exchanged, overwritten = (blur.glass_blur(x, 1, draws(2), swap=swap) for swap in (True, False))
    assert np.sort(exchanged.ravel()) == pytest.approx(np.sort(x.ravel()))  # Its sigma is 0.05: nothing is blurred.
    assert len(np.unique(overwritten)) < len(np.unique(x))


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_motion_by_a_sum_over_taps(severity):
    radius, sigma = blur.MOTION[severity - 1]
    x = np.random.default_rng(2).random((4, 32, 32, 3))
    fast = blur.motion_blur(x, severity, draws(4))
    for turn, generator in enumerate(draws(4).generators):
        angle = np.deg2rad(generator.uniform(-45, 45))
        weights = [np.exp(-(i**2) / (2 * sigma**2)) for i in range(2 * radius + 1)]
        for row, column in ((0, 0), (3, 30), (16, 17), (31, 31)):
            value = 0.0
            for i, weight in enumerate(weights):
                r = min(max(row + int(np.ceil(i * np.sin(angle) - 0.5)), 0), 31)
                c = min(max(column + int(np.ceil(i * np.cos(angle) - 0.5)), 0), 31)
                value += weight / sum(weights) * x[turn, r, c]
            assert fast[turn, row, column] == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("severity", [1, 4])
def test_zooming_is_the_mean_of_enlargements(severity):
    """By scipy's affine transform, one factor and one channel at a time."""
    x = np.random.default_rng(3).random((2, 28, 28, 3))
    factors = {1: [1 + i / 100 for i in range(7)], 4: [1 + i / 100 for i in range(21)]}[severity]
    slow = x.copy()
    for factor in factors:
        offset = 13.5 - 13.5 / factor
        for picture in range(2):
            for channel in range(3):
                slow[picture, ..., channel] += ndimage.affine_transform(
                    x[picture, ..., channel], np.eye(2) / factor, offset, order=1, mode="nearest"
                )
    assert blur.zoom_blur(x, severity, draws()) == pytest.approx(slow / (len(factors) + 1), abs=1e-7)


# --- Weather.


def test_brightness_by_hand():
    x = np.array([[[0, 0, 0], [0.2, 0.4, 0.1]], [[0.9, 0.3, 0.6], [1, 1, 1]]])[None]
    expected = [[[0.3, 0.3, 0.3], [0.35, 0.7, 0.175]], [[1, 1 / 3, 2 / 3], [1, 1, 1]]]
    assert weather.brightness(x, 5, draws())[0] == pytest.approx(np.array(expected))


def test_brightness_keeps_hue_and_saturation(real: dict):
    from matplotlib.colors import rgb_to_hsv

    x = real["cifar100_subset"][:20] / 255
    before, after = rgb_to_hsv(x), rgb_to_hsv(weather.brightness(x, 2, draws()))
    assert after[..., 2] == pytest.approx(np.minimum(before[..., 2] + 0.1, 1))
    coloured = before[..., 2] > 0
    assert after[..., :2][coloured] == pytest.approx(before[..., :2][coloured])


def test_fog_by_its_formula():
    x = np.random.default_rng(4).random((3, 16, 16, 3)) * np.array([0.5, 1, 0]).reshape(3, 1, 1, 1)
    veil = shared.clouds(draws(3), 16, 2.0)
    out = weather.fog(x, 4, draws(3))
    for turn in range(3):
        top = x[turn].max()
        assert out[turn] == pytest.approx((x[turn] + 1.0 * veil[turn][..., None]) * top / (top + 1.0))
    assert (out[2] == 0).all()  # A black picture has no light to scatter.


def test_clouds_by_a_loop_over_one_map():
    """Squares, then edges, each point by itself, around the border."""
    for side, decay in ((8, 3.0), (6, 1.75)):
        maps = shared.clouds(draws(2), side, decay)
        for turn, generator in enumerate(draws(2).generators):
            walk = iter(generator.uniform(-1, 1, 63))
            field, step, extent = np.zeros((8, 8)), 8, 1.0
            while step > 1:
                half = step // 2
                starts = range(0, 8, step)
                for down, right, around in (
                    (half, half, [(-half, -half), (-half, half), (half, -half), (half, half)]),
                    (0, half, [(0, -half), (0, half), (-half, 0), (half, 0)]),
                    (half, 0, [(0, -half), (0, half), (-half, 0), (half, 0)]),
                ):
                    for r in starts:
                        for c in starts:
                            row, column = r + down, c + right
                            near = [field[(row + a) % 8, (column + b) % 8] for a, b in around]
                            field[row, column] = sum(near) / 4 + extent * next(walk)
                step, extent = half, extent / decay**2
            field -= field.min()
            assert maps[turn] == pytest.approx((field / field.max())[:side, :side])


def test_frost_lies_over_the_picture_and_is_bluish():
    black = weather.frost(grey(0.0), 5, draws())
    assert 0 <= black.min() and black.max() <= 0.45
    assert black[..., 2] * 0.85 == pytest.approx(black[..., 0]) and 0.1 < black.mean() < 0.35
    assert weather.frost(grey(0.4), 5, draws()) - black == pytest.approx(grey(0.4 * 0.75))
    assert weather.frost(grey(0.0, channels=1), 5, draws())[..., 0] == pytest.approx(black[..., 2] * 0.96)


def test_snow_whitens_and_falls_twice():
    x = np.random.default_rng(5).random((20, 32, 32, 3)) * 0.3
    out = weather.snow(x, 2, draws(20))
    luma = x @ [0.299, 0.587, 0.114]
    falling = out - (0.9 * x + 0.1 * np.maximum(x, 1.5 * luma[..., None] + 0.5))
    assert falling.min() > -1e-9 and falling.max() > 0.2
    assert falling[..., 0] == pytest.approx(falling[..., 2])
    assert falling == pytest.approx(falling[:, ::-1, ::-1])
    # Flakes fall: neighbours above one another are more alike than those beside.
    upright, level = (np.square(np.diff(falling[..., 0], axis=axis)).mean() for axis in (1, 2))
    assert upright < 0.7 * level


def test_flakes_are_those_above_the_least(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(weather, "drifted", lambda x, *_: x)
    falling = weather.snow(grey(0.0), 2, draws()) - 0.1 * 0.5
    flakes = np.stack([g.normal(0.1, 0.2, (32, 32)) for g in draws().generators])
    flakes = np.clip(np.where(flakes < 0.5, 0, flakes), 0, 1)
    assert falling[..., 1] == pytest.approx(flakes + flakes[:, ::-1, ::-1])


# --- Digital.


def test_contrast_by_hand():
    x = np.array([[0.0, 0.4], [0.8, 1.0]]).reshape(1, 2, 2, 1)  # Its mean is 0.55.
    expected = [[0.275, 0.475], [0.675, 0.775]]
    assert digital.contrast(x, 2, draws())[0, ..., 0] == pytest.approx(np.array(expected))
    two = np.concatenate([x, x / 2], 3)
    assert digital.contrast(two, 2, draws())[..., 1] == pytest.approx(digital.contrast(x, 2, draws())[..., 0] / 2)


@pytest.mark.parametrize("severity", [1, 2, 3, 5])
def test_elastic_by_scipys_coordinates(severity):
    """One picture at a time: the affine map from three pairs of points by least squares, then the field."""
    side, (strength, smooth, jitter) = 28, digital.ELASTIC[severity - 1]
    x = np.random.default_rng(6).random((3, side, side, 3))
    fast = digital.elastic_transform(x, severity, draws(3))
    for turn, generator in enumerate(draws(3).generators):
        fixed = np.array([[23.0, 23.0], [23.0, 5.0], [5.0, 5.0]])
        moved = fixed + generator.uniform(-jitter * side, jitter * side, (3, 2))
        back = np.linalg.lstsq(np.c_[moved, np.ones(3)], fixed, rcond=None)[0]
        rows, columns = np.indices((side, side)).astype(float)
        if strength:
            field = generator.uniform(-1, 1, (side, side, 2))
            rows, columns = (
                at + strength * side * ndimage.gaussian_filter(field[..., i], smooth * side, truncate=3)
                for i, at in enumerate((rows, columns))
            )
        points = np.stack([rows.ravel(), columns.ravel(), np.ones(side * side)], 1) @ back
        for channel in range(3):
            slow = ndimage.map_coordinates(x[turn, ..., channel], points.T, order=1, mode="mirror")
            assert fast[turn, ..., channel].ravel() == pytest.approx(slow, abs=1e-6)


@pytest.mark.parametrize(("severity", "quality"), [(1, 80), (5, 40)])
@pytest.mark.parametrize("text", ["mnist", "cifar100_subset"])
def test_jpeg_by_pillow(severity, quality: int, text: str, real: dict):
    images = real[text][:5]
    out = corrupt(images, kind="jpeg_compression", severity=severity, split="test")
    for before, after in zip(images, out, strict=True):
        file = io.BytesIO()
        Image.fromarray(before.squeeze()).save(file, format="JPEG", quality=quality)
        assert (np.asarray(Image.open(file)) == after.squeeze()).all()


def test_coarse_pixels_by_the_middles_they_cover():
    """0.65 of 28 pixels are 18, each the mean of one or two; larger again, each pixel is the coarse one it lies in."""
    x = np.random.default_rng(7).integers(0, 256, (1, 28, 28, 1)).astype(np.uint8)
    home = np.ceil((np.arange(28) + 0.5) * 18 / 28 - 1).astype(int)
    inside = (home == np.arange(18)[:, None]) / np.bincount(home)[:, None]
    small = inside @ x[0, ..., 0] @ inside.T
    out = corrupt(x, kind="pixelate", severity=5, split="test")[0, ..., 0]
    assert np.abs(out - small[home][:, home]).max() <= 1  # Pillow rounds between rows and columns.
