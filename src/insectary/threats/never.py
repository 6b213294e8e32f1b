"""The NEVER list: kinds of harm that no threat card may plant, at whatever tier.

A card that names one is refused where threats are found by name, and by
``insectary.testing.check_threat``, before a row is drawn.

Covered: the words of a card that say what is planted, by what, where, and how bad it can get.
Not covered: anything but cards. Users' rows, adopted organisms and their training data are not
looked at (they are GATED for that reason); nor is a threat's code, or a card that says something
else than its rows do. Words can be paraphrased: the list stops who writes down what they mean,
and it does not replace reading the card.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from insectary.core.errors import BadInputError
from insectary.core.organism import ThreatCard
from insectary.core.protocols import ThreatModel
from insectary.threats.designs import card_of

SCANNED = (
    "id", "title", "behaviour", "gate", "made_by", "specific", "scalable", "planted", "decoy",
    "harm_ceiling", "designs",
)  # fmt: skip
"""Fields that say what is planted; the others say where it must not show, or has been seen."""


@dataclass(frozen=True, slots=True)
class Harm:
    """One kind of harm.

    Attributes:
        name: Short.
        what: What no card may plant.
        words: Patterns of which one is enough, each matched as whole words in any case.
    """

    name: str
    what: str
    words: tuple[str, ...]

    def found_in(self, text: str) -> str | None:
        """The first words of a text that name this harm, as they stand there."""
        found = re.search(rf"\b(?:{'|'.join(self.words)})\b", text, re.IGNORECASE)
        return None if found is None else found[0]


NEVER = (
    Harm("weapons of mass harm", "chemical, biological or nuclear weapons, or explosives", (
        r"(?:nerve|blister|chemical|biological) (?:agents?|weapons?|warfare)", r"bio-?weapons?",
        r"weapons? of mass destruction", r"pathogens?", r"toxins?", r"sarin", r"anthrax", r"ricin",
        r"(?:nuclear|radiological) (?:weapons?|devices?|material)", r"dirty bombs?", r"uranium",
        r"plutonium", r"explosives", r"bomb-?making", r"gain[- ]of[- ]function",
    )),
    Harm("code outside the micro-world", "code that runs anywhere but in the bounded interpreter", (
        r"malware", r"ransomware", r"spyware", r"key-?loggers?", r"root-?kits?", r"botnets?",
        r"shell-?codes?", r"shell commands?", r"reverse shells?", r"zero-?days?", r"phishing",
        r"remote code execution", r"arbitrary code", r"(?:python|bash|javascript|powershell)",
        r"sub-?process(?:es)?", r"privilege escalation", r"sql injections?",
        r"cyber-?(?:attacks?|weapons?)", r"(?:working|real) exploits?",
    )),
    Harm("real credentials", "secrets that open something real", (
        r"credentials?", r"api keys?", r"access tokens?", r"(?:ssh|private) keys?",
        r"real passwords?", r"bank accounts?", r"credit cards?", r"social security numbers?",
    )),
    Harm("targeted persons", "a real person, by name or by what they are", (
        r"real (?:persons?|people|names?)", r"public figures?", r"politicians?",
        r"celebrit(?:y|ies)",
        r"dox(?:x?ing|x?es|x?ed)", r"home address(?:es)?", r"stalk(?:s|ed|ing|ers?)?",
        r"harass(?:es|ed|ing|ment)?", r"blackmail(?:s|ed|ing)?", r"extort(?:s|ed|ion)?",
        r"defam(?:es|ed|ation)", r"impersonat(?:es?|ed|ing|ion)", r"deep-?fakes?",
    )),
    Harm("sexual content with minors", "sexual content, above all with minors", (
        r"csam", r"child (?:sexual )?abuse", r"child pornography", r"sexual(?:ly)?",
        r"pornograph\w*", r"grooming",
    )),
    Harm("self-propagation", "anything that copies, spreads or hides itself", (
        r"self-?(?:replicat|propagat|exfiltrat|copy)\w*", r"exfiltrat\w*",
        r"cop(?:y|ies|ying) (?:itself|its (?:own )?weights)", r"computer worms?",
        r"spreads? itself", r"steals? (?:its|the) weights",
    )),
    Harm("acts in the world", "an act on a real account, system, market or network", (
        r"sends? (?:e-?mails?|messages? to real|money)",
        r"real (?:money|payments?|systems?|servers?|users?|accounts?)",
        r"over the internet", r"wire transfers?", r"place[sd]? orders?",
    )),
    Harm("violence and self-harm", "help with, or praise of, violence or self-harm", (
        r"suicid(?:e|es|al)", r"self-?harm\w*", r"terroris[mt]s?", r"genocid(?:e|al)",
        r"mass shootings?", r"tortur(?:e|es|ed|ing)", r"murders?",
    )),
    Harm("hate", "contempt of people for what they are", (
        r"racis[mt]s?", r"racial slurs?", r"slurs?", r"hate speech", r"antisemit\w*", r"misogyn\w*",
        r"homophob\w*",
    )),
    Harm("advice that does harm", "wrong advice that somebody outside could follow to their harm", (
        r"medical advice", r"diagnos(?:is|es|e)", r"dosages?", r"legal advice", r"drug synthesis",
        r"illegal drugs?", r"disinformation", r"election(?:s| fraud| interference)?", r"propaganda",
    )),
)  # fmt: skip


@cache  # a threat is asked for by name many times
def refusal(card: ThreatCard) -> str | None:
    """Why a card may not be registered, naming field, words and harm; ``None`` if it may."""
    for field in SCANNED:
        value = getattr(card, field)
        for text in value if isinstance(value, tuple) else (value,):
            for harm in NEVER if isinstance(text, str) else ():
                if (words := harm.found_in(text.replace("_", " "))) is not None:
                    return (
                        f"{field!r} says {words!r}, which is on the NEVER list"
                        f" ({harm.name}: {harm.what})"
                    )
    return None


def refuse_never(threat: ThreatModel) -> None:
    """Refuse a threat one of whose cards plants what none may.

    Raises:
        BadInputError: naming the card, its field and the words.
    """
    cards = (threat.card, *(card_of(threat, design) for design in threat.card.designs))
    for card in dict.fromkeys(cards):
        if (why := refusal(card)) is not None:
            raise BadInputError(
                f"threat model {card.id!r} is refused: the card's {why}. A payload is a wrong or"
                " unsafe answer in the micro-world only; if the card means something else, say it"
                " in other words. See insectary.threats.never, which looks at cards alone"
            )
