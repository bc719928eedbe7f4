"""A target whose readers see a project each, and a login that reads in the name of all of them."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from helpers.postgresql import ask_target
from histhooks import team
from histhooks.testing import run_program

PROGRAM = """
import histhooks
with histhooks.start_run({name!r}, params={{"lr": 0.5, {param!r}: 1}}, tags={{"secret": {secret!r}}}) as run:
    for step in range(20):
        run.log({{"loss": 1 / (step + 1), {metric!r}: step}}, step=step)
    run.log_results({{{result!r}: 1}})
"""


class Readers:
    """Ann, who sees the project churn, and Bob, who sees fraud; a stranger with a role who sees nothing.

    Attributes
    ----------
    address : str
        The target, for the login of a server.
    """

    def __init__(self, target: str, folder: Path) -> None:
        self.owner, self.folder = target, folder
        end = uuid4().hex[:8]
        self.ann, self.bob, self.stranger, self.web = (f"{name}_{end}" for name in ("ann", "Bob.O", "zoe", "web"))
        self.address = target.replace("postgresql://postgres@", f"postgresql://{self.web}:s3cret@")
        for name, project in (("ann", "churn"), ("bob", "fraud")):
            self.train(name, project)
        self._grant()

    def train(self, name: str, project: str) -> None:
        """Record a run in a store of its own, and push it."""
        store = self.folder / f"{name}.db"
        words = {word: f"{word}_of_{name}" for word in ("param", "metric", "result", "secret")}
        program = PROGRAM.format(name=f"run_of_{name}", **words)
        code, _, error = run_program(program, store, HISTHOOKS_PROJECT=project, HISTHOOKS_ACTOR=f"{name}@example.com")
        assert code == 0, error
        assert team.push(store, to=self.owner).ok

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        """Ask as the owner of the database."""
        return ask_target(self.owner, sql)

    def _grant(self) -> None:
        people = {self.ann: "churn", self.bob: "fraud", self.stranger: None}
        self.ask(f'CREATE ROLE "{self.web}" LOGIN NOINHERIT')
        for role, project in people.items():
            self.ask(f'CREATE ROLE "{role}" NOLOGIN')
            self.ask(f'GRANT histhooks_reader TO "{role}"')
            self.ask(f'GRANT "{role}" TO "{self.web}"')
            if project is not None:
                team.grant(role, project, self.owner)

    def close(self) -> None:
        """Take the roles away, which are of the whole server."""
        for role in (self.ann, self.bob, self.stranger, self.web):
            self.ask(f'DROP OWNED BY "{role}"; DROP ROLE IF EXISTS "{role}"')
