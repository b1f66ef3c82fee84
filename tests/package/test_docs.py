"""The documentation says what the program does: its code runs, its commands and recipes exist."""

import ast
import importlib.util
import re
import shlex
from pathlib import Path

import click
import pytest

from autoencode.cli import cli
from autoencode.evaluate.card import FIGURES
from autoencode.recipes import RECIPES
from autoencode.recipes.registry import forget

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
EXAMPLES = sorted(ROOT.glob("examples/*.py"))
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


def blocks(page, *languages):
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [body for language, body in found if language in languages]


def command_lines():
    """The commands that the pages show, the examples of each command's help among them."""
    for page in PAGES:
        for language in ("sh", "console"):
            for body in blocks(page, language):
                for line in body.splitlines():
                    if language == "console" and not line.startswith("$ "):
                        continue
                    line = line.removeprefix("$ ")
                    if line.startswith("autoencode "):
                        yield line
    for command in cli.commands.values():
        yield from re.findall(r"^ +(autoencode .*)$", command.help or "", re.MULTILINE)


def reference():
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs/make_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WITH_CODE = [name for page, name in zip(PAGES, NAMES, strict=True) if blocks(page, "python")]


@pytest.mark.parametrize("steps", [60, pytest.param(None, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", WITH_CODE)
def test_python_blocks_run_in_order(name, steps, tmp_path, monkeypatch, hurried):
    if steps:
        hurried(steps)
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "documentation"}
    before = set(RECIPES)
    try:
        for i, body in enumerate(blocks(ROOT / name, "python")):
            exec(compile(body, f"{name}, python block {i + 1}", "exec"), namespace)
    finally:
        for own in set(RECIPES) - before:
            forget(own)


def test_code_is_documented_where_it_is_promised():
    assert {"README.md", "docs/from_scratch.md", "docs/extending.md"} <= set(WITH_CODE)


@pytest.mark.parametrize("line", sorted(set(command_lines())))
def test_commands_in_the_documentation_parse(line):
    name, *arguments = shlex.split(line)[1:]
    assert name in cli.commands
    with click.Context(cli, info_name="autoencode", **cli.context_settings) as parent:
        context = cli.commands[name].make_context(name, arguments, parent=parent)
    recipe = context.params.get("recipe")
    # module:name is a recipe of the reader's own.
    assert recipe is None or ":" in recipe or recipe in RECIPES


def test_the_documentation_shows_every_command_once_at_least():
    shown = {shlex.split(line)[1] for line in command_lines()}
    assert shown >= set(cli.commands)


def test_the_command_line_reference_is_current():
    module = reference()
    assert module.CLI_PAGE.read_text(encoding="utf-8") == module.cli_page(), "run make docs"


@pytest.mark.parametrize("name", list(cli.commands))
def test_every_option_of_a_command_is_documented(name):
    page = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    section = page.split(f"## autoencode {name}\n")[1].split("\n## ")[0]
    for parameter in cli.commands[name].params:
        if isinstance(parameter, click.Option):
            assert all(option in section for option in parameter.opts)


def test_the_table_of_recipes_is_current():
    module = reference()
    text = module.RECIPES_PAGE.read_text(encoding="utf-8")
    assert text == module.recipes_page(text), "run make docs"
    assert all(f"| `{name}` |" in text for name in RECIPES)


@pytest.mark.parametrize("name", ["README.md", "docs/comparison.md"])
def test_the_number_of_recipes_is_about_right_wherever_it_is_told(name):
    """It is rounded, so that a new recipe changes the page of recipes alone."""
    text = (ROOT / name).read_text(encoding="utf-8")
    told = re.findall(r"some (\d+) (?:named )?recipes", text)
    assert told
    assert all(abs(int(number) - len(RECIPES)) <= 5 for number in told)


def test_the_readme_stays_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 160


def test_the_table_of_figures_is_current():
    module = reference()
    text = module.CARD_PAGE.read_text(encoding="utf-8")
    assert text == module.card_page(text), "run make docs"
    assert all(f"| `{name}`" in text for name in FIGURES)


@pytest.mark.parametrize("name", NAMES)
def test_links_and_pictures_exist(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+?)\)|src=\"([^\"]+)\"", text)
    for target in (a or b for a, b in targets):
        if not re.match(r"https?://", target):
            assert (ROOT / name).parent.joinpath(target).exists(), target


def test_pictures_are_small():
    pictures = list(ROOT.glob("docs/images/*.png"))
    assert pictures
    assert all(picture.stat().st_size < 300_000 for picture in pictures)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_examples_say_what_they_show_and_what_to_expect(example):
    text = example.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text)) or ""
    assert "Expected" in docstring
    assert f"python examples/{example.name}" in docstring
    assert '"--fast"' in text
    assert '"--out"' in text
    assert len(text.splitlines()) <= 100


def test_the_readme_lists_every_example():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert EXAMPLES
    assert all(f"(examples/{example.name})" in text for example in EXAMPLES)
