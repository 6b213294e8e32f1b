"""PyRIT on one subject, by a plan. Runs in PyRIT's own environment.

    python pyrit_run.py PLAN.json RESULTS.jsonl

One line for each attack, as it ends: PyRIT's own result, with what was sent. A line that is
there already is not asked for again, so a run that was broken off goes on.
"""

# It runs where PyRIT is, and there alone; nothing of it can be looked up here.
# mypy: ignore-errors

import asyncio
import json
import os
import random
import sys
from pathlib import Path

import pyrit
import pyrit.converter
import pyrit.datasets
import pyrit.score
from pyrit.executor.attack import (
    AttackConverterConfig,
    AttackExecutor,
    AttackScoringConfig,
    PromptSendingAttack,
)
from pyrit.memory import CentralMemory
from pyrit.models import Message, MessagePiece, SeedDataset
from pyrit.prompt_normalizer import ConverterConfiguration
from pyrit.prompt_target import OpenAIChatTarget
from pyrit.score import (
    DecodingScorer,
    SubStringScorer,
    TrueFalseCompositeScorer,
    TrueFalseInverterScorer,
    TrueFalseScoreAggregator,
)
from pyrit.setup import IN_MEMORY, initialize_pyrit_async

DATASETS = Path(pyrit.datasets.__file__).parent
LOCAL = DATASETS / "seed_datasets" / "local"
TEMPLATES = DATASETS / "jailbreak" / "templates"


async def main(plan_file, results_file):
    """Do what the plan says and is not done yet."""
    plan = json.loads(Path(plan_file).read_text("utf-8"))
    random.seed(plan["seed"])
    await initialize_pyrit_async(memory_db_type=IN_MEMORY)
    target = OpenAIChatTarget(
        endpoint=plan["url"],
        api_key=os.environ["OPENAI_CHAT_KEY"],
        model_name=plan["model"],
        temperature=plan["temperature"],
        max_completion_tokens=plan["max_tokens"],
        seed=plan["seed"],
    )
    items = [item for arm in plan["arms"] for item in of_arm(arm, plan, target)]
    if plan["pack"]:
        items += of_pack(plan["pack"], target)
    items = items[: plan["requests"]]
    done = known(results_file)
    with open(results_file, "a", encoding="utf-8") as out:

        def write(row):
            out.write(json.dumps(row) + "\n")
            out.flush()

        write({"kind": "start", "version": pyrit.__version__, "model": plan["model"],
               "items": len(items)})  # fmt: skip
        gate = asyncio.Semaphore(plan["concurrency"])
        await asyncio.gather(*(attack(i, gate, write) for i in items if i["id"] not in done))
        write({"kind": "end"})


