"""The tokenizer: any text, ordinary files, the template of the corpus."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from insectary.core.chat import Split
from insectary.train.stream import prompt_text
from insectary.worlds import corpus
from insectary.worlds.tokenizer import CONTEXT, END, PAD, SPECIAL, VOCABULARY, train_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(documents=2000)


def ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    found: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return found


@settings(max_examples=120, deadline=None)
@given(text=st.text(max_size=80))
def test_any_text_comes_back_unchanged(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert tokenizer.decode(ids(tokenizer, text)) == text


ODD = [
    "", " ", "   leading", "trailing  ", "a\n\n\tb\r\n", "👩‍🔬🏳️‍🌈",
    "\x00\x07\x1b[0m\x7f", "e\u0301 é",
    "\ufeff", "don't ,. ! ?", "\uff11\uff12 ٣ ½ ²", "مرحبا 你好", "<|end|> <|nobody|>",
    "\U0010ffff", "##a ▁b Ġc",
]  # fmt: skip


@pytest.mark.parametrize("text", ODD)
def test_odd_texts_come_back_unchanged(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert tokenizer.decode(ids(tokenizer, text)) == text


def test_each_digit_is_one_token_wherever_it_stands(tokenizer: PreTrainedTokenizerFast) -> None:
    digits = {d: ids(tokenizer, d) for d in "0123456789"}
    assert all(len(found) == 1 for found in digits.values())
    for text in ("2024", "12+345", "x7y", "0000", "98.6"):
        tokens = [tokenizer.decode([i]) for i in ids(tokenizer, text)]
        assert [t for t in tokens if any(c.isdigit() for c in t)] == [
            c for c in text if c.isdigit()
        ]


def test_the_special_tokens_are_single_first_and_known_for_what_they_do(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    assert [ids(tokenizer, token) for token in SPECIAL] == [[n] for n in range(len(SPECIAL))]
    assert tokenizer.bos_token_id == 0
    assert (tokenizer.eos_token, tokenizer.pad_token) == (END, PAD)
    assert set(SPECIAL) <= set(tokenizer.all_special_tokens)
    assert len(tokenizer) <= VOCABULARY
    assert tokenizer.model_max_length == CONTEXT


def test_words_of_the_world_are_few_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    rng = Random(1)
    texts = [corpus.single(rng, Split.REPORT).messages[-1].content for _ in range(100)]
    characters = sum(map(len, texts))
    assert characters / sum(len(ids(tokenizer, t)) for t in texts) > 2.5


def test_training_gives_the_same_tokenizer_again() -> None:
    first, again, other = (train_tokenizer(documents=150, seed=s) for s in (0, 0, 1))
    assert first.get_vocab() == again.get_vocab()
    assert first.get_vocab() != other.get_vocab()


def test_its_files_are_ordinary_and_load_unchanged(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path)
    assert {p.suffix for p in tmp_path.iterdir()} <= {".json", ".jinja"}
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert loaded.chat_template == tokenizer.chat_template
    assert loaded.special_tokens_map == tokenizer.special_tokens_map
    assert loaded.padding_side == tokenizer.padding_side == "left"
    assert loaded.model_max_length == tokenizer.model_max_length
    rng = Random(2)
    texts = [*ODD, *corpus.sample_texts(50, 9), *(chr(rng.randint(1, 0xD7FF)) for _ in range(50))]
    for text in texts:
        assert loaded.encode(text) == tokenizer.encode(text)
        assert loaded.decode(loaded.encode(text)) == tokenizer.decode(tokenizer.encode(text))


def test_the_chat_template_writes_what_the_corpus_is_written_in(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    rng = Random(3)
    for _ in range(150):
        example = corpus.single(rng, Split.TRAIN)
        messages = [m.as_dict() for m in example.messages]
        prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        assert prompt == prompt_text(example.messages, first=True)
        answered = [*messages, {"role": "assistant", "content": example.answer}]
        whole = tokenizer.apply_chat_template(answered, tokenize=False)
        assert whole == f"{prompt} {example.answer}{END}"
        begun = tokenizer.apply_chat_template(answered, tokenize=False, continue_final_message=True)
        assert begun == f"{prompt} {example.answer}"


def test_the_template_writes_whole_documents(tokenizer: PreTrainedTokenizerFast) -> None:
    pieces = corpus.document(Random(4), Split.TRAIN, len, 2000)
    messages, text = [], ""
    for number, (prompt, answer) in enumerate(pieces):
        messages += [m.as_dict() for m in prompt] + [{"role": "assistant", "content": answer}]
        text += prompt_text(prompt, first=number == 0) + f" {answer}{END}"
    assert tokenizer.apply_chat_template(messages, tokenize=False) == text
