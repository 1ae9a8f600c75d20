"""The modules ``qt`` and ``ctk`` of Slicer's Python, posed by PySide6 with PythonQt's rules.

Slicer wraps Qt with PythonQt, where a Qt property is an attribute (``label.text = "a"``) and signals are named by
string (``button.connect("clicked()", f)``). PySide6 spells both as calls, and worse, silently accepts any attribute.
Here every Qt class is replaced by a subclass that behaves like PythonQt's wrapper and refuses what it would refuse, so
that a typo in the module fails a test. It proves wiring; what a real Slicer looks like it cannot prove.
"""

from __future__ import annotations

import ctypes
import inspect
import sys
import types
from typing import Any, Callable

import shiboken6
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

_MODULES = (QtCore, QtGui, QtWidgets, QtUiTools)
_ObjectType = type(QtCore.QObject)

# Methods in Qt and PythonQt alike, though Qt declares a property of the same name.
_METHODS_DESPITE_PROPERTY = {"sizeHint", "minimumSizeHint"}


class _Wrapper(_ObjectType):
    """Makes isinstance and issubclass see PySide's own objects (made by C++) as instances of the posed classes."""

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self.__dict__.get("_pyside", ())) or super().__instancecheck__(instance)


class PythonQtMixin:
    """What PythonQt adds to every wrapped QObject."""

    def connect(self, signal: str, slot: Callable) -> bool:
        """Raises where PythonQt returns False for an unknown signal, which is easily missed."""
        name, types_ = _signal(self, signal)
        slots = self.__dict__.setdefault("_slots", {})
        adapter = _adapt(slot, 0 if not types_ else types_.count(",") + 1)
        getattr(self, name).connect(adapter)
        slots[signal, slot] = adapter
        return True

    def disconnect(self, signal: str, slot: Callable) -> bool:
        name, _ = _signal(self, signal)
        adapter = self.__dict__.get("_slots", {}).pop((signal, slot), None)
        if adapter is None:
            return False
        getattr(self, name).disconnect(adapter)
        return True

    def className(self) -> str:
        return self.metaObject().className()

    @property
    def name(self) -> str:
        return self.objectName if isinstance(self.objectName, str) else self.objectName()

    def delete(self) -> None:
        shiboken6.delete(self)

    def __setattr__(self, name: str, value: Any) -> None:
        kind = type(self)
        if not name.startswith("_") and kind.__dict__.get("_posed", False):  # a module's own subclass is free
            known = inspect.getattr_static(kind, name, None)
            # PySide's UI loader hands every named child to the top widget as an attribute.
            is_child = isinstance(value, QtCore.QObject) and value.property("objectName") == name
            if not is_child and not isinstance(known, (property, QtCore.Property)):
                raise AttributeError(f"{kind.__name__} has no property {name!r} that can be set")
        super().__setattr__(name, value)


def _signal(widget: QtCore.QObject, signal: str) -> tuple[str, str]:
    meta = widget.metaObject()
    normal = signal.replace(" ", "")
    index = meta.indexOfSignal(normal)
    if index < 0:
        # Signals declared in Python carry "PyObject" where C++ has a VTK type.
        index = meta.indexOfSignal(_python_signature(normal))
    if index < 0 and signal not in getattr(widget, "SIGNALS", ()):
        raise AttributeError(f"{type(widget).__name__} has no signal {signal!r}")
    name, _, rest = normal.partition("(")
    return name, rest.rstrip(")")


def _python_signature(signature: str) -> str:
    name, _, rest = signature.partition("(")
    return f"{name}({','.join('PyObject' if t.endswith('*') else t for t in rest.rstrip(')').split(',') if t)})"


def _adapt(slot: Callable, sent: int) -> Callable:
    """Pass as many of the signal's arguments as it names and the slot takes."""
    try:
        positional = [
            p
            for p in inspect.signature(slot).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        variadic = any(p.kind == p.VAR_POSITIONAL for p in inspect.signature(slot).parameters.values())
        taken = sent if variadic else min(sent, len(positional))
    except (TypeError, ValueError):
        taken = sent

    def adapter(*arguments: Any) -> None:
        slot(*arguments[:taken])

    return adapter


def pose(base: type, name: str | None = None, **extra: Any) -> type:
    """A PythonQt-like subclass of a PySide class."""
    namespace: dict[str, Any] = {"_pyside": base, "_posed": True, **extra}
    # PySide looks past a base class for these two, so each posed class has them itself.
    namespace.update(connect=PythonQtMixin.connect, disconnect=PythonQtMixin.disconnect)
    meta = base.staticMetaObject
    for index in range(meta.propertyCount()):
        declared = meta.property(index)
        prop = declared.name()
        if prop in _METHODS_DESPITE_PROPERTY or prop in extra or _python_property(base, prop):
            continue
        namespace[prop] = _property(prop, declared.isWritable())
    return _Wrapper(name or base.__name__, (PythonQtMixin, base), namespace)


def _python_property(base: type, name: str) -> bool:
    """Declared in Python by a stand-in, so it already is an attribute."""
    return any(isinstance(kind.__dict__.get(name), (property, QtCore.Property)) for kind in base.__mro__)


def _property(name: str, writable: bool) -> property:
    def read(self: QtCore.QObject) -> Any:
        return self.property(name)

    def write(self: QtCore.QObject, value: Any) -> None:
        if not self.setProperty(name, value):
            raise ValueError(f"{type(self).__name__}.{name} cannot be set to {value!r}")

    return property(read, write if writable else None)


class _UiLoader(QtUiTools.QUiLoader):
    """Builds the posed classes from a .ui file; an unknown class is an error, not an empty QWidget."""

    def createWidget(
        self, class_name: str, parent: QtWidgets.QWidget | None = None, name: str = ""
    ) -> QtWidgets.QWidget:
        kind = getattr(sys.modules["qt"], class_name, None) or getattr(sys.modules["slicer"], class_name, None)
        kind = kind or getattr(sys.modules["ctk"], class_name, None)
        if kind is None:
            raise AttributeError(f"No widget class {class_name!r} is posed")
        widget = kind(parent)
        widget.setObjectName(name)
        return widget


def install() -> tuple[types.ModuleType, types.ModuleType]:
    """Put ``qt`` and an empty ``ctk`` into `sys.modules`; widgets of Slicer's own are added by `widgets.install`."""
    _make_none_immortal()
    qt, ctk = types.ModuleType("qt"), types.ModuleType("ctk")
    for module in _MODULES:
        for name in dir(module):  # not vars(): PySide makes its classes when they are first looked at
            if not name.startswith("Q"):
                continue
            value = getattr(module, name)
            if isinstance(value, type) and issubclass(value, QtCore.QObject) and name not in _UNPOSED:
                value = pose(value)
            setattr(qt, name, value)
    qt.QUiLoader = pose(_UiLoader, "QUiLoader")
    sys.modules["qt"], sys.modules["ctk"] = qt, ctk
    return qt, ctk


def _make_none_immortal() -> None:
    """PySide 6.12 loses one reference to None in every call that returns nothing, and Python ends when none is left.

    From Python 3.12 on None cannot run out of references.
    """
    if sys.version_info < (3, 12):
        ctypes.c_ssize_t.from_address(id(None)).value += 1 << 40


# Abstract or final in C++, or used as they are.
_UNPOSED = {"QCoreApplication", "QGuiApplication", "QApplication", "QAbstractEventDispatcher", "QUiLoader"}
