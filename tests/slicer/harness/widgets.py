"""Stand-ins for the widgets of Slicer and CTK that the module uses, with the real ones' names, properties and signals.

They follow a real MRML scene, so the module's wiring runs for real; their look and their menus are simplified.
"""
# ruff: noqa: N801, N815, N805 - the names are Slicer's

from __future__ import annotations

import slicer
from harness.pythonqt import pose
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal


class qMRMLWidget(QtWidgets.QWidget):
    mrmlSceneChanged = Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene):
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)


class qMRMLNodeComboBox(QtWidgets.QWidget):
    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None
        self._node = None
        self._settings = {"nodeTypes": [], "showChildNodeTypes": True, "noneEnabled": False, "addEnabled": True}
        self._settings["removeEnabled"] = True
        self._box = QtWidgets.QComboBox(self)
        self._box.activated.connect(lambda index: self.setCurrentNode(self._box.itemData(index)))
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)

    def _declared(name, kind):
        def write(self, value):
            self._settings[name] = value
            self._fill()

        return Property(kind, lambda self: self._settings[name], write)

    nodeTypes = _declared("nodeTypes", list)
    showChildNodeTypes = _declared("showChildNodeTypes", bool)
    noneEnabled = _declared("noneEnabled", bool)
    addEnabled = _declared("addEnabled", bool)
    removeEnabled = _declared("removeEnabled", bool)

    def setMRMLScene(self, scene):
        if scene is self._scene:
            return
        self._scene = scene
        events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent, scene.EndImportEvent)
        tags = [scene.AddObserver(event, lambda *_: self._fill()) for event in events]
        self.destroyed.connect(lambda: [scene.RemoveObserver(tag) for tag in tags])
        self._fill()

    def currentNode(self):
        return self._node

    def nodeCount(self):
        return len(self._nodes())

    def setCurrentNode(self, node):
        node = node if any(node is other for other in self._nodes()) else None
        if node is self._node:
            return
        self._node = node
        self._box.setCurrentIndex(self._box.findText(node.GetName()) if node else -1)
        self.currentNodeChanged.emit(node)
        self.currentNodeIDChanged.emit(node.GetID() if node else "")

    def _nodes(self):
        if self._scene is None:
            return []
        count = self._scene.GetNumberOfNodes()
        return [node for node in (self._scene.GetNthNode(n) for n in range(count)) if self._fits(node)]

    def _fits(self, node):
        names = self._settings["nodeTypes"]
        exact = node.GetClassName() in names
        return exact or (self._settings["showChildNodeTypes"] and any(node.IsA(name) for name in names))

    def _fill(self):
        nodes = self._nodes()
        self._box.clear()
        for node in nodes:
            self._box.addItem(node.GetName(), node)
        if any(node is self._node for node in nodes):
            self._box.setCurrentIndex(self._box.findText(self._node.GetName()))
        else:
            # Like the real one, which never shows nothing while it has a node and "None" is not allowed.
            self.setCurrentNode(nodes[0] if nodes and not self._settings["noneEnabled"] else None)


