"""Odd values, names and counts cost themselves, and nothing that was logged with them."""

from __future__ import annotations

from pathlib import Path

from helpers.recordings import assert_fits, record, rows


def test_a_bad_value_is_refused_and_the_rest_is_kept(store: Path) -> None:
    program = """
        import histhooks
        with histhooks.start_run("mine") as run:
            run.log({"loss": "word", "acc": 0.5, "": 1.0, "none": None})
            run.log_artifact("missing.bin")
            run.link("invents", "x")
            run.tag("")
            run.log(["no mapping"])
        run.log({"late": 1.0})
    """
    code, _, err = record(store, program)
    assert code == 0
    assert all("histhooks" in line for line in err.splitlines())
    assert "missing.bin" in err
    assert rows(store, "SELECT name FROM metric_summaries") == [("acc",)]
    assert rows(store, "SELECT count(*) FROM events WHERE kind = 'refused'")[0][0] >= 6
    assert rows(store, "SELECT status FROM runs") == [("finished",)]
    strict, _, err = record(store, program, HISTHOOKS_STRICT="1")
    assert strict == 1
    assert "loss" in err


def test_an_odd_name_step_or_epoch_takes_no_other_value_of_the_call_with_it(store: Path) -> None:
    program = """
        import histhooks
        with histhooks.start_run("mine", tags={"": 1, "ok": 2}) as run:
            run.log({"": 1.0})
            run.log({5: 1.0, "a": 1.0}, step=3)
            for odd in ("x", float("nan"), float("inf"), 2**70, -3, [1]):
                run.log({"b": 2.0}, step=odd)
                run.log({"c": 3.0}, epoch=odd)
            run.log({"d": 4.0}, step=True, epoch=7.0)
            run.log_results({"": 1, None: 2, "best": 3})
            run.note("")
            run.note(None)
            run.note("kept")
            for odd in range(200):
                run.log({"": 1.0})
    """
    code, _, err = record(store, program)
    assert code == 0, err
    assert err.count("log on run 'mine' was refused") == 1
    found = rows(store, "SELECT name, step, epoch, value FROM metrics WHERE split != 'system' ORDER BY name, n")
    b, c = [("b", n, None, 2.0) for n in range(6)], [("c", n, None, 3.0) for n in range(6)]
    assert found == [("a", 3, None, 1.0), *b, *c, ("d", 1, 7, 4.0)]
    assert rows(store, "SELECT key, value FROM tags") == [("ok", "2")]
    assert rows(store, "SELECT key, value FROM results") == [("best", "3")]
    assert rows(store, "SELECT body FROM notes") == [("kept",)]
    titles = [title for (title,) in rows(store, "SELECT title FROM events WHERE kind = 'refused'")]
    assert len(titles) == 100
    for number, text in ((1, "a tag"), (6, "step is"), (6, "epoch is"), (2, "a result"), (2, "a note"), (1, "not 5")):
        assert sum(text in title for title in titles) == number, text
    assert_fits(store)
    for line in (
        'log({"": 1.0})',
        'log({"a": 1.0}, step=-3)',
        'log({"a": 1.0}, epoch="y")',
        'tag({"": 1})',
        "note(None)",
    ):
        code, _, err = record(store, f"import histhooks\nhisthooks.start_run().{line}", HISTHOOKS_STRICT="1")
        assert (code, "not" in err) == (1, True)


def test_what_no_row_can_hold_takes_nothing_else_with_it(store: Path) -> None:
    program = """
        import histhooks
        with histhooks.start_run("mine") as run:
            histhooks.flush()
            run.log({"loss": 1.0})
            run.event("odd", "severity", severity="odd")
            run.event("odd", "step", step="x")
            run.log_optimizer(0, "SGD", {"lr": 1.0}, [{"lr": float("nan")}])
            run.log_optimizer(-1, "Adam", {})
            run.update(epochs_planned="many", steps_done=2**80)
            run.update(name=object())
            run.log_params({"a": 1}, source=None)
            run.log_params({"b": 2})
            for step in range(100):
                run.log({"loss": 3.0})
            assert histhooks.flush()
            run.log({"loss": 4.0})
    """
    code, _, err = record(store, program)
    assert code == 0, err
    found = rows(store, "SELECT step, value FROM metrics WHERE name = 'loss' ORDER BY n")
    assert found == [(0, 1.0), *((n, 3.0) for n in range(1, 101)), (101, 4.0)]
    assert rows(store, "SELECT name, status, epochs_planned FROM runs") == [("mine", "finished", None)]
    assert rows(store, "SELECT key FROM params") == [("b",)]
    assert rows(store, "SELECT class_name FROM optimizers") == [("SGD",)]
    assert rows(store, "SELECT lr, settings FROM optimizer_groups") == [(None, '{"lr":{"$float":"nan"}}')]
    titles = " ".join(title for (title,) in rows(store, "SELECT title FROM events"))
    for word in ("events", "optimizers", "epochs_planned", "object"):
        assert word in titles
    ((status, note),) = rows(store, "SELECT status, note FROM captures WHERE collector = 'params'")
    assert status == "failed"
    assert note.startswith("a: ")  # the param that it cost
    assert rows(store, "SELECT hook_errors FROM sessions") == [(5,)]
    assert not store.with_name("histhooks.db.spool").exists()
    assert_fits(store)


def test_an_odd_count_in_an_architecture_is_left_out_and_nothing_refers_to_nothing(store: Path) -> None:
    program = """
        import histhooks
        for name, odd in (("words", "many"), ("negative", -1), ("huge", 2**70), ("none", object())):
            with histhooks.start_run(name) as run:
                run.log_architecture("mine", int, [{"class": "Linear"}], odd, 3)
                run.log_params({"huge": 10**5000, "kept": 1})
    """
    code, _, err = record(store, program)
    assert code == 0, err
    assert err.count("n_parameters is a whole number from 0 on") == 4
    sql = "SELECT class_name, n_parameters, n_trainable FROM runs JOIN architectures AS a ON a.id = architecture_id"
    assert rows(store, sql) == [("<class 'int'>", None, 3)] * 4
    assert rows(store, "SELECT count(*) FROM params WHERE key = 'kept'") == [(4,)]
    assert {value.startswith('"0x') for (value,) in rows(store, "SELECT value FROM params WHERE key = 'huge'")} == {
        True
    }
    assert_fits(store)
