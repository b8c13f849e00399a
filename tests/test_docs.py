"""What the documentation says about flags, options and files is what there is."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path

import pytest

import dockyard_docker_container.declaration
import dockyard_kubernetes.declaration
from dockyard.driver import DriverType, Option

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("plugins/*/README.md")],
)
PICTURES = sorted(ROOT.glob("docs/*.svg"))
DRIVERS = {
    "docker_container": dockyard_docker_container.declaration.DRIVER,
    "kubernetes": dockyard_kubernetes.declaration.DRIVER,
}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@cache
def flags_of(verb: str) -> frozenset[str]:
    """Give the flags that a command's help lists."""
    program = Path(sys.executable).with_name("dockyard")
    done = subprocess.run(
        [program, verb, "--help"],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"dockyard {verb}: {done.stderr}"
    listed = re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", done.stdout, re.MULTILINE)
    return frozenset({*listed, "--help"})


def commands(text: str) -> list[list[str]]:
    """Give the words of every ``dockyard`` command in a page, in blocks and in lines."""
    text = text.replace("\\\n", "")
    typed = re.findall(r"^\$ (dockyard .+)$", text, re.MULTILINE)
    typed += re.findall(r"`(dockyard [^`]+)`", text)
    return [shlex.split(each.replace("...", "")) for each in typed]


def option_row(option: Option) -> str:
    name = option.name + ("<key>" if option.is_family else "")
    default = f"`{option.default}`" if option.default else ""
    return f"| `{name}` | {option.type} | {default} | {option.help} |".replace("|  |", "| |")


@pytest.mark.parametrize(("folder", "driver"), DRIVERS.items())
def test_the_option_table_of_a_driver_is_what_it_declares(folder: str, driver: DriverType) -> None:
    wanted = "\n".join(option_row(option) for option in driver.options)
    page = ROOT / "plugins" / folder / "README.md"

    _, _, rest = page.read_text(encoding="utf-8").partition("<!-- options:")
    table, end, _ = rest.partition("<!-- /options -->")
    _, _, rows = table.partition("|---|---|---|---|\n")

    assert end
    assert rows.strip() == wanted, f"the table has to be:\n{wanted}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_flag_of_a_command_in_the_documentation_exists(page: Path) -> None:
    for words in commands(page.read_text(encoding="utf-8")):
        if len(words) < 2 or not words[1].isidentifier() or not words[1].islower():
            continue
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert used <= flags_of(words[1]), shlex.join(words)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_of_the_documentation_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))

    for link in links:
        if "://" not in link:
            path, _, heading = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), link
            if heading:
                lines = target.read_text(encoding="utf-8").splitlines()
                titles = (line.lstrip("# ") for line in lines if line.startswith("#"))
                anchors = {re.sub(r"[^\w -]", "", each).lower() for each in titles}
                assert heading in {each.replace(" ", "-") for each in anchors}, link


@pytest.mark.parametrize("picture", PICTURES, ids=name_of)
def test_every_picture_says_in_words_what_it_shows(picture: Path) -> None:
    root = ET.parse(picture).getroot()

    space = "{http://www.w3.org/2000/svg}"
    title, description = root.find(f"{space}title"), root.find(f"{space}desc")
    assert title is not None
    assert title.text
    assert description is not None
    assert description.text
