"""The engine of the version that a registry serves, which may become another one while the program runs.

Each call looks at ``CURRENT``, so a version that is promoted or rolled back answers the next question. Whoever has an
engine in hand keeps it until done. Features are cached within an engine, so no version sees another's.
"""

from __future__ import annotations

import gc
import threading
from pathlib import Path

from medsight_core.engine.engine import Engine
from medsight_core.engine.registry import Registry
from medsight_core.errors import ModelError, NotFoundError
from medsight_core.model.config import MedSightConfig
from medsight_core.model.identity import sight_identity
from medsight_core.model.loading import read_config


class ServedModel:
    """What a registry serves, loaded at the first use; bits as of `load_model`. Safe to use from several threads."""

    def __init__(self, registry: Registry, device: str = "cpu", bits: int | None = None) -> None:
        self.registry, self.device, self.bits = registry, device, bits
        self._lock = threading.Lock()
        self._engine: tuple[str, Engine] | None = None
        self._config: tuple[str, MedSightConfig] | None = None
        self._sight: tuple[str, str] | None = None

    @property
    def loaded(self) -> bool:
        """Whether `engine` would load nothing."""
        return self.version == self.registry.current()

    @property
    def version(self) -> str:
        """The version whose engine is loaded now; "" for none."""
        held = self._engine
        return "" if held is None else held[0]

    @property
    def held(self) -> Engine | None:
        """The engine that is loaded now, whichever version it is of."""
        held = self._engine
        return None if held is None else held[1]

    def config(self) -> MedSightConfig:
        """The configuration of the version that is served. Raises ModelError when there is none."""
        name = self.registry.current()
        held = self._config
        if held is None or held[0] != name:
            self._config = held = (name, read_config(self._folder(name)))
        return held[1]

    def sight(self) -> str:
        """`sight_identity` of the version that is served."""
        name = self.registry.current()
        held = self._sight
        if held is None or held[0] != name:
            self._sight = held = (name, sight_identity(self._folder(name)))
        return held[1]

    def engine(self) -> Engine:
        """The engine of the version that is served; whoever comes first waits until it is loaded.

        Raises ModelError when its folder cannot be used.
        """
        with self._lock:
            name = self.registry.current()
            if self._engine is None or self._engine[0] != name:
                self._engine = None
                gc.collect()  # before the new one takes memory: a model is in reference cycles
                self._engine = (name, Engine.load(self._folder(name), self.device, self.bits))
            return self._engine[1]

    def _folder(self, name: str) -> Path:
        try:
            return self.registry.folder(name)
        except NotFoundError as error:
            raise ModelError(
                f"The model version {name} is to be served and is not there: "
                "'medsight models rollback --to base' serves the base model again."
            ) from error
