"""What the command line prints."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lcnkit.errors import UnknownName, did_you_mean, listing
from lcnkit.options import options_of
from lcnkit.plugins import KINDS, Plugin, Registry, load_registry
from lcnkit.terminal import counted

if TYPE_CHECKING:
    from lcnkit.pipeline import Report
    from lcnkit.planning import Prepared
    from lcnkit.settings import Run

_HELP = """\
lcnkit: training-ready chips from STAC label collections and satellite time series

  python -m lcnkit [KEY=VALUE ...]          make a data set (the demo, until dataset.root says otherwise)
  python -m lcnkit -m [KEY=V1,V2 ...]       a sweep: one data set for each combination
  python -m lcnkit plan [KEY=VALUE ...]     choose the acquisitions, write selection.parquet, read no pixel
  python -m lcnkit retry OUTPUT ...         make the chips that failed, or that an interrupted run has left
  python -m lcnkit plugins [KIND|NAME ...]  every plugin with its options
  python -m lcnkit index ROOT [--help]      write the items of an archive or API into one stac-geoparquet file

Keys
  dataset=NAME          demo, landcovernet, earth_search, planetary_computer; then dataset.root=PATH, dataset.source=sentinel_1
  +strategy=NAME        {strategy}
  n_periods=N           cut the interval into N equal parts (5)
  bands=NAME|[A,B]      a list of asset keys, or rgb, rgbn, all (rgb)
  when_empty=WORD       a period without an acquisition: pad, drop, nearest, error (pad)
  interval=[DAY,DAY]    whole days (the label collection's temporal extent)
  cloud=WORD            auto, metadata, mask (auto); cloud_threshold=50 counts cloudy pixels
  min_coverage=F        least fraction of a chip inside an item's footprint (0.5)
  chips=N|IDS|GLOB      8, [28QDE_00,28QDE_01], '28QDE_*' (all)
  plan=PATH             run a saved selection.parquet as it is
  reader=NAME           {reader}
  transform=[A,B]       {transform}
  label.KEY=VALUE       band, min_consensus, ignore, remap, ignore_index
  exporter=NAME         {exporter}
  backend=NAME          {backend}; then backend.workers=4
  output_dir=PATH       where the data set goes; overwrite=true replaces another one
  retries=N             try again N times what failed for a passing reason: network, lost worker (2)
  on_error=WORD         a chip that cannot be made: skip, raise (skip); raise stops the run
  pixel_cache=GB        disk for pixels that the runs of a sweep share (8 for remote sources, else none)

Options of a plugin follow its kind: strategy.max_cloud=60 transform.reflectance.scale=10000.
--cfg job prints the composed configuration, --config-dir DIR adds yours, --hydra-help tells of Hydra's flags.
retry takes backend=NAME, backend.OPTION=VALUE, retries=N and on_error=WORD; all else is as it was.
Ctrl-C finishes the chips under way, a second one stops at once; the same command, or retry, goes on.
Exit status: 0 all chips, 1 nothing was done, 3 some chips failed (failures.csv), 130 interrupted, 143 terminated.
"""


def help_text() -> str:
    """The page that ``--help`` prints."""
    registry = load_registry()
    return _HELP.format(**{kind: ", ".join(registry.plugins[kind]) for kind in KINDS})


def plugins_text(wanted: Sequence[str] = ()) -> str:
    """Every plugin, or those whose kind or name is wanted.

    Raises:
        UnknownName: There is no such kind or name.
    """
    registry = load_registry()
    known = [*KINDS, *(plugin.name for plugin in registry)]
    for word in wanted:
        if word not in known:
            raise UnknownName(f"There is no kind or plugin {word!r}; kinds are {listing(KINDS)}.{did_you_mean(word, known)}")
    lines: list[str] = []
    for kind, plugins in registry.plugins.items():
        shown = [plugin for plugin in plugins.values() if not wanted or kind in wanted or plugin.name in wanted]
        if shown:
            lines += [_how(kind), *(line for plugin in shown for line in _plugin_lines(plugin)), ""]
    lines += [f"not loaded: {package} ({why})" for package, why in registry.broken.items()]
    return "\n".join(lines).rstrip() + "\n"


def _how(kind: str) -> str:
    return (
        f"{kind}   transform=[NAME,...] transform.NAME.OPTION=VALUE"
        if kind == "transform"
        else f"{kind}   {'+' if kind == 'strategy' else ''}{kind}=NAME {kind}.OPTION=VALUE"
    )


def _plugin_lines(plugin: Plugin) -> Iterable[str]:
    yield f"  {plugin.name}  ({plugin.package})"
    yield from textwrap.wrap(plugin.summary, 96, initial_indent="      ", subsequent_indent="      ")
    for option in options_of(plugin.cls):
        yield f"      {option.name}: {option.type} = {option.default}"
        yield from textwrap.wrap(option.help, 96, initial_indent="          ", subsequent_indent="          ")


def run_text(run: Run, registry: Registry, *, strategy_named: bool) -> str:
    """What is about to be done, in a few lines."""
    source = run.source
    strategy = registry.name_of(source.strategy) + ("" if strategy_named else " (none was named; choose with +strategy=NAME)")
    chosen = f"{strategy}, {counted(run.n_periods, 'period')}" if run.plan is None else f"as saved in {run.plan}"
    bands = source.bands if isinstance(source.bands, str) else ",".join(source.bands)
    return "\n".join(
        [
            f"data set   {run.dataset.root or ('the embedded demo' if run.dataset.demo else 'none')}",
            f"strategy   {chosen}, bands {bands}",
            f"output     {run.output_dir}",
        ]
    )


def plan_text(prepared: Prepared, output: Path) -> str:
    """What a plan would read: chips, frames, files, bytes."""
    frames = [frame for task in prepared.tasks for frame in task.frames]
    present = sum(not frame.missing for frame in frames)
    size, exact = _bytes_to_read(prepared)
    lines = [
        f"would read {counted(len(prepared.tasks), 'chip')}, {counted(present, 'frame')}, {counted(present * len(prepared.bands), 'file')}, "
        f"{'' if exact else 'about '}{_size(size)}",
        f"missing    {counted(len(frames) - present, 'frame')}" + (f", {counted(len(prepared.dropped), 'chip')} dropped" if prepared.dropped else ""),
        f"plan       {output / 'selection.parquet'}; run it with plan={output / 'selection.parquet'}",
    ]
    if prepared.failures:
        lines.insert(2, f"cannot do  {counted(len(prepared.failures), 'chip')}, first {prepared.failures[0].message}")
    return "\n".join(lines)


# Beyond so many chips the size is estimated from the first ones: a plan should answer at once.
_SIZED_CHIPS = 500


def _bytes_to_read(prepared: Prepared) -> tuple[int, bool]:
    """Bytes of the files that would be read, and whether that is exact."""
    from lcnkit.errors import ChipError

    total, sized = 0, prepared.tasks[:_SIZED_CHIPS]
    exact = len(sized) == len(prepared.tasks)
    for task in sized:
        for frame in task.frames:
            if frame.missing:
                continue
            try:
                (item,) = prepared.run.source.catalog.items([frame.item_href])
                total += sum(Path(item.asset(band).href).stat().st_size for band in prepared.bands)
            except (ChipError, OSError):
                exact = False
    return (total if exact or not sized else total * len(prepared.tasks) // len(sized)), exact


def _size(size: int) -> str:
    """Bytes for people."""
    amount, unit = float(size), "bytes"
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"


def report_text(report: Report) -> str:
    """How a run ended: where the data set is, its shape, what failed, how long it took."""
    chips = report.made + report.kept
    shape = " or ".join(str(shape) for shape in report.shapes) or "no image"
    lines = []
    if report.made and not report.stopped:
        per_chip = 1000 * report.seconds["make"] / report.made
        work = ", ".join(f"{step} {1000 * seconds / report.made:.1f}" for step, seconds in report.seconds.items() if step not in ("plan", "make"))
        lines.append(f"time       plan {report.seconds['plan']:.1f} s, then {per_chip:.1f} ms a chip (work per chip, ms: {work})")
    elif not report.made and not report.failures and not report.stopped:
        lines.append("nothing    to do: all chips are there (overwrite=true makes them anew)")
    if report.dropped:
        lines.append(f"dropped    {counted(report.dropped, 'chip')} with an empty period (when_empty=drop)")
    if report.failures:
        first = "" if report.stopped else f"; first: {report.failures[0].message}"  # what stopped the run is said last
        lines.append(f"failed     {counted(len(report.failures), 'chip')}, see {report.output / 'failures.csv'}{first}")
    lines += [f"note       {hint}" for hint in report.hints]
    if chips:
        lines.append(f"{'kept' if report.stopped else 'data set'}".ljust(11) + f"{counted(chips, 'chip')} of {shape} in {report.output}")
    else:
        lines.append(f"data set   none was made in {report.output}")
    if report.failures or report.stopped:
        lines.append(f"go on      with python -m lcnkit retry {shlex.quote(str(report.output))}")
    return "\n".join(lines)
