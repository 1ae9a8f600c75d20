"""The authors' files, opened and judged: which of them there are, in which layout, and what becomes of every tensor.

Nothing is written here, and of the files only names, shapes and small JSON texts are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from medsight_core.errors import InputError, ModelError
from medsight_core.model.codebook import Codebook
from medsight_core.model.config import CODE_STATES, MedSightConfig
from medsight_core.model.medsight import MedSightModel
from medsight_core.model.official import names
from medsight_core.model.official.checkpoints import Checkpoint, open_folder, open_torch_file, read_json
from medsight_core.model.official.config import (
    codebook_config,
    perceiver_config,
    text_config,
    vision_config,
    vision_layer,
)
from medsight_core.model.official.conversion import Conversion, Part
from medsight_core.model.official.origins import Copy, Origin, Shape
from medsight_core.model.processor import MedSightProcessor

OVERRIDABLE = ("vision_config", "perceiver_config", "codebook_config", "text_config")
CODEBOOK_SEED = 0

NO_CODEBOOK = (
    "No stage-2 checkpoint was given, so the codebook holds initial values: answering does not use it, naming the "
    "codes of training masks does."
)
PROJECTED_ONLY = (
    "projected_codebook.pt holds the codes as region vectors, not the tables that they came from, so nothing of it is "
    "kept and the codebook holds initial values: answering does not use it."
)
PAPER_TIME = (
    "This is a checkpoint of the paper's time; these were trained on layer -1 of the tower whatever their config.json "
    "says: convert with --vision-layer -1, or compare both."
)


@dataclass(frozen=True)
class Sources:
    """The authors' files.

    llm: folder of the language model. perceiver, vision: ``.pt`` files; a paper-time folder holds what they hold.
    codebook: stage-2 checkpoint or projected_codebook.pt. tokenizer: folder; ``llm`` when left out.
    """

    llm: Path
    perceiver: Path | None = None
    vision: Path | None = None
    codebook: Path | None = None
    tokenizer: Path | None = None


@dataclass(frozen=True)
class Prepared:
    """A conversion that only has to be written.

    steps: training steps by file, where the file says them. notes: what a person should know, a sentence each.
    """

    sources: Sources
    config: MedSightConfig
    processor: MedSightProcessor
    conversion: Conversion
    steps: dict[Path, int]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Side:
    """A part of the visual side: tensors of ``checkpoint`` whose names begin with ``prefix``."""

    checkpoint: Checkpoint
    prefix: str

    @property
    def shapes(self) -> dict[str, Shape]:
        return self.checkpoint.below(self.prefix)


def prepare(
    sources: Sources,
    layer: int | None = None,
    code_state: str = "own",
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> Prepared:
    """Open the files, build the configuration, and judge every name and shape.

    layer: hidden state of the tower, instead of the one in the authors' config.json. code_state: see `MedSightConfig`.
    overrides: sizes that are not the official ones and that no shape tells, by part of the configuration.
    What is wrong with names and shapes stands in the result's ``conversion``, whose ``check`` raises it.
    Raises InputError for files that are not there and options that do not fit, ModelError for what cannot be used.
    """
    if code_state not in CODE_STATES:
        raise InputError(f"The code state {code_state!r} does not exist: use {' or '.join(CODE_STATES)}.")
    asked = dict(overrides or {})
    for name, sizes in asked.items():
        if name not in OVERRIDABLE or not isinstance(sizes, Mapping):
            raise InputError(
                f"The size overrides have {name!r} as {sizes!r}: use {', '.join(OVERRIDABLE)}, each an object of sizes."
            )
    official = read_json(sources.llm / "config.json")
    if official.get("model_type") == MedSightConfig.model_type:
        raise InputError(f"{sources.llm} is a converted model already: give the authors' folder.")
    llm = open_folder(sources.llm)
    tower = _side(llm, sources.vision, names.TOWER, names.PAPER_TIME_TOWER, "--vision")
    perceiver = _side(llm, sources.perceiver, names.PERCEIVER, names.PAPER_TIME_PERCEIVER, "--perceiver")
    codebook = None if sources.codebook is None else open_torch_file(sources.codebook)
    config = MedSightConfig(
        vision_config=vision_config(tower.shapes, asked.get("vision_config", {})),
        perceiver_config=perceiver_config(perceiver.shapes, asked.get("perceiver_config", {})),
        codebook_config=codebook_config(codebook.shapes if codebook else {}, asked.get("codebook_config", {})),
        text_config=text_config(official, asked.get("text_config", {})),
        vision_layer=vision_layer(official) if layer is None else layer,
        code_state=code_state,
        version=sources.llm.resolve().name,
        architectures=[MedSightModel.__name__],
    )
    depth = config.vision_config.num_hidden_layers
    if not -depth - 1 <= config.vision_layer <= depth:
        raise InputError(
            f"The tower has {depth} layers and none is {config.vision_layer}: use --vision-layer -2 or -1."
        )
    processor = _processor(sources.tokenizer or sources.llm, config)
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in MedSightModel(config).state_dict().items()}
    parts = [*_parts(config, shapes, llm, tower, perceiver), *_codebook_parts(config, codebook)]
    opened = [one for one in (perceiver.checkpoint, codebook) if one is not None]
    steps = {one.path: one.steps for one in opened if one.steps is not None}
    return Prepared(sources, config, processor, Conversion(parts, shapes), steps, _notes(config, llm, codebook))


def _side(llm: Checkpoint, given: Path | None, prefix: str, paper_time: str, option: str) -> _Side:
    """The file that was given, or what a paper-time folder holds."""
    if given is not None:
        return _Side(open_torch_file(given), prefix)
    if not llm.below(paper_time):
        raise InputError(
            f"{llm.path} holds no {paper_time}* as the paper's checkpoints do: give the file with {option}."
        )
    return _Side(llm, paper_time)


def _parts(
    config: MedSightConfig, shapes: Mapping[str, Shape], llm: Checkpoint, tower: _Side, perceiver: _Side
) -> list[Part]:
    """Everything but the codebook; the language model first, while no memory is taken by the other files."""
    origins = names.language_origins(name for name in shapes if name.startswith("language."))
    if names.STAGE_4_BASE in llm.shapes:
        origins |= names.stage_4_embedding(config.first_code_token, config.num_code_tokens)
    drops = dict(names.PAPER_TIME_DROPS)
    parts = [Part(llm, origins, drops)]

    def place(side: _Side, own: dict[str, Origin], own_drops: dict[str, str], instead: dict[str, str]) -> None:
        if side.checkpoint is llm:
            origins.update(own)
        else:
            drops.update(instead)
            parts.append(Part(side.checkpoint, own, own_drops))

    layers, stages = config.vision_config.num_hidden_layers, config.perceiver_config.num_stages
    place(tower, names.tower_origins(layers, tower.prefix), names.TOWER_DROPS, names.TOWER_GIVEN)
    place(perceiver, names.perceiver_origins(stages, perceiver.prefix), names.PERCEIVER_DROPS, names.PERCEIVER_GIVEN)
    return parts


def _codebook_parts(config: MedSightConfig, codebook: Checkpoint | None) -> list[Part]:
    width = config.vision_config.hidden_size
    if codebook is None or names.PROJECTED_CODEBOOK in codebook.shapes:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(CODEBOOK_SEED)
            new = Codebook(config.codebook_config, width, config.perceiver_config.num_classes)
        tensors = {f"codebook.{name}": tensor for name, tensor in new.state_dict().items()}
        origins: dict[str, Origin] = {name: Copy(name) for name in tensors}
        parts = [Part(Checkpoint.of_tensors(Path(), tensors), origins, official=False)]
        return parts if codebook is None else [*parts, _projected(config, codebook)]
    return [Part(codebook, names.codebook_origins(config.codebook_config.num_modalities), names.CODEBOOK_DROPS)]


def _projected(config: MedSightConfig, codebook: Checkpoint) -> Part:
    found = codebook.shapes[names.PROJECTED_CODEBOOK]
    wanted = (config.num_code_tokens, config.vision_config.hidden_size)
    if found != wanted:
        raise ModelError(
            f"The tensor in {codebook.path} is {found}, a projected codebook is {wanted}: give another file."
        )
    return Part(codebook, {}, names.CODEBOOK_DROPS)


def _processor(folder: Path, config: MedSightConfig) -> MedSightProcessor:
    """The tokenizer, once its code tokens are found one after another; ``config`` learns where they begin."""
    if not (folder / "tokenizer_config.json").is_file():
        raise InputError(
            f"There is no tokenizer_config.json in {folder}: give the tokenizer's folder with --tokenizer."
        )
    try:
        # With our configuration, because it cannot make sense of the config.json that lies there.
        tokenizer = AutoTokenizer.from_pretrained(
            str(folder), config=config.text_config, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # whatever the tokenizers' parsers raise on a damaged file
        raise ModelError(f"No usable tokenizer in {folder}: give its folder with --tokenizer.") from error
    tokens, vocabulary = config.codebook_config.code_tokens, config.text_config.vocab_size
    ids: list[Any] = list(tokenizer.convert_tokens_to_ids(tokens))  # type: ignore[arg-type]  # a list for a list
    unknown = ids[0] is None or ids[0] == tokenizer.unk_token_id
    if unknown or ids != list(range(ids[0], ids[0] + len(tokens))) or ids[-1] >= vocabulary:
        raise ModelError(
            f"The tokenizer in {folder} has {tokens[0]} at {ids[0]} and {tokens[-1]} at {ids[-1]}, where {len(tokens)} "
            f"ids in a row below {vocabulary} are needed: give the tokenizer of these weights with --tokenizer."
        )
    config.first_code_token = ids[0]
    return MedSightProcessor(config, tokenizer)


def _notes(config: MedSightConfig, llm: Checkpoint, codebook: Checkpoint | None) -> tuple[str, ...]:
    notes = []
    if codebook is None:
        notes.append(NO_CODEBOOK)
    elif names.PROJECTED_CODEBOOK in codebook.shapes:
        notes.append(PROJECTED_ONLY)
    if llm.below(names.PAPER_TIME) and config.vision_layer != -1:
        notes.append(PAPER_TIME)
    return tuple(notes)
