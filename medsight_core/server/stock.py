"""The part of MONAI Label that runs inside our server: its configuration, its app, and the few calls that we keep.

MONAI Label reads its configuration from the environment when it is first imported and keeps its app for the life of the
process. So there is one server per process, `configure` comes before any import of ``monailabel``, and everything else
here imports it late. Knows nothing of tokens or questions.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import ValidationError

from medsight_core.errors import InputError
from medsight_core.server import absent
from medsight_core.server.settings import Settings

APP_PACKAGE = "monailabel_app"
IMAGE_EXTENSIONS = (".nii.gz", ".nii", ".nrrd", ".mha")  # single files that carry their own geometry


def configure(settings: Settings) -> None:
    """Set what MONAI Label, and the processes that it starts, read from the environment; silence its logs."""
    absent.install()
    app_dir = _app_dir()
    conf = {"model": str(settings.model), "device": settings.device, "replicas": str(settings.replicas)}
    if settings.bits is not None:
        conf["bits"] = str(settings.bits)
    if settings.training_data is not None:
        conf["training_data"] = str(settings.training_data)
    os.environ.update(
        MONAI_LABEL_APP_DIR=str(app_dir),
        MONAI_LABEL_STUDIES=str(settings.studies),
        MONAI_LABEL_SERVER_PORT=str(settings.port),
        MONAI_LABEL_APP_CONF=json.dumps(conf),
        MONAI_LABEL_DATASTORE_FILE_EXT=json.dumps([f"*{extension}" for extension in IMAGE_EXTENSIONS]),
        MONAI_LABEL_AUTH_ENABLE="false",  # its own needs Keycloak; ours is the guard
        MONAI_LABEL_AUTO_UPDATE_SCORING="false",  # or each start and each sample spawns scoring processes
        MONAI_LABEL_TRACKING_ENABLED="false",
    )
    # Training runs in a process of its own, which finds the app's package through this.
    paths = [str(app_dir.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(os.pathsep.join(paths).split(os.pathsep)))
    _silence()


def start_app(workspace: Path) -> Any:
    """The MONAI Label app of this process (`monailabel_app.main`), with its sessions kept in ``workspace``.

    Raises InputError when the index that MONAI Label keeps in the studies folder is damaged, ModelError when the
    model's configuration cannot be used.
    """
    from monailabel.config import settings
    from monailabel.interfaces.utils.app import app_instance

    settings.MONAI_LABEL_SESSION_PATH = str(workspace / "sessions")
    try:
        instance = app_instance()
    except ValidationError:  # its text lists what is in the index, ids included
        raise InputError(
            f"The index {settings.MONAI_LABEL_STUDIES}/datastore_v2.json is damaged: move it away and start again; "
            "images and labels are found anew, notes about them are lost."
        ) from None
    instance.server_mode(True)
    instance.recover()
    instance.on_init_complete()
    return instance


def add_kept_calls(app: FastAPI) -> None:
    """Add those of MONAI Label's own endpoints that are safe behind the guard; nothing else of it can be reached.

    Left out: all that writes images, labels and what is known of labels (ours check what arrives), ``/infer``,
    ``/batch`` and ``/activelearning`` (ours do not block), starting and stopping ``/train`` (ours lets one run at a
    time), ``/scoring`` until there is something to run, and for good ``/proxy``, ``/model``, ``/logs``, ``/ohif``,
    ``/reload``, the data set archive, which leaves a file behind, and the removal of images.
    """
    from monailabel.endpoints import datastore, info, session, train

    for method, path, endpoint in (
        ("GET", "/info/", info.api_app_info),
        ("GET", "/session/{session_id}", session.api_get_session),
        ("DELETE", "/session/{session_id}", session.api_remove_session),
        ("GET", "/datastore/", datastore.api_datastore),
        ("HEAD", "/datastore/image", datastore.api_check_image),
        ("GET", "/datastore/image", datastore.api_download_image),
        ("GET", "/datastore/image/info", datastore.api_get_image_info),
        ("PUT", "/datastore/image/info", datastore.api_put_image_info),
        ("HEAD", "/datastore/label", datastore.api_check_label),
        ("GET", "/datastore/label", datastore.api_download_label),
        ("DELETE", "/datastore/label", datastore.api_remove_label),
        ("GET", "/datastore/label/info", datastore.api_get_label_info),
        ("GET", "/train/", train.api_status),  # clients ask whether a training runs
    ):
        app.add_api_route(path, endpoint, methods=[method])


def _app_dir() -> Path:
    spec = importlib.util.find_spec(APP_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(
            f"The package {APP_PACKAGE} is not installed beside medsight_core: install 'medsight[server]'."
        )
    return Path(next(iter(spec.submodule_search_locations))).resolve()


def _silence() -> None:
    """Keep ids, paths and parameters, which these log at INFO and above, out of every log.

    What a person must know about a failure is in the reply and, by incident number, in our own log.
    """
    logging.getLogger("monailabel").setLevel(logging.CRITICAL + 1)
    logging.getLogger("timeloop").disabled = True  # it sets its own level and handler when it starts
