"""The versions of a model: one folder each, written once, and a file ``CURRENT`` that names the one that is served.

A version is whole or not there: its folder is filled under another name, flushed and renamed. ``CURRENT`` is replaced
in one step. So whoever is killed at whatever moment leaves the served model as it was, and what is left half done is
removed by the next who takes the work. The model that all versions stem from is version "base"; it lies elsewhere and
is never written to. Safe to use from several processes. Knows nothing of how a model is trained.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock, Timeout

from medsight_core.engine.change_record import ChangeRecord
from medsight_core.engine.promotion import Evaluation, Verdict, judge
from medsight_core.errors import InputError, ModelError, NotFoundError
from medsight_core.files import OWN_FOLDER, file_hash, flush, remove_parts, write_whole
from medsight_core.model.identity import model_identity
from medsight_core.model.loading import load_model, read_config

BASE = "base"
RECORD, RECORD_TEXT = "version.json", "CHANGES.md"

_SCHEMA = 1
_CURRENT = "CURRENT"
_HISTORY = "history.json"
_PART = ".part-"
_NAME = re.compile(r"v([1-9][0-9]{0,5})")
_WAIT_SECONDS = 30.0  # for another process that points CURRENT somewhere else, which takes milliseconds


@dataclass(frozen=True)
class Version:
    """One version.

    name: "base", "v1", "v2" and so on. parent: the version that it was trained from, "" for the base. created: UTC,
    ISO 8601. data_hash: of what it was trained on. files: hash by file name. evaluation, change: None for the base.
    """

    name: str
    folder: Path
    parent: str = ""
    created: str = ""
    data_hash: str = ""
    evaluation: Evaluation | None = None
    change: ChangeRecord | None = None
    files: Mapping[str, str] = field(default_factory=dict)


class Registry:
    """The versions below ``root`` that stem from the model folder ``base``."""

    def __init__(self, root: Path, base: Path) -> None:
        self.root, self.base = root, base

    @classmethod
    def of_studies(cls, studies: Path, base: Path) -> Registry:
        """The registry of a studies folder. Each base has its own, so that another base starts with itself.

        Raises ModelError when there is no model in ``base``.
        """
        read_config(base)
        return cls(studies / OWN_FOLDER / "models" / model_identity(base), base)

    def current(self) -> str:
        """The name of the version that is served. Raises ModelError when ``CURRENT`` is damaged."""
        try:
            name = (self.root / _CURRENT).read_text().strip()
        except FileNotFoundError:
            return BASE
        except (OSError, UnicodeDecodeError):
            name = ""
        if name != BASE and not _NAME.fullmatch(name):
            raise ModelError(
                f"The file {self.root / _CURRENT} names no version: remove it to serve the base model, or write the "
                "name of a version into it."
            )
        return name

    def folder(self, name: str) -> Path:
        """The model folder of a version; NotFoundError when there is none."""
        if name == BASE:
            return self.base
        folder = self.root / name
        if not _NAME.fullmatch(name) or not (folder / RECORD).is_file():
            raise NotFoundError(f"There is no model version {name!r} here: use one of {', '.join(self._names())}.")
        return folder

    def version(self, name: str) -> Version:
        """What is known of a version. Raises NotFoundError, or ModelError when its record is damaged."""
        folder = self.folder(name)
        if name == BASE:
            return Version(BASE, folder)
        try:
            data = json.loads((folder / RECORD).read_bytes())
            known = {key: str(data[key]) for key in ("parent", "created", "data_hash")}
            evaluation = Evaluation.from_json(data["evaluation"])
            return Version(
                name, folder, **known, evaluation=evaluation, change=ChangeRecord.from_json(data["change"]),
                files={str(file): str(content) for file, content in data["files"].items()},
            )  # fmt: skip
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            raise ModelError(
                f"The record {folder / RECORD} is damaged: bring it back from a copy, or remove the version's folder."
            ) from None

    def versions(self) -> list[Version]:
        """All versions, the base first, then as they came; without those whose record is damaged."""
        found = []
        for name in self._names():
            with suppress(ModelError, NotFoundError):
                found.append(self.version(name))
        return found

    def history(self) -> list[dict[str, str]]:
        """What was served instead of what, since when and why: ``{"time", "from", "to", "why"}``, oldest first."""
        try:
            entries: list[dict[str, str]] = json.loads((self.root / _HISTORY).read_bytes())
        except (OSError, ValueError):
            return []
        return entries

    @contextmanager
    def work(self) -> Iterator[Path]:
        """The right to train, for one at a time, and a new folder to write into; what is in it then goes.

        Raises InputError when somebody else has it. What a killed one left is removed first.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with self._alone(wait=1.0):  # others may be looking whether somebody is at work
            self._remove_leftovers()
            part = Path(tempfile.mkdtemp(prefix=_PART, dir=self.root))
            try:
                yield part
            finally:
                shutil.rmtree(part, ignore_errors=True)

    def at_work(self) -> bool:
        """Whether somebody has the right to train now, in whatever process."""
        if not self.root.is_dir():
            return False
        try:
            with self._alone(wait=0.2):  # somebody else may be looking, too
                return False
        except InputError:
            return True

    def clean_up(self) -> None:
        """Remove what a killed training left, unless one is at work."""
        if self.root.is_dir():
            with suppress(InputError), self._alone():
                self._remove_leftovers()
                with self._lock():  # nobody is pointing CURRENT elsewhere
                    remove_parts(self.root)

    def publish(
        self, written: Path, parent: str, data_hash: str, evaluation: Evaluation, change: ChangeRecord
    ) -> Version:
        """Keep a model folder, which must lie in `work`'s, as the next version; it is not served yet.

        Its configuration gets the version's name behind the parent's version, so that answers tell them apart.
        Raises NotFoundError for an unknown parent, ModelError when the folder cannot be loaded, OSError when the disk
        does not take it; then nothing is kept.
        """
        of_parent = read_config(self.folder(parent)).version.partition("+")[0]
        load_model(written, merge=False)  # a model that cannot be loaded is none
        with self._lock():
            name = f"v{max((_number(path.name) for path in self.root.glob('v*')), default=0) + 1}"
            config = json.loads((written / "config.json").read_bytes())
            config["version"] = f"{of_parent}+{name}"
            write_whole(written / "config.json", json.dumps(config, indent=2).encode())
            created = _now()
            verdict = self._verdict(evaluation, parent)
            text = change.to_text(name, parent, created, evaluation, verdict)
            write_whole(written / RECORD_TEXT, text.encode())
            (written / RECORD).unlink(missing_ok=True)  # of a parent that was copied
            files = sorted(path for path in written.iterdir() if path.is_file())
            record = {
                "schema": _SCHEMA, "parent": parent, "created": created, "data_hash": data_hash,
                "evaluation": evaluation.to_json(), "verdict": verdict.__dict__, "change": change.to_json(),
                "files": {path.name: file_hash(path) for path in files},
            }  # fmt: skip
            write_whole(written / RECORD, json.dumps(record, indent=1).encode())
            for path in (*files, written):
                flush(path)
            written.rename(self.root / name)
            flush(self.root)
        return self.version(name)

    def verdict(self, name: str) -> Verdict:
        """Whether a version may be served. Raises NotFoundError or ModelError."""
        version = self.version(name)
        if version.evaluation is None:
            return Verdict(True, "It is the base model.")
        return self._verdict(version.evaluation, version.parent)

    def promote(self, name: str, instead_of: str | None = None) -> Verdict:
        """Serve a version from now on, if the rule allows it; the verdict. A version that is not allowed stays.

        instead_of: serve it only if this one is served now. Raises NotFoundError, or ModelError when a file is no
        longer what was published.
        """
        verdict = self.verdict(name)
        if verdict.allowed:
            self._check_files(self.version(name))
            with self._lock():
                now = self.current()
                if instead_of not in (None, now):
                    return Verdict(
                        False,
                        f"{now} is served by now, and {name} was compared with {instead_of}: train again from {now}, "
                        f"or run 'medsight models promote {name}'.",
                    )
                if now != name:
                    self._point_to(name, f"promoted: {verdict.reason}")
        return verdict

    def rollback(self, to: str | None = None) -> str:
        """Serve an earlier version again; its name. ``to``: which, by default the one that was served before.

        Raises InputError when there is none, NotFoundError for an unknown one.
        """
        with self._lock():
            now = self.current()
            target = to or self._before(now)
            if target == now:
                raise InputError(f"{now} is what is served: there is nothing to go back to.")
            verdict = self.verdict(target)
            if not verdict.allowed:
                raise InputError(f"{target} is none that may be served: {verdict.reason}")
            self._check_files(self.version(target))
            self._point_to(target, f"rolled back from {now}")
        return target

    def _verdict(self, evaluation: Evaluation, parent: str) -> Verdict:
        return judge(evaluation, self._reference_start(evaluation.reference.data, parent))

    def _reference_start(self, data: str, parent: str) -> float | None:
        """Dice of the first ancestor on the same reference set; None when there was no such measurement."""
        start = None
        seen: set[str] = set()
        while data and parent not in ("", BASE, *seen):
            seen.add(parent)
            try:
                ancestor = self.version(parent)
            except (ModelError, NotFoundError):
                break
            if ancestor.evaluation is not None and ancestor.evaluation.reference.data == data:
                start = ancestor.evaluation.reference.before
            parent = ancestor.parent
        return start

    def _before(self, now: str) -> str:
        """What was served before a version was promoted, or else what it was trained from."""
        for entry in reversed(self.history()):
            if entry.get("to") == now and entry.get("why", "").startswith("promoted"):
                with suppress(NotFoundError):
                    self.folder(entry["from"])
                    return entry["from"]
        return now if now == BASE else self.version(now).parent

    def _point_to(self, name: str, why: str) -> None:
        """Replace ``CURRENT``. The history comes first: it may tell of what did not happen, and hides nothing."""
        entries = [*self.history(), {"time": _now(), "from": self.current(), "to": name, "why": why}]
        write_whole(self.root / _HISTORY, json.dumps(entries, indent=1).encode())
        write_whole(self.root / _CURRENT, f"{name}\n".encode())
        flush(self.root)

    def _check_files(self, version: Version) -> None:
        for name, content in version.files.items():
            path = version.folder / name
            if not path.is_file() or file_hash(path) != content:
                raise ModelError(
                    f"The file {name} of {version.name} is not what was published: bring it back from a copy, or "
                    "train again."
                )

    def _names(self) -> list[str]:
        found = (path.parent.name for path in self.root.glob(f"v*/{RECORD}"))
        return [BASE, *sorted(filter(_NAME.fullmatch, found), key=_number)]

    def _remove_leftovers(self) -> None:
        for part in self.root.glob(f"{_PART}*"):
            shutil.rmtree(part, ignore_errors=True)

    @contextmanager
    def _alone(self, wait: float = 0.0) -> Iterator[None]:
        try:
            with FileLock(self.root / ".training.lock", timeout=wait):
                yield
        except Timeout:
            raise InputError("A training is running already: wait for it, or stop it.") from None

    def _lock(self) -> FileLock:
        self.root.mkdir(parents=True, exist_ok=True)
        return FileLock(self.root / ".registry.lock", timeout=_WAIT_SECONDS)


def _number(name: str) -> int:
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else 0


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
