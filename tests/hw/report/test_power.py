import pytest

from hw.report import coefficients
from hw.report.power import estimate_power


def test_energy_is_power_times_time():
    power = estimate_power(toggles=8_000_000, cycles=80_000, clock_hz=80_000_000)
    assert power["static_mw"] == 200
    assert power["dynamic_mw"] == pytest.approx(2)
    assert power["total_mw"] == pytest.approx(202)
    assert power["energy_uj_per_inference"] == pytest.approx(202)


def test_every_coefficient_has_unit_source_and_range():
    values = [value for value in vars(coefficients).values()
              if isinstance(value, coefficients.Coefficient)]
    assert len(values) == 2
    for value in values:
        assert value.value > 0
        assert value.unit
        assert value.source
        assert value.range
