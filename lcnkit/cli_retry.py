"""``python -m lcnkit retry OUTPUT``: make what failed, or what an interrupted run has left, from the configuration kept there."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcnkit.errors import ConfigError, LcnkitError, OutputError
from lcnkit.interrupt import terminable

if TYPE_CHECKING:
    from lcnkit.plugins import Registry

log = logging.getLogger("lcnkit")

_CONFIG, _HYDRA = ".hydra/config.yaml", ".hydra/hydra.yaml"
#: Keys that change where and how a data set is made, and nothing in it.
_HARMLESS = ("backend", "retries", "on_error", "pixel_cache")


def retry(words: Sequence[str], flags: Sequence[str]) -> int:
    """Go on with each of the folders; gives the exit status, as for a sweep.

    Args:
        words: Output folders (of runs, or of sweeps), and overrides that change nothing in the data set.
        flags: Must be none.

    Raises:
        ConfigError: An override would change the data set, or cannot be read.
        OutputError: A folder does not exist, or no run wrote it.
    """
    from lcnkit.cli_run import together
    from lcnkit.config import normalise, register
    from lcnkit.config_errors import explained
    from lcnkit.memory import collect_seldom, keep_freed_memory
    from lcnkit.plugins import load_registry

    if flags:
        raise ConfigError(f"retry takes no flag {flags[0]}: give output folders, and {_takes()}.")
    places = [word for word in words if "=" not in word or Path(word).is_dir()]
    overrides = [word for word in words if word not in places]
    if not places:
        raise ConfigError("retry needs the output folder of a run: python -m lcnkit retry OUTPUT")
    _refuse_changes(overrides)
    folders = [folder for place in places for folder in _runs_in(Path(place))]
    keep_freed_memory()
    collect_seldom()
    registry = load_registry()
    register(registry)
    statuses: list[int] = []
    with terminable():
        for folder in folders:
            with explained(registry):
                statuses.append(_retry(folder, normalise(overrides), registry))
            if statuses[-1] >= 128:
                return statuses[-1]
    return together(statuses)


def _takes() -> str:
    return "backend=NAME, backend.OPTION=VALUE, retries=N, on_error=WORD"


def _refuse_changes(overrides: Sequence[str]) -> None:
    for override in overrides:
        key = override.partition("=")[0].lstrip("+~")
        if key.split(".")[0] not in _HARMLESS or (key != "backend" and not key.startswith("backend.") and key not in _HARMLESS):
            raise ConfigError(f"retry goes on with the data set as it was set up, and {key}=... may change it: retry takes {_takes()} only.")


def _runs_in(place: Path) -> list[Path]:
    """The folder itself where a run wrote it, else those of the jobs of a sweep."""
    folder = place.expanduser().resolve()
    if not folder.is_dir():
        raise OutputError(f"There is no folder {place}. Give the output folder of a run, or of a sweep.")
    if (folder / _CONFIG).is_file():
        return [folder]
    jobs = sorted(file.parent.parent for pattern in (f"*/{_CONFIG}", f"*/*/{_CONFIG}") for file in folder.glob(pattern))
    if jobs:
        return jobs
    if (folder / "manifest.json").exists() or (folder / ".lcnkit" / "run.json").exists():
        raise OutputError(
            f"{place} was not made on the command line: it has no {_CONFIG} to go on with. "
            "Run the program that made it again, with the same output_dir."
        )
    raise OutputError(f"{place} holds no data set: no run of lcnkit wrote it.")


def _retry(folder: Path, overrides: Sequence[str], registry: Registry) -> int:
    from hydra.core.utils import configure_log

    from lcnkit.cli_help import run_text
    from lcnkit.cli_run import carry_out, logging_put_back
    from lcnkit.config import run_from

    hydra = _kept(folder / _HYDRA)
    config = _kept(folder / _CONFIG)
    _apply(config, overrides, _config_folders(hydra))
    if _nothing_to_do(folder):
        sys.stderr.write(f"retry      nothing to do: no chip of {folder} failed\n")
        return 0
    hydra.hydra.runtime.output_dir = str(folder)
    with logging_put_back(), _inside(hydra.hydra.runtime.cwd):
        configure_log(hydra.hydra.job_logging, hydra.hydra.verbose)
        try:
            config.output_dir = str(folder)
            run = replace(run_from(config, registry), overwrite=False)
            log.info("%s", run_text(run, registry, strategy_named=True))
            return carry_out(run)
        except LcnkitError as error:
            log.error("lcnkit: %s", error)
            return 1


def _kept(file: Path) -> Any:
    from omegaconf import OmegaConf
    from yaml import YAMLError

    try:
        return OmegaConf.load(file)
    except (OSError, YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise OutputError(f"{file} cannot be read ({reason}): run the command that made the folder again, with the same output_dir.") from error


def _apply(config: Any, overrides: Sequence[str], config_folders: Sequence[str]) -> None:
    """Change the kept configuration: first which backend, then its options and the other keys."""
    from hydra import compose, initialize_config_module
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    from lcnkit.config import CONFIG_MODULE, CONFIG_NAME

    parsed = OverridesParser.create().parse_overrides(list(overrides))
    for override in sorted(parsed, key=lambda override: override.key_or_group != "backend"):
        if override.is_sweep_override() or override.is_delete():
            raise ConfigError(f"The override {override.input_line!r} must give one value.")
        if override.key_or_group == "backend":
            search = f"hydra.searchpath=[{','.join(config_folders)}]"
            with initialize_config_module(CONFIG_MODULE, version_base="1.3"):
                config.backend = compose(CONFIG_NAME, overrides=[str(override.input_line), search]).backend
        else:
            OmegaConf.update(config, override.key_or_group, override.value(), force_add=True)


def _config_folders(hydra: Any) -> list[str]:
    """Folders with configuration of the user's own, that the run was given."""
    return [f"'file://{source.path}'" for source in hydra.hydra.runtime.config_sources if source.schema == "file"]


def _nothing_to_do(folder: Path) -> bool:
    """Whether the folder holds a finished data set without a failure, all of it, and no sign of a run that has not ended well."""
    from lcnkit.journal import OutputFolder
    from lcnkit.output import FAILURES, STATE, read_manifest

    try:
        counts: dict[str, int] = read_manifest(folder)["counts"]
        chips, failed = counts["chips"], counts["failed"]
    except (OutputError, KeyError, TypeError):
        return False
    begun = any((folder / STATE / name).exists() for name in ("run.json", "journal.jsonl"))
    if failed or begun or (folder / FAILURES).exists():
        return False
    return len(OutputFolder(folder, resumed=True).receipts()) == chips


@contextmanager
def _inside(folder: str) -> Iterator[None]:
    """Work in the folder where the run was started, so that relative paths mean what they meant then."""
    before = Path.cwd()
    if Path(folder).is_dir():
        os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
