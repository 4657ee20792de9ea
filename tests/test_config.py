"""From overrides to a run, in Python: what `compose` gives, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir, initialize_config_module
from hydra.core.global_hydra import GlobalHydra

from lcnkit import compose, hookimpl
from lcnkit.config import register, run_from
from lcnkit.errors import ConfigError, PluginError, UnknownName
from lcnkit.exporter.npz import Npz
from lcnkit.model import Interval
from lcnkit.options import options_of
from lcnkit.plugins import load_registry
from lcnkit.settings import Dataset, source_name
from lcnkit.strategy.min_cc import MinCC
from lcnkit.strategy.season_min_cc import SeasonMinCC


class TestCompose:
    def test_defaults(self):
        run = compose()
        assert run.source.strategy == SeasonMinCC()
        assert (run.n_periods, run.source.bands, run.when_empty, run.chips, run.plan) == (5, "rgb", "pad", None, None)
        assert [type(transform).__name__ for transform in run.source.transforms] == ["Reflectance"]
        assert run.output_dir.startswith("outputs/20")
        assert run.overwrite is False

    def test_strings_and_lists_twice_in_a_row(self):
        single = compose("+strategy=min_cc", "strategy.k=3", "n_periods=2")
        listed = compose(["strategy=min_cc", "strategy.k=3"], "n_periods=2")
        assert single.source.strategy == listed.source.strategy == MinCC(k=3)
        assert single.n_periods == listed.n_periods == 2
        assert compose().source.strategy == SeasonMinCC(), "nothing is left of the call before"

    def test_everything_at_once(self):
        run = compose(
            [
                "dataset=landcovernet",
                "dataset.root=/data",
                "bands=[B08,B04]",
                "n_periods=12",
                "when_empty=nearest",
                "interval=[2018-03-01,2018-10-31]",
                "cloud=mask",
                "cloud_threshold=40",
                "min_coverage=0.9",
                "chips=[28QDE_00,29*]",
                "exporter=npz",
                "exporter.compress=true",
                "backend=serial",
                "output_dir=out",
                "overwrite=true",
                "strategy.max_cloud=60",
                "label.ignore=[0]",
                "label.remap={1:2}",
                "plan=old.parquet",
                "reader=rasterio",
            ]
        )
        assert run.dataset.root == "/data"
        assert run.source.bands == ("B08", "B04")
        assert run.interval == Interval(date(2018, 3, 1), date(2018, 10, 31))
        assert (run.cloud, run.cloud_threshold, run.min_coverage) == ("mask", 40, 0.9)
        assert run.chips == ("28QDE_00", "29*")
        assert run.exporter == Npz(compress=True)
        assert (run.output_dir, run.overwrite, run.plan) == ("out", True, "old.parquet")
        assert run.source.strategy == SeasonMinCC(max_cloud=60.0)
        assert (run.label.ignore, run.label.remap) == ((0,), {1: 2})

    @pytest.mark.parametrize(
        ("given", "names"),
        [
            ("[index,reflectance]", ["Index", "Reflectance"]),
            ("[reflectance,index]", ["Reflectance", "Index"]),
            ("raw", ["Raw"]),
            ("[raw]", ["Raw"]),
            ("[]", []),
        ],
    )
    def test_transforms_keep_their_order(self, given, names):
        run = compose(f"transform={given}")
        assert [type(transform).__name__ for transform in run.source.transforms] == names

    @pytest.mark.parametrize(
        ("override", "chips"),
        [("chips=2", 2), ("chips=28QDE_*", ("28QDE_*",)), ("chips=[28QDE_00]", ("28QDE_00",)), ("chips=[1,2]", ("1", "2")), ("chips=null", None)],
    )
    def test_chips(self, override, chips):
        assert compose(override).chips == chips

    def test_options_that_are_mappings_take_new_keys(self):
        run = compose("dataset=landcovernet", "dataset.cloud_assets={landsat_8:QA}", "transform=[index]", "transform.index.bands={EVI:[B08,B02]}")
        assert run.dataset.cloud_assets == {"sentinel_2": "CLD", "landsat_8": "QA"}
        assert run.source.transforms[0].bands["EVI"] == ["B08", "B02"]

    def test_inside_a_process_that_uses_hydra_itself(self, tmp_path):
        """A user's own application may call us; its Hydra is still there afterwards."""
        (tmp_path / "mine.yaml").write_text("answer: 42\n")
        with initialize_config_dir(str(tmp_path), version_base="1.3"):
            assert compose("n_periods=3").n_periods == 3
            with pytest.raises(UnknownName):
                compose("n_period=3")
            assert hydra_compose("mine").answer == 42
        assert not GlobalHydra.instance().is_initialized()
        assert compose("n_periods=4").n_periods == 4


