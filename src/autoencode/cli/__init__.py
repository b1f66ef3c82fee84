"""The command line: one library call for each command.

Heavy libraries are imported inside the commands, so that ``--help`` is instant.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence

import click

from autoencode.cli.anomalies import anomalies_command
from autoencode.cli.classify import classify_command
from autoencode.cli.commands import Commands
from autoencode.cli.decode import decode_command
from autoencode.cli.denoise import denoise_command
from autoencode.cli.embed import embed_command
from autoencode.cli.evaluate import evaluate_command
from autoencode.cli.explore import explore_command
from autoencode.cli.export import export_command
from autoencode.cli.impute import impute_command
from autoencode.cli.options import with_own_recipes
from autoencode.cli.output import discard_stdout, fail, say, say_notice
from autoencode.cli.plot import plot_command
from autoencode.cli.recipes import recipes_command
from autoencode.cli.reconstruct import reconstruct_command
from autoencode.cli.runs import runs_command
from autoencode.cli.sample import sample_command
from autoencode.cli.signals import Interrupted, Signals
from autoencode.cli.train import train_command
from autoencode.errors import AutoencodeError, DoctorWarning
from autoencode.version import __version__

# torch says so by a plain RuntimeError.
_NO_MEMORY = ("out of memory", "can't allocate memory", "Storage size calculation overflowed")


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="autoencode")
def cli() -> None:
    """Autoencoders: train, measure, look at and use them.

    \b
    Example:
      autoencode train mnist --recipe vae
      autoencode evaluate runs/mnist-vae
      autoencode embed runs/mnist-vae -o codes.npy

    Exit codes: 0 done, 1 the run failed, 2 bad input, 130 or 143 stopped by a signal.
    """


for _command in (
    train_command,
    evaluate_command,
    reconstruct_command,
    embed_command,
    classify_command,
    decode_command,
    sample_command,
    impute_command,
    denoise_command,
    anomalies_command,
    plot_command,
    explore_command,
    export_command,
):
    cli.add_command(with_own_recipes(_command))
for _command in (recipes_command, runs_command):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and leaves with its exit code; every error on purpose is one line."""
    if sys.stdout is sys.__stdout__ and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # for file names that are no text
    Signals.received = 0
    if not logging.getLogger("autoencode").handlers:  # what it is told, commands say themselves
        logging.getLogger("autoencode").addHandler(logging.NullHandler())
    try:
        with Signals(), warnings.catch_warnings(), _logged():
            warnings.simplefilter("ignore", DoctorWarning)  # the doctor is told of in lines of its own
            result = cli.main(
                args=None if arguments is None else list(arguments),
                prog_name="autoencode",
                standalone_mode=False,
                obj=sys.argv[1:] if arguments is None else list(arguments),
            )
    except click.exceptions.NoArgsIsHelpError as error:
        say(*error.format_message().splitlines())
        sys.exit(2)
    except click.UsageError as error:
        hint = f"; see {error.ctx.command_path} --help" if error.ctx else ""
        fail(f"{error.format_message().rstrip('.')}{hint}", 2)
    except click.ClickException as error:
        fail(error.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        fail("interrupted", 130)
    except Interrupted as stop:
        fail(_with_notes("interrupted", stop, stop.remark), stop.exit_code)
    except AutoencodeError as error:
        fail(_with_notes(str(error), error), error.exit_code, error.alone)
    except OSError as error:
        discard_stdout()
        fail(f"{error.filename or 'cannot write the output'}: {error.strerror or error}", 2)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(s in str(error) for s in _NO_MEMORY):
            raise
        fail("out of memory; use a smaller model, a smaller --batch-size or fewer rows", 1)
    sys.exit(result if isinstance(result, int) else 0)


@contextlib.contextmanager
def _logged() -> Iterator[None]:
    """Says as notices what the library logs of new examples, wherever it reads them."""
    logger, handler = logging.getLogger("autoencode.values"), logging.Handler()
    handler.emit = lambda record: say_notice(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def _with_notes(message: str, error: BaseException, otherwise: str | None = None) -> str:
    """Joins an error message with what else is known of it, how to go on most of all."""
    notes = getattr(error, "__notes__", [otherwise] if otherwise else [])
    return "; ".join([message, *notes])
