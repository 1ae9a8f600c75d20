"""The panel's segments: the table, each one's volume and confidence, and a slider that moves the chosen one's edge.

Written for PythonQt. The edge moves here, from the soft mask that came with the answer: no server is asked.
"""

from __future__ import annotations

from typing import Any, Callable

from medsight_core.errors import MedSightError
from medsight_core.soft_masks import LEAST, SoftMask
from MedSIGHTLib.asking import Asker
from MedSIGHTLib.background import later
from MedSIGHTLib.segment_rows import SegmentRows, rows_html
from MedSIGHTLib.style import Colors
from MedSIGHTLib.thresholding import draw_at, edge_of
from MedSIGHTLib.translating import _

_PAUSE_MILLISECONDS = 60  # of the hand; drawing a large segment takes longer than the slider's next news
_GREATEST = 95  # per cent


class SegmentSection:
    """The widgets from the segments' header to the slider."""

    def __init__(self, ui: Any, asker: Asker, colors: Colors, say: Callable[..., None], changed: Callable[[], None]):
        """``say`` shows a sentence, ``changed`` hears that a segment was drawn anew."""
        self.ui = ui
        self._asker, self._colors, self._say, self._changed = asker, colors, say, changed
        self._rows = SegmentRows()
        self._node: Any = None
        self._volume: Any = None
        self._edge: tuple[tuple, float | None] = ((), None)  # of which state, and where it lies
        self._updating = self._same_step = False
        self._stop_waiting: Callable[[], None] = lambda: None
        self._stop_counting: Callable[[], None] = lambda: None
        ui.edgeSlider.minimum, ui.edgeSlider.maximum = round(100 * LEAST), _GREATEST
        ui.segmentsTable.connect("selectionChanged(QItemSelection,QItemSelection)", self._chosen_another)
        ui.edgeSlider.connect("valueChanged(int)", self._moved)
        ui.edgeSlider.connect("sliderReleased()", self._let_go)
        ui.edgeButton.connect("clicked()", self._back)

    def show(self, node: Any, volume: Any) -> None:
        """Bring the widgets in line with the volume's segmentation node, None for none."""
        if (node, volume) != (self._node, self._volume):
            self.close()
        self._node, self._volume = node, volume
        ui = self.ui
        ui.segmentsTable.setSegmentationNode(node)
        for name in ("segmentsTable", "segmentsLabel", "replaceEditedBox", "undoButton", "redoButton"):
            getattr(ui, name).visible = node is not None
        self._show_rows()
        self._show_edge()

    def select(self, segment_id: str) -> None:
        """Choose a segment in the table."""
        self.ui.segmentsTable.setSelectedSegmentIDs([segment_id])

    def close(self) -> None:
        """Leave no edge to be moved and no voxels to be counted later."""
        self._stop_counting()
        self._leave_edge()

    def _show_rows(self) -> None:
        self._stop_counting()
        rows = self._rows.of(self._node, self._asker.conversation(self._volume))
        text = rows_html(rows, self._colors.text, self._colors.muted)
        self.ui.segmentRowsLabel.text, self.ui.segmentRowsLabel.visible = text, bool(text)
        if any(row.volume_ml is None for row in rows):
            self._stop_counting = later(0, self._show_rows)

    # -- the chosen segment's edge

    def _chosen(self) -> tuple[str, Any, SoftMask | None]:
        """The segment that is chosen in the table, by its id, and its soft mask; "" for none."""
        ids = self.ui.segmentsTable.selectedSegmentIDs() if self._node is not None else ()
        segment = self._node.GetSegmentation().GetSegment(ids[0]) if ids else None
        return ("", None, None) if segment is None else (ids[0], segment, self._asker.soft_masks.of(segment))

    def _leave_edge(self) -> None:
        self._stop_waiting()
        self._same_step = False

    def _chosen_another(self) -> None:
        self._leave_edge()
        self._show_edge()

    def _show_edge(self) -> None:
        ui, (segment_id, segment, soft) = self.ui, self._chosen()
        ui.edgeFrame.visible = soft is not None
        if soft is None:
            return
        edge = self._edge_of(segment_id, segment, soft)
        for name in ("edgeSlider", "edgeButton"):
            getattr(ui, name).enabled = edge is not None
        if edge is None:
            ui.edgeLabel.text = _("changed by hand")
            return
        ui.edgeButton.enabled = edge != soft.threshold
        ui.edgeLabel.text = _("above {percent} %").format(percent=round(100 * edge))
        if not ui.edgeSlider.sliderDown:
            self._updating = True
            ui.edgeSlider.value = round(100 * edge)
            self._updating = False

    def _edge_of(self, segment_id: str, segment: Any, soft: SoftMask) -> float | None:
        """`edge_of`, once for each change: it looks at every voxel."""
        image = segment.GetRepresentation("Binary labelmap")
        state = (self._node, segment_id, image.GetMTime() if image is not None else 0, soft)
        if self._edge[0] != state:
            self._edge = (state, edge_of(segment, soft))
        return self._edge[1]

    def _moved(self) -> None:
        """The slider stands somewhere else: draw, once the hand pauses."""
        if not self._updating:
            self.ui.edgeLabel.text = _("above {percent} %").format(percent=self.ui.edgeSlider.value)
            self._stop_waiting()
            self._stop_waiting = later(_PAUSE_MILLISECONDS, self._draw)

    def _let_go(self) -> None:
        """The hand has left the slider: what comes next is another step for *Undo*."""
        self._stop_waiting()
        self._draw()
        self._same_step = False

    def _back(self) -> None:
        soft = self._chosen()[2]
        if soft is not None:
            self._leave_edge()
            self._draw_at(soft.threshold)

    def _draw(self) -> None:
        self._draw_at(self.ui.edgeSlider.value / 100)
        self._same_step = bool(self.ui.edgeSlider.sliderDown)

    def _draw_at(self, threshold: float) -> None:
        segment_id, segment, soft = self._chosen()
        if soft is None or self._edge_of(segment_id, segment, soft) == threshold:
            return
        try:
            draw_at(threshold, segment_id, soft, self._node, self._volume, self._asker.undo, self._same_step)
            self._say("")
        except MedSightError as error:
            self._say(str(error), "problem")
        self._changed()
