"""What the stages of the whole training learn from, made of corrected cases: labelled pictures, then conversations.

Pictures are planes as the engine cuts them, in folders as BiomedParse publishes them. A folder holds cases that were
outlined for the same things, because within one a thing without a mask counts as not there. Files have numbers, no ids.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from medsight_core.data.biomedparse import BiomedParse
from medsight_core.data.coded import read_coded, write_coded
from medsight_core.data.converse import write_conversations
from medsight_core.data.converse_by_template import TemplateAuthor, text_conversations
from medsight_core.data.corrected_cases import Case
from medsight_core.data.prepared import CONVERSATIONS, META
from medsight_core.data.records import Conversations, to_record
from medsight_core.data.targets import Inventory
from medsight_core.engine.known import codes_of_names
from medsight_core.errors import InputError
from medsight_core.model.config import MedSightConfig
from medsight_core.model.loading import load_model
from medsight_core.model.processor import MedSightProcessor
from medsight_core.training.label_codes import label_codes, names_of_codes
from medsight_core.training.run import save_model
from medsight_core.training.taught_planes import taught_planes

_TURNS = (1, 3)
_MADE_UP = 200  # conversations without an image, for models that are told detections

Tell = Callable[[float], None]


@dataclass
class _Series:
    """The entries of one folder."""

    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)


def write_regions(
    cases: Sequence[Case], processor: MedSightProcessor, folder: Path, most: int, seed: int, tell: Tell
) -> Path:
    """About ``most`` labelled pictures of each case in folders below ``folder``; their meta file.

    Raises InputError when the model has no class for something, and what `taught_planes` raises.
    """
    classes, series = _classes(processor.config), dict[tuple[int, tuple[str, ...]], _Series]()
    numbers = {key: number for number, key in enumerate(_keys(cases))}
    for index, case in enumerate(cases):
        tell(index / len(cases))
        for plane in taught_planes(case, processor, most, seed):
            if looked_for(case) - {*plane.masks, *plane.absent} and not plane.masks:
                continue  # a sliver of something: neither there nor not there
            table = _table(processor.config, case, plane.masks)
            number = numbers[_key(case)]
            one = series.setdefault((table, _key(case)), _Series())
            place = folder / f"series-{number}-{table}"
            for path in (place / "images", place / "masks"):
                path.mkdir(parents=True, exist_ok=True)
            stem, own = f"{len(one.images):06d}", len(one.images)
            Image.fromarray(plane.picture).save(place / "images" / f"{stem}.png")
            side = plane.picture.shape[0]
            one.images.append(
                {"id": own, "file_name": f"{stem}.png", "height": side, "width": side, "view": plane.view}
            )
            for name, mask in plane.masks.items():
                if name not in classes:
                    raise InputError(f"The model has no class for {name!r}: leave it out, or give prepared data.")
                file = f"{stem}_{name.replace(' ', '+')}.png"
                Image.fromarray(mask).save(place / "masks" / file)
                one.annotations.append(
                    {"id": len(one.annotations), "image_id": own, "file_name": f"{stem}.png", "mask_file": file,
                     "category_id": classes[name], "sentences": []}
                )  # fmt: skip
    return _write_lists(folder, series, numbers, classes)


def write_talk(model: Path, meta: Path, folder: Path, per_image: int, seed: int, tell: Tell) -> tuple[Path, Path]:
    """The model to start from, and conversations about labelled pictures with the codes that it has for their masks.

    The model is a copy that also knows which of its codes name what. File names start from the meta file's folder.
    """
    root = meta.parent
    loaded, processor = load_model(model, merge=False)
    regions = BiomedParse(meta)
    coded, named, talk = folder / "coded.jsonl", folder / "named", folder / CONVERSATIONS
    labelled = label_codes(loaded, processor, regions, progress=lambda done, count: tell(done / count / 2))
    write_coded(coded, labelled, root)
    images = read_coded(coded, root)
    loaded.config.names_of_codes = {**loaded.config.names_of_codes, **names_of_codes(images)}
    save_model(loaded, processor, named)
    detects, order = loaded.config.show_detections, loaded.config.class_names
    author = TemplateAuthor(images, seed, True, _TURNS, order=order) if detects else TemplateAuthor(images, seed)
    write_conversations(images, author, talk, root, per_image, lambda done: tell(0.5 + done / 2))
    if detects and (series := Inventory(images).series()):
        _append(talk, text_conversations(series, _MADE_UP, seed, _TURNS, order), root)
    if not len(Conversations(talk, root)):
        raise InputError("Nothing can be said of what is outlined: label more images.")
    return named, talk


def looked_for(case: Case) -> set[str]:
    """What somebody looked for on a case: outlined, or said not to be there."""
    return {*case.names, *case.absent}


def _key(case: Case) -> tuple[str, ...]:
    return tuple(sorted(looked_for(case)))


def _keys(cases: Iterable[Case]) -> list[tuple[str, ...]]:
    return sorted({_key(case) for case in cases})


def _classes(config: MedSightConfig) -> dict[str, int]:
    """The class of the perceiver's head by name. Where classes have no names, names are counted as far as they go."""
    if any(config.class_names):
        return {name: number for number, name in enumerate(config.class_names) if name}
    names = sorted({*config.names_of_codes.values()})
    return {name: number for number, name in enumerate(names[: config.perceiver_config.num_classes])}


def _table(config: MedSightConfig, case: Case, names: Iterable[str]) -> int:
    """The table of codes of a picture: of what it shows, or else of what its case shows."""
    for each in (list(names), list(looked_for(case))):
        codes = codes_of_names(config, each).values()
        if codes:
            return int(Counter(code.partition("_")[0][1:] for code in codes).most_common(1)[0][0])
    return 0


def _write_lists(
    folder: Path,
    series: dict[tuple[int, tuple[str, ...]], _Series],
    numbers: dict[tuple[str, ...], int],
    classes: dict[str, int],
) -> Path:
    categories = [{"id": number, "name": name} for name, number in classes.items()]
    names = {key: f"series-{numbers[key[1]]}-{key[0]}" for key in series}
    for key, one in series.items():
        listing = {"images": one.images, "annotations": one.annotations, "categories": categories}
        (folder / names[key] / "list.json").write_text(json.dumps(listing), encoding="utf-8")
    meta = {
        "image_roots": [f"{name}/images" for name in names.values()],
        "mask_roots": [f"{name}/masks" for name in names.values()],
        "annotations": [f"{name}/list.json" for name in names.values()],
        "modalities": [table for table, _ in series],
    }
    (folder / META).write_text(json.dumps(meta), encoding="utf-8")
    return folder / META


def _append(path: Path, conversations: Iterable[Any], root: Path) -> None:
    with path.open("a", encoding="utf-8") as file:
        for conversation in conversations:
            file.write(json.dumps(to_record(conversation, root), ensure_ascii=False) + "\n")
