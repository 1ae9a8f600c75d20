"""A CT of 79 million voxels: the event loop goes on, and putting an answer in is soon done. Limits of issue 6."""

from __future__ import annotations

import threading
import time

import pytest
from harness.slicer_app import wait_until

from benchmarks.slicer_large import Stops, measure, report

MOST_BEYOND_THE_IMPORT = 2.0  # seconds
LONGEST_STOP = 0.1
TRIES = 5  # of which one must be undisturbed: what the module itself does wrong, it does in each


@pytest.mark.slow
def test_a_large_volume_is_asked_about_without_a_standstill(panel, server):
    stops = []
    for _ in range(TRIES):
        figures = measure(panel, server)
        print(report(figures))
        for cost in (figures.first_answer, figures.same_answer_again, figures.after_an_edit):
            assert cost < MOST_BEYOND_THE_IMPORT + figures.mrml_import
        stops.append(figures.longest_stop)
        if min(stops) < LONGEST_STOP:
            return
    raise AssertionError(f"the event loop stood still for {stops} s")


@pytest.mark.parametrize("where", ["in the loop", "in a thread that keeps Python's lock"])
def test_a_standstill_is_noticed(medsight_module, where):
    stops, ticks = Stops(), []
    stops.begin()
    if where == "in the loop":
        time.sleep(2 * LONGEST_STOP)
    else:
        thread = threading.Thread(target=lambda: sum(range(40_000_000)))
        thread.start()
        wait_until(lambda: ticks.append(1) or not thread.is_alive(), 60)
    stops.end()
    assert stops.longest > LONGEST_STOP
    assert stops.by_the_clock >= stops.longest
