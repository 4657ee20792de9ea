"""Finishing: samples become a data set, and every chip is accounted for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lcnkit.answers import receipts_finished
from lcnkit.journal import OutputFolder
from lcnkit.manifest import manifest_of, samples_of, write_failures
from lcnkit.materialise import Made
from lcnkit.model import Failure, Packed, Receipt
from lcnkit.model.href import is_url
from lcnkit.output import MANIFEST, guarded, holds_json_with, write_json_with
from lcnkit.planning import Prepared
from lcnkit.settings import Run
from lcnkit.terminal import counted

Finished = tuple[Packed[Receipt], tuple[Failure, ...], tuple[str, ...]]
"""Receipts and failures in the order of the label collection, and hints for the user."""


def finish(prepared: Prepared, output: OutputFolder, config: Mapping[str, Any], packages: Mapping[str, str], made: Made) -> Finished:
    """The finished data set in the order of the label collection.

    Args:
        packages: See `lcnkit.manifest.manifest_of`.

    Raises:
        OutputFull: There is no room to finish; the samples are kept.
    """
    receipts = made.receipts.of(prepared.chip_ids)
    failures = _in_order(prepared, (*prepared.failures, *made.failures))
    write_failures(output.path, failures)
    if made.stopped or not (receipts or not failures):
        return receipts, failures, _unseen(prepared.run, made)
    counts = {"chips": len(receipts), "failed": len(failures), "dropped": len(prepared.dropped)}
    about = {"name": prepared.source, "collection": prepared.collection, "bands": _bands(receipts, prepared), "strategy": prepared.plan.strategy}

    def manifest_now() -> dict[str, Any]:
        return manifest_of(config, prepared.labels, about, receipts, counts, prepared.plan.n_periods, packages)

    if (output.path / MANIFEST).exists() and holds_json_with(output.path / MANIFEST, manifest := manifest_now(), "samples", samples_of(receipts)):
        output.forget_state()  # the folder holds this very data set already: nothing is written again
        return receipts, failures, _hints(manifest, prepared.run)
    with guarded(output.path, "finish the data set"):
        output.before_moving()
        exporter = prepared.run.exporter
        receipts = Packed(receipts_finished(exporter.finish(receipts, output.path), receipts, exporter))
    output.after_moving(receipts)
    manifest = manifest_now()
    with guarded(output.path, "write the manifest"):
        write_json_with(output.path / MANIFEST, manifest, "samples", samples_of(receipts))
    output.forget_state()
    return receipts, failures, _hints(manifest, prepared.run)


_NO_DATA = ("no data", "nodata", "unlabelled", "unlabeled")


def _hints(manifest: Mapping[str, Any], run: Run) -> tuple[str, ...]:
    """Classes that are trained, or skipped, and may be meant otherwise; acquisitions that show nothing."""
    left = [entry for entry in manifest["classes"] if entry["pixels"] and entry["value"] not in run.label.ignore]
    return (*_no_data_trained(left, manifest, run), *_class_skipped(left, manifest, run), *_nothing_shown(manifest, run))


def _nothing_shown(manifest: Mapping[str, Any], run: Run) -> Iterator[str]:
    """An outline promises more than its pixels hold, and an acquisition without any may be the least cloudy one."""
    empty = manifest["counts"]["empty_frames"]
    if empty:
        has_mask = not run.dataset.cloud_assets.keys().isdisjoint(manifest["sources"])
        instead = "; with cloud=mask, those without a pixel in the cloud mask are chosen last" if has_mask and run.cloud != "mask" else ""
        whose = "it" if empty == 1 else "them"
        yield f"{counted(empty, 'chosen acquisition')} without a single valid pixel in the chip ({MANIFEST} has 0 for {whose} under 'valid'){instead}"


def _no_data_trained(left: Iterable[Mapping[str, Any]], manifest: Mapping[str, Any], run: Run) -> Iterator[str]:
    """A class called "No Data" that is left among the classes would be trained as one."""
    total = sum(entry["pixels"] for entry in manifest["classes"])
    stored = {new: old for old, new in run.label.remap.items()}
    for entry in left:
        value = entry["value"]
        if str(entry["name"]).lower() in _NO_DATA and value != run.label.ignore_index:
            yield (
                f"class {value}, {entry['name']!r}, is {entry['pixels'] / total:.1%} of the label pixels; label.ignore=[{stored.get(value, value)}] "
                f"makes it {run.label.ignore_index}, which loss functions can skip"
            )


def _class_skipped(left: Iterable[Mapping[str, Any]], manifest: Mapping[str, Any], run: Run) -> Iterator[str]:
    """A class of the label collection that has the number of ignored pixels cannot be told from them."""
    index = run.label.ignore_index
    if index in run.label.remap.values() or run.label.remap.get(index, index) != index:
        return
    free = min([0, *(entry["value"] for entry in manifest["classes"])]) - 1
    for entry in left:
        if entry["value"] == index and entry["name"] is not None and entry["name"].lower() not in _NO_DATA:
            yield (
                f"class {index}, {entry['name']!r}, has the number of ignored pixels, so that loss functions skip it with them and the "
                f"manifest counts both as one; to train it, give ignored pixels a number of their own: label.ignore_index={free}"
            )


# What a chip fails with where its files are not there for the worker.
_ABSENT = ("BadLabel", "UnreadableAsset", "FileNotFoundError")


def _unseen(run: Run, made: Made) -> tuple[str, ...]:
    """Workers that do not share the client's folders may not see the archive either."""
    root = str(run.dataset.root)
    nothing_read = not made.new and made.failures and all(failure.error in _ABSENT for failure in made.failures)
    if made.shared or not nothing_read or is_url(root):
        return ()
    return (
        f"no worker could read a file, and the workers do not share this machine's folders: they may not see dataset.root={root}. "
        "Give a folder that they see under the same name, or a URL (https://, s3://)",
    )


def _bands(receipts: Sequence[Receipt], prepared: Prepared) -> list[str]:
    return list(receipts[0].facts["bands"][prepared.source]) if receipts else list(prepared.bands)


def _in_order(prepared: Prepared, failures: Iterable[Failure]) -> tuple[Failure, ...]:
    """Failures in the order of the chips, so that the same run writes the same file on every backend."""
    place = {chip: number for number, chip in enumerate([*prepared.plan.chip_ids])}
    return tuple(sorted(failures, key=lambda failure: (place.get(failure.chip_id, -1), failure.chip_id)))
