"""Digits, images from folders, and data sets in npz files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dioptra.errors import ArchiveError, BaseTaskPluginError
from dioptra_builtins.data.digits import load_digits
from dioptra_builtins.data.images import resize, rotate
from dioptra_builtins.data.npz import load_arrays, save_arrays


def test_digits_are_images_in_the_range_from_0_to_1() -> None:
    x, y = load_digits("training")

    assert x.shape[1:] == (8, 8, 1)
    assert x.dtype == np.float32
    assert y.dtype == np.int64
    assert (x.min(), x.max()) == (0.0, 1.0)
    assert sorted(set(y.tolist())) == list(range(10))


def test_the_two_subsets_share_nothing_and_hold_everything() -> None:
    (x_training, _), (x_testing, _) = load_digits("training"), load_digits("testing")

    assert len(x_training) + len(x_testing) == 1797
    rows = {image.tobytes() for image in x_training}
    assert not any(image.tobytes() in rows for image in x_testing)


def test_every_class_has_its_share_in_both_subsets() -> None:
    _, training = load_digits("training", test_fraction=0.25)
    _, testing = load_digits("testing", test_fraction=0.25)

    for label in range(10):
        share = (testing == label).sum() / ((testing == label).sum() + (training == label).sum())
        assert share == pytest.approx(0.25, abs=0.01)


def test_the_split_is_fixed_by_its_seed() -> None:
    first, again, other = load_digits("testing")[0], load_digits("testing")[0], load_digits("testing", split_seed=1)[0]

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"subset": "validation"}, "no subset 'validation'; have: testing, training"),
        ({"test_fraction": 1.5}, "test_fraction must be between 0 and 1, got 1.5"),
        ({"test_fraction": float("nan")}, "test_fraction must be between 0 and 1, got nan"),
        ({"test_fraction": 1}, "leaves the training subset empty"),
        ({"subset": "testing", "test_fraction": 0}, "leaves the testing subset empty"),
    ],
)
def test_a_subset_that_cannot_be_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(BaseTaskPluginError, match=message):
        load_digits(**arguments)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images in folders of two classes, named so that order matters."""
    for place, value in (("1/a.png", 255), ("0/b.png", 0), ("0/a.PNG", 51)):
        path = tmp_path / "images" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((6, 4), value, dtype=np.uint8)).save(path, "PNG")
    (tmp_path / "images" / "notes.txt").write_text("not an image")
    return tmp_path / "images"


def test_images_are_read_in_the_order_of_their_paths(folder: Path) -> None:
    data = resize(data_dir=folder, image_size=(3, 5))

    assert data.shape == (3, 3, 5, 1)
    assert data.dtype == np.float32
    assert data[:, 0, 0, 0] == pytest.approx([0.2, 0.0, 1.0])


@pytest.mark.parametrize(("image_size", "channels"), [((3, 5), 1), ((3, 5, 1), 1), ((3, 5, 3), 3), ([3, 5, 3], 3)])
def test_images_get_the_channels_that_are_asked_for(folder: Path, image_size: Any, channels: int) -> None:
    assert resize(data_dir=str(folder), image_size=image_size).shape == (3, 3, 5, channels)


def test_one_colour_image_makes_all_of_them_colour(folder: Path) -> None:
    pixels = np.zeros((6, 4, 3), dtype=np.uint8)
    pixels[:, :, 2] = 255
    Image.fromarray(pixels).save(folder / "blue.png")

    data = resize(data_dir=folder, image_size=(6, 4))

    assert data.shape == (4, 6, 4, 3)
    assert data[3, 0, 0] == pytest.approx([0, 0, 1])
    assert data[0, 0, 0] == pytest.approx([0.2, 0.2, 0.2])


def test_an_image_of_the_right_size_keeps_its_pixels(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(6, 4)
    Image.fromarray(pixels).save(tmp_path / "a.png")

    assert resize(data_dir=tmp_path, image_size=(6, 4))[0, :, :, 0] == pytest.approx(pixels / 255)


def test_images_of_16_bits_are_scaled_and_not_cut_off(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 13107], [32768, 65535]], dtype=np.uint16)).save(tmp_path / "a.png")

    assert resize(data_dir=tmp_path, image_size=(2, 2)).ravel() == pytest.approx([0, 0.2, 0.5, 1], abs=1e-4)


def test_a_folder_without_images_and_one_with_a_damaged_one_are_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(BaseTaskPluginError, match=r"there is no folder .*absent"):
        resize(data_dir=tmp_path / "absent", image_size=(8, 8))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BaseTaskPluginError, match=r"no images in .*empty; looked for \.bmp"):
        resize(data_dir=tmp_path / "empty", image_size=(8, 8))
    (folder / "0" / "broken.png").write_bytes((folder / "0" / "b.png").read_bytes()[:40])
    with pytest.raises(BaseTaskPluginError, match=r"broken\.png cannot be read as an image"):
        resize(data_dir=folder, image_size=(8, 8))


