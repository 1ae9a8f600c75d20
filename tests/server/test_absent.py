from __future__ import annotations

import sys

import pytest

from medsight_core.server import absent


def test_a_stand_in_can_be_imported_but_not_used(monkeypatch):
    monkeypatch.setattr(absent, "NAMES", ("medsight_no_such_package",))
    monkeypatch.delitem(sys.modules, "medsight_no_such_package", raising=False)
    absent.install()
    import medsight_no_such_package

    with pytest.raises(RuntimeError, match="'medsight_no_such_package' is not installed"):
        medsight_no_such_package.reader()
    assert not hasattr(medsight_no_such_package, "__path__")  # what the import machinery asks
    monkeypatch.delitem(sys.modules, "medsight_no_such_package")


def test_an_installed_package_stays_itself(monkeypatch):
    import json

    monkeypatch.setattr(absent, "NAMES", ("json",))
    absent.install()
    assert sys.modules["json"] is json