class qMRMLSegmentsTableView(qMRMLWidget):
    selectionChanged = Signal(object, object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._node = None
        self._observer = None
        self._settings = {"statusColumnVisible": True, "filterBarVisible": True, "jumpToSelectedSegmentEnabled": False}
        self._table = QtWidgets.QTableWidget(0, 3, self)
        self._table.setHorizontalHeaderLabels(["", "", "Name"])
        self._table.verticalHeader().hide()
        self._table.horizontalHeader().setStretchLastSection(True)
        self._table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectRows)
        self._table.setShowGrid(False)
        for column in (0, 1):
            self._table.setColumnWidth(column, 30)
        self._table.itemSelectionChanged.connect(lambda: self.selectionChanged.emit(None, None))
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)

    def _declared(name):
        return Property(
            bool, lambda self: self._settings[name], lambda self, value: self._settings.__setitem__(name, value)
        )

    statusColumnVisible = _declared("statusColumnVisible")
    filterBarVisible = _declared("filterBarVisible")
    jumpToSelectedSegmentEnabled = _declared("jumpToSelectedSegmentEnabled")

    def segmentationNode(self):
        return self._node

    def setSegmentationNode(self, node):
        if node is self._node:
            return
        if self._node is not None and self._observer is not None:
            self._node.GetSegmentation().RemoveObserver(self._observer)
        self._node = node
        if node is not None:
            segmentation = node.GetSegmentation()
            self._observer = tag = segmentation.AddObserver("AnyEvent", lambda *_: self._fill())
            self.destroyed.connect(lambda: segmentation.RemoveObserver(tag))
        self._fill()

    def selectedSegmentIDs(self):
        rows = sorted({index.row() for index in self._table.selectedIndexes()})
        return tuple(self._table.item(row, 2).data(QtCore.Qt.UserRole) for row in rows)

    def setSelectedSegmentIDs(self, segment_ids):
        self._table.clearSelection()
        for row in range(self._table.rowCount()):
            if self._table.item(row, 2).data(QtCore.Qt.UserRole) in segment_ids:
                self._table.selectRow(row)

    def segmentCount(self):
        return self._table.rowCount()

    def _fill(self):
        segmentation = self._node.GetSegmentation() if self._node is not None else None
        count = segmentation.GetNumberOfSegments() if segmentation is not None else 0
        self._table.setRowCount(count)
        for row in range(count):
            segment_id = segmentation.GetNthSegmentID(row)
            segment = segmentation.GetSegment(segment_id)
            eye = QtWidgets.QTableWidgetItem("\N{FISHEYE}")
            color = QtWidgets.QTableWidgetItem()
            color.setBackground(QtGui.QColor.fromRgbF(*segment.GetColor()))
            name = QtWidgets.QTableWidgetItem(segment.GetName())
            name.setData(QtCore.Qt.UserRole, segment_id)
            for column, item in enumerate((eye, color, name)):
                self._table.setItem(row, column, item)


class ctkCollapsibleButton(QtWidgets.QWidget):
    contentsCollapsed = Signal(bool)

    _HEADER = 26

    def __init__(self, parent=None):
        super().__init__(parent)
        self._text = ""
        self._collapsed = False
        self.setContentsMargins(0, self._HEADER, 0, 0)

    def _set_text(self, text):
        self._text = text
        self.update()

    def _set_collapsed(self, collapsed):
        self._collapsed = collapsed
        for child in self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindDirectChildrenOnly):
            child.setVisible(not collapsed)
        self.setMaximumHeight(self._HEADER if collapsed else 16777215)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    text = Property(str, lambda self: self._text, _set_text)
    collapsed = Property(bool, lambda self: self._collapsed, _set_collapsed)

    def paintEvent(self, event):
        # Posed as PythonQt, self.width and self.palette are attributes; the base class still has the calls.
        header = QtCore.QRect(0, 0, QtWidgets.QWidget.width(self), self._HEADER - 2)
        arrow = (
            "\N{BLACK RIGHT-POINTING SMALL TRIANGLE}" if self._collapsed else "\N{BLACK DOWN-POINTING SMALL TRIANGLE}"
        )
        with QtGui.QPainter(self) as painter:
            painter.fillRect(header, QtWidgets.QWidget.palette(self).button())
            painter.drawText(header.adjusted(8, 0, 0, 0), QtCore.Qt.AlignVCenter, f"{arrow}  {self._text}")

    def mousePressEvent(self, event):
        if event.position().y() < self._HEADER:
            self._set_collapsed(not self._collapsed)


# By the names of C++, which a signal declared in Python has not.
_SIGNALS = ("currentNodeChanged(vtkMRMLNode*)", "selectionChanged(QItemSelection,QItemSelection)")


def install(ctk) -> None:
    """Make the widgets available where Slicer has them."""
    for kind in (qMRMLWidget, qMRMLNodeComboBox, qMRMLSegmentsTableView):
        setattr(slicer, kind.__name__, pose(kind, SIGNALS=_SIGNALS))
    ctk.ctkCollapsibleButton = pose(ctkCollapsibleButton)
