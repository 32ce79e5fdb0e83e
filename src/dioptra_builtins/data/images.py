"""Images from a folder, and what may be done to them before a model sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dioptra import pyplugs
from dioptra.errors import BaseTaskPluginError

__all__ = ["resize", "rotate"]

_EXTENSIONS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_CHANNELS = ((), (1,), (3,))
_GREY = frozenset({"1", "L", "I", "I;16", "I;16B", "F"})

Images = NDArray[np.float32]


@pyplugs.register
def resize(data_dir: str | PathLike[str], image_size: Sequence[int]) -> Images:
    """Read all images below a folder, in the order of their paths, and scale them to one size.

    Args:
        data_dir: Folder with images; they may lie in sub-folders, such as one for each class.
        image_size: (height, width) or (height, width, channels) in pixels, with 1 channel for grey and 3 for colour.
            Without channels they become grey if all of them are.

    Returns:
        The images, (n, height, width, channels) float32 in [0, 1].

    Raises:
        BaseTaskPluginError: There is no such folder, it holds no images, or one of them cannot be read.
    """
    height, width, channels = _size(image_size)
    paths = _image_paths(Path(data_dir))
    if channels is None:
        channels = 1 if all(_open(path).mode in _GREY for path in paths) else 3
    return np.stack([_scale(_pixels(_open(path), channels), height, width) for path in paths])


@pyplugs.register
def rotate(data: Images, image_size: Sequence[int], degrees: float = 90.0) -> Images:
    """Turn images about their middle, counter-clockwise, and scale them to one size.

    Quarter turns are exact and turn the frame too. Other turns keep the frame: what leaves it is cut off, what is
    uncovered is black.

    Args:
        data: (n, h, w, c) float32 in [0, 1], as `resize` gives them.
        image_size: (height, width) or (height, width, channels) in pixels, with the channels that the images have.
        degrees: Angle of the turn.

    Returns:
        The images, (n, height, width, c) float32 in [0, 1].

    Raises:
        BaseTaskPluginError: The array does not hold images, or they have another number of channels.
    """
    height, width, channels = _size(image_size)
    images = np.asarray(data, dtype=np.float32)
    if images.ndim != 4 or channels not in (None, images.shape[3]):
        raise BaseTaskPluginError(f"images of shape {images.shape} cannot become images of size {tuple(image_size)}")
    if not np.isfinite(degrees):
        raise BaseTaskPluginError(f"degrees must be a number, got {degrees}")
    turned = [_scale(_turn(image, degrees), height, width) for image in images]
    return np.stack(turned) if turned else np.empty((0, height, width, images.shape[3]), dtype=np.float32)


def _size(image_size: Sequence[int]) -> tuple[int, int, int | None]:
    """Return height, width and channels; a text such as "28,28,1", as scripts of 0.x give it, will do."""
    try:
        given = image_size.split(",") if isinstance(image_size, str) else tuple(image_size)
        size = tuple(int(length) for length in given)
        whole = all(float(length) == number for length, number in zip(given, size, strict=True))
    except (TypeError, ValueError):
        size, whole = (), False
    if not whole or len(size) not in (2, 3) or min(size) < 1 or size[2:] not in _CHANNELS:
        raise BaseTaskPluginError(
            f"image_size must be (height, width) or (height, width, channels) in pixels, got {image_size!r}",
            hint="channels are 1 or 3",
        )
    return size[0], size[1], size[2] if len(size) == 3 else None


def _image_paths(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise BaseTaskPluginError(f"there is no folder {folder}")
    found = [path for path in folder.rglob("*") if path.suffix.lower() in _EXTENSIONS and path.is_file()]
    if not found:
        raise BaseTaskPluginError(
            f"there are no images in {folder}", hint=f"looked for {', '.join(sorted(_EXTENSIONS))}"
        )
    return sorted(found, key=lambda path: path.relative_to(folder).parts)


def _open(path: Path) -> Image.Image:
    """Read an image whole, so that a damaged one is found here."""
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BaseTaskPluginError(f"{path} cannot be read as an image: {error}") from error


def _pixels(image: Image.Image, channels: int) -> Images:
    """Return the pixels of an image, (h, w, channels) float32 in [0, 1]."""
    if image.mode.startswith("I"):  # 16 bits; Pillow would cut them off instead of scaling them
        grey = np.clip(np.asarray(image, dtype=np.float32) / np.float32(65535), 0, 1)
        return np.repeat(grey[:, :, np.newaxis], channels, axis=2)
    array = np.asarray(image.convert("L" if channels == 1 else "RGB"), dtype=np.float32) / np.float32(255)
    return array.reshape(*array.shape[:2], channels)


def _scale(image: Images, height: int, width: int) -> Images:
    if image.shape[:2] == (height, width):
        return image
    return _by_channel(image, lambda channel: channel.resize((width, height), Image.Resampling.BILINEAR))


def _turn(image: Images, degrees: float) -> Images:
    if degrees % 90 == 0:
        return np.rot90(image, k=int(degrees // 90) % 4).copy()
    return _by_channel(image, lambda channel: channel.rotate(degrees, Image.Resampling.BILINEAR))


def _by_channel(image: Images, change: Callable[[Image.Image], Image.Image]) -> Images:
    """Change each channel in floating point numbers, which Pillow takes one at a time."""
    channels = [np.asarray(change(Image.fromarray(image[:, :, index]))) for index in range(image.shape[2])]
    return np.asarray(np.clip(np.stack(channels, axis=2), 0, 1), dtype=np.float32)
