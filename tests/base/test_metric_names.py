"""What the name of a metric says."""

from pathlib import Path

import pytest

from histhooks._base.metric_names import Metric, describe
from histhooks.testing import query, run_program


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
        ("mean_score", "mean_score", "train", 0),
        ("score_p95", "score_p95", "train", 0),
        ("test_mean_score", "mean_score", "test", 0),
        ("mean_test_score", "mean_test_score", "train", 1),
        ("mean_loss", "mean_loss", "train", -1),
        ("mean_reward", "mean_reward", "train", 1),
        ("acc1", "acc1", "train", 1),
        ("val_top5_acc", "top5_acc", "valid", 1),
        ("accidents", "accidents", "train", 0),
        ("previous", "previous", "train", 0),
        ("indices", "indices", "train", 0),
        ("mIoU", "mIoU", "train", 1),
        ("map@10", "map@10", "train", 1),
    ],
)
def test_a_name_is_read(name: str, metric: str, split: str, direction: int) -> None:
    assert describe(name) == Metric(metric, split, direction)


PROGRAM = """
import pathlib, histhooks
pathlib.Path("model.bin").write_text("m")
served = {"mean_score": 0.7, "accuracy": 0.9, "val_loss": 0.2, "requests": 3.0}
with histhooks.start_run("loop") as run:
    run.log(served)
with histhooks.start_run("serve") as run:
    run.log_artifact("model.bin", role="model", direction="in")
    run.log(served)
with histhooks.start_run("batch") as run:
    run.log_dataset("production", [[1.0], [2.0]])
    run.log(served)
with histhooks.start_run("fine-tuned") as run:
    run.log_artifact("model.bin", role="model", direction="in")
    run.log_dataset("train", [[1.0], [2.0]])
    run.log(served)
"""


def test_metrics_about_production_data_are_of_no_split(store_path: Path) -> None:
    code, _, err = run_program(PROGRAM, store_path)
    assert code == 0, err
    sql = "SELECT r.name, s.name, s.split, s.direction FROM metric_summaries AS s JOIN runs AS r ON r.id = s.run_id " \
        "WHERE s.split IS NOT 'system' ORDER BY r.started_at, s.name"  # fmt: skip
    trained = [("accuracy", "train", 1), ("mean_score", None, 0), ("requests", "train", 0), ("val_loss", "valid", -1)]
    used = [("accuracy", None, 1), ("mean_score", None, 0), ("requests", None, 0), ("val_loss", "valid", -1)]
    expected = {"loop": trained, "serve": used, "batch": used, "fine-tuned": trained}
    assert query(store_path, sql) == [(run, *row) for run, rows in expected.items() for row in rows]
