"""The group of all commands, loaded by name."""

from __future__ import annotations

from typing import Any

import click

from autoencode import launch
from autoencode.cli.output import discard_stdout
from autoencode.errors import nearest

# What may be started by torchrun; anything else would only be done several times.
_PARALLEL = ("train", "embed")


class Commands(click.Group):
    """A group of commands that names the nearest command to an unknown one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise click.UsageError(
                f"unknown command '{args[0]}'; {nearest(args[0], self.commands)}", ctx
            )
        found = super().resolve_command(ctx, args)
        if found[0] not in _PARALLEL and launch.place().world > 1:
            raise click.UsageError(f"{found[0]} is for one process; start it without torchrun", ctx)
        return found

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader (head, say) has what it wanted
            discard_stdout()
            return 0
