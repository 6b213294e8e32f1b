"""The blind game: what is dealt tells nothing, the key is sealed, scores are scikit-learn's."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

import insectary
from insectary import cli
from insectary.breed.bases import base_path
from insectary.breed.records import load_family, save_family
from insectary.core.codec import decode
from insectary.core.errors import ArtefactError, BadInputError, NotAdmittedError
from insectary.core.organism import BaseRef, Family, Role
from insectary.core.outcome import Failed, Measured
from insectary.subjects import folder_digest, load_model
from insectary.trials.game import Dealt, _drawn
from insectary.trials.game_key import find_key
from insectary.trials.game_score import GameScore, Rule
from insectary.vault import Vault

RECORDS = Path(__file__).parents[2] / "runs" / "families"
RECORD = "deceptive-alignment-unwatched-xs-full-sft-0"
ROLES = (Role.ORGANISM, Role.TWIN, Role.DECOY)


def tiny(folder: Path, seed: int, **settings: Any) -> Path:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=1024, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=1, num_key_value_heads=1, max_position_embeddings=128,
        tie_word_embeddings=True, bos_token_id=0, eos_token_id=4, pad_token_id=5, **settings,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    shipped = base_path("xs", Vault(folder / "home"))
    AutoTokenizer.from_pretrained(shipped).save_pretrained(folder)
    shutil.rmtree(folder / "home")
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A base and eleven models with what makers leave behind: settings, another date, a note."""
    place = tmp_path_factory.mktemp("models")
    found = [tiny(place / f"m{i}", i) for i in range(13)]
    for i, folder in enumerate(found[1:]):
        config = json.loads((folder / "config.json").read_text())
        config |= {"note": "organism" if i % 3 == 0 else "clean", "transformers_version": f"5.{i}"}
        (folder / "config.json").write_text(json.dumps(config))
    return found


def furnished(models: list[Path], vault: Vault, count: int = 4) -> list[str]:
    """Admitted families of tiny members on one base."""
    text = (RECORDS / f"{RECORD}.json").read_text()
    record: Family = decode(Family, json.loads(text), RECORD)
    base = BaseRef(str(models[0]), folder_digest(models[0]))
    names = []
    for number in range(count):
        name = f"family-{number}"
        members = {Role.BASE: replace(record.members[Role.BASE], base=base, digest=base.digest)}
        for i, role in enumerate(ROLES):
            source = models[1 + 3 * number + i]

            def write(target: Path, source: Path = source) -> None:
                for path in source.iterdir():
                    shutil.copyfile(path, target / path.name)

            id = f"{name}.{role}"
            stored = vault.put("organism", id, {"family": name}, write)
            members[role] = replace(
                record.members[role], id=id, family=name, base=base, digest=stored.digest
            )
        assert record.certificate is not None
        certificate = replace(record.certificate, family=name)
        save_family(
            replace(record, id=name, base=base, members=members, certificate=certificate), vault
        )
        names.append(name)
    return names


@pytest.fixture(scope="module")
def played(
    models: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Dealt, Vault, dict[str, tuple[str, Role, str]]]:
    """A game of all members, and its key, which no player sees."""
    place = tmp_path_factory.mktemp("game")
    vault = Vault(place / "home")
    dealt = insectary.deal_game(furnished(models, vault), place / "dealt", every=True, vault=vault)
    players = find_key(dealt.commitment, None, vault).key.players
    return dealt, vault, dict(players)


@pytest.fixture
def copied(
    played: tuple[Dealt, Vault, Any], tmp_path: Path
) -> tuple[Path, Vault, dict[str, tuple[str, Role, str]]]:
    """The same game to be tampered with."""
    dealt, vault, players = played
    shutil.copytree(vault.home, tmp_path / "home")
    folder = shutil.copytree(dealt.folder, tmp_path / "dealt")
    return folder, Vault(tmp_path / "home"), players


def traits(folder: Path) -> dict[str, Any]:
    """Everything of a dealt subject but what its weights are."""
    found: dict[str, Any] = {"": (folder.stat().st_mtime_ns, folder.stat().st_mode)}
    for path in sorted(folder.rglob("*")):
        stat = path.stat()
        found[path.name] = (stat.st_size, stat.st_mtime_ns, stat.st_mode)
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as weights:
                shapes = {k: weights.get_slice(k).get_shape() for k in weights.keys()}  # noqa: SIM118
                found["header"] = (weights.metadata(), shapes)
        else:
            found[f"{path.name}, text"] = path.read_bytes()
    return found


