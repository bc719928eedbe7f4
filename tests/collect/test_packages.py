"""Which packages are installed: what importlib.metadata tells, read from the first lines only."""

import contextlib
import json
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from histhooks._collect import packages as _packages
from histhooks.testing import query, run_program


def told_by_importlib() -> list[tuple[str, str | None]]:
    """What `_packages` must say: name and version of each distribution by the standard library alone."""
    found: dict[str, str | None] = {}
    for distribution in metadata.distributions():
        with contextlib.suppress(UnicodeDecodeError):
            told = distribution.metadata
            if told.get("Name"):
                found.setdefault(told["Name"], told.get("Version"))
    return sorted(found.items())


def put(folder: Path, name: str, data: bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def only(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Let nothing but some folders be searched for packages."""
    monkeypatch.setattr(sys, "path", [str(folder) for folder in folders])


def test_the_packages_of_this_environment_are_those_that_importlib_tells() -> None:
    packages, n_unreadable = _packages.installed()
    assert n_unreadable == 0
    assert packages == told_by_importlib()
    assert dict(packages)["numpy"] == metadata.version("numpy")


HEAD = b"Metadata-Version: 2.1\nName: %b\nVersion: %b\n"


def test_odd_distributions_are_told_as_importlib_tells_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, egg = tmp_path / "first", tmp_path / "second", tmp_path / "Egg-1.0.egg"
    put(first, "plain-1.0.dist-info/METADATA", HEAD % (b"Plain", b"1.0") + b"Summary: s\n\nName: never\n")
    put(first, "both-1.0.dist-info/METADATA", HEAD % (b"both", b"1") + b"\n")
    put(first, "both-1.0.dist-info/PKG-INFO", HEAD % (b"not-me", b"2") + b"\n")
    put(first, "folder-2.0.egg-info/PKG-INFO", HEAD % (b"folder", b"2.0") + b"\n")
    put(first, "file-3.0.egg-info", HEAD % (b"file", b"3.0") + b"Home-page: UNKNOWN\n")
    put(first, "empty-1.0.dist-info/METADATA", b"")
    put(first, "empty-1.0.dist-info/PKG-INFO", HEAD % (b"after an empty one", b"4") + b"\n")
    put(first, "nameless-1.0.dist-info/METADATA", b"Metadata-Version: 2.1\nVersion: 1\n\nName: below\n")
    put(first, "versionless-1.0.dist-info/METADATA", b"Name: versionless\nSummary: s\n\n")
    put(first, "folded-1.0.dist-info/METADATA", b"Name: folded\n twice\nVersion:\n 1.0\n\ntext")
    put(first, "ends-1.0.dist-info/METADATA", b"Name: ends\nVersion: 1.0")
    put(first, "windows-1.0.dist-info/METADATA", b"Name: windows\r\nVersion: 1.0\r\n\r\ntext\r\n")
    put(first, "mac-1.0.dist-info/METADATA", b"Name: mac\rVersion: 1.0\r\rtext\r")
    put(first, "spaces-1.0.dist-info/METADATA", b"NAME: \t spaces \nversion:1.0 \nx: y\n")
    put(first, "twice-1.0.dist-info/METADATA", b"Name: twice\nName: other\nVersion: 1\nVersion: 2\n\n")
    put(first, "reversed-1.0.dist-info/METADATA", b"Version: 1\nName: reversed\nx: y\n")
    put(first, "accent-1.0.dist-info/METADATA", HEAD % ("acc\xe9nt".encode(), b"1") + b"\n")
    put(first, "marked-1.0.dist-info/METADATA", b"\xef\xbb\xbfName: marked\nVersion: 1\n\n")
    put(first, "broken-1.0.dist-info/METADATA", b"Name: broken\nno header\nVersion: 1\n\n")
    put(first, "mailbox-1.0.dist-info/METADATA", b"From me\nName: mailbox\nVersion: 1\n\n")
    put(first, "blank-1.0.dist-info/METADATA", b"\nName: blank\nVersion: 1\n\n")
    put(first, "late-1.0.dist-info/METADATA", b"Summary: " + b"s" * 5000 + b"\nName: late\nVersion: 1\n\n")
    put(first, "cut-1.0.dist-info/METADATA", b"Summary: " + b"s" * 4071 + b"\nName: cut\nVersion: 1.0.0\n\n")
    put(first, "unnamed-1.0.dist-info/METADATA", b"Name: \nVersion: 1\n\n")
    put(first, "nothing-1.0.dist-info/RECORD", b"")
    (first / "directory-1.0.dist-info" / "METADATA").mkdir(parents=True)
    put(second, "plain-9.0.dist-info/METADATA", HEAD % (b"Plain", b"9.0") + b"\n")  # the first one wins
    put(second, "more-1.0.dist-info/METADATA", HEAD % (b"more", b"1.0") + b"\n")
    put(egg, "EGG-INFO/PKG-INFO", HEAD % (b"Egg", b"1.0") + b"\n")
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped-1.0.dist-info/METADATA", HEAD % (b"zipped", b"1.0") + b"\n")
        file.writestr("more-1.0.dist-info/METADATA", HEAD % (b"more", b"0.1") + b"\n")
    put(tmp_path, "broken.zip", b"PK no archive")
    only(monkeypatch, first, tmp_path / "missing", second, first, egg, archive, tmp_path / "broken.zip")

    packages, n_unreadable = _packages.installed()
    assert packages == told_by_importlib()
    assert n_unreadable == 0
    assert {
        ("Plain", "1.0"), ("both", "1"), ("folder", "2.0"), ("file", "3.0"), ("after an empty one", "4"),
        ("versionless", None), ("ends", "1.0"), ("windows", "1.0"), ("spaces ", "1.0 "), ("reversed", "1"),
        ("acc\xe9nt", "1"), ("late", "1"), ("cut", "1.0.0"), ("more", "1.0"), ("Egg", "1.0"), ("zipped", "1.0"),
        ("broken", None), ("mac", "1.0"), ("mailbox", "1"), ("twice", "1"),
    } <= set(packages)  # fmt: skip
    assert {"nameless", "below", "never", "not-me", "blank", "marked"}.isdisjoint(dict(packages))


def test_text_that_is_no_utf8_costs_only_the_distribution_whose_name_it_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "good-1.0.dist-info/METADATA", HEAD % (b"good", b"1.0") + b"\n")
    put(tmp_path, "described-1.0.dist-info/METADATA", HEAD % (b"described", b"1.0") + b"\nna\xefve")
    put(tmp_path, "named-1.0.dist-info/METADATA", HEAD % (b"na\xefve", b"1.0") + b"\n")
    put(tmp_path, "folded-1.0.dist-info/METADATA", b"Name: folded\n \xef\nVersion: 1.0\n\n")
    only(monkeypatch, tmp_path)
    assert _packages.installed() == ([("described", "1.0"), ("good", "1.0")], 2)


LINES = st.sampled_from(
    [
        b"Name: a", b"name:a", b"Name:", b"Name: \tb ", b"NAME : c", b"Version: 1", b"version:2 ", b"Version:", b"",
        b" folded", b"\tfolded", b"Summary: s", b"no header", b"From x", b": nothing", b"Other: Name: z",
        "Name: \u00e9".encode(), b"Name: x\x0by", b"X\x0c: y", b"Name: x\x1cVersion: 3",
    ]
)  # fmt: skip
ENDS = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r", b"\n\n"])


@given(lines=st.lists(st.tuples(LINES, ENDS), max_size=7), end=st.sampled_from([b"", b"Name: last", b"text\n"]))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_head_is_read_as_importlib_reads_it(
    lines: list[tuple[bytes, bytes]], end: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "any-1.0.dist-info/METADATA", b"".join(line + ending for line, ending in lines) + end)
    with monkeypatch.context() as patched:
        only(patched, tmp_path)
        assert _packages.installed() == (told_by_importlib(), 0)


def test_a_distribution_that_cannot_be_read_is_told_and_takes_no_other_with_it(
    store_path: Path, tmp_path: Path
) -> None:
    put(tmp_path, "extra/fine-1.0.dist-info/METADATA", HEAD % (b"fine-one", b"1.0") + b"\n")
    put(tmp_path, "extra/named-1.0.dist-info/METADATA", HEAD % (b"na\xefve", b"1.0") + b"\n")
    program = "import histhooks\nwith histhooks.start_run('a'): pass\n"
    code, _, err = run_program(program, store_path, PYTHONPATH=str(tmp_path / "extra"))
    assert code == 0, err
    assert query(store_path, "SELECT version FROM packages WHERE name = 'fine-one'") == [("1.0",)]
    ((status, note),) = query(store_path, "SELECT status, note FROM captures WHERE collector = 'packages'")
    assert status == "truncated"
    assert str(note).endswith("packages; 1 more says nothing that can be read")


def test_entry_points_are_looked_for_wherever_importlib_would_find_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, told = "histhooks.integrations", b"[histhooks.integrations]\nother = other:integration\n"
    put(tmp_path / "without", "a-1.0.dist-info/entry_points.txt", b"[console_scripts]\na = a:main\n")
    put(tmp_path / "with", "b-1.0.dist-info/entry_points.txt", b"[console_scripts]\nb = b:main\n\n" + told)
    put(tmp_path / "old", "c-1.0.egg-info/entry_points.txt", told)
    put(tmp_path / "D-1.0.egg", "EGG-INFO/entry_points.txt", told)
    for folder in ("without/a-1.0.dist-info", "with/b-1.0.dist-info", "old/c-1.0.egg-info", "D-1.0.egg/EGG-INFO"):
        put(tmp_path / folder, "METADATA", HEAD % (folder.encode(), b"1.0") + b"\n")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as file:
        file.writestr("e-1.0.dist-info/entry_points.txt", told)
        file.writestr("e-1.0.dist-info/METADATA", HEAD % (b"e", b"1.0") + b"\n")
    for name in ("without", "with", "old", "D-1.0.egg", "archive.zip", "missing"):
        only(monkeypatch, tmp_path / name)
        has_some = bool(metadata.entry_points(group=group))
        assert has_some is (name not in ("without", "missing"))
        assert _packages.may_have_entry_points(group) is has_some


def test_an_importer_that_finds_distributions_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "far/f-1.0.dist-info/METADATA", HEAD % (b"far", b"1.0") + b"\n")

    class Finder:
        @staticmethod
        def find_spec(*_: object) -> None: ...
        @staticmethod
        def find_distributions(*_: object) -> list[metadata.Distribution]:
            return [metadata.PathDistribution(tmp_path / "far" / "f-1.0.dist-info")]

    only(monkeypatch, tmp_path)
    assert _packages.installed() == ([], 0)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    assert _packages.installed() == ([("far", "1.0")], 0)
    assert _packages.may_have_entry_points("histhooks.integrations")


def test_a_package_that_no_index_gave_has_its_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, source = tmp_path / "site-packages", tmp_path / "src"

    def install(name: str, direct: str | None) -> None:
        put(place, f"{name}-1.0.dist-info/METADATA", HEAD % (name.encode(), b"1.0") + b"\n")
        if direct is not None:
            put(place, f"{name}-1.0.dist-info/direct_url.json", direct.encode())

    commit = "0123456789" * 4
    install("plain", None)
    told = {"url": "https://ann:pw12345@host/x.git", "vcs_info": {"vcs": "git", "commit_id": commit}}
    install("fromgit", json.dumps(told))
    install("editable", '{"url": "file:///home/ann/x", "dir_info": {"editable": true}}')
    install("wheel", '{"url": "https://host/w.whl", "archive_info": {"hashes": {"sha256": "ab"}}, "subdirectory": "s"}')
    install("older", '{"url": "file:///w.whl", "archive_info": {"hash": "sha256=cd"}}')
    install("broken", "no json")
    put(source, "beside-1.0.egg-info/PKG-INFO", HEAD % (b"beside", b"1.0") + b"\n")
    only(monkeypatch, place, source)
    assert _packages.origins() == {
        "beside": {"folder": str(source)},
        "broken": {"url": None},
        "editable": {"url": "file:///home/ann/x", "is_editable": True},
        "fromgit": {"url": "https://[masked]@host/x.git", "vcs": "git", "commit": commit},
        "older": {"url": "file:///w.whl", "sha256": "cd"},
        "wheel": {"url": "https://host/w.whl", "sha256": "ab", "subdirectory": "s"},
    }
