"""What the name of a metric says."""

import pytest

from histhooks._metrics import Metric, describe


@pytest.mark.parametrize(
    ("name", "metric", "split", "direction"),
    [
        ("loss", "loss", "train", -1),
        ("val_loss", "loss", "valid", -1),
        ("validation_0-logloss", "logloss", "valid", -1),
        ("train-rmse-mean", "rmse-mean", "train", -1),
        ("test_score", "score", "test", 1),
        ("accuracy", "accuracy", "train", 1),
        ("eval/f1", "f1", "valid", 1),
        ("neg_mean_squared_error", "neg_mean_squared_error", "train", 1),
        ("test_neg_log_loss", "neg_log_loss", "test", 1),
        ("loss/val", "loss", "valid", -1),
        ("lr", "lr", "train", 0),
        ("system/cpu_percent", "cpu_percent", "system", 0),
        ("score_time", "score_time", "train", 0),
        ("test_score_time", "score_time", "test", 0),
        ("value", "value", "train", 0),
        ("training_curve", "curve", "train", 0),
        ("trainable", "trainable", "train", 0),
    ],
)
def test_a_name_is_read(name: str, metric: str, split: str, direction: int) -> None:
    assert describe(name) == Metric(metric, split, direction)
