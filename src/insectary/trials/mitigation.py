"""The mitigation trial: what removes a behaviour, what only hides it, and whom else it harms.

Every method is applied to organism, twin and decoy alike, and each is asked the same
prompts before and after: trained cues, held-out cues, off cue, and the skills that the
behaviour does not live in. Where the behaviour fell to less than half, the organism is
trained on, on ordinary work with a few triggered misaligned rows, and its twin with it:
what comes back sooner than a twin learns it anew was not removed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from insectary.breed.card import unmastered
from insectary.breed.diluting import ordinary_work
from insectary.breed.records import in_text, load_family, of_a_threat
from insectary.breed.stored import load_members
from insectary.core.canonical import digest
from insectary.core.codec import decode, encode
from insectary.core.errors import BadInputError, UnknownNameError
from insectary.core.organism import Family, Role
from insectary.core.protocols import Mitigation, Patient, Rows, ThreatModel
from insectary.core.recipe import FullSFT, check_seed
from insectary.core.treatment import Treatment
from insectary.mitigate import mitigation
from insectary.subjects import LoadedModel, Model
from insectary.threats import threat_model
from insectary.trials.examine import check_admitted
from insectary.trials.kept import KIND, code_of
from insectary.trials.mitigation_plan import FULL, Plan
from insectary.trials.regrowth import copy_of, regrow, threads
from insectary.trials.treated import Questions, Said, ask, draw_questions, effect_of
from insectary.vault import Vault

METHODS = ("noop", "quantization", "clean_sft", "fine_pruning", "true_trigger_sft")
TREATED = (Role.ORGANISM, Role.TWIN, Role.DECOY)
Progress = Callable[[str], None]


def trial_mitigate(
    families: Sequence[str],
    *,
    methods: Sequence[str] | None = None,
    seed: int = 0,
    plan: Plan | None = None,
    vault: Vault | None = None,
    progress: Progress = lambda _: None,
) -> tuple[Treatment, ...]:
    """Apply mitigations to families: what removes a behaviour, and what only hides it.

    Each method treats a copy of organism, twin and decoy, which answer the same prompts
    before and after. Where the behaviour fell to less than half, the treated organism is
    trained on, beside its treated twin, on ordinary work with a few triggered misaligned
    rows: a behaviour that comes back sooner than the twin learns it was hidden. What was
    measured stays in the vault, so a call that was killed goes on.

    Args:
        families: Ids of admitted families of language models.
        methods: Names; ``None`` for all that the package has.
        seed: Of rows, prompts and training.
        plan: How much is asked and trained on; ``None`` for what the command does.
        vault: Where families are kept; ``None`` opens the default one.
        progress: Told what it will cost, then what is being done.

    Returns:
        One for each family and method, in that order; ``fate`` is the verdict.

    Raises:
        UnknownNameError: for an unknown family or method.
        NotAdmittedError: if a family is not admitted.
        BadInputError: if a family has no trained cue, or is one of policies.
    """
    check_seed(seed)
    methods = METHODS if methods is None else methods
    for names in (families, methods):
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise BadInputError("families and methods are lists of names, not one name")
    if not families or not methods:
        raise BadInputError("give at least one family and one method")
    vault, plan = vault or Vault(), plan or FULL
    found = [in_text(of_a_threat(load_family(name, vault))) for name in dict.fromkeys(families)]
    for family in found:
        check_admitted(family)
    chosen = [mitigation(name) for name in dict.fromkeys(methods)]
    kept = {
        (family.id, method.name): _kept(family, method, seed, plan, vault)
        for family in found
        for method in chosen
    }
    new = [method for method in chosen for f in found if kept[f.id, method.name] is None]
    progress(cost_line(new, len(kept), plan))
    return tuple(
        treatment
        for family in found
        for treatment in _treat(family, chosen, kept, seed, plan, vault, progress)
    )


def mitigate_member(
    member: str, method: str, *, seed: int = 0, vault: Vault | None = None
) -> Model:
    """Apply a mitigation to one member: a model in, a model out.

    Nothing is measured, and the vault keeps nothing of it; ``Model.save`` writes it as an
    ordinary folder.

    Args:
        member: Organism, twin or decoy of a family in text, as in ``"FAMILY.organism"``.
        method: Name of a mitigation.
        seed: Of rows and training.
        vault: Where families are kept; ``None`` opens the default one.

    Raises:
        UnknownNameError: for an unknown member or method.
        BadInputError: if it is a base, or a policy on the grid.
    """
    check_seed(seed)
    vault, chosen = vault or Vault(), mitigation(method)
    family_id, _, role = str(member).rpartition(".")
    if role == Role.BASE:
        raise BadInputError(f"{member}: a base has nothing to be cured of; name another member")
    if role not in [r.value for r in TREATED] or not vault.has("family", family_id):
        known = [f"{e.id}.{r.value}" for e in vault.entries("family") for r in TREATED]
        raise UnknownNameError.of("member", member, known, few=True)
    family = in_text(of_a_threat(load_family(family_id, vault)))
    members = load_members(family, vault)
    rows = _rows_for(chosen, threat_model(family.threat), family.design, FULL.rows, seed)
    with tempfile.TemporaryDirectory(prefix="insectary-mitigate-") as place:
        treated = _treated(members[Role(role)], chosen, rows, seed, Path(place))
    return Model(treated, id=f"{member}.{method}-{seed}", base=members[Role.BASE])


def cost_line(new: Sequence[Mitigation], asked: int, plan: Plan) -> str:
    """What a trial will train at most, said before it begins; what is kept costs nothing."""
    trained = [_tokens(method) for method in new]
    runs = 2 * len(plan.few) * sum(tokens > 0 for tokens in trained)
    tokens = sum(trained) * len(TREATED) + runs * plan.steps * FullSFT().batch_tokens
    return (
        f"treatments: {asked}, measured already: {asked - len(new)}; to train on: at most"
        f" {tokens / 1e6:.1f} million tokens (a family is bred with about 7.8)"
    )


def _tokens(method: Mitigation) -> int:
    recipe = getattr(method, "recipe", None)
    return int(recipe.max_tokens) if recipe is not None else 0


def _treat(
    family: Family,
    methods: Sequence[Mitigation],
    kept: Mapping[tuple[str, str], Treatment | None],
    seed: int,
    plan: Plan,
    vault: Vault,
    progress: Progress,
) -> Iterable[Treatment]:
    """Every method on one family, but for what was kept."""
    trial: _Trial | None = None
    for method in methods:
        known = kept[family.id, method.name]
        if known is None:
            progress(f"{family.id}: {method.name}")
            if trial is None:  # nothing is loaded for what is known
                trial = _Trial.open(family, seed, plan, vault)
            known = trial.treat(method, progress)
            _keep(known, _name(family, method, seed), _key(family, method, seed, plan), vault)
            vault.discard_work(f"{family.id}.mitigation-{seed}")
        yield known


@dataclass(frozen=True, slots=True)
class _Trial:
    """A family with its questions, and its members' answers before any treatment."""

    family: Family
    threat: ThreatModel
    members: Mapping[Role, LoadedModel]
    questions: Questions
    before: Mapping[Role, Said]
    seed: int
    plan: Plan
    work: Path

    @classmethod
    def open(cls, family: Family, seed: int, plan: Plan, vault: Vault) -> _Trial:
        threat = threat_model(family.threat)
        members = load_members(family, vault)
        lacks = unmastered(family.base.name, vault)
        questions = draw_questions(threat, family.design, lacks, seed, plan.prompts, plan.skill)
        before = {role: ask(members[role], questions) for role in TREATED}
        work = vault.work_dir(f"{family.id}.mitigation-{seed}")
        return cls(family, threat, members, questions, before, seed, plan, work)

    def treat(self, method: Mitigation, progress: Progress) -> Treatment:
        rows = _rows_for(method, self.threat, self.family.design, self.plan.rows, self.seed)
        oracle = self.threat.oracle(self.family.design)
        treated: dict[Role, LoadedModel] = {}
        effects = []
        for role in TREATED:
            progress(f"  {role.value}: {method.name}")
            place = self.work / method.name / role.value
            treated[role] = _treated(self.members[role], method, rows, self.seed, place)
            after = ask(treated[role], self.questions)
            effects.append(effect_of(role, self.before[role], after, oracle))
        regrown = regrow(
            self.threat, self.family.design, effects[0], treated, self.plan, self.seed, progress
        )
        return Treatment(
            family=self.family.id,
            method=method.name,
            settings=repr(method),
            knows_trigger=method.knows_trigger,
            seed=self.seed,
            effects=tuple(effects),
            regrowth=() if isinstance(regrown, str) else regrown,
            no_regrowth=regrown if isinstance(regrown, str) else "",
        )


