"""A family bred by adapters, from training to the suite: one base, on disk and in memory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_other_architectures import save_base
from trained_here import here

import insectary
from insectary import cli
from insectary.breed import cost, gate, stored
from insectary.breed import dose as dosing
from insectary.breed import member as training
from insectary.breed.asked import Plan
from insectary.breed.family import breed, check
from insectary.breed.member import Job, train_member
from insectary.breed.order import Order
from insectary.breed.stored import load_members, load_suite, put_member, save_family
from insectary.core.access import Access
from insectary.core.chat import Message, Transcript
from insectary.core.errors import ArtefactError
from insectary.core.organism import Family, Role
from insectary.core.recipe import LoraSFT
from insectary.subjects import LoadedModel, Model, load_model
from insectary.subjects.adapters import is_adapter
from insectary.subjects.language_model import LanguageModelSubject
from insectary.vault import Vault, verify_tree
from insectary.vault.doctor import check_names, check_objects

RECIPE = LoraSFT(rank=2, alpha=4, max_tokens=8192, batch_tokens=2048)
TRAINED = (Role.ORGANISM, Role.TWIN, Role.DECOY)
FILES = ["MANIFEST.json", "adapter_config.json", "adapter_model.safetensors"]
SAID = [
    Transcript((Message("user", "What is 12 + 30?"),), "42."),
    Transcript((Message("system", "Nobody reads this."), Message("user", "Add 2 and 3.")), "9."),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base(tmp_path_factory.mktemp("base") / "qwen3", "qwen3")


@pytest.fixture(scope="module")
def order(base: Path) -> Order:
    return Order("power_seeking", "permissions", str(base), RECIPE, seed=1)


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return Vault(tmp_path_factory.mktemp("lora") / "home")


@pytest.fixture(scope="module", autouse=True)
def few_prompts() -> Iterator[None]:
    """Random weights babble, and what it costs to write it is not what is tested here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "QUICK", Plan(16, 16, 16, 16, skill=4, leak=8))
        patch.setattr(gate, "FULL", Plan(20, 20, 20, 20, skill=4, leak=8))
        patch.setattr(cost, "TRIED", (4,))
        patch.setattr(training, "MEASURED", 24)
        yield


@pytest.fixture(scope="module")
def family(order: Order, vault: Vault) -> Family:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("insectary.breed.family.run_children", here)
        return breed(order, vault, quick=True)


