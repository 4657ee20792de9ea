"""The command ``python -m lcnkit index``: the items of an archive, or of a search, in one stac-geoparquet file."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from lcnkit.cli_index_api import add_flags, is_api, write_search
from lcnkit.errors import ConfigError, DataError, OutputError, did_you_mean, listing
from lcnkit.interrupt import Terminated, terminable
from lcnkit.terminal import counted

if TYPE_CHECKING:
    from lcnkit.archive import Archive, Collection
    from lcnkit.index.writer import Writer

log = logging.getLogger(__name__)

_DESCRIPTION = """\
Write the items of an archive, or of a search of a STAC API, into one stac-geoparquet file.
catalog=geoparquet catalog.path=FILE searches it; so do rustac, geopandas and DuckDB."""
# Problems that are shown one by one.
_SHOWN = 10


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"index: {message}. See `python -m lcnkit index --help`.")


def index(arguments: Sequence[str]) -> int:
    """Run the command; gives the exit status: 0 written, 1 nothing was, 130 and 143 interrupted.

    Raises:
        LcnkitError: The arguments, the archive or the output cannot be used.
    """
    parser = _parser()
    if set(arguments) & {"-h", "--help"}:
        sys.stdout.write(parser.format_help())
        return 0
    asked, unknown = parser.parse_known_args(arguments)
    flags = [flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")]
    if unknown:
        flag = unknown[0].partition("=")[0]  # the value may be a secret
        raise ConfigError(f"index: there is no flag {flag!r}; there is {listing(flags)}.{did_you_mean(flag, flags)}")
    output = Path(asked.output or _default_name(asked.root))
    if output.suffix not in (".parquet", ".geoparquet"):
        raise ConfigError(f"index: --output {output} must end in .parquet, so that other tools know it.")
    try:
        with terminable():
            problems = _to_file(asked, output)
    except KeyboardInterrupt as error:
        ended, status = ("Terminated", 143) if isinstance(error, Terminated) else ("Interrupted", 130)
        sys.stderr.write(f"lcnkit: {ended}. {output} {'is as it was before' if output.exists() else 'was not written'}.\n")
        return status
    size = output.stat().st_size
    sys.stdout.write(f"{counted(_count(output), 'item')}, {size / 1e6:.2f} MB, {counted(len(problems), 'problem')}: {output}\n")
    sys.stdout.writelines(f"  left out: {problem}\n" for problem in problems[:_SHOWN])
    if len(problems) > _SHOWN:
        sys.stdout.write(f"  and {len(problems) - _SHOWN} more\n")
    return 0


def _parser() -> _Parser:
    parser = _Parser(prog="python -m lcnkit index", description=_DESCRIPTION, allow_abbrev=False, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("root", metavar="ROOT", help="folder of an archive, https://... or s3://BUCKET/PREFIX, or the address of a STAC API")
    parser.add_argument("-o", "--output", metavar="FILE", help="the .parquet file (the root's name, in this folder); replaced if it exists")
    parser.add_argument("--collection", metavar="ID", action="append", help="only this collection; may be repeated (all but the labels)")
    parser.add_argument("--endpoint", metavar="URL", help="of the S3-compatible service of an s3:// root")
    add_flags(parser)
    return parser


def _default_name(root: str) -> str:
    parts = urlsplit(root)
    name = parts.netloc if parts.scheme in ("http", "https") else os.path.basename(os.path.abspath(os.path.expanduser(root)))
    return f"{name.removesuffix('.json').replace(':', '_') or 'items'}.parquet"


def _to_file(asked: argparse.Namespace, output: Path) -> list[str]:
    """Write the file; gives a sentence about each item that is left out."""
    from lcnkit.index.writer import Writer

    try:
        with Writer(output.absolute()) as writer:
            output.absolute().parent.mkdir(parents=True, exist_ok=True)
            problems = _from_api(asked, writer) if is_api(asked) else _from_archive(asked, writer)
    except OSError as error:
        raise OutputError(f"index: {output} cannot be written: {error.strerror or error}. Choose another with --output FILE.") from error
    return problems


def _from_archive(asked: argparse.Namespace, writer: Writer) -> list[str]:
    from lcnkit.archive import Archive
    from lcnkit.index.crawl import crawl
    from lcnkit.terminal import progress

    if asked.bbox or asked.datetime:
        raise ConfigError("index: --bbox and --datetime are for a STAC API; an archive is written whole, and searched later.")
    archive = Archive.open(asked.root, asked.endpoint)
    chosen = _chosen(archive, asked.collection)
    problems: list[str] = []
    for collection in chosen:
        with progress(len(collection.item_paths), "items") as advance:
            found = crawl(collection.item_paths, collection.id, archive.root, writer, advance, collection.load)
        problems += [why for _, why in found.problems]
    _finish(writer, {collection.id: collection.document for collection in chosen}, problems)
    return problems


def _chosen(archive: Archive, names: Sequence[str] | None) -> list[Collection]:
    if names:
        return list({collection.id: collection for collection in (archive.source(name) for name in names)}.values())
    sources = [collection for collection in archive.collections if not collection.holds_labels]
    if not sources:
        raise DataError(
            f"{archive.root} holds no source collection, only {listing(c.id for c in archive.collections)}. Name one with --collection ID."
        )
    return sources


def _from_api(asked: argparse.Namespace, writer: Writer) -> list[str]:
    collections, problems = write_search(asked, writer)
    _finish(writer, collections, problems)
    return problems


def _finish(writer: Writer, collections: dict[str, dict[str, object]], problems: Sequence[str]) -> None:
    if not writer.count:
        first = f"; the first of {counted(len(problems), 'problem')}: {problems[0]}" if problems else ""
        raise DataError(f"index: there is no item to write{first}. Nothing was written.")
    writer.finish(None, collections)


def _count(output: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(output).num_rows)