class TestPresets:
    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        folder = tmp_path / "my configs"
        for group in ("experiment", "dataset", "strategy"):
            (folder / group).mkdir(parents=True)
        (folder / "experiment" / "clear.yaml").write_text(
            "# @package _global_\ndefaults:\n  - override /strategy: min_cc\n  - override /transform: [index, reflectance]\n"
            "strategy:\n  k: 7\nn_periods: 12\nbands: [B08, B04]\ninterval: [2018-03-01, 2018-10-31]\n"
        )
        (folder / "dataset" / "mine.yaml").write_text("defaults: [base]\nroot: /data/mine\nbands: {x: {rgb: [R, G, B]}}\n")
        (folder / "strategy" / "tropics.yaml").write_text("defaults: [season_min_cc]\nmax_cloud: 80\n")
        return folder

    def test_an_experiment_of_ones_own(self, folder):
        for override in ("+experiment=clear", "experiment=clear"):
            run = compose(override, "strategy.max_cloud=50", config_dir=str(folder))
            assert run.source.strategy == MinCC(k=7, max_cloud=50.0)
            assert [type(transform).__name__ for transform in run.source.transforms] == ["Index", "Reflectance"]
            assert run.source.bands == ("B08", "B04")
            assert run.interval == Interval(date(2018, 3, 1), date(2018, 10, 31)), "YAML dates are no problem"

    def test_a_data_set_and_a_strategy_preset(self, folder, monkeypatch):
        monkeypatch.chdir(folder.parent)
        run = compose("dataset=mine", "+strategy=tropics", config_dir="my configs")
        assert run.dataset.root == "/data/mine"
        assert run.dataset.bands_of("x", "rgb") == ("R", "G", "B")
        assert run.source.strategy == SeasonMinCC(max_cloud=80.0)

    def test_a_misspelt_key_in_a_preset_is_not_overlooked(self, folder):
        (folder / "experiment" / "clear.yaml").write_text("# @package _global_\nn_period: 3\n")
        with pytest.raises(UnknownName, match=r"no key 'n_period'.*Did you mean 'n_periods'"):
            compose("+experiment=clear", config_dir=str(folder))

    def test_no_such_folder(self, tmp_path):
        with pytest.raises(ConfigError, match=r"folder .*absent does not exist"):
            compose(config_dir=str(tmp_path / "absent"))

    def test_the_experiments_that_come_with_lcnkit(self):
        run = compose("+experiment=phenology")
        assert (run.n_periods, run.when_empty) == (12, "nearest")
        for dataset in ("demo", "landcovernet"):
            assert compose(f"dataset={dataset}", "bands=rgbn").dataset.bands_of("sentinel_2", "rgbn") == ("B04", "B03", "B02", "B08")


def test_every_plugin_can_be_composed_with_its_defaults():
    registry = load_registry()
    # One of each kind at a time, all transforms at once: composing takes long.
    for number in range(max(len(plugins) for plugins in registry.plugins.values())):
        chosen = {kind: list(plugins.values())[min(number, len(plugins) - 1)] for kind, plugins in registry.plugins.items()}
        transforms = f"transform=[{','.join(registry.plugins['transform'])}]"
        needed = [f"{kind}.{option.name}=x" for kind, plugin in chosen.items() for option in options_of(plugin.cls) if option.default == "required"]
        run = compose([*(f"{kind}={plugin.name}" for kind, plugin in chosen.items() if kind != "transform"), transforms, *needed])
        parts = {"backend": run.backend, "exporter": run.exporter, **{kind: getattr(run.source, kind) for kind in ("catalog", "strategy", "reader")}}
        assert {kind: type(part) for kind, part in parts.items()} == {kind: plugin.cls for kind, plugin in chosen.items() if kind != "transform"}
        assert [type(transform) for transform in run.source.transforms] == [plugin.cls for plugin in registry.plugins["transform"].values()]


