"""Words and sentences for tickets: some words everywhere, most of them seldom, as people write."""

import random
from bisect import bisect
from collections.abc import Iterator
from itertools import accumulate

SYLLABLES = [first + vowel + last for first in "bdfgklmnprstvz" for vowel in "aeiou" for last in ("", "n", "r", "s")]
VOCABULARY = 8_000
LANGUAGE = 7
"""All write in one language: whose words a workspace has stored by the thousand, its next ticket is written in."""
DESCRIPTION = 40
SUBJECT = 6
RARE = tuple(f"quixot{letter}zephyr" for letter in "abcde")
"""Words that stand in a handful of tickets each."""
RARE_TICKETS = 5


def _words() -> Iterator[str]:
    """Words that can be spoken, each once."""
    rng, seen = random.Random(LANGUAGE), set[str]()
    while True:
        word = "".join(rng.choices(SYLLABLES, k=rng.choice((1, 2, 2, 3, 3, 4))))
        if word not in seen and len(word) > 2:
            seen.add(word)
            yield word


class Writer:
    """Writes subjects and descriptions; the same seed writes the same."""

    def __init__(self, seed: int = 7) -> None:
        source = _words()
        self.rng = random.Random(seed)
        self.words = [next(source) for _ in range(VOCABULARY)]
        self.weights = list(accumulate(1 / (rank + 2.7) for rank in range(VOCABULARY)))

    def sentence(self, length: int) -> str:
        """So many words, by their frequency."""
        return " ".join(self.rng.choices(self.words, cum_weights=self.weights, k=length))

    def subject(self) -> str:
        """A line."""
        return self.sentence(SUBJECT).capitalize()

    def description(self) -> str:
        """About 40 words; every tenth also names an order, which no other ticket does."""
        text = self.sentence(DESCRIPTION) + "."
        return f"{text} Order {self.reference()}." if self.rng.random() < 0.1 else text

    def reference(self) -> str:
        """A word of its own."""
        return "".join(self.rng.choices("abcdefghjkmnpqrstvwxyz0123456789", k=9))

    def common(self, share: float, count: int) -> list[str]:
        """Words that stand in about this share of the tickets."""
        total, length = self.weights[-1], SUBJECT + DESCRIPTION
        weight = total * (1 - (1 - share) ** (1 / length))
        rank = bisect([-1 / (place + 2.7) for place in range(VOCABULARY)], -weight)
        return self.words[rank - count // 2 : rank - count // 2 + count]
