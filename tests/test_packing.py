"""Arrays as compressed bytes: they come back as they were, and what was tampered with is refused."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from medsight_core import packing
from medsight_core.errors import InputError, TooLargeError, VolumeError
from medsight_core.packing import content_of, pack_masks, pack_volume, unpack_masks, unpack_volume

CODECS = ("blosc2", "zlib", "stored")
TURNED = np.array([[0.4, -0.3, 0.1, 7.25], [0.3, 0.4, -0.2, -1e-3], [0.05, 0.2, 2.5, 1 / 3], [0, 0, 0, 1]])
FLIPPED = np.diag([-0.7, 0.7, -3.1, 1.0])
DAMAGED = r"^The packed arrays are cut off or damaged: send them again\.$"


def voxels(kind: str = "<i2", shape: tuple[int, ...] = (5, 7, 3)) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 100, shape).astype(kind)


def with_header(packed: bytes, **changes: object) -> bytes:
    """The same bytes with another header."""
    (length,) = struct.unpack("<I", packed[8:12])
    head = json.dumps({**json.loads(packed[12 : 12 + length]), **changes}).encode()
    return packed[:8] + struct.pack("<I", len(head)) + head + packed[12 + length :]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kind", ["u1", "i1", "<i2", "<u2", ">i2", "<i4", "<f4", "<f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_type_comes_back(codec, kind, order):
    sent = np.asarray(voxels(kind), order=order)
    found, affine = unpack_volume(pack_volume(sent, TURNED, codec))
    np.testing.assert_array_equal(found, sent)
    assert found.dtype == sent.dtype.newbyteorder("<")
    assert affine.tobytes() == TURNED.tobytes(), "patient space is exactly the same"


@pytest.mark.parametrize("codec", CODECS)
def test_an_array_of_many_pieces(codec, monkeypatch):
    monkeypatch.setattr(packing, "_PIECE", 64)
    sent = voxels(shape=(9, 11, 6))[::-1, :, ::2]  # flipped and strided
    found, affine = unpack_volume(pack_volume(sent, FLIPPED, codec))
    np.testing.assert_array_equal(found, sent)
    np.testing.assert_array_equal(affine, FLIPPED)
    assert packing.content_of_packed(pack_volume(sent, FLIPPED, codec)) == content_of(sent, FLIPPED)


def test_parts_are_the_whole_and_tell_how_far_they_are(monkeypatch):
    monkeypatch.setattr(packing, "_PIECE", 64)
    sent = voxels(shape=(9, 11, 6))
    parts = list(packing.parts_of_volume(sent, FLIPPED, "zlib"))
    assert b"".join(part for part, _ in parts) == pack_volume(sent, FLIPPED, "zlib")
    told = [done for _, done in parts]
    assert (told[0], told[-1]) == (0, sent.nbytes)
    assert told == sorted(told)
    assert packing.announced_bytes(pack_volume(sent, FLIPPED, "zlib")) == sent.nbytes


def test_content_is_of_values_and_place():
    sent = voxels()
    assert content_of(np.asfortranarray(sent), TURNED) == content_of(sent.astype(">i2"), TURNED)
    others = [(sent + 1, TURNED), (sent, FLIPPED), (sent.astype("<i4"), TURNED), (sent.reshape(7, 5, 3), TURNED)]
    assert len({content_of(*each) for each in [(sent, TURNED), *others]}) == 5


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("affine", [TURNED, FLIPPED], ids=["oblique", "flipped"])
def test_masks_come_back_cut_to_their_boxes(codec, affine):
    one, other = np.zeros((2, 12, 9, 7), bool)
    one[3:6, 2:9, 1] = other[5, 5, 0:3] = True  # they overlap
    sent = [(1, one), (4, np.asfortranarray(other)), (9, np.zeros_like(one)), (300, one[:, ::-1])]
    found = unpack_masks(pack_masks(sent, affine, codec, {4: {"MedSIGHT.Code": "M0_16"}}))
    assert [dict(mask.tags) for mask in found.masks] == [{}, {"MedSIGHT.Code": "M0_16"}, {}, {}]
    assert [mask.label for mask in found.masks] == [1, 4, 9, 300]
    assert found.masks[0].box.shape == (3, 7, 1)
    assert found.affine.tobytes() == affine.tobytes()
    for mask, (_, wanted) in zip(found.masks, sent):
        np.testing.assert_array_equal(mask.on(found.shape), wanted)


def test_no_masks():
    assert unpack_masks(pack_masks([], FLIPPED, "zlib")).masks == ()


@pytest.mark.parametrize("codec", CODECS)
def test_every_cut_is_noticed(codec):
    packed = pack_volume(voxels(), TURNED, codec)
    for length in range(0, len(packed), 5):
        for read in (unpack_volume, packing.content_of_packed):
            with pytest.raises(VolumeError, match=DAMAGED):
                read(packed[:length])
    with pytest.raises(VolumeError, match=DAMAGED):
        unpack_volume(packed + b"x")


@pytest.mark.parametrize("codec", CODECS)
def test_a_piece_that_holds_more_or_less_than_claimed(codec):
    packed = pack_volume(voxels(shape=(5, 7, 3)), TURNED, codec)
    for shape in ([5, 7, 2], [5, 7, 4], [7, 5, 0]):
        with pytest.raises(VolumeError, match=DAMAGED):
            unpack_volume(with_header(packed, arrays=[{"shape": shape, "dtype": "<i2"}]))


@pytest.mark.parametrize(
    "changes",
    [
        {"arrays": [{"shape": [5, 7], "dtype": "<i2"}]}, {"arrays": [{"shape": [5, 7, -3], "dtype": "<i2"}]},
        {"arrays": [{"shape": [5, 7, 3], "dtype": "|O8"}]}, {"arrays": []}, {"arrays": 3}, {"affine": [[1, 2], [3]]},
        {"affine": [[float("nan")] * 4] * 4}, {"affine": None},
    ],
)  # fmt: skip
def test_a_header_that_makes_no_sense(changes):
    with pytest.raises(VolumeError, match=DAMAGED):
        unpack_volume(with_header(pack_volume(voxels(), TURNED, "zlib"), **changes))


def test_a_bomb_is_refused_before_memory_is_taken():
    bomb = with_header(pack_volume(voxels(), TURNED, "zlib"), arrays=[{"shape": [512, 512, 300], "dtype": "<i2"}])
    with pytest.raises(TooLargeError, match=r"^The packed volume claims 157\.3 MB and came as 0\.000 MB: no image"):
        unpack_volume(bomb)
    with pytest.raises(TooLargeError, match=r"^The packed array has 1073741824 voxels and the limit is 536870912"):
        unpack_volume(with_header(bomb, arrays=[{"shape": [1024, 1024, 1024], "dtype": "|u1"}]))


def test_masks_outside_their_grid():
    packed = pack_masks([(1, np.ones((3, 3, 3), bool))], FLIPPED, "zlib")
    for changes in (
        {"segments": [[1, 1, 0, 0]]},
        {"segments": [[1, -1, 0, 0]]},
        {"segments": []},
        {"grid": [3, 3]},
        {"tags": [3]},
        {"tags": []},
    ):
        with pytest.raises(VolumeError, match=DAMAGED):
            unpack_masks(with_header(packed, **changes))


def test_another_codec_or_none(monkeypatch):
    packed = pack_volume(voxels(), TURNED, "blosc2")
    with pytest.raises(InputError, match=r"^Arrays packed with 'lzma' cannot be used here: pack with 'zlib'\.$"):
        unpack_volume(with_header(packed, codec="lzma"))
    monkeypatch.setattr(packing, "has_blosc2", lambda: False)
    with pytest.raises(InputError, match="Arrays packed with 'blosc2' cannot be used here"):
        unpack_volume(packed)


@pytest.mark.parametrize("kind", ["c8", "f2", "bool"])
def test_types_that_no_image_has(kind):
    with pytest.raises(VolumeError, match="cannot be sent: store them as int16 or float32"):
        pack_volume(np.ones((2, 2, 2), kind), FLIPPED, "zlib")
