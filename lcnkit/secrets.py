"""Secrets: named in the configuration, fetched at the moment of use, and kept out of every text.

A configuration holds a *reference*: ``env:NAME`` (an environment variable) or ``keyring:SERVICE/USER``. It may be
written anywhere; the secret itself is never kept in an object, a file or a message.
"""

from __future__ import annotations

import logging
import os
import re
import traceback
from collections.abc import Iterable
from functools import cache
from urllib.parse import quote, quote_plus, urlsplit, urlunsplit

from lcnkit.errors import ConfigError

_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|keyring:[^/\s]+/\S+")
# A name that nobody gives a variable is a secret somebody pasted: variables have at most a few dozen letters.
_LONGEST_NAME = 64
_OVERRIDE = re.compile(r"^\+{0,2}[\w.@/]*\bsecret=(?P<value>.*)$", re.DOTALL)
_URL = re.compile(r"(?P<url>(?:https?://|/)[^\s\"'<>?]*)\?(?=[^\s\"'<>)\]]*=)[^\s\"'<>)\]]*")
_USER = re.compile(r"(?P<scheme>\bhttps?://)[^/\s\"'<>@?]+@")


def is_reference(text: str) -> bool:
    """Whether ``text`` says where a secret is, and is none itself."""
    return len(text) <= 4 * _LONGEST_NAME and _REFERENCE.fullmatch(text) is not None


def check_reference(text: str, where: str) -> None:
    """Refuse anything but a reference, without repeating it.

    Raises:
        ConfigError: ``text`` may be the secret itself.
    """
    if not is_reference(text):
        raise ConfigError(
            f"{where} must not hold a secret: it would be kept in the files of the run. Give a reference instead, "
            f"{where}=env:NAME (an environment variable) or {where}=keyring:SERVICE/USER, and change a secret that was shown to others."
        )


def refuse_literals(overrides: Iterable[str]) -> None:
    """Stop before a secret on the command line reaches a folder name or a file.

    Raises:
        ConfigError: An override gives an option ``secret`` a value that is no reference.
    """
    for override in overrides:
        match = _OVERRIDE.match(override)
        value = match.group("value").strip("'\"") if match else "null"
        if value not in ("null", "???") and not value.startswith("${"):
            for part in value.split(","):
                check_reference(part.strip(), override.partition("=")[0].lstrip("+"))


def reference(kind: str, *name: str) -> str:
    """What ``${secret:env,NAME}`` and ``${secret:keyring,SERVICE,USER}`` in a configuration become: the reference."""
    text = f"{kind}:{'/'.join(name)}"
    check_reference(text, "${secret:...}")
    return text


def resolve(text: str, where: str = "catalog.secret") -> str:
    """The secret that a reference means, ``where`` being the option that holds it. Use it at once, and keep it nowhere.

    Raises:
        ConfigError: There is no such secret, or it cannot be sent.
    """
    kind, _, name = text.partition(":")
    found = os.environ.get(name) if kind == "env" else _from_keyring(name)
    if not found or not found.strip():
        what = f"The environment variable {name}" if kind == "env" else f"The keyring entry {name}"
        raise ConfigError(f"{what} is not set; it is to hold the secret that {where}={text} refers to.")
    secret = found.strip()
    if not secret.isprintable() or not secret.isascii():
        raise ConfigError(f"The secret that {text} refers to has characters that cannot be sent: line breaks, or letters outside ASCII.")
    return secret


def _from_keyring(name: str) -> str | None:
    service, _, user = name.partition("/")
    try:
        import keyring
        import keyring.errors
    except ImportError as error:
        raise ConfigError(f"keyring:{name} needs the package keyring: pip install keyring") from error
    try:
        found: str | None = keyring.get_password(service, user)
        return found
    except keyring.errors.KeyringError as error:
        raise ConfigError(f"The keyring cannot be asked for {name}: {type(error).__name__}. Use an environment variable: env:NAME.") from error


def scrub(text: str, secret: str | None = None) -> str:
    """``text`` without the query strings and user names of URLs in it, and without ``secret``: fit for a message or a log."""
    for form in _forms(secret) if secret else ():
        text = text.replace(form, "***")
    return _USER.sub(r"\g<scheme>***@", _URL.sub(r"\g<url>?***", text))


class NoQueries(logging.Filter):
    """Leaves the queries of URLs out of what is logged: GDAL and urllib3 name the URLs they ask for, and these may hold a key or a token."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record, and let it pass."""
        record.msg, record.args = scrub(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = scrub("".join(traceback.format_exception(*record.exc_info)).rstrip())
        return True


# Libraries that log the URLs they ask for. The client's handlers leave queries out too; a worker's are not ours.
_TALKATIVE = ("urllib3.connectionpool", *(f"rasterio.{name}" for name in ("_base", "_env", "_err", "_io", "_warp", "env")))


@cache
def hush() -> None:
    """From now on no library of this process logs the query of a URL."""
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(NoQueries())


def _forms(secret: str) -> list[str]:
    """How a secret may stand in a text, the longest first: as it is, quoted for a URL, and the parts of ``user:password``."""
    password = secret.partition(":")[2]
    every = {form for part in (secret, password) if len(part) > 3 for form in (part, quote(part, safe=""), quote_plus(part))}
    return sorted(every, key=len, reverse=True)


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what a secret is for."""
    parts = urlsplit(url)
    return parts.scheme.lower(), (parts.hostname or "").lower(), parts.port or {"http": 80, "https": 443}.get(parts.scheme.lower())


def without_parameter(url: str, name: str) -> str:
    """The URL without one parameter of its query, the others as they were."""
    parts = urlsplit(url)
    kept = [pair for pair in parts.query.split("&") if pair and pair.partition("=")[0] not in (name, quote(name, safe=""))]
    return urlunsplit(parts._replace(query="&".join(kept)))


def without_echo(text: str, name: str, value: str) -> str:
    """``text`` without the value of a query parameter wherever a URL in it repeats that."""
    for form in {value, quote(value), quote(value, safe=""), quote_plus(value)}:
        text = text.replace(f"{name}={form}", f"{name}=")
    return text


def with_parameter(url: str, name: str, value: str) -> str:
    """The URL with one parameter set, once."""
    parts = urlsplit(without_parameter(url, name))
    pair = f"{quote(name, safe='')}={quote(value, safe='')}"
    return urlunsplit(parts._replace(query=f"{parts.query}&{pair}" if parts.query else pair))
