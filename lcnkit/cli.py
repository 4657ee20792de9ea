"""The command line: ``python -m lcnkit [plan | retry | plugins | index] [overrides]``."""

from __future__ import annotations

import logging
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from lcnkit.errors import ConfigError, JobFailed, LcnkitError, UnknownName, did_you_mean, listing
from lcnkit.interrupt import Terminated, terminable

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from lcnkit.plugins import Registry
    from lcnkit.sharing import Sharing

log = logging.getLogger("lcnkit")

COMMANDS = ("run", "plan", "retry", "plugins", "index")

# Hydra's flags, and the values they take; `None`: any value.
_FLAGS = ("-h", "--help", "--hydra-help", "--version", "--resolve", "-r", "--run", "-m", "--multirun", "-sc", "--shell-completion")
_VALUE_FLAGS: dict[str, tuple[str, ...] | None] = {
    **dict.fromkeys(("-c", "--cfg"), ("job", "hydra", "all")),
    **dict.fromkeys(("-i", "--info"), ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")),
    **dict.fromkeys(("-p", "--package", "-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir", "--experimental-rerun"), None),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives the exit status: 0 all chips, 1 nothing was done, 3 some chips failed, 130 and 143 interrupted."""
    try:
        arguments = sys.argv[1:] if arguments is None else arguments
        if arguments and arguments[0] == "index":  # the one command with flags of its own
            from lcnkit.cli_index import index

            return index(arguments[1:])
        words, flags = _sorted_out(arguments)
        command, words = _command(words)
        if "-h" in flags or "--help" in flags:
            from lcnkit.cli_help import help_text

            sys.stdout.write(help_text())
            return 0
        if "--version" in flags:
            import lcnkit

            sys.stdout.write(f"lcnkit {lcnkit.__version__}\n")
            return 0
        if command == "plugins":
            from lcnkit.cli_help import plugins_text

            sys.stdout.write(plugins_text(words))
            return 0
        if command == "index":
            raise ConfigError("`index` stands first: python -m lcnkit index ROOT [--output FILE]")
        if command == "retry":
            from lcnkit.cli_retry import retry

            return retry(words, flags)
        # Hydra's parser takes what is no flag in one piece only.
        return _hydra(command, words, flags)
    except LcnkitError as error:
        return _fail(str(error))
    except Terminated:
        return _fail("Terminated. What is written is kept: the same command with the same output_dir goes on from here.", 143)
    except KeyboardInterrupt:
        return _fail("Interrupted. What is written is kept: the same command with the same output_dir goes on from here.", 130)
    except BrokenPipeError:  # the reader (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _sorted_out(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Words and overrides, and Hydra's flags with their values, in whatever order they were given.

    Raises:
        ConfigError: There is no such flag, or it lacks its value.
    """
    words: list[str] = []
    flags: list[str] = []
    left = list(arguments)
    while left:
        argument = left.pop(0)
        flag, equals, value = argument.partition("=")
        if not argument.startswith("-"):
            words.append(argument)
        elif flag in _FLAGS and not equals:
            flags.append(flag)
        elif flag in _VALUE_FLAGS:
            choices = _VALUE_FLAGS[flag]
            if not equals and flag in ("-i", "--info") and (not left or left[0] not in (choices or ())):
                value = "all"
            elif not equals:
                value = left.pop(0) if left else ""
            if not value or (choices and value not in choices):
                raise ConfigError(f"{flag} needs {f'one of {listing(choices)}' if choices else 'a value'}, and has {value or 'none'}.")
            flags += [flag, value]
        else:
            known = [*_FLAGS, *_VALUE_FLAGS]
            raise UnknownName(
                f"There is no flag {argument!r}; there is {listing(name for name in known if name.startswith('--'))}.{did_you_mean(flag, known)}"
            )
    return words, flags


def _command(words: list[str]) -> tuple[str, list[str]]:
    """The command, the first bare word wherever it stands, and the rest; ``run`` where there is none.

    Raises:
        UnknownName: There is no such command.
    """
    for position, word in enumerate(words):
        if word.isidentifier():
            if word not in COMMANDS:
                raise UnknownName(
                    f"There is no command {word!r}; there is {listing(COMMANDS)}.{did_you_mean(word, COMMANDS)} Options have the form key=value."
                )
            return word, words[:position] + words[position + 1 :]
    return "run", words


def _fail(message: str, status: int = 1) -> int:
    """Say what is wrong, where no log is there yet."""
    sys.stderr.write(f"lcnkit: {message}\n")
    return status


def _hydra(command: str, overrides: list[str], flags: list[str]) -> int:
    """Let Hydra compose the configuration and call the task once, or once for each job of a sweep."""
    import hydra

    from lcnkit.cli_run import logging_put_back, together
    from lcnkit.compose_once import composed_once
    from lcnkit.config import CONFIG_MODULE, CONFIG_NAME, normalise, register
    from lcnkit.config_errors import explain, explained
    from lcnkit.memory import collect_seldom, keep_freed_memory
    from lcnkit.plugins import load_registry
    from lcnkit.sharing import Sharing

    keep_freed_memory()
    collect_seldom()
    if command == "run":
        _expect_workers(overrides, flags)
    registry = load_registry()
    register(registry)
    statuses: list[int] = []
    sharing = Sharing(several=any(flag in ("-m", "--multirun") for flag in flags))
    named = any(override.lstrip("+").startswith(("strategy=", "experiment=")) for override in overrides)
    inside, here = False, os.getpid()

    def task(config: DictConfig) -> None:
        nonlocal inside
        inside = True  # and stays so where the task raises: what is raised then is no mistake in the configuration
        status = _task(command, config, registry, sharing, strategy_named=named)
        statuses.append(status)
        if status >= 128:
            raise KeyboardInterrupt  # the other jobs of a sweep are not wanted either
        if status and os.getpid() != here:  # a launcher's process: what it raises is all that comes back
            raise JobFailed(f"a job of the sweep ended with exit status {status}; its folder has a log.")
        inside = False

    decorate: Callable[[Callable[[DictConfig], None]], Callable[[], None]] = hydra.main(
        version_base="1.3", config_path=f"pkg://{CONFIG_MODULE}", config_name=CONFIG_NAME
    )
    try:
        with (
            terminable(),
            sharing,
            _arguments([*normalise(overrides), *flags]),
            _full_errors(),
            logging_put_back(),
            explained(registry),
            composed_once(),
        ):
            decorate(task)()
    except JobFailed as error:
        return _fail(str(error), 3)
    except KeyboardInterrupt:
        if not statuses or statuses[-1] < 128:
            raise
        return statuses[-1]
    except (ValueError, AttributeError, TypeError) as error:  # what Hydra and OmegaConf let through
        if inside:
            raise
        return _fail(str(explain(error, registry)))
    except OSError as error:  # Hydra makes the output folder before it calls the task
        if inside:
            raise
        return _fail(f"Cannot write the output folder {error.filename or ''}: {error.strerror or error}. Choose another with output_dir=PATH.")
    return together(statuses)


def _expect_workers(overrides: Sequence[str], flags: Sequence[str]) -> None:
    """Begin to load what local workers need while the configuration is composed, where it is likely to ask for them.

    A configuration of a user's own may choose another backend: what was begun then ends with this process.
    """
    asked = {override.lstrip("+") for override in overrides if override.lstrip("+").startswith("backend=")}
    if asked <= {"backend=local"} and not set(flags) & {"-c", "--cfg", "-i", "--info", "--hydra-help", "-sc"}:
        from lcnkit.backend import forkserver

        forkserver.start()


def _task(command: str, config: DictConfig, registry: Registry, sharing: Sharing | None, *, strategy_named: bool) -> int:
    """One run, or one plan, in the folder that Hydra gave it; the next job of a sweep goes on after a failed one."""
    from hydra.core.hydra_config import HydraConfig

    from lcnkit.cli_help import run_text
    from lcnkit.cli_run import carry_out, make_plan
    from lcnkit.config import run_from

    try:
        run = replace(run_from(config, registry), output_dir=HydraConfig.get().runtime.output_dir)
        if sharing is not None:  # as it is in a launcher's process
            sharing.take(run.output_dir)
        log.info("%s", run_text(run, registry, strategy_named=strategy_named))
        return (make_plan if command == "plan" else carry_out)(run, _notes(config), sharing)
    except LcnkitError as error:
        log.error("lcnkit: %s", error)
        return 1


def _notes(config: DictConfig) -> dict[str, str]:
    """The configuration as composed, unresolved: a secret that a resolver fetches is not in it."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    hydra_config = HydraConfig.get()
    return {
        ".hydra/config.yaml": OmegaConf.to_yaml(config),
        ".hydra/hydra.yaml": "hydra:\n" + textwrap.indent(OmegaConf.to_yaml(hydra_config), "  "),
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
