"""MedSIGHT as a MONAI Label app: one model, MONAI Label's own datastore and sessions.

MONAI Label loads this file by its path, in the server and again in each process that it starts. Building the app is
cheap: the weights are read at the first question, or by `MedSightApp.warm_up`.
"""

from __future__ import annotations

from typing import Any

from medsight_core import __version__
from medsight_core.server import absent
from medsight_core.server.failures import log_incident

absent.install()  # before anything of MONAI Label

from monailabel.interfaces.app import MONAILabelApp  # noqa: E402

from monailabel_app.lib.infers.medsight import MedSightInfer, model_folder  # noqa: E402


class MedSightApp(MONAILabelApp):
    """The app. ``conf`` may have ``model`` (see `model_folder`) and ``device``."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, Any]) -> None:
        """Set up the datastore in ``studies``; load nothing."""
        self._medsight = MedSightInfer(model_folder(conf), device=conf.get("device", "cpu"))
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name="MedSIGHT",
            description="Ask a medical volume in plain words, get a sentence and named segments.",
            version=__version__,
        )

    def init_infers(self) -> dict[str, MedSightInfer]:
        """The one model, under the name that ``/infer/{model}`` uses."""
        return {"medsight": self._medsight}

    def describe(self) -> dict[str, Any]:
        """What `MedSightInfer.describe` says."""
        return self._medsight.describe()

    def cleanup_sessions(self) -> None:
        """Remove expired sessions; called every few minutes in a thread that an exception would end for good."""
        try:
            super().cleanup_sessions()
        except Exception as error:  # MONAI Label stumbles over a session that is being uploaded at that moment
            log_incident(error)

    def warm_up(self) -> None:
        """Load the model now, so that the first question does not wait for it."""
        self._medsight.engine()
