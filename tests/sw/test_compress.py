import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from sw import golden
from sw.compress import main
from sw.codecs import CODECS
from sw.compression import DEFAULT_TARGET, compare, compress, measure_image
from sw.format.layers import Operation, Rounding
from sw.format.tables import PrefixTable, RawTable, RiceCode, RunLengthCode, TansCode
from sw.format.predictors import Kind, SeedShape
from sw.format.target import LARGE, PRESETS, Target
from sw.image import load_image
from sw.importers.npz import save
from sw.network import Activation
from sw.order import orders
from sw.plan import QUANTISERS, Plan, load_plan
from sw.predict import seeds
from sw.schedule import ScheduleError
from sw.zoo import load_data, load_source
from tests.shared_data import shared_file
from tests.sw.networks import small_network


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Return a small model file with data beside it."""
    path = tmp_path_factory.mktemp("model") / "small.npz"
    network = small_network()
    save(path, network)
    x = np.random.default_rng(0).integers(0, 17, (40, 6, 6, 1)).astype(np.uint8)
    np.savez(path.with_name("small_data.npz"), x=x, y=network.classify(x).astype(np.uint8),
             calibration=x)
    return path


@pytest.mark.parametrize("quantiser, codec", [
    (quantiser, codec) for quantiser in QUANTISERS for codec in CODECS
    if (quantiser, codec) != ("uniform", "huffman")
])
def test_image_computes_what_was_put_in(small, quantiser, codec):
    target = DEFAULT_TARGET if codec in ("huffman", "raw") else None
    compression = compress(small, quantiser=quantiser, codec=codec, target=target)
    x = compression.network.quantise_input(load_data(small).x)
    for read, wanted in zip(golden.run(compression.image.network, x),
                            golden.run(compression.network, x), strict=True):
        assert np.array_equal(read, wanted)
    tables = {"huffman": PrefixTable, "raw": RawTable, "tans": TansCode,
              "rice": RiceCode, "runlength": RunLengthCode}
    assert isinstance(compression.image.table, tables[codec])
    assert compression.size.bytes_image == len(compression.data)


def test_layers_add_up(small):
    compression = compress(small)
    bits = sum(layer.bits_per_weight * layer.weights for layer in compression.layers)
    assert bits <= 8 * compression.size.bytes_weights
    assert sum(layer.weights for layer in compression.layers) == compression.network.weights
    squares = sum(layer.distortion.mse * layer.weights for layer in compression.layers)
    assert squares / compression.network.weights == pytest.approx(compression.distortion.mse)
    assert max(layer.distortion.max_abs_error for layer in compression.layers) == (
        compression.distortion.max_abs_error)


@pytest.mark.parametrize("choices", [{}, {"quantiser": "codebook", "bits": 3},
                                     {"quantiser": "uniform", "bits": 4}])
def test_pruned_weights_stay_zero(small, choices):
    weights = compress(small, prune=0.6, **choices).image.network.weighted
    zeros = sum(int((layer.weights == 0).sum()) for layer in weights)
    count = sum(layer.weights.size for layer in weights)
    assert zeros >= int(0.6 * count)
    before = compress(small, **choices).image.network.weighted
    assert zeros > sum(int((layer.weights == 0).sum()) for layer in before)


# Steps aren't the same for all codecs.
@pytest.mark.parametrize("quantiser", ["codebook", "uniform"])
def test_best_codec_is_the_default(small, quantiser):
    sizes = {}
    for codec in CODECS:
        if (quantiser, codec) != ("uniform", "huffman"):
            sizes[codec] = len(compress(small, quantiser=quantiser, codec=codec,
                                        target=None).data)
    best = compress(small, quantiser=quantiser, target=None)
    assert len(best.data) == min(sizes.values()) == sizes[best.codec]


def test_compensated_keeps_to_its_rate_with_the_best_codec(small):
    """Tables of tANS are too large for so few weights."""
    found = compress(small, quantiser="compensated", bits=3, target=None)
    tans = compress(small, quantiser="compensated", bits=3, codec="tans", target=None)
    assert found.codec != tans.codec
    assert 2.9 < found.size.bits_per_weight <= 3 + 32 / found.size.weights
    assert found.distortion.mse < tans.distortion.mse


@pytest.mark.parametrize("quantiser", ["step", "uniform", "codebook"])
def test_channels_are_sorted_where_that_saves_bytes(quantiser, monkeypatch):
    ordered = compress("digits", quantiser=quantiser, bits=3, codec="tans", target=None)
    monkeypatch.setattr("sw.compression.by_spread", lambda network: orders(
        network, [np.arange(len(layer.weights)) for layer in network.weighted]))
    plain = compress("digits", quantiser=quantiser, bits=3, codec="tans", target=None)
    assert len(ordered.data) < len(plain.data)
    first, *_ = ordered.network.weighted
    assert (np.diff(np.abs(first.weights.astype(int)).sum(axis=(1, 2, 3))) >= 0).all()
    assert ordered.distortion == plain.distortion
    x = plain.network.quantise_input(load_data("digits").x[:50])
    assert np.array_equal(golden.run(ordered.image.network, x)[-1],
                          golden.run(plain.image.network, x)[-1])


def test_bits_of_each_layer(small):
    bits = (5, 3, 4)[:len(compress(small).layers)]
    uniform = compress(small, quantiser="uniform", bits=bits, target=None)
    shared = compress(small, quantiser="codebook", bits=bits, target=None)
    for layer, few in zip(uniform.image.network.weighted, bits, strict=True):
        assert abs(layer.weights).max() < 1 << few - 1
    for layer, few in zip(shared.image.network.weighted, bits, strict=True):
        assert len(set(layer.weights.ravel().tolist())) <= 1 << few
    with pytest.raises(ValueError, match=r"bits of \d layers with weights, not 1"):
        compress(small, quantiser="uniform", bits=(4,))
    with pytest.raises(ValueError, match="must have 1 bit in all layers or in none"):
        compress(small, quantiser="uniform", bits=(1, *bits[1:]))


def test_names_of_files_may_be_text(small):
    data = small.with_name("small_data.npz")
    options = {"quantiser": "uniform", "bits": 4, "target": None}
    assert (compress(str(small), data=str(data), calibration=str(data), **options).report()
            == compress(small, data=data, calibration=data, **options).report())


def test_same_input_gives_the_same_image(small):
    assert compress(small).data == compress(small).data


def test_digits_reach_the_goal():
    int8, shared, step, default = compare("digits")
    assert default.accuracy_int >= default.accuracy_float - 0.01
    assert default.size.bits_per_weight <= 3.5
    assert default.size.factor >= 8
    assert step.distortion.mse <= shared.distortion.mse
    assert step.size.bits_per_weight < shared.size.bits_per_weight
    assert int8.accuracy_int >= int8.accuracy_float - 0.01


def test_no_error_has_no_sqnr(tmp_path):
    network = small_network()
    network = replace(network, layers=tuple(
        layer if layer.weights is None else replace(layer, weights=np.sign(layer.weights))
        for layer in network.layers))
    save(tmp_path / "signs.npz", network)
    x = np.zeros((2, 6, 6, 1), np.uint8)
    np.savez(tmp_path / "signs_data.npz", x=x, y=x[:, 0, 0, 0], calibration=x)
    report = compress(tmp_path / "signs.npz", quantiser="codebook", bits=2).report()
    assert report["compression"]["mse"] == 0
    assert report["compression"]["sqnr_db"] is None
    assert report["layers"][0]["sqnr_db"] is None


def test_command_compares_quantisers(small, tmp_path, capsys):
    main([str(small), "-o", str(tmp_path / "a.hri"), "--compare"])
    printed = capsys.readouterr().out
    for row in ("uniform, 8 bits", "codebook, 4 bits", "step, MSE ", "step, 2.25 bits"):
        assert row in printed
    main([str(small), "-o", str(tmp_path / "a.hri"), "--compare", "--json"])
    assert [row["compression"]["quantiser"] for row in json.loads(capsys.readouterr().out)[
        "compared"]] == ["uniform", "codebook", "step", "step"]


def test_command_writes_an_image(small, tmp_path, capsys):
    path = tmp_path / "new" / "a.hri"
    main([str(small), "-o", str(path), "--quantiser", "codebook"])
    assert path.read_bytes() == compress(small, quantiser="codebook").data
    printed = capsys.readouterr().out
    assert "strided" in printed
    assert f"{path}: " in printed.splitlines()[-1]
    assert "n = 40" in printed.splitlines()[-1]


@pytest.mark.parametrize("options, rate", [
    (["--quantiser", "uniform", "--bits", "5", "--codec", "raw"], 5),
    (["--quantiser", "uniform", "--bits", "1.58", "--granularity", "tensor"], 2),
    (["--quantiser", "uniform", "--granularity", "tensor"], 8),
    (["--quantiser", "codebook", "--clusters", "33", "--codec", "raw"], 6),
    (["--quantiser", "codebook", "--clusters", "12", "--granularity", "channel"], 4),
])
def test_command_takes_any_width(small, tmp_path, capsys, options, rate):
    main([str(small), "-o", str(tmp_path / "a.hri"), "--target", "none", "--json", *options])
    report = json.loads(capsys.readouterr().out)
    table = load_image(tmp_path / "a.hri").table
    assert table == RawTable(rate) or "raw" not in options
    assert rate - 1.4 < sum(layer["bits_per_weight"] * layer["weights"] for layer in report[
        "layers"]) / report["model"]["weights"] <= rate


def test_command_writes_an_image_for_other_sizes(small, tmp_path):
    path = tmp_path / "a.hri"
    main([str(small), "-o", str(path), "--rows", "16", "--columns", "8"])
    assert path.read_bytes() == compress(small, target=Target(rows=16, columns=8)).data


def test_command_keeps_integers(tmp_path, capsys):
    model = shared_file("models/kws_ref_model.tflite")
    main([str(model), "-o", str(tmp_path / "a.hri"), "--lossless", "--target", "none"])
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{tmp_path / 'a.hri'}: 7.69 b/w")
    for read, layer in zip(load_image(tmp_path / "a.hri").network.weighted,
                           load_source(model).weighted, strict=True):
        assert np.array_equal(read.weights, layer.weights)


@pytest.mark.parametrize("options", [
    ["--quantiser", "codebook", "--bits", "3", "--prune", "0.3", "--target", "none"],
    ["--bits", "3.5", "--codec", "raw"], ["--max-bytes", "1700", "--target", "none"]])
def test_plan_is_kept_and_done_again(small, tmp_path, options):
    plan = tmp_path / "plan.toml"
    main([str(small), "-o", str(tmp_path / "a.hri"), "--plan", str(plan), *options])
    main([str(small), "-o", str(tmp_path / "b.hri"), "--plan", str(plan)])
    assert (tmp_path / "a.hri").read_bytes() == (tmp_path / "b.hri").read_bytes()
    with pytest.raises(SystemExit, match=f"error: {plan} says how: --bits must not be given"):
        main([str(small), "-o", str(tmp_path / "c.hri"), "--plan", str(plan), "--bits", "3"])
    assert not (tmp_path / "c.hri").exists()


def test_command_prints_json(small, tmp_path, capsys):
    main([str(small), "-o", str(tmp_path / "a.hri"), "--json"])
    report = json.loads(capsys.readouterr().out)
    compression = compress(small)
    assert report == {"file": str(tmp_path / "a.hri")} | json.loads(
        json.dumps(compression.report()))
    assert report["compression"]["factor"] == compression.size.factor
    assert report == json.loads((tmp_path / "a.json").read_text())


@pytest.mark.parametrize("options, complaint", [
    (["nothing"], "nothing: no such model file"),
    (["digits", "--quantiser", "uniform", "--codec", "huffman"],
     "An automaton of 32 symbols can't decode 255: quantise to fewer bits or use the raw codec"),
    (["digits", "--bits", "0.001"], r"must have 0\.\d+ bits or more for .* not 0\.001"),
    (["digits", "--quantiser", "uniform", "--bits", "16"], "8 bits or fewer for a network, .* 16"),
    (["digits", "--granularity", "channel"], "must be tensor for the step quantiser, not channel"),
    (["digits", "--clusters", "12"], "Only the codebook quantiser has clusters, not step"),
    (["digits", "--quantiser", "codebook", "--clusters", "129"], "must be 2 to 128, not 129"),
    (["digits", "--quantiser", "codebook", "--bits", "6", "--codec", "huffman"],
     "An automaton of 32 symbols can't decode 64"),
    (["digits", "--lossless"], "digits: only an int8 network has integers to be kept"),
    (["digits", "--lossless", "--prune", "0.5"], "Integers must be kept without --prune"),
    (["digits", "--prune", "1"], "must be 0 or more and below 1, not 1"),
    (["digits", "--prune", "0.5", "--quantiser", "uniform", "--bits", "1", "--codec", "raw"],
     "Grid of layer 0 must have a value of 0 for pruned weights"),
    (["digits", "--columns", "6"], "Columns must be 4 or 8, not 6"),
    (["digits", "--target", "ulx3s:99F"], "Target must be one of ulx3s:12F, .*, not ulx3s:99F"),
])
def test_bad_input_ends_in_one_line(tmp_path, options, complaint):
    path = tmp_path / "a.hri"
    with pytest.raises(SystemExit, match=f"^error: .*{complaint}") as refusal:
        main([*options, "-o", str(path)])
    assert len(str(refusal.value).splitlines()) == 1
    assert not path.exists()


@pytest.mark.parametrize("options, complaint", [
    ({"quantiser": "magic"},
     "Quantiser must be one of step, uniform, codebook, compensated, not magic"),
    ({"codec": "zip"}, "Codec must be one of auto, raw, huffman, tans, rice, runlength, not zip"),
    ({"quantiser": "uniform", "error": 1e-4}, "Only the step quantiser keeps to an error"),
])
def test_bad_options_rejected(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        compress("digits", **options)


def test_data_of_another_network_rejected(small, tmp_path):
    path = tmp_path / "small.npz"
    path.write_bytes(small.read_bytes())
    data = load_data("digits")
    np.savez(path.with_name("small_data.npz"), x=data.x, y=data.y, calibration=data.calibration)
    with pytest.raises(ValueError, match=r"inputs of shape \(6, 6, 1\), not \(8, 8, 1\)"):
        compress(path)


def test_package_offers_what_it_shows():
    # In a process of its own: importing the command hides the function of the same name.
    script = "import doctest, sw; print(doctest.testmod(sw)); from sw import *; compress, Image"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                            check=True)
    assert result.stdout == "TestResults(failed=0, attempted=3)\n"
    assert not result.stderr


def test_image_measured_again_has_the_same_figures(small, tmp_path):
    made = compress(small)
    (tmp_path / "a.hri").write_bytes(made.data)
    again = measure_image(tmp_path / "a.hri", small)
    assert again.quantiser == "given"
    assert (again.data, again.size, again.target) == (made.data, made.size, made.target)
    assert (again.accuracy_float, again.accuracy_int) == (made.accuracy_float, made.accuracy_int)
    # Weight scales come back from multipliers of 31 bits.
    assert again.distortion.mse == pytest.approx(made.distortion.mse, rel=1e-4)
    assert [layer.name for layer in again.layers] == [layer.name for layer in made.layers]


def test_image_of_another_network_is_refused(small, tmp_path):
    (tmp_path / "a.hri").write_bytes(compress(small).data)
    with pytest.raises(ValueError, match=r"a.hri: image must be one of digits: input shape of"):
        measure_image(tmp_path / "a.hri", "digits")


@pytest.fixture(scope="module")
def keywords(tmp_path_factory):
    """Return a data file with the real inputs of the keyword-spotting model."""
    path = tmp_path_factory.mktemp("data") / "keywords.npz"
    with np.load(shared_file("data/mlperf_tiny_inputs.npz")) as samples:
        np.savez(path, x=samples["kws_x"], y=samples["kws_y"])
    return path


def test_int8_model_is_kept_by_8_uniform_bits(keywords):
    model = shared_file("models/kws_ref_model.tflite")
    compression = compress(model, quantiser="uniform", target=None, data=keywords)
    network = load_source(model)
    with np.load(keywords) as data:
        for read, wanted in zip(golden.run(compression.image.network, data["x"]),
                                golden.run(network, data["x"]), strict=True):
            assert np.array_equal(read, wanted)
    for layer, given in zip(compression.image.network.weighted, network.weighted, strict=True):
        assert np.array_equal(layer.weights, given.weights)
    assert compression.accuracy_float == compression.accuracy_int == 1
    assert compression.distortion.mse == 0
    assert (compression.target, compression.image.target_hash) == (None, 0)


@pytest.mark.parametrize("model", ["kws_ref_model", "kws_ref_model_float32"])
def test_tflite_models_are_quantised(model, keywords, tmp_path):
    calibration = keywords
    if model == "kws_ref_model_float32":
        source = load_source(shared_file("models/kws_ref_model.tflite")).input
        calibration = tmp_path / "floats.npz"
        with np.load(keywords) as data:
            np.savez(calibration, x=source.scale * (data["x"].astype(np.float32)
                                                    - source.zero_point), y=data["y"])
    compression = compress(shared_file(f"models/{model}.tflite"), bits=4, target=None,
                           data=calibration, calibration=calibration)
    assert compression.accuracy_float == 1
    assert compression.accuracy_int >= 0.75
    assert compression.size.bits_per_weight <= 4.05
    assert min(layer.distortion.sqnr_db for layer in compression.layers) > 18
    once = compression.image.network.weighted[-1].descriptor
    assert once.rounding is Rounding.ONCE


def test_models_that_no_target_runs_need_none(keywords, tmp_path, capsys):
    model = str(shared_file("models/kws_ref_model.tflite"))
    path = tmp_path / "a.hri"
    with pytest.raises(SystemExit, match=r"error: network has 592 channel records, 80 more than"):
        main([model, "-o", str(path), "--bits", "4", "--target", "ulx3s:25F"])
    main([model, "-o", str(path), "--bits", "4", "--target", "none"])
    assert capsys.readouterr().out.endswith("accuracy unknown without data\n")
    main([model, "-o", str(path), "--bits", "4", "--target", "none", "--data", str(keywords),
          "--json"])
    assert json.loads(capsys.readouterr().out)["model"]["n"] == 12


def test_larger_target_is_taken_where_one_is_too_small(small, capsys):
    model = str(shared_file("models/kws_ref_model.tflite"))
    for path, target in ((model, LARGE["ulx3s", "85F"]), (small, PRESETS["ulx3s", "85F"])):
        found = compress(path, bits=4).target
        assert found == target.with_decoder(found.decoder)
    with pytest.raises(ScheduleError, match=r"image has \d+ bytes, \d+ more than the weight mem"):
        compress(shared_file("models/vww_96_int8.tflite"), quantiser="uniform", codec="raw")


@pytest.mark.parametrize("model, arrays, complaint", [
    ("kws_ref_model_float32", None, "a float network must be calibrated: give inputs with"),
    ("kws_ref_model", {"x": np.zeros((2, 9))}, r"inputs of shape \(49, 10, 1\), not \(9,\)"),
    ("kws_ref_model", {"x": np.zeros((0, 490))}, r"must hold inputs"),
    ("kws_ref_model", {"x": np.array(["a"])}, "array 'x' must hold numbers, not <U1"),
    ("kws_ref_model", {"y": np.zeros(2)}, "array 'x' is missing"),
])
def test_bad_calibration_refused(tmp_path, model, arrays, complaint):
    path = None
    if arrays:
        path = tmp_path / "data.npz"
        np.savez(path, **arrays)
    with pytest.raises(ValueError, match=complaint):
        compress(shared_file(f"models/{model}.tflite"), target=None, calibration=path)


def change(network, number, **changes):
    layers = list(network.layers)
    layers[number] = replace(layers[number], **changes)
    return replace(network, layers=tuple(layers))


@pytest.mark.parametrize("changed, complaint", [
    (lambda network: change(network, 1, operation=Operation.AVERAGE_POOL),
     r"operation of greatest must be <Operation\.AVERAGE_POOL: 2>, not <Op"),
    (lambda network: change(network, 2, padding=(2, 1)),
     r"padding of strided must be \(2, 1\), not \(1, 1\)"),
    (lambda network: change(network, 4, activation=Activation.RELU),
     r"activation min of dense must be -?\d+, not -128"),
    (lambda network: replace(network, layers=network.layers[:-1]), "it must have 4 layers, not 5"),
    (lambda network: replace(network, input=replace(network.input, mean=1.0)),
     r"input must be .*mean=1\.0"),
], ids=["operation", "padding", "activation", "layers", "input"])
def test_image_of_another_geometry_is_refused(small, tmp_path, changed, complaint):
    image = tmp_path / "a.hri"
    image.write_bytes(compress(small).data)
    model = tmp_path / "small.npz"
    save(model, changed(small_network()))
    model.with_name("small_data.npz").write_bytes(
        small.with_name("small_data.npz").read_bytes())
    with pytest.raises(ValueError, match=rf"a\.hri: image must be one of .*: {complaint}"):
        measure_image(image, model)


@pytest.mark.parametrize("scale", [1e20, 1e37])
@pytest.mark.parametrize("quantiser", QUANTISERS)
def test_weights_beyond_floats_are_refused(small, tmp_path, quantiser, scale):
    network = small_network()
    network = change(network, 2, weights=network.layers[2].weights * np.float32(scale))
    save(tmp_path / "small.npz", change(network, 0, weights=network.layers[0].weights
                                        * np.float32(scale)))
    (tmp_path / "small_data.npz").write_bytes(small.with_name("small_data.npz").read_bytes())
    with pytest.raises(ValueError, match=r"npz: weights and biases must be smaller: overflow"):
        compress(tmp_path / "small.npz", quantiser=quantiser)


def test_factors_out_of_reach_end_in_one_line(small, tmp_path):
    network = small_network()
    save(tmp_path / "small.npz", change(network, 2, weights=network.layers[2].weights * 1e12))
    (tmp_path / "small_data.npz").write_bytes(small.with_name("small_data.npz").read_bytes())
    with pytest.raises(ValueError, match=r"Factors .* must be 2\*\*-32 to .*, not \S+ to \S+$"):
        compress(tmp_path / "small.npz")


def test_network_without_weights_is_refused(small, tmp_path):
    pool = replace(small_network().layers[1], input_shape=(6, 6, 1), output_shape=(5, 5, 1))
    save(tmp_path / "pool.npz", replace(small_network(), layers=(pool,)))
    (tmp_path / "pool_data.npz").write_bytes(small.with_name("small_data.npz").read_bytes())
    for quantiser in QUANTISERS:
        with pytest.raises(ValueError, match=r"pool\.npz: network must have weights"):
            compress(tmp_path / "pool.npz", quantiser=quantiser)


@pytest.fixture
def few_seeds(monkeypatch):
    """Let the search for seeds be short."""
    monkeypatch.setattr(seeds, "SHAPES", (SeedShape(8, 8, 3, 4), SeedShape(8, 16, 2, 3)))


@pytest.mark.usefixtures("few_seeds")
def test_command_predicts_weights(small, tmp_path, capsys):
    options = [str(small), "--predictor", "seeds", "--bits", "3"]
    for name in ("a", "b"):
        main([*options, "-o", str(tmp_path / f"{name}.hri"), "--plan", str(tmp_path / "plan")][
            :None if name == "a" else -2])
    out = capsys.readouterr().out
    assert "small: seeds, raw" in out
    assert (tmp_path / "a.hri").read_bytes() == (tmp_path / "b.hri").read_bytes()
    assert load_plan(tmp_path / "plan") == (
        Plan(codec="raw", bits=3, predictor="seeds"), "none")
    image = load_image(tmp_path / "a.hri")
    assert [layer.predictor.kind for layer in image.predicted] == [Kind.SEEDS] * 3
    report = json.loads((tmp_path / "a.json").read_text())
    assert report["notes"] == []
    assert report["plan"]["predictor"] == "seeds"


@pytest.mark.usefixtures("few_seeds")
def test_layers_that_do_not_suit_are_quantised(small, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(seeds, "SHAPES", (SeedShape(8, 12, 3, 4),))
    main([str(small), "--predictor", "seeds", "-o", str(tmp_path / "a.hri")])
    captured = capsys.readouterr()
    assert ("note: conv has filters of 9 weights, fewer than a block's 12: rounded to 6 bits "
            "instead" in captured.err)
    image = load_image(tmp_path / "a.hri")
    assert [layer.predictor is None for layer in image.predicted] == [True, False, False]


@pytest.mark.usefixtures("few_seeds")
def test_a_residual_keeps_the_weights(small):
    plain = compress(small, quantiser="uniform", bits=6, target=None)
    predicted = compress(small, quantiser="uniform", bits=6, predictor="seeds", residual=True,
                         target=None)
    for layer, wanted in zip(predicted.image.network.weighted, plain.image.network.weighted,
                             strict=True):
        order = np.sort(layer.weights.ravel())
        assert np.array_equal(order, np.sort(wanted.weights.ravel()))
    # Where no layer gains, there is no predictor.
    assert predicted.notes
    assert predicted.size.bytes_image <= plain.size.bytes_image


@pytest.mark.parametrize("options, complaint", [
    (["--predictor", "seeds", "--target", "ulx3s:85F"],
     "Predictor must be none for a target, not seeds: compress with --target none"),
    (["--residual"], "--residual must be given with a --predictor"),
    (["--time", "3"], "--time must be given with a --predictor"),
    (["--predictor", "seeds", "--time", "0"], "Time must be above 0 seconds, not 0"),
    (["--predictor", "seeds", "--quantiser", "compensated"], "Only a residual goes with"),
    (["--predictor", "seeds", "--bits", "1"], "Seeds must have .* bits or more"),
    (["--predictor", "seeds", "--quantiser", "codebook", "--residual"], "not of a codebook"),
])
def test_predictors_refuse_in_one_line(small, tmp_path, options, complaint):
    path = tmp_path / "a.hri"
    with pytest.raises(SystemExit, match=f"^error: .*{complaint}") as refusal:
        main([str(small), *options, "-o", str(path)])
    assert len(str(refusal.value).splitlines()) == 1
    assert not path.exists()
