"""The command ``recipes``."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from autoencode.cli.options import import_recipe, json_option
from autoencode.cli.output import print_json, say, table
from autoencode.console import note, number


@click.command("recipes")
@click.argument("name", required=False)
@json_option
def recipes_command(name: str | None, as_json: bool) -> None:
    """List the recipes, or show one with all its options and its source.

    Recipes of installed packages are among them; NAME may also be MODULE:FUNCTION.

    \b
    Example:
      autoencode recipes
      autoencode recipes vae
    """
    from autoencode.recipes import RECIPES
    from autoencode.recipes.lookup import load_packages

    if name is None:
        for fault in load_packages():
            note(f"note: {fault}")
        if as_json:
            listed = [{"name": r.name, "summary": r.summary} for r in RECIPES.values()]
            print_json({"recipes": listed})
        else:
            say(*table([[r.name, r.summary] for r in RECIPES.values()]))
        return
    facts = _recipe_facts(RECIPES[import_recipe(name)])
    if as_json:
        print_json(facts)
    else:
        _show_recipe(facts)


def _recipe_facts(info: Any) -> dict[str, Any]:
    from autoencode.recipes.options import describe

    return {
        "name": info.name,
        "summary": info.summary,
        "source": info.source,
        "url": info.url,
        "options": {
            option.name: {
                "default": option.default,
                "type": describe(option.type),
                "range": option.range,
                "help": option.help,
            }
            for option in info.options.values()
        },
        "fast": dataclasses.asdict(info.fast),
        "tables": dataclasses.asdict(info.tables),
        "paper": dataclasses.asdict(info.paper),
    }


def _show_recipe(facts: dict[str, Any]) -> None:
    from autoencode.recipes.registry import PLAN_OPTIONS

    say(f"{facts['name']}: {facts['summary']}", f"Source: {facts['source']}", "")
    say("Options of the model (--set option=value):")
    for name, option in facts["options"].items():
        say(f"  {name}={_word(option['default'])}")
        meaning = _meaning(option["help"], option["range"])
        say(*click.wrap_text(meaning, 96, "      ", "      ").splitlines())
    told = "with --schedule fast (default; of tables in its own column) and paper"
    say("", f"Options of training, {told}:")
    plans = ("fast", "tables", "paper")
    rows = [["  option", *plans, ""]]
    for name, option in PLAN_OPTIONS.items():
        figures = [_word(facts[plan][name]) for plan in plans]
        rows.append([f"  {name}", *figures, _meaning(option.help, option.range)])
    say(*table(rows))


def _meaning(text: str, limits: str | None) -> str:
    """What an option means, with its range."""
    return f"{text.rstrip('.')}; {limits}." if limits else text


def _word(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else number(value)
