"""Amounts: how they are written, read, added and compared."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasttrack.domain import resources

GIB = 1024**3
slot_maps = st.dictionaries(
    st.sampled_from(["cpu", "mem", "cuda.shares", "x.device"]),
    st.decimals(0, 10**9, places=2, allow_nan=False, allow_infinity=False),
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("16g", 16 * GIB), ("16G", 16 * GIB), ("16GiB", 16 * GIB), ("16gib", 16 * GIB), ("16GB", 16 * GIB), ("512m", GIB // 2),
        ("64k", 65536), ("1t", 1024 * GIB), ("1p", 1024**5), ("0.5g", GIB // 2), ("0.0125g", 13421772), ("0g", 0),
        ("1048576", 1048576), (1048576, 1048576), ("10b", 10), (" 2 g ", 2 * GIB),
    ],
)  # fmt: skip
def test_sizes_are_read_in_binary_multiples(text, size):
    assert resources.parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "g", "4x", "-1g", "1e3", "1,5g", "1_000", "nan", "inf", "4 4g", "9" * 16, "٤g", "4g\n4"]
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match=r"is not a size. Write a number and a unit, such as 512m or 16g"):
        resources.parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0g"), (16 * GIB, "16g"), (1536 * 1024**2, "1536m"), (1024 * GIB, "1t"), (13421772, "13421772"), (1024, "1k")],
)
def test_sizes_are_written_in_the_largest_unit_that_divides_them(size, text):
    assert resources.format_size(size) == text


@given(st.integers(0, 2**60))
def test_a_size_is_read_as_it_was_written(size):
    if len(str(size)) <= 15 or not resources.format_size(size).isdigit():
        assert resources.parse_size(resources.format_size(size)) == size


@pytest.mark.parametrize(
    ("slot", "text", "amount", "written"),
    [
        ("cpu", "4", "4", "4"), ("cuda.shares", "1.50", "1.5", "1.5"), ("cuda.shares", 5, "5", "5"),
        ("cuda.shares", ".25", "0.25", "0.25"), ("x.y", "0.1", "0.1", "0.1"), ("mem", "4g", "4294967296", "4g"),
        ("cuda.device", "2.0", "2", "2"),
    ],
)  # fmt: skip
def test_amounts_are_exact(slot, text, amount, written):
    assert resources.parse_amount(slot, text) == Decimal(amount)
    assert resources.format_amount(slot, Decimal(amount)) == written


@pytest.mark.parametrize("slot", ["cpu", "cuda.device", "cuda.mig-1g.5gb", "rngd.device", "new.device"])
def test_half_of_a_whole_unit_is_refused(slot):
    with pytest.raises(ValueError, match=r"it is counted in whole units. Write 1"):
        resources.parse_amount(slot, "0.5")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e9999", "", "one", "0x10"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(ValueError, match=r"is not an amount of `x.y`"):
        resources.parse_amount("x.y", text)


def test_slots_are_added_taken_away_and_multiplied():
    a, b = {"cpu": Decimal(4), "x": Decimal("0.5")}, {"cpu": Decimal(1), "mem": Decimal(GIB)}
    assert resources.add(a, b) == {"cpu": 5, "x": Decimal("0.5"), "mem": GIB}
    assert resources.subtract(a, b) == {"cpu": 3, "x": Decimal("0.5"), "mem": -GIB}
    assert resources.scale(a, 2) == {"cpu": 8, "x": 1}


def test_what_is_missing_is_named():
    free = {"cpu": Decimal(4), "mem": Decimal(8 * GIB)}
    assert resources.fits({"cpu": Decimal(4)}, free)
    assert not resources.fits({"cpu": Decimal(4), "cuda.device": Decimal(1)}, free)
    assert resources.fits({"cuda.device": Decimal(0)}, free)
    assert resources.shortfall({"cpu": Decimal(6), "cuda.device": Decimal(1)}, free) == {"cpu": 2, "cuda.device": 1}


def test_slots_are_described_in_a_fixed_order():
    slots = {"cuda.shares": Decimal("1.50"), "mem": Decimal(16 * GIB), "cpu": Decimal(4)}
    assert resources.describe(slots) == "cpu 4, mem 16g, cuda.shares 1.5"
    assert resources.describe({}) == "nothing"


@given(slot_maps, slot_maps)
def test_what_was_added_can_be_taken_away_and_fits(left, right):
    total = resources.add(left, right)
    assert {s: a for s, a in resources.subtract(total, right).items() if a} == {s: a for s, a in left.items() if a}
    assert resources.fits(left, total)
    assert resources.shortfall(left, total) == {}
    assert resources.fits(left, right) == (resources.shortfall(left, right) == {})
