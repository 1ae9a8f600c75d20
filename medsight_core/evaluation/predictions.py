"""What a model said, kept in a folder so that a stopped run goes on where it was.

``predictions.jsonl`` has one line a reply, ``maps/`` the mask maps of replies that have any. Knows nothing of models,
questions or scores.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medsight_core.errors import InputError


@dataclass(frozen=True)
class Prediction:
    """The reply to one case.

    id: of the case. key: of the model, its options and the question; a reply with another key is not this one.
    reply: the text, region codes included.
    codes: names of the codes that have a map, in order.
    presence: how surely each of them is there, 0..1.
    shape: rows and columns of the picture that was outlined, None when no mask was asked for.
    maps: mask logits (codes, m, m), float16, over the part of the picture that the model sees.
    dummy: logits (1, m, m) that the authors decode when a reply has no code, None when it has one.
    """

    id: str
    key: str
    reply: str
    codes: tuple[str, ...] = ()
    presence: tuple[float, ...] = ()
    shape: tuple[int, int] | None = None
    maps: np.ndarray | None = None
    dummy: np.ndarray | None = None


class PredictionStore:
    """The replies of a folder. A line that a killed run left unfinished is cut off.

    Maps are read when they are asked for. Raises InputError for a file that is not of this form.
    """

    def __init__(self, folder: Path) -> None:
        self.file, self._maps = folder / "predictions.jsonl", folder / "maps"
        self._maps.mkdir(parents=True, exist_ok=True)
        self._lines: list[dict[str, Any]] = []
        self._newest: dict[tuple[str, str], dict[str, Any]] = {}
        if self.file.exists():
            self._read()

    def done(self, keys: Mapping[str, str]) -> set[str]:
        """Ids of the cases whose reply has the key given for them."""
        return {line["id"] for line in self._lines if keys.get(line["id"]) == line["key"]}

    def add(self, prediction: Prediction) -> None:
        """Append a reply; it is on disk, maps first, when this returns."""
        arrays = {"maps": prediction.maps, "dummy": prediction.dummy}
        arrays = {name: array for name, array in arrays.items() if array is not None}
        if arrays:
            path = self._maps_of(prediction.id, prediction.key)
            path.parent.mkdir(exist_ok=True)
            with path.open("wb") as file:
                np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        line = {
            "id": prediction.id,
            "key": prediction.key,
            "reply": prediction.reply,
            "codes": list(prediction.codes),
            "presence": [round(value, 6) for value in prediction.presence],
            "shape": prediction.shape and list(prediction.shape),
            "arrays": sorted(arrays),
        }
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._keep(line)

    def sort(self, ids: Iterable[str]) -> None:
        """Put the lines of these cases first, in this order; scores by line number rely on it."""
        place = {name: number for number, name in enumerate(ids)}
        self._lines.sort(key=lambda line: place.get(line["id"], len(place)))
        part = self.file.with_suffix(".part")
        part.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in self._lines), encoding="utf-8")
        part.replace(self.file)

    def in_file_order(self, keys: Mapping[str, str]) -> list[Prediction]:
        """The replies with the keys given for their cases, the last one of each, in the file's order, without maps."""
        wanted = [line for line in self._lines if keys.get(line["id"]) == line["key"]]
        return [self._prediction(line) for line in wanted if self._newest[line["id"], line["key"]] is line]

    def with_maps(self, prediction: Prediction) -> Prediction:
        """The reply with its maps. Raises InputError when their file is gone."""
        line = self._newest[prediction.id, prediction.key]
        if not line["arrays"]:
            return prediction
        path = self._maps_of(prediction.id, prediction.key)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return self._prediction(line, {name: arrays[name] for name in line["arrays"]})
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"The maps '{path}' are missing or damaged: delete '{self.file}' and evaluate again."
            ) from error

    def _read(self) -> None:
        text = self.file.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        if len(whole) < len(text):
            with self.file.open("r+b") as file:
                file.truncate(len(whole))
        for number, line in enumerate(whole.splitlines()):
            try:
                parsed = json.loads(line)
                self._prediction(parsed)
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"Line {number + 1} of '{self.file}' is not a prediction: delete the file, or give another --out."
                ) from error
            self._keep(parsed)

    def _keep(self, line: dict[str, Any]) -> None:
        self._lines.append(line)
        self._newest[line["id"], line["key"]] = line

    def _prediction(self, line: dict[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> Prediction:
        arrays = arrays or {}
        return Prediction(
            line["id"],
            line["key"],
            line["reply"],
            tuple(line["codes"]),
            tuple(line["presence"]),
            line["shape"] and (line["shape"][0], line["shape"][1]),
            arrays.get("maps"),
            arrays.get("dummy"),
        )

    def _maps_of(self, case: str, key: str) -> Path:
        name = hashlib.sha256(f"{case}\n{key}".encode()).hexdigest()[:24]  # ids come from outside, a name must not
        return self._maps / name[:2] / f"{name}.npz"