@pytest.mark.parametrize(
    ("collection", "name"),
    [
        ("ref_landcovernet_af_v1_source_sentinel_2", "sentinel_2"),
        ("ref_landcovernet_af_v1_source_landsat_8", "landsat_8"),
        ("ref_landcovernet_v1_source", "sentinel_2"),
        ("somebodys_images", "somebodys_images"),
        ("ref_landcovernet_af_v1_source_sentinel_3", "ref_landcovernet_af_v1_source_sentinel_3"),
    ],
)
def test_what_a_source_is_called(collection, name):
    dataset = Dataset(bands={"sentinel_2": {"rgb": ["B04"]}, "landsat_8": {}})
    assert source_name(dataset, collection) == name
    assert source_name(Dataset(), collection) == collection


# What is misspelt, or has the wrong type, and the words that say so.
MISTAKES = [
    ("n_period=3", "Did you mean 'n_periods'"),
    ("++n_period=3", "Did you mean 'n_periods'"),
    ("+n_periods=3", "'n_periods' is there already: leave the + out"),
    ("~n_periods", "leave ~n_periods out"),
    ("backed.workers=2", "Did you mean 'backend'?"),
    ("strategy.max_clod=3", "strategy has no option 'max_clod'; it has max_cloud, compat. Did you mean 'max_cloud'?"),
    ("+strategy.max_clod=3", "Did you mean 'max_cloud'?"),
    ("transform.index.bands.NDVI=[B08,B04]", "choose it with transform=[reflectance,index]"),
    ("transform.index.bands={NDVI:[B08,B04]}", "transform.index has options, but is not chosen"),
    ("catalog=statc", "Did you mean 'static'?"),
    ("+strategy=season_min_c", "Did you mean 'season_min_cc'"),
    ("reader=rasteri", "Did you mean 'rasterio'?"),
    ("transform=nonsense", "There is no transform 'nonsense'; there is reflectance, raw, index"),
    ("transform=[reflectance,indx]", "Did you mean 'index'?"),
    ("backend=lokal", "Did you mean 'local'?"),
    ("exporter=pickl", "Did you mean 'pickle'?"),
    ("dataset=landcovernt", "Did you mean 'landcovernet'?"),
    ("+experiment=phenolgy", "Did you mean 'phenology'?"),
    ("label=other", "There is no label 'other'"),
    ("strategy=null", "An override chooses nothing"),
    ("n_periods=abc", "n_periods is 'abc'; it must be a whole number of at least 1"),
    ("n_periods=3,5", "sweep over them with -m, or give one list with n_periods=[3,5]"),
    ("n_periods=${nope}", "'nope' not found"),
    ("n_periods.x=3", "n_periods has no option 'x'"),
    ("strategy.max_cloud=abc", "strategy.max_cloud: Value 'abc' of type 'str' could not be converted to Float (it must be a number)"),
    ("strategy.max_cloud=101", "strategy.max_cloud is 101; it must be a percentage"),
    ("strategy.compat=5", "strategy.compat is '5'; it must be one of none, notebook"),
    ("transform.reflectance.stac=maybe", "(it must be true or false)"),
    ("transform.reflectance.clip=abc", "it must be a list"),
    ("bands=[B04", "The override 'bands=[B04' cannot be read: it has the form key=value"),
    ("label.remap=[1]", "label.remap: Cannot merge"),
    ("label.remap={a:b}", "label.remap.a: Key a (str) is incompatible with (int)"),
    ("label.remap={1:x}", "label.remap.1: Value 'x' of type 'str' could not be converted to Integer (it must be a number)"),
    ("label.ignore=3", "(it must be a list, [A,B])"),
    ("label.band=0", "count from 1"),
    ("dataset.bands=3", "(it must be a mapping, {KEY:VALUE})"),
    ("backend.workers=two", "(it must be a number)"),
    ("backend.workers=0", "backend.workers is 0; it must be at least 1"),
]


