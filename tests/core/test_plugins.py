"""Plugins are found in the metadata of installed packages; only the wanted one is imported."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from insectary.core import plugins
from insectary.core.errors import BadInputError, UnknownNameError

GROUP = "insectary.tests"
Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a distribution with entry points on the path, as pip would leave it."""

    def put(name: str, points: str) -> None:
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{points}\n")

    (tmp_path / "plugin_good.py").write_text("THING = {'good': True}\n")
    (tmp_path / "plugin_broken.py").write_text("import a_module_that_is_not_there\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in ("plugin_good", "plugin_broken"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return put


def test_names_are_sorted_and_import_nothing(install: Install) -> None:
    install("one", "zebra = plugin_good:THING\nant = plugin_broken:THING")
    assert plugins.names(GROUP) == ("ant", "zebra")
    assert not {"plugin_good", "plugin_broken"} & set(sys.modules)


def test_only_the_wanted_plugin_is_imported(install: Install) -> None:
    install("one", "zebra = plugin_good:THING\nant = plugin_broken:THING")
    assert plugins.origin(GROUP, "zebra") == "plugin_good:THING"
    assert "plugin_good" not in sys.modules
    assert plugins.load(GROUP, "thing", "zebra") == {"good": True}
    assert "plugin_good" in sys.modules
    assert "plugin_broken" not in sys.modules


def test_an_unknown_plugin_is_answered_with_the_list(install: Install) -> None:
    install("one", "zebra = plugin_good:THING")
    with pytest.raises(UnknownNameError, match=r"unknown thing: 'lion'. Known: zebra"):
        plugins.load(GROUP, "thing", "lion")


@pytest.mark.parametrize("value", ["plugin_broken:THING", "plugin_good:NOTHING", "no_module:X"])
def test_a_plugin_that_cannot_be_imported_is_named(install: Install, value: str) -> None:
    install("one", f"ant = {value}")
    with pytest.raises(
        BadInputError, match=rf"thing 'ant' \({value}\) cannot be imported: .*; mend"
    ):
        plugins.load(GROUP, "thing", "ant")


def test_what_else_a_plugin_raises_goes_up_with_its_name(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugin_wrong.py").write_text("THING = {}['nothing']\n")
    monkeypatch.delitem(sys.modules, "plugin_wrong", raising=False)
    install("one", "ant = plugin_wrong:THING")
    with pytest.raises(KeyError, match="nothing") as caught:
        plugins.load(GROUP, "thing", "ant")
    assert caught.value.__notes__ == ["in thing 'ant' (plugin_wrong:THING)"]


def test_a_name_of_two_packages_is_an_error_and_never_a_choice(install: Install) -> None:
    install("one", "ant = plugin_good:THING")
    install("two", "ant = plugin_broken:THING")
    for call in (lambda: plugins.names(GROUP), lambda: plugins.load(GROUP, "thing", "ant")):
        with pytest.raises(BadInputError, match="'ant' is registered twice"):
            call()


def test_one_package_seen_twice_is_one_package(install: Install) -> None:
    install("one", "ant = plugin_good:THING")
    install("two", "ant = plugin_good:THING")
    assert plugins.names(GROUP) == ("ant",)


def test_a_group_without_plugins_is_empty() -> None:
    assert plugins.names("insectary.no-such-group") == ()
