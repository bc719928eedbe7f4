"""MLflow's tracking server and histhooks on one PostgreSQL, in one sitting: the same runs in, the same questions out.

MLflow's runs go through its server, as a team's programs send them, in its largest batches; those of histhooks by one
`histhooks push` of the store that training left. Questions are asked as a person's Python asks them: `MlflowClient` of
the server, `History` of the database.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from a_server import postgresql, rows, size, target
from harness import median, place, python, table, take_turns
from rival_pages import MLFLOW, POINTS, RUNS, end, free_port, loaded, long_run, made_runs, started
from rivals import environment
from team_history import verb

_TURN = """
def taken(ask):
    begin = time.perf_counter(); ask(); return (time.perf_counter() - begin) * 1000
opening = time.perf_counter(); {open}; opened = (time.perf_counter() - opening) * 1000
asks = [{asks}]
print(opened, *(taken(ask) for ask in asks))
"""
_MLFLOW_ASKS = (
    "import json, sys, time, urllib.request\n"
    "from mlflow import MlflowClient\nroot, experiment, long = sys.argv[1:]"
    + _TURN.format(
        open="client = MlflowClient(root)",
        asks="""
    lambda: client.search_runs([experiment], order_by=["attributes.start_time DESC"], max_results=100),
    lambda: client.search_runs([experiment], "metrics.val_loss < 0.3 and params.optimizer = 'adam'",
                               order_by=["metrics.val_loss ASC"], max_results=100),
    lambda: client.get_metric_history(long, "step_loss"),
    lambda: json.load(urllib.request.urlopen(
        f"{root}/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?run_ids={long}&metric_key=step_loss&max_results=2000")),
""",
    )
)
_OUR_ASKS = "import sys, time\nfrom histhooks import History\nto, long = sys.argv[1:]" + _TURN.format(
    open="history = History(to)",
    asks="""
    lambda: history.runs(is_nested=False, limit=100),
    lambda: history.runs(where="val_loss < 0.3 and params.optimizer = adam", order_by="val_loss", limit=100),
    lambda: history.run(long).series("step_loss"),
    lambda: history.run(long).series("step_loss", points=2000),
""",
)


def rival_team(repeats: int, environments: Path) -> None:
    """Write the same runs to both, and ask the same of both."""
    executable = environment(environments / "mlflow-postgresql", ["mlflow", "psycopg2-binary"])
    if executable is None:
        print("mlflow: left out, it could not be installed")
        return
    with place() as folder, postgresql() as address:
        runs = made_runs(folder)
        to = target(address)
        empty = size(to)
        pushed_s, _ = verb("push", str(folder / "bench.db"), "--to", to)
        own = folder / "mlflow"
        own.mkdir()
        rows(to, "CREATE SCHEMA IF NOT EXISTS mlflow")
        backend = f"{address}{'&' if '?' in address else '?'}options=-csearch_path%3Dmlflow"
        port = free_port()
        # Of several workers on a busy machine it ends some for being slow.
        where = ["--backend-store-uri", backend, "--port", str(port), "--workers", "1"]
        command = [executable, "-m", "mlflow", "server", *where]
        root = f"http://127.0.0.1:{port}"
        server, _ = started(command, own, f"{root}/health")
        try:
            begin = time.perf_counter()
            told = loaded(executable, MLFLOW, own, runs, root)
            loaded_s = time.perf_counter() - begin
            taken = take_turns(
                {
                    "histhooks": lambda: python(folder, to, long_run(folder), code=_OUR_ASKS).numbers,
                    "mlflow": lambda: (
                        python(
                            own, root, told["experiment"], told["long"], code=_MLFLOW_ASKS, executable=executable
                        ).numbers
                    ),
                },
                repeats,
            )
            room = {"histhooks": size(to) - empty, "mlflow": _size_of_mlflow(to)}
        finally:
            end(server)
    seconds = {"histhooks": pushed_s, "mlflow": loaded_s}
    columns = ("s to write", "MB there", "ms open", "last 100", "where", f"{POINTS:,}", "2,000 of it")
    shown = {name: [seconds[name], room[name] / 1e6, *map(median, numbers)] for name, numbers in taken.items()}
    table(f"{RUNS:,} runs, a curve of {POINTS:,}", columns, shown, f"{sys.version.split()[0]}; ms of fresh processes")


def _size_of_mlflow(to: str) -> int:
    sql = (
        "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class "
        "WHERE relnamespace = 'mlflow'::regnamespace AND relkind = 'r'"
    )
    ((found,),) = rows(to, sql)
    assert isinstance(found, int)
    return found
