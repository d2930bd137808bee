"""How the command line ends: every error is one line on stderr and an exit code."""

from __future__ import annotations

import errno
import os
import traceback
from typing import Any

import click

from ailab_dataproc.errors import AilabError

INTERRUPTED = 130  # exit code
_USAGE, _INTERNAL = 2, 70
# Messages are written for Python; these words are said differently here.
_SPOKEN = {
    "columns=[…]": "--columns",
    "pass allow_pii=True": "give --allow-pii",
    "allow_pii=True": "--allow-pii",
    "Pass nulls='mask'": "Give --nulls mask",
    "by code=": "by --code",
    "raise code_limit=": "raise --code-limit",
    "wait_for_workers=True (--wait-for-workers)": "--wait-for-workers",
    "nulls='mask'": "--nulls mask",
    "backend='pandas'": "--backend pandas",
}


class Program(click.Group):
    """Turns errors into one line and an exit code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let --verbose stand anywhere."""
        return super().parse_args(ctx, sorted(args, key=lambda arg: arg != "--verbose"))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and end with its exit code."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except AilabError as error:
            message = str(error)
            for python, here in _SPOKEN.items():
                message = message.replace(python, here)
            self._end(ctx, _USAGE, f"error: {message}")
        except KeyboardInterrupt:
            self._end(ctx, INTERRUPTED, "interrupted; run the same command again to go on")
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # `… | head`: click ends quietly
            told = f"internal error: {type(error).__name__}: {error}; please report, --verbose shows the traceback"
            self._end(ctx, _INTERNAL, told)

    @staticmethod
    def _end(ctx: click.Context, code: int, message: str) -> None:
        if ctx.params.get("verbose") or os.environ.get("AILAB_DEBUG"):
            traceback.print_exc()
        click.echo(message, err=True)
        ctx.exit(code)
