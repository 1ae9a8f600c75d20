"""One question asked of one study after another, here or in several processes at once; each answer is kept at once."""

from __future__ import annotations

import functools
import queue
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from medsight_core.cli.batch_results import FAILED, Results, Row
from medsight_core.errors import MedSightError
from medsight_core.protocol import Question

if TYPE_CHECKING:
    from medsight_core.engine.engine import Engine
    from medsight_core.imaging.studies import Study

# Where the phases of a question begin, as a share of all of it; roughly, for a bar.
_PHASES = {"encode": (0.0, 0.4), "generate": (0.4, 0.8), "decode": (0.8, 1.0)}

ENDED = "The process that was asked ended, perhaps for want of memory: the same command tries it again."

Show = Callable[[float], None]  # how much is done


class Asker:
    """Asks and keeps the answers. The model is loaded at the first study.

    threads: of the processor; torch's own choice when 0. bits: of the language model, as of `load_model`.
    """

    def __init__(
        self, model: Path, question: Question, results: Results, threads: int = 0, bits: int | None = None
    ) -> None:
        self.model, self.question, self.results = model, question, results
        self.bits, self._threads = bits, threads
        self._engine: Engine | None = None

    def answer(self, study: Study, show: Show) -> Row:
        """The row of a study; what goes wrong with it is in the row. Raises ModelError for a model that is none."""
        engine = self._loaded()
        try:
            return self._answer(engine, study, show)
        except MedSightError as error:
            return failed(study, str(error))
        except MemoryError:
            return failed(study, "There is not enough memory for this image: crop or downsample it.")
        except Exception as error:  # whatever it is, the other studies have nothing to do with it
            what = " ".join(f"{type(error).__name__}: {error}".split())
            return failed(study, f"Something unforeseen went wrong ({what}): ask about it alone.")

    def _answer(self, engine: Engine, study: Study, show: Show) -> Row:
        from medsight_core.imaging.volume import read_volume

        def report(phase: str, fraction: float) -> None:
            begin, end = _PHASES[phase]
            show(begin + (end - begin) * fraction)

        question, begun = self.question, time.monotonic()
        stamp = study.stamp()  # before reading: what changes meanwhile is asked again
        volume = read_volume(study.path, question.modality)
        answer = engine.answer(volume, question, report)
        engine.cache.clear()  # nobody asks about this image again
        engine.memories.clear()
        return self.results.keep(study, stamp, volume, answer, time.monotonic() - begun)

    def _loaded(self) -> Engine:
        if self._engine is None:
            import torch
            from transformers.utils.logging import disable_progress_bar

            from medsight_core.engine.engine import Engine

            disable_progress_bar()  # ours is enough
            if self._threads:
                torch.set_num_threads(self._threads)
            self._engine = Engine.load(self.model, bits=self.bits)
        return self._engine


def answers_at_once(asker: Asker, studies: Sequence[Study], replicas: int, show: Show) -> Iterator[Row]:
    """A row a study, as they come, from ``replicas`` processes of which each does what ``asker`` would.

    show: hears how many are done, with the parts of those at hand. Raises InputError when the models do not fit into
    memory, ModelError for a model that is none, ServerError when the processes cannot be had; one that dies costs the
    study that it was at.
    """
    from medsight_core.server.replicas import EndedError, check_room, running, share_of_threads
    from medsight_core.server.settings import DEFAULT_RESERVE

    check_room(replicas, asker.model, DEFAULT_RESERVE)
    make = functools.partial(Asker, asker.model, asker.question, asker.results, share_of_threads(replicas), asker.bits)
    left, news = deque(studies), queue.SimpleQueue[Row | Exception]()
    parts, done = [0.0] * replicas, 0
    with running(replicas, make) as processes:

        def work(place: int) -> None:
            def hear(part: float) -> None:
                parts[place] = part
                show(done + sum(parts))

            while left:
                try:
                    study = left.popleft()
                except IndexError:  # another one was quicker
                    return
                try:
                    news.put(processes.call(place, "answer", study, hear=hear))
                except EndedError:
                    news.put(failed(study, ENDED))
                except Exception as error:
                    news.put(error)
                    return
                parts[place] = 0.0

        for place in range(replicas):
            Thread(target=work, args=(place,), name="study", daemon=True).start()
        for _ in studies:
            row = news.get()
            done += 1
            if isinstance(row, Exception):
                left.clear()
                raise row
            yield row


def failed(study: Study, error: str) -> Row:
    """The row of a study that could not be asked about."""
    return Row(study.name, FAILED, error=error)