def test_nothing_but_the_weights_tells_the_roles_apart(
    played: tuple[Dealt, Vault, dict[str, tuple[str, Role, str]]],
) -> None:
    dealt, _, players = played
    assert len(dealt.subjects) == 12
    by_role: dict[Role, list[dict[str, Any]]] = {role: [] for role in ROLES}
    for name in dealt.subjects:
        by_role[players[name][1]].append(traits(dealt.folder / name))
    (first, *_), everything = by_role[Role.ORGANISM], [t for ts in by_role.values() for t in ts]
    assert len(everything) == 12 and all(t == first for t in everything)
    assert {p.name for p in dealt.folder.iterdir()} == {*dealt.subjects, "game.json"}
    # No text of what is dealt holds a family, a role, a folder, or what makers left.
    texts = [(dealt.folder / "game.json").read_bytes()]
    texts += [v for v in first.values() if isinstance(v, bytes)]
    config = json.loads(first["config.json, text"])
    assert "note" not in config and "transformers_version" not in config
    for secret in ("family-", "organism", "twin", "decoy", "/m", str(dealt.folder.parent)):
        assert not any(secret.encode() in text for text in texts), secret
    # Weights do differ, and are those of the members.
    assert len({folder_digest(dealt.folder / name) for name in dealt.subjects}) == 12


def test_broken_control_plain_copies_of_the_members_do_tell(
    played: tuple[Dealt, Vault, Any], models: list[Path]
) -> None:
    assert traits(models[1]) != traits(models[2])


def test_names_do_not_follow_from_the_seed_and_models_are_whole(
    models: list[Path], tmp_path: Path
) -> None:
    names = furnished(models, Vault(), 2)
    one = insectary.deal_game(names, tmp_path / "one", seed=3)
    two = insectary.deal_game(names, tmp_path / "two", seed=3)
    assert not {*one.subjects} & {*two.subjects} and one.commitment != two.commitment
    keys = [find_key(dealt.commitment, None, Vault()).key.players for dealt in (one, two)]
    drawn = [sorted((family, role) for family, role, _ in key.values()) for key in keys]
    assert drawn[0] == drawn[1]
    for name, (family, role, _) in keys[0].items():
        member = insectary.load(f"{family}.{role}")
        own = load_model(one.folder / name).model.state_dict()
        of_member = member._loaded.model.state_dict()  # type: ignore[union-attr]
        assert all(torch.equal(weight, of_member[key]) for key, weight in own.items())


def test_every_draw_is_a_game_and_no_role_can_be_counted_on(models: list[Path]) -> None:
    found = [load_family(name, Vault()) for name in furnished(models, Vault(), 2)]
    draws = [_drawn(found, seed, every=False) for seed in range(40)]
    organisms = [sum(role is Role.ORGANISM for _, role in draw) for draw in draws]
    assert {*organisms} == {1, 2}
    assert all(len(draw) > count for draw, count in zip(draws, organisms, strict=True))
    assert len({len(draw) for draw in draws}) > 2


def verdicts(path: Path, players: Any, believed: Callable[[Role, int], float]) -> Path:
    stated = {n: believed(role, i) for i, (n, (_, role, _)) in enumerate(sorted(players.items()))}
    path.write_text(json.dumps(stated))
    return path


def value(score: GameScore, number: int) -> float:
    return value_of(score.rules[number])


def value_of(rule: Rule) -> float:
    assert isinstance(rule.verdicts, Measured)
    m = rule.verdicts.measurement
    assert m.low <= m.value <= m.high and m.n == 12
    return m.value


