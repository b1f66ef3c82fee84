"""The command ``recipes``."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from autoencode.cli.options import json_option
from autoencode.cli.output import print_json, table
from autoencode.console import number


@click.command("recipes")
@click.argument("name", required=False)
@json_option
def recipes_command(name: str | None, as_json: bool) -> None:
    """List the recipes, or show one with all its options and its source.

    \b
    Example:
      autoencode recipes
      autoencode recipes vae
    """
    from autoencode.recipes import RECIPES, recipe_info

    if name is None:
        if as_json:
            listed = [{"name": r.name, "summary": r.summary} for r in RECIPES.values()]
            print_json({"recipes": listed})
        else:
            click.echo(table([[r.name, r.summary] for r in RECIPES.values()]))
        return
    facts = _recipe_facts(recipe_info(name))
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
                "help": option.help,
            }
            for option in info.options.values()
        },
        "fast": dataclasses.asdict(info.fast),
        "paper": dataclasses.asdict(info.paper),
    }


def _show_recipe(facts: dict[str, Any]) -> None:
    from autoencode.recipes.catalogue import PLAN_OPTIONS

    click.echo(f"{facts['name']}: {facts['summary']}\nSource: {facts['source']}\n")
    click.echo("Options of the model (--set option=value):")
    for name, option in facts["options"].items():
        click.echo(f"  {name}={_word(option['default'])}")
        click.echo(click.wrap_text(option["help"], 96, "      ", "      "))
    click.echo("\nOptions of training, with --schedule fast (default) and paper:")
    rows = [["  option", "fast", "paper", ""]]
    for name, option in PLAN_OPTIONS.items():
        fast, paper = _word(facts["fast"][name]), _word(facts["paper"][name])
        rows.append([f"  {name}", fast, paper, option.help])
    click.echo(table(rows))


def _word(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else number(value)
