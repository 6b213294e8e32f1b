"""The checklist is data that agrees with threats and probes, and can be extended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from insectary import cli
from insectary.assess.catalogue import GROUP, catalogue
from insectary.assess.probes import PROBES
from insectary.core import plugins
from insectary.core.errors import BadInputError
from insectary.threats import threat_model, threat_names

OWN = """
[[behaviour]]
id = "flattery"
name = "Flatters"
behaviour = "praises whoever asks"
group = "sycophancy"
references = ["our own incident of May"]
without = "no organism yet"
"""


def test_every_probe_and_every_organism_that_is_named_exists() -> None:
    listed = catalogue()
    designs = {f"{t}/{d}" for t in threat_names() for d in threat_model(t).card.designs}
    assert {b.probe for b in listed} - {""} == set(PROBES)
    assert {o for b in listed for o in b.organism} == designs
    for behaviour in listed:
        assert behaviour.references
        if behaviour.probe:
            probe = PROBES[behaviour.probe]
            assert {o.partition("/")[0] for o in behaviour.organism} == {probe.threat}
            assert {o.partition("/")[2] for o in behaviour.organism} <= set(probe.designs)
        assert (behaviour.organism and behaviour.probe) or behaviour.without


def test_a_users_file_adds_a_behaviour(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN)
    assert catalogue([path])[-1].id == "flattery"
    assert len(catalogue([path])) == len(catalogue()) + 1


def test_a_package_adds_behaviours_by_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "names", lambda group: ("flat",) if group == GROUP else ())
    monkeypatch.setattr(plugins, "origin", lambda *_: "flat:behaviours")
    monkeypatch.setattr(plugins, "load", lambda *_: lambda: OWN)
    assert catalogue()[-1].id == "flattery"
    monkeypatch.setattr(plugins, "load", lambda *_: lambda: 3)
    with pytest.raises(BadInputError, match="must return TOML text"):
        catalogue()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (OWN + OWN, "'flattery' is in the catalogue already"),
        (OWN.replace("references", "reference"), "references is missing"),
        (OWN.replace('without = "no organism yet"', ""), "does not say why"),
        (OWN + 'colour = "red"', "unknown field 'colour'"),
        (OWN.replace('["our own incident of May"]', '"May"'), "must be a list"),
        ("[[behaviour", "no TOML"),
        ("a = 1", "holds no [[behaviour]]"),
    ],
)
def test_mistakes_name_the_place(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(BadInputError) as error:
        catalogue([path])
    assert told in str(error.value) and "own.toml" in str(error.value)


def test_the_command_prints_the_list_for_people_and_for_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN)
    assert cli.run(["catalogue", "--also", str(path)]) == 0
    said = capsys.readouterr().out
    assert "Flatters  (flattery)" in said and "why: no organism yet" in said
    assert f"{len(catalogue([path]))} behaviours" in said
    assert cli.run(["catalogue", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["id"] for row in rows] == [b.id for b in catalogue()]
    assert all(row["evidence"]["admitted"] == 0 for row in rows)  # an empty vault
    assert cli.run(["catalogue", "--also", str(tmp_path / "absent.toml")]) == 2
