"""RepairLimit: a few repairs at once, then a limited rate."""

from ecr_operator.core.repair_limit import LABELS, REPAIRS, Repairs


def repaired(*times: float) -> Repairs:
    repairs: Repairs = ()
    for time in times:
        repairs = REPAIRS.note(repairs, time)
    return repairs


def test_six_repairs_within_a_minute_are_allowed_at_once() -> None:
    assert REPAIRS.wait((), 0) == 0
    assert REPAIRS.wait(repaired(0, 2, 4, 6, 8), 10) == 0
    assert REPAIRS.wait(repaired(0, 2, 4, 6, 8, 10), 12) == 48
    assert REPAIRS.wait(repaired(0, 2, 4, 6, 8, 10), 60) == 0


def test_no_more_repairs_are_kept_than_count() -> None:
    assert repaired(*range(100)) == tuple(range(94, 100))


def test_an_object_is_contested_until_two_windows_after_its_last_repair() -> None:
    assert not REPAIRS.is_contested((), 0)
    assert REPAIRS.is_contested(repaired(0), 119)
    assert not REPAIRS.is_contested(repaired(0), 120)


def test_a_label_is_tried_every_ten_minutes() -> None:
    tried = LABELS.note((), 0)
    assert LABELS.wait(tried, 1) == 599
    assert LABELS.wait(tried, 600) == 0
