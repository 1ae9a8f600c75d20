"""That the page is a thin door: what it may know of MedSIGHT, and that an installed MedSIGHT has it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import tomllib
from setuptools import find_namespace_packages

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "slicer_extension" / "viewer").glob("*.py"))
ALLOWED = ("medsight_core.answer", "medsight_core.client", "medsight_core.errors", "medsight_core.protocol")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_page_knows_the_client_and_no_model_no_server_no_qt(path):
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name for name in imported if name.startswith("medsight_core")} <= set(ALLOWED)
    assert not {name.split(".")[0] for name in imported} & {
        "qt",
        "ctk",
        "torch",
        "monailabel",
        "requests",
        "sample_data",
    }


def test_installed_medsight_has_the_page_and_the_modules_library():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    packages = find_namespace_packages(str(ROOT), include=settings["packages"]["find"]["include"])
    assert {"slicer_extension.viewer", "slicer_extension.MedSIGHT.MedSIGHTLib"} <= set(packages)
    assert "page.css" in settings["package-data"]["slicer_extension.viewer"]


def test_page_loads_nothing_from_elsewhere():
    for path in (*SOURCES, SOURCES[0].with_name("page.css")):
        text = path.read_text(encoding="utf-8")
        assert "https://" not in text
        assert "@import" not in text
        assert "url(" not in text
