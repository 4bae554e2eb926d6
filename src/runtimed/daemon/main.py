"""The `runtimed` executable: options in, one daemon in the foreground."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from runtimed import __version__
from runtimed.daemon.service_commands import SERVICE_COMMANDS
from runtimed.errors import AnotherDaemonRunning, RuntimedError
from runtimed.service.definition import EXIT_ANOTHER_DAEMON

__all__ = ["main"]

log = logging.getLogger(__name__)

_EPILOG = """\b
Examples:
  runtimed                               run the user's daemon in the foreground
  runtimed --log-level debug run         with more to read
  runtimed run --socket /tmp/x/d.sock    a second, independent daemon
"""


@click.group(
    invoke_without_command=True,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--log-level",
    metavar="FILTER",
    help="A level, or level,module=level,...  RUST_LOG wins over it.  [default: info]",
)
@click.option("--dev", is_flag=True, help="Development mode: this workspace's own daemon.")
@click.version_option(__version__, message="runtimed %(version)s")
@click.pass_context
def cli(context: click.Context, log_level: str | None, dev: bool) -> None:
    """Run the notebook runtime daemon: kernels, environments, documents and outputs."""
    if dev:
        os.environ["RUNTIMED_DEV"] = "1"
    context.obj = os.environ.get("RUST_LOG") or log_level or "info"
    if context.invoked_subcommand is None:
        context.invoke(run)


@cli.command()
@click.option("--socket", type=click.Path(path_type=Path), help="The Unix socket to listen on.")
@click.option("--cache-dir", type=click.Path(path_type=Path), help="Where environments are kept.")
@click.option("--blob-store-dir", type=click.Path(path_type=Path), help="Where outputs are kept.")
@click.option(
    "--uv-pool-size", type=click.IntRange(0, 100), default=3, show_default=True, metavar="N"
)
@click.option(
    "--conda-pool-size", type=click.IntRange(0, 100), default=3, show_default=True, metavar="N"
)
@click.option(
    "--warm-kernels",
    type=click.IntRange(0, 100),
    default=1,
    show_default=True,
    metavar="N",
    envvar="RUNTIMED_WARM_KERNELS",
    help="Kernels that run before anybody asks.",
)
@click.option(
    "--keep-alive",
    type=click.FloatRange(0),
    metavar="SECONDS",
    envvar="RUNTIMED_KEEP_ALIVE",
    help="How long a notebook without peers keeps its kernel.  [default: the user's setting]",
)
@click.option(
    "--blob-grace",
    type=click.FloatRange(0),
    default=3600.0,
    envvar="RUNTIMED_BLOB_GRACE",
    hidden=True,
)
@click.pass_obj
def run(
    log_level: str | None,
    socket: Path | None = None,
    cache_dir: Path | None = None,
    blob_store_dir: Path | None = None,
    uv_pool_size: int = 3,
    conda_pool_size: int = 3,
    warm_kernels: int = 1,
    keep_alive: float | None = None,
    blob_grace: float = 3600.0,
) -> None:
    """Run in the foreground until SIGTERM, SIGINT or a shutdown request.

    Exits with 0 then, with 75 when another daemon runs already, with 1 when this one can't start.

    \b
    Examples:
      runt daemon run
      runt daemon run --uv-pool-size 0 --conda-pool-size 0 --warm-kernels 0
    """
    from runtimed.daemon.config import Config, prepare_directories
    from runtimed.daemon.log import set_up_logging
    from runtimed.environments.cache_folders import default_cache_folder
    from runtimed.kernels.launch import notebooks_directory
    from runtimed.paths import cache_root, own_paths, paths_for_socket

    try:
        paths = paths_for_socket(socket) if socket is not None else own_paths()
        config = Config(
            paths=paths,
            notebooks=notebooks_directory(os.environ, paths.workspace),
            envs=(cache_dir or paths.envs).absolute(),
            cached_envs=default_cache_folder(cache_root()).absolute(),
            blobs=(blob_store_dir or paths.blobs).absolute(),
            uv_pool_size=uv_pool_size,
            conda_pool_size=conda_pool_size,
            warm_kernels=warm_kernels,
            keep_alive=keep_alive,
            blob_grace=blob_grace,
        )
        prepare_directories(config)
        set_up_logging(log_level or "info", paths.log)
        _run_daemon(config)
    except AnotherDaemonRunning as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(EXIT_ANOTHER_DAEMON)
    except RuntimedError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


def _run_daemon(config: Any) -> None:
    # Imports leave no garbage, and looking for some in all they make takes a tenth of their time.
    gc.disable()
    import faulthandler

    import trio

    from runtimed.daemon.run import run as run_daemon
    from runtimed.errors import leaves

    if sys.stderr is not None:
        faulthandler.enable()  # a crash of native code says where it was
    gc.freeze()
    gc.enable()
    try:
        trio.run(run_daemon, config)
    except BaseException as error:
        # What ended the start as a whole is reported as itself, not as a group of one.
        expected = [leaf for leaf in leaves(error) if isinstance(leaf, RuntimedError)]
        if expected and len(expected) == len(leaves(error)):
            raise expected[0] from error
        if not isinstance(error, Exception):
            raise
        # Into the log as well as to stderr: it may be all that anybody looks at.
        log.critical("the daemon crashed", exc_info=error)
        _leave(1)
    _leave(0)


def _leave(code: int) -> NoReturn:
    """End the process at once.

    The daemon has ended all that is its own. A thread that was abandoned may still read or import,
    and to take the interpreter down around native code that runs is what crashes.
    """
    logging.shutdown()
    os._exit(code)


for command in SERVICE_COMMANDS:
    cli.add_command(command)


def main() -> None:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Ctrl-C while modules are still imported ends us as any signal does, without a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    cli(prog_name="runtimed")