@pytest.mark.parametrize("image_size", [(8,), (0, 8), (8, 8, 2), (8.5, 8), (8, 8, 3, 1), (-1, 8)])
def test_a_size_that_is_none_is_refused(folder: Path, image_size: Any) -> None:
    with pytest.raises(BaseTaskPluginError, match="image_size must be"):
        resize(data_dir=folder, image_size=image_size)


def corner() -> Any:
    """One image, 2 high and 3 wide, with one white pixel in its upper left corner."""
    data = np.zeros((1, 2, 3, 1), dtype=np.float32)
    data[0, 0, 0, 0] = 1
    return data


@pytest.mark.parametrize(
    ("degrees", "size", "white"),
    [(90, (3, 2), (2, 0)), (180, (2, 3), (1, 2)), (-90, (3, 2), (0, 1)), (270, (3, 2), (0, 1)), (0, (2, 3), (0, 0))],
)
def test_quarter_turns_are_exact_and_counter_clockwise(
    degrees: float, size: tuple[int, int], white: tuple[int, int]
) -> None:
    turned = rotate(data=corner(), image_size=size, degrees=degrees)

    assert turned.shape == (1, *size, 1)
    assert turned.dtype == np.float32
    assert np.argwhere(turned[0, :, :, 0] == 1).tolist() == [list(white)]
    assert turned.sum() == 1


def test_other_turns_keep_the_frame_and_uncover_black() -> None:
    turned = rotate(data=np.ones((1, 9, 9, 3), dtype=np.float32), image_size=(9, 9, 3), degrees=45)

    assert turned.shape == (1, 9, 9, 3)
    assert turned[0, 4, 4] == pytest.approx([1, 1, 1])
    assert turned[0, 0, 0] == pytest.approx([0, 0, 0])
    assert turned.min() >= 0
    assert turned.max() <= 1


def test_what_resize_gives_is_what_rotate_takes(folder: Path) -> None:
    assert rotate(data=resize(data_dir=folder, image_size=(6, 4)), image_size=(8, 8)).shape == (3, 8, 8, 1)


@pytest.mark.parametrize(
    ("data", "image_size", "degrees"),
    [(np.zeros((8, 8)), (8, 8), 90), (corner(), (8, 8, 3), 90), (corner(), (8, 8), float("nan"))],
)
def test_what_cannot_be_turned_is_refused(data: Any, image_size: Any, degrees: float) -> None:
    with pytest.raises(BaseTaskPluginError):
        rotate(data=data, image_size=image_size, degrees=degrees)


def test_arrays_come_back_as_they_were_saved(tmp_path: Path) -> None:
    arrays = {"x": np.random.default_rng(0).random((3, 8, 8, 1), dtype=np.float32), "names": np.array(["a", "ü"])}

    path = save_arrays(arrays, "set", working_dir=tmp_path)
    loaded = load_arrays(path)

    assert path == tmp_path / "set.npz"
    assert [entry.name for entry in tmp_path.iterdir()] == ["set.npz"]
    assert list(loaded) == ["x", "names"]
    assert all(np.array_equal(loaded[name], arrays[name]) for name in arrays)
    assert loaded["x"].dtype == np.float32


def test_files_go_to_the_output_folder_of_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIOPTRA_OUTPUT_DIR", str(tmp_path / "outputs"))
    assert save_arrays({"y": [1]}, "a.npz") == tmp_path / "outputs" / "a.npz"

    monkeypatch.delenv("DIOPTRA_OUTPUT_DIR")
    monkeypatch.chdir(tmp_path)
    save_arrays({"y": [1]}, "a.npz")
    assert (tmp_path / "a.npz").is_file()


@pytest.mark.parametrize("file_name", ["../a.npz", "/tmp/evil/a.npz", "b/../../a.npz"])  # noqa: S108
def test_a_file_name_cannot_lead_out_of_the_folder(tmp_path: Path, file_name: str) -> None:
    with pytest.raises(BaseTaskPluginError, match="does not name a file in"):
        save_arrays({"y": [1]}, file_name, working_dir=tmp_path / "inside")


def test_pickles_are_neither_written_nor_read(tmp_path: Path) -> None:
    with pytest.raises(BaseTaskPluginError, match="array 'y' holds Python objects"):
        save_arrays({"y": [{"a": 1}]}, "a.npz", working_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []

    np.savez(tmp_path / "b.npz", y=np.array([Trap(tmp_path / "sprung")], dtype=object), allow_pickle=True)
    with pytest.raises(ArchiveError, match=r"b\.npz is not a readable npz file without pickles"):
        load_arrays(tmp_path / "b.npz")
    assert not (tmp_path / "sprung").exists()


class Trap:
    """An object that touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)