@pytest.mark.parametrize(("override", "said"), MISTAKES, ids=[override for override, _ in MISTAKES])
def test_mistakes_are_named_in_one_line(override, said):
    with pytest.raises(ConfigError) as error:
        compose(override)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


# Values that no key of a run can have.
VALUES = [
    ("n_periods", 0, "n_periods is 0;"),
    ("n_periods", -3, "n_periods is -3;"),
    ("n_periods", 2.5, "n_periods is 2.5;"),
    ("n_periods", True, "n_periods is True;"),
    ("n_periods", None, "n_periods is None;"),
    ("n_periods", "", "n_periods is '';"),
    ("interval", 3, "interval is 3; it must be two dates: interval=[2018-01-01,2018-12-31]"),
    ("interval", "abc", "it must be two dates"),
    ("interval", ["2018-01-01"], "it must be two dates"),
    ("interval", ["2018-01-01", "2018-13-01"], "it must be two dates"),
    ("interval", ["2018-12-31", "2018-01-01"], "ends on 2018-01-01, before it starts on 2018-12-31"),
    ("interval", ["2018-01-01", "9999-12-31"], "The interval 2018-01-01 to 9999-12-31 reaches beyond the years 1678 to 2261"),
    ("interval", ["1677-01-01", "2018-12-31"], "give days of these years, e.g. interval=[2018-01-01,2018-12-31]"),
    ("chips", 0, "chips is 0; a number of chips must be at least 1"),
    ("chips", -1, "chips is -1;"),
    ("chips", 2.5, "a number, a name or a list of names, e.g. chips=[28QDE_00,28QDE_01]"),
    ("chips", [], "chips is an empty list"),
    ("bands", [], "bands is empty"),
    ("bands", ["B04", "B04"], "names a band twice"),
    ("bands", 5, "bands is 5; it must be a name or a list of names, e.g. bands=[B04,B03,B02]"),
    ("bands", None, "bands is None;"),
    ("bands", ["B04", 5], "bands is ['B04', 5];"),
    ("cloud", "x", "cloud is 'x'; it must be one of auto, metadata, mask."),
    ("cloud", "mak", "Did you mean 'mask'?"),
    ("cloud_threshold", 101, "cloud_threshold is 101; it must be a number from 0 to 100"),
    ("min_coverage", 2, "min_coverage is 2; it must be a number from 0 to 1"),
    ("min_coverage", None, "min_coverage is None;"),
    ("when_empty", "pda", "Did you mean 'pad'?"),
    ("overwrite", "maybe", "overwrite is 'maybe'; it must be true or false"),
    ("overwrite", 1, "overwrite is 1; it must be true or false"),
]


@pytest.fixture(scope="module")
def composed():
    """The default configuration: composing it takes most of the time."""
    from lcnkit.config import CONFIG_MODULE, CONFIG_NAME

    register(load_registry())
    with initialize_config_module(CONFIG_MODULE, version_base="1.3"):
        return hydra_compose(CONFIG_NAME)


@pytest.mark.parametrize(("key", "value", "said"), VALUES, ids=[f"{key}={value}" for key, value, _ in VALUES])
def test_values_that_cannot_be_meant(composed, key, value, said):
    config = composed.copy()
    config[key] = value
    with pytest.raises(ConfigError) as error:
        run_from(config, load_registry())
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_options_that_hydra_cannot_store_name_their_plugin():
    """Or every command would end in an error of OmegaConf's that names nobody, whether the plugin is used or not."""

    @dataclass(frozen=True)
    class Rule:
        limit: int = "none"  # type: ignore[assignment]

        def select(self, candidates): ...

    @hookimpl
    def lcnkit_strategy():
        return {"my_rule": Rule}

    module = ModuleType("somebodys_plugin")
    module.lcnkit_strategy = lcnkit_strategy
    with pytest.raises(
        PluginError, match=r"this session: Hydra cannot store the options of the strategy 'my_rule' \(.*Rule\): ValidationError: Value 'none'"
    ):
        register(load_registry(extra=[module]))
