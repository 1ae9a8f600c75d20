"""The answers about many studies in one folder: each whole or not there, so that a killed run goes on where it was.

An answer is written into a folder under another name and renamed. Knows files; neither the engine nor a terminal.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsight_core.answer import Answer
from medsight_core.cli import output
from medsight_core.errors import InputError
from medsight_core.files import flush, write_whole

if TYPE_CHECKING:
    from medsight_core.imaging.studies import Study
    from medsight_core.imaging.volume import Volume

ASKED_FILE = "asked.json"  # which question, by which model
STUDY_FILE = "study.json"  # in each answer's folder: about which image, in which state
SUMMARY_KINDS = ("csv", "jsonl")
ANSWERED, FAILED = "answered", "failed"
_UNFINISHED = ".part-"


@dataclass(frozen=True)
class Row:
    """One line of the summary. regions: name, volume and confidence of each. folder: of the answer's files."""

    study: str
    outcome: str
    answer: str = ""
    regions: tuple[Mapping[str, Any], ...] = ()
    absent: tuple[str, ...] = ()
    seconds: float = 0.0
    folder: str = ""
    error: str = ""

    @classmethod
    def of(cls, study: str, answer: Answer, seconds: float, folder: Path) -> Row:
        """The line of an answer."""
        regions = tuple(
            {"name": region.name, "volume_ml": round(region.volume_ml, 1), "confidence": round(region.confidence, 2)}
            for region in answer.regions
        )
        return cls(study, ANSWERED, answer.text, regions, tuple(answer.absent), round(seconds, 1), folder.name)

    def to_csv(self) -> dict[str, str]:
        """The same as text; several things in one cell are separated by semicolons."""
        cells = {name: str(value) for name, value in asdict(self).items() if name not in ("regions", "absent")}
        each = {name: "; ".join(str(region[name]) for region in self.regions) for name in ("volume_ml", "confidence")}
        return {**cells, "regions": "; ".join(region["name"] for region in self.regions), **each,
                "absent": "; ".join(self.absent)}  # fmt: skip


_COLUMNS = ("study", "outcome", "answer", "regions", "volume_ml", "confidence", "absent", "seconds", "folder", "error")


class Results:
    """The folder of one question's answers. Only one program may write to it at a time (`open`)."""

    def __init__(self, folder: Path, studies: Sequence[Study]) -> None:
        self.folder = folder
        self._places = dict(zip((study.name for study in studies), _folder_names(studies)))

    @contextlib.contextmanager
    def open(self, asked: Mapping[str, Any]) -> Iterator[None]:
        """Have the folder for the block. asked: the question and the model, as JSON.

        Raises InputError when it holds answers to another question, when another run has it, or when it cannot be
        written to.
        """
        from filelock import FileLock, Timeout

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".lock", timeout=0):
                self._check(asked)
                for path in self.folder.glob(f"{_UNFINISHED}*"):
                    shutil.rmtree(path, ignore_errors=True)
                yield
        except Timeout:
            raise InputError(
                f"Another 'medsight batch' writes to '{self.folder}': wait for it, or give another folder with --out."
            ) from None
        except OSError as error:
            raise self._unwritable(error) from error

    def known(self, study: Study) -> Row | None:
        """The line of a study that was answered before and has not changed since, or None."""
        folder = self.folder / self._places[study.name]
        try:
            about = json.loads((folder / STUDY_FILE).read_text("utf-8"))
            answer = Answer.from_json(json.loads((folder / output.ANSWER_FILE).read_text("utf-8")))
            if about["stamp"] != study.stamp() or (
                answer.regions and not (folder / output.SEGMENTATION_FILE).is_file()
            ):
                return None
            return Row.of(study.name, answer, about["seconds"], folder)
        except (OSError, ValueError, LookupError, TypeError):
            return None  # not there, or somebody has been at it

    def keep(self, study: Study, stamp: str, volume: Volume, answer: Answer, seconds: float) -> Row:
        """Write an answer, whole or not at all. stamp: `Study.stamp` from before the image was read.

        Raises InputError when it cannot be written.
        """
        final = self.folder / self._places[study.name]
        part, old = (self.folder / f"{_UNFINISHED}{secrets.token_hex(8)}" for _ in range(2))
        try:
            output.save(part, volume, answer)
            about = {"study": study.name, "stamp": stamp, "seconds": round(seconds, 1)}
            (part / STUDY_FILE).write_text(json.dumps(about, ensure_ascii=False) + "\n", encoding="utf-8")
            for file in (*part.iterdir(), part):
                flush(file)
            if final.exists():
                os.replace(final, old)  # a folder cannot be replaced in one step
            os.replace(part, final)
            flush(self.folder)
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            for path in (part, old):
                shutil.rmtree(path, ignore_errors=True)
        return Row.of(study.name, answer, seconds, final)

    def summarise(self, rows: Sequence[Row], kind: str) -> Path:
        """Write the table of all studies, as "csv" or "jsonl"; its path."""
        text = io.StringIO(newline="")
        if kind == "csv":
            writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(row.to_csv() for row in rows)
        else:
            text.writelines(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)
        path = self.folder / f"summary.{kind}"
        write_whole(path, text.getvalue().encode())
        return path

    def _check(self, asked: Mapping[str, Any]) -> None:
        path = self.folder / ASKED_FILE
        if not path.exists():
            write_whole(path, (json.dumps(asked, indent=2, ensure_ascii=False) + "\n").encode())
            return
        try:
            before = json.loads(path.read_text("utf-8"))
        except ValueError:
            before = None
        if before != asked:
            raise InputError(
                f"'{self.folder}' holds answers to another question or of another model: give another folder with "
                "--out, or remove it."
            )

    def _unwritable(self, error: OSError) -> InputError:
        reason = error.strerror or type(error).__name__
        return InputError(f"The answers cannot be written to '{self.folder}' ({reason}): choose another folder.")


def _folder_names(studies: Sequence[Study]) -> list[str]:
    """A name for each study's folder, all in one; where two would be the same, with something that differs."""
    names = [study.name.replace("/", "__") for study in studies]
    often = Counter(names)
    return [
        name if often[name] == 1 else f"{name}-{hashlib.sha256(study.name.encode()).hexdigest()[:8]}"
        for name, study in zip(names, studies)
    ]