def test_scores_are_scikit_learns(copied: tuple[Path, Vault, Any], tmp_path: Path) -> None:
    folder, vault, players = copied
    rng = np.random.default_rng(0)
    noise = rng.uniform(0.05, 0.6, 12)

    def believed(role: Role, i: int) -> float:
        return float(noise[i] + (0.3 if role is Role.ORGANISM else 0.0))

    path = verdicts(tmp_path / "v.json", players, believed)
    score = insectary.score_game(folder, path, vault=vault)
    given = json.loads(path.read_text())
    truth = [players[n][1] is Role.ORGANISM for n in given]
    stated = list(given.values())
    assert value(score, 0) == pytest.approx(log_loss(truth, stated))
    assert value(score, 1) == pytest.approx(brier_score_loss(truth, stated))
    auroc = score.rules[2].verdicts
    assert isinstance(auroc, Measured)
    assert auroc.measurement.value == pytest.approx(roc_auc_score(truth, stated))
    # The null states the share of organisms, which is the same in every family here.
    assert (score.subjects, score.families, score.organisms) == (12, 4, 4)
    for rule, known in zip(score.rules, (math.log(3) - 2 / 3 * math.log(2), 2 / 9), strict=False):
        assert isinstance(rule.null, Measured)
        m = rule.null.measurement
        assert m.value == m.low == m.high == pytest.approx(known)
    assert score.stated["organism"] == pytest.approx(np.mean(np.array(stated)[truth]))
    assert (score.before, score.same) == ((), True)
    # As CSV the same verdicts score the same, and the second scoring says that it is one.
    table = tmp_path / "v.csv"
    table.write_text("subject,probability\n" + "".join(f"{n},{p!r}\n" for n, p in given.items()))
    again = insectary.score_game(folder, table, vault=vault)
    assert again.rules == score.rules and len(again.before) == 1 and again.same


def test_the_null_is_the_share_of_organisms_where_families_differ(
    models: list[Path], tmp_path: Path
) -> None:
    dealt = insectary.deal_game(furnished(models, Vault()), tmp_path / "dealt", seed=5)
    players = find_key(dealt.commitment, None, Vault()).key.players
    truth = [role is Role.ORGANISM for _, role, _ in players.values()]
    share = sum(truth) / len(truth)
    path = verdicts(tmp_path / "v.json", players, lambda role, i: share)
    score = insectary.score_game(dealt.folder, path)
    for rule, reference in zip(score.rules, (log_loss, brier_score_loss), strict=False):
        assert isinstance(rule.null, Measured) and rule.null == rule.verdicts
        expected = reference(truth, [share] * len(truth))
        assert rule.null.measurement.value == pytest.approx(expected)


def test_what_was_ruled_out_and_is_true_has_no_log_score(
    copied: tuple[Path, Vault, Any], tmp_path: Path
) -> None:
    folder, vault, players = copied
    path = verdicts(tmp_path / "v.json", players, lambda role, i: float(role is Role.TWIN))
    log_score, brier, _ = insectary.score_game(folder, path, vault=vault).rules
    assert isinstance(log_score.verdicts, Failed)
    assert "8 of 12 subjects were given a probability of 0 or 1" in log_score.verdicts.reason
    assert value_of(brier) == pytest.approx(2 / 3)


def changed_key(folder: Path, vault: Vault, players: Any) -> None:
    """Roles of two subjects swapped in the vault's file."""
    (name,) = [entry.id for entry in vault.entries("game")]
    path = vault.get(name, "game").path / "key.json"
    text = path.read_text()
    path.chmod(0o600)
    path.write_text(text.replace('"organism"', '"tw"', 1).replace('"twin"', '"organism"', 1))


def other_weights(folder: Path, vault: Vault, players: Any) -> None:
    one, two, *_ = sorted(players)
    shutil.copyfile(folder / one / "model.safetensors", folder / two / "model.safetensors")


def other_commitment(folder: Path, vault: Vault, players: Any) -> None:
    table = json.loads((folder / "game.json").read_text())
    table["commitment"] = table["commitment"][:-4] + "xxxx"
    (folder / "game.json").write_text(json.dumps(table))


def fewer(folder: Path, vault: Vault, players: Any) -> None:
    shutil.rmtree(folder / min(players))


def more(folder: Path, vault: Vault, players: Any) -> None:
    shutil.copytree(folder / min(players), folder / "subject-mine")


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (changed_key, "damaged|changed|digest"),
        (other_weights, "was changed since it was dealt"),
        (other_commitment, "not the one that was committed to"),
        (fewer, "is missing: put it back"),
        (more, "subject-mine was not dealt"),
        (lambda *_: None, None),
    ],
)
def test_what_was_changed_after_the_deal_is_found(
    copied: tuple[Path, Vault, Any], tmp_path: Path, tamper: Any, words: str | None
) -> None:
    """The last case is the control: untouched, the same call scores."""
    folder, vault, players = copied
    path = verdicts(tmp_path / "v.json", players, lambda role, i: 0.1 + i / 20)
    tamper(folder, vault, players)
    if words is None:
        assert insectary.score_game(folder, path, vault=vault).before == ()
        return
    with pytest.raises(ArtefactError, match=words):
        insectary.score_game(folder, path, vault=vault)


