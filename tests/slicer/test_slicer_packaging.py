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
CLIENT = ("__init__.py", "answer.py", "errors.py", "packing.py", "protocol.py", "soft_masks.py")

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
    "training_words",
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
    names = "medsight_core.packing, medsight_core.client as c"
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import {names}; print(c.__file__)"
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
    ours = {f"MedSIGHTLib.{other}" for other in (*PLAIN, "translating")}  # which does without Slicer
    assert {module for module in imported if module.startswith("MedSIGHTLib")} <= ours
    assert not {module.split(".")[0] for module in imported} & {"qt", "ctk", "slicer", "vtk"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_what_a_person_reads_can_be_translated(path):
    """Sentences are whole literals in ``_()``, and nothing else in the file is called so."""
    tree = ast.parse(path.read_text())
    if path.name == "MedSIGHT.py":  # its tests speak to nobody
        tree.body = [node for node in tree.body if getattr(node, "name", "") != "MedSIGHTTest"]
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "_"]
    assert all(isinstance(argument, ast.Constant) for call in calls for argument in call.args)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "_"]
    assert not calls or all(isinstance(name.ctx, ast.Load) for name in names)
    cared_for = {id(node) for call in calls for node in ast.walk(call)} | _docstrings(tree)
    said = [node for node in ast.walk(tree) if id(node) not in cared_for and _is_sentence(node)]
    assert [(node.lineno, node.value) for node in said] == []


def test_texts_go_through_slicers_translation_where_there_is_one(tmp_path):
    """What Slicer's own ``slicer.i18n`` would be asked; without it, as here, the text stands as it is."""
    code = "from MedSIGHTLib.worklist_words import NO_IMAGES; print(NO_IMAGES)"
    paths = [str(MODULE), str(REPOSITORY)]
    said = []
    for translation in (None, "def tr(text): return text.upper()"):
        if translation:
            (tmp_path / "slicer").mkdir()
            (tmp_path / "slicer" / "__init__.py").touch()
            (tmp_path / "slicer" / "i18n.py").write_text(translation)
        command = f"import sys; sys.path[:0] = {[str(tmp_path), *paths]}; {code}"
        run = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, timeout=60)
        said.append(run.stdout.strip())
    assert said[0].startswith("The server has no images yet")
    assert said[1] == said[0].upper()


def test_translation_check_can_fail():
    said = ast.parse("""f"<p style='margin:0 0'>Not seen: {names}</p>"; "Ask again."; "space origin"; f"{a} {b}" """)
    found = [node.value for node in ast.walk(said) if _is_sentence(node)]
    assert found == ["Ask again.", "<p style='margin:0 0'>Not seen: "]


def _is_sentence(node: ast.AST) -> bool:
    """A text of two words or more, without what is markup or belongs to a file's format or to Slicer."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return False
    text = re.sub(r"<[^>]*(>|$)|^[^<]*'>", " ", node.value)
    return re.search(r"[A-Za-z]{2,}[ ,:]+[A-Za-z]{2,}", text) is not None and not re.match(_NOT_SAID, node.value)


# Of markup, file formats, signals, and errors that only this code sees; names of threads, nodes and parts of Slicer.
_NOT_SAID = (
    r"\n:root|['\"; ]+(src|style|text)|\w+\(Q\w+,|(un)?signed |short int|space|kinds: |domain |endian: |encoding: |"
    r"Segmentation_|Binary labelmap|no \w+$|not (a|all) |an image$|of (a|another) |a number that|Other work|make |"
    r"MedSIGHT (failed|server|report)|The MedSIGHT for 3D Slicer authors|What can you see\?"
)


def _docstrings(tree: ast.AST) -> set[int]:
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))]
    return {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}


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
