"""What joblib dispatches, in threads and processes: tasks of the program are runs, those of a fit belong to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from histhooks.testing import query

pytest.importorskip("sklearn")

PROGRAM = """
import joblib, numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import Ridge
from sklearn.utils.parallel import Parallel, delayed
X = np.random.RandomState(0).rand(40, 3); y = X[:, 0]
def fit(alpha):
    return round(float(Ridge(alpha=alpha).fit(X, y).score(X, y)), 6)
class Team(BaseEstimator):
    def __init__(self, start, how="threading", of="joblib"):
        self.start, self.how, self.of = start, how, of
    def fit(self, X, y):
        kind, task = (joblib.Parallel, joblib.delayed) if self.of == "joblib" else (Parallel, delayed)
        alphas = range(self.start, self.start + 12)
        self.out_ = list(kind(n_jobs=2, backend=self.how, pre_dispatch=4)(task(fit)(alpha) for alpha in alphas))
        return self
if __name__ == "__main__":
    print(Parallel(n_jobs=1)(delayed(fit)(alpha) for alpha in (1, 2)))
    print(Parallel(n_jobs=2, backend="threading")(delayed(fit)(alpha) for alpha in (3, 4)))
    print(joblib.Parallel(n_jobs=1)(joblib.delayed(fit)(alpha) for alpha in (5, 6)))
    print(Parallel(n_jobs=2)(delayed(fit)(alpha) for alpha in (7, 8)))
    print(joblib.Parallel(n_jobs=2)(joblib.delayed(fit)(alpha) for alpha in (9, 10)))
    print(Team(100, "threading", "joblib").fit(X, y).out_)
    print(Team(200, "threading", "sklearn").fit(X, y).out_)
    print(Team(300, "loky", "sklearn").fit(X, y).out_)
"""


def test_a_task_of_the_program_is_a_run_and_one_of_a_fit_is_part_of_it(store_path: Path) -> None:
    program = store_path.parent / "tasks.py"
    program.write_text(PROGRAM)
    plain = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
    command = [sys.executable, "-m", "histhooks", "run", "--store", store_path, program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, plain.stdout), done.stderr
    sql = "SELECT value FROM params JOIN runs ON id = run_id WHERE key = 'alpha' AND parent_id IS NULL"
    alphas = sorted(int(str(value)) for (value,) in query(store_path, sql))
    assert alphas == list(range(1, 11))
    assert query(store_path, "SELECT count(*) FROM runs WHERE model_class LIKE '%.Team'") == [(3,)]
    assert query(store_path, "SELECT count(*), min(status) FROM runs") == [(13, "finished")]
