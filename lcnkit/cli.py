"""The command line: ``python -m lcnkit [plan | plugins] [overrides]``."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from lcnkit.errors import LcnkitError, did_you_mean, listing

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from lcnkit.plugins import Registry

log = logging.getLogger("lcnkit")

COMMANDS = ("run", "plan", "plugins")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives the exit status: 0 all chips, 1 nothing was done, 3 some chips failed, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    command, rest = _split(given)
    try:
        if command not in COMMANDS:
            return _fail(
                f"There is no command {command!r}; there is {listing(COMMANDS)}.{did_you_mean(command, COMMANDS)} Options have the form key=value."
            )
        if any(flag in rest for flag in ("-h", "--help")):
            from lcnkit.cli_help import help_text

            sys.stdout.write(help_text())
            return 0
        if command == "plugins":
            from lcnkit.cli_help import plugins_text

            sys.stdout.write(plugins_text(rest))
            return 0
        return _hydra(command, rest)
    except LcnkitError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return _fail("Interrupted. What is written is kept: the same command with the same output_dir goes on from here.", 130)
    except BrokenPipeError:  # the reader (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _split(arguments: list[str]) -> tuple[str, list[str]]:
    """The command word, wherever it stands, and the rest; ``run`` where there is none."""
    words = [argument for argument in arguments if argument.isidentifier()]
    if not words or arguments[0] != words[0]:
        return "run", arguments
    return words[0], arguments[1:]


def _fail(message: str, status: int = 1) -> int:
    """Say what is wrong, where no log is there yet."""
    sys.stderr.write(f"lcnkit: {message}\n")
    return status


def _hydra(command: str, arguments: list[str]) -> int:
    """Let Hydra compose the configuration and call the task once, or once for each job of a sweep."""
    import hydra

    from lcnkit.config import CONFIG_MODULE, CONFIG_NAME, normalise, register
    from lcnkit.config_errors import explained
    from lcnkit.plugins import load_registry

    registry = load_registry()
    register(registry)
    statuses: list[int] = []
    named = any(argument.lstrip("+").startswith(("strategy=", "experiment=")) for argument in arguments)

    def task(config: DictConfig) -> None:
        statuses.append(_task(command, config, registry, strategy_named=named))

    decorate: Callable[[Callable[[DictConfig], None]], Callable[[], None]] = hydra.main(
        version_base="1.3", config_path=f"pkg://{CONFIG_MODULE}", config_name=CONFIG_NAME
    )
    try:
        with _arguments(normalise(arguments)), _full_errors(), explained(registry):
            decorate(task)()
    except OSError as error:  # Hydra makes the output folder before it calls the task
        return _fail(f"Cannot write the output folder {error.filename or ''}: {error.strerror or error}. Choose another with output_dir=PATH.")
    return _together(statuses)


def _together(statuses: list[int]) -> int:
    """The status of a sweep: that of its jobs where they agree, else 3, some of it failed."""
    return max(statuses, default=0) if len(set(statuses)) <= 1 else 3


def _task(command: str, config: DictConfig, registry: Registry, *, strategy_named: bool) -> int:
    """One run, or one plan, in the folder that Hydra gave it; the next job of a sweep goes on after a failed one."""
    from hydra.core.hydra_config import HydraConfig

    from lcnkit.cli_help import plan_text, report_text, run_text
    from lcnkit.config import run_from

    try:
        run = replace(run_from(config, registry), output_dir=HydraConfig.get().runtime.output_dir)
        log.info("%s", run_text(run, registry, strategy_named=strategy_named))
        if command == "plan":
            from lcnkit.pipeline import plan_only

            log.info("%s", plan_text(*plan_only(run, _notes(config))))
            return 0
        from lcnkit.pipeline import prepare

        report = prepare(run, _notes(config))
    except LcnkitError as error:
        log.error("lcnkit: %s", error)
        return 1
    log.info("%s", report_text(report))
    if report.stopped:
        log.error("lcnkit: %s", report.stopped)
    return report.status


def _notes(config: DictConfig) -> dict[str, str]:
    """The configuration as composed, unresolved: a secret that a resolver fetches is not in it."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    hydra_config = HydraConfig.get()
    return {
        ".hydra/config.yaml": OmegaConf.to_yaml(config),
        ".hydra/hydra.yaml": OmegaConf.to_yaml(OmegaConf.create({"hydra": OmegaConf.to_container(hydra_config)})),
        ".hydra/overrides.yaml": OmegaConf.to_yaml(hydra_config.overrides.task),
    }


@contextmanager
def _arguments(arguments: list[str]) -> Iterator[None]:
    before = sys.argv
    sys.argv = [before[0], *arguments]
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _full_errors() -> Iterator[None]:
    """Let Hydra raise what went wrong instead of printing it; we say it in one line."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("HYDRA_FULL_ERROR", None)
        else:
            os.environ["HYDRA_FULL_ERROR"] = before
