"""Volumes that travel packed, once: what is kept and refused, and a real server that is sent one."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest

from medsight_core.client import MedSightClient
from medsight_core.errors import BusyError, CancelledError, InputError, TooLargeError, VolumeError
from medsight_core.imaging.segmentation_file import read_segmentation
from medsight_core.imaging.volume import announced_bytes, read_volume
from medsight_core.packing import content_of, pack_volume
from medsight_core.protocol import PACKED_EXTENSIONS, PATH_VOLUMES
from medsight_core.server.volumes import KeptVolumes

TURNED = np.array([[1.4, -0.8, 0.1, 7.25], [0.8, 1.4, -0.2, -1e-3], [0.05, 0.2, -2.5, 1 / 3], [0, 0, 0, 1]])
OTHER = "0" * 64


def noise(seed: int = 0, shape: tuple[int, ...] = (20, 24, 12)) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1000, 400, shape).astype(np.int16)


def packed(seed: int = 0) -> tuple[str, bytes]:
    return content_of(noise(seed), TURNED), pack_volume(noise(seed), TURNED, "zlib")


def keep(kept: KeptVolumes, content: str, body: bytes) -> None:
    with kept.arriving() as path:
        path.write_bytes(body)
        kept.keep(content, path)


def test_what_is_kept_reads_as_it_was(tmp_path):
    kept = KeptVolumes(tmp_path / "kept")
    content, body = packed()
    assert not kept.copy(content, tmp_path / "image.packed")
    keep(kept, content, body)
    assert kept.copy(content, tmp_path / "image.packed")
    keep(kept, content, pack_volume(noise(), TURNED, "blosc2"))  # again, by another client
    volume = read_volume(tmp_path / "image.packed", "CT")
    np.testing.assert_array_equal(volume.voxels, noise())
    assert announced_bytes(tmp_path / "image.packed") == noise().nbytes
    assert volume.affine.tobytes() == TURNED.tobytes()


def test_a_volume_for_which_there_is_no_memory(tmp_path):
    def admit(voxel_bytes: int) -> None:
        raise BusyError(f"{voxel_bytes} are too many.")

    kept = KeptVolumes(tmp_path / "kept", admit=admit)
    with pytest.raises(BusyError, match=rf"^{noise().nbytes} are too many\.$"):
        keep(kept, *packed())
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_without_links_it_is_copied(tmp_path, monkeypatch):
    def no_links(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(os, "link", no_links)
    kept = KeptVolumes(tmp_path / "kept")
    keep(kept, *packed())
    assert kept.copy(packed()[0], tmp_path / "image.packed")
    assert (tmp_path / "image.packed").read_bytes() == packed()[1]


def test_what_was_unused_for_longest_goes(tmp_path):
    bodies = [packed(seed) for seed in range(3)]
    kept = KeptVolumes(tmp_path / "kept", capacity=2 * len(bodies[0][1]) + 100)
    for age, (content, body) in enumerate(bodies[:2]):
        keep(kept, content, body)
        os.utime(tmp_path / "kept" / content, (age, age))
    assert kept.copy(bodies[0][0], tmp_path / "a.packed")  # used again: the second is older now
    keep(kept, *bodies[2])
    assert [kept.copy(content, tmp_path / f"{n}.packed") for n, (content, _) in enumerate(bodies)] == [
        True,
        False,
        True,
    ]


def test_other_content_and_no_content(tmp_path):
    kept = KeptVolumes(tmp_path / "kept")
    content, body = packed()
    with pytest.raises(InputError, match=r"^The volume has another content than its address names: send it again\.$"):
        keep(kept, OTHER, body)
    with pytest.raises(VolumeError, match=r"^The packed arrays are cut off or damaged: send them again\.$"):
        keep(kept, content, body[:-1])
    with pytest.raises(InputError, match=r"^A volume is addressed by its content, 64 digits of a hash"):
        kept.copy("../../etc", tmp_path / "image.packed")
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_volume_travels_once_and_its_masks_come_back_in_place(server, tmp_path):
    with MedSightClient(server.address, server.token) as client:
        assert client.codec() == "blosc2"
        told: list[tuple[int, int]] = []
        session = client.upload_voxels(noise(5), TURNED, lambda *sent: told.append(sent))
        assert told
        told.clear()
        other = client.upload_voxels(np.asfortranarray(noise(5)), TURNED, lambda *sent: told.append(sent))
        assert not told, "the server has it"
        client.delete_session(session)  # one of them is not the other
        question = {"session": other, "modality": "CT", "threshold": 0.0, "cancel": threading.Event()}
        plain = client.ask("Outline the right lung and the left lung.", **question)
        (tmp_path / "plain.seg.nrrd").write_bytes(plain.segmentation or b"")
        expected = read_segmentation(tmp_path / "plain.seg.nrrd")
        for ending in PACKED_EXTENSIONS.values():
            reply = client.ask("Outline the right lung and the left lung.", **question, result_extension=ending)
            masks = reply.masks()
            assert masks is not None
            assert reply.answer == plain.answer
            assert masks.affine.tobytes() == TURNED.tobytes()
            assert [mask.label for mask in masks.masks] == [segment.label for segment in expected.segments]
            for mask, segment in zip(masks.masks, expected.segments):
                np.testing.assert_array_equal(mask.on(masks.shape), segment.mask)
        client.delete_session(other)


def test_a_volume_above_the_servers_limit_and_one_that_is_cancelled(server, scratch, call, monkeypatch):
    monkeypatch.setattr("medsight_core.packing.has_blosc2", lambda: False)
    large = noise(8, (256, 256, 80))

    def cancel(sent: int, _: int) -> None:
        if sent:
            raise CancelledError("Enough.")

    with MedSightClient(server.address, server.token) as client:
        with pytest.raises(TooLargeError, match=r"^The image has 10\.5 MB and the server takes at most 8\.4 MB: crop"):
            client.upload_voxels(large, TURNED)
        with pytest.raises(CancelledError, match="Enough"):
            client.upload_voxels(noise(9), TURNED, cancel)
    until = time.monotonic() + 10
    while list(scratch.rglob("arriving")) and time.monotonic() < until:
        time.sleep(0.05)
    assert not list(scratch.rglob("arriving")), "what came of them is gone"
    for voxels in (large, noise(9)):
        assert call("POST", f"{PATH_VOLUMES}/{content_of(voxels, TURNED)}").status_code == 404


def test_a_client_without_blosc2_is_served_too(server, monkeypatch):
    monkeypatch.setattr("medsight_core.packing.has_blosc2", lambda: False)
    with MedSightClient(server.address, server.token) as client:
        assert client.codec() == "zlib"
        client.delete_session(client.upload_voxels(noise(6), TURNED))  # as it is, within one machine
        monkeypatch.setattr(client._transport, "is_local", False)
        client.delete_session(client.upload_voxels(noise(10), TURNED))  # with zlib


def test_refusals_of_the_server(call):
    content, body = packed(7)
    for method, path, data, status, text in (
        ("POST", content, b"", 404, "This server does not have a volume with this content: send it with PUT."),
        ("PUT", OTHER, body, 400, "The volume has another content than its address names: send it again."),
        ("PUT", content, body[:-9], 422, "The packed arrays are cut off or damaged: send them again."),
        ("PUT", "abc", body, 400, "A volume is addressed by its content, 64 digits of a hash: let the client send it."),
    ):
        response = call(method, f"{PATH_VOLUMES}/{path}", data=data)
        assert (response.status_code, response.json()["detail"]) == (status, text)
