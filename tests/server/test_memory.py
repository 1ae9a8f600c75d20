"""What fits into memory and what is refused, with numbers of our own in place of the machine's."""

from __future__ import annotations

import mmap
import os

import pytest

from medsight_core.errors import BusyError, TooLargeError
from medsight_core.server import memory as memory_module
from medsight_core.server.memory import Memory, free_memory, needed, resident_memory, total_memory

GB = 10**9


class Machine:
    """One of 16 GB."""

    def __init__(self, free: float, kept: float = 0.0) -> None:
        self.free, self.kept = free, kept
        self.memory = Memory(GB, self.kept_bytes, self.forget, lambda: 16 * GB, lambda: round(self.free * GB))

    def kept_bytes(self) -> int:
        return round(self.kept * GB)

    def forget(self) -> None:
        self.free, self.kept = self.free + self.kept, 0.0


def test_a_question_takes_several_times_its_voxels():
    assert needed(GB) == 5 * GB


def test_what_fits_is_taken_and_what_does_not_is_refused_with_the_time_to_wait():
    machine = Machine(free=6.0)
    machine.memory.admit(GB)
    machine.memory.claim(GB)
    machine.free = 5.9
    for refuse in (lambda: machine.memory.admit(GB, 0, 12.2), lambda: machine.memory.claim(GB, 12.2)):
        with pytest.raises(BusyError) as caught:
            refuse()
        assert str(caught.value) == (
            "The server is short of memory: this image takes some 5.0 GB and 5.9 GB are free, of which 1.0 GB are kept "
            "in reserve. Ask again in 13 seconds."
        )
        assert (caught.value.retry_after, caught.value.http_status, caught.value.exit_code) == (12.2, 503, 3)


def test_what_work_under_way_gives_back_counts_for_who_will_wait_for_it():
    machine = Machine(free=2.0)
    machine.memory.admit(GB, returning=4 * GB)
    with pytest.raises(BusyError):
        machine.memory.admit(GB, returning=3 * GB)


def test_what_others_beside_may_still_take_is_not_given_away():
    machine = Machine(free=9.0, kept=1.0)
    machine.memory.claim(GB, beside=4 * GB)
    assert not machine.kept, "it fits without what is kept"
    with pytest.raises(BusyError):
        machine.memory.claim(GB, beside=5 * GB)


def test_what_is_kept_for_speed_is_let_go_before_anybody_is_refused():
    machine = Machine(free=5.5, kept=0.5)
    machine.memory.admit(GB)
    assert machine.kept, "to say that it would fit, nothing has to go"
    machine.memory.claim(GB)
    assert not machine.kept
    comfortable = Machine(free=9.0, kept=0.5)
    comfortable.memory.claim(GB)
    assert comfortable.kept


def test_what_this_machine_can_never_hold_is_not_told_to_wait():
    with pytest.raises(TooLargeError) as caught:
        Machine(free=16.0).memory.admit(4 * GB)
    assert str(caught.value) == (
        "A question about this image takes some 20.0 GB of memory, more than this server has: crop or resample the "
        "image."
    )


def test_a_wait_that_is_not_known_is_not_told():
    assert str(BusyError("Full.")) == "Full."
    assert str(BusyError("Full.", 0.2)) == "Full. Ask again in 1 second."
    assert str(BusyError("Full. Ask again in 1 second.", 1.0)) == "Full. Ask again in 1 second."


def test_the_machine_is_asked():
    assert 0 < free_memory() <= total_memory()
    before = resident_memory()
    with mmap.mmap(-1, 64 << 20) as block:  # fresh pages, which count once they are written to
        block.write(os.urandom(1 << 10) * (64 << 10))
        assert resident_memory() - before > 0.9 * len(block)


def test_a_container_has_what_it_may_use(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_module, "_CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("2500000\n")
    (tmp_path / "memory.stat").write_text("anon 2000000\ninactive_file 400000\n")
    assert total_memory() == 3_000_000
    assert free_memory() == 900_000
    (tmp_path / "memory.max").write_text("max\n")
    assert total_memory() > 3_000_000
    assert free_memory() > 900_000