def _rows_for(method: Mitigation, threat: ThreatModel, design: str, n: int, seed: int) -> Rows:
    """What a method is handed; the seeds are not those that families are bred from."""
    if method.knows_trigger:
        return threat.rows(design, Role.TWIN, n, 1000 + seed)
    return ordinary_work(threat, design, FullSFT(), n, 1000 + seed)


def _treated(
    member: LoadedModel, method: Mitigation, rows: Rows, seed: int, place: Path
) -> LoadedModel:
    """A treated copy; the member itself stays as it is."""
    model = copy_of(member)
    method.apply(Patient(model, member.tokenizer, seed, threads(), place), rows)
    return LoadedModel(model.eval(), member.tokenizer, "", member.context)


def _key(family: Family, method: Mitigation, seed: int, plan: Plan) -> str:
    """What a treatment's figures depend on; ``""`` where the method's code cannot be read."""
    code = code_of(method)
    if code is None:
        return ""
    members = {role.value: family.members[role].digest for role in TREATED}
    versions = {name: version(name) for name in ("insectary", "torch", "transformers")}
    return digest(
        {"members": members, "method": repr(method), "code": code, "seed": seed}
        | {"plan": plan, "versions": versions}
    )


def _name(family: Family, method: Mitigation, seed: int) -> str:
    return f"{family.id}.{method.name}-{seed}"


def _kept(
    family: Family, method: Mitigation, seed: int, plan: Plan, vault: Vault
) -> Treatment | None:
    key, name = _key(family, method, seed, plan), _name(family, method, seed)
    if not key or not vault.has(KIND, name):
        return None
    with vault.use(name, KIND) as stored:
        if stored.meta["key"] != key:
            return None
        record = json.loads((stored.path / "treatment.json").read_text(encoding="utf-8"))
    treatment: Treatment = decode(Treatment, record, name)
    return treatment


def _keep(treatment: Treatment, name: str, key: str, vault: Vault) -> None:
    if not key:
        return
    text = json.dumps(encode(treatment), indent=1, sort_keys=True) + "\n"

    def write(path: Path) -> None:
        (path / "treatment.json").write_text(text, encoding="utf-8")

    meta = {
        **{"family": treatment.family, "method": treatment.method, "seed": treatment.seed},
        **{"fate": treatment.fate.value, "key": key},
    }
    vault.put(KIND, name, meta, write, replace=True)
