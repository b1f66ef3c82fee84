"""The command ``evaluate``."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import click

from autoencode.cli.options import (
    data_dir_option,
    device_option,
    json_option,
    seed_option,
    split_option,
    unknown_option,
)
from autoencode.cli.output import print_json, say, say_notice, table
from autoencode.console import number

if TYPE_CHECKING:
    from autoencode.evaluate.card import Card
    from autoencode.evaluate.measures import Entry

_WIDTH = 100
_ARROWS = {"higher": "↑", "lower": "↓", "": ""}


@click.command("evaluate")
@click.argument("run")
@click.argument("data", required=False)
@click.option("--card", "whole", is_flag=True, help="Every figure that has a meaning: minutes.")
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="A section, measure or figure of the card; may be repeated.",
)
@click.option(
    "--skip", multiple=True, metavar="NAME", help="What to leave out, in the same way; may be repeated."
)
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=500,
    show_default=True,
    metavar="S",
    help="Draws of z for each example behind nll; most papers take 5000.",
)
@click.option(
    "--examples",
    type=click.IntRange(1),
    default=2000,
    show_default=True,
    metavar="N",
    help="How many examples nll is of, at most, chosen by the seed.",
)
@click.option(
    "--binarization",
    type=click.Choice(["grey", "static", "dynamic"]),
    metavar="grey|static|dynamic",
    help="What is done to values in [0, 1] before their likelihood.  [default: as in training]",
)
@click.option(
    "--anomalies",
    metavar="DATA",
    help="Data of another kind, which the model should tell from its own.",
)
@click.option("--html", metavar="FILE", help="Write the card as a page too; means --card.")
@split_option
@unknown_option("ignore", "error")
@seed_option("Of all draws and of the choice of rows.")
@device_option
@data_dir_option
@click.option("--quiet", is_flag=True, help="No progress.")
@json_option
def evaluate_command(
    run: str,
    data: str | None,
    whole: bool,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    samples: int,
    examples: int,
    binarization: Any,
    anomalies: str | None,
    html: str | None,
    split: str,
    handle_unknown: Any,
    seed: int,
    device: str,
    data_dir: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure a run on held-out examples, or on DATA.

    \b
    Metrics and their units (null where a metric has no meaning for the model or data):
      mse                 squared units per entry (pixels 0..1), mean over entries
      accuracy            share, right guesses of known categories and booleans; mixed tables
      psnr                dB, 10 log10(1 / mse); data in [0, 1]
      explained_variance  share, 1 - mse / variance around the mean example
      pca_mse             squared units per entry, mse of PCA of the same width
      mse_to_pca          ratio mse / pca_mse; below 1 is better than PCA
      mean_mse            squared units per entry, mse of guessing each column's mean; tables with gaps
                          or categories
      mode_accuracy       share, accuracy of guessing each column's most frequent value; mixed tables
      bernoulli_nats      nats per example, cross-entropy under the reconstruction
      reconstruction      nats per example, -log p(x|z) at one draw of z; variational
      kl                  nats per example, KL(q(z|x) || p(z)); variational
      elbo                nats per example, -(reconstruction + kl); variational
      label_accuracy      share, right guesses of labels that it is not told; m2_vae

    \b
    With --card also, by section (what each means: docs/evaluation.md):
      reconstructions  ssim
      likelihood       nll (nats, by importance sampling), bits_per_dim
      latent           active_units, mutual_information, aggregate_kl, prior_mmd
      representation   probe_accuracy, knn_accuracy, trustworthiness, continuity
      factors          mig, sap, completeness, ... of data whose factors are known, as sprites
      codebook         codebook_perplexity, dead_codes
      samples          fid, precision, recall, density, coverage
      anomalies        anomaly_auroc, with --anomalies

    \b
    Example:
      autoencode evaluate runs/mnist-vae
      autoencode evaluate runs/mnist-vae --split validation --json
      autoencode evaluate runs/mnist-vae --card --html card.html
      autoencode evaluate runs/mnist-vae --only nll --samples 5000 --examples 10000
      autoencode evaluate runs/mnist-vae --only anomalies --anomalies fashion-mnist
    """
    from autoencode.console.progress import Measuring
    from autoencode.runs.evaluation import EvaluationRequest, card_of

    brief = not (whole or only or html)
    request = EvaluationRequest(
        only, skip, brief, samples, examples, binarization, anomalies, page=html
    )
    with Measuring(quiet or brief) as shown:
        found = card_of(
            run,
            data,
            request,
            split=split,
            handle_unknown=handle_unknown,
            device=device,
            data_dir=data_dir,
            seed=seed,
            note=say_notice,
            watch=lambda measure, done, total: shown.progress(measure.name, done, total),
        )
    if as_json:
        print_json(found.as_dict())
        return
    say(_headline(run, found), *(_brief(found) if brief else _whole(found)))


def _headline(run: str, card: Card) -> str:
    facts = card.facts
    line = f"{run} on {facts['n']} examples of {facts['data']} ({facts['split']})"
    if card.values.get("elbo") is None and card.values.get("nll") is None:
        return line
    return f"{line}; likelihoods of {card.seen_in_words}"


def _rows(card: Card, entry: Entry, arrows: bool = False) -> list[list[str]]:
    """Lists name, value, unit and meaning of the figures that have a value."""
    found = []
    for figure in entry.measure.figures:
        value = entry.values[figure.name]
        if value is not None:
            error = card.errors.get(figure.name)
            about = "" if error is None else f" ± {error:.2g}"
            name = f"{figure.name} {_ARROWS[figure.better]}" if arrows else figure.name
            found.append([name.rstrip(), number(value) + about, figure.unit, figure.meaning])
    return found


def _brief(card: Card) -> list[str]:
    rows = [row for entry in card.entries for row in _rows(card, entry)]
    return table([["metric", "value", "unit", "meaning"], *rows])


def _whole(card: Card) -> list[str]:
    """Formats the whole card: every section with its figures, their conditions, and what is missing."""
    lines = []
    rows = [row[:3] for entry in card.entries for row in _rows(card, entry, arrows=True)]
    aligned = iter(table([["figure", "value", "unit"], *rows]))
    lines.append("  " + next(aligned))
    for title, entries in card.sections:
        present = [entry for entry in entries if entry.found is not None]
        if present:
            lines += ["", title]
        for entry in present:
            for row in _rows(card, entry):
                lines.append("  " + next(aligned))
                lines += [_beside(one) for one in card.beside(row[0])]
            if entry.found is not None and entry.found.how:
                lines.append(_wrapped(entry.found.how, "      "))
    absent = [f"{entry.measure.name}: {entry.absent}" for entry in card.entries if entry.absent]
    if absent:
        lines += ["", "Without a meaning here", *(_wrapped(line, "  ", "    ") for line in absent)]
    return [line for part in lines for line in part.split("\n")]


def _beside(one: Any) -> str:
    return _wrapped(f"published {one.value}: {one.source}; {one.protocol}", "    ", "      ")


def _wrapped(text: str, first: str, later: str | None = None) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=later or first,
        break_long_words=False,
        break_on_hyphens=False,
    )
