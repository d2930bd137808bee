"""The steps of the experiment: plain functions, each of which can be called without the others."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import curves
import numpy as np
from features import BUCKETS
from scipy.sparse import csr_matrix
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import log_loss, roc_auc_score

import ailab_dataproc as adp

BATCH = 16_384  # rows
CARD = """---
task: ctr
tags: [clicks, sparse, scikit-learn]
language: [en, ja]
summary: The chance that an ad is clicked (広告のクリック率), a logistic regression on hashed features.
---
# {name}

Learnt from `{learnt.dataset}`, `{learnt.split}`; judged by `{judged.split}`:

| | |
| --- | --- |
| area under the ROC curve | {auc:.4f} |
| log loss | {log_loss:.4f} (always the mean rate: {log_loss_of_mean_rate:.4f}) |
| expected calibration error | {calibration_error:.4f} |

`weights.npz` holds numbers only: `coef` by bucket, and `scale` and `shift` of the score. With `hashed` of
`examples/ctr/features.py` for the features, the chance is `expit(features @ coef * scale + shift)`.
"""


def prepare(log: str, rows: int) -> str:
    """Prepare a made-up log, unless that has been done; returns its name with its version."""
    sources = {"train": f"synthetic:rows={rows},seed=0", "test": f"synthetic:rows={rows // 8},seed=1"}
    return adp.prepare(log, sources=sources, formats=["parquet"], progress=sys.stderr.isatty()).dataset


def train(data: adp.Plan, unseen: adp.Plan, learning_rate: float, epochs: int, out: Path) -> dict:
    """A logistic regression, learnt a batch at a time: the log may be larger than the memory."""
    model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=learning_rate, alpha=1e-7, average=True)
    model.set_params(fit_intercept=False, random_state=0)  # `matrix` has a bucket for what all rows share
    batches = adp.batches(data.dataset, split=data.split, batch_size=BATCH, shuffle=True)
    every, history, seen = max(len(batches) * epochs // 12, 1), [], []
    several = (batch for _ in range(epochs) for batch in batches)
    for step, batch in enumerate(adp.progress(several, total=len(batches) * epochs, what="train"), 1):
        features, clicked = matrix(batch)
        if step > 1:  # how it does on rows that it has not learnt from yet
            seen.append(_loss(clicked, expit(features @ model.coef_[0])))
        model.partial_fit(features, clicked, classes=[False, True])
        if step % every == 0:
            history.append(
                (step * BATCH, float(np.mean(seen or [np.nan])), _loss(*predict(unseen, model.coef_[0], 1, 0)))
            )
            seen.clear()
    scale, shift = _platt(unseen, model.coef_[0])
    np.savez_compressed(out / "weights.npz", coef=model.coef_[0].astype(np.float32), scale=scale, shift=shift)
    curves.learning(history, out / "learning.png")
    loss = _loss(*predict(unseen, model.coef_[0], scale, shift))
    return {"weights": out / "weights.npz", "learning curve": out / "learning.png", "validation_log_loss": loss}


def evaluate(data: adp.Plan, weights: Path, out: Path) -> dict:
    """How well clicks of unseen rows are told, beside a model that always says the mean rate."""
    with np.load(weights) as stored:  # numbers only: it runs nobody's code, as a pickle would
        clicked, chance = predict(data, stored["coef"], stored["scale"], stored["shift"])
    rate = clicked.mean()
    curves.roc(clicked, chance, out / "roc.png")
    error = curves.calibration(clicked, chance, out / "calibration.png")
    return {
        "auc": float(roc_auc_score(clicked, chance)),
        "log_loss": _loss(clicked, chance),
        "log_loss_of_mean_rate": _loss(clicked, np.full(len(clicked), rate)),
        "calibration_error": error,
        "predicted_over_observed": float(chance.mean() / rate),
        "ROC": out / "roc.png",
        "calibration": out / "calibration.png",
    }


def publish(name: str, weights: Path, metrics: dict, learnt: adp.Plan, judged: adp.Plan, store: str, out: Path) -> str:
    """Push the model with a card into the zoo of a tracking server; returns its name with its version."""
    shutil.copy(weights, out)
    numbers = {key: value for key, value in metrics.items() if isinstance(value, float)}
    (out / "README.md").write_text(CARD.format(learnt=learnt, judged=judged, name=name, **numbers), encoding="utf-8")
    entry = adp.models.push(out, name, metrics=numbers, data={"train": learnt, "test": judged})
    return f"{entry.name}:{entry.version}"


def predict(data: adp.Plan, coef: np.ndarray, scale: float, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels and chances of a click of all rows."""
    clicked, score = _scores(data, coef)
    return clicked, expit(score * scale + shift)


def matrix(batch: dict[str, np.ndarray]) -> tuple[csr_matrix, np.ndarray]:
    """A batch as scikit-learn takes it: a one in each bucket."""
    given = [one for name, one in batch.items() if name != "clicked"]
    buckets = np.column_stack([np.zeros_like(given[0]), *given])  # the first: what all rows have in common
    rows, inputs = buckets.shape
    ends = np.arange(0, rows * inputs + 1, inputs)
    return csr_matrix((np.ones(rows * inputs), buckets.ravel(), ends), shape=(rows, BUCKETS)), batch["clicked"]


def _scores(data: adp.Plan, coef: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    batches = map(matrix, adp.batches(data.dataset, split=data.split, batch_size=BATCH))
    clicked, scores = zip(*((clicked, features @ coef) for features, clicked in batches), strict=True)
    return np.concatenate(clicked), np.concatenate(scores)


def _platt(data: adp.Plan, coef: np.ndarray) -> tuple[float, float]:
    """Averaged weights are too cautious: two numbers mend it (Platt: Probabilistic Outputs for SVMs, 1999)."""
    clicked, scores = _scores(data, coef)
    found = LogisticRegression(C=1e6).fit(scores[:, None], clicked)
    return float(found.coef_[0, 0]), float(found.intercept_[0])


def _loss(clicked: np.ndarray, chance: np.ndarray) -> float:
    return float(log_loss(clicked, chance, labels=[False, True]))
