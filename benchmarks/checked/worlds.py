"""Data of networks with as many fresh rows as an oracle needs, and what the oracle asks of a curve."""

from __future__ import annotations

import kit
import numpy as np

Generator = np.random.Generator
FRESH = 4000


class World:
    """Rows of some classes: the border is a small network of its own, noise makes the classes overlap.

    Parameters
    ----------
    rng : numpy.random.Generator
    noise : float
        0 for classes that do not overlap.
    width : int
        Columns.
    """

    def __init__(self, rng: Generator, noise: float, width: int = 16, n_classes: int = 3) -> None:
        self._rng, self._noise, self.width = rng, noise, width
        self._in = rng.normal(size=(width, 12)) / width**0.5
        self._out = rng.normal(size=(12, n_classes))

    def rows(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and their classes."""
        X = self._rng.normal(size=(n, self.width)).astype("float32")
        logits = np.tanh(2 * X @ self._in) @ self._out
        return X, (logits + self._noise * self._rng.gumbel(size=logits.shape)).argmax(1).astype("int64")


def cross_entropy(probabilities: np.ndarray, y: np.ndarray) -> float:
    """Mean cross-entropy in nats."""
    return float(-np.log(np.clip(probabilities[np.arange(len(y)), y], 1e-30, 1.0)).mean())


def judge(truth: kit.Truth, fresh: list[float], train: list[float], constant: float, n_more: int = 0) -> None:
    """Tell the truth about a curve.

    Parameters
    ----------
    truth : Truth
    fresh, train : list of float
        The loss after each epoch, of fresh rows and of all training rows; before the first epoch as well.
        The last `n_more` values of `fresh` are of epochs that nobody recorded.
    constant : float
        The loss of a model that knows nothing but the shares of the classes.
    """
    seen = fresh[: len(fresh) - n_more]
    finite = all(np.isfinite(seen)) and all(np.isfinite(train))
    if not finite:  # whether a loss runs away before it is no number is a matter of words
        truth.is_unclear("loss.nonfinite", "weights.nonfinite", "loss.diverged", "fit.gap", "fit.no_better")
        return
    smooth = [float(np.median(seen[max(0, n - 1) : n + 2])) for n in range(len(seen))]
    truth.oracle("loss.diverged", train[-1] / constant, 1.05, 2.0)
    truth.oracle("loss.flat", -abs(train[0] - train[-1]) / train[0], -0.05, -0.008)
    if train[-1] > constant:  # what it is worth on other rows says nothing then
        truth.is_unclear("fit.past_best", "fit.gap", "fit.no_better")
    else:
        truth.oracle("fit.past_best", smooth[-1] / min(smooth) - 1, 0.05, 0.2)
        truth.oracle("fit.gap", (seen[-1] - train[-1]) / constant, 0.2, 0.45)
    if n_more:
        truth.oracle("fit.still_improving", seen[-1] / min(fresh[len(seen) :]) - 1, 0.03, 0.06)


def constant_of(y: np.ndarray) -> float:
    """The entropy of the shares of classes."""
    shares = np.bincount(y) / len(y)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())
