"""Writes what can be read off the program: ``docs/cli.md`` and the tables of recipes and figures.

python docs/make_reference.py

A test fails while either is out of date.
"""

from __future__ import annotations

import re
from pathlib import Path

import click

from autoencode.cli import cli
from autoencode.evaluate.card import SECTIONS
from autoencode.recipes import RECIPES

ROOT = Path(__file__).parent.parent
CLI_PAGE = ROOT / "docs" / "cli.md"
RECIPES_PAGE = ROOT / "docs" / "recipes.md"
CARD_PAGE = ROOT / "docs" / "evaluation.md"
WIDTH = 100
_TABLE = re.compile(r"(<!-- recipes -->\n).*?(<!-- /recipes -->)", re.DOTALL)
_FIGURES = re.compile(r"(<!-- figures -->\n).*?(<!-- /figures -->)", re.DOTALL)
_ARROWS = {"higher": " ↑", "lower": " ↓", "": ""}


def cli_page() -> str:
    """The help of every command as one page."""
    parts = [
        "# The command line",
        "Written by `docs/make_reference.py` from each command's `--help`; do not edit.",
        _help("autoencode", cli),
    ]
    for name, command in cli.commands.items():
        parts += [f"## autoencode {name}", _help(f"autoencode {name}", command)]
    return "\n\n".join(parts) + "\n"


def _help(name: str, command: click.Command) -> str:
    # A width of our own: the page must not depend on the terminal.
    context = click.Context(
        command, info_name=name, terminal_width=WIDTH, help_option_names=["-h", "--help"]
    )
    return f"```text\n{command.get_help(context)}\n```"


def recipe_table() -> str:
    """The recipes with their sources as a Markdown table."""
    rows = ["| recipe | what it is | source |", "|---|---|---|"]
    for info in RECIPES.values():
        summary = info.summary.replace("``", "`")
        work = info.source.split(", http")[0]
        rows.append(f"| `{info.name}` | {summary} | [{work}]({info.url}) |")
    return "\n".join(rows) + "\n"


def recipes_page(text: str) -> str:
    """The page of recipes with a fresh table between its two comments."""
    return _TABLE.sub(lambda found: found[1] + recipe_table() + found[2], text)


def figure_table() -> str:
    """The figures of the evaluation card by section, as Markdown tables."""
    parts = []
    for section in SECTIONS:
        rows = [
            f"**{section.title}**\n",
            "| figure | unit | what it means | measure |",
            "|---|---|---|---|",
        ]
        for measure in section.measures:
            for figure in measure.figures:
                name = f"`{figure.name}`{_ARROWS[figure.better]}"
                meaning = figure.meaning.replace("|", "\\|")
                rows.append(f"| {name} | {figure.unit} | {meaning} | `{measure.name}` |")
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def card_page(text: str) -> str:
    """The page on evaluation with a fresh table between its two comments."""
    return _FIGURES.sub(lambda found: found[1] + figure_table() + found[2], text)


def main() -> None:
    CLI_PAGE.write_text(cli_page(), encoding="utf-8")
    RECIPES_PAGE.write_text(recipes_page(RECIPES_PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    CARD_PAGE.write_text(card_page(CARD_PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
