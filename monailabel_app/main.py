"""MedSIGHT as a MONAI Label app: one model, MONAI Label's own datastore and sessions.

MONAI Label loads this file by its path, in the server and again in each process that it starts. Building the app is
cheap: the weights are read at the first question, or by `MedSightApp.warm_up`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medsight_core import __version__
from medsight_core.data.correction_store import CorrectionStore
from medsight_core.data.worklist import Worklist
from medsight_core.engine.choice import STRATEGIES
from medsight_core.engine.registry import Registry
from medsight_core.engine.served import ServedModel
from medsight_core.errors import NotFoundError
from medsight_core.files import OWN_FOLDER, remove_parts
from medsight_core.protocol import MODEL
from medsight_core.server import absent
from medsight_core.server.failures import log_incident
from medsight_core.server.lookout import Lookout
from medsight_core.server.metrics import Cache
from medsight_core.server.places import Places
from medsight_core.server.publishing import settle

absent.install()  # before anything of MONAI Label

from monailabel.config import settings  # noqa: E402
from monailabel.interfaces.app import MONAILabelApp  # noqa: E402

from monailabel_app.lib.datastore import WholeDatastore  # noqa: E402
from monailabel_app.lib.infers.medsight import MedSightInfer, few_bits, model_folder  # noqa: E402
from monailabel_app.lib.infers.replicated import ReplicatedInfer  # noqa: E402
from monailabel_app.lib.strategies.worklist import WorklistStrategy, images_of  # noqa: E402
from monailabel_app.lib.trainers.medsight import MedSightTrain  # noqa: E402
from monailabel_app.lib.trainers.stages import STAGES, StageTrain  # noqa: E402


class MedSightApp(MONAILabelApp):
    """The app. ``conf`` may have ``model`` (see `model_folder`), ``device``, ``bits``, ``training_data``, ``replicas``.

    All are text, as MONAI Label passes them on.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, Any]) -> None:
        """Set up the datastore in ``studies``; load nothing."""
        self._registry = Registry.of_studies(Path(studies), model_folder(conf))
        self._served = ServedModel(self._registry, conf.get("device", "cpu"), few_bits(conf))
        self.places = Places(int(conf.get("replicas", 1)))
        self._medsight = (
            MedSightInfer(self._served) if self.places.count == 1 else ReplicatedInfer(self._served, self.places)
        )
        self._own = Path(studies) / OWN_FOLDER
        self._worklist = Worklist(self._own / "worklist.json", self._served.sight())
        self._corrections = CorrectionStore(self._own / "corrections")
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name="MedSIGHT",
            description="Ask a medical volume in plain words, get a sentence and named segments.",
            version=__version__,
        )
        self._lookout = Lookout(self._worklist, self._images, self._medsight.impression)

    def init_datastore(self) -> WholeDatastore:
        """The studies folder."""
        return WholeDatastore(
            self.studies,
            extensions=settings.MONAI_LABEL_DATASTORE_FILE_EXT,
            auto_reload=settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD,
            read_only=settings.MONAI_LABEL_DATASTORE_READ_ONLY,
        )

    def recover(self) -> None:
        """Finish or remove what a killed server left half done. Before the first request, and once for a server."""
        self._corrections.clean_up()
        self._datastore.clean_up()
        self._registry.clean_up()
        remove_parts(self._own)
        settle(self._corrections, self._datastore)

    def init_infers(self) -> dict[str, MedSightInfer]:
        """The one model, under the name that ``/infer/{model}`` uses."""
        return {"medsight": self._medsight}

    def init_trainers(self) -> dict[str, MedSightTrain]:
        """Learning from corrections, and the stages of the whole training, under the names of ``/train/{model}``."""
        known = (self._served, self._corrections, self._own / "sets")
        data = Path(self.conf["training_data"]) if self.conf.get("training_data") else None
        stages = {f"{MODEL}-{stage}": StageTrain(stage, *known, data) for stage in STAGES}
        return {MODEL: MedSightTrain(*known), **stages}

    def init_strategies(self) -> dict[str, WorklistStrategy]:
        """The strategies of ``/activelearning/{strategy}``; clients take the first for the default."""
        return {name: WorklistStrategy(name, self._worklist) for name in STRATEGIES}

    def strategies(self) -> list[str]:
        """Their names."""
        return list(self._strategies)

    def corrections(self) -> CorrectionStore:
        """Every version of every corrected label."""
        return self._corrections

    def trainer(self, model: str = MODEL) -> MedSightTrain:
        """What trains under a name. Raises NotFoundError, with the names that there are, for another."""
        if model not in self._trainers:
            raise NotFoundError(f"There is no such model to train: use one of {', '.join(self._trainers)}.")
        trainer: MedSightTrain = self._trainers[model]
        return trainer

    def codes(self) -> dict[str, str]:
        """The model's region code by structure name."""
        return self._medsight.codes()

    def describe(self) -> dict[str, Any]:
        """What `MedSightInfer.describe` says."""
        return self._medsight.describe()

    def caches(self) -> Mapping[str, Cache]:
        """What is kept to be quicker the next time, by what it is."""
        return self._medsight.caches()

    def kept_bytes(self) -> int:
        """Bytes that `forget` would let go."""
        return sum(cache.nbytes for cache in self.caches().values())

    def forget(self) -> None:
        """Let go of what is kept only to be quicker the next time."""
        self._medsight.forget()

    def resident(self) -> int:
        """Bytes of memory that this process holds, and those that answer for it."""
        return self._medsight.resident()

    def image_key(self, path: str) -> str:
        """Which image a file is, for `places`."""
        return self._medsight.image_key(path)

    def start(self) -> None:
        """Start the processes that answer, where there are any; before signals are handled. ServerError if not."""
        self._medsight.start()

    def close(self) -> None:
        """End the processes that answer, where there are any."""
        self._medsight.close()

    def registry(self) -> Registry:
        """The versions of the model."""
        return self._registry

    def cleanup_sessions(self) -> None:
        """Remove expired sessions; called every few minutes in a thread that an exception would end for good."""
        try:
            super().cleanup_sessions()
        except Exception as error:  # MONAI Label stumbles over a session that is being uploaded at that moment
            log_incident(error)

    def warm_up(self) -> None:
        """Load the model now, so that the first question does not wait for it; then look at the studies."""
        self._medsight.load()
        self._lookout.start()

    def _images(self) -> dict[str, Path]:
        """What there is to look at; with another version, which may see otherwise, anew."""
        self._worklist.of_model(self._served.sight())
        return images_of(self.datastore())
