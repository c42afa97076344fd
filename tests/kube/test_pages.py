"""How many objects the next page of a list has."""

from ecr_operator.kube.informer import PageSize

MIB = 2**20


def after(*sizes: int) -> list[int]:
    """Return how many objects are asked for after pages of these sizes."""
    size, asked = PageSize(), []
    for each in sizes:
        size.adapt(each)
        asked.append(size.objects)
    return asked


def test_it_grows_while_pages_are_small() -> None:
    assert after(0, 100, 100, 100) == [100, 500, 500, 500]


def test_it_aims_at_one_mib() -> None:
    assert after(MIB, MIB // 2, 2 * MIB, 4 * MIB) == [20, 40, 20, 5]


def test_it_is_never_less_than_one() -> None:
    assert after(16 * MIB, 16 * MIB, 16 * MIB) == [1, 1, 1]


def test_a_page_that_is_too_large_is_asked_for_with_ever_less_down_to_one() -> None:
    size, asked = PageSize(), []
    while size.shrink():
        asked.append((size.objects, size.max_bytes // MIB))
    assert asked == [(5, 4), (1, 16)]
