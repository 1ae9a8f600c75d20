"""What a Slicer build takes along, and that the module keeps to what its Python, PythonQt, can do. No Slicer needed."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
MODULE = REPOSITORY / "slicer_extension" / "MedSIGHT"
SOURCES = sorted([MODULE / "MedSIGHT.py", *(MODULE / "MedSIGHTLib").glob("*.py")])
CLIENT = ("__init__.py", "answer.py", "errors.py", "protocol.py", "soft_masks.py")

# Conversation, its page and its way over the wire: for the web viewer as well.
PLAIN = (
    "connection",
    "conversation",
    "findings",
    "fingerprint",
    "label_file",
    "local_server",
    "measuring",
    "open_case",
    "prompt_memory",
    "report_page",
    "submission_file",
    "thread_page",
    "volume_file",
    "waiting",
    "worklist_words",
)


def _cmake_list(name: str) -> set[str]:
    text = (MODULE / "CMakeLists.txt").read_text().replace("${MODULE_NAME}", "MedSIGHT")
    return set(re.search(rf"set\({name}\s(.*?)\)", text, re.DOTALL)[1].split())


def test_build_takes_every_file_of_the_module():
    assert _cmake_list("MODULE_PYTHON_SCRIPTS") == {str(path.relative_to(MODULE)) for path in SOURCES}
    resources = {str(path.relative_to(MODULE)) for path in (MODULE / "Resources").rglob("*") if path.is_file()}
    assert _cmake_list("MODULE_PYTHON_RESOURCES") == {name for name in resources if not name.endswith(".svg")}


def test_packaged_client_imports_with_nothing_else_of_ours_around(tmp_path):
    scripts = _cmake_list("CLIENT_PYTHON_SCRIPTS")
    expected = {f"medsight_core/{name}" for name in CLIENT}
    expected |= {f"medsight_core/client/{path.name}" for path in (REPOSITORY / "medsight_core" / "client").glob("*.py")}
    assert scripts == expected
    for script in scripts:
        (tmp_path / script).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / script, tmp_path / script)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import medsight_core.client as c; print(c.__file__)"
    run = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.startswith(str(tmp_path))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_module_is_written_in_the_python_of_older_slicers(path):
    ast.parse(path.read_text(), feature_version=(3, 9))
    assert path.name == "__init__.py" or "from __future__ import annotations" in path.read_text()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_module_stays_within_pythonqt(path):
    """Qt properties are not called, signals are connected by name, the event loop is not pumped, no PySide."""
    problems = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            problems += [f"imports {name}" for name in names if name.startswith(("PySide", "PyQt", "torch"))]
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, owner = node.func.attr, ast.unparse(node.func.value)
        if name == "processEvents":
            problems.append(f"line {node.lineno} pumps the event loop")
        if ".ui." in f".{owner}." or owner.startswith("ui."):
            if name in _widget_properties() and not node.args:
                problems.append(f"line {node.lineno} calls the property {name}")
            if name == "connect" and not (node.args and isinstance(node.args[0], ast.Constant)):
                problems.append(f"line {node.lineno} connects without a signal's name")
    assert problems == []


def test_pythonqt_check_can_fail():
    assert {"text", "plainText", "checked", "enabled", "visible", "toolTip"} <= _widget_properties()
    assert "setFocus" not in _widget_properties()


def test_every_widget_that_the_panel_uses_is_in_the_ui_file():
    files = (MODULE / "Resources" / "UI").glob("*.ui")
    named = {name for path in files for name in re.findall(r'name="(\w+)"', path.read_text())}
    used = {name for path in SOURCES for name in re.findall(r"\bui\.(\w+)", path.read_text())}
    assert used
    assert used <= named


@pytest.mark.parametrize("name", PLAIN)
def test_what_other_faces_share_knows_neither_qt_nor_slicer(name):
    tree = ast.parse((MODULE / "MedSIGHTLib" / f"{name}.py").read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {f"MedSIGHTLib.{other}" for other in PLAIN}
    assert {module for module in imported if module.startswith("MedSIGHTLib")} <= ours
    assert not {module.split(".")[0] for module in imported} & {"qt", "ctk", "slicer", "vtk"}


def test_icon_is_a_square_that_slicer_can_show():
    from PIL import Image

    with Image.open(MODULE / "Resources" / "Icons" / "MedSIGHT.png") as icon:
        assert icon.size == (128, 128)
        assert icon.mode == "RGBA"


def _widget_properties() -> set[str]:
    from PySide6 import QtWidgets

    kinds = (
        QtWidgets.QLabel, QtWidgets.QLineEdit, QtWidgets.QPlainTextEdit, QtWidgets.QPushButton, QtWidgets.QRadioButton,
        QtWidgets.QProgressBar, QtWidgets.QTextBrowser, QtWidgets.QFrame,
        QtWidgets.QComboBox, QtWidgets.QCheckBox,
    )  # fmt: skip
    metas = [kind.staticMetaObject for kind in kinds]
    return {meta.property(n).name() for meta in metas for n in range(meta.propertyCount())}
