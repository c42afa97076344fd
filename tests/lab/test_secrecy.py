"""The search for tokens finds them."""

import pytest

from lab.secrecy import WINDOW, forms, leaks, shows

PASSWORD = "".join(chr(ord("A") + each * 7 % 26) + str(each % 10) for each in range(100))


@pytest.mark.parametrize("form", forms(PASSWORD), ids=["the password", "the auth field"])
def test_a_token_in_a_text_is_found_whole_and_in_part(form: str) -> None:
    assert shows(f"before {form} after", [PASSWORD])
    assert shows(f"before {form[7 : 7 + 2 * WINDOW]} after", [PASSWORD])
    assert leaks({"log": f"x{form[3 : 3 + WINDOW]}y"}, [form]) == {"log": [form[3 : 3 + WINDOW]]}


def test_what_holds_none_is_clean() -> None:
    assert shows("nothing here", [PASSWORD]) == []
    assert leaks({"log": "nothing here"}, [PASSWORD]) == {}
