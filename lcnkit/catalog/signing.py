"""Signing: what makes an asset's href readable for a while, applied just before it is read.

A signer is a function that takes an href and gives the signed one; hrefs that it has nothing to do with come back as they are.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable

from lcnkit.errors import ConfigError, did_you_mean, listing

Signer = Callable[[str], str]

#: Short names: the function, and what to install for it. Tokens are kept by the package until shortly before they expire.
SIGNERS = {"planetary_computer": ("planetary_computer:sign_url", 'pip install "lcnkit[planetary-computer]"')}


def check_signer(name: str) -> None:
    """Refuse what is neither a short name nor ``package.module:function``.

    Raises:
        ConfigError: It is neither.
    """
    if name not in SIGNERS and not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", name):
        raise ConfigError(f"catalog.sign is {name!r}; it must be {listing(SIGNERS)} or package.module:function.{did_you_mean(name, SIGNERS)}")


def signer(name: str) -> Signer:
    """The function of that name.

    Raises:
        ConfigError: Its package is not installed, or has no such function.
    """
    target, install = SIGNERS.get(name, (name, ""))
    module, _, function = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), function, None)
    except ImportError as error:
        raise ConfigError(f"catalog.sign={name} cannot be used: {error}.{f' Install it: {install}' if install else ''}") from error
    if not callable(found):
        raise ConfigError(f"catalog.sign={name}: the module {module} has no function {function!r}.")
    made: Signer = found
    return made
