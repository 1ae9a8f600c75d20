"""What a server is started with, checked once, so that nothing below has to doubt it.

Knows files and addresses; knows nothing of HTTP or MONAI Label.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from medsight_core.errors import InputError, ModelError
from medsight_core.model.bits import check_bits
from medsight_core.protocol import DEFAULT_PORT, MAX_UPLOAD_BYTES, TOKEN_ENVIRONMENT
from medsight_core.server.memory import total_memory
from medsight_core.server.replicas import check_count

MIN_TOKEN_CHARACTERS = 16
DEFAULT_RESERVE = 512 << 20  # bytes: for what the machine does beside, and for estimates that are too small


@dataclass(frozen=True)
class Settings:
    """The settings of one server process.

    studies: folder with the images that may be asked by id; MONAI Label keeps its index and the labels in it.
    model: folder of the model (``config.json`` and weights).
    host: address to listen on. Anything but a loopback address lets other machines in, so it is never a default.
    port: 0 asks the system for a free one.
    token: what clients must send; "" (the default) generates one. Hidden from ``repr``, so that no log can hold it.
    device: torch device that the engine runs on.
    bits: 8 or 4 to keep the language model in so many, None for all of it.
    max_upload_bytes: largest request body that an upload may have.
    training_data: folder whose folders hold data prepared for the stages of training, None for none.
    reserve_bytes: memory that must stay free; a question that would take of it is refused until there is more.
    replicas: how many processes hold the model and answer; with 1, the default, this one does it itself.
    token_generated: whether nobody but this process knows the token yet.

    Raises InputError or ModelError, naming the setting, its value and the fix; NotFoundError for bits without torchao.
    """

    studies: Path
    model: Path
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    token: str = field(default="", repr=False)
    device: str = "cpu"
    bits: int | None = None
    max_upload_bytes: int = MAX_UPLOAD_BYTES
    training_data: Path | None = None
    reserve_bytes: int = DEFAULT_RESERVE
    replicas: int = 1
    token_generated: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        """Normalise paths, generate the token, refuse what cannot work."""
        object.__setattr__(self, "studies", Path(self.studies).expanduser().resolve())
        object.__setattr__(self, "model", Path(self.model).expanduser().resolve())
        if self.training_data is not None:
            object.__setattr__(self, "training_data", Path(self.training_data).expanduser().resolve())
        if not self.token:
            object.__setattr__(self, "token", secrets.token_urlsafe(32))
            object.__setattr__(self, "token_generated", True)
        self._check_folders()
        self._check_address()
        self._check_token()
        check_bits(self.bits, self.device)
        if self.max_upload_bytes < 1:
            raise InputError(f"The upload limit of {self.max_upload_bytes} bytes lets no image in: give more than 0.")
        total = total_memory()
        if not 0 <= self.reserve_bytes < total:
            raise InputError(
                f"A reserve of {self.reserve_bytes} bytes of memory leaves nothing of the {total} that this machine "
                "has: give 0 or more, and less than that."
            )
        check_count(self.replicas)

    def _check_folders(self) -> None:
        if not self.studies.is_dir():
            raise InputError(f"There is no studies folder {self.studies}: create it and put your images in it.")
        if not os.access(self.studies, os.W_OK | os.X_OK):
            raise InputError(
                f"The studies folder {self.studies} cannot be written to: MONAI Label keeps its index and the labels "
                "in it, so give this user write permission or copy the images to another folder."
            )
        if not (self.model / "config.json").is_file():
            raise ModelError(
                f"There is no model in {self.model} (no config.json): give the folder of a MedSIGHT model, "
                "such as sample_data/demo_model."
            )

        if self.training_data is not None and not self.training_data.is_dir():
            raise InputError(f"There is no folder {self.training_data} of training data: create it, or leave it out.")

    def _check_address(self) -> None:
        if not self.host or any(character in self.host for character in "/@ "):
            raise InputError(f"The host {self.host!r} is not an address to listen on: use 127.0.0.1.")
        if not 0 <= self.port <= 65535:
            raise InputError(f"The port {self.port} does not exist: use 1 to 65535, or 0 for a free one.")

    def _check_token(self) -> None:
        sendable = self.token.isascii() and self.token.isprintable() and " " not in self.token
        if len(self.token) < MIN_TOKEN_CHARACTERS or not sendable:
            raise InputError(
                f"The token must have at least {MIN_TOKEN_CHARACTERS} printable ASCII characters without blanks: "
                "leave it out and the server makes one."
            )

    @property
    def address(self) -> str:
        """The URL that clients on this machine use."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Whether ``host`` (a name or an IP literal) can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def token_from_environment() -> str:
    """The token that the operator put into the environment, or "" (never a command line argument: those are listed)."""
    return os.environ.get(TOKEN_ENVIRONMENT, "")
