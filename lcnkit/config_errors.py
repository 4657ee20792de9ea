"""What Hydra and OmegaConf say of a wrong override, in one line with near misses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from lcnkit.errors import ConfigError, LcnkitError, UnknownName, did_you_mean, listing
from lcnkit.plugins import KINDS, Registry


@contextmanager
def explained(registry: Registry) -> Iterator[None]:
    """Turn errors of the configuration libraries inside the block into `ConfigError`."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except LcnkitError:
        raise
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, registry) from error


def explain(error: BaseException, registry: Registry) -> ConfigError:
    """The same error as lcnkit says it: what was given, what there is, what was probably meant."""
    from hydra.errors import MissingConfigException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, OverrideParseException):
        return ConfigError(
            f"The override {error.override!r} cannot be read: it has the form key=value; quote values with commas, brackets or quotes in them."
        )
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing_option(str(error.missing_cfg_file), list(error.options or ()), registry)
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OmegaConfBaseException):
        cause = cause.__cause__
    if isinstance(cause, OmegaConfBaseException):
        return _wrong_key_or_value(cause, registry)
    text = str(error)
    swept = re.match(r"Ambiguous value for argument '([^=]+)=(.*)'\s", text)
    if swept:
        key, value = swept.groups()
        return ConfigError(f"{key}={value} names several values: sweep over them with -m, or give one list with {key}=[{value}].")
    there = re.match(r"Could not append to config. An item is already at '([^']+)'", text)
    if there:
        return ConfigError(f"The key {there.group(1)!r} is there already: leave the + out.")
    if "Config group override must be a string or a list" in text:
        return ConfigError(f"An override chooses nothing: give the name of one after {listing(f'{kind}=' for kind in ('dataset', *KINDS, 'label'))}.")
    group = re.search(r"Could not override '([^']+)'", text)
    if group:
        known = ["dataset", *KINDS, "label", "n_periods", "bands", "chips", "interval", "output_dir", "plan", "cloud", "when_empty"]
        return UnknownName(f"There is no key {group.group(1)!r}.{did_you_mean(group.group(1), known)} See `python -m lcnkit --help`.")
    return ConfigError(" ".join(text.split()))


def _missing_option(file: str, options: list[str], registry: Registry) -> ConfigError:
    group, _, name = file.rpartition("/")
    if group in KINDS:
        try:
            registry.get(group, name)
        except UnknownName as unknown:
            return unknown
    known = [option for option in options if option != "base"]
    return UnknownName(f"There is no {group or 'configuration'} {name!r}; there is {listing(known)}.{did_you_mean(name, known)}")


#: What OmegaConf says of a wrong type, and what it means.
_WANTED = {
    r"is not a ListConfig, list or tuple": "it must be a list, [A,B]",
    r"Cannot (assign|merge) \S+ (to Dict|with)": "it must be a mapping, {KEY:VALUE}",
    r"could not be converted to (Float|Integer)": "it must be a number",
    r"is not a valid bool": "it must be true or false",
}


def _wrong_key_or_value(cause: BaseException, registry: Registry) -> ConfigError:
    from omegaconf.errors import OmegaConfBaseException

    full_key = str(getattr(cause, "full_key", "") or "")
    parent = getattr(cause, "parent_node", None)
    key = str(getattr(cause, "key", "") or "")
    message = str(getattr(cause, "msg", "") or cause).splitlines()[0]
    if "not in struct" in message or "not in '" in message or ("Key '" in message and "not" in message):
        try:
            known = [str(name) for name in parent if name not in ("_target_", "hydra")] if parent is not None else []
        except (OmegaConfBaseException, TypeError, ValueError):  # a node that cannot be iterated has no keys to suggest
            known = []
        where = full_key.rpartition(".")[0]
        if where == "transform" and key in registry.plugins["transform"]:
            return UnknownName(f"The transform {key!r} has options, but is not chosen: choose it with transform=[{','.join([*known, key])}].")
        owner = f"{where} has no option {key!r}; it has" if where else f"There is no key {key!r}; there is"
        return UnknownName(f"{owner} {listing(known, 40)}.{did_you_mean(key, known)}")
    wanted = next((text for pattern, text in _WANTED.items() if re.search(pattern, message)), "")
    return ConfigError(f"{full_key or 'the configuration'}: {message}{f' ({wanted})' if wanted else ''}")
