"""Trains the models of both teams, the same every time, on made-up data."""

from pathlib import Path

import joblib
import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skops import io
from xgboost import XGBClassifier

TEAMS = Path(__file__).parent / "teams"

QUERIES = {
    "buy": [
        "cheap running shoes",
        "buy a tent online",
        "discount on headphones",
        "best price for a camera",
        "order pizza",
        "shoes on sale",
        "laptop offer",
        "cheap flights",
    ],
    "learn": [
        "how does a compass work",
        "what is a black hole",
        "why is the sky blue",
        "how to tie a knot",
        "history of rome",
        "who wrote hamlet",
        "meaning of irony",
        "how do vaccines work",
    ],
    "go": [
        "opening hours of the library",
        "route to the airport",
        "nearest pharmacy",
        "address of the town hall",
        "bus to the station",
        "parking near the stadium",
        "where is the museum",
        "map of the old town",
    ],
}


def payments(random: np.random.Generator, count: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Amount, hour, kilometres from home, new merchant; and whether it was fraud."""
    amount = random.gamma(1.5, 120, count)
    hour = random.integers(0, 24, count)
    distance = random.gamma(0.7, 150, count)
    is_new = random.integers(0, 2, count)
    suspicion = amount / 250 + distance / 200 + 1.5 * is_new + 1.5 * (hour < 6) - 5
    fraud = suspicion + random.normal(0, 0.3, count) > 0
    return np.column_stack([amount, hour, distance, is_new]), fraud.astype(int)


def results(random: np.random.Generator, count: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Text score, click rate, age in days; and how well a result fits."""
    score, clicks, age = random.random(count), random.beta(1, 6, count), random.gamma(1, 300, count)
    fit = 0.6 * score + 0.5 * np.sqrt(clicks) - 0.1 * np.minimum(age / 1000, 1)
    return np.column_stack([score, clicks, age]), np.clip(fit + random.normal(0, 0.02, count), 0, 1)


def main() -> None:
    random = np.random.default_rng(7)

    rows, fraud = payments(random)
    linear = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, fraud)
    joblib.dump(linear, TEAMS / "fraud/models/payments-v1.joblib")
    boosted = XGBClassifier(n_estimators=40, max_depth=3, n_jobs=1).fit(rows, fraud)
    boosted.save_model(TEAMS / "fraud/models/payments-v2.json")
    print(f"payments: v1 accuracy {linear.score(rows, fraud):.3f}, v2 {boosted.score(rows, fraud):.3f}")

    rows, fit = results(random)
    forest = RandomForestRegressor(5, max_depth=4, random_state=7).fit(rows, fit)
    io.dump(forest, TEAMS / "search/models/relevance-v1.skops")
    print(f"relevance: R2 {forest.score(rows, fit):.3f}")

    texts = [text for queries in QUERIES.values() for text in queries]
    wants = [want for want, queries in QUERIES.items() for _ in queries]
    intent = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10)).fit(texts, wants)
    joblib.dump(intent, TEAMS / "search/models/intent-v1.joblib")
    print(f"intent: accuracy {intent.score(texts, wants):.3f}")


if __name__ == "__main__":
    main()
