"""The life of a model from its training to its evidence: each step is a command, and all of them are printed.

Train, check, promote, serve. A new scanner arrives: the monitor says that the model is outside what its training
promised, and why. Train again, compare, promote. A version with a fault is promoted, found out and rolled back. At the
end somebody who has nothing but the evidence pack, Python and openssl verifies it.

    pip install 'histhooks[sklearn,pandas,sign]' fastapi uvicorn
    python life.py [FOLDER]
"""

import csv
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from datetime import UTC, datetime
from pathlib import Path

if {"-h", "--help"} & {*sys.argv[1:]}:
    sys.exit(__doc__)

HERE = Path(__file__).parent
FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="model-life-")).resolve()
MODEL = "digits"
DEADLINE_S = 120


def run(command: str, *, expect: int = 0) -> str:
    """Run a command in the folder, print both, and end if its exit code is another than this step has."""
    print(f"\n$ {command}")
    words = shlex.split(command)
    program = {"histhooks": [sys.executable, "-m", "histhooks"], "python": [sys.executable]}[words[0]]
    done = subprocess.run([*program, *words[1:]], cwd=FOLDER, check=False, capture_output=True, text=True)
    print(done.stdout.rstrip())
    if done.stderr.strip():
        print(done.stderr.rstrip())
    if done.returncode != expect:
        raise SystemExit(f"exit code {done.returncode} instead of {expect}")
    return done.stdout


def say(text: str) -> None:
    print(f"\n── {text} " + "─" * max(0, 90 - len(text)))


def serve(hour: int) -> list[int]:
    """Serve for an hour: start the service, send it the scans of that hour, and stop it; gives the answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "histhooks", "run", "--watch", f"{MODEL}@production", "serve.py", str(port)]
    print(f"\n$ histhooks run --watch {MODEL}@production serve.py {port}    # hour {hour}")
    with subprocess.Popen(command, cwd=FOLDER) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}/health", server)
            with (FOLDER / f"hour_{hour}.csv").open() as file:
                scans = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
            digits = [int(scan.pop("digit")) for scan in scans]
            answers: list[int] = []
            for n in range(0, len(scans), 10):
                answers += post(f"http://127.0.0.1:{port}/predict", scans[n : n + 10])
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(DEADLINE_S)
    right = sum(map(int.__eq__, answers, digits))
    print(f"{right} of {len(digits)} digits were read right")
    return answers


def wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the service did not start")


def post(url: str, data: object) -> list[int]:
    asked = urllib.request.Request(url, json.dumps(data).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        found: list[int] = json.load(answer)
        return found


def now() -> str:
    return datetime.now(UTC).isoformat()


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in ("data.py", "train.py", "serve.py"):
        (FOLDER / name).write_text((HERE / name).read_text())
    os.environ.setdefault("HISTHOOKS_STORE", str(FOLDER / "histhooks.db"))
    os.environ.setdefault("HISTHOOKS_SIGN_KEY", str(FOLDER / "sign.pem"))
    os.environ.setdefault("HISTHOOKS_WATCH_S", "3600")  # seconds: an hour of this example is one window
    hours: dict[str, str] = {}

    say("train, check, promote")
    run("python data.py")
    run("histhooks run train.py scans.csv model.joblib")
    run("histhooks check last")
    run(f'histhooks promote model.joblib --model {MODEL} --keep --reason "the first that reads well"')

    say("two quiet hours")
    serve(1)
    serve(2)
    hours["quiet"] = now()
    run(f"histhooks monitor {MODEL} --window 1s")

    say("a new scanner arrives")
    serve(3)
    serve(4)
    hours["new scanner"] = now()
    run(f"histhooks monitor {MODEL} --window 1s", expect=1)

    say("train again, with old scans made paler and new ones; what changed?")
    run("histhooks run train.py scans_paler.csv hour_3.csv hour_4.csv model.joblib")
    run(f'histhooks promote model.joblib --model {MODEL} --keep --reason "knows the new scanner"')
    run(f"histhooks diff {MODEL}@1 {MODEL}@2", expect=1)
    serve(5)
    hours["new model"] = now()
    run(f"histhooks monitor {MODEL} --window 1s")

    say("a fault: somebody trains with scaled pixels, and the service does not scale")
    run("histhooks run train.py scans_paler.csv hour_3.csv hour_4.csv model.joblib --scale 16")
    run(f'histhooks promote model.joblib --model {MODEL} --keep --reason "scaled, as the paper does"')
    serve(6)
    hours["fault"] = now()
    run(f"histhooks monitor {MODEL} --window 1s", expect=1)
    run(f'histhooks rollback {MODEL} --reason "trained with scaled pixels, which the service does not have"')

    say("what was live when?")
    hours["after it"] = now()
    for name, instant in hours.items():
        print(f"\n{name}")
        run(f"histhooks models {MODEL} --at {instant}")
    run(f"histhooks models {MODEL}")

    say("evidence, for somebody who has nothing but the pack, Python and openssl")
    run("histhooks keygen -o sign.pem")
    run(f"histhooks evidence {MODEL}@2 -o pack.zip --sign")
    with zipfile.ZipFile(FOLDER / "pack.zip") as pack:
        pack.extractall(FOLDER / "received")
    run("python -I -S received/verify_pack.py received")
    run("histhooks verify")
    print(f"\nAll of it is in {FOLDER}: look at it with `histhooks report {MODEL} -o digits.html`.")


if __name__ == "__main__":
    main()