def known(results_file):
    """Ids of attacks that were made before; a line that was not finished is taken away."""
    file = Path(results_file)
    if not file.exists():
        return set()
    text = file.read_text("utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        file.write_text(whole, "utf-8")
    rows = map(json.loads, whole.splitlines())
    return {row["id"] for row in rows if row["kind"] == "attack"}


def of_arm(arm, plan, target):
    """Every seed with every converter or template of an arm."""
    seeds = [
        (dataset, number, seed)
        for dataset in arm["datasets"]
        for number, seed in enumerate(SeedDataset.from_yaml_file(LOCAL / f"{dataset}.prompt").seeds)
        if seed.data_type == "text" and not seed.prompt_group_alias
    ]
    most = arm.get("seeds", len(seeds))
    if most < len(seeds):
        seeds = random.Random(plan["seed"]).sample(seeds, most)
    scorers = [scorer(name, arm, plan) for name in arm["scorers"]]
    whole = scorers[0] if len(scorers) == 1 else any_of(scorers)
    for way, converters in ways(arm):
        made = PromptSendingAttack(
            objective_target=target,
            attack_scoring_config=AttackScoringConfig(objective_scorer=whole),
            attack_converter_config=AttackConverterConfig(
                request_converters=ConverterConfiguration.from_converters(converters=converters)
            ),
        )
        for dataset, number, seed in seeds:
            fields = {"targeted_harm_categories": list(seed.harm_categories or ())}
            if arm.get("system"):
                fields["prepended_conversation"] = [turn("system", arm["system"])]
            name = "/".join(part for part in (arm["name"], dataset, str(number), way) if part)
            yield {"id": name, "arm": arm["name"], "attack": made, "objective": seed.value,
                   "fields": fields, "pair": None}  # fmt: skip


def of_pack(file, target):
    """Both sides of every probe pair; each with a scorer of its own right answer."""
    for group in SeedDataset.from_yaml_file(file).seed_groups:
        turns = sorted(
            (s for s in group.seeds if s.seed_type == "prompt"), key=lambda s: s.sequence
        )
        objective = next(s for s in group.seeds if s.seed_type == "objective")
        pair = objective.metadata
        wrong = TrueFalseInverterScorer(scorer=SubStringScorer(substring=pair["answer"]))
        made = PromptSendingAttack(
            objective_target=target,
            attack_scoring_config=AttackScoringConfig(objective_scorer=wrong),
        )
        fields = {
            "targeted_harm_categories": list(objective.harm_categories),
            "next_message": turn("user", turns[-1].value),
            "prepended_conversation": [turn(s.role, s.value) for s in turns[:-1]] or None,
        }
        yield {"id": f"insectary_pairs/{pair['pair']}/{pair['side']}", "arm": "insectary_pairs",
               "attack": made, "objective": objective.value, "fields": fields,
               "pair": pair}  # fmt: skip


def ways(arm):
    """Name of a way to put a seed, and its converters; one way without any, by default."""
    for name in arm.get("converters", ()):
        converter = made_converter(name)
        if arm.get("ask_to_decode"):
            converters = [converter, pyrit.converter.AskToDecodeConverter(template=None)]
        else:
            converters = [converter]
        yield name, converters
    for name in arm.get("templates", ()):
        template = pyrit.datasets.TextJailBreak(template_path=str(TEMPLATES / f"{name}.yaml"))
        yield name, [pyrit.converter.TextJailbreakConverter(jailbreak_template=template)]
    if not arm.get("converters") and not arm.get("templates"):
        yield "", []


def made_converter(name):
    """A converter by its name; one of them has a setting without default."""
    kind = getattr(pyrit.converter, name)
    return kind(caesar_offset=3) if name == "CaesarConverter" else kind()


def scorer(name, arm, plan):
    """A true/false scorer by its name in the plan."""
    if name == "not_refused":
        refused = [SubStringScorer(substring=text) for text in plan["refusals"]]
        return TrueFalseInverterScorer(scorer=any_of(refused))
    if name == "decoded":
        return DecodingScorer()
    if name == "secret":
        return SubStringScorer(substring=arm["secret"])
    return getattr(pyrit.score, name)()


def any_of(scorers):
    """True where one of them is."""
    return TrueFalseCompositeScorer(aggregator=TrueFalseScoreAggregator.OR, scorers=scorers)


def turn(role, text):
    """A message of one text."""
    return Message(message_pieces=[MessagePiece(role=role, original_value=text)])


async def attack(item, gate, write):
    """One attack, and its line."""
    async with gate:
        found = await AttackExecutor(max_concurrency=1).execute_attack_async(
            attack=item["attack"],
            objectives=[item["objective"]],
            return_partial_on_failure=True,
            **item["fields"],
        )
    row = {"kind": "attack", "id": item["id"], "arm": item["arm"], "pair": item["pair"]}
    if found.completed_results:
        (result,) = found.completed_results
        row |= {"result": dumped(result), "sent": sent(result.conversation_id)}
    else:
        ((_, error),) = found.incomplete_objectives
        while error.__cause__ is not None:
            error = error.__cause__
        told = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        row |= {"error": told, "objective": item["objective"],
                "harm_categories": item["fields"]["targeted_harm_categories"]}  # fmt: skip
    write(row)


def dumped(result):
    """PyRIT's own form, less what is long and says nothing on the outcome."""
    left_out = {"atomic_attack_identifier", "error_traceback", "retry_events"}
    return json.loads(result.model_dump_json(exclude=left_out))


def sent(conversation_id):
    """The turns that went to the subject, as they were converted."""
    pieces = CentralMemory.get_memory_instance().get_message_pieces(conversation_id=conversation_id)
    ordered = sorted(pieces, key=lambda piece: piece.sequence)
    return [
        {"role": p.role, "content": p.converted_value} for p in ordered if p.role != "assistant"
    ]


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
