"""The pictures of the experiment, drawn with Matplotlib on white: legible on a dark page too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score, roc_curve


def learning(history: list[tuple[int, float, float]], path: Path) -> None:
    """Log loss over the rows learnt from.

    Args:
        history: rows, loss on rows before they are learnt from, loss on rows that never are.
        path: of the picture.
    """
    rows, before, unseen = zip(*history, strict=True)
    axis = _axis("Learning curve", "rows learnt from, millions", "log loss")
    axis.plot(
        np.array(rows) / 1e6, before, color="#8a5a00", marker="s", label="training rows, before they are learnt from"
    )
    axis.plot(np.array(rows) / 1e6, unseen, color="#17607d", marker="o", label="validation rows")
    axis.legend()
    _save(axis, path)


def roc(clicked: np.ndarray, chance: np.ndarray, path: Path) -> None:
    """The receiver operating characteristic."""
    wrong, right, _ = roc_curve(clicked, chance)
    axis = _axis("ROC", "false positive rate", "true positive rate")
    axis.plot(wrong, right, color="#17607d", label=f"model, AUC {roc_auc_score(clicked, chance):.3f}")
    axis.plot([0, 1], [0, 1], color="#5b666d", linestyle="--", label="always the mean rate, AUC 0.500")
    axis.legend()
    _save(axis, path)


def calibration(clicked: np.ndarray, chance: np.ndarray, path: Path, bins: int = 20) -> float:
    """Clicks predicted and observed, in bins of equally many rows; returns the expected calibration error.

    Naeini, Cooper, Hauskrecht: Obtaining Well Calibrated Probabilities Using Bayesian Binning. AAAI 2015.
    """
    order = np.array_split(np.argsort(chance), bins)
    said = np.array([chance[one].mean() for one in order if len(one)])
    seen = np.array([clicked[one].mean() for one in order if len(one)])
    most = max(said.max(), seen.max()) * 100
    axis = _axis("Calibration, a point for each twentieth of the rows", "predicted clicks, %", "observed clicks, %")
    axis.plot([0, most], [0, most], color="#5b666d", linestyle="--", label="as it should be")
    axis.plot(said * 100, seen * 100, color="#17607d", marker="o", label="model")
    axis.legend()
    _save(axis, path)
    sizes = np.array([len(one) for one in order if len(one)])
    return float(np.average(np.abs(said - seen), weights=sizes))


def _axis(title: str, across: str, up: str) -> Axes:
    axis = Figure(figsize=(6, 4), layout="constrained").add_subplot()
    axis.set(title=title, xlabel=across, ylabel=up)
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    return axis


def _save(axis: Axes, path: Path) -> None:
    axis.figure.savefig(path, dpi=160, facecolor="white")
