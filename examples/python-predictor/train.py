"""Learns how much each word speaks for a queue (a naive Bayes, in plain Python) from tickets.csv."""

import csv
import json
import math
import re
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
WORD = re.compile(r"[a-z']{3,}")
SMOOTHING = 0.5
COMMON_FROM = 3  # a word that occurs in so many queues says nothing


def main() -> None:
    counts: dict[str, Counter[str]] = {}
    with (HERE / "tickets.csv").open() as file:
        for ticket in csv.DictReader(file):
            counts.setdefault(ticket["queue"], Counter()).update(WORD.findall(ticket["text"].lower()))
    weights = {queue: weigh(queue, counts) for queue in sorted(counts)}
    (HERE / "model" / "weights.json").write_text(json.dumps(weights, indent=1, sort_keys=True) + "\n")
    print(f"weights.json: {sum(map(len, weights.values()))} weights for {len(weights)} queues")


def weigh(queue: str, counts: dict[str, Counter[str]]) -> dict[str, float]:
    """Log-odds of a word in this queue against the others."""
    words = {word for found in counts.values() for word in found}
    telling = [word for word in words if sum(word in found for found in counts.values()) < COMMON_FROM]
    others = Counter[str]()
    for name, found in counts.items():
        if name != queue:
            others.update(found)
    return {word: round(share(counts[queue], word) - share(others, word), 4) for word in telling}


def share(found: Counter[str], word: str) -> float:
    return math.log((found[word] + SMOOTHING) / (found.total() + SMOOTHING * len(found)))


if __name__ == "__main__":
    main()
