"""What is handed in, kept first and published second, so that whatever fails or is killed in between loses nothing.

MONAI Label overwrites a label and what it knew of it. Here every version is kept in a `CorrectionStore` first, and then
becomes MONAI Label's current one. A version says of itself that this is still to be done; whoever comes next, after a
kill the next server, does it. Knows no HTTP.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medsight_core.data import review
from medsight_core.data.correction import KEY, Correction
from medsight_core.data.correction_store import CorrectionStore
from medsight_core.data.submission import found_label, notices, rival
from medsight_core.errors import NotFoundError
from medsight_core.files import file_hash
from medsight_core.server.stock import IMAGE_EXTENSIONS
from medsight_core.server.uploads import image_extension

_publishing = threading.Lock()  # the latest version must also be MONAI Label's current one


def publish(
    store: CorrectionStore, datastore: Any, correction: Correction, label: Path, information: Mapping[str, Any]
) -> tuple[Correction, list[str]]:
    """Keep a version, then make it MONAI Label's current label; the version, and what to tell its annotator.

    information: what MONAI Label shall know of it beside what follows from the correction.
    """
    with _publishing:
        _keep_current(store, datastore, correction.image_id, correction.tag)
        kept = store.keep(label, image_extension(label.name), correction, unsettled=information)
        return kept, _make_current(store, datastore, kept, information)


def settle(store: CorrectionStore, datastore: Any, image_id: str = "") -> None:
    """Make current what was kept and, because of a kill or a full disk, not published: of one image, or of all."""
    with _publishing:
        for kept, information in store.unsettled(image_id):
            if not datastore.get_image_uri(kept.image_id):
                continue  # the image is away; it may come back
            _keep_found(store, datastore, kept.image_id, kept.tag)
            latest = [version.version for version in store.versions(kept.image_id) if version.tag == kept.tag][-1]
            if kept.version == latest:
                _make_current(store, datastore, kept, information)
            else:
                store.settle(kept.image_id, kept.version)


def say(store: CorrectionStore, datastore: Any, image_id: str, tag: str, information: dict[str, Any]) -> None:
    """Add to what is known of a current label, and keep it with its version; NotFoundError without a label."""
    with _publishing:
        if current_label(datastore, image_id, tag) is None:
            raise NotFoundError("There is no such label: GET /datastore/ lists what is here.")
        datastore.update_label_info(image_id, tag, information)
        _keep_current(store, datastore, image_id, tag)


def keep_found(store: CorrectionStore, datastore: Any, image_id: str, tag: str) -> None:
    """Keep MONAI Label's current label as a version if it did not come through here."""
    with _publishing:
        _keep_found(store, datastore, image_id, tag)


def current_label(datastore: Any, image_id: str, tag: str) -> Path | None:
    """The label file that lies there for an image under a tag; None without one."""
    uri = datastore.get_label_uri(image_id, tag)
    if not uri:
        datastore.refresh()  # its watcher can miss a file, which would then be overwritten unseen
        uri = datastore.get_label_uri(image_id, tag)
    return Path(uri) if uri and Path(uri).is_file() else None


def image_file(datastore: Any, image_id: str) -> Path:
    """The file of an image; NotFoundError for an unknown one."""
    path = datastore.get_image_uri(image_id)
    if not path:
        raise NotFoundError("There is no such image: GET /datastore/ lists what is here.")
    return Path(path)


def _keep_found(store: CorrectionStore, datastore: Any, image_id: str, tag: str) -> None:
    current = current_label(datastore, image_id, tag)
    if current is not None and file_hash(current) not in {each.label_hash for each in store.versions(image_id)}:
        _keep_current(store, datastore, image_id, tag)


def _keep_current(store: CorrectionStore, datastore: Any, image_id: str, tag: str) -> None:
    """Keep MONAI Label's current label: what was said of it, and itself when it did not come through here."""
    current = current_label(datastore, image_id, tag)
    if current is None:
        return
    content = file_hash(current)
    of_tag = [version for version in store.versions(image_id) if (version.tag, version.label_hash) == (tag, content)]
    if of_tag:
        version = of_tag[-1]
    else:
        image = image_file(datastore, image_id)
        version = store.keep(current, image_extension(current.name), found_label(image_id, image, current, tag))
    store.note(image_id, version.version, datastore.get_label_info(image_id, tag))


def _make_current(
    store: CorrectionStore, datastore: Any, kept: Correction, information: Mapping[str, Any]
) -> list[str]:
    """Let MONAI Label's current label be a version that is kept; what to tell its annotator."""
    image_id, tag = kept.image_id, kept.tag
    before = [version for version in store.versions(image_id) if version.version < kept.version]
    names = [{"name": segment.name, "idx": segment.label} for segment in kept.segments]
    told = notices(kept, before)
    # Of two that do not know of each other nobody but a reviewer can say which is right.
    status = review.FLAGGED if rival(kept, before) else review.SUBMITTED
    first = review.Review(status, comment=told[0] if status == review.FLAGGED else "", edited=int(time.time()))
    known = {"label_info": names, review.KEY: first.to_meta(), **information, KEY: kept.to_json()}
    datastore.save_label(image_id, str(store.file(image_id, kept.version)), tag, known)
    current = Path(datastore.get_label_uri(image_id, tag))
    for extension in IMAGE_EXTENSIONS:
        if (other := current.with_name(image_id + extension)) != current:
            other.unlink(missing_ok=True)  # another file type; MONAI Label would find it again as a label of its own
    for version, _ in store.unsettled(image_id):
        if version.tag == tag and version.version <= kept.version:
            store.settle(image_id, version.version)
    return told
