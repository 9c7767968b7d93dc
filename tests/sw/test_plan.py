import pytest

from sw.plan import MAX_BYTES, Plan, load_plan, save_plan


@pytest.mark.parametrize("plan", [
    Plan(), Plan("uniform", "tans", (4, 3, 2.0)), Plan("codebook", bits=3.5849625007211565),
    Plan("step", "huffman", error=1e-4), Plan("uniform", granularity="tensor", prune=0.25),
    Plan(codec="tans", lanes=2)])
def test_what_is_saved_is_read(tmp_path, plan):
    path = tmp_path / "new" / "plan.toml"
    save_plan(path, plan, model="m", target="ulx3s:85F", layers=["a", "b", 'c "d"'])
    assert load_plan(path) == (plan, "ulx3s:85F")


def test_plan_by_hand(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text('quantiser = "codebook"\nlayers = [{name = "a", bits = 2}, {bits = 3}]\n')
    assert load_plan(path) == (Plan("codebook", bits=(2, 3)), "none")
    path.write_text("")
    assert load_plan(path) == (Plan(), "none")


@pytest.mark.parametrize("text, complaint", [
    ("bits = ", "Invalid value"),
    ("bits = 2\nlayers = []", "bits must be those of the network or of its layers, not both"),
    ("layers = [2]", "layers must each have a name and bits, not 2"),
    ("layers = 3", "layers must be a list, not 3"),
    ("quantizer = 'step'", "a plan has quantiser, codec, .* not quantizer"),
    ("bits = '3'", "bits can't be '3'"), ("prune = true", "prune can't be True"),
    ("codec = 'zip'", "Codec must be one of auto, "),
    ("layers = [{bits = 2}]", "Only uniform and codebook take bits layer by layer, not step"),
    ("quantiser = 'compensated'\nprune = 0.5", "Weights must not be pruned for the compensated"),
    ("granularity = 'row'", "Granularity must be tensor or channel, not row"),
    ("bits = nan", "bits can't be nan"), ("lanes = 2.0", "lanes can't be 2.0"),
    ("lanes = 2", "Lanes must be those of codec tans, not auto"),
    ("codec = 'tans'\nlanes = 3", "Lanes must be 1, 2, 4 or 8, not 3"),
    ("\x00", "Invalid"), ("# " + "-" * MAX_BYTES, f"at most {MAX_BYTES} bytes"),
])
def test_refusals_name_the_file(tmp_path, text, complaint):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"^{path}: .*{complaint}"):
        load_plan(path)


def test_plans_describe_themselves():
    assert Plan("uniform", bits=(8, 3, 4)).describe() == "uniform, 3 to 8 bits"
    assert Plan(error=1e-4).describe() == "step, MSE 1.000e-04"
    assert Plan().describe() == "step, 2.25 bits"