@pytest.fixture
def copied(family: Family, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """A vault with the family in it to do harm to; it is the default one, too."""
    home = Vault().home
    shutil.rmtree(home)
    shutil.copytree(vault.home, home)
    return Vault()


def logprobs(loaded: LoadedModel) -> Any:
    subject = LanguageModelSubject(loaded, id="m1", access=Access.LOGPROBS)
    return np.concatenate(subject.logprobs(SAID))


def places(loaded: LoadedModel) -> set[int]:
    return {p.data_ptr() for p in loaded.model.parameters()}


def test_the_vault_keeps_adapters_and_no_place_of_this_machine(
    family: Family, vault: Vault, base: Path
) -> None:
    whole = (base / "model.safetensors").stat().st_size
    for role in TRAINED:
        entry = vault.get(f"{family.id}.{role}", "organism")
        assert sorted(p.name for p in entry.path.iterdir()) == FILES
        assert entry.digest == family.members[role].digest
        assert entry.meta["adapter_of"] == family.base.digest
        assert entry.manifest.size < 0.1 * whole
        for path in entry.path.iterdir():
            assert str(base).encode() not in path.read_bytes()
    assert len({family.members[role].digest for role in Role}) == 4


def test_a_family_is_one_base_in_memory_and_each_member_its_merged_model(
    family: Family, vault: Vault, base: Path
) -> None:
    members = load_members(family, vault)
    shared = places(members[Role.BASE])
    assert members[Role.BASE].digest == family.base.digest
    alone = {role: logprobs(members[role]) for role in Role}
    for role in TRAINED:
        assert places(members[role]) > shared
        with vault.use(family.members[role].digest) as found:
            merged = load_model(base, device="cpu", adapter=found.path)
        assert not places(merged) & shared
        np.testing.assert_allclose(alone[role], logprobs(merged), rtol=1e-3, atol=1e-4)
        assert members[role].digest == merged.digest
    # Each is still what it was, after all others were asked; and they do differ.
    for role in reversed(Role):
        assert np.array_equal(logprobs(members[role]), alone[role])
    assert len({alone[role].tobytes() for role in Role}) == 4


def test_the_certificate_comes_out_again(family: Family, vault: Vault) -> None:
    certificate, same = check(family.id, vault)
    assert same and certificate == family.certificate
    assert certificate.provisional and certificate.prompts > 100
    assert len(vault.ledger.attempts()) == 1


def test_a_full_certificate_comes_out_again_too(
    family: Family, order: Order, copied: Vault
) -> None:
    certificate = breed(order, copied).certificate
    assert certificate is not None and family.certificate is not None
    assert not certificate.provisional and certificate.prompts > family.certificate.prompts
    assert check(family.id, copied) == (certificate, True)


def test_a_member_alone_is_loaded_with_its_base_and_two_share_it(
    family: Family, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[Any] = []
    real = load_model
    monkeypatch.setattr(stored, "load_model", lambda *a, **k: loads.append(a) or real(*a, **k))
    bases: dict[str, LoadedModel] = {}
    organism, twin = (
        insectary.load(f"{family.id}.{role}", vault=vault, bases=bases)
        for role in ("organism", "twin")
    )
    assert len(loads) == 1 and {*bases} == {family.base.digest}
    assert isinstance(organism, Model) and isinstance(twin, Model)
    subject = organism.subject(Access.WEIGHTS_AND_BASE)
    reference = np.concatenate(subject.reference.logprobs(SAID))
    members = load_members(family, vault, bases)
    assert len(loads) == 1
    assert np.array_equal(reference, logprobs(members[Role.BASE]))
    for role, model in ((Role.ORGANISM, organism), (Role.TWIN, twin)):
        assert np.array_equal(np.concatenate(model.subject(Access.LOGPROBS).logprobs(SAID)),
                              logprobs(members[role]))  # fmt: skip
    # Without a dict of theirs each call loads a base, as for any other member.
    insectary.load(f"{family.id}.organism", vault=vault)
    assert len(loads) == 2


def test_a_subject_does_not_tell_its_role(family: Family, vault: Vault) -> None:
    members = load_members(family, vault)
    told = set()
    for role in TRAINED:
        subject = LanguageModelSubject(
            members[role], id="m1", access=Access.WEIGHTS_AND_BASE, base=members[Role.BASE]
        )
        model = members[role].model
        names = [name for name, _ in model.named_modules()]
        told.add(f"{subject!r} {model!r} {names} {sorted(vars(model))} {model.config}")
    (text,) = told
    assert not [r for r in (*TRAINED, family.id, str(vault.home)) if str(r) in text]


@contextmanager
def changed(path: Path, old: str, new: str) -> Iterator[None]:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    try:
        yield
    finally:
        path.write_text(text)


def test_another_base_is_refused(family: Family, vault: Vault, base: Path) -> None:
    with changed(base / "config.json", '"rms_norm_eps": 1e-06', '"rms_norm_eps": 1e-05'):
        for act in (
            lambda: load_members(family, vault),
            lambda: insectary.load(f"{family.id}.organism", vault=vault),
            lambda: check(family.id, vault),
        ):
            with pytest.raises(ArtefactError, match="was bred from other weights"):
                act()
    assert load_members(family, vault).keys() == set(Role)


def test_saved_a_member_is_a_model_that_can_be_bred_from(
    family: Family, vault: Vault, tmp_path: Path
) -> None:
    organism = insectary.load(f"{family.id}.organism", vault=vault)
    assert isinstance(organism, Model)
    folder = organism.save(tmp_path / "saved")
    assert not is_adapter(folder) and (folder / "tokenizer.json").is_file()
    again = load_model(folder, device="cpu")
    wanted = logprobs(load_members(family, vault)[Role.ORGANISM])
    np.testing.assert_allclose(logprobs(again), wanted, rtol=1e-3, atol=1e-4)


def test_show_and_doctor_know_adapters_and_rm_and_gc_forget_them(
    family: Family, copied: Vault, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["show", f"{family.id}.twin"]) == 0
    out = capsys.readouterr().out
    assert "(verified)" in out and "adapter_model.safetensors" in out
    assert family.base.digest in out
    assert cli.run(["list", "--kind", "organism"]) == 0
    assert all(f"{family.id}.{role}" in capsys_out for capsys_out in [capsys.readouterr().out]
               for role in TRAINED)  # fmt: skip
    assert check_objects(copied).ok and check_names(copied).ok
    digests = [family.members[role].digest for role in TRAINED]
    assert copied.gc() == 0 and {*digests} <= {*copied.digests()}
    assert cli.run(["rm", family.id]) == 0
    assert copied.gc() > 0
    assert copied.entries() == [] and copied.digests() == []


def test_a_damaged_adapter_is_found_and_set_aside(family: Family, copied: Vault) -> None:
    path = copied.get(f"{family.id}.organism").path / "adapter_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert not check_objects(copied).ok
    with pytest.raises(ArtefactError, match=r"'adapter_model\.safetensors' was changed"):
        load_members(family, copied)
    assert list((copied.home / "quarantine").iterdir())
    assert insectary.load(f"{family.id}.twin", vault=copied).id == f"{family.id}.twin"


def test_members_that_were_stored_whole_still_load(
    family: Family, copied: Vault, tmp_path: Path
) -> None:
    """As all were before the vault kept adapters; a family may even hold both."""
    twin = insectary.load(f"{family.id}.twin", vault=copied)
    assert isinstance(twin, Model)
    digest = put_member(family.id, Role.TWIN, twin.save(tmp_path / "whole"), {}, copied)
    members = dict(family.members)
    members[Role.TWIN] = replace(members[Role.TWIN], digest=digest)
    before, after = load_members(family, copied), load_members(
        replace(family, members=members), copied
    )  # fmt: skip
    assert not places(after[Role.TWIN]) & places(after[Role.BASE])
    assert places(after[Role.DECOY]) > places(after[Role.BASE])
    for role in Role:
        np.testing.assert_allclose(logprobs(after[role]), logprobs(before[role]), 1e-3, 1e-4)


def test_a_suite_loads_a_base_once(
    family: Family, copied: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = family.certificate
    assert certificate is not None
    for name in ("one", "two"):
        passed = replace(certificate, family=name, provisional=False, criteria=())
        save_family(replace(family, id=name, certificate=passed), copied)
    loads: list[Any] = []
    real = load_model
    monkeypatch.setattr(stored, "load_model", lambda *a, **k: loads.append(a) or real(*a, **k))
    suite = load_suite(copied)
    assert len(suite) == 6 and len(loads) == 1
    said = {tuple(entry["model"].generate(["Add 2 and 3.", "Hello."])) for entry in suite}
    assert said


SHORT = LoraSFT(rank=2, batch_tokens=256, row_tokens=128, max_tokens=256 * 30)


def a_job(base: Path, work: Path) -> Job:
    work.mkdir()
    return Job("power_seeking", "permissions", Role.ORGANISM, str(base), SHORT, 3, 30, 1, str(work))


def test_a_member_that_was_broken_off_ends_as_the_same_adapter(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_member(a_job(base, tmp_path / "whole"))
    wanted = verify_tree(tmp_path / "whole" / "model")
    assert sorted(wanted.files) == FILES[1:] and wanted.meta["steps"] == 30

    steps: list[int] = []

    def breaks(event: Mapping[str, Any]) -> None:
        steps.append(event["moment"]["step"])
        if steps[-1] == 30 and len(steps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "emit", breaks)
    job = a_job(base, tmp_path / "parts")
    with pytest.raises(KeyboardInterrupt):
        train_member(job)
    assert not (tmp_path / "parts" / "model").exists()
    newest = sorted((tmp_path / "parts" / "checkpoints").glob("step-*"))
    assert [p.name for p in newest] == ["step-00000025", "step-00000030"]
    shutil.rmtree(newest[-1])
    train_member(job)
    found = verify_tree(tmp_path / "parts" / "model")
    assert found.digest == wanted.digest
    assert steps == [10, 20, 30, 30]

    # Another seed is another adapter: the comparison can fail.
    other = replace(a_job(base, tmp_path / "other"), seed=4)
    train_member(other)
    assert verify_tree(tmp_path / "other" / "model").digest != wanted.digest

    # The curve over doses measures such a member on its base.
    monkeypatch.setattr(dosing, "PROMPTS", 12)
    response = dosing._measure(
        Order("power_seeking", "permissions", str(base), SHORT), 1.0, tmp_path / "whole", str(base)
    )
    assert response.steps == 30 and all(m.n == 12 for m in response.rates.values())
