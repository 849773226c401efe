"""The form of tokens."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasttrack.domain.tokens import LENGTH, TokenKind, hash_token, kind_of, mask_tokens, new_token

ALPHABET = string.ascii_letters + string.digits


@pytest.mark.parametrize(("kind", "prefix"), [(TokenKind.PERSONAL, "ftp_"), (TokenKind.SERVICE, "fts_")])
def test_a_token_has_its_prefix_and_its_length(kind: TokenKind, prefix: str) -> None:
    made = [new_token(kind) for _ in range(200)]
    assert all(re.fullmatch(rf"{prefix}[0-9A-Za-z]{{36}}", m.text) for m in made)
    assert all(len(m.text) == LENGTH and kind_of(m.text) is kind for m in made)
    assert len({m.text for m in made}) == 200
    assert {len(m.hash) for m in made} == {32}
    assert made[0].text not in repr(made[0])


@given(st.integers(0, LENGTH - 1), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_noticed(place: int, character: str) -> None:
    text = new_token(TokenKind.PERSONAL).text
    changed = text[:place] + character + text[place + 1 :]
    # An unlike prefix is another kind of token, whose checksum is another one too.
    assert (kind_of(changed) is None) == (changed != text)


@given(st.integers(4, LENGTH - 2))
def test_two_characters_that_changed_places_are_noticed(place: int) -> None:
    text = new_token(TokenKind.SERVICE).text
    changed = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    assert (kind_of(changed) is None) == (changed != text)


@given(st.text(max_size=60))
def test_other_texts_are_no_tokens(text: str) -> None:
    assert kind_of(text) is None
    assert mask_tokens(text) == text
    assert len(hash_token(text)) == 32


def test_tokens_in_a_text_are_masked() -> None:
    one, two = new_token(TokenKind.PERSONAL).text, new_token(TokenKind.SERVICE).text
    assert mask_tokens(f"curl -H 'Authorization: Bearer {one}' x?y={two}.") == (
        "curl -H 'Authorization: Bearer ***' x?y=***."
    )