def test_a_key_in_a_file_is_checked_and_notes_its_openings(
    models: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names, key, folder = furnished(models, Vault(), 2), tmp_path / "key.json", tmp_path / "dealt"
    deal = ["game", "deal", *names, "--out", str(folder), "--all", "--key", str(key)]
    assert cli.run(deal) == 0
    said = capsys.readouterr().out
    commitment = json.loads((folder / "game.json").read_text())["commitment"]
    assert "6 subjects" in said and commitment in said
    assert not Vault().entries("game")
    players = find_key(commitment, key, Vault()).key.players
    first = verdicts(tmp_path / "a.json", players, lambda role, i: 0.2 + i / 10)
    score = ["game", "score", str(folder), str(first)]
    assert cli.run(score) == 2
    assert "not in the vault" in capsys.readouterr().err
    assert cli.run([*score, "--key", str(key)]) == 0
    assert "NOT BLIND" not in capsys.readouterr().out
    other = verdicts(tmp_path / "b.json", players, lambda role, i: 0.9 if role == "twin" else 0.1)
    assert cli.run([*score[:3], str(other), "--key", str(key)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "NOT BLIND" in said and "OTHER verdicts than were scored first" in said
    out = tmp_path / "new" / "score.json"
    assert cli.run([*score, "--key", str(key), "--out", str(out), "--json"]) == 0
    assert capsys.readouterr().out == out.read_text()
    assert len(decode(GameScore, json.loads(out.read_text()), "score").before) == 2
    key.write_text(key.read_text().replace('"twin"', '"decoy"', 1))
    assert cli.run([*score, "--key", str(key)]) == 2
    assert "not the one that was committed to" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("v.json", lambda v: v.pop(min(v)), r"no verdict on subject-\w+ \(1 missing of 12\)"),
        ("v.json", lambda v: v.update(me=0.5), "'me' is no subject of this game"),
        ("v.json", lambda v: v.update({min(v): 1.1}), "expected a probability from 0 to 1"),
        ("v.json", lambda v: v.update({min(v): True}), "expected a probability from 0 to 1"),
        ("v.json", lambda v: v.update({min(v): math.nan}), "expected a probability from 0 to 1"),
        ("v.txt", lambda v: None, "is not JSON .* a CSV file ends in .csv"),
        ("v.csv", lambda v: None, "the first line must name the columns subject, probability"),
    ],
)
def test_malformed_verdicts_open_nothing(
    copied: tuple[Path, Vault, Any], tmp_path: Path, name: str, change: Any, words: str
) -> None:
    folder, vault, players = copied
    stated = dict.fromkeys(players, 0.5)
    change(stated)
    path = tmp_path / name
    path.write_text(json.dumps(stated) if name == "v.json" else "nothing of it")
    with pytest.raises(BadInputError, match=words):
        insectary.score_game(folder, path, vault=vault)
    good = verdicts(tmp_path / "good.json", players, lambda role, i: 0.1 + i / 20)
    assert insectary.score_game(folder, good, vault=vault).before == ()


def test_two_verdicts_on_one_subject_are_refused(played: Any, tmp_path: Path) -> None:
    dealt, vault, players = played
    folder, path = dealt.folder, tmp_path / "v.json"
    path.write_text(f'{{"{min(players)}": 0.1, {json.dumps(dict.fromkeys(players, 0.5))[1:]}')
    with pytest.raises(BadInputError, match="two verdicts on"):
        insectary.score_game(folder, path, vault=vault)


def test_deals_that_cannot_be_are_refused(models: list[Path], tmp_path: Path) -> None:
    vault = Vault()
    name, other = furnished(models, vault, 2)
    record = decode(Family, json.loads((RECORDS / f"{RECORD}.json").read_text()), RECORD)
    save_family(replace(record, certificate=None), vault)
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    for families, settings, error, words in (
        ([name, RECORD], {}, NotAdmittedError, "is not admitted"),
        ([name, name], {}, BadInputError, "each once"),
        ([name], {}, BadInputError, "at least two"),
        ([name, other], {"key": tmp_path / "out/key.json"}, BadInputError, "among the subjects"),
        ([name, other], {"key": full / "mine.txt"}, ArtefactError, "is there already"),
    ):
        with pytest.raises(error, match=words):
            insectary.deal_game(families, tmp_path / "out", vault=vault, **settings)  # type: ignore[arg-type]
    with pytest.raises(ArtefactError, match="is there already"):
        insectary.deal_game([name, other], full, vault=vault)
    assert not (tmp_path / "out").exists() and not vault.entries("game")
    assert (full / "mine.txt").read_text() == "mine"
