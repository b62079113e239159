"""Reading the spec root: odd files are reported and the others are read all the same."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from reconciler.kinds.models import MODELS
from reconciler.source import files, rules
from reconciler.source.files import read_specs
from reconciler.source.load import load

GOOD = """\
apiVersion: reconciler/v1
kind: Organization
metadata: {name: acme}
spec: {title: Acme}
"""
AUTOMATION = """\
apiVersion: reconciler/v1
kind: Automation
metadata: {name: a, organization: acme}
spec: {title: A, createdBy: ops@acme.example, workflow: {file: FILE}}
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "specs"
    folder.mkdir()
    (folder / "good.yaml").write_text(GOOD)
    return Path("specs")


def found(root: Path) -> list[str]:
    return [f"{item.mark} {item.code}" for item in load(root, MODELS).diagnostics]


def test_spec_files_are_found_at_any_depth_in_a_fixed_order(root: Path) -> None:
    for name in ("b/z.yml", "b/a.yaml", "a.yaml", "b/c/d/e.yaml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("# nothing\n")
    paths = [file.path for file in read_specs(root).files]
    assert paths == [
        "specs/a.yaml", "specs/b/a.yaml", "specs/b/c/d/e.yaml", "specs/b/z.yml", "specs/good.yaml",
    ]  # fmt: skip


def test_a_suffix_in_capitals_is_a_suffix(root: Path) -> None:
    (root / "A.YAML").write_text("[")
    assert [file.relative for file in read_specs(root).files] == ["A.YAML", "good.yaml"]


def test_other_files_and_hidden_ones_are_left_alone(root: Path) -> None:
    for name in ("README.md", "a.json", "a.yaml.bak", ".hidden.yaml", ".git/a.yaml", "b/.x/a.yaml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("[")
    assert found(root) == []
    assert [file.relative for file in read_specs(root).files] == ["good.yaml"]


def test_a_broken_link_is_reported(root: Path) -> None:
    (root / "a.yaml").symlink_to("nowhere.yaml")
    assert found(root) == ["specs/a.yaml:1:1 FIL101"]


def test_links_in_a_circle_are_reported(root: Path) -> None:
    (root / "a.yaml").symlink_to("b.yaml")
    (root / "b.yaml").symlink_to("a.yaml")
    assert found(root) == ["specs/a.yaml:1:1 FIL110", "specs/b.yaml:1:1 FIL110"]


def test_a_link_out_of_the_root_is_reported_and_its_content_never_shown(
    root: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret.txt").write_text("outside: true\n")
    (root / "a.yaml").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "folder").mkdir()
    (root / "linked").symlink_to(tmp_path / "folder")
    loaded = load(root, MODELS)
    assert found(root) == ["specs/a.yaml:1:1 FIL102", "specs/linked:1:1 FIL102"]
    assert not any("outside" in text for text in loaded.texts.values())


def test_a_link_inside_the_root_is_followed(root: Path) -> None:
    (root / ".data").mkdir()
    (root / ".data" / "a.yaml").write_text("# nothing\n")
    (root / "a.yaml").symlink_to(".data/a.yaml")
    assert found(root) == []
    assert [file.relative for file in read_specs(root).files] == ["a.yaml", "good.yaml"]


def test_a_folder_or_a_pipe_named_like_a_file_is_reported(root: Path) -> None:
    (root / "a.yaml").mkdir()
    os.mkfifo(root / "b.yaml")
    assert found(root) == ["specs/a.yaml:1:1 FIL103", "specs/b.yaml:1:1 FIL103"]


def test_a_file_of_two_megabytes_is_reported(root: Path) -> None:
    (root / "a.yaml").write_bytes(b"# " + b"x" * (2 << 20))
    (root / "b.yaml").write_bytes(b"#" + b"x" * (rules.MAX_FILE - 1))
    assert found(root) == ["specs/a.yaml:1:1 FIL104"]


def test_all_files_together_have_a_limit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_TOTAL", 1000)
    for name in "abc":
        (root / f"{name}.yaml").write_text("#" * 400)
    assert found(root) == ["specs/c.yaml:1:1 FIL105"]


@pytest.mark.parametrize("data", [b"a: 1\nb: \xff\n", "a: 1\nb: ü\n".encode("latin-1")])
def test_a_file_that_is_not_utf_8_is_reported_at_its_line(root: Path, data: bytes) -> None:
    (root / "a.yaml").write_bytes(data)
    assert found(root) == ["specs/a.yaml:2:1 FIL106"]


def test_utf_16_is_not_utf_8(root: Path) -> None:
    (root / "a.yaml").write_bytes("a: 1\n".encode("utf-16"))
    assert found(root) == ["specs/a.yaml:1:1 FIL106"]


def test_a_byte_order_mark_is_not_part_of_the_text(root: Path) -> None:
    (root / "good.yaml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert found(root) == []


@pytest.mark.parametrize("name", ["a\u202eb.yaml", "a\x1b[31m.yaml", "a\nb.yaml", "a\tb.yaml"])
def test_a_name_that_acts_on_a_terminal_is_reported(root: Path, name: str) -> None:
    (root / name).write_text("# nothing\n")
    (item,) = load(root, MODELS).diagnostics
    assert item.code == "FIL108"


def test_names_that_are_one_elsewhere_are_reported(root: Path) -> None:
    (root / "GOOD.yaml").write_text("# nothing\n")
    (root / unicodedata.normalize("NFC", "café.yaml")).write_text("# nothing\n")
    (root / unicodedata.normalize("NFD", "café.yaml")).write_text("# nothing\n")
    codes = [item.code for item in load(root, MODELS).diagnostics]
    assert codes == ["FIL109", "FIL109"]


@pytest.mark.parametrize("name, code", [("nowhere", "FIL113"), ("specs/good.yaml", "FIL113")])
def test_a_root_that_is_no_folder_is_reported(root: Path, name: str, code: str) -> None:
    loaded = load(Path(name), MODELS)
    assert [item.code for item in loaded.diagnostics] == [code]
    assert not loaded.ok


def test_an_absolute_root_is_shown_relative_to_the_working_folder(root: Path) -> None:
    assert [file.path for file in read_specs(root.resolve()).files] == ["specs/good.yaml"]


def test_a_workflow_file_is_found_beside_the_document_or_below_the_root(root: Path) -> None:
    (root / "acme").mkdir()
    (root / "acme" / "a.yaml").write_text(AUTOMATION.replace("FILE", "flow.json"))
    (root / "flow.json").write_text('{"nodes": [1]}')
    assert [item.workflow.path for item in load(root, MODELS).resources if item.workflow] == [
        "specs/flow.json"
    ]
    (root / "acme" / "flow.json").write_text('{"nodes": [2]}')
    assert [item.workflow.document for item in load(root, MODELS).resources if item.workflow] == [
        {"nodes": [2]}
    ]


@pytest.mark.parametrize(
    "name, code",
    [
        ("nothing.json", "FIL111"),
        ("../../etc/passwd", "FIL112"),
        ("/etc/passwd", "FIL112"),
        ("~/x.json", "FIL112"),
        ("folder.json", "FIL103"),
        ("link.json", "FIL112"),
        ("broken.json", "FIL101"),
        ("large.json", "FIL104"),
        ("latin.json", "FIL106"),
        ("text.json", "JSN101"),
        ("list.json", "JSN101"),
        ("deep.json", "JSN102"),
    ],
)
def test_a_workflow_file_that_cannot_be_used_is_reported(
    root: Path, tmp_path: Path, name: str, code: str
) -> None:
    (root / "a.yaml").write_text(AUTOMATION.replace("FILE", name))
    (root / "folder.json").mkdir()
    (tmp_path / "outside.json").write_text("{}")
    (root / "link.json").symlink_to(tmp_path / "outside.json")
    (root / "broken.json").symlink_to("nothing")
    (root / "large.json").write_bytes(b" " * (rules.MAX_WORKFLOW + 1))
    (root / "latin.json").write_bytes(b'{"a": "\xff"}')
    (root / "text.json").write_text("nodes: []")
    (root / "list.json").write_text("[]")
    (root / "deep.json").write_text("[" * 100_000)
    loaded = load(root, MODELS)
    assert [item.code for item in loaded.diagnostics] == [code]
    assert all(item.workflow is None for item in loaded.resources)


def test_one_workflow_file_may_serve_many_and_is_reported_once(root: Path) -> None:
    other = AUTOMATION.replace("name: a", "name: b")
    (root / "a.yaml").write_text((AUTOMATION + "---\n" + other).replace("FILE", "flow.json"))
    (root / "flow.json").write_text("{")
    assert found(root) == ["specs/flow.json:1:2 JSN101"]
