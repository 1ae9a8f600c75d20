"""MONAI Label's datastore on a local folder, whose files are whole or as they were after a kill at any moment.

MONAI Label writes its index and copies images and labels in place: half of an index stops the next server, half of a
label would be taken for a label.
"""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock
from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastore
from monailabel.interfaces.exception import ImageNotFoundException

from medsight_core.files import copy_whole, remove_parts, write_whole


class WholeDatastore(LocalDatastore):
    """The same calls, the same files in the same places."""

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Copy an image into the studies under an id, "" for its file's name; the id."""
        own_id, extension = self._to_id(Path(image_filename).name)
        image_id = image_id or own_id
        name = self._filename(image_id, extension)
        with FileLock(self._lock_file):
            copy_whole(Path(image_filename), Path(self._datastore.image_path()) / name)
            known = {**(image_info or {}), "ts": int(time.time()), "name": name}
            self._datastore.objects[image_id] = ImageLabelModel(image=DataModel(info=known, ext=extension))
            self._update_datastore_file(lock=False)
        return image_id

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Copy a label to its image's under a tag, in the place of one that is there; the label's id."""
        known_image = self._datastore.objects.get(image_id)
        if known_image is None:
            raise ImageNotFoundException(f"Image {image_id} not found")
        _, extension = self._to_id(Path(label_filename).name)
        name, folder = self._filename(image_id, extension), Path(self._datastore.label_path(label_tag))
        with FileLock(self._lock_file):
            folder.mkdir(parents=True, exist_ok=True)
            copy_whole(Path(label_filename), folder / name)
            known = {**(label_info or {}), "ts": int(time.time()), "name": name}
            known_image.labels[label_tag] = DataModel(info=known, ext=extension)
            self._update_datastore_file(lock=False)
        return image_id

    def clean_up(self) -> None:
        """Remove what a killed server left half written."""
        labels = Path(self._datastore.label_path(None))
        for folder in (Path(self._datastore_path), Path(self._datastore.image_path()), *labels.glob("*/")):
            remove_parts(folder)

    def _update_datastore_file(self, lock: bool = True) -> None:
        path = Path(self._datastore_config_path)
        with FileLock(self._lock_file) if lock else nullcontext():
            content = json.dumps(self._datastore.model_dump(exclude={"base_path"}), indent=2, default=str)
            write_whole(path, content.encode(), mode=0o644)
            self._config_ts = path.stat().st_mtime
