"""Texts for the tests."""

import numpy as np

VERSES = "the cat sat on\nthe mat, and then the rat\nsat on the cat.\n" * 12


def random_text(length: int, alphabet: str = "abcdefgh", seed: int = 0) -> str:
    return "".join(np.random.default_rng(seed).choice(list(alphabet), length))
